/* The producer's promises: every message has one report, a stop flushes or says what is missing, and a broker
 * that forgot everything is noticed. */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include <weir/clock.h>
#include <weir/kafka.h>

#include "broker.h"
#include "core/context.h"
#include "echo.weir.h"
#include "shard.h"
#include "transports/kafka/producer.h"
#include "wait.h"

struct fixture {
    struct kit_broker *broker;
    struct weir_producer *producer;
    char topic[80];
};

/* What reports said. */
struct tally {
    atomic_int ok, failed, purged;
    _Atomic int64_t last_offset;
};

static void count_report(void *state, enum weir_status status, int32_t partition, int64_t offset,
                         const char *error)
{
    struct tally *tally = state;
    (void)partition;
    if (status == WEIR_OK) {
        atomic_store(&tally->last_offset, offset);
        atomic_fetch_add(&tally->ok, 1);
        return;
    }
    if (strstr(error, "producer stopped"))
        atomic_fetch_add(&tally->purged, 1);
    atomic_fetch_add(&tally->failed, 1);
}

static void start_producer(struct fixture *f, const char *brokers)
{
    struct weir_error err = {0};
    f->producer = producer_new(&(struct weir_producer_options){.brokers = brokers});
    assert_int_equal(producer_ops.start(f->producer, NULL, &err), WEIR_OK);
}

/* Quiesce, finish and destroy; returns how long it took. */
static int64_t stop_producer(struct fixture *f, int64_t within_ms, struct weir_work *work)
{
    struct weir_context context;
    struct weir_error err = {0};
    int64_t begun = weir_now_ns();
    context_init(&context, NULL, weir_deadline_in_ms(within_ms));
    assert_int_equal(producer_ops.quiesce(f->producer, &err), WEIR_OK);
    assert_int_equal(producer_ops.finish(f->producer, &context, work, &err), WEIR_OK);
    context_clean_up(&context);
    int64_t took_ms = (weir_now_ns() - begun) / WEIR_NS_PER_MS;
    producer_ops.destroy(f->producer);
    f->producer = NULL;
    return took_ms;
}

static struct weir_record record(const struct fixture *f, const char *key, const char *value)
{
    return (struct weir_record){
        .topic = f->topic,
        .key = weir_bytes_of_text(key),
        .value = weir_bytes_of_text(value),
        .message_id = "018f6a0e-0000-7000-8000-000000000001",
        .type = "weir.test.v1.Said",
        .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    };
}

static void send_many(struct fixture *f, int count, struct tally *tally)
{
    struct weir_error err = {0};
    for (int i = 0; i < count; i++) {
        struct weir_record one = record(f, "k", "hello");
        assert_int_equal(weir_producer_send(f->producer, &one, count_report, tally, &err), WEIR_OK);
    }
}

static bool one_is_reported(void *arg)
{
    struct tally *tally = arg;
    return tally->ok + tally->failed >= 1;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->broker = kit_broker_new();
    kit_topic_new(f->broker, "producer", 1, f->topic, sizeof f->topic);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    kit_broker_destroy(f->broker);
    free(f);
    return 0;
}

static void a_record_carries_key_value_and_cloudevents_headers(void **state)
{
    struct fixture *f = *state;
    struct tally tally = {0};
    struct weir_error err = {0};
    start_producer(f, kit_broker_address(f->broker));

    struct weir_record one = record(f, "order-7", "paid");
    one.principal = "alice";
    one.deadline_unix_ms = 1700000000123;
    assert_int_equal(weir_producer_send(f->producer, &one, count_report, &tally, &err), WEIR_OK);
    kit_wait(one_is_reported, &tally);
    assert_int_equal(tally.ok, 1);
    struct weir_work work = {0};
    stop_producer(f, 5000, &work);

    struct kit_stored *stored;
    assert_int_equal(kit_read_all(f->broker, f->topic, &stored), 1);
    assert_string_equal(stored->key, "order-7");
    assert_string_equal((char *)stored->value, "paid");
    char *time = strstr(stored->headers, "ce_time=");
    assert_non_null(time);
    assert_int_equal(time[strlen("ce_time=2026-11-22T16:00:00.000Z")], ';');
    memmove(time, strchr(time, ';') + 1, strlen(strchr(time, ';')));
    assert_string_equal(stored->headers,
                        "ce_specversion=1.0;ce_id=018f6a0e-0000-7000-8000-000000000001;"
                        "ce_type=weir.test.v1.Said;ce_source=weir;content-type=application/protobuf;"
                        "traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01;"
                        "weir-principal=alice;weir-deadline=1700000000123;");
    kit_stored_free(stored, 1);
}

