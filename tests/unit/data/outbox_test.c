/* The relay against a producer of the test's own: order, failures, stop, another broker, pruning. */
#include "kit.h"

#include <pthread.h>
#include <stdio.h>

#include "core/condition.h"
#include "data/outbox.h"
#include "data/sqlite/store.h"
#include "echo.weir.h"
#include "wait.h"

#define SENT_MAX 4096

/* Takes what it is given; reports at once, or when the test says so. */
struct producer {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool hold;                /* reports wait for the test */
    enum weir_status refuse;  /* what send answers */
    enum weir_status deliver; /* what is reported */
    const char *bad_key;      /* of this key: INVALID_ARGUMENT is reported */
    int count;                /* accepted */
    struct {
        char key[16];
        char text[16];
        char message_id[40];
        int64_t at_ns;
        weir_delivered_fn *delivered;
        void *state;
        bool reported;
    } sent[SENT_MAX];
};

struct fixture {
    struct kit kit;
    struct producer producer;
    struct weir_outbox *outbox;
    struct outbox_settings settings;
};

static enum weir_status fake_send(void *self, const struct weir_record *record, weir_delivered_fn *delivered,
                                  void *state, struct weir_error *err)
{
    struct producer *producer = self;
    pthread_mutex_lock(&producer->lock);
    if (producer->refuse != WEIR_OK || producer->count == SENT_MAX) {
        pthread_mutex_unlock(&producer->lock);
        return weir_fail(err, producer->refuse, "the queue is full");
    }
    int at = producer->count++;
    Echo__EchoRequest *message = echo__echo_request__unpack(NULL, record->value.size, record->value.data);
    snprintf(producer->sent[at].text, sizeof producer->sent[at].text, "%.15s", message->text);
    echo__echo_request__free_unpacked(message, NULL);
    snprintf(producer->sent[at].key, sizeof producer->sent[at].key, "%.*s", (int)record->key.size,
             (const char *)record->key.data);
    snprintf(producer->sent[at].message_id, sizeof producer->sent[at].message_id, "%s", record->message_id);
    assert_string_equal(record->topic, "user.echo");
    assert_string_equal(record->type, "weir.test.v1.EchoRequest");
    producer->sent[at].at_ns = weir_now_ns();
    producer->sent[at].delivered = delivered;
    producer->sent[at].state = state;
    enum weir_status deliver = producer->deliver;
    if (producer->bad_key && strcmp(producer->sent[at].key, producer->bad_key) == 0)
        deliver = WEIR_INVALID_ARGUMENT;
    bool now = !producer->hold;
    producer->sent[at].reported = now;
    pthread_cond_broadcast(&producer->changed);
    pthread_mutex_unlock(&producer->lock);
    if (now)
        delivered(state, deliver, 0, at, deliver ? "broken" : NULL);
    return WEIR_OK;
}

static void start_outbox(struct fixture *f)
{
    struct relay_sink sink = {.send = fake_send, .self = &f->producer};
    f->outbox = outbox_new("outbox", f->kit.db, &sink, &f->settings);
    f->outbox->first_backoff_ms = 5;
    f->outbox->longest_backoff_ms = 20;
    assert_int_equal(outbox_ops.start(f->outbox, &f->kit.context, &f->kit.error), WEIR_OK);
}

/* With `drain_ms` for the drain. */
static struct weir_work stop_outbox(struct fixture *f, int64_t drain_ms)
{
    struct weir_work work = {0};
    struct weir_context context;
    context_init(&context, NULL, weir_deadline_in_ms(drain_ms));
    assert_int_equal(outbox_ops.quiesce(f->outbox, &f->kit.error), WEIR_OK);
    assert_int_equal(outbox_ops.drain(f->outbox, &context, &work, &f->kit.error), WEIR_OK);
    context_clean_up(&context);
    context_init(&context, NULL, weir_deadline_in_ms(drain_ms));
    assert_int_equal(outbox_ops.finish(f->outbox, &context, &work, &f->kit.error), WEIR_OK);
    context_clean_up(&context);
    outbox_ops.destroy(f->outbox);
    f->outbox = NULL;
    f->kit.db->outbox = NULL;
    return work;
}

static int set_up(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    kit_open(&fixture.kit, NULL);
    assert_int_equal(kit_start(&fixture.kit), WEIR_OK);
    pthread_mutex_init(&fixture.producer.lock, NULL);
    condition_init(&fixture.producer.changed);
    fixture.settings =
        (struct outbox_settings){.keep_ms = 86400000, .in_flight_max = 100, .rows_max = 1000000};
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->outbox)
        stop_outbox(f, 10000);
    kit_close(&f->kit);
    pthread_cond_destroy(&f->producer.changed);
    pthread_mutex_destroy(&f->producer.lock);
    return 0;
}

