/* One request through libmicrohttpd: its callbacks, and the exchange's side of exchange.h. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/memory.h"
#include "engines/microhttpd/internal.h"

static bool on_loop(const struct exchange *exchange)
{
    return pthread_equal(pthread_self(), exchange->loop->self);
}

/* ---- Lifetime ---- */

static struct exchange *new_exchange(struct connection *connection)
{
    struct loop *loop = connection->loop;
    struct exchange *exchange = loop->free_exchanges;
    if (exchange) {
        loop->free_exchanges = exchange->next_free;
    } else {
        exchange = memory_alloc(sizeof *exchange);
        exchange->target = (struct weir_buffer){0};
    }

    struct weir_buffer target = exchange->target; /* keeps its memory */
    memset(exchange, 0, offsetof(struct exchange, headers));
    exchange->target = target;
    weir_buffer_clear(&exchange->target);
    exchange->connection = connection;
    exchange->loop = loop;
    exchange->deadline_ns = WEIR_NEVER;
    atomic_init(&exchange->references, 1);
    return exchange;
}

void exchange_hold(struct exchange *exchange)
{
    atomic_fetch_add_explicit(&exchange->references, 1, memory_order_relaxed);
}

void exchange_drop(struct exchange *exchange)
{
    if (atomic_fetch_sub_explicit(&exchange->references, 1, memory_order_acq_rel) != 1)
        return;
    if (on_loop(exchange)) {
        exchange->next_free = exchange->loop->free_exchanges;
        exchange->loop->free_exchanges = exchange;
        return;
    }
    weir_buffer_free(&exchange->target);
    free(exchange);
}

/* ---- What the user asks ---- */

void exchange_set_user(struct exchange *exchange, void *user)
{
    exchange->user = user;
}

void *exchange_user(const struct exchange *exchange)
{
    return exchange->user;
}

void *exchange_server(const struct exchange *exchange)
{
    return exchange->loop->engine->server;
}

struct weir_bytes exchange_header(const struct exchange *exchange, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < exchange->head.header_count; i++) {
        const struct http_header *header = &exchange->headers[i];
        if (header->name.size == size && strncasecmp((const char *)header->name.data, name, size) == 0)
            return header->value;
    }
    return weir_bytes(NULL, 0);
}

void exchange_set_deadline(struct exchange *exchange, int64_t deadline_ns)
{
    timer_set(exchange, deadline_ns);
}

/* ---- Answers ---- */

static void add_header(struct MHD_Response *response, const struct http_header *header)
{
    char small[512];
    size_t size = header->name.size + header->value.size + 2;
    char *name = size <= sizeof small ? small : memory_alloc(size);
    char *value = name + header->name.size + 1;
    if (header->name.size > 0)
        memcpy(name, header->name.data, header->name.size);
    name[header->name.size] = 0;
    if (header->value.size > 0)
        memcpy(value, header->value.data, header->value.size);
    value[header->value.size] = 0;
    MHD_add_response_header(response, name, value);
    if (name != small)
        free(name);
}

static struct MHD_Response *new_response(const struct http_answer *answer)
{
    struct MHD_Response *response;
    if (answer->body_free) {
        void *data = (void *)answer->body.data; /* libmicrohttpd only reads it */
        response = MHD_create_response_from_buffer_with_free_callback_cls(
            answer->body.size, data, answer->body_free, answer->body_free_arg);
    } else {
        void *copy = memory_alloc(answer->body.size > 0 ? answer->body.size : 1);
        if (answer->body.size > 0)
            memcpy(copy, answer->body.data, answer->body.size);
        response =
            MHD_create_response_from_buffer_with_free_callback_cls(answer->body.size, copy, free, copy);
    }
    if (!response)
        abort(); /* out of memory */
    for (size_t i = 0; i < answer->header_count; i++)
        add_header(response, &answer->headers[i]);
    return response;
}

static void push_answered(struct exchange *exchange)
{
    struct loop *loop = exchange->loop;
    exchange_hold(exchange);
    struct exchange *first = atomic_load_explicit(&loop->answered, memory_order_relaxed);
    do {
        exchange->next_answered = first;
    } while (!atomic_compare_exchange_weak_explicit(&loop->answered, &first, exchange, memory_order_release,
                                                    memory_order_relaxed));
    if (!first)
        loop_wake(loop);
}

bool exchange_answer(struct exchange *exchange, const struct http_answer *answer)
{
    int open = EXCHANGE_OPEN;
    if (!atomic_compare_exchange_strong(&exchange->phase, &open, EXCHANGE_ANSWERED)) {
        if (answer->body_free)
            answer->body_free(answer->body_free_arg);
        return false;
    }
    exchange->response = new_response(answer);
    exchange->status = answer->status;
    exchange->closes = answer->close;
    if (on_loop(exchange) && exchange->in_callback)
        exchange->ready = true;
    else
        push_answered(exchange);
    return true;
}

