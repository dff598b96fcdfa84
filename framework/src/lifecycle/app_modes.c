/* What an app says instead of running: help, version, configuration, plan, and what is wrong with it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "core/memory.h"
#include "lifecycle/app.h"

static const struct weir_component *resolve(struct weir_app *app, const struct app_part *part, const void *on)
{
    const struct weir_component *component = on;
    if (component->magic != COMPONENT_MAGIC)
        app_mistake(app, "%s: something in its needs is no component: give what a weir_..._add() returned",
                    part->name);
    else if (component->app != app)
        app_mistake(app, "%s: needs %s, which belongs to another app", part->name, component->name);
    else
        return component;
    return NULL;
}

struct plan *app_plan(struct weir_app *app)
{
    struct plan_input *inputs = memory_zalloc((app->count + 1) * sizeof *inputs);
    uint32_t **needs = memory_zalloc((app->count + 1) * sizeof(uint32_t *));
    for (uint32_t i = 0; i < app->count; i++) {
        const struct app_part *part = app->parts[i];
        const struct weir_component_options *options = &part->options;
        inputs[i] = (struct plan_input){
            .name = part->name,
            .has = {part->ops->start, part->ops->quiesce, part->ops->drain, part->ops->finish,
                    part->ops->destroy},
            .cut_min_ms = options->cut_min_ms,
            .finish_min_ms = options->finish_min_ms,
            .drain_max_ms = options->drain_max_ms,
            .start_timeout_ms = options->start_timeout_ms,
            .ingress = options->ingress,
            .announcer = options->announcer,
            .base = options->base,
            .restart = {options->restart.most, options->restart.within_ms, options->restart.first_backoff_ms,
                        options->restart.longest_backoff_ms},
        };
        needs[i] = memory_alloc((part->need_count + 1) * sizeof *needs[i]);
        for (size_t k = 0; k < part->need_count; k++) {
            const struct weir_component *on = resolve(app, part, part->needs[k]);
            if (on)
                needs[i][inputs[i].need_count++] = on->index;
        }
        inputs[i].needs = needs[i];
    }
    struct plan_options options = {app->options.deadline_ms, app->options.pre_drain_ms,
                                   app->options.report_ms,   app->options.destroy_max_ms,
                                   app->platform_grace_ms,   app->options.start_total_ms};
    struct plan *plan = plan_new(&options, inputs, app->count);
    for (uint32_t i = 0; i < app->count; i++)
        free(needs[i]);
    free(needs);
    free(inputs);
    return plan;
}

static void write_out(struct weir_buffer *text)
{
    fwrite(text->data, 1, text->size, stdout);
    fflush(stdout);
}

static void print_plan(struct weir_app *app)
{
    struct weir_buffer text = {0};
    const char *format = config_plan_format(app->config);
    if (!strcmp(format, "json"))
        plan_json(app->plan, app->name, &text);
    else if (!strcmp(format, "dot"))
        plan_dot(app->plan, app->name, &text);
    else if (!strcmp(format, "kubernetes"))
        plan_kubernetes(app->plan, app->name, config_value(app->config, "admin", "listen"), &text);
    else if (!strcmp(format, "systemd"))
        plan_systemd(app->plan, app->name, &text);
    else
        plan_text(app->plan, app->name, &text);
    write_out(&text);
    weir_buffer_free(&text);
}

/* All that is wrong, from the configuration, the author and the plan, at once. */
static bool something_is_wrong(struct weir_app *app, enum config_mode mode)
{
    for (size_t i = 0; i < app->mistake_count; i++)
        config_problem(app->config, app->mistakes[i]);
    for (size_t i = 0; i < app->plan->error_count; i++)
        config_problem(app->config, app->plan->errors[i]);
    struct weir_buffer problems = {0};
    bool good = config_finish(app->config, &problems);
    if (!good)
        handover_failed(app->handover, weir_buffer_text(&problems));
    if (!good)
        fprintf(stderr, "%s: cannot run:\n%s", app->name, weir_buffer_text(&problems));
    else if (mode == CONFIG_CHECK)
        printf("configuration is good\n");
    weir_buffer_free(&problems);
    return !good;
}

bool app_only_says(struct weir_app *app, int *ret_status)
{
    enum config_mode mode = config_mode(app->config);
    *ret_status = 0;
    if (mode == CONFIG_HELP) {
        config_help(app->config, stdout);
        return true;
    }
    if (mode == CONFIG_VERSION) {
        printf("%s (weir %s)\n", app->name, WEIR_VERSION);
        return true;
    }
    if (something_is_wrong(app, mode)) {
        *ret_status = EX_CONFIG;
        return true;
    }
    if (mode == CONFIG_PRINT)
        config_print(app->config, stdout);
    else if (mode == CONFIG_PLAN)
        print_plan(app);
    else if (mode == CONFIG_UPGRADE)
        *ret_status = handover_command(app->name, app->options.control);
    else if (mode == CONFIG_MIGRATE || mode == CONFIG_MIGRATE_DRY)
        *ret_status = app_migrate(app, mode == CONFIG_MIGRATE_DRY);
    return mode != CONFIG_RUN;
}

void app_destroy_parts(struct weir_app *app)
{
    for (uint32_t i = app->count; i-- > 0;) {
        bool sorted = app->plan && !app->plan->error_count;
        struct app_part *part = app->parts[sorted ? app->plan->order[i] : i];
        if (part->ops->destroy)
            part->ops->destroy(part->self);
    }
}
