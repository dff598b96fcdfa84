/* Calls and streams of the gRPC engine. */
#include "test.h"

#include <unistd.h>

#include <weir/clock.h>

#include "core/memory.h"
#include "rpc_kit.h"

/* ---- Unary ---- */

static void a_unary_call_is_answered(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    assert_int_equal(caller_call(&caller, fixture->client, &unary, weir_bytes_of_text("hello")), WEIR_OK);
    assert_string_equal(caller.reply, "hello");
}

static void an_empty_message_is_a_message(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    assert_int_equal(caller_call(&caller, fixture->client, &unary, weir_bytes_of_text("")), WEIR_OK);
    assert_string_equal(caller.reply, "");
}

static void a_failure_comes_with_its_words(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    assert_int_equal(caller_call(&caller, fixture->client, &unary, weir_bytes_of_text("fail")),
                     WEIR_NOT_FOUND);
    assert_string_equal(caller.text, "no caf\xc3\xa9 of that name");
}

static void an_answer_may_come_later_from_another_thread(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    assert_int_equal(caller_call(&caller, fixture->client, &unary, weir_bytes_of_text("later")), WEIR_OK);
    assert_string_equal(caller.reply, "later");
}

static void many_calls_at_once_are_all_answered(void **state)
{
    struct fixture *fixture = *state;
    enum { MANY = 200 };
    struct caller *callers = memory_zalloc(MANY * sizeof *callers);
    for (int i = 0; i < MANY; i++)
        caller_start(&callers[i], fixture->client, &unary, weir_bytes_of_text(i % 2 ? "later" : "now"),
                     CALLER_PATIENCE_MS);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(caller_end(&callers[i]), WEIR_OK);
        assert_string_equal(callers[i].reply, i % 2 ? "later" : "now");
    }
    free(callers);
}

static void an_unknown_method_is_unimplemented(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    assert_int_equal(caller_call(&caller, fixture->client, &unknown, weir_bytes_of_text("")),
                     WEIR_UNIMPLEMENTED);
    assert_string_equal(caller.text, "no method /test.Test/Nothing here");
}

static void a_request_over_the_limit_is_resource_exhausted(void **state)
{
    struct fixture *fixture = *state;
    char *large = memory_zalloc(MESSAGE_MAX + 2);
    memset(large, 'x', MESSAGE_MAX + 1);
    struct caller caller;
    assert_int_equal(caller_call(&caller, fixture->client, &unary, weir_bytes_of_text(large)),
                     WEIR_RESOURCE_EXHAUSTED);
    assert_string_equal(caller.text, "a message of 65537 bytes is over the limit of 65536");
    assert_int_equal(atomic_load(&fixture->begun), 0);
    free(large);
}

static void metadata_over_the_limit_is_resource_exhausted(void **state)
{
    struct fixture *fixture = *state;
    char *large = memory_zalloc(16384);
    memset(large, 'k', 16383);
    struct caller caller;
    caller_start_with_key(&caller, fixture->client, &unary, large);
    assert_int_equal(caller_end(&caller), WEIR_RESOURCE_EXHAUSTED);
    assert_int_equal(atomic_load(&fixture->begun), 0);
    free(large);
}

static void metadata_of_the_call_arrives(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    assert_int_equal(caller_call(&caller, fixture->client, &unary, weir_bytes_of_text("trace")), WEIR_OK);
    assert_memory_equal(caller.reply, "00-4bf92f3577b34da6a3ce929d0e0e4736-", 36);
    assert_int_equal(caller_call(&caller, fixture->client, &unary, weir_bytes_of_text("key")), WEIR_OK);
    assert_string_equal(caller.reply, "key-1");
}

static void the_deadline_arrives_and_without_one_the_default_counts(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    caller_start(&caller, fixture->client, &unary, weir_bytes_of_text("deadline"), 3000);
    assert_int_equal(caller_end(&caller), WEIR_OK);
    assert_string_equal(caller.reply, "less");
    caller_start(&caller, fixture->client, &unary, weir_bytes_of_text("deadline"), -1);
    assert_int_equal(caller_end(&caller), WEIR_OK);
    assert_string_equal(caller.reply, "about 5 s");
}

static void a_passed_deadline_is_told_on_both_sides(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    caller_start(&caller, fixture->client, &unary, weir_bytes_of_text("hold"), 100);
    assert_int_equal(caller_end(&caller), WEIR_DEADLINE_EXCEEDED);
    await_count(&fixture->over, 1);
    assert_int_equal(atomic_load(&fixture->over_status), WEIR_DEADLINE_EXCEEDED);
}

static void a_cancelled_call_is_told_to_its_handler(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    caller_start(&caller, fixture->client, &unary, weir_bytes_of_text("hold"), CALLER_PATIENCE_MS);
    await_count(&fixture->begun, 1);
    context_end(&caller.outgoing.context, WEIR_CANCELLED);
    assert_int_equal(caller_end(&caller), WEIR_CANCELLED);
    await_count(&fixture->over, 1);
    assert_int_equal(atomic_load(&fixture->over_status), WEIR_CANCELLED);
}

static void a_call_without_time_is_not_sent(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    caller_start(&caller, fixture->client, &unary, weir_bytes_of_text("hello"), 0);
    assert_true(caller.done);
    assert_int_equal(caller_end(&caller), WEIR_DEADLINE_EXCEEDED);
    assert_int_equal(atomic_load(&fixture->begun), 0);
}

