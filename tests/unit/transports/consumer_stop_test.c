/* What the consumer promises when it stops, or shares its partitions with another: what is committed was
 * handled, what was not handled comes again, and no broker can hold the stop beyond its time. */
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

static int stops(void)
{
    const char *text = getenv("WEIR_TEST_STOPS");
    return text ? atoi(text) : 4;
}

static void stops_in_mid_stream_lose_nothing_and_repeat_next_to_nothing(void **state)
{
    struct kit *kit = *state;
    int total = 2000 * stops();
    if (total > KIT_MESSAGES_MAX)
        total = KIT_MESSAGES_MAX;
    kit->sleep_us = 200;
    kit_send(kit, 0, total, 40);

    for (int i = 1; i <= stops(); i++) {
        struct weir_consumer *consumer = kit_start(kit, NULL, &(struct weir_consumer_options){.workers = 3});
        kit_wait_handled(kit, (total - 500) / stops() * i);
        struct kit_stop stop = kit_stop(consumer, 5000, 5000);
        assert_true(stop.drain_took_ms < 1000);
        assert_int_equal(stop.work.stuck, 0);
        assert_int_equal(stop.work.cancelled, 0);
        /* What is done is a little more than the contiguous part, where a key overtook another: no more than
         * that comes again. */
        assert_true(kit_committed_sum(kit) + stop.work.uncommitted >=
                    kit_handled(kit) - kit_extra(kit, total));
    }
    struct weir_consumer *consumer = kit_start(kit, NULL, NULL);
    kit_wait_handled(kit, total);
    while (kit_committed_sum(kit) < total)
        ;
    kit_stop(consumer, 5000, 5000);

    assert_int_equal(kit_missing(kit, total), 0);
    assert_int_equal(kit->out_of_order, 0);
    assert_int_equal(kit_committed_sum(kit), total);
    print_message("%d stops, %d messages, %d handled twice\n", stops(), total, kit_extra(kit, total));
    assert_true(kit_extra(kit, total) <= 3 * CONSUMER_LANES * stops());
}

static bool two_run(void *arg)
{
    return kit_runs(arg) == 2;
}

static void a_drain_that_is_over_cancels_handlers_and_their_messages_come_again(void **state)
{
    struct kit *kit = *state;
    kit->blocked = true;
    kit_send(kit, 0, 8, 8);
    struct weir_consumer *consumer = kit_start(kit, NULL, NULL);
    kit_wait(two_run, kit);

    struct kit_stop stop = kit_stop(consumer, 100, 5000);

    assert_true(stop.drain_took_ms >= 100 && stop.drain_took_ms < 350);
    assert_int_equal(stop.work.in_flight, 2);
    assert_int_equal(stop.work.cancelled, 2);
    assert_int_equal(stop.work.completed, 0);
    assert_int_equal(kit->told_to_end, 2);
    assert_int_equal(kit_committed_sum(kit), 0);

    kit->blocked = false;
    consumer = kit_start(kit, NULL, NULL);
    kit_wait_handled(kit, 8);
    kit_stop(consumer, 5000, 5000);
    assert_int_equal(kit_missing(kit, 8), 0);
}

static void a_drain_waits_for_handlers_and_commits_what_they_did(void **state)
{
    struct kit *kit = *state;
    kit->blocked = true;
    kit_send(kit, 0, 2, 2);
    struct weir_consumer *consumer = kit_start(kit, NULL, NULL);
    kit_wait(two_run, kit);
    kit->sleep_us = 0;

    struct weir_error err = {0};
    struct weir_work work = {0};
    struct weir_context context;
    assert_int_equal(consumer_ops.quiesce(consumer, &err), WEIR_OK);
    kit_unblock(kit);
    context_init(&context, NULL, weir_deadline_in_ms(5000));
    assert_int_equal(consumer_ops.drain(consumer, &context, &work, &err), WEIR_OK);
    assert_int_equal(work.in_flight, 2); /* the drain's account adds up by itself */
    assert_int_equal(work.completed, 2);
    assert_int_equal(consumer_ops.finish(consumer, &context, &work, &err), WEIR_OK);
    context_clean_up(&context);
    consumer_ops.destroy(consumer);

    assert_int_equal(work.in_flight, 2);
    assert_int_equal(work.completed, 2);
    assert_int_equal(work.uncommitted, 0);
    assert_int_equal(kit_committed_sum(kit), 2);
}

static bool all_but_two(void *arg)
{
    return kit_handled(arg) == 14;
}

/* Message 0 is slow, 8 has its key and waits for it; the others are done. A stop that left 8 out could commit nothing behind
 * it, and 9 to 15 would come again. */
static void a_drain_finishes_what_stands_before_what_is_done(void **state)
{
    struct kit *kit = kit_new(((struct kit *)*state)->broker, 1);
    kit->blocked = true;
    kit->block_index = 0;
    kit_send(kit, 0, 16, 8);
    struct weir_consumer *consumer = kit_start(kit, NULL, NULL);
    kit_wait(all_but_two, kit);

    struct weir_error err = {0};
    struct weir_work work = {0};
    struct weir_context context;
    assert_int_equal(consumer_ops.quiesce(consumer, &err), WEIR_OK);
    kit_unblock(kit);
    context_init(&context, NULL, weir_deadline_in_ms(5000));
    assert_int_equal(consumer_ops.drain(consumer, &context, &work, &err), WEIR_OK);
    assert_int_equal(consumer_ops.finish(consumer, &context, &work, &err), WEIR_OK);
    context_clean_up(&context);
    consumer_ops.destroy(consumer);

    assert_int_equal(kit_missing(kit, 16), 0);
    assert_int_equal(kit_extra(kit, 16), 0);
    assert_int_equal(work.in_flight, 2);
    assert_int_equal(work.completed, 2);
    assert_int_equal(work.uncommitted, 0);
    assert_int_equal(kit_committed_sum(kit), 16);
    kit_destroy(kit);
}

