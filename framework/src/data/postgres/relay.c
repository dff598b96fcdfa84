/* The relay on PostgreSQL: one thread, and as many relays as there are processes.
 *
 * It works in rounds, each a transaction: lock the lanes that have rows to publish and nobody else has (SKIP LOCKED),
 * read their rows in the order of their ids, hand them over, one of a key at a time, wait for the reports, mark, commit.
 * So the rows of a key are with one relay at a time, and whatever ends a relay gives its lanes back at once. A round
 * runs at READ COMMITTED: it disturbs nobody's SERIALIZABLE transaction.
 *
 * The same fields of the outbox serve as on SQLite, but `known` and `published` are counts: their difference is how many
 * rows wait, as last counted. */
#include <inttypes.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "core/condition.h"
#include "data/outbox.h"

#define READ_MAX 500
/* Nothing more is handed over in a round after so long: others wait. */
#define ROUND_NS (200 * WEIR_NS_PER_MS)
/* In a stop the reports of what is handed over are waited for so long. */
#define STOP_NS (200 * WEIR_NS_PER_MS)
#define PING_NS (2 * WEIR_NS_PER_S)
/* Rows of a process that has died come without a wake-up. */
#define LOOK_MS 1000
#define PRUNE_BATCH 500

struct round {
    struct weir_outbox *outbox;
    struct weir_arena *arena;
    struct weir_tx *tx;
    int64_t rows;      /* read */
    int64_t published; /* and marked */
};

static bool commit_round(struct round *round)
{
    struct weir_outbox *outbox = round->outbox;
    bool good = weir_sql_commit(round->tx) == WEIR_OK;
    if (!good && weir_context_status(&outbox->mark_context) == WEIR_OK &&
        !component_is_away(&outbox->db->component))
        weir_log_warn("a round of the outbox failed, its events may be published again",
                      weir_field_text("component", outbox->name), weir_field_error(sql_error(round->tx)));
    return good;
}

static void begin_round(struct round *round, struct weir_outbox *outbox)
{
    *round = (struct round){.outbox = outbox, .arena = weir_arena_new()};
    round->tx = sql_begin_at(outbox->db, NULL, &outbox->mark_context, round->arena, SQL_READ_COMMITTED);
    /* A relay that is frozen loses its lanes. */
    (void)sql_exec_later(round->tx, "SET LOCAL idle_in_transaction_session_timeout = '15s'", NULL, 0);
}

/* ---- What is to be published ---- */

/* "{1,5}" in `text`; false: none. */
static bool lock_lanes(struct round *round, struct weir_buffer *text)
{
    struct weir_rows *rows = weir_sql_query(round->tx,
                                            "SELECT lane FROM weir_outbox_lanes WHERE lane IN (SELECT lane "
                                            "FROM weir_outbox WHERE published_ms IS NULL "
                                            "ORDER BY id LIMIT ?) ORDER BY lane FOR UPDATE SKIP LOCKED",
                                            10 * READ_MAX);
    char separator = '{';
    while (weir_rows_next(rows)) {
        weir_buffer_printf(text, "%c%" PRId64, separator, weir_rows_int(rows, 0));
        separator = ',';
    }
    weir_buffer_append_text(text, "}");
    return weir_rows_end(rows) == WEIR_OK && separator == ',';
}

static const char *text_or_null(struct weir_rows *rows, int column)
{
    return weir_rows_null(rows, column) ? NULL : weir_rows_text(rows, column);
}

