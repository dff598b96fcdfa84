/* Exactly once from topic to topic: consume, emit and commit in one transaction. On a real broker: WEIR_TEST_BROKERS. */
#include "consumer_kit.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/random.h"
#include "shard.h"
#include "transports/kafka/transaction.h"
#include "wait.h"

#define KEYS 40

static struct kit_broker *broker;
static const char *program;

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
    struct kit *kit = kit_new(broker, 4);
    if (kit_broker_is_real())
        kit_emit(kit);
    *state = kit;
    return 0;
}

static int tear_down(void **state)
{
    kit_destroy(*state);
    return 0;
}

#define NEEDS_KAFKA()                                                                                        \
    if (!kit_broker_is_real())                                                                               \
    skip()

static const struct weir_consumer_options transactional = {
    .transactional = true, .transaction_interval_ms = 20, .session_timeout_ms = 6000};

/* ---- what `out` holds ---- */

struct out {
    int records, missing, doubled, out_of_order;
};

static struct out look_at(struct kit *kit, int count)
{
    struct out out = {0};
    struct kit_stored *stored;
    uint8_t *times = memory_zalloc((size_t)count);
    int last[KIT_KEYS_MAX] = {0};
    size_t records = kit_read_all(kit->broker, kit->out_name, &stored);
    for (size_t i = 0; i < records; i++) {
        Echo__EchoRequest *request = echo__echo_request__unpack(NULL, stored[i].size, stored[i].value);
        assert_non_null(request);
        int number = atoi(request->text), key = atoi(request->key + 1);
        times[request->numbers[0]]++;
        out.out_of_order += number <= last[key];
        last[key] = number;
        echo__echo_request__free_unpacked(request, NULL);
    }
    kit_stored_free(stored, records);
    out.records = (int)records;
    for (int i = 0; i < count; i++) {
        out.missing += times[i] == 0;
        out.doubled += times[i] > 1;
    }
    free(times);
    return out;
}

static void assert_exactly_once(struct kit *kit, int count)
{
    struct out out = look_at(kit, count);
    if (out.missing || out.doubled || out.out_of_order)
        fail_msg("of %d messages %d are missing in `out`, %d are there more than once, %d out of order",
                 count, out.missing, out.doubled, out.out_of_order);
    assert_int_equal(out.records, count);
}

struct wanted {
    struct kit *kit;
    int64_t offsets;
};

static bool is_committed(void *arg)
{
    struct wanted *wanted = arg;
    usleep(100000); /* each look makes a client */
    return kit_committed_sum(wanted->kit) >= wanted->offsets;
}

/* Longer than kit_wait(): a member that was killed holds its partitions for its session. */
static void wait_until_committed(struct kit *kit, int64_t offsets)
{
    struct wanted wanted = {kit, offsets};
    for (int i = 0; i < 8; i++)
        if (kit_wait_in_time(is_committed, &wanted))
            return;
    fail_msg("%lld of %lld are committed", (long long)kit_committed_sum(kit), (long long)offsets);
}

/* ---- a consumer in a process of its own, to be killed ---- */

/* Says one letter when it has handled its first message. */
static int child_main(char **arguments)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct kit *kit = kit_new(NULL, 4);
    snprintf(kit->topic, sizeof kit->topic, "%s", arguments[1]);
    snprintf(kit->out_name, sizeof kit->out_name, "%s", arguments[2]);
    snprintf(kit->group, sizeof kit->group, "%s", arguments[3]);
    kit_emit(kit);
    kit->sleep_us = 1000;
    struct weir_consumer_options options = transactional;
    options.session_timeout_ms = 1500;
    options.transaction_timeout_ms = 2000;
    options.workers = 3;
    kit_start(kit, arguments[0], &options);
    kit_wait_handled(kit, 1);
    if (write(STDOUT_FILENO, "x", 1) != 1)
        return 1;
    for (;;)
        pause();
}

struct child {
    pid_t pid;
    int said;
};

