/* PostgreSQL's table of functions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "data/postgres/pool.h"
#include "data/postgres/text.h"
#include "data/postgres/values.h"
#include "data/sql.h"
#include "data/statements.h"

/* "weir" in ASCII: the advisory lock of migrations. */
#define LOCK_MIGRATIONS "SELECT pg_advisory_xact_lock(2003134834)"

/* All its rows: what the server sent is here. */
struct pg_cursor {
    const char *name;
    PGresult *result;
    int row; /* -1: before the first */
    char *sql;
    unsigned char *decoded;
};

static struct pg_pool *pool_of(const struct weir_sql *db)
{
    return db->state;
}

static struct pg_connection *connection_of(struct sql_session *session)
{
    return (struct pg_connection *)session;
}

static struct sql_session *session_of(struct pg_connection *connection)
{
    return (struct sql_session *)connection;
}

static const struct pg_cursor *cursor_of(const struct sql_cursor *cursor)
{
    return (const struct pg_cursor *)cursor;
}

/* ---- Open and close ---- */

static enum weir_status postgres_open(struct weir_sql *db, struct weir_context *context,
                                      struct sql_session **ret_session, struct weir_error *err)
{
    struct pg_pool *pool = NEW(struct pg_pool);
    db->state = pool;
    pool->url = db->settings.url;
    pool->name = db->name;
    pool->most = db->settings.connections;
    pool->busy_timeout_ms = db->settings.busy_timeout_ms;
    pool->cut = &db->cut;
    pool->owner = &db->component;
    struct pg_connection *first = NULL;
    enum weir_status status = pg_pool_open(pool, context, &first, err);
    *ret_session = session_of(first);
    return status;
}

