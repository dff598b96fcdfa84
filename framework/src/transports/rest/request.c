/* One request: routed and checked at its head, transcoded and dispatched at its end, answered when its call
 * finishes.
 *
 * A request is shared by its exchange (until `gone`) and its call (until `finish`), which may end in either
 * order: a client leaves, or is told 504, while the handler still runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <weir/app.h>
#include <weir/clock.h>
#include <weir/log.h>

#include "call/idempotency.h"
#include "core/memory.h"
#include "transports/rest/problem.h"
#include "transports/rest/server.h"
#include "transports/rest/transcode.h"

#define HEADERS_MAX 16
#define METADATA_MAX 12 /* of these, the call's own */
#define BODY_ROOM                                                                                            \
    65536 /* reserved at once; a larger body grows as it comes, so that a head alone costs nothing */

struct request {
    atomic_int references;
    atomic_bool finished;      /* the call has */
    bool accounted, completed; /* how a stop counts it; to be read once it has finished */
    atomic_bool cut;           /* nobody gets its result, because of a stop */
    atomic_bool unsent;        /* counts in the server's */
    struct weir_rest_server *server;
    struct exchange *exchange;
    struct http_head head; /* borrowed until `gone`, as the match is */
    struct route_match match;
    const struct weir_http_binding *binding;
    struct weir_buffer body, wire;
    struct weir_call
        *call; /* a reference of our own, to cancel it by; set on the loop's thread before it is dispatched */
};

static void drop(struct request *request)
{
    if (atomic_fetch_sub(&request->references, 1) != 1)
        return;
    if (request->call)
        weir_call_release(request->call);
    weir_buffer_free(&request->body);
    weir_buffer_free(&request->wire);
    free(request);
}

/* ---- Answers ---- */

/* False: it has an answer already, or nobody waits for one. Takes the memory of `body`. */
static bool answer(struct exchange *exchange, int status, const char *type, struct weir_buffer *body,
                   const char *name, const char *value, const struct metadata *metadata)
{
    struct weir_rest_server *server = exchange_server(exchange);
    struct http_header headers[HEADERS_MAX];
    size_t count = 0;
    bool retry_after = false;
    for (; metadata && count < METADATA_MAX; metadata = metadata->next) {
        headers[count++] =
            (struct http_header){weir_bytes_of_text(metadata->name), weir_bytes_of_text(metadata->value)};
        retry_after = retry_after || strcmp(metadata->name, "retry-after") == 0;
    }
    if (type)
        headers[count++] = (struct http_header){weir_bytes_of_text("Content-Type"), weir_bytes_of_text(type)};
    if (name)
        headers[count++] = (struct http_header){weir_bytes_of_text(name), weir_bytes_of_text(value)};
    if ((status == 503 || status == 429) && !retry_after)
        headers[count++] = (struct http_header){weir_bytes_of_text("Retry-After"), weir_bytes_of_text("1")};
    if (status == 401)
        headers[count++] =
            (struct http_header){weir_bytes_of_text("WWW-Authenticate"), weir_bytes_of_text("Bearer")};

    bool ready = weir_app_ready(server->app);
    if (ready && !atomic_load_explicit(&server->was_ready, memory_order_relaxed))
        atomic_store(&server->was_ready, true);
    uint8_t *memory = body->data;
    bool taken = exchange_answer(
        exchange, &(struct http_answer){
                      .status = status,
                      .headers = headers,
                      .header_count = count,
                      .body = weir_buffer_bytes(body),
                      .body_free = memory ? free : NULL,
                      .body_free_arg = memory,
                      .close = !ready && atomic_load(&server->was_ready), /* the stop has been announced */
                  });
    *body = (struct weir_buffer){0};
    return taken;
}

static void answer_problem(struct exchange *exchange, int http_status, enum weir_status status,
                           const char *detail, const char *traceparent, const struct metadata *metadata)
{
    struct weir_buffer body = {0};
    problem_write(http_status, status, detail, traceparent, &body);
    answer(exchange, http_status, PROBLEM_TYPE, &body, NULL, NULL, metadata);
}

static void refuse(struct exchange *exchange, int http_status, const char *detail)
{
    answer_problem(exchange, http_status, problem_status(http_status), detail, NULL, NULL);
}

/* ---- The head: health, routing, what the body may be ---- */

