/* The component: a scheduler, who wakes what is due, keeps the lease and looks for sagas whose process is gone; and
 * workers. */
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "call/call.h"
#include "core/condition.h"
#include "core/memory.h"
#include "data/saga/saga.h"
#include "observe/metrics.h"

#define SCAN_MS 1000
#define SCAN_TIMEOUT_MS 10000
#define GIVE_UP_TIMEOUT_MS 2000

/* ---- Handing over between threads. Holds: lock ---- */

void saga_runner_add(struct weir_saga_runner *runner, struct saga *saga)
{
    saga_queue_add(&runner->queue, saga);
    saga_kind_of(runner, saga->type)->open++;
}

void saga_runner_ready(struct weir_saga_runner *runner, struct saga *saga)
{
    saga_queue_ready(&runner->queue, saga);
    if (runner->idle > 0)
        pthread_cond_signal(&runner->work);
}

void saga_runner_wait(struct weir_saga_runner *runner, struct saga *saga, int64_t due_ns)
{
    saga_queue_wait(&runner->queue, saga, due_ns);
    if (due_ns < runner->scheduler_wakes_ns)
        pthread_cond_broadcast(&runner->changed);
}

void saga_runner_give_back(struct weir_saga_runner *runner, struct saga *saga, int64_t due_ns)
{
    if (atomic_load(&saga->stale) && !saga->gone) {
        saga->braked = false;
        if (saga_is_over(saga)) /* and turned since */
            due_ns = 0;
    } else if (saga_is_over(saga)) {
        saga_queue_remove(&runner->queue, saga);
        saga_kind_of(runner, saga->type)->open--;
        runner->completed += runner->stopping;
        saga_free(saga);
        return;
    }
    saga->gone = false;
    if (due_ns == 0)
        saga_runner_ready(runner, saga);
    else
        saga_runner_wait(runner, saga, due_ns);
}

/* ---- The scheduler ---- */

/* Holds: lock, gives it up. */
static void scan(struct weir_saga_runner *runner)
{
    bool claims = !runner->stopping;
    bool renews = runner->queue.count > 0 && saga_lease_is_short(runner);
    pthread_mutex_unlock(&runner->lock);
    struct weir_call *call = weir_call_background(runner, runner->self, SCAN_TIMEOUT_MS);
    if (renews) {
        struct weir_tx *tx = weir_sql_begin(call, runner->db);
        saga_lease_renew(tx, runner);
        if (weir_sql_commit(tx) != WEIR_OK)
            weir_log_warn("the lease of sagas was not renewed; another process may go on with them",
                          weir_field_error(weir_call_error(call)));
    }
    bool more = claims && saga_lease_claim(call, runner) > 0;
    weir_call_background_end(call);
    pthread_mutex_lock(&runner->lock);
    runner->scan_due_ns = more ? 0 : weir_deadline_in_ms(SCAN_MS);
}

static void *schedule(void *arg)
{
    struct weir_saga_runner *runner = arg;
    pthread_setname_np(pthread_self(), "weir-sagas");
    pthread_mutex_lock(&runner->lock);
    while (!runner->end_scheduler) {
        int64_t now = weir_now_ns();
        size_t ready = runner->queue.n_ready;
        saga_queue_ripen(&runner->queue, now);
        for (size_t i = ready; i < runner->queue.n_ready && i < ready + (size_t)runner->idle; i++)
            pthread_cond_signal(&runner->work);
        if (now >= runner->scan_due_ns) {
            scan(runner);
            continue;
        }
        int64_t due_ns = saga_queue_due_ns(&runner->queue);
        runner->scheduler_wakes_ns = due_ns < runner->scan_due_ns ? due_ns : runner->scan_due_ns;
        condition_wait(&runner->changed, &runner->lock, runner->scheduler_wakes_ns);
        runner->scheduler_wakes_ns = 0;
    }
    pthread_mutex_unlock(&runner->lock);
    return NULL;
}

/* ---- Metrics ---- */

static double read_open(void *arg)
{
    struct saga_kind *kind = arg;
    pthread_mutex_lock(&kind->runner->lock);
    int64_t open = kind->open;
    pthread_mutex_unlock(&kind->runner->lock);
    return (double)open;
}

