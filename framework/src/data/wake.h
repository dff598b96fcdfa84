/* Waiting for a condition of one's own that the end of a context must end, too. */
#ifndef WEIR_DATA_WAKE_H
#define WEIR_DATA_WAKE_H

#include <pthread.h>
#include <stdint.h>

#include <weir/context.h>

struct wake {
    struct weir_context_watch watch; /* first */
    pthread_mutex_t *lock;
    pthread_cond_t *condition;
};

/* Made for the monotonic clock. */
void wake_condition_init(pthread_cond_t *condition);

/* From now on the end of `context` broadcasts `condition`. Holds: not lock. */
void wake_begin(struct wake *wake, struct weir_context *context, pthread_mutex_t *lock,
                pthread_cond_t *condition);
/* Holds: not lock. */
void wake_end(struct wake *wake);

/* Until the condition is signalled or the time has come. Holds: lock. */
void wake_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until_ns);

#endif