/* A statement of its own, behind the locks: it sees what the lanes' last holder has marked. */
static void read_rows(struct round *round, const char *lanes)
{
    struct weir_outbox *outbox = round->outbox;
    int64_t most = outbox->settings.in_flight_max < READ_MAX ? outbox->settings.in_flight_max : READ_MAX;
    struct weir_rows *rows =
        weir_sql_query(round->tx,
                       "SELECT id, message_id, topic, key, type, traceparent, principal, created_ms, payload "
                       "FROM weir_outbox "
                       "WHERE published_ms IS NULL AND lane = ANY (CAST(? AS BIGINT[])) ORDER BY id LIMIT ?",
                       lanes, most);
    while (weir_rows_next(rows)) {
        struct weir_record record = {
            .message_id = weir_rows_text(rows, 1),
            .topic = weir_rows_text(rows, 2),
            .key = weir_rows_bytes(rows, 3),
            .type = weir_rows_text(rows, 4),
            .traceparent = text_or_null(rows, 5),
            .principal = text_or_null(rows, 6),
            .value = weir_rows_bytes(rows, 8),
        };
        struct row *row = row_new(weir_rows_int(rows, 0), &record);
        row->created_ms = weir_rows_int(rows, 7);
        row->owner = outbox;
        pthread_mutex_lock(&outbox->lock);
        window_add(&outbox->window, row);
        pthread_mutex_unlock(&outbox->lock);
        round->rows++;
    }
    (void)weir_rows_end(rows);
}

/* ---- Handing over ---- */

/* Holds: lock, and gives it up. */
static void reject(struct round *round, struct row *row)
{
    struct weir_outbox *outbox = round->outbox;
    pthread_mutex_unlock(&outbox->lock);
    weir_sql_exec(
        round->tx,
        "INSERT INTO weir_outbox_rejected SELECT id, message_id, topic, key, type, traceparent, principal, "
        "created_ms, payload, ?, ? FROM weir_outbox WHERE id = ? ON CONFLICT (id) DO NOTHING",
        weir_unix_ns() / WEIR_NS_PER_MS, "the producer says that it can never be sent: INVALID_ARGUMENT",
        row->id);
    weir_log_error("an event can never be published and is set aside in weir_outbox_rejected",
                   weir_field_text("component", outbox->name), weir_field_int("id", row->id),
                   weir_field_text("topic", row->record.topic));
    pthread_mutex_lock(&outbox->lock);
    window_done(&outbox->window, row);
}

/* Holds: lock, and gives it up. False: the producer takes nothing more for now. */
static bool hand_over(struct round *round, struct row *row)
{
    struct weir_outbox *outbox = round->outbox;
    pthread_mutex_unlock(&outbox->lock);
    struct weir_error err = {0};
    enum weir_status status = outbox->sink.send(outbox->sink.self, &row->record, relay_delivered, row, &err);
    pthread_mutex_lock(&outbox->lock);
    if (status == WEIR_OK)
        return true;
    if (status == WEIR_INVALID_ARGUMENT) {
        row->rejected = true;
        window_failed(&outbox->window, row);
        return true;
    }
    window_put_back(&outbox->window, row);
    relay_back_off(outbox, err.text);
    return false;
}

/* Holds: lock, and gives it up. The connection says by then whether the lanes are still ours. */
static void ping(struct round *round)
{
    pthread_mutex_unlock(&round->outbox->lock);
    weir_sql_exec(round->tx, "SELECT 1");
    pthread_mutex_lock(&round->outbox->lock);
}

static void publish(struct round *round)
{
    struct weir_outbox *outbox = round->outbox;
    struct window *window = &outbox->window;
    int64_t until_ns = weir_now_ns() + ROUND_NS, stop_ns = WEIR_NEVER;
    bool taken = true;
    pthread_mutex_lock(&outbox->lock);
    for (;;) {
        struct row *row = window_take_rejected(window);
        if (row) {
            reject(round, row);
            continue;
        }
        taken = taken && !outbox->stop_sending && !window->failed.first && weir_now_ns() < until_ns &&
                weir_sql_status(round->tx) == WEIR_OK;
        if (taken && (row = window_take(window))) {
            taken = hand_over(round, row);
            continue;
        }
        if (window->sent == 0)
            break;
        if (outbox->stop_sending && stop_ns == WEIR_NEVER)
            stop_ns = weir_now_ns() + STOP_NS;
        if (weir_now_ns() >= stop_ns)
            break;
        int64_t ping_ns = weir_now_ns() + PING_NS;
        if (!condition_wait(&outbox->changed, &outbox->lock, ping_ns < stop_ns ? ping_ns : stop_ns))
            ping(round);
    }
    pthread_mutex_unlock(&outbox->lock);
}

