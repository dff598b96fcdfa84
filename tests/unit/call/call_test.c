/* Unary calls, from dispatch to the end that the transport is told. */
#include "test.h"

#include <weir/clock.h>

#include "fake_transport.h"

static Echo__EchoReply *echo_reply(struct fake *fake)
{
    return echo__echo_reply__unpack(NULL, fake->reply.size, fake->reply.data);
}

static struct weir_call *echo_call(struct fake *fake, const char *text)
{
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    request.text = (char *)(uintptr_t)text;
    return fake_call(fake, "Echo", &request.base);
}

static void is_answered(struct fake *fake)
{
    call_dispatch(echo_call(fake, "hello"));

    assert_true(fake_wait(fake, &fake->finished, 1));
    assert_int_equal(fake->status, WEIR_OK);
    Echo__EchoReply *reply = echo_reply(fake);
    assert_string_equal(reply->request->text, "hello");
    assert_string_equal(reply->transport, "fake");
    echo__echo_reply__free_unpacked(reply, NULL);
    assert_int_equal(fake->finished, 1);
}

static void a_call_is_answered_by_its_handler_on_the_executor(void **state)
{
    is_answered(*state);
}

static void a_call_is_answered_inline(void **state)
{
    struct fake *fake = *state;
    fake->service.handlers = &echo_service_inline_handlers;
    is_answered(fake);
}

static void bad_bytes_are_refused_before_the_handler_sees_them(void **state)
{
    struct fake *fake = *state;
    struct weir_call *call = fake_call(fake, "Echo", NULL);
    call->request = weir_bytes("\x0a\x02\xc3\x28", 4); /* text: not UTF-8 */

    call_dispatch(call);

    assert_true(fake_wait(fake, &fake->finished, 1));
    assert_int_equal(fake->status, WEIR_INVALID_ARGUMENT);
    assert_non_null(strstr(fake->text, "text"));
    assert_int_equal(fake->echo.echoed, 0);
}

static void a_method_without_a_handler_is_unimplemented(void **state)
{
    struct fake *fake = *state;
    Echo__FailRequest request = ECHO__FAIL_REQUEST__INIT;
    call_dispatch(fake_call(fake, "Missing", &request.base));

    assert_int_equal(fake->status, WEIR_UNIMPLEMENTED);
    assert_string_equal(fake->text, "weir.test.v1.EchoService/Missing is not implemented");
}

static void a_refusal_keeps_its_status_and_words(void **state)
{
    struct fake *fake = *state;
    Echo__FailRequest request = ECHO__FAIL_REQUEST__INIT;
    request.status = WEIR_FAILED_PRECONDITION;
    request.text = "sold out";
    call_dispatch(fake_call(fake, "Fail", &request.base));

    assert_true(fake_wait(fake, &fake->finished, 1));
    assert_int_equal(fake->status, WEIR_FAILED_PRECONDITION);
    assert_string_equal(fake->text, "sold out");
    assert_int_equal(fake->reply.size, 0);
}

static void what_is_our_own_fault_is_not_told(void **state)
{
    struct fake *fake = *state;
    Echo__FailRequest request = ECHO__FAIL_REQUEST__INIT;
    request.status = WEIR_INTERNAL;
    request.text = "password of the database: secret";
    call_dispatch(fake_call(fake, "Fail", &request.base));

    assert_true(fake_wait(fake, &fake->finished, 1));
    assert_int_equal(fake->status, WEIR_INTERNAL);
    assert_string_equal(fake->text, "internal error");
}

static void a_status_that_is_none_becomes_internal(void **state)
{
    struct fake *fake = *state;
    Echo__FailRequest request = ECHO__FAIL_REQUEST__INIT;
    request.status = 42;
    request.text = "";
    call_dispatch(fake_call(fake, "Fail", &request.base));

    assert_true(fake_wait(fake, &fake->finished, 1));
    assert_int_equal(fake->status, WEIR_INTERNAL);
}

static void a_closed_gate_refuses_politely(void **state)
{
    struct fake *fake = *state;
    gate_close(fake->gate);

    call_dispatch(echo_call(fake, "late"));

    assert_int_equal(fake->status, WEIR_UNAVAILABLE);
    assert_string_equal(fake->text, "the server is stopping");
    assert_int_equal(fake->echo.echoed, 0);
    assert_int_equal(gate_in_flight(fake->gate), 0);
}

static void the_gate_is_left_when_the_call_is_over(void **state)
{
    struct fake *fake = *state;
    Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
    request.defer = true;
    call_dispatch(fake_call(fake, "Wait", &request.base));
    assert_true(echo_service_wait(&fake->echo, &fake->echo.deferred, 1));
    assert_int_equal(gate_in_flight(fake->gate), 1);

    echo_service_release(&fake->echo, WEIR_OK);

    assert_true(fake_wait(fake, &fake->finished, 1));
    struct weir_context context;
    context_init(&context, NULL, WEIR_NEVER);
    assert_true(gate_wait_empty(fake->gate, &context));
    context_clean_up(&context);
}

