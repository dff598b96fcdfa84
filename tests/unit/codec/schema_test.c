/* Tables built at run time are those that the generator writes. */
#include "fixture.h"

#include <stdio.h>

#include "codec.weir.h"
#include "echo.weir.h"
#include "ledger.weir.h"
#include "old.weir.h"

static struct weir_buffer read_file(const char *path)
{
    struct weir_buffer content = {0};
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    for (size_t size = 1; size > 0;) {
        size = fread(weir_buffer_reserve(&content, 4096), 1, 4096, file);
        content.size += size;
    }
    fclose(file);
    return content;
}

static struct weir_schema *load(const char *path)
{
    struct weir_error err = {0};
    struct weir_buffer set = read_file(path);
    struct weir_schema *schema = weir_schema_new(weir_buffer_bytes(&set), &err);
    weir_buffer_free(&set);
    if (!schema)
        fail_msg("%s", err.text);
    return schema;
}

static void assert_same_enum(const struct weir_enum *built, const struct weir_enum *generated)
{
    assert_string_equal(built->full_name, generated->full_name);
    assert_int_equal(built->is_null_value, generated->is_null_value);
    assert_int_equal(built->value_count, generated->value_count);
    for (size_t i = 0; i < built->value_count; i++) {
        assert_string_equal(built->values[i].name, generated->values[i].name);
        assert_int_equal(built->values[i].number, generated->values[i].number);
    }
}

static void assert_same_message(const struct weir_message *built, const struct weir_message *generated,
                                int depth);

static void assert_same_field(const struct weir_field *built, const struct weir_field *generated, int depth)
{
    assert_string_equal(built->name, generated->name);
    assert_string_equal(built->json_name, generated->json_name);
    assert_int_equal(built->number, generated->number);
    assert_int_equal(built->type, generated->type);
    assert_int_equal(built->repeated, generated->repeated);
    assert_int_equal(built->packed, generated->packed);
    assert_int_equal(built->map, generated->map);
    assert_int_equal(built->optional, generated->optional);
    assert_int_equal(built->required, generated->required);
    assert_int_equal(built->sensitive, generated->sensitive);
    assert_int_equal(built->oneof, generated->oneof);
    assert_int_equal(built->message != NULL, generated->message != NULL);
    assert_int_equal(built->enumeration != NULL, generated->enumeration != NULL);
    if (built->message && depth > 0)
        assert_same_message(built->message, generated->message, depth - 1);
    if (built->enumeration)
        assert_same_enum(built->enumeration, generated->enumeration);
}

static void assert_same_message(const struct weir_message *built, const struct weir_message *generated,
                                int depth)
{
    assert_non_null(built);
    assert_string_equal(built->full_name, generated->full_name);
    assert_int_equal(built->field_count, generated->field_count);
    assert_int_equal(built->oneof_count, generated->oneof_count);
    assert_int_equal(built->well_known, generated->well_known);
    assert_int_equal(built->struct_size, 0);
    for (size_t i = 0; i < built->field_count; i++) {
        assert_same_field(&built->fields[i], &generated->fields[i], depth);
        assert_int_equal(built->by_json_name[i], generated->by_json_name[i]);
        assert_int_equal(built->by_name[i], generated->by_name[i]);
    }
}

static void assert_same_method(const struct weir_method *built, const struct weir_method *generated)
{
    assert_string_equal(built->name, generated->name);
    assert_string_equal(built->full_name, generated->full_name);
    assert_int_equal(built->index, generated->index);
    assert_int_equal(built->kind, generated->kind);
    assert_int_equal(built->idempotent, generated->idempotent);
    assert_int_equal(built->idempotency_key, generated->idempotency_key);
    assert_same_message(built->request, generated->request, 4);
    assert_same_message(built->reply, generated->reply, 4);
    assert_int_equal(built->http_count, generated->http_count);
    for (size_t i = 0; i < built->http_count; i++) {
        assert_string_equal(built->http[i].verb, generated->http[i].verb);
        assert_string_equal(built->http[i].path, generated->http[i].path);
        assert_string_equal(built->http[i].body, generated->http[i].body);
        assert_string_equal(built->http[i].response_body, generated->http[i].response_body);
    }
    assert_int_equal(built->topic != NULL, generated->topic != NULL);
    if (built->topic) {
        assert_string_equal(built->topic->name, generated->topic->name);
        assert_string_equal(built->topic->key_field, generated->topic->key_field);
        assert_same_message(built->topic->message, generated->topic->message, 0);
    }
}