static void a_client_that_vanishes_cancels_its_calls(void **state)
{
    struct fixture *fixture = *state;
    struct rpc_client *other = caller_new_client(rpc_server_port(fixture->server));
    struct caller caller;
    caller_start(&caller, other, &unary, weir_bytes_of_text("hold"), CALLER_PATIENCE_MS);
    await_count(&fixture->begun, 1);
    rpc_client_destroy(other);
    assert_int_equal(caller_end(&caller), WEIR_CANCELLED);
    await_count(&fixture->over, 1);
    await_count(&fixture->gone, 1);
}

/* ---- Streams ---- */

static void a_client_stream_is_answered_at_its_end(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    caller_start(&caller, fixture->client, &collect, (struct weir_bytes){0}, CALLER_PATIENCE_MS);
    caller_send(&caller, "one ");
    caller_send(&caller, "two ");
    caller_send(&caller, "three");
    rpc_client_half_close(&caller.outgoing);
    assert_int_equal(caller_end(&caller), WEIR_OK);
    assert_string_equal(caller.reply, "one two three");
}

static void a_server_stream_gives_every_message(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    caller_start(&caller, fixture->client, &count, weir_bytes_of_text("100"), CALLER_PATIENCE_MS);
    while (!caller.done) {
        caller_read(&caller);
    }
    assert_int_equal(caller_end(&caller), WEIR_OK);
    assert_int_equal(caller.received, 100);
}

static void a_slow_reader_holds_the_sender_back(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    caller_start(&caller, fixture->client, &count, weir_bytes_of_text("4000"), CALLER_PATIENCE_MS);
    caller_read(&caller);
    struct caller other;
    for (int i = 0; i < 20; i++) /* it has time to send all it may */
        assert_int_equal(caller_call(&other, fixture->client, &unary, weir_bytes_of_text("hello")), WEIR_OK);
    int taken = atomic_load(&fixture->taken);
    assert_in_range(taken, 1, 1500);
    while (!caller.done) {
        caller_read(&caller);
    }
    assert_int_equal(caller_end(&caller), WEIR_OK);
    assert_int_equal(caller.received, 4000);
}

static void both_sides_talk_until_one_ends_it(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    caller_start(&caller, fixture->client, &chat, (struct weir_bytes){0}, CALLER_PATIENCE_MS);
    for (int i = 0; i < 20; i++) {
        caller_send(&caller, "ping");
        caller_read(&caller);
        assert_string_equal(caller.reply, "ping");
    }
    caller_send(&caller, "end");
    rpc_client_read(&caller.outgoing);
    assert_int_equal(caller_end(&caller), WEIR_ABORTED);
    assert_string_equal(caller.text, "as you said");
}

static void what_is_asked_of_a_stream_that_is_done_does_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    caller_start(&caller, fixture->client, &chat, (struct weir_bytes){0}, CALLER_PATIENCE_MS);
    rpc_client_half_close(&caller.outgoing);
    rpc_client_read(&caller.outgoing);
    assert_int_equal(caller_end(&caller), WEIR_OK);
    rpc_client_read(&caller.outgoing);
    rpc_client_send(&caller.outgoing, weir_bytes_of_text("late"));
    rpc_client_half_close(&caller.outgoing);
}

static void a_message_over_the_limit_ends_the_stream(void **state)
{
    struct fixture *fixture = *state;
    char *large = memory_zalloc(MESSAGE_MAX + 2);
    memset(large, 'x', MESSAGE_MAX + 1);
    struct caller caller;
    caller_start(&caller, fixture->client, &chat, (struct weir_bytes){0}, CALLER_PATIENCE_MS);
    caller_send(&caller, large);
    rpc_client_read(&caller.outgoing);
    assert_int_equal(caller_end(&caller), WEIR_RESOURCE_EXHAUSTED);
    assert_string_equal(caller.text, "a message of 65537 bytes is over the limit of 65536");
    assert_int_equal(atomic_load(&fixture->taken), 0);
    free(large);
}

static void a_stream_is_told_that_the_server_drains(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    caller_start(&caller, fixture->client, &chat, (struct weir_bytes){0}, CALLER_PATIENCE_MS);
    await_count(&fixture->begun, 1);
    rpc_server_draining(fixture->server, 1000);
    assert_int_equal(caller_end(&caller), WEIR_UNAVAILABLE);
    assert_string_equal(caller.text, "draining");
    assert_int_equal(atomic_load(&fixture->draining), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_unary_call_is_answered),
        TEST(an_empty_message_is_a_message),
        TEST(a_failure_comes_with_its_words),
        TEST(an_answer_may_come_later_from_another_thread),
        TEST(many_calls_at_once_are_all_answered),
        TEST(an_unknown_method_is_unimplemented),
        TEST(a_request_over_the_limit_is_resource_exhausted),
        TEST(metadata_over_the_limit_is_resource_exhausted),
        TEST(metadata_of_the_call_arrives),
        TEST(the_deadline_arrives_and_without_one_the_default_counts),
        TEST(a_passed_deadline_is_told_on_both_sides),
        TEST(a_cancelled_call_is_told_to_its_handler),
        TEST(a_call_without_time_is_not_sent),
        TEST(a_client_that_vanishes_cancels_its_calls),
        TEST(a_client_stream_is_answered_at_its_end),
        TEST(a_server_stream_gives_every_message),
        TEST(a_slow_reader_holds_the_sender_back),
        TEST(both_sides_talk_until_one_ends_it),
        TEST(what_is_asked_of_a_stream_that_is_done_does_nothing),
        TEST(a_message_over_the_limit_ends_the_stream),
        TEST(a_stream_is_told_that_the_server_drains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
