#include "edge/admin.h"

#include <stdlib.h>
#include <string.h>

#include <weir/config.h>
#include <weir/log.h>

#include "core/memory.h"
#include "edge/stop_metrics.h"
#include "engines/exchange.h"
#include "lifecycle/component.h"
#include "observe/metrics.h"

struct admin_options {
    const char *listen;
};

static const struct weir_config_key keys[] = {
    {"listen", WEIR_CONFIG_LISTEN, offsetof(struct admin_options, listen),
     .help = "where health, readiness and metrics are served; not set: nowhere"},
    {0},
};

struct admin {
    struct weir_component component; /* first: a handle */
    struct admin_options options;
    struct http_engine *engine; /* NULL: nothing listens */
    _Atomic int port;
    struct metric_source *ready;
    struct stop_metrics *stop; /* NULL: nobody looks */
};

/* ---- What it says ---- */

static struct http_header header(const char *name, const char *value)
{
    return (struct http_header){weir_bytes_of_text(name), weir_bytes_of_text(value)};
}

/* Nobody keeps a connection here: it would only be in the way of the end. */
static void answer(struct exchange *exchange, int status, const char *type, struct weir_bytes body)
{
    const struct http_header headers[] = {header("Content-Type", type), header("Cache-Control", "no-store"),
                                          header("Allow", "GET, HEAD")};
    exchange_answer(exchange, &(struct http_answer){.status = status,
                                                    .headers = headers,
                                                    .header_count = status == 405 ? 3 : 2,
                                                    .body = body,
                                                    .close = true});
}

static void answer_text(struct exchange *exchange, int status, const char *text)
{
    answer(exchange, status, "text/plain; charset=utf-8", weir_bytes_of_text(text));
}

static void answer_metrics(struct exchange *exchange)
{
    struct weir_buffer text = {0};
    metrics_write(&text);
    answer(exchange, 200, METRICS_CONTENT_TYPE, weir_buffer_bytes(&text));
    weir_buffer_free(&text);
}

/* RFC 9457. `detail` is a literal of ours or the engine's: nothing in it needs escaping. */
static void write_problem(int status, const char *detail, struct weir_buffer *ret_body)
{
    weir_buffer_printf(ret_body, "{\"type\":\"about:blank\",\"status\":%d,\"detail\":\"%s\"}", status,
                       detail);
}

static void answer_problem(struct exchange *exchange, int status, const char *detail)
{
    struct weir_buffer body = {0};
    write_problem(status, detail, &body);
    answer(exchange, status, "application/problem+json", weir_buffer_bytes(&body));
    weir_buffer_free(&body);
}

/* ---- Exchanges ---- */

static void answer_health(struct exchange *exchange)
{
    answer_text(exchange, 200, "ok");
}

static void answer_ready(struct exchange *exchange)
{
    const struct admin *admin = exchange_server(exchange);
    if (weir_app_ready(admin->component.app))
        answer_text(exchange, 200, "ready");
    else
        answer_text(exchange, 503, "not ready");
}

static void answer_unknown(struct exchange *exchange)
{
    answer_problem(exchange, 404, "there are /healthz, /ready and /metrics");
}

static void answer_wrong_method(struct exchange *exchange)
{
    answer_problem(exchange, 405, "GET and HEAD only");
}

struct route {
    const char *path;
    void (*answer)(struct exchange *exchange);
};

static struct route *route_of(const struct http_head *head)
{
    static struct route routes[] = {
        {"/healthz", answer_health}, {"/ready", answer_ready}, {"/metrics", answer_metrics}};
    static struct route unknown = {NULL, answer_unknown}, wrong_method = {NULL, answer_wrong_method};
    bool reads = weir_bytes_equal_text(head->method, "GET") || weir_bytes_equal_text(head->method, "HEAD");
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (weir_bytes_equal_text(head->path, routes[i].path))
            return reads ? &routes[i] : &wrong_method;
    return &unknown;
}

static void on_head(struct exchange *exchange, const struct http_head *head)
{
    exchange_set_user(exchange, route_of(head));
}

static void on_body(struct exchange *exchange, struct weir_bytes piece)
{
    (void)exchange, (void)piece;
}

static void on_end(struct exchange *exchange)
{
    const struct route *route = exchange_user(exchange);
    route->answer(exchange);
}

static void on_gone(struct exchange *exchange, bool complete)
{
    (void)exchange, (void)complete;
}

static const struct http_user_ops user_ops = {
    .head = on_head, .body = on_body, .end = on_end, .gone = on_gone};

/* ---- The component ---- */

static double read_ready(void *app)
{
    return weir_app_ready(app) ? 1 : 0;
}

static enum weir_status start(void *self, struct weir_context *context, struct weir_error *err)
{
    (void)context;
    struct admin *admin = self;
    if (!admin->options.listen)
        return WEIR_OK;
    if (!admin->stop)
        admin->stop = stop_metrics_new(weir_component_app(admin));
    const struct http_engine_options options = {.listen = admin->options.listen,
                                                .name = "admin",
                                                .threads = 1,
                                                .connections_max = 64,
                                                .body_bytes_max = 1024,
                                                .head_timeout_ms = 5000,
                                                .body_timeout_ms = 5000,
                                                .idle_timeout_ms = 5000};
    admin->engine = http_engine_new(&options, &user_ops, write_problem, admin);
    enum weir_status status = http_engine_start(admin->engine, err);
    if (status == WEIR_OK) {
        admin->port = http_engine_port(admin->engine);
        weir_log_info("admin listens", weir_field_text("listen", admin->options.listen),
                      weir_field_int("port", admin->port));
    }
    return status;
}

static enum weir_status quiesce(void *self, struct weir_error *err)
{
    struct admin *admin = self;
    return admin->engine ? http_engine_quiesce(admin->engine, err) : WEIR_OK;
}

/* Its answers take no time, so what is open has no request and is closed. */
static enum weir_status drain(void *self, struct weir_context *context, struct weir_work *work,
                              struct weir_error *err)
{
    (void)context, (void)work, (void)err;
    struct admin *admin = self;
    if (admin->engine && http_engine_connections(admin->engine) > 0)
        http_engine_cut(admin->engine);
    return WEIR_OK;
}

static void destroy(void *self)
{
    struct admin *admin = self;
    http_engine_destroy(admin->engine);
    metrics_source_remove(admin->ready);
    stop_metrics_destroy(admin->stop);
    free(admin);
}

struct weir_component *admin_add(struct weir_app *app)
{
    static const struct weir_component_ops ops = {
        .start = start, .quiesce = quiesce, .drain = drain, .destroy = destroy};
    struct admin *admin = NEW(struct admin);
    weir_config_section(app, "admin", keys, &admin->options);
    component_add(app, &admin->component, "admin", &ops, admin,
                  &(struct weir_component_options){.base = true});
    component_is(&admin->component, COMPONENT_ADMIN);
    metrics_add_process();
    const struct metric_options ready = {.name = "weir_ready",
                                         .help = "1 while the app takes requests",
                                         .labels = {{"app", weir_app_name(app)}}};
    admin->ready = metrics_source(METRIC_GAUGE, &ready, read_ready, app);
    return &admin->component;
}

int admin_port(const struct weir_component *component)
{
    return ((const struct admin *)component)->port;
}
