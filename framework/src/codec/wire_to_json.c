#include <stdlib.h>

#include "codec/buffer.h"
#include "codec/json_out.h"
#include "codec/message.h"
#include "codec/scalar.h"
#include "codec/utf8.h"
#include "codec/well_known.h"

/* ---- Errors ---- */

enum weir_status json_out_fail(const struct json_out *out, enum weir_status status, const char *text)
{
    char room[PATH_SIZE];
    return weir_fail(out->err, status, "%s%s", path_text(out->path, true, room), text);
}

static enum weir_status invalid(const struct json_out *out, const char *text)
{
    return json_out_fail(out, WEIR_INVALID_ARGUMENT, text);
}

enum weir_status json_out_exhausted(const struct json_out *out)
{
    const struct budget *budget = &out->budget;
    struct weir_error text;
    if (budget->elements > budget->limits.elements)
        weir_fail(&text, WEIR_RESOURCE_EXHAUSTED, "more than %zu elements", budget->limits.elements);
    else if (budget->unknown_bytes > budget->limits.unknown_bytes)
        weir_fail(&text, WEIR_RESOURCE_EXHAUSTED, "more than %zu bytes of unknown fields",
                  budget->limits.unknown_bytes);
    else if (budget->memory > budget->limits.memory || out->out->size - out->begin > budget->limits.memory)
        weir_fail(&text, WEIR_RESOURCE_EXHAUSTED, "more than %zu bytes of JSON", budget->limits.memory);
    else
        weir_fail(&text, WEIR_RESOURCE_EXHAUSTED, "nested deeper than %zu", budget->limits.depth);
    return json_out_fail(out, WEIR_RESOURCE_EXHAUSTED, text.text);
}

/* ---- Punctuation ---- */

static void new_line(struct json_out *out)
{
    if (!out->options->indent)
        return;
    uint8_t *to = buffer_room(out->out, 1 + 2 * out->indent);
    *to = '\n';
    memset(to + 1, ' ', 2 * out->indent);
    out->out->size += 1 + 2 * out->indent;
}

void json_out_open(struct json_out *out, char bracket)
{
    buffer_byte(out->out, (uint8_t)bracket);
    out->indent++;
}

void json_out_separate(struct json_out *out, bool *first)
{
    if (!*first)
        buffer_byte(out->out, ',');
    *first = false;
    new_line(out);
}

void json_out_close(struct json_out *out, char bracket, bool empty)
{
    out->indent--;
    if (!empty)
        new_line(out);
    buffer_byte(out->out, (uint8_t)bracket);
}

void json_out_colon(struct json_out *out)
{
    buffer_append(out->out, ": ", out->options->indent ? 2 : 1);
}

static void write_name(struct json_out *out, const struct weir_field *field, bool *first)
{
    json_out_separate(out, first);
    json_quote(weir_bytes_of_text(out->options->proto_names ? field->name : field->json_name), out->out);
    json_out_colon(out);
}

/* ---- Values ---- */

static void write_enum(struct json_out *out, const struct weir_enum *enumeration, uint64_t raw)
{
    const struct weir_enum_value *value = NULL;
    if (enumeration->is_null_value) {
        weir_buffer_append_text(out->out, "null");
        return;
    }
    if (!out->options->enums_as_numbers)
        value = enum_value_numbered(enumeration, (int32_t)raw);
    if (value)
        json_quote(weir_bytes_of_text(value->name), out->out);
    else
        scalar_print_number(out->out, WEIR_TYPE_ENUM, raw);
}

static void write_number(struct json_out *out, const struct weir_field *field, uint64_t raw)
{
    if (field->type == WEIR_TYPE_BOOL)
        weir_buffer_append_text(out->out, raw ? "true" : "false");
    else if (field->type == WEIR_TYPE_ENUM)
        write_enum(out, field->enumeration, raw);
    else
        scalar_print_number(out->out, field->type, raw);
}

enum weir_status json_out_value(struct json_out *out, const struct weir_field *field,
                                const struct json_out_member *member, size_t level)
{
    const char *fault;
    switch ((enum weir_field_type)field->type) {
    case WEIR_TYPE_MESSAGE:
        if (level >= out->budget.limits.depth || !budget_elements(&out->budget, 1))
            return json_out_exhausted(out);
        return json_out_message(out, field->message, member->content, level + 1);
    case WEIR_TYPE_STRING:
        fault = utf8_fault(member->content);
        if (fault)
            return invalid(out, fault);
        json_quote(member->content, out->out);
        break;
    case WEIR_TYPE_BYTES:
        buffer_byte(out->out, '"');
        base64_encode(member->content, out->out);
        buffer_byte(out->out, '"');
        break;
    default:
        write_number(out, field, member->raw);
    }
    return out->out->size - out->begin <= out->budget.limits.memory ? WEIR_OK : json_out_exhausted(out);
}

