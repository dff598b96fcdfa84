/* The outbox on PostgreSQL: several relays at one database, each event published, in order per key. */
#include "kit.h"
#include "postgres_kit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "data/outbox.h"
#include "echo.weir.h"

#define SENT_MAX 2000

static struct postgres server;
static bool there;

/* Takes what it is given and reports it at once, or never. */
struct producer {
    pthread_mutex_t lock;
    enum weir_status deliver; /* what is reported */
    bool hold;                /* not reported */
    int count;
    char sent[SENT_MAX][24]; /* "k1 5" */
    struct {
        weir_delivered_fn *delivered;
        void *state;
    } held[16];
    int held_count;
};

struct fixture {
    struct kit kit;
    char url[160];
    struct producer producer;
    struct outbox_settings settings;
    struct {
        struct weir_sql *db;
        struct weir_outbox *outbox;
    } process[2];
};

static enum weir_status fake_send(void *self, const struct weir_record *record, weir_delivered_fn *delivered,
                                  void *state, struct weir_error *err)
{
    (void)err;
    struct producer *producer = self;
    pthread_mutex_lock(&producer->lock);
    Echo__EchoRequest *message = echo__echo_request__unpack(NULL, record->value.size, record->value.data);
    assert_true(producer->count < SENT_MAX);
    snprintf(producer->sent[producer->count++], 24, "%.*s %.10s", (int)record->key.size,
             (const char *)record->key.data, message->text);
    echo__echo_request__free_unpacked(message, NULL);
    enum weir_status deliver = producer->deliver;
    bool hold = producer->hold;
    if (hold) {
        assert_true(producer->held_count < 16);
        producer->held[producer->held_count].delivered = delivered;
        producer->held[producer->held_count++].state = state;
    }
    pthread_mutex_unlock(&producer->lock);
    if (!hold)
        delivered(state, deliver, 0, 0, deliver ? "broken" : NULL);
    return WEIR_OK;
}

static void set_producer(struct fixture *f, bool hold, enum weir_status deliver)
{
    pthread_mutex_lock(&f->producer.lock);
    f->producer.hold = hold;
    f->producer.deliver = deliver;
    pthread_mutex_unlock(&f->producer.lock);
}

static void start_relay(struct fixture *f, int process)
{
    struct relay_sink sink = {.send = fake_send, .self = &f->producer};
    struct weir_outbox *outbox = outbox_new("outbox", f->process[process].db, &sink, &f->settings);
    outbox->first_backoff_ms = 5;
    outbox->longest_backoff_ms = 20;
    f->process[process].outbox = outbox;
    assert_int_equal(outbox_ops.start(outbox, &f->kit.context, &f->kit.error), WEIR_OK);
}

static struct weir_work stop_relay(struct fixture *f, int process, int64_t drain_ms)
{
    struct weir_outbox *outbox = f->process[process].outbox;
    struct weir_work work = {0};
    struct weir_context context;
    context_init(&context, NULL, weir_deadline_in_ms(drain_ms));
    assert_int_equal(outbox_ops.quiesce(outbox, &f->kit.error), WEIR_OK);
    assert_int_equal(outbox_ops.drain(outbox, &context, &work, &f->kit.error), WEIR_OK);
    assert_int_equal(outbox_ops.finish(outbox, &context, &work, &f->kit.error), WEIR_OK);
    context_clean_up(&context);
    outbox_ops.destroy(outbox);
    f->process[process].outbox = NULL;
    f->process[process].db->outbox = NULL;
    return work;
}

