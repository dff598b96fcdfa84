/* Memory that is freed all at once: each call has one. Not thread-safe. */
#ifndef WEIR_ARENA_H
#define WEIR_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include <weir/bytes.h>
#include <weir/export.h>

struct weir_arena;

WEIR_API struct weir_arena *weir_arena_new(void);
WEIR_API void weir_arena_destroy(struct weir_arena *arena); /* NULL is fine */

/* Frees all that was allocated; keeps the first block for reuse. */
WEIR_API void weir_arena_reset(struct weir_arena *arena);

/* Aligned for any type, not cleared. Never NULL: out of memory ends the process, so bound `size` first. */
WEIR_API void *weir_arena_alloc(struct weir_arena *arena, size_t size);
WEIR_API void *weir_arena_zalloc(struct weir_arena *arena, size_t size);
WEIR_API char *weir_arena_strdup(struct weir_arena *arena, const char *text);      /* NULL gives NULL */
WEIR_API char *weir_arena_text(struct weir_arena *arena, struct weir_bytes bytes); /* terminated copy */
WEIR_API char *weir_arena_printf(struct weir_arena *arena, const char *format, ...) WEIR_PRINTF(2, 3);
WEIR_API char *weir_arena_vprintf(struct weir_arena *arena, const char *format, va_list args);

/* Bytes handed out since the last reset. */
WEIR_API size_t weir_arena_used(const struct weir_arena *arena);

#endif
