/* What a line of the log looks like, and that no value can make it look otherwise. */
#include "test.h"

#include <math.h>
#include <stdio.h>

#include "core/context.h"
#include "observe/log_line.h"

/* 2026-11-22T16:29:53.012345678Z */
#define MOMENT INT64_C(1795364993012345678)

struct fixture {
    struct log_line line;
    char text[LOG_LINE_MAX + 1];
};

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct fixture));
    return 0;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

static const char *rendered(struct fixture *f, enum log_style style, const char *message,
                            const struct weir_log_field *fields, size_t count)
{
    log_line_render(&f->line, style,
                    &(struct log_record){.unix_ns = MOMENT,
                                         .level = WEIR_LOG_WARN,
                                         .service = "shelf",
                                         .message = message,
                                         .fields = fields,
                                         .field_count = count});
    memcpy(f->text, f->line.text, f->line.size);
    f->text[f->line.size] = 0;
    return f->text;
}

static const char *rendered_value(struct fixture *f, enum log_style style, struct weir_log_field field)
{
    return rendered(f, style, "m", &field, 1);
}

static void a_json_line_has_time_level_service_message_and_fields(void **state)
{
    const struct weir_log_field fields[] = {weir_field_text("id", "a b"), weir_field_int("items", -3),
                                            weir_field_double("ratio", 0.1), weir_field_bool("new", 7),
                                            weir_field_text("nothing", NULL)};
    assert_string_equal(rendered(*state, LOG_STYLE_JSON, "stored", fields, 5),
                        "{\"time\":\"2026-11-22T16:29:53.012345Z\",\"level\":\"warn\",\"service\":\"shelf\","
                        "\"message\":\"stored\",\"id\":\"a b\",\"items\":-3,\"ratio\":0.1,\"new\":true,"
                        "\"nothing\":null}\n");
}

static void a_text_line_quotes_what_needs_it(void **state)
{
    const struct weir_log_field fields[] = {weir_field_text("id", "a-1"), weir_field_text("who", "Ann \"x\""),
                                            weir_field_text("empty", ""), weir_field_text("pair", "a=b"),
                                            weir_field_int("n", 3)};
    assert_string_equal(
        rendered(*state, LOG_STYLE_TEXT, "stored", fields, 5),
        "2026-11-22T16:29:53.012Z WARN  stored id=a-1 who=\"Ann \\\"x\\\"\" empty=\"\" pair=\"a=b\" n=3\n");
}

static void a_coloured_line_colours_the_level_and_dims_the_names(void **state)
{
    assert_string_equal(rendered_value(*state, LOG_STYLE_COLOUR, weir_field_int("n", 3)),
                        "2026-11-22T16:29:53.012Z \x1b[33mWARN \x1b[0m m \x1b[2mn=\x1b[0m3\n");
}

