#include "lifecycle/app.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/log.h>

#include "core/memory.h"
#include "observe/log.h"

#define TOO_LATE UINT32_MAX /* the index of a component that was added while the app ran */

static const char *const report_choices[] = {"text", "json", "none", NULL};

static const struct weir_config_key app_keys[] = {
    {"deadline_ms", WEIR_CONFIG_INT, offsetof(struct app_options, deadline_ms), "25000",
     "From the begin of a stop to the end of the process, in ms", 1, PLAN_MS_MAX, NULL, false, false},
    {"pre_drain_ms", WEIR_CONFIG_INT, offsetof(struct app_options, pre_drain_ms), "0",
     "How long a stop is announced while requests are still served, in ms", 0, PLAN_MS_MAX, NULL, false,
     false},
    {"report_ms", WEIR_CONFIG_INT, offsetof(struct app_options, report_ms), "200",
     "Kept for the report at the end of a stop, in ms", 0, PLAN_MS_MAX, NULL, false, false},
    {"destroy_max_ms", WEIR_CONFIG_INT, offsetof(struct app_options, destroy_max_ms), "1000",
     "How long one component may take to free what it has, in ms", 1, PLAN_MS_MAX, NULL, false, false},
    {"start_total_ms", WEIR_CONFIG_INT, offsetof(struct app_options, start_total_ms), "0",
     "What the platform allows for the whole start, in ms; 0: unknown", 0, PLAN_MS_MAX, NULL, false, false},
    {"report", WEIR_CONFIG_CHOICE, offsetof(struct app_options, report), "text",
     "The report of a stop and its progress, on standard error", 0, 0, report_choices, false, false},
    {"report_file", WEIR_CONFIG_TEXT, offsetof(struct app_options, report_file),
     .help = "where the report is kept as JSON; the next start tells when the exit was not 0"},
    {"control", WEIR_CONFIG_TEXT, offsetof(struct app_options, control),
     .help = "path of the socket on which this process hears --upgrade; only its user may"},
    {"upgrade_timeout_ms", WEIR_CONFIG_INT, offsetof(struct app_options, upgrade_timeout_ms), "60000",
     "For the successor of an upgrade to become ready, in ms", 1, PLAN_MS_MAX, NULL, false, false},
    {0},
};

static const struct weir_config_key platform_keys[] = {
    {"grace_ms", WEIR_CONFIG_INT, 0, "0",
     "After which the platform kills a process that stops, in ms; 0: unknown", 0, PLAN_MS_MAX, NULL, false,
     false},
    {0},
};

struct times {
    int64_t cut_min, finish_min, drain_max, start_timeout, restart_most, restart_within, first_backoff,
        longest_backoff;
};

#define TIME_KEY(name, member, help)                                                                         \
    {                                                                                                        \
        name, WEIR_CONFIG_INT, offsetof(struct times, member), NULL, help, 0, PLAN_MS_MAX, NULL, false,      \
            false                                                                                            \
    }

static const struct weir_config_key time_keys[] = {
    TIME_KEY("cut_min_ms", cut_min, "From being told to cut its work until it has, in ms; default 250"),
    TIME_KEY("finish_min_ms", finish_min, "Reserved to make results durable, in ms; default 0"),
    TIME_KEY("drain_max_ms", drain_max,
             "More time to drain would not help, in ms; default no limit of its own"),
    TIME_KEY("start_timeout_ms", start_timeout, "To start, in ms; default 30000"),
    TIME_KEY("restart_most", restart_most,
             "Restarts in restart_within_ms; one more is an orderly stop; default 0"),
    TIME_KEY("restart_within_ms", restart_within, "See restart_most, in ms; default 60000"),
    TIME_KEY("restart_first_backoff_ms", first_backoff,
             "Before the first restart, in ms; doubles; default 100"),
    TIME_KEY("restart_longest_backoff_ms", longest_backoff, "Before a restart at most, in ms; default 5000"),
    {0},
};

