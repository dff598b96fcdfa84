#include "lifecycle/runner.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>

#include "core/context.h"
#include "core/memory.h"
#include "lifecycle/process.h"
#include "lifecycle/stack.h"

/* One component's place. Between runner_call() and the post it belongs to the thread that runs it, except the
 * context, which the lifecycle's thread may limit and end, and frees when it has taken the return. */
struct job {
    struct runner *runner;
    struct message message;
    const struct weir_component_ops *ops;
    void *self;
    const char *name;
    struct weir_context context;
    bool has_context; /* lifecycle's thread only */
    bool ended;       /* lifecycle's thread only: the context was ended */
    struct job *next;

    /* For whoever asks what runs. */
    _Atomic int running; /* enum op */
    _Atomic pthread_t thread;
};

struct thread {
    pthread_t id;
    struct thread *next;
};

struct runner {
    struct inbox *inbox;
    uint32_t parts;
    struct job *jobs;
    bool handover; /* lifecycle's thread only */

    pthread_mutex_t lock; /* all below */
    pthread_cond_t work;
    struct job *first, **last; /* called, and not yet taken by a thread */
    uint32_t waiting;          /* of them */
    uint32_t idle;             /* threads that wait for work */
    bool stopping;
    struct thread *threads; /* lifecycle's thread only */
};

struct runner *runner_new(uint32_t parts, struct inbox *inbox)
{
    struct runner *runner = NEW(struct runner);
    runner->inbox = inbox;
    runner->parts = parts;
    runner->jobs = memory_zalloc((parts + 1) * sizeof *runner->jobs);
    for (uint32_t i = 0; i < parts; i++) {
        runner->jobs[i].runner = runner;
        atomic_init(&runner->jobs[i].running, OP_NONE);
    }
    runner->last = &runner->first;
    pthread_mutex_init(&runner->lock, NULL);
    pthread_cond_init(&runner->work, NULL);
    stack_prepare();
    return runner;
}

static enum weir_status execute(struct job *job, struct weir_error *err)
{
    struct message *message = &job->message;
    switch (message->op) {
    case OP_START:
        return job->ops->start(job->self, &job->context, err);
    case OP_QUIESCE:
        return job->ops->quiesce(job->self, err);
    case OP_DRAIN:
        return job->ops->drain(job->self, &job->context, &message->work, err);
    case OP_FINISH:
        return job->ops->finish(job->self, &job->context, &message->work, err);
    default:
        job->ops->destroy(job->self);
        return WEIR_OK;
    }
}

/* Runs on: a thread of the runner. */
static void run_job(struct job *job)
{
    struct weir_error err = {0};
    pthread_setname_np(pthread_self(), "weir-runner");
    atomic_store(&job->thread, pthread_self());
    atomic_store(&job->running, (int)job->message.op);
    job->message.status = execute(job, &err);
    process_end_fork();
    atomic_store(&job->running, OP_NONE);
    if (job->message.status != WEIR_OK)
        snprintf(job->message.text, sizeof job->message.text, "%s",
                 err.text[0] ? err.text : weir_status_name(job->message.status));
    inbox_post(job->runner->inbox, &job->message);
}

static void *run(void *arg)
{
    struct runner *runner = arg;
    pthread_mutex_lock(&runner->lock);
    for (;;) {
        while (!runner->first && !runner->stopping) {
            runner->idle++;
            pthread_cond_wait(&runner->work, &runner->lock);
            runner->idle--;
        }
        struct job *job = runner->first;
        if (!job)
            break;
        runner->first = job->next;
        if (!runner->first)
            runner->last = &runner->first;
        runner->waiting--;
        pthread_mutex_unlock(&runner->lock);
        run_job(job);
        pthread_mutex_lock(&runner->lock);
    }
    pthread_mutex_unlock(&runner->lock);
    return NULL;
}

/* A thread that cannot be made is no failure as long as there is another one that comes back. */
static bool add_thread(struct runner *runner)
{
    struct thread *thread = NEW(struct thread);
    if (pthread_create(&thread->id, NULL, run, runner) != 0) {
        free(thread);
        return runner->threads != NULL;
    }
    thread->next = runner->threads;
    runner->threads = thread;
    return true;
}

