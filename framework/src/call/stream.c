/* The server's side of a stream: a mailbox whose events run one at a time. */
#include "call/call.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/memory.h"
#include "lifecycle/process.h"

enum event_kind {
    EVENT_OPEN,
    EVENT_MESSAGE,
    EVENT_HALF_CLOSE,
    EVENT_WRITABLE,
    EVENT_DRAINING,
    EVENT_CANCEL,
    EVENT_STEP
};

struct event {
    struct event *next;
    enum event_kind kind;
    int64_t left_ms;
    void (*step)(struct weir_call *call, void *arg);
    void *arg;
    size_t size;
    uint8_t bytes[]; /* of a message */
};

/* States: open, then ended (a status is known), then finished (call_finish() was called). Who finds the
 * mailbox idle runs it, on the executor or, for inline methods, at once; while it runs, others only add to
 * it. */
struct stream {
    struct weir_call *call;
    bool is_inline;
    struct executor_task task;
    struct weir_arena *message_arena; /* of the latest message; used by who runs */

    pthread_mutex_t lock; /* all below */
    struct event *first, **last;
    bool running;
    bool ended, finished;
    bool cancelled; /* a CANCEL is or was in the mailbox */
    enum weir_status status;
};

static void finish(struct stream *stream)
{
    struct weir_call *call = stream->call;
    enum weir_status status = stream->status;
    if (status == WEIR_OK && call->method->kind == WEIR_CLIENT_STREAM)
        call_pack(weir_stream_reply(call), &call->reply);
    call_finish(call, status);
}

/* Holds: lock, and gives it up. Finishes the call when it is over and nobody runs. */
static void unlock_and_finish(struct stream *stream)
{
    bool now = stream->ended && !stream->running && !stream->finished;
    stream->finished = stream->finished || now;
    pthread_mutex_unlock(&stream->lock);
    if (now)
        finish(stream);
}

static void end(struct stream *stream, enum weir_status status)
{
    pthread_mutex_lock(&stream->lock);
    if (!stream->ended) {
        stream->ended = true;
        stream->status = status;
    }
    unlock_and_finish(stream);
}

/* ---- Running events ---- */

static void after_open(struct stream *stream, enum weir_status status)
{
    struct weir_call *call = stream->call;
    if (call->method->kind == WEIR_SERVER_STREAM) {
        if (status != WEIR_PENDING)
            end(stream, status);
    } else if (status == WEIR_OK) {
        call->ops->read(call);
    } else {
        end(stream, status == WEIR_PENDING ? WEIR_INTERNAL : status);
    }
}

static void open_it(struct stream *stream)
{
    struct weir_call *call = stream->call;
    const struct weir_method *method = call->method;
    enum weir_status status = WEIR_OK;
    if (method->kind == WEIR_SERVER_STREAM)
        call->request_message = call_unpack(call, call->arena, method->request, method->request_descriptor,
                                            call->request, &status);
    if (status == WEIR_OK)
        status = method->open(call, call->service->handlers, call->request_message);
    process_end_fork();
    after_open(stream, status);
}

static void take_message(struct stream *stream, const struct event *event)
{
    struct weir_call *call = stream->call;
    const struct weir_method *method = call->method;
    if (!stream->message_arena)
        stream->message_arena = weir_arena_new();
    weir_arena_reset(stream->message_arena);

    enum weir_status status;
    void *message = call_unpack(call, stream->message_arena, method->request, method->request_descriptor,
                                weir_bytes(event->bytes, event->size), &status);
    if (message)
        status = method->message(call, call->service->handlers, message);
    process_end_fork();
    if (status == WEIR_OK)
        call->ops->read(call);
    else if (status != WEIR_PENDING)
        end(stream, status);
}

static void run_event(struct stream *stream, struct event *event)
{
    struct weir_call *call = stream->call;
    const struct weir_method *method = call->method;
    const void *handlers = call->service->handlers;
    enum weir_status status;
    switch (event->kind) {
    case EVENT_OPEN:
        open_it(stream);
        break;
    case EVENT_MESSAGE:
        take_message(stream, event);
        break;
    case EVENT_HALF_CLOSE:
        status = method->half_close(call, handlers);
        if (status != WEIR_PENDING)
            end(stream, status);
        break;
    case EVENT_WRITABLE:
        method->writable(call, handlers);
        break;
    case EVENT_DRAINING:
        method->draining(call, handlers, event->left_ms);
        break;
    case EVENT_CANCEL:
        method->cancel(call, handlers);
        end(stream, weir_context_status(&call->context));
        break;
    case EVENT_STEP:
        event->step(call, event->arg);
        break;
    }
}

static void run(struct executor_task *task)
{
    struct stream *stream = (struct stream *)((char *)task - offsetof(struct stream, task));
    struct weir_call *call = weir_call_acquire(stream->call);
    pthread_mutex_lock(&stream->lock);
    while (stream->first) {
        struct event *event = stream->first;
        stream->first = event->next;
        if (!stream->first)
            stream->last = &stream->first;
        bool wanted = !stream->ended || event->kind == EVENT_STEP;
        pthread_mutex_unlock(&stream->lock);
        if (wanted)
            run_event(stream, event);
        process_end_fork();
        free(event);
        pthread_mutex_lock(&stream->lock);
    }
    stream->running = false;
    unlock_and_finish(stream);
    weir_call_release(call);
}

