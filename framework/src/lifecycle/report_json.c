/* The report as one JSON document. */
#include <stdlib.h>
#include <time.h>

#include "lifecycle/report.h"
#include "lifecycle/report_path.h"
#include "lifecycle/text.h"

static int64_t since_t0(const struct engine *engine, int64_t at)
{
    return at > engine->t0 ? at - engine->t0 : 0;
}

static const char *part_name(const struct engine *engine, uint32_t part)
{
    return part == PLAN_NONE ? NULL : engine->plan->parts[part].name;
}

static void key_text(struct weir_buffer *out, const char *key, const char *text)
{
    weir_buffer_printf(out, "\"%s\": ", key);
    text_json(out, text);
}

static void cause(const struct engine *engine, struct weir_buffer *out)
{
    static const char *const kinds[] = {"none", "signal", "stop", "start", "component", "handover"};
    weir_buffer_append_text(out, "\"cause\": {");
    key_text(out, "kind", kinds[engine->cause.kind]);
    weir_buffer_append_text(out, ", ");
    if (engine->cause.part != PLAN_NONE) {
        key_text(out, "component", part_name(engine, engine->cause.part));
        weir_buffer_append_text(out, ", ");
    }
    key_text(out, "text", engine->cause.text);
    weir_buffer_append_text(out, "}");
}

static void signals(const struct engine *engine, struct weir_buffer *out)
{
    weir_buffer_append_text(out, ", \"signals\": [");
    for (uint32_t i = 0; i < engine->signal_count; i++) {
        weir_buffer_printf(out, "%s{\"at\": %lld, ", i ? ", " : "",
                           (long long)since_t0(engine, engine->signals[i].at));
        key_text(out, "name", engine->signals[i].name);
        weir_buffer_append_text(out, "}");
    }
    weir_buffer_append_text(out, "]");
}

static void why(const struct engine *engine, const struct engine_part *part, const struct engine_step *step,
                struct weir_buffer *out)
{
    static const char *const texts[] = {
        [SKIP_NONE] = "",
        [SKIP_NOT_STARTED] = "not started",
        [SKIP_START_FAILED] = "start failed",
        [SKIP_WAS_DOWN] = "was down",
        [SKIP_OWN_ABANDONED] = "own step abandoned",
        [SKIP_DEADLINE] = "deadline",
        [SKIP_SIGNAL] = "third signal",
        [SKIP_RUNS] = "still running",
        [SKIP_STUCK] = "stuck work",
        [SKIP_NOT_DRAINED] = "not drained",
        [SKIP_HELD] = "held",
    };
    weir_buffer_append_text(out, ", ");
    if (step->why == SKIP_HELD && part->held_by != PLAN_NONE) {
        struct weir_buffer text = {0};
        weir_buffer_printf(&text, "held by %s", part_name(engine, part->held_by));
        key_text(out, "why", weir_buffer_text(&text));
        weir_buffer_free(&text);
        return;
    }
    if (step->why == SKIP_OWN_ABANDONED) {
        for (enum op op = OP_START; op <= OP_FINISH; op++)
            if (part->steps[op].outcome == OUTCOME_ABANDONED)
                weir_buffer_printf(out, "\"why\": \"%s abandoned\"", op_name(op));
        return;
    }
    key_text(out, "why", texts[step->why]);
}

/* A start is before the stop: its time is negative. */
static int64_t step_at(const struct engine *engine, const struct engine_step *step, enum op op)
{
    return op == OP_START ? step->at - engine->t0 : since_t0(engine, step->at);
}

static void steps(const struct engine *engine, uint32_t index, struct weir_buffer *out)
{
    const struct engine_part *part = &engine->parts[index];
    weir_buffer_append_text(out, "\"steps\": {");
    const char *separator = "";
    for (enum op op = OP_START; op < OP_COUNT; op++) {
        const struct engine_step *step = &part->steps[op];
        if (!engine->plan->parts[index].has[op] || (op == OP_START && !step->called))
            continue;
        weir_buffer_printf(out, "%s\"%s\": {", separator, op_name(op));
        separator = ", ";
        if (step->outcome != OUTCOME_SKIPPED) {
            weir_buffer_printf(out, "\"at\": %lld, ", (long long)step_at(engine, step, op));
            if (op == OP_DRAIN)
                weir_buffer_printf(out, "\"until\": %lld, ", (long long)since_t0(engine, part->until));
            weir_buffer_printf(out, "\"used\": %lld, ", (long long)step->used);
        }
        key_text(out, "outcome", outcome_name(step->outcome));
        if (step->outcome == OUTCOME_SKIPPED)
            why(engine, part, step, out);
        if (step->outcome == OUTCOME_FAILED) {
            weir_buffer_printf(out, ", \"status\": \"%s\", ", weir_status_name(step->status));
            key_text(out, "error", step->text);
        }
        weir_buffer_append_text(out, "}");
    }
    weir_buffer_append_text(out, "}");
}

