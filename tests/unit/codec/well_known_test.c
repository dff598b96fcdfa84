/* Messages whose JSON is not an object of their fields. */
#include "fixture.h"

#include <stdio.h>

static void timestamps_take_offsets_and_print_utc(void **state)
{
    (void)state;
    assert_json("{\"at\":\"2026-11-22T16:29:53Z\"}", "{\"at\":\"2026-11-22T16:29:53Z\"}");
    assert_json("{\"at\":\"2026-11-22T16:29:53.1+02:30\"}", "{\"at\":\"2026-11-22T13:59:53.100Z\"}");
    assert_json("{\"at\":\"2024-02-29T23:59:59.123456789-01:00\"}",
                "{\"at\":\"2024-03-01T00:59:59.123456789Z\"}");
    assert_json("{\"at\":\"1969-12-31T23:59:59.000001Z\"}", "{\"at\":\"1969-12-31T23:59:59.000001Z\"}");
    assert_json("{\"at\":\"0001-01-01T00:00:00Z\"}", "{\"at\":\"0001-01-01T00:00:00Z\"}");
    assert_json("{\"at\":\"9999-12-31T23:59:59.999999999Z\"}", "{\"at\":\"9999-12-31T23:59:59.999999999Z\"}");
    assert_json("{\"at\":\"1970-01-01T00:00:00Z\"}", "{\"at\":\"1970-01-01T00:00:00Z\"}");
    assert_wire("{\"at\":\"1970-01-01T00:00:01.000000002Z\"}", "8202 04 0801 1002");
}

static void a_time_that_is_none_is_refused(void **state)
{
    (void)state;
    const char *const malformed[] = {
        "2026-11-22 16:29:53Z",
        "2026-11-22T16:29:53",
        "2026-11-22t16:29:53Z",
        "2026-11-22T16:29:53z",
        "2026-11-22T16:29Z",
        "2026-11-22T16:29:53.Z",
        "02026-11-22T16:29:53Z",
        "2026-11-22T16:29:53+1:00",
        "2026-11-22",
        "2026-11-22T16:29:53Z ",
        "",
        "2026-11-22T16:29:53.1234567890Z",
        "2026-11-22T16:29:53+24:00",
    };
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        char json[128], error[256];
        snprintf(json, sizeof json, "{\"at\":\"%s\"}", malformed[i]);
        snprintf(error, sizeof error,
                 "line 1, column 7: at: \"%s\" is not a time as in RFC 3339 (2006-01-02T15:04:05Z)",
                 malformed[i]);
        assert_refused(json, error);
    }
    assert_refused("{\"at\":\"2025-02-29T00:00:00Z\"}",
                   "line 1, column 7: at: \"2025-02-29T00:00:00Z\" is not a time that exists");
    assert_refused("{\"at\":\"2025-12-31T23:59:60Z\"}",
                   "line 1, column 7: at: \"2025-12-31T23:59:60Z\" is not a time that exists");
    assert_refused("{\"at\":\"0000-01-01T00:00:00Z\"}",
                   "line 1, column 7: at: \"0000-01-01T00:00:00Z\" is not within the years 1 to 9999");
    assert_refused("{\"at\":\"9999-12-31T23:59:59-00:01\"}",
                   "line 1, column 7: at: \"9999-12-31T23:59:59-00:01\" is not within the years 1 to 9999");
    assert_refused("{\"at\":7}", "line 1, column 7: at: expected a string (google.protobuf.Timestamp)");
    assert_does_not_print("All", "8202 0b 08 80ffffffffffffff7f", "at: truncated: longer than what holds it");
    assert_does_not_print("All", "8202 06 10 8094ebdc03",
                          "at: a time with nanos that are not within a second");
    assert_does_not_print("All", "8202 07 08 8083d1ffaf07",
                          "at: a time that is not within the years 1 to 9999");
}

