/* Transactions and rows: the functions of <weir/sql.h>. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/call.h>
#include <weir/clock.h>

#include "core/memory.h"
#include "data/sql.h"

struct commit_hook {
    void (*committed)(void *arg);
    void *arg;
    struct commit_hook *next;
};

struct weir_tx {
    struct weir_sql *db;
    struct weir_call *call; /* NULL: weir's own */
    struct weir_context *context;
    struct weir_arena *arena;
    bool entered; /* counts as active */
    bool turn;    /* has the writer's turn */
    bool ended;
    struct weir_error *failure; /* the first; NULL: none */
    struct weir_rows *rows;     /* not ended */
    struct commit_hook *hooks, **last_hook;
};

struct weir_rows {
    struct weir_tx *tx; /* NULL: a read outside of any */
    struct weir_sql *db;
    struct weir_call *call;
    struct weir_context *context;
    struct weir_arena *arena;
    struct reader *reader;
    struct statement *statement; /* NULL: over */
    bool on_row;
    struct weir_error *failure;
    struct weir_rows *next, **link; /* of its transaction */
};

static struct weir_error *keep_error(struct weir_arena *arena, struct weir_call *call,
                                     const struct weir_error *err)
{
    struct weir_error *copy = weir_arena_alloc(arena, sizeof *copy);
    *copy = *err;
    if (call)
        weir_call_set_error(call, err);
    return copy;
}

enum weir_status sql_fail(struct weir_tx *tx, const struct weir_error *err)
{
    if (!tx->failure)
        tx->failure = keep_error(tx->arena, tx->call, err);
    return tx->failure->status;
}

/* OK: a statement may run. */
static enum weir_status check(struct weir_tx *tx)
{
    if (tx->failure)
        return tx->failure->status;
    struct weir_error err = {0};
    if (tx->ended) {
        weir_fail(&err, WEIR_INTERNAL, "%s: the transaction has ended", tx->db->name);
        return sql_fail(tx, &err);
    }
    enum weir_status over = weir_context_status(tx->context);
    if (over == WEIR_OK)
        return WEIR_OK;
    weir_fail(&err, over, "%s: the transaction's time is over", tx->db->name);
    return sql_fail(tx, &err);
}

/* ---- Rows ---- */

static void rows_stop(struct weir_rows *rows)
{
    rows->on_row = false;
    if (!rows->statement)
        return;
    struct connection *connection = rows->reader ? &rows->reader->connection : &rows->db->writer.connection;
    connection_release(connection, rows->statement);
    rows->statement = NULL;
    if (rows->tx) {
        *rows->link = rows->next;
        if (rows->next)
            rows->next->link = rows->link;
        return;
    }
    sql_give_reader(rows->db, rows->reader);
    rows->reader = NULL;
    sql_leave(rows->db);
}

static void rows_fail(struct weir_rows *rows, const struct weir_error *err)
{
    rows_stop(rows);
    if (rows->tx) {
        sql_fail(rows->tx, err);
        rows->failure = rows->tx->failure;
    } else if (!rows->failure) {
        rows->failure = keep_error(rows->arena, rows->call, err);
    }
}

static struct weir_rows *rows_new(struct weir_sql *db, struct weir_tx *tx, struct weir_call *call,
                                  struct weir_context *context, struct weir_arena *arena)
{
    struct weir_rows *rows = weir_arena_zalloc(arena, sizeof *rows);
    rows->db = db;
    rows->tx = tx;
    rows->call = call;
    rows->context = context;
    rows->arena = arena;
    return rows;
}

struct weir_rows *weir_sql_query_values(struct weir_tx *tx, const char *sql, const struct weir_value *values,
                                        int count)
{
    struct weir_rows *rows = rows_new(tx->db, tx, tx->call, tx->context, tx->arena);
    if (check(tx) != WEIR_OK) {
        rows->failure = tx->failure;
        return rows;
    }
    struct weir_error err = {0};
    rows->statement = connection_prepare(&tx->db->writer.connection, sql, values, count, true, &err);
    if (!rows->statement) {
        rows_fail(rows, &err);
        return rows;
    }
    rows->next = tx->rows;
    if (rows->next)
        rows->next->link = &rows->next;
    rows->link = &tx->rows;
    tx->rows = rows;
    return rows;
}

