/* ProtoJSON in both directions: scalars, strings, objects, arrays, maps, presence. */
#include "fixture.h"

#include <stdio.h>

static void an_order_comes_back_as_it_was(void **state)
{
    (void)state;
    assert_json(" { \"items\" : [ {\"sku\":\"tea\", \"quantity\":2}, {} ], \"anInt64\": 7 } ",
                "{\"anInt64\":\"7\",\"items\":[{\"sku\":\"tea\",\"quantity\":2},{}]}");
    assert_wire("{\"item\":{\"sku\":\"tea\",\"quantity\":2}}", "8a01 07 0a03746561 1002");
    assert_json("{}", "{}");
}

static void an_error_says_line_column_and_path(void **state)
{
    (void)state;
    assert_refused("{\"items\": [{}, {}, {}, {\"quantity\": 1.5}]}",
                   "line 1, column 37: items[3].quantity: 1.5 is not an integer");
    assert_refused("{\n  \"text\": \"\xc3\xa9\xc3\xa9\", \"numbers\": [1,\n\"x\"]\n}",
                   "line 3, column 1: numbers[1]: \"x\" is not a number");
    assert_refused("{\"byId\": {\"7\": {\"sku\": 3}}}",
                   "line 1, column 24: byId[\"7\"].sku: expected a string, not a number");
    assert_refused("[]", "line 1, column 1: expected an object, not an array");
    assert_refused("", "line 1, column 1: the text ends here");
}

static void integers_are_read_exactly_in_every_notation(void **state)
{
    (void)state;
    assert_json("{\"anInt32\":1.0,\"anInt64\":9007199254740993}",
                "{\"anInt32\":1,\"anInt64\":\"9007199254740993\"}");
    assert_json("{\"anInt64\":9007199254740993.0e0}", "{\"anInt64\":\"9007199254740993\"}");
    assert_json("{\"anInt64\":9.007199254740993e15}", "{\"anInt64\":\"9007199254740993\"}");
    assert_json("{\"anInt64\":\"9223372036854775807\",\"aUint64\":18446744073709551615}",
                "{\"anInt64\":\"9223372036854775807\",\"aUint64\":\"18446744073709551615\"}");
    assert_json(
        "{\"anInt64\":-9223372036854775808,\"aSint64\":\"-9223372036854775808\",\"aSfixed64\":-1}",
        "{\"anInt64\":\"-9223372036854775808\",\"aSint64\":\"-9223372036854775808\",\"aSfixed64\":\"-1\"}");
    assert_json(
        "{\"anInt32\":-2147483648,\"aUint32\":4294967295,\"aSint32\":-2147483648,\"aSfixed32\":-5,"
        "\"aFixed32\":4294967295,\"aFixed64\":10e-1}",
        "{\"anInt32\":-2147483648,\"aUint32\":4294967295,\"aSint32\":-2147483648,\"aFixed32\":4294967295,"
        "\"aFixed64\":\"1\",\"aSfixed32\":-5}");
    assert_json("{\"anInt32\":-0,\"aUint32\":-0.0,\"anInt64\":0e99999999999999999999}", "{}");
    assert_json("{\"maybe\":-0}", "{\"maybe\":0}");
    assert_json("{\"anInt32\":\"1e2\",\"aUint32\":\"10.0\"}", "{\"anInt32\":100,\"aUint32\":10}");
}

static void a_long_mantissa_with_a_negative_exponent_is_still_exact(void **state)
{
    (void)state;
    char json[512], expected[64] = "{\"anInt32\":10}";
    int size = snprintf(json, sizeof json, "{\"anInt32\":1");
    memset(json + size, '0', 401);
    strcpy(json + size + 401, "e-400}");
    assert_json(json, expected);
    memcpy(json, "{\"aDouble\":1", 12);
    memset(json + 12, '0', 400);
    strcpy(json + 412, "e-400}");
    assert_json(json, "{\"aDouble\":1}");
}

