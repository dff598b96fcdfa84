#include <stdarg.h>
#include <stdio.h>

#include "codec/json_in.h"
#include "codec/message.h"
#include "codec/scalar.h"
#include "codec/utf8.h"
#include "codec/wire.h"

#define VALUE_SHOWN 40

/* ---- Errors ---- */

enum weir_status json_in_fail(struct json_in *in, const uint8_t *at, enum weir_status status,
                              const char *format, ...)
{
    struct weir_error text;
    va_list args;
    va_start(args, format);
    vsnprintf(text.text, sizeof text.text, format, args);
    va_end(args);
    size_t line, column;
    char room[PATH_SIZE];
    json_position(&in->scan, at, &line, &column);
    return weir_fail(in->err, status, "line %zu, column %zu: %s%s", line, column,
                     path_text(in->path, true, room), text.text);
}

enum weir_status json_in_fail_value(struct json_in *in, const uint8_t *at, const char *reason)
{
    size_t size = in->scan.at > at ? (size_t)(in->scan.at - at) : 0;
    const char *cut = size > VALUE_SHOWN ? "..." : "";
    if (size > VALUE_SHOWN) {
        for (size = VALUE_SHOWN; (at[size] & 0xc0) == 0x80;)
            size--;
    }
    return json_in_fail(in, at, WEIR_INVALID_ARGUMENT, "%.*s%s %s", (int)size, (const char *)at, cut, reason);
}

enum weir_status json_in_fault(struct json_in *in)
{
    const struct json_scan *scan = &in->scan;
    if (scan->too_deep)
        return json_in_fail(in, scan->fault_at, WEIR_RESOURCE_EXHAUSTED, "nested deeper than %zu",
                            in->budget.limits.depth);
    return json_in_fail(in, scan->fault_at, WEIR_INVALID_ARGUMENT, "%s", scan->fault);
}

enum weir_status json_in_exhausted(struct json_in *in, const uint8_t *at)
{
    const struct budget *budget = &in->budget;
    if (budget->elements > budget->limits.elements)
        return json_in_fail(in, at, WEIR_RESOURCE_EXHAUSTED, "more than %zu elements",
                            budget->limits.elements);
    if (budget->memory > budget->limits.memory)
        return json_in_fail(in, at, WEIR_RESOURCE_EXHAUSTED, "more than %zu bytes when unpacked",
                            budget->limits.memory);
    return json_in_fail(in, at, WEIR_RESOURCE_EXHAUSTED, "nested deeper than %zu", budget->limits.depth);
}

/* What stands there is not what the field takes. */
static enum weir_status unexpected(struct json_in *in, const uint8_t *at, const char *wanted)
{
    static const char *const names[] = {"an object", "an array", "a string", "a number",
                                        "true",      "false",    "null"};
    in->scan.at = at;
    enum json_kind kind = json_peek(&in->scan);
    if (kind == JSON_NOTHING)
        return json_in_fail(in, at, WEIR_INVALID_ARGUMENT, "%s",
                            at == in->scan.end ? "the text ends here" : "not a JSON value");
    /* A word that only begins like one of JSON's. */
    if (kind >= JSON_TRUE && !json_literal(&in->scan))
        return json_in_fault(in);
    return json_in_fail(in, at, WEIR_INVALID_ARGUMENT, "expected %s, not %s", wanted, names[kind]);
}

/* ---- Scalars ---- */

static const char *type_wanted(const struct weir_field *field)
{
    switch ((enum weir_field_type)field->type) {
    case WEIR_TYPE_STRING:
    case WEIR_TYPE_BYTES:
        return "a string";
    case WEIR_TYPE_BOOL:
        return "true or false";
    case WEIR_TYPE_ENUM:
        return "a name or a number";
    default:
        return "a number";
    }
}

static enum weir_status read_text(struct json_in *in, const struct weir_field *field, bool always)
{
    const uint8_t *begin = in->scan.at;
    struct weir_bytes text;
    if (json_peek(&in->scan) != JSON_STRING)
        return unexpected(in, begin, type_wanted(field));
    if (!json_string(&in->scan, &text))
        return json_in_fault(in);
    if (text.size == 0 && !always)
        return WEIR_OK;
    if (field->type == WEIR_TYPE_STRING) {
        if (text.size > 0 && memchr(text.data, 0, text.size))
            return json_in_fail(in, begin, WEIR_INVALID_ARGUMENT, "contains NUL");
        wire_write_bytes(in->out, field->number, text);
        return budget_memory(&in->budget, text.size + 1) ? WEIR_OK : json_in_exhausted(in, begin);
    }
    wire_write_tag(in->out, field->number, WIRE_BYTES);
    size_t length = wire_open_length(in->out);
    const char *fault = base64_decode(text, in->out);
    if (fault)
        return json_in_fail_value(in, begin, fault);
    size_t size = in->out->size - length;
    wire_close_length(in->out, length);
    return budget_memory(&in->budget, size) ? WEIR_OK : json_in_exhausted(in, begin);
}

