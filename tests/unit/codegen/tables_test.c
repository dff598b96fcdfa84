/* What protoc-gen-weir generates of tests/kit/echo.proto. */
#include "test.h"

#include <weir/method.h>

#include "echo.weir.h"
#include "google/protobuf/struct.weir.h"
#include "google/protobuf/timestamp.weir.h"
#include "grpc/health/v1/health.weir.h"
#include "odd/no_package.weir.h"
#include "odd/odd-names.v2.weir.h"
#include "odd/old.weir.h"

static const struct weir_field *field(const struct weir_message *message, const char *name)
{
    for (size_t i = 0; i < message->field_count; i++)
        if (strcmp(message->fields[i].name, name) == 0)
            return &message->fields[i];
    fail_msg("%s has no field %s", message->full_name, name);
    return NULL;
}

static void a_message_has_its_names_and_its_size(void **state)
{
    (void)state;
    const struct weir_message *message = &echo__echo_request__table;
    assert_string_equal(message->full_name, "weir.test.v1.EchoRequest");
    assert_int_equal(message->field_count, 27);
    assert_int_equal(message->oneof_count, 1);
    assert_int_equal(message->struct_size, sizeof(Echo__EchoRequest));
    assert_int_equal(message->well_known, WEIR_WELL_KNOWN_NONE);
    assert_int_equal(echo__fail_reply__table.field_count, 0);
}

static void fields_have_numbers_types_and_json_names(void **state)
{
    (void)state;
    static const struct {
        const char *name, *json_name;
        enum weir_field_type type;
    } expected[] = {
        {"a_double", "aDouble", WEIR_TYPE_DOUBLE},
        {"a_float", "aFloat", WEIR_TYPE_FLOAT},
        {"an_int32", "anInt32", WEIR_TYPE_INT32},
        {"an_int64", "anInt64", WEIR_TYPE_INT64},
        {"a_uint32", "aUint32", WEIR_TYPE_UINT32},
        {"a_uint64", "aUint64", WEIR_TYPE_UINT64},
        {"a_sint32", "aSint32", WEIR_TYPE_SINT32},
        {"a_sint64", "aSint64", WEIR_TYPE_SINT64},
        {"a_fixed32", "aFixed32", WEIR_TYPE_FIXED32},
        {"a_fixed64", "aFixed64", WEIR_TYPE_FIXED64},
        {"a_sfixed32", "aSfixed32", WEIR_TYPE_SFIXED32},
        {"a_sfixed64", "aSfixed64", WEIR_TYPE_SFIXED64},
        {"a_bool", "aBool", WEIR_TYPE_BOOL},
        {"a_string", "aString", WEIR_TYPE_STRING},
        {"some_bytes", "someBytes", WEIR_TYPE_BYTES},
    };
    assert_int_equal(echo__scalars__table.field_count, sizeof expected / sizeof expected[0]);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const struct weir_field *scalar = &echo__scalars__table.fields[i];
        assert_string_equal(scalar->name, expected[i].name);
        assert_string_equal(scalar->json_name, expected[i].json_name);
        assert_int_equal(scalar->type, expected[i].type);
        assert_int_equal(scalar->number, i + 1);
        assert_int_equal(scalar->oneof, -1);
        assert_false(scalar->optional || scalar->repeated || scalar->packed || scalar->map ||
                     scalar->required || scalar->sensitive);
    }
    assert_string_equal(field(&echo__echo_request__table, "odd_name")->json_name, "@odd");
}

static void repeated_fields_say_whether_they_are_packed(void **state)
{
    (void)state;
    const struct weir_message *message = &echo__echo_request__table;
    assert_true(field(message, "numbers")->repeated && field(message, "numbers")->packed);
    assert_true(field(message, "colours")->repeated && field(message, "colours")->packed);
    assert_true(field(message, "unpacked")->repeated && !field(message, "unpacked")->packed);
    assert_true(field(message, "tags")->repeated && !field(message, "tags")->packed);
    assert_true(field(message, "items")->repeated && !field(message, "items")->packed);
    assert_false(field(message, "items")->optional);
    assert_ptr_equal(field(message, "items")->message, &echo__item__table);
    assert_ptr_equal(field(&echo__item__table, "parts")->message, &echo__item__table);
}

static void a_map_is_repeated_entries(void **state)
{
    (void)state;
    const struct weir_field *map = field(&echo__echo_request__table, "items_by_id");
    assert_true(map->map && map->repeated);
    assert_string_equal(map->message->full_name, "weir.test.v1.EchoRequest.ItemsByIdEntry");
    assert_int_equal(map->message->fields[0].type, WEIR_TYPE_INT32);
    assert_ptr_equal(map->message->fields[1].message, &echo__item__table);
    assert_false(field(&echo__echo_request__table, "items")->map);
}

