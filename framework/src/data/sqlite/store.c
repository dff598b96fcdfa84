#include "data/sqlite/store.h"

#include <stdio.h>

#include <weir/clock.h>

#include "data/sql.h"

/* ---- Reading: on the relay's own connection ---- */

enum weir_status store_last(struct connection *connection, int64_t *ret_last, struct weir_error *err)
{
    return connection_number(connection, "SELECT seq FROM sqlite_sequence WHERE name = 'weir_outbox'", NULL,
                             0, ret_last, err);
}

enum weir_status store_load(struct connection *connection, struct store_state *ret_state,
                            struct weir_error *err)
{
    struct statement *select = connection_prepare(
        connection, "SELECT published, ever, cluster FROM weir_outbox_state", NULL, 0, true, err);
    if (!select)
        return err->status;
    int code = connection_step(connection, select, err);
    if (code == SQLITE_ROW) {
        ret_state->published = sqlite3_column_int64(select->handle, 0);
        ret_state->ever = sqlite3_column_int64(select->handle, 1);
        snprintf(ret_state->cluster, CLUSTER_SIZE, "%s",
                 (const char *)sqlite3_column_text(select->handle, 2));
    }
    connection_release(connection, select);
    if (code == SQLITE_DONE)
        return weir_fail(err, WEIR_DATA_LOSS, "%s: weir_outbox_state has no row", connection->name);
    return code == SQLITE_ROW ? store_last(connection, &ret_state->last, err) : err->status;
}

static struct weir_bytes blob(sqlite3_stmt *select, int column)
{
    const void *data = sqlite3_column_blob(select, column);
    return weir_bytes(data, (size_t)sqlite3_column_bytes(select, column));
}

static const char *text(sqlite3_stmt *select, int column)
{
    return (const char *)sqlite3_column_text(select, column);
}

enum weir_status store_read(struct connection *connection, int64_t after, int64_t room,
                            void (*add)(void *self, struct row *row), void *self, struct weir_error *err)
{
    struct weir_value values[] = {weir_value_int(after), weir_value_int(room)};
    struct statement *select = connection_prepare(
        connection,
        "SELECT id, message_id, topic, key, type, traceparent, principal, created_ms, payload "
        "FROM weir_outbox WHERE id > ? ORDER BY id LIMIT ?",
        values, 2, true, err);
    if (!select)
        return err->status;
    int code;
    while ((code = connection_step(connection, select, err)) == SQLITE_ROW) {
        struct weir_record record = {
            .message_id = text(select->handle, 1),
            .topic = text(select->handle, 2),
            .key = blob(select->handle, 3),
            .type = text(select->handle, 4),
            .traceparent = text(select->handle, 5),
            .principal = text(select->handle, 6),
            .value = blob(select->handle, 8),
        };
        struct row *row = row_new(sqlite3_column_int64(select->handle, 0), &record);
        row->created_ms = sqlite3_column_int64(select->handle, 7);
        add(self, row);
    }
    connection_release(connection, select);
    return code == SQLITE_DONE ? WEIR_OK : err->status;
}

/* ---- Writing: transactions like everybody's ---- */

/* Commits, and gives the arena back. */
static enum weir_status commit(struct weir_tx *tx, struct weir_arena *arena, struct weir_error *err)
{
    enum weir_status status = weir_sql_commit(tx);
    if (status != WEIR_OK)
        *err = *sql_error(tx);
    weir_arena_destroy(arena);
    return status;
}

static int64_t number(struct weir_tx *tx, const char *sql, const struct weir_value *values, int count)
{
    struct weir_rows *rows = weir_sql_query_values(tx, sql, values, count);
    int64_t found = weir_rows_next(rows) ? weir_rows_int(rows, 0) : 0;
    weir_rows_end(rows);
    return found;
}

enum weir_status store_mark(struct weir_sql *db, struct weir_context *context, int64_t published,
                            struct weir_error *err)
{
    struct weir_arena *arena = weir_arena_new();
    struct weir_tx *tx = sql_begin(db, NULL, context, arena);
    weir_sql_exec(tx, "UPDATE weir_outbox_state SET published = ?1, ever = max(ever, ?1)", published);
    return commit(tx, arena, err);
}

enum weir_status store_cluster(struct weir_sql *db, struct weir_context *context, const char *cluster,
                               bool again, struct store_state *ret_state, struct weir_error *err)
{
    struct weir_arena *arena = weir_arena_new();
    struct weir_tx *tx = sql_begin(db, NULL, context, arena);
    weir_sql_exec(tx, "UPDATE weir_outbox_state SET cluster = ?", cluster);
    if (again)
        weir_sql_exec(tx, "UPDATE weir_outbox_state SET published = "
                          "coalesce(min(published, (SELECT min(id) - 1 FROM weir_outbox)), published)");
    int64_t published = number(tx, "SELECT published FROM weir_outbox_state", NULL, 0);
    enum weir_status status = commit(tx, arena, err);
    if (status == WEIR_OK) {
        ret_state->published = published;
        snprintf(ret_state->cluster, CLUSTER_SIZE, "%s", cluster);
    }
    return status;
}

enum weir_status store_reject(struct weir_sql *db, struct weir_context *context, int64_t id,
                              const char *reason, struct weir_error *err)
{
    struct weir_arena *arena = weir_arena_new();
    struct weir_tx *tx = sql_begin(db, NULL, context, arena);
    weir_sql_exec(
        tx,
        "INSERT OR REPLACE INTO weir_outbox_rejected "
        "SELECT id, message_id, topic, key, type, traceparent, principal, created_ms, payload, ?, ? "
        "FROM weir_outbox WHERE id = ?",
        weir_unix_ns() / WEIR_NS_PER_MS, reason, id);
    return commit(tx, arena, err);
}

enum weir_status store_prune(struct weir_sql *db, struct weir_context *context, int64_t now_ms,
                             int64_t keep_ms, int64_t batch, int64_t *ret_deleted, struct weir_error *err)
{
    struct weir_arena *arena = weir_arena_new();
    struct weir_tx *tx = sql_begin(db, NULL, context, arena);
    weir_sql_exec(tx,
                  "INSERT INTO weir_outbox_marks SELECT ?, published FROM weir_outbox_state "
                  "WHERE published > coalesce((SELECT max(published) FROM weir_outbox_marks), 0) "
                  "ON CONFLICT (at_ms) DO UPDATE SET published = excluded.published",
                  now_ms);
    struct weir_value kept_until = weir_value_int(now_ms - keep_ms);
    int64_t upto =
        number(tx,
               "SELECT min((SELECT published FROM weir_outbox_state), coalesce((SELECT max(published) "
               "FROM weir_outbox_marks WHERE at_ms <= ?), 0))",
               &kept_until, 1);
    int64_t deleted = weir_sql_exec(tx,
                                    "DELETE FROM weir_outbox WHERE id IN "
                                    "(SELECT id FROM weir_outbox WHERE id <= ? ORDER BY id LIMIT ?)",
                                    upto, batch);
    /* The newest of the old marks goes last: nothing it covers is left then. */
    if (deleted >= 0 && deleted < batch)
        weir_sql_exec(tx,
                      "DELETE FROM weir_outbox_marks WHERE at_ms < (SELECT max(at_ms) FROM weir_outbox_marks "
                      "WHERE at_ms <= ?)",
                      now_ms - keep_ms);
    *ret_deleted = deleted > 0 ? deleted : 0;
    return commit(tx, arena, err);
}
