#include "echo_service.h"

#include <stdio.h>
#include <string.h>

#include <weir/clock.h>

#include "call/call.h"
#include "core/condition.h"

static struct echo_service *echo_of(const struct weir_call *call)
{
    return weir_call_self(call);
}

static void add(struct echo_service *echo, int64_t *counter, int64_t by)
{
    pthread_mutex_lock(&echo->lock);
    *counter += by;
    pthread_cond_broadcast(&echo->changed);
    pthread_mutex_unlock(&echo->lock);
}

static void hold(struct echo_service *echo, struct weir_call *call, int64_t *counter)
{
    pthread_mutex_lock(&echo->lock);
    if (echo->held_count < ECHO_HELD_MAX)
        echo->held[echo->held_count++] = weir_call_acquire(call);
    ++*counter;
    pthread_cond_broadcast(&echo->changed);
    pthread_mutex_unlock(&echo->lock);
}

/* ---- Unary ---- */

/* True while Echo is told to fail. */
static bool note_echo(struct echo_service *echo, const struct weir_call *call,
                      const Echo__EchoRequest *request)
{
    const char *message_id = weir_call_message_id(call);
    pthread_mutex_lock(&echo->lock);
    echo->echoed++;
    snprintf(echo->last_key, sizeof echo->last_key, "%s", request->key);
    snprintf(echo->last_message_id, sizeof echo->last_message_id, "%s", message_id ? message_id : "");
    bool fails = echo->echo_failures > 0;
    echo->echo_failures -= fails;
    pthread_cond_broadcast(&echo->changed);
    pthread_mutex_unlock(&echo->lock);
    return fails;
}

static enum weir_status answer_echo(struct weir_call *call, const Echo__EchoRequest *request,
                                    Echo__EchoReply *reply)
{
    struct echo_service *echo = echo_of(call);
    if (note_echo(echo, call, request))
        return weir_call_fail(call, echo->echo_status, "told to fail");
    const char *principal = weir_context_principal(weir_call_context(call));
    reply->request = weir_call_alloc(call, sizeof *request);
    *reply->request = *request; /* its parts live as long as the reply */
    reply->transport = weir_call_strdup(call, call->ops ? call->ops->name : "none");
    reply->principal = weir_call_strdup(call, principal ? principal : "");
    return WEIR_OK;
}

static enum weir_status answer_fail(struct weir_call *call, const Echo__FailRequest *request,
                                    Echo__FailReply *reply)
{
    (void)reply;
    add(echo_of(call), &echo_of(call)->failed, 1);
    return request->status == WEIR_OK
               ? WEIR_OK
               : weir_call_fail(call, (enum weir_status)request->status, "%s", request->text);
}

static enum weir_status answer_wait(struct weir_call *call, const Echo__WaitRequest *request,
                                    Echo__WaitReply *reply)
{
    struct echo_service *echo = echo_of(call);
    weir_call_set_state(call, reply);
    if (request->defer) {
        hold(echo, call, &echo->deferred);
        return WEIR_PENDING;
    }
    add(echo, &echo->waiting, 1);
    enum weir_status status = weir_context_sleep(weir_call_context(call), request->block_ms);
    add(echo, &echo->waiting, -1);
    add(echo, &echo->waited, 1);
    reply->over = status != WEIR_OK;
    return status == WEIR_OK ? WEIR_OK : weir_call_fail(call, status, "the wait was cut short");
}

/* ---- Count: a server stream that heeds the peer's pace ---- */

struct counting {
    int32_t next, last;
    ProtobufCBinaryData padding;
    bool stay;
};

static void count_on(struct weir_call *call)
{
    struct counting *counting = weir_call_state(call);
    enum weir_status status = WEIR_OK;
    while (status == WEIR_OK && counting->next <= counting->last) {
        Echo__CountReply message = ECHO__COUNT_REPLY__INIT;
        message.i = counting->next;
        message.padding = counting->padding;
        status = echo_count_send(call, &message);
        if (status == WEIR_OK || status == WEIR_PENDING) {
            counting->next++;
            add(echo_of(call), &echo_of(call)->sent, 1);
        }
    }
    if (status != WEIR_OK && status != WEIR_PENDING)
        weir_stream_end(call, status);
    else if (counting->next > counting->last && !counting->stay)
        weir_stream_end(call, WEIR_OK);
}

static enum weir_status count_open(struct weir_call *call, const Echo__CountRequest *request)
{
    struct counting *counting = weir_call_alloc(call, sizeof *counting);
    size_t padding = request->padding_bytes > 0 ? (size_t)request->padding_bytes : 0;
    *counting = (struct counting){
        .next = 1,
        .last = request->n,
        .stay = request->stay,
        .padding = {.len = padding, .data = weir_call_alloc(call, padding + 1)},
    };
    memset(counting->padding.data, 'x', padding);
    weir_call_set_state(call, counting);
    add(echo_of(call), &echo_of(call)->opened, 1);
    count_on(call);
    return WEIR_PENDING; /* count_on() ends it */
}

/* ---- Every stream ---- */

static void told_cancelled(struct weir_call *call)
{
    add(echo_of(call), &echo_of(call)->cancelled, 1);
}

static void told_draining(struct weir_call *call, int64_t left_ms)
{
    struct echo_service *echo = echo_of(call);
    pthread_mutex_lock(&echo->lock);
    echo->last_left_ms = left_ms;
    pthread_mutex_unlock(&echo->lock);
    add(echo, &echo->draining, 1);
    weir_stream_end(call, WEIR_OK);
}

