/* The server's two halves: server.c is its life and its workers, incoming.c is one rpc. */
#ifndef WEIR_ENGINES_GRPC_CORE_SERVER_H
#define WEIR_ENGINES_GRPC_CORE_SERVER_H

#include <stdatomic.h>

#include "call/gate.h"
#include "engines/grpc_core/core.h"
#include "engines/grpc_core/intake.h"
#include "engines/rpc.h"

/* One thread and its queue. Its lists and its rpcs' callbacks belong to the thread: no locks. */
struct worker {
    struct rpc_server *server;
    grpc_completion_queue *queue;
    pthread_t thread;
    bool has_thread;

    struct rpc *free;
    struct link live;  /* began and not gone */
    struct link timed; /* of these, those whose end is ours to watch; the first ends first */
    bool told_draining, told_cancel;

    grpc_call *bell; /* an empty batch on it is an event of our own in the queue */
    struct event bell_rang;
};

void worker_ring(struct worker *worker); /* any thread, until the queue is shut down */

struct registered {
    struct rpc_method method;
    void *handle; /* NULL: stands for every method that is not registered */
};

struct rpc_server {
    struct rpc_server_options options;
    char *name, *listen;
    struct registered *methods; /* the last one is the catch-all */
    size_t method_count;        /* with it */
    const struct rpc_user_ops *ops;
    void *user;

    struct intake intake;
    grpc_server *core;
    grpc_server_credentials *insecure; /* what the core takes descriptors with */
    grpc_channel *lame;                /* the bells' */
    struct worker *workers;
    size_t worker_count;
    struct gate *rpcs; /* asked for, or begun and not gone */
    struct gate *up;   /* holds one until the core is shut down */
    struct event shut;

    bool started, quiesced, closed; /* by who stops it */
    atomic_bool closing;            /* nothing is asked for any more */
    _Atomic int64_t drain_ends_ns;  /* 0: it does not drain yet */
    atomic_bool cancelled;
    atomic_bool aborted; /* what is still open is being reset */
};

/* A message that waits for the one before it. */
struct unsent {
    struct unsent *next;
    grpc_slice slice;
    size_t size;
};

/* Parts are what keeps an rpc: its answer, and every batch that is under way. All parts end on the worker, so
 * an rpc that is being worked on there cannot go. */
struct rpc {
    struct worker *worker;
    const struct registered *registered;
    _Atomic(void *) user;
    struct rpc *next; /* in the free list */
    struct link live, timed;

    grpc_call *call;
    grpc_metadata_array metadata;
    grpc_call_details details; /* of the catch-all */
    gpr_timespec deadline;
    grpc_byte_buffer *payload;
    grpc_slice request;
    struct weir_bytes request_bytes;
    int64_t begun_ns, deadline_ns;
    int64_t late_ns; /* from here on a cancel means the deadline */

    struct event arrived, closed, finished, sent, received;
    atomic_int parts;
    atomic_bool close_asked; /* who sets it starts RECV_CLOSE */
    int close_cancelled;     /* written by the core */
    uint8_t place;           /* in the server's gate */
    bool begun, is_over;
    bool complete; /* the last batch went through */
    bool headers_sent;
    grpc_byte_buffer out;
    grpc_metadata trailers[RPC_TRAILERS_MAX];
    size_t trailer_count;

    /* Streams */
    pthread_mutex_t lock;  /* all below, which a unary rpc leaves alone */
    enum weir_status over; /* what rpc_send() says; OK while somebody listens */
    bool sending, owes_writable;
    bool reading;
    bool answered; /* rpc_finish() was called: `status`, `text` and `reply` wait for what is unsent */
    bool ending;   /* the last batch is under way */
    enum weir_status status;
    char *text;
    grpc_slice reply;
    bool has_reply;
    struct unsent *first, **last;
    size_t unsent, in_send;
    grpc_byte_buffer *message;
    size_t too_large; /* the size of the message that was; 0: none */
};

/* Runs on: the worker's thread. */
void rpc_ask(struct worker *worker, const struct registered *registered);
void rpc_time_is_over(struct rpc *rpc, enum weir_status status);
void rpc_tell_draining(struct rpc *rpc);
void rpc_free(struct rpc *rpc);

#endif