static void presence_is_of_optionals_oneofs_and_messages(void **state)
{
    (void)state;
    const struct weir_message *message = &echo__echo_request__table;
    assert_true(field(message, "note")->optional && field(message, "note")->oneof == -1);
    assert_true(field(message, "name")->optional && field(message, "name")->oneof == 0);
    assert_true(field(message, "chosen")->optional && field(message, "chosen")->oneof == 0);
    assert_true(field(message, "item")->optional && field(message, "item")->oneof == -1);
    assert_false(field(message, "text")->optional);
    assert_true(field(message, "password")->sensitive);
    assert_false(field(message, "text")->sensitive);
}

static void indices_are_sorted_by_name(void **state)
{
    (void)state;
    const struct weir_message *message = &echo__echo_request__table;
    for (size_t i = 1; i < message->field_count; i++) {
        assert_true(message->fields[i - 1].number < message->fields[i].number);
        assert_true(strcmp(message->fields[message->by_json_name[i - 1]].json_name,
                           message->fields[message->by_json_name[i]].json_name) < 0);
        assert_true(strcmp(message->fields[message->by_name[i - 1]].name,
                           message->fields[message->by_name[i]].name) < 0);
    }
}

static void enums_keep_the_order_of_their_contract(void **state)
{
    (void)state;
    assert_ptr_equal(field(&echo__echo_request__table, "colour")->enumeration, &echo__colour__table);
    assert_string_equal(echo__colour__table.full_name, "weir.test.v1.Colour");
    assert_int_equal(echo__colour__table.value_count, 4);
    assert_string_equal(echo__colour__table.values[3].name, "COLOUR_NEGATIVE");
    assert_int_equal(echo__colour__table.values[3].number, -1);
    assert_false(echo__colour__table.is_null_value);
    assert_true(google__protobuf__null_value__table.is_null_value);
}

static void well_known_types_are_recognised(void **state)
{
    (void)state;
    const struct weir_message *message = &echo__echo_request__table;
    assert_int_equal(field(message, "at")->message->well_known, WEIR_WELL_KNOWN_TIMESTAMP);
    assert_int_equal(field(message, "for")->message->well_known, WEIR_WELL_KNOWN_DURATION);
    assert_int_equal(field(message, "wrapped")->message->well_known, WEIR_WELL_KNOWN_WRAPPER);
    assert_int_equal(field(message, "extra")->message->well_known, WEIR_WELL_KNOWN_STRUCT);
    assert_int_equal(google__protobuf__list_value__table.well_known, WEIR_WELL_KNOWN_LIST_VALUE);
}

/* ---- proto3's `optional`, through protobuf-c ---- */

static void what_is_set_to_zero_is_there_and_what_is_not_set_is_not(void **state)
{
    (void)state;
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    assert_false(echo__echo_request__has_note(&request));
    assert_false(echo__echo_request__has_count(&request));
    echo__echo_request__set_count(&request, 0);
    char empty[] = "";
    echo__echo_request__set_note(&request, empty);

    uint8_t wire[16];
    size_t size = echo__echo_request__pack(&request, wire);
    const uint8_t expected[] = {0x82, 0x01, 0x00, 0x88, 0x01, 0x00};
    assert_int_equal(size, sizeof expected);
    assert_memory_equal(wire, expected, size);

    Echo__EchoRequest *read = echo__echo_request__unpack(NULL, size, wire);
    assert_true(echo__echo_request__has_count(read));
    assert_int_equal(read->count, 0);
    assert_true(echo__echo_request__has_note(read));
    assert_string_equal(read->note, "");
    assert_false(echo__echo_request__has_optional_colour(read));
    echo__echo_request__free_unpacked(read, NULL);
}

/* ---- Topics and services ---- */

static void a_topic_knows_its_key(void **state)
{
    (void)state;
    char key[] = "k1";
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    request.key = key;
    assert_string_equal(echo_echo_request_topic.name, "user.echo");
    assert_string_equal(echo_echo_request_topic.key_field, "key");
    assert_ptr_equal(echo_echo_request_topic.message, &echo__echo_request__table);
    assert_ptr_equal(echo_echo_request_topic.descriptor, &echo__echo_request__descriptor);
    assert_string_equal(echo_echo_request_topic.key(&request), "k1");
}

