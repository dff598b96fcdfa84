/* Calls and streams of the gRPC server and channel. */
#include "test.h"

#include <stdio.h>

#include "grpc_kit.h"

/* ---- Unary ---- */

static void a_handler_on_the_executor_answers(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    Echo__EchoReply *reply;
    assert_int_equal(echo(f, "tea", &reply), WEIR_OK);
    assert_string_equal(reply->request->text, "tea");
    assert_string_equal(reply->transport, "grpc");
}

static void an_inline_handler_answers(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, true, NULL, NULL);
    Echo__EchoReply *reply;
    assert_int_equal(echo(f, "tea", &reply), WEIR_OK);
    assert_string_equal(reply->request->text, "tea");
}

static void a_handlers_words_reach_the_client(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    Echo__FailRequest request = ECHO__FAIL_REQUEST__INIT;
    Echo__FailReply *reply;
    request.status = WEIR_FAILED_PRECONDITION;
    request.text = (char *)"caf\xc3\xa9: 3 wanted, 2 left";
    assert_int_equal(echo_fail(f->call, &f->out.channel, &request, &reply), WEIR_FAILED_PRECONDITION);
    assert_string_equal(weir_call_error(f->call)->text, "caf\xc3\xa9: 3 wanted, 2 left");
}

static void words_about_defects_stay_inside(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, "--log.level=error", NULL);
    Echo__FailRequest request = ECHO__FAIL_REQUEST__INIT;
    Echo__FailReply *reply;
    request.status = WEIR_INTERNAL;
    request.text = (char *)"the password is swordfish";
    assert_int_equal(echo_fail(f->call, &f->out.channel, &request, &reply), WEIR_INTERNAL);
    assert_string_equal(weir_call_error(f->call)->text, "internal error");
}

static void what_has_no_handler_is_unimplemented(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    Echo__FailRequest request = ECHO__FAIL_REQUEST__INIT;
    Echo__FailReply *reply;
    assert_int_equal(echo_missing(f->call, &f->out.channel, &request, &reply), WEIR_UNIMPLEMENTED);
    struct weir_method nowhere = echo_methods[0];
    nowhere.full_name = "weir.test.v1.EchoService/Nowhere";
    struct caller caller;
    assert_int_equal(caller_call(&caller, f->out.client, &nowhere, weir_bytes("", 0)), WEIR_UNIMPLEMENTED);
}

static void bytes_that_are_no_message_are_an_invalid_argument(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    struct caller caller;
    assert_int_equal(caller_call(&caller, f->out.client, &echo_methods[0], weir_bytes("\x0a\x05tea", 5)),
                     WEIR_INVALID_ARGUMENT);
}

static void a_passed_deadline_wakes_the_handler(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    new_call(f, 100);
    Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
    Echo__WaitReply *reply;
    request.block_ms = 60000;
    assert_int_equal(echo_wait(f->call, &f->out.channel, &request, &reply), WEIR_DEADLINE_EXCEEDED);
    assert_true(echo_service_wait(&f->echo, &f->echo.waited, 1));
}

static void a_cancelled_call_wakes_the_handler(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
    request.block_ms = 60000;
    struct caller caller;
    caller_start(&caller, f->out.client, &echo_methods[2], packed(f, &request.base), CALLER_PATIENCE_MS);
    assert_true(echo_service_wait(&f->echo, &f->echo.waiting, 1));
    context_end(&caller.outgoing.context, WEIR_CANCELLED);
    assert_int_equal(caller_end(&caller), WEIR_CANCELLED);
    assert_true(echo_service_wait(&f->echo, &f->echo.waited, 1));
}

static void without_the_clients_deadline_the_servers_counts(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, &(struct weir_grpc_options){.timeout_ms = 100});
    Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
    request.block_ms = 60000;
    struct caller caller;
    caller_start(&caller, f->out.client, &echo_methods[2], packed(f, &request.base), -1);
    assert_int_equal(caller_end(&caller), WEIR_DEADLINE_EXCEEDED);
    assert_string_equal(caller.text, "the wait was cut short");
}

static void a_deferred_call_is_answered_when_its_author_says(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
    request.defer = true;
    struct caller caller;
    caller_start(&caller, f->out.client, &echo_methods[2], packed(f, &request.base), CALLER_PATIENCE_MS);
    assert_true(echo_service_wait(&f->echo, &f->echo.deferred, 1));
    assert_false(caller.done);
    echo_service_release(&f->echo, WEIR_OK);
    assert_int_equal(caller_end(&caller), WEIR_OK);
}

static void who_asks_is_not_taken_from_metadata(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    weir_call_context(f->call)->principal = "mallory";
    Echo__EchoReply *reply;
    assert_int_equal(echo(f, "tea", &reply), WEIR_OK);
    assert_string_equal(reply->principal, "");
}

static void who_asks_is_believed_of_callers_that_are_trusted(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, &(struct weir_grpc_options){.trust_principal = true});
    weir_call_context(f->call)->principal = "ada";
    Echo__EchoReply *reply;
    assert_int_equal(echo(f, "tea", &reply), WEIR_OK);
    assert_string_equal(reply->principal, "ada");
}