static void what_is_no_integer_of_its_size_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"anInt32\":1.5}", "line 1, column 12: anInt32: 1.5 is not an integer");
    assert_refused("{\"anInt32\":1e-1}", "line 1, column 12: anInt32: 1e-1 is not an integer");
    assert_refused("{\"anInt32\":2147483648}",
                   "line 1, column 12: anInt32: 2147483648 is out of the range of int32");
    assert_refused("{\"anInt64\":1e400}", "line 1, column 12: anInt64: 1e400 is out of the range of int64");
    assert_refused("{\"anInt64\":9223372036854775808}",
                   "line 1, column 12: anInt64: 9223372036854775808 is out of the range of int64");
    assert_refused("{\"aUint64\":18446744073709551616}",
                   "line 1, column 12: aUint64: 18446744073709551616 is out of the range of uint64");
    assert_refused("{\"aUint32\":-1}", "line 1, column 12: aUint32: -1 is out of the range of uint32");
    assert_refused("{\"anInt32\":\"\"}", "line 1, column 12: anInt32: \"\" is not a number");
    assert_refused("{\"anInt32\":\" 1\"}", "line 1, column 12: anInt32: \" 1\" is not a number");
    assert_refused("{\"anInt32\":\"0x1\"}", "line 1, column 12: anInt32: \"0x1\" is not a number");
    assert_refused("{\"anInt32\":\"NaN\"}", "line 1, column 12: anInt32: \"NaN\" is not a number");
    assert_refused("{\"anInt32\":true}", "line 1, column 12: anInt32: expected a number, not true");
    assert_refused("{\"anInt32\":01}", "line 1, column 12: anInt32: a number with a leading zero");
    assert_refused("{\"anInt32\":+1}", "line 1, column 12: anInt32: not a JSON value");
    assert_refused("{\"anInt32\":1.}",
                   "line 1, column 12: anInt32: a number without digits behind its point");
}

static void doubles_are_the_shortest_that_read_back(void **state)
{
    (void)state;
    assert_json("{\"aDouble\":0.1,\"aFloat\":0.1}", "{\"aDouble\":0.1,\"aFloat\":0.1}");
    assert_json("{\"aDouble\":100000,\"aFloat\":1.5}", "{\"aDouble\":100000,\"aFloat\":1.5}");
    assert_json("{\"aDouble\":1.7976931348623157e308,\"aFloat\":3.4028235e38}",
                "{\"aDouble\":1.7976931348623157e+308,\"aFloat\":3.4028235e+38}");
    assert_json("{\"aDouble\":5e-324}", "{\"aDouble\":5e-324}");
    assert_json("{\"aDouble\":\"1.25\"}", "{\"aDouble\":1.25}");
    assert_json("{\"aDouble\":\"NaN\",\"aFloat\":\"-Infinity\"}",
                "{\"aDouble\":\"NaN\",\"aFloat\":\"-Infinity\"}");
    assert_json("{\"aDouble\":\"Infinity\"}", "{\"aDouble\":\"Infinity\"}");
    assert_json("{\"aDouble\":1e-400}", "{}");
    assert_json("{\"aDouble\":-0.0}", "{\"aDouble\":-0}");
    assert_refused("{\"aDouble\":1e400}", "line 1, column 12: aDouble: 1e400 is out of the range of double");
    assert_refused("{\"aFloat\":3.5e38}", "line 1, column 11: aFloat: 3.5e38 is out of the range of float");
    assert_refused("{\"aDouble\":NaN}", "line 1, column 12: aDouble: not a JSON value");
    assert_refused("{\"aDouble\":\"nan\"}", "line 1, column 12: aDouble: \"nan\" is not a number");
}

