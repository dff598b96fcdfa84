#include "options.h"

#include <string.h>

#include <google/api/http.pb-c.h>
#include <weir/options.pb-c.h>

/* A varint's value; advances `at`. Zero when it is cut. */
static uint64_t read_varint(const uint8_t **at, const uint8_t *end)
{
    uint64_t value = 0;
    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    return 0;
}

/* An option set by parts, `option (weir.topic).name = "..."`, comes in several pieces; merging messages is
 * joining their bytes. protobuf-c keeps the length before each. */
static struct weir_bytes option_bytes(struct weir_arena *arena, const ProtobufCMessage *options,
                                      uint32_t number)
{
    size_t size = 0;
    for (size_t i = 0; options && i < options->n_unknown_fields; i++)
        if (options->unknown_fields[i].tag == number)
            size += options->unknown_fields[i].len;
    if (size == 0)
        return weir_bytes(NULL, 0);
    uint8_t *joined = weir_arena_alloc(arena, size);
    size_t used = 0;
    for (size_t i = 0; i < options->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *field = &options->unknown_fields[i];
        if (field->tag != number || field->wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
            continue;
        const uint8_t *at = field->data, *end = field->data + field->len;
        read_varint(&at, end);
        memcpy(joined + used, at, (size_t)(end - at));
        used += (size_t)(end - at);
    }
    return weir_bytes(joined, used);
}

uint64_t options_number(const ProtobufCMessage *options, uint32_t number)
{
    uint64_t value = 0;
    for (size_t i = 0; options && i < options->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *field = &options->unknown_fields[i];
        const uint8_t *at = field->data;
        if (field->tag == number && field->wire_type == PROTOBUF_C_WIRE_TYPE_VARINT)
            value = read_varint(&at, at + field->len);
    }
    return value;
}

/* Of ProtobufCFileOptions, which protobuf-c generates no code for, two fields matter. */
void options_of_file(struct weir_arena *arena, const ProtobufCMessage *options, struct file *file)
{
    enum { PB_C_FILE = 1019, NO_GENERATE = 1, C_PACKAGE = 6 };
    struct weir_bytes bytes = option_bytes(arena, options, PB_C_FILE);
    const uint8_t *at = bytes.data, *end = bytes.data ? bytes.data + bytes.size : NULL;
    while (at < end) {
        uint64_t tag = read_varint(&at, end);
        uint64_t value = read_varint(&at, end);
        bool text = (tag & 7) == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
        if (text && value > (uint64_t)(end - at))
            return;
        if (tag >> 3 == NO_GENERATE)
            file->no_generate = value != 0;
        if (text && tag >> 3 == C_PACKAGE)
            file->c_package = weir_arena_text(arena, weir_bytes(at, (size_t)value));
        if (text)
            at += value;
    }
}

const struct topic *options_topic(struct weir_arena *arena, const ProtobufCMessage *options,
                                  struct place place)
{
    struct weir_bytes bytes = option_bytes(arena, options, OPTION_TOPIC);
    if (!bytes.data)
        return NULL;
    struct topic *topic = weir_arena_zalloc(arena, sizeof *topic);
    Weir__Topic *option = weir__topic__unpack(NULL, bytes.size, bytes.data);
    topic->name = weir_arena_strdup(arena, option ? option->name : "");
    topic->key = weir_arena_strdup(arena, option ? option->key : "");
    topic->place = place_in(arena, place, PATH_MESSAGE_OPTIONS, OPTION_TOPIC);
    if (option)
        weir__topic__free_unpacked(option, NULL);
    return topic;
}

const char *options_consume(struct weir_arena *arena, const ProtobufCMessage *options)
{
    struct weir_bytes bytes = option_bytes(arena, options, OPTION_CONSUME);
    if (!bytes.data)
        return NULL;
    Weir__Consume *option = weir__consume__unpack(NULL, bytes.size, bytes.data);
    const char *topic = weir_arena_strdup(arena, option ? option->topic : "");
    if (option)
        weir__consume__free_unpacked(option, NULL);
    return topic;
}

static struct binding binding_of(struct weir_arena *arena, const Google__Api__HttpRule *rule)
{
    const char *verb = "", *path = "";
    switch (rule->pattern_case) {
    case GOOGLE__API__HTTP_RULE__PATTERN_GET:
        verb = "GET", path = rule->get;
        break;
    case GOOGLE__API__HTTP_RULE__PATTERN_PUT:
        verb = "PUT", path = rule->put;
        break;
    case GOOGLE__API__HTTP_RULE__PATTERN_POST:
        verb = "POST", path = rule->post;
        break;
    case GOOGLE__API__HTTP_RULE__PATTERN_DELETE:
        verb = "DELETE", path = rule->delete_;
        break;
    case GOOGLE__API__HTTP_RULE__PATTERN_PATCH:
        verb = "PATCH", path = rule->patch;
        break;
    case GOOGLE__API__HTTP_RULE__PATTERN_CUSTOM:
        verb = rule->custom->kind, path = rule->custom->path;
        break;
    default:
        break;
    }
    return (struct binding){
        .verb = weir_arena_strdup(arena, verb),
        .path = weir_arena_strdup(arena, path),
        .body = weir_arena_strdup(arena, rule->body),
        .response_body = weir_arena_strdup(arena, rule->response_body),
    };
}

const struct binding *options_http(struct weir_arena *arena, const ProtobufCMessage *options,
                                   size_t *ret_count)
{
    struct weir_bytes bytes = option_bytes(arena, options, OPTION_HTTP);
    *ret_count = 0;
    if (!bytes.data)
        return NULL;
    Google__Api__HttpRule *rule = google__api__http_rule__unpack(NULL, bytes.size, bytes.data);
    size_t count = 1 + (rule ? rule->n_additional_bindings : 0);
    struct binding *bindings = weir_arena_zalloc(arena, count * sizeof *bindings);
    bindings[0] = (struct binding){.verb = "", .path = "", .body = "", .response_body = ""};
    if (rule)
        bindings[0] = binding_of(arena, rule);
    for (size_t i = 1; i < count; i++) {
        const Google__Api__HttpRule *additional = rule->additional_bindings[i - 1];
        bindings[i] = binding_of(arena, additional);
        bindings[i].nested = additional->n_additional_bindings > 0;
    }
    if (rule)
        google__api__http_rule__free_unpacked(rule, NULL);
    *ret_count = count;
    return bindings;
}