static enum weir_status read_enum_name(struct json_in *in, const struct weir_field *field, uint64_t *ret_raw,
                                       bool *ret_dropped)
{
    const uint8_t *begin = in->scan.at;
    struct weir_bytes name;
    if (!json_string(&in->scan, &name))
        return json_in_fault(in);
    const struct weir_enum_value *value = enum_value_named(field->enumeration, name);
    if (value) {
        *ret_raw = (uint64_t)(int64_t)value->number;
        return WEIR_OK;
    }
    if (in->options->ignore_unknown && ret_dropped) {
        *ret_dropped = true;
        return WEIR_OK;
    }
    struct weir_error reason;
    weir_fail(&reason, WEIR_INVALID_ARGUMENT, "is no %s", field->enumeration->full_name);
    return json_in_fail_value(in, begin, reason.text);
}

/* A number, bare or in quotes. */
static enum weir_status read_number(struct json_in *in, const struct weir_field *field, enum json_kind kind,
                                    uint64_t *ret_raw)
{
    const uint8_t *begin = in->scan.at;
    struct weir_bytes text;
    if (kind == JSON_STRING ? !json_string(&in->scan, &text) : !json_number(&in->scan, &text))
        return json_in_fault(in);
    const char *fault = scalar_parse_number(field->type, text, ret_raw);
    return fault ? json_in_fail_value(in, begin, fault) : WEIR_OK;
}

static enum weir_status read_raw(struct json_in *in, const struct weir_field *field, uint64_t *ret_raw,
                                 bool *ret_dropped)
{
    enum json_kind kind = json_peek(&in->scan);
    bool is_enum = field->type == WEIR_TYPE_ENUM;
    if (field->type == WEIR_TYPE_BOOL ? kind == JSON_TRUE || kind == JSON_FALSE
                                      : kind == JSON_NULL && is_enum && field->enumeration->is_null_value) {
        *ret_raw = kind == JSON_TRUE;
        return json_literal(&in->scan) ? WEIR_OK : json_in_fault(in);
    }
    if (is_enum && kind == JSON_STRING)
        return read_enum_name(in, field, ret_raw, ret_dropped);
    if (field->type != WEIR_TYPE_BOOL && (kind == JSON_NUMBER || kind == JSON_STRING))
        return read_number(in, field, kind, ret_raw);
    return unexpected(in, in->scan.at, type_wanted(field));
}

static enum weir_status read_submessage(struct json_in *in, const struct weir_field *field, size_t level)
{
    const uint8_t *begin = in->scan.at;
    if (level >= in->budget.limits.depth || !budget_elements(&in->budget, 1))
        return json_in_exhausted(in, begin);
    wire_write_tag(in->out, field->number, WIRE_BYTES);
    size_t length = wire_open_length(in->out);
    enum weir_status status = json_in_message(in, field->message, level + 1);
    if (status == WEIR_OK)
        wire_close_length(in->out, length);
    return status;
}

enum weir_status json_in_single(struct json_in *in, const struct weir_field *field, size_t level, bool always,
                                bool *ret_dropped)
{
    json_peek(&in->scan);
    if (!budget_member(&in->budget, in->members))
        return json_in_exhausted(in, in->scan.at);
    if (field->type == WEIR_TYPE_MESSAGE)
        return read_submessage(in, field, level);
    if (field->type == WEIR_TYPE_STRING || field->type == WEIR_TYPE_BYTES)
        return read_text(in, field, always);

    uint64_t raw = 0;
    bool dropped = false;
    enum weir_status status = read_raw(in, field, &raw, ret_dropped ? &dropped : NULL);
    if (ret_dropped)
        *ret_dropped = dropped;
    if (status == WEIR_OK && !dropped && (raw != 0 || always)) {
        wire_write_tag(in->out, field->number, wire_type_of(field->type));
        wire_write_raw(in->out, wire_type_of(field->type), raw);
    }
    return status;
}

/* ---- Arrays ---- */