/* The test releases as soon as the handler says so, which is before it returned PENDING, or after: both must
 * work. */
static void a_deferred_call_is_finished_once_whoever_comes_first(void **state)
{
    struct fake *fake = *state;
    for (int round = 1; round <= 200; round++) {
        Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
        request.defer = true;
        call_dispatch(fake_call(fake, "Wait", &request.base));
        assert_true(echo_service_wait(&fake->echo, &fake->echo.deferred, round));
        echo_service_release(&fake->echo, WEIR_OK);
        assert_true(fake_wait(fake, &fake->finished, round));
        assert_int_equal(fake->finished, round);
        assert_int_equal(fake->status, WEIR_OK);
    }
}

static void a_cancelled_handler_sees_it_and_the_call_ends_once(void **state)
{
    struct fake *fake = *state;
    Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
    request.block_ms = 3600 * 1000;
    struct weir_call *call = fake_call(fake, "Wait", &request.base);
    call_dispatch(call);
    assert_true(echo_service_wait(&fake->echo, &fake->echo.waiting, 1));

    call_cancel(call, WEIR_CANCELLED);
    call_cancel(call, WEIR_DEADLINE_EXCEEDED);

    assert_true(fake_wait(fake, &fake->finished, 1));
    assert_int_equal(fake->status, WEIR_CANCELLED);
}

static void a_call_whose_time_is_over_does_not_reach_its_handler(void **state)
{
    struct fake *fake = *state;
    struct weir_call *call = echo_call(fake, "late");
    call_set_deadline(call, weir_now_ns() - 1);

    call_dispatch(call);

    assert_true(fake_wait(fake, &fake->finished, 1));
    assert_int_equal(fake->status, WEIR_DEADLINE_EXCEEDED);
    assert_string_equal(fake->text, "the deadline passed");
    assert_int_equal(fake->echo.echoed, 0);
}

static void metadata_gives_trace_and_message_id(void **state)
{
    struct fake *fake = *state;
    struct weir_call *call = echo_call(fake, "hello");
    call_add_metadata(call, weir_bytes_of_text("TraceParent"),
                      weir_bytes_of_text("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    call_add_metadata(call, weir_bytes_of_text("Idempotency-Key"), weir_bytes_of_text("k1"));
    call_add_metadata(call, weir_bytes_of_text("X-Twice"), weir_bytes_of_text("one"));
    call_add_metadata(call, weir_bytes_of_text("X-Twice"), weir_bytes_of_text("two"));

    call_dispatch(call);

    assert_true(fake_wait(fake, &fake->finished, 1));
    assert_memory_equal(weir_context_traceparent(weir_call_context(call)),
                        "00-0af7651916cd43dd8448eb211c80319c-", 36);
    assert_string_equal(weir_call_message_id(call), "k1");
    assert_string_equal(weir_call_metadata(call, "x-twice"), "one");
    assert_null(weir_call_metadata(call, "X-Twice"));
    assert_string_equal(fake->echo.last_message_id, "k1");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fake_setup, fake_teardown)

static void words_may_be_made_of_the_words_before(void **state)
{
    (void)state;
    struct weir_call *call = weir_call_background(NULL, NULL, 1000);
    weir_call_fail(call, WEIR_NOT_FOUND, "no such tea");
    weir_call_fail(call, WEIR_INTERNAL, "cannot brew: %s", weir_call_error(call)->text);
    assert_string_equal(weir_call_error(call)->text, "cannot brew: no such tea");

    struct weir_error err = *weir_call_error(call);
    weir_fail(&err, WEIR_INTERNAL, "order 7: %s", err.text);
    assert_string_equal(err.text, "order 7: cannot brew: no such tea");
    weir_call_background_end(call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_is_answered_by_its_handler_on_the_executor),
        TEST(a_call_is_answered_inline),
        TEST(bad_bytes_are_refused_before_the_handler_sees_them),
        TEST(a_method_without_a_handler_is_unimplemented),
        TEST(a_refusal_keeps_its_status_and_words),
        TEST(what_is_our_own_fault_is_not_told),
        TEST(a_status_that_is_none_becomes_internal),
        TEST(a_closed_gate_refuses_politely),
        TEST(the_gate_is_left_when_the_call_is_over),
        TEST(a_deferred_call_is_finished_once_whoever_comes_first),
        TEST(a_cancelled_handler_sees_it_and_the_call_ends_once),
        TEST(a_call_whose_time_is_over_does_not_reach_its_handler),
        TEST(metadata_gives_trace_and_message_id),
        TEST(words_may_be_made_of_the_words_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