struct weir_rows *sql_read(struct weir_sql *db, struct weir_call *call, struct weir_context *context,
                           struct weir_arena *arena, const char *sql, const struct weir_value *values,
                           int count)
{
    struct weir_rows *rows = rows_new(db, NULL, call, context, arena);
    struct weir_error err = {0};
    enum weir_status over = weir_context_status(context);
    if (over != WEIR_OK) {
        weir_fail(&err, over, "%s: the time for reading is over", db->name);
        rows_fail(rows, &err);
        return rows;
    }
    if (sql_enter(db, &err) != WEIR_OK) {
        rows_fail(rows, &err);
        return rows;
    }
    rows->reader = sql_take_reader(db, context, &err);
    if (rows->reader)
        rows->statement = connection_prepare(&rows->reader->connection, sql, values, count, true, &err);
    if (rows->statement)
        return rows;
    if (rows->reader)
        sql_give_reader(db, rows->reader);
    rows->reader = NULL;
    sql_leave(db);
    rows_fail(rows, &err);
    return rows;
}

struct weir_rows *weir_sql_read_values(struct weir_call *call, struct weir_sql *db, const char *sql,
                                       const struct weir_value *values, int count)
{
    return sql_read(db, call, weir_call_context(call), weir_call_arena(call), sql, values, count);
}

bool weir_rows_next(struct weir_rows *rows)
{
    if (!rows->statement)
        return false;
    if (rows->tx && check(rows->tx) != WEIR_OK) {
        rows_fail(rows, rows->tx->failure);
        return false;
    }
    struct weir_error err = {0};
    struct connection *connection = rows->reader ? &rows->reader->connection : &rows->db->writer.connection;
    int code = connection_step(connection, rows->statement, &err);
    if (code == SQLITE_ROW) {
        rows->on_row = true;
        return true;
    }
    if (code == SQLITE_DONE)
        rows_stop(rows); /* a reader goes back, its snapshot ends */
    else
        rows_fail(rows, &err);
    return false;
}

/* NULL when there is no such value, which fails the rows: a mistake of the author's. */
static sqlite3_stmt *at(const struct weir_rows *rows, int column)
{
    if (rows->on_row && column >= 0 && column < sqlite3_data_count(rows->statement->handle))
        return rows->statement->handle;
    struct weir_error err = {0};
    if (rows->on_row)
        weir_fail(&err, WEIR_INTERNAL, "%s: there is no column %d, the first of %d is 0: %.160s",
                  rows->db->name, column, sqlite3_data_count(rows->statement->handle),
                  sqlite3_sql(rows->statement->handle));
    else
        weir_fail(&err, WEIR_INTERNAL, "%s: a column was read without a row: weir_rows_next() gives one",
                  rows->db->name);
    rows_fail((struct weir_rows *)rows, &err);
    return NULL;
}

bool weir_rows_null(const struct weir_rows *rows, int column)
{
    sqlite3_stmt *statement = at(rows, column);
    return !statement || sqlite3_column_type(statement, column) == SQLITE_NULL;
}

int64_t weir_rows_int(const struct weir_rows *rows, int column)
{
    sqlite3_stmt *statement = at(rows, column);
    return statement ? sqlite3_column_int64(statement, column) : 0;
}

double weir_rows_double(const struct weir_rows *rows, int column)
{
    sqlite3_stmt *statement = at(rows, column);
    return statement ? sqlite3_column_double(statement, column) : 0;
}

char *weir_rows_text(const struct weir_rows *rows, int column)
{
    sqlite3_stmt *statement = at(rows, column);
    const unsigned char *text = statement ? sqlite3_column_text(statement, column) : NULL;
    size_t size = text ? (size_t)sqlite3_column_bytes(statement, column) : 0;
    return weir_arena_text(rows->arena, weir_bytes(text, size));
}

struct weir_bytes weir_rows_bytes(const struct weir_rows *rows, int column)
{
    sqlite3_stmt *statement = at(rows, column);
    const void *data = statement ? sqlite3_column_blob(statement, column) : NULL;
    if (!data)
        return weir_bytes(NULL, 0);
    size_t size = (size_t)sqlite3_column_bytes(statement, column);
    void *copy = weir_arena_alloc(rows->arena, size);
    memcpy(copy, data, size);
    return weir_bytes(copy, size);
}

enum weir_status weir_rows_end(struct weir_rows *rows)
{
    rows_stop(rows);
    return rows->failure ? rows->failure->status : WEIR_OK;
}