static bool answer_health(struct exchange *exchange, const struct http_head *head)
{
    struct weir_rest_server *server = exchange_server(exchange);
    bool alive = weir_bytes_equal_text(head->path, "/healthz");
    if (!alive && !weir_bytes_equal_text(head->path, "/ready"))
        return false;

    bool good = alive || weir_app_ready(server->app);
    struct weir_buffer body = {0};
    if (!weir_bytes_equal_text(head->method, "GET") && !weir_bytes_equal_text(head->method, "HEAD")) {
        problem_of_engine(405, "only GET and HEAD", &body);
        answer(exchange, 405, PROBLEM_TYPE, &body, "Allow", "GET, HEAD", NULL);
        return true;
    }
    weir_buffer_append_text(&body, good ? "{\"status\":\"ok\"}" : "{\"status\":\"not ready\"}");
    answer(exchange, good ? 200 : 503, "application/json", &body, "Cache-Control", "no-store", NULL);
    return true;
}

static void answer_unrouted(struct exchange *exchange, const struct http_head *head)
{
    struct weir_rest_server *server = exchange_server(exchange);
    struct weir_buffer allow = {0}, body = {0};
    router_allow(server->router, head->path, &allow);
    if (allow.size == 0) {
        refuse(exchange, 404, "there is nothing at this path");
    } else if (weir_bytes_equal_text(head->method, "OPTIONS")) {
        answer(exchange, 204, NULL, &body, "Allow", weir_buffer_text(&allow), NULL);
    } else {
        problem_write(405, WEIR_UNIMPLEMENTED, "this path has other methods", NULL, &body);
        answer(exchange, 405, PROBLEM_TYPE, &body, "Allow", weir_buffer_text(&allow), NULL);
    }
    weir_buffer_free(&allow);
}

static bool has_text(struct weir_bytes bytes, const char *text)
{
    size_t size = strlen(text);
    for (size_t i = 0; i + size <= bytes.size; i++)
        if (strncasecmp((const char *)bytes.data + i, text, size) == 0)
            return true;
    return false;
}

static bool is_text(struct weir_bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && has_text(bytes, text);
}

/* "application/json", and of its parameters only the one charset that JSON has (RFC 8259, 8.1). */
static bool is_json(struct weir_bytes type)
{
    static const char json[] = "application/json";
    size_t size = sizeof json - 1;
    if (type.size < size || strncasecmp((const char *)type.data, json, size) != 0)
        return false;
    struct weir_bytes rest = weir_bytes(type.data + size, type.size - size);
    if (rest.size > 0 && rest.data[0] != ';' && rest.data[0] != ' ')
        return false;
    return !has_text(rest, "charset=") || has_text(rest, "charset=utf-8") ||
           has_text(rest, "charset=\"utf-8\"");
}

static bool check_headers(struct exchange *exchange, const struct http_head *head)
{
    struct weir_bytes coding = exchange_header(exchange, "content-encoding");
    struct weir_bytes accept = exchange_header(exchange, "accept");
    if (head->has_body && !is_json(exchange_header(exchange, "content-type"))) {
        refuse(exchange, 415, "the body must be application/json in UTF-8");
        return false;
    }
    if (head->has_body && coding.size > 0 && !is_text(coding, "identity")) {
        refuse(exchange, 415, "Content-Encoding is not supported");
        return false;
    }
    if (accept.size > 0 && !has_text(accept, "json") && !has_text(accept, "*/*") &&
        !has_text(accept, "application/*")) {
        refuse(exchange, 406, "answers are application/json");
        return false;
    }
    return true;
}

static void on_head(struct exchange *exchange, const struct http_head *head)
{
    struct weir_rest_server *server = exchange_server(exchange);
    if (answer_health(exchange, head))
        return;
    struct route_match match;
    router_find(server->router, head->method, head->path, &match);
    if (!match.route) {
        answer_unrouted(exchange, head);
        return;
    }
    if (match.route->method->kind != WEIR_UNARY) {
        refuse(exchange, 501, "streams are not served over REST; use gRPC");
        return;
    }
    if (!check_headers(exchange, head))
        return;

    struct request *request = memory_alloc(sizeof *request);
    *request = (struct request){.server = server, .exchange = exchange, .head = *head, .match = match};
    atomic_init(&request->references, 1);
    request->binding = match.route->binding;
    if (head->content_length > 0 && head->content_length <= BODY_ROOM && request->binding->body[0])
        weir_buffer_reserve(&request->body, (size_t)head->content_length);
    exchange_set_user(exchange, request);
}

