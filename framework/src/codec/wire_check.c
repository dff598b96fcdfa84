/* One pass over the bytes before protobuf-c sees them. protobuf-c recurses without a limit, takes strings
 * that are not UTF-8 or hold NUL, and lets two megabytes of wire become a hundred of memory; all of that is
 * refused here. Recurses itself, as deep as the limit allows. */
#include "codec/wire_check.h"

#include "codec/limits.h"
#include "codec/message.h"
#include "codec/path.h"
#include "codec/utf8.h"
#include "codec/wire.h"

struct check {
    struct budget budget;
    struct weir_error *err;
};

struct frame {
    struct frame *parent;
    const struct weir_message *message;
    const uint8_t *begin, *end; /* of the message */
    const uint8_t *member;      /* the tag of the member that is looked at */
    struct path path; /* to that member; its field is NULL while not known. Index: filled in for errors */
    size_t depth;     /* of the message; the outermost is 0 */
    struct budget_members members;
    uint64_t seen; /* fields by index; those above 62 share bit 63 */
    size_t memory; /* of the budget when the message began */
};

/* How many members of this field stand before the one that is looked at. */
static int64_t index_of(const struct frame *frame)
{
    int64_t index = 0;
    const char *fault;
    struct wire_member member;
    for (const uint8_t *at = frame->begin; at && at < frame->member;) {
        at = wire_read_tag(at, frame->member, &member);
        if (at)
            at = wire_read_value(at, frame->member, &member, &fault);
        index += at && member.number == frame->path.field->number;
    }
    return index;
}

static enum weir_status refuse(const struct check *check, struct frame *frame, enum weir_status status,
                               const char *text)
{
    for (struct frame *step = frame; step; step = step->parent) {
        if (step->path.field && step->path.field->repeated)
            step->path.index = index_of(step);
    }
    char room[PATH_SIZE];
    const struct path *path = frame->path.field ? &frame->path : frame->path.parent;
    return weir_fail(check->err, status, "%s%s", path_text(path, false, room), text);
}

static enum weir_status invalid(const struct check *check, struct frame *frame, const char *text)
{
    return refuse(check, frame, WEIR_INVALID_ARGUMENT, text);
}

static enum weir_status exhausted(const struct check *check, struct frame *frame)
{
    const struct budget *budget = &check->budget;
    char text[96] = "";
    struct weir_error limit;
    if (budget->elements > budget->limits.elements)
        weir_fail(&limit, WEIR_RESOURCE_EXHAUSTED, "more than %zu elements", budget->limits.elements);
    else if (budget->unknown_bytes > budget->limits.unknown_bytes)
        weir_fail(&limit, WEIR_RESOURCE_EXHAUSTED, "more than %zu bytes of unknown fields",
                  budget->limits.unknown_bytes);
    else if (budget->memory > budget->limits.memory)
        weir_fail(&limit, WEIR_RESOURCE_EXHAUSTED, "more than %zu bytes when unpacked",
                  budget->limits.memory);
    else
        weir_fail(&limit, WEIR_RESOURCE_EXHAUSTED, "nested deeper than %zu", budget->limits.depth);
    memcpy(text, limit.text, sizeof text - 1);
    return refuse(check, frame, WEIR_RESOURCE_EXHAUSTED, text);
}

static enum weir_status check_packed(struct check *check, struct frame *frame, struct weir_bytes content)
{
    const struct weir_field *field = frame->path.field;
    const uint8_t *at = content.data, *end = at + content.size;
    size_t count = 0;
    switch (wire_type_of(field->type)) {
    case WIRE_FIXED64:
    case WIRE_FIXED32: {
        size_t size = wire_type_of(field->type) == WIRE_FIXED64 ? 8 : 4;
        if (content.size % size != 0)
            return invalid(check, frame, "truncated packed values");
        count = content.size / size;
        break;
    }
    default:
        while (at < end) {
            uint64_t raw;
            at = wire_read_varint(at, end, &raw);
            if (!at)
                return invalid(check, frame, "truncated or overlong varint in packed values");
            count++;
        }
    }
    /* protobuf-c reserves one bool per byte. */
    size_t reserved = field->type == WEIR_TYPE_BOOL ? content.size : count;
    if (!budget_elements(&check->budget, count) ||
        !budget_memory(&check->budget, reserved * budget_element_size(field->type)))
        return exhausted(check, frame);
    return WEIR_OK;
}

