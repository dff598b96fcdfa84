/* What `weir dlq` notes about resolved letters. */
#include "test.h"

#include "dlq.h"

static char *written(struct marks *marks)
{
    static char text[8192];
    struct weir_buffer buffer = {0};
    marks_write(marks, &buffer);
    snprintf(text, sizeof text, "%lld: %s", (long long)marks->base, weir_buffer_text(&buffer));
    weir_buffer_free(&buffer);
    return text;
}

static void what_is_added_in_any_order_becomes_ranges(void **state)
{
    (void)state;
    struct marks marks;
    assert_true(marks_read(&marks, 5, ""));
    assert_string_equal(written(&marks), "5: ");
    const int64_t added[] = {9, 7, 20, 8, 3, 22, 21, 7, 12};
    for (size_t i = 0; i < sizeof added / sizeof added[0]; i++)
        marks_add(&marks, added[i]);
    assert_string_equal(written(&marks), "5: resolved 7-9,12,20-22");
    for (int64_t offset = 0; offset < 30; offset++)
        assert_int_equal(marks_has(&marks, offset), offset < 5 || (offset >= 7 && offset <= 9) ||
                                                        offset == 12 || (offset >= 20 && offset <= 22));
    marks_clean_up(&marks);
}

static void below_the_first_open_letter_nothing_is_noted(void **state)
{
    (void)state;
    struct marks marks;
    assert_true(marks_read(&marks, 5, "resolved 7-9,12,20-22"));
    marks_advance(&marks, 4);
    assert_string_equal(written(&marks), "5: resolved 7-9,12,20-22");
    marks_advance(&marks, 8);
    assert_string_equal(written(&marks), "8: resolved 8-9,12,20-22");
    marks_advance(&marks, 23);
    assert_string_equal(written(&marks), "23: ");
    marks_clean_up(&marks);
}

static void what_was_written_is_read_again(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "resolved 5", "resolved 5-6", "resolved 7-9,12,20-22"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct marks marks;
        assert_true(marks_read(&marks, 5, texts[i]));
        assert_string_equal(written(&marks) + 3, texts[i]);
        marks_clean_up(&marks);
    }
}

static void a_note_of_somebody_else_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"hello",
                                        "resolved",
                                        "resolved ",
                                        "resolved 4",
                                        "resolved 9-7",
                                        "resolved 7,7",
                                        "resolved 7,",
                                        "resolved 7-",
                                        "resolved 7 ,8",
                                        "resolved -7",
                                        "resolved 12,7",
                                        "resolved 7x",
                                        "resolved 7--8",
                                        "resolved +7",
                                        "resolved 9223372036854775808",
                                        "resolved 9223372036854775807"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct marks marks;
        if (marks_read(&marks, 5, texts[i]))
            fail_msg("\"%s\" was taken", texts[i]);
        marks_clean_up(&marks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_added_in_any_order_becomes_ranges),
        cmocka_unit_test(below_the_first_open_letter_nothing_is_noted),
        cmocka_unit_test(what_was_written_is_read_again),
        cmocka_unit_test(a_note_of_somebody_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
