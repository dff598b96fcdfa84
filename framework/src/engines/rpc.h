/* An rpc is one gRPC call on the wire, whatever carries it: gRPC's core library now, weir's own engine later.
 * The gRPC transport, server and channel, is written against this and nothing else.
 *
 * Everything a server tells of one rpc it tells on that rpc's worker thread, never two things at once: begin;
 * then, for streams, message and half_close as rpc_read() asked for them; over at most once; and gone,
 * always, as the last. Functions are for any thread unless they say otherwise. */
#ifndef WEIR_ENGINES_RPC_H
#define WEIR_ENGINES_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/bytes.h>
#include <weir/context.h>
#include <weir/error.h>
#include <weir/method.h>

#include "call/channel.h"

/* ---- Server ---- */

struct rpc;
struct rpc_server;

struct rpc_method {
    const char *path; /* "/shop.order.v1.OrderService/Place" */
    enum weir_method_kind kind;
    const void *user;
};

struct rpc_user_ops {
    /* A call came. rpc_finish() may be called at once, or later from any thread; exactly once, whatever
     * happens. */
    void (*begin)(struct rpc *rpc);
    /* Streams: what rpc_read() asked for; `message` is valid during the call. */
    void (*message)(struct rpc *rpc, struct weir_bytes message);
    void (*half_close)(struct rpc *rpc);
    /* Streams: owed after rpc_send() said PENDING. */
    void (*writable)(struct rpc *rpc);
    /* Nobody waits for the answer any more: CANCELLED or DEADLINE_EXCEEDED. It may come after rpc_finish().
     */
    void (*over)(struct rpc *rpc, enum weir_status status);
    /* Streams: the server drains. */
    void (*draining)(struct rpc *rpc, int64_t left_ms);
    /* The rpc was finished and all of it is sent (`complete`), or dropped. It is invalid afterwards. */
    void (*gone)(struct rpc *rpc, bool complete);
};

struct rpc_server_options {
    const char *listen;      /* see core/listener.h */
    const char *name;        /* the listener's; NULL: "grpc" */
    int64_t connections_max; /* 0: no limit */
    int64_t threads, message_bytes_max, metadata_bytes_max, streams_max;
    int64_t timeout_ms; /* of a unary rpc whose client set no deadline */
};

/* Borrows methods, ops and user; copies options. */
struct rpc_server *rpc_server_new(const struct rpc_server_options *options, const struct rpc_method *methods,
                                  size_t method_count, const struct rpc_user_ops *ops, void *user);
/* Listens and serves; a taken port is an error that names it. */
enum weir_status rpc_server_start(struct rpc_server *server, struct weir_error *err);
int rpc_server_port(const struct rpc_server *server); /* 0 for a unix socket */
int64_t rpc_server_connections(struct rpc_server *server);

/* A stop without loss, step by step. quiesce: takes no connection more, and tells clients to send new calls
 * elsewhere; what they had sent before they read that is still served. settle: blocks until they have, at most
 * for a second. close: refuses new calls. wait: until every rpc is gone, and connections had a moment to close; or
 * until the context is over, and then false when an rpc is left. */
void rpc_server_quiesce(struct rpc_server *server);
void rpc_server_settle(struct rpc_server *server, struct weir_context *context);
void rpc_server_close(struct rpc_server *server);
bool rpc_server_wait(struct rpc_server *server, struct weir_context *context);
/* Tells `draining` of every stream, also of those that still come. */
void rpc_server_draining(struct rpc_server *server, int64_t left_ms);
/* Tells `over` with CANCELLED of every rpc; they can still answer. */
void rpc_server_cancel(struct rpc_server *server);
/* Resets what is left on the wire. After close. */
void rpc_server_abort(struct rpc_server *server);
/* Does of the above what was not done. Blocks while an rpc is not finished. NULL is fine. */
void rpc_server_destroy(struct rpc_server *server);

const struct rpc_method *rpc_method(const struct rpc *rpc);
void *rpc_server_user(const struct rpc *rpc);
void rpc_set_user(struct rpc *rpc, void *user);
void *rpc_user(const struct rpc *rpc);

/* In begin, or until rpc_finish(). */
int64_t rpc_begun_ns(const struct rpc *rpc);
int64_t rpc_deadline_ns(const struct rpc *rpc);       /* WEIR_NEVER: none */
struct weir_bytes rpc_request(const struct rpc *rpc); /* of unary and server streams */
size_t rpc_metadata_count(const struct rpc *rpc);
void rpc_metadata_at(const struct rpc *rpc, size_t index, struct weir_bytes *ret_name,
                     struct weir_bytes *ret_value);

/* Unary, right before rpc_finish(): one more piece of trailing metadata, RPC_TRAILERS_MAX at most. Copies. */
#define RPC_TRAILERS_MAX 8
void rpc_add_trailer(struct rpc *rpc, const char *name, const char *value);
/* Answers. `reply` is sent with OK only, and only by unary and client streams; NULL for the others. What
 * rpc_send() took is sent before. Copies. */
void rpc_finish(struct rpc *rpc, enum weir_status status, const char *text, const struct weir_bytes *reply);
/* Streams. Whose user is not (any more) what rpc_set_user() was given: nothing, so that who is too late for
 * his own rpc does not meet the next one in its place. Asks for the next message, once. */
void rpc_read(struct rpc *rpc, const void *user);
/* Streams. As weir_stream_send(); not two at once for one rpc. Copies. */
enum weir_status rpc_send(struct rpc *rpc, const void *user, struct weir_bytes message);

/* ---- Client ---- */

struct rpc_client;

struct rpc_client_options {
    const char *target;
    int64_t connect_backoff_ms; /* the longest time between attempts */
};

struct rpc_client *rpc_client_new(const struct rpc_client_options *options);
/* Does not wait for the server. */
enum weir_status rpc_client_start(struct rpc_client *client, struct weir_error *err);
int64_t rpc_client_in_flight(struct rpc_client *client);
/* Until no call is in flight, or the context is over. True when none is. */
bool rpc_client_wait(struct rpc_client *client, struct weir_context *context);
void rpc_client_cancel(struct rpc_client *client);  /* all that is in flight */
void rpc_client_destroy(struct rpc_client *client); /* cancels what is left. NULL is fine */

/* As struct channel_ops has them. Those for streams do nothing once the stream is done. */
void rpc_client_call(struct rpc_client *client, struct outgoing *outgoing);
void rpc_client_send(struct outgoing *outgoing, struct weir_bytes message);
void rpc_client_half_close(struct outgoing *outgoing);
void rpc_client_read(struct outgoing *outgoing);

#endif