static void the_idempotency_key_is_the_message_id(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    struct caller caller;
    assert_int_equal(caller_call(&caller, f->out.client, &echo_methods[0], weir_bytes("", 0)), WEIR_OK);
    assert_string_equal(f->echo.last_message_id, "key-1");
}

static void too_many_calls_are_refused_politely(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, &(struct weir_grpc_options){.in_flight_max = 1});
    Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
    request.defer = true;
    struct caller first;
    caller_start(&first, f->out.client, &echo_methods[2], packed(f, &request.base), CALLER_PATIENCE_MS);
    assert_true(echo_service_wait(&f->echo, &f->echo.deferred, 1));
    Echo__EchoReply *reply;
    assert_int_equal(echo(f, "one more", &reply), WEIR_RESOURCE_EXHAUSTED);
    assert_string_equal(weir_call_error(f->call)->text, "too many calls in flight");
    echo_service_release(&f->echo, WEIR_OK);
    assert_int_equal(caller_end(&first), WEIR_OK);
}

static void a_large_request_is_refused_politely(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, &(struct weir_grpc_options){.message_bytes_max = 1000});
    char text[1100];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    Echo__EchoReply *reply;
    assert_int_equal(echo(f, text, &reply), WEIR_RESOURCE_EXHAUSTED);
    assert_int_equal(f->echo.echoed, 0);
}

/* ---- Streams ---- */

static void a_client_stream_is_summed_up(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    struct weir_client_stream *stream = echo_sum_open(f->call, &f->out.channel);
    for (int64_t i = 1; i <= 100; i++) {
        Echo__SumRequest message = ECHO__SUM_REQUEST__INIT;
        message.value = i;
        assert_int_equal(echo_sum_write(stream, &message), WEIR_OK);
    }
    weir_client_stream_half_close(stream);
    Echo__SumReply *reply = echo_sum_read(stream);
    assert_non_null(reply);
    assert_int_equal(reply->sum, 5050);
    assert_int_equal(reply->messages, 100);
    assert_int_equal(weir_client_stream_finish(stream), WEIR_OK);
}

static void a_slow_reader_holds_a_server_stream_back(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    Echo__CountRequest request = ECHO__COUNT_REQUEST__INIT;
    request.n = 5000;
    request.padding_bytes = 1000;
    struct weir_client_stream *stream = echo_count_open(f->call, &f->out.channel, &request);
    Echo__CountReply *message = echo_count_read(stream);
    assert_non_null(message);
    Echo__EchoReply *reply;
    for (int i = 0; i < 20; i++) /* it has time to send all it may */
        assert_int_equal(echo(f, "tea", &reply), WEIR_OK);
    pthread_mutex_lock(&f->echo.lock);
    assert_in_range(f->echo.sent, 1, 2500);
    pthread_mutex_unlock(&f->echo.lock);
    for (int32_t i = 1; message; i++) {
        assert_int_equal(message->i, i);
        message = echo_count_read(stream);
    }
    assert_int_equal(weir_client_stream_finish(stream), WEIR_OK);
    assert_int_equal(f->echo.sent, 5000);
    assert_true(f->echo.writable > 0);
}

static void both_sides_chat(void **state, bool inline_)
{
    struct fixture *f = *state;
    serve_echo(f, inline_, NULL, NULL);
    struct weir_client_stream *stream = echo_chat_open(f->call, &f->out.channel);
    say(stream, "one", false);
    assert_string_equal(echo_chat_read(stream)->text, "you said one");
    say(stream, "two", true);
    say(stream, "three", false);
    assert_true(echo_service_wait(&f->echo, &f->echo.messages, 2));
    echo_service_release(&f->echo, WEIR_OK);
    assert_string_equal(echo_chat_read(stream)->text, "you said two");
    assert_string_equal(echo_chat_read(stream)->text, "you said three");
    weir_client_stream_half_close(stream);
    assert_null(echo_chat_read(stream));
    assert_int_equal(weir_client_stream_finish(stream), WEIR_OK);
}

static void both_sides_of_a_stream_talk(void **state)
{
    both_sides_chat(state, false);
}

static void both_sides_of_an_inline_stream_talk(void **state)
{
    both_sides_chat(state, true);
}

static void a_stream_may_end_with_an_error(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    struct weir_client_stream *stream = echo_chat_open(f->call, &f->out.channel);
    Echo__ChatRequest message = ECHO__CHAT_REQUEST__INIT;
    message.text = (char *)"enough";
    message.status = WEIR_ABORTED;
    assert_int_equal(echo_chat_write(stream, &message), WEIR_OK);
    assert_null(echo_chat_read(stream));
    assert_int_equal(weir_client_stream_finish(stream), WEIR_ABORTED);
    assert_string_equal(weir_call_error(f->call)->text, "enough");
}

static void a_stream_is_told_when_its_client_leaves(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    Echo__CountRequest request = ECHO__COUNT_REQUEST__INIT;
    request.n = 1;
    request.stay = true;
    struct weir_client_stream *stream = echo_count_open(f->call, &f->out.channel, &request);
    assert_non_null(echo_count_read(stream));
    assert_int_equal(weir_client_stream_finish(stream), WEIR_CANCELLED);
    assert_true(echo_service_wait(&f->echo, &f->echo.cancelled, 1));
}

