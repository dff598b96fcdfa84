#include "lifecycle/watchdog.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include <weir/clock.h>

#include "core/condition.h"
#include "lifecycle/runner.h"

static void *watch(void *arg)
{
    struct watchdog *watchdog = arg;
    pthread_setname_np(pthread_self(), "weir-watchdog");
    pthread_mutex_lock(&watchdog->lock);
    while (!watchdog->ended && weir_now_ns() < watchdog->deadline_ns) {
        condition_wait(&watchdog->changed, &watchdog->lock, watchdog->deadline_ns);
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
    condition_init(&watchdog->changed);
    if (pthread_create(&watchdog->thread, NULL, watch, watchdog) != 0) {
        perror("weir: the watchdog's thread");
        abort();
    }
}

void watchdog_arm(struct watchdog *watchdog, int64_t deadline_ns)
{
    if (!watchdog->runner)
        return;
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
