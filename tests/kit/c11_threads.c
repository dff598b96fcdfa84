/* ThreadSanitizer knows POSIX threads and not C11's, which librdkafka uses: it crashes in threads that it did
 * not see begin. Under it, C11's functions are these. (glibc's types are POSIX types under other names.) */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

struct begin {
    thrd_start_t function;
    void *arg;
};

static void *run(void *arg)
{
    struct begin begin = *(struct begin *)arg;
    free(arg);
    return (void *)(intptr_t)begin.function(begin.arg);
}

static int result_of(int error)
{
    return error == 0           ? thrd_success
           : error == ETIMEDOUT ? thrd_timedout
           : error == EBUSY     ? thrd_busy
                                : thrd_error;
}

#define MUTEX(mutex) ((pthread_mutex_t *)(void *)(mutex))
#define CONDITION(condition) ((pthread_cond_t *)(void *)(condition))
#define EXPORTED __attribute__((visibility("default")))

EXPORTED int thrd_create(thrd_t *thread, thrd_start_t function, void *arg)
{
    struct begin *begin = malloc(sizeof *begin);
    *begin = (struct begin){function, arg};
    return result_of(pthread_create(thread, NULL, run, begin));
}

EXPORTED int thrd_join(thrd_t thread, int *ret_result)
{
    void *result = NULL;
    int error = pthread_join(thread, &result);
    if (ret_result)
        *ret_result = (int)(intptr_t)result;
    return result_of(error);
}

EXPORTED int thrd_detach(thrd_t thread)
{
    return result_of(pthread_detach(thread));
}

EXPORTED int mtx_init(mtx_t *mutex, int type)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes,
                              type & mtx_recursive ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL);
    int error = pthread_mutex_init(MUTEX(mutex), &attributes);
    pthread_mutexattr_destroy(&attributes);
    return result_of(error);
}

EXPORTED void mtx_destroy(mtx_t *mutex)
{
    pthread_mutex_destroy(MUTEX(mutex));
}

EXPORTED int mtx_lock(mtx_t *mutex)
{
    return result_of(pthread_mutex_lock(MUTEX(mutex)));
}

EXPORTED int mtx_trylock(mtx_t *mutex)
{
    return result_of(pthread_mutex_trylock(MUTEX(mutex)));
}

EXPORTED int mtx_unlock(mtx_t *mutex)
{
    return result_of(pthread_mutex_unlock(MUTEX(mutex)));
}

EXPORTED int cnd_init(cnd_t *condition)
{
    return result_of(pthread_cond_init(CONDITION(condition), NULL));
}

EXPORTED void cnd_destroy(cnd_t *condition)
{
    pthread_cond_destroy(CONDITION(condition));
}

EXPORTED int cnd_signal(cnd_t *condition)
{
    return result_of(pthread_cond_signal(CONDITION(condition)));
}

EXPORTED int cnd_broadcast(cnd_t *condition)
{
    return result_of(pthread_cond_broadcast(CONDITION(condition)));
}

EXPORTED int cnd_wait(cnd_t *condition, mtx_t *mutex)
{
    return result_of(pthread_cond_wait(CONDITION(condition), MUTEX(mutex)));
}

EXPORTED int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex,
                           const struct timespec *restrict until)
{
    return result_of(pthread_cond_timedwait(CONDITION(condition), MUTEX(mutex), until));
}
