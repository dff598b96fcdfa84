#include "call/executor.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <weir/config.h>

#include "core/condition.h"
#include "core/memory.h"
#include "lifecycle/component.h"
#include "observe/metrics.h"

struct queue {
    struct executor_task *first, **last;
};

struct executor {
    struct weir_component component; /* first: a handle; unused by an executor without an app */
    struct executor_options {
        int64_t threads, queue_max, method_threads, method_queue;
    } options;

    pthread_mutex_t lock; /* all below */
    pthread_cond_t work;  /* something is ready, or it stops */
    pthread_cond_t idle;  /* nothing is queued, nothing runs */
    struct queue ready;   /* who has the next free thread */
    struct executor_lane *lanes;
    int64_t queued, running; /* queued: ready, or waiting in a lane */
    bool stopping;
    pthread_t *threads;
    int64_t started;
};

/* A task is admitted, that is ready or running, while fewer than threads_max of its lane are; else it waits, and the
 * end of one admits the next. So at most threads_max of a lane stand in anybody's way. */
struct executor_lane {
    struct executor *executor;
    struct executor_lane *next;
    struct executor_lane_options options;
    int64_t threads_max, queue_max; /* as they count */
    struct metric_source *sources[3];

    struct queue waiting; /* Holds: the executor's lock, as all below */
    int64_t admitted, running, waiting_count, refused;
};

static void queue_init(struct queue *queue)
{
    queue->first = NULL;
    queue->last = &queue->first;
}

static void push(struct queue *queue, struct executor_task *task)
{
    task->next = NULL;
    *queue->last = task;
    queue->last = &task->next;
}

static struct executor_task *pop(struct queue *queue)
{
    struct executor_task *task = queue->first;
    if (!task)
        return NULL;
    queue->first = task->next;
    if (!queue->first)
        queue->last = &queue->first;
    return task;
}

/* ---- Threads ---- */

/* Runs on: an executor's thread, which looks at what is ready next; so nobody needs to be woken. Holds: lock. */
static void leave_lane(struct executor_lane *lane)
{
    lane->running--;
    struct executor_task *next = pop(&lane->waiting);
    if (!next) {
        lane->admitted--;
        return;
    }
    lane->waiting_count--;
    push(&lane->executor->ready, next);
}

static void *run(void *arg)
{
    struct executor *executor = arg;
    pthread_setname_np(pthread_self(), "executor");
    pthread_mutex_lock(&executor->lock);
    for (;;) {
        while (!executor->ready.first && !(executor->stopping && executor->queued == 0))
            pthread_cond_wait(&executor->work, &executor->lock);
        struct executor_task *task = pop(&executor->ready);
        if (!task)
            break;
        struct executor_lane *lane = task->lane;
        executor->queued--;
        executor->running++;
        if (lane)
            lane->running++;
        pthread_mutex_unlock(&executor->lock);
        task->run(task);
        pthread_mutex_lock(&executor->lock);
        executor->running--;
        if (lane)
            leave_lane(lane);
        if (executor->running == 0 && executor->queued == 0)
            pthread_cond_broadcast(&executor->idle);
    }
    pthread_cond_broadcast(
        &executor->work); /* it stops, and nothing is left: the others need not wait any more */
    pthread_mutex_unlock(&executor->lock);
    return NULL;
}

/* ---- Lanes ---- */

/* Three quarters, but at least one and, where there are two, not all. */
static int64_t most_of(int64_t all)
{
    int64_t spare = all / 4 > 0 ? all / 4 : 1;
    return all > spare ? all - spare : 1;
}

static int64_t first_of(int64_t a, int64_t b, int64_t c)
{
    return a > 0 ? a : b > 0 ? b : c;
}

static void settle(struct executor_lane *lane)
{
    const struct executor_options *of = &lane->executor->options;
    lane->threads_max = first_of(lane->options.threads_max, of->method_threads, most_of(of->threads));
    lane->queue_max = first_of(lane->options.queue_max, of->method_queue, most_of(of->queue_max));
}

static double read_number(struct executor_lane *lane, const int64_t *number)
{
    pthread_mutex_lock(&lane->executor->lock);
    double value = (double)*number;
    pthread_mutex_unlock(&lane->executor->lock);
    return value;
}

static double read_running(void *lane)
{
    return read_number(lane, &((struct executor_lane *)lane)->running);
}

static double read_waiting(void *lane)
{
    return read_number(lane, &((struct executor_lane *)lane)->waiting_count);
}

static double read_refused(void *lane)
{
    return read_number(lane, &((struct executor_lane *)lane)->refused);
}

