#include <string.h>

#include <weir/config.h>

#include "data/saga/saga.h"

static const struct weir_config_key keys[] = {
    {.name = "workers",
     .type = WEIR_CONFIG_INT,
     .offset = offsetof(struct saga_settings, workers),
     .fallback = "8",
     .help = "threads for background steps",
     .min = 1,
     .max = 256},
    {.name = "step_timeout_ms",
     .type = WEIR_CONFIG_INT,
     .offset = offsetof(struct saga_settings, step_timeout_ms),
     .fallback = "10000",
     .help = "milliseconds of a background attempt",
     .min = 10,
     .max = 600000},
    {.name = "retry_max_ms",
     .type = WEIR_CONFIG_INT,
     .offset = offsetof(struct saga_settings, retry_max_ms),
     .fallback = "10000",
     .help = "longest pause between two attempts, in ms",
     .min = 100,
     .max = 3600000},
    {.name = "lease_ms",
     .type = WEIR_CONFIG_INT,
     .offset = offsetof(struct saga_settings, lease_ms),
     .fallback = "15000",
     .help = "a process that is silent for so long has lost its sagas, in ms",
     .min = 3000,
     .max = 600000},
    {.name = "keep_ms",
     .type = WEIR_CONFIG_INT,
     .offset = offsetof(struct saga_settings, keep_ms),
     .fallback = "2592000000",
     .help = "milliseconds that ended sagas stay; they can be turned as long",
     .min = 60000,
     .max = INT64_MAX / 4},
    {0},
};

static void check_types(struct weir_app *app, const char *name, const struct weir_saga_type *const *types)
{
    if (!types[0])
        app_mistake(app, "%s: no types: .types = {&my_saga}", name);
    for (int i = 0; i < WEIR_SAGA_TYPES_MAX && types[i]; i++) {
        const struct weir_saga_type *type = types[i];
        if (!type->name || !type->load || saga_n_steps(type) == 0)
            app_mistake(app, "%s: type %d has no name, no load, or no steps", name, i);
        for (int step = 0; step < saga_n_steps(type); step++) {
            if (!type->steps[step].run == !type->steps[step].commit)
                app_mistake(app, "%s: step \"%s\" has one of run and commit", name, type->steps[step].name);
            for (int other = 0; other < step; other++)
                if (strcmp(type->steps[step].name, type->steps[other].name) == 0)
                    app_mistake(app, "%s: step \"%s\" is there twice", name, type->steps[step].name);
        }
    }
}

struct weir_saga_runner *weir_saga_add(struct weir_app *app, const char *name,
                                       const struct weir_saga_options *options)
{
    if (!options || !options->db) {
        app_mistake(app, "%s: sagas need a database", name);
        return NULL;
    }
    struct saga_settings settings = {.workers = options->workers,
                                     .step_timeout_ms = options->step_timeout_ms,
                                     .retry_max_ms = options->retry_max_ms,
                                     .lease_ms = options->lease_ms,
                                     .keep_ms = options->keep_ms};
    weir_config_section(app, name, keys, &settings);
    if (settings.workers < 1 || settings.workers > 256)
        settings.workers = 8; /* reported already */
    if (settings.keep_ms < 60000)
        settings.keep_ms = INT64_MAX / 4; /* reported already */
    check_types(app, name, options->types);
    for (int i = 0; i < WEIR_SAGA_TYPES_MAX && options->types[i]; i++)
        if (options->types[i]->name)
            sql_keep_sagas(options->db, options->types[i]->name, settings.keep_ms);

    struct weir_saga_runner *runner = saga_runner_new(name, options->db, options->types, &settings);
    runner->self = options->self;
    struct weir_component_options component = {.finish_min_ms = 500};
    memcpy(component.needs, options->needs, sizeof component.needs);
    component_add(app, &runner->component, name, &saga_runner_ops, runner, &component);
    component_needs(&runner->component, options->db);
    if (runner->component.name)
        runner->name = runner->component.name;
    return runner;
}