/* ---- The end of a round ---- */

/* "{1,5}": what the broker has. */
static int64_t list_done(struct weir_outbox *outbox, struct weir_buffer *text)
{
    struct window *window = &outbox->window;
    int64_t count = 0;
    pthread_mutex_lock(&outbox->lock);
    for (int64_t i = 0; i < window->count; i++) {
        const struct row *row = window->ring[(window->head + i) % window->capacity];
        if (row->state == ROW_DONE)
            weir_buffer_printf(text, "%c%" PRId64, count++ ? ',' : '{', row->id);
    }
    weir_buffer_append_text(text, "}");
    pthread_mutex_unlock(&outbox->lock);
    return count;
}

static void mark(struct round *round)
{
    struct weir_buffer done = {0};
    int64_t count = list_done(round->outbox, &done);
    if (count > 0)
        weir_sql_exec(round->tx,
                      "UPDATE weir_outbox SET published_ms = ? WHERE id = ANY (CAST(? AS BIGINT[]))",
                      weir_unix_ns() / WEIR_NS_PER_MS, weir_buffer_text(&done));
    weir_buffer_free(&done);
    if (commit_round(round))
        round->published = count;
}

/* What nobody has reported yet stays: the last report frees the outbox. */
static void end_round(struct round *round)
{
    struct weir_outbox *outbox = round->outbox;
    pthread_mutex_lock(&outbox->lock);
    outbox->published += round->published;
    if (outbox->known < outbox->published)
        outbox->known = outbox->published;
    outbox->marked = outbox->published;
    if (outbox->window.sent == 0)
        window_clear(&outbox->window);
    pthread_cond_broadcast(&outbox->changed);
    pthread_mutex_unlock(&outbox->lock);
    weir_arena_destroy(round->arena);
}

/* One round; how many rows it has read. */
static int64_t run_round(struct weir_outbox *outbox)
{
    struct round round;
    struct weir_buffer lanes = {0};
    begin_round(&round, outbox);
    if (lock_lanes(&round, &lanes))
        read_rows(&round, weir_buffer_text(&lanes));
    weir_buffer_free(&lanes);
    if (round.rows > 0)
        publish(&round);
    mark(&round);
    end_round(&round);
    return round.rows;
}

/* ---- Beside the rounds ---- */

/* How many wait, and since when. */
static void count(struct weir_outbox *outbox)
{
    struct weir_arena *arena = weir_arena_new();
    struct weir_rows *rows = sql_read(
        outbox->db, NULL, &outbox->mark_context, arena,
        "SELECT count(*), coalesce(min(created_ms), 0) FROM weir_outbox WHERE published_ms IS NULL", NULL, 0);
    bool found = weir_rows_next(rows);
    int64_t waiting = found ? weir_rows_int(rows, 0) : 0, oldest_ms = found ? weir_rows_int(rows, 1) : 0;
    if (weir_rows_end(rows) == WEIR_OK) {
        pthread_mutex_lock(&outbox->lock);
        outbox->known = outbox->published + waiting;
        outbox->oldest_created_ms = oldest_ms;
        outbox->looked = true;
        pthread_cond_broadcast(&outbox->changed);
        pthread_mutex_unlock(&outbox->lock);
    }
    weir_arena_destroy(arena);
}

static void prune(struct weir_outbox *outbox)
{
    struct round round;
    begin_round(&round, outbox);
    int64_t deleted =
        weir_sql_exec(round.tx,
                      "DELETE FROM weir_outbox WHERE id IN (SELECT id FROM weir_outbox WHERE published_ms "
                      "<= ? ORDER BY published_ms LIMIT ? FOR UPDATE SKIP LOCKED)",
                      weir_unix_ns() / WEIR_NS_PER_MS - outbox->settings.keep_ms, PRUNE_BATCH);
    (void)commit_round(&round);
    weir_arena_destroy(round.arena);
    int64_t pause_ms = deleted == PRUNE_BATCH ? 20 : relay_prune_interval_ms(outbox);
    outbox->prune_due_ns = weir_now_ns() + pause_ms * WEIR_NS_PER_MS;
}

