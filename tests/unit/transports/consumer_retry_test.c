/* Messages that leave their place: retry topics. */
#include "consumer_kit.h"
#include "shard.h"
#include "wait.h"

/* One broker for all tests: to end a mock cluster takes seconds. Each test has a topic and a group of its own. */
static struct kit_broker *broker;

static int begin(void **state)
{
    (void)state;
    broker = kit_broker_new();
    return 0;
}

static int end(void **state)
{
    (void)state;
    kit_broker_destroy(broker);
    return 0;
}

static int set_up(void **state)
{
    struct kit *kit = kit_new(broker, 1);
    kit->fail_index = 0;
    kit->fail_status = WEIR_UNAVAILABLE;
    *state = kit;
    return 0;
}

static int tear_down(void **state)
{
    kit_destroy(*state);
    return 0;
}

static const struct weir_consumer_options two_levels = {.retry_after = 2, .retry_delays_ms = "300,400"};

/* All that a retry topic holds, or (level 0) that is dead. */
static size_t read_aside(struct kit *kit, int level, struct kit_stored **ret_stored)
{
    char topic[120];
    snprintf(topic, sizeof topic, "%s.retry.%d", kit->topic, level);
    return kit_read_all(kit->broker, level > 0 ? topic : kit->dead_letters, ret_stored);
}

static void assert_header(const struct kit_stored *stored, const char *name, const char *value)
{
    char header[256];
    snprintf(header, sizeof header, "%s=%s;", name, value);
    if (!strstr(stored->headers, header))
        fail_msg("no %s in %s", header, stored->headers);
}

static bool is_empty(void *consumer)
{
    return consumer_held(consumer) == 0;
}

static bool one_is_aside(void *consumer)
{
    return consumer_counts(consumer).set_aside == 1;
}

static bool one_has_moved(void *consumer)
{
    return consumer_counts(consumer).moved == 1;
}

static bool two_are_done(void *consumer)
{
    return consumer_counts(consumer).done == 2;
}

static void a_message_that_keeps_failing_moves_on_and_its_key_goes_on_without_it(void **state)
{
    struct kit *kit = *state;
    kit->fail_times = 3; /* twice in its place, once behind the first delay */
    kit_send(kit, 0, 10, 1);
    struct weir_consumer *consumer = kit_start(kit, NULL, &two_levels);
    kit_wait_handled(kit, 10);
    struct consumer_counts counts = consumer_counts(consumer);
    kit_wait(is_empty, consumer);
    kit_stop(consumer, 5000, 5000);

    assert_int_equal(kit->runs, 13);
    assert_int_equal(kit->times[0], 1);
    assert_int_equal(kit->out_of_order, 1); /* the one that moved */
    assert_string_equal(kit->message_id, "message-0");
    assert_int_equal(counts.moved, 2);
    assert_int_equal(counts.set_aside, 0);
    assert_int_equal(kit_committed_sum(kit), 10);

    struct kit_stored *stored;
    assert_int_equal(read_aside(kit, 1, &stored), 1);
    assert_string_equal(stored->key, "k0");
    assert_header(stored, "ce_id", "message-0");
    assert_header(stored, "weir-replay-group", kit->group);
    assert_header(stored, "weir-origin-topic", kit->topic);
    assert_header(stored, "weir-origin-offset", "0");
    assert_header(stored, "weir-origin-attempts", "2");
    kit_stored_free(stored, 1);
    assert_int_equal(read_aside(kit, 2, &stored), 1);
    assert_header(stored, "weir-origin-topic", kit->topic);
    assert_header(stored, "weir-origin-attempts", "3");
    kit_stored_free(stored, 1);
}

