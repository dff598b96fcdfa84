#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/bytes.h>

#include "core/memory.h"

bool weir_bytes_equal(struct weir_bytes left, struct weir_bytes right)
{
    return left.size == right.size && (left.size == 0 || memcmp(left.data, right.data, left.size) == 0);
}

bool weir_bytes_equal_text(struct weir_bytes left, const char *right)
{
    return weir_bytes_equal(left, weir_bytes_of_text(right));
}

uint8_t *weir_buffer_reserve(struct weir_buffer *buffer, size_t more)
{
    if (buffer->capacity - buffer->size < more) {
        size_t capacity = buffer->capacity ? buffer->capacity : 64;
        while (capacity - buffer->size < more)
            capacity *= 2;
        buffer->data = memory_realloc(buffer->data, capacity);
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->size;
}

void weir_buffer_append(struct weir_buffer *buffer, const void *data, size_t size)
{
    if (size == 0)
        return;
    memcpy(weir_buffer_reserve(buffer, size), data, size);
    buffer->size += size;
}

void weir_buffer_append_text(struct weir_buffer *buffer, const char *text)
{
    weir_buffer_append(buffer, text, strlen(text));
}

void weir_buffer_append_byte(struct weir_buffer *buffer, uint8_t byte)
{
    *weir_buffer_reserve(buffer, 1) = byte;
    buffer->size++;
}

void weir_buffer_printf(struct weir_buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    weir_buffer_vprintf(buffer, format, args);
    va_end(args);
}

void weir_buffer_vprintf(struct weir_buffer *buffer, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    size_t room = buffer->capacity - buffer->size;
    int length = vsnprintf(room ? (char *)buffer->data + buffer->size : NULL, room, format, args);
    if (length > 0) {
        if ((size_t)length >= room)
            vsnprintf((char *)weir_buffer_reserve(buffer, (size_t)length + 1), (size_t)length + 1, format,
                      again);
        buffer->size += (size_t)length;
    }
    va_end(again);
}

const char *weir_buffer_text(struct weir_buffer *buffer)
{
    *weir_buffer_reserve(buffer, 1) = 0;
    return (const char *)buffer->data;
}

void weir_buffer_clear(struct weir_buffer *buffer)
{
    buffer->size = 0;
}

void weir_buffer_free(struct weir_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct weir_buffer){0};
}