static enum weir_status publish(struct fixture *f, const char *key, const char *text)
{
    struct weir_call *call = kit_call(20000);
    struct weir_tx *tx = weir_sql_begin(call, f->kit.db);
    Echo__EchoRequest message = ECHO__ECHO_REQUEST__INIT;
    message.key = (char *)(uintptr_t)key;
    message.text = (char *)(uintptr_t)text;
    echo_echo_request_publish(tx, &message);
    enum weir_status status = weir_sql_commit(tx);
    weir_call_background_end(call);
    return status;
}

/* Publishes "0" to "count-1", with key "k0" to "k<keys-1>" in turn. */
static void publish_many(struct fixture *f, int count, int keys)
{
    struct weir_call *call = kit_call(20000);
    struct weir_tx *tx = weir_sql_begin(call, f->kit.db);
    for (int i = 0; i < count; i++) {
        char key[16], text[16];
        snprintf(key, sizeof key, "k%d", i % keys);
        snprintf(text, sizeof text, "%d", i);
        Echo__EchoRequest message = ECHO__ECHO_REQUEST__INIT;
        message.key = key;
        message.text = text;
        echo_echo_request_publish(tx, &message);
    }
    assert_int_equal(weir_sql_commit(tx), WEIR_OK);
    weir_call_background_end(call);
}

static void wait_for_sent(struct fixture *f, int count)
{
    struct producer *producer = &f->producer;
    int64_t give_up = weir_deadline_in_ms(20000);
    pthread_mutex_lock(&producer->lock);
    while (producer->count < count && weir_now_ns() < give_up)
        condition_wait(&producer->changed, &producer->lock, give_up);
    assert_true(producer->count >= count);
    pthread_mutex_unlock(&producer->lock);
}

struct unpublished {
    struct weir_outbox *outbox;
    int64_t count;
};

static bool are_unpublished(void *arg)
{
    const struct unpublished *unpublished = arg;
    return outbox_unpublished(unpublished->outbox) == unpublished->count;
}

static void wait_for_unpublished(struct fixture *f, int64_t count)
{
    kit_wait(are_unpublished, &(struct unpublished){f->outbox, count});
}

static bool knows_of_three(void *kit)
{
    return kit_number(kit, "SELECT ever FROM weir_outbox_state") >= 3;
}

static bool relay_pauses(void *arg)
{
    struct weir_outbox *outbox = arg;
    pthread_mutex_lock(&outbox->lock);
    bool pauses = outbox->pause_until_ns > 0;
    pthread_mutex_unlock(&outbox->lock);
    return pauses;
}

static void report(struct fixture *f, int at, enum weir_status status)
{
    struct producer *producer = &f->producer;
    pthread_mutex_lock(&producer->lock);
    weir_delivered_fn *delivered = producer->sent[at].delivered;
    void *row = producer->sent[at].state;
    assert_false(producer->sent[at].reported);
    producer->sent[at].reported = true;
    pthread_mutex_unlock(&producer->lock);
    delivered(row, status, 0, at, status ? "broken" : NULL);
}

static void what_is_committed_is_published_at_once_and_what_is_rolled_back_never(void **state)
{
    struct fixture *f = *state;
    start_outbox(f);
    struct weir_call *call = kit_call(20000);
    struct weir_tx *tx = weir_sql_begin(call, f->kit.db);
    Echo__EchoRequest lost = ECHO__ECHO_REQUEST__INIT;
    assert_int_equal(echo_echo_request_publish(tx, &lost), WEIR_OK);
    weir_sql_rollback(tx);
    weir_call_background_end(call);

    assert_int_equal(publish(f, "tea", "one"), WEIR_OK);
    wait_for_sent(f, 1);
    assert_string_equal(f->producer.sent[0].key, "tea");
    assert_string_equal(f->producer.sent[0].text, "one");
    wait_for_unpublished(f, 0);
    assert_int_equal(outbox_oldest_ms(f->outbox), 0);
    assert_int_equal(f->producer.count, 1);
}