static bool is_default(const struct weir_field *field, const struct json_out_member *member)
{
    switch ((enum weir_field_type)field->type) {
    case WEIR_TYPE_STRING:
    case WEIR_TYPE_BYTES:
        return member->content.size == 0;
    case WEIR_TYPE_MESSAGE:
        return false;
    case WEIR_TYPE_ENUM:
        return (uint32_t)member->raw == 0 || field->enumeration->is_null_value;
    case WEIR_TYPE_UINT32:
    case WEIR_TYPE_INT32:
    case WEIR_TYPE_SINT32:
        return (uint32_t)member->raw == 0;
    default:
        return member->raw == 0;
    }
}

/* The members [first, first + count) of a singular field as one: the last, or for messages all of them in a
 * row, which is how the wire merges. `room` is the caller's to free. */
struct json_out_member json_out_merge(struct json_out *out, const struct weir_field *field, size_t first,
                                      size_t count, struct weir_buffer *room)
{
    struct json_out_member member = json_out_member(out, first + count - 1);
    if (count > 1 && field->type == WEIR_TYPE_MESSAGE) {
        for (size_t i = first; i < first + count; i++) {
            struct weir_bytes content = json_out_member(out, i).content;
            buffer_append(room, content.data, content.size);
        }
        member.content = weir_buffer_bytes(room);
    }
    return member;
}

/* ---- Arrays ---- */

static enum weir_status write_packed(struct json_out *out, const struct weir_field *field,
                                     struct weir_bytes content, bool *first, struct path *step)
{
    struct wire_member value = {.wire_type = wire_type_of(field->type)};
    const char *fault;
    const uint8_t *end = content.size ? content.data + content.size : content.data;
    for (const uint8_t *at = content.data; at < end; step->index++) {
        at = wire_read_value(at, end, &value, &fault);
        if (!at)
            return invalid(out, fault);
        if (!budget_elements(&out->budget, 1))
            return json_out_exhausted(out);
        json_out_separate(out, first);
        write_number(out, field, value.raw);
    }
    return out->out->size - out->begin <= out->budget.limits.memory ? WEIR_OK : json_out_exhausted(out);
}

/* A run of packed values may be empty. */
static bool has_elements(const struct json_out *out, const struct weir_field *field, size_t first,
                         size_t count)
{
    for (size_t i = first; i < first + count; i++) {
        struct json_out_member member = json_out_member(out, i);
        if (member.wire_type == wire_type_of(field->type) || member.content.size > 0)
            return true;
    }
    return false;
}

enum weir_status json_out_array(struct json_out *out, const struct weir_field *field, size_t first_member,
                                size_t count, size_t level)
{
    const struct path *outer = out->path;
    struct path step = path_into(outer, field);
    step.index = 0;
    out->path = &step;
    bool first = true;
    enum weir_status status = WEIR_OK;
    json_out_open(out, '[');
    for (size_t i = 0; i < count && status == WEIR_OK; i++) {
        struct json_out_member member = json_out_member(out, first_member + i);
        if (member.wire_type != wire_type_of(field->type)) {
            status = write_packed(out, field, member.content, &first, &step);
            continue;
        }
        if (field->type != WEIR_TYPE_MESSAGE && !budget_elements(&out->budget, 1)) {
            status = json_out_exhausted(out);
            continue;
        }
        json_out_separate(out, &first);
        status = json_out_value(out, field, &member, level);
        step.index++;
    }
    json_out_close(out, ']', first);
    out->path = outer;
    return status;
}

/* ---- Maps ---- */

struct map_key {
    struct json_out_member value; /* zero and empty where the entry has none */
    size_t order;
    bool again; /* a later entry has the same key: that one counts */
};

static int compare_keys(const void *left, const void *right)
{
    const struct map_key *a = left, *b = right;
    size_t a_size = a->value.content.size, b_size = b->value.content.size;
    if (a_size != b_size)
        return a_size < b_size ? -1 : 1;
    int order = a_size ? memcmp(a->value.content.data, b->value.content.data, a_size) : 0;
    if (order == 0 && a->value.raw != b->value.raw)
        order = a->value.raw < b->value.raw ? -1 : 1;
    return order != 0 ? order : (a->order > b->order) - (a->order < b->order);
}

