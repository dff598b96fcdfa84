/* Channels without another process: they give the answers that the test has named. */
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>

#include "core/memory.h"
#include "testing/kit.h"

struct answer {
    struct answer *next;
    const char *method, *json, *error;
    enum weir_status status;
    int64_t after_ms;
};

struct question {
    struct question *next;
    const char *method, *json;
};

/* One call under way. Who takes it off the channel's list answers it. In the test's arena: what comes late finds it. */
struct asked {
    struct asked *next, **link; /* test->lock; link is NULL before it is listed and once it was taken */
    bool early;                 /* test->lock: its context was over before it was listed */
    struct stand_in *channel;
    struct outgoing *outgoing;
    struct weir_context_watch watch;
    struct test_timer timer;
    const struct answer *answer;

    /* Of a stream; test->lock: */
    int64_t owed; /* messages to the caller */
    bool wants, half_closed;
};

/* ---- The end of a call. Any thread ---- */

/* Holds: test->lock. */
static bool take(struct asked *asked)
{
    if (!asked->link)
        return false;
    *asked->link = asked->next;
    if (asked->next)
        asked->next->link = asked->link;
    asked->link = NULL;
    return true;
}

static const char *over_text(enum weir_status status)
{
    return status == WEIR_CANCELLED ? "cancelled" : "the deadline passed";
}

static void end(struct asked *asked, enum weir_status status, const char *error, const char *json)
{
    struct gate *gate = asked->channel->gate;
    struct outgoing *outgoing = asked->outgoing;
    struct weir_buffer wire = {0};
    if (status == WEIR_OK)
        wire = test_wire(outgoing->method->reply, json);
    weir_context_unwatch(&asked->watch);
    test_timer_end(&asked->timer);
    outgoing->done(outgoing, status, status == WEIR_OK ? "" : error, weir_buffer_bytes(&wire));
    weir_buffer_free(&wire);
    gate_leave(gate, status == WEIR_CANCELLED);
}

static bool take_locked(struct asked *asked)
{
    pthread_mutex_lock(&asked->channel->test->lock);
    bool taken = take(asked);
    asked->early = asked->early || !taken;
    pthread_mutex_unlock(&asked->channel->test->lock);
    return taken;
}

static void context_is_over(struct weir_context_watch *watch, enum weir_status status)
{
    struct asked *asked = (struct asked *)((char *)watch - offsetof(struct asked, watch));
    if (take_locked(asked))
        end(asked, status, over_text(status), NULL);
}

/* The answer's time, or the call's deadline. */
static void fire(struct test_timer *timer)
{
    struct asked *asked = (struct asked *)((char *)timer - offsetof(struct asked, timer));
    if (!take_locked(asked))
        return;
    enum weir_status over = weir_context_status(&asked->outgoing->context);
    if (over != WEIR_OK)
        end(asked, WEIR_DEADLINE_EXCEEDED, "the deadline passed", NULL);
    else
        end(asked, asked->answer->status, asked->answer->error, asked->answer->json);
}

/* ---- A call. Any thread ---- */

static void refuse(struct outgoing *outgoing, enum weir_status status, const char *text)
{
    outgoing->done(outgoing, status, text, (struct weir_bytes){0});
}

static struct stand_in *stand_in_of(const struct weir_channel *channel)
{
    return channel->component.app->parts[channel->component.index]->self;
}

static void note_question(struct weir_test *test, const struct weir_method *method, struct weir_bytes wire)
{
    const char *json = test_json(test, method->request, wire);
    pthread_mutex_lock(&test->lock);
    struct question *question = weir_arena_zalloc(test->arena, sizeof *question);
    question->method = method->full_name;
    question->json = json;
    *test->last_question = question;
    test->last_question = &question->next;
    pthread_mutex_unlock(&test->lock);
}

/* Holds: test->lock. */
static const struct answer *find_answer(const struct weir_test *test, const struct outgoing *outgoing)
{
    const struct answer *answer = test->answers;
    while (answer && strcmp(answer->method, outgoing->method->full_name) != 0)
        answer = answer->next;
    return answer;
}