static void count_writable(struct weir_call *call)
{
    add(echo_of(call), &echo_of(call)->writable, 1);
    count_on(call);
}

static enum weir_status stream_opened(struct weir_call *call)
{
    add(echo_of(call), &echo_of(call)->opened, 1);
    return WEIR_OK;
}

static enum weir_status half_closed(struct weir_call *call)
{
    add(echo_of(call), &echo_of(call)->half_closed, 1);
    return WEIR_OK;
}

/* ---- Sum: a client stream ---- */

static enum weir_status sum_message(struct weir_call *call, const Echo__SumRequest *message)
{
    Echo__SumReply *reply = echo_sum_reply(call);
    reply->sum += message->value;
    reply->messages++;
    add(echo_of(call), &echo_of(call)->messages, 1);
    return WEIR_OK;
}

/* ---- Chat ---- */

static enum weir_status say(struct weir_call *call, const char *text)
{
    Echo__ChatReply reply = ECHO__CHAT_REPLY__INIT;
    reply.text = weir_call_printf(call, "you said %s", text);
    enum weir_status status = echo_chat_send(call, &reply);
    add(echo_of(call), &echo_of(call)->sent, 1);
    return status == WEIR_PENDING ? WEIR_OK : status;
}

static enum weir_status chat_message(struct weir_call *call, const Echo__ChatRequest *message)
{
    struct echo_service *echo = echo_of(call);
    if (message->status != WEIR_OK) {
        add(echo, &echo->messages, 1);
        return weir_call_fail(call, (enum weir_status)message->status, "%s", message->text);
    }
    if (message->later) {
        weir_call_set_state(call, weir_call_strdup(call, message->text));
        hold(echo, call, &echo->messages);
        return WEIR_PENDING;
    }
    add(echo, &echo->messages, 1);
    return say(call, message->text);
}

static void chat_step(struct weir_call *call, void *text)
{
    enum weir_status status = say(call, text);
    if (status == WEIR_OK)
        weir_stream_next(call);
    else
        weir_stream_end(call, status);
}

/* ---- The tables ---- */

#define HANDLERS(IS_INLINE)                                                                                  \
    {                                                                                                        \
        .echo = {.fn = answer_echo, .inline_ = (IS_INLINE)},                                                 \
        .fail = {.fn = answer_fail, .inline_ = (IS_INLINE)}, .wait = {.fn = answer_wait},                    \
        .count = {.open = count_open,                                                                        \
                  .cancel = told_cancelled,                                                                  \
                  .draining = told_draining,                                                                 \
                  .writable = count_writable,                                                                \
                  .inline_ = (IS_INLINE)},                                                                   \
        .sum = {.message = sum_message,                                                                      \
                .half_close = half_closed,                                                                   \
                .open = stream_opened,                                                                       \
                .cancel = told_cancelled,                                                                    \
                .inline_ = (IS_INLINE)},                                                                     \
        .chat = {.message = chat_message,                                                                    \
                 .half_close = half_closed,                                                                  \
                 .open = stream_opened,                                                                      \
                 .cancel = told_cancelled,                                                                   \
                 .draining = told_draining,                                                                  \
                 .inline_ = (IS_INLINE)},                                                                    \
    }

const struct echo_handlers echo_service_handlers = HANDLERS(false);
const struct echo_handlers echo_service_inline_handlers = HANDLERS(true);

void echo_service_init(struct echo_service *echo)
{
    *echo = (struct echo_service){.echo_status = WEIR_UNAVAILABLE};
    pthread_mutex_init(&echo->lock, NULL);
    condition_init(&echo->changed);
}

void echo_service_clean_up(struct echo_service *echo)
{
    for (int i = 0; i < echo->held_count; i++)
        weir_call_release(echo->held[i]);
    pthread_cond_destroy(&echo->changed);
    pthread_mutex_destroy(&echo->lock);
}

struct weir_service *echo_service_start_with(struct weir_app *app, struct echo_service *echo, bool inline_)
{
    echo_service_init(echo);
    return echo_service_add(app,
                            &(struct echo_service_options){
                                .handlers = inline_ ? &echo_service_inline_handlers : &echo_service_handlers,
                                .self = echo,
                            });
}

bool echo_service_wait(struct echo_service *echo, const int64_t *counter, int64_t least)
{
    int64_t until = weir_deadline_in_ms(10000);
    pthread_mutex_lock(&echo->lock);
    bool in_time = true;
    while (*counter < least && in_time)
        in_time = condition_wait(&echo->changed, &echo->lock, until);
    bool reached = *counter >= least;
    pthread_mutex_unlock(&echo->lock);
    return reached;
}

void echo_service_release(struct echo_service *echo, enum weir_status status)
{
    struct weir_call *held[ECHO_HELD_MAX];
    pthread_mutex_lock(&echo->lock);
    int count = echo->held_count;
    memcpy(held, echo->held, sizeof held);
    echo->held_count = 0;
    pthread_mutex_unlock(&echo->lock);

    for (int i = 0; i < count; i++) {
        const struct weir_method *method = weir_call_method(held[i]);
        if (method->kind != WEIR_UNARY) {
            weir_stream_post(held[i], chat_step, weir_call_state(held[i]));
        } else {
            Echo__WaitReply *reply = weir_call_state(held[i]);
            reply->over = weir_call_over(held[i]);
            weir_call_finish(held[i], status);
        }
        weir_call_release(held[i]);
    }
}