static void reload_log(void *self, const void *options)
{
    (void)self;
    log_configure(options);
}

struct weir_app *app_create(const char *name, int argc, char **argv)
{
    process_block_signals();
    struct weir_app *app = NEW(struct weir_app);
    app->handover = handover_new(argc, argv);
    app->name = memory_strdup(name);
    app->config = config_new(name);
    app->stop.kind = EVENT_STOP;
    inbox_init(&app->inbox);
    config_load(app->config, argc, argv, environ);
    config_section(app->config, "app", app_keys, &app->options);
    config_section(app->config, "platform", platform_keys, &app->platform_grace_ms);
    struct log_options log = {0};
    config_section_live(app->config, "log", log_config_keys, &log, sizeof log, reload_log, NULL);
    log_configure(&log);
    return app;
}

void app_set_executor(struct weir_app *app, struct executor *executor, struct weir_component *component)
{
    app->executor = executor;
    app->executor_component = component;
}

void app_free(struct weir_app *app)
{
    for (uint32_t i = 0; i < app->count; i++) {
        struct app_part *part = app->parts[i];
        free(part->owned);
        free(part->name);
        free(part->needs);
        free(part);
    }
    for (size_t i = 0; i < app->mistake_count; i++)
        free(app->mistakes[i]);
    for (struct late *late = atomic_load(&app->late); late;) {
        struct late *next = late->next;
        free(late);
        late = next;
    }
    free(app->mistakes);
    free(app->parts);
    plan_destroy(app->plan);
    inbox_clean_up(&app->inbox);
    config_destroy(app->config);
    handover_free(app->handover);
    free(app->last_report);
    free(app->name);
    free(app);
}

void app_mistake(struct weir_app *app, const char *format, ...)
{
    struct weir_buffer text = {0};
    va_list args;
    va_start(args, format);
    weir_buffer_vprintf(&text, format, args);
    va_end(args);
    app->mistakes = memory_realloc(app->mistakes, (app->mistake_count + 1) * sizeof *app->mistakes);
    app->mistakes[app->mistake_count++] = memory_strdup(weir_buffer_text(&text));
    weir_buffer_free(&text);
}

/* ---- Components ---- */

static void read_times(struct weir_app *app, const char *name, struct weir_component_options *options)
{
    struct times times = {
        .cut_min = options->cut_min_ms,
        .finish_min = options->finish_min_ms,
        .drain_max = options->drain_max_ms,
        .start_timeout = options->start_timeout_ms,
        .restart_most = options->restart.most,
        .restart_within = options->restart.within_ms,
        .first_backoff = options->restart.first_backoff_ms,
        .longest_backoff = options->restart.longest_backoff_ms,
    };
    config_section(app->config, name, time_keys, &times);
    options->cut_min_ms = times.cut_min;
    options->finish_min_ms = times.finish_min;
    options->drain_max_ms = times.drain_max;
    options->start_timeout_ms = times.start_timeout;
    options->restart.most =
        (int32_t)(times.restart_most > PLAN_RESTARTS_MAX ? PLAN_RESTARTS_MAX : times.restart_most);
    options->restart.within_ms = times.restart_within;
    options->restart.first_backoff_ms = times.first_backoff;
    options->restart.longest_backoff_ms = times.longest_backoff;
}

static void add_need(struct app_part *part, const void *on)
{
    if (!on)
        return;
    part->needs = memory_realloc(part->needs, (part->need_count + 1) * sizeof *part->needs);
    part->needs[part->need_count++] = on;
}

