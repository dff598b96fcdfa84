/* The test kit: what comes in and goes out of a service, without sockets and brokers. */
#include "test.h"

#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <weir/test.h>
#include <weir/weir.h>

#include "echo_service.h"

#define ECHO "weir.test.v1.EchoService/"
#define START(test, ...) weir_test_call_start(test, &(struct weir_test_request){__VA_ARGS__})

static struct echo_service echo;
static struct weir_channel *downstream;
static struct weir_sql *db;

static struct weir_app *served_app(int argc, char **argv)
{
    struct weir_app *app = weir_app_new("served", argc, argv);
    memset(&echo, 0, sizeof echo);
    struct weir_service *service = echo_service_start_with(app, &echo, false);
    weir_rest_server_add(app, "rest", service, NULL);
    weir_grpc_server_add(app, "grpc", service, NULL);
    weir_consumer_add(app, "echoes", service, NULL);
    return app;
}

static void a_method_is_called_by_name_and_answers_as_json(void **state)
{
    (void)state;
    struct weir_test *test = weir_test_new(served_app);
    const struct weir_test_reply *reply = weir_test_call(test, ECHO "Wait", "{\"blockMs\": 250}");
    assert_int_equal(reply->status, WEIR_OK);
    assert_string_equal(reply->json, "{\"over\":false}");
    assert_string_equal(reply->error, "");
    assert_int_equal(weir_test_now_ms(test), 250);
    reply = weir_test_call(test, ECHO "Fail", "{\"status\": 5, \"text\": \"no such tea\"}");
    assert_int_equal(reply->status, WEIR_NOT_FOUND);
    assert_string_equal(reply->error, "no such tea");
    reply = weir_test_call(test, ECHO "Missing", NULL);
    assert_int_equal(reply->status, WEIR_UNIMPLEMENTED);
    weir_test_stop_at(test, 0);
    assert_int_equal(weir_test_run_to_end(test), 0);
    weir_test_free(test);
}

static void a_principal_is_who_the_test_says(void **state)
{
    (void)state;
    struct weir_test *test = weir_test_new(served_app);
    struct weir_test_call *call =
        START(test, .method = ECHO "Echo", .json = "{\"text\": \"hi\"}", .principal = "eve");
    const struct weir_test_reply *reply = weir_test_call_reply(call);
    assert_non_null(reply);
    assert_non_null(strstr(reply->json, "\"principal\":\"eve\""));
    weir_test_free(test);
}

static void a_call_in_flight_completes_while_the_service_stops(void **state)
{
    (void)state;
    struct weir_test *test = weir_test_new(served_app);
    struct weir_test_call *call = START(test, .method = ECHO "Wait", .json = "{\"blockMs\": 3000}");
    assert_null(weir_test_call_reply(call));
    weir_test_stop_at(test, 1000);
    weir_test_advance(test, 1500);
    struct weir_test_call *late = START(test, .method = ECHO "Wait", .json = "{\"blockMs\": 1}");
    assert_int_equal(weir_test_call_reply(late)->status, WEIR_UNAVAILABLE);

    assert_string_equal(weir_test_report(test)->outcome, "clean");
    assert_string_equal(weir_test_call_reply(call)->json, "{\"over\":false}");
    assert_int_equal(weir_test_component(test, "rest")->work.in_flight, 1);
    assert_int_equal(weir_test_component(test, "rest")->work.completed, 1);
    assert_int_equal(weir_test_component(test, "rest")->drain.used_ms, 2000);
    weir_test_free(test);
}

static void a_call_that_is_too_long_is_cut_by_the_stop_and_its_client_told(void **state)
{
    (void)state;
    struct weir_test *test =
        weir_test_new_with(served_app, (const char *const[]){"--app.deadline_ms=9000", NULL});
    struct weir_test_call *call =
        START(test, .method = ECHO "Wait", .json = "{\"blockMs\": 20000}", .server = "grpc");
    weir_test_stop_at(test, 0);
    assert_int_equal(weir_test_report(test)->exit, EX_TEMPFAIL);
    assert_int_equal(weir_test_component(test, "grpc")->work.cancelled, 1);
    assert_string_equal(weir_test_component(test, "rest")->outcome, "clean");
    assert_int_equal(weir_test_call_reply(call)->status, WEIR_UNAVAILABLE);
    weir_test_free(test);
}

static void a_deadline_and_a_client_that_leaves_reach_the_handler(void **state)
{
    (void)state;
    struct weir_test *test = weir_test_new(served_app);
    struct weir_test_call *late =
        START(test, .method = ECHO "Wait", .json = "{\"blockMs\": 20000}", .timeout_ms = 5000);
    struct weir_test_call *left = START(test, .method = ECHO "Wait", .json = "{\"blockMs\": 20000}");
    weir_test_advance(test, 1000);
    weir_test_call_cancel(left);
    assert_int_equal(weir_test_call_reply(left)->status, WEIR_CANCELLED);
    assert_int_equal(weir_test_call_wait(late)->status, WEIR_DEADLINE_EXCEEDED);
    assert_int_equal(weir_test_now_ms(test), 5000);
    weir_test_free(test);
}

