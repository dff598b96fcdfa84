/* One rpc that came in. A unary one costs two events of its queue: its arrival with its request, and the end
 * of the one batch that answers it; a third where its handler did not answer at once, and has to be told when
 * the client leaves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>

#include "core/memory.h"
#include "engines/grpc_core/server.h"

/* Of messages that rpc_send() took and the peer's window did not. */
#define UNSENT_MAX (UINT32_C(1) << 20)
#define UNSENT_SLOW (UINT32_C(64) << 10)     /* from here on the peer "does not keep up" ... */
#define UNSENT_KEEPS_UP (UINT32_C(32) << 10) /* ... until it is down to this */

static const struct rpc_user_ops *ops_of(const struct rpc *rpc)
{
    return rpc->worker->server->ops;
}

static bool is_stream(const struct rpc *rpc)
{
    return rpc->registered->method.kind != WEIR_UNARY;
}

static bool has_request(const struct rpc *rpc)
{
    return rpc->registered->method.kind == WEIR_UNARY || rpc->registered->method.kind == WEIR_SERVER_STREAM;
}

/* ---- Life ---- */

static void arrived(struct event *event, bool ok);
static void closed(struct event *event, bool ok);
static void finished(struct event *event, bool ok);
static void sent(struct event *event, bool ok);
static void received(struct event *event, bool ok);

static struct rpc *take(struct worker *worker)
{
    struct rpc *rpc = worker->free;
    if (rpc) {
        worker->free = rpc->next;
        return rpc;
    }
    rpc = NEW(struct rpc);
    rpc->worker = worker;
    link_init(&rpc->live);
    link_init(&rpc->timed);
    grpc_metadata_array_init(&rpc->metadata);
    grpc_call_details_init(&rpc->details);
    core_buffer_init(&rpc->out);
    pthread_mutex_init(&rpc->lock, NULL);
    rpc->arrived.run = arrived;
    rpc->closed.run = closed;
    rpc->finished.run = finished;
    rpc->sent.run = sent;
    rpc->received.run = received;
    return rpc;
}

void rpc_free(struct rpc *rpc)
{
    grpc_metadata_array_destroy(&rpc->metadata);
    core_buffer_clear(&rpc->out);
    pthread_mutex_destroy(&rpc->lock);
    free(rpc);
}

static void give_back(struct rpc *rpc)
{
    struct worker *worker = rpc->worker;
    struct rpc_server *server = worker->server;
    rpc->next = worker->free;
    worker->free = rpc;
    gate_leave_from(server->rpcs, rpc->place, false);
}

/* Asks the core for the next call of a method. */
void rpc_ask(struct worker *worker, const struct registered *registered)
{
    struct rpc_server *server = worker->server;
    if (atomic_load(&server->closing))
        return;
    struct rpc *rpc = take(worker);
    rpc->registered = registered;
    rpc->metadata.count = 0;
    gate_enter_here(server->rpcs, &rpc->place);
    if (registered->handle)
        grpc_server_request_registered_call(server->core, registered->handle, &rpc->call, &rpc->deadline,
                                            &rpc->metadata, has_request(rpc) ? &rpc->payload : NULL,
                                            worker->queue, worker->queue, &rpc->arrived);
    else
        grpc_server_request_call(server->core, &rpc->call, &rpc->details, &rpc->metadata, worker->queue,
                                 worker->queue, &rpc->arrived);
}

static void drop_unsent(struct rpc *rpc)
{
    while (rpc->first) {
        struct unsent *unsent = rpc->first;
        rpc->first = unsent->next;
        grpc_slice_unref(unsent->slice);
        free(unsent);
    }
    rpc->last = &rpc->first;
    rpc->unsent = rpc->in_send;
}

static void clean_up_stream(struct rpc *rpc)
{
    pthread_mutex_lock(&rpc->lock); /* who answered may still hold it */
    pthread_mutex_unlock(&rpc->lock);
    drop_unsent(rpc);
    if (rpc->has_reply)
        grpc_slice_unref(rpc->reply);
    free(rpc->text);
}

