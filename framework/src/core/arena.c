#include <pthread.h>
#include <stdalign.h>
#include <stdbool.h>
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

/* ---- Arenas that a thread has destroyed, for its next ones: every call needs one, and its block is more
 * than malloc's own cache takes. AddressSanitizer is to see each use of a destroyed one, so not there. ----
 */

#if defined(__SANITIZE_ADDRESS__)
#define UNUSED_MAX 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNUSED_MAX 0
#endif
#endif
#ifndef UNUSED_MAX
#define UNUSED_MAX 16
#endif

struct unused {
    struct weir_arena *list[UNUSED_MAX + 1];
    int count;
};

static pthread_once_t unused_once = PTHREAD_ONCE_INIT;
static pthread_key_t unused_key;
static _Thread_local struct unused *unused;

static void arena_free(struct weir_arena *arena)
{
    free(arena->first);
    free(arena);
}

/* Runs on: a thread that ends. */
static void unused_clean_up(void *arg)
{
    struct unused *mine = arg;
    unused = NULL;
    while (mine->count > 0)
        arena_free(mine->list[--mine->count]);
    free(mine);
}

static void unused_make_key(void)
{
    if (pthread_key_create(&unused_key, unused_clean_up) != 0)
        abort();
}

static bool unused_keep(struct weir_arena *arena)
{
    if (!unused) {
        pthread_once(&unused_once, unused_make_key);
        unused = NEW(struct unused);
        pthread_setspecific(unused_key, unused);
    }
    if (unused->count >= UNUSED_MAX)
        return false;
    unused->list[unused->count++] = arena;
    return true;
}

struct weir_arena *weir_arena_new(void)
{
    if (unused && unused->count > 0)
        return unused->list[--unused->count];
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
    if (!unused_keep(arena))
        arena_free(arena);
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