static void a_service_lists_its_methods(void **state)
{
    (void)state;
    static const struct {
        const char *full_name;
        enum weir_method_kind kind;
    } expected[] = {
        {"weir.test.v1.EchoService/Echo", WEIR_UNARY},
        {"weir.test.v1.EchoService/Fail", WEIR_UNARY},
        {"weir.test.v1.EchoService/Wait", WEIR_UNARY},
        {"weir.test.v1.EchoService/Count", WEIR_SERVER_STREAM},
        {"weir.test.v1.EchoService/Sum", WEIR_CLIENT_STREAM},
        {"weir.test.v1.EchoService/Chat", WEIR_BIDI_STREAM},
        {"weir.test.v1.EchoService/Missing", WEIR_UNARY},
    };
    assert_string_equal(echo_service_type.full_name, "weir.test.v1.EchoService");
    assert_int_equal(echo_service_type.method_count, sizeof expected / sizeof expected[0]);
    for (size_t i = 0; i < echo_service_type.method_count; i++) {
        const struct weir_method *method = &echo_service_type.methods[i];
        assert_string_equal(method->full_name, expected[i].full_name);
        assert_string_equal(method->name, strchr(expected[i].full_name, '/') + 1);
        assert_int_equal(method->kind, expected[i].kind);
        assert_int_equal(method->index, i);
        assert_true((method->unary != NULL) == (method->kind == WEIR_UNARY));
        assert_true((method->open != NULL) == (method->kind != WEIR_UNARY));
    }
    assert_ptr_equal(echo_service_type.methods[0].topic, &echo_echo_request_topic);
    assert_true(echo_service_type.methods[0].idempotent);
    assert_null(echo_service_type.methods[1].topic);
    assert_false(echo_service_type.methods[1].idempotent);
    assert_ptr_equal(echo_service_type.methods[0].request, &echo__echo_request__table);
    assert_ptr_equal(echo_service_type.methods[0].reply_descriptor, &echo__echo_reply__descriptor);
    assert_string_equal(health_service_type.full_name, "grpc.health.v1.Health");
}

static void a_method_has_the_rule_and_its_additional_bindings(void **state)
{
    (void)state;
    static const struct weir_http_binding expected[] = {
        {"POST", "/v1/echo", "*", ""},
        {"GET", "/v1/echo/{text}", "", ""},
        {"PUT", "/v1/echo/{text}/scalars", "scalars", "request"},
        {"GET", "/v1/items/{item.sku}/{item.quantity}", "", ""},
        {"GET", "/v1/files/{text=**}:read", "", ""},
    };
    const struct weir_method *method = &echo_service_type.methods[0];
    assert_int_equal(method->http_count, sizeof expected / sizeof expected[0]);
    for (size_t i = 0; i < method->http_count; i++) {
        assert_string_equal(method->http[i].verb, expected[i].verb);
        assert_string_equal(method->http[i].path, expected[i].path);
        assert_string_equal(method->http[i].body, expected[i].body);
        assert_string_equal(method->http[i].response_body, expected[i].response_body);
    }
    assert_int_equal(echo_service_type.methods[3].http_count, 0);
}

/* ---- Names that are awkward in C ---- */

static void odd_names_become_what_protobuf_c_makes_of_them(void **state)
{
    (void)state;
    const struct weir_message *message = &odd__httpthings_v2__x9__httpserver2__table;
    assert_string_equal(message->full_name, "odd.HTTPThings_v2.x9.HTTPServer2");
    assert_int_equal(message->struct_size, sizeof(Odd__HTTPThingsV2__X9__HTTPServer2));
    assert_string_equal(field(message, "json")->json_name, "a \"b\" \\ \xc3\xbc");
    assert_string_equal(field(message, "two__lines")->json_name, "twoLines");
    assert_int_equal(message->fields[message->field_count - 1].number, 536870911);
    assert_int_equal(odd__httpthings_v2__x9__httpserver2__inner__thing__deep__kind__table.values[1].number,
                     INT32_MIN);
    assert_string_equal(bare__words__no_package__table.full_name, "NoPackage");
    assert_string_equal(things_service_type.methods[1].full_name,
                        "odd.HTTPThings_v2.x9.Things/getHTTPStatus2");
    assert_string_equal(service_service_type.full_name, "odd.HTTPThings_v2.x9.Service");
    assert_int_equal(nothing_service_type.method_count, 0);
}

static void keywords_get_an_underscore(void **state)
{
    (void)state;
    const struct things_handlers handlers = {.void_ = {.inline_ = true}, .register_ = {.inline_ = true}};
    assert_true(things_service_type.methods[0].is_inline(&handlers));
    assert_false(things_service_type.methods[1].is_inline(&handlers));
    assert_true(things_service_type.methods[2].is_inline(&handlers));
}