/* Runs on: the worker's thread. */
static void part_ended(struct rpc *rpc)
{
    if (atomic_fetch_sub(&rpc->parts, 1) != 1)
        return;
    link_remove(&rpc->live);
    link_remove(&rpc->timed);
    if (is_stream(rpc))
        clean_up_stream(rpc);
    if (rpc->begun)
        ops_of(rpc)->gone(rpc, rpc->complete && !rpc->close_cancelled);
    core_buffer_set(&rpc->out, grpc_empty_slice());
    for (; rpc->trailer_count > 0; rpc->trailer_count--) {
        grpc_slice_unref(rpc->trailers[rpc->trailer_count - 1].key);
        grpc_slice_unref(rpc->trailers[rpc->trailer_count - 1].value);
    }
    grpc_slice_unref(rpc->request);
    if (rpc->payload)
        grpc_byte_buffer_destroy(rpc->payload);
    rpc->payload = NULL;
    if (!rpc->registered->handle) {
        grpc_call_details_destroy(&rpc->details);
        grpc_call_details_init(&rpc->details);
    }
    grpc_call_unref(rpc->call);
    give_back(rpc);
}

/* ---- Arrival ---- */

/* Somebody may be late for the stream that was here before: he has the lock, sees another user, or that it is
 * answered. So a unary rpc leaves alone what is a stream's. */
static void reset_stream(struct rpc *rpc)
{
    pthread_mutex_lock(&rpc->lock);
    atomic_store_explicit(&rpc->user, NULL, memory_order_relaxed);
    rpc->over = WEIR_OK;
    rpc->sending = rpc->owes_writable = rpc->reading = false;
    rpc->answered = rpc->ending = rpc->has_reply = false;
    rpc->text = NULL;
    rpc->first = NULL;
    rpc->last = &rpc->first;
    rpc->unsent = rpc->in_send = rpc->too_large = 0;
    rpc->message = NULL;
    pthread_mutex_unlock(&rpc->lock);
}

static void reset(struct rpc *rpc)
{
    if (is_stream(rpc))
        reset_stream(rpc);
    atomic_store_explicit(&rpc->user, NULL, memory_order_relaxed);
    atomic_store(&rpc->parts, 1);
    atomic_store(&rpc->close_asked, false);
    rpc->close_cancelled = 0;
    rpc->begun = rpc->is_over = rpc->complete = rpc->headers_sent = false;
    rpc->request = grpc_empty_slice();
    rpc->request_bytes = (struct weir_bytes){0};
}

static void watch_close(struct rpc *rpc)
{
    if (atomic_exchange(&rpc->close_asked, true))
        return;
    atomic_fetch_add(&rpc->parts, 1);
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    op.data.recv_close_on_server.cancelled = &rpc->close_cancelled;
    core_start(rpc->call, &op, 1, &rpc->closed);
}

/* grpc-timeout is rounded up to three digits, so at its deadline the client may cancel before it is ours. */
static void set_deadline(struct rpc *rpc)
{
    rpc->deadline_ns = rpc->late_ns = core_time_to_ns(rpc->deadline);
    if (rpc->deadline_ns != WEIR_NEVER)
        rpc->late_ns -= (rpc->deadline_ns - rpc->begun_ns) / 100 + 5 * WEIR_NS_PER_MS;
    int64_t timeout_ms = rpc->worker->server->options.timeout_ms;
    if (rpc->deadline_ns != WEIR_NEVER || is_stream(rpc) || timeout_ms <= 0)
        return;
    rpc->deadline_ns = rpc->begun_ns + timeout_ms * WEIR_NS_PER_MS;
    link_append(&rpc->worker->timed, &rpc->timed);
}

/* The minimal stack leaves this to us. */
static size_t message_bytes_max(const struct rpc *rpc)
{
    int64_t most = rpc->worker->server->options.message_bytes_max;
    return most > 0 ? (size_t)most : SIZE_MAX;
}

static const char *too_large(const struct rpc *rpc, size_t size, char *text, size_t text_size)
{
    snprintf(text, text_size, "a message of %zu bytes is over the limit of %zu", size,
             message_bytes_max(rpc));
    return text;
}

