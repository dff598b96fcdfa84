#include "call/executor.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include <weir/clock.h>
#include <weir/config.h>

#include "call/executor_fibers.h"
#include "core/condition.h"
#include "core/memory.h"
#include "core/parker.h"
#include "lifecycle/component.h"
#include "observe/metrics.h"

/* How long a thread may seem to work while others sleep and something is ready: then it may be one that blocks. */
#define LOOK_NS (2 * WEIR_NS_PER_MS)

struct queue {
    struct executor_task *first, **last;
};

/* A thread. */
struct carrier {
    struct executor *executor;
    pthread_t thread;
    struct parker parker;
    bool idle;
    struct carrier *next_idle;
};

/* Tasks run on fibers, at most `threads` at once. One that waits at a parker is set aside, still running, and its thread
 * takes the next. Threads are woken sparingly: while as many are awake as there are processors, one that is will come round
 * to what is ready; should they all block, the standby finds it. There is a thread for each task that may run, so
 * none waits for a thread for ever, whatever the others do. */
struct executor {
    struct weir_component component; /* first: a handle; unused by an executor without an app */
    struct executor_options {
        int64_t threads, queue_max, method_threads, method_queue;
        bool fibers;
    } options;
    struct fiber_host host;
    int64_t awake_max;

    pthread_mutex_t lock;          /* all below */
    pthread_cond_t idle;           /* nothing is queued, nothing runs */
    struct queue ready;            /* who has the next free thread */
    struct executor_fibers fibers; /* those that may go on: before these */
    struct executor_lane *lanes;
    int64_t queued, running; /* queued: ready, or waiting in a lane */
    bool stopping;
    struct carrier *carriers, *idle_carriers; /* idle: the last that went to sleep first */
    struct carrier *standby;                  /* idle, but looks again in a moment; NULL: nobody */
    int64_t awake;
    int64_t started;
    atomic_int tellers; /* who has still to tell a carrier that it took from the idle ones */
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

/* Holds: lock. */
static bool has_work(const struct executor *executor)
{
    return executor->fibers.resumed ||
           (executor->ready.first && executor->running < executor->options.threads);
}

/* Holds: lock. */
static void is_awake(struct executor *executor, struct carrier *carrier)
{
    struct carrier **link = &executor->idle_carriers;
    while (*link != carrier)
        link = &(*link)->next_idle;
    *link = carrier->next_idle;
    carrier->idle = false;
    if (executor->standby == carrier)
        executor->standby = NULL;
    executor->awake++;
}

/* Something has become ready: who is to be told, by tell(). Holds: lock. */
static struct carrier *wake_for_work(struct executor *executor)
{
    struct carrier *carrier = executor->idle_carriers;
    if (!carrier || (executor->awake >= executor->awake_max && executor->standby))
        return NULL;
    is_awake(executor, carrier);
    atomic_fetch_add(&executor->tellers, 1);
    return carrier;
}

/* Holds nothing: the one that wakes up would have to wait for it. `carrier` may be NULL. */
static void tell(struct carrier *carrier)
{
    if (!carrier)
        return;
    struct executor *executor = carrier->executor;
    parker_tell(&carrier->parker);
    atomic_fetch_sub(&executor->tellers, 1); /* the carrier may go from here on */
}

/* Holds: lock. */
static void wake_all(struct executor *executor)
{
    while (executor->idle_carriers) {
        struct carrier *carrier = executor->idle_carriers;
        is_awake(executor, carrier);
        parker_tell(&carrier->parker);
    }
}

/* Returns awake. Holds: lock, lets go of it meanwhile. */
static void be_idle(struct carrier *carrier)
{
    struct executor *executor = carrier->executor;
    carrier->next_idle = executor->idle_carriers;
    executor->idle_carriers = carrier;
    carrier->idle = true;
    executor->awake--;
    if (!executor->standby && (executor->awake > 0 || executor->fibers.limited))
        executor->standby = carrier;
    while (carrier->idle) {
        bool looks = executor->standby == carrier;
        int64_t look_ns = executor->fibers.limited ? EXECUTOR_FIBERS_LOOK_NS : LOOK_NS;
        pthread_mutex_unlock(&executor->lock);
        parker_wait_until(&carrier->parker, looks ? weir_now_ns() + look_ns : WEIR_NEVER);
        pthread_mutex_lock(&executor->lock);
        if (!looks || !carrier->idle)
            continue;
        executor_fibers_look(&executor->fibers);
        if (has_work(executor))
            is_awake(executor, carrier);
        else if (!executor->fibers.limited)
            executor->standby = NULL;
    }
}

static void run_task(void *task)
{
    ((struct executor_task *)task)->run(task);
}

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

/* Holds: lock. */
static void task_ended(struct executor *executor, struct executor_lane *lane)
{
    executor->running--;
    if (lane)
        leave_lane(lane);
    if (executor->running == 0 && executor->queued == 0)
        pthread_cond_broadcast(&executor->idle);
}

/* This thread will be busy, maybe for long: what else is ready must not be left without anybody who looks. Holds: lock,
 * gives it up. */
static void leave_the_rest(struct executor *executor)
{
    struct carrier *carrier = has_work(executor) ? wake_for_work(executor) : NULL;
    pthread_mutex_unlock(&executor->lock);
    tell(carrier);
}

/* Holds: lock, lets go of it meanwhile. */
static void go_on(struct executor *executor, struct fiber *fiber)
{
    leave_the_rest(executor);
    bool ended = fiber_resume(fiber);
    pthread_mutex_lock(&executor->lock);
    if (ended) {
        task_ended(executor, fiber->kept);
        executor_fibers_put(&executor->fibers, fiber);
        return;
    }
    executor_fibers_wait(&executor->fibers, fiber);
    if (!fiber_stays(fiber))
        executor_fibers_go_on(&executor->fibers, fiber);
}

/* Holds: lock. NULL: it runs on the thread's own stack. */
static struct fiber *fiber_for(struct executor *executor, struct executor_task *task)
{
    struct fiber *fiber = executor_fibers_get(&executor->fibers, &executor->host, executor->options.fibers);
    if (!fiber)
        return NULL;
    fiber->run = run_task;
    fiber->arg = task;
    fiber->kept = task->lane;
    return fiber;
}

/* Holds: lock, lets go of it meanwhile. */
static void begin_next(struct executor *executor)
{
    struct executor_task *task = pop(&executor->ready);
    struct executor_lane *lane = task->lane;
    executor->queued--;
    executor->running++;
    if (lane)
        lane->running++;
    struct fiber *fiber = fiber_for(executor, task);
    if (fiber) {
        go_on(executor, fiber);
        return;
    }
    leave_the_rest(executor);
    task->run(task);
    pthread_mutex_lock(&executor->lock);
    task_ended(executor, lane);
}

static void *run(void *arg)
{
    struct carrier *carrier = arg;
    struct executor *executor = carrier->executor;
    pthread_setname_np(pthread_self(), "executor");
    pthread_mutex_lock(&executor->lock);
    while (!executor->stopping || executor->queued + executor->running > 0) {
        if (executor->fibers.limited)
            executor_fibers_look(&executor->fibers);
        struct fiber *fiber = executor_fibers_take(&executor->fibers);
        if (fiber)
            go_on(executor, fiber);
        else if (has_work(executor))
            begin_next(executor);
        else
            be_idle(carrier);
    }
    wake_all(executor); /* it stops, and nothing is left: the others need not wait any more */
    pthread_mutex_unlock(&executor->lock);
    return NULL;
}

/* What a fiber waited for is there. Any thread. */
static void fiber_is_ready(struct fiber_host *host, struct fiber *fiber)
{
    struct executor *executor = (struct executor *)((char *)host - offsetof(struct executor, host));
    pthread_mutex_lock(&executor->lock);
    executor_fibers_go_on(&executor->fibers, fiber);
    struct carrier *carrier = wake_for_work(executor);
    pthread_mutex_unlock(&executor->lock);
    tell(carrier);
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
    executor->options.fibers = true;
    executor->host.ready = fiber_is_ready;
    executor->awake_max = get_nprocs() > 2 ? get_nprocs() : 2;
    executor_fibers_init(&executor->fibers);
    queue_init(&executor->ready);
    pthread_mutex_init(&executor->lock, NULL);
    condition_init(&executor->idle);
    return executor;
}

enum weir_status executor_start(struct executor *executor, struct weir_error *err)
{
    executor->stopping = false;
    for (struct executor_lane *lane = executor->lanes; lane; lane = lane->next)
        settle(lane); /* the configuration is known by now */
    executor->carriers = memory_zalloc((size_t)executor->options.threads * sizeof *executor->carriers);
    executor->awake = 0;
    for (; executor->started < executor->options.threads; executor->started++) {
        struct carrier *carrier = &executor->carriers[executor->started];
        carrier->executor = executor;
        parker_init(&carrier->parker);
        pthread_mutex_lock(&executor->lock);
        executor->awake++;
        pthread_mutex_unlock(&executor->lock);
        int error = pthread_create(&carrier->thread, NULL, run, carrier);
        if (error) {
            parker_clean_up(&carrier->parker);
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
    wake_all(executor);
    pthread_mutex_unlock(&executor->lock);
    for (int64_t i = 0; i < executor->started; i++)
        pthread_join(executor->carriers[i].thread, NULL);
    while (atomic_load(&executor->tellers) > 0)
        sched_yield(); /* for the last few instructions of tell() */
    for (int64_t i = 0; i < executor->started; i++)
        parker_clean_up(&executor->carriers[i].parker);
    free(executor->carriers);
    executor->carriers = NULL;
    executor->idle_carriers = executor->standby = NULL;
    executor->started = 0;
    executor_fibers_clean_up(&executor->fibers);
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
    struct carrier *carrier = NULL;
    pthread_mutex_lock(&executor->lock);
    enum executor_answer answer = EXECUTOR_FULL;
    if (!executor->stopping)
        answer = bounded ? ask(executor, lane) : EXECUTOR_TAKEN;
    if (answer == EXECUTOR_TAKEN) {
        executor->queued++;
        bool ready = !lane || lane->admitted < lane->threads_max;
        push(ready ? &executor->ready : &lane->waiting, task);
        if (lane && ready)
            lane->admitted++;
        else if (lane)
            lane->waiting_count++;
        if (has_work(executor))
            carrier = wake_for_work(executor);
    }
    pthread_mutex_unlock(&executor->lock);
    tell(carrier);
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
    {.name = "fibers",
     .type = WEIR_CONFIG_BOOL,
     .offset = offsetof(struct executor_options, fibers),
     .fallback = "true",
     .help =
         "a handler that waits for a commit or for another service leaves its thread to others meanwhile"},
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