static void a_row_is_sent_with_its_trace_and_principal(void **state)
{
    struct fixture *f = *state;
    struct relay_sink sink = {.send = fake_send, .self = &f->producer};
    f->outbox = outbox_new("outbox", f->kit.db, &sink, &f->settings);
    struct weir_call *call = kit_call(20000);
    weir_call_context(call)->principal = "ann";
    struct weir_tx *tx = weir_sql_begin(call, f->kit.db);
    Echo__EchoRequest message = ECHO__ECHO_REQUEST__INIT;
    echo_echo_request_publish(tx, &message);
    assert_int_equal(weir_sql_commit(tx), WEIR_OK);
    struct weir_rows *rows = weir_sql_read(call, f->kit.db, "SELECT traceparent, principal FROM weir_outbox");
    assert_true(weir_rows_next(rows));
    assert_string_equal(weir_rows_text(rows, 0), weir_context_traceparent(weir_call_context(call)));
    assert_string_equal(weir_rows_text(rows, 1), "ann");
    weir_rows_end(rows);
    weir_call_background_end(call);
    outbox_ops.destroy(f->outbox);
    f->outbox = NULL;
}

static void one_key_has_one_message_under_way_and_others_do_not_wait_for_it(void **state)
{
    struct fixture *f = *state;
    f->producer.hold = true;
    start_outbox(f);
    publish_many(f, 6, 2);
    wait_for_sent(f, 2);
    report(f, 1, WEIR_OK);
    wait_for_sent(f, 3);
    assert_string_equal(f->producer.sent[0].text, "0");
    assert_string_equal(f->producer.sent[1].text, "1");
    assert_string_equal(f->producer.sent[2].text, "3");
    assert_int_equal(outbox_unpublished(f->outbox), 6);
    report(f, 0, WEIR_OK);
    wait_for_sent(f, 4);
    assert_string_equal(f->producer.sent[3].text, "2");
    f->producer.hold = false;
    report(f, 2, WEIR_OK);
    report(f, 3, WEIR_OK);
    wait_for_unpublished(f, 0);
}

/* Every third send is refused, every fifth delivery fails. */
static enum weir_status flaky_send(void *self, const struct weir_record *record, weir_delivered_fn *delivered,
                                   void *state, struct weir_error *err)
{
    static _Atomic unsigned calls;
    struct producer *producer = self;
    unsigned call = atomic_fetch_add(&calls, 1);
    if (call % 31 == 30)
        return weir_fail(err, WEIR_RESOURCE_EXHAUSTED, "the queue is full");
    producer->deliver = call % 50 == 49 ? WEIR_UNAVAILABLE : WEIR_OK;
    enum weir_status status = fake_send(self, record, delivered, state, err);
    if (producer->deliver != WEIR_OK)
        producer->sent[producer->count - 1].text[0] = 0; /* it did not arrive */
    return status;
}

static void failures_delay_and_never_reorder_or_lose(void **state)
{
    struct fixture *f = *state;
    enum { ROWS = 1000, KEYS = 7 };
    struct relay_sink sink = {.send = flaky_send, .self = &f->producer};
    f->outbox = outbox_new("outbox", f->kit.db, &sink, &f->settings);
    f->outbox->first_backoff_ms = 1;
    f->outbox->longest_backoff_ms = 2;
    assert_int_equal(outbox_ops.start(f->outbox, &f->kit.context, &f->kit.error), WEIR_OK);
    publish_many(f, ROWS, KEYS);
    wait_for_unpublished(f, 0);

    int next[KEYS], arrived = 0;
    for (int key = 0; key < KEYS; key++)
        next[key] = key;
    for (int i = 0; i < f->producer.count; i++) {
        if (!f->producer.sent[i].text[0])
            continue;
        int key = f->producer.sent[i].key[1] - '0';
        assert_int_equal(atoi(f->producer.sent[i].text), next[key]);
        next[key] += KEYS;
        arrived++;
    }
    assert_int_equal(arrived, ROWS);
}

static void what_can_never_be_sent_is_set_aside_and_holds_nobody_up(void **state)
{
    struct fixture *f = *state;
    f->producer.bad_key = "k1";
    start_outbox(f);
    publish_many(f, 4, 2);
    wait_for_unpublished(f, 0);
    assert_int_equal(kit_number(&f->kit, "SELECT group_concat(id, '') FROM weir_outbox_rejected"), 24);
    assert_int_equal(f->producer.count, 4);
}

static void a_stop_publishes_what_is_there(void **state)
{
    struct fixture *f = *state;
    start_outbox(f);
    publish_many(f, 500, 50);
    struct weir_work work = stop_outbox(f, 10000);
    assert_int_equal(f->producer.count, 500);
    assert_int_equal(work.in_flight, work.completed);
    assert_int_equal(work.kept, 0);
    assert_int_equal(kit_number(&f->kit, "SELECT published FROM weir_outbox_state"), 500);
}

