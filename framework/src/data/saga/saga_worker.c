/* A thread that runs sagas that are ready, each until it is over or has to wait. */
#include <weir/clock.h>
#include <weir/log.h>

#include "call/call.h"
#include "core/context.h"
#include "data/saga/saga.h"
#include "lifecycle/process.h"

#define NOTE_TIMEOUT_MS 2000
#define TELL_AFTER 20
#define TELL_ODD_AFTER 3

/* Holds: lock. */
static struct weir_call *begin_call(struct saga_worker *worker, int64_t timeout_ms)
{
    struct weir_saga_runner *runner = worker->runner;
    worker->call = weir_call_background(runner, runner->self, timeout_ms);
    if (runner->cut)
        context_end(&worker->call->context, WEIR_CANCELLED);
    return worker->call;
}

/* Holds: not lock. */
static void end_call(struct saga_worker *worker)
{
    pthread_mutex_lock(&worker->runner->lock);
    struct weir_call *call = worker->call;
    worker->call = NULL;
    pthread_mutex_unlock(&worker->runner->lock);
    weir_call_background_end(call);
}

/* Before the pivot no attempt is longer than the saga's own time. */
static int64_t timeout_of(const struct weir_saga_runner *runner, const struct saga_kind *kind,
                          const struct saga *saga)
{
    int64_t left_ms = saga->deadline_ms - saga_unix_ms();
    bool limited = saga_before_pivot(kind, saga) && saga->deadline_ms && left_ms > 0;
    return limited && left_ms < runner->settings.step_timeout_ms ? left_ms : runner->settings.step_timeout_ms;
}

/* Says once that a step fails for everybody, and once that it succeeds again. */
static void tell_brake(struct weir_call *call, struct weir_saga_runner *runner, struct saga_brake *brake,
                       const struct weir_saga_step *step, enum weir_status status)
{
    pthread_mutex_lock(&runner->lock);
    bool changed = !runner->cut && saga_brake_tell(brake, status, runner->settings.retry_max_ms);
    bool failing = changed && brake->failing;
    if (changed && !failing) {
        saga_queue_unbrake(&runner->queue);
        pthread_cond_signal(&runner->changed);
    }
    pthread_mutex_unlock(&runner->lock);
    if (failing)
        weir_log_warn("a step fails; sagas wait, and it is tried again until it succeeds",
                      weir_field_text("step", step->name), weir_field_error(weir_call_error(call)));
    else if (changed)
        weir_log_info("a step that failed succeeds again", weir_field_text("step", step->name));
}

/* One step. PENDING: not now, others try; *ret_until_ns says when. */
static enum weir_status go(struct weir_call *call, struct weir_saga_runner *runner, struct saga *saga,
                           void *subject, int64_t *ret_until_ns)
{
    struct saga_kind *kind = saga_kind_of(runner, saga->type);
    bool due = saga_before_pivot(kind, saga) && saga->deadline_ms && saga_unix_ms() >= saga->deadline_ms;
    struct saga_brake *brake = due || atomic_load(&saga->stale) ? NULL : saga_brake_of(kind, saga);
    if (brake) {
        pthread_mutex_lock(&runner->lock);
        bool held = saga_brake_holds(brake, ret_until_ns);
        pthread_mutex_unlock(&runner->lock);
        if (held)
            return WEIR_PENDING;
    }
    const struct weir_saga_step *step = brake ? &saga->type->steps[saga->step] : NULL;
    enum weir_status status = saga_go(call, runner, saga, subject);
    if (brake)
        tell_brake(call, runner, brake, step, status);
    return status;
}

static enum weir_status load(struct weir_call *call, struct saga *saga, void *subject)
{
    enum weir_status status = saga->type->load(call, saga->id, subject);
    saga->attempts += status != WEIR_OK;
    return status;
}

/* Time alone may not mend it. Once for each saga and process. */
static void tell_saga(struct weir_call *call, struct saga *saga, enum weir_status status)
{
    if (saga->told || saga->attempts < (weir_status_is_transient(status) ? TELL_AFTER : TELL_ODD_AFTER))
        return;
    saga->told = true;
    weir_log_warn("a saga fails for long; it is tried again, but may need somebody",
                  weir_field_text("saga", saga->type->name), weir_field_text("id", saga->id),
                  weir_field_error(weir_call_error(call)));
}

/* Waits for those who try its step; its own time counts on. */
static int64_t behind_brake(const struct saga_kind *kind, const struct saga *saga, int64_t until_ns)
{
    if (!saga_before_pivot(kind, saga) || !saga->deadline_ms)
        return until_ns;
    int64_t left_ms = saga->deadline_ms - saga_unix_ms();
    int64_t deadline_ns = weir_deadline_in_ms(left_ms > 0 ? left_ms : 0);
    return deadline_ns < until_ns ? deadline_ns : until_ns;
}

static void run_saga(struct saga_worker *worker, struct saga *saga)
{
    struct weir_saga_runner *runner = worker->runner;
    struct saga_kind *kind = saga_kind_of(runner, saga->type);
    pthread_mutex_lock(&runner->lock);
    struct weir_call *call = begin_call(worker, timeout_of(runner, kind, saga));
    pthread_mutex_unlock(&runner->lock);

    int64_t due_ns = 0, pause_ms = 0;
    saga_begin_anew(saga);
    void *subject = weir_call_alloc(call, saga->type->subject_size ? saga->type->subject_size : 1);
    enum weir_status status = WEIR_OK;
    if (!atomic_load(&saga->stale))
        status = load(call, saga, subject);
    /* One that is over and stale was turned since, or begun anew: its row says what comes. */
    while (status == WEIR_OK && (atomic_load(&saga->stale) || !saga_is_over(saga)) && !weir_call_over(call))
        status = go(call, runner, saga, subject, &due_ns);
    bool braked = status == WEIR_PENDING;
    if (braked)
        due_ns = behind_brake(kind, saga, due_ns);
    else if (status != WEIR_OK)
        due_ns = weir_deadline_in_ms(pause_ms = saga_pause_ms(runner, kind, saga, status));
    if (pause_ms > 0)
        tell_saga(call, saga, status);
    end_call(worker);
    process_end_fork();

    pthread_mutex_lock(&runner->lock);
    bool cut = runner->cut;
    runner->cancelled += cut && !saga_is_over(saga);
    if (!cut && pause_ms > 0) {
        call = begin_call(worker, NOTE_TIMEOUT_MS);
        pthread_mutex_unlock(&runner->lock);
        saga_note(call, runner, saga, pause_ms);
        end_call(worker);
        pthread_mutex_lock(&runner->lock);
    }
    saga->braked = braked;
    saga_runner_give_back(runner, saga, due_ns);
    pthread_mutex_unlock(&runner->lock);
}

void *saga_work(void *arg)
{
    struct saga_worker *worker = arg;
    struct weir_saga_runner *runner = worker->runner;
    pthread_mutex_lock(&runner->lock);
    while (true) {
        while (!runner->end_work && (runner->cut || !runner->queue.first_ready)) {
            runner->idle++;
            pthread_cond_wait(&runner->work, &runner->lock);
            runner->idle--;
        }
        if (runner->end_work)
            break;
        struct saga *saga = saga_queue_take_ready(&runner->queue);
        runner->busy++;
        pthread_mutex_unlock(&runner->lock);
        run_saga(worker, saga);
        pthread_mutex_lock(&runner->lock);
        runner->busy--;
        if (runner->stopping && runner->busy == 0)
            pthread_cond_broadcast(&runner->changed);
    }
    pthread_mutex_unlock(&runner->lock);
    return NULL;
}
