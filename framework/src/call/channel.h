/* A channel from the inside: what gRPC, REST and the local channel implement. See <weir/channel.h>. */
#ifndef WEIR_CALL_CHANNEL_H
#define WEIR_CALL_CHANNEL_H

#include <weir/channel.h>

#include "core/context.h"
#include "lifecycle/component.h"

/* One call going out. The caller owns it and its memory; the channel touches neither it nor its context once
 * it has called `done`: it has unwatched the context before. */
struct outgoing {
    struct weir_channel *channel;
    const struct weir_method *method;
    struct weir_context context; /* a child of the call's: deadline, trace, principal */
    struct weir_bytes request;   /* packed; unary and server streams. Valid until done */
    const char *message_id;      /* sent as idempotency-key; NULL: none */
    void *carrier;               /* the channel's own */

    /* Exactly once, on the channel's thread (or inside ops->start); must not block. `reply` is valid during
     * the call. `text` is the server's words; "" with OK. */
    void (*done)(struct outgoing *outgoing, enum weir_status status, const char *text,
                 struct weir_bytes reply);
    /* Optional. Unary: the reply's metadata, one at a time, right before `done`, on its thread. */
    void (*metadata)(struct outgoing *outgoing, struct weir_bytes name, struct weir_bytes value);
    /* Streams only: one message, after ops->read asked; then ops->read again. At the stream's end `done`
     * comes instead. */
    void (*message)(struct outgoing *outgoing, struct weir_bytes message);
    /* Streams only: the last ops->send is on its way, the next may come. */
    void (*sent)(struct outgoing *outgoing);
};

/* All may be called from any thread. None blocks. */
struct channel_ops {
    const char *name; /* "grpc", "rest", "local" */
    /* Begins. A context that is over already: done at once, without sending. The channel watches the context:
     * its end cancels the call on the wire. */
    void (*start)(struct weir_channel *channel, struct outgoing *outgoing);
    /* Streams only; one send at a time: wait for `sent`. */
    void (*send)(struct outgoing *outgoing, struct weir_bytes message);
    void (*half_close)(struct outgoing *outgoing);
    void (*read)(struct outgoing *outgoing);
};

/* Embedded first in each kind of channel. */
struct weir_channel {
    struct weir_component component;
    const struct channel_ops *ops;
    _Atomic int64_t timeout_ms;
};

/* Declares the key timeout_ms of the section `name`, which SIGHUP may change; sets it. `timeout_ms`: the author's
 * default; 0: 10 s. */
void channel_configure_timeout(struct weir_channel *channel, struct weir_app *app, const char *name,
                               int64_t timeout_ms);

/* local.c: of a struct weir_channel that a pointer to its service follows. */
const struct channel_ops *local_channel_ops(void);

#endif