/* Takes event. False (and event is freed) when the stream has ended. */
static bool post(struct stream *stream, struct event *event)
{
    pthread_mutex_lock(&stream->lock);
    if (stream->ended) {
        pthread_mutex_unlock(&stream->lock);
        free(event);
        return false;
    }
    event->next = NULL;
    *stream->last = event;
    stream->last = &event->next;
    bool must_run = !stream->running;
    stream->running = true;
    pthread_mutex_unlock(&stream->lock);

    if (!must_run)
        return true;
    if (stream->is_inline)
        run(&stream->task);
    else
        call_continue(stream->call, &stream->task);
    return true;
}

static struct event *event_new(enum event_kind kind, struct weir_bytes bytes)
{
    struct event *event = memory_alloc(sizeof *event + bytes.size);
    *event = (struct event){.kind = kind, .size = bytes.size};
    if (bytes.size > 0)
        memcpy(event->bytes, bytes.data, bytes.size);
    return event;
}

/* ---- From the transport ---- */

static struct stream *stream_new(struct weir_call *call)
{
    struct stream *stream = NEW(struct stream);
    stream->call = call;
    stream->is_inline = call->method->is_inline(call->service->handlers);
    stream->task.run = run;
    stream->last = &stream->first;
    pthread_mutex_init(&stream->lock, NULL);
    return stream;
}

/* It was refused: what it was told by then, nobody hears. */
static void drop(struct stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    struct event *event = stream->first;
    stream->first = NULL;
    stream->last = &stream->first;
    stream->ended = stream->finished = true;
    pthread_mutex_unlock(&stream->lock);
    while (event) {
        struct event *next = event->next;
        free(event);
        event = next;
    }
}

/* Others may cancel it as soon as the call has it, so it begins as one that runs, with OPEN in its mailbox. Who
 * cancelled before did not see it: then its end is seen here. */
enum weir_status stream_open(struct weir_call *call)
{
    struct stream *stream = stream_new(call);
    stream->first = event_new(EVENT_OPEN, (struct weir_bytes){0});
    stream->last = &stream->first->next;
    stream->running = true;
    atomic_store(&call->stream, stream);
    if (atomic_load(&call->context.ended) != WEIR_OK)
        stream_cancel(call);

    if (stream->is_inline) {
        run(&stream->task);
        return WEIR_OK;
    }
    /* The first step may be refused; all later ones belong to work that was accepted. */
    enum weir_status status = call_submit(call, &stream->task);
    if (status != WEIR_OK)
        drop(stream);
    return status;
}

void stream_cancel(struct weir_call *call)
{
    struct stream *stream = call->stream;
    pthread_mutex_lock(&stream->lock);
    bool first = !stream->cancelled;
    stream->cancelled = true;
    pthread_mutex_unlock(&stream->lock);
    if (first)
        post(stream, event_new(EVENT_CANCEL, (struct weir_bytes){0}));
}

void stream_destroy(struct stream *stream)
{
    if (!stream)
        return;
    assert(!stream->first);
    weir_arena_destroy(stream->message_arena);
    pthread_mutex_destroy(&stream->lock);
    free(stream);
}

void call_message(struct weir_call *call, struct weir_bytes message)
{
    post(call->stream, event_new(EVENT_MESSAGE, message));
}

void call_half_close(struct weir_call *call)
{
    post(call->stream, event_new(EVENT_HALF_CLOSE, (struct weir_bytes){0}));
}

void call_writable(struct weir_call *call)
{
    post(call->stream, event_new(EVENT_WRITABLE, (struct weir_bytes){0}));
}

void call_draining(struct weir_call *call, int64_t left_ms)
{
    if (!call->stream)
        return;
    struct event *event = event_new(EVENT_DRAINING, (struct weir_bytes){0});
    event->left_ms = left_ms;
    post(call->stream, event);
}

/* ---- From the author ---- */

enum weir_status weir_stream_send(struct weir_call *call, const ProtobufCMessage *message)
{
    if (weir_stream_ended(call))
        return WEIR_CANCELLED;
    enum weir_status over = weir_context_status(&call->context);
    if (over != WEIR_OK)
        return over;

    struct weir_buffer wire = {0};
    call_pack(message, &wire);
    enum weir_status status = call->ops->send(call, weir_buffer_bytes(&wire));
    weir_buffer_free(&wire);
    return status;
}

void weir_stream_next(struct weir_call *call)
{
    if (!weir_stream_ended(call))
        call->ops->read(call);
}

void weir_stream_end(struct weir_call *call, enum weir_status status)
{
    end(call->stream, status);
}

bool weir_stream_ended(struct weir_call *call)
{
    struct stream *stream = call->stream;
    pthread_mutex_lock(&stream->lock);
    bool ended = stream->ended;
    pthread_mutex_unlock(&stream->lock);
    return ended;
}

ProtobufCMessage *weir_stream_reply(struct weir_call *call)
{
    if (!call->reply_message)
        call->reply_message = call_new_message(call, call->method->reply_descriptor);
    return call->reply_message;
}

bool weir_stream_post(struct weir_call *call, void (*step)(struct weir_call *call, void *arg), void *arg)
{
    struct event *event = event_new(EVENT_STEP, (struct weir_bytes){0});
    event->step = step;
    event->arg = arg;
    return post(call->stream, event);
}
