#include "core/condition.h"

#include <time.h>

#include <weir/clock.h>

#include "core/clock.h"

void condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

struct sleeper {
    struct clock_wait wait; /* first */
    pthread_cond_t *condition;
};

static void wake(struct clock_wait *wait)
{
    pthread_cond_broadcast(((struct sleeper *)wait)->condition);
}

bool condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until_ns)
{
    if (until_ns == WEIR_NEVER)
        return pthread_cond_wait(condition, lock) == 0;
    struct sleeper sleeper = {{.until_ns = until_ns, .wake = wake}, condition};
    if (clock_wait_begin(&sleeper.wait)) {
        if (weir_now_ns() < until_ns)
            pthread_cond_wait(condition, lock);
        clock_wait_end(&sleeper.wait);
        return weir_now_ns() < until_ns;
    }
    struct timespec at = {.tv_sec = until_ns / WEIR_NS_PER_S, .tv_nsec = until_ns % WEIR_NS_PER_S};
    return pthread_cond_timedwait(condition, lock, &at) == 0;
}

static void context_is_over(struct weir_context_watch *context_watch, enum weir_status status)
{
    (void)status;
    struct condition_watch *watch = (struct condition_watch *)context_watch;
    pthread_mutex_lock(watch->lock);
    pthread_cond_broadcast(watch->condition);
    pthread_mutex_unlock(watch->lock);
}

void condition_watch(struct condition_watch *watch, struct weir_context *context, pthread_mutex_t *lock,
                     pthread_cond_t *condition)
{
    *watch = (struct condition_watch){.watch.over = context_is_over, .lock = lock, .condition = condition};
    weir_context_watch(context, &watch->watch);
}

void condition_unwatch(struct condition_watch *watch)
{
    weir_context_unwatch(&watch->watch);
}
