/* Rows of sagas. A step is stored by its name, so that a release that has others in between finds its place. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>

#include "core/memory.h"
#include "data/saga/saga.h"

int64_t saga_unix_ms(void)
{
    return weir_unix_ns() / WEIR_NS_PER_MS;
}

int saga_n_steps(const struct weir_saga_type *type)
{
    int n = 0;
    while (n < WEIR_SAGA_STEPS_MAX && type->steps[n].name)
        n++;
    return n;
}

/* "" behind the last one. */
static const char *name_of(const struct weir_saga_type *type, int step)
{
    return step >= 0 && step < saga_n_steps(type) ? type->steps[step].name : "";
}

static int step_of(const struct weir_saga_type *type, const char *name)
{
    int n = saga_n_steps(type), step = 0;
    while (step < n && strcmp(type->steps[step].name, name) != 0)
        step++;
    return step == n && name[0] ? -1 : step;
}

/* ---- The history: a line a step, "<began> <took> <undone> <attempts> <name>\t<error>", in ms since the saga began ---- */

static char *history_of(struct weir_tx *tx, const struct saga *saga)
{
    struct weir_buffer text = {0};
    for (int i = 0; i < saga_n_steps(saga->type); i++) {
        const struct saga_mark *mark = &saga->marks[i];
        if (mark->attempts == 0)
            continue;
        weir_buffer_printf(&text, "%lld %lld %lld %lld %s\t", (long long)mark->began_ms,
                           (long long)mark->took_ms, (long long)mark->undone_ms, (long long)mark->attempts,
                           saga->type->steps[i].name);
        for (const char *error = mark->error; error && *error; error++)
            weir_buffer_append_byte(&text, (unsigned char)*error < ' ' ? ' ' : (uint8_t)*error);
        weir_buffer_append_byte(&text, '\n');
    }
    char *copy = sql_tx_alloc(tx, text.size + 1);
    if (text.size)
        memcpy(copy, text.data, text.size);
    weir_buffer_free(&text);
    return copy;
}

static void read_history(const struct weir_saga_type *type, char *text, struct saga_mark *ret_marks)
{
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        long long began, took, undone, attempts;
        int name_at = 0;
        char *tab = strchr(line, '\t');
        if (!tab || sscanf(line, "%lld %lld %lld %lld %n", &began, &took, &undone, &attempts, &name_at) < 4)
            continue;
        *tab = 0;
        int step = step_of(type, line + name_at);
        if (step < 0 || step >= saga_n_steps(type))
            continue; /* another release's */
        free(ret_marks[step].error);
        ret_marks[step] = (struct saga_mark){.began_ms = began,
                                             .took_ms = took,
                                             .undone_ms = undone,
                                             .attempts = attempts,
                                             .error = tab[1] ? memory_strdup(tab + 1) : NULL};
    }
}

/* ---- Writing ---- */

bool saga_insert(struct weir_tx *tx, const struct weir_saga_runner *runner, const struct weir_saga_type *type,
                 const char *id, int64_t begun_ms, int64_t deadline_ms)
{
    return weir_sql_exec(
               tx,
               "INSERT INTO weir_saga (name, id, state, step, owner, attempts, next_ms, begun_ms, "
               "deadline_ms,"
               " ended_ms, reason, history) VALUES (?, ?, 1, ?, ?, 0, 0, ?, ?, 0, '', '')"
               " ON CONFLICT (name, id) DO UPDATE SET state = 1, step = excluded.step, owner = "
               "excluded.owner,"
               " attempts = 0, next_ms = 0, begun_ms = excluded.begun_ms, deadline_ms = excluded.deadline_ms,"
               " ended_ms = 0, reason = '', history = '' WHERE weir_saga.state = 4",
               type->name, id, type->steps[0].name, runner->owner, begun_ms, deadline_ms) == 1;
}

void saga_update(struct weir_tx *tx, const struct weir_saga_runner *runner, struct saga *saga,
                 int64_t next_ms)
{
    /* What comes next backwards is found anew by whoever goes on: undoing twice does no harm. */
    int step =
        saga->state == WEIR_SAGA_FORWARD || saga->state == WEIR_SAGA_DONE ? saga->step : saga->stored_step;
    int64_t changed = weir_sql_exec(
        tx,
        "UPDATE weir_saga SET state = ?, step = ?, attempts = ?, next_ms = ?, ended_ms = ?, reason = ?,"
        " history = ? WHERE name = ? AND id = ? AND owner = ? AND state = ? AND step = ?",
        (int)saga->state, name_of(saga->type, step), saga->attempts, next_ms, saga->ended_ms,
        saga->reason ? saga->reason : "", history_of(tx, saga), saga->type->name, saga->id, runner->owner,
        (int)saga->stored_state, name_of(saga->type, saga->stored_step));
    if (changed == 0) {
        atomic_store(&saga->stale, true);
        weir_sql_fail(tx, WEIR_ABORTED, "%s %s: somebody else has moved it on", saga->type->name, saga->id);
    }
}

void saga_stored(struct saga *saga)
{
    saga->stored_state = saga->state;
    if (saga->state == WEIR_SAGA_FORWARD || saga->state == WEIR_SAGA_DONE)
        saga->stored_step = saga->step;
}

bool saga_update_turned(struct weir_tx *tx, const struct weir_saga_runner *runner,
                        const struct weir_saga_type *type, const char *id, const char *reason)
{
    return weir_sql_exec(tx,
                         "UPDATE weir_saga SET state = 2, owner = ?, attempts = 0, next_ms = 0, ended_ms = 0,"
                         " reason = ? WHERE name = ? AND id = ? AND (state = 1 OR state = 3)",
                         runner->owner, reason, type->name, id) == 1;
}

