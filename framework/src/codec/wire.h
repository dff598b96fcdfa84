/* The wire format: varints, tags, lengths. Inline, because every byte passes through here. */
#ifndef WEIR_CODEC_WIRE_H
#define WEIR_CODEC_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <weir/bytes.h>
#include <weir/message.h>

#include "codec/buffer.h"

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2,
    WIRE_FIXED32 = 5,
};

/* Returns what follows it; NULL when it is truncated or longer than ten bytes. */
static inline const uint8_t *wire_read_varint(const uint8_t *at, const uint8_t *end, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70 && at < end; shift += 7) {
        uint8_t byte = *at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret_value = value;
            return at;
        }
    }
    return NULL;
}

/* A tag or a length: at most five bytes and 32 bits, as protobuf-c reads them. */
static inline const uint8_t *wire_read_uint32(const uint8_t *at, const uint8_t *end, uint32_t *ret_value)
{
    if (at < end && *at < 0x80) {
        *ret_value = *at;
        return at + 1;
    }
    uint64_t value;
    const uint8_t *next = wire_read_varint(at, end, &value);
    if (!next || next - at > 5 || value > UINT32_MAX)
        return NULL;
    *ret_value = (uint32_t)value;
    return next;
}

/* One member of a message as it stands on the wire. */
struct wire_member {
    uint32_t number;
    enum wire_type wire_type;
    uint64_t raw;              /* VARINT, FIXED64, FIXED32: the value's bits */
    struct weir_bytes content; /* BYTES */
};

static inline uint32_t wire_load32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline uint64_t wire_load64(const uint8_t *at)
{
    return wire_load32(at) | (uint64_t)wire_load32(at + 4) << 32;
}

/* The value behind a tag. Returns what follows it; NULL with the reason in ret_fault. */
static inline const uint8_t *wire_read_value(const uint8_t *at, const uint8_t *end,
                                             struct wire_member *member, const char **ret_fault)
{
    uint32_t length;
    switch (member->wire_type) {
    case WIRE_VARINT:
        at = wire_read_varint(at, end, &member->raw);
        *ret_fault = "truncated or overlong varint";
        return at;
    case WIRE_FIXED64:
        *ret_fault = "truncated";
        if (end - at < 8)
            return NULL;
        member->raw = wire_load64(at);
        return at + 8;
    case WIRE_FIXED32:
        *ret_fault = "truncated";
        if (end - at < 4)
            return NULL;
        member->raw = wire_load32(at);
        return at + 4;
    case WIRE_BYTES:
        at = wire_read_uint32(at, end, &length);
        *ret_fault = "truncated or overlong length";
        if (!at)
            return NULL;
        *ret_fault = "truncated: longer than what holds it";
        if (length > (size_t)(end - at) || length > INT32_MAX)
            return NULL;
        member->content = weir_bytes(at, length);
        return at + length;
    }
    *ret_fault = "a wire type that proto3 does not have (groups are not supported)";
    return NULL;
}

/* Reads a tag into number and wire_type. NULL when it is no tag. */
static inline const uint8_t *wire_read_tag(const uint8_t *at, const uint8_t *end, struct wire_member *member)
{
    uint32_t tag;
    at = wire_read_uint32(at, end, &tag);
    if (!at || tag < 8)
        return NULL;
    member->number = tag >> 3;
    member->wire_type = (enum wire_type)(tag & 7);
    return at;
}

static inline size_t wire_put_varint(uint8_t *to, uint64_t value)
{
    size_t size = 0;
    while (value >= 0x80) {
        to[size++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    to[size++] = (uint8_t)value;
    return size;
}

static inline void wire_write_varint(struct weir_buffer *out, uint64_t value)
{
    out->size += wire_put_varint(buffer_room(out, 10), value);
}

static inline void wire_write_tag(struct weir_buffer *out, uint32_t number, enum wire_type wire_type)
{
    wire_write_varint(out, (uint64_t)number << 3 | wire_type);
}

static inline void wire_write_bytes(struct weir_buffer *out, uint32_t number, struct weir_bytes content)
{
    wire_write_tag(out, number, WIRE_BYTES);
    wire_write_varint(out, content.size);
    buffer_append(out, content.data, content.size);
}

/* The value of a scalar, without its tag. */
static inline void wire_write_raw(struct weir_buffer *out, enum wire_type wire_type, uint64_t raw)
{
    if (wire_type == WIRE_VARINT) {
        wire_write_varint(out, raw);
        return;
    }
    size_t size = wire_type == WIRE_FIXED64 ? 8 : 4;
    uint8_t *to = buffer_room(out, size);
    for (size_t i = 0; i < size; i++)
        to[i] = (uint8_t)(raw >> (8 * i));
    out->size += size;
}

/* A length that is not known yet: one byte is kept for it, and what follows moves when it needs more. */
static inline size_t wire_open_length(struct weir_buffer *out)
{
    buffer_byte(out, 0);
    return out->size;
}

static inline void wire_close_length(struct weir_buffer *out, size_t begin)
{
    size_t length = out->size - begin;
    uint8_t head[10];
    size_t head_size = wire_put_varint(head, length);
    if (head_size > 1) {
        buffer_room(out, head_size - 1);
        memmove(out->data + begin + head_size - 1, out->data + begin, length);
        out->size += head_size - 1;
    }
    memcpy(out->data + begin - 1, head, head_size);
}

/* By enum weir_field_type. */
static inline enum wire_type wire_type_of(uint8_t type)
{
    switch ((enum weir_field_type)type) {
    case WEIR_TYPE_DOUBLE:
    case WEIR_TYPE_FIXED64:
    case WEIR_TYPE_SFIXED64:
        return WIRE_FIXED64;
    case WEIR_TYPE_FLOAT:
    case WEIR_TYPE_FIXED32:
    case WEIR_TYPE_SFIXED32:
        return WIRE_FIXED32;
    case WEIR_TYPE_STRING:
    case WEIR_TYPE_BYTES:
    case WEIR_TYPE_MESSAGE:
        return WIRE_BYTES;
    default:
        return WIRE_VARINT;
    }
}

#endif
