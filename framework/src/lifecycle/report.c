/* The report as text, and the line while a stop waits. */
#include "lifecycle/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "lifecycle/report_path.h"
#include "lifecycle/text.h"

enum {
    COLUMN_NAME,
    COLUMN_WAITED,
    COLUMN_FOR,
    COLUMN_DRAIN,
    COLUMN_UNTIL,
    COLUMN_FINISH,
    COLUMN_END,
    COLUMN_OUTCOME,
    COLUMN_IN_FLIGHT,
    COLUMN_DONE,
    COLUMN_CANCELLED,
    COLUMNS
};

struct row {
    char cells[COLUMNS][64];
};

static const char *part_name(const struct engine *engine, uint32_t part)
{
    return engine->plan->parts[part].name;
}

static int64_t since_t0(const struct engine *engine, int64_t at)
{
    return at > engine->t0 ? at - engine->t0 : 0;
}

static void set(struct row *row, int column, const char *text)
{
    snprintf(row->cells[column], sizeof row->cells[column], "%s", text);
}

static void set_seconds(struct row *row, int column, int64_t ms)
{
    set(row, column, text_seconds(ms).text);
}

/* ---- First line ---- */

static void cause_text(const struct engine *engine, struct weir_buffer *out)
{
    const struct engine_cause *cause = &engine->cause;
    const char *of = cause->part == PLAN_NONE ? "" : part_name(engine, cause->part);
    if (cause->kind == CAUSE_START)
        weir_buffer_printf(out, "start of %s: %s", of, cause->text);
    else if (cause->kind == CAUSE_COMPONENT)
        weir_buffer_printf(out, "%s failed: %s", of, cause->text);
    else if (cause->kind == CAUSE_STOP)
        weir_buffer_printf(out, "stop: %s", cause->text);
    else
        weir_buffer_append_text(out, cause->text);
}

static void first_line(const struct engine *engine, struct weir_buffer *out)
{
    weir_buffer_printf(out, "stop %s: %s s of ", engine_clean(engine) ? "clean" : "UNCLEAN",
                       text_seconds(engine->exited_at - engine->t0).text);
    weir_buffer_printf(out, "%s s", text_seconds(engine->plan->options.deadline_ms).text);
    if (engine->announce_until > engine->t0)
        weir_buffer_printf(out, " (announcement %s)", text_seconds(engine->announce_until - engine->t0).text);
    weir_buffer_append_text(out, "  cause ");
    cause_text(engine, out);
    if (engine->signal_count >= 2) {
        weir_buffer_printf(out, ", second at %s", text_seconds(since_t0(engine, engine->signals[1].at)).text);
        weir_buffer_printf(out, ": limit %s", text_seconds(engine->work_end - engine->t0).text);
    }
    if (engine->signal_count >= 3)
        weir_buffer_printf(out, ", third at %s", text_seconds(since_t0(engine, engine->signals[2].at)).text);
    weir_buffer_printf(out, "  exit %d%s\n", engine->exit_status, engine->forced ? ", forced" : "");
}

/* ---- Table ---- */

static void set_step(struct row *row, int column, const struct plan_part *plan,
                     const struct engine_part *part, enum op op)
{
    const struct engine_step *step = &part->steps[op];
    if (!plan->has[op])
        return;
    if (step->outcome == OUTCOME_SKIPPED)
        set(row, column, "skipped");
    else
        set_seconds(row, column, step->used);
}

/* The worst of what happened to it. */
static void set_outcome(struct row *row, const struct engine_part *part)
{
    char *cell = row->cells[COLUMN_OUTCOME];
    size_t size = sizeof row->cells[COLUMN_OUTCOME];
    static const enum outcome worst_first[] = {OUTCOME_ABANDONED, OUTCOME_FAILED, OUTCOME_CUT,
                                               OUTCOME_SKIPPED};
    for (size_t i = 0; i < sizeof worst_first / sizeof worst_first[0]; i++) {
        for (enum op op = OP_START; op <= OP_DESTROY; op++) {
            enum outcome outcome = part->steps[op].outcome;
            if (outcome != worst_first[i] || (op == OP_DESTROY && outcome == OUTCOME_SKIPPED))
                continue;
            if (outcome == OUTCOME_ABANDONED)
                snprintf(cell, size, "ABANDONED in %s", op_name(op));
            else if (outcome == OUTCOME_FAILED)
                snprintf(cell, size, "FAILED in %s", op_name(op));
            else
                snprintf(cell, size, "%s", outcome_name(outcome));
            return;
        }
    }
    snprintf(cell, size, "clean");
}

