#include "edge/stop_metrics.h"

#include <stdlib.h>
#include <string.h>

#include <weir/arena.h>
#include <weir/clock.h>
#include <weir/codec.h>
#include <weir/log.h>
#include <weir/report.weir.h>

#include "core/memory.h"
#include "lifecycle/app.h"
#include "observe/metrics.h"

struct stop_metrics {
    struct weir_app *app;
    Weir__StopReport *last; /* NULL: none, or not to be read */
    struct metric_source **sources;
    size_t count;
    struct weir_arena *arena; /* of numbers that do not change */
};

static void add(struct stop_metrics *metrics, const char *name, const char *help, const char *label,
                const char *value, metric_read_fn *read, void *arg)
{
    const struct metric_options options = {
        .name = name, .help = help, .labels = {{"app", metrics->app->name}, {label, value}}};
    metrics->sources =
        memory_realloc(metrics->sources, (metrics->count + 1) * sizeof(struct metric_source *));
    metrics->sources[metrics->count++] = metrics_source(METRIC_GAUGE, &options, read, arg);
}

/* ---- The last run ---- */

static double read_number(void *arg)
{
    return *(const double *)arg;
}

static void add_number(struct stop_metrics *metrics, const char *name, const char *help, const char *label,
                       const char *value, double number)
{
    double *kept = weir_arena_alloc(metrics->arena, sizeof *kept);
    *kept = number;
    add(metrics, name, help, label, value, read_number, kept);
}

static double in_seconds(int64_t ms)
{
    return (double)ms / 1000;
}

static double used_seconds(const Weir__StopStep *step)
{
    return step ? in_seconds(step->used) : 0;
}

static void add_last_component(struct stop_metrics *metrics, const Weir__StopComponent *component)
{
    static const Weir__StopWork none = WEIR__STOP_WORK__INIT;
    const Weir__StopWork *work = component->work ? component->work : &none;
    const Weir__StopSteps *steps = component->steps;
    double seconds = steps ? used_seconds(steps->quiesce) + used_seconds(steps->drain) +
                                 used_seconds(steps->finish) + used_seconds(steps->destroy)
                           : 0;
    const struct {
        const char *name, *help;
        double number;
    } rows[] = {
        {"weir_last_stop_component_seconds", "What the component took itself in the last run's stop",
         seconds},
        {"weir_last_stop_in_flight", "Work in flight when the ingress had closed in the last run's stop",
         (double)work->in_flight},
        {"weir_last_stop_completed", "Of that, what was completed", (double)work->completed},
        {"weir_last_stop_cancelled", "Of that, what was cancelled", (double)work->cancelled},
        {"weir_last_stop_stuck", "Of that, what did not heed its cancellation", (double)work->stuck},
        {"weir_last_stop_kept", "Of that, what was not done but is safe", (double)work->kept},
        {"weir_last_stop_undelivered", "Messages without a delivery report in the last run's stop",
         (double)work->undelivered},
        {"weir_last_stop_uncommitted",
         "Messages processed whose offset was not committed in the last run's stop",
         (double)work->uncommitted},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        add_number(metrics, rows[i].name, rows[i].help, "component", component->name, rows[i].number);
}

static void add_last(struct stop_metrics *metrics, const Weir__StopReport *last)
{
    static const char *const outcomes[] = {"clean", "unclean", "killed"};
    const char *outcome = strcmp(last->outcome, "running") == 0 ? "killed" : last->outcome;
    for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++)
        add_number(metrics, "weir_last_stop_outcome", "1 for how the last run ended", "outcome", outcomes[i],
                   strcmp(outcome, outcomes[i]) == 0);
    if (weir__stop_report__has_exit(last))
        add_number(metrics, "weir_last_stop_exit_status", "The last run's exit status", NULL, NULL,
                   last->exit);
    if (weir__stop_report__has_elapsed(last))
        add_number(metrics, "weir_last_stop_seconds", "How long the last run's stop took", NULL, NULL,
                   in_seconds(last->elapsed));
    for (size_t i = 0; i < last->n_components; i++)
        add_last_component(metrics, last->components[i]);
}

/* NULL where it is of another version, or damaged: a report is never a reason not to start. */
static Weir__StopReport *read_report(const char *text)
{
    static const struct weir_json_options lenient = {.ignore_unknown = true};
    struct weir_buffer wire = {0};
    struct weir_error err = {0};
    Weir__StopReport *report = NULL;
    if (weir_json_to_wire(&weir__stop_report__table, weir_bytes_of_text(text), &lenient, &wire, &err) ==
        WEIR_OK)
        report = weir__stop_report__unpack(NULL, wire.size, wire.data);
    else
        weir_log_warn("the last run's report cannot be read, so it is in no metric",
                      weir_field_text("error", err.text));
    weir_buffer_free(&wire);
    if (report && report->weir_report != 1) {
        weir_log_warn("the last run's report is of another version, so it is in no metric",
                      weir_field_int("version", report->weir_report));
        weir__stop_report__free_unpacked(report, NULL);
        report = NULL;
    }
    return report;
}

/* ---- This run ---- */

static double read_elapsed(void *arg)
{
    const struct weir_app *app = arg;
    int64_t begun = atomic_load(&app->stop_begun_ns);
    return begun ? (double)(weir_now_ns() - begun) / WEIR_NS_PER_S : 0;
}

static double read_left(void *arg)
{
    const struct weir_app *app = arg;
    double left = in_seconds(app->options.deadline_ms) - read_elapsed(arg);
    return left > 0 ? left : 0;
}

static double read_open(void *arg)
{
    const struct weir_app *app = arg;
    return atomic_load(&app->stop_open);
}

static double read_start(void *arg)
{
    const struct app_part *part = arg;
    return in_seconds(atomic_load(&part->start_ms));
}

static void add_present(struct stop_metrics *metrics)
{
    struct weir_app *app = metrics->app;
    add(metrics, "weir_stop_elapsed_seconds", "Since the stop began; 0 while there is none", NULL, NULL,
        read_elapsed, app);
    add(metrics, "weir_stop_left_seconds", "Until the deadline of the stop; all of it while there is none",
        NULL, NULL, read_left, app);
    add(metrics, "weir_stop_components_open",
        "Components that have not ended in the stop; 0 while there is none", NULL, NULL, read_open, app);
    for (uint32_t i = 0; i < app->count; i++)
        add(metrics, "weir_start_seconds", "What the component's last start took; 0 until it has",
            "component", app->parts[i]->name, read_start, app->parts[i]);
}

struct stop_metrics *stop_metrics_new(struct weir_app *app)
{
    struct stop_metrics *metrics = NEW(struct stop_metrics);
    metrics->app = app;
    metrics->arena = weir_arena_new();
    add_present(metrics);
    metrics->last = app->last_report ? read_report(app->last_report) : NULL;
    if (metrics->last)
        add_last(metrics, metrics->last);
    return metrics;
}

void stop_metrics_destroy(struct stop_metrics *metrics)
{
    if (!metrics)
        return;
    for (size_t i = 0; i < metrics->count; i++)
        metrics_source_remove(metrics->sources[i]);
    if (metrics->last)
        weir__stop_report__free_unpacked(metrics->last, NULL);
    weir_arena_destroy(metrics->arena);
    free(metrics->sources);
    free(metrics);
}
