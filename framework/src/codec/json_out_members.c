/* Members may come in any order, elements of one field apart, singular ones more than once. JSON needs them
 * together: they are listed first, and sorted where they are not already. */
#include <stdlib.h>

#include "codec/buffer.h"
#include "codec/json_out.h"
#include "codec/message.h"

struct json_out_member json_out_member(const struct json_out *out, size_t index)
{
    struct json_out_member member;
    memcpy(&member, out->members.data + index * sizeof member, sizeof member);
    return member;
}

void json_out_drop(struct json_out *out, size_t first)
{
    out->members.size = first * sizeof(struct json_out_member);
}

static int compare(const void *left, const void *right)
{
    const struct json_out_member *a = left, *b = right;
    if (a->field != b->field)
        return a->field < b->field ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

static enum weir_status fail_at(struct json_out *out, const struct weir_field *field, const char *text)
{
    struct path step = {.parent = out->path, .field = field, .index = -1};
    const struct path *outer = out->path;
    if (field)
        out->path = &step;
    json_out_fail(out, WEIR_INVALID_ARGUMENT, text);
    out->path = outer;
    return WEIR_INVALID_ARGUMENT;
}

static enum weir_status push(struct json_out *out, const struct weir_message *message,
                             const struct weir_field *field, const struct wire_member *wire, size_t order)
{
    if (wire->wire_type != wire_type_of(field->type) &&
        !(wire->wire_type == WIRE_BYTES && field_packable(field)))
        return fail_at(out, field, "a wrong wire type");
    struct json_out_member member = {
        .field = (uint32_t)(field - message->fields),
        .order = (uint32_t)order,
        .wire_type = wire->wire_type,
        .raw = wire->raw,
        .content = wire->content,
    };
    if (!budget_memory(&out->budget, sizeof member))
        return json_out_exhausted(out);
    buffer_append(&out->members, &member, sizeof member);
    return WEIR_OK;
}

/* A member of a oneof clears what was set before: keeps the last run of the field that came last. */
static void resolve_oneof(struct json_out *out, const struct weir_message *message, size_t first,
                          int16_t oneof)
{
    struct json_out_member *members = (struct json_out_member *)(void *)out->members.data;
    size_t count = out->members.size / sizeof *members, kept = count;
    uint32_t winner = UINT32_MAX;
    bool cleared = false;
    for (size_t i = count; i-- > first;) {
        bool drop = false;
        if (message->fields[members[i].field].oneof == oneof) {
            if (winner == UINT32_MAX)
                winner = members[i].field;
            cleared = cleared || members[i].field != winner;
            drop = cleared;
        }
        if (!drop)
            members[--kept] = members[i];
    }
    memmove(members + first, members + kept, (count - kept) * sizeof *members);
    out->members.size = (first + count - kept) * sizeof *members;
}

enum weir_status json_out_list(struct json_out *out, const struct weir_message *message,
                               struct weir_bytes wire, size_t *ret_first, size_t *ret_count)
{
    size_t hint = 0, first = out->members.size / sizeof(struct json_out_member), count = first;
    bool sorted = true;
    uint32_t last = 0;
    const uint8_t *end = wire.size ? wire.data + wire.size : wire.data;
    for (const uint8_t *at = wire.data; at < end;) {
        struct wire_member member = {0};
        const char *fault = NULL;
        const uint8_t *begin = at;
        at = wire_read_tag(at, end, &member);
        if (!at)
            return fail_at(out, NULL, "a bad tag");
        const struct weir_field *field = message_field_near(message, member.number, &hint);
        at = wire_read_value(at, end, &member, &fault);
        if (!at)
            return fail_at(out, field, fault);
        if (!field) {
            if (!budget_unknown(&out->budget, (size_t)(at - begin)))
                return json_out_exhausted(out);
            continue;
        }
        enum weir_status status = push(out, message, field, &member, count);
        if (status != WEIR_OK)
            return status;
        count++;
        sorted = sorted && hint >= last;
        last = (uint32_t)hint;
    }
    for (int oneof = 0; oneof < message->oneof_count && count - first > 1; oneof++)
        resolve_oneof(out, message, first, (int16_t)oneof);
    *ret_first = first;
    *ret_count = out->members.size / sizeof(struct json_out_member) - first;
    if (!sorted)
        qsort(out->members.data + first * sizeof(struct json_out_member), *ret_count,
              sizeof(struct json_out_member), compare);
    return WEIR_OK;
}