/* ---- Reading ---- */

#define COLUMNS "state, step, owner, attempts, next_ms, begun_ms, deadline_ms, ended_ms, reason, history"

/* Steps that are not stored each by itself may have begun up to the next transaction. */
static int end_of_segment(const struct weir_saga_type *type, int step)
{
    int n = saga_n_steps(type);
    while (step < n && !type->steps[step].commit)
        step++;
    return step;
}

static enum weir_status fill(struct weir_call *call, const struct weir_saga_runner *runner,
                             const struct weir_rows *rows, struct saga *saga)
{
    enum weir_saga_state state = (enum weir_saga_state)weir_rows_int(rows, 0);
    saga->gone = weir_rows_int(rows, 2) != runner->owner || state > WEIR_SAGA_BACK;
    if (saga->gone)
        return WEIR_OK;
    const char *name = weir_rows_text(rows, 1);
    int step = step_of(saga->type, name);
    if (step < 0)
        return weir_call_fail(call, WEIR_INTERNAL, "%s %s: there is no step \"%s\" in this release",
                              saga->type->name, saga->id, name);
    saga->stored_state = saga->state = state;
    saga->stored_step = saga->step = step;
    saga->begun_to = end_of_segment(saga->type, step);
    if (state == WEIR_SAGA_BACK)
        saga->step = saga->begun_to - 1;
    saga->attempts = weir_rows_int(rows, 3);
    saga->begun_ms = weir_rows_int(rows, 5);
    saga->deadline_ms = weir_rows_int(rows, 6);
    saga->ended_ms = 0;
    free(saga->reason);
    saga->reason = memory_strdup(weir_rows_text(rows, 8));
    read_history(saga->type, weir_rows_text(rows, 9), saga->marks);
    return WEIR_OK;
}

enum weir_status saga_reload(struct weir_call *call, const struct weir_saga_runner *runner, struct saga *saga)
{
    struct weir_rows *rows =
        weir_sql_read(call, runner->db, "SELECT " COLUMNS " FROM weir_saga WHERE name = ? AND id = ?",
                      saga->type->name, saga->id);
    enum weir_status filled = WEIR_OK;
    bool found = weir_rows_next(rows);
    if (found)
        filled = fill(call, runner, rows, saga);
    enum weir_status status = weir_rows_end(rows);
    if (status == WEIR_OK && !found)
        saga->gone = true;
    return status != WEIR_OK ? status : filled;
}

static int64_t time_of(int64_t begun_ms, int64_t offset_ms)
{
    return offset_ms < 0 ? 0 : begun_ms + offset_ms;
}

static void view_steps(struct weir_call *call, const struct weir_saga_type *type, char *history,
                       struct weir_saga_view *view)
{
    struct saga_mark marks[WEIR_SAGA_STEPS_MAX] = {{0}};
    view->n_steps = (size_t)saga_n_steps(type);
    for (size_t i = 0; i < view->n_steps; i++)
        marks[i].began_ms = marks[i].took_ms = marks[i].undone_ms = -1;
    read_history(type, history, marks);
    for (size_t i = 0; i < view->n_steps; i++) {
        const struct saga_mark *mark = &marks[i];
        view->steps[i] = (struct weir_saga_step_view){
            .name = type->steps[i].name,
            .began_ms = time_of(view->begun_ms, mark->began_ms),
            .ended_ms = mark->took_ms < 0 ? 0 : time_of(view->begun_ms, mark->began_ms + mark->took_ms),
            .undone_ms = time_of(view->begun_ms, mark->undone_ms),
            .attempts = mark->attempts,
            .error = weir_call_strdup(call, mark->error ? mark->error : ""),
        };
        free(marks[i].error);
    }
}

enum weir_status weir_saga_look(struct weir_call *call, struct weir_saga_runner *runner,
                                const struct weir_saga_type *type, const char *id,
                                struct weir_saga_view *ret_view)
{
    struct weir_rows *rows = weir_sql_read(
        call, runner->db, "SELECT " COLUMNS " FROM weir_saga WHERE name = ? AND id = ?", type->name, id);
    bool found = weir_rows_next(rows);
    if (found) {
        *ret_view = (struct weir_saga_view){
            .state = (enum weir_saga_state)weir_rows_int(rows, 0),
            .step = weir_rows_text(rows, 1),
            .attempts = weir_rows_int(rows, 3),
            .next_ms = weir_rows_int(rows, 4),
            .begun_ms = weir_rows_int(rows, 5),
            .deadline_ms = weir_rows_int(rows, 6),
            .ended_ms = weir_rows_int(rows, 7),
            .reason = weir_rows_text(rows, 8),
        };
        view_steps(call, type, weir_rows_text(rows, 9), ret_view);
    }
    enum weir_status status = weir_rows_end(rows);
    return status == WEIR_OK && !found
               ? weir_call_fail(call, WEIR_NOT_FOUND, "no saga %s \"%s\"", type->name, id)
               : status;
}

enum weir_status weir_saga_count(struct weir_call *call, struct weir_saga_runner *runner,
                                 const struct weir_saga_type *type, int64_t *ret_count)
{
    struct weir_rows *rows = weir_sql_read(
        call, runner->db, "SELECT count(*) FROM weir_saga WHERE state < 3 AND name = ?", type->name);
    *ret_count = weir_rows_next(rows) ? weir_rows_int(rows, 0) : 0;
    return weir_rows_end(rows);
}
