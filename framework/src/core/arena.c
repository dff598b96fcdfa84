#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/arena.h>

#include "core/memory.h"

#define FIRST_BLOCK 4096
#define LARGEST_BLOCK 65536

struct block {
    struct block *next;
    size_t size;
    alignas(max_align_t) char data[];
};

/* The first block is kept for ever; the others, newest first, until the next reset. */
struct weir_arena {
    struct block *newest, *first;
    char *free, *end; /* of the newest block */
    size_t used;
};

static struct block *block_new(size_t size)
{
    struct block *block = memory_alloc(sizeof *block + size);
    block->next = NULL;
    block->size = size;
    return block;
}

static void use_block(struct weir_arena *arena, struct block *block)
{
    arena->newest = block;
    arena->free = block->data;
    arena->end = block->data + block->size;
}

struct weir_arena *weir_arena_new(void)
{
    struct weir_arena *arena = NEW(struct weir_arena);
    arena->first = block_new(FIRST_BLOCK - sizeof(struct block));
    use_block(arena, arena->first);
    return arena;
}

void weir_arena_reset(struct weir_arena *arena)
{
    while (arena->newest != arena->first) {
        struct block *next = arena->newest->next;
        free(arena->newest);
        arena->newest = next;
    }
    use_block(arena, arena->first);
    arena->used = 0;
}

void weir_arena_destroy(struct weir_arena *arena)
{
    if (!arena)
        return;
    weir_arena_reset(arena);
    free(arena->first);
    free(arena);
}

static void grow(struct weir_arena *arena, size_t size)
{
    size_t next = arena->newest->size * 2;
    if (next > LARGEST_BLOCK)
        next = LARGEST_BLOCK;
    struct block *block = block_new(size > next ? size : next);
    block->next = arena->newest;
    use_block(arena, block);
}

void *weir_arena_alloc(struct weir_arena *arena, size_t size)
{
    size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if ((size_t)(arena->end - arena->free) < size)
        grow(arena, size);
    void *memory = arena->free;
    arena->free += size;
    arena->used += size;
    return memory;
}

void *weir_arena_zalloc(struct weir_arena *arena, size_t size)
{
    return memset(weir_arena_alloc(arena, size), 0, size);
}

char *weir_arena_text(struct weir_arena *arena, struct weir_bytes bytes)
{
    char *copy = weir_arena_alloc(arena, bytes.size + 1);
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    copy[bytes.size] = 0;
    return copy;
}

char *weir_arena_strdup(struct weir_arena *arena, const char *text)
{
    return text ? weir_arena_text(arena, weir_bytes_of_text(text)) : NULL;
}

char *weir_arena_vprintf(struct weir_arena *arena, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    size_t size = length < 0 ? 1 : (size_t)length + 1;
    char *text = weir_arena_zalloc(arena, size);
    vsnprintf(text, size, format, again);
    va_end(again);
    return text;
}

char *weir_arena_printf(struct weir_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = weir_arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}

size_t weir_arena_used(const struct weir_arena *arena)
{
    return arena->used;
}
