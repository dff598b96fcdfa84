/* The server's life. A plain shutdown of the core cancels the calls that a client has sent and the core has
 * not yet handed over (grpc issue 41785), and clients do not retry those. So the stop goes in steps: the
 * listening socket, which is ours, is closed; every client is told to go elsewhere by a GOAWAY that refuses
 * nothing, and what it had sent until it read that is served; the core is shut down when no connection is left.
 *
 * Queues are polled until every rpc is gone: the shutdown's event may come before the last rpcs' own. */
#include "engines/grpc_core/server.h"

#include <assert.h>
#include <stdlib.h>

#include <grpc/grpc_posix.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "core/memory.h"

/* Asked for at once, of each method and each worker. */
#define ASKED 8

#define PREFACE_MS 10000 /* as the core's own listener gives a handshake */

/* A client that has read the GOAWAY answers the ping behind it, and the core closes its connection after its
 * last call. So as long as one is open, calls may still come from it; but a peer that does not answer must not
 * hold the stop. */
#define SETTLE_MOST_MS 1000     /* with calls that run */
#define SETTLE_IDLE_MOST_MS 500 /* without */
#define SETTLE_LOOK_MS 1
#define SETTLE_LOOK_LATER_MS 5 /* after so long */

/* What connections get to close once every rpc is gone. The core would give a peer that does not answer 20 s. */
#define LINGER_MS 250

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
    int64_t now = weir_now_ns();
    while (!link_is_empty(&worker->timed)) {
        struct rpc *rpc = CONTAINER_OF(worker->timed.next, struct rpc, timed);
        if (rpc->deadline_ns > now)
            return;
        link_remove(&rpc->timed);
        rpc_time_is_over(rpc, WEIR_DEADLINE_EXCEEDED);
    }
}

static gpr_timespec next_end(const struct worker *worker)
{
    if (link_is_empty(&worker->timed))
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    return core_time_of(CONTAINER_OF(worker->timed.next, struct rpc, timed)->deadline_ns);
}

/* False: the queue is shut down, and empty. */
static bool take_turn(struct worker *worker, gpr_timespec until)
{
    grpc_event delivered = grpc_completion_queue_next(worker->queue, until, NULL);
    if (delivered.type == GRPC_QUEUE_SHUTDOWN)
        return false;
    if (delivered.type == GRPC_OP_COMPLETE) {
        struct event *event = delivered.tag;
        event->run(event, delivered.success != 0);
    }
    end_late_rpcs(worker);
    return true;
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    while (take_turn(worker, next_end(worker)))
        continue;
    return NULL;
}

/* ---- New ---- */

/* Runs on: the intake's thread. */
static void take_connection(void *arg, int fd)
{
    struct rpc_server *server = arg;
    grpc_server_add_channel_from_fd(server->core, fd, server->insecure);
}

static void core_is_shut(struct event *event, bool ok)
{
    (void)ok;
    gate_leave(CONTAINER_OF(event, struct rpc_server, shut)->up, false);
}