static int compare_orders(const void *left, const void *right)
{
    const struct map_key *a = left, *b = right;
    return (a->order > b->order) - (a->order < b->order);
}

static bool same_key(const struct map_key *a, const struct map_key *b)
{
    return a->value.raw == b->value.raw && weir_bytes_equal(a->value.content, b->value.content);
}

/* Of 32-bit keys only what counts of the varint, so that equal keys are equal here. */
static uint64_t key_raw(uint8_t type, uint64_t raw)
{
    switch ((enum weir_field_type)type) {
    case WEIR_TYPE_INT32:
        return (uint64_t)(int64_t)(int32_t)raw;
    case WEIR_TYPE_UINT32:
    case WEIR_TYPE_SINT32:
        return (uint32_t)raw;
    case WEIR_TYPE_BOOL:
        return raw != 0;
    default:
        return raw;
    }
}

static enum weir_status read_keys(struct json_out *out, const struct weir_field *field, size_t first_member,
                                  size_t count, struct map_key *keys)
{
    const struct weir_message *entry = field->message;
    for (size_t i = 0; i < count; i++) {
        size_t first, members;
        struct json_out_member member = json_out_member(out, first_member + i);
        enum weir_status status = json_out_list(out, entry, member.content, &first, &members);
        if (status != WEIR_OK)
            return status;
        keys[i] = (struct map_key){.order = i};
        for (size_t j = first; j < first + members; j++) {
            struct json_out_member candidate = json_out_member(out, j);
            if (entry->fields[candidate.field].number == 1)
                keys[i].value = candidate;
        }
        keys[i].value.raw = key_raw(weir_message_field(entry, 1)->type, keys[i].value.raw);
        json_out_drop(out, first);
    }
    if (count < 2)
        return WEIR_OK;
    qsort(keys, count, sizeof *keys, compare_keys);
    for (size_t i = 0; i + 1 < count; i++)
        keys[i].again = same_key(&keys[i], &keys[i + 1]);
    qsort(keys, count, sizeof *keys, compare_orders);
    return WEIR_OK;
}

static enum weir_status write_key(struct json_out *out, const struct weir_field *field,
                                  const struct map_key *key, bool *first, struct path *step)
{
    const char *fault = utf8_fault(key->value.content);
    if (fault)
        return invalid(out, fault);
    json_out_separate(out, first);
    size_t begin = out->out->size;
    if (field->type == WEIR_TYPE_STRING) {
        json_quote(key->value.content, out->out);
    } else {
        struct weir_buffer text = {0};
        write_number(out, field, key->value.raw);
        /* 64-bit numbers have their quotes already. */
        if (out->out->data[begin] != '"') {
            buffer_append(&text, out->out->data + begin, out->out->size - begin);
            out->out->size = begin;
            json_quote(weir_buffer_bytes(&text), out->out);
            weir_buffer_free(&text);
        }
    }
    step->key = weir_bytes(NULL, 0);
    if (field->type == WEIR_TYPE_STRING)
        step->key = key->value.content;
    json_out_colon(out);
    return WEIR_OK;
}

static enum weir_status write_entry(struct json_out *out, const struct weir_field *field,
                                    const struct map_key *key, size_t member_index, size_t level, bool *first,
                                    struct path *step)
{
    const struct weir_message *entry = field->message;
    const struct weir_field *value_field = weir_message_field(entry, 2);
    enum weir_status status = write_key(out, weir_message_field(entry, 1), key, first, step);
    if (status != WEIR_OK)
        return status;

    size_t first_member, count, values = 0;
    struct weir_bytes content = json_out_member(out, member_index).content;
    status = json_out_list(out, entry, content, &first_member, &count);
    if (status != WEIR_OK)
        return status;
    while (values < count &&
           json_out_field(out, first_member + count - 1 - values) == (uint32_t)(value_field - entry->fields))
        values++;
    struct json_out_member empty = {.wire_type = wire_type_of(value_field->type)};
    struct weir_buffer room = {0};
    struct json_out_member value =
        values ? json_out_merge(out, value_field, first_member + count - values, values, &room) : empty;
    status = json_out_value(out, value_field, &value, level);
    weir_buffer_free(&room);
    json_out_drop(out, first_member);
    return status;
}

