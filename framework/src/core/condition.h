/* Waiting on the clock that deadlines are on, for a condition of one's own that the end of a context may end,
 * too:
 *
 *     condition_watch(&watch, context, &lock, &changed);
 *     pthread_mutex_lock(&lock);
 *     while (busy && weir_context_status(context) == WEIR_OK)
 *         condition_wait(&changed, &lock, weir_context_deadline_ns(context));
 *     pthread_mutex_unlock(&lock);
 *     condition_unwatch(&watch); */
#ifndef WEIR_CORE_CONDITION_H
#define WEIR_CORE_CONDITION_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/context.h>

/* On the monotonic clock. */
void condition_init(pthread_cond_t *condition);

/* Until it is signalled (or for nothing, as with pthread_cond_wait). False: `until_ns` has come; it may be
 * WEIR_NEVER. Holds: lock, lets go of it meanwhile. */
bool condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until_ns);

struct condition_watch {
    struct weir_context_watch watch; /* first */
    pthread_mutex_t *lock;
    pthread_cond_t *condition;
};

/* From now on the end of `context` broadcasts `condition`. Its deadline alone does not. Holds: not lock. */
void condition_watch(struct condition_watch *watch, struct weir_context *context, pthread_mutex_t *lock,
                     pthread_cond_t *condition);
/* Holds: not lock. */
void condition_unwatch(struct condition_watch *watch);

#endif