static void streams_carry_messages_both_ways_and_are_told_of_the_drain(void **state)
{
    (void)state;
    struct weir_test *test = weir_test_new(served_app);
    struct weir_test_call *sum = START(test, .method = ECHO "Sum");
    weir_test_call_send(sum, "{\"value\": 40}");
    weir_test_call_send(sum, "{\"value\": 2}");
    assert_null(weir_test_call_reply(sum));
    weir_test_call_half_close(sum);
    assert_string_equal(weir_test_call_reply(sum)->json, "{\"sum\":\"42\",\"messages\":2}");

    struct weir_test_call *count = START(test, .method = ECHO "Count", .json = "{\"n\": 2, \"stay\": true}");
    assert_string_equal(weir_test_call_receive(count), "{\"i\":1,\"padding\":\"\"}");
    assert_string_equal(weir_test_call_receive(count), "{\"i\":2,\"padding\":\"\"}");
    assert_null(weir_test_call_receive(count));
    struct weir_test_call *chat = START(test, .method = ECHO "Chat");
    weir_test_call_send(chat, "{\"text\": \"tea\"}");
    assert_string_equal(weir_test_call_receive(chat), "{\"text\":\"you said tea\"}");

    weir_test_stop_at(test, 0);
    weir_test_run_to_end(test);
    assert_int_equal(echo.draining, 2);
    assert_non_null(weir_test_call_reply(count));
    weir_test_free(test);
}

static void a_message_is_handed_to_who_consumes_its_topic(void **state)
{
    (void)state;
    struct weir_test *test = weir_test_new(served_app);
    assert_int_equal(weir_test_deliver(test, "user.echo", "{\"text\": \"hi\", \"key\": \"k\"}")->status,
                     WEIR_OK);
    assert_int_equal(echo.echoed, 1);
    assert_string_equal(echo.last_message_id, "test-1");
    weir_test_stop_at(test, 0);
    assert_int_equal(weir_test_run_to_end(test), 0);
    weir_test_free(test);
}

/* ---- Out ---- */

static enum weir_status ask_downstream(struct weir_call *call, const Echo__EchoRequest *request,
                                       Echo__EchoReply *reply)
{
    Echo__WaitRequest wait = ECHO__WAIT_REQUEST__INIT;
    Echo__WaitReply *waited;
    wait.block_ms = 7;
    enum weir_status status = echo_wait(call, downstream, &wait, &waited);
    if (status != WEIR_OK)
        return status;
    reply->transport = weir_call_strdup(call, waited->over ? "over" : "not over");
    struct weir_tx *tx = weir_sql_begin(call, db);
    echo_echo_request_publish(tx, request);
    return weir_sql_commit(tx);
}

static struct weir_app *calling_app(int argc, char **argv)
{
    static const struct echo_handlers handlers = {.echo = {.fn = ask_downstream}};
    struct weir_app *app = weir_app_new("calling", argc, argv);
    downstream = weir_rest_channel_add(app, "downstream", NULL);
    db = weir_sql_add(app, "db", NULL);
    struct weir_producer *events = weir_producer_add(app, "events", NULL);
    struct weir_outbox *outbox = weir_outbox_add(app, "outbox", db, events, NULL);
    struct weir_service *service = echo_service_add(
        app, &(struct echo_service_options){.handlers = &handlers, .needs = {downstream, db, outbox}});
    weir_rest_server_add(app, "rest", service, NULL);
    return app;
}

static void answer(struct weir_test *test, struct weir_test_answer given)
{
    given.method = ECHO "Wait";
    weir_test_answer(test, &given);
}

