#include <weir/timer.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/config.h>

#include "call/call.h"
#include "core/condition.h"
#include "core/memory.h"
#include "lifecycle/process.h"

struct weir_timer {
    struct weir_component component; /* first: a handle */
    weir_timer_step_fn *step;
    struct weir_timer_options options;
    pthread_t thread;
    bool started;

    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    bool woken, stopping;
    struct weir_call *running; /* the step's call */
};

static const struct weir_config_key keys[] = {
    {.name = "every_ms",
     .type = WEIR_CONFIG_INT,
     .offset = offsetof(struct weir_timer_options, every_ms),
     .min = 1,
     .max = 86400000,
     .required = true,
     .help = "time between two steps, in ms"},
    {.name = "timeout_ms",
     .type = WEIR_CONFIG_INT,
     .offset = offsetof(struct weir_timer_options, timeout_ms),
     .fallback = "30000",
     .min = 1,
     .max = 86400000,
     .help = "a step's deadline, in ms"},
    {0},
};

/* Holds: lock; gives it up while the step runs. */
static bool run_step(struct weir_timer *timer)
{
    struct weir_call *call = weir_call_background(timer, timer->options.self, timer->options.timeout_ms);
    timer->running = call;
    timer->woken = false;
    pthread_mutex_unlock(&timer->lock);
    bool more = timer->step(call);
    process_end_fork();
    pthread_mutex_lock(&timer->lock);
    timer->running = NULL;
    pthread_mutex_unlock(&timer->lock);
    weir_call_background_end(call);
    pthread_mutex_lock(&timer->lock);
    return more;
}

static void *run(void *arg)
{
    struct weir_timer *timer = arg;
    pthread_setname_np(pthread_self(), "timer");
    pthread_mutex_lock(&timer->lock);
    bool more = false;
    while (!timer->stopping) {
        int64_t next = weir_deadline_in_ms(timer->options.every_ms);
        while (!more && !timer->woken && !timer->stopping && weir_now_ns() < next)
            condition_wait(&timer->changed, &timer->lock, next);
        if (!timer->stopping)
            more = run_step(timer);
    }
    pthread_mutex_unlock(&timer->lock);
    return NULL;
}

static enum weir_status start(void *self, struct weir_context *context, struct weir_error *err)
{
    (void)context;
    struct weir_timer *timer = self;
    timer->stopping = false;
    int error = pthread_create(&timer->thread, NULL, run, timer);
    if (error)
        return weir_fail_errno(err, WEIR_RESOURCE_EXHAUSTED, error, "cannot start a thread");
    timer->started = true;
    return WEIR_OK;
}

static enum weir_status quiesce(void *self, struct weir_error *err)
{
    (void)err;
    struct weir_timer *timer = self;
    pthread_mutex_lock(&timer->lock);
    timer->stopping = true;
    pthread_cond_broadcast(&timer->changed);
    pthread_mutex_unlock(&timer->lock);
    return WEIR_OK;
}

/* Told when the drain's time is over: cancels the step that runs. */
struct cut {
    struct weir_context_watch watch;
    struct weir_timer *timer;
    bool cancelled;
};

static void cut_it(struct weir_context_watch *watch, enum weir_status status)
{
    (void)status;
    struct cut *cut = (struct cut *)watch;
    pthread_mutex_lock(&cut->timer->lock);
    if (cut->timer->running) {
        cut->cancelled = true;
        context_end(&cut->timer->running->context, WEIR_CANCELLED);
    }
    pthread_mutex_unlock(&cut->timer->lock);
}

static enum weir_status drain(void *self, struct weir_context *context, struct weir_work *work,
                              struct weir_error *err)
{
    (void)err;
    struct weir_timer *timer = self;
    struct cut cut = {.watch.over = cut_it, .timer = timer};
    pthread_mutex_lock(&timer->lock);
    work->in_flight += timer->running ? 1 : 0;
    bool was_running = timer->running;
    pthread_mutex_unlock(&timer->lock);

    weir_context_watch(context, &cut.watch);
    pthread_join(timer->thread, NULL);
    timer->started = false;
    weir_context_unwatch(&cut.watch);
    if (was_running)
        *(cut.cancelled ? &work->cancelled : &work->completed) += 1;
    return WEIR_OK;
}

static void destroy(void *self)
{
    struct weir_timer *timer = self;
    if (timer->started) { /* a start that was given up on, and came back */
        quiesce(timer, NULL);
        pthread_join(timer->thread, NULL);
    }
    pthread_cond_destroy(&timer->changed);
    pthread_mutex_destroy(&timer->lock);
    free(timer);
}

struct weir_timer *weir_timer_add(struct weir_app *app, const char *name, weir_timer_step_fn *step,
                                  const struct weir_timer_options *options)
{
    static const struct weir_component_ops ops = {
        .start = start, .quiesce = quiesce, .drain = drain, .destroy = destroy};
    struct weir_timer *timer = NEW(struct weir_timer);
    timer->step = step;
    if (options)
        timer->options = *options;
    pthread_mutex_init(&timer->lock, NULL);
    condition_init(&timer->changed);

    struct weir_component_options component = {0};
    memcpy(component.needs, timer->options.needs, sizeof component.needs);
    weir_config_section(app, name, keys, &timer->options);
    component_add(app, &timer->component, name, &ops, timer, &component);
    return timer;
}

void weir_timer_wake(struct weir_timer *timer)
{
    pthread_mutex_lock(&timer->lock);
    timer->woken = true;
    pthread_cond_broadcast(&timer->changed);
    pthread_mutex_unlock(&timer->lock);
}
