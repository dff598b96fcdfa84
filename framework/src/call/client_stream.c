/* The caller's side of a stream, blocking. */
#include <pthread.h>
#include <stdlib.h>

#include <weir/clock.h>

#include "call/call.h"
#include "call/channel.h"
#include "core/memory.h"

struct weir_client_stream {
    struct outgoing outgoing;
    struct weir_call *call;
    struct weir_buffer request;
    struct weir_arena *arena; /* of the latest message */

    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    struct weir_buffer message;
    bool has_message, sending, done;
    enum weir_status status;
    struct weir_error err;
};

static void on_message(struct outgoing *outgoing, struct weir_bytes message)
{
    struct weir_client_stream *stream = (struct weir_client_stream *)outgoing;
    pthread_mutex_lock(&stream->lock);
    weir_buffer_clear(&stream->message);
    weir_buffer_append(&stream->message, message.data, message.size);
    stream->has_message = true;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
}

static void on_sent(struct outgoing *outgoing)
{
    struct weir_client_stream *stream = (struct weir_client_stream *)outgoing;
    pthread_mutex_lock(&stream->lock);
    stream->sending = false;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
}

/* A client stream's one reply comes with the end, and is given as its last message. */
static void on_done(struct outgoing *outgoing, enum weir_status status, const char *text,
                    struct weir_bytes reply)
{
    struct weir_client_stream *stream = (struct weir_client_stream *)outgoing;
    pthread_mutex_lock(&stream->lock);
    stream->status = status;
    if (status != WEIR_OK)
        weir_fail(&stream->err, status, "%s", text);
    else if (outgoing->method->kind == WEIR_CLIENT_STREAM) {
        weir_buffer_append(&stream->message, reply.data, reply.size);
        stream->has_message = true;
    }
    stream->sending = false;
    stream->done = true;
    pthread_cond_broadcast(&stream->changed);
    pthread_mutex_unlock(&stream->lock);
}

struct weir_client_stream *weir_client_stream_open(struct weir_call *call, struct weir_channel *channel,
                                                   const struct weir_method *method,
                                                   const ProtobufCMessage *request)
{
    struct weir_client_stream *stream = NEW(struct weir_client_stream);
    stream->call = weir_call_acquire(call);
    stream->arena = weir_arena_new();
    pthread_mutex_init(&stream->lock, NULL);
    pthread_cond_init(&stream->changed, NULL);
    if (request)
        call_pack(request, &stream->request);
    stream->outgoing = (struct outgoing){
        .channel = channel,
        .method = method,
        .request = weir_buffer_bytes(&stream->request),
        .done = on_done,
        .message = on_message,
        .sent = on_sent,
    };
    /* A stream lasts as long as its call: the channel's timeout is for unary calls. */
    context_init(&stream->outgoing.context, &call->context, WEIR_NEVER);
    channel->ops->start(channel, &stream->outgoing);
    return stream;
}

enum weir_status weir_client_stream_send(struct weir_client_stream *stream, const ProtobufCMessage *message)
{
    pthread_mutex_lock(&stream->lock);
    while (stream->sending && !stream->done)
        pthread_cond_wait(&stream->changed, &stream->lock);
    bool done = stream->done;
    stream->sending = !done;
    pthread_mutex_unlock(&stream->lock);
    if (done)
        return stream->status == WEIR_OK ? WEIR_CANCELLED : stream->status;

    struct weir_buffer wire = {0};
    call_pack(message, &wire);
    stream->outgoing.channel->ops->send(&stream->outgoing, weir_buffer_bytes(&wire));
    weir_buffer_free(&wire);
    return WEIR_OK;
}

enum weir_status weir_client_stream_half_close(struct weir_client_stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    while (stream->sending && !stream->done)
        pthread_cond_wait(&stream->changed, &stream->lock);
    bool done = stream->done;
    pthread_mutex_unlock(&stream->lock);
    if (!done)
        stream->outgoing.channel->ops->half_close(&stream->outgoing);
    return WEIR_OK;
}

ProtobufCMessage *weir_client_stream_receive(struct weir_client_stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    bool ask = !stream->has_message && !stream->done && stream->outgoing.method->kind != WEIR_CLIENT_STREAM;
    pthread_mutex_unlock(&stream->lock);
    if (ask)
        stream->outgoing.channel->ops->read(&stream->outgoing);

    pthread_mutex_lock(&stream->lock);
    while (!stream->has_message && !stream->done)
        pthread_cond_wait(&stream->changed, &stream->lock);
    bool has_message = stream->has_message;
    stream->has_message = false;
    pthread_mutex_unlock(&stream->lock);
    if (!has_message)
        return NULL;

    const struct weir_method *method = stream->outgoing.method;
    weir_arena_reset(stream->arena);
    enum weir_status status;
    ProtobufCMessage *message =
        call_unpack(stream->call, stream->arena, method->reply, method->reply_descriptor,
                    weir_buffer_bytes(&stream->message), &status);
    if (!message)
        context_end(&stream->outgoing.context, WEIR_CANCELLED);
    return message;
}

enum weir_status weir_client_stream_finish(struct weir_client_stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    bool open = !stream->done;
    pthread_mutex_unlock(&stream->lock);
    if (open)
        context_end(&stream->outgoing.context, WEIR_CANCELLED);

    pthread_mutex_lock(&stream->lock);
    while (!stream->done)
        pthread_cond_wait(&stream->changed, &stream->lock);
    pthread_mutex_unlock(&stream->lock);

    enum weir_status status = stream->status;
    if (status != WEIR_OK)
        weir_call_set_error(stream->call, &stream->err);
    context_clean_up(&stream->outgoing.context);
    weir_buffer_free(&stream->message);
    weir_buffer_free(&stream->request);
    weir_arena_destroy(stream->arena);
    pthread_cond_destroy(&stream->changed);
    pthread_mutex_destroy(&stream->lock);
    weir_call_release(stream->call);
    free(stream);
    return status;
}
