/* A call from the inside: what transports and channels work with. See <weir/call.h> for its author's side.
 *
 * A transport makes a call, fills in what it knows, dispatches it and is told the end:
 *
 *     call_new -> (metadata, deadline, trace, principal, request) -> call_dispatch -> ... -> ops->finish
 *              -> the reply is on its way -> weir_call_release
 *
 * States of a unary call: NEW -> RUNNING (queued or in its handler) -> DEFERRED (handler returned PENDING) ->
 * FINISHED. ops->finish is called exactly once for every dispatched call, from any thread, also inside
 * call_dispatch(). A client that went away is told by call_cancel(): the handler sees it in its context, and
 * the call still finishes.
 *
 * Lock discipline: a unary call has none; who owns it next is handed it. A stream's events go through its
 * mailbox. */
#ifndef WEIR_CALL_CALL_H
#define WEIR_CALL_CALL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/call.h>
#include <weir/service.h>

#include "call/executor.h"
#include "call/gate.h"
#include "core/context.h"
#include "lifecycle/component.h"

/* How a transport is told. `call->transport` is the transport's own pointer. */
struct call_ops {
    const char *name; /* "rest", "grpc", "kafka", "local": for metrics, logs and errors */

    /* The call is over: call->status, call_error_text(), and for a unary or client-streaming method
     * call->reply, are final. The transport answers, then calls weir_call_release(). Any thread. Must not
     * block. */
    void (*finish)(struct weir_call *call);

    /* Streams only. Any thread; never two at once for one call; not after finish. */
    /* Sends one packed message; copies. As weir_stream_send(). `writable` is owed after PENDING:
     * call_writable(). */
    enum weir_status (*send)(struct weir_call *call, struct weir_bytes message);
    /* Deliver the next message by call_message(), or the end by call_half_close(). */
    void (*read)(struct weir_call *call);
};

struct metadata {
    const char *name; /* lower case */
    const char *value;
    struct metadata *next;
};

struct stream;        /* call/stream.c */
struct idempotency;   /* data/idempotency.c */
struct channel_calls; /* call/channel.c: what this call has in flight downstream */

struct weir_call {
    struct weir_context context;
    struct weir_arena *arena;
    atomic_int references;

    const struct call_ops *ops;
    void *transport;
    struct weir_service *service;
    const struct weir_method *method;
    bool runs_here;    /* call_dispatch() is on a thread that may block: the handler needs no other */
    struct gate *gate; /* the server's; entered by call_dispatch, left when finish was called and returned */

    struct metadata *metadata;
    struct metadata *reply_metadata;
    const char *message_id;
    const char *principal;
    struct weir_bytes
        request; /* wire bytes; borrows from the transport until finish. Unary and server streams */

    void *request_message, *reply_message; /* protobuf-c, in the arena */
    struct weir_buffer reply;              /* wire bytes; set when status is OK */
    enum weir_status status;
    struct weir_error error;

    void *self;        /* of the service, or of a background call */
    void *state;       /* the author's */
    _Atomic int phase; /* enum call_phase in call.c: a unary call whose handler defers */
    struct executor_task task;
    struct stream *_Atomic stream; /* of the author's method; who cancels may be there before */
    struct channel_calls *downstream;
    int64_t begun_ns;                /* 0: call_dispatch() looks at the clock */
    struct call_metrics *metrics;    /* of its method; NULL: none */
    struct idempotency *idempotency; /* it has a key, and its handler runs */
    const char *answer_trace;        /* the trace of the call whose answer this is; NULL: its own */
    uint16_t intercepted;            /* interceptors whose `before` returned OK */
    bool entered;                    /* the gate ... */
    uint8_t place;                   /* ... here */
    bool comes_again;                /* until it succeeds: its failures are no answers to keep */
    bool accounted, completed;       /* the transport's: how a stop counts it, once it has finished */
};

/* `service` and `method` stay valid while the call lives. Takes one reference for the transport. */
struct weir_call *call_new(const struct call_ops *ops, void *transport, struct weir_service *service,
                           const struct weir_method *method, struct gate *gate);

/* Copies into the arena; the name becomes lower case. "idempotency-key" and "ce_id" also set message_id,
 * "traceparent" the trace. */
