/* A call is one execution of a method: context, arena, request, reply, status. The same on every transport.
 *
 * A unary handler is a plain function on the executor that may block:
 *
 *     static enum weir_status reserve(struct weir_call *call, const Inventory__ReserveRequest *request,
 *                                     Inventory__Reservation *reply);
 *
 * It returns WEIR_OK with `reply` filled, or weir_call_fail(...), or WEIR_PENDING and calls
 * weir_call_finish() later from any thread. Request, reply and all that is allocated for them live until the
 * call is over. While it waits in weir_sql_begin(), weir_sql_commit() or a blocking call to another service, its
 * thread runs other calls, and it may go on on another one: no mutex, no errno and no address of a thread-local variable
 * outlives such a call (executor.fibers=false keeps the thread). Declared `.inline_ = true` it runs on the transport's own thread, with no hop, and must not
 * block.
 *
 * A streaming method is a set of callbacks, never two at a time for one call. They run on the executor, or
 * inline:
 *
 *   open        server stream: with the request. OK ends the stream, PENDING leaves it open until
 *               weir_stream_end(). Others: before the first message, may be absent; OK goes on.
 *   message     one message of the client's, in order; it lives until the callback returns, or after PENDING
 *               until weir_stream_next(). OK asks for the next one.
 *   half_close  the client sends no more. OK (or absent) ends the stream, PENDING leaves it open until
 *               weir_stream_end().
 *   writable    after weir_stream_send() returned PENDING: the peer has caught up.
 *   draining    the server stops; so many ms are left to end the stream in a way of one's own.
 *   cancel      the client went away or time is over; weir ends the stream after it.
 *
 * Any other status that a callback returns ends the stream with it. Functions here are for the handler's own
 * thread unless they say "Any thread". */
#ifndef WEIR_CALL_H
#define WEIR_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include <weir/arena.h>
#include <weir/bytes.h>
#include <weir/context.h>
#include <weir/error.h>
#include <weir/export.h>
#include <weir/method.h>

struct weir_call;

/* What the service was added with. */
WEIR_API void *weir_call_self(const struct weir_call *call);
WEIR_API struct weir_context *weir_call_context(struct weir_call *call);
WEIR_API struct weir_arena *weir_call_arena(struct weir_call *call);
/* NULL for a background call. */
WEIR_API const struct weir_method *weir_call_method(const struct weir_call *call);

/* Memory that lives as long as the call. */
WEIR_API void *weir_call_alloc(struct weir_call *call, size_t size); /* cleared */
WEIR_API char *weir_call_strdup(struct weir_call *call, const char *text);
WEIR_API char *weir_call_printf(struct weir_call *call, const char *format, ...) WEIR_PRINTF(2, 3);

/* Sets what the client is told and returns `status`:
 *
 *     return weir_call_fail(call, WEIR_NOT_FOUND, "order %s", id);
 *
 * The text of INTERNAL, UNKNOWN and DATA_LOSS is logged and kept from the client. */
WEIR_API enum weir_status weir_call_fail(struct weir_call *call, enum weir_status status, const char *format,
                                         ...) WEIR_PRINTF(3, 4);

/* The last error of this call: of weir_call_fail(), or of a client call, statement or publish made with it. A
 * handler that returns a failed step's status as it is passes on its text too. */
WEIR_API const struct weir_error *weir_call_error(const struct weir_call *call);
/* For those who write such steps: remembers a copy. Returns err's status. */
WEIR_API enum weir_status weir_call_set_error(struct weir_call *call, const struct weir_error *err);

/* Request metadata: gRPC metadata, HTTP headers, Kafka headers. Names in lower case. NULL when absent; the
 * first one when there are several. */
WEIR_API const char *weir_call_metadata(const struct weir_call *call, const char *name);

/* Metadata of the reply, also of a refusal: HTTP headers, gRPC's trailing metadata; a proxy passes it on. Copies. The
 * last one of a name counts. Names in lower case, values of printable ASCII; others, and names that belong to the wire
 * (grpc-..., content-..., connection ...), are not sent. Unary methods; before the call is over. */
WEIR_API void weir_call_set_reply_metadata(struct weir_call *call, const char *name, const char *value);

/* What identifies this request whoever sends it again: Kafka's message id, or idempotency-key. NULL when
 * none. */
WEIR_API const char *weir_call_message_id(const struct weir_call *call);

/* Shortcuts for the context. */
WEIR_API int64_t weir_call_left_ms(const struct weir_call *call);
WEIR_API bool weir_call_over(const struct weir_call *call); /* cancelled, or out of time */

/* Ends a call whose handler returned WEIR_PENDING, with the reply as it was filled. Exactly once. Any
 * thread. */
WEIR_API void weir_call_finish(struct weir_call *call, enum weir_status status);

/* A pointer of the author's for the call's callbacks; weir never looks at it. */
WEIR_API void weir_call_set_state(struct weir_call *call, void *state);
WEIR_API void *weir_call_state(const struct weir_call *call);

/* ---- Streams ---- */

/* Sends one message; copies. OK: go on. PENDING: it will be sent, but the peer does not keep up: wait for
 * `writable` (past 1 MiB unsent it is RESOURCE_EXHAUSTED and nothing is taken). CANCELLED or
 * DEADLINE_EXCEEDED: nobody listens. Generated: inventory_deduct_stock_send(call, message). Any thread, but
 * not two at once for one call. */
WEIR_API enum weir_status weir_stream_send(struct weir_call *call, const ProtobufCMessage *message);

/* After `message` returned WEIR_PENDING: give me the next one. Any thread. */
WEIR_API void weir_stream_next(struct weir_call *call);

/* Ends the stream with a status; weir_call_fail() before it sets the text. No callback runs afterwards,
 * except the one that is running. The first one counts; what is not ended when its client goes away is ended
 * by weir after `cancel`. Any thread. */
WEIR_API void weir_stream_end(struct weir_call *call, enum weir_status status);
WEIR_API bool weir_stream_ended(struct weir_call *call);

/* The reply of a client stream, to fill before it ends with OK. Generated: echo_sum_reply(call). */
WEIR_API ProtobufCMessage *weir_stream_reply(struct weir_call *call);

/* Runs `step(call, arg)` once as one more callback of the stream, never at the same time as another. For
 * those who feed a stream from outside. False when it has ended: then the step does not run. A step that was
 * taken runs in any case, if need be after the end: ask weir_stream_ended(). Any thread; the caller holds the
 * call by weir_call_acquire(). */
WEIR_API bool weir_stream_post(struct weir_call *call, void (*step)(struct weir_call *call, void *arg),
                               void *arg);

/* Keeps the call's memory beyond its end, for weir_stream_post() and the like. Any thread. */
WEIR_API struct weir_call *weir_call_acquire(struct weir_call *call);
WEIR_API void weir_call_release(struct weir_call *call);

/* ---- Background work ---- */

/* A call that no client made: for timers, relays, steps that go on after the answer. `component` is any
 * handle: its app. Has a deadline, an arena, a trace of its own. Caller owns the result. Any thread. */
WEIR_API struct weir_call *weir_call_background(const void *component, void *self, int64_t timeout_ms);
/* Cancels what it still has in flight, frees it. */
WEIR_API void weir_call_background_end(struct weir_call *call);

#endif
