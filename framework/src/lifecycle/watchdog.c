#include "lifecycle/watchdog.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <weir/clock.h>

#include "lifecycle/runner.h"

static void *watch(void *arg)
{
    struct watchdog *watchdog = arg;
    pthread_setname_np(pthread_self(), "weir-watchdog");
    pthread_mutex_lock(&watchdog->lock);
    while (!watchdog->ended && weir_now_ns() < watchdog->deadline_ns) {
        if (watchdog->deadline_ns == WEIR_NEVER) {
            pthread_cond_wait(&watchdog->changed, &watchdog->lock);
            continue;
        }
        struct timespec at = {.tv_sec = watchdog->deadline_ns / WEIR_NS_PER_S,
                              .tv_nsec = watchdog->deadline_ns % WEIR_NS_PER_S};
        pthread_cond_timedwait(&watchdog->changed, &watchdog->lock, &at);
    }
    if (!watchdog->ended) {
        dprintf(STDERR_FILENO, "weir: the stop's deadline is over, the process ends now; what runs:\n");
        runner_print_running(watchdog->runner, STDERR_FILENO);
        _exit(EX_TEMPFAIL);
    }
    pthread_mutex_unlock(&watchdog->lock);
    return NULL;
}

void watchdog_init(struct watchdog *watchdog, struct runner *runner)
{
    *watchdog = (struct watchdog){.deadline_ns = WEIR_NEVER, .runner = runner};
    pthread_mutex_init(&watchdog->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&watchdog->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&watchdog->thread, NULL, watch, watchdog) != 0) {
        perror("weir: the watchdog's thread");
        abort();
    }
}

void watchdog_arm(struct watchdog *watchdog, int64_t deadline_ns)
{
    pthread_mutex_lock(&watchdog->lock);
    watchdog->deadline_ns = deadline_ns;
    pthread_cond_signal(&watchdog->changed);
    pthread_mutex_unlock(&watchdog->lock);
}

void watchdog_clean_up(struct watchdog *watchdog)
{
    pthread_mutex_lock(&watchdog->lock);
    watchdog->ended = true;
    pthread_cond_signal(&watchdog->changed);
    pthread_mutex_unlock(&watchdog->lock);
    pthread_join(watchdog->thread, NULL);
    pthread_cond_destroy(&watchdog->changed);
    pthread_mutex_destroy(&watchdog->lock);
}
