/* weir_app_new(): puts an app together from the lifecycle below and the parts that every app has. */
#include "lifecycle/app.h"
#include "call/executor.h"
#include "edge/admin.h"

struct weir_app *weir_app_new(const char *name, int argc, char **argv)
{
    struct weir_app *app = app_create(name, argc, argv);
    admin_add(app);
    struct weir_component *component;
    struct executor *executor = executor_add(app, &component);
    app_set_executor(app, executor, component);
    return app;
}