static void a_stop_tries_at_once_what_waits_for_its_next_attempt(void **state)
{
    struct fixture *f = *state;
    f->producer.refuse = WEIR_UNAVAILABLE;
    start_outbox(f);
    pthread_mutex_lock(&f->outbox->lock);
    f->outbox->first_backoff_ms = f->outbox->longest_backoff_ms = 3600 * 1000;
    pthread_mutex_unlock(&f->outbox->lock);
    publish_many(f, 3, 3);
    kit_wait(relay_pauses, f->outbox);
    pthread_mutex_lock(&f->producer.lock);
    f->producer.refuse = WEIR_OK;
    pthread_mutex_unlock(&f->producer.lock);
    struct weir_work work = stop_outbox(f, 10000);
    assert_int_equal(work.completed, 3);
    assert_int_equal(work.kept, 0);
}

static void what_is_left_at_the_limit_is_kept_and_published_by_the_next_process(void **state)
{
    struct fixture *f = *state;
    f->producer.refuse = WEIR_UNAVAILABLE;
    start_outbox(f);
    publish_many(f, 10, 10);
    struct weir_work work = stop_outbox(f, 50);
    assert_int_equal(work.in_flight, 10);
    assert_int_equal(work.completed, 0);
    assert_int_equal(work.kept, 10);
    assert_int_equal(f->producer.count, 0);

    f->producer.refuse = WEIR_OK;
    start_outbox(f);
    wait_for_sent(f, 10);
    wait_for_unpublished(f, 0);
}

static void what_has_no_report_at_the_end_is_kept_and_a_late_report_harms_nobody(void **state)
{
    struct fixture *f = *state;
    f->producer.hold = true;
    start_outbox(f);
    publish_many(f, 3, 3);
    wait_for_sent(f, 3);
    report(f, 0, WEIR_OK);
    struct weir_work work = stop_outbox(f, 50);
    assert_int_equal(work.in_flight, 2);
    assert_int_equal(work.kept, 2);
    assert_int_equal(kit_number(&f->kit, "SELECT published FROM weir_outbox_state"), 1);
    report(f, 1, WEIR_UNAVAILABLE);
    report(f, 2, WEIR_OK);
}

static void another_broker_is_told_everything_that_is_kept(void **state)
{
    struct fixture *f = *state;
    start_outbox(f);
    outbox_cluster_is(f->outbox, "first");
    publish_many(f, 3, 1);
    wait_for_unpublished(f, 0);
    outbox_cluster_is(f->outbox, "first");
    assert_int_equal(publish(f, "k0", "3"), WEIR_OK);
    wait_for_sent(f, 4);

    outbox_cluster_is(f->outbox, "second");
    wait_for_sent(f, 8);
    wait_for_unpublished(f, 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(atoi(f->producer.sent[4 + i].text), i);
        assert_string_equal(f->producer.sent[4 + i].message_id, f->producer.sent[i].message_id);
    }
    stop_outbox(f, 10000);

    start_outbox(f); /* the same broker is there after a restart */
    outbox_cluster_is(f->outbox, "second");
    assert_int_equal(publish(f, "k0", "5"), WEIR_OK);
    wait_for_sent(f, 9);
    assert_string_equal(f->producer.sent[8].text, "5");
    stop_outbox(f, 10000);

    start_outbox(f); /* and another one after this */
    outbox_cluster_is(f->outbox, "third");
    wait_for_sent(f, 14);
    wait_for_unpublished(f, 0);
}

static void two_relays_of_one_database_take_turns(void **state)
{
    struct fixture *f = *state;
    start_outbox(f);
    publish_many(f, 5, 5);
    wait_for_unpublished(f, 0);

    struct fixture *other = calloc(1, sizeof *other);
    other->kit = f->kit;
    assert_int_equal(kit_start(&other->kit), WEIR_OK);
    pthread_mutex_init(&other->producer.lock, NULL);
    condition_init(&other->producer.changed);
    other->settings = f->settings;
    start_outbox(other);
    assert_int_equal(publish(other, "k", "of the other"), WEIR_OK);
    wait_for_sent(f, 6); /* the first still has the lock, and looks now and then */
    assert_int_equal(other->producer.count, 0);

    stop_outbox(f, 10000);
    assert_int_equal(publish(other, "k", "again"), WEIR_OK);
    wait_for_sent(other, 1);
    assert_string_equal(other->producer.sent[0].text, "again");
    wait_for_unpublished(other, 0);
    stop_outbox(other, 10000);
    kit_stop(&other->kit);
    free(other);
}