static struct child start_child(const struct kit *kit)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct child child = {.pid = fork(), .said = ends[0]};
    if (child.pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl(program, program, "child", kit_broker_address(kit->broker), kit->topic, kit->out_name,
              kit->group, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    return child;
}

static void kill_child(struct child *child)
{
    kill(child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
    close(child->said);
}

static void out_holds_each_message_once_and_in_order_though_the_consumer_is_killed_20_times(void **state)
{
    NEEDS_KAFKA();
    struct kit *kit = *state;
    const int count = 16000;
    kit_send(kit, 0, count, KEYS);
    for (int i = 0; i < 20; i++) {
        struct child child = start_child(kit);
        struct pollfd said = {.fd = child.said, .events = POLLIN};
        assert_int_equal(poll(&said, 1, 60000), 1);
        uint16_t chance;
        random_bytes(&chance, sizeof chance);
        usleep(chance % 250 * 1000); /* at any moment of its transactions */
        kill_child(&child);
    }
    int64_t before = kit_committed_sum(kit);
    assert_true(before > 0 && before < count); /* it was killed in the middle of it */
    struct child last = start_child(kit);
    wait_until_committed(kit, count);
    kill_child(&last);
    assert_exactly_once(kit, count);
}

/* ---- others ---- */

static bool has_two_partitions(void *consumer)
{
    return consumer_partitions(consumer) == 2;
}

static void members_that_come_and_go_commit_or_give_back_what_they_have(void **state)
{
    NEEDS_KAFKA();
    struct kit *kit = *state;
    const int count = 15000;
    kit->sleep_us = 1500;
    kit_send(kit, 0, count, KEYS);
    struct weir_consumer *stays = kit_start(kit, NULL, &transactional);
    kit_wait_handled(kit, 200);
    for (int i = 0; i < 3; i++) {
        struct weir_consumer *comes = kit_start(kit, NULL, &transactional);
        kit_wait(has_two_partitions, comes);
        kit_wait_handled(kit, kit_handled(kit) + 200); /* by both */
        struct kit_stop stop = kit_stop(comes, 5000, 5000);
        assert_int_equal(stop.work.uncommitted + stop.work.stuck, 0);
    }
    wait_until_committed(kit, count);
    kit_stop(stays, 5000, 5000);
    assert_exactly_once(kit, count);
}

static bool all_done(void *consumer)
{
    return consumer_held(consumer) == 0;
}

static void a_stop_commits_what_is_done_and_the_rest_comes_again(void **state)
{
    NEEDS_KAFKA();
    struct kit *kit = *state;
    const int count = 4000;
    struct weir_consumer_options late = transactional;
    late.transaction_interval_ms = 60000; /* only the stop commits */
    late.transaction_outputs_max = 100000;
    kit->sleep_us = 200;
    kit_send(kit, 0, count, KEYS);
    struct weir_consumer *consumer = kit_start(kit, NULL, &late);
    kit_wait_handled(kit, 500);
    assert_int_equal(kit_committed_sum(kit), 0);
    assert_int_equal(look_at(kit, count).records, 0);
    struct kit_stop stop = kit_stop(consumer, 5000, 20000);
    assert_int_equal(stop.work.uncommitted + stop.work.cancelled + stop.work.stuck, 0);
    struct out out = look_at(kit, count);
    assert_int_equal(out.records, kit_handled(kit));
    assert_int_equal(out.doubled + out.out_of_order, 0);
    assert_int_equal(kit_committed_sum(kit) >= out.records, 1);

    consumer = kit_start(kit, NULL, &transactional);
    kit_wait_handled(kit, count);
    kit_wait(all_done, consumer);
    kit_stop(consumer, 5000, 5000);
    assert_int_equal(kit_extra(kit, count), 0);
    assert_exactly_once(kit, count);
}

static void a_handler_that_fails_has_emitted_nothing_and_what_came_after_it_waits(void **state)
{
    NEEDS_KAFKA();
    struct kit *kit = *state;
    kit->fail_index = 0;
    kit->fail_times = 3;
    kit->fail_status = WEIR_UNAVAILABLE;
    kit_send(kit, 0, 400, KEYS);
    struct weir_consumer *consumer = kit_start(kit, NULL, &transactional);
    kit_wait_handled(kit, 400);
    kit_wait(all_done, consumer);
    kit_stop(consumer, 5000, 5000);
    assert_int_equal(kit_runs(kit), 403);
    assert_exactly_once(kit, 400);
}

static void a_poison_message_is_set_aside_in_the_transaction_of_its_offset(void **state)
{
    NEEDS_KAFKA();
    struct kit *kit = *state;
    kit->fail_index = 7;
    kit->fail_times = 1000;
    kit->fail_status = WEIR_INVALID_ARGUMENT;
    kit_send(kit, 0, 100, KEYS);
    struct weir_consumer *consumer = kit_start(kit, NULL, &transactional);
    kit_wait_handled(kit, 99);
    kit_wait(all_done, consumer);
    struct consumer_counts counts = consumer_counts(consumer);
    kit_stop(consumer, 5000, 5000);
    assert_int_equal(counts.set_aside, 1);
    assert_int_equal(kit_committed_sum(kit), 100);
    struct out out = look_at(kit, 100);
    assert_int_equal(out.records, 99);
    assert_int_equal(out.missing, 1);
    struct kit_stored *dead;
    assert_int_equal(kit_read_all(broker, kit->dead_letters, &dead), 1);
    assert_non_null(strstr(dead->headers, "ce_id=message-7;"));
    assert_non_null(strstr(dead->headers, "weir-origin-status=INVALID_ARGUMENT;"));
    kit_stored_free(dead, 1);
}

/* The whole batch is refused for one record, so the transaction is aborted, and those that can go do so in others. */
static void a_record_that_the_broker_refuses_costs_its_own_message_only(void **state)
{
    NEEDS_KAFKA();
    struct kit *kit = *state;
    kit_topic_limited(broker, kit->out_name, 2000);
    kit_send(kit, 0, 60, KEYS);
    char text[4000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    int32_t index = 60;
    Echo__EchoRequest large = ECHO__ECHO_REQUEST__INIT;
    large.text = text;
    large.key = (char *)(uintptr_t) "k0";
    large.n_numbers = 1;
    large.numbers = &index;
    uint8_t wire[5000];
    kit_send_raw(kit, 0, wire, echo__echo_request__pack(&large, wire));
    kit_send(kit, 61, 39, KEYS);
    struct weir_consumer *consumer = kit_start(kit, NULL, &transactional);
    wait_until_committed(kit, 100);
    struct consumer_counts counts = consumer_counts(consumer);
    int64_t aborted = consumer->transaction->aborted;
    kit_stop(consumer, 5000, 5000);
    assert_true(aborted > 0);
    assert_int_equal(counts.set_aside, 1);
    struct out out = look_at(kit, 100);
    assert_int_equal(out.records, 99);
    assert_int_equal(out.doubled + out.out_of_order, 0);
    struct kit_stored *dead;
    assert_int_equal(kit_read_all(broker, kit->dead_letters, &dead), 1);
    assert_non_null(strstr(dead->headers, "weir-origin-status=INVALID_ARGUMENT;"));
    kit_stored_free(dead, 1);
}

static bool has_failed(void *arg)
{
    struct weir_consumer *consumer = arg;
    pthread_mutex_lock(&consumer->lock);
    bool failed = consumer->transaction->failed;
    pthread_mutex_unlock(&consumer->lock);
    return failed;
}

/* As when two instances were given the same one by mistake, or a frozen process wakes up behind its successor. */
static void who_was_fenced_commits_nothing_more_and_fails(void **state)
{
    NEEDS_KAFKA();
    struct kit *kit = *state;
    struct weir_consumer_options named = transactional;
    char id[96];
    snprintf(id, sizeof id, "id-%s", kit->group);
    named.transactional_id = id;
    named.transaction_interval_ms = 60000;
    kit_send(kit, 0, 400, KEYS);
    struct weir_consumer *first = kit_start(kit, NULL, &named);
    kit_wait_handled(kit, 400);
    named.transaction_interval_ms = 20;
    struct weir_consumer *second =
        kit_start(kit, NULL, &named); /* fences it, and then has half of its partitions */
    kit_wait(has_failed, first);
    int64_t committed = first->transaction->committed;
    kit_stop(first, 5000, 5000);
    assert_int_equal(committed, 0);
    wait_until_committed(kit, 400);
    kit_stop(second, 5000, 5000);
    assert_exactly_once(kit, 400);
}

static void nothing_is_emitted_where_there_is_no_transaction(void **state)
{
    struct kit *kit = *state;
    kit_emit(kit);
    kit_send(kit, 0, 1, 1);
    struct weir_consumer *consumer = kit_start(kit, NULL, &(struct weir_consumer_options){.attempts_max = 1});
    kit_wait(all_done, consumer);
    kit_stop(consumer, 5000, 5000);
    assert_int_equal(kit_handled(kit), 0);
    struct weir_call *call = weir_call_background(NULL, NULL, 1000);
    Echo__EchoRequest message = ECHO__ECHO_REQUEST__INIT;
    message.key = (char *)(uintptr_t) "k";
    assert_int_equal(weir_topic_emit(call, &kit->out, &message.base), WEIR_INTERNAL);
    weir_call_background_end(call);
}

static void the_development_broker_is_refused_with_the_reason(void **state)
{
    (void)state;
    if (kit_broker_is_real())
        skip();
    struct kit *kit = *state;
    struct weir_error err = {0};
    struct weir_consumer_options options = transactional;
    options.brokers = kit_broker_address(broker);
    struct weir_consumer *consumer = consumer_new(&kit->service, &options);
    assert_int_equal(consumer_ops.start(consumer, NULL, &err), WEIR_FAILED_PRECONDITION);
    assert_non_null(strstr(err.text, "is a development broker, which has no transactions"));
    consumer_ops.destroy(consumer);
}

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc == 6 && strcmp(argv[1], "child") == 0)
        return child_main(argv + 2);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(out_holds_each_message_once_and_in_order_though_the_consumer_is_killed_20_times),
        TEST(members_that_come_and_go_commit_or_give_back_what_they_have),
        TEST(a_stop_commits_what_is_done_and_the_rest_comes_again),
        TEST(a_handler_that_fails_has_emitted_nothing_and_what_came_after_it_waits),
        TEST(a_poison_message_is_set_aside_in_the_transaction_of_its_offset),
        TEST(a_record_that_the_broker_refuses_costs_its_own_message_only),
        TEST(who_was_fenced_commits_nothing_more_and_fails),
        TEST(nothing_is_emitted_where_there_is_no_transaction),
        TEST(the_development_broker_is_refused_with_the_reason),
    };
    return kit_run_tests(tests, begin, end);
}
