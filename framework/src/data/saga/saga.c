/* Beginning, running and turning sagas: the functions of <weir/saga.h>. */
#include <string.h>

#include <weir/clock.h>

#include "data/saga/saga.h"

#define GRACE_MS 2000
#define LOOK_FIRST_MS 10
#define LOOK_LONGEST_MS 500

struct saga_kind *saga_kind_of(struct weir_saga_runner *runner, const struct weir_saga_type *type)
{
    for (int i = 0; i < runner->n_kinds; i++)
        if (runner->kinds[i].type == type)
            return &runner->kinds[i];
    return NULL;
}

struct change {
    struct weir_saga_runner *runner;
    const struct weir_saga_type *type;
    int64_t begun_ms, deadline_ms;
    char id[WEIR_SAGA_ID_SIZE];
};

static struct change *change_of(struct weir_tx *tx, struct weir_saga_runner *runner,
                                const struct weir_saga_type *type, const char *id)
{
    struct change *change = sql_tx_alloc(tx, sizeof *change);
    change->runner = runner;
    change->type = type;
    strncpy(change->id, id, sizeof change->id - 1);
    return change;
}

/* Runs on: the committing thread. */
static void is_begun(void *arg)
{
    const struct change *change = arg;
    struct weir_saga_runner *runner = change->runner;
    struct saga *saga = saga_new(change->type, change->id);
    saga->begun_ms = change->begun_ms;
    saga->deadline_ms = change->deadline_ms;
    pthread_mutex_lock(&runner->lock);
    struct saga *known = saga_queue_find(&runner->queue, change->type, change->id);
    if (known) { /* undone, and its thread has not given it back yet */
        atomic_store(&known->stale, true);
        saga_free(saga);
    } else {
        saga_runner_add(runner, saga);
        saga_runner_wait(runner, saga, weir_deadline_in_ms(GRACE_MS));
    }
    pthread_mutex_unlock(&runner->lock);
}

static bool check(struct weir_tx *tx, struct weir_saga_runner *runner, const struct weir_saga_type *type,
                  const char *id)
{
    if (weir_sql_status(tx) != WEIR_OK)
        return false;
    if (weir_sql_db(tx) != runner->db || !saga_kind_of(runner, type))
        weir_sql_fail(tx, WEIR_INTERNAL, "%s: not the database, or not a saga, that it was added for",
                      runner->name);
    else if (!id[0] || strlen(id) >= WEIR_SAGA_ID_SIZE)
        weir_sql_fail(tx, WEIR_INVALID_ARGUMENT, "%s: an id has 1 to %d characters", runner->name,
                      WEIR_SAGA_ID_SIZE - 1);
    return weir_sql_status(tx) == WEIR_OK;
}

bool weir_saga_begin(struct weir_tx *tx, struct weir_saga_runner *runner, const struct weir_saga_type *type,
                     const char *id, int64_t timeout_ms)
{
    if (!check(tx, runner, type, id))
        return false;
    struct change *change = change_of(tx, runner, type, id);
    change->begun_ms = saga_unix_ms();
    change->deadline_ms = timeout_ms < 0 ? 0 : change->begun_ms + timeout_ms;
    if (!saga_insert(tx, runner, type, id, change->begun_ms, change->deadline_ms))
        return false;
    saga_lease_renew(tx, runner);
    weir_sql_on_commit(tx, is_begun, change);
    return true;
}

/* Runs on: the committing thread. */
static void is_turned(void *arg)
{
    const struct change *change = arg;
    struct weir_saga_runner *runner = change->runner;
    pthread_mutex_lock(&runner->lock);
    struct saga *saga = saga_queue_find(&runner->queue, change->type, change->id);
    bool known = saga;
    if (!known) {
        saga = saga_new(change->type, change->id);
        saga_runner_add(runner, saga);
    }
    atomic_store(&saga->stale, true);
    if (known && saga->place != SAGA_RUNNING)
        saga_queue_take(&runner->queue, saga);
    else if (known)
        saga = NULL; /* who runs it finds out */
    if (saga)
        saga_runner_ready(runner, saga);
    pthread_mutex_unlock(&runner->lock);
}