static void hostile_text_is_escaped(void **state)
{
    static const struct {
        const char *value, *escaped;
    } cases[] = {
        {"a\nb", "a\\nb"},
        {"\t\r\x1b[2J\x7f", "\\t\\u000d\\u001b[2J\\u007f"},
        {"\"\\", "\\\"\\\\"},
        {"\xc2\x9b", "\\u009b"},                                           /* CSI as one character */
        {"\xe2\x80\xae\xe2\x81\xa6\xe2\x80\xa8", "\\u202e\\u2066\\u2028"}, /* direction, line separator */
        {"\xff\xc0\xaf", "\\ufffd\\ufffd\\ufffd"},                         /* no UTF-8; overlong */
        {"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"},                         /* surrogate */
        {"\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"},              /* above U+10FFFF */
        {"a\xe2\x82", "a\\ufffd\\ufffd"},                                  /* ends within a character */
        {"gr\xc3\xbc\xc3\x9f \xf0\x9f\x8d\xb5", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x8d\xb5"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char json[256], text[256];
        snprintf(json, sizeof json,
                 "{\"time\":\"2026-11-22T16:29:53.012345Z\",\"level\":\"warn\",\"service\":\"shelf\","
                 "\"message\":\"m\",\"v\":\"%s\"}\n",
                 cases[i].escaped);
        snprintf(text, sizeof text, "2026-11-22T16:29:53.012Z WARN  m v=\"%s\"\n", cases[i].escaped);
        assert_string_equal(rendered_value(*state, LOG_STYLE_JSON, weir_field_text("v", cases[i].value)),
                            json);
        assert_string_equal(rendered_value(*state, LOG_STYLE_TEXT, weir_field_text("v", cases[i].value)),
                            text);
    }
}

static void messages_and_names_are_escaped_too(void **state)
{
    struct weir_log_field field = weir_field_int("a\nb", 1);
    assert_string_equal(rendered(*state, LOG_STYLE_TEXT, "x\ny", &field, 1),
                        "2026-11-22T16:29:53.012Z WARN  x\\ny a\\nb=1\n");
}

static void numbers_that_json_has_not_are_null(void **state)
{
    const struct weir_log_field fields[] = {
        weir_field_double("nan", NAN), weir_field_double("inf", -INFINITY),
        weir_field_double("third", 1.0 / 3), weir_field_double("whole", 2)};
    assert_string_equal(
        rendered(*state, LOG_STYLE_TEXT, "m", fields, 4),
        "2026-11-22T16:29:53.012Z WARN  m nan=null inf=null third=0.33333333333333331 whole=2\n");
}

static void a_context_is_its_trace_id(void **state)
{
    struct weir_context context;
    context_init(&context, NULL, INT64_MAX);
    assert_string_equal(rendered_value(*state, LOG_STYLE_TEXT, weir_field_context(&context)),
                        "2026-11-22T16:29:53.012Z WARN  m\n");

    context_set_trace(&context, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_string_equal(rendered_value(*state, LOG_STYLE_TEXT, weir_field_context(&context)),
                        "2026-11-22T16:29:53.012Z WARN  m trace=0af7651916cd43dd8448eb211c80319c\n");
    assert_string_equal(rendered_value(*state, LOG_STYLE_TEXT, weir_field_context(NULL)),
                        "2026-11-22T16:29:53.012Z WARN  m\n");
    context_clean_up(&context);
}

static void a_long_value_is_shortened_and_the_next_still_shown(void **state)
{
    char *text = malloc(100001);
    memset(text, '\n', 100000);
    text[100000] = 0;
    const struct weir_log_field fields[] = {weir_field_text("long", text), weir_field_int("n", 3)};
    const char *line = rendered(*state, LOG_STYLE_JSON, "m", fields, 2);

    assert_non_null(strstr(line, "\\n\\n...\",\"n\":3}\n"));
    assert_in_range(strlen(line), 2048, 2048 + 200);
    free(text);
}

static void a_full_line_is_cut_between_two_fields_and_says_so(void **state)
{
    char text[1501];
    memset(text, 'x', 1500);
    text[1500] = 0;
    const struct weir_log_field fields[] = {weir_field_text("a", text), weir_field_text("b", text),
                                            weir_field_text("c", text), weir_field_int("d", 4)};
    const char *line = rendered(*state, LOG_STYLE_JSON, "m", fields, 4);
    assert_string_equal(line + strlen(line) - 17, "xxx\",\"cut\":true}\n");
    assert_null(strstr(line, "\"c\""));
    line = rendered(*state, LOG_STYLE_TEXT, "m", fields, 4);
    assert_string_equal(line + strlen(line) - 8, "xxx ...\n");
}

static void any_length_gives_one_bounded_line(void **state)
{
    struct fixture *f = *state;
    char text[4200];
    for (size_t size = 0; size < sizeof text; size += 7) {
        memset(text, '\x01', size);
        text[size] = 0;
        const struct weir_log_field fields[] = {weir_field_text(text, text), weir_field_text(text, text)};
        for (int style = LOG_STYLE_JSON; style <= LOG_STYLE_COLOUR; style++) {
            const char *line = rendered(f, (enum log_style)style, text, fields, 2);
            assert_in_range(f->line.size, 1, LOG_LINE_MAX);
            assert_ptr_equal(strchr(line, '\n'), line + f->line.size - 1);
        }
    }
}

static void more_fields_than_sixteen_are_not_shown(void **state)
{
    struct weir_log_field fields[20];
    for (int i = 0; i < 20; i++)
        fields[i] = weir_field_int("n", i);
    const char *line = rendered(*state, LOG_STYLE_TEXT, "m", fields, 20);
    assert_string_equal(line + strlen(line) - 6, " n=15\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_json_line_has_time_level_service_message_and_fields),
        TEST(a_text_line_quotes_what_needs_it),
        TEST(a_coloured_line_colours_the_level_and_dims_the_names),
        TEST(hostile_text_is_escaped),
        TEST(messages_and_names_are_escaped_too),
        TEST(numbers_that_json_has_not_are_null),
        TEST(a_context_is_its_trace_id),
        TEST(a_long_value_is_shortened_and_the_next_still_shown),
        TEST(a_full_line_is_cut_between_two_fields_and_says_so),
        TEST(any_length_gives_one_bounded_line),
        TEST(more_fields_than_sixteen_are_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
