/* The server's side of streams: callbacks in order, one at a time, and one end. */
#include "test.h"

#include <weir/clock.h>

#include "fake_transport.h"

static void chat(struct fake *fake, const char *text, enum weir_status status, bool later)
{
    Echo__ChatRequest message = ECHO__CHAT_REQUEST__INIT;
    message.text = (char *)(uintptr_t)text;
    message.status = (int32_t)status;
    message.later = later;
    fake_deliver(fake, &message.base);
}

static void expect_said(struct fake *fake, int index, const char *text)
{
    assert_true(fake_wait(fake, &fake->sent_count, index + 1));
    Echo__ChatReply *reply = echo__chat_reply__unpack(NULL, fake->sent[index].size, fake->sent[index].data);
    assert_string_equal(reply->text, text);
    echo__chat_reply__free_unpacked(reply, NULL);
}

static void messages_are_taken_in_order_and_each_asks_for_the_next(void **state)
{
    struct fake *fake = *state;
    call_dispatch(fake_call(fake, "Chat", NULL));
    assert_true(fake_wait(fake, &fake->reads, 1));

    chat(fake, "one", WEIR_OK, false);
    chat(fake, "two", WEIR_OK, false);
    call_half_close(fake->call);

    assert_true(fake_wait(fake, &fake->finished, 1));
    assert_int_equal(fake->status, WEIR_OK);
    expect_said(fake, 0, "you said one");
    expect_said(fake, 1, "you said two");
    assert_int_equal(fake->reads, 3);
    assert_int_equal(fake->echo.half_closed, 1);
    struct weir_context context;
    context_init(&context, NULL, WEIR_NEVER);
    assert_true(gate_wait_empty(fake->gate, &context));
    context_clean_up(&context);
}

static void inline_streams_run_on_the_callers_thread(void **state)
{
    struct fake *fake = *state;
    fake->service.handlers = &echo_service_inline_handlers;
    call_dispatch(fake_call(fake, "Chat", NULL));
    assert_int_equal(fake->reads, 1);

    chat(fake, "now", WEIR_OK, false);
    assert_int_equal(fake->sent_count, 1);

    call_half_close(fake->call);
    assert_int_equal(fake->finished, 1);
}

static void a_client_streams_reply_is_what_its_author_filled(void **state)
{
    struct fake *fake = *state;
    call_dispatch(fake_call(fake, "Sum", NULL));
    for (int i = 1; i <= 4; i++) {
        Echo__SumRequest message = ECHO__SUM_REQUEST__INIT;
        message.value = i;
        fake_deliver(fake, &message.base);
    }
    call_half_close(fake->call);

    assert_true(fake_wait(fake, &fake->finished, 1));
    Echo__SumReply *reply = echo__sum_reply__unpack(NULL, fake->reply.size, fake->reply.data);
    assert_int_equal(reply->sum, 10);
    assert_int_equal(reply->messages, 4);
    echo__sum_reply__free_unpacked(reply, NULL);
}

static void a_status_of_the_authors_ends_the_stream_and_nothing_runs_after_it(void **state)
{
    struct fake *fake = *state;
    call_dispatch(fake_call(fake, "Chat", NULL));
    chat(fake, "enough", WEIR_ABORTED, false);
    chat(fake, "unheard", WEIR_OK, false);
    call_half_close(fake->call);

    assert_true(fake_wait(fake, &fake->finished, 1));
    assert_int_equal(fake->status, WEIR_ABORTED);
    assert_string_equal(fake->text, "enough");
    assert_int_equal(fake->echo.messages, 1);
    assert_int_equal(fake->echo.half_closed, 0);
    assert_int_equal(fake->finished, 1);
}

static void a_bad_message_ends_the_stream(void **state)
{
    struct fake *fake = *state;
    call_dispatch(fake_call(fake, "Chat", NULL));
    call_message(fake->call, weir_bytes("\x0a\x05x", 3));

    assert_true(fake_wait(fake, &fake->finished, 1));
    assert_int_equal(fake->status, WEIR_INVALID_ARGUMENT);
    assert_int_equal(fake->echo.messages, 0);
}

static void a_cancelled_stream_is_told_and_then_ended(void **state)
{
    struct fake *fake = *state;
    call_dispatch(fake_call(fake, "Chat", NULL));
    assert_true(fake_wait(fake, &fake->reads, 1));

    call_cancel(fake->call, WEIR_CANCELLED);
    call_cancel(fake->call, WEIR_CANCELLED);

    assert_true(fake_wait(fake, &fake->finished, 1));
    assert_int_equal(fake->status, WEIR_CANCELLED);
    assert_int_equal(fake->echo.cancelled, 1);
}

