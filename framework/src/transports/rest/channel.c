/* The REST channel: calls of another process's service as JSON over HTTP/1.1, by each method's first binding.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <weir/clock.h>
#include <weir/config.h>

#include "call/channel.h"
#include "call/gate.h"
#include "call/idempotency.h"
#include "core/memory.h"
#include "engines/http_client.h"
#include "transports/rest/outbound.h"
#include "transports/rest/problem.h"

#define CUT_MIN_MS 100
#define HEADERS_MAX 5

struct rest_channel {
    struct weir_channel channel; /* first: a handle */
    struct weir_channel_options options;
    struct http_client *client; /* made by start */
    struct gate *gate;
};

/* One call under way. */
struct carried {
    struct http_request request; /* first */
    struct outgoing *outgoing;
    struct rest_channel *rest;
    struct weir_context_watch watch;
    atomic_int over; /* the status that the context ended with; 0: it goes on */
    struct weir_buffer target, body;
    const char *headers[HEADERS_MAX];
    char *made[HEADERS_MAX]; /* headers to be freed */
    size_t made_count;
};

static const struct weir_http_binding *binding_of(const struct outgoing *outgoing)
{
    return &outgoing->method->http[0];
}

static void free_carried(struct carried *carried)
{
    for (size_t i = 0; i < carried->made_count; i++)
        free(carried->made[i]);
    weir_buffer_free(&carried->target);
    weir_buffer_free(&carried->body);
    free(carried);
}

static void refuse(struct outgoing *outgoing, enum weir_status status, const char *text)
{
    outgoing->done(outgoing, status, text, (struct weir_bytes){0});
}

/* ---- The answer. Runs on: the client's thread ---- */

static void tell(struct outgoing *outgoing, const struct http_result *result)
{
    struct weir_error err = {0};
    if (result->http_status < 200 || result->http_status > 299) {
        err.status = problem_read(result->http_status, result->body, err.text, sizeof err.text);
        if (err.status == WEIR_OK)
            err.status = WEIR_UNKNOWN;
        if (!err.text[0])
            snprintf(err.text, sizeof err.text, "the server answered %d", result->http_status);
        refuse(outgoing, err.status, err.text);
        return;
    }
    struct weir_buffer wire = {0};
    enum weir_status status =
        outbound_reply(outgoing->method, binding_of(outgoing), result->body, &wire, &err);
    if (status == WEIR_OK) {
        outgoing->done(outgoing, WEIR_OK, "", weir_buffer_bytes(&wire));
    } else {
        weir_error_prefix(&err, "the server's answer is no %s", outgoing->method->reply->full_name);
        refuse(outgoing, WEIR_INTERNAL, err.text);
    }
    weir_buffer_free(&wire);
}

static void done(struct http_request *request, const struct http_result *result)
{
    struct carried *carried = (struct carried *)request;
    struct outgoing *outgoing = carried->outgoing;
    struct gate *gate = carried->rest->gate;
    weir_context_unwatch(&carried->watch);
    int over = atomic_load(&carried->over);
    bool cancelled = result->status == WEIR_CANCELLED;
    if (result->status == WEIR_OK)
        tell(outgoing, result);
    else if (cancelled && over == WEIR_DEADLINE_EXCEEDED)
        refuse(outgoing, WEIR_DEADLINE_EXCEEDED, "the deadline passed");
    else
        refuse(outgoing, result->status, result->text);
    free_carried(carried);
    gate_leave(gate, cancelled);
}

/* What a server of weir's says of its answer; other headers are for its own clients. */
static void take_header(struct http_request *request, const char *name, const char *value)
{
    static const char *const known[] = {IDEMPOTENT_REPLAYED, REASON_METADATA, "retry-after"};
    struct outgoing *outgoing = ((struct carried *)request)->outgoing;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcasecmp(name, known[i]) == 0)
            outgoing->metadata(outgoing, weir_bytes_of_text(known[i]), weir_bytes_of_text(value));
}

/* ---- The request. Any thread ---- */

static void add_header(struct carried *carried, const char *name, const char *value)
{
    char *header = memory_printf("%s: %s", name, value);
    carried->made[carried->made_count++] = header;
    carried->headers[carried->request.header_count++] = header;
}

/* At most 8 digits: milliseconds for what is shorter than a day. */
static void add_timeout(struct carried *carried, int64_t deadline_ns)
{
    if (deadline_ns == WEIR_NEVER)
        return;
    int64_t left_ms = (deadline_ns - weir_now_ns()) / WEIR_NS_PER_MS;
    char text[32];
    if (left_ms <= 99999999)
        snprintf(text, sizeof text, "%lldm", (long long)(left_ms > 0 ? left_ms : 1));
    else
        snprintf(text, sizeof text, "%lldS",
                 (long long)(left_ms / 1000 > 99999999 ? 99999999 : left_ms / 1000));
    add_header(carried, "grpc-timeout", text);
}