static int set_up(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    *state = &fixture;
    if (!there)
        return 0;
    kit_open(&fixture.kit, NULL);
    postgres_database(&server, "test", fixture.url, sizeof fixture.url);
    fixture.kit.settings.url = fixture.url;
    fixture.kit.settings.connections = 6;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kit_start(&fixture.kit), WEIR_OK);
        fixture.process[i].db = fixture.kit.db;
    }
    pthread_mutex_init(&fixture.producer.lock, NULL);
    fixture.settings =
        (struct outbox_settings){.keep_ms = 86400000, .in_flight_max = 100, .rows_max = 1000000};
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (!there)
        return 0;
    for (int i = 0; i < 2; i++) {
        if (f->process[i].outbox)
            stop_relay(f, i, 5000);
        f->kit.db = f->process[i].db;
        kit_stop(&f->kit);
    }
    kit_close(&f->kit);
    pthread_mutex_destroy(&f->producer.lock);
    return 0;
}

#define NEEDS_SERVER                                                                                         \
    if (!there)                                                                                              \
    skip()

static enum weir_status publish(struct fixture *f, int process, int key, int text)
{
    struct weir_call *call = kit_call(20000);
    struct weir_tx *tx = NULL;
    char key_text[16], text_text[16];
    snprintf(key_text, sizeof key_text, "k%d", key);
    snprintf(text_text, sizeof text_text, "%d", text);
    while (weir_sql_attempt(call, f->process[process].db, &tx)) {
        Echo__EchoRequest message = ECHO__ECHO_REQUEST__INIT;
        message.key = key_text;
        message.text = text_text;
        echo_echo_request_publish(tx, &message);
    }
    enum weir_status status = weir_sql_outcome(tx);
    weir_call_background_end(call);
    return status;
}

static void wait_until_published(struct fixture *f)
{
    int64_t give_up_ns = weir_deadline_in_ms(20000);
    f->kit.db = f->process[0].db;
    while (kit_number(&f->kit, "SELECT count(*) FROM weir_outbox WHERE published_ms IS NULL") > 0) {
        assert_true(weir_now_ns() < give_up_ns);
        usleep(5000);
    }
}

/* Of each key: 0, 1, 2 ... `last`, without looking at repetitions. */
static void each_key_came_in_order(struct fixture *f, int keys, int last)
{
    int next[16] = {0};
    for (int i = 0; i < f->producer.count; i++) {
        int key = 0, text = 0;
        assert_int_equal(sscanf(f->producer.sent[i], "k%d %d", &key, &text), 2);
        assert_true(text <= next[key]);
        if (text == next[key])
            next[key]++;
    }
    for (int key = 0; key < keys; key++)
        assert_int_equal(next[key], last + 1);
}

static void an_event_is_published_soon_after_its_commit_and_once(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    start_relay(f, 0);
    assert_int_equal(publish(f, 0, 1, 0), WEIR_OK);
    wait_until_published(f);
    assert_int_equal(f->producer.count, 1);
    assert_string_equal(f->producer.sent[0], "k1 0");
    struct weir_work work = stop_relay(f, 0, 5000);
    assert_int_equal(work.kept, 0);
    assert_int_equal(f->producer.count, 1);
}

static void what_was_rolled_back_is_never_published(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    start_relay(f, 0);
    struct weir_call *call = kit_call(20000);
    struct weir_tx *tx = weir_sql_begin(call, f->process[0].db);
    Echo__EchoRequest message = ECHO__ECHO_REQUEST__INIT;
    assert_int_equal(echo_echo_request_publish(tx, &message), WEIR_OK);
    weir_sql_rollback(tx);
    weir_call_background_end(call);
    assert_int_equal(publish(f, 0, 1, 0), WEIR_OK);
    wait_until_published(f);
    assert_int_equal(f->producer.count, 1);
}

static void two_relays_share_and_keep_the_order_of_each_key(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    start_relay(f, 0);
    start_relay(f, 1);
    for (int i = 0; i < 40; i++)
        for (int key = 0; key < 6; key++)
            assert_int_equal(publish(f, i % 2, key, i), WEIR_OK);
    wait_until_published(f);
    each_key_came_in_order(f, 6, 39);
    assert_int_equal(f->producer.count, 240);
}