static void add_metrics(struct executor_lane *lane)
{
    struct metric_options options = {
        .labels = {{"service", lane->options.service}, {"method", lane->options.method}},
    };
    options.name = "weir_executor_running";
    options.help = "Executions of a method on threads of the executor";
    lane->sources[0] = metrics_source(METRIC_GAUGE, &options, read_running, lane);
    options.name = "weir_executor_waiting";
    options.help = "Calls of a method that wait because it runs as often as it may";
    lane->sources[1] = metrics_source(METRIC_GAUGE, &options, read_waiting, lane);
    options.name = "weir_executor_refused_total";
    options.help = "Calls of a method that were refused because too many waited";
    lane->sources[2] = metrics_source(METRIC_COUNTER, &options, read_refused, lane);
}

struct executor_lane *executor_lane_new(struct executor *executor,
                                        const struct executor_lane_options *options)
{
    struct executor_lane *lane = NEW(struct executor_lane);
    lane->executor = executor;
    lane->options = *options;
    queue_init(&lane->waiting);
    settle(lane);
    lane->next = executor->lanes;
    executor->lanes = lane;
    add_metrics(lane);
    return lane;
}

static void lane_destroy(struct executor_lane *lane)
{
    for (size_t i = 0; i < sizeof lane->sources / sizeof lane->sources[0]; i++)
        metrics_source_remove(lane->sources[i]);
    free(lane);
}

/* ---- Life ---- */

struct executor *executor_new(int64_t threads, int64_t queue_max)
{
    struct executor *executor = NEW(struct executor);
    executor->options.threads = threads;
    executor->options.queue_max = queue_max;
    queue_init(&executor->ready);
    pthread_mutex_init(&executor->lock, NULL);
    pthread_cond_init(&executor->work, NULL);
    condition_init(&executor->idle);
    return executor;
}

enum weir_status executor_start(struct executor *executor, struct weir_error *err)
{
    executor->stopping = false;
    for (struct executor_lane *lane = executor->lanes; lane; lane = lane->next)
        settle(lane); /* the configuration is known by now */
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
    while (executor->lanes) {
        struct executor_lane *lane = executor->lanes;
        executor->lanes = lane->next;
        lane_destroy(lane);
    }
    pthread_cond_destroy(&executor->idle);
    pthread_cond_destroy(&executor->work);
    pthread_mutex_destroy(&executor->lock);
    free(executor);
}

/* Holds: lock. */
static enum executor_answer ask(struct executor *executor, struct executor_lane *lane)
{
    if (executor->queued >= executor->options.queue_max)
        return EXECUTOR_FULL;
    if (!lane || lane->admitted < lane->threads_max || lane->waiting_count < lane->queue_max)
        return EXECUTOR_TAKEN;
    lane->refused++;
    return EXECUTOR_LANE_FULL;
}

static enum executor_answer add(struct executor *executor, struct executor_lane *lane,
                                struct executor_task *task, bool bounded)
{
    task->lane = lane;
    bool ready = false;
    pthread_mutex_lock(&executor->lock);
    enum executor_answer answer = EXECUTOR_FULL;
    if (!executor->stopping)
        answer = bounded ? ask(executor, lane) : EXECUTOR_TAKEN;
    if (answer == EXECUTOR_TAKEN) {
        executor->queued++;
        ready = !lane || lane->admitted < lane->threads_max;
        push(ready ? &executor->ready : &lane->waiting, task);
        if (lane && ready)
            lane->admitted++;
        else if (lane)
            lane->waiting_count++;
    }
    pthread_mutex_unlock(&executor->lock);
    if (ready) /* not under the lock, on which the one that wakes would have to wait */
        pthread_cond_signal(&executor->work);
    return answer;
}

enum executor_answer executor_submit(struct executor *executor, struct executor_lane *lane,
                                     struct executor_task *task)
{
    return add(executor, lane, task, true);
}

void executor_continue(struct executor *executor, struct executor_lane *lane, struct executor_task *task)
{
    if (add(executor, lane, task, false) != EXECUTOR_TAKEN)
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
    {.name = "method_threads",
     .type = WEIR_CONFIG_INT,
     .offset = offsetof(struct executor_options, method_threads),
     .fallback = "0",
     .min = 0,
     .max = 1024,
     .help = "threads that one method may take, unless its handler says; 0: three quarters of them"},
    {.name = "method_queue",
     .type = WEIR_CONFIG_INT,
     .offset = offsetof(struct executor_options, method_queue),
     .fallback = "0",
     .min = 0,
     .max = 1000000,
     .help =
         "calls of one method that wait for these, unless its handler says; 0: three quarters of the queue"},
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
    struct condition_watch watch;
    condition_watch(&watch, context, &executor->lock, &executor->idle);
    pthread_mutex_lock(&executor->lock);
    while (executor->queued + executor->running > 0 && weir_context_status(context) == WEIR_OK)
        condition_wait(&executor->idle, &executor->lock, weir_context_deadline_ns(context));
    work->in_flight += executor->running;
    work->stuck += executor->running;
    pthread_mutex_unlock(&executor->lock);
    condition_unwatch(&watch);
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