static void a_draining_stream_may_end_in_its_own_way(void **state)
{
    struct fake *fake = *state;
    Echo__CountRequest request = ECHO__COUNT_REQUEST__INIT;
    request.n = 3;
    request.stay = true;
    call_dispatch(fake_call(fake, "Count", &request.base));
    assert_true(fake_wait(fake, &fake->sent_count, 3));

    call_draining(fake->call, 1234);

    assert_true(fake_wait(fake, &fake->finished, 1));
    assert_int_equal(fake->status, WEIR_OK);
    assert_int_equal(fake->echo.last_left_ms, 1234);
}

static void a_slow_peer_is_waited_for(void **state)
{
    struct fake *fake = *state;
    fake->send_status = WEIR_PENDING;
    Echo__CountRequest request = ECHO__COUNT_REQUEST__INIT;
    request.n = 3;
    call_dispatch(fake_call(fake, "Count", &request.base));
    assert_true(fake_wait(fake, &fake->sent_count, 1));
    assert_true(echo_service_wait(&fake->echo, &fake->echo.sent, 1));
    assert_int_equal(fake->finished, 0);

    call_writable(fake->call);
    assert_true(fake_wait(fake, &fake->sent_count, 2));
    call_writable(fake->call);

    assert_true(fake_wait(fake, &fake->finished, 1));
    assert_int_equal(fake->status, WEIR_OK);
    assert_int_equal(fake->sent_count, 3);
}

static void a_later_answer_asks_for_the_next_message(void **state)
{
    struct fake *fake = *state;
    call_dispatch(fake_call(fake, "Chat", NULL));
    chat(fake, "wait for it", WEIR_OK, true);
    assert_true(echo_service_wait(&fake->echo, &fake->echo.messages, 1));
    assert_int_equal(fake->reads, 1);

    echo_service_release(&fake->echo, WEIR_OK);

    expect_said(fake, 0, "you said wait for it");
    assert_true(fake_wait(fake, &fake->reads, 2));
    call_half_close(fake->call);
    assert_true(fake_wait(fake, &fake->finished, 1));
}

static void never_runs(struct weir_call *call, void *arg)
{
    (void)call;
    (void)arg;
    fail();
}

static void nothing_can_be_posted_to_a_stream_that_ended(void **state)
{
    struct fake *fake = *state;
    call_dispatch(fake_call(fake, "Chat", NULL));
    call_half_close(fake->call);
    assert_true(fake_wait(fake, &fake->finished, 1));

    assert_true(weir_stream_ended(fake->call));
    assert_false(weir_stream_post(fake->call, never_runs, NULL));
}

static void a_stream_without_a_thread_is_refused(void **state)
{
    struct fake *fake = *state;
    executor_stop(fake->executor);

    call_dispatch(fake_call(fake, "Chat", NULL));

    assert_int_equal(fake->finished, 1);
    assert_int_equal(fake->status, WEIR_UNAVAILABLE);
}

/* Its client may leave while it is being opened; then nobody will tell the stream again. */
static void a_stream_that_was_cancelled_before_it_was_opened_is_told_too(void **state)
{
    struct fake *fake = *state;
    Echo__CountRequest request = ECHO__COUNT_REQUEST__INIT;
    request.stay = true;
    struct weir_call *call = fake_call(fake, "Count", &request.base);
    call_cancel(call, WEIR_CANCELLED);
    call_dispatch(call);
    assert_true(fake_wait(fake, &fake->finished, 1));
    assert_int_equal(fake->status, WEIR_CANCELLED);
    assert_int_equal(fake->echo.cancelled, 1);
}

static void *cancel(void *call)
{
    call_cancel(call, WEIR_CANCELLED);
    return NULL;
}

static void a_stream_that_is_cancelled_while_it_is_opened_ends_once(void **state)
{
    struct fake *fake = *state;
    for (int i = 1; i <= 200; i++) {
        Echo__CountRequest request = ECHO__COUNT_REQUEST__INIT;
        request.stay = true;
        struct weir_call *call = fake_call(fake, "Count", &request.base);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, cancel, call), 0);
        call_dispatch(call);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(fake_wait(fake, &fake->finished, i));
        assert_int_equal(fake->finished, i);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fake_setup, fake_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_are_taken_in_order_and_each_asks_for_the_next),
        TEST(inline_streams_run_on_the_callers_thread),
        TEST(a_client_streams_reply_is_what_its_author_filled),
        TEST(a_status_of_the_authors_ends_the_stream_and_nothing_runs_after_it),
        TEST(a_bad_message_ends_the_stream),
        TEST(a_cancelled_stream_is_told_and_then_ended),
        TEST(a_draining_stream_may_end_in_its_own_way),
        TEST(a_slow_peer_is_waited_for),
        TEST(a_later_answer_asks_for_the_next_message),
        TEST(nothing_can_be_posted_to_a_stream_that_ended),
        TEST(a_stream_without_a_thread_is_refused),
        TEST(a_stream_that_was_cancelled_before_it_was_opened_is_told_too),
        TEST(a_stream_that_is_cancelled_while_it_is_opened_ends_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
