/* --migrate: the components' tables are brought up to date, or it is said what would be; nothing is started. */
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>

#include <weir/clock.h>

#include "core/context.h"
#include "lifecycle/app.h"

/* What goes on here ends like any command, and its transaction with it. */
static void end_on_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static enum weir_status migrate_part(const struct weir_app *app, uint32_t at, bool dry, int64_t *count)
{
    const struct app_part *part = app->parts[at];
    struct weir_buffer lines = {0};
    struct weir_error err = {0};
    struct weir_context context;
    context_init(&context, NULL, weir_deadline_in_ms(app->plan->parts[at].start_timeout));
    enum weir_status status = part->migrate(part->self, &context, dry, &lines, count, &err);
    context_clean_up(&context);
    fputs(weir_buffer_text(&lines), stdout);
    fflush(stdout);
    if (status != WEIR_OK)
        fprintf(stderr, "%s: cannot migrate: %s\n", app->name, err.text);
    weir_buffer_free(&lines);
    return status;
}

int app_migrate(struct weir_app *app, bool dry)
{
    int64_t count = 0;
    bool failed = false;
    end_on_signals();
    for (uint32_t i = 0; i < app->count && (dry || !failed); i++)
        if (app->parts[i]->migrate && migrate_part(app, i, dry, &count) != WEIR_OK)
            failed = true;
    if (failed)
        return EX_UNAVAILABLE;
    if (count == 0)
        printf("nothing to migrate\n");
    return dry && count > 0 ? APP_MIGRATIONS_DUE : 0;
}