static bool it_ran(void *arg)
{
    return kit_runs(arg) >= 1;
}

static void a_message_that_waits_for_its_next_attempt_does_not_hold_the_stop(void **state)
{
    struct kit *kit = *state;
    kit->fail_index = 0;
    kit->fail_times = 1000;
    kit->fail_status = WEIR_UNAVAILABLE;
    kit_send(kit, 0, 1, 1);
    struct weir_consumer *consumer = kit_start(kit, NULL, NULL);
    kit_wait(it_ran, kit);

    struct kit_stop stop = kit_stop(consumer, 10000, 5000);

    assert_true(stop.drain_took_ms < 100);
    assert_int_equal(kit_committed_sum(kit), 0);
    assert_int_equal(stop.work.uncommitted, 0);
}

static void an_idle_consumer_stops_at_once(void **state)
{
    struct kit *kit = *state;
    kit_send(kit, 0, 4, 4);
    struct weir_consumer *consumer = kit_start(kit, NULL, NULL);
    kit_wait_handled(kit, 4);
    while (kit_committed_sum(kit) < 4)
        ;
    struct kit_stop stop = kit_stop(consumer, 5000, 5000);
    print_message("drain %lld ms, finish %lld ms\n", (long long)stop.drain_took_ms,
                  (long long)stop.finish_took_ms);
    assert_true(stop.drain_took_ms + stop.finish_took_ms < 500);
}

static void a_consumer_that_never_saw_a_broker_stops_in_its_time(void **state)
{
    struct kit *kit = *state;
    struct weir_consumer *consumer = kit_start(kit, "127.0.0.1:1", NULL);
    struct kit_stop stop = kit_stop(consumer, 1000, 1000);
    assert_true(stop.drain_took_ms < 100);
    assert_true(stop.finish_took_ms < 1000); /* else it counts as given up */
}

static void fill_child(const struct kit_child *child, struct kit *kit, int count)
{
    struct kit_broker *broker = kit->broker;
    kit->broker = kit_broker_at(child->address);
    kit_send(kit, 0, count, 40);
    kit_broker_destroy(kit->broker);
    kit->broker = broker;
}

static void a_frozen_broker_cannot_hold_the_stop(void **state)
{
    struct kit *kit = *state;
    if (kit_broker_is_real())
        skip();
    struct kit_child child;
    kit_child_start(&child, "127.0.0.1:0");
    fill_child(&child, kit, 2000);
    kit->sleep_us = 500;
    struct weir_consumer *consumer =
        kit_start(kit, child.address, &(struct weir_consumer_options){.commit_interval_ms = 60000});
    kit_wait_handled(kit, 200);
    kit_child_freeze(&child);

    struct kit_stop stop = kit_stop(consumer, 2000, 1000);

    assert_true(stop.drain_took_ms < 200);
    assert_true(stop.finish_took_ms < 1000); /* else it counts as given up */
    assert_int_equal(stop.work.uncommitted, kit_handled(kit));
    kit_child_kill(&child);
}

static bool both_have_two(void *arg)
{
    struct weir_consumer **consumers = arg;
    return consumer_partitions(consumers[0]) == 2 && consumer_partitions(consumers[1]) == 2;
}

static void two_consumers_share_and_nothing_is_lost_or_out_of_order(void **state)
{
    struct kit *kit = *state;
    struct weir_consumer *consumers[2];
    kit->sleep_us = 300;
    kit_send(kit, 0, 6000, 40);
    consumers[0] = kit_start(kit, NULL, NULL);
    kit_wait_handled(kit, 500);
    consumers[1] = kit_start(kit, NULL, NULL);
    kit_wait(both_have_two, consumers);
    kit_send(kit, 6000, 6000, 40);
    kit_wait_handled(kit, 8000);
    kit_stop(consumers[0], 5000, 5000);
    while (kit_missing(kit, 12000) > 0)
        kit_wait_handled(kit, kit_handled(kit) + 1);
    kit_stop(consumers[1], 5000, 5000);

    assert_int_equal(kit_committed_sum(kit), 12000);
    print_message("12000 messages, 1 join, 1 leave, %d handled twice\n", kit_extra(kit, 12000));
    /* The mock cluster refuses commits while a rebalance goes on, 2 s with it: what was handled then comes
     * twice. */
    assert_true(kit_extra(kit, 12000) < (kit_broker_is_real() ? 100 : 12000));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(stops_in_mid_stream_lose_nothing_and_repeat_next_to_nothing),
        TEST(a_drain_that_is_over_cancels_handlers_and_their_messages_come_again),
        TEST(a_drain_waits_for_handlers_and_commits_what_they_did),
        TEST(a_drain_finishes_what_stands_before_what_is_done),
        TEST(a_message_that_waits_for_its_next_attempt_does_not_hold_the_stop),
        TEST(an_idle_consumer_stops_at_once),
        TEST(a_consumer_that_never_saw_a_broker_stops_in_its_time),
        TEST(a_frozen_broker_cannot_hold_the_stop),
        TEST(two_consumers_share_and_nothing_is_lost_or_out_of_order),
    };
    cmocka_set_test_filter(getenv("TEST")); /* one of them: TEST="*frozen*" */
    return kit_run_tests(tests, NULL, NULL);
}