enum weir_status json_out_map(struct json_out *out, const struct weir_field *field, size_t first_member,
                              size_t count, size_t level)
{
    const struct path *outer = out->path;
    struct path step = path_into(outer, field);
    if (!budget_elements(&out->budget, count) || level >= out->budget.limits.depth ||
        !budget_memory(&out->budget, count * sizeof(struct map_key)))
        return json_out_exhausted(out);
    struct weir_buffer room = {0};
    struct map_key *keys = (struct map_key *)(void *)buffer_room(&room, count * sizeof *keys + 1);
    enum weir_status status = read_keys(out, field, first_member, count, keys);
    bool first = true;
    json_out_open(out, '{');
    for (size_t i = 0; i < count && status == WEIR_OK; i++) {
        if (keys[i].again)
            continue;
        out->path = &step;
        status = write_entry(out, field, &keys[i], first_member + i, level + 1, &first, &step);
        out->path = outer;
    }
    json_out_close(out, '}', first);
    weir_buffer_free(&room);
    return status;
}

/* ---- Objects ---- */

static enum weir_status write_field(struct json_out *out, const struct weir_field *field, size_t first_member,
                                    size_t count, size_t level, bool *first)
{
    bool presence = field->optional || field->required;
    if (count == 0 &&
        (presence || !out->options->with_defaults || (field->type == WEIR_TYPE_MESSAGE && !field->repeated)))
        return WEIR_OK;
    struct path step = {.parent = out->path, .field = field, .index = -1};
    const struct path *outer = out->path;
    out->path = &step;
    enum weir_status status;
    if (field->sensitive && out->options->mask && count > 0) {
        write_name(out, field, first);
        weir_buffer_append_text(out->out, "\"***\"");
        status = WEIR_OK;
    } else if (field->repeated && !out->options->with_defaults &&
               !has_elements(out, field, first_member, count)) {
        status = WEIR_OK;
    } else if (field->repeated) {
        write_name(out, field, first);
        status = field->map ? json_out_map(out, field, first_member, count, level)
                            : json_out_array(out, field, first_member, count, level);
    } else {
        struct weir_buffer room = {0};
        struct json_out_member member = {.wire_type = wire_type_of(field->type)};
        if (count > 0)
            member = json_out_merge(out, field, first_member, count, &room);
        if (presence || out->options->with_defaults || !is_default(field, &member)) {
            write_name(out, field, first);
            status = json_out_value(out, field, &member, level);
        } else {
            status = WEIR_OK;
        }
        weir_buffer_free(&room);
    }
    out->path = outer;
    return status;
}

enum weir_status json_out_fields(struct json_out *out, const struct weir_message *message,
                                 struct weir_bytes wire, size_t level, bool *first)
{
    size_t begin, count;
    enum weir_status status = json_out_list(out, message, wire, &begin, &count);
    if (status != WEIR_OK)
        return status;
    size_t at = begin, end = begin + count, field = 0;
    while (status == WEIR_OK && (at < end || (out->options->with_defaults && field < message->field_count))) {
        uint32_t next = at < end ? json_out_field(out, at) : UINT32_MAX;
        if (!out->options->with_defaults)
            field = next;
        size_t group = at;
        while (at < end && json_out_field(out, at) == field)
            at++;
        status = write_field(out, &message->fields[field], group, at - group, level, first);
        field++;
    }
    json_out_drop(out, begin);
    return status;
}

enum weir_status json_out_message(struct json_out *out, const struct weir_message *message,
                                  struct weir_bytes wire, size_t level)
{
    if (message->well_known != WEIR_WELL_KNOWN_NONE && message->well_known != WEIR_WELL_KNOWN_EMPTY)
        return json_out_special(out, message, wire, level);
    bool first = true;
    json_out_open(out, '{');
    enum weir_status status = json_out_fields(out, message, wire, level, &first);
    json_out_close(out, '}', first);
    if (status == WEIR_OK && out->out->size - out->begin > out->budget.limits.memory)
        return json_out_exhausted(out);
    return status;
}

enum weir_status weir_wire_to_json(const struct weir_message *message, struct weir_bytes wire,
                                   const struct weir_json_options *options, struct weir_buffer *ret_json,
                                   struct weir_error *err)
{
    static const struct weir_json_options defaults;
    struct json_out out = {
        .options = options ? options : &defaults,
        .out = ret_json,
        .begin = ret_json->size,
        .err = err,
    };
    out.budget = budget_new(&out.options->limits);
    enum weir_status status = json_out_message(&out, message, wire, 0);
    if (status != WEIR_OK)
        ret_json->size = out.begin;
    weir_buffer_free(&out.members);
    return status;
}
