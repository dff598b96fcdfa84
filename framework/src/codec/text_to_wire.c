/* One value of a path or a query: "items.sku" = "tea". */
#include <weir/codec.h>

#include "codec/message.h"
#include "codec/scalar.h"
#include "codec/utf8.h"
#include "codec/well_known.h"
#include "codec/wire.h"

/* More parents than any message has that is filled by query parameters. */
#define PARENTS_MAX 32

struct target {
    const struct weir_field *parents[PARENTS_MAX];
    size_t parent_count;
    const struct weir_field *field;
};

static bool has_inner_fields(const struct weir_field *field)
{
    return field->type == WEIR_TYPE_MESSAGE && !field->repeated &&
           field->message->well_known == WEIR_WELL_KNOWN_NONE;
}

static enum weir_status find_target(const struct weir_message *message, const char *name,
                                    struct target *ret_target, struct weir_error *err)
{
    *ret_target = (struct target){0};
    const char *part = name;
    for (;;) {
        const char *dot = strchr(part, '.');
        size_t size = dot ? (size_t)(dot - part) : strlen(part);
        const struct weir_field *field = message_field_named(message, weir_bytes(part, size), 0);
        if (!field)
            return weir_fail(err, WEIR_INVALID_ARGUMENT, "%s has no field %.*s", message->full_name,
                             size > 64 ? 64 : (int)size, part);
        ret_target->field = field;
        if (!dot)
            return WEIR_OK;
        if (!has_inner_fields(field) || ret_target->parent_count == PARENTS_MAX)
            return weir_fail(err, WEIR_INVALID_ARGUMENT, "%.*s has no fields that could be given here",
                             (int)(dot - name), name);
        ret_target->parents[ret_target->parent_count++] = field;
        message = field->message;
        part = dot + 1;
    }
}

static const char *write_scalar(const struct weir_field *field, struct weir_bytes value,
                                struct weir_buffer *out)
{
    enum wire_type wire_type = wire_type_of(field->type);
    uint64_t raw = 0;
    const char *fault = NULL;
    if (field->type == WEIR_TYPE_STRING) {
        fault = utf8_fault(value);
        if (!fault)
            wire_write_bytes(out, field->number, value);
        return fault;
    }
    wire_write_tag(out, field->number, wire_type);
    if (field->type == WEIR_TYPE_BYTES) {
        size_t length = wire_open_length(out);
        fault = base64_decode(value, out);
        wire_close_length(out, length);
        return fault;
    }
    const struct weir_enum_value *named =
        field->type == WEIR_TYPE_ENUM ? enum_value_named(field->enumeration, value) : NULL;
    if (named) {
        raw = (uint64_t)(int64_t)named->number;
    } else if (field->type == WEIR_TYPE_BOOL) {
        raw = weir_bytes_equal_text(value, "true");
        if (!raw && !weir_bytes_equal_text(value, "false"))
            fault = "is neither true nor false";
    } else {
        fault = scalar_parse_number(field->type, value, &raw);
        if (fault && field->type == WEIR_TYPE_ENUM)
            fault = "is not one of its values";
    }
    wire_write_raw(out, wire_type, raw);
    return fault;
}

static const char *write_value(const struct weir_field *field, struct weir_bytes value,
                               struct weir_buffer *out)
{
    if (field->type != WEIR_TYPE_MESSAGE)
        return write_scalar(field, value, out);
    enum weir_well_known kind = field->message->well_known;
    bool wrapper = kind == WEIR_WELL_KNOWN_WRAPPER;
    const struct weir_field *inner = wrapper ? weir_message_field(field->message, 1) : NULL;
    if (field->map || (wrapper ? !inner : !well_known_is_text(kind)))
        return "cannot be given as text";
    wire_write_tag(out, field->number, WIRE_BYTES);
    size_t length = wire_open_length(out);
    const char *fault = inner ? write_scalar(inner, value, out) : well_known_parse(kind, value, out);
    wire_close_length(out, length);
    return fault;
}

