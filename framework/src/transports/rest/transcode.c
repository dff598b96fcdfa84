#include "transports/rest/transcode.h"

#include <string.h>

#include <weir/codec.h>

#include "transports/rest/percent.h"

/* ---- Requests ---- */

static enum weir_status add_path(const struct route_match *match, struct weir_buffer *text,
                                 struct weir_buffer *wire, struct weir_error *err)
{
    const struct weir_message *message = match->route->method->request;
    for (size_t i = 0; i < match->value_count; i++) {
        const struct route_value *value = &match->values[i];
        weir_buffer_clear(text);
        if (!percent_decode(value->raw, value->many, false, text))
            return weir_fail(err, WEIR_INVALID_ARGUMENT,
                             "%s: a \"%%\" in the path is not followed by two hex digits", value->field);
        enum weir_status status =
            weir_text_to_wire(message, value->field, weir_buffer_bytes(text), wire, err);
        if (status != WEIR_OK)
            return status;
    }
    return WEIR_OK;
}

static enum weir_status add_parameter(const struct weir_message *message, struct weir_bytes pair,
                                      struct weir_buffer *text, struct weir_buffer *wire,
                                      struct weir_error *err)
{
    const uint8_t *equals = memchr(pair.data, '=', pair.size);
    size_t name_size = equals ? (size_t)(equals - pair.data) : pair.size;
    struct weir_bytes value =
        equals ? weir_bytes(equals + 1, pair.size - name_size - 1) : (struct weir_bytes){0};
    weir_buffer_clear(text);
    bool right = percent_decode(weir_bytes(pair.data, name_size), false, true, text);
    size_t name_end = text->size;
    right = right && !(name_end > 0 && memchr(text->data, 0, name_end));
    weir_buffer_append_byte(text, 0);
    right = right && percent_decode(value, false, true, text);
    if (!right)
        return weir_fail(
            err, WEIR_INVALID_ARGUMENT,
            "a \"%%\" in the query is not followed by two hex digits, or a name has a zero in it");
    return weir_text_to_wire(message, (const char *)text->data,
                             weir_bytes(text->data + name_end + 1, text->size - name_end - 1), wire, err);
}

static enum weir_status add_query(const struct route_match *match, struct weir_bytes query,
                                  struct weir_buffer *text, struct weir_buffer *wire, struct weir_error *err)
{
    const struct route *route = match->route;
    if (query.size > 0 && strcmp(route->binding->body, "*") == 0)
        return weir_fail(err, WEIR_INVALID_ARGUMENT,
                         "this path takes no query parameters: all fields are in the body");
    for (size_t from = 0; from < query.size;) {
        const uint8_t *and = memchr(query.data + from, '&', query.size - from);
        size_t to = and? (size_t)(and-query.data) : query.size;
        enum weir_status status =
            to == from ? WEIR_OK
                       : add_parameter(route->method->request, weir_bytes(query.data + from, to - from), text,
                                       wire, err);
        if (status != WEIR_OK)
            return status;
        from = to + 1;
    }
    return WEIR_OK;
}

static enum weir_status add_body(const struct route *route, struct weir_bytes body, struct weir_buffer *text,
                                 struct weir_buffer *wire, struct weir_error *err)
{
    const struct weir_message *message = route->method->request;
    const char *field = route->binding->body;
    if (body.size == 0 || !field[0])
        return WEIR_OK; /* as if it were {} */
    if (strcmp(field, "*") == 0)
        return weir_json_to_wire(message, body, NULL, wire, err);
    weir_buffer_clear(text);
    weir_buffer_printf(text, "{\"%s\":", field);
    weir_buffer_append(text, body.data, body.size);
    weir_buffer_append_byte(text, '}');
    return weir_json_to_wire(message, weir_buffer_bytes(text), NULL, wire, err);
}