static void an_empty_message_is_no_tombstone(void **state)
{
    struct fixture *f = *state;
    struct tally tally = {0};
    struct weir_error err = {0};
    struct weir_work work = {0};
    start_producer(f, kit_broker_address(f->broker));
    struct weir_record one = record(f, NULL, NULL);
    assert_int_equal(weir_producer_send(f->producer, &one, count_report, &tally, &err), WEIR_OK);
    stop_producer(f, 5000, &work);
    assert_int_equal(tally.ok, 1);

    struct kit_stored *stored;
    assert_int_equal(kit_read_all(f->broker, f->topic, &stored), 1);
    assert_null(stored->key);
    assert_int_equal(stored->size, 0);
    kit_stored_free(stored, 1);
}

static void a_stop_flushes_what_was_taken(void **state)
{
    struct fixture *f = *state;
    struct tally tally = {0};
    struct weir_work work = {0};
    start_producer(f, kit_broker_address(f->broker));
    send_many(f, 5000, &tally);

    stop_producer(f, 10000, &work);

    assert_int_equal(tally.ok, 5000);
    assert_int_equal(tally.failed, 0);
    assert_int_equal(work.undelivered, 0);
}

static void a_stop_without_a_broker_ends_in_time_and_reports_every_message(void **state)
{
    struct fixture *f = *state;
    struct tally tally = {0};
    struct weir_work work = {0};
    start_producer(f, "127.0.0.1:1");
    send_many(f, 5000, &tally);

    int64_t took_ms = stop_producer(f, 1000, &work);

    assert_true(took_ms <= 1000);
    assert_int_equal(tally.failed, 5000);
    assert_int_equal(tally.purged, 5000);
    assert_int_equal(work.undelivered, 5000);
}

static void a_stop_with_a_frozen_broker_ends_in_time_and_reports_every_message(void **state)
{
    struct fixture *f = *state;
    struct kit_child child;
    struct tally before = {0}, tally = {0};
    struct weir_work work = {0};
    kit_child_start(&child, "127.0.0.1:0");
    start_producer(f, child.address);
    send_many(f, 1, &before);
    kit_wait(one_is_reported, &before);
    kit_child_freeze(&child);
    send_many(f, 1000, &tally);

    int64_t took_ms = stop_producer(f, 1000, &work);

    assert_true(took_ms < 1000); /* else it counts as given up */
    assert_int_equal(before.ok, 1);
    assert_int_equal(tally.failed, 1000);
    assert_int_equal(work.undelivered, 1000);
    kit_child_kill(&child);
}

static void nothing_is_taken_after_quiesce(void **state)
{
    struct fixture *f = *state;
    struct weir_error err = {0};
    struct weir_work work = {0};
    start_producer(f, kit_broker_address(f->broker));
    assert_int_equal(producer_ops.quiesce(f->producer, &err), WEIR_OK);

    struct weir_record one = record(f, "k", "v");
    assert_int_equal(weir_producer_send(f->producer, &one, NULL, NULL, &err), WEIR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "the producer is stopping"));
    stop_producer(f, 1000, &work);
}

static void a_full_queue_refuses(void **state)
{
    struct fixture *f = *state;
    struct weir_error err = {0};
    struct weir_work work = {0};
    struct tally tally = {0};
    char big[65536];
    memset(big, 'x', sizeof big);
    f->producer = producer_new(
        &(struct weir_producer_options){.brokers = "127.0.0.1:1", .queue_bytes_max = 1024 * 1024});
    assert_int_equal(producer_ops.start(f->producer, NULL, &err), WEIR_OK);

    enum weir_status status = WEIR_OK;
    int taken = 0;
    for (; taken < 100 && status == WEIR_OK; taken += status == WEIR_OK) {
        struct weir_record one = record(f, "k", NULL);
        one.value = weir_bytes(big, sizeof big);
        status = weir_producer_send(f->producer, &one, count_report, &tally, &err);
    }
    assert_int_equal(status, WEIR_RESOURCE_EXHAUSTED);
    assert_true(taken >= 8 && taken <= 16);
    stop_producer(f, 200, &work);
    assert_int_equal(tally.failed, taken);
}

