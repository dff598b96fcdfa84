/* The server's life. A plain shutdown of the core cancels the calls that a client has sent and the core has
 * not yet handed over (grpc issue 41785), and clients do not retry those. So the stop goes in steps: the core
 * first closes its listeners and sends GOAWAY, which two of its inner functions do without refusing anything;
 * what the clients had sent until they read that is served; only then it is shut down.
 *
 * Queues are polled until every rpc is gone: the shutdown's event may come before the last rpcs' own. */
#include "engines/grpc_core/server.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "core/condition.h"
#include "core/memory.h"

/* Asked for at once, of each method and each worker. */
#define ASKED 8

/* A client reads the GOAWAY within its round trip. */
#define SETTLE_LEAST_MS 100 /* always */
#define SETTLE_QUIET_MS 50  /* and since the last call began */
#define SETTLE_MOST_MS 250
#define STEP_MS 10

/* What a connection gets to close once every rpc is gone: a peer that does not answer the ping behind GOAWAY
 * would hold it for 20 s. */
#define LINGER_MS 500

/* ---- Lists ---- */

void link_init(struct link *list)
{
    list->previous = list->next = list;
}

void link_append(struct link *list, struct link *item)
{
    item->previous = list->previous;
    item->next = list;
    list->previous->next = item;
    list->previous = item;
}

void link_remove(struct link *item)
{
    item->previous->next = item->next;
    item->next->previous = item->previous;
    link_init(item);
}

bool link_is_empty(const struct link *list)
{
    return list->next == list;
}

/* ---- Workers ---- */

void worker_ring(struct worker *worker)
{
    core_start(worker->bell, NULL, 0, &worker->bell_rang);
}

static void bell_rang(struct event *event, bool ok)
{
    (void)ok;
    struct worker *worker = CONTAINER_OF(event, struct worker, bell_rang);
    struct rpc_server *server = worker->server;
    bool draining = atomic_load(&server->drain_ends_ns) != 0 && !worker->told_draining;
    bool cancelled = atomic_load(&server->cancelled) && !worker->told_cancel;
    worker->told_draining = worker->told_draining || draining;
    worker->told_cancel = worker->told_cancel || cancelled;
    for (struct link *at = worker->live.next, *next = at->next; at != &worker->live;
         at = next, next = at->next) {
        struct rpc *rpc = CONTAINER_OF(at, struct rpc, live);
        if (draining)
            rpc_tell_draining(rpc);
        if (cancelled)
            rpc_time_is_over(rpc, WEIR_CANCELLED);
    }
}

static void end_late_rpcs(struct worker *worker)
{
    if (link_is_empty(&worker->timed))
        return;
    gpr_timespec now = gpr_now(GPR_CLOCK_MONOTONIC);
    while (!link_is_empty(&worker->timed)) {
        struct rpc *rpc = CONTAINER_OF(worker->timed.next, struct rpc, timed);
        if (gpr_time_cmp(rpc->ends, now) > 0)
            return;
        link_remove(&rpc->timed);
        rpc_time_is_over(rpc, WEIR_DEADLINE_EXCEEDED);
    }
}