static double read_oldest(void *arg)
{
    struct saga_kind *kind = arg;
    const struct saga_queue *queue = &kind->runner->queue;
    int64_t oldest_ms = 0;
    pthread_mutex_lock(&kind->runner->lock);
    for (size_t i = 0; i < queue->n_buckets; i++)
        for (const struct saga *saga = queue->buckets[i]; saga; saga = saga->next_of_id) {
            int64_t begun_ms = atomic_load(&saga->begun_ms);
            if (saga->type == kind->type && begun_ms && (!oldest_ms || begun_ms < oldest_ms))
                oldest_ms = begun_ms;
        }
    pthread_mutex_unlock(&kind->runner->lock);
    int64_t age_ms = oldest_ms ? saga_unix_ms() - oldest_ms : 0;
    return age_ms > 0 ? (double)age_ms / 1000 : 0;
}

static struct counter *count_of(const struct saga_kind *kind, const char *name, const char *help)
{
    return metrics_counter(&(struct metric_options){
        .name = name, .help = help, .labels = {{"sagas", kind->runner->name}, {"saga", kind->type->name}}});
}

static void make_counters(struct saga_kind *kind)
{
    kind->done = count_of(kind, "weir_saga_done_total", "Sagas that came to their end");
    kind->turned =
        count_of(kind, "weir_saga_turned_total", "Sagas that turned back here, by a refusal or out of time");
    kind->undone = count_of(kind, "weir_saga_undone_total", "Sagas whose steps have been undone");
    kind->retried =
        count_of(kind, "weir_saga_retries_total", "Attempts of steps that failed, refusals included");
}

static void add_sources(struct weir_saga_runner *runner)
{
    for (int i = 0; i < runner->n_kinds; i++) {
        struct saga_kind *kind = &runner->kinds[i];
        struct metric_options open = {.name = "weir_saga_open",
                                      .help = "Sagas under way in this process",
                                      .labels = {{"sagas", runner->name}, {"saga", kind->type->name}}};
        struct metric_options oldest = open;
        oldest.name = "weir_saga_oldest_seconds";
        oldest.help = "Age of the oldest saga under way in this process";
        runner->metrics[2 * i] = metrics_source(METRIC_GAUGE, &open, read_open, kind);
        runner->metrics[2 * i + 1] = metrics_source(METRIC_GAUGE, &oldest, read_oldest, kind);
    }
}

/* ---- The component ---- */

struct weir_saga_runner *saga_runner_new(const char *name, struct weir_sql *db,
                                         const struct weir_saga_type *const *types,
                                         const struct saga_settings *settings)
{
    struct weir_saga_runner *runner = NEW(struct weir_saga_runner);
    runner->name = name;
    runner->db = db;
    runner->settings = *settings;
    runner->lock_file = -1;
    runner->workers = memory_zalloc((size_t)settings->workers * sizeof *runner->workers);
    pthread_mutex_init(&runner->lock, NULL);
    pthread_cond_init(&runner->work, NULL);
    condition_init(&runner->changed);
    saga_queue_init(&runner->queue);
    for (; runner->n_kinds < WEIR_SAGA_TYPES_MAX && types[runner->n_kinds]; runner->n_kinds++) {
        struct saga_kind *kind = &runner->kinds[runner->n_kinds];
        kind->runner = runner;
        kind->type = types[runner->n_kinds];
        kind->n_steps = kind->pivot = saga_n_steps(kind->type);
        for (int i = kind->n_steps - 1; i >= 0; i--)
            if (kind->type->steps[i].pivot)
                kind->pivot = i + 1;
    }
    return runner;
}

static void end_threads(struct weir_saga_runner *runner)
{
    pthread_mutex_lock(&runner->lock);
    runner->end_work = runner->end_scheduler = true;
    pthread_cond_broadcast(&runner->work);
    pthread_cond_broadcast(&runner->changed);
    pthread_mutex_unlock(&runner->lock);
    for (; runner->n_workers > 0; runner->n_workers--)
        pthread_join(runner->workers[runner->n_workers - 1].thread, NULL);
    if (runner->scheduler_runs)
        pthread_join(runner->scheduler, NULL);
    runner->scheduler_runs = false;
}