static void a_message_that_is_too_large_is_refused_at_once(void **state)
{
    struct fixture *f = *state;
    struct weir_error err = {0};
    struct weir_work work = {0};
    char *big = calloc(1, 2 << 20);
    start_producer(f, kit_broker_address(f->broker));
    struct weir_record one = record(f, "k", NULL);
    one.value = weir_bytes(big, 2 << 20);
    assert_int_equal(weir_producer_send(f->producer, &one, NULL, NULL, &err), WEIR_INVALID_ARGUMENT);
    stop_producer(f, 1000, &work);
    assert_int_equal(work.undelivered, 0);
    free(big);
}

static void a_producer_without_brokers_does_not_start(void **state)
{
    (void)state;
    struct weir_error err = {0};
    struct weir_producer *producer = producer_new(&(struct weir_producer_options){.brokers = NULL});
    assert_int_equal(producer_ops.start(producer, NULL, &err), WEIR_INVALID_ARGUMENT);
    producer_ops.destroy(producer);
}

struct clusters {
    pthread_mutex_t lock;
    int told;
    char last[64];
};

static void note_cluster(void *arg, const char *id)
{
    struct clusters *clusters = arg;
    pthread_mutex_lock(&clusters->lock);
    clusters->told++;
    snprintf(clusters->last, sizeof clusters->last, "%s", id);
    pthread_mutex_unlock(&clusters->lock);
}

static int clusters_told(struct clusters *clusters)
{
    pthread_mutex_lock(&clusters->lock);
    int told = clusters->told;
    pthread_mutex_unlock(&clusters->lock);
    return told;
}

static bool told_once(void *arg)
{
    return clusters_told(arg) >= 1;
}

static bool told_twice(void *arg)
{
    return clusters_told(arg) >= 2;
}

static void a_broker_that_forgot_everything_is_noticed_within_two_seconds(void **state)
{
    struct fixture *f = *state;
    struct kit_child first, second;
    struct clusters clusters = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct tally tally = {0};
    struct weir_work work = {0};
    char id[64];
    kit_child_start(&first, "127.0.0.1:0");
    start_producer(f, first.address);
    producer_on_new_cluster(f->producer, note_cluster, &clusters);
    kit_wait(told_once, &clusters);
    assert_string_equal(clusters.last, first.incarnation);
    send_many(f, 1, &tally);
    kit_wait(one_is_reported, &tally);
    kit_child_kill(&first);

    kit_child_start(&second, first.address);
    int64_t back_ns = weir_now_ns();
    kit_wait(told_twice, &clusters);

    assert_true(weir_now_ns() - back_ns < 2500 * WEIR_NS_PER_MS);
    assert_string_not_equal(first.incarnation, second.incarnation);
    assert_string_equal(clusters.last, second.incarnation);
    assert_string_equal(producer_cluster(f->producer, id, sizeof id), second.incarnation);
    /* And it goes on: what is sent now arrives. */
    struct tally after = {0};
    send_many(f, 1, &after);
    kit_wait(one_is_reported, &after);
    assert_int_equal(after.ok, 1);
    assert_int_equal(after.last_offset, 0);

    producer_off_new_cluster(f->producer, &clusters);
    stop_producer(f, 2000, &work);
    assert_int_equal(kit_child_stop(&second), 0);
}

static void messages_wait_for_a_broker_that_is_away_for_a_moment(void **state)
{
    struct fixture *f = *state;
    if (kit_broker_is_real())
        skip();
    struct tally first = {0}, tally = {0};
    struct weir_work work = {0};
    start_producer(f, kit_broker_address(f->broker));
    send_many(f, 1, &first);
    kit_wait(one_is_reported, &first);
    kit_broker_down(f->broker);
    send_many(f, 100, &tally);
    kit_broker_up(f->broker);

    stop_producer(f, 10000, &work);

    assert_int_equal(tally.ok, 100);
    assert_int_equal(work.undelivered, 0);
}

/* ---- typed messages ---- */