static bool take_request(struct rpc *rpc)
{
    if (!has_request(rpc))
        return true;
    if (!rpc->payload) { /* gRPC's status codes: a wrong number of requests is UNIMPLEMENTED */
        rpc_finish(rpc, WEIR_UNIMPLEMENTED, "the call ended without its request", NULL);
        return false;
    }
    rpc->request_bytes = core_message(rpc->payload, &rpc->request);
    if (rpc->request_bytes.size <= message_bytes_max(rpc))
        return true;
    char text[128];
    rpc_finish(rpc, WEIR_RESOURCE_EXHAUSTED, too_large(rpc, rpc->request_bytes.size, text, sizeof text),
               NULL);
    return false;
}

static void begin(struct rpc *rpc)
{
    struct rpc_server *server = rpc->worker->server;
    rpc->begun = true;
    rpc->begun_ns = weir_now_ns();
    link_append(&rpc->worker->live, &rpc->live);
    set_deadline(rpc);
    if (is_stream(rpc))
        watch_close(rpc);
    server->ops->begin(rpc);
    if (!is_stream(rpc))
        watch_close(rpc);
    if (rpc->worker->told_draining)
        rpc_tell_draining(rpc);
    if (rpc->worker->told_cancel)
        rpc_time_is_over(rpc, WEIR_CANCELLED);
}

static void refuse_unknown(struct rpc *rpc)
{
    struct weir_bytes path = core_bytes(&rpc->details.method);
    char text[256];
    snprintf(text, sizeof text, "no method %.*s here", path.size < 200 ? (int)path.size : 200,
             (const char *)path.data);
    rpc_finish(rpc, WEIR_UNIMPLEMENTED, text, NULL);
}

static void arrived(struct event *event, bool ok)
{
    struct rpc *rpc = CONTAINER_OF(event, struct rpc, arrived);
    if (!ok) { /* the server is closing */
        give_back(rpc);
        return;
    }
    rpc_ask(rpc->worker, rpc->registered);
    reset(rpc);
    if (!rpc->registered->handle)
        refuse_unknown(rpc);
    else if (take_request(rpc))
        begin(rpc);
}

/* ---- The end ---- */

void rpc_time_is_over(struct rpc *rpc, enum weir_status status)
{
    if (rpc->is_over)
        return;
    rpc->is_over = true;
    if (is_stream(rpc)) {
        pthread_mutex_lock(&rpc->lock);
        rpc->over = status;
        pthread_mutex_unlock(&rpc->lock);
    }
    ops_of(rpc)->over(rpc, status);
}

void rpc_tell_draining(struct rpc *rpc)
{
    int64_t left_ns = atomic_load(&rpc->worker->server->drain_ends_ns) - weir_now_ns();
    if (is_stream(rpc))
        ops_of(rpc)->draining(rpc, left_ns > 0 ? left_ns / WEIR_NS_PER_MS : 0);
}

/* The client left, its deadline passed, or the answer is through. */
static void closed(struct event *event, bool ok)
{
    (void)ok;
    struct rpc *rpc = CONTAINER_OF(event, struct rpc, closed);
    if (rpc->close_cancelled) {
        rpc_time_is_over(rpc, weir_now_ns() >= rpc->late_ns ? WEIR_DEADLINE_EXCEEDED : WEIR_CANCELLED);
    }
    part_ended(rpc);
}

static void finished(struct event *event, bool ok)
{
    struct rpc *rpc = CONTAINER_OF(event, struct rpc, finished);
    /* The core says of an answer that an abort has overtaken that it was sent. */
    rpc->complete = ok && !atomic_load(&rpc->worker->server->aborted);
    part_ended(rpc);
}

static size_t add_headers(struct rpc *rpc, grpc_op *op)
{
    if (rpc->headers_sent)
        return 0;
    rpc->headers_sent = true;
    op->op = GRPC_OP_SEND_INITIAL_METADATA;
    return 1;
}

/* Takes the slice. */
static size_t add_message(struct rpc *rpc, grpc_op *op, grpc_slice slice, uint32_t flags)
{
    core_buffer_set(&rpc->out, slice);
    op->op = GRPC_OP_SEND_MESSAGE;
    op->flags = flags;
    op->data.send_message.send_message = &rpc->out;
    return 1;
}

void rpc_add_trailer(struct rpc *rpc, const char *name, const char *value)
{
    if (rpc->trailer_count == RPC_TRAILERS_MAX)
        return;
    grpc_metadata *trailer = &rpc->trailers[rpc->trailer_count++];
    trailer->key = grpc_slice_from_copied_string(name);
    trailer->value = grpc_slice_from_copied_string(value);
}

