/* Publishing into the outbox, and the relay as a component. */
#include "data/outbox.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/call.h>
#include <weir/clock.h>
#include <weir/id.h>
#include <weir/log.h>

#include "core/condition.h"
#include "core/memory.h"
#include "core/sabotage.h"
#include "observe/metrics.h"

#define BACKOFF_IN_STOP_MS 250
#define LANES 64 /* as in tables.c */

/* ---- Publishing ---- */

/* One per transaction that publishes. */
struct wake_up {
    struct weir_outbox *outbox;
    int64_t last_id;
    int64_t rows;
};

/* Runs on: the committing thread. */
static void rows_are_committed(void *arg)
{
    struct wake_up *wake_up = arg;
    struct weir_outbox *outbox = wake_up->outbox;
    pthread_mutex_lock(&outbox->lock);
    if (outbox->lanes) {
        outbox->known += wake_up->rows;
        pthread_cond_broadcast(&outbox->changed);
    } else if (wake_up->last_id > outbox->known) {
        outbox->known = wake_up->last_id;
        if (!outbox->gathers)
            pthread_cond_broadcast(&outbox->changed);
    }
    pthread_mutex_unlock(&outbox->lock);
}

static enum weir_status is_full(struct weir_tx *tx, const struct weir_outbox *outbox)
{
    return weir_sql_fail(tx, WEIR_RESOURCE_EXHAUSTED,
                         "%s: %lld events wait to be published, no more are taken", outbox->name,
                         (long long)outbox->settings.rows_max);
}

static enum weir_status check_room(struct weir_tx *tx, struct weir_outbox *outbox, int64_t id)
{
    int64_t most = outbox->settings.rows_max;
    if (outbox->lanes && outbox_unpublished(outbox) < most)
        return WEIR_OK;
    if (outbox->lanes)
        return is_full(tx, outbox);
    if (id - atomic_load(&outbox->ever) <= most)
        return WEIR_OK;
    /* Another process may be the one that publishes. */
    struct weir_rows *rows = weir_sql_query(tx, "SELECT ever FROM weir_outbox_state");
    int64_t ever = weir_rows_next(rows) ? weir_rows_int(rows, 0) : 0;
    if (weir_rows_end(rows) != WEIR_OK || id - ever <= most)
        return weir_sql_status(tx);
    return is_full(tx, outbox);
}

/* Rows of one key are in one lane: a relay has it alone. FNV-1a. */
static int64_t lane_of(const char *key)
{
    uint32_t hash = UINT32_C(0x811c9dc5);
    for (; *key; key++)
        hash = (hash ^ (uint8_t)*key) * UINT32_C(0x01000193);
    return hash % LANES;
}