static struct weir_topic topic_of(struct fixture *f)
{
    for (size_t i = 0; i < echo_service_type.method_count; i++) {
        if (!echo_service_type.methods[i].topic)
            continue;
        struct weir_topic topic = *echo_service_type.methods[i].topic;
        topic.name = f->topic;
        return topic;
    }
    fail_msg("echo.proto has no topic");
    return (struct weir_topic){0};
}

static void a_typed_message_is_on_the_broker_when_send_returns(void **state)
{
    struct fixture *f = *state;
    struct weir_work work = {0};
    struct weir_topic topic = topic_of(f);
    Echo__EchoRequest message = ECHO__ECHO_REQUEST__INIT;
    message.text = "hello";
    message.key = "order-7";
    start_producer(f, kit_broker_address(f->broker));
    struct weir_call *call = weir_call_background(NULL, NULL, 5000);

    assert_int_equal(weir_topic_send(call, f->producer, &topic, &message.base), WEIR_OK);

    struct kit_stored *stored;
    assert_int_equal(kit_read_all(f->broker, f->topic, &stored), 1);
    assert_string_equal(stored->key, "order-7");
    assert_non_null(strstr(stored->headers, "ce_type=weir.test.v1.EchoRequest;"));
    char trace[96];
    snprintf(trace, sizeof trace, "traceparent=%s;", weir_context_traceparent(weir_call_context(call)));
    assert_non_null(strstr(stored->headers, trace));
    Echo__EchoRequest *back = echo__echo_request__unpack(NULL, stored->size, stored->value);
    assert_string_equal(back->text, "hello");
    echo__echo_request__free_unpacked(back, NULL);
    kit_stored_free(stored, 1);
    weir_call_background_end(call);
    stop_producer(f, 2000, &work);
}

static void a_typed_send_ends_with_its_call_and_says_that_it_may_arrive(void **state)
{
    struct fixture *f = *state;
    struct weir_work work = {0};
    struct weir_topic topic = topic_of(f);
    Echo__EchoRequest message = ECHO__ECHO_REQUEST__INIT;
    message.key = "k";
    start_producer(f, "127.0.0.1:1");
    struct weir_call *call = weir_call_background(NULL, NULL, 100);

    assert_int_equal(weir_topic_send(call, f->producer, &topic, &message.base), WEIR_DEADLINE_EXCEEDED);

    assert_non_null(strstr(weir_call_error(call)->text, "it may be there"));
    weir_call_background_end(call);
    stop_producer(f, 200, &work);
    assert_int_equal(work.undelivered, 1);
}

static void a_posted_message_is_flushed_by_the_stop(void **state)
{
    struct fixture *f = *state;
    struct weir_work work = {0};
    struct weir_topic topic = topic_of(f);
    Echo__EchoRequest message = ECHO__ECHO_REQUEST__INIT;
    message.key = "k";
    start_producer(f, kit_broker_address(f->broker));
    struct weir_call *call = weir_call_background(NULL, NULL, 5000);
    assert_int_equal(weir_topic_post(call, f->producer, &topic, &message.base), WEIR_OK);
    weir_call_background_end(call);
    stop_producer(f, 5000, &work);
    assert_int_equal(work.undelivered, 0);

    struct kit_stored *stored;
    assert_int_equal(kit_read_all(f->broker, f->topic, &stored), 1);
    kit_stored_free(stored, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_record_carries_key_value_and_cloudevents_headers, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_empty_message_is_no_tombstone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stop_flushes_what_was_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stop_without_a_broker_ends_in_time_and_reports_every_message,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stop_with_a_frozen_broker_ends_in_time_and_reports_every_message,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_taken_after_quiesce, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_queue_refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_message_that_is_too_large_is_refused_at_once, set_up, tear_down),
        cmocka_unit_test(a_producer_without_brokers_does_not_start),
        cmocka_unit_test_setup_teardown(a_broker_that_forgot_everything_is_noticed_within_two_seconds, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_typed_message_is_on_the_broker_when_send_returns, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_typed_send_ends_with_its_call_and_says_that_it_may_arrive, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_posted_message_is_flushed_by_the_stop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(messages_wait_for_a_broker_that_is_away_for_a_moment, set_up,
                                        tear_down),
    };
    cmocka_set_test_filter(getenv("TEST")); /* one of them: TEST="*frozen*" */
    return kit_run_tests(tests, NULL, NULL);
}
