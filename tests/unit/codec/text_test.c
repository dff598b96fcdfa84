/* Path and query parameters. */
#include "fixture.h"

#include <stdio.h>

static struct weir_buffer wire;

static void add(const char *name, const char *value)
{
    struct weir_error err = {0};
    if (weir_text_to_wire(message_named("All"), name, weir_bytes_of_text(value), &wire, &err) != WEIR_OK)
        fail_msg("%s=%s is refused: %s", name, value, err.text);
}

static void assert_all(const char *expected)
{
    struct weir_error err = {0};
    struct weir_buffer json = {0};
    assert_int_equal(weir_wire_to_json(message_named("All"), weir_buffer_bytes(&wire), NULL, &json, &err),
                     WEIR_OK);
    assert_string_equal(weir_buffer_text(&json), expected);
    weir_buffer_free(&json);
    weir_buffer_free(&wire);
}

static void assert_no(const char *name, const char *value, const char *error)
{
    struct weir_error err = {0};
    weir_buffer_append_text(&wire, "kept");
    assert_int_equal(weir_text_to_wire(message_named("All"), name, weir_bytes_of_text(value), &wire, &err),
                     WEIR_INVALID_ARGUMENT);
    assert_string_equal(err.text, error);
    assert_int_equal(wire.size, 4);
    weir_buffer_free(&wire);
}

static void every_scalar_can_be_given_as_text(void **state)
{
    (void)state;
    add("text", "a b");
    add("anInt32", "-7");
    add("a_uint64", "18446744073709551615");
    add("aBool", "true");
    add("aDouble", "1.5");
    add("data", "AAE");
    add("state", "STATE_OPEN");
    add("maybe", "0");
    assert_all("{\"aDouble\":1.5,\"anInt32\":-7,\"aUint64\":\"18446744073709551615\",\"aBool\":true,\"text\":"
               "\"a b\","
               "\"data\":\"AAE=\",\"state\":\"STATE_OPEN\",\"maybe\":0}");
}

static void repeated_scalars_and_inner_fields_add_up(void **state)
{
    (void)state;
    add("numbers", "1");
    add("item.sku", "tea");
    add("numbers", "2");
    add("item.quantity", "3");
    add("tags", "x");
    add("states", "2");
    assert_all("{\"item\":{\"sku\":\"tea\",\"quantity\":3},\"numbers\":[1,2],\"tags\":[\"x\"],"
               "\"states\":[\"STATE_CLOSED\"]}");
}

static void inner_fields_go_into_the_parent_that_is_there(void **state)
{
    (void)state;
    char sku[200];
    memset(sku, 'x', 199);
    sku[199] = 0;
    add("chosen.quantity", "5");
    add("item.quantity", "3");
    add("text", "a");
    add("item.sku", sku);
    add("chosen.sku", "y");
    struct weir_error err = {0};
    struct weir_buffer expected = from_hex("e20105 1005 0a0179 8a01cc01 1003 0ac701");
    weir_buffer_append(&expected, sku, 199);
    weir_buffer_append(&expected,
                       "r\x01"
                       "a",
                       3);
    assert_int_equal(wire.size, expected.size);
    assert_memory_equal(wire.data, expected.data, wire.size);
    assert_int_equal(weir_wire_check(message_named("All"), weir_buffer_bytes(&wire), NULL, &err), WEIR_OK);
    weir_buffer_free(&expected);
    weir_buffer_free(&wire);
}

static void well_known_texts_and_wrappers_too(void **state)
{
    (void)state;
    add("at", "2026-01-01T00:00:00Z");
    add("lasts", "2s");
    add("mask", "a,bC");
    add("wrappedInt64", "9");
    add("wrapped_text", "");
    assert_all("{\"at\":\"2026-01-01T00:00:00Z\",\"lasts\":\"2s\",\"mask\":\"a,bC\",\"wrappedText\":\"\","
               "\"wrappedInt64\":\"9\"}");
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    assert_no("nope", "1", "weir.codec.v1.All has no field nope");
    assert_no("item.nope", "1", "weir.codec.v1.Item has no field nope");
    assert_no("item", "1", "item: 1 cannot be given as text");
    assert_no("items.sku", "1", "items has no fields that could be given here");
    assert_no("text.x", "1", "text has no fields that could be given here");
    assert_no("labels", "1", "labels: 1 cannot be given as text");
    assert_no("anInt32", "x", "anInt32: x is not a number");
    assert_no("anInt32", "1.5", "anInt32: 1.5 is not an integer");
    assert_no("anInt32", "", "anInt32: is not a number");
    assert_no("aBool", "1", "aBool: 1 is neither true nor false");
    assert_no("state", "X", "state: X is not one of its values");
    assert_no("text", "\xc0\x80", "text: not UTF-8");
    assert_no("item.", "1", "weir.codec.v1.Item has no field ");
    assert_no("", "1", "weir.codec.v1.All has no field ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scalar_can_be_given_as_text),
        cmocka_unit_test(repeated_scalars_and_inner_fields_add_up),
        cmocka_unit_test(inner_fields_go_into_the_parent_that_is_there),
        cmocka_unit_test(well_known_texts_and_wrappers_too),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