static void a_full_outbox_refuses_more(void **state)
{
    struct fixture *f = *state;
    f->settings.rows_max = 3;
    f->producer.refuse = WEIR_UNAVAILABLE;
    start_outbox(f);
    for (int i = 0; i < 3; i++)
        assert_int_equal(publish(f, "k", "x"), WEIR_OK);
    assert_int_equal(publish(f, "k", "x"), WEIR_RESOURCE_EXHAUSTED);
    pthread_mutex_lock(&f->producer.lock);
    f->producer.refuse = WEIR_OK;
    pthread_mutex_unlock(&f->producer.lock);
    wait_for_unpublished(f, 0);
    kit_wait(knows_of_three, &f->kit);
    assert_int_equal(publish(f, "k", "x"), WEIR_OK);
}

static void a_database_without_an_outbox_says_so(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(publish(f, "k", "x"), WEIR_INTERNAL);
}

static int64_t prune(struct fixture *f, int64_t now_ms, int64_t keep_ms, int64_t batch)
{
    int64_t deleted = -1;
    assert_int_equal(store_prune(f->kit.db, &f->kit.context, now_ms, keep_ms, batch, &deleted, &f->kit.error),
                     WEIR_OK);
    return deleted;
}

static void rows_go_when_they_were_published_long_enough_ago_and_never_before(void **state)
{
    struct fixture *f = *state;
    struct weir_error *err = &f->kit.error;
    struct relay_sink sink = {.send = fake_send, .self = &f->producer};
    f->outbox = outbox_new("outbox", f->kit.db, &sink, &f->settings); /* not started: the test marks */
    publish_many(f, 10, 1);
    assert_int_equal(prune(f, 1000, 500, 100), 0);
    assert_int_equal(store_mark(f->kit.db, &f->kit.context, 4, err), WEIR_OK);
    assert_int_equal(prune(f, 2000, 500, 100), 0); /* seen published at 2000 */
    assert_int_equal(store_mark(f->kit.db, &f->kit.context, 8, err), WEIR_OK);
    assert_int_equal(prune(f, 2400, 500, 100), 0);
    assert_int_equal(prune(f, 2600, 500, 3), 3);
    assert_int_equal(prune(f, 2600, 500, 3), 1);
    assert_int_equal(kit_number(&f->kit, "SELECT min(id) FROM weir_outbox"), 5);
    assert_int_equal(prune(f, 3000, 500, 100), 4);
    assert_int_equal(prune(f, 99999, 500, 100), 0);
    assert_int_equal(kit_number(&f->kit, "SELECT group_concat(id, '') FROM weir_outbox"), 910);
    assert_in_range(kit_number(&f->kit, "SELECT count(*) FROM weir_outbox_marks"), 0, 1);
    outbox_ops.destroy(f->outbox);
    f->outbox = NULL;
}

static void rows_that_are_published_again_are_not_pruned_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct relay_sink sink = {.send = fake_send, .self = &f->producer};
    f->outbox = outbox_new("outbox", f->kit.db, &sink, &f->settings);
    publish_many(f, 4, 1);
    assert_int_equal(store_mark(f->kit.db, &f->kit.context, 4, &f->kit.error), WEIR_OK);
    assert_int_equal(prune(f, 1000, 500, 100), 0);
    struct store_state now = {0};
    assert_int_equal(store_cluster(f->kit.db, &f->kit.context, "new", true, &now, &f->kit.error), WEIR_OK);
    assert_int_equal(now.published, 0);
    assert_int_equal(prune(f, 9000, 500, 100), 0);
    assert_int_equal(store_mark(f->kit.db, &f->kit.context, 4, &f->kit.error), WEIR_OK);
    assert_int_equal(prune(f, 9000, 500, 100), 4);
    outbox_ops.destroy(f->outbox);
    f->outbox = NULL;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_committed_is_published_at_once_and_what_is_rolled_back_never),
        TEST(a_row_is_sent_with_its_trace_and_principal),
        TEST(one_key_has_one_message_under_way_and_others_do_not_wait_for_it),
        TEST(failures_delay_and_never_reorder_or_lose),
        TEST(what_can_never_be_sent_is_set_aside_and_holds_nobody_up),
        TEST(a_stop_publishes_what_is_there),
        TEST(a_stop_tries_at_once_what_waits_for_its_next_attempt),
        TEST(what_is_left_at_the_limit_is_kept_and_published_by_the_next_process),
        TEST(what_has_no_report_at_the_end_is_kept_and_a_late_report_harms_nobody),
        TEST(another_broker_is_told_everything_that_is_kept),
        TEST(two_relays_of_one_database_take_turns),
        TEST(a_full_outbox_refuses_more),
        TEST(a_database_without_an_outbox_says_so),
        TEST(rows_go_when_they_were_published_long_enough_ago_and_never_before),
        TEST(rows_that_are_published_again_are_not_pruned_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