void component_add(struct weir_app *app, struct weir_component *component, const char *name,
                   const struct weir_component_ops *ops, void *self,
                   const struct weir_component_options *options)
{
    static const struct weir_component_ops no_ops = {0};
    if (app->running) { /* other threads read the list by now: it stays as it is */
        weir_log_error("component was added after the app had begun to run: it never starts",
                       weir_field_text("component", name));
        *component =
            (struct weir_component){.magic = COMPONENT_MAGIC, .index = TOO_LATE, .app = app, .name = name};
        return;
    }
    struct app_part *part = NEW(struct app_part);
    part->name = memory_strdup(name ? name : "");
    part->component = component;
    part->ops = ops ? ops : &no_ops;
    part->self = self;
    if (options)
        part->options = *options;
    for (int i = 0; i < WEIR_NEEDS_MAX; i++)
        add_need(part, part->options.needs[i]);
    read_times(app, part->name, &part->options);
    part->failed = (struct message){.kind = EVENT_FAILED, .part = app->count};
    *component = (struct weir_component){
        .magic = COMPONENT_MAGIC, .index = app->count, .app = app, .name = part->name};
    app->parts = memory_realloc(app->parts, (app->count + 1) * sizeof(struct app_part *));
    app->parts[app->count++] = part;
}

/* Any thread. The handle can be used as any other, and nothing comes of it. */
static struct weir_component *add_late(struct weir_app *app, const char *name)
{
    struct late *late = NEW(struct late);
    component_add(app, &late->component, name, NULL, NULL, NULL);
    late->next = atomic_load(&app->late);
    while (!atomic_compare_exchange_weak(&app->late, &late->next, late))
        continue;
    return &late->component;
}

struct weir_component *weir_component_add(struct weir_app *app, const char *name,
                                          const struct weir_component_ops *ops, void *self,
                                          const struct weir_component_options *options)
{
    if (app->running)
        return add_late(app, name);
    struct weir_component *component = NEW(struct weir_component);
    component_add(app, component, name, ops, self, options);
    app->parts[component->index]->owned = component;
    return component;
}

void component_is(struct weir_component *component, enum component_kind kind)
{
    component->kind = kind;
}

void component_migrates(struct weir_component *component, component_migrate_fn *migrate)
{
    if (component->index != TOO_LATE)
        component->app->parts[component->index]->migrate = migrate;
}

void component_needs(struct weir_component *component, const void *on)
{
    if (component->index != TOO_LATE)
        add_need(component->app->parts[component->index], on);
}

const struct weir_component *component_find_need(const struct weir_component *component,
                                                 enum component_kind kind)
{
    if (!component->app || component->index >= component->app->count)
        return NULL;
    const struct app_part *part = component->app->parts[component->index];
    const struct weir_component *found = NULL;
    for (size_t i = 0; i < part->need_count && !found; i++) {
        const struct weir_component *need = part->needs[i];
        if (need->magic == COMPONENT_MAGIC) /* else a mistake that is reported elsewhere */
            found = need->kind == kind ? need : component_find_need(need, kind);
    }
    return found;
}

void component_refuse_upgrade(struct weir_component *component, const char *why)
{
    component->app->no_upgrade = why;
}

const char *weir_component_name(const void *component)
{
    return ((const struct weir_component *)component)->name;
}

struct weir_app *weir_component_app(const void *component)
{
    return ((const struct weir_component *)component)->app;
}

struct weir_component *app_executor_component(struct weir_app *app)
{
    return app->executor_component;
}

struct executor *app_executor(struct weir_app *app)
{
    return app->executor;
}

/* ---- The app ---- */

const char *weir_app_name(const struct weir_app *app)
{
    return app->name;
}

bool weir_app_ready(const struct weir_app *app)
{
    return atomic_load(&app->ready);
}

void weir_app_stop(struct weir_app *app, const char *reason)
{
    inbox_post_text(&app->inbox, &app->stop, WEIR_OK, reason);
}

void weir_component_failed(const void *component, const struct weir_error *err)
{
    const struct weir_component *failed = component;
    if (failed->index == TOO_LATE)
        return;
    struct app_part *part = failed->app->parts[failed->index];
    inbox_post_text(&failed->app->inbox, &part->failed, err ? err->status : WEIR_UNKNOWN,
                    err ? err->text : "failed without saying why");
}

bool weir_config_section(struct weir_app *app, const char *section, const struct weir_config_key *keys,
                         void *options)
{
    return config_section(app->config, section, keys, options);
}
