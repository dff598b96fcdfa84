/* A map is an object in JSON, and repeated entries of key = 1, value = 2 on the wire. */
#include <stdlib.h>

#include "codec/json_in.h"
#include "codec/message.h"
#include "codec/scalar.h"
#include "codec/wire.h"

/* What is needed to find a key that comes twice, however it is escaped: offsets, because the output moves. */
struct entry {
    size_t written; /* the key's value in the output */
    size_t size;
    size_t source; /* the key in the JSON text */
};

static enum weir_status write_key(struct json_in *in, const struct weir_field *field, struct weir_bytes text,
                                  const uint8_t *begin, struct entry *ret_entry)
{
    enum wire_type wire_type = wire_type_of(field->type);
    uint64_t raw = 0;
    wire_write_tag(in->out, field->number, wire_type);
    if (field->type == WEIR_TYPE_STRING) {
        if (text.size > 0 && memchr(text.data, 0, text.size))
            return json_in_fail(in, begin, WEIR_INVALID_ARGUMENT, "a key that contains NUL");
        if (!budget_memory(&in->budget, text.size + 1))
            return json_in_exhausted(in, begin);
        wire_write_varint(in->out, text.size);
        buffer_append(in->out, text.data, text.size);
        *ret_entry = (struct entry){in->out->size - text.size, text.size, (size_t)(begin - in->scan.begin)};
        return WEIR_OK;
    }
    if (field->type == WEIR_TYPE_BOOL) {
        raw = weir_bytes_equal_text(text, "true");
        if (!raw && !weir_bytes_equal_text(text, "false"))
            return json_in_fail_value(in, begin, "is neither \"true\" nor \"false\"");
    } else {
        const char *fault = scalar_parse_number(field->type, text, &raw);
        if (fault)
            return json_in_fail_value(in, begin, fault);
    }
    size_t written = in->out->size;
    wire_write_raw(in->out, wire_type, raw);
    *ret_entry = (struct entry){written, in->out->size - written, (size_t)(begin - in->scan.begin)};
    return WEIR_OK;
}

/* Key and value of one entry, behind its tag and length. */
static enum weir_status read_pair(struct json_in *in, const struct weir_field *field, size_t level,
                                  struct path *step, struct entry *ret_entry, bool *ret_dropped)
{
    const struct weir_field *key_field = weir_message_field(field->message, 1);
    const struct weir_field *value_field = weir_message_field(field->message, 2);
    struct weir_bytes key;
    if (json_peek(&in->scan) != JSON_STRING)
        return json_in_fail(in, in->scan.at, WEIR_INVALID_ARGUMENT, "expected a key in quotes");
    const uint8_t *begin = in->scan.at;
    if (!json_string(&in->scan, &key))
        return json_in_fault(in);
    step->key = weir_bytes(begin, (size_t)(in->scan.at - begin));
    enum weir_status status = write_key(in, key_field, key, begin, ret_entry);
    if (status != WEIR_OK)
        return status;
    if (!json_expect(&in->scan, ':', "expected ':'"))
        return json_in_fault(in);
    if (json_peek(&in->scan) == JSON_NULL && !field_takes_null(value_field))
        return json_in_fail(in, in->scan.at, WEIR_INVALID_ARGUMENT, "null as a value");
    return json_in_single(in, value_field, level, true, ret_dropped);
}

static enum weir_status read_entry(struct json_in *in, const struct weir_field *field, size_t level,
                                   struct path *step)
{
    const uint8_t *begin = in->scan.at;
    struct entry entry = {0};
    if (level >= in->budget.limits.depth || !budget_elements(&in->budget, 1) ||
        !budget_memory(&in->budget, 16) || !budget_member(&in->budget, in->members) ||
        !budget_message(&in->budget, field->message))
        return json_in_exhausted(in, begin);

    size_t tag = in->out->size;
    wire_write_tag(in->out, field->number, WIRE_BYTES);
    size_t length = wire_open_length(in->out);
    struct budget_members members = {0}, *outer = in->members;
    in->members = &members;
    bool dropped = false;
    enum weir_status status = read_pair(in, field, level + 1, step, &entry, &dropped);
    in->members = outer;
    if (status != WEIR_OK)
        return status;
    if (dropped) {
        in->out->size = tag;
        return WEIR_OK;
    }
    size_t content = in->out->size - length;
    wire_close_length(in->out, length);
    entry.written += in->out->size - length - content; /* moved behind a longer length */
    buffer_append(&in->entries, &entry, sizeof entry);
    return WEIR_OK;
}

static int compare_entries(const void *left, const void *right, void *arg)
{
    const struct entry *a = left, *b = right;
    const uint8_t *out = arg;
    if (a->size != b->size)
        return a->size < b->size ? -1 : 1;
    int order = memcmp(out + a->written, out + b->written, a->size);
    return order != 0 ? order : (a->source > b->source) - (a->source < b->source);
}

static enum weir_status check_keys(struct json_in *in, size_t first)
{
    struct entry *entries = (struct entry *)(void *)(in->entries.data + first);
    size_t count = (in->entries.size - first) / sizeof *entries;
    if (count < 2)
        return WEIR_OK;
    qsort_r(entries, count, sizeof *entries, compare_entries, in->out->data);
    for (size_t i = 1; i < count; i++) {
        if (entries[i].size == entries[i - 1].size &&
            memcmp(in->out->data + entries[i].written, in->out->data + entries[i - 1].written,
                   entries[i].size) == 0)
            return json_in_fail(in, in->scan.begin + entries[i].source, WEIR_INVALID_ARGUMENT,
                                "a key that is given twice");
    }
    return WEIR_OK;
}

enum weir_status json_in_map(struct json_in *in, const struct weir_field *field, size_t level)
{
    if (json_peek(&in->scan) != JSON_OBJECT)
        return json_in_fail(in, in->scan.at, WEIR_INVALID_ARGUMENT, "expected an object");
    in->scan.at++;
    if (json_take(&in->scan, '}'))
        return WEIR_OK;

    size_t first = in->entries.size;
    const struct path *outer = in->path;
    enum weir_status status;
    do {
        struct path step = path_into(outer, field);
        in->path = &step;
        json_peek(&in->scan);
        status = read_entry(in, field, level, &step);
        in->path = outer;
    } while (status == WEIR_OK && json_take(&in->scan, ','));
    if (status == WEIR_OK && !json_expect(&in->scan, '}', "expected ',' or '}'"))
        status = json_in_fault(in);
    if (status == WEIR_OK)
        status = check_keys(in, first);
    in->entries.size = first;
    return status;
}
