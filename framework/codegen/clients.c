/* Typed functions to call a service. All are inline: a program carries only what it uses. */
#include "emit.h"
#include "text.h"

static const char call[] =
    "/* Blocks; the reply lives in the call's arena and is set on WEIR_OK only. */\n"
    "static inline enum weir_status $method$(struct weir_call *call, struct weir_channel *channel,\n"
    "                                        const $request$ *request, $reply$ **ret_reply)\n"
    "{\n"
    "    ProtobufCMessage *reply = NULL;\n"
    "    enum weir_status status =\n"
    "        weir_channel_call(call, channel, &$prefix$_methods[$index$], &request->base, &reply);\n"
    "    if (status == WEIR_OK)\n"
    "        *ret_reply = ($reply$ *)reply;\n"
    "    return status;\n"
    "}\n\n";

/* The typed `done` and its state travel in the call's arena: no function is called through another's type. */
static const char start[] =
    "typedef void $method$_done_fn(struct weir_call *call, enum weir_status status, $reply$ *reply,\n"
    "                              void *state);\n"
    "struct $method$_started {\n"
    "    $method$_done_fn *done;\n"
    "    void *state;\n"
    "};\n"
    "static inline void $method$_started_done(struct weir_call *call, enum weir_status status,\n"
    "                                         ProtobufCMessage *reply, void *state)\n"
    "{\n"
    "    struct $method$_started *started = (struct $method$_started *)state;\n"
    "    started->done(call, status, ($reply$ *)reply, started->state);\n"
    "}\n"
    "/* Returns at once; `done` is called exactly once, as weir_channel_start() says. */\n"
    "static inline void $method$_start(struct weir_call *call, struct weir_channel *channel,\n"
    "                                  const $request$ *request, $method$_done_fn *done, void *state)\n"
    "{\n"
    "    struct $method$_started *started = (struct $method$_started *)weir_call_alloc(call, sizeof "
    "*started);\n"
    "    started->done = done;\n"
    "    started->state = state;\n"
    "    weir_channel_start(call, channel, &$prefix$_methods[$index$], &request->base,\n"
    "                       $method$_started_done, started);\n"
    "}\n\n";

static const char open_with_request[] =
    "/* Caller owns the result, NULL on failure: weir_client_stream_finish(). */\n"
    "static inline struct weir_client_stream *$method$_open(struct weir_call *call, struct weir_channel "
    "*channel,\n"
    "                                                       const $request$ *request)\n"
    "{\n"
    "    return weir_client_stream_open(call, channel, &$prefix$_methods[$index$], &request->base);\n"
    "}\n";

static const char open_and_write[] =
    "/* Caller owns the result, NULL on failure: weir_client_stream_finish(). */\n"
    "static inline struct weir_client_stream *$method$_open(struct weir_call *call, struct weir_channel "
    "*channel)\n"
    "{\n"
    "    return weir_client_stream_open(call, channel, &$prefix$_methods[$index$], NULL);\n"
    "}\n"
    "static inline enum weir_status $method$_write(struct weir_client_stream *stream, const $request$ "
    "*message)\n"
    "{\n"
    "    return weir_client_stream_send(stream, &message->base);\n"
    "}\n";

static const char read_reply[] = "/* The next message; NULL at the end. */\n"
                                 "static inline $reply$ *$method$_read(struct weir_client_stream *stream)\n"
                                 "{\n"
                                 "    return ($reply$ *)weir_client_stream_receive(stream);\n"
                                 "}\n\n";

static const char server_send[] =
    "/* In a handler: as weir_stream_send(). */\n"
    "static inline enum weir_status $method$_send(struct weir_call *call, const $reply$ *message)\n"
    "{\n"
    "    return weir_stream_send(call, &message->base);\n"
    "}\n\n";

static const char server_reply[] =
    "/* In a handler: the reply, to be filled before weir_stream_end(call, WEIR_OK). */\n"
    "static inline $reply$ *$method$_reply(struct weir_call *call)\n"
    "{\n"
    "    return ($reply$ *)weir_stream_reply(call);\n"
    "}\n\n";

static const char channel[] =
    "/* A gRPC channel; its configuration is the section of this name. */\n"
    "static inline struct weir_channel *$prefix$_channel_add(struct weir_app *app, const char *name)\n"
    "{\n"
    "    return weir_grpc_channel_add(app, name, NULL);\n"
    "}\n\n";

void emit_clients(struct output *out, const struct service *service)
{
    struct weir_buffer *to = &out->header;
    text_of_service(to, service, channel);
    for (size_t i = 0; i < service->method_count; i++) {
        const struct method *method = &service->methods[i];
        if (!method->client_streaming && !method->server_streaming) {
            text_of_method(to, method, call);
            text_of_method(to, method, start);
            continue;
        }
        text_of_method(to, method, method->client_streaming ? open_and_write : open_with_request);
        text_of_method(to, method, read_reply);
        text_of_method(to, method, method->server_streaming ? server_send : server_reply);
    }
}
