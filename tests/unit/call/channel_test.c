/* Calling others: what flows with a call, and what comes back. Over the local channel, with the echo service
 * behind it. */
#include "test.h"

#include <stdio.h>

#include <weir/channel.h>
#include <weir/clock.h>

#include "call/channel.h"
#include "fake_transport.h"

/* A local channel without an app is its ops and a service. */
struct local_channel {
    struct weir_channel channel;
    struct weir_service *service;
};

static struct weir_channel *channel_of(struct fake *fake, struct local_channel *local, int64_t timeout_ms)
{
    *local = (struct local_channel){
        .channel = {.ops = local_channel_ops(), .timeout_ms = timeout_ms},
        .service = &fake->service,
    };
    return &local->channel;
}

static struct weir_call *background(int64_t timeout_ms)
{
    return weir_call_background(NULL, NULL, timeout_ms);
}

static void a_call_blocks_until_its_reply_is_there(void **state)
{
    struct local_channel local;
    struct weir_channel *channel = channel_of(*state, &local, 10000);
    struct weir_call *call = background(10000);
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    request.text = "hello";

    Echo__EchoReply *reply;
    assert_int_equal(echo_echo(call, channel, &request, &reply), WEIR_OK);

    assert_string_equal(reply->request->text, "hello");
    assert_string_equal(reply->transport, "local");
    weir_call_background_end(call);
}

static void a_refusal_comes_back_with_its_words(void **state)
{
    struct local_channel local;
    struct weir_channel *channel = channel_of(*state, &local, 10000);
    struct weir_call *call = background(10000);
    Echo__FailRequest request = ECHO__FAIL_REQUEST__INIT;
    request.status = WEIR_NOT_FOUND;
    request.text = "no such thing";

    Echo__FailReply *reply;
    assert_int_equal(echo_fail(call, channel, &request, &reply), WEIR_NOT_FOUND);

    assert_int_equal(weir_call_error(call)->status, WEIR_NOT_FOUND);
    assert_string_equal(weir_call_error(call)->text, "no such thing");
    weir_call_background_end(call);
}

static void a_call_whose_time_is_spent_is_not_sent(void **state)
{
    struct fake *fake = *state;
    struct local_channel local;
    struct weir_channel *channel = channel_of(fake, &local, 10000);
    struct weir_call *call = background(0);
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;

    Echo__EchoReply *reply;
    assert_int_equal(echo_echo(call, channel, &request, &reply), WEIR_DEADLINE_EXCEEDED);

    assert_int_equal(fake->echo.echoed, 0);
    weir_call_background_end(call);
}

static void a_childs_time_ends_with_the_channels_timeout(void **state)
{
    struct local_channel local;
    struct weir_channel *channel = channel_of(*state, &local, 20);
    struct weir_call *call = background(3600 * 1000);
    Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
    request.block_ms = 3600 * 1000;

    Echo__WaitReply *reply;
    assert_int_equal(echo_wait(call, channel, &request, &reply), WEIR_DEADLINE_EXCEEDED);

    assert_int_equal(weir_context_status(weir_call_context(call)), WEIR_OK);
    weir_call_background_end(call);
}

static void *cancel_when_waiting(void *arg)
{
    struct fake *fake = arg;
    echo_service_wait(&fake->echo, &fake->echo.waiting, 1);
    context_end(&fake->call->context, WEIR_CANCELLED);
    return NULL;
}

static void a_cancelled_parent_cancels_what_it_waits_for(void **state)
{
    struct fake *fake = *state;
    struct local_channel local;
    struct weir_channel *channel = channel_of(fake, &local, 3600 * 1000);
    fake->call = background(3600 * 1000);
    pthread_t thread;
    pthread_create(&thread, NULL, cancel_when_waiting, fake);
    Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
    request.block_ms = 3600 * 1000;

    Echo__WaitReply *reply;
    assert_int_equal(echo_wait(fake->call, channel, &request, &reply), WEIR_CANCELLED);

    pthread_join(thread, NULL);
}

struct answers {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int count;
    enum weir_status status[8];
    char text[8][64];
};

static void answered(struct weir_call *call, enum weir_status status, Echo__EchoReply *reply, void *arg)
{
    (void)call;
    struct answers *answers = arg;
    pthread_mutex_lock(&answers->lock);
    answers->status[answers->count] = status;
    snprintf(answers->text[answers->count], sizeof answers->text[0], "%s", reply ? reply->request->text : "");
    answers->count++;
    pthread_cond_broadcast(&answers->changed);
    pthread_mutex_unlock(&answers->lock);
}