static void on_body(struct exchange *exchange, struct weir_bytes piece)
{
    struct request *request = exchange_user(exchange);
    if (request->binding->body[0])
        weir_buffer_append(&request->body, piece.data, piece.size);
}

/* ---- The end: the call ---- */

/* gRPC's own header, which grpc-gateway understands, too: 1 to 8 digits and a unit, "250m" is 250 ms (gRPC
 * over HTTP/2). */
static bool read_timeout(struct weir_bytes text, int64_t *ret_ns)
{
    int64_t value = 0;
    if (text.size < 2 || text.size > 9)
        return false;
    for (size_t i = 0; i + 1 < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (text.data[i] - '0');
    }
    switch (text.data[text.size - 1]) {
    case 'H':
        *ret_ns = value * 3600 * WEIR_NS_PER_S;
        return value < 1000000;
    case 'M':
        *ret_ns = value * 60 * WEIR_NS_PER_S;
        return true;
    case 'S':
        *ret_ns = value * WEIR_NS_PER_S;
        return true;
    case 'm':
        *ret_ns = value * WEIR_NS_PER_MS;
        return true;
    case 'u':
        *ret_ns = value * 1000;
        return true;
    case 'n':
        *ret_ns = value;
        return true;
    default:
        return false;
    }
}

/* What belongs to one connection, or to HTTP itself, is no metadata of the call. */
static bool is_metadata(struct weir_bytes name)
{
    static const char *const not [] = {"host",
                                       "connection",
                                       "content-length",
                                       "content-type",
                                       "transfer-encoding",
                                       "expect",
                                       "te",
                                       "trailer",
                                       "upgrade",
                                       "keep-alive",
                                       "accept",
                                       "accept-encoding",
                                       "grpc-timeout",
                                       "proxy-connection"};
    for (size_t i = 0; i < sizeof not / sizeof not [0]; i++)
        if (name.size > 0 && (name.data[0] | 0x20) == not [i][0] && is_text(name, not [i]))
            return false;
    return true;
}

static void finish(struct weir_call *call);

static struct weir_call *new_call(struct request *request, int64_t deadline_ns)
{
    static const struct call_ops ops = {.name = "rest", .finish = finish};
    const struct route *route = request->match.route;
    struct weir_call *call = call_new(&ops, request, route->service, route->method, request->server->gate);
    for (size_t i = 0; i < request->head.header_count; i++)
        if (is_metadata(request->head.headers[i].name))
            call_add_metadata(call, request->head.headers[i].name, request->head.headers[i].value);
    call_set_deadline(call, deadline_ns);
    call->request = weir_buffer_bytes(&request->wire);
    return call;
}

static bool read_deadline(struct request *request, int64_t *ret_deadline_ns)
{
    int64_t ns = atomic_load(&request->server->timeout_ms) * WEIR_NS_PER_MS;
    struct weir_bytes text = exchange_header(request->exchange, "grpc-timeout");
    if (text.data) {
        int64_t wanted = 0;
        if (!read_timeout(text, &wanted))
            return false;
        if (wanted < ns)
            ns = wanted;
    }
    *ret_deadline_ns = weir_now_ns() + ns;
    return true;
}

static void on_end(struct exchange *exchange)
{
    struct request *request = exchange_user(exchange);
    struct weir_error err = {0};
    int64_t deadline_ns;
    if (!read_deadline(request, &deadline_ns)) {
        refuse(exchange, 400, "grpc-timeout must be up to 8 digits and a unit of H, M, S, m, u, n");
        return;
    }
    enum weir_status status = transcode_request(&request->match, request->head.query,
                                                weir_buffer_bytes(&request->body), &request->wire, &err);
    if (status != WEIR_OK) {
        answer_problem(exchange, status == WEIR_RESOURCE_EXHAUSTED ? 413 : weir_status_to_http(status),
                       status, err.text, NULL, NULL);
        return;
    }
    weir_buffer_free(&request->body);

    struct weir_call *call = new_call(request, deadline_ns);
    request->call = weir_call_acquire(call);
    atomic_fetch_add(&request->references, 1); /* the call's */
    exchange_hold(exchange);
    call_dispatch(call);
    if (!atomic_load(&request->finished))
        exchange_set_deadline(exchange, deadline_ns);
}

/* ---- The call is over ---- */

