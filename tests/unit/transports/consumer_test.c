/* What the consumer promises while it runs: order per key, nothing lost, nothing stuck behind a bad message.
 */
#include "consumer_kit.h"
#include "shard.h"
#include "wait.h"

static int set_up(void **state)
{
    struct kit_broker *broker = kit_broker_new();
    *state = kit_new(broker, 4);
    return 0;
}

static int tear_down(void **state)
{
    struct kit *kit = *state;
    struct kit_broker *broker = kit->broker;
    kit_destroy(kit);
    kit_broker_destroy(broker);
    return 0;
}

static void every_message_is_handled_once_in_the_order_of_its_key_and_committed(void **state)
{
    struct kit *kit = *state;
    kit_send(kit, 0, 4000, 40);
    struct weir_consumer *consumer = kit_start(kit, NULL, &(struct weir_consumer_options){.workers = 4});
    kit_wait_handled(kit, 4000);

    struct kit_stop stop = kit_stop(consumer, 5000, 5000);

    assert_int_equal(kit_missing(kit, 4000), 0);
    assert_int_equal(kit_extra(kit, 4000), 0);
    assert_int_equal(kit->out_of_order, 0);
    assert_int_equal(kit_committed_sum(kit), 4000);
    assert_int_equal(stop.work.uncommitted, 0);
}

static void the_message_id_is_the_header_ce_id(void **state)
{
    struct kit *kit = *state;
    kit_send(kit, 7, 1, 1);
    struct weir_consumer *consumer = kit_start(kit, NULL, NULL);
    kit_wait_handled(kit, 1);
    kit_stop(consumer, 5000, 5000);
    assert_string_equal(kit->message_id, "message-7");
}

static void a_message_without_an_id_has_its_place_as_id(void **state)
{
    struct kit *kit = *state;
    char expected[128];
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    uint8_t wire[64];
    request.text = "1";
    request.key = "k0";
    size_t size = echo__echo_request__pack(&request, wire);
    kit_produce(kit->broker,
                &(struct kit_record){.topic = kit->topic, .partition = 2, .value = wire, .size = size}, 1);
    struct weir_consumer *consumer = kit_start(kit, NULL, NULL);
    kit_wait_handled(kit, 1);
    kit_stop(consumer, 5000, 5000);
    snprintf(expected, sizeof expected, "%s/2/0", kit->topic);
    assert_string_equal(kit->message_id, expected);
}

/* Keys k0 and k4 share partition 0. */
static void a_transient_failure_is_tried_again_and_only_its_key_waits(void **state)
{
    struct kit *kit = *state;
    kit->fail_index = 0;
    kit->fail_times = 3; /* 100, 200 and 400 ms of back-off */
    kit->fail_status = WEIR_UNAVAILABLE;
    kit_send(kit, 0, 80, 8);
    struct weir_consumer *consumer = kit_start(kit, NULL, NULL);

    kit_wait_handled(kit, 70); /* all keys but k0 */
    assert_int_equal(kit->last[0], 0);
    assert_int_equal(kit->last[4], 10);
    kit_wait_handled(kit, 80);
    struct kit_stop stop = kit_stop(consumer, 5000, 5000);

    assert_int_equal(kit->runs, 83);
    assert_int_equal(kit->out_of_order, 0);
    assert_int_equal(kit_committed_sum(kit), 80);
    assert_int_equal(stop.work.uncommitted, 0);
}

static void assert_header(const struct kit_stored *stored, const char *header)
{
    if (!strstr(stored->headers, header))
        fail_msg("no %s in %s", header, stored->headers);
}