static void several_calls_may_be_under_way_for_one_call(void **state)
{
    struct local_channel local;
    struct weir_channel *channel = channel_of(*state, &local, 10000);
    struct weir_call *call = background(10000);
    struct answers answers = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    for (int i = 0; i < 5; i++) {
        Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
        request.text = "same";
        echo_echo_start(call, channel, &request, answered, &answers);
    }

    pthread_mutex_lock(&answers.lock);
    while (answers.count < 5)
        pthread_cond_wait(&answers.changed, &answers.lock);
    pthread_mutex_unlock(&answers.lock);

    for (int i = 0; i < 5; i++) {
        assert_int_equal(answers.status[i], WEIR_OK);
        assert_string_equal(answers.text[i], "same");
    }
    weir_call_background_end(call);
}

static void a_proxy_passes_a_call_on_and_its_answer_back(void **state)
{
    struct fake *fake = *state;
    struct local_channel local;
    struct weir_channel *channel = channel_of(fake, &local, 10000);
    struct weir_service behind = fake->service;
    local.service = &behind;
    fake->service.handlers = NULL;
    fake->service.proxy_to = channel;

    Echo__FailRequest request = ECHO__FAIL_REQUEST__INIT;
    request.status = WEIR_ABORTED;
    request.text = "try the whole again";
    call_dispatch(fake_call(fake, "Fail", &request.base));

    assert_true(fake_wait(fake, &fake->finished, 1));
    assert_int_equal(fake->status, WEIR_ABORTED);
    assert_string_equal(fake->text, "try the whole again");
    assert_int_equal(fake->echo.failed, 1);
}

/* Holds a call until it is cancelled, and ends it right then, on the thread that cancels. */
struct prompt_channel {
    struct weir_channel channel;
    struct outgoing *outgoing;
    struct weir_context_watch watch;
};

static void end_at_once(struct weir_context_watch *watch, enum weir_status status)
{
    struct prompt_channel *prompt =
        (struct prompt_channel *)((char *)watch - offsetof(struct prompt_channel, watch));
    weir_context_unwatch(watch);
    prompt->outgoing->done(prompt->outgoing, status, "as you like", (struct weir_bytes){0});
}

static void hold(struct weir_channel *channel, struct outgoing *outgoing)
{
    struct prompt_channel *prompt = (struct prompt_channel *)channel;
    prompt->outgoing = outgoing;
    prompt->watch = (struct weir_context_watch){.over = end_at_once};
    weir_context_watch(&outgoing->context, &prompt->watch);
}

static const struct channel_ops prompt_ops = {.name = "prompt", .start = hold};

static void a_call_that_ends_while_it_is_being_cancelled_may_be_freed_by_its_answer(void **state)
{
    (void)state;
    struct prompt_channel prompt = {.channel = {.ops = &prompt_ops, .timeout_ms = 10000}};
    struct weir_call *call = background(10000);
    struct answers answers = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    echo_echo_start(call, &prompt.channel, &request, answered, &answers);
    context_end(&call->context, WEIR_CANCELLED);
    assert_int_equal(answers.count, 1);
    assert_int_equal(answers.status[0], WEIR_CANCELLED);
    weir_call_background_end(call);
}

static void a_proxied_call_that_ends_while_it_is_being_cancelled_is_answered_once(void **state)
{
    struct fake *fake = *state;
    struct prompt_channel prompt = {.channel = {.ops = &prompt_ops, .timeout_ms = 10000}};
    fake->service.handlers = NULL;
    fake->service.proxy_to = &prompt.channel;
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    struct weir_call *call = fake_call(fake, "Echo", &request.base);
    call_dispatch(call);
    call_cancel(call, WEIR_CANCELLED);
    assert_int_equal(fake->finished, 1);
    assert_int_equal(fake->status, WEIR_CANCELLED);
    assert_string_equal(fake->text, "as you like");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fake_setup, fake_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_blocks_until_its_reply_is_there),
        TEST(a_refusal_comes_back_with_its_words),
        TEST(a_call_whose_time_is_spent_is_not_sent),
        TEST(a_childs_time_ends_with_the_channels_timeout),
        TEST(a_cancelled_parent_cancels_what_it_waits_for),
        TEST(several_calls_may_be_under_way_for_one_call),
        TEST(a_proxy_passes_a_call_on_and_its_answer_back),
        TEST(a_call_that_ends_while_it_is_being_cancelled_may_be_freed_by_its_answer),
        TEST(a_proxied_call_that_ends_while_it_is_being_cancelled_is_answered_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