enum weir_status transcode_request(const struct route_match *match, struct weir_bytes query,
                                   struct weir_bytes body, struct weir_buffer *ret_wire,
                                   struct weir_error *err)
{
    struct weir_buffer text = {0};
    enum weir_status status = add_body(match->route, body, &text, ret_wire, err);
    if (status == WEIR_OK)
        status = add_query(match, query, &text, ret_wire, err);
    if (status == WEIR_OK)
        status = add_path(match, &text, ret_wire, err);
    weir_buffer_free(&text);
    return status;
}

/* ---- Replies ---- */

static bool read_varint(struct weir_bytes wire, size_t *at, uint64_t *ret_value)
{
    *ret_value = 0;
    for (unsigned shift = 0; shift < 64 && *at < wire.size; shift += 7) {
        uint8_t byte = wire.data[(*at)++];
        *ret_value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

bool transcode_next_record(struct weir_bytes wire, size_t *at, struct wire_record *ret_record)
{
    size_t from = *at;
    uint64_t tag, size = 0, value;
    if (!read_varint(wire, at, &tag) || tag >> 32 != 0)
        return false;
    switch (tag & 7) {
    case 0:
        if (!read_varint(wire, at, &value))
            return false;
        break;
    case 1:
        size = 8;
        break;
    case 2:
        if (!read_varint(wire, at, &size))
            return false;
        break;
    case 5:
        size = 4;
        break;
    default:
        return false;
    }
    if (size > wire.size - *at)
        return false;
    *ret_record = (struct wire_record){
        .number = (uint32_t)(tag >> 3),
        .whole = weir_bytes(wire.data + from, *at + size - from),
        .payload = weir_bytes(wire.data + *at, (tag & 7) == 2 ? size : 0),
    };
    *at += size;
    return true;
}

/* What the field's value is within {"name":VALUE}, which is how it alone is written. */
enum weir_status transcode_field(const struct weir_message *message, const struct weir_field *field,
                                 struct weir_bytes wire, const struct weir_json_options *options,
                                 struct weir_buffer *ret_json, struct weir_error *err)
{
    static const uint16_t first = 0;
    const struct weir_message alone = {.full_name = message->full_name,
                                       .fields = field,
                                       .field_count = 1,
                                       .by_json_name = &first,
                                       .by_name = &first,
                                       .oneof_count = message->oneof_count};
    struct weir_buffer part = {0}, json = {0};
    struct wire_record record;
    bool right = true;
    for (size_t at = 0; right && at < wire.size;) {
        right = transcode_next_record(wire, &at, &record);
        if (right && record.number == field->number)
            weir_buffer_append(&part, record.whole.data, record.whole.size);
    }
    enum weir_status status = right
                                  ? weir_wire_to_json(&alone, weir_buffer_bytes(&part), options, &json, err)
                                  : weir_fail(err, WEIR_INTERNAL, "the bytes are no %s", message->full_name);
    const uint8_t *colon = status == WEIR_OK && json.size > 0 ? memmem(json.data, json.size, "\":", 2) : NULL;
    if (colon)
        weir_buffer_append(ret_json, colon + 2, json.size - (size_t)(colon + 2 - json.data) - 1);
    else if (status == WEIR_OK)
        weir_buffer_append_text(ret_json, "null");
    weir_buffer_free(&part);
    weir_buffer_free(&json);
    return status;
}

/* Fields with their default value are there, too: a client in another language finds 0 and "" where they are
 * meant. */
enum weir_status transcode_reply(const struct weir_method *method, const struct weir_http_binding *binding,
                                 struct weir_bytes wire, struct weir_buffer *ret_json, struct weir_error *err)
{
    const struct weir_json_options options = {.with_defaults = true};
    if (!binding->response_body[0])
        return weir_wire_to_json(method->reply, wire, &options, ret_json, err);
    return transcode_field(method->reply, router_field(method->reply, binding->response_body), wire, &options,
                           ret_json, err);
}