/* The last batch. Takes `message`, where there is one. */
static void answer(struct rpc *rpc, enum weir_status status, const char *text, const grpc_slice *message)
{
    grpc_op ops[4];
    memset(ops, 0, sizeof ops);
    size_t count = add_headers(rpc, ops);
    if (message)
        count += add_message(rpc, &ops[count], *message, 0);

    bool has_text = status != WEIR_OK && text && text[0];
    grpc_slice details = has_text ? grpc_slice_from_copied_string(text) : grpc_empty_slice();
    grpc_op *op = &ops[count++];
    op->op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    op->data.send_status_from_server.status = (grpc_status_code)status;
    op->data.send_status_from_server.status_details = has_text ? &details : NULL;
    op->data.send_status_from_server.trailing_metadata = rpc->trailers;
    op->data.send_status_from_server.trailing_metadata_count = rpc->trailer_count;

    if (!atomic_exchange(&rpc->close_asked, true)) {
        op = &ops[count++];
        op->op = GRPC_OP_RECV_CLOSE_ON_SERVER;
        op->data.recv_close_on_server.cancelled = &rpc->close_cancelled;
    }
    core_start(rpc->call, ops, count, &rpc->finished);
    grpc_slice_unref(details);
}

/* ---- Streams. Holds: lock, where it says so ---- */

/* Holds: lock. Nothing is being sent: sends the next message, or the answer. */
static void send_next(struct rpc *rpc)
{
    struct unsent *unsent = rpc->first;
    if (unsent) {
        rpc->first = unsent->next;
        if (!rpc->first)
            rpc->last = &rpc->first;
        rpc->sending = true;
        rpc->in_send = unsent->size;
        grpc_op ops[2];
        memset(ops, 0, sizeof ops);
        size_t count = add_headers(rpc, ops);
        count += add_message(rpc, &ops[count], unsent->slice, rpc->first ? GRPC_WRITE_BUFFER_HINT : 0);
        free(unsent);
        atomic_fetch_add(&rpc->parts, 1);
        core_start(rpc->call, ops, count, &rpc->sent);
    } else if (rpc->answered && !rpc->ending) {
        rpc->ending = true;
        bool has_reply = rpc->has_reply;
        rpc->has_reply = false;
        answer(rpc, rpc->status, rpc->text, has_reply ? &rpc->reply : NULL);
    }
}

static void sent(struct event *event, bool ok)
{
    struct rpc *rpc = CONTAINER_OF(event, struct rpc, sent);
    pthread_mutex_lock(&rpc->lock);
    rpc->sending = false;
    rpc->unsent -= rpc->in_send;
    rpc->in_send = 0;
    if (!ok) {
        drop_unsent(rpc);
        if (rpc->over == WEIR_OK)
            rpc->over = WEIR_CANCELLED;
    }
    send_next(rpc);
    bool writable = rpc->owes_writable && rpc->unsent <= UNSENT_KEEPS_UP && !rpc->answered;
    if (writable)
        rpc->owes_writable = false;
    pthread_mutex_unlock(&rpc->lock);
    if (writable && ok)
        ops_of(rpc)->writable(rpc);
    part_ended(rpc);
}

enum weir_status rpc_send(struct rpc *rpc, const void *user, struct weir_bytes message)
{
    pthread_mutex_lock(&rpc->lock);
    enum weir_status status = rpc->user != user || rpc->answered ? WEIR_CANCELLED : rpc->over;
    if (status == WEIR_OK && rpc->unsent > 0 && rpc->unsent + message.size > UNSENT_MAX)
        status = WEIR_RESOURCE_EXHAUSTED;
    if (status == WEIR_OK) {
        struct unsent *unsent = NEW(struct unsent);
        unsent->slice = core_slice(message);
        unsent->size = message.size;
        *rpc->last = unsent;
        rpc->last = &unsent->next;
        rpc->unsent += message.size;
        if (!rpc->sending)
            send_next(rpc);
        if (rpc->unsent > UNSENT_SLOW) {
            rpc->owes_writable = true;
            status = WEIR_PENDING;
        }
    }
    pthread_mutex_unlock(&rpc->lock);
    return status;
}