static gpr_timespec next_end(const struct worker *worker)
{
    if (link_is_empty(&worker->timed))
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    return CONTAINER_OF(worker->timed.next, struct rpc, timed)->ends;
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    for (;;) {
        grpc_event delivered = grpc_completion_queue_next(worker->queue, next_end(worker), NULL);
        if (delivered.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (delivered.type == GRPC_OP_COMPLETE) {
            struct event *event = delivered.tag;
            event->run(event, delivered.success != 0);
        }
        end_late_rpcs(worker);
    }
}

/* ---- New ---- */

struct rpc_server *rpc_server_new(const struct rpc_server_options *options, const struct rpc_method *methods,
                                  size_t method_count, const struct rpc_user_ops *ops, void *user)
{
    struct rpc_server *server = NEW(struct rpc_server);
    server->options = *options;
    server->listen = memory_strdup(options->listen);
    server->options.listen = server->listen;
    server->ops = ops;
    server->user = user;
    server->method_count = method_count + 1;
    server->methods = memory_zalloc(server->method_count * sizeof *server->methods);
    for (size_t i = 0; i < method_count; i++)
        server->methods[i].method = methods[i];
    pthread_mutex_init(&server->lock, NULL);
    condition_init(&server->idle);

    server->worker_count = options->threads > 0 ? (size_t)options->threads : 1;
    server->workers = memory_zalloc(server->worker_count * sizeof *server->workers);
    for (size_t i = 0; i < server->worker_count; i++) {
        struct worker *worker = &server->workers[i];
        worker->server = server;
        worker->bell_rang.run = bell_rang;
        link_init(&worker->live);
        link_init(&worker->timed);
    }
    return server;
}

/* ---- Start ---- */

static grpc_server *new_core(const struct rpc_server_options *options)
{
    struct core_args args = {.count = 0};
    core_args_add(&args, GRPC_ARG_MINIMAL_STACK, 1);
    core_args_add(&args, GRPC_ARG_ENABLE_DEADLINE_CHECKS, 1); /* the minimal stack has them off */
    core_args_add(&args, GRPC_ARG_ENABLE_CHANNELZ, 0);
    core_args_add(&args, GRPC_ARG_HTTP2_BDP_PROBE, 0);
    core_args_add(&args, GRPC_ARG_ALLOW_REUSEPORT, 0); /* a taken port is an error */
    core_args_add(&args, GRPC_ARG_MAX_CONCURRENT_STREAMS, options->streams_max);
    core_args_add(&args, GRPC_ARG_MAX_METADATA_SIZE, options->metadata_bytes_max);
    /* A client that vanished without a word is noticed; one that asks every 10 s is welcome. */
    core_args_add(&args, GRPC_ARG_KEEPALIVE_TIME_MS, 60000);
    core_args_add(&args, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20000);
    core_args_add(&args, GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 9000);
    core_args_add(&args, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    core_args_add(&args, GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10000);
    return grpc_server_create(&(grpc_channel_args){.num_args = args.count, .args = args.list}, NULL);
}

static grpc_completion_queue *new_control_queue(void)
{
    grpc_completion_queue_attributes attributes = {
        .version = 1, .cq_completion_type = GRPC_CQ_NEXT, .cq_polling_type = GRPC_CQ_NON_POLLING};
    return grpc_completion_queue_create(grpc_completion_queue_factory_lookup(&attributes), &attributes, NULL);
}

static void make_worker(struct rpc_server *server, struct worker *worker)
{
    worker->queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(server->core, worker->queue, NULL);
    worker->bell = grpc_channel_create_call(server->lame, NULL, GRPC_PROPAGATE_DEFAULTS, worker->queue,
                                            grpc_slice_from_static_string("/bell"), NULL,
                                            gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
}

static void register_methods(struct rpc_server *server)
{
    for (size_t i = 0; i + 1 < server->method_count; i++) {
        struct registered *registered = &server->methods[i];
        enum weir_method_kind kind = registered->method.kind;
        bool first = kind == WEIR_UNARY || kind == WEIR_SERVER_STREAM;
        registered->handle = grpc_server_register_method(
            server->core, registered->method.path, NULL,
            first ? GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER : GRPC_SRM_PAYLOAD_NONE, 0);
        assert(registered->handle); /* NULL: two methods of one path */
    }
}

/* What the core says about it goes to a log line only, so the kernel is asked once more. */
static enum weir_status cannot_listen(const char *address, struct weir_error *err)
{
    char host[256];
    const char *colon = strrchr(address, ':');
    if (!colon || strncmp(address, "unix:", 5) == 0 || (size_t)(colon - address) >= sizeof host)
        return weir_fail(err, WEIR_UNAVAILABLE, "cannot listen on %s", address);
    size_t length = (size_t)(colon - address);
    bool bracketed = length >= 2 && address[0] == '[' && address[length - 1] == ']';
    size_t edge = bracketed ? 1 : 0;
    memcpy(host, address + edge, length - 2 * edge);
    host[length - 2 * edge] = 0;

    struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    int problem = getaddrinfo(host, colon + 1, &hints, &found);
    if (problem != 0)
        return weir_fail(err, WEIR_INVALID_ARGUMENT, "cannot listen on %s: %s", address,
                         gai_strerror(problem));
    int errnum = 0;
    for (struct addrinfo *at = found; at && errnum == 0; at = at->ai_next) {
        int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int on = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (fd < 0 || bind(fd, at->ai_addr, at->ai_addrlen) != 0 || listen(fd, 1) != 0)
            errnum = errno;
        if (fd >= 0)
            close(fd);
    }
    freeaddrinfo(found);
    return errnum != 0 ? weir_fail_errno(err, WEIR_UNAVAILABLE, errnum, "cannot listen on %s", address)
                       : weir_fail(err, WEIR_UNAVAILABLE, "cannot listen on %s", address);
}

/* The core takes a socket's path away from the server that has it. */
static enum weir_status check_unix_path(const char *address, struct weir_error *err)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    if (strncmp(address, "unix:", 5) != 0)
        return WEIR_OK;
    size_t length = strlen(address + 5);
    if (length >= sizeof path.sun_path)
        return weir_fail(err, WEIR_INVALID_ARGUMENT, "cannot listen on %s: the path is longer than %zu bytes",
                         address, sizeof path.sun_path - 1);
    memcpy(path.sun_path, address + 5, length);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool taken = fd >= 0 && connect(fd, (struct sockaddr *)&path, sizeof path) == 0;
    if (fd >= 0)
        close(fd);
    return taken ? weir_fail_errno(err, WEIR_UNAVAILABLE, EADDRINUSE, "cannot listen on %s", address)
                 : WEIR_OK;
}

static enum weir_status start_workers(struct rpc_server *server, struct weir_error *err)
{
    for (size_t i = 0; i < server->worker_count; i++) {
        struct worker *worker = &server->workers[i];
        for (size_t m = 0; m < server->method_count; m++)
            for (int n = 0; n < ASKED; n++)
                rpc_ask(worker, &server->methods[m]);
        int errnum = pthread_create(&worker->thread, NULL, work, worker);
        if (errnum != 0)
            return weir_fail_errno(err, WEIR_UNAVAILABLE, errnum, "cannot start a thread for gRPC");
        worker->has_thread = true;
        pthread_setname_np(worker->thread, "weir-grpc");
    }
    return WEIR_OK;
}

enum weir_status rpc_server_start(struct rpc_server *server, struct weir_error *err)
{
    enum weir_status status = check_unix_path(server->listen, err);
    if (status != WEIR_OK)
        return status;
    core_acquire();
    server->started = true;
    server->core = new_core(&server->options);
    server->control = new_control_queue();
    server->lame = grpc_lame_client_channel_create("bell", GRPC_STATUS_UNAVAILABLE, "");
    grpc_server_register_completion_queue(server->core, server->control, NULL);
    for (size_t i = 0; i < server->worker_count; i++)
        make_worker(server, &server->workers[i]);
    register_methods(server);

    grpc_server_credentials *insecure = grpc_insecure_server_credentials_create();
    server->port = grpc_server_add_http2_port(server->core, server->listen, insecure);
    grpc_server_credentials_release(insecure);
    if (server->port == 0)
        return cannot_listen(server->listen, err);
    if (strncmp(server->listen, "unix:", 5) == 0)
        server->port = 0;
    grpc_server_start(server->core);
    return start_workers(server, err);
}

int rpc_server_port(const struct rpc_server *server)
{
    return server->port;
}

/* ---- Stop ---- */

static void ring_all(struct rpc_server *server)
{
    for (size_t i = 0; i < server->worker_count; i++)
        if (server->workers[i].has_thread)
            worker_ring(&server->workers[i]);
}

void rpc_server_quiesce(struct rpc_server *server)
{
    if (!server->started || server->quiesced)
        return;
    server->quiesced = true;
    if (!core_stop_listening(server->core))
        weir_log_warn("this gRPC library cannot send GOAWAY ahead: calls that are on their way may be lost");
}

void rpc_server_settle(struct rpc_server *server, struct weir_context *context)
{
    int64_t began = weir_now_ns();
    for (;;) {
        int64_t now = weir_now_ns();
        int64_t waited_ms = (now - began) / WEIR_NS_PER_MS;
        int64_t quiet_ms = (now - atomic_load(&server->latest_begin_ns)) / WEIR_NS_PER_MS;
        if (waited_ms >= SETTLE_MOST_MS || (waited_ms >= SETTLE_LEAST_MS && quiet_ms >= SETTLE_QUIET_MS))
            return;
        if (weir_context_sleep(context, STEP_MS) != WEIR_OK)
            return;
    }
}

void rpc_server_close(struct rpc_server *server)
{
    if (!server->started || server->closed)
        return;
    server->closed = true;
    atomic_store(&server->closing, true);
    grpc_server_shutdown_and_notify(server->core, server->control, server);
}

/* Both wait for a moment. */
static bool rpcs_are_gone(struct rpc_server *server, int64_t most_ms)
{
    int64_t until = weir_deadline_in_ms(most_ms);
    pthread_mutex_lock(&server->lock);
    bool in_time = true;
    while (server->rpcs > 0 && in_time)
        in_time = condition_wait(&server->idle, &server->lock, until);
    bool gone = server->rpcs == 0;
    pthread_mutex_unlock(&server->lock);
    return gone;
}

static bool core_is_shut(struct rpc_server *server, int64_t most_ms)
{
    gpr_timespec until =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(most_ms, GPR_TIMESPAN));
    if (!server->shut)
        server->shut = grpc_completion_queue_next(server->control, until, NULL).type == GRPC_OP_COMPLETE;
    return server->shut;
}

bool rpc_server_wait(struct rpc_server *server, struct weir_context *context)
{
    int64_t gone_ns = 0, linger_ns = LINGER_MS * WEIR_NS_PER_MS;
    while (server->started && !server->shut) {
        bool last = weir_context_status(context) != WEIR_OK;
        if (gone_ns == 0 && rpcs_are_gone(server, last ? 0 : STEP_MS))
            gone_ns = weir_now_ns();
        if (gone_ns != 0 && !core_is_shut(server, last ? 0 : STEP_MS) &&
            weir_now_ns() - gone_ns > linger_ns) {
            rpc_server_abort(server); /* connections whose peers do not read, or do not answer */
            linger_ns = INT64_MAX;
        }
        if (last)
            return gone_ns != 0;
    }
    return true;
}

void rpc_server_draining(struct rpc_server *server, int64_t left_ms)
{
    atomic_store(&server->drain_ends_ns, weir_deadline_in_ms(left_ms));
    ring_all(server);
}

void rpc_server_cancel(struct rpc_server *server)
{
    atomic_store(&server->cancelled, true);
    ring_all(server);
}

void rpc_server_abort(struct rpc_server *server)
{
    if (server->closed && !server->shut)
        grpc_server_cancel_all_calls(server->core);
}

/* ---- Destroy ---- */

static void destroy_worker(struct worker *worker)
{
    grpc_call_unref(worker->bell);
    grpc_completion_queue_shutdown(worker->queue);
    if (worker->has_thread)
        pthread_join(worker->thread, NULL);
    else
        work(worker); /* to the shutdown's event, as nobody else will */
    grpc_completion_queue_destroy(worker->queue);
    while (worker->free) {
        struct rpc *rpc = worker->free;
        worker->free = rpc->next;
        rpc_free(rpc);
    }
}

static void shut_down(struct rpc_server *server)
{
    rpc_server_close(server);
    rpc_server_abort(server);
    for (size_t i = 0; i < server->worker_count; i++) /* a failed start left them without */
        if (!server->workers[i].has_thread)
            server->workers[i].has_thread =
                pthread_create(&server->workers[i].thread, NULL, work, &server->workers[i]) == 0;
    while (!core_is_shut(server, 1000) || !rpcs_are_gone(server, 1000))
        continue;
    grpc_server_destroy(server->core);
    grpc_completion_queue_shutdown(server->control);
    while (grpc_completion_queue_next(server->control, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
           GRPC_QUEUE_SHUTDOWN)
        continue;
    grpc_completion_queue_destroy(server->control);
    for (size_t i = 0; i < server->worker_count; i++)
        destroy_worker(&server->workers[i]);
    grpc_channel_destroy(server->lame);
    core_release();
}

void rpc_server_destroy(struct rpc_server *server)
{
    if (!server)
        return;
    if (server->started)
        shut_down(server);
    pthread_cond_destroy(&server->idle);
    pthread_mutex_destroy(&server->lock);
    free(server->workers);
    free(server->methods);
    free(server->listen);
    free(server);
}
