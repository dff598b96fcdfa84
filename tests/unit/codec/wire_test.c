/* Wire bytes: what the check refuses, and what JSON makes of bytes that no one would write. */
#include "fixture.h"

static void assert_check(const char *message, const struct weir_codec_limits *limits, const char *hex,
                         enum weir_status status, const char *error)
{
    struct weir_error err = {0};
    struct weir_buffer wire = from_hex(hex);
    assert_int_equal(weir_wire_check(message_named(message), weir_buffer_bytes(&wire), limits, &err), status);
    assert_string_equal(err.text, error);
    weir_buffer_free(&wire);
}

static void assert_bad(const char *hex, const char *error)
{
    assert_check("All", NULL, hex, WEIR_INVALID_ARGUMENT, error);
}

static void sound_bytes_pass(void **state)
{
    (void)state;
    assert_check("All", NULL, "", WEIR_OK, "");
    assert_check("All", NULL, "1801 920104 0a026869 9a0102 0102 a20102 0102 a001 07 9801 07", WEIR_OK, "");
    assert_check("All", NULL, "f83f01 fa3f03 616263", WEIR_OK, "");
}

static void the_check_says_where(void **state)
{
    (void)state;
    assert_bad("920100 920100 f83f01 920104 0a02c080", "items[2].sku: not UTF-8");
    assert_bad("720361 0062", "text: contains NUL");
    assert_bad("ba0105 0a0361c062", "labels[0].key: not UTF-8");
    assert_bad("8a0103 100101", "item: a bad tag");
}

static void bytes_that_are_cut_or_too_long_are_refused(void **state)
{
    (void)state;
    assert_bad("18", "an_int32: truncated or overlong varint");
    assert_bad("18 80808080808080808080 01", "an_int32: truncated or overlong varint");
    assert_bad("72 05 61", "text: truncated: longer than what holds it");
    assert_bad("72 808080808001", "text: truncated or overlong length");
    assert_bad("72 ffffffff0f", "text: truncated: longer than what holds it");
    assert_bad("09 00000000", "a_double: truncated");
    assert_bad("15 000000", "a_float: truncated");
    assert_bad("808080808001", "a bad tag");
    assert_bad("00", "a bad tag");
    assert_bad("0700", "a bad tag");
    assert_bad("9b01", "numbers[0]: a wire type that proto3 does not have (groups are not supported)");
    assert_bad("9a01 02 0180", "numbers[0]: truncated or overlong varint in packed values");
}

static void a_wrong_wire_type_is_refused(void **state)
{
    (void)state;
    assert_bad("1a00", "an_int32: wire type 2 where 0 is expected");
    assert_bad("7001", "text: wire type 0 where 2 is expected");
    assert_bad("9001 01", "items[0]: wire type 0 where 2 is expected");
}

static void limits_are_kept(void **state)
{
    (void)state;
    struct weir_codec_limits limits = {.depth = 2};
    assert_check("Item", &limits, "1a02 1a00", WEIR_OK, "");
    assert_check("Item", &limits, "1a04 1a02 1a00", WEIR_RESOURCE_EXHAUSTED,
                 "parts[0].parts[0].parts[0]: nested deeper than 2");
    limits = (struct weir_codec_limits){.elements = 2};
    assert_check("Item", &limits, "1a00 1a00 1a00", WEIR_RESOURCE_EXHAUSTED,
                 "parts[2]: more than 2 elements");
    assert_check("All", &limits, "9a0103 010101", WEIR_RESOURCE_EXHAUSTED,
                 "numbers[0]: more than 2 elements");
    limits = (struct weir_codec_limits){.unknown_bytes = 5};
    assert_check("Item", &limits, "f83f01", WEIR_OK, "");
    assert_check("Item", &limits, "f83f01 f83f01", WEIR_RESOURCE_EXHAUSTED,
                 "more than 5 bytes of unknown fields");
    limits = (struct weir_codec_limits){.memory = 100};
    assert_check("Item", &limits, "0a20 6161616161616161616161616161616161616161616161616161616161616161",
                 WEIR_RESOURCE_EXHAUSTED, "sku: more than 100 bytes when unpacked");
}

static void a_message_that_protobuf_c_cannot_merge_is_refused(void **state)
{
    (void)state;
    /* A Value with none of its oneof set, twice; parsed one by one they are fine. */
    assert_bad("aa0200 aa0200", "value: given twice, and cannot be merged");
    assert_check("All", NULL, "9a0300 9a0300", WEIR_OK, "");
    assert_check("All", NULL, "8a010100", WEIR_INVALID_ARGUMENT, "item: a bad tag");
    assert_check("All", NULL, "8a0103 0a0161 8a0102 1007", WEIR_OK, "");
}

static void a_message_given_ten_thousand_times_is_too_much_to_merge(void **state)
{
    (void)state;
    struct weir_buffer wire = {0};
    struct weir_error err = {0};
    for (int i = 0; i < 10000; i++)
        weir_buffer_append(&wire, "\x8a\x01\x02\x1a\x00", 5);
    assert_int_equal(weir_wire_check(message_named("All"), weir_buffer_bytes(&wire), NULL, &err),
                     WEIR_RESOURCE_EXHAUSTED);
    weir_buffer_free(&wire);
}

