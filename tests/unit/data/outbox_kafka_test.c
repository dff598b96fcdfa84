/* The outbox with the real producer: a broker that goes away, one that forgot everything, a process that is
 * killed. */
#include "kit.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "data/outbox.h"
#include "echo.weir.h"
#include "shard.h"
#include "transports/kafka/producer.h"
#include "wait.h"

#define KEYS 5

struct fixture {
    struct kit kit;
    struct weir_producer *producer;
    struct weir_outbox *outbox;
    struct kit_child child; /* a broker; killed at the end, whatever happens */
};

static int set_up(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    kit_open(&fixture.kit, NULL);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->child.pid > 0)
        kit_child_kill(&f->child);
    kit_close(&f->kit);
    return 0;
}

static enum weir_status send(void *self, const struct weir_record *record, weir_delivered_fn *delivered,
                             void *state, struct weir_error *err)
{
    return weir_producer_send(self, record, delivered, state, err);
}

static void forget(struct weir_outbox *outbox)
{
    producer_off_new_cluster(outbox->producer, outbox);
}

static void start(struct fixture *f, const char *brokers)
{
    assert_int_equal(kit_start(&f->kit), WEIR_OK);
    f->producer = producer_new(&(struct weir_producer_options){.brokers = brokers});
    assert_int_equal(producer_ops.start(f->producer, &f->kit.context, &f->kit.error), WEIR_OK);
    struct relay_sink sink = {.send = send, .self = f->producer};
    struct outbox_settings settings = {.keep_ms = 86400000, .in_flight_max = 1000, .rows_max = 1000000};
    f->outbox = outbox_new("outbox", f->kit.db, &sink, &settings);
    f->outbox->producer = f->producer;
    f->outbox->forget_producer = forget;
    producer_on_new_cluster(f->producer, outbox_cluster_is, f->outbox);
    assert_int_equal(outbox_ops.start(f->outbox, &f->kit.context, &f->kit.error), WEIR_OK);
}

static struct weir_work stop(struct fixture *f)
{
    struct weir_work work = {0};
    struct weir_context context;
    context_init(&context, NULL, weir_deadline_in_ms(15000));
    assert_int_equal(outbox_ops.quiesce(f->outbox, &f->kit.error), WEIR_OK);
    assert_int_equal(outbox_ops.drain(f->outbox, &context, &work, &f->kit.error), WEIR_OK);
    assert_int_equal(outbox_ops.finish(f->outbox, &context, &work, &f->kit.error), WEIR_OK);
    outbox_ops.destroy(f->outbox);
    assert_int_equal(producer_ops.quiesce(f->producer, &f->kit.error), WEIR_OK);
    assert_int_equal(producer_ops.finish(f->producer, &context, &work, &f->kit.error), WEIR_OK);
    producer_ops.destroy(f->producer);
    kit_stop(&f->kit);
    context_clean_up(&context);
    return work;
}

static enum weir_status publish(struct kit *kit, int i)
{
    char key[16], text[16];
    snprintf(key, sizeof key, "k%d", i % KEYS);
    snprintf(text, sizeof text, "%d", i);
    struct weir_call *call = kit_call(20000);
    struct weir_tx *tx = weir_sql_begin(call, kit->db);
    Echo__EchoRequest message = ECHO__ECHO_REQUEST__INIT;
    message.key = key;
    message.text = text;
    echo_echo_request_publish(tx, &message);
    enum weir_status status = weir_sql_commit(tx);
    weir_call_background_end(call);
    return status;
}

/* Marks in `seen` what the topic holds, and holds each key's first appearances against their order. */
static void read_topic(struct kit_broker *broker, bool *seen, int count)
{
    int last[KEYS];
    memset(last, -1, sizeof last);
    struct kit_stored *stored;
    size_t read = kit_read_all(broker, "user.echo", &stored);
    for (size_t i = 0; i < read; i++) {
        Echo__EchoRequest *message = echo__echo_request__unpack(NULL, stored[i].size, stored[i].value);
        int number = atoi(message->text);
        echo__echo_request__free_unpacked(message, NULL);
        assert_in_range(number, 0, count - 1);
        if (!seen[number])
            assert_true(number > last[number % KEYS]);
        if (number > last[number % KEYS])
            last[number % KEYS] = number;
        seen[number] = true;
    }
    kit_stored_free(stored, read);
}

static bool is_empty(void *outbox)
{
    return outbox_unpublished(outbox) == 0;
}