static void strings_are_decoded_and_escaped(void **state)
{
    (void)state;
    assert_json("{\"text\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"}",
                "{\"text\":\"a\\\"\\\\/\\b\\f\\n\\r\\t\xc3\xa9\xf0\x9f\x98\x80\"}");
    assert_json("{\"text\":\"\\u0001\\u007f\"}", "{\"text\":\"\\u0001\x7f\"}");
    assert_refused("{\"text\":\"\\ud83d\"}", "line 1, column 10: text: a lone surrogate");
    assert_refused("{\"text\":\"\\ude00\\ud83d\"}", "line 1, column 10: text: a lone surrogate");
    assert_refused("{\"text\":\"\\ud83d\\u0041\"}", "line 1, column 10: text: a lone surrogate");
    assert_refused("{\"text\":\"a\\u0000b\"}", "line 1, column 9: text: contains NUL");
    assert_refused("{\"text\":\"a\nb\"}", "line 1, column 11: text: a control character in a string");
    assert_refused("{\"text\":\"\xc0\x80\"}", "line 1, column 10: text: not UTF-8");
    assert_refused("{\"text\":\"\xed\xa0\x80\"}", "line 1, column 10: text: not UTF-8");
    assert_refused("{\"text\":\"\\x\"}", "line 1, column 10: text: an unknown escape");
    assert_refused("{\"text\":\"\\u12g4\"}",
                   "line 1, column 10: text: an escape \\u without four hexadecimal digits");
    assert_refused("{\"text\":\"a", "line 1, column 11: text: a string without an end");
    assert_refused("{\"text\":'a'}", "line 1, column 9: text: not a JSON value");
    assert_refused("{\"text\":tru}", "line 1, column 9: text: not a JSON value");
}

static void bytes_come_in_both_alphabets_with_or_without_padding(void **state)
{
    (void)state;
    assert_json("{\"data\":\"-_8=\"}", "{\"data\":\"+/8=\"}");
    assert_json("{\"data\":\"+/8\"}", "{\"data\":\"+/8=\"}");
    assert_json("{\"data\":\"AAEC\"}", "{\"data\":\"AAEC\"}");
    assert_json("{\"data\":\"AA==\"}", "{\"data\":\"AA==\"}");
    assert_json("{\"data\":\"-_\"}", "{\"data\":\"+w==\"}");
    assert_json("{\"data\":\"\"}", "{}");
    assert_refused("{\"data\":\"A\"}", "line 1, column 9: data: \"A\" is not base64: it ends within a byte");
    assert_refused("{\"data\":\"AA=\"}", "line 1, column 9: data: \"AA=\" is not base64: wrong padding");
    assert_refused("{\"data\":\"====\"}", "line 1, column 9: data: \"====\" is not base64");
    assert_refused("{\"data\":\"A*==\"}", "line 1, column 9: data: \"A*==\" is not base64");
}

static void enums_come_by_name_or_number(void **state)
{
    (void)state;
    assert_json(
        "{\"state\":\"STATE_OPEN\",\"states\":[1,\"STATE_NEGATIVE\",-1,77,2.0]}",
        "{\"state\":\"STATE_OPEN\",\"states\":[\"STATE_OPEN\",\"STATE_NEGATIVE\",\"STATE_NEGATIVE\",77,"
        "\"STATE_CLOSED\"]}");
    assert_refused("{\"state\":\"OPEN\"}", "line 1, column 10: state: \"OPEN\" is no weir.codec.v1.State");
    assert_refused("{\"state\":1.5}", "line 1, column 10: state: 1.5 is not an integer");
    struct weir_json_options options = {.enums_as_numbers = true, .ignore_unknown = true};
    assert_json_with("All", &options, "{\"state\":\"STATE_OPEN\"}", "{\"state\":1}");
    assert_json_with("All", &options,
                     "{\"state\":\"OPEN\",\"states\":[\"X\",\"STATE_OPEN\"],\"byBool\":{\"true\":\"X\"}}",
                     "{\"states\":[1]}");
    assert_json_with("All", &options, "{\"states\":[\"X\"]}", "{}");
}

