#include "observe/cells.h"

#include <pthread.h>

#include "core/memory.h"

_Thread_local struct cells *cells_mine;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* all below */
static struct cells *all, *free_cells;
static size_t taken;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t leaving;

/* Runs on: a thread that ends. The lock hands what it wrote to the thread that goes on. */
static void give_back(void *arg)
{
    struct cells *mine = arg;
    cells_mine = NULL;
    pthread_mutex_lock(&lock);
    mine->next_free = free_cells;
    free_cells = mine;
    pthread_mutex_unlock(&lock);
}

static void prepare(void)
{
    pthread_key_create(&leaving, give_back);
}

static struct cells *join(void)
{
    pthread_once(&once, prepare);
    pthread_mutex_lock(&lock);
    struct cells *mine = free_cells;
    if (mine) {
        free_cells = mine->next_free;
    } else {
        mine = NEW(struct cells);
        mine->next = all;
        all = mine;
    }
    pthread_mutex_unlock(&lock);
    pthread_setspecific(leaving, mine);
    return mine;
}

cells_chunk *cells_chunk_of(size_t chunk)
{
    if (!cells_mine)
        cells_mine = join();
    cells_chunk *found = atomic_load_explicit(&cells_mine->chunks[chunk], memory_order_relaxed);
    if (found)
        return found;
    found = NEW(cells_chunk);
    atomic_store_explicit(&cells_mine->chunks[chunk], found, memory_order_release);
    return found;
}

size_t cells_take(size_t count)
{
    size_t most = (size_t)CELLS_PER_CHUNK * CELLS_CHUNKS;
    pthread_mutex_lock(&lock);
    size_t first = taken + count <= most ? taken : most - count;
    taken = first + count;
    pthread_mutex_unlock(&lock);
    return first;
}

int64_t cells_sum(size_t cell)
{
    int64_t sum = 0;
    pthread_mutex_lock(&lock);
    for (const struct cells *at = all; at; at = at->next) {
        cells_chunk *chunk = atomic_load_explicit(&at->chunks[cell / CELLS_PER_CHUNK], memory_order_acquire);
        if (chunk)
            sum += atomic_load_explicit(&(*chunk)[cell % CELLS_PER_CHUNK], memory_order_relaxed);
    }
    pthread_mutex_unlock(&lock);
    return sum;
}