/* Another broker: one relay has all that is kept published again, while none is in a round. */
static void change_cluster(struct weir_outbox *outbox)
{
    struct round round;
    char seen[CLUSTER_SIZE];
    pthread_mutex_lock(&outbox->lock);
    memcpy(seen, outbox->seen_cluster, CLUSTER_SIZE);
    pthread_mutex_unlock(&outbox->lock);
    begin_round(&round, outbox);
    (void)weir_rows_end(
        weir_sql_query(round.tx, "SELECT lane FROM weir_outbox_lanes ORDER BY lane FOR UPDATE"));
    struct weir_rows *rows = weir_sql_query(round.tx, "SELECT cluster FROM weir_outbox_state");
    const char *stored = weir_rows_next(rows) ? weir_rows_text(rows, 0) : "";
    (void)weir_rows_end(rows);
    bool again = stored[0] && strcmp(stored, seen) != 0;
    if (strcmp(stored, seen) != 0)
        weir_sql_exec(round.tx, "UPDATE weir_outbox_state SET cluster = ?", seen);
    int64_t rows_again =
        again ? weir_sql_exec(round.tx,
                              "UPDATE weir_outbox SET published_ms = NULL WHERE published_ms IS NOT NULL")
              : 0;
    if (commit_round(&round)) {
        if (again)
            weir_log_warn("the broker is another one than before, what is kept is published again",
                          weir_field_text("component", outbox->name), weir_field_text("cluster", seen),
                          weir_field_int("rows", rows_again));
        pthread_mutex_lock(&outbox->lock);
        memcpy(outbox->stored_cluster, seen, CLUSTER_SIZE);
        pthread_mutex_unlock(&outbox->lock);
    }
    weir_arena_destroy(round.arena);
}

/* ---- The thread ---- */

/* Holds: lock. Rows that others hold are looked for again soon, and less and less often. */
static void wait_for_work(struct weir_outbox *outbox, int64_t pause_ms)
{
    int64_t now = weir_now_ns(), until_ns = now + pause_ms * WEIR_NS_PER_MS;
    if (outbox->retry_at_ns > until_ns)
        until_ns = outbox->retry_at_ns;
    int64_t known = outbox->known;
    while (!outbox->stop_sending && weir_now_ns() < until_ns && !relay_cluster_changed(outbox) &&
           (outbox->known <= known || weir_now_ns() < outbox->retry_at_ns))
        condition_wait(&outbox->changed, &outbox->lock, until_ns);
}

void *postgres_relay(void *self)
{
    struct weir_outbox *outbox = self;
    int64_t pause_ms = 0, look_at_ns = 0;
    pthread_mutex_lock(&outbox->lock);
    outbox->tried_lock_file = outbox->has_lock_file = true; /* there is none to wait for */
    outbox->prune_due_ns = weir_now_ns() + relay_prune_interval_ms(outbox) * WEIR_NS_PER_MS;
    while (!outbox->stop_sending) {
        bool changed = relay_cluster_changed(outbox);
        pthread_mutex_unlock(&outbox->lock);
        if (changed)
            change_cluster(outbox);
        int64_t rows = run_round(outbox);
        if (weir_now_ns() >= look_at_ns || rows == 0) {
            count(outbox);
            look_at_ns = weir_now_ns() + LOOK_MS * WEIR_NS_PER_MS;
        }
        if (weir_now_ns() >= outbox->prune_due_ns)
            prune(outbox);
        pthread_mutex_lock(&outbox->lock);
        bool others = rows == 0 && relay_unpublished(outbox) > 0;
        pause_ms = rows > 0 ? 0 : !others ? LOOK_MS : pause_ms == 0 || pause_ms == LOOK_MS ? 5 : pause_ms * 2;
        if (pause_ms > LOOK_MS)
            pause_ms = LOOK_MS;
        wait_for_work(outbox, pause_ms);
    }
    pthread_mutex_unlock(&outbox->lock);
    return NULL;
}