static void null_means_absent(void **state)
{
    (void)state;
    assert_json("{\"text\":null,\"item\":null,\"items\":null,\"labels\":null,\"at\":null,\"maybe\":null,"
                "\"wrappedText\":null,\"name\":null,\"id\":3}",
                "{\"id\":3}");
    assert_refused("{\"items\":[null]}", "line 1, column 11: items[0]: null as an element");
    assert_refused("{\"tags\":[\"a\",null]}", "line 1, column 14: tags[1]: null as an element");
    assert_refused("{\"labels\":{\"a\":null}}", "line 1, column 16: labels[\"a\"]: null as a value");
    assert_refused("{\"text\":nul}", "line 1, column 9: text: not a JSON value");
}

static void null_is_a_value_of_value_and_null_value(void **state)
{
    (void)state;
    assert_json("{\"value\":null,\"values\":[null,1]}", "{\"value\":null,\"values\":[null,1]}");
    assert_json("{\"nothing\":null}", "{\"nothing\":null}");
    assert_refused("{\"nothing\":null,\"id\":1}",
                   "line 1, column 17: id: another field of the same oneof is given too");
}

static void both_names_are_known_but_not_both_at_once(void **state)
{
    (void)state;
    assert_json("{\"an_int32\":1}", "{\"anInt32\":1}");
    assert_json("{\"@odd\\\"\":\"a\"}", "{\"@odd\\\"\":\"a\"}");
    assert_json("{\"odd\":\"a\"}", "{\"@odd\\\"\":\"a\"}");
    assert_refused("{\"an_int32\":1,\"anInt32\":1}", "line 1, column 15: anInt32: given twice");
    assert_refused("{\"anInt32\":null,\"anInt32\":1}", "line 1, column 17: anInt32: given twice");
    struct weir_json_options options = {.proto_names = true};
    assert_json_with("All", &options, "{\"anInt32\":1}", "{\"an_int32\":1}");
}

static void duplicates_hidden_by_escapes_are_found(void **state)
{
    (void)state;
    assert_refused("{\"text\":\"a\",\"te\\u0078t\":\"b\"}", "line 1, column 13: text: given twice");
    assert_refused("{\"labels\":{\"a\":\"1\",\"b\":\"2\",\"\\u0061\":\"3\"}}",
                   "line 1, column 28: labels: a key that is given twice");
    assert_refused("{\"byId\":{\"1\":{},\"1.0\":{}}}", "line 1, column 17: byId: a key that is given twice");
}

static void a_oneof_takes_one_of_its_fields(void **state)
{
    (void)state;
    assert_json("{\"name\":\"\"}", "{\"name\":\"\"}");
    assert_json("{\"chosen\":{}}", "{\"chosen\":{}}");
    assert_refused("{\"name\":\"a\",\"id\":1}",
                   "line 1, column 13: id: another field of the same oneof is given too");
}

static void presence_is_kept_and_defaults_are_not_printed(void **state)
{
    (void)state;
    assert_json("{\"anInt32\":0,\"maybe\":0,\"text\":\"\",\"maybeText\":\"\",\"aBool\":false,\"items\":[]}",
                "{\"maybe\":0,\"maybeText\":\"\"}");
    struct weir_json_options options = {.with_defaults = true};
    assert_json_with("Item", &options, "{}", "{\"sku\":\"\",\"quantity\":0,\"parts\":[]}");
    assert_json_with("Item", &options, "{\"parts\":[{\"quantity\":1}]}",
                     "{\"sku\":\"\",\"quantity\":0,\"parts\":[{\"sku\":\"\",\"quantity\":1,\"parts\":[]}]}");
}