static bool has_member(const struct frame *frame, uint32_t number)
{
    const char *fault;
    struct wire_member member;
    for (const uint8_t *at = frame->begin; at && at < frame->end;) {
        at = wire_read_tag(at, frame->end, &member);
        if (at)
            at = wire_read_value(at, frame->end, &member, &fault);
        if (at && member.number == number)
            return true;
    }
    return false;
}

/* proto2: protobuf-c does not unpack a message without them. */
static enum weir_status check_required(struct check *check, struct frame *frame)
{
    const struct weir_message *message = frame->message;
    for (size_t i = 0; i < message->field_count; i++) {
        if (!message->fields[i].required)
            continue;
        if (i < 63 ? frame->seen >> i & 1 : has_member(frame, message->fields[i].number))
            continue;
        frame->path.field = &message->fields[i];
        return invalid(check, frame, "required, but missing");
    }
    return WEIR_OK;
}

static enum weir_status check_message(struct check *check, struct frame *frame);

static enum weir_status check_nested(struct check *check, struct frame *parent, struct weir_bytes content)
{
    if (parent->depth >= check->budget.limits.depth || !budget_elements(&check->budget, 1))
        return exhausted(check, parent);
    struct frame frame = {
        .parent = parent,
        .message = parent->path.field->message,
        .begin = content.data,
        .end = content.data + content.size,
        .path = {.parent = &parent->path, .index = -1},
        .depth = parent->depth + 1,
    };
    return check_message(check, &frame);
}

/* protobuf-c cannot merge messages in which the same oneof is empty in both (its lookup of field 0 fails),
 * and keeps proto3's `optional` as a oneof of one. So only messages without presence are let through. */
static bool can_be_merged(const struct weir_message *message)
{
    for (size_t i = 0; i < message->field_count; i++) {
        if (message->fields[i].optional || message->fields[i].required)
            return false;
    }
    return true;
}

/* The second of a singular message is merged with the first by copying the arrays of both, for as often as it
 * comes: what the message around it has cost up to here is more than that copy. */
static enum weir_status check_again(struct check *check, struct frame *frame)
{
    const struct weir_field *field = frame->path.field;
    size_t index = (size_t)(field - frame->message->fields);
    uint64_t bit = UINT64_C(1) << (index < 63 ? index : 63);
    bool again = frame->seen & bit;
    frame->seen |= bit;
    if (!again || field->repeated || field->type != WEIR_TYPE_MESSAGE || field->oneof >= 0)
        return WEIR_OK;
    if (!can_be_merged(field->message) && (index < 63 || index_of(frame) > 0))
        return invalid(check, frame, "given twice, and cannot be merged");
    return budget_memory(&check->budget, check->budget.memory - frame->memory) ? WEIR_OK
                                                                               : exhausted(check, frame);
}

static enum weir_status check_content(struct check *check, struct frame *frame, struct weir_bytes content)
{
    const struct weir_field *field = frame->path.field;
    const char *fault;
    switch ((enum weir_field_type)field->type) {
    case WEIR_TYPE_STRING:
        fault = utf8_fault(content);
        if (fault)
            return invalid(check, frame, fault);
        return budget_memory(&check->budget, content.size + 1) ? WEIR_OK : exhausted(check, frame);
    case WEIR_TYPE_BYTES:
        return budget_memory(&check->budget, content.size) ? WEIR_OK : exhausted(check, frame);
    case WEIR_TYPE_MESSAGE:
        return check_nested(check, frame, content);
    default:
        return check_packed(check, frame, content);
    }
}