/* False when there is no thread at all. */
static bool submit(struct runner *runner, struct job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&runner->lock);
    *runner->last = job;
    runner->last = &job->next;
    runner->waiting++;
    bool enough = runner->idle >= runner->waiting;
    pthread_cond_signal(&runner->work);
    pthread_mutex_unlock(&runner->lock);
    return enough || add_thread(runner);
}

void runner_call(struct runner *runner, uint32_t part, const char *name, const struct weir_component_ops *ops,
                 void *self, enum op op, int64_t limit_ns)
{
    struct job *job = &runner->jobs[part];
    job->message = (struct message){.kind = EVENT_RETURNED, .part = part, .op = op};
    job->name = name;
    job->ops = ops;
    job->self = self;
    job->has_context = op == OP_START || op == OP_DRAIN || op == OP_FINISH;
    job->ended = false;
    if (job->has_context) {
        context_init(&job->context, NULL, limit_ns);
        context_set_trace(&job->context, NULL);
        job->context.handover = runner->handover;
    }
    if (!submit(runner, job)) {
        fprintf(stderr, "weir: no thread can be made to %s %s\n", op_name(op), name);
        abort();
    }
}

void runner_set_handover(struct runner *runner)
{
    runner->handover = true;
}

static void end_context(struct job *job, enum weir_status why)
{
    job->ended = true;
    context_end(&job->context, why);
}

void runner_limit(struct runner *runner, uint32_t part, int64_t limit_ns, enum weir_status why)
{
    struct job *job = &runner->jobs[part];
    if (!job->has_context || job->ended)
        return;
    if (limit_ns <= weir_now_ns())
        end_context(job, why);
    context_limit(&job->context, limit_ns);
}

void runner_returned(struct runner *runner, uint32_t part)
{
    struct job *job = &runner->jobs[part];
    if (job->has_context)
        context_clean_up(&job->context);
    job->has_context = false;
}

int64_t runner_next_limit(const struct runner *runner)
{
    int64_t next = WEIR_NEVER;
    for (uint32_t i = 0; i < runner->parts; i++) {
        const struct job *job = &runner->jobs[i];
        if (job->has_context && !job->ended && weir_context_deadline_ns(&job->context) < next)
            next = weir_context_deadline_ns(&job->context);
    }
    return next;
}

void runner_expire(struct runner *runner, int64_t now_ns)
{
    for (uint32_t i = 0; i < runner->parts; i++) {
        struct job *job = &runner->jobs[i];
        if (job->has_context && !job->ended && weir_context_deadline_ns(&job->context) <= now_ns)
            end_context(job, WEIR_DEADLINE_EXCEEDED);
    }
}

bool runner_runs(const struct runner *runner)
{
    for (uint32_t i = 0; i < runner->parts; i++)
        if (atomic_load(&runner->jobs[i].running) != OP_NONE)
            return true;
    return false;
}

void runner_print_running(struct runner *runner, int descriptor)
{
    for (uint32_t i = 0; i < runner->parts; i++) {
        struct job *job = &runner->jobs[i];
        enum op op = (enum op)atomic_load(&job->running);
        if (op == OP_NONE)
            continue;
        dprintf(descriptor, "%s: still in %s\n", job->name, op_name(op));
        stack_print(atomic_load(&job->thread), descriptor);
    }
}

void runner_destroy(struct runner *runner)
{
    if (!runner)
        return;
    pthread_mutex_lock(&runner->lock);
    runner->stopping = true;
    pthread_cond_broadcast(&runner->work);
    pthread_mutex_unlock(&runner->lock);
    while (runner->threads) {
        struct thread *thread = runner->threads;
        runner->threads = thread->next;
        pthread_join(thread->id, NULL);
        free(thread);
    }
    pthread_cond_destroy(&runner->work);
    pthread_mutex_destroy(&runner->lock);
    free(runner->jobs);
    free(runner);
}
