#include "call/gate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <weir/clock.h>

#include "core/condition.h"

/* Threads count in cells of their own, as far as there are enough, so that none takes a cache line from another
 * one. A cell's word says it all, so that entering and leaving is one atomic operation each: how many are in
 * flight that have entered there, how many may be, and two flags.
 *
 * Of a limit each cell has a part, and takes more from the pool, or from cells that do not use theirs, when it
 * runs out; that takes the lock.
 *
 * While DRAINING, leaving takes the lock: who waits for an empty gate may destroy it as soon as it is empty. */
#define CLOSED (INT64_C(1) << 62)
#define DRAINING (INT64_C(1) << 61)
#define PART (INT64_C(1) << 30) /* one of a cell's part */
#define COUNT(word) ((word) & (PART - 1))
#define MAY_BE(word) (((word) & (DRAINING - 1)) / PART)
#define MOST (PART - 1) /* what a word has room for */

#define CELLS 16
#define TAKES 64 /* at once, of the pool */

struct cell {
    _Alignas(64) _Atomic int64_t word;
};

struct gate {
    struct cell cells[CELLS];
    _Atomic int64_t arrived; /* while draining */
    pthread_mutex_t lock;    /* all below */
    pthread_cond_t changed;
    int64_t pool; /* of the limit; in no cell */
    bool drains;
    int64_t at_drain;
    int64_t completed, cancelled;
    bool cut;
};

static unsigned cell_of_thread(void)
{
    static atomic_uint threads;
    static _Thread_local unsigned mine; /* + 1 */
    if (mine == 0)
        mine = 1 + atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % CELLS;
    return mine - 1;
}

struct gate *gate_new(int64_t most)
{
    struct gate *gate = aligned_alloc(_Alignof(struct gate), sizeof *gate);
    if (!gate)
        abort();
    *gate = (struct gate){.pool = most > 0 && most < MOST ? most : 0};
    for (int i = 0; i < CELLS; i++)
        atomic_init(&gate->cells[i].word, most > 0 && most < MOST ? 0 : MOST * PART);
    pthread_mutex_init(&gate->lock, NULL);
    condition_init(&gate->changed);
    return gate;
}

void gate_destroy(struct gate *gate)
{
    if (!gate)
        return;
    pthread_cond_destroy(&gate->changed);
    pthread_mutex_destroy(&gate->lock);
    free(gate);
}

/* ---- Entering ---- */

/* Holds: lock. From a cell that does not use all of its part; half of what it does not. */
static bool take_back_some(struct gate *gate)
{
    for (int i = 0; i < CELLS; i++) {
        int64_t word = atomic_load(&gate->cells[i].word);
        int64_t unused = MAY_BE(word) - COUNT(word), some = (unused + 1) / 2;
        if (unused > 0 && atomic_compare_exchange_strong(&gate->cells[i].word, &word, word - some * PART)) {
            gate->pool += some;
            return true;
        }
    }
    return false;
}

/* Holds: lock. */
static bool find_more(struct gate *gate, struct cell *cell)
{
    if (gate->pool == 0 && !take_back_some(gate))
        return false;
    int64_t some = gate->pool < TAKES ? gate->pool : TAKES;
    gate->pool -= some;
    atomic_fetch_add(&cell->word, some * PART);
    return true;
}

static enum weir_status enter(struct gate *gate, struct cell *cell)
{
    int64_t word = atomic_load_explicit(&cell->word, memory_order_relaxed);
    for (;;) {
        if (word & CLOSED)
            return WEIR_UNAVAILABLE;
        if (COUNT(word) >= MAY_BE(word))
            return WEIR_RESOURCE_EXHAUSTED;
        if (atomic_compare_exchange_weak(&cell->word, &word, word + 1))
            break;
    }
    if (word & DRAINING)
        atomic_fetch_add(&gate->arrived, 1);
    return WEIR_OK;
}