static void a_broker_that_goes_away_delays_events_and_loses_none(void **state)
{
    struct fixture *f = *state;
    struct kit_broker *broker = kit_broker_new();
    start(f, kit_broker_address(broker));
    for (int i = 0; i < 100; i++)
        assert_int_equal(publish(&f->kit, i), WEIR_OK);
    kit_broker_down(broker);
    for (int i = 100; i < 200; i++)
        assert_int_equal(publish(&f->kit, i), WEIR_OK);
    kit_broker_up(broker);
    kit_wait(is_empty, f->outbox);

    bool seen[200] = {false};
    read_topic(broker, seen, 200);
    for (int i = 0; i < 200; i++)
        assert_true(seen[i]);
    struct weir_work work = stop(f);
    assert_int_equal(work.kept, 0);
    kit_broker_destroy(broker);
}

static void a_broker_that_forgot_everything_is_told_again(void **state)
{
    struct fixture *f = *state;
    kit_child_start(&f->child, "127.0.0.1:0");
    char address[64];
    memcpy(address, f->child.address, sizeof address);
    start(f, address);
    for (int i = 0; i < 50; i++)
        assert_int_equal(publish(&f->kit, i), WEIR_OK);
    kit_wait(is_empty, f->outbox);
    kit_child_kill(&f->child);
    for (int i = 50; i < 60; i++)
        assert_int_equal(publish(&f->kit, i), WEIR_OK);
    kit_child_start(&f->child, address);

    setenv("WEIR_TEST_BROKERS", address, 1);
    struct kit_broker *broker = kit_broker_new();
    bool seen[60] = {false}, all = false;
    int64_t give_up = weir_deadline_in_ms(20000);
    while (!all && weir_now_ns() < give_up) {
        kit_wait(is_empty, f->outbox);
        struct kit_stored *stored;
        size_t count = kit_read_all(broker, "user.echo", &stored);
        all = count >= 60;
        kit_stored_free(stored, count);
    }
    memset(seen, 0, sizeof seen);
    struct kit_stored *stored;
    size_t count = kit_read_all(broker, "user.echo", &stored);
    for (size_t i = 0; i < count; i++) {
        Echo__EchoRequest *message = echo__echo_request__unpack(NULL, stored[i].size, stored[i].value);
        seen[atoi(message->text)] = true;
        echo__echo_request__free_unpacked(message, NULL);
    }
    kit_stored_free(stored, count);
    for (int i = 0; i < 60; i++)
        assert_true(seen[i]);
    kit_broker_destroy(broker);
    unsetenv("WEIR_TEST_BROKERS");
    stop(f);
}

static void child_main(struct fixture *f, const char *brokers, int from, int acknowledged)
{
    start(f, brokers);
    for (int i = from;; i++)
        if (publish(&f->kit, i) != WEIR_OK || write(acknowledged, &i, sizeof i) != sizeof i)
            _exit(1);
}

static void what_was_committed_is_published_though_the_process_is_killed(void **state)
{
    struct fixture *f = *state;
    kit_child_start(&f->child, "127.0.0.1:0");
    int next = 0, untold[3]; /* committed or not: nobody was told */
    for (int round = 0; round < 3; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0)
            child_main(f, f->child.address, next, ends[1]);
        close(ends[1]);
        int got = 0, i;
        while (read(ends[0], &i, sizeof i) == sizeof i) {
            next = i + 1;
            if (++got == 60)
                kill(child, SIGKILL);
        }
        waitpid(child, NULL, 0);
        close(ends[0]);
        assert_true(got >= 60);
        untold[round] = next++;
    }

    start(f, f->child.address);
    struct weir_work work = stop(f);
    assert_int_equal(work.kept, 0);
    setenv("WEIR_TEST_BROKERS", f->child.address, 1);
    struct kit_broker *broker = kit_broker_new();
    bool *seen = calloc((size_t)next + 1, 1);
    read_topic(broker, seen, next + 1);
    for (int i = 0; i < next; i++)
        assert_true(seen[i] || i == untold[0] || i == untold[1] || i == untold[2]);
    free(seen);
    kit_broker_destroy(broker);
    unsetenv("WEIR_TEST_BROKERS");
}

int main(void)
{
    if (kit_broker_is_real())
        return 0; /* it is stopped and killed here */
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_committed_is_published_though_the_process_is_killed),
        TEST(a_broker_that_goes_away_delays_events_and_loses_none),
        TEST(a_broker_that_forgot_everything_is_told_again),
    };
    return kit_run_tests(tests, NULL, NULL);
}
