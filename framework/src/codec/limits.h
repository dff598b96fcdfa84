/* What one conversion or check may still use. The memory is what protobuf-c's unpack would take from an
 * allocator that frees nothing and aligns to 16 (weir's arena), so the sums below follow protobuf-c's
 * unpacking. */
#ifndef WEIR_CODEC_LIMITS_H
#define WEIR_CODEC_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/codec.h>

struct budget {
    struct weir_codec_limits limits;        /* defaults filled in */
    size_t elements, memory, unknown_bytes; /* used */
};

static inline struct budget budget_new(const struct weir_codec_limits *limits)
{
    struct budget budget = {.limits = limits ? *limits : (struct weir_codec_limits){0}};
    if (!budget.limits.depth)
        budget.limits.depth = 100;
    if (!budget.limits.elements)
        budget.limits.elements = 100000;
    if (!budget.limits.memory)
        budget.limits.memory = (size_t)16 << 20;
    if (!budget.limits.unknown_bytes)
        budget.limits.unknown_bytes = (size_t)64 << 10;
    return budget;
}

static inline size_t round_up_16(size_t size)
{
    return (size + 15) & ~(size_t)15;
}

/* All return false when the limit is passed. Sizes are of bytes that exist, so nothing here overflows. */
static inline bool budget_memory(struct budget *budget, size_t size)
{
    budget->memory += round_up_16(size);
    return budget->memory <= budget->limits.memory;
}

static inline bool budget_elements(struct budget *budget, size_t count)
{
    budget->elements += count;
    return budget->elements <= budget->limits.elements;
}

static inline bool budget_unknown(struct budget *budget, size_t size)
{
    budget->unknown_bytes += size;
    return budget->unknown_bytes <= budget->limits.unknown_bytes;
}

/* A message's own struct, and the bitmap of the fields that were seen, which is on the stack for small ones.
 */
static inline bool budget_message(struct budget *budget, const struct weir_message *message)
{
    size_t size = message->struct_size ? message->struct_size : 64;
    return budget_memory(budget, size) &&
           (message->field_count <= 128 || budget_memory(budget, message->field_count / 8 + 1));
}

/* Members of one message. protobuf-c lists them before it reads them: 16 on the stack, then in slabs of twice
 * the size before, each entry of at most 40 bytes. */
struct budget_members {
    size_t count;
    size_t next_slab; /* zero at first: 16 */
};

static inline bool budget_member(struct budget *budget, struct budget_members *members)
{
    size_t next = members->next_slab ? members->next_slab : 16;
    if (members->count++ < next)
        return true;
    members->next_slab = next * 2 + 16;
    return budget_memory(budget, (next + 16) * 40);
}

/* Of one element in the array of a repeated field. */
static inline size_t budget_element_size(uint8_t type)
{
    switch ((enum weir_field_type)type) {
    case WEIR_TYPE_BYTES:
        return 16;
    case WEIR_TYPE_DOUBLE:
    case WEIR_TYPE_INT64:
    case WEIR_TYPE_UINT64:
    case WEIR_TYPE_FIXED64:
    case WEIR_TYPE_SFIXED64:
    case WEIR_TYPE_SINT64:
    case WEIR_TYPE_STRING:
    case WEIR_TYPE_MESSAGE:
        return 8;
    default:
        return 4;
    }
}

#endif