/* A text that a peer chose stays one line. */
static bool is_header_text(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static void add_headers(struct carried *carried)
{
    struct outgoing *outgoing = carried->outgoing;
    const char *trace = weir_context_traceparent(&outgoing->context);
    carried->headers[carried->request.header_count++] = "Accept: application/json";
    if (carried->request.has_body)
        carried->headers[carried->request.header_count++] = "Content-Type: application/json";
    if (trace[0])
        add_header(carried, "traceparent", trace);
    if (outgoing->message_id && is_header_text(outgoing->message_id))
        add_header(carried, "idempotency-key", outgoing->message_id);
    add_timeout(carried, weir_context_deadline_ns(&outgoing->context));
}

static void context_is_over(struct weir_context_watch *watch, enum weir_status status)
{
    struct carried *carried = (struct carried *)((char *)watch - offsetof(struct carried, watch));
    atomic_store(&carried->over, (int)status);
    http_client_cancel(carried->rest->client, &carried->request);
}

static void send_carried(struct rest_channel *rest, struct outgoing *outgoing)
{
    struct carried *carried = NEW(struct carried);
    struct weir_error err = {0};
    carried->outgoing = outgoing;
    carried->rest = rest;
    enum weir_status status = outbound_request(outgoing->method, binding_of(outgoing), outgoing->request,
                                               &carried->target, &carried->body, &err);
    if (status != WEIR_OK) {
        free_carried(carried);
        gate_leave(rest->gate, false);
        refuse(outgoing, status, err.text);
        return;
    }
    carried->request.verb = binding_of(outgoing)->verb;
    carried->request.target = weir_buffer_text(&carried->target);
    carried->request.has_body = carried->body.size > 0;
    carried->request.body = weir_buffer_bytes(&carried->body);
    carried->request.headers = carried->headers;
    carried->request.deadline_ns = weir_context_deadline_ns(&outgoing->context);
    carried->request.done = done;
    carried->request.header = outgoing->metadata ? take_header : NULL;
    add_headers(carried);
    carried->watch.over = context_is_over;
    http_client_prepare(rest->client, &carried->request);
    weir_context_watch(&outgoing->context, &carried->watch);
    http_client_send(rest->client, &carried->request);
}

static void start_call(struct weir_channel *channel, struct outgoing *outgoing)
{
    struct rest_channel *rest = (struct rest_channel *)channel;
    enum weir_status over = weir_context_status(&outgoing->context);
    if (over != WEIR_OK)
        refuse(outgoing, over, over == WEIR_CANCELLED ? "cancelled" : "the deadline passed");
    else if (outgoing->method->kind != WEIR_UNARY)
        refuse(outgoing, WEIR_UNIMPLEMENTED, "streams are not carried by a REST channel");
    else if (outgoing->method->http_count == 0)
        refuse(outgoing, WEIR_UNIMPLEMENTED, "the method has no google.api.http annotation");
    else if (!rest->client || gate_enter(rest->gate) != WEIR_OK)
        refuse(outgoing, WEIR_UNAVAILABLE, "the channel is stopped");
    else
        send_carried(rest, outgoing);
}

/* ---- Life ---- */

static enum weir_status start(void *self, struct weir_context *context, struct weir_error *err)
{
    (void)context;
    struct rest_channel *rest = self;
    http_client_destroy(rest->client); /* this may be a restart */
    rest->client = http_client_new(&(struct http_client_options){
        .target = rest->options.target, .connect_backoff_ms = rest->options.connect_backoff_ms});
    return http_client_start(rest->client, err);
}

/* All who call by it have ended by now; what is left is nobody's any more, or of those who were given up. */
static enum weir_status drain(void *self, struct weir_context *context, struct weir_work *work,
                              struct weir_error *err)
{
    (void)err;
    struct rest_channel *rest = self;
    if (!gate_wait_empty(rest->gate, context)) {
        struct weir_context moment;
        context_init(&moment, NULL, weir_deadline_in_ms(CUT_MIN_MS / 2));
        gate_close(rest->gate);
        http_client_cancel_all(rest->client);
        gate_wait_empty(rest->gate, &moment);
        context_clean_up(&moment);
    }
    gate_account(rest->gate, work);
    return WEIR_OK;
}

static void destroy(void *self)
{
    struct rest_channel *rest = self;
    http_client_destroy(rest->client);
    gate_destroy(rest->gate);
    free(rest);
}

static const struct weir_config_key keys[] = {
    {"target", WEIR_CONFIG_TEXT, offsetof(struct weir_channel_options, target), NULL,
     "the server: HOST:PORT or unix:PATH", .required = true},
    {"connect_backoff_ms", WEIR_CONFIG_INT, offsetof(struct weir_channel_options, connect_backoff_ms), "200",
     "the longest time between attempts to connect, in milliseconds", .min = 10, .max = 60000},
    {0},
};

struct weir_channel *weir_rest_channel_add(struct weir_app *app, const char *name,
                                           const struct weir_channel_options *options)
{
    static const struct channel_ops channel_ops = {.name = "rest", .start = start_call};
    static const struct weir_component_ops ops = {.start = start, .drain = drain, .destroy = destroy};
    struct rest_channel *rest = NEW(struct rest_channel);
    struct weir_component_options component = {.cut_min_ms = CUT_MIN_MS};
    if (options) {
        rest->options = *options;
        memcpy(component.needs, options->needs, sizeof component.needs);
    }
    weir_config_section(app, name, keys, &rest->options);
    rest->channel.ops = &channel_ops;
    channel_configure_timeout(&rest->channel, app, name, rest->options.timeout_ms);
    rest->gate = gate_new(0);
    component_add(app, &rest->channel.component, name, &ops, rest, &component);
    component_is(&rest->channel.component, COMPONENT_CHANNEL);
    return &rest->channel;
}