static void what_is_asked_of_other_services_is_answered_as_the_test_says(void **state)
{
    (void)state;
    struct weir_test *test = weir_test_new(calling_app);
    const struct weir_test_reply *reply = weir_test_call(test, ECHO "Echo", NULL);
    assert_int_equal(reply->status, WEIR_UNAVAILABLE);
    assert_string_equal(reply->error, "the test has named no answer for this method");

    answer(test, (struct weir_test_answer){.json = "{\"over\": true}", .after_ms = 300});
    int64_t begun = weir_test_now_ms(test);
    reply = weir_test_call(test, ECHO "Echo", "{\"key\": \"k-1\"}");
    assert_non_null(strstr(reply->json, "\"transport\":\"over\""));
    assert_int_equal(weir_test_now_ms(test) - begun, 300);
    assert_string_equal(weir_test_asked(test, ECHO "Wait", 1), "{\"blockMs\":7,\"defer\":false}");
    assert_null(weir_test_asked(test, ECHO "Wait", 2));

    answer(test, (struct weir_test_answer){.status = WEIR_NOT_FOUND, .error = "no such wait"});
    reply = weir_test_call(test, ECHO "Echo", NULL);
    assert_int_equal(reply->status, WEIR_NOT_FOUND);
    assert_string_equal(reply->error, "no such wait");

    answer(test, (struct weir_test_answer){.after_ms = 60000});
    begun = weir_test_now_ms(test);
    assert_int_equal(weir_test_call(test, ECHO "Echo", NULL)->status, WEIR_DEADLINE_EXCEEDED);
    assert_int_equal(weir_test_now_ms(test) - begun, 10000);
    weir_test_free(test);
}

static void what_is_published_is_kept(void **state)
{
    (void)state;
    struct weir_test *test = weir_test_new(calling_app);
    answer(test, (struct weir_test_answer){.json = NULL});
    weir_test_call(test, ECHO "Echo", "{\"key\": \"k-1\", \"text\": \"tea\"}");
    weir_test_advance(test, 1000);
    const struct weir_test_record *record = weir_test_published(test, &echo_echo_request_topic, 0);
    assert_non_null(record);
    assert_string_equal(record->key, "k-1");
    assert_non_null(strstr(record->json, "\"text\":\"tea\""));
    assert_null(weir_test_published(test, &echo_echo_request_topic, 1));
    weir_test_stop_at(test, 0);
    assert_string_equal(weir_test_report(test)->outcome, "clean");
    weir_test_free(test);
}

static void what_a_broker_that_is_gone_did_not_get_stays_in_the_outbox(void **state)
{
    (void)state;
    struct weir_test *test = weir_test_new(calling_app);
    answer(test, (struct weir_test_answer){.json = NULL});
    weir_test_broker(test, false);
    weir_test_call(test, ECHO "Echo", "{\"key\": \"k-1\"}");
    weir_test_stop_at(test, 500);
    assert_int_equal(weir_test_report(test)->exit, EX_TEMPFAIL);
    assert_int_equal(weir_test_component(test, "outbox")->work.kept, 1);
    assert_int_equal(weir_test_component(test, "events")->work.undelivered, 1);
    assert_null(weir_test_published(test, &echo_echo_request_topic, 0));
    weir_test_free(test);
}

static enum weir_status fork_and_answer(struct weir_call *call, const Echo__EchoRequest *request,
                                        Echo__EchoReply *reply)
{
    (void)request;
    pid_t pid = fork();
    if (pid == 0)
        return WEIR_OK;
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    reply->transport = weir_call_printf(call, "child exited with %d", WEXITSTATUS(status));
    return WEIR_OK;
}

static struct weir_app *forking_app(int argc, char **argv)
{
    static const struct echo_handlers handlers = {.echo = {.fn = fork_and_answer}};
    struct weir_app *app = weir_app_new("forking", argc, argv);
    struct weir_service *service =
        echo_service_add(app, &(struct echo_service_options){.handlers = &handlers});
    weir_rest_server_add(app, "rest", service, NULL);
    return app;
}

/* Else a client would be answered twice, by two processes that have the same socket. */
static void a_process_that_a_handler_forks_does_not_answer_the_call(void **state)
{
    (void)state;
    struct weir_test *test = weir_test_new(forking_app);
    const struct weir_test_reply *reply = weir_test_call(test, ECHO "Echo", NULL);
    assert_non_null(strstr(reply->json, "\"transport\":\"child exited with 70\""));
    assert_int_equal(weir_test_now_ms(test), 0); /* time waits for a wait that is not its own */
    weir_test_free(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_method_is_called_by_name_and_answers_as_json),
        cmocka_unit_test(a_principal_is_who_the_test_says),
        cmocka_unit_test(a_call_in_flight_completes_while_the_service_stops),
        cmocka_unit_test(a_call_that_is_too_long_is_cut_by_the_stop_and_its_client_told),
        cmocka_unit_test(a_deadline_and_a_client_that_leaves_reach_the_handler),
        cmocka_unit_test(streams_carry_messages_both_ways_and_are_told_of_the_drain),
        cmocka_unit_test(a_message_is_handed_to_who_consumes_its_topic),
        cmocka_unit_test(what_is_asked_of_other_services_is_answered_as_the_test_says),
        cmocka_unit_test(a_process_that_a_handler_forks_does_not_answer_the_call),
        cmocka_unit_test(what_is_published_is_kept),
        cmocka_unit_test(what_a_broker_that_is_gone_did_not_get_stays_in_the_outbox),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
