/* The service that reload_test.c sends SIGHUP: the echo service over REST, and a component "limits" that writes what it
 * is told: "limits 3 secret" with the keys size and password, which may change; "kind" may not. With RELOAD_SLOW in the
 * environment it starts, and drains, until a line comes on standard input. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/weir.h>

#include "echo_service.h"

struct limits {
    int64_t size;
    const char *password;
};

static struct {
    struct weir_rest_server *rest;
    struct echo_service echo;
    struct limits limits;
    struct {
        const char *kind;
    } fixed;
} child;

static const struct weir_config_key live_keys[] = {
    {"size", WEIR_CONFIG_INT, offsetof(struct limits, size), .fallback = "1", .help = "a number", .min = 1,
     .max = 9},
    {"password", WEIR_CONFIG_TEXT, offsetof(struct limits, password), .help = "a secret", .secret = true},
    {0},
};

static const struct weir_config_key fixed_keys[] = {
    {"kind", WEIR_CONFIG_TEXT, 0, .help = "for good"},
    {0},
};

static void say(const struct limits *limits)
{
    printf("limits %lld, password of %zu\n", (long long)limits->size,
           limits->password ? strlen(limits->password) : 0);
    fflush(stdout);
}

static void reload(void *self, const void *options)
{
    (void)self;
    say(options);
}

static void wait_for_line(const char *what)
{
    char line[64];
    if (!getenv("RELOAD_SLOW"))
        return;
    printf("%s waits\n", what);
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        exit(3);
}

static enum weir_status start(void *self, struct weir_context *context, struct weir_error *err)
{
    (void)self, (void)context, (void)err;
    say(&child.limits);
    wait_for_line("start");
    printf("port %d\n", weir_rest_server_port(child.rest));
    fflush(stdout);
    return WEIR_OK;
}

static enum weir_status drain(void *self, struct weir_context *context, struct weir_work *work,
                              struct weir_error *err)
{
    (void)self, (void)context, (void)work, (void)err;
    wait_for_line("drain");
    return WEIR_OK;
}

int main(int argc, char **argv)
{
    static const struct weir_component_ops ops = {.start = start, .drain = drain};
    struct weir_app *app = weir_app_new("reload_child", argc, argv);
    child.rest = weir_rest_server_add(app, "rest", echo_service_start_with(app, &child.echo, false), NULL);
    child.limits.size = 2; /* the author's default */
    weir_config_section(app, "limits", fixed_keys, &child.fixed);
    weir_config_section_live(app, "limits", live_keys, &child.limits, sizeof child.limits, reload, NULL);
    weir_component_add(app, "limits", &ops, NULL, &(struct weir_component_options){.needs = {child.rest}});
    int status = weir_app_run(app);
    echo_service_clean_up(&child.echo);
    return status;
}