static void durations_have_up_to_nine_digits_and_a_sign(void **state)
{
    (void)state;
    assert_json("{\"lasts\":\"1.5s\"}", "{\"lasts\":\"1.500s\"}");
    assert_json("{\"lasts\":\"-0.5s\"}", "{\"lasts\":\"-0.500s\"}");
    assert_json("{\"lasts\":\"-3.000001s\"}", "{\"lasts\":\"-3.000001s\"}");
    assert_json("{\"lasts\":\"0s\"}", "{\"lasts\":\"0s\"}");
    assert_json("{\"lasts\":\"315576000000s\"}", "{\"lasts\":\"315576000000s\"}");
    assert_json("{\"lasts\":\"-315576000000s\"}", "{\"lasts\":\"-315576000000s\"}");
    assert_json("{\"lasts\":\"1.000000001s\"}", "{\"lasts\":\"1.000000001s\"}");
    assert_refused("{\"lasts\":\"315576000001s\"}",
                   "line 1, column 10: lasts: \"315576000001s\" is not within 315576000000 seconds");
    assert_refused("{\"lasts\":\"315576000000.1s\"}",
                   "line 1, column 10: lasts: \"315576000000.1s\" is not within 315576000000 seconds");
    assert_refused(
        "{\"lasts\":\"99999999999999999999999s\"}",
        "line 1, column 10: lasts: \"99999999999999999999999s\" is not within 315576000000 seconds");
    assert_refused("{\"lasts\":\"1.5\"}",
                   "line 1, column 10: lasts: \"1.5\" is not a duration in seconds (1.5s)");
    assert_refused("{\"lasts\":\".5s\"}",
                   "line 1, column 10: lasts: \".5s\" is not a duration in seconds (1.5s)");
    assert_refused("{\"lasts\":\"1.0000000001s\"}",
                   "line 1, column 10: lasts: \"1.0000000001s\" is not a duration in seconds (1.5s)");
    assert_does_not_print("All", "8a02 0d 0801 10 ffffffffffffffffff01",
                          "lasts: a duration whose seconds and nanos have different signs");
}

static void a_field_mask_comes_back_as_it_was(void **state)
{
    (void)state;
    assert_json("{\"mask\":\"fooBar,baz.quxX\"}", "{\"mask\":\"fooBar,baz.quxX\"}");
    assert_wire("{\"mask\":\"fooBar,a\"}", "9202 0c 0a07 666f6f5f626172 0a01 61");
    assert_json("{\"mask\":\"\"}", "{\"mask\":\"\"}");
    assert_refused("{\"mask\":\"foo_bar\"}",
                   "line 1, column 9: mask: \"foo_bar\" is not a list of paths in lowerCamelCase");
    assert_refused("{\"mask\":\"a,,b\"}", "line 1, column 9: mask: \"a,,b\" has an empty path");
    assert_refused("{\"mask\":\"a,\"}", "line 1, column 9: mask: \"a,\" has an empty path");
    assert_does_not_print("google.protobuf.FieldMask", "0a03 664f6f",
                          "a field mask that JSON cannot express");
    assert_does_not_print("google.protobuf.FieldMask", "0a03 665f31",
                          "a field mask that JSON cannot express");
    assert_does_not_print("google.protobuf.FieldMask", "0a02 615f", "a field mask that JSON cannot express");
    assert_does_not_print("google.protobuf.FieldMask", "0a03 612c62",
                          "a field mask that JSON cannot express");
    assert_does_not_print("google.protobuf.FieldMask", "0a00", "a field mask with an empty path");
}

static void any_holds_what_is_known(void **state)
{
    (void)state;
    assert_json("{\"any\":{\"@type\":\"type.googleapis.com/weir.codec.v1.Item\",\"sku\":\"tea\"}}",
                "{\"any\":{\"@type\":\"type.googleapis.com/weir.codec.v1.Item\",\"sku\":\"tea\"}}");
    assert_json("{\"any\":{\"quantity\":2,\"@type\":\"x/weir.codec.v1.Item\"}}",
                "{\"any\":{\"@type\":\"x/weir.codec.v1.Item\",\"quantity\":2}}");
    assert_json("{\"any\":{\"value\":\"1.5s\",\"@type\":\"x/google.protobuf.Duration\"}}",
                "{\"any\":{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"1.500s\"}}");
    assert_json(
        "{\"any\":{\"@type\":\"x/google.protobuf.Any\",\"value\":{\"@type\":\"x/google.protobuf.Int64Value\","
        "\"value\":7}}}",
        "{\"any\":{\"@type\":\"x/google.protobuf.Any\",\"value\":{\"@type\":"
        "\"x/google.protobuf.Int64Value\",\"value\":\"7\"}}}");
    assert_json("{\"any\":{}}", "{\"any\":{}}");
}