/* How much of the value an error may show. */
static int shown_size(struct weir_bytes value)
{
    if (value.size > 40 || utf8_fault(value))
        return 0;
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < ' ')
            return 0;
    }
    return (int)value.size;
}

/* A parent that is in the bytes already. */
struct place {
    size_t length; /* where its length is written */
    size_t content, size;
};

/* The last member of this number in the message at [begin, begin + size). */
static bool find_last(const struct weir_buffer *wire, size_t begin, size_t size, uint32_t number,
                      struct place *ret_place)
{
    if (size == 0)
        return false;
    const char *fault;
    const uint8_t *at = wire->data + begin, *end = at + size;
    bool found = false;
    while (at && at < end) {
        struct wire_member member = {0};
        const uint8_t *value = wire_read_tag(at, end, &member);
        at = value ? wire_read_value(value, end, &member, &fault) : NULL;
        if (!at || member.number != number || member.wire_type != WIRE_BYTES)
            continue;
        found = true;
        ret_place->length = (size_t)(value - wire->data);
        ret_place->content = (size_t)(member.content.data - wire->data);
        ret_place->size = member.content.size;
    }
    return found;
}

/* Puts the bytes behind the content of the innermost place, and makes the lengths around it right. */
static void insert(struct weir_buffer *wire, const struct place *places, size_t count,
                   struct weir_bytes bytes)
{
    size_t at = count > 0 ? places[count - 1].content + places[count - 1].size : wire->size;
    size_t added = bytes.size;
    buffer_room(wire, bytes.size + 10 * count);
    memmove(wire->data + at + added, wire->data + at, wire->size - at);
    if (bytes.size > 0)
        memcpy(wire->data + at, bytes.data, bytes.size);
    wire->size += added;
    for (size_t i = count; i-- > 0;) {
        uint8_t length[10];
        size_t size = wire_put_varint(length, places[i].size + added);
        size_t before = places[i].content - places[i].length;
        memmove(wire->data + places[i].length + size, wire->data + places[i].content,
                wire->size - places[i].content);
        memcpy(wire->data + places[i].length, length, size);
        wire->size += size - before;
        added += size - before;
    }
}

/* In the parents that are there already, as deep as they go, because protobuf-c does not merge every message.
 */
static void add(struct weir_buffer *wire, const struct target *target, struct weir_bytes value)
{
    struct place places[PARENTS_MAX];
    size_t count = 0, begin = 0, size = wire->size;
    while (count < target->parent_count &&
           find_last(wire, begin, size, target->parents[count]->number, &places[count])) {
        begin = places[count].content;
        size = places[count].size;
        count++;
    }
    struct weir_buffer wrapped = {0};
    size_t lengths[PARENTS_MAX];
    for (size_t i = count; i < target->parent_count; i++) {
        wire_write_tag(&wrapped, target->parents[i]->number, WIRE_BYTES);
        lengths[i] = wire_open_length(&wrapped);
    }
    buffer_append(&wrapped, value.data, value.size);
    for (size_t i = target->parent_count; i-- > count;)
        wire_close_length(&wrapped, lengths[i]);
    insert(wire, places, count, weir_buffer_bytes(&wrapped));
    weir_buffer_free(&wrapped);
}

enum weir_status weir_text_to_wire(const struct weir_message *message, const char *name,
                                   struct weir_bytes value, struct weir_buffer *ret_wire,
                                   struct weir_error *err)
{
    struct target target;
    enum weir_status status = find_target(message, name, &target, err);
    if (status != WEIR_OK || !target.field)
        return status;

    size_t before = ret_wire->size;
    struct weir_buffer inner = {0};
    struct weir_buffer *out = target.parent_count > 0 ? &inner : ret_wire;
    const char *fault = write_value(target.field, value, out);
    if (fault) {
        ret_wire->size = before;
        int shown = shown_size(value);
        status = weir_fail(err, WEIR_INVALID_ARGUMENT, "%s: %.*s%s%s", name, shown, (const char *)value.data,
                           shown ? " " : "", fault);
    } else if (target.parent_count > 0) {
        add(ret_wire, &target, weir_buffer_bytes(&inner));
    }
    weir_buffer_free(&inner);
    return status;
}
