/* The report of the engine, as a test reads it. */
#include <string.h>

#include "lifecycle/report.h"
#include "testing/kit.h"

static struct weir_test_step step_of(const struct engine *engine, const struct engine_part *part, enum op op)
{
    const struct engine_step *step = &part->steps[op];
    struct weir_test_step told = {.outcome = "", .at_ms = -1, .error = step->text};
    if (step->outcome != OUTCOME_NONE)
        told.outcome = outcome_name(step->outcome);
    if (step->called) {
        told.at_ms = step->at - engine->t0;
        told.used_ms = step->used;
    }
    return told;
}

static const char *worst(const struct engine_part *part)
{
    static const enum outcome worst_first[] = {OUTCOME_ABANDONED, OUTCOME_FAILED, OUTCOME_CUT,
                                               OUTCOME_SKIPPED};
    for (size_t i = 0; i < sizeof worst_first / sizeof worst_first[0]; i++)
        for (enum op op = OP_START; op <= OP_DESTROY; op++)
            if (part->steps[op].outcome == worst_first[i] &&
                !(op == OP_DESTROY && worst_first[i] == OUTCOME_SKIPPED))
                return outcome_name(worst_first[i]);
    return outcome_name(OUTCOME_CLEAN);
}

static void fill_components(struct weir_test *test)
{
    const struct engine *engine = test->app->engine;
    struct weir_test_component *components =
        weir_arena_zalloc(test->arena, (test->app->count + 1) * sizeof *components);
    for (uint32_t i = 0; i < test->app->count; i++) {
        const struct engine_part *part = &engine->parts[i];
        components[i] = (struct weir_test_component){
            .name = weir_arena_strdup(test->arena, test->app->parts[i]->name),
            .outcome = worst(part),
            .start = step_of(engine, part, OP_START),
            .quiesce = step_of(engine, part, OP_QUIESCE),
            .drain = step_of(engine, part, OP_DRAIN),
            .finish = step_of(engine, part, OP_FINISH),
            .destroy = step_of(engine, part, OP_DESTROY),
            .work = part->work,
            .restarts = (int)part->restart_total,
        };
    }
    test->report.components = components;
    test->report.count = test->app->count;
}

static const char *kept(struct weir_test *test, struct weir_buffer *text)
{
    const char *copy = weir_arena_strdup(test->arena, weir_buffer_text(text));
    weir_buffer_free(text);
    return copy;
}

void report_make(struct weir_test *test)
{
    test->has_report = true;
    test->report = (struct weir_test_report){
        .outcome = "not run", .cause = "", .exit = test->exit, .text = "", .json = ""};
    if (!test->app)
        return;
    const struct engine *engine = test->app->engine;
    test->report.outcome = engine_clean(engine) ? "clean" : "unclean";
    test->report.cause = weir_arena_strdup(test->arena, engine->cause.text);
    test->report.forced = engine->forced;
    test->report.elapsed_ms = engine->exited_at - engine->t0;
    fill_components(test);
    struct weir_buffer text = {0}, json = {0};
    report_text(engine, test->app->name, &text);
    report_json(engine, test->app->name, &json);
    test->report.text = kept(test, &text);
    test->report.json = kept(test, &json);
}

const struct weir_test_report *weir_test_report(struct weir_test *test)
{
    weir_test_run_to_end(test);
    if (!test->has_report)
        report_make(test);
    return &test->report;
}

const struct weir_test_component *weir_test_component(struct weir_test *test, const char *name)
{
    const struct weir_test_report *report = weir_test_report(test);
    for (size_t i = 0; i < report->count; i++)
        if (!strcmp(report->components[i].name, name))
            return &report->components[i];
    test_die("there is no component \"%s\"", name);
}