static void assert_same_service(const char *descriptors, const struct weir_service_type *generated)
{
    struct weir_schema *schema = load(descriptors);
    const struct weir_service_type *built = weir_schema_service(schema, generated->full_name);
    assert_non_null(built);
    assert_string_equal(built->full_name, generated->full_name);
    assert_int_equal(built->method_count, generated->method_count);
    for (size_t i = 0; i < built->method_count; i++)
        assert_same_method(&built->methods[i], &generated->methods[i]);
    weir_schema_destroy(schema);
}

static void built_tables_are_the_generated_ones(void **state)
{
    (void)state;
    assert_same_service(ECHO_DESCRIPTORS, &echo_service_type);
    assert_same_service(LEDGER_DESCRIPTORS, &ledger_service_type);
    assert_int_equal(ledger_methods[0].idempotency_key, WEIR_IDEMPOTENCY_KEY_OPTIONAL);
    assert_int_equal(ledger_methods[1].idempotency_key, WEIR_IDEMPOTENCY_KEY_REQUIRED);
    assert_same_message(message_named("All"), &weir__codec__v1__all__table, 5);
    assert_same_message(message_named("Old"), &weir__codec__v1__old__table, 1);
}

static void things_are_found_by_name(void **state)
{
    (void)state;
    struct weir_schema *schema = load(ECHO_DESCRIPTORS);
    assert_string_equal(weir_schema_message(schema, "weir.test.v1.Item")->full_name, "weir.test.v1.Item");
    assert_string_equal(weir_schema_method(schema, "weir.test.v1.EchoService/Count")->name, "Count");
    assert_int_equal(weir_schema_method(schema, "weir.test.v1.EchoService/Count")->kind, WEIR_SERVER_STREAM);
    assert_string_equal(weir_schema_topic(schema, "user.echo")->full_name, "weir.test.v1.EchoRequest");
    assert_int_equal(weir_schema_service_count(schema), 1);
    assert_string_equal(weir_schema_service_at(schema, 0)->full_name, "weir.test.v1.EchoService");

    assert_null(weir_schema_message(schema, "weir.test.v1.Colour"));
    assert_null(weir_schema_message(schema, "Item"));
    assert_null(weir_schema_service(schema, "weir.test.v1.Item"));
    assert_null(weir_schema_method(schema, "weir.test.v1.EchoService/Nope"));
    assert_null(weir_schema_topic(schema, "user.nope"));
    assert_null(weir_schema_service_at(schema, 1));
    weir_schema_destroy(schema);
}

static void a_set_without_its_imports_says_what_is_missing(void **state)
{
    (void)state;
    struct weir_error err = {0};
    /* file: package "p", message M with a field f of type .p.N */
    struct weir_buffer set = from_hex("0a19 120170 2214 0a014d 120f 0a0166 1801 2001 280b 3204 2e702e4e");
    assert_null(weir_schema_new(weir_buffer_bytes(&set), &err));
    assert_int_equal(err.status, WEIR_INVALID_ARGUMENT);
    assert_string_equal(err.text,
                        "descriptor set: .p.N, the type of p.M.f, is missing (made without imports?)");
    weir_buffer_free(&set);
}

static void what_is_no_set_is_refused_wherever_it_is_cut_or_changed(void **state)
{
    (void)state;
    struct weir_error err = {0};
    struct weir_bytes text = weir_bytes_of_text("{\"file\": []}");
    assert_null(weir_schema_new(text, &err));
    assert_string_equal(err.text, "not a FileDescriptorSet");

    struct weir_buffer set = read_file(CODEC_DESCRIPTORS);
    for (size_t size = 0; size < set.size; size += 7) {
        struct weir_schema *schema = weir_schema_new(weir_bytes(set.data, size), NULL);
        weir_schema_destroy(schema);
    }
    for (size_t at = 0; at < set.size; at += 13) {
        uint8_t kept = set.data[at];
        set.data[at] = (uint8_t)(kept ^ (1u << at % 8));
        struct weir_schema *schema = weir_schema_new(weir_buffer_bytes(&set), NULL);
        weir_schema_destroy(schema);
        set.data[at] = kept;
    }
    weir_buffer_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(built_tables_are_the_generated_ones),
        cmocka_unit_test(things_are_found_by_name),
        cmocka_unit_test(a_set_without_its_imports_says_what_is_missing),
        cmocka_unit_test(what_is_no_set_is_refused_wherever_it_is_cut_or_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
