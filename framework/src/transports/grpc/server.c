/* The gRPC server: turns rpcs into calls, and what calls say back into rpcs.
 *
 * A call's reference is dropped when its rpc is gone, so the engine may tell it of a cancel at any time until
 * then. */
#include <weir/grpc.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <weir/app.h>
#include <weir/clock.h>
#include <weir/config.h>
#include <weir/log.h>

#include "call/call.h"
#include "core/memory.h"
#include "engines/rpc.h"
#include "transports/grpc/health.h"

#define CUT_MIN_MS 500

/* A method that is served; without a service it is one of health's. */
struct served {
    struct weir_service *service;
    const struct weir_method *method;
    char *path;
};

struct weir_grpc_server {
    struct weir_component component; /* first: a handle */
    struct weir_grpc_options options;
    struct weir_service **services;
    const char **names;
    size_t service_count;

    struct served *served; /* the rest: made by start */
    struct rpc_method *methods;
    size_t method_count;
    struct gate *gate;
    struct health *health;
    struct rpc_server *engine;
    atomic_bool cutting; /* the drain's time is over */
};

static struct weir_grpc_server *server_of(const struct rpc *rpc)
{
    return rpc_server_user(rpc);
}

static const struct served *served_of(const struct rpc *rpc)
{
    return rpc_method(rpc)->user;
}

/* ---- From the call to the wire ---- */

/* A call that the stop cut short was cancelled by us, not by its client: for that one it is UNAVAILABLE. */
static enum weir_status status_of(const struct weir_call *call)
{
    const struct weir_grpc_server *server = server_of(call->transport);
    bool is_cut = call->status == WEIR_CANCELLED && atomic_load(&server->cutting);
    return is_cut ? WEIR_UNAVAILABLE : call->status;
}

static void finish(struct weir_call *call)
{
    uint8_t kind = call->method->kind;
    struct weir_bytes reply = weir_buffer_bytes(&call->reply);
    bool replies = kind == WEIR_UNARY || kind == WEIR_CLIENT_STREAM;
    call->accounted = gate_is_draining(call->gate);
    call->completed =
        call->entered && (call->status == WEIR_OK || weir_context_status(&call->context) != WEIR_CANCELLED);
    for (const struct metadata *m = kind == WEIR_UNARY ? call->reply_metadata : NULL; m; m = m->next)
        rpc_add_trailer(call->transport, m->name, m->value);
    rpc_finish(call->transport, status_of(call), call_error_text(call), replies ? &reply : NULL);
}

static enum weir_status send_message(struct weir_call *call, struct weir_bytes message)
{
    return rpc_send(call->transport, call, message);
}

static void read_message(struct weir_call *call)
{
    rpc_read(call->transport, call);
}

static const struct call_ops call_ops = {
    .name = "grpc", .finish = finish, .send = send_message, .read = read_message};

/* ---- From the wire to the call ---- */

/* What belongs to the wire, and binary values: metadata is text. */
static bool is_for_handlers(struct weir_bytes name)
{
    bool is_wire = (name.size >= 5 && memcmp(name.data, "grpc-", 5) == 0) ||
                   weir_bytes_equal_text(name, "te") || weir_bytes_equal_text(name, "content-type") ||
                   weir_bytes_equal_text(name, "accept-encoding");
    bool is_binary = name.size >= 4 && memcmp(name.data + name.size - 4, "-bin", 4) == 0;
    return !is_wire && !is_binary;
}

/* weir-principal is metadata like any other, and proves nothing unless the callers are trusted. */
static void add_metadata(struct weir_call *call, const struct rpc *rpc)
{
    for (size_t i = 0; i < rpc_metadata_count(rpc); i++) {
        struct weir_bytes name, value;
        rpc_metadata_at(rpc, i, &name, &value);
        if (is_for_handlers(name))
            call_add_metadata(call, name, value);
    }
}

static void begin(struct rpc *rpc)
{
    struct weir_grpc_server *server = server_of(rpc);
    const struct served *served = served_of(rpc);
    if (!served->service) {
        health_begin(server->health, rpc);
        return;
    }
    struct weir_call *call = call_new(&call_ops, rpc, served->service, served->method, server->gate);
    call->begun_ns = rpc_begun_ns(rpc);
    add_metadata(call, rpc);
    if (server->options.trust_principal)
        call_believe_principal(call);
    call_set_deadline(call, rpc_deadline_ns(rpc));
    call->request = rpc_request(rpc);
    rpc_set_user(rpc, call);
    call_dispatch(call);
}

static void message(struct rpc *rpc, struct weir_bytes message)
{
    call_message(rpc_user(rpc), message);
}

static void half_close(struct rpc *rpc)
{
    call_half_close(rpc_user(rpc));
}

static void writable(struct rpc *rpc)
{
    if (served_of(rpc)->service)
        call_writable(rpc_user(rpc));
}