static void deep_nesting_is_refused_without_recursing_into_it(void **state)
{
    (void)state;
    struct weir_buffer wire = {0};
    struct weir_error err = {0};
    /* Lengths that all reach far enough: 50,000 levels of five bytes. */
    for (size_t i = 0; i < 50000; i++) {
        size_t length = (50000 - i - 1) * 5;
        uint8_t level[5] = {0x1a, (uint8_t)(length | 0x80), (uint8_t)(length >> 7 | 0x80),
                            (uint8_t)(length >> 14 | 0x80), (uint8_t)(length >> 21 & 0x7f)};
        weir_buffer_append(&wire, level, sizeof level);
    }
    assert_int_equal(weir_wire_check(message_named("Item"), weir_buffer_bytes(&wire), NULL, &err),
                     WEIR_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.text, "nested deeper than 100"));
    struct weir_buffer json = {0};
    assert_int_equal(weir_wire_to_json(message_named("Item"), weir_buffer_bytes(&wire), NULL, &json, &err),
                     WEIR_RESOURCE_EXHAUSTED);
    weir_buffer_free(&wire);
    weir_buffer_free(&json);
}

static void required_fields_of_proto2_must_be_there(void **state)
{
    (void)state;
    assert_check("Old", NULL, "0a0161", WEIR_OK, "");
    assert_check("Old", NULL, "1001", WEIR_INVALID_ARGUMENT, "id: required, but missing");
}

static void the_last_of_a_singular_field_counts_and_messages_merge(void **state)
{
    (void)state;
    assert_prints("All", "1801 1802", "{\"anInt32\":2}");
    assert_prints("All", "8a0103 0a0161 8a0102 1007", "{\"item\":{\"sku\":\"a\",\"quantity\":7}}");
    assert_prints("All", "1801 1800", "{}");
}

static void members_in_any_order_are_sorted(void **state)
{
    (void)state;
    assert_prints("All", "aa010161 720162 aa010163 1805",
                  "{\"anInt32\":5,\"text\":\"b\",\"tags\":[\"a\",\"c\"]}");
    assert_prints("All", "9a0102 0102 1805 9801 03 9a0101 04", "{\"anInt32\":5,\"numbers\":[1,2,3,4]}");
}

static void the_last_member_of_a_oneof_counts(void **state)
{
    (void)state;
    assert_prints("All", "d201 0161 d801 05", "{\"id\":5}");
    assert_prints("All", "d801 05 d201 0161", "{\"name\":\"a\"}");
    assert_prints("All", "e20103 0a0161 d801 05 e20102 1007", "{\"chosen\":{\"quantity\":7}}");
}

static void the_last_of_equal_map_keys_counts(void **state)
{
    (void)state;
    assert_prints("All", "ba0106 0a0161 120131 ba0106 0a0162 120132 ba0106 120133 0a0161",
                  "{\"labels\":{\"b\":\"2\",\"a\":\"3\"}}");
    assert_prints("All", "ba0100", "{\"labels\":{\"\":\"\"}}");
    assert_prints("All", "c20102 0807", "{\"byId\":{\"7\":{}}}");
}

static void unknown_fields_are_not_printed(void **state)
{
    (void)state;
    assert_prints("All", "f83f01 1805 fa3f03 616263 f93f 0102030405060708 fd3f 01020304", "{\"anInt32\":5}");
}

static void bad_bytes_do_not_print(void **state)
{
    (void)state;
    assert_does_not_print("All", "920104 0a02c080", "items[0].sku: not UTF-8");
    assert_does_not_print("All", "1a00", "anInt32: a wrong wire type");
    assert_does_not_print("All", "72 05 61", "text: truncated: longer than what holds it");
    assert_does_not_print("All", "ba0106 0a0161 1201c0", "labels[a]: not UTF-8");
}

static void output_is_limited(void **state)
{
    (void)state;
    struct weir_json_options options = {.limits = {.memory = 1000}, .with_defaults = true};
    struct weir_buffer wire = {0}, json = {0};
    struct weir_error err = {0};
    for (int i = 0; i < 40; i++)
        weir_buffer_append(&wire, "\x1a\x00", 2);
    assert_int_equal(
        weir_wire_to_json(message_named("Item"), weir_buffer_bytes(&wire), &options, &json, &err),
        WEIR_RESOURCE_EXHAUSTED);
    assert_int_equal(json.size, 0);
    weir_buffer_free(&wire);
    weir_buffer_free(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_bytes_pass),
        cmocka_unit_test(the_check_says_where),
        cmocka_unit_test(bytes_that_are_cut_or_too_long_are_refused),
        cmocka_unit_test(a_wrong_wire_type_is_refused),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(a_message_that_protobuf_c_cannot_merge_is_refused),
        cmocka_unit_test(a_message_given_ten_thousand_times_is_too_much_to_merge),
        cmocka_unit_test(deep_nesting_is_refused_without_recursing_into_it),
        cmocka_unit_test(required_fields_of_proto2_must_be_there),
        cmocka_unit_test(the_last_of_a_singular_field_counts_and_messages_merge),
        cmocka_unit_test(members_in_any_order_are_sorted),
        cmocka_unit_test(the_last_member_of_a_oneof_counts),
        cmocka_unit_test(the_last_of_equal_map_keys_counts),
        cmocka_unit_test(unknown_fields_are_not_printed),
        cmocka_unit_test(bad_bytes_do_not_print),
        cmocka_unit_test(output_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