void exchange_unavailable(struct exchange *exchange)
{
    struct weir_buffer body = {0};
    exchange->loop->engine->problem(503, "the server stops; the request was cut", &body);
    const struct http_header headers[] = {
        {weir_bytes_of_text("Content-Type"), weir_bytes_of_text("application/problem+json")},
        {weir_bytes_of_text("Retry-After"), weir_bytes_of_text("1")},
    };
    exchange_answer(exchange, &(struct http_answer){
                                  .status = 503,
                                  .headers = headers,
                                  .header_count = 2,
                                  .body = weir_buffer_bytes(&body),
                                  .close = true,
                              });
    weir_buffer_free(&body);
}

static void resume(struct exchange *exchange)
{
    if (!exchange->suspended)
        return;
    exchange->suspended = false;
    MHD_resume_connection(exchange->connection->mhd);
}

void exchanges_resume(struct loop *loop)
{
    struct exchange *newest = atomic_exchange_explicit(&loop->answered, NULL, memory_order_acquire);
    struct exchange *oldest = NULL;
    while (newest) { /* in the order of the answers */
        struct exchange *next = newest->next_answered;
        newest->next_answered = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct exchange *exchange = oldest;
        oldest = exchange->next_answered;
        if (exchange->gone) {
            MHD_destroy_response(exchange->response);
            exchange->response = NULL;
        } else {
            exchange->ready = true;
            resume(exchange);
        }
        exchange_drop(exchange);
        loop->progress++;
    }
}

void exchange_abandon(struct exchange *exchange)
{
    resume(exchange);
}

/* ---- libmicrohttpd's callbacks ---- */

void *exchange_begin(void *arg, const char *target, struct MHD_Connection *mhd)
{
    (void)arg;
    struct connection *connection = connection_of(mhd);
    if (!connection)
        return NULL;

    struct exchange *exchange = new_exchange(connection);
    weir_buffer_append_text(&exchange->target, target ? target : "");
    connection->exchange = exchange;
    connection->loop->progress++;
    if (connection->state == CONNECTION_IDLE)
        connection_set_state(connection, CONNECTION_HEAD);
    return exchange;
}

static enum MHD_Result take_header(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                   const char *value, size_t value_size)
{
    (void)kind;
    struct exchange *exchange = arg;
    if (exchange->head.header_count++ < HEADERS_MAX)
        exchange->headers[exchange->head.header_count - 1] =
            (struct http_header){weir_bytes(name, name_size), weir_bytes(value, value_size)};
    return MHD_YES;
}

static struct weir_bytes part(struct weir_bytes bytes, size_t from, size_t to)
{
    return weir_bytes(bytes.data + from, to - from);
}

/* RFC 9112, 3.2: origin-form, absolute-form ("http://host/path", which a server must accept), or "*". */
static void split_target(struct http_head *head)
{
    struct weir_bytes target = head->target;
    size_t from = 0;
    if (target.size > 7 && strncasecmp((const char *)target.data, "http://", 7) == 0) {
        const uint8_t *slash = memchr(target.data + 7, '/', target.size - 7);
        from = slash ? (size_t)(slash - target.data) : target.size;
    }
    const uint8_t *mark = memchr(target.data + from, '?', target.size - from);
    size_t to = mark ? (size_t)(mark - target.data) : target.size;
    head->path = part(target, from, to);
    if (head->path.size == 0)
        head->path = weir_bytes_of_text("/");
    head->query = mark ? part(target, to + 1, target.size) : weir_bytes(NULL, 0);
}

static void read_head(struct exchange *exchange, struct MHD_Connection *mhd, const char *method,
                      const char *version)
{
    struct http_head *head = &exchange->head;
    head->method = weir_bytes_of_text(method);
    head->target = weir_bytes(weir_buffer_text(&exchange->target), exchange->target.size);
    split_target(head);
    MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, take_header, exchange);
    head->headers = exchange->headers;
    head->http_1_0 = strcmp(version, "HTTP/1.0") == 0;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    exchange->raw = method;
    exchange->raw_size = info ? info->header_size : 0;
}

/* After the guard: Content-Length is a number, and Transfer-Encoding can only be "chunked". */
static void read_framing(struct exchange *exchange)
{
    struct http_head *head = &exchange->head;
    struct weir_bytes length = exchange_header(exchange, "content-length");
    head->content_length = -1;
    if (length.data) {
        head->content_length = 0;
        for (size_t i = 0; i < length.size; i++) {
            int digit = length.data[i] - '0';
            if (head->content_length > (INT64_MAX - digit) / 10) {
                head->content_length = INT64_MAX;
                break;
            }
            head->content_length = head->content_length * 10 + digit;
        }
    }
    head->has_body = head->content_length > 0 || exchange_header(exchange, "transfer-encoding").data;
}

