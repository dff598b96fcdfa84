/* The order of rows per key, whatever fails. */
#include "test.h"

#include <stdio.h>

#include "data/window.h"

static struct row *make(int64_t id, const char *key)
{
    struct weir_record record = {
        .topic = "t", .message_id = "m", .key = weir_bytes_of_text(key), .value = weir_bytes_of_text("v")};
    return row_new(id, &record);
}

static int64_t take(struct window *window)
{
    struct row *row = window_take(window);
    return row ? row->id : 0;
}

/* Keys "a" for odd ids, "b" for even ones. */
static void fill(struct window *window, struct row *rows[], int count)
{
    for (int i = 0; i < count; i++) {
        rows[i] = make(i + 1, i % 2 ? "b" : "a");
        window_add(window, rows[i]);
    }
}

static void a_row_waits_for_its_predecessor_and_for_no_other(void **state)
{
    (void)state;
    struct window window;
    struct row *rows[4];
    window_init(&window, 8);
    fill(&window, rows, 4);

    assert_int_equal(take(&window), 1);
    assert_int_equal(take(&window), 2);
    assert_int_equal(take(&window), 0);
    window_done(&window, rows[1]);
    assert_int_equal(take(&window), 4);
    window_done(&window, rows[3]);
    assert_int_equal(window_pop(&window), 0);
    window_done(&window, rows[0]);
    assert_int_equal(window_pop(&window), 2);
    assert_int_equal(take(&window), 3);
    window_done(&window, rows[2]);
    assert_int_equal(window_pop(&window), 4);
    assert_int_equal(window_room(&window), 8);
    window_clean_up(&window);
}

static void what_follows_a_failed_row_waits_until_it_is_done(void **state)
{
    (void)state;
    struct window window;
    struct row *rows[3];
    window_init(&window, 8);
    fill(&window, rows, 3);

    assert_int_equal(take(&window), 1);
    window_failed(&window, rows[0]);
    assert_int_equal(take(&window), 2);
    window_done(&window, rows[1]);
    assert_int_equal(take(&window), 0);
    window_retry(&window);
    assert_int_equal(take(&window), 1);
    assert_int_equal(take(&window), 0);
    window_done(&window, rows[0]);
    assert_int_equal(take(&window), 3);
    window_done(&window, rows[2]);
    assert_int_equal(window_pop(&window), 3);
    window_clean_up(&window);
}

static void rows_without_a_key_wait_for_nobody(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 4);
    struct row *one = make(1, ""), *two = make(2, NULL);
    window_add(&window, one);
    window_add(&window, two);
    assert_int_equal(take(&window), 1);
    assert_int_equal(take(&window), 2);
    window_done(&window, two);
    window_done(&window, one);
    assert_int_equal(window_pop(&window), 2);
    window_clean_up(&window);
}

static void what_was_not_taken_is_the_next_again(void **state)
{
    (void)state;
    struct window window;
    struct row *rows[2];
    window_init(&window, 4);
    fill(&window, rows, 2);
    struct row *first = window_take(&window);
    window_put_back(&window, first);
    assert_int_equal(window.sent, 0);
    assert_int_equal(take(&window), 1);
    window_done(&window, rows[0]);
    window_clean_up(&window);
}

static void a_rejected_row_is_not_tried_again_and_lets_its_key_go_on_when_it_is_done(void **state)
{
    (void)state;
    struct window window;
    struct row *rows[3];
    window_init(&window, 4);
    fill(&window, rows, 3);
    assert_int_equal(take(&window), 1);
    assert_int_equal(take(&window), 2);
    rows[0]->rejected = true;
    window_failed(&window, rows[1]);
    window_failed(&window, rows[0]);
    window_retry(&window);
    assert_int_equal(take(&window), 2);
    assert_int_equal(take(&window), 0);
    assert_ptr_equal(window_take_rejected(&window), rows[0]);
    assert_null(window_take_rejected(&window));
    window_done(&window, rows[0]);
    assert_int_equal(take(&window), 3);
    window_done(&window, rows[1]);
    window_done(&window, rows[2]);
    assert_int_equal(window_pop(&window), 3);
    window_clean_up(&window);
}

/* Any order of successes and failures: no row before its predecessor is done, and all come to an end. */
static void any_course_keeps_the_order_of_every_key(void **state)
{
    (void)state;
    enum { ROWS = 400, KEYS = 7 };
    for (unsigned seed = 1; seed <= 50; seed++) {
        unsigned random = seed * 2654435761u;
        struct window window;
        window_init(&window, 16);
        struct row *sent[16];
        int sent_count = 0;
        int64_t added = 0, popped = 0, last_done[KEYS] = {0};
        while (popped < ROWS) {
            random = random * 1664525u + 1013904223u;
            unsigned what = random >> 24;
            if (what % 4 == 0 && added < ROWS && window_room(&window) > 0) {
                char key[16];
                snprintf(key, sizeof key, "key %u", (random >> 8) % KEYS);
                window_add(&window, make(++added, key));
            } else if (what % 4 == 1) {
                struct row *row = window_take(&window);
                if (row)
                    sent[sent_count++] = row;
            } else if (what % 4 == 2 && sent_count > 0) {
                int at = (int)((random >> 8) % (unsigned)sent_count);
                struct row *row = sent[at];
                sent[at] = sent[--sent_count];
                if (what % 3 == 0) {
                    window_failed(&window, row);
                    continue;
                }
                int key = row->record.key.data[4] - '0';
                assert_true(row->id > last_done[key]);
                last_done[key] = row->id;
                window_done(&window, row);
                int64_t id = window_pop(&window);
                popped = id ? id : popped;
            } else if (what % 4 == 3) {
                window_retry(&window);
            }
        }
        assert_int_equal(window.bytes, 0);
        window_clean_up(&window);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_waits_for_its_predecessor_and_for_no_other),
        cmocka_unit_test(what_follows_a_failed_row_waits_until_it_is_done),
        cmocka_unit_test(rows_without_a_key_wait_for_nobody),
        cmocka_unit_test(what_was_not_taken_is_the_next_again),
        cmocka_unit_test(a_rejected_row_is_not_tried_again_and_lets_its_key_go_on_when_it_is_done),
        cmocka_unit_test(any_course_keeps_the_order_of_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