static void what_the_broker_did_not_take_is_tried_again_before_the_next_of_its_key(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    set_producer(f, false, WEIR_UNAVAILABLE);
    start_relay(f, 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(publish(f, 0, 1, i), WEIR_OK);
    int64_t give_up_ns = weir_deadline_in_ms(20000);
    for (int count = 0; count < 3;) {
        pthread_mutex_lock(&f->producer.lock);
        count = f->producer.count;
        pthread_mutex_unlock(&f->producer.lock);
        assert_true(weir_now_ns() < give_up_ns);
        usleep(1000);
    }
    set_producer(f, false, WEIR_OK);
    wait_until_published(f);
    int next = 0;
    for (int i = 0; i < f->producer.count; i++) {
        int text = atoi(f->producer.sent[i] + 3);
        assert_true(text <= next);
        next = text == next ? next + 1 : next;
    }
    assert_int_equal(next, 5);
}

static void a_relay_that_ends_with_reports_open_gives_its_rows_to_another(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    set_producer(f, true, WEIR_OK);
    start_relay(f, 0);
    assert_int_equal(publish(f, 0, 1, 0), WEIR_OK);
    int64_t give_up_ns = weir_deadline_in_ms(20000);
    for (int count = 0; count < 1;) {
        pthread_mutex_lock(&f->producer.lock);
        count = f->producer.held_count;
        pthread_mutex_unlock(&f->producer.lock);
        assert_true(weir_now_ns() < give_up_ns);
        usleep(1000);
    }
    struct weir_work work = stop_relay(f, 0, 100);
    assert_int_equal(work.kept, 1);
    set_producer(f, false, WEIR_OK);
    start_relay(f, 1);
    wait_until_published(f);
    assert_int_equal(f->producer.count, 2);
    f->producer.held[0].delivered(f->producer.held[0].state, WEIR_OK, 0, 0, NULL); /* frees the first */
}

static void another_broker_is_told_everything_that_is_kept(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    start_relay(f, 0);
    outbox_cluster_is(f->process[0].outbox, "one");
    for (int i = 0; i < 3; i++)
        assert_int_equal(publish(f, 0, 1, i), WEIR_OK);
    wait_until_published(f);
    assert_int_equal(f->producer.count, 3);
    outbox_cluster_is(f->process[0].outbox, "two");
    int64_t give_up_ns = weir_deadline_in_ms(20000);
    for (int count = 0; count < 6;) {
        pthread_mutex_lock(&f->producer.lock);
        count = f->producer.count;
        pthread_mutex_unlock(&f->producer.lock);
        assert_true(weir_now_ns() < give_up_ns);
        usleep(1000);
    }
    wait_until_published(f);
    assert_int_equal(f->producer.count, 6);
}

static void a_full_outbox_refuses_politely(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    f->settings.rows_max = 3;
    set_producer(f, false, WEIR_UNAVAILABLE);
    start_relay(f, 0);
    enum weir_status status = WEIR_OK;
    int taken = 0;
    while (taken < 20 && (status = publish(f, 0, 1, taken)) == WEIR_OK)
        taken++;
    assert_int_equal(status, WEIR_RESOURCE_EXHAUSTED);
    assert_true(taken >= 3);
    set_producer(f, false, WEIR_OK);
    wait_until_published(f);
}

static int start_server(void **state)
{
    (void)state;
    there = postgres_is_there();
    if (there) {
        postgres_create(&server);
        postgres_run(&server);
    }
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    if (there)
        postgres_destroy(&server);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_event_is_published_soon_after_its_commit_and_once),
        TEST(what_was_rolled_back_is_never_published),
        TEST(two_relays_share_and_keep_the_order_of_each_key),
        TEST(what_the_broker_did_not_take_is_tried_again_before_the_next_of_its_key),
        TEST(a_relay_that_ends_with_reports_open_gives_its_rows_to_another),
        TEST(another_broker_is_told_everything_that_is_kept),
        TEST(a_full_outbox_refuses_politely),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