/* Until when it answers by time: a unary call, and a stream that it ends with an error. -1: it does not. */
static int64_t answers_in_ms(const struct outgoing *outgoing, const struct answer *answer)
{
    if (outgoing->method->kind != WEIR_UNARY && answer->status == WEIR_OK)
        return -1;
    int64_t left_ms = weir_context_left_ms(&outgoing->context);
    return answer->after_ms < left_ms ? answer->after_ms : left_ms;
}

static struct asked *asked_new(struct stand_in *channel, struct outgoing *outgoing,
                               const struct answer *answer)
{
    pthread_mutex_lock(&channel->test->lock);
    struct asked *asked = weir_arena_zalloc(channel->test->arena, sizeof *asked);
    pthread_mutex_unlock(&channel->test->lock);
    asked->channel = channel;
    asked->outgoing = outgoing;
    asked->answer = answer;
    asked->owed = outgoing->method->kind == WEIR_SERVER_STREAM;
    asked->watch.over = context_is_over;
    asked->timer.fire = fire;
    outgoing->carrier = asked;
    return asked;
}

static void wait_for_answer(struct stand_in *channel, struct outgoing *outgoing, const struct answer *answer)
{
    struct weir_test *test = channel->test;
    struct asked *asked = asked_new(channel, outgoing, answer);
    int64_t in_ms = answers_in_ms(outgoing, answer);
    weir_context_watch(&outgoing->context, &asked->watch);

    pthread_mutex_lock(&test->lock);
    bool early = asked->early;
    if (!early) { /* from now on others may end it */
        asked->next = channel->under_way;
        asked->link = &channel->under_way;
        if (asked->next)
            asked->next->link = &asked->next;
        channel->under_way = asked;
        if (in_ms >= 0)
            test_timer_begin(&asked->timer, in_ms);
    }
    pthread_mutex_unlock(&test->lock);
    if (early) {
        enum weir_status over = weir_context_status(&outgoing->context);
        end(asked, over, over_text(over), NULL);
    }
}

static void start(struct weir_channel *channel, struct outgoing *outgoing)
{
    struct stand_in *stand_in = stand_in_of(channel);
    struct weir_test *test = stand_in->test;
    enum weir_status over = weir_context_status(&outgoing->context);
    if (over != WEIR_OK) {
        refuse(outgoing, over, over_text(over));
        return;
    }
    if (outgoing->method->kind == WEIR_UNARY || outgoing->method->kind == WEIR_SERVER_STREAM)
        note_question(test, outgoing->method, outgoing->request);
    pthread_mutex_lock(&test->lock);
    const struct answer *answer = find_answer(test, outgoing);
    pthread_mutex_unlock(&test->lock);
    if (!answer || gate_enter(stand_in->gate) != WEIR_OK) {
        refuse(outgoing, WEIR_UNAVAILABLE,
               answer ? "the channel is stopped" : "the test has named no answer for this method");
        return;
    }
    wait_for_answer(stand_in, outgoing, answer);
}

/* ---- Streams: an answer for each message, or one at the end. Any thread ---- */

/* Gives the caller what it asked for: a message, or the end. */
static void go_on(struct asked *asked)
{
    struct outgoing *outgoing = asked->outgoing;
    uint8_t kind = outgoing->method->kind;
    pthread_mutex_lock(&asked->channel->test->lock);
    bool listed = asked->link && asked->answer->status == WEIR_OK;
    bool message = listed && asked->wants && asked->owed > 0;
    bool all = kind == WEIR_SERVER_STREAM || asked->half_closed;
    bool is_asked = asked->wants || kind == WEIR_CLIENT_STREAM;
    bool last = listed && !message && all && is_asked && asked->owed == 0 && take(asked);
    asked->owed -= message;
    asked->wants = asked->wants && !message;
    pthread_mutex_unlock(&asked->channel->test->lock);
    if (message) {
        struct weir_buffer wire = test_wire(outgoing->method->reply, asked->answer->json);
        outgoing->message(outgoing, weir_buffer_bytes(&wire));
        weir_buffer_free(&wire);
    } else if (last) {
        end(asked, WEIR_OK, "", asked->answer->json);
    }
}

