/* What a handover means for the rest of the process: who is told that it is ready or stops, the report file,
 * sockets that nobody took. handover.h has the handover itself. */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include <weir/log.h>

#include "core/listener.h"
#include "core/memory.h"
#include "lifecycle/app.h"
#include "lifecycle/report_file.h"

bool app_cannot_upgrade(struct weir_app *app, int *ret_status)
{
    const struct handover_options options = {.control = app->options.control,
                                             .timeout_ms = app->options.upgrade_timeout_ms,
                                             .deadline_ms = app->options.deadline_ms};
    struct weir_error err = {0};
    if (handover_begin(app->handover, &options, &err) == WEIR_OK)
        return false;
    fprintf(stderr, "%s: cannot run:\n%s\n", app->name, err.text);
    handover_failed(app->handover, err.text);
    *ret_status = EX_UNAVAILABLE;
    return true;
}

/* So that a crash loses no connection: what is queued on them waits for the next process. */
static void store_listeners(void)
{
    if (!process_has_store())
        return;
    struct listener_copy *copies;
    size_t count = listeners_copy(LISTENER_FOR_STORE, &copies);
    for (size_t i = 0; i < count; i++)
        process_store(copies[i].fd, copies[i].name);
    listener_copies_free(copies, count);
    listeners_stored();
}

static void drop_rest(void)
{
    struct weir_buffer rest = {0};
    if (listeners_drop_rest(&rest) > 0)
        weir_log_warn(
            "sockets that this process was given belong to no component and are closed: a name must be "
            "a component's, or the address be its `listen`",
            weir_field_text("sockets", weir_buffer_text(&rest)));
    weir_buffer_free(&rest);
}

static void serve_from_now_on(void)
{
    store_listeners();
    drop_rest();
    process_notify("READY=1");
}

void app_upgrade_ready(struct weir_app *app)
{
    handover_ready(app->handover);
    if (!handover_is_waiting(app->handover))
        serve_from_now_on();
}

void app_upgrade_stopping(struct weir_app *app)
{
    const struct engine_cause *cause = &app->engine->cause;
    struct weir_buffer why = {0};
    weir_buffer_printf(&why, "%s%s%s", cause->part == PLAN_NONE ? "" : app->parts[cause->part]->name,
                       cause->part == PLAN_NONE ? "" : ": ", cause->text);
    handover_failed(app->handover, weir_buffer_text(&why));
    weir_buffer_free(&why);
    handover_stopping(app->handover);
    if (!handover_is_waiting(app->handover) && !handover_is_done(app->handover))
        process_notify("STOPPING=1"); /* else another process is the service */
}

static const char *obstacle(const struct weir_app *app)
{
    if (getpid() == 1)
        return "this process is PID 1 of its container, which would end with it: start a new container "
               "instead";
    if (app->engine->phase == PHASE_IDLE || app->engine->phase == PHASE_STARTING)
        return "it is still starting";
    if (app->engine->phase != PHASE_RUNNING)
        return "it is stopping";
    return app->no_upgrade;
}

bool app_upgrade_hear(struct weir_app *app, const char **ret_text)
{
    switch (handover_hear(app->handover, obstacle(app))) {
    case HANDOVER_TAKEN:
        if (app->engine->phase != PHASE_RUNNING)
            break; /* it was told to stop meanwhile */
        weir_log_info("took over from the process before");
        if (app->options.report_file)
            report_file_take_over(app->options.report_file, app->name);
        serve_from_now_on();
        break;
    case HANDOVER_GIVEN:
        runner_set_handover(app->runner);
        *ret_text = handover_text(app->handover);
        return true;
    case HANDOVER_NOTHING:
        break;
    }
    return false;
}

void app_upgrade_keep_report(struct weir_app *app)
{
    if (!app->options.report_file)
        return;
    char *path =
        memory_printf("%s%s", app->options.report_file,
                      handover_is_done(app->handover) ? ".last" : ""); /* else it is the successor's */
    report_file_write(path, app->engine, app->name, app_stop_unix_ms(app));
    free(path);
}