static void maps_have_keys_of_every_kind(void **state)
{
    (void)state;
    assert_json(
        "{\"labels\":{\"b\":\"2\",\"\":\"\",\"a\":\"1\"},\"byId\":{\"-7\":{\"sku\":\"x\"}},"
        "\"byBool\":{\"true\":\"STATE_OPEN\",\"false\":0},\"bySint\":{\"-3\":1.5}}",
        "{\"labels\":{\"b\":\"2\",\"\":\"\",\"a\":\"1\"},\"byId\":{\"-7\":{\"sku\":\"x\"}},"
        "\"byBool\":{\"true\":\"STATE_OPEN\",\"false\":\"STATE_UNSPECIFIED\"},\"bySint\":{\"-3\":1.5}}");
    assert_json("{\"labels\":{}}", "{}");
    assert_refused("{\"byBool\":{\"1\":0}}",
                   "line 1, column 12: byBool[\"1\"]: \"1\" is neither \"true\" nor \"false\"");
    assert_refused("{\"byId\":{\"x\":{}}}", "line 1, column 10: byId[\"x\"]: \"x\" is not a number");
    assert_refused("{\"labels\":[]}", "line 1, column 11: labels: expected an object");
    assert_refused("{\"labels\":{\"a\\u0000\":\"1\"}}",
                   "line 1, column 12: labels[\"a\\u0000\"]: a key that contains NUL");
}

static void unknown_keys_are_refused_or_passed_over(void **state)
{
    (void)state;
    assert_refused("{\"item\":{\"colour\":1}}",
                   "line 1, column 10: item: weir.codec.v1.Item has no field \"colour\"");
    assert_refused("{\"item\":{\"sku\\u0000\":\"a\"}}",
                   "line 1, column 10: item: weir.codec.v1.Item has no field \"sku\\u0000\"");
    assert_refused("{\"item\":{\"\":\"a\"}}",
                   "line 1, column 10: item: weir.codec.v1.Item has no field \"\"");
    struct weir_json_options options = {.ignore_unknown = true};
    assert_json_with("All", &options,
                     "{\"x\":{\"a\":[1,\"\\u0000\",true,null,{}]},\"text\":\"a\",\"y\":-1.5e3}",
                     "{\"text\":\"a\"}");
    assert_refused_with("All", &options, "{\"x\":{\"a\":[1,]}}", WEIR_INVALID_ARGUMENT,
                        "line 1, column 14: not a JSON value");
    assert_refused_with("All", &options, "{\"x\":tru}", WEIR_INVALID_ARGUMENT,
                        "line 1, column 6: not a JSON value");
}

static void what_is_not_json_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"text\":\"a\",}", "line 1, column 13: expected a key in quotes");
    assert_refused("{\"text\" \"a\"}", "line 1, column 9: expected ':'");
    assert_refused("{\"text\":\"a\"", "line 1, column 12: expected ',' or '}'");
    assert_refused("{\"tags\":[\"a\" \"b\"]}", "line 1, column 14: tags[1]: expected ',' or ']'");
    assert_refused("{\"tags\":[\"a\",]}", "line 1, column 14: tags[1]: not a JSON value");
    assert_refused("{} {}", "line 1, column 4: more text behind the value");
    assert_refused("{/**/}", "line 1, column 2: expected a key in quotes");
    assert_refused("\xef\xbb\xbf{}", "line 1, column 1: not a JSON value");
}

static void nesting_ends_at_the_limit(void **state)
{
    (void)state;
    struct weir_buffer json = {0};
    struct weir_json_options options = {.ignore_unknown = true};
    weir_buffer_append_text(&json, "{\"x\":");
    for (int i = 0; i < 50000; i++)
        weir_buffer_append_byte(&json, '[');
    assert_refused_with("All", &options, weir_buffer_text(&json), WEIR_RESOURCE_EXHAUSTED,
                        "line 1, column 106: nested deeper than 100");
    weir_buffer_clear(&json);
    for (int i = 0; i < 50000; i++)
        weir_buffer_append_text(&json, "{\"parts\":[");
    struct weir_error err = {0};
    struct weir_buffer wire = {0};
    assert_int_equal(weir_json_to_wire(message_named("Item"), weir_buffer_bytes(&json), NULL, &wire, &err),
                     WEIR_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.text, "line 1, column 1011: ..."));
    assert_non_null(strstr(err.text, "parts[0].parts[0]: nested deeper than 100"));
    weir_buffer_free(&json);
    weir_buffer_free(&wire);
}