static enum weir_status insert(struct weir_tx *tx, const struct weir_topic *topic, const char *key,
                               struct weir_bytes payload)
{
    char message_id[WEIR_ID_SIZE];
    struct weir_call *call = weir_sql_call(tx);
    const struct weir_context *context = call ? weir_call_context(call) : NULL;
    const char *trace = context ? weir_context_traceparent(context) : "";
    const struct weir_value row[] = {
        weir_value_text(weir_id_new(message_id)),
        weir_value_text(topic->name),
        weir_value_bytes(weir_bytes_of_text(key)),
        weir_value_text(topic->message->full_name),
        weir_value_text(trace[0] ? trace : NULL),
        weir_value_text(context ? weir_context_principal(context) : NULL),
        weir_value_int(weir_unix_ns() / WEIR_NS_PER_MS),
        weir_value_bytes(payload),
        weir_value_int(lane_of(key ? key : message_id)),
    };
    if (weir_sql_db(tx)->outbox->lanes)
        return sql_exec_later(
            tx,
            "INSERT INTO weir_outbox (message_id, topic, key, type, traceparent, principal, "
            "created_ms, payload, lane) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row, 9);
    weir_sql_exec_values(
        tx,
        "INSERT INTO weir_outbox (message_id, topic, key, type, traceparent, principal, created_ms, payload) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        row, 8);
    return weir_sql_status(tx);
}

#ifdef WEIR_SABOTAGE
/* What services do that have no outbox: the event is sent after the commit, and nobody remembers that it must be. */
struct unstored {
    struct weir_outbox *outbox;
    struct weir_record record;
    char message_id[WEIR_ID_SIZE];
};

static void delivered(void *state, enum weir_status status, int32_t partition, int64_t offset,
                      const char *error)
{
    (void)state, (void)status, (void)partition, (void)offset, (void)error;
}

static void send_unstored(void *arg)
{
    struct unstored *event = arg;
    struct weir_error err = {0};
    if (event->outbox->sink.send(event->outbox->sink.self, &event->record, delivered, NULL, &err) != WEIR_OK)
        weir_log_warn("an event is not sent", weir_field_error(&err));
}

static enum weir_status send_after_commit(struct weir_tx *tx, const struct weir_topic *topic,
                                          const ProtobufCMessage *message)
{
    struct unstored *event = sql_tx_alloc(tx, sizeof *event);
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = sql_tx_alloc(tx, size + 1);
    protobuf_c_message_pack(message, packed);
    const char *key = topic->key ? topic->key(message) : "";
    char *kept = sql_tx_alloc(tx, strlen(key) + 1);
    strcpy(kept, key);
    event->outbox = weir_sql_db(tx)->outbox;
    event->record = (struct weir_record){.topic = topic->name,
                                         .key = weir_bytes_of_text(kept),
                                         .value = weir_bytes(packed, size),
                                         .message_id = weir_id_new(event->message_id),
                                         .type = topic->message->full_name};
    weir_sql_on_commit(tx, send_unstored, event);
    return WEIR_OK;
}
#endif

enum weir_status weir_outbox_publish(struct weir_tx *tx, const struct weir_topic *topic,
                                     const ProtobufCMessage *message)
{
    struct weir_outbox *outbox = weir_sql_db(tx)->outbox;
    if (weir_sql_status(tx) != WEIR_OK)
        return weir_sql_status(tx);
    if (!outbox)
        return weir_sql_fail(tx, WEIR_INTERNAL, "%s has no outbox: weir_outbox_add() gives it one",
                             weir_sql_db(tx)->name);

#ifdef WEIR_SABOTAGE
    if (SABOTAGED(outbox))
        return send_after_commit(tx, topic, message);
#endif
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = memory_alloc(size ? size : 1);
    protobuf_c_message_pack(message, packed);
    enum weir_status status =
        insert(tx, topic, topic->key ? topic->key(message) : NULL, weir_bytes(packed, size));
    free(packed);
    if (status != WEIR_OK)
        return status;

    int64_t id = sql_last_id(tx);
    struct wake_up *wake_up = sql_on_commit_arg(tx, rows_are_committed);
    if (!wake_up) {
        wake_up = sql_tx_alloc(tx, sizeof *wake_up);
        wake_up->outbox = outbox;
        weir_sql_on_commit(tx, rows_are_committed, wake_up);
    }
    wake_up->last_id = id;
    wake_up->rows++;
    return check_room(tx, outbox, id);
}

/* ---- The component ---- */

struct weir_outbox *outbox_new(const char *name, struct weir_sql *db, const struct relay_sink *sink,
                               const struct outbox_settings *settings)
{
    struct weir_outbox *outbox = NEW(struct weir_outbox);
    outbox->name = name;
    outbox->db = db;
    outbox->sink = *sink;
    outbox->settings = *settings;
    outbox->first_backoff_ms = 100;
    outbox->longest_backoff_ms = 5000;
    outbox->lock_file = -1;
    pthread_mutex_init(&outbox->lock, NULL);
    condition_init(&outbox->changed);
    condition_init(&outbox->to_mark);
    context_init(&outbox->send_context, NULL, WEIR_NEVER);
    context_init(&outbox->mark_context, NULL, WEIR_NEVER);
    window_init(&outbox->window, settings->in_flight_max);
    db->outbox = outbox;
    return outbox;
}

void outbox_free(struct weir_outbox *outbox)
{
    window_clean_up(&outbox->window);
    context_clean_up(&outbox->mark_context);
    context_clean_up(&outbox->send_context);
    pthread_cond_destroy(&outbox->to_mark);
    pthread_cond_destroy(&outbox->changed);
    pthread_mutex_destroy(&outbox->lock);
    free(outbox);
}

static double read_unpublished(void *outbox)
{
    return (double)outbox_unpublished(outbox);
}

static double read_oldest(void *outbox)
{
    return (double)outbox_oldest_ms(outbox) / 1000;
}

static void add_metrics(struct weir_outbox *outbox)
{
    struct metric_options unpublished = {
        .name = "weir_outbox_unpublished",
        .help = "Events that are not known to be on the broker",
        .labels = {{"outbox", outbox->name}},
    };
    struct metric_options oldest = {
        .name = "weir_outbox_oldest_seconds",
        .help = "Age of the oldest event that is not known to be on the broker",
        .labels = {{"outbox", outbox->name}},
    };
    outbox->metrics[0] = metrics_source(METRIC_GAUGE, &unpublished, read_unpublished, outbox);
    outbox->metrics[1] = metrics_source(METRIC_GAUGE, &oldest, read_oldest, outbox);
}

static void stop_sender(struct weir_outbox *outbox)
{
    pthread_mutex_lock(&outbox->lock);
    outbox->stop_sending = true;
    pthread_cond_broadcast(&outbox->changed);
    pthread_mutex_unlock(&outbox->lock);
    context_end(&outbox->send_context, WEIR_CANCELLED);
    if (outbox->sender_runs)
        pthread_join(outbox->sender, NULL);
    outbox->sender_runs = false;
}

static void stop_marker(struct weir_outbox *outbox)
{
    pthread_mutex_lock(&outbox->lock);
    outbox->stop_marking = true;
    pthread_cond_signal(&outbox->to_mark);
    pthread_mutex_unlock(&outbox->lock);
    if (outbox->marker_runs)
        pthread_join(outbox->marker, NULL);
    outbox->marker_runs = false;
}

static enum weir_status outbox_start(void *self, struct weir_context *context, struct weir_error *err)
{
    (void)context;
    struct weir_outbox *outbox = self;
    outbox->lanes = outbox->db->backend == &postgres_backend;
    int failed = outbox->lanes ? 0 : pthread_create(&outbox->marker, NULL, relay_mark, outbox);
    outbox->marker_runs = !failed && !outbox->lanes;
    if (!failed) {
        failed = pthread_create(&outbox->sender, NULL, outbox->lanes ? postgres_relay : relay_send, outbox);
        outbox->sender_runs = !failed;
    }
    if (!failed) {
        if (outbox->marker_runs)
            pthread_setname_np(outbox->marker, "weir-outbox-mrk");
        pthread_setname_np(outbox->sender, "weir-outbox");
        add_metrics(outbox);
        return WEIR_OK;
    }
    stop_marker(outbox);
    return weir_fail_errno(err, WEIR_RESOURCE_EXHAUSTED, failed, "%s: cannot start a thread", outbox->name);
}

static enum weir_status outbox_quiesce(void *self, struct weir_error *err)
{
    (void)err;
    struct weir_outbox *outbox = self;
    pthread_mutex_lock(&outbox->lock);
    outbox->published_before = outbox->published;
    /* There is not much time: what waits for its next attempt gets it now, and soon again. */
    outbox->retry_at_ns = outbox->pause_until_ns = 0;
    if (outbox->longest_backoff_ms > BACKOFF_IN_STOP_MS)
        outbox->longest_backoff_ms = BACKOFF_IN_STOP_MS;
    pthread_cond_broadcast(&outbox->changed);
    pthread_mutex_unlock(&outbox->lock);
    return WEIR_OK;
}

/* A deadline that moves earlier wakes nobody here, so it is looked at as often. */
static void wait_a_little(struct weir_outbox *outbox)
{
    condition_wait(&outbox->changed, &outbox->lock, weir_now_ns() + 20 * WEIR_NS_PER_MS);
}

/* Holds: lock. What another process publishes is that one's. */
static bool is_drained(const struct weir_outbox *outbox)
{
    if (!outbox->tried_lock_file)
        return false;
    return !outbox->has_lock_file || (outbox->looked && relay_unpublished(outbox) == 0);
}

/* Publishes what is there. Of what is handed over and not reported finish tells the outcome. */
static enum weir_status outbox_drain(void *self, struct weir_context *context, struct weir_work *work,
                                     struct weir_error *err)
{
    (void)err;
    struct weir_outbox *outbox = self;
    struct condition_watch watch;
    condition_watch(&watch, context, &outbox->lock, &outbox->changed);
    pthread_mutex_lock(&outbox->lock);
    while (outbox->sender_runs && !is_drained(outbox) && weir_context_status(context) == WEIR_OK)
        wait_a_little(outbox);
    pthread_mutex_unlock(&outbox->lock);
    condition_unwatch(&watch);
    stop_sender(outbox);

    pthread_mutex_lock(&outbox->lock);
    if (outbox->has_lock_file) {
        int64_t completed = outbox->published - outbox->published_before;
        int64_t kept = relay_unpublished(outbox) - outbox->window.sent;
        work->in_flight += completed + kept;
        work->completed += completed;
        work->kept += kept;
    }
    outbox->published_drained = outbox->published;
    outbox->sent_drained = outbox->window.sent;
    pthread_mutex_unlock(&outbox->lock);
    return WEIR_OK;
}

/* What is then without a report is the producer's to tell: here it is kept. */
static enum weir_status outbox_finish(void *self, struct weir_context *context, struct weir_work *work,
                                      struct weir_error *err)
{
    (void)err;
    struct weir_outbox *outbox = self;
    /* The reports first, then time for the last mark. */
    int64_t deadline_ns = weir_context_deadline_ns(context);
    int64_t left_ms = weir_context_left_ms(context);
    int64_t reports_until_ns = deadline_ns == WEIR_NEVER ? WEIR_NEVER : weir_deadline_in_ms(left_ms / 2);
    struct condition_watch watch;
    condition_watch(&watch, context, &outbox->lock, &outbox->changed);
    pthread_mutex_lock(&outbox->lock);
    while (outbox->window.sent > 0 && weir_context_status(context) == WEIR_OK &&
           weir_now_ns() < reports_until_ns)
        wait_a_little(outbox);
    int64_t completed = outbox->published - outbox->published_drained;
    work->in_flight += outbox->sent_drained;
    work->completed += completed;
    work->kept += outbox->sent_drained - completed;
    pthread_mutex_unlock(&outbox->lock);
    condition_unwatch(&watch);

    context_limit(&outbox->mark_context, deadline_ns);
    stop_marker(outbox);
    pthread_mutex_lock(&outbox->lock);
    bool unmarked = outbox->has_lock_file && outbox->published != outbox->marked;
    if (outbox->lock_file >= 0)
        close(outbox->lock_file);
    outbox->lock_file = -1;
    outbox->has_lock_file = false;
    pthread_mutex_unlock(&outbox->lock);
    if (unmarked)
        weir_log_warn("what was published last is not marked and will be published again",
                      weir_field_text("component", outbox->name));
    return WEIR_OK;
}

static void outbox_destroy(void *self)
{
    struct weir_outbox *outbox = self;
    if (outbox->forget_producer)
        outbox->forget_producer(outbox);
    for (int i = 0; i < 2; i++)
        metrics_source_remove(outbox->metrics[i]);
    stop_sender(outbox);
    context_end(&outbox->mark_context, WEIR_CANCELLED);
    stop_marker(outbox);
    pthread_mutex_lock(&outbox->lock);
    if (outbox->lock_file >= 0)
        close(outbox->lock_file);
    outbox->orphaned = outbox->window.sent > 0;
    bool orphaned = outbox->orphaned;
    pthread_mutex_unlock(&outbox->lock);
    if (!orphaned)
        outbox_free(outbox);
}

const struct weir_component_ops outbox_ops = {
    .start = outbox_start,
    .quiesce = outbox_quiesce,
    .drain = outbox_drain,
    .finish = outbox_finish,
    .destroy = outbox_destroy,
};

/* ---- What others see and say ---- */

int64_t outbox_unpublished(struct weir_outbox *outbox)
{
    pthread_mutex_lock(&outbox->lock);
    int64_t unpublished = relay_unpublished(outbox);
    pthread_mutex_unlock(&outbox->lock);
    return unpublished;
}

int64_t outbox_oldest_ms(struct weir_outbox *outbox)
{
    pthread_mutex_lock(&outbox->lock);
    const struct row *oldest = window_oldest(&outbox->window);
    int64_t created_ms = oldest ? oldest->created_ms : 0;
    if (outbox->lanes)
        created_ms = relay_unpublished(outbox) > 0 ? outbox->oldest_created_ms : 0;
    pthread_mutex_unlock(&outbox->lock);
    int64_t age_ms = created_ms ? weir_unix_ns() / WEIR_NS_PER_MS - created_ms : 0;
    return age_ms > 0 ? age_ms : 0;
}

void outbox_cluster_is(void *self, const char *cluster)
{
    struct weir_outbox *outbox = self;
    pthread_mutex_lock(&outbox->lock);
    memset(outbox->seen_cluster, 0, CLUSTER_SIZE);
    strncpy(outbox->seen_cluster, cluster, CLUSTER_SIZE - 1);
    pthread_cond_broadcast(&outbox->changed);
    pthread_mutex_unlock(&outbox->lock);
}