const struct weir_error *sql_rows_error(const struct weir_rows *rows)
{
    return rows->failure;
}

/* ---- Transactions ---- */

struct weir_tx *sql_begin(struct weir_sql *db, struct weir_call *call, struct weir_context *context,
                          struct weir_arena *arena)
{
    struct weir_tx *tx = weir_arena_zalloc(arena, sizeof *tx);
    tx->db = db;
    tx->call = call;
    tx->context = context;
    tx->arena = arena;
    tx->last_hook = &tx->hooks;
    if (check(tx) != WEIR_OK)
        return tx;

    struct weir_error err = {0};
    tx->entered = sql_enter(db, &err) == WEIR_OK;
    tx->turn = tx->entered && writer_enter(&db->writer, context, call, &err) == WEIR_OK;
    if (!tx->turn)
        sql_fail(tx, &err);
    return tx;
}

struct weir_tx *weir_sql_begin(struct weir_call *call, struct weir_sql *db)
{
    return sql_begin(db, call, weir_call_context(call), weir_call_arena(call));
}

/* Gives up what it has. OK when it was kept, and is durable. */
static enum weir_status end(struct weir_tx *tx, bool keep, struct weir_error *err)
{
    while (tx->rows)
        rows_stop(tx->rows);
    enum weir_status status = WEIR_OK;
    if (tx->turn)
        status = writer_leave(&tx->db->writer, keep, err);
    tx->turn = false;
    if (tx->entered)
        sql_leave(tx->db);
    tx->entered = false;
    tx->ended = true;
    return status;
}

enum weir_status weir_sql_commit(struct weir_tx *tx)
{
    struct weir_error err = {0};
    bool keep = check(tx) == WEIR_OK;
    if (end(tx, keep, &err) != WEIR_OK && keep)
        return sql_fail(tx, &err);
    if (!keep) {
        if (tx->call)
            weir_call_set_error(tx->call, tx->failure);
        return tx->failure->status;
    }
    for (struct commit_hook *hook = tx->hooks; hook; hook = hook->next)
        hook->committed(hook->arg);
    return WEIR_OK;
}

void weir_sql_rollback(struct weir_tx *tx)
{
    struct weir_error ignored = {0};
    if (!tx->ended)
        (void)end(tx, false, &ignored);
}

enum weir_status weir_sql_fail(struct weir_tx *tx, enum weir_status status, const char *format, ...)
{
    struct weir_error err = {0};
    char text[sizeof err.text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    weir_fail(&err, status, "%s", text);
    return sql_fail(tx, &err);
}

enum weir_status weir_sql_status(const struct weir_tx *tx)
{
    return tx->failure ? tx->failure->status : WEIR_OK;
}

const struct weir_error *sql_error(const struct weir_tx *tx)
{
    return tx->failure;
}

struct weir_call *weir_sql_call(const struct weir_tx *tx)
{
    return tx->call;
}

struct weir_sql *weir_sql_db(const struct weir_tx *tx)
{
    return tx->db;
}

void weir_sql_on_commit(struct weir_tx *tx, void (*committed)(void *arg), void *arg)
{
    struct commit_hook *hook = weir_arena_zalloc(tx->arena, sizeof *hook);
    hook->committed = committed;
    hook->arg = arg;
    *tx->last_hook = hook;
    tx->last_hook = &hook->next;
}

void *sql_on_commit_arg(const struct weir_tx *tx, void (*committed)(void *arg))
{
    for (const struct commit_hook *hook = tx->hooks; hook; hook = hook->next)
        if (hook->committed == committed)
            return hook->arg;
    return NULL;
}

void *sql_tx_alloc(struct weir_tx *tx, size_t size)
{
    return weir_arena_zalloc(tx->arena, size);
}

int64_t weir_sql_exec_values(struct weir_tx *tx, const char *sql, const struct weir_value *values, int count)
{
    if (check(tx) != WEIR_OK)
        return -1;
    struct weir_error err = {0};
    int64_t changed = 0;
    if (connection_exec(&tx->db->writer.connection, sql, values, count, &changed, &err) == WEIR_OK)
        return changed;
    sql_fail(tx, &err);
    return -1;
}

int64_t sql_last_id(struct weir_tx *tx)
{
    return tx->turn ? sqlite3_last_insert_rowid(tx->db->writer.connection.handle) : 0;
}
