#include "call/executor.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/config.h>

#include "core/condition.h"
#include "core/memory.h"
#include "lifecycle/component.h"

struct executor {
    struct weir_component component; /* first: a handle; unused by an executor without an app */
    struct executor_options {
        int64_t threads, queue_max;
    } options;

    pthread_mutex_t lock; /* all below */
    pthread_cond_t work;  /* something is queued, or it stops */
    pthread_cond_t idle;  /* nothing is queued, nothing runs */
    struct executor_task *first, **last;
    int64_t queued, running;
    bool stopping;
    pthread_t *threads;
    int64_t started;
};

static void *run(void *arg)
{
    struct executor *executor = arg;
    pthread_setname_np(pthread_self(), "executor");
    pthread_mutex_lock(&executor->lock);
    for (;;) {
        while (!executor->first && !executor->stopping)
            pthread_cond_wait(&executor->work, &executor->lock);
        struct executor_task *task = executor->first;
        if (!task)
            break;
        executor->first = task->next;
        if (!executor->first)
            executor->last = &executor->first;
        executor->queued--;
        executor->running++;
        pthread_mutex_unlock(&executor->lock);
        task->run(task);
        pthread_mutex_lock(&executor->lock);
        executor->running--;
        if (executor->running == 0 && executor->queued == 0)
            pthread_cond_broadcast(&executor->idle);
    }
    pthread_mutex_unlock(&executor->lock);
    return NULL;
}

struct executor *executor_new(int64_t threads, int64_t queue_max)
{
    struct executor *executor = NEW(struct executor);
    executor->options.threads = threads;
    executor->options.queue_max = queue_max;
    executor->last = &executor->first;
    pthread_mutex_init(&executor->lock, NULL);
    pthread_cond_init(&executor->work, NULL);
    condition_init(&executor->idle);
    return executor;
}

enum weir_status executor_start(struct executor *executor, struct weir_error *err)
{
    executor->stopping = false;
    executor->threads = memory_zalloc((size_t)executor->options.threads * sizeof *executor->threads);
    for (; executor->started < executor->options.threads; executor->started++) {
        int error = pthread_create(&executor->threads[executor->started], NULL, run, executor);
        if (error) {
            executor_stop(executor);
            return weir_fail_errno(err, WEIR_RESOURCE_EXHAUSTED, error, "cannot start %lld executor threads",
                                   (long long)executor->options.threads);
        }
    }
    return WEIR_OK;
}

void executor_stop(struct executor *executor)
{
    pthread_mutex_lock(&executor->lock);
    executor->stopping = true;
    pthread_cond_broadcast(&executor->work);
    pthread_mutex_unlock(&executor->lock);
    for (int64_t i = 0; i < executor->started; i++)
        pthread_join(executor->threads[i], NULL);
    free(executor->threads);
    executor->threads = NULL;
    executor->started = 0;
}

void executor_destroy(struct executor *executor)
{
    if (!executor)
        return;
    executor_stop(executor);
    pthread_cond_destroy(&executor->idle);
    pthread_cond_destroy(&executor->work);
    pthread_mutex_destroy(&executor->lock);
    free(executor);
}

static bool add(struct executor *executor, struct executor_task *task, bool bounded)
{
    task->next = NULL;
    pthread_mutex_lock(&executor->lock);
    bool taken = !executor->stopping && (!bounded || executor->queued < executor->options.queue_max);
    if (taken) {
        *executor->last = task;
        executor->last = &task->next;
        executor->queued++;
    }
    pthread_mutex_unlock(&executor->lock);
    if (taken) /* not under the lock, on which the one that wakes would have to wait */
        pthread_cond_signal(&executor->work);
    return taken;
}

bool executor_submit(struct executor *executor, struct executor_task *task)
{
    return add(executor, task, true);
}

void executor_continue(struct executor *executor, struct executor_task *task)
{
    if (!add(executor, task, false))
        task->run(task); /* it has stopped: better late on this thread than never */
}

/* ---- The app's component ---- */

static const struct weir_config_key keys[] = {
    {.name = "threads",
     .type = WEIR_CONFIG_INT,
     .offset = offsetof(struct executor_options, threads),
     .fallback = "16",
     .min = 1,
     .max = 1024,
     .help = "threads that run handlers that may block"},
    {.name = "queue",
     .type = WEIR_CONFIG_INT,
     .offset = offsetof(struct executor_options, queue_max),
     .fallback = "1024",
     .min = 1,
     .max = 1000000,
     .help = "calls that wait for a thread; more are refused"},
    {0},
};

static enum weir_status start(void *self, struct weir_context *context, struct weir_error *err)
{
    (void)context;
    return executor_start(self, err);
}

/* All who submit have ended by now. What still runs ignored its cancellation. */
static enum weir_status drain(void *self, struct weir_context *context, struct weir_work *work,
                              struct weir_error *err)
{
    (void)err;
    struct executor *executor = self;
    pthread_mutex_lock(&executor->lock);
    while (executor->queued + executor->running > 0 && weir_context_status(context) == WEIR_OK) {
        int64_t until = weir_now_ns() + 10 * WEIR_NS_PER_MS; /* looks at the context now and then */
        condition_wait(&executor->idle, &executor->lock, until);
    }
    work->in_flight += executor->running;
    work->stuck += executor->running;
    pthread_mutex_unlock(&executor->lock);
    return WEIR_OK;
}

static void destroy(void *self)
{
    executor_destroy(self);
}

struct executor *executor_add(struct weir_app *app, struct weir_component **ret_component)
{
    static const struct weir_component_ops ops = {.start = start, .drain = drain, .destroy = destroy};
    struct executor *executor = executor_new(0, 0); /* the configuration says how many */
    weir_config_section(app, "executor", keys, &executor->options);
    component_add(app, &executor->component, "executor", &ops, executor, NULL);
    *ret_component = &executor->component;
    return executor;
}