static enum weir_status read_packed_element(struct json_in *in, const struct weir_field *field)
{
    uint64_t raw = 0;
    bool dropped = false;
    enum weir_status status = read_raw(in, field, &raw, &dropped);
    if (status != WEIR_OK || dropped)
        return status;
    wire_write_raw(in->out, wire_type_of(field->type), raw);
    /* protobuf-c reserves one bool per byte, and a true takes one byte. */
    if (!budget_elements(&in->budget, 1))
        return json_in_exhausted(in, in->scan.at);
    return WEIR_OK;
}

static enum weir_status read_element(struct json_in *in, const struct weir_field *field, size_t level)
{
    const uint8_t *begin = in->scan.at;
    if (json_peek(&in->scan) == JSON_NULL && !field_takes_null(field))
        return json_in_fail(in, in->scan.at, WEIR_INVALID_ARGUMENT, "null as an element");
    if (field->packed)
        return read_packed_element(in, field);
    if ((field->type != WEIR_TYPE_MESSAGE && !budget_elements(&in->budget, 1)) ||
        !budget_memory(&in->budget, 16))
        return json_in_exhausted(in, begin);
    bool dropped;
    return json_in_single(in, field, level, true, &dropped);
}

static enum weir_status read_elements(struct json_in *in, const struct weir_field *field, size_t level,
                                      struct path *step)
{
    enum weir_status status;
    do {
        status = read_element(in, field, level);
        step->index++;
    } while (status == WEIR_OK && json_take(&in->scan, ','));
    if (status != WEIR_OK)
        return status;
    return json_expect(&in->scan, ']', "expected ',' or ']'") ? WEIR_OK : json_in_fault(in);
}

enum weir_status json_in_array(struct json_in *in, const struct weir_field *field, size_t level)
{
    const uint8_t *begin = in->scan.at;
    if (json_peek(&in->scan) != JSON_ARRAY)
        return unexpected(in, in->scan.at, "an array");
    in->scan.at++;
    if (json_take(&in->scan, ']'))
        return WEIR_OK;

    struct path step = path_into(in->path, field);
    step.index = 0;
    const struct path *outer = in->path;
    in->path = &step;
    size_t tag = in->out->size, length = 0, elements = in->budget.elements;
    if (field->packed) {
        if (!budget_member(&in->budget, in->members))
            return json_in_exhausted(in, begin);
        wire_write_tag(in->out, field->number, WIRE_BYTES);
        length = wire_open_length(in->out);
    }
    enum weir_status status = read_elements(in, field, level, &step);
    in->path = outer;
    if (status != WEIR_OK || !field->packed)
        return status;
    elements = in->budget.elements - elements;
    if (elements == 0)
        in->out->size = tag; /* all of them were unknown names */
    else
        wire_close_length(in->out, length);
    bool enough = budget_memory(&in->budget, elements * budget_element_size(field->type));
    return enough ? WEIR_OK : json_in_exhausted(in, begin);
}

/* ---- Objects ---- */

/* One bit per field, behind them one per oneof. */
static bool mark(struct json_in *in, size_t set, size_t bit)
{
    uint8_t *byte = in->seen.data + set + bit / 8;
    uint8_t mask = (uint8_t)(1U << bit % 8);
    bool marked = *byte & mask;
    *byte |= mask;
    return marked;
}

static enum weir_status read_field(struct json_in *in, const struct weir_field *field, size_t level)
{
    if (field->map)
        return json_in_map(in, field, level);
    if (field->repeated)
        return json_in_array(in, field, level);
    bool dropped;
    return json_in_single(in, field, level, field->optional || field->required, &dropped);
}

static enum weir_status read_member(struct json_in *in, const struct weir_message *message, size_t level,
                                    const struct weir_field *field, size_t set, const uint8_t *key)
{
    struct path step = {.parent = in->path, .field = field, .index = -1};
    const struct path *outer = in->path;
    in->path = &step;
    if (mark(in, set, (size_t)(field - message->fields)))
        return json_in_fail(in, key, WEIR_INVALID_ARGUMENT, "given twice");
    enum weir_status status;
    if (json_peek(&in->scan) == JSON_NULL && (field->repeated || !field_takes_null(field))) {
        status = json_literal(&in->scan) ? WEIR_OK : json_in_fault(in);
    } else {
        if (field->oneof >= 0 && mark(in, set, message->field_count + (size_t)field->oneof))
            return json_in_fail(in, key, WEIR_INVALID_ARGUMENT,
                                "another field of the same oneof is given too");
        status = read_field(in, field, level);
    }
    in->path = outer;
    return status;
}