bool weir_saga_turn(struct weir_tx *tx, struct weir_saga_runner *runner, const struct weir_saga_type *type,
                    const char *id, void *subject, const char *reason)
{
    if (!check(tx, runner, type, id) || !saga_update_turned(tx, runner, type, id, reason))
        return false;
    if (type->turned)
        type->turned(tx, subject, reason);
    saga_lease_renew(tx, runner);
    weir_sql_on_commit(tx, is_turned, change_of(tx, runner, type, id));
    return weir_sql_status(tx) == WEIR_OK;
}

/* ---- Running up to the pivot ---- */

/* On this thread. OK: past its pivot, turned, or gone. */
static enum weir_status drive(struct weir_call *call, struct weir_saga_runner *runner, struct saga *saga,
                              void *subject)
{
    const struct saga_kind *kind = saga_kind_of(runner, saga->type);
    enum weir_status status = WEIR_OK;
    while (!saga_is_over(saga) && (saga_before_pivot(kind, saga) || atomic_load(&saga->stale))) {
        status = saga_go(call, runner, saga, subject);
        if (status == WEIR_OK)
            continue;
        int64_t pause_ms = saga_pause_ms(runner, kind, saga, status);
        if (weir_context_sleep(weir_call_context(call), pause_ms) != WEIR_OK)
            return status;
    }
    return WEIR_OK;
}

static enum weir_status refuse(struct weir_call *call, enum weir_status refusal, const char *reason)
{
    bool is_known = refusal != WEIR_OK && refusal != WEIR_NOT_FOUND && refusal != WEIR_DEADLINE_EXCEEDED;
    return weir_call_fail(call, is_known ? refusal : WEIR_FAILED_PRECONDITION, "%s", reason);
}

/* NULL: another thread or process runs it, or it is over. */
static struct saga *take(struct weir_saga_runner *runner, const struct weir_saga_type *type, const char *id)
{
    pthread_mutex_lock(&runner->lock);
    struct saga *saga = saga_queue_find(&runner->queue, type, id);
    if (saga && saga->place == SAGA_RUNNING)
        saga = NULL;
    if (saga)
        saga_queue_take(&runner->queue, saga);
    pthread_mutex_unlock(&runner->lock);
    return saga;
}

/* True: it is decided, and *ret_status the answer. */
static bool is_decided(struct weir_call *call, struct weir_saga_runner *runner,
                       const struct weir_saga_type *type, const char *id, void *subject,
                       enum weir_status *ret_status)
{
    struct weir_saga_view view;
    *ret_status = weir_saga_look(call, runner, type, id, &view);
    if (*ret_status != WEIR_OK)
        return true;
    const struct saga_kind *kind = saga_kind_of(runner, type);
    bool before_pivot = view.state == WEIR_SAGA_FORWARD;
    for (int i = kind->pivot; i < kind->n_steps && before_pivot; i++)
        before_pivot = strcmp(view.step, type->steps[i].name) != 0;
    if (before_pivot)
        return false;
    *ret_status = type->load(call, id, subject);
    if (*ret_status == WEIR_OK && (view.state == WEIR_SAGA_BACK || view.state == WEIR_SAGA_UNDONE))
        *ret_status = refuse(call, WEIR_OK, view.reason);
    return true;
}

enum weir_status weir_saga_run(struct weir_call *call, struct weir_saga_runner *runner,
                               const struct weir_saga_type *type, const char *id, void *subject)
{
    enum weir_status status = WEIR_OK;
    for (int64_t pause_ms = LOOK_FIRST_MS;;
         pause_ms = pause_ms < LOOK_LONGEST_MS ? 2 * pause_ms : LOOK_LONGEST_MS) {
        struct saga *saga = take(runner, type, id);
        if (saga) {
            saga_begin_anew(saga);
            saga->attempts = 0; /* somebody waits for it */
            status = drive(call, runner, saga, subject);
            bool gone = saga->gone;
            if (status == WEIR_OK && saga->state == WEIR_SAGA_BACK)
                status = refuse(call, saga->refusal, saga->reason);
            pthread_mutex_lock(&runner->lock);
            saga_runner_give_back(runner, saga, 0);
            pthread_mutex_unlock(&runner->lock);
            if (!gone)
                return status;
        }
        if (is_decided(call, runner, type, id, subject, &status))
            return status;
        if (weir_context_sleep(weir_call_context(call), pause_ms) != WEIR_OK)
            return weir_call_fail(call, WEIR_UNAVAILABLE, "%s %s is under way, look again later", type->name,
                                  id);
    }
}
