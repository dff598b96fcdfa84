/* weir_buffer's appending, inline: the codec appends a few bytes at a time, millions of times. */
#ifndef WEIR_CODEC_BUFFER_H
#define WEIR_CODEC_BUFFER_H

#include <string.h>

#include <weir/bytes.h>

static inline uint8_t *buffer_room(struct weir_buffer *buffer, size_t more)
{
    return buffer->capacity - buffer->size > more ? buffer->data + buffer->size
                                                  : weir_buffer_reserve(buffer, more + 1);
}

static inline void buffer_byte(struct weir_buffer *buffer, uint8_t byte)
{
    *buffer_room(buffer, 1) = byte;
    buffer->size++;
}

static inline void buffer_append(struct weir_buffer *buffer, const void *data, size_t size)
{
    if (size == 0)
        return;
    memcpy(buffer_room(buffer, size), data, size);
    buffer->size += size;
}

#endif