static enum weir_status read_key(struct json_in *in, struct weir_bytes *ret_key)
{
    if (json_peek(&in->scan) != JSON_STRING)
        return json_in_fail(in, in->scan.at, WEIR_INVALID_ARGUMENT, "expected a key in quotes");
    return json_string(&in->scan, ret_key) && json_expect(&in->scan, ':', "expected ':'") ? WEIR_OK
                                                                                          : json_in_fault(in);
}

static enum weir_status pass_unknown(struct json_in *in, const struct weir_message *message, size_t level,
                                     const uint8_t *key, size_t key_size)
{
    if (!in->options->ignore_unknown) {
        int shown = key_size > VALUE_SHOWN ? VALUE_SHOWN : (int)key_size;
        return json_in_fail(in, key, WEIR_INVALID_ARGUMENT, "%s has no field %.*s", message->full_name, shown,
                            (const char *)key);
    }
    size_t depth = in->budget.limits.depth;
    return json_skip(&in->scan, depth > level ? depth - level : 0) ? WEIR_OK : json_in_fault(in);
}

static enum weir_status read_members(struct json_in *in, const struct weir_message *message, size_t level,
                                     size_t set, bool pass_type)
{
    size_t next = 0;
    enum weir_status status;
    bool type_seen = false;
    do {
        struct weir_bytes key = {0};
        json_peek(&in->scan);
        const uint8_t *begin = in->scan.at;
        status = read_key(in, &key);
        if (status != WEIR_OK)
            return status;
        const struct weir_field *field = message_field_named(message, key, next);
        if (field) {
            next = (size_t)(field - message->fields) + 1;
            status = read_member(in, message, level, field, set, begin);
        } else if (pass_type && weir_bytes_equal_text(key, "@type")) {
            if (type_seen)
                return json_in_fail(in, begin, WEIR_INVALID_ARGUMENT, "\"@type\" is given twice");
            type_seen = true;
            status = json_skip(&in->scan, 1) ? WEIR_OK : json_in_fault(in);
        } else {
            size_t written = (size_t)(in->scan.at - begin);
            while (written > 1 && begin[written - 1] != '"')
                written--;
            status = pass_unknown(in, message, level, begin, written);
        }
    } while (status == WEIR_OK && json_take(&in->scan, ','));
    if (status != WEIR_OK)
        return status;
    return json_expect(&in->scan, '}', "expected ',' or '}'") ? WEIR_OK : json_in_fault(in);
}

enum weir_status json_in_object(struct json_in *in, const struct weir_message *message, size_t level,
                                bool pass_type)
{
    if (json_peek(&in->scan) != JSON_OBJECT)
        return unexpected(in, in->scan.at, "an object");
    in->scan.at++;
    if (json_take(&in->scan, '}'))
        return WEIR_OK;
    size_t set = in->seen.size, size = (message->field_count + message->oneof_count + 7) / 8;
    if (size > 0)
        memset(buffer_room(&in->seen, size), 0, size);
    in->seen.size += size;
    enum weir_status status = read_members(in, message, level, set, pass_type);
    in->seen.size = set;
    return status;
}

enum weir_status json_in_message(struct json_in *in, const struct weir_message *message, size_t level)
{
    if (!budget_message(&in->budget, message))
        return json_in_exhausted(in, in->scan.at);
    struct budget_members members = {0}, *outer = in->members;
    in->members = &members;
    bool plain = message->well_known == WEIR_WELL_KNOWN_NONE || message->well_known == WEIR_WELL_KNOWN_EMPTY;
    enum weir_status status =
        plain ? json_in_object(in, message, level, false) : json_in_special(in, message, level);
    in->members = outer;
    return status;
}

enum weir_status weir_json_to_wire(const struct weir_message *message, struct weir_bytes json,
                                   const struct weir_json_options *options, struct weir_buffer *ret_wire,
                                   struct weir_error *err)
{
    static const struct weir_json_options defaults;
    struct json_in in = {
        .options = options ? options : &defaults,
        .out = ret_wire,
        .err = err,
    };
    in.budget = budget_new(&in.options->limits);
    json_scan_init(&in.scan, json);
    size_t before = ret_wire->size;
    enum weir_status status = json_in_message(&in, message, 0);
    if (status == WEIR_OK && !json_finished(&in.scan))
        status = json_in_fault(&in);
    if (status != WEIR_OK)
        ret_wire->size = before;
    json_scan_clean_up(&in.scan);
    weir_buffer_free(&in.seen);
    weir_buffer_free(&in.entries);
    return status;
}
