/* Calls that go out. A client has one channel, one queue, and one thread that polls it and tells how calls
 * ended.
 *
 * A unary call is one batch and one event. A stream has a batch that ends with it, one for each message, and
 * one each for opening and half-closing. A carrier goes back to the client's pool when all of them have
 * ended; its memory stays a carrier as long as the client lives, so that who asks a stream that is just done
 * for more finds out under the lock. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>

#include <weir/clock.h>

#include "core/memory.h"
#include "engines/grpc_core/core.h"
#include "engines/rpc.h"

#define METADATA_MAX 3
#define FIRST_BACKOFF_MS 100 /* the least that the core allows */

struct carrier {
    struct rpc_client *client;
    struct carrier *next; /* in the pool, or of those in flight */
    struct carrier **link;
    struct weir_context_watch watch;

    grpc_call *call;
    grpc_metadata metadata[METADATA_MAX]; /* sent */
    size_t metadata_count;
    grpc_metadata_array headers, trailers; /* received */
    grpc_status_code status;
    grpc_slice details;
    grpc_byte_buffer *reply, *message;
    grpc_byte_buffer out;

    struct event ended, opened, sent, half_closed, received;

    pthread_mutex_t lock;      /* all below */
    int parts;                 /* batches under way */
    struct outgoing *outgoing; /* NULL: in the pool, or done */
    bool sending, reading;
    bool half_close_wanted, close_sent;
};

struct rpc_client {
    char *target;
    int64_t connect_backoff_ms;
    bool started;
    grpc_channel *channel;
    grpc_completion_queue *queue;
    pthread_t thread;

    pthread_mutex_t lock; /* all below */
    struct carrier *pool, *in_flight;
    int64_t count;
};

static void ended(struct event *event, bool ok);
static void opened(struct event *event, bool ok);
static void sent(struct event *event, bool ok);
static void half_closed(struct event *event, bool ok);
static void received(struct event *event, bool ok);

/* ---- Life ---- */

struct rpc_client *rpc_client_new(const struct rpc_client_options *options)
{
    struct rpc_client *client = NEW(struct rpc_client);
    client->target = memory_strdup(options->target);
    client->connect_backoff_ms = options->connect_backoff_ms;
    pthread_mutex_init(&client->lock, NULL);
    return client;
}