struct rpc_server *rpc_server_new(const struct rpc_server_options *options, const struct rpc_method *methods,
                                  size_t method_count, const struct rpc_user_ops *ops, void *user)
{
    struct rpc_server *server = NEW(struct rpc_server);
    server->options = *options;
    server->options.name = server->name = memory_strdup(options->name ? options->name : "grpc");
    server->options.listen = server->listen = memory_strdup(options->listen);
    server->ops = ops;
    server->user = user;
    server->method_count = method_count + 1;
    server->methods = memory_zalloc(server->method_count * sizeof *server->methods);
    for (size_t i = 0; i < method_count; i++)
        server->methods[i].method = methods[i];
    server->rpcs = gate_new(0);
    server->up = gate_new(0);
    server->shut.run = core_is_shut;
    intake_init(&server->intake, &(struct intake_options){.name = server->name,
                                                          .listen = server->listen,
                                                          .connections_max = options->connections_max,
                                                          .preface_ms = PREFACE_MS,
                                                          .take = take_connection,
                                                          .arg = server});

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
    core_args_add(&args, GRPC_ARG_MAX_CONCURRENT_STREAMS, options->streams_max);
    core_args_add(&args, GRPC_ARG_MAX_METADATA_SIZE, options->metadata_bytes_max);
    /* A client that vanished without a word is noticed; one that asks every 10 s is welcome. */
    core_args_add(&args, GRPC_ARG_KEEPALIVE_TIME_MS, 60000);
    core_args_add(&args, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20000);
    core_args_add(&args, GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 9000);
    core_args_add(&args, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    return grpc_server_create(&(grpc_channel_args){.num_args = args.count, .args = args.list}, NULL);
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
    enum weir_status status = intake_listen(&server->intake, err);
    if (status != WEIR_OK)
        return status;
    core_acquire();
    server->started = true;
    server->core = new_core(&server->options);
    server->insecure = grpc_insecure_server_credentials_create();
    server->lame = grpc_lame_client_channel_create("bell", GRPC_STATUS_UNAVAILABLE, "");
    for (size_t i = 0; i < server->worker_count; i++)
        make_worker(server, &server->workers[i]);
    register_methods(server);
    grpc_server_start(server->core);
    status = start_workers(server, err);
    return status == WEIR_OK ? intake_start(&server->intake, err) : status;
}

int rpc_server_port(const struct rpc_server *server)
{
    return intake_port(&server->intake);
}

int64_t rpc_server_connections(struct rpc_server *server)
{
    return (int64_t)intake_connections(&server->intake);
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
    intake_stop(&server->intake);
    if (!intake_is_over(&server->intake) && !core_send_goaways(server->core))
        weir_log_warn("this gRPC library cannot send GOAWAY ahead: calls that are on their way may be lost");
}

/* Beside those that are asked for, which the gate counts, too. */
static bool has_rpcs(const struct rpc_server *server)
{
    size_t asked = server->worker_count * server->method_count * ASKED;
    return gate_in_flight(server->rpcs) > (int64_t)asked;
}

void rpc_server_settle(struct rpc_server *server, struct weir_context *context)
{
    int64_t began = weir_now_ns();
    while (server->started && !intake_is_over(&server->intake)) {
        int64_t waited_ms = (weir_now_ns() - began) / WEIR_NS_PER_MS;
        int64_t look_ms = waited_ms < SETTLE_LOOK_LATER_MS ? SETTLE_LOOK_MS : SETTLE_LOOK_LATER_MS;
        if (waited_ms >= (has_rpcs(server) ? SETTLE_MOST_MS : SETTLE_IDLE_MOST_MS) ||
            weir_context_sleep(context, look_ms) != WEIR_OK)
            return;
    }
}

void rpc_server_close(struct rpc_server *server)
{
    if (!server->started || server->closed)
        return;
    server->closed = true;
    atomic_store(&server->closing, true);
    gate_enter(server->up);
    grpc_server_shutdown_and_notify(server->core, server->workers[0].queue, &server->shut);
}

static bool is_down(struct rpc_server *server, struct weir_context *context, int64_t most_ms)
{
    struct weir_context moment;
    context_init(&moment, context, weir_deadline_in_ms(most_ms));
    bool down = gate_wait_empty(server->up, &moment);
    context_clean_up(&moment);
    return down;
}

bool rpc_server_wait(struct rpc_server *server, struct weir_context *context)
{
    if (!server->started)
        return true;
    if (!gate_wait_empty(server->rpcs, context))
        return false;
    if (!is_down(server, context, LINGER_MS) && weir_context_status(context) == WEIR_OK) {
        rpc_server_abort(server); /* connections whose peers do not read, or do not answer */
        gate_wait_empty(server->up, context);
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
    if (!server->closed || gate_in_flight(server->up) == 0)
        return;
    atomic_store(&server->aborted, true);
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

/* A failed start may have left workers without a thread. */
static void take_turns(struct rpc_server *server)
{
    gpr_timespec soon = core_time_of(weir_deadline_in_ms(10));
    for (size_t i = 0; i < server->worker_count; i++)
        if (!server->workers[i].has_thread)
            take_turn(&server->workers[i], soon);
}

static void shut_down(struct rpc_server *server)
{
    intake_stop(&server->intake);
    rpc_server_close(server);
    rpc_server_abort(server);
    while (!is_down(server, NULL, 10) || gate_in_flight(server->rpcs) > 0)
        take_turns(server);
    grpc_server_destroy(server->core);
    for (size_t i = 0; i < server->worker_count; i++)
        destroy_worker(&server->workers[i]);
    grpc_channel_destroy(server->lame);
    grpc_server_credentials_release(server->insecure);
    core_release();
}

void rpc_server_destroy(struct rpc_server *server)
{
    if (!server)
        return;
    if (server->started)
        shut_down(server);
    intake_clean_up(&server->intake);
    gate_destroy(server->rpcs);
    gate_destroy(server->up);
    free(server->workers);
    free(server->methods);
    free(server->name);
    free(server->listen);
    free(server);
}