static void over(struct rpc *rpc, enum weir_status status)
{
    if (served_of(rpc)->service)
        call_cancel(rpc_user(rpc), status);
    else
        health_over(server_of(rpc)->health, rpc);
}

static void draining(struct rpc *rpc, int64_t left_ms)
{
    if (served_of(rpc)->service)
        call_draining(rpc_user(rpc), left_ms);
}

static void gone(struct rpc *rpc, bool complete)
{
    struct weir_grpc_server *server = server_of(rpc);
    struct weir_call *call = rpc_user(rpc);
    if (!served_of(rpc)->service) {
        health_gone(server->health, rpc);
        return;
    }
    /* An answer that its client does not take, and that the stop has cut. */
    if (!complete && atomic_load(&server->cutting) && call->completed)
        gate_was_cut(server->gate, call->accounted);
    weir_call_release(call);
}

static const struct rpc_user_ops user_ops = {begin, message, half_close, writable, over, draining, gone};

/* ---- Life ---- */

static void add_method(struct weir_grpc_server *server, struct weir_service *service,
                       const struct weir_method *method, char *path, enum weir_method_kind kind)
{
    struct served *served = &server->served[server->method_count];
    *served = (struct served){.service = service, .method = method};
    served->path = path;
    server->methods[server->method_count++] = (struct rpc_method){.path = path, .kind = kind, .user = served};
}

static void make_methods(struct weir_grpc_server *server)
{
    size_t count = 2;
    for (size_t i = 0; i < server->service_count; i++)
        count += server->services[i]->type->method_count;
    server->served = memory_zalloc(count * sizeof *server->served);
    server->methods = memory_zalloc(count * sizeof *server->methods);
    server->names = memory_zalloc((server->service_count + 1) * sizeof *server->names);
    for (size_t i = 0; i < server->service_count; i++) {
        struct weir_service *service = server->services[i];
        server->names[i] = service->type->full_name;
        for (size_t m = 0; m < service->type->method_count; m++) {
            const struct weir_method *method = &service->type->methods[m];
            add_method(server, service, method, memory_printf("/%s", method->full_name), method->kind);
        }
    }
    add_method(server, NULL, NULL, memory_strdup(HEALTH_CHECK), WEIR_UNARY);
    add_method(server, NULL, NULL, memory_strdup(HEALTH_WATCH), WEIR_SERVER_STREAM);
}

/* What a start made. */
static void take_down(struct weir_grpc_server *server)
{
    rpc_server_destroy(server->engine);
    health_destroy(server->health);
    gate_destroy(server->gate);
    for (size_t i = 0; i < server->method_count; i++)
        free(server->served[i].path);
    free(server->served);
    free(server->methods);
    free(server->names);
    server->engine = NULL;
    server->health = NULL;
    server->gate = NULL;
    server->served = NULL;
    server->methods = NULL;
    server->names = NULL;
    server->method_count = 0;
}

static enum weir_status start(void *self, struct weir_context *context, struct weir_error *err)
{
    (void)context;
    struct weir_grpc_server *server = self;
    take_down(server); /* of an earlier start: this may be a restart */
    atomic_store(&server->cutting, false);
    make_methods(server);
    server->gate = gate_new(server->options.in_flight_max);
    server->health = health_new(server->component.app, server->names, server->service_count);
    struct rpc_server_options options = {
        .listen = server->options.listen,
        .name = server->component.name,
        .connections_max = server->options.connections_max,
        .threads = server->options.threads,
        .message_bytes_max = server->options.message_bytes_max,
        .metadata_bytes_max = server->options.metadata_bytes_max,
        .streams_max = server->options.streams_max,
        .timeout_ms = server->options.timeout_ms,
    };
    server->engine = rpc_server_new(&options, server->methods, server->method_count, &user_ops, server);
    enum weir_status status = health_start(server->health, err);
    if (status == WEIR_OK)
        status = rpc_server_start(server->engine, err);
    if (status != WEIR_OK) {
        take_down(server);
        return status;
    }
    weir_log_info("serving gRPC", weir_field_text("listen", options.listen),
                  weir_field_int("port", rpc_server_port(server->engine)));
    return WEIR_OK;
}

/* Clients learn that they should go elsewhere; what they have sent by then is accepted work. */
static enum weir_status quiesce(void *self, struct weir_error *err)
{
    (void)err;
    struct weir_grpc_server *server = self;
    rpc_server_quiesce(server->engine);
    gate_drain(server->gate);
    return WEIR_OK;
}

static bool wait_a_moment(struct weir_grpc_server *server, int64_t ms)
{
    struct weir_context moment;
    context_init(&moment, NULL, weir_deadline_in_ms(ms));
    bool over = rpc_server_wait(server->engine, &moment);
    context_clean_up(&moment);
    return over;
}

/* Tells what still runs to stop, and gives it half of the reserve to say something better than a reset. What it has said by
 * then gets a moment to go out: the core resets what is on its way, too, and counts it as sent. */
