#include "call/gate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <weir/clock.h>

#include "core/condition.h"
#include "core/memory.h"

/* One word says it all, so that entering and leaving is one atomic operation: the count, and two flags above
 * it. While DRAINING, leaving takes the lock: who waits for an empty gate may destroy it as soon as it is
 * empty. */
#define CLOSED (INT64_C(1) << 62)
#define DRAINING (INT64_C(1) << 61)
#define COUNT(state) ((state) & ~(CLOSED | DRAINING))

struct gate {
    _Atomic int64_t state;
    int64_t most;
    _Atomic int64_t arrived, refused; /* while draining */
    int64_t at_drain;                 /* Holds: lock, as all below */
    int64_t completed, cancelled;
    bool cut;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

struct gate *gate_new(int64_t most)
{
    struct gate *gate = NEW(struct gate);
    gate->most = most;
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

/* Takes one off the count. `outcome`: the counter of finished work to add to, or NULL for work that was
 * refused. */
static void leave(struct gate *gate, int64_t *outcome)
{
    int64_t state = atomic_load_explicit(&gate->state, memory_order_relaxed);
    while (!(state & DRAINING))
        if (atomic_compare_exchange_weak(&gate->state, &state, state - 1))
            return;

    pthread_mutex_lock(&gate->lock);
    if (outcome == &gate->cancelled && !gate->cut)
        outcome = &gate->completed;
    if (outcome)
        (*outcome)++;
    else
        atomic_fetch_add(&gate->refused, 1);
    if (COUNT(atomic_fetch_sub(&gate->state, 1)) == 1)
        pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

enum weir_status gate_enter(struct gate *gate)
{
    int64_t before = atomic_fetch_add(&gate->state, 1);
    if (before & DRAINING)
        atomic_fetch_add(&gate->arrived, 1);
    if (before & CLOSED) {
        leave(gate, NULL);
        return WEIR_UNAVAILABLE;
    }
    if (gate->most > 0 && COUNT(before) >= gate->most) {
        leave(gate, NULL);
        return WEIR_RESOURCE_EXHAUSTED;
    }
    return WEIR_OK;
}

void gate_leave(struct gate *gate, bool cancelled)
{
    leave(gate, cancelled ? &gate->cancelled : &gate->completed);
}

void gate_drain(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    int64_t before = atomic_fetch_or(&gate->state, DRAINING);
    if (!(before & DRAINING))
        gate->at_drain = COUNT(before);
    pthread_mutex_unlock(&gate->lock);
}

void gate_close(struct gate *gate)
{
    gate_drain(gate);
    atomic_fetch_or(&gate->state, CLOSED);
}

void gate_cut(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->cut = true;
    pthread_mutex_unlock(&gate->lock);
}

bool gate_is_draining(const struct gate *gate)
{
    return (atomic_load_explicit(&gate->state, memory_order_relaxed) & DRAINING) != 0;
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
    int64_t state = atomic_load(&gate->state);
    return COUNT(state);
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
    work->in_flight += gate->at_drain + atomic_load(&gate->arrived) - atomic_load(&gate->refused);
    work->completed += gate->completed;
    work->cancelled += gate->cancelled;
    work->stuck += gate_in_flight(gate);
    pthread_mutex_unlock(&locked->lock);
}