static void *poll_queue(void *arg)
{
    struct rpc_client *client = arg;
    for (;;) {
        grpc_event delivered =
            grpc_completion_queue_next(client->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (delivered.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        struct event *event = delivered.tag;
        event->run(event, delivered.success != 0);
    }
}

/* The scheme saves an address the resolver, and its pauses between two questions. */
static char *target_with_scheme(const char *target)
{
    char host[INET6_ADDRSTRLEN] = "";
    struct in_addr ignored;
    const char *colon = strrchr(target, ':');
    if (colon && (size_t)(colon - target) < sizeof host)
        memcpy(host, target, (size_t)(colon - target));
    if (inet_pton(AF_INET, host, &ignored) == 1)
        return memory_printf("ipv4:%s", target);
    if (target[0] == '[')
        return memory_printf("ipv6:%s", target);
    return memory_strdup(target);
}

static grpc_channel *new_channel(const struct rpc_client *client)
{
    int64_t longest =
        client->connect_backoff_ms > FIRST_BACKOFF_MS ? client->connect_backoff_ms : FIRST_BACKOFF_MS;
    struct core_args args = {.count = 0};
    core_args_add(&args, GRPC_ARG_ENABLE_CHANNELZ, 0);
    core_args_add(&args, GRPC_ARG_HTTP2_BDP_PROBE, 0);
    core_args_add(&args, GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0);
    core_args_add(&args, GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    core_args_add(&args, GRPC_ARG_ENABLE_HTTP_PROXY, 0); /* between services there is none */
    /* Without a configuration of retries these are the transparent ones: of calls that the server never saw.
     */
    core_args_add(&args, GRPC_ARG_ENABLE_RETRIES, 1);
    core_args_add(&args, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1); /* each channel has its own connection */
    core_args_add(&args, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, FIRST_BACKOFF_MS);
    core_args_add(&args, GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, longest);
    core_args_add(&args, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 3000); /* what one attempt may take */
    core_args_add(&args, GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 1000);
    core_args_add(&args, GRPC_ARG_KEEPALIVE_TIME_MS, 30000);
    core_args_add(&args, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);

    char *target = target_with_scheme(client->target);
    grpc_channel_credentials *insecure = grpc_insecure_credentials_create();
    grpc_channel *channel = grpc_channel_create(
        target, insecure, &(grpc_channel_args){.num_args = args.count, .args = args.list});
    grpc_channel_credentials_release(insecure);
    free(target);
    return channel;
}

enum weir_status rpc_client_start(struct rpc_client *client, struct weir_error *err)
{
    core_acquire();
    client->channel = new_channel(client);
    client->queue = grpc_completion_queue_create_for_next(NULL);
    int errnum = pthread_create(&client->thread, NULL, poll_queue, client);
    if (errnum != 0) {
        grpc_completion_queue_shutdown(client->queue);
        poll_queue(client);
        grpc_completion_queue_destroy(client->queue);
        grpc_channel_destroy(client->channel);
        core_release();
        return weir_fail_errno(err, WEIR_UNAVAILABLE, errnum, "cannot start a thread for gRPC");
    }
    pthread_setname_np(client->thread, "weir-grpc-out");
    client->started = true;
    return WEIR_OK;
}

int64_t rpc_client_in_flight(struct rpc_client *client)
{
    pthread_mutex_lock(&client->lock);
    int64_t count = client->count;
    pthread_mutex_unlock(&client->lock);
    return count;
}

bool rpc_client_wait(struct rpc_client *client, struct weir_context *context)
{
    while (rpc_client_in_flight(client) > 0)
        if (weir_context_sleep(context, 5) != WEIR_OK)
            return rpc_client_in_flight(client) == 0;
    return true;
}

void rpc_client_cancel(struct rpc_client *client)
{
    pthread_mutex_lock(&client->lock);
    for (struct carrier *carrier = client->in_flight; carrier; carrier = carrier->next)
        grpc_call_cancel_with_status(carrier->call, GRPC_STATUS_CANCELLED, "the channel is stopping", NULL);
    pthread_mutex_unlock(&client->lock);
}

static void free_carrier(struct carrier *carrier)
{
    grpc_metadata_array_destroy(&carrier->headers);
    grpc_metadata_array_destroy(&carrier->trailers);
    core_buffer_clear(&carrier->out);
    pthread_mutex_destroy(&carrier->lock);
    free(carrier);
}

static void stop(struct rpc_client *client)
{
    rpc_client_cancel(client);
    struct weir_context forever;
    context_init(&forever, NULL, WEIR_NEVER);
    rpc_client_wait(client, &forever);
    context_clean_up(&forever);
    grpc_completion_queue_shutdown(client->queue);
    pthread_join(client->thread, NULL);
    grpc_completion_queue_destroy(client->queue);
    grpc_channel_destroy(client->channel);
    core_release();
}

void rpc_client_destroy(struct rpc_client *client)
{
    if (!client)
        return;
    if (client->started)
        stop(client);
    while (client->pool) {
        struct carrier *carrier = client->pool;
        client->pool = carrier->next;
        free_carrier(carrier);
    }
    pthread_mutex_destroy(&client->lock);
    free(client->target);
    free(client);
}

/* ---- Carriers ---- */

static struct carrier *new_carrier(struct rpc_client *client)
{
    struct carrier *carrier = NEW(struct carrier);
    carrier->client = client;
    grpc_metadata_array_init(&carrier->headers);
    grpc_metadata_array_init(&carrier->trailers);
    core_buffer_init(&carrier->out);
    pthread_mutex_init(&carrier->lock, NULL);
    carrier->ended.run = ended;
    carrier->opened.run = opened;
    carrier->sent.run = sent;
    carrier->half_closed.run = half_closed;
    carrier->received.run = received;
    return carrier;
}

static struct carrier *take(struct rpc_client *client)
{
    pthread_mutex_lock(&client->lock);
    struct carrier *carrier = client->pool;
    if (carrier)
        client->pool = carrier->next;
    pthread_mutex_unlock(&client->lock);
    return carrier ? carrier : new_carrier(client);
}

static void set_in_flight(struct carrier *carrier)
{
    struct rpc_client *client = carrier->client;
    pthread_mutex_lock(&client->lock);
    carrier->next = client->in_flight;
    if (carrier->next)
        carrier->next->link = &carrier->next;
    carrier->link = &client->in_flight;
    client->in_flight = carrier;
    client->count++;
    pthread_mutex_unlock(&client->lock);
}

static void give_back(struct carrier *carrier)
{
    struct rpc_client *client = carrier->client;
    pthread_mutex_lock(&client->lock);
    carrier->next = client->pool;
    client->pool = carrier;
    client->count--;
    pthread_mutex_unlock(&client->lock);
}

/* No cancel finds it from now on, so that its call may go. */
static void set_landed(struct carrier *carrier)
{
    struct rpc_client *client = carrier->client;
    pthread_mutex_lock(&client->lock);
    *carrier->link = carrier->next;
    if (carrier->next)
        carrier->next->link = carrier->link;
    pthread_mutex_unlock(&client->lock);
}

/* ---- The end ---- */

static enum weir_status judge(const struct carrier *carrier, const struct outgoing *outgoing, char *text,
                              size_t size)
{
    struct weir_bytes details = core_bytes(&carrier->details);
    size_t length = details.size < size ? details.size : size - 1;
    if (length > 0)
        memcpy(text, details.data, length);
    text[length] = 0;

    enum weir_status status = core_status(carrier->status);
    enum weir_status over = weir_context_status(&outgoing->context);
    uint8_t kind = outgoing->method->kind;
    if (status == WEIR_CANCELLED && over == WEIR_DEADLINE_EXCEEDED)
        status = over;
    if (status == WEIR_DEADLINE_EXCEEDED &&
        grpc_channel_check_connectivity_state(carrier->client->channel, 0) != GRPC_CHANNEL_READY)
        snprintf(text, size, "no connection to %s within the deadline", carrier->client->target);
    if (status == WEIR_OK && !carrier->reply && (kind == WEIR_UNARY || kind == WEIR_CLIENT_STREAM)) {
        snprintf(text, size, "%s ended the call without a reply", carrier->client->target);
        status = WEIR_INTERNAL;
    }
    return status;
}

static void clean_up(struct carrier *carrier)
{
    for (size_t i = 0; i < carrier->metadata_count; i++)
        grpc_slice_unref(carrier->metadata[i].value);
    grpc_slice_unref(carrier->details);
    if (carrier->reply)
        grpc_byte_buffer_destroy(carrier->reply);
    core_buffer_set(&carrier->out, grpc_empty_slice());
    grpc_call_unref(carrier->call);
}

/* Runs on: the client's thread. */
static void part_ended(struct carrier *carrier)
{
    pthread_mutex_lock(&carrier->lock);
    struct outgoing *outgoing = carrier->outgoing;
    bool last = --carrier->parts == 0;
    if (last)
        carrier->outgoing = NULL;
    pthread_mutex_unlock(&carrier->lock);
    if (!last)
        return;

    weir_context_unwatch(&carrier->watch);
    set_landed(carrier);
    char text[1024];
    enum weir_status status = judge(carrier, outgoing, text, sizeof text);
    grpc_slice slice;
    struct weir_bytes reply = core_message(carrier->reply, &slice);
    for (size_t i = 0; outgoing->metadata && i < carrier->trailers.count; i++)
        outgoing->metadata(outgoing, core_bytes(&carrier->trailers.metadata[i].key),
                           core_bytes(&carrier->trailers.metadata[i].value));
    outgoing->done(outgoing, status, status == WEIR_OK ? "" : text, reply);
    grpc_slice_unref(slice);
    clean_up(carrier);
    give_back(carrier);
}

static void ended(struct event *event, bool ok)
{
    (void)ok;
    part_ended(CONTAINER_OF(event, struct carrier, ended));
}

static void opened(struct event *event, bool ok)
{
    (void)ok; /* where it failed the end says why */
    part_ended(CONTAINER_OF(event, struct carrier, opened));
}

static void half_closed(struct event *event, bool ok)
{
    (void)ok;
    part_ended(CONTAINER_OF(event, struct carrier, half_closed));
}

/* ---- The beginning ---- */

static void cancel(struct weir_context_watch *watch, enum weir_status status)
{
    struct carrier *carrier = CONTAINER_OF(watch, struct carrier, watch);
    grpc_call_cancel_with_status(carrier->call, (grpc_status_code)status,
                                 status == WEIR_CANCELLED ? "cancelled" : "the deadline passed", NULL);
}

static void add_metadata(struct carrier *carrier, const char *name, const char *value)
{
    if (!value || !value[0])
        return;
    grpc_metadata *metadata = &carrier->metadata[carrier->metadata_count];
    metadata->key = grpc_slice_from_static_string(name);
    metadata->value = grpc_slice_from_copied_string(value);
    if (grpc_header_nonbin_value_is_legal(metadata->value))
        carrier->metadata_count++;
    else
        grpc_slice_unref(metadata->value);
}

static void prepare(struct carrier *carrier, struct outgoing *outgoing)
{
    struct rpc_client *client = carrier->client;
    char path[512];
    int length = snprintf(path, sizeof path, "/%s", outgoing->method->full_name);
    grpc_slice method = grpc_slice_from_copied_buffer(path, (size_t)length);
    carrier->call =
        grpc_channel_create_call(client->channel, NULL, GRPC_PROPAGATE_DEFAULTS, client->queue, method, NULL,
                                 core_time_of(weir_context_deadline_ns(&outgoing->context)), NULL);
    grpc_slice_unref(method);

    carrier->metadata_count = 0;
    add_metadata(carrier, "traceparent", weir_context_traceparent(&outgoing->context));
    add_metadata(carrier, "weir-principal", weir_context_principal(&outgoing->context));
    add_metadata(carrier, "idempotency-key", outgoing->message_id);
    carrier->headers.count = carrier->trailers.count = 0;
    carrier->status = GRPC_STATUS_UNKNOWN;
    carrier->details = grpc_empty_slice();
    carrier->reply = carrier->message = NULL;
    carrier->sending = carrier->reading = carrier->half_close_wanted = false;
    carrier->close_sent = outgoing->method->kind == WEIR_SERVER_STREAM;
    carrier->parts = outgoing->method->kind == WEIR_UNARY ? 1 : 2;
    outgoing->carrier = carrier;
    pthread_mutex_lock(&carrier->lock);
    carrier->outgoing = outgoing;
    pthread_mutex_unlock(&carrier->lock);
    memset(&carrier->watch, 0, sizeof carrier->watch);
    carrier->watch.over = cancel;
}

static size_t add_open(struct carrier *carrier, grpc_op *ops, bool with_request)
{
    size_t count = 0;
    grpc_op *op = &ops[count++];
    op->op = GRPC_OP_SEND_INITIAL_METADATA;
    op->flags = GRPC_INITIAL_METADATA_WAIT_FOR_READY | GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET;
    op->data.send_initial_metadata.count = carrier->metadata_count;
    op->data.send_initial_metadata.metadata = carrier->metadata;
    if (!with_request)
        return count;
    core_buffer_set(&carrier->out, core_slice(carrier->outgoing->request));
    op = &ops[count++];
    op->op = GRPC_OP_SEND_MESSAGE;
    op->data.send_message.send_message = &carrier->out;
    ops[count++].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    return count;
}

static size_t add_end(struct carrier *carrier, grpc_op *ops, bool with_reply)
{
    size_t count = 0;
    grpc_op *op = &ops[count++];
    op->op = GRPC_OP_RECV_INITIAL_METADATA;
    op->data.recv_initial_metadata.recv_initial_metadata = &carrier->headers;
    op = &ops[count++];
    op->op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    op->data.recv_status_on_client.trailing_metadata = &carrier->trailers;
    op->data.recv_status_on_client.status = &carrier->status;
    op->data.recv_status_on_client.status_details = &carrier->details;
    if (!with_reply)
        return count;
    op = &ops[count++];
    op->op = GRPC_OP_RECV_MESSAGE;
    op->data.recv_message.recv_message = &carrier->reply;
    return count;
}

void rpc_client_call(struct rpc_client *client, struct outgoing *outgoing)
{
    enum weir_status over = client->started ? weir_context_status(&outgoing->context) : WEIR_UNAVAILABLE;
    if (over != WEIR_OK) {
        outgoing->carrier = NULL;
        outgoing->done(outgoing, over,
                       over == WEIR_UNAVAILABLE ? "the channel is not up"
                                                : "the time was over before the call was sent",
                       (struct weir_bytes){0});
        return;
    }

    struct carrier *carrier = take(client);
    prepare(carrier, outgoing);
    set_in_flight(carrier);
    uint8_t kind = outgoing->method->kind;
    grpc_op ops[6];
    memset(ops, 0, sizeof ops);
    weir_context_watch(&outgoing->context, &carrier->watch);
    if (kind == WEIR_UNARY) {
        size_t count = add_open(carrier, ops, true);
        count += add_end(carrier, ops + count, true);
        core_start(carrier->call, ops, count, &carrier->ended);
        return;
    }
    size_t count = add_open(carrier, ops, kind == WEIR_SERVER_STREAM);
    core_start(carrier->call, ops, count, &carrier->opened);
    memset(ops, 0, sizeof ops);
    count = add_end(carrier, ops, kind == WEIR_CLIENT_STREAM);
    core_start(carrier->call, ops, count, &carrier->ended);
}

/* ---- Streams ---- */

/* Locks the carrier; NULL when the stream is done. */
static struct carrier *lock_carrier(struct outgoing *outgoing)
{
    struct carrier *carrier = outgoing->carrier;
    if (!carrier)
        return NULL;
    pthread_mutex_lock(&carrier->lock);
    if (carrier->outgoing == outgoing)
        return carrier;
    pthread_mutex_unlock(&carrier->lock);
    return NULL;
}

/* Holds: lock. */
static void send_close(struct carrier *carrier)
{
    grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    carrier->close_sent = true;
    carrier->parts++;
    core_start(carrier->call, &op, 1, &carrier->half_closed);
}

void rpc_client_send(struct outgoing *outgoing, struct weir_bytes message)
{
    struct carrier *carrier = lock_carrier(outgoing);
    if (!carrier)
        return;
    if (carrier->close_sent || carrier->half_close_wanted) { /* the caller's mistake: nobody would take it */
        pthread_mutex_unlock(&carrier->lock);
        outgoing->sent(outgoing);
        return;
    }
    carrier->sending = true;
    core_buffer_set(&carrier->out, core_slice(message));
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    op.data.send_message.send_message = &carrier->out;
    carrier->parts++;
    core_start(carrier->call, &op, 1, &carrier->sent);
    pthread_mutex_unlock(&carrier->lock);
}

static void sent(struct event *event, bool ok)
{
    struct carrier *carrier = CONTAINER_OF(event, struct carrier, sent);
    pthread_mutex_lock(&carrier->lock);
    carrier->sending = false;
    if (carrier->half_close_wanted && !carrier->close_sent)
        send_close(carrier);
    pthread_mutex_unlock(&carrier->lock);
    if (ok) /* else the end is near */
        carrier->outgoing->sent(carrier->outgoing);
    part_ended(carrier);
}

void rpc_client_half_close(struct outgoing *outgoing)
{
    struct carrier *carrier = lock_carrier(outgoing);
    if (!carrier)
        return;
    if (carrier->sending)
        carrier->half_close_wanted = true;
    else if (!carrier->close_sent)
        send_close(carrier);
    pthread_mutex_unlock(&carrier->lock);
}

void rpc_client_read(struct outgoing *outgoing)
{
    struct carrier *carrier = lock_carrier(outgoing);
    if (!carrier)
        return;
    if (!carrier->reading) {
        carrier->reading = true;
        grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
        op.data.recv_message.recv_message = &carrier->message;
        carrier->parts++;
        core_start(carrier->call, &op, 1, &carrier->received);
    }
    pthread_mutex_unlock(&carrier->lock);
}

static void received(struct event *event, bool ok)
{
    (void)ok;
    struct carrier *carrier = CONTAINER_OF(event, struct carrier, received);
    pthread_mutex_lock(&carrier->lock);
    carrier->reading = false;
    grpc_byte_buffer *message = carrier->message;
    carrier->message = NULL;
    pthread_mutex_unlock(&carrier->lock);
    if (message) {
        grpc_slice slice;
        carrier->outgoing->message(carrier->outgoing, core_message(message, &slice));
        grpc_slice_unref(slice);
        grpc_byte_buffer_destroy(message);
    }
    part_ended(carrier);
}