static enum MHD_Result queue(struct exchange *exchange, struct MHD_Connection *mhd)
{
    struct MHD_Response *response = exchange->response;
    exchange->response = NULL;
    if (exchange->closes || atomic_load_explicit(&exchange->loop->engine->announced, memory_order_relaxed))
        MHD_add_response_header(response, "Connection", "close");
    timer_set(exchange, WEIR_NEVER);
    connection_set_state(exchange->connection, CONNECTION_SENDING);
    enum MHD_Result result = MHD_queue_response(mhd, (unsigned)exchange->status, response);
    exchange->queued = result == MHD_YES;
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(struct exchange *exchange, int status, const char *text)
{
    refuse_connection(exchange->connection, status, text);
    return MHD_NO;
}

/* The first call: the head is here, the body is not. A response queued now makes libmicrohttpd close the
 * connection, so an answer that is known already waits for the last call, unless there is a body that is
 * better not read. */
static enum MHD_Result on_head(struct exchange *exchange, struct MHD_Connection *mhd, const char *method,
                               const char *version)
{
    struct http_engine *engine = exchange->loop->engine;
    exchange->head_seen = true;
    read_head(exchange, mhd, method, version);

    const char *text = NULL;
    int refused = guard_check(exchange, version, &text);
    if (refused > 0)
        return refuse(exchange, refused, text);
    read_framing(exchange);
    if (exchange->head.content_length > engine->options.body_bytes_max)
        return refuse(exchange, 413, "the body is larger than this server accepts");

    if (exchange->head.has_body)
        connection_set_state(exchange->connection, CONNECTION_BODY);
    exchange->head_told = true;
    exchange->in_callback = true;
    engine->ops->head(exchange, &exchange->head);
    exchange->in_callback = false;
    if (!exchange->ready || !exchange->head.has_body)
        return MHD_YES;

    int64_t length = exchange->head.content_length;
    exchange->swallow = length >= 0 && length <= SWALLOW_MAX && !exchange_header(exchange, "expect").data;
    if (exchange->swallow)
        return MHD_YES;
    exchange->closes = true;
    exchange->connection->linger = true;
    return queue(exchange, mhd);
}

static enum MHD_Result on_body(struct exchange *exchange, const char *data, size_t *size)
{
    struct http_engine *engine = exchange->loop->engine;
    exchange->body_bytes += (int64_t)*size;
    if (exchange->body_bytes > engine->options.body_bytes_max)
        return refuse(exchange, 413, "the body is larger than this server accepts");
    if (!exchange->ready) {
        exchange->in_callback = true;
        engine->ops->body(exchange, weir_bytes(data, *size));
        exchange->in_callback = false;
    }
    *size = 0;
    return MHD_YES;
}

static enum MHD_Result on_end(struct exchange *exchange, struct MHD_Connection *mhd)
{
    if (exchange->complete_ns == 0) {
        exchange->complete_ns = exchange->loop->now_ns;
        connection_set_state(exchange->connection, CONNECTION_ANSWERING);
        if (!exchange->ready) {
            exchange->in_callback = true;
            exchange->loop->engine->ops->end(exchange);
            exchange->in_callback = false;
        }
    }
    if (exchange->ready)
        return queue(exchange, mhd);
    if (exchange->connection->state == CONNECTION_CLOSING)
        return MHD_NO;
    exchange->suspended = true;
    MHD_suspend_connection(mhd);
    if (exchange->connection->half_closed)
        connection_probe(exchange->connection);
    return MHD_YES;
}

enum MHD_Result exchange_access(void *arg, struct MHD_Connection *mhd, const char *url, const char *method,
                                const char *version, const char *data, size_t *size, void **context)
{
    (void)arg;
    (void)url;
    struct exchange *exchange = *context;
    if (!exchange)
        return MHD_NO;
    exchange->loop->progress++;
    if (!exchange->head_seen)
        return on_head(exchange, mhd, method, version);
    if (*size > 0)
        return on_body(exchange, data, size);
    return on_end(exchange, mhd);
}

static void end(struct exchange *exchange, bool complete)
{
    struct connection *connection = exchange->connection;
    exchange->loop->progress++;
    exchange->gone = true;
    timer_set(exchange, WEIR_NEVER);
    connection->exchange = NULL;
    if (connection->state != CONNECTION_CLOSING)
        connection_set_state(connection, CONNECTION_IDLE);
    if (atomic_exchange(&exchange->phase, EXCHANGE_ANSWERED) == EXCHANGE_ANSWERED && exchange->ready &&
        exchange->response) {
        MHD_destroy_response(exchange->response);
        exchange->response = NULL;
    }
    if (exchange->head_told)
        exchange->loop->engine->ops->gone(exchange, complete);
    exchange_drop(exchange);
}

void exchange_completed(void *arg, struct MHD_Connection *mhd, void **context,
                        enum MHD_RequestTerminationCode code)
{
    (void)arg;
    (void)mhd;
    struct exchange *exchange = *context;
    *context = NULL;
    if (exchange)
        end(exchange, exchange->queued && code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
}

void exchange_lost(struct exchange *exchange)
{
    end(exchange, false);
}
