/* The caller's side of unary calls: blocking, and with a callback. */
#include "call/channel.h"

#include <pthread.h>
#include <stdlib.h>

#include <weir/clock.h>
#include <weir/codec.h>
#include <weir/config.h>

#include "call/call.h"
#include "core/memory.h"
#include "core/parker.h"

struct live_options {
    int64_t timeout_ms;
};

static const struct weir_config_key live_keys[] = {
    {"timeout_ms", WEIR_CONFIG_INT, offsetof(struct live_options, timeout_ms), "10000",
     "ms that one call gets at most", 1, 86400000, .required = false},
    {0},
};

static void reload(void *self, const void *options)
{
    struct weir_channel *channel = self;
    channel->timeout_ms = ((const struct live_options *)options)->timeout_ms;
}

void channel_configure_timeout(struct weir_channel *channel, struct weir_app *app, const char *name,
                               int64_t timeout_ms)
{
    struct live_options options = {.timeout_ms = timeout_ms};
    weir_config_section_live(app, name, live_keys, &options, sizeof options, reload, channel);
    channel->timeout_ms = options.timeout_ms;
}

static void outgoing_init(struct outgoing *outgoing, struct weir_call *call, struct weir_channel *channel,
                          const struct weir_method *method)
{
    outgoing->channel = channel;
    outgoing->method = method;
    context_init(&outgoing->context, &call->context, weir_deadline_in_ms(channel->timeout_ms));
}

/* ---- Blocking ---- */

struct waiting {
    struct outgoing outgoing;
    struct weir_call *call;
    ProtobufCMessage *reply;
    enum weir_status status;
    struct parker done;
};

/* The caller's thread is blocked meanwhile, so the call's arena is ours. */
static void wake(struct outgoing *outgoing, enum weir_status status, const char *text,
                 struct weir_bytes reply)
{
    struct waiting *waiting = (struct waiting *)outgoing;
    const struct weir_method *method = outgoing->method;
    if (status == WEIR_OK)
        waiting->reply = call_unpack(waiting->call, waiting->call->arena, method->reply,
                                     method->reply_descriptor, reply, &status);
    else
        weir_call_fail(waiting->call, status, "%s", text);

    waiting->status = status;
    parker_tell(&waiting->done);
}

enum weir_status weir_channel_call(struct weir_call *call, struct weir_channel *channel,
                                   const struct weir_method *method, const ProtobufCMessage *request,
                                   ProtobufCMessage **ret_reply)
{
    struct waiting waiting = {.call = call};
    struct weir_buffer wire = {0};
    parker_init(&waiting.done);
    call_pack(request, &wire);
    outgoing_init(&waiting.outgoing, call, channel, method);
    waiting.outgoing.request = weir_buffer_bytes(&wire);
    waiting.outgoing.done = wake;

    channel->ops->start(channel, &waiting.outgoing);
    parker_wait(&waiting.done);

    context_clean_up(&waiting.outgoing.context);
    parker_clean_up(&waiting.done);
    weir_buffer_free(&wire);
    if (waiting.status == WEIR_OK)
        *ret_reply = waiting.reply;
    return waiting.status;
}

/* ---- With a callback ---- */

struct started {
    struct outgoing outgoing;
    struct weir_call *call;
    struct started *next;
    struct weir_arena
        *arena; /* of the reply: the call's own belongs to its handler, which may run meanwhile */
    struct weir_buffer request;
    weir_channel_done_fn *done;
    void *state;
};

/* What one call has or had under way; freed with it. */
struct channel_calls {
    pthread_mutex_t lock;    /* started */
    pthread_mutex_t telling; /* recursive: `done` may start a call that is done at once */
    struct started *started;
};

static struct channel_calls *calls_of(struct weir_call *call)
{
    if (call->downstream)
        return call->downstream;
    struct channel_calls *calls = NEW(struct channel_calls);
    pthread_mutex_init(&calls->lock, NULL);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&calls->telling, &attributes);
    pthread_mutexattr_destroy(&attributes);
    call->downstream = calls;
    return calls;
}

void channel_calls_destroy(struct channel_calls *calls)
{
    if (!calls)
        return;
    while (calls->started) {
        struct started *started = calls->started;
        calls->started = started->next;
        weir_buffer_free(&started->request);
        weir_arena_destroy(started->arena);
        free(started);
    }
    pthread_mutex_destroy(&calls->telling);
    pthread_mutex_destroy(&calls->lock);
    free(calls);
}

static void *unpack_reply(struct started *started, struct weir_bytes wire, struct weir_error *err)
{
    const struct weir_method *method = started->outgoing.method;
    if (weir_wire_check(method->reply, wire, NULL, err) != WEIR_OK)
        return NULL;
    void *reply = call_unpack_checked(started->arena, method->reply_descriptor, wire);
    if (!reply)
        weir_fail(err, WEIR_INTERNAL, "%s: the reply is not a valid message", method->full_name);
    return reply;
}

static void tell(struct outgoing *outgoing, enum weir_status status, const char *text, struct weir_bytes wire)
{
    struct started *started = (struct started *)outgoing;
    struct weir_call *call = started->call;
    struct channel_calls *calls = call->downstream;
    context_clean_up(&outgoing->context);

    struct weir_error err = {0};
    ProtobufCMessage *reply = NULL;
    if (status == WEIR_OK) {
        reply = unpack_reply(started, wire, &err);
        status = reply ? WEIR_OK : err.status;
    } else {
        weir_fail(&err, status, "%s", text);
    }

    pthread_mutex_lock(&calls->telling);
    if (status != WEIR_OK && call_is_deferred(call))
        weir_call_set_error(call, &err);
    started->done(call, status, reply, started->state);
    pthread_mutex_unlock(&calls->telling);
    weir_call_release(call);
}

void weir_channel_start(struct weir_call *call, struct weir_channel *channel,
                        const struct weir_method *method, const ProtobufCMessage *request,
                        weir_channel_done_fn *done, void *state)
{
    struct channel_calls *calls = calls_of(call);
    struct started *started = NEW(struct started);
    started->call = weir_call_acquire(call);
    started->arena = weir_arena_new();
    started->done = done;
    started->state = state;
    outgoing_init(&started->outgoing, call, channel, method);
    call_pack(request, &started->request);
    started->outgoing.request = weir_buffer_bytes(&started->request);
    started->outgoing.done = tell;

    pthread_mutex_lock(&calls->lock);
    started->next = calls->started;
    calls->started = started;
    pthread_mutex_unlock(&calls->lock);
    channel->ops->start(channel, &started->outgoing);
}