static void from_plan(const struct plan *plan, uint32_t index, struct weir_buffer *out)
{
    const struct plan_part *part = &plan->parts[index];
    weir_buffer_printf(out, ", \"kind\": \"%s\", \"needs\": [",
                       part->announcer ? "announcer"
                       : part->base    ? "base"
                       : part->ingress ? "ingress"
                                       : "plain");
    for (uint32_t i = 0; i < part->need_count; i++) {
        weir_buffer_append_text(out, i ? ", " : "");
        text_json(out, plan->parts[part->needs[i]].name);
    }
    weir_buffer_printf(out, "], \"cut_min\": %lld, \"finish_min\": %lld", (long long)part->cut_min,
                       (long long)part->finish_min);
}

static void component(const struct engine *engine, uint32_t index, struct weir_buffer *out)
{
    const struct engine_part *part = &engine->parts[index];
    const struct weir_work *work = &part->work;
    weir_buffer_append_text(out, "{");
    key_text(out, "name", part_name(engine, index));
    from_plan(engine->plan, index, out);
    if (part->has_turn) {
        weir_buffer_printf(out, ", \"waited\": %lld, ", (long long)since_t0(engine, part->turn));
        key_text(out, "waited_for",
                 part->waited_for == WAIT_PRE_DRAIN ? "pre_drain"
                 : part->waited_for == WAIT_START   ? "start"
                 : part->waited_for == WAIT_PART    ? part_name(engine, part->waited_for_part)
                                                    : NULL);
    }
    weir_buffer_printf(out, ", \"cut_by\": %lld, \"end\": %lld, ",
                       (long long)since_t0(engine, part->end - engine->plan->parts[index].reserve),
                       (long long)since_t0(engine, part->end));
    steps(engine, index, out);
    weir_buffer_printf(
        out,
        ", \"work\": {\"in_flight\": %lld, \"completed\": %lld, \"cancelled\": %lld, \"stuck\": %lld, "
        "\"undelivered\": %lld, \"uncommitted\": %lld, \"kept\": %lld}, \"restarts\": %u}",
        (long long)work->in_flight, (long long)work->completed, (long long)work->cancelled,
        (long long)work->stuck, (long long)work->undelivered, (long long)work->uncommitted,
        (long long)work->kept, part->restart_total);
}

static void path_part(const struct engine *engine, const struct path_part *part, int64_t at,
                      struct weir_buffer *out)
{
    struct weir_buffer name = {0};
    path_name(engine, part, &name);
    weir_buffer_append_text(out, "{");
    key_text(out, "what", weir_buffer_text(&name));
    if (part->part != PLAN_NONE) {
        weir_buffer_append_text(out, ", ");
        key_text(out, "component", part_name(engine, part->part));
        weir_buffer_printf(out, ", \"step\": \"%s\"", op_name(part->op));
    }
    weir_buffer_printf(out, ", \"at\": %lld, \"used\": %lld}", (long long)at, (long long)part->used);
    weir_buffer_free(&name);
}

static void critical_path(const struct engine *engine, struct weir_buffer *out)
{
    struct path path;
    path_find(engine, &path);
    weir_buffer_append_text(out, "\"critical_path\": [");
    int64_t at = 0;
    for (uint32_t i = 0; i < path.count; i++) {
        weir_buffer_append_text(out, i ? ", " : "");
        path_part(engine, &path.parts[i], at, out);
        at += path.parts[i].used;
    }
    weir_buffer_append_text(out, "]");
    path_free(&path);
}

static void begun(int64_t unix_ms, struct weir_buffer *out)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm time;
    char text[32];
    gmtime_r(&seconds, &time);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &time);
    weir_buffer_printf(out, ", \"begun\": \"%s.%03dZ\"", text, (int)(unix_ms % 1000));
}

void report_json_begun(const struct engine *engine, const char *app_name, int64_t unix_ms,
                       struct weir_buffer *out)
{
    weir_buffer_append_text(out, "{\"weir_report\": 1, ");
    key_text(out, "service", app_name);
    weir_buffer_printf(out, ", \"outcome\": \"%s\", \"exit\": %d, \"forced\": %s,\n ",
                       engine_clean(engine) ? "clean" : "unclean", engine->exit_status,
                       engine->forced ? "true" : "false");
    cause(engine, out);
    if (unix_ms)
        begun(unix_ms, out);
    signals(engine, out);
    weir_buffer_printf(
        out,
        ",\n \"total\": %lld, \"pre_drain\": %lld, \"limit\": %lld, \"elapsed\": %lld,\n"
        " \"components\": [",
        (long long)engine->plan->options.deadline_ms, (long long)(engine->announce_until - engine->t0),
        (long long)(engine->work_end - engine->t0), (long long)(engine->exited_at - engine->t0));
    uint32_t *order = report_order(engine);
    for (uint32_t i = 0; i < engine->plan->count; i++) {
        weir_buffer_append_text(out, i ? ",\n  " : "\n  ");
        component(engine, order[i], out);
    }
    free(order);
    weir_buffer_append_text(out, "],\n ");
    critical_path(engine, out);
    weir_buffer_append_text(out, "}\n");
}

void report_json(const struct engine *engine, const char *app_name, struct weir_buffer *out)
{
    report_json_begun(engine, app_name, 0, out);
}