static enum weir_status enter_cell(struct gate *gate, struct cell *cell)
{
    enum weir_status status = enter(gate, cell);
    if (status != WEIR_RESOURCE_EXHAUSTED)
        return status;
    pthread_mutex_lock(&gate->lock);
    while (status == WEIR_RESOURCE_EXHAUSTED && find_more(gate, cell))
        status = enter(gate, cell);
    pthread_mutex_unlock(&gate->lock);
    return status;
}

enum weir_status gate_enter_here(struct gate *gate, uint8_t *ret_place)
{
    *ret_place = (uint8_t)cell_of_thread();
    return enter_cell(gate, &gate->cells[*ret_place]);
}

enum weir_status gate_enter(struct gate *gate)
{
    return enter_cell(gate, &gate->cells[0]);
}

/* ---- Leaving ---- */

/* Holds: lock. */
static void account(struct gate *gate, bool cancelled)
{
    if (cancelled && gate->cut)
        gate->cancelled++;
    else
        gate->completed++;
}

void gate_leave_from(struct gate *gate, uint8_t place, bool cancelled)
{
    _Atomic int64_t *word = &gate->cells[place].word;
    int64_t seen = atomic_load_explicit(word, memory_order_relaxed);
    while (!(seen & DRAINING))
        if (atomic_compare_exchange_weak(word, &seen, seen - 1))
            return;

    pthread_mutex_lock(&gate->lock);
    account(gate, cancelled);
    atomic_fetch_sub(word, 1);
    if (gate_in_flight(gate) == 0)
        pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

void gate_leave(struct gate *gate, bool cancelled)
{
    gate_leave_from(gate, 0, cancelled);
}

/* ---- The stop ---- */

/* The first cell is the last, so that all have what it has: see gate_is_draining(). */
void gate_drain(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    for (int i = CELLS; i-- > 0 && !gate->drains;)
        gate->at_drain += COUNT(atomic_fetch_or(&gate->cells[i].word, DRAINING));
    gate->drains = true;
    pthread_mutex_unlock(&gate->lock);
}

void gate_close(struct gate *gate)
{
    gate_drain(gate);
    for (int i = 0; i < CELLS; i++)
        atomic_fetch_or(&gate->cells[i].word, CLOSED);
}

void gate_cut(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->cut = true;
    pthread_mutex_unlock(&gate->lock);
}

bool gate_is_draining(const struct gate *gate)
{
    return (atomic_load_explicit(&gate->cells[0].word, memory_order_relaxed) & DRAINING) != 0;
}

void gate_was_cut(struct gate *gate, bool accounted)
{
    pthread_mutex_lock(&gate->lock);
    if (accounted)
        gate->completed--;
    else
        gate->at_drain++; /* it was in flight all the same: its result was on its way */
    gate->cancelled++;
    pthread_mutex_unlock(&gate->lock);
}

int64_t gate_in_flight(const struct gate *gate)
{
    int64_t count = 0;
    for (int i = 0; i < CELLS; i++) {
        int64_t word = atomic_load(&gate->cells[i].word);
        count += COUNT(word);
    }
    return count;
}

bool gate_wait_empty(struct gate *gate, struct weir_context *context)
{
    gate_drain(gate);
    struct condition_watch watch;
    condition_watch(&watch, context, &gate->lock, &gate->changed);

    pthread_mutex_lock(&gate->lock);
    while (gate_in_flight(gate) > 0 && weir_context_status(context) == WEIR_OK)
        condition_wait(&gate->changed, &gate->lock, weir_context_deadline_ns(context));
    bool empty = gate_in_flight(gate) == 0;
    pthread_mutex_unlock(&gate->lock);

    condition_unwatch(&watch);
    return empty;
}

void gate_account(const struct gate *gate, struct weir_work *work)
{
    struct gate *locked = (struct gate *)gate; /* the lock is all that changes */
    pthread_mutex_lock(&locked->lock);
    work->in_flight += gate->at_drain + atomic_load(&gate->arrived);
    work->completed += gate->completed;
    work->cancelled += gate->cancelled;
    work->stuck += gate_in_flight(gate);
    pthread_mutex_unlock(&locked->lock);
}
