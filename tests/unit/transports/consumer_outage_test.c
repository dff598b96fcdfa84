/* What a handler needs is away: a database that is locked, full or not reached. Any component may say so; here the service itself
 * does. */
#include "consumer_kit.h"
#include "shard.h"
#include "wait.h"

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
    struct kit *kit = kit_new(broker, 2);
    kit->fail_index = KIT_ANY;
    kit->fail_times = 1000000;
    kit->fail_status = WEIR_UNAVAILABLE;
    *state = kit;
    return 0;
}

static int tear_down(void **state)
{
    kit_destroy(*state);
    return 0;
}

static void go_away(struct kit *kit)
{
    struct weir_error err = {0};
    weir_fail(&err, WEIR_UNAVAILABLE, "as the test wants it");
    component_away(&kit->service.component, &err);
}

static void come_back(struct kit *kit)
{
    pthread_mutex_lock(&kit->lock);
    kit->fail_times = 0;
    pthread_mutex_unlock(&kit->lock);
    component_back(&kit->service.component);
}

static bool four_looks(void *kit)
{
    return kit_runs(kit) >= 4;
}

static bool six_looks(void *kit)
{
    return kit_runs(kit) >= 6;
}

static bool one_runs(void *kit)
{
    return kit_runs(kit) >= 1;
}

static bool is_empty(void *consumer)
{
    return consumer_held(consumer) == 0;
}

/* The strictest consumer: each failure would set its message aside. */
static const struct weir_consumer_options strict = {.attempts_max = 1, .workers = 4};

static void an_outage_counts_no_attempt_sets_nothing_aside_and_commits_nothing(void **state)
{
    struct kit *kit = *state;
    kit_send(kit, 0, 200, 20);
    go_away(kit);
    struct weir_consumer *consumer = kit_start(kit, NULL, &strict);
    kit_wait(four_looks, kit);
    struct consumer_counts counts = consumer_counts(consumer);
    assert_int_equal(counts.set_aside + counts.moved + counts.done, 0);
    assert_int_equal(kit_committed_sum(kit), 0);

    come_back(kit);
    kit_wait_handled(kit, 200);
    kit_wait(is_empty, consumer);
    counts = consumer_counts(consumer);
    kit_stop(consumer, 5000, 5000);
    assert_int_equal(counts.set_aside + counts.moved, 0);
    assert_int_equal(kit->out_of_order, 0);
    assert_int_equal(kit_extra(kit, 200), 0);
    assert_int_equal(kit_committed_sum(kit), 200);
}

static void an_outage_moves_nothing_to_a_retry_topic(void **state)
{
    struct kit *kit = *state;
    kit_send(kit, 0, 20, 20);
    go_away(kit);
    struct weir_consumer *consumer =
        kit_start(kit, NULL, &(struct weir_consumer_options){.retry_after = 1, .retry_delays_ms = "100"});
    kit_wait(four_looks, kit);
    come_back(kit);
    kit_wait_handled(kit, 20);
    struct consumer_counts counts = consumer_counts(consumer);
    kit_stop(consumer, 5000, 5000);
    assert_int_equal(counts.moved + counts.set_aside, 0);
}

static void while_it_lasts_one_message_at_a_time_looks_for_its_end_and_ever_less_often(void **state)
{
    struct kit *kit = *state;
    kit_send(kit, 0, 200, 200);
    go_away(kit);
    struct weir_consumer *consumer = kit_start(kit, NULL, &strict);
    kit_wait(four_looks, kit);
    int64_t begun = weir_now_ns();
    kit_wait(six_looks, kit); /* 800 ms and 1,600 ms later */
    assert_true(weir_now_ns() - begun > 1500 * WEIR_NS_PER_MS);
    assert_int_equal(kit->in_handler_most, 1);
    come_back(kit);
    kit_wait_handled(kit, 200);
    kit_stop(consumer, 5000, 5000);
}

static void a_message_that_succeeds_meanwhile_lets_the_next_one_go_at_once(void **state)
{
    struct kit *kit = *state;
    kit->fail_times = 1;
    kit_send(kit, 0, 100, 100);
    go_away(kit); /* and these handlers do without */
    struct weir_consumer *consumer = kit_start(kit, NULL, &strict);
    kit_wait_handled(kit, 100);
    assert_int_equal(kit->in_handler_most, 1);
    kit_stop(consumer, 5000, 5000);
    assert_int_equal(kit_committed_sum(kit), 100);
}

static void what_failed_in_an_outage_that_was_over_by_then_is_not_blamed_either(void **state)
{
    struct kit *kit = *state;
    kit->fail_times = 1;
    kit->blocked = true;
    kit_send(kit, 0, 1, 1);
    struct weir_consumer *consumer = kit_start(kit, NULL, &strict);
    kit_wait(one_runs, kit);
    go_away(kit);
    component_back(&kit->service.component);
    kit_unblock(kit);
    kit_wait_handled(kit, 1);
    struct consumer_counts counts = consumer_counts(consumer);
    kit_stop(consumer, 5000, 5000);
    assert_int_equal(counts.set_aside, 0);
}

static void a_stop_in_an_outage_takes_no_longer_and_all_comes_again(void **state)
{
    struct kit *kit = *state;
    kit_send(kit, 0, 200, 20);
    go_away(kit);
    struct weir_consumer *consumer = kit_start(kit, NULL, &strict);
    kit_wait(four_looks, kit);
    struct kit_stop stop = kit_stop(consumer, 5000, 5000);
    assert_true(stop.drain_took_ms < 1000);
    assert_int_equal(stop.work.stuck + stop.work.cancelled + stop.work.uncommitted, 0);

    come_back(kit);
    consumer = kit_start(kit, NULL, &strict);
    kit_wait_handled(kit, 200);
    kit_stop(consumer, 5000, 5000);
    assert_int_equal(kit_extra(kit, 200), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_outage_counts_no_attempt_sets_nothing_aside_and_commits_nothing),
        TEST(an_outage_moves_nothing_to_a_retry_topic),
        TEST(while_it_lasts_one_message_at_a_time_looks_for_its_end_and_ever_less_often),
        TEST(a_message_that_succeeds_meanwhile_lets_the_next_one_go_at_once),
        TEST(what_failed_in_an_outage_that_was_over_by_then_is_not_blamed_either),
        TEST(a_stop_in_an_outage_takes_no_longer_and_all_comes_again),
    };
    return kit_run_tests(tests, begin, end);
}