static void a_message_that_can_never_succeed_is_set_aside_and_the_next_ones_go_on(void **state)
{
    struct kit *kit = *state;
    kit->fail_index = 0;
    kit->fail_times = 1;
    kit->fail_status = WEIR_FAILED_PRECONDITION;
    kit_send(kit, 0, 10, 1);
    struct weir_consumer *consumer = kit_start(kit, NULL, NULL);
    kit_wait_handled(kit, 9);
    kit_stop(consumer, 5000, 5000);

    assert_int_equal(kit_committed_sum(kit), 10);
    struct kit_stored *stored;
    assert_int_equal(kit_read_all(kit->broker, kit->dead_letters, &stored), 1);
    assert_string_equal(stored->key, "k0");
    char origin[128];
    snprintf(origin, sizeof origin, "weir-origin-topic=%s;", kit->topic);
    assert_header(stored, origin);
    assert_header(stored, "ce_id=message-0;");
    assert_header(stored, "weir-origin-partition=0;");
    assert_header(stored, "weir-origin-offset=0;");
    assert_header(stored, "weir-origin-status=FAILED_PRECONDITION;");
    assert_header(stored, "weir-origin-error=told to fail;");
    assert_header(stored, "weir-origin-attempts=1;");
    kit_stored_free(stored, 1);
}

static void what_is_no_message_is_set_aside(void **state)
{
    struct kit *kit = *state;
    kit_send_raw(kit, 0, "\xff\xff\xff\xff", 4);
    kit_send(kit, 0, 4, 4);
    struct weir_consumer *consumer = kit_start(kit, NULL, NULL);
    kit_wait_handled(kit, 4);
    kit_stop(consumer, 5000, 5000);

    assert_int_equal(kit_committed_sum(kit), 5);
    struct kit_stored *stored;
    assert_int_equal(kit_read_all(kit->broker, kit->dead_letters, &stored), 1);
    assert_memory_equal(stored->value, "\xff\xff\xff\xff", 4);
    assert_header(stored, "weir-origin-status=INVALID_ARGUMENT;");
    kit_stored_free(stored, 1);
}

static void a_defect_is_tried_three_times_and_then_set_aside(void **state)
{
    struct kit *kit = *state;
    kit->fail_index = 0;
    kit->fail_times = 100;
    kit->fail_status = WEIR_INTERNAL;
    kit_send(kit, 0, 2, 1);
    struct weir_consumer *consumer = kit_start(kit, NULL, NULL);
    kit_wait_handled(kit, 1);
    kit_stop(consumer, 5000, 5000);

    assert_int_equal(kit->runs, 4);
    assert_int_equal(kit_committed_sum(kit), 2);
    struct kit_stored *stored;
    assert_int_equal(kit_read_all(kit->broker, kit->dead_letters, &stored), 1);
    assert_header(stored, "weir-origin-attempts=3;");
    assert_header(stored, "weir-origin-status=INTERNAL;");
    kit_stored_free(stored, 1);
}

static void who_asks_is_believed_of_producers_that_are_trusted_and_of_no_others(void **state)
{
    struct kit *kit = *state;
    kit->send_principal = "ada";
    kit_send(kit, 0, 1, 1);
    struct weir_consumer *consumer = kit_start(kit, NULL, NULL);
    kit_wait_handled(kit, 1);
    kit_stop(consumer, 5000, 5000);
    assert_string_equal(kit->principal, "nobody");

    kit_send(kit, 1, 1, 1);
    consumer = kit_start(kit, NULL, &(struct weir_consumer_options){.trust_principal = true});
    kit_wait_handled(kit, 2);
    kit_stop(consumer, 5000, 5000);
    assert_string_equal(kit->principal, "ada");
}

static void a_store_that_is_damaged_empties_no_topic(void **state)
{
    struct kit *kit = *state;
    kit->fail_index = 0;
    kit->fail_times = 2;
    kit->fail_status = WEIR_DATA_LOSS;
    kit_send(kit, 0, 2, 1);
    struct weir_consumer *consumer = kit_start(kit, NULL, NULL);
    kit_wait_handled(kit, 2);
    kit_stop(consumer, 5000, 5000);

    assert_int_equal(kit->runs, 4);
    assert_int_equal(kit_committed_sum(kit), 2);
}

static void attempts_max_ends_the_attempts_of_a_transient_failure(void **state)
{
    struct kit *kit = *state;
    kit->fail_index = 0;
    kit->fail_times = 100;
    kit->fail_status = WEIR_UNAVAILABLE;
    kit_send(kit, 0, 2, 1);
    struct weir_consumer *consumer = kit_start(kit, NULL, &(struct weir_consumer_options){.attempts_max = 2});
    kit_wait_handled(kit, 1);
    kit_stop(consumer, 5000, 5000);

    assert_int_equal(kit->runs, 3);
    struct kit_stored *stored;
    assert_int_equal(kit_read_all(kit->broker, kit->dead_letters, &stored), 1);
    kit_stored_free(stored, 1);
}