static enum weir_status start(void *self, struct weir_context *context, struct weir_error *err)
{
    (void)context;
    struct weir_saga_runner *runner = self;
    for (int i = 0; i < runner->n_kinds; i++)
        make_counters(&runner->kinds[i]);
    if (saga_lease_open(runner, err) != WEIR_OK)
        return err->status;
    int failed = 0;
    while (!failed && runner->n_workers < runner->settings.workers) {
        struct saga_worker *worker = &runner->workers[runner->n_workers];
        worker->runner = runner;
        failed = pthread_create(&worker->thread, NULL, saga_work, worker);
        if (!failed) {
            pthread_setname_np(worker->thread, "weir-saga");
            runner->n_workers++;
        }
    }
    if (!failed) {
        failed = pthread_create(&runner->scheduler, NULL, schedule, runner);
        runner->scheduler_runs = !failed;
    }
    if (failed) {
        end_threads(runner);
        return weir_fail_errno(err, WEIR_RESOURCE_EXHAUSTED, failed, "%s: cannot start a thread",
                               runner->name);
    }
    add_sources(runner);
    return WEIR_OK;
}

static enum weir_status quiesce(void *self, struct weir_error *err)
{
    (void)err;
    struct weir_saga_runner *runner = self;
    pthread_mutex_lock(&runner->lock);
    runner->stopping = true;
    pthread_mutex_unlock(&runner->lock);
    return WEIR_OK;
}

/* Holds: lock. */
static void cut(struct weir_saga_runner *runner)
{
    runner->cut = true;
    for (int i = 0; i < runner->n_workers; i++)
        if (runner->workers[i].call)
            context_end(&runner->workers[i].call->context, WEIR_CANCELLED);
}

/* Runs what is ready. What waits for its next attempt is in the database, and for whoever comes. */
static enum weir_status drain(void *self, struct weir_context *context, struct weir_work *work,
                              struct weir_error *err)
{
    (void)err;
    struct weir_saga_runner *runner = self;
    struct condition_watch watch;
    condition_watch(&watch, context, &runner->lock, &runner->changed);
    pthread_mutex_lock(&runner->lock);
    bool was_cut = false;
    while (runner->busy > 0 || (runner->queue.n_ready > 0 && !was_cut)) {
        if (!was_cut && weir_context_status(context) != WEIR_OK) {
            cut(runner);
            was_cut = true;
        }
        condition_wait(&runner->changed, &runner->lock,
                       was_cut ? WEIR_NEVER : weir_context_deadline_ns(context));
    }
    work->completed += runner->completed;
    work->cancelled += runner->cancelled;
    work->kept += (int64_t)runner->queue.n_ready;
    work->in_flight += runner->completed + runner->cancelled + (int64_t)runner->queue.n_ready;
    size_t waiting = runner->queue.n_heap;
    pthread_mutex_unlock(&runner->lock);
    condition_unwatch(&watch);
    end_threads(runner);
    if (waiting > 0)
        weir_log_info("sagas wait for their next attempt; the next process goes on with them",
                      weir_field_int("sagas", (int64_t)waiting));
    return WEIR_OK;
}

static enum weir_status finish(void *self, struct weir_context *context, struct weir_work *work,
                               struct weir_error *err)
{
    (void)context, (void)work, (void)err;
    struct weir_saga_runner *runner = self;
    if (runner->queue.count > 0) {
        struct weir_call *call = weir_call_background(runner, runner->self, GIVE_UP_TIMEOUT_MS);
        if (saga_lease_give_up(call, runner) != WEIR_OK)
            weir_log_warn("sagas were not given up; they go on when the lease is over",
                          weir_field_error(weir_call_error(call)));
        weir_call_background_end(call);
    }
    saga_lease_close(runner);
    return WEIR_OK;
}

static void destroy(void *self)
{
    struct weir_saga_runner *runner = self;
    for (int i = 0; i < 2 * runner->n_kinds; i++)
        metrics_source_remove(runner->metrics[i]);
    end_threads(runner);
    saga_lease_close(runner);
    saga_queue_clean_up(&runner->queue);
    pthread_cond_destroy(&runner->work);
    pthread_cond_destroy(&runner->changed);
    pthread_mutex_destroy(&runner->lock);
    free(runner->workers);
    free(runner);
}

const struct weir_component_ops saga_runner_ops = {
    .start = start, .quiesce = quiesce, .drain = drain, .finish = finish, .destroy = destroy};
