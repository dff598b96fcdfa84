#include "lifecycle/watchdog.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <weir/clock.h>

#include "core/condition.h"
#include "lifecycle/runner.h"
#include "lifecycle/stack.h"

#define SAY_S 2                      /* for what it prints: nobody may read it */
#define LEAVE_NS (5 * WEIR_NS_PER_S) /* exit() has so long at least: a sanitizer looks for leaks there */

/* Says what runs on a thread of its own: standard error may be a pipe that is full. */
static void end_process(void *(*say)(void *), void *arg)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, say, arg) == 0)
        sleep(SAY_S);
    _exit(EX_TEMPFAIL);
}

static void *say_what_runs(void *arg)
{
    dprintf(STDERR_FILENO, "weir: the stop's deadline is over, the process ends now; what runs:\n");
    runner_print_running(arg, STDERR_FILENO);
    _exit(EX_TEMPFAIL);
}

static void *watch(void *arg)
{
    struct watchdog *watchdog = arg;
    pthread_setname_np(pthread_self(), "weir-watchdog");
    pthread_mutex_lock(&watchdog->lock);
    while (!watchdog->ended && weir_now_ns() < watchdog->deadline_ns) {
        condition_wait(&watchdog->changed, &watchdog->lock, watchdog->deadline_ns);
    }
    if (!watchdog->ended)
        end_process(say_what_runs, watchdog->runner);
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

/* ---- exit() ---- */

static struct {
    pid_t process;
    pthread_t thread; /* that calls exit() */
    int64_t deadline_ns;
} leaving;

static void *say_who_leaves(void *arg)
{
    (void)arg;
    dprintf(STDERR_FILENO,
            "weir: the stop's deadline is over, and exit() has not come to its end; it stands at:\n");
    stack_print(leaving.thread, STDERR_FILENO);
    _exit(EX_TEMPFAIL);
}

static void *watch_exit(void *arg)
{
    pthread_setname_np(pthread_self(), "weir-watchdog");
    for (int64_t left; (left = leaving.deadline_ns - weir_now_ns()) > 0;) {
        struct timespec wait = {.tv_sec = left / WEIR_NS_PER_S, .tv_nsec = left % WEIR_NS_PER_S};
        nanosleep(&wait, NULL);
    }
    end_process(say_who_leaves, arg);
    return NULL;
}

/* A program that goes on past the deadline of its app, or that forked, is no stop any more. */
static void exit_begins(void)
{
    int64_t now = weir_now_ns();
    if (getpid() != leaving.process || now >= leaving.deadline_ns)
        return;
    if (leaving.deadline_ns < now + LEAVE_NS)
        leaving.deadline_ns = now + LEAVE_NS;
    leaving.thread = pthread_self();
    pthread_t thread;
    if (pthread_create(&thread, NULL, watch_exit, NULL) == 0)
        pthread_detach(thread);
}

void watchdog_watch_exit(const struct watchdog *watchdog)
{
    bool registered = leaving.process == getpid();
    leaving.process = getpid();
    leaving.deadline_ns = watchdog->deadline_ns;
    stack_prepare();
    if (!registered)
        atexit(exit_begins);
}
