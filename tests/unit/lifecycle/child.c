/* A small app whose components do what the command line says, for app_test.c:
 *
 *     child SCENARIO [flags of the app]
 *
 * It writes one line for each operation to standard output, and "ready" once it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/clock.h>

#include "lifecycle/app.h"

struct fake {
    const char *name;
    bool start_fails, start_waits, drain_hangs, drain_waits, finish_hangs, stuck, dies;
    struct weir_component *component;
};

static void say(const struct fake *fake, const char *what)
{
    char line[64];
    int length = snprintf(line, sizeof line, "%s %s\n", what, fake->name);
    if (write(STDOUT_FILENO, line, (size_t)length) < 0)
        abort();
}

static void hang(void)
{
    for (;;)
        pause();
}

static enum weir_status start(void *self, struct weir_context *context, struct weir_error *err)
{
    struct fake *fake = self;
    say(fake, "start");
    if (fake->start_fails)
        return weir_fail(err, WEIR_UNAVAILABLE, "port 1 is taken");
    if (fake->start_waits)
        return weir_fail(err, weir_context_sleep(context, 60000), "was told to stop starting");
    if (fake->dies)
        weir_component_failed(fake->component, &(struct weir_error){WEIR_DATA_LOSS, "", "lost its disk"});
    return WEIR_OK;
}

static enum weir_status quiesce(void *self, struct weir_error *err)
{
    (void)err;
    say(self, "quiesce");
    return WEIR_OK;
}

static enum weir_status drain(void *self, struct weir_context *context, struct weir_work *work,
                              struct weir_error *err)
{
    (void)err;
    struct fake *fake = self;
    say(fake, "drain");
    if (fake->drain_hangs)
        hang();
    work->in_flight = 1;
    if (fake->drain_waits && weir_context_sleep(context, 60000) != WEIR_OK)
        work->cancelled = 1;
    else
        work->completed = 1;
    return WEIR_OK;
}

static enum weir_status finish(void *self, struct weir_context *context, struct weir_work *work,
                               struct weir_error *err)
{
    (void)context, (void)work, (void)err;
    struct fake *fake = self;
    say(fake, "finish");
    if (fake->finish_hangs)
        hang();
    return WEIR_OK;
}

static void destroy(void *self)
{
    say(self, "destroy");
}

static const struct weir_component_ops ops = {start, quiesce, drain, finish, destroy};

/* Says "ready" once all that it needs, which is everything, is up. */
static enum weir_status tell_ready(void *self, struct weir_context *context, struct weir_error *err)
{
    (void)context, (void)err;
    say(self, "ready");
    return WEIR_OK;
}

static const struct weir_component_ops teller_ops = {.start = tell_ready};

int main(int argc, char **argv)
{
    const char *scenario = argc > 1 ? argv[1] : "";
    static struct fake db = {.name = "db"}, api = {.name = "api"}, other = {.name = "other"},
                       all = {.name = "all"};
    api.start_fails = !strcmp(scenario, "start-fails");
    api.start_waits = !strcmp(scenario, "start-waits");
    api.drain_hangs = !strcmp(scenario, "drain-hangs");
    api.drain_waits = !strcmp(scenario, "drain-waits");
    api.dies = !strcmp(scenario, "dies");
    argv[argc > 1] = argv[0];
    struct weir_app *app = app_create("child", argc - (argc > 1), argv + (argc > 1));
    db.component =
        weir_component_add(app, "db", &ops, &db, &(struct weir_component_options){.finish_min_ms = 100});
    api.component = weir_component_add(
        app, "api", &ops, &api, &(struct weir_component_options){.needs = {db.component}, .ingress = true});
    other.component =
        weir_component_add(app, strcmp(scenario, "twice") ? "other" : "api", &ops, &other, NULL);
    if (!api.start_waits)
        weir_component_add(app, "all", &teller_ops, &all,
                           &(struct weir_component_options){.needs = {api.component, other.component}});
    return weir_app_run(app);
}