static enum weir_status check_member(struct check *check, struct frame *frame,
                                     const struct wire_member *member, const uint8_t *next)
{
    struct budget *budget = &check->budget;
    const struct weir_field *field = frame->path.field;
    if (!budget_member(budget, &frame->members))
        return exhausted(check, frame);
    if (!field) {
        /* protobuf-c keeps it: an entry of its list and a copy. */
        size_t size = (size_t)(next - frame->member);
        if (!budget_unknown(budget, size) || !budget_memory(budget, 32) || !budget_memory(budget, size))
            return exhausted(check, frame);
        return WEIR_OK;
    }
    enum wire_type expected = wire_type_of(field->type);
    if (member->wire_type != expected && !(member->wire_type == WIRE_BYTES && field_packable(field))) {
        struct weir_error text;
        weir_fail(&text, WEIR_INVALID_ARGUMENT, "wire type %d where %d is expected", (int)member->wire_type,
                  (int)expected);
        return invalid(check, frame, text.text);
    }
    if (field->required || (field->type == WEIR_TYPE_MESSAGE && !field->repeated)) {
        enum weir_status status = check_again(check, frame);
        if (status != WEIR_OK)
            return status;
    }
    bool element = field->repeated && member->wire_type == expected;
    if (element && !budget_memory(budget, 16))
        return exhausted(check, frame);
    if (element && field->type != WEIR_TYPE_MESSAGE && !budget_elements(budget, 1))
        return exhausted(check, frame);
    return member->wire_type == WIRE_BYTES ? check_content(check, frame, member->content) : WEIR_OK;
}

/* Most members are a number in a singular field, or a short text: those are passed here, without the general
 * way's bookkeeping. Returns what follows; NULL: not one of those, or not sound. `at` is behind the tag. */
static inline const uint8_t *pass_simple(struct check *check, struct frame *frame,
                                         const struct weir_field *field, enum wire_type wire_type,
                                         const uint8_t *at)
{
    const uint8_t *end = frame->end;
    if (field->repeated || field->required || at == end || *at >= 0x80)
        return NULL;
    if (wire_type == WIRE_VARINT && wire_type_of(field->type) == WIRE_VARINT)
        return budget_member(&check->budget, &frame->members) ? at + 1 : NULL;
    if (wire_type != WIRE_BYTES || field->type != WEIR_TYPE_STRING)
        return NULL;
    struct weir_bytes text = weir_bytes(at + 1, *at);
    if (text.size > (size_t)(end - text.data) || utf8_fault(text) ||
        check->budget.memory + text.size + 16 > check->budget.limits.memory)
        return NULL;
    if (!budget_member(&check->budget, &frame->members))
        return NULL;
    budget_memory(&check->budget, text.size + 1);
    return text.data + text.size;
}

static enum weir_status check_message(struct check *check, struct frame *frame)
{
    const struct weir_message *message = frame->message;
    frame->memory = check->budget.memory;
    if (!budget_message(&check->budget, message))
        return exhausted(check, frame);

    size_t hint = 0;
    for (const uint8_t *at = frame->begin; at < frame->end;) {
        struct wire_member member;
        const char *fault = NULL;
        frame->member = at;
        frame->path.field = NULL;
        at = wire_read_tag(at, frame->end, &member);
        if (!at)
            return invalid(check, frame, "a bad tag");
        const struct weir_field *field = message_field_near(message, member.number, &hint);
        frame->path.field = field;
        const uint8_t *next = field ? pass_simple(check, frame, field, member.wire_type, at) : NULL;
        if (next) {
            at = next;
            continue;
        }
        at = wire_read_value(at, frame->end, &member, &fault);
        if (!at)
            return invalid(check, frame, fault);
        enum weir_status status = check_member(check, frame, &member, at);
        if (status != WEIR_OK)
            return status;
    }
    frame->path.field = NULL;
    return check_required(check, frame);
}

enum weir_status wire_check(const struct weir_message *message, struct weir_bytes wire,
                            const struct weir_codec_limits *limits, size_t *ret_memory,
                            struct weir_error *err)
{
    struct check check = {.budget = budget_new(limits), .err = err};
    struct frame frame = {
        .message = message,
        .begin = wire.data,
        .end = wire.size ? wire.data + wire.size : wire.data,
        .path = {.index = -1},
    };
    enum weir_status status = check_message(&check, &frame);
    *ret_memory = check.budget.memory;
    return status;
}

enum weir_status weir_wire_check(const struct weir_message *message, struct weir_bytes wire,
                                 const struct weir_codec_limits *limits, struct weir_error *err)
{
    size_t memory;
    return wire_check(message, wire, limits, &memory, err);
}