void rpc_read(struct rpc *rpc, const void *user)
{
    pthread_mutex_lock(&rpc->lock);
    bool may = rpc->user == user && !rpc->reading && !rpc->answered;
    if (may) {
        rpc->reading = true;
        atomic_fetch_add(&rpc->parts, 1);
        grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
        op.data.recv_message.recv_message = &rpc->message;
        core_start(rpc->call, &op, 1, &rpc->received);
    }
    pthread_mutex_unlock(&rpc->lock);
}

/* Its user ends it, and the client is told why. */
static void refuse_too_large(struct rpc *rpc, size_t size)
{
    pthread_mutex_lock(&rpc->lock);
    rpc->too_large = size;
    pthread_mutex_unlock(&rpc->lock);
    rpc_time_is_over(rpc, WEIR_CANCELLED);
}

static void received(struct event *event, bool ok)
{
    struct rpc *rpc = CONTAINER_OF(event, struct rpc, received);
    pthread_mutex_lock(&rpc->lock);
    rpc->reading = false;
    bool wanted = !rpc->answered;
    grpc_byte_buffer *message = rpc->message;
    rpc->message = NULL;
    pthread_mutex_unlock(&rpc->lock);

    if (message && wanted) {
        grpc_slice slice;
        struct weir_bytes bytes = core_message(message, &slice);
        if (bytes.size <= message_bytes_max(rpc))
            ops_of(rpc)->message(rpc, bytes);
        else
            refuse_too_large(rpc, bytes.size);
        grpc_slice_unref(slice);
    } else if (wanted && ok && !message && !grpc_call_failed_before_recv_message(rpc->call)) {
        ops_of(rpc)->half_close(rpc);
    }
    if (message)
        grpc_byte_buffer_destroy(message);
    part_ended(rpc);
}

static void finish_stream(struct rpc *rpc, enum weir_status status, const char *text,
                          const struct weir_bytes *reply)
{
    pthread_mutex_lock(&rpc->lock);
    char why[128];
    if (rpc->too_large > 0) {
        text = too_large(rpc, rpc->too_large, why, sizeof why);
        status = WEIR_RESOURCE_EXHAUSTED;
    }
    rpc->answered = true;
    rpc->status = status;
    rpc->text = memory_strdup(text);
    rpc->has_reply = reply != NULL && status == WEIR_OK;
    if (rpc->has_reply)
        rpc->reply = core_slice(*reply);
    if (!rpc->sending)
        send_next(rpc);
    pthread_mutex_unlock(&rpc->lock);
}

void rpc_finish(struct rpc *rpc, enum weir_status status, const char *text, const struct weir_bytes *reply)
{
    if (is_stream(rpc)) {
        finish_stream(rpc, status, text, reply);
        return;
    }
    bool has_reply = status == WEIR_OK && reply;
    grpc_slice message = has_reply ? core_slice(*reply) : grpc_empty_slice();
    answer(rpc, status, text, has_reply ? &message : NULL);
}

/* ---- What the user may ask ---- */

const struct rpc_method *rpc_method(const struct rpc *rpc)
{
    return &rpc->registered->method;
}

void *rpc_server_user(const struct rpc *rpc)
{
    return rpc->worker->server->user;
}

void rpc_set_user(struct rpc *rpc, void *user)
{
    atomic_store_explicit(&rpc->user, user, memory_order_relaxed);
}

void *rpc_user(const struct rpc *rpc)
{
    return atomic_load_explicit(&rpc->user, memory_order_relaxed);
}

int64_t rpc_begun_ns(const struct rpc *rpc)
{
    return rpc->begun_ns;
}

int64_t rpc_deadline_ns(const struct rpc *rpc)
{
    return rpc->deadline_ns;
}

struct weir_bytes rpc_request(const struct rpc *rpc)
{
    return rpc->request_bytes;
}

size_t rpc_metadata_count(const struct rpc *rpc)
{
    return rpc->metadata.count;
}

void rpc_metadata_at(const struct rpc *rpc, size_t index, struct weir_bytes *ret_name,
                     struct weir_bytes *ret_value)
{
    *ret_name = core_bytes(&rpc->metadata.metadata[index].key);
    *ret_value = core_bytes(&rpc->metadata.metadata[index].value);
}
