/* What comes next for a saga: the state machine. */
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "core/memory.h"
#include "core/random.h"
#include "data/saga/saga.h"
#include "observe/metrics.h"

#define FIRST_PAUSE_MS 50
#define FIRST_PAUSE_OF_ODD_MS 1000 /* not transient, and yet no refusal: somebody must look at it */
#define LONGEST_BEFORE_PIVOT_MS 1000
#define NOTE_FROM_MS 400

struct go {
    struct weir_call *call;
    struct weir_saga_runner *runner;
    struct saga_kind *kind;
    struct saga *saga;
    void *subject;
};

bool saga_is_over(const struct saga *saga)
{
    return saga->gone || saga->state == WEIR_SAGA_DONE || saga->state == WEIR_SAGA_UNDONE;
}

bool saga_before_pivot(const struct saga_kind *kind, const struct saga *saga)
{
    return saga->state == WEIR_SAGA_FORWARD && saga->step < kind->pivot;
}

static int64_t since_begun(const struct saga *saga)
{
    int64_t ms = saga_unix_ms() - saga->begun_ms;
    return ms > 0 ? ms : 0; /* clocks of two machines */
}

static bool is_refusal(const struct saga_kind *kind, const struct saga *saga, enum weir_status status)
{
    if (!saga_before_pivot(kind, saga))
        return status == WEIR_FAILED_PRECONDITION;
    return status != WEIR_INTERNAL && status != WEIR_DATA_LOSS && !weir_status_is_transient(status);
}

/* ---- With a transaction ---- */

struct position {
    enum weir_saga_state state;
    int step;
    int64_t attempts, ended_ms;
};

static struct position where(const struct saga *saga)
{
    return (struct position){saga->state, saga->step, saga->attempts, saga->ended_ms};
}

static void put(struct saga *saga, struct position position)
{
    saga->state = position.state;
    saga->step = position.step;
    saga->attempts = position.attempts;
    saga->ended_ms = position.ended_ms;
}

/* Moves it to `to` and does what `commit` or `turned` add to the transaction; it and its subject stay what they were when
 * that fails. */
static enum weir_status move(struct go *go, struct position to,
                             void (*commit)(struct weir_tx *tx, void *subject), bool turn)
{
    struct saga *saga = go->saga;
    struct position from = where(saga);
    size_t size = saga->type->subject_size;
    void *before = size ? weir_call_alloc(go->call, size) : NULL;
    if (size)
        memcpy(before, go->subject, size);
    to.ended_ms = to.state == WEIR_SAGA_DONE || to.state == WEIR_SAGA_UNDONE ? saga_unix_ms() : 0;
    put(saga, to);
    struct weir_tx *tx = weir_sql_begin(go->call, go->runner->db);
    saga_update(tx, go->runner, saga, 0);
    if (commit && weir_sql_status(tx) == WEIR_OK)
        commit(tx, go->subject);
    if (turn && saga->type->turned && weir_sql_status(tx) == WEIR_OK)
        saga->type->turned(tx, go->subject, saga->reason);
    saga_lease_renew(tx, go->runner);
    enum weir_status status = weir_sql_commit(tx);
    if (status == WEIR_OK)
        saga_stored(saga);
    else
        put(saga, from);
    if (status != WEIR_OK && size)
        memcpy(go->subject, before, size);
    return status;
}

static enum weir_status turn(struct go *go, enum weir_status refusal, const char *reason)
{
    struct saga *saga = go->saga;
    char *before = saga->reason;
    bool after_pivot = !saga_before_pivot(go->kind, saga);
    saga->reason = memory_strdup(reason);
    enum weir_status status =
        move(go, (struct position){.state = WEIR_SAGA_BACK, .step = saga->begun_to - 1}, NULL, true);
    if (status != WEIR_OK) {
        free(saga->reason);
        saga->reason = before;
        return status;
    }
    free(before);
    saga->refusal = refusal;
    counter_add(go->kind->turned, 1);
    if (after_pivot || refusal == WEIR_DEADLINE_EXCEEDED)
        weir_log_info("saga turned back", weir_field_text("saga", saga->type->name),
                      weir_field_text("id", saga->id), weir_field_text("reason", saga->reason));
    return WEIR_OK;
}

static enum weir_status end(struct go *go, enum weir_saga_state state,
                            void (*commit)(struct weir_tx *, void *))
{
    enum weir_status status =
        move(go, (struct position){.state = state, .step = go->saga->step + (commit ? 1 : 0)}, commit, false);
    if (status == WEIR_OK)
        counter_add(state == WEIR_SAGA_DONE ? go->kind->done : go->kind->undone, 1);
    return status;
}

/* ---- Steps ---- */

static void failed(struct go *go, struct saga_mark *mark)
{
    const char *text = weir_call_error(go->call)->text;
    free(mark->error);
    mark->error = memory_strdup(text[0] ? text : "failed without a word");
    go->saga->attempts++;
    counter_add(go->kind->retried, 1);
}