static void cut(struct weir_grpc_server *server)
{
    struct weir_context moment;
    context_init(&moment, NULL, weir_deadline_in_ms(CUT_MIN_MS / 2));
    atomic_store(&server->cutting, true);
    gate_cut(server->gate);
    rpc_server_cancel(server->engine);
    gate_wait_empty(server->gate, &moment);
    context_clean_up(&moment);
    if (wait_a_moment(server, CUT_MIN_MS / 8))
        return;
    rpc_server_abort(server->engine);
    wait_a_moment(server, CUT_MIN_MS / 4);
}

static enum weir_status drain(void *self, struct weir_context *context, struct weir_work *work,
                              struct weir_error *err)
{
    (void)err;
    struct weir_grpc_server *server = self;
    rpc_server_draining(server->engine, weir_context_left_ms(context));
    health_stop(server->health); /* a watch would hold its connection */
    rpc_server_settle(server->engine, context);
    rpc_server_close(server->engine);
    gate_close(server->gate);
    if (!gate_wait_empty(server->gate, context) || !rpc_server_wait(server->engine, context))
        cut(server);
    gate_account(server->gate, work);
    return WEIR_OK;
}

static void destroy(void *self)
{
    struct weir_grpc_server *server = self;
    take_down(server);
    free(server->services);
    free(server);
}

static const struct weir_component_ops component_ops = {
    .start = start, .quiesce = quiesce, .drain = drain, .destroy = destroy};

/* ---- Add ---- */

static const struct weir_config_key keys[] = {
    {"listen", WEIR_CONFIG_LISTEN, offsetof(struct weir_grpc_options, listen), NULL, "where to listen",
     .required = true},
    {"threads", WEIR_CONFIG_INT, offsetof(struct weir_grpc_options, threads), "1",
     "threads that serve connections, and run inline handlers", 1, 256, .required = false},
    {"message_bytes_max", WEIR_CONFIG_INT, offsetof(struct weir_grpc_options, message_bytes_max), "4194304",
     "bytes of a request or a message of a stream; more is RESOURCE_EXHAUSTED", 1, INT32_MAX,
     .required = false},
    {"metadata_bytes_max", WEIR_CONFIG_INT, offsetof(struct weir_grpc_options, metadata_bytes_max), "8192",
     "bytes of a call's metadata; more is RESOURCE_EXHAUSTED", 1024, 1 << 20, .required = false},
    {"connections_max", WEIR_CONFIG_INT, offsetof(struct weir_grpc_options, connections_max), "10000",
     "connections at once; more are refused", 1, 1000000, .required = false},
    {"streams_max", WEIR_CONFIG_INT, offsetof(struct weir_grpc_options, streams_max), "1024",
     "calls at once on one connection; more wait at the client", 1, INT32_MAX, .required = false},
    {"in_flight_max", WEIR_CONFIG_INT, offsetof(struct weir_grpc_options, in_flight_max), "4096",
     "calls at once; more are refused with RESOURCE_EXHAUSTED", 1, INT32_MAX, .required = false},
    {"timeout_ms", WEIR_CONFIG_INT, offsetof(struct weir_grpc_options, timeout_ms), "30000",
     "ms that a unary call has whose client set no deadline", 1, 86400000, .required = false},
    {"trust_principal", WEIR_CONFIG_BOOL, offsetof(struct weir_grpc_options, trust_principal), "false",
     "the callers are services of ours: believe the weir-principal that they send", .required = false},
    {0},
};

struct weir_grpc_server *weir_grpc_server_add(struct weir_app *app, const char *name,
                                              struct weir_service *service,
                                              const struct weir_grpc_options *options)
{
    struct weir_grpc_server *server = NEW(struct weir_grpc_server);
    if (options)
        server->options = *options;
    weir_config_section(app, name, keys, &server->options);
    struct weir_component_options lifetime = {.cut_min_ms = CUT_MIN_MS, .ingress = true};
    memcpy(lifetime.needs, server->options.needs, sizeof lifetime.needs);
    component_add(app, &server->component, name, &component_ops, server, &lifetime);
    component_is(&server->component, COMPONENT_GRPC_SERVER);
    weir_grpc_server_serve(server, service);
    return server;
}

void weir_grpc_server_serve(struct weir_grpc_server *server, struct weir_service *service)
{
    struct weir_app *app = server->component.app;
    const char *name = server->component.name;
    if (!service) {
        app_mistake(app, "%s: no service was given to serve", name);
        return;
    }
    for (size_t i = 0; i < server->service_count; i++)
        if (strcmp(server->services[i]->type->full_name, service->type->full_name) == 0) {
            app_mistake(app, "%s: it serves %s twice", name, service->type->full_name);
            return;
        }
    server->services =
        memory_realloc(server->services, (server->service_count + 1) * sizeof(struct weir_service *));
    server->services[server->service_count++] = service;
    component_needs(&server->component, service);
}

int weir_grpc_server_port(const struct weir_grpc_server *server)
{
    return server->engine ? rpc_server_port(server->engine) : 0;
}