static void a_stream_is_told_when_its_clients_process_vanishes(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    struct caller caller;
    caller_start(&caller, f->out.client, &echo_methods[5], weir_bytes("", 0), CALLER_PATIENCE_MS);
    assert_true(echo_service_wait(&f->echo, &f->echo.opened, 1));
    rpc_client_destroy(f->out.client);
    f->out.client = NULL;
    assert_int_equal(caller_end(&caller), WEIR_CANCELLED);
    assert_true(echo_service_wait(&f->echo, &f->echo.cancelled, 1));
}

/* ---- Two hops ---- */

static char front_trace[64], back_trace[64];
static int64_t front_left_ms, back_left_ms;

static enum weir_status answer_back(struct weir_call *call, const Echo__EchoRequest *request,
                                    Echo__EchoReply *reply)
{
    (void)request;
    snprintf(back_trace, sizeof back_trace, "%s", weir_context_traceparent(weir_call_context(call)));
    back_left_ms = weir_call_left_ms(call);
    reply->transport = weir_call_strdup(call, "from the back");
    return WEIR_OK;
}

static enum weir_status answer_front(struct weir_call *call, const Echo__EchoRequest *request,
                                     Echo__EchoReply *reply)
{
    snprintf(front_trace, sizeof front_trace, "%s", weir_context_traceparent(weir_call_context(call)));
    front_left_ms = weir_call_left_ms(call);
    Echo__EchoReply *answer;
    enum weir_status status = echo_echo(call, weir_call_self(call), request, &answer);
    if (status == WEIR_OK)
        reply->transport = answer->transport;
    return status;
}

static const struct echo_handlers back_handlers = {.echo = {.fn = answer_back}};
static const struct echo_handlers front_handlers = {.echo = {.fn = answer_front}};

static void trace_and_deadline_go_through_two_hops(void **state)
{
    struct fixture *f = *state;
    char back_listen[64];
    snprintf(back_listen, sizeof back_listen, "127.0.0.1:%d", free_port());
    static struct weir_service_type back_type;
    back_type = echo_service_type;
    back_type.full_name = "back";
    struct weir_app *app = new_app(NULL);
    struct weir_service *back =
        weir_service_add(app, &back_type, &(struct weir_service_options){.handlers = &back_handlers});
    struct weir_grpc_server *back_server =
        weir_grpc_server_add(app, "back-server", back, &(struct weir_grpc_options){.listen = back_listen});
    struct weir_channel *channel = weir_grpc_channel_add(
        app, "to-back", &(struct weir_channel_options){.target = back_listen, .needs = {back_server}});
    struct weir_service *front = echo_service_add(
        app,
        &(struct echo_service_options){.handlers = &front_handlers, .self = channel, .needs = {channel}});
    weir_grpc_server_add(app, "front-server", front, &(struct weir_grpc_options){.listen = f->listen});
    run_app(&f->running, app);

    new_call(f, 3000);
    Echo__EchoReply *reply;
    assert_int_equal(echo(f, "tea", &reply), WEIR_OK);
    assert_string_equal(reply->transport, "from the back");
    const char *own_trace = weir_context_traceparent(weir_call_context(f->call));
    assert_memory_equal(front_trace, own_trace, 36); /* version and trace id; the span is another */
    assert_memory_equal(back_trace, own_trace, 36);
    assert_string_not_equal(back_trace, front_trace);
    /* The core rounds grpc-timeout up, to three digits. */
    assert_in_range(front_left_ms, 2000, 3100);
    assert_in_range(back_left_ms, 2000, 3100);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_handler_on_the_executor_answers),
        TEST(an_inline_handler_answers),
        TEST(a_handlers_words_reach_the_client),
        TEST(words_about_defects_stay_inside),
        TEST(what_has_no_handler_is_unimplemented),
        TEST(bytes_that_are_no_message_are_an_invalid_argument),
        TEST(a_passed_deadline_wakes_the_handler),
        TEST(a_cancelled_call_wakes_the_handler),
        TEST(without_the_clients_deadline_the_servers_counts),
        TEST(a_deferred_call_is_answered_when_its_author_says),
        TEST(who_asks_is_not_taken_from_metadata),
        TEST(who_asks_is_believed_of_callers_that_are_trusted),
        TEST(the_idempotency_key_is_the_message_id),
        TEST(too_many_calls_are_refused_politely),
        TEST(a_large_request_is_refused_politely),
        TEST(a_client_stream_is_summed_up),
        TEST(a_slow_reader_holds_a_server_stream_back),
        TEST(both_sides_of_a_stream_talk),
        TEST(both_sides_of_an_inline_stream_talk),
        TEST(a_stream_may_end_with_an_error),
        TEST(a_stream_is_told_when_its_client_leaves),
        TEST(a_stream_is_told_when_its_clients_process_vanishes),
        TEST(trace_and_deadline_go_through_two_hops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