/* weir makes no database: one that is not there is an error, which says so. */
static enum weir_status postgres_look(struct weir_sql *db, struct weir_context *context,
                                      struct sql_session **ret_session, struct weir_error *err)
{
    if (postgres_open(db, context, ret_session, err) == WEIR_OK)
        pg_begin(connection_of(*ret_session), "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    return err->status;
}

static enum weir_status postgres_migrated(struct weir_sql *db, struct sql_session *session,
                                          struct weir_context *context, struct weir_error *err)
{
    (void)context, (void)err;
    pg_pool_give(pool_of(db), connection_of(session));
    return WEIR_OK;
}

static void postgres_close(struct weir_sql *db)
{
    struct pg_pool *pool = pool_of(db);
    if (!pool)
        return;
    pg_pool_close(pool);
    free(pool);
    db->state = NULL;
}

/* ---- Migrations ---- */

static enum weir_status postgres_migration(struct sql_session *session, enum migration_stage stage,
                                           struct weir_error *err)
{
    struct pg_connection *connection = connection_of(session);
    switch (stage) {
    case MIGRATION_BEGIN:
        return pg_script(connection, "BEGIN; " LOCK_MIGRATIONS, err);
    case MIGRATION_CHECK:
        return pg_script(connection, "SET CONSTRAINTS ALL IMMEDIATE", err);
    case MIGRATION_COMMIT:
        return pg_script(connection, "COMMIT", err);
    case MIGRATION_ROLLBACK:
        return connection->broken ? WEIR_OK : pg_script(connection, "ROLLBACK", err);
    default:
        return WEIR_OK;
    }
}

static enum weir_status postgres_script(struct sql_session *session, const char *sql, bool portable,
                                        struct weir_error *err)
{
    struct pg_connection *connection = connection_of(session);
    if (postgres_text_controls(sql))
        return weir_fail(err, WEIR_INTERNAL, "%s: a migration begins and ends no transaction: %.160s",
                         connection->name, sql);
    int parameters = 0;
    char *text = portable ? postgres_text(sql, &parameters) : memory_strdup(sql);
    enum weir_status status = pg_script(connection, text, err);
    free(text);
    return status;
}

static enum weir_status postgres_has_table(struct sql_session *session, const char *table, bool *ret_has,
                                           struct weir_error *err)
{
    struct weir_value name = weir_value_text(table);
    PGresult *result = NULL;
    if (pg_run(connection_of(session), "SELECT 1 WHERE to_regclass(?) IS NOT NULL", &name, 1, &result, err) !=
        WEIR_OK)
        return err->status;
    *ret_has = PQntuples(result) > 0;
    PQclear(result);
    return WEIR_OK;
}

/* ---- Transactions ---- */

static enum weir_status postgres_begin(struct weir_sql *db, struct weir_context *context, const void *holder,
                                       enum sql_isolation isolation, struct sql_session **ret_session,
                                       struct weir_error *err)
{
    struct pg_connection *connection = NULL;
    if (pg_pool_take(pool_of(db), context, holder, &connection, err) != WEIR_OK)
        return err->status;
    pg_begin(connection, isolation == SQL_READ_COMMITTED ? "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
                                                         : "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE");
    *ret_session = session_of(connection);
    return WEIR_OK;
}

static enum weir_status postgres_end(struct weir_sql *db, struct sql_session *session, bool keep,
                                     struct weir_error *err)
{
    struct pg_connection *connection = connection_of(session);
    enum weir_status status = WEIR_OK;
    if (keep) {
        status = pg_commit(connection, err);
        if (status == WEIR_OK) {
            atomic_fetch_add_explicit(&db->units, 1, memory_order_relaxed);
            atomic_fetch_add_explicit(&db->commits, 1, memory_order_relaxed);
        }
    }
    pg_pool_give(pool_of(db), connection);
    return status;
}

/* ---- Statements and rows ---- */

static struct sql_cursor *cursor_new(const char *name, const char *sql, PGresult *result)
{
    struct pg_cursor *cursor = NEW(struct pg_cursor);
    cursor->name = name;
    cursor->result = result;
    cursor->row = -1;
    cursor->sql = memory_strdup(sql);
    return (struct sql_cursor *)cursor;
}

static void cursor_free(struct sql_cursor *cursor)
{
    struct pg_cursor *own = (struct pg_cursor *)cursor;
    PQclear(own->result);
    PQfreemem(own->decoded);
    free(own->sql);
    free(own);
}

/* Sees what had been committed when it began, and writes nothing. */
static enum weir_status postgres_read(struct weir_sql *db, struct weir_context *context, const char *sql,
                                      const struct weir_value *values, int count,
                                      struct sql_session **ret_session, struct sql_cursor **ret_cursor,
                                      struct weir_error *err)
{
    struct pg_connection *connection = NULL;
    if (pg_pool_take(pool_of(db), context, NULL, &connection, err) != WEIR_OK)
        return err->status;
    pg_begin(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    PGresult *result = NULL;
    enum weir_status status = pg_run_and_end(connection, sql, values, count, &result, err);
    pg_pool_give(pool_of(db), connection); /* the rows are here, nobody else waits for who reads them */
    *ret_session = NULL;
    if (status == WEIR_OK)
        *ret_cursor = cursor_new(db->name, sql, result);
    return status;
}

static void postgres_read_end(struct weir_sql *db, struct sql_session *session, struct sql_cursor *cursor)
{
    (void)db, (void)session;
    cursor_free(cursor);
}

/* "INSERT 0 5", "UPDATE 2"; a SELECT changes nothing. */
static int64_t changed_by(PGresult *result)
{
    const char *tag = PQcmdStatus(result);
    bool changes = strncmp(tag, "INSERT", 6) == 0 || strncmp(tag, "UPDATE", 6) == 0 ||
                   strncmp(tag, "DELETE", 6) == 0 || strncmp(tag, "MERGE", 5) == 0;
    return changes ? strtoll(PQcmdTuples(result), NULL, 10) : 0;
}

static enum weir_status postgres_exec(struct sql_session *session, const char *sql,
                                      const struct weir_value *values, int count, int64_t *ret_changed,
                                      struct weir_error *err)
{
    PGresult *result = NULL;
    if (pg_run(connection_of(session), sql, values, count, &result, err) != WEIR_OK)
        return err->status;
    if (ret_changed)
        *ret_changed = changed_by(result);
    PQclear(result);
    return WEIR_OK;
}

static enum weir_status postgres_exec_later(struct sql_session *session, const char *sql,
                                            const struct weir_value *values, int count,
                                            struct weir_error *err)
{
    return pg_run_later(connection_of(session), sql, values, count, err);
}

static enum weir_status postgres_query(struct sql_session *session, const char *sql,
                                       const struct weir_value *values, int count,
                                       struct sql_cursor **ret_cursor, struct weir_error *err)
{
    PGresult *result = NULL;
    if (pg_run(connection_of(session), sql, values, count, &result, err) != WEIR_OK)
        return err->status;
    *ret_cursor = cursor_new(connection_of(session)->name, sql, result);
    return WEIR_OK;
}

static int postgres_next(struct sql_session *session, struct sql_cursor *cursor, struct weir_error *err)
{
    (void)session, (void)err;
    struct pg_cursor *own = (struct pg_cursor *)cursor;
    return ++own->row < PQntuples(own->result);
}

static void postgres_release(struct sql_session *session, struct sql_cursor *cursor)
{
    (void)session;
    cursor_free(cursor);
}

static int postgres_columns(const struct sql_cursor *cursor)
{
    return PQnfields(cursor_of(cursor)->result);
}

static const char *postgres_text_of(const struct sql_cursor *cursor)
{
    return cursor_of(cursor)->sql;
}

static bool postgres_is_null(const struct sql_cursor *cursor, int column)
{
    return PQgetisnull(cursor_of(cursor)->result, cursor_of(cursor)->row, column);
}

static enum weir_status postgres_value(struct sql_cursor *cursor, int column, int type,
                                       struct weir_value *ret_value, struct weir_error *err)
{
    struct pg_cursor *own = (struct pg_cursor *)cursor;
    return pg_values_decode(own->name, own->result, own->row, column, type, &own->decoded, ret_value, err);
}

static int64_t postgres_last_id(struct sql_session *session)
{
    (void)session;
    return 0;
}

const struct sql_backend postgres_backend = {
    .name = "postgres",
    .look = postgres_look,
    .open = postgres_open,
    .migrated = postgres_migrated,
    .close = postgres_close,
    .migration = postgres_migration,
    .script = postgres_script,
    .has_table = postgres_has_table,
    .check = postgres_check,
    .begin = postgres_begin,
    .end = postgres_end,
    .read = postgres_read,
    .read_end = postgres_read_end,
    .exec = postgres_exec,
    .exec_later = postgres_exec_later,
    .query = postgres_query,
    .next = postgres_next,
    .release = postgres_release,
    .columns = postgres_columns,
    .text_of = postgres_text_of,
    .is_null = postgres_is_null,
    .value = postgres_value,
    .last_id = postgres_last_id,
};