/* What was refused before it ran may be sent again at once, elsewhere: 503. A limit that the handler speaks
 * of is 429. A call that the stop cut short, or that a server behind us did, was not cancelled by its client:
 * 503. */
static int http_status_of(const struct request *request, const struct weir_call *call)
{
    bool ran = call->request_message || call->service->proxy_to;
    if (call->status == WEIR_RESOURCE_EXHAUSTED && (!ran || !call->entered))
        return 503;
    if (call->status == WEIR_CANCELLED &&
        (atomic_load(&request->server->cutting) || weir_context_status(&call->context) != WEIR_CANCELLED))
        return 503;
    const char *reason = call_reply_metadata(call, REASON_METADATA);
    if (call->status == WEIR_INVALID_ARGUMENT && reason && strcmp(reason, REASON_KEY_REUSED) == 0)
        return 422; /* as the draft wants it */
    return weir_status_to_http(call->status);
}

/* It finished well, and nobody got its result because the stop had cut it. Any thread. */
static void was_cut(struct request *request)
{
    if (atomic_load(&request->server->cutting) && request->completed && !atomic_exchange(&request->cut, true))
        gate_was_cut(request->server->gate, request->accounted);
}

static void begin_sending(struct request *request)
{
    atomic_fetch_add(&request->server->unsent[request->accounted], 1);
    atomic_store(&request->unsent, true);
}

static void end_sending(struct request *request)
{
    if (atomic_exchange(&request->unsent, false))
        atomic_fetch_sub(&request->server->unsent[request->accounted], 1);
}

/* Any thread. */
static void finish(struct weir_call *call)
{
    struct request *request = call->transport;
    struct weir_buffer body = {0};
    struct weir_error err = {0};
    request->accounted = gate_is_draining(request->server->gate);
    request->completed =
        call->entered && (call->status == WEIR_OK || weir_context_status(&call->context) != WEIR_CANCELLED);
    atomic_store(&request->finished, true);
    enum weir_status status = call->status;
    int http_status = http_status_of(request, call);
    const char *text = call_error_text(call);
    const char *trace = call->answer_trace ? call->answer_trace : weir_context_traceparent(&call->context);
    if (status == WEIR_OK)
        status =
            transcode_reply(call->method, request->binding, weir_buffer_bytes(&call->reply), &body, &err);
    if (status != call->status) {
        weir_log_error("a reply is no message of its type",
                       weir_field_text("method", call->method->full_name), weir_field_error(&err),
                       weir_field_context(&call->context));
        weir_buffer_free(&body);
        status = WEIR_INTERNAL;
        http_status = 500;
        text = "internal error";
    }
    bool answered = true;
    if (status == WEIR_OK && request->completed)
        begin_sending(request);
    if (status == WEIR_OK)
        answered =
            answer(request->exchange, 200, "application/json", &body, NULL, NULL, call->reply_metadata);
    else
        answer_problem(request->exchange, http_status, status, text, http_status == 500 ? trace : NULL,
                       call->reply_metadata);
    if (!answered)
        end_sending(request);
    if (!answered && weir_context_status(&call->context) != WEIR_DEADLINE_EXCEEDED)
        was_cut(request); /* told 503 before, or cut before it was told */
    exchange_drop(request->exchange);
    weir_call_release(call);
    drop(request);
}

/* ---- What happens to an exchange meanwhile ---- */

static void on_left(struct exchange *exchange)
{
    struct request *request = exchange_user(exchange);
    if (request && request->call)
        call_cancel(request->call, WEIR_CANCELLED);
}

/* The client is told at once; a handler that does not look at its deadline finishes later, for nobody. */
static void on_expired(struct exchange *exchange)
{
    struct request *request = exchange_user(exchange);
    answer_problem(exchange, 504, WEIR_DEADLINE_EXCEEDED, "the deadline passed", NULL, NULL);
    call_cancel(request->call, WEIR_DEADLINE_EXCEEDED);
}

static void on_gone(struct exchange *exchange, bool complete)
{
    struct request *request = exchange_user(exchange);
    if (!request)
        return;
    end_sending(request);
    /* An answer that its client does not take, and that the stop has cut. */
    if (!complete && atomic_load(&request->finished))
        was_cut(request);
    if (!complete && request->call)
        call_cancel(request->call, WEIR_CANCELLED);
    drop(request);
}

const struct http_user_ops rest_user_ops = {
    .head = on_head, .body = on_body, .end = on_end, .left = on_left, .expired = on_expired, .gone = on_gone};
