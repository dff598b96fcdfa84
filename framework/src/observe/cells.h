/* Numbers that many threads add to. Each thread has cells of its own, which only it writes: adding is a load
 * and a store, without a lock, and no thread takes a cache line from another one. Who reads adds them up. What
 * a thread has counted stays when it ends: the next new thread goes on with its cells. Any thread. */
#ifndef WEIR_OBSERVE_CELLS_H
#define WEIR_OBSERVE_CELLS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define CELLS_PER_CHUNK 512
#define CELLS_CHUNKS 256

typedef _Atomic int64_t cells_chunk[CELLS_PER_CHUNK];

/* Of one thread. */
struct cells {
    _Atomic(cells_chunk *) chunks[CELLS_CHUNKS]; /* NULL until it counts there */
    struct cells *next, *next_free;
};

/* The number of the first of `count` new ones that stand together; they are never given back. When all are
 * taken, which is a defect of who makes metrics without end, they share the last ones. */
size_t cells_take(size_t count);
int64_t cells_sum(size_t cell);

/* For cells_add(). */
extern _Thread_local struct cells *cells_mine;
cells_chunk *cells_chunk_of(size_t chunk);

static inline void cells_add(size_t cell, int64_t more)
{
    cells_chunk *chunk =
        cells_mine ? atomic_load_explicit(&cells_mine->chunks[cell / CELLS_PER_CHUNK], memory_order_relaxed)
                   : NULL;
    if (!chunk)
        chunk = cells_chunk_of(cell / CELLS_PER_CHUNK);
    _Atomic int64_t *mine = &(*chunk)[cell % CELLS_PER_CHUNK];
    atomic_store_explicit(mine, atomic_load_explicit(mine, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

#endif