static void set_work(struct row *row, const struct plan_part *plan, const struct engine_part *part)
{
    if (!plan->has[OP_DRAIN] || !part->drained)
        return;
    snprintf(row->cells[COLUMN_IN_FLIGHT], sizeof row->cells[0], "%lld", (long long)part->work.in_flight);
    snprintf(row->cells[COLUMN_DONE], sizeof row->cells[0], "%lld", (long long)part->work.completed);
    snprintf(row->cells[COLUMN_CANCELLED], sizeof row->cells[0], "%lld", (long long)part->work.cancelled);
}

static const char *skip_text(enum skip_why why)
{
    static const char *const texts[] = {
        [SKIP_NONE] = "",
        [SKIP_NOT_STARTED] = "not started",
        [SKIP_START_FAILED] = "start failed",
        [SKIP_WAS_DOWN] = "was down",
        [SKIP_OWN_ABANDONED] = "own step abandoned",
        [SKIP_DEADLINE] = "deadline",
        [SKIP_SIGNAL] = "third signal",
        [SKIP_RUNS] = "running",
        [SKIP_STUCK] = "stuck work",
        [SKIP_NOT_DRAINED] = "not drained",
        [SKIP_HELD] = "held",
    };
    return texts[why];
}

static void add_note(struct weir_buffer *note, const char *name, int64_t count)
{
    if (count)
        weir_buffer_printf(note, "%s%s %lld", note->size ? ", " : "", name, (long long)count);
}

static void notes(const struct engine_part *part, struct weir_buffer *note)
{
    add_note(note, "stuck", part->work.stuck);
    add_note(note, "kept", part->work.kept);
    add_note(note, "undelivered", part->work.undelivered);
    add_note(note, "uncommitted", part->work.uncommitted);
    add_note(note, "restarts", part->restart_total);
    if (part->running != OP_NONE)
        weir_buffer_printf(note, "%sstill running", note->size ? ", " : "");
    const struct engine_step *quiesce = &part->steps[OP_QUIESCE], *drain = &part->steps[OP_DRAIN];
    enum skip_why why = quiesce->outcome == OUTCOME_SKIPPED ? quiesce->why : drain->why;
    if (why != SKIP_NONE && why != SKIP_OWN_ABANDONED)
        weir_buffer_printf(note, "%s%s", note->size ? ", " : "", skip_text(why));
}

static void part_row(const struct engine *engine, uint32_t index, struct table *table)
{
    const struct engine_part *part = &engine->parts[index];
    const struct plan_part *plan = &engine->plan->parts[index];
    struct row row;
    for (int i = 0; i < COLUMNS; i++)
        set(&row, i, "-");
    set(&row, COLUMN_NAME, plan->name);
    if (part->has_turn) {
        set_seconds(&row, COLUMN_WAITED, since_t0(engine, part->turn));
        if (plan->has[OP_DRAIN])
            set_seconds(&row, COLUMN_UNTIL, since_t0(engine, part->until));
        if (part->waited_for == WAIT_PRE_DRAIN)
            set(&row, COLUMN_FOR, "pre_drain");
        else if (part->waited_for == WAIT_START)
            set(&row, COLUMN_FOR, "its start");
        else if (part->waited_for == WAIT_PART)
            set(&row, COLUMN_FOR, part_name(engine, part->waited_for_part));
    }
    set_step(&row, COLUMN_DRAIN, plan, part, OP_DRAIN);
    set_step(&row, COLUMN_FINISH, plan, part, OP_FINISH);
    set_seconds(&row, COLUMN_END, since_t0(engine, part->end));
    set_outcome(&row, part);
    set_work(&row, plan, part);

    const char *cells[COLUMNS];
    for (int i = 0; i < COLUMNS; i++)
        cells[i] = row.cells[i];
    struct weir_buffer note = {0};
    notes(part, &note);
    table_row(table, cells, note.size ? weir_buffer_text(&note) : NULL);
    weir_buffer_free(&note);
}

static int64_t row_key(const struct engine *engine, uint32_t index)
{
    const struct engine_part *part = &engine->parts[index];
    return part->has_turn ? part->turn : INT64_MAX;
}