/* A stream that was refused at its begin has no carrier: its end was told. */
static void send_message(struct outgoing *outgoing, struct weir_bytes message)
{
    struct asked *asked = outgoing->carrier;
    if (!asked)
        return;
    struct weir_test *test = asked->channel->test;
    note_question(test, outgoing->method, message);
    pthread_mutex_lock(&test->lock);
    bool listed = asked->link;
    asked->owed += outgoing->method->kind == WEIR_BIDI_STREAM;
    pthread_mutex_unlock(&test->lock);
    if (listed)
        outgoing->sent(outgoing);
    go_on(asked);
}

static void half_close(struct outgoing *outgoing)
{
    struct asked *asked = outgoing->carrier;
    if (!asked)
        return;
    pthread_mutex_lock(&asked->channel->test->lock);
    asked->half_closed = true;
    pthread_mutex_unlock(&asked->channel->test->lock);
    go_on(asked);
}

static void read_message(struct outgoing *outgoing)
{
    struct asked *asked = outgoing->carrier;
    if (!asked)
        return;
    pthread_mutex_lock(&asked->channel->test->lock);
    asked->wants = true;
    pthread_mutex_unlock(&asked->channel->test->lock);
    go_on(asked);
}

const struct channel_ops *answers_channel_ops(void)
{
    static const struct channel_ops ops = {
        .name = "test", .start = start, .send = send_message, .half_close = half_close, .read = read_message};
    return &ops;
}

/* ---- The component ---- */

static struct asked *take_first(struct stand_in *channel)
{
    pthread_mutex_lock(&channel->test->lock);
    struct asked *asked = channel->under_way;
    if (asked) {
        channel->under_way = asked->next;
        if (asked->next)
            asked->next->link = &channel->under_way;
        asked->link = NULL;
    }
    pthread_mutex_unlock(&channel->test->lock);
    return asked;
}

static enum weir_status drain(void *self, struct weir_context *context, struct weir_work *work,
                              struct weir_error *err)
{
    (void)err;
    struct stand_in *channel = self;
    if (!gate_wait_empty(channel->gate, context)) {
        gate_close(channel->gate);
        for (struct asked *asked; (asked = take_first(channel));)
            end(asked, WEIR_CANCELLED, "the channel is stopped", NULL);
    }
    gate_account(channel->gate, work);
    return WEIR_OK;
}

static void destroy(void *self)
{
    struct stand_in *channel = self;
    channel->ops->destroy(channel->self);
}

const struct weir_component_ops answers_ops = {.drain = drain, .destroy = destroy};

void answers_free(struct weir_test *test)
{
    test->answers = NULL; /* all in the arena */
    test->questions = NULL;
}

/* ---- What the test says and asks ---- */

void weir_test_answer(struct weir_test *test, const struct weir_test_answer *given)
{
    if (!given->method)
        test_die("an answer needs a method");
    pthread_mutex_lock(&test->lock);
    struct answer *answer = weir_arena_zalloc(test->arena, sizeof *answer);
    answer->method = weir_arena_strdup(test->arena, given->method);
    answer->json = weir_arena_strdup(test->arena, given->json ? given->json : "{}");
    answer->error = weir_arena_strdup(test->arena, given->error ? given->error : "");
    answer->status = given->status;
    answer->after_ms = given->after_ms;
    answer->next = test->answers;
    test->answers = answer;
    pthread_mutex_unlock(&test->lock);
}

const char *weir_test_asked(struct weir_test *test, const char *method, size_t index)
{
    weir_test_settle(test);
    pthread_mutex_lock(&test->lock);
    const struct question *question = test->questions;
    while (question && (strcmp(question->method, method) != 0 || index-- > 0))
        question = question->next;
    pthread_mutex_unlock(&test->lock);
    return question ? question->json : NULL;
}