static void elements_and_memory_are_limited(void **state)
{
    (void)state;
    struct weir_json_options options = {.limits = {.elements = 3}};
    assert_json_with("All", &options, "{\"numbers\":[1,2,3]}", "{\"numbers\":[1,2,3]}");
    assert_refused_with("All", &options, "{\"numbers\":[1,2,3,4]}", WEIR_RESOURCE_EXHAUSTED,
                        "line 1, column 20: numbers[3]: more than 3 elements");
    assert_refused_with("All", &options, "{\"items\":[{},{},{},{}]}", WEIR_RESOURCE_EXHAUSTED,
                        "line 1, column 20: items[3]: more than 3 elements");
    options = (struct weir_json_options){.limits = {.memory = 100}};
    assert_refused_with("All", &options, "{\"text\":\"1234567890123456789012345678901234567890\"}",
                        WEIR_RESOURCE_EXHAUSTED, "line 1, column 9: text: more than 100 bytes when unpacked");
}

static void a_long_message_moves_behind_its_length(void **state)
{
    (void)state;
    struct weir_buffer json = {0};
    weir_buffer_append_text(&json, "{\"items\":[{\"sku\":\"");
    for (int i = 0; i < 20000; i++)
        weir_buffer_append_byte(&json, 'x');
    weir_buffer_append_text(&json, "\",\"quantity\":5}],\"labels\":{\"k\":\"");
    for (int i = 0; i < 300; i++)
        weir_buffer_append_byte(&json, 'y');
    weir_buffer_append_text(&json, "\",\"l\":\"2\"}}");
    const char *text = weir_buffer_text(&json);
    assert_json(text, text);
    weir_buffer_free(&json);
}

static void indented_output_is_for_people(void **state)
{
    (void)state;
    struct weir_json_options options = {.indent = true};
    assert_json_with("All", &options, "{\"items\":[{\"sku\":\"tea\"},{}],\"labels\":{\"a\":\"b\"}}",
                     "{\n  \"items\": [\n    {\n      \"sku\": \"tea\"\n    },\n    {}\n  ],\n"
                     "  \"labels\": {\n    \"a\": \"b\"\n  }\n}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_comes_back_as_it_was),
        cmocka_unit_test(an_error_says_line_column_and_path),
        cmocka_unit_test(integers_are_read_exactly_in_every_notation),
        cmocka_unit_test(a_long_mantissa_with_a_negative_exponent_is_still_exact),
        cmocka_unit_test(what_is_no_integer_of_its_size_is_refused),
        cmocka_unit_test(doubles_are_the_shortest_that_read_back),
        cmocka_unit_test(strings_are_decoded_and_escaped),
        cmocka_unit_test(bytes_come_in_both_alphabets_with_or_without_padding),
        cmocka_unit_test(enums_come_by_name_or_number),
        cmocka_unit_test(null_means_absent),
        cmocka_unit_test(null_is_a_value_of_value_and_null_value),
        cmocka_unit_test(both_names_are_known_but_not_both_at_once),
        cmocka_unit_test(duplicates_hidden_by_escapes_are_found),
        cmocka_unit_test(a_oneof_takes_one_of_its_fields),
        cmocka_unit_test(presence_is_kept_and_defaults_are_not_printed),
        cmocka_unit_test(maps_have_keys_of_every_kind),
        cmocka_unit_test(unknown_keys_are_refused_or_passed_over),
        cmocka_unit_test(what_is_not_json_is_refused),
        cmocka_unit_test(nesting_ends_at_the_limit),
        cmocka_unit_test(elements_and_memory_are_limited),
        cmocka_unit_test(a_long_message_moves_behind_its_length),
        cmocka_unit_test(indented_output_is_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
