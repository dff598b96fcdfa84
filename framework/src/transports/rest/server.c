/* The REST server as a component: configuration, routes, start, and a stop that answers what it accepted. */
#include "transports/rest/server.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <weir/app.h>
#include <weir/clock.h>
#include <weir/config.h>
#include <weir/log.h>

#include "core/memory.h"
#include "transports/rest/problem.h"

#define CUT_MIN_MS 500
#define CUT_CALLS_MS 150 /* for calls that were cancelled to say so */

#define KEY(member) .name = #member, .offset = offsetof(struct weir_rest_options, member)

static const struct weir_config_key keys[] = {
    {KEY(listen), .type = WEIR_CONFIG_LISTEN, .required = true, .help = "where to listen"},
    {KEY(threads), .type = WEIR_CONFIG_INT, .fallback = "1", .min = 1, .max = 64, .help = "event loops"},
    {KEY(connections_max), .type = WEIR_CONFIG_INT, .fallback = "10000", .min = 1, .max = 1000000,
     .help = "connections at once; more are refused with 503"},
    {KEY(head_bytes_max), .type = WEIR_CONFIG_INT, .fallback = "8192", .min = 512, .max = 1 << 20,
     .help = "request line and headers, in bytes; more is 431, a longer target 414"},
    {KEY(body_bytes_max), .type = WEIR_CONFIG_INT, .fallback = "1048576", .min = 1, .max = 1 << 30,
     .help = "a request's body, in bytes; more is 413"},
    {KEY(head_timeout_ms), .type = WEIR_CONFIG_INT, .fallback = "10000", .min = 10, .max = 3600000,
     .help = "milliseconds for a request's head, from its first byte on"},
    {KEY(body_timeout_ms), .type = WEIR_CONFIG_INT, .fallback = "30000", .min = 10, .max = 3600000,
     .help = "milliseconds for a request's body, and for taking the answer"},
    {KEY(idle_timeout_ms), .type = WEIR_CONFIG_INT, .fallback = "60000", .min = 10, .max = 3600000,
     .help = "milliseconds between requests of a connection"},
    {KEY(in_flight_max), .type = WEIR_CONFIG_INT, .fallback = "1024", .min = 1, .max = 1000000,
     .help = "calls at once; more are refused with 503"},
    {0},
};

static const struct weir_config_key live_keys[] = {
    {KEY(timeout_ms), .type = WEIR_CONFIG_INT, .fallback = "30000", .min = 1, .max = 3600000,
     .help = "milliseconds that a call gets, unless the request says less"},
    {0},
};

static enum weir_status start(void *self, struct weir_context *context, struct weir_error *err)
{
    (void)context;
    struct weir_rest_server *server = self;
    const struct weir_rest_options *options = &server->options;
    server->engine =
        http_engine_new(&(struct http_engine_options){.listen = options->listen,
                                                      .name = server->component.name,
                                                      .threads = options->threads,
                                                      .connections_max = options->connections_max,
                                                      .head_bytes_max = options->head_bytes_max,
                                                      .body_bytes_max = options->body_bytes_max,
                                                      .head_timeout_ms = options->head_timeout_ms,
                                                      .body_timeout_ms = options->body_timeout_ms,
                                                      .idle_timeout_ms = options->idle_timeout_ms},
                        &rest_user_ops, problem_of_engine, server);
    enum weir_status status = http_engine_start(server->engine, err);
    if (status != WEIR_OK) {
        http_engine_destroy(server->engine);
        server->engine = NULL;
        return status;
    }
    weir_log_info("serving REST", weir_field_text("listen", options->listen),
                  weir_field_int("port", http_engine_port(server->engine)));
    return WEIR_OK;
}

static enum weir_status quiesce(void *self, struct weir_error *err)
{
    struct weir_rest_server *server = self;
    enum weir_status status = http_engine_quiesce(server->engine, err);
    gate_drain(server->gate);
    return status;
}

/* Answers that no loop has come round to cut in its time: nobody gets those either. */
static void account_for_unsent(struct weir_rest_server *server)
{
    for (int accounted = 0; accounted < 2; accounted++)
        for (int64_t count = atomic_load(&server->unsent[accounted]); count > 0; count--)
            gate_was_cut(server->gate, accounted != 0);
}

/* Connections that are open may still bring requests that were sent already, so the gate stays open to the
 * end. */
static enum weir_status drain(void *self, struct weir_context *context, struct weir_work *work,
                              struct weir_error *err)
{
    (void)err;
    struct weir_rest_server *server = self;
    if (!http_engine_drain(server->engine, context) || !gate_wait_empty(server->gate, context)) {
        atomic_store(&server->cutting, true);
        gate_close(server->gate);
        gate_cut(server->gate);
        http_engine_cancel(server->engine);
        struct weir_context cut;
        context_init(&cut, NULL, weir_deadline_in_ms(CUT_CALLS_MS));
        gate_wait_empty(server->gate, &cut);
        context_clean_up(&cut);
        http_engine_cut(server->engine);
        account_for_unsent(server);
    }
    gate_account(server->gate, work);
    return WEIR_OK;
}

static void reload(void *self, const void *new_options)
{
    struct weir_rest_server *server = self;
    const struct weir_rest_options *options = new_options;
    server->timeout_ms = options->timeout_ms;
}

static void destroy(void *self)
{
    struct weir_rest_server *server = self;
    http_engine_destroy(server->engine);
    router_destroy(server->router);
    gate_destroy(server->gate);
    free(server);
}

struct weir_rest_server *weir_rest_server_add(struct weir_app *app, const char *name,
                                              struct weir_service *service,
                                              const struct weir_rest_options *options)
{
    static const struct weir_component_ops ops = {
        .start = start, .quiesce = quiesce, .drain = drain, .destroy = destroy};
    struct weir_rest_server *server = NEW(struct weir_rest_server);
    struct weir_component_options component = {.ingress = true, .cut_min_ms = CUT_MIN_MS};
    if (options) {
        server->options = *options;
        memcpy(component.needs, options->needs, sizeof component.needs);
    }
    weir_config_section(app, name, keys, &server->options);
    weir_config_section_live(app, name, live_keys, &server->options, sizeof server->options, reload, server);
    server->timeout_ms = server->options.timeout_ms;
    server->app = app;
    server->router = router_new();
    server->gate = gate_new(server->options.in_flight_max);
    component_add(app, &server->component, name, &ops, server, &component);
    component_is(&server->component, COMPONENT_REST_SERVER);
    weir_rest_server_serve(server, service);
    return server;
}

void weir_rest_server_serve(struct weir_rest_server *server, struct weir_service *service)
{
    if (!service) {
        app_mistake(server->app, "%s: no service was given to serve", server->component.name);
        return;
    }
    component_needs(&server->component, service);
    size_t routes = 0;
    for (size_t i = 0; i < service->type->method_count; i++) {
        const struct weir_method *method = &service->type->methods[i];
        for (size_t j = 0; j < method->http_count; j++, routes++) {
            struct weir_error err = {0};
            if (router_add(server->router, service, method, &method->http[j], &err) != WEIR_OK)
                app_mistake(server->app, "%s: %s", server->component.name, err.text);
        }
    }
    if (routes == 0)
        app_mistake(server->app, "%s: no method of %s has a google.api.http annotation",
                    server->component.name, service->type->full_name);
}

int weir_rest_server_port(const struct weir_rest_server *server)
{
    return server->engine ? http_engine_port(server->engine) : 0;
}
