#include "fixture.h"

#include <ctype.h>
#include <stdio.h>

static struct weir_schema *loaded;

static void unload(void)
{
    weir_schema_destroy(loaded);
}

const struct weir_schema *contracts(void)
{
    if (loaded)
        return loaded;
    struct weir_buffer set = {0};
    FILE *file = fopen(CODEC_DESCRIPTORS, "rb");
    assert_non_null(file);
    for (size_t size = 1; size > 0;) {
        size = fread(weir_buffer_reserve(&set, 4096), 1, 4096, file);
        set.size += size;
    }
    fclose(file);
    struct weir_error err = {0};
    loaded = weir_schema_new(weir_buffer_bytes(&set), &err);
    weir_buffer_free(&set);
    if (!loaded)
        fail_msg("%s", err.text);
    atexit(unload);
    return loaded;
}

const struct weir_message *message_named(const char *name)
{
    char full_name[128];
    snprintf(full_name, sizeof full_name, "weir.codec.v1.%s", name);
    const struct weir_message *message = weir_schema_message(contracts(), full_name);
    return message ? message : weir_schema_message(contracts(), name);
}

static const struct weir_message *find_message(const void *types, const char *full_name)
{
    return weir_schema_message(types, full_name);
}

struct weir_json_options known(void)
{
    return (struct weir_json_options){.find_message = find_message, .types = contracts()};
}

void assert_json_with(const char *name, const struct weir_json_options *options, const char *json,
                      const char *expected)
{
    const struct weir_message *message = message_named(name);
    struct weir_error err = {0};
    struct weir_buffer wire = {0}, out = {0};
    if (weir_json_to_wire(message, weir_bytes_of_text(json), options, &wire, &err) != WEIR_OK)
        fail_msg("%s is refused: %s", json, err.text);
    if (weir_wire_check(message, weir_buffer_bytes(&wire), &options->limits, &err) != WEIR_OK)
        fail_msg("%s gives bytes that the check refuses: %s", json, err.text);
    if (weir_wire_to_json(message, weir_buffer_bytes(&wire), options, &out, &err) != WEIR_OK)
        fail_msg("%s does not come back: %s", json, err.text);
    assert_string_equal(weir_buffer_text(&out), expected);
    weir_buffer_free(&wire);
    weir_buffer_free(&out);
}

void assert_json(const char *json, const char *expected)
{
    struct weir_json_options options = known();
    assert_json_with("All", &options, json, expected);
}

void assert_refused_with(const char *name, const struct weir_json_options *options, const char *json,
                         enum weir_status status, const char *error)
{
    struct weir_error err = {0};
    struct weir_buffer wire = {0};
    weir_buffer_append_text(&wire, "kept");
    enum weir_status got =
        weir_json_to_wire(message_named(name), weir_bytes_of_text(json), options, &wire, &err);
    assert_string_equal(err.text, error);
    assert_int_equal(got, status);
    assert_string_equal(weir_buffer_text(&wire), "kept");
    weir_buffer_free(&wire);
}

void assert_refused(const char *json, const char *error)
{
    struct weir_json_options options = known();
    assert_refused_with("All", &options, json, WEIR_INVALID_ARGUMENT, error);
}

struct weir_buffer from_hex(const char *hex)
{
    struct weir_buffer bytes = {0};
    for (; *hex; hex++) {
        if (isspace((unsigned char)*hex))
            continue;
        char pair[3] = {hex[0], hex[1], 0};
        weir_buffer_append_byte(&bytes, (uint8_t)strtoul(pair, NULL, 16));
        hex++;
    }
    return bytes;
}

void assert_prints(const char *message, const char *hex, const char *expected)
{
    struct weir_error err = {0};
    struct weir_json_options options = known();
    struct weir_buffer wire = from_hex(hex), out = {0};
    if (weir_wire_to_json(message_named(message), weir_buffer_bytes(&wire), &options, &out, &err) != WEIR_OK)
        fail_msg("%s does not print: %s", hex, err.text);
    assert_string_equal(weir_buffer_text(&out), expected);
    weir_buffer_free(&wire);
    weir_buffer_free(&out);
}

void assert_does_not_print(const char *message, const char *hex, const char *error)
{
    struct weir_error err = {0};
    struct weir_json_options options = known();
    struct weir_buffer wire = from_hex(hex), out = {0};
    assert_int_not_equal(
        weir_wire_to_json(message_named(message), weir_buffer_bytes(&wire), &options, &out, &err), WEIR_OK);
    assert_string_equal(err.text, error);
    assert_int_equal(out.size, 0);
    weir_buffer_free(&wire);
    weir_buffer_free(&out);
}

void assert_wire(const char *json, const char *hex)
{
    struct weir_error err = {0};
    struct weir_json_options options = known();
    struct weir_buffer expected = from_hex(hex), wire = {0};
    if (weir_json_to_wire(message_named("All"), weir_bytes_of_text(json), &options, &wire, &err) != WEIR_OK)
        fail_msg("%s is refused: %s", json, err.text);
    assert_int_equal(wire.size, expected.size);
    if (wire.size > 0)
        assert_memory_equal(wire.data, expected.data, wire.size);
    weir_buffer_free(&expected);
    weir_buffer_free(&wire);
}
