/* Views of memory, and a buffer that grows. A buffer belongs to one thread at a time. */
#ifndef WEIR_BYTES_H
#define WEIR_BYTES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <weir/export.h>

/* Bytes of somebody else. `data` may be NULL when size is 0. Not terminated. */
struct weir_bytes {
    const uint8_t *data;
    size_t size;
};

static inline struct weir_bytes weir_bytes(const void *data, size_t size)
{
    return (struct weir_bytes){.data = (const uint8_t *)data, .size = size};
}

/* The text without its terminator; NULL is empty. */
static inline struct weir_bytes weir_bytes_of_text(const char *text)
{
    return weir_bytes(text, text ? strlen(text) : 0);
}

WEIR_API bool weir_bytes_equal(struct weir_bytes left, struct weir_bytes right);
WEIR_API bool weir_bytes_equal_text(struct weir_bytes left, const char *right);

/* Zero is a valid, empty buffer. Out of memory ends the process: limit what comes from outside first. */
struct weir_buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

/* Room for `more` bytes behind size; returns where they begin. The caller adds what it wrote to size. */
WEIR_API uint8_t *weir_buffer_reserve(struct weir_buffer *buffer, size_t more);
WEIR_API void weir_buffer_append(struct weir_buffer *buffer, const void *data, size_t size);
WEIR_API void weir_buffer_append_text(struct weir_buffer *buffer, const char *text);
WEIR_API void weir_buffer_append_byte(struct weir_buffer *buffer, uint8_t byte);
WEIR_API void weir_buffer_printf(struct weir_buffer *buffer, const char *format, ...) WEIR_PRINTF(2, 3);
WEIR_API void weir_buffer_vprintf(struct weir_buffer *buffer, const char *format, va_list args);
/* A terminator behind size, which stays as it is. Valid until the next change. */
WEIR_API const char *weir_buffer_text(struct weir_buffer *buffer);
WEIR_API void weir_buffer_clear(struct weir_buffer *buffer);
/* Frees the memory; the buffer is empty and usable again. */
WEIR_API void weir_buffer_free(struct weir_buffer *buffer);

static inline struct weir_bytes weir_buffer_bytes(const struct weir_buffer *buffer)
{
    return weir_bytes(buffer->data, buffer->size);
}

#endif
