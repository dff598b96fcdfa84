/* The service that handover_test.c upgrades: the echo service over REST, and over gRPC where --grpc.listen is
 * given. With --db.url and --events.brokers an Echo stores a row and its event before it answers. Its last component does, as it starts, what the file HANDOVER_MODE names:
 *
 *     fail        returns an error           exit     ends the process
 *     hang        waits for its context      stop     stops the process, as SIGSTOP does
 *     wait        goes on when the file says something else
 *     announcer   says in its drain whether it is one of a handover
 *     refuse      (read before that) a component for which there can be no upgrade
 *
 * It writes "up PID REST GRPC ADMIN" to standard output, and its ports. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/weir.h>

#include "echo_service.h"
#include "edge/admin.h"
#include "lifecycle/app.h"

static struct {
    char mode[32];
    const struct weir_component *admin;
    struct weir_rest_server *rest;
    struct weir_grpc_server *grpc;
    struct echo_service echo;
    struct weir_sql *db;
} child;

static bool is(const char *mode)
{
    return strcmp(child.mode, mode) == 0;
}

static void read_mode(void)
{
    const char *path = getenv("HANDOVER_MODE");
    FILE *file = path ? fopen(path, "re") : NULL;
    if (!file)
        return;
    if (fgets(child.mode, sizeof child.mode, file))
        child.mode[strcspn(child.mode, "\n")] = 0;
    fclose(file);
}

static enum weir_status start(void *self, struct weir_context *context, struct weir_error *err)
{
    (void)self;
    if (is("fail"))
        return weir_fail(err, WEIR_UNAVAILABLE, "it was told to fail");
    if (is("exit"))
        _exit(3);
    if (is("stop"))
        raise(SIGSTOP);
    while (is("wait") && weir_context_sleep(context, 2) == WEIR_OK)
        read_mode();
    if (is("hang"))
        return weir_fail(err, weir_context_sleep(context, 60000), "was told to stop starting");
    printf("\nup %d %d %d %d\n", (int)getpid(), weir_rest_server_port(child.rest),
           child.grpc ? weir_grpc_server_port(child.grpc) : 0, admin_port(child.admin));
    fflush(stdout);
    return WEIR_OK;
}

static enum weir_status drain(void *self, struct weir_context *context, struct weir_work *work,
                              struct weir_error *err)
{
    (void)self, (void)work, (void)err;
    if (is("announcer"))
        printf("handover %d\n", weir_context_handover(context));
    fflush(stdout);
    return WEIR_OK;
}

/* ---- Storing ---- */

static const char *const migrations[] = {"CREATE TABLE stored (text TEXT PRIMARY KEY)", NULL};

static enum weir_status store(struct weir_call *call, const Echo__EchoRequest *request,
                              Echo__EchoReply *reply)
{
    (void)reply;
    struct weir_tx *tx = weir_sql_begin(call, child.db);
    weir_sql_exec(tx, "INSERT INTO stored (text) VALUES (?)", request->text);
    echo_echo_request_publish(tx, request);
    return weir_sql_commit(tx);
}

static struct weir_service *add_storing_service(struct weir_app *app)
{
    static struct echo_handlers handlers;
    handlers = echo_service_handlers;
    handlers.echo.fn = store;
    child.db = weir_sql_add(app, "db", &(struct weir_sql_options){.migrations = migrations});
    struct weir_producer *events = weir_producer_add(app, "events", NULL);
    struct weir_outbox *relay = weir_outbox_add(app, "relay", child.db, events, NULL);
    echo_service_init(&child.echo);
    return echo_service_add(app, &(struct echo_service_options){
                                     .handlers = &handlers, .self = &child.echo, .needs = {child.db, relay}});
}

static bool has_flag(int argc, char **argv, const char *begin)
{
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], begin, strlen(begin)) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    static const struct weir_component_ops ops = {.start = start, .drain = drain};
    read_mode();
    struct weir_app *app = weir_app_new("handover_child", argc, argv);
    child.admin = app->parts[0]->component;
    struct weir_service *service = has_flag(argc, argv, "--db.")
                                       ? add_storing_service(app)
                                       : echo_service_start_with(app, &child.echo, false);
    child.rest = weir_rest_server_add(app, "rest", service, NULL);
    child.grpc = has_flag(argc, argv, "--grpc.") ? weir_grpc_server_add(app, "grpc", service, NULL) : NULL;
    struct weir_component *last = weir_component_add(
        app, "last", &ops, NULL,
        &(struct weir_component_options){.needs = {child.rest, child.grpc}, .announcer = is("announcer")});
    if (is("refuse"))
        component_refuse_upgrade(last, "it was told to refuse");
    int status = weir_app_run(app);
    echo_service_clean_up(&child.echo);
    return status;
}