void call_add_metadata(struct weir_call *call, struct weir_bytes name, struct weir_bytes value);
/* For those who pass a reply on. As weir_call_set_reply_metadata(), but without what its name is not fit for. */
void call_add_reply_metadata(struct weir_call *call, struct weir_bytes name, struct weir_bytes value);
/* NULL when absent. */
const char *call_reply_metadata(const struct weir_call *call, const char *name);
/* Before dispatch. The earlier one counts. */
void call_set_deadline(struct weir_call *call, int64_t deadline_ns);
void call_set_principal(struct weir_call *call, struct weir_bytes principal);
/* Believes the metadata "weir-principal": for transports whose callers are known to be services of ours. */
#define CALL_PRINCIPAL_METADATA "weir-principal"
void call_believe_principal(struct weir_call *call);

/* Gate, interceptors, check, unpack, handler, pack, finish. Refusals finish too, with their status. For a
 * stream: opens it. */
void call_dispatch(struct weir_call *call);

/* The client went away (CANCELLED) or its time is over (DEADLINE_EXCEEDED), or the drain's time is. Any
 * thread, any number of times, at any time while the caller holds a reference. A deferred unary call is still
 * finished by its author; a stream is finished by weir after its `cancel`. */
void call_cancel(struct weir_call *call, enum weir_status status);

/* Streams: what the transport delivers; each after ops->read asked for it. The bytes are copied. Any thread.
 */
void call_message(struct weir_call *call, struct weir_bytes message);
void call_half_close(struct weir_call *call);
void call_writable(struct weir_call *call);
/* The server drains; `left_ms` until it is cancelled. Any thread. */
void call_draining(struct weir_call *call, int64_t left_ms);

/* What the client may see: the author's text; for INTERNAL, UNKNOWN and DATA_LOSS only "internal error" (the
 * text was logged with the trace id by then). Never NULL. */
const char *call_error_text(const struct weir_call *call);

/* ---- Between call.c, stream.c, channel.c and proxy.c ---- */

/* The call is over. Once, by who owns it. Runs the interceptors, ops->finish, leaves the gate. */
void call_finish(struct weir_call *call, enum weir_status status);
/* Wire bytes checked and unpacked into `arena`; NULL on failure, with the call's error set. */
void *call_unpack(struct weir_call *call, struct weir_arena *arena, const struct weir_message *table,
                  const ProtobufCMessageDescriptor *descriptor, struct weir_bytes wire,
                  enum weir_status *ret_status);
/* The same for wire bytes that were checked; NULL on failure. */
void *call_unpack_checked(struct weir_arena *arena, const ProtobufCMessageDescriptor *descriptor,
                          struct weir_bytes wire);
/* Its handler returned WEIR_PENDING and it is not finished. Any thread. */
bool call_is_deferred(const struct weir_call *call);
/* Cleared and initialised, in the call's arena. */
void *call_new_message(struct weir_call *call, const ProtobufCMessageDescriptor *descriptor);
/* Appends the packed message. */
void call_pack(const ProtobufCMessage *message, struct weir_buffer *ret_wire);

/* Its first step, refused politely when too much waits; and later ones, which belong to work that was accepted. */
enum weir_status call_submit(struct weir_call *call, struct executor_task *task);
void call_continue(struct weir_call *call, struct executor_task *task);
enum weir_status stream_open(struct weir_call *call); /* failure: nothing was begun */
void stream_cancel(struct weir_call *call);
void stream_destroy(struct stream *stream);
void channel_calls_destroy(struct channel_calls *calls);
void proxy_dispatch(struct weir_call *call);

/* ---- Services ---- */

struct weir_service {
    struct weir_component component; /* first: a handle */
    const struct weir_service_type *type;
    const void *handlers;
    void *self;
    struct executor *executor;
    struct executor_lane **lanes;  /* one a method; NULL in it: inline. The whole may be NULL */
    struct weir_channel *proxy_to; /* a proxy: no handlers */
    struct weir_sql *idempotency;  /* NULL: no answers are kept */
};

/* Runs in the path of every call. `before` may refuse: a status other than OK finishes the call. `after` runs
 * for every call whose `before` returned OK, in reverse order, when its status is final. Must not block. */
struct interceptor {
    const char *name;
    enum weir_status (*before)(struct weir_call *call);
    void (*after)(struct weir_call *call);
};
/* Before anything starts. Borrows. */
void call_add_interceptor(const struct interceptor *interceptor);

#endif