uint32_t *report_order(const struct engine *engine)
{
    uint32_t count = engine->plan->count;
    uint32_t *order = memory_alloc((count + 1) * sizeof *order);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = engine->plan->order[count - 1 - i], at = i;
        for (; at > 0 && row_key(engine, index) < row_key(engine, order[at - 1]); at--)
            order[at] = order[at - 1];
        order[at] = index;
    }
    return order;
}

static void table_of_parts(const struct engine *engine, struct weir_buffer *out)
{
    static const char *const head[COLUMNS] = {"component", "waited", "for",      "drain",
                                              "until",     "finish", "end",      "outcome",
                                              "in flight", "done",   "cancelled"};
    struct table table;
    table_begin(&table, COLUMNS, 1U << COLUMN_NAME | 1U << COLUMN_FOR | 1U << COLUMN_OUTCOME);
    table_row(&table, head, NULL);
    uint32_t *order = report_order(engine);
    for (uint32_t i = 0; i < engine->plan->count; i++)
        part_row(engine, order[i], &table);
    free(order);
    table_end(&table, out);
}

/* ---- Below the table ---- */

static void errors(const struct engine *engine, struct weir_buffer *out)
{
    for (uint32_t i = 0; i < engine->plan->count; i++) {
        for (enum op op = OP_START; op < OP_COUNT; op++) {
            const struct engine_step *step = &engine->parts[i].steps[op];
            if (step->outcome == OUTCOME_FAILED)
                weir_buffer_printf(out, "%s: %s failed: %s: %s\n", part_name(engine, i), op_name(op),
                                   weir_status_name(step->status), step->text);
        }
    }
}

static bool same_reason(const struct engine *engine, uint32_t left, uint32_t right)
{
    return engine->parts[left].steps[OP_DESTROY].why == engine->parts[right].steps[OP_DESTROY].why &&
           engine->parts[left].held_by == engine->parts[right].held_by;
}

static bool not_destroyed(const struct engine *engine, uint32_t part)
{
    return engine->parts[part].steps[OP_DESTROY].outcome == OUTCOME_SKIPPED;
}

/* "not destroyed: rest (running); executor, relay (held by rest)" */
static void what_is_left(const struct engine *engine, struct weir_buffer *out)
{
    const struct plan *plan = engine->plan;
    bool any = false;
    bool *said = memory_zalloc((plan->count + 1) * sizeof *said);
    for (uint32_t i = plan->count; i-- > 0;) {
        uint32_t first = plan->order[i];
        if (said[first] || !not_destroyed(engine, first))
            continue;
        weir_buffer_append_text(out, any ? "; " : "not destroyed: ");
        any = true;
        const char *separator = "";
        for (uint32_t k = i + 1; k-- > 0;) {
            uint32_t index = plan->order[k];
            if (!said[index] && not_destroyed(engine, index) && same_reason(engine, first, index)) {
                weir_buffer_printf(out, "%s%s", separator, part_name(engine, index));
                separator = ", ";
                said[index] = true;
            }
        }
        const struct engine_part *part = &engine->parts[first];
        weir_buffer_printf(out, " (%s%s%s)", skip_text(part->steps[OP_DESTROY].why),
                           part->held_by == PLAN_NONE ? "" : " by ",
                           part->held_by == PLAN_NONE ? "" : part_name(engine, part->held_by));
    }
    weir_buffer_append_text(out, any ? "\n" : "");
    free(said);
}

static void critical_path(const struct engine *engine, struct weir_buffer *out)
{
    struct path path;
    path_find(engine, &path);
    weir_buffer_append_text(out, path.count ? "critical path: " : "");
    for (uint32_t i = 0; i < path.count; i++) {
        weir_buffer_append_text(out, i ? ", " : "");
        path_name(engine, &path.parts[i], out);
        weir_buffer_printf(out, " %s%s", text_seconds(path.parts[i].used).text,
                           path.parts[i].abandoned ? " (abandoned)" : "");
    }
    weir_buffer_append_text(out, path.count ? "\n" : "");
    path_free(&path);
}

void report_text(const struct engine *engine, const char *app_name, struct weir_buffer *out)
{
    (void)app_name;
    first_line(engine, out);
    table_of_parts(engine, out);
    errors(engine, out);
    what_is_left(engine, out);
    critical_path(engine, out);
}
