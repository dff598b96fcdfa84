/* weir_app_new(): puts an app together from the lifecycle below and the parts that every app has. */
#include "call/executor.h"
#include "edge/admin.h"
#include "lifecycle/app.h"
#include "observe/log.h"

#define LOG_STOP_MS 500

/* What is logged after it is written at once. */
static void flush_log(struct weir_app *app)
{
    (void)app;
    log_stop(LOG_STOP_MS);
}

static void begin_log(struct weir_app *app)
{
    struct log_options options = {0};
    weir_config_section(app, "log", log_config_keys, &options);
    log_configure(&options);
    log_start(weir_app_name(app));
    app->before_exit = flush_log;
}

struct weir_app *weir_app_new(const char *name, int argc, char **argv)
{
    struct weir_app *app = app_create(name, argc, argv);
    begin_log(app);
    admin_add(app);
    struct weir_component *component;
    struct executor *executor = executor_add(app, &component);
    app_set_executor(app, executor, component);
    return app;
}