static void the_url_of_an_any_may_be_long(void **state)
{
    (void)state;
    char json[1024];
    int size = snprintf(json, sizeof json, "{\"any\":{\"@type\":\"");
    memset(json + size, 'h', 700);
    snprintf(json + size + 700, sizeof json - 700 - (size_t)size, "/weir.codec.v1.Item\",\"sku\":\"tea\"}}");
    assert_json(json, json);
}

static void any_of_what_is_not_known_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"any\":{\"@type\":\"x/No.Such\"}}",
                   "line 1, column 17: any: \"x/No.Such\" is no message that is known here");
    assert_refused("{\"any\":{\"@type\":\"weir.codec.v1.Item\"}}",
                   "line 1, column 17: any: \"weir.codec.v1.Item\" is no message that is known here");
    assert_refused("{\"any\":{\"sku\":\"tea\"}}", "line 1, column 8: any: an Any without \"@type\"");
    assert_refused("{\"any\":{\"@type\":\"x/weir.codec.v1.Item\",\"@type\":\"x/weir.codec.v1.Item\"}}",
                   "line 1, column 40: any: \"@type\" is given twice");
    assert_refused("{\"any\":{\"@type\":\"x/google.protobuf.Duration\"}}",
                   "line 1, column 8: any: an Any of google.protobuf.Duration without \"value\"");
    assert_refused("{\"any\":{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"1s\",\"value\":\"1s\"}}",
                   "line 1, column 59: any: \"value\" is given twice");
    assert_refused("{\"any\":{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"1s\",\"x\":1}}",
                   "line 1, column 59: any: expected \"@type\" and \"value\" only");
    assert_does_not_print("All", "9a02 05 0a03 782f78", "any: an Any of a type that is not known here");
    struct weir_json_options options = {0};
    assert_refused_with("All", &options, "{\"any\":{\"@type\":\"x/weir.codec.v1.Item\"}}",
                        WEIR_INVALID_ARGUMENT,
                        "line 1, column 17: any: \"x/weir.codec.v1.Item\" is no message that is known here");
}

static void structs_hold_any_json(void **state)
{
    (void)state;
    const char *json =
        "{\"extra\":{\"a\":[1,null,true,\"x\",{\"b\":{}},[]],\"c\":-0.5},\"value\":{\"d\":[false]},"
        "\"list\":[[],{}]}";
    assert_json(json, json);
    assert_refused("{\"extra\":{\"a\":1,\"a\":2}}", "line 1, column 17: extra: a key that is given twice");
    assert_refused("{\"extra\":[]}", "line 1, column 10: extra: expected an object");
    assert_refused("{\"list\":{}}", "line 1, column 9: list: expected an array, not an object");
    assert_refused("{\"extra\":{\"a\":[1,{\"b\":1e999}]}}",
                   "line 1, column 23: extra[\"a\"][1][\"b\"]: 1e999 is out of the range of double");
    assert_does_not_print("google.protobuf.Value", "11 000000000000f87f",
                          "a Value that is NaN or infinite, which JSON cannot express");
    assert_prints("google.protobuf.Value", "", "null");
}

static void wrappers_print_what_they_wrap(void **state)
{
    (void)state;
    assert_json("{\"wrappedText\":\"\",\"wrappedInt64\":\"7\",\"wrappedBool\":false,\"wrappedDoubles\":[0,1."
                "5],\"empty\":{}}",
                "{\"wrappedText\":\"\",\"wrappedInt64\":\"7\",\"wrappedBool\":false,\"empty\":{},"
                "\"wrappedDoubles\":[0,1.5]}");
    assert_refused("{\"wrappedInt64\":{}}",
                   "line 1, column 17: wrappedInt64: expected a number, not an object");
    assert_refused("{\"empty\":{\"a\":1}}",
                   "line 1, column 11: empty: google.protobuf.Empty has no field \"a\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timestamps_take_offsets_and_print_utc),
        cmocka_unit_test(a_time_that_is_none_is_refused),
        cmocka_unit_test(durations_have_up_to_nine_digits_and_a_sign),
        cmocka_unit_test(a_field_mask_comes_back_as_it_was),
        cmocka_unit_test(any_holds_what_is_known),
        cmocka_unit_test(the_url_of_an_any_may_be_long),
        cmocka_unit_test(any_of_what_is_not_known_is_refused),
        cmocka_unit_test(structs_hold_any_json),
        cmocka_unit_test(wrappers_print_what_they_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