static bool lag_is_zero(void *arg)
{
    struct weir_buffer *text = arg;
    weir_buffer_clear(text);
    metrics_write(text);
    return strstr(weir_buffer_text(text), "weir_consumer_lag{consumer=\"orders\"} 0\n") != NULL;
}

static bool lag_is_nine(void *arg)
{
    struct weir_buffer *text = arg;
    weir_buffer_clear(text);
    metrics_write(text);
    return strstr(weir_buffer_text(text), "weir_consumer_lag{consumer=\"orders\"} 9\n") != NULL;
}

static void what_became_of_messages_is_counted_and_how_many_wait(void **state)
{
    struct kit *kit = *state;
    struct weir_buffer text = {0};
    kit->name = "orders";
    kit->fail_index = 0;
    kit->fail_times = 1;
    kit->fail_status = WEIR_NOT_FOUND;
    kit->defer = true;
    kit_send(kit, 0, 10, 1);
    struct weir_consumer *consumer = kit_start(kit, NULL, NULL);

    kit_wait(lag_is_nine, &text);
    assert_non_null(strstr(weir_buffer_text(&text), "weir_consumer_partitions{consumer=\"orders\"} 4\n"));
    pthread_mutex_lock(&kit->lock);
    kit->defer = false;
    pthread_mutex_unlock(&kit->lock);
    kit_answer_deferred(kit, WEIR_OK);
    kit_wait(lag_is_zero, &text);
    const char *shown = weir_buffer_text(&text);
    assert_non_null(strstr(shown, "weir_consumer_messages_total{consumer=\"orders\",result=\"done\"} 10\n"));
    assert_non_null(
        strstr(shown, "weir_consumer_messages_total{consumer=\"orders\",result=\"set_aside\"} 1\n"));
    kit_stop(consumer, 5000, 5000);
    weir_buffer_free(&text);
}

static bool sixty_four_are_deferred(void *arg)
{
    struct kit *kit = arg;
    pthread_mutex_lock(&kit->lock);
    bool enough = kit->deferred_count == 64;
    pthread_mutex_unlock(&kit->lock);
    return enough;
}

static void no_more_is_held_than_in_flight_max(void **state)
{
    struct kit *kit = *state;
    kit->defer = true;
    kit_send(kit, 0, 4000, 400);
    struct weir_consumer *consumer =
        kit_start(kit, NULL, &(struct weir_consumer_options){.in_flight_max = 64});
    kit_wait(sixty_four_are_deferred, kit);
    int64_t deadline = weir_deadline_in_ms(200);
    while (weir_now_ns() < deadline)
        assert_true(consumer_held(consumer) <= 64);
    assert_int_equal(kit_runs(kit), 64);

    pthread_mutex_lock(&kit->lock);
    kit->defer = false;
    pthread_mutex_unlock(&kit->lock);
    kit_answer_deferred(kit, WEIR_OK);
    kit_wait_handled(kit, 4000);
    kit_stop(consumer, 5000, 5000);
    assert_int_equal(kit_committed_sum(kit), 4000);
    assert_int_equal(kit->out_of_order, 0);
}

static bool eight_are_deferred(void *arg)
{
    struct kit *kit = arg;
    pthread_mutex_lock(&kit->lock);
    bool enough = kit->deferred_count == 8;
    pthread_mutex_unlock(&kit->lock);
    return enough;
}

static void handlers_that_answer_later_hold_their_key_but_no_worker(void **state)
{
    struct kit *kit = *state;
    kit->defer = true;
    kit_send(kit, 0, 16, 8);
    struct weir_consumer *consumer = kit_start(kit, NULL, &(struct weir_consumer_options){.workers = 1});
    kit_wait(eight_are_deferred, kit);
    assert_int_equal(kit_runs(kit), 8);
    assert_int_equal(kit_committed_sum(kit), 0);

    kit_answer_deferred(kit, WEIR_OK);
    kit_wait(eight_are_deferred, kit);
    kit_answer_deferred(kit, WEIR_OK);
    kit_wait_handled(kit, 16);
    kit_stop(consumer, 5000, 5000);
    assert_int_equal(kit_committed_sum(kit), 16);
    assert_int_equal(kit->out_of_order, 0);
}