static void a_handlers_limits_reach_its_table(void **state)
{
    (void)state;
    const struct things_handlers handlers = {.register_ = {.limits = {.threads_max = 3, .queue_max = 7}}};
    assert_int_equal(things_service_type.methods[0].limits(&handlers)->threads_max, 0);
    assert_int_equal(things_service_type.methods[2].limits(&handlers)->threads_max, 3);
    assert_int_equal(things_service_type.methods[2].limits(&handlers)->queue_max, 7);
}

static void proto2_has_presence_required_and_unpacked(void **state)
{
    (void)state;
    const struct weir_message *message = &odd__old__old__table;
    assert_true(field(message, "id")->required && !field(message, "id")->optional);
    assert_true(field(message, "count")->optional && !field(message, "count")->required);
    assert_false(field(message, "loose")->packed);
    assert_true(field(message, "packed")->packed);
    assert_int_equal(message->field_count, 6);
}

/* ---- Thunks: a call is only a pointer to them ---- */

static struct {
    const void *call, *request;
    int64_t left_ms;
} seen;

static enum weir_status see_fail(struct weir_call *call, const Echo__FailRequest *request,
                                 Echo__FailReply *reply)
{
    (void)reply;
    seen.call = call;
    seen.request = request;
    return WEIR_NOT_FOUND;
}

static enum weir_status see_chat(struct weir_call *call, const Echo__ChatRequest *message)
{
    seen.call = call;
    seen.request = message;
    return WEIR_PENDING;
}

static void see_draining(struct weir_call *call, int64_t left_ms)
{
    seen.call = call;
    seen.left_ms = left_ms;
}

static void thunks_call_the_authors_handlers(void **state)
{
    (void)state;
    const struct echo_handlers handlers = {
        .fail = {.fn = see_fail, .inline_ = true},
        .chat = {.message = see_chat, .draining = see_draining},
    };
    struct weir_call *call = (struct weir_call *)&seen;
    Echo__FailRequest request = ECHO__FAIL_REQUEST__INIT;
    Echo__FailReply reply = ECHO__FAIL_REPLY__INIT;
    const struct weir_method *fail_method = &echo_service_type.methods[1];
    assert_int_equal(fail_method->unary(call, &handlers, &request, &reply), WEIR_NOT_FOUND);
    assert_ptr_equal(seen.call, call);
    assert_ptr_equal(seen.request, &request);
    assert_true(fail_method->is_inline(&handlers));

    const struct weir_method *chat = &echo_service_type.methods[5];
    assert_int_equal(chat->open(call, &handlers, NULL), WEIR_OK);
    assert_int_equal(chat->message(call, &handlers, &request), WEIR_PENDING);
    assert_int_equal(chat->half_close(call, &handlers), WEIR_OK);
    chat->cancel(call, &handlers);
    chat->writable(call, &handlers);
    chat->draining(call, &handlers, 250);
    assert_int_equal(seen.left_ms, 250);
    assert_false(chat->is_inline(&handlers));
}

static void a_method_without_its_main_callback_is_not_present(void **state)
{
    (void)state;
    const struct echo_handlers handlers = {
        .fail = {.fn = see_fail},
        .chat = {.message = see_chat},
        .sum = {.inline_ = true},
        .count = {.draining = see_draining},
    };
    const bool expected[] = {false, true, false, false, false, true, false};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_int_equal(echo_service_type.methods[i].is_present(&handlers), expected[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_has_its_names_and_its_size),
        cmocka_unit_test(fields_have_numbers_types_and_json_names),
        cmocka_unit_test(repeated_fields_say_whether_they_are_packed),
        cmocka_unit_test(a_map_is_repeated_entries),
        cmocka_unit_test(presence_is_of_optionals_oneofs_and_messages),
        cmocka_unit_test(indices_are_sorted_by_name),
        cmocka_unit_test(enums_keep_the_order_of_their_contract),
        cmocka_unit_test(well_known_types_are_recognised),
        cmocka_unit_test(what_is_set_to_zero_is_there_and_what_is_not_set_is_not),
        cmocka_unit_test(a_topic_knows_its_key),
        cmocka_unit_test(a_service_lists_its_methods),
        cmocka_unit_test(a_method_has_the_rule_and_its_additional_bindings),
        cmocka_unit_test(odd_names_become_what_protobuf_c_makes_of_them),
        cmocka_unit_test(keywords_get_an_underscore),
        cmocka_unit_test(a_handlers_limits_reach_its_table),
        cmocka_unit_test(proto2_has_presence_required_and_unpacked),
        cmocka_unit_test(thunks_call_the_authors_handlers),
        cmocka_unit_test(a_method_without_its_main_callback_is_not_present),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
