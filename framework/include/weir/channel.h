/* A channel calls methods of a service in another process (or this one). Users call the generated, typed
 * form:
 *
 *     Inventory__Reservation *reservation;
 *     status = inventory_reserve(call, order->inventory, &request, &reservation);
 *
 * Deadline, cancellation, trace and principal come from `call`; the reply lives in its arena. A call whose
 * time is spent is not sent. On failure weir_call_error(call) has the text. Any thread; one `call` from one
 * thread at a time. */
#ifndef WEIR_CHANNEL_H
#define WEIR_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include <weir/call.h>
#include <weir/component.h>
#include <weir/export.h>
#include <weir/method.h>
#include <weir/service.h>

struct weir_channel;

/* Every member but needs is a key of the same name in the configuration's section. Zero is the default. */
struct weir_channel_options {
    const char *target;         /* Required, here or there: "127.0.0.1:9082", "unix:PATH" */
    int64_t timeout_ms;         /* the most that one unary call gets. Default 10,000 */
    int64_t connect_backoff_ms; /* the longest time between attempts to connect. Default 200 */
    const void *needs[WEIR_NEEDS_MAX];
};

/* gRPC. Starting does not wait for the server: a call waits for the connection within its deadline. */
WEIR_API struct weir_channel *weir_grpc_channel_add(struct weir_app *app, const char *name,
                                                    const struct weir_channel_options *options);
/* REST: the request goes by the method's first HTTP binding, as JSON. Unary methods only. */
WEIR_API struct weir_channel *weir_rest_channel_add(struct weir_app *app, const char *name,
                                                    const struct weir_channel_options *options);
/* Straight into a service of this process, without a wire. */
WEIR_API struct weir_channel *weir_local_channel_add(struct weir_app *app, const char *name,
                                                     struct weir_service *service);

/* Blocks. `*ret_reply` is set on WEIR_OK only. */
WEIR_API enum weir_status weir_channel_call(struct weir_call *call, struct weir_channel *channel,
                                            const struct weir_method *method, const ProtobufCMessage *request,
                                            ProtobufCMessage **ret_reply);

/* Returns at once; `done` is called exactly once, on a thread of the channel's (or on this one, when the time
 * is spent already), and must not block. `reply` is NULL unless status is OK; it lives as long as the call,
 * which is held until `done` returns. The request is copied. Several may be under way for one call; their
 * `done` never run at the same time. The server's words are weir_call_error()'s text during `done`, if the
 * handler has returned WEIR_PENDING by then. */
typedef void weir_channel_done_fn(struct weir_call *call, enum weir_status status, ProtobufCMessage *reply,
                                  void *state);
WEIR_API void weir_channel_start(struct weir_call *call, struct weir_channel *channel,
                                 const struct weir_method *method, const ProtobufCMessage *request,
                                 weir_channel_done_fn *done, void *state);

/* ---- Streams, blocking ---- */

struct weir_client_stream;

/* Caller owns the result; NULL on failure. `request` for server streams, else NULL. */
WEIR_API struct weir_client_stream *weir_client_stream_open(struct weir_call *call,
                                                            struct weir_channel *channel,
                                                            const struct weir_method *method,
                                                            const ProtobufCMessage *request);
WEIR_API enum weir_status weir_client_stream_send(struct weir_client_stream *stream,
                                                  const ProtobufCMessage *message);
WEIR_API enum weir_status weir_client_stream_half_close(struct weir_client_stream *stream);
/* The next message; NULL at the stream's end, whatever its status. It lives until the next receive. */
WEIR_API ProtobufCMessage *weir_client_stream_receive(struct weir_client_stream *stream);
/* Ends it (cancels what is still open), frees it, returns its status. NULL gives the call's error's
 * status. */
WEIR_API enum weir_status weir_client_stream_finish(struct weir_client_stream *stream);

#endif