static void a_handler_is_told_when_its_time_is_over(void **state)
{
    struct kit *kit = *state;
    kit->blocked = true;
    kit_send(kit, 0, 1, 1);
    struct weir_consumer *consumer =
        kit_start(kit, NULL, &(struct weir_consumer_options){.timeout_ms = 100, .attempts_max = 1});
    bool told = false;
    int64_t deadline = weir_deadline_in_ms(10000);
    while (!told && weir_now_ns() < deadline) {
        pthread_mutex_lock(&kit->lock);
        told = kit->told_to_end > 0;
        pthread_mutex_unlock(&kit->lock);
    }
    assert_true(told);
    kit_unblock(kit);
    kit_stop(consumer, 5000, 5000);
}

/* ---- a broker that forgets ---- */

static void produce_to_child(const struct kit_child *child, struct kit *kit, int first, int count)
{
    struct kit_broker *broker = kit->broker;
    kit->broker = kit_broker_at(child->address);
    kit_send(kit, first, count, 4);
    kit_broker_destroy(kit->broker);
    kit->broker = broker;
}

static void messages_of_a_broker_that_forgot_its_log_are_handled(void **state)
{
    struct kit *kit = *state;
    if (kit_broker_is_real())
        skip();
    struct kit_child first, second;
    kit_child_start(&first, "127.0.0.1:0");
    produce_to_child(&first, kit, 0, 100);
    struct weir_consumer *consumer = kit_start(kit, first.address, NULL);
    kit_wait_handled(kit, 100);
    kit_child_kill(&first);
    kit_child_start(&second, first.address);
    produce_to_child(&second, kit, 100, 20);

    kit_wait_handled(kit, 120);
    assert_int_equal(kit_missing(kit, 120), 0);
    kit_stop(consumer, 5000, 5000);
    kit_child_kill(&second);
}

/* The new log is longer than the old one was by the time that the consumer is back: its old position is
 * there, too. */
static void messages_of_a_new_log_that_is_longer_than_the_old_one_are_handled(void **state)
{
    struct kit *kit = *state;
    if (kit_broker_is_real())
        skip();
    struct kit_child first, second;
    kit_child_start(&first, "127.0.0.1:0");
    produce_to_child(&first, kit, 0, 100);
    struct weir_consumer *consumer = kit_start(kit, first.address, NULL);
    kit_wait_handled(kit, 100);
    kit_child_kill(&first);
    kit_child_start(&second, first.address);
    produce_to_child(&second, kit, 100, 1000);

    while (kit_missing(kit, 1100) > 0)
        kit_wait_handled(kit, kit_handled(kit) + 1);
    kit_stop(consumer, 5000, 5000);
    kit_child_kill(&second);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_message_is_handled_once_in_the_order_of_its_key_and_committed),
        TEST(the_message_id_is_the_header_ce_id),
        TEST(a_message_without_an_id_has_its_place_as_id),
        TEST(a_transient_failure_is_tried_again_and_only_its_key_waits),
        TEST(a_message_that_can_never_succeed_is_set_aside_and_the_next_ones_go_on),
        TEST(what_is_no_message_is_set_aside),
        TEST(a_defect_is_tried_three_times_and_then_set_aside),
        TEST(who_asks_is_believed_of_producers_that_are_trusted_and_of_no_others),
        TEST(a_store_that_is_damaged_empties_no_topic),
        TEST(attempts_max_ends_the_attempts_of_a_transient_failure),
        TEST(what_became_of_messages_is_counted_and_how_many_wait),
        TEST(no_more_is_held_than_in_flight_max),
        TEST(handlers_that_answer_later_hold_their_key_but_no_worker),
        TEST(a_handler_is_told_when_its_time_is_over),
        TEST(messages_of_a_broker_that_forgot_its_log_are_handled),
        TEST(messages_of_a_new_log_that_is_longer_than_the_old_one_are_handled),
    };
    cmocka_set_test_filter(getenv("TEST")); /* one of them: TEST="*frozen*" */
    return kit_run_tests(tests, NULL, NULL);
}