static enum weir_status commit_step(struct go *go, const struct weir_saga_step *step)
{
    struct saga *saga = go->saga;
    if (saga->step + 1 == go->kind->n_steps)
        return end(go, WEIR_SAGA_DONE, step->commit);
    return move(go, (struct position){.state = WEIR_SAGA_FORWARD, .step = saga->step + 1}, step->commit,
                false);
}

static enum weir_status forward(struct go *go)
{
    struct saga *saga = go->saga;
    if (saga->step == go->kind->n_steps)
        return end(go, WEIR_SAGA_DONE, NULL);
    bool before_pivot = saga_before_pivot(go->kind, saga);
    if (before_pivot && saga->deadline_ms && saga_unix_ms() >= saga->deadline_ms)
        return turn(go, WEIR_DEADLINE_EXCEEDED, "not settled in time");

    const struct weir_saga_step *step = &saga->type->steps[saga->step];
    struct saga_mark *mark = &saga->marks[saga->step];
    int64_t at_ms = since_begun(saga);
    if (mark->began_ms < 0)
        mark->began_ms = at_ms;
    mark->attempts++;
    if (saga->begun_to <= saga->step)
        saga->begun_to = saga->step + 1;
    if (step->commit)
        mark->took_ms = at_ms - mark->began_ms;
    enum weir_status status = step->commit ? commit_step(go, step) : step->run(go->call, go->subject);
    if (status == WEIR_OK) {
        if (!step->commit) {
            mark->took_ms = since_begun(saga) - mark->began_ms;
            saga->step++;
        }
        return WEIR_OK;
    }
    mark->took_ms = -1;
    failed(go, mark);
    if (!atomic_load(&saga->stale) && is_refusal(go->kind, saga, status))
        return turn(go, status, mark->error);
    return status;
}

static enum weir_status back(struct go *go)
{
    struct saga *saga = go->saga;
    while (saga->step >= 0 && !saga->type->steps[saga->step].undo)
        saga->step--;
    if (saga->step < 0)
        return end(go, WEIR_SAGA_UNDONE, NULL);
    struct saga_mark *mark = &saga->marks[saga->step];
    mark->attempts++;
    enum weir_status status = saga->type->steps[saga->step].undo(go->call, go->subject);
    if (status != WEIR_OK) {
        failed(go, mark);
        return status;
    }
    mark->undone_ms = since_begun(saga);
    saga->step--;
    saga->attempts = 0;
    return WEIR_OK;
}

void saga_begin_anew(struct saga *saga)
{
    if (saga->state == WEIR_SAGA_FORWARD)
        saga->step = saga->stored_step;
}

enum weir_status saga_go(struct weir_call *call, struct weir_saga_runner *runner, struct saga *saga,
                         void *subject)
{
    struct go go = {call, runner, saga_kind_of(runner, saga->type), saga, subject};
    if (atomic_exchange(&saga->stale, false)) {
        enum weir_status status = saga_reload(call, runner, saga);
        if (status == WEIR_OK && !saga->gone)
            status = saga->type->load(call, saga->id, subject);
        if (status != WEIR_OK) {
            atomic_store(&saga->stale, true);
            saga->attempts++;
            return status;
        }
    }
    if (saga_is_over(saga))
        return WEIR_OK;
    return saga->state == WEIR_SAGA_BACK ? back(&go) : forward(&go);
}

/* ---- After a failure ---- */

int64_t saga_pause_ms(const struct weir_saga_runner *runner, const struct saga_kind *kind,
                      const struct saga *saga, enum weir_status status)
{
    int64_t longest_ms = runner->settings.retry_max_ms;
    int64_t pause_ms = FIRST_PAUSE_MS;
    bool before_pivot = saga_before_pivot(kind, saga);
    if (!weir_status_is_transient(status)) {
        pause_ms = FIRST_PAUSE_OF_ODD_MS;
        longest_ms *= 6;
    }
    if (before_pivot && longest_ms > LONGEST_BEFORE_PIVOT_MS)
        longest_ms = LONGEST_BEFORE_PIVOT_MS;
    for (int64_t i = 1; i < saga->attempts && pause_ms < longest_ms; i++)
        pause_ms *= 2;
    if (pause_ms > longest_ms)
        pause_ms = longest_ms;
    uint16_t dice;
    random_bytes(&dice, sizeof dice);
    pause_ms -= pause_ms * dice / 65536 / 4;
    int64_t left_ms = saga->deadline_ms - saga_unix_ms();
    if (before_pivot && saga->deadline_ms && pause_ms > left_ms)
        pause_ms = left_ms > 1 ? left_ms : 1;
    return pause_ms;
}

void saga_note(struct weir_call *call, struct weir_saga_runner *runner, struct saga *saga, int64_t pause_ms)
{
    if (pause_ms < NOTE_FROM_MS || atomic_load(&saga->stale))
        return;
    saga_begin_anew(saga);
    struct weir_tx *tx = weir_sql_begin(call, runner->db);
    saga_update(tx, runner, saga, saga_unix_ms() + pause_ms);
    saga_lease_renew(tx, runner);
    if (weir_sql_commit(tx) == WEIR_OK)
        saga_stored(saga);
}
