#include "data/wake.h"

#include <weir/clock.h>

void wake_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void context_is_over(struct weir_context_watch *watch, enum weir_status status)
{
    (void)status;
    struct wake *wake = (struct wake *)watch;
    pthread_mutex_lock(wake->lock);
    pthread_cond_broadcast(wake->condition);
    pthread_mutex_unlock(wake->lock);
}

void wake_begin(struct wake *wake, struct weir_context *context, pthread_mutex_t *lock,
                pthread_cond_t *condition)
{
    *wake = (struct wake){.watch.over = context_is_over, .lock = lock, .condition = condition};
    weir_context_watch(context, &wake->watch);
}

void wake_end(struct wake *wake)
{
    weir_context_unwatch(&wake->watch);
}

void wake_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until_ns)
{
    if (until_ns == WEIR_NEVER) {
        pthread_cond_wait(condition, lock);
        return;
    }
    struct timespec at = {.tv_sec = until_ns / WEIR_NS_PER_S, .tv_nsec = until_ns % WEIR_NS_PER_S};
    pthread_cond_timedwait(condition, lock, &at);
}