static void behind_the_last_retry_topic_are_the_dead_letters(void **state)
{
    struct kit *kit = *state;
    kit->fail_times = 1000;
    kit_send(kit, 0, 1, 1);
    struct weir_consumer *consumer = kit_start(kit, NULL, &two_levels);
    kit_wait(one_is_aside, consumer);
    kit_stop(consumer, 5000, 5000);

    assert_int_equal(kit->runs, 4);
    struct kit_stored *stored;
    assert_int_equal(read_aside(kit, 0, &stored), 1);
    assert_header(stored, "ce_id", "message-0");
    assert_header(stored, "weir-origin-topic", kit->topic);
    assert_header(stored, "weir-origin-partition", "0");
    assert_header(stored, "weir-origin-offset", "0");
    assert_header(stored, "weir-origin-status", "UNAVAILABLE");
    assert_header(stored, "weir-origin-attempts", "4");
    assert_null(strstr(stored->headers, "weir-retry-at"));
    assert_null(strstr(stored->headers, "weir-replay-group"));
    kit_stored_free(stored, 1);
}

static void a_message_that_waits_survives_a_stop_and_is_not_early(void **state)
{
    struct kit *kit = *state;
    kit->fail_times = 1;
    kit_send(kit, 0, 1, 1);
    const struct weir_consumer_options options = {.retry_after = 1, .retry_delays_ms = "1500"};
    int64_t begun = weir_now_ns();
    struct weir_consumer *consumer = kit_start(kit, NULL, &options);
    kit_wait(one_has_moved, consumer);
    struct kit_stop stop = kit_stop(consumer, 5000, 5000);
    assert_int_equal(stop.work.cancelled + stop.work.stuck + stop.work.uncommitted, 0);
    assert_int_equal(kit->handled, 0);

    consumer = kit_start(kit, NULL, &options);
    kit_wait_handled(kit, 1);
    assert_true(weir_now_ns() - begun >= 1500 * WEIR_NS_PER_MS);
    kit_wait(is_empty, consumer);
    kit_stop(consumer, 5000, 5000);
    assert_int_equal(kit->runs, 2);
}

static void another_group_passes_over_what_waits_for_this_one(void **state)
{
    struct kit *kit = *state;
    kit->fail_times = 1;
    kit_send(kit, 0, 1, 1);
    const struct weir_consumer_options options = {.retry_after = 1, .retry_delays_ms = "100"};
    struct weir_consumer *consumer = kit_start(kit, NULL, &options);
    kit_wait_handled(kit, 1);
    kit_stop(consumer, 5000, 5000);

    snprintf(kit->group, sizeof kit->group, "another");
    consumer = kit_start(kit, NULL, &options);
    kit_wait(two_are_done, consumer);
    kit_stop(consumer, 5000, 5000);
    assert_int_equal(kit->times[0], 2); /* once for each group */
}

static void delays_are_a_list_of_milliseconds(void **state)
{
    (void)state;
    int64_t delays[RETRY_LEVELS_MAX];
    struct weir_error err = {0};
    assert_int_equal(retry_parse("5000,60000,600000", delays, &err), 3);
    assert_int_equal(delays[0] + delays[1] + delays[2], 665000);
    assert_int_equal(retry_parse("1,1,1,1,1,1,1,604800000", delays, &err), 8);
    static const char *const bad[][2] = {
        {"", ""},
        {"0", "0"},
        {"-1", "-1"},
        {"5s", "5s"},
        {"5,", ""},
        {",5", ",5"},
        {"5,,6", ",6"},
        {" ", " "},
        {"5,6x", "6x"},
        {"1e3", "1e3"},
        {"1,604800001", "604800001"},
        {"5;6", "5;6"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char expected[200];
        snprintf(expected, sizeof expected,
                 "retry_delays_ms: \"%s\" does not begin with milliseconds from 1 to 604800000, as in "
                 "\"5000,60000\"",
                 bad[i][1]);
        assert_int_equal(retry_parse(bad[i][0], delays, &err), -1);
        assert_string_equal(err.text, expected);
    }
    assert_int_equal(retry_parse("1,2,3,4,5,6,7,8,9", delays, &err), -1);
    assert_string_equal(err.text, "retry_delays_ms: there are more than 8");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_message_that_keeps_failing_moves_on_and_its_key_goes_on_without_it),
        TEST(behind_the_last_retry_topic_are_the_dead_letters),
        TEST(a_message_that_waits_survives_a_stop_and_is_not_early),
        TEST(another_group_passes_over_what_waits_for_this_one),
        cmocka_unit_test(delays_are_a_list_of_milliseconds),
    };
    return kit_run_tests(tests, begin, end);
}
