/* Transactions and rows: the functions of <weir/sql.h>. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/call.h>
#include <weir/clock.h>

#include "core/memory.h"
#include "core/random.h"
#include "data/idempotency.h"
#include "data/sql.h"

#define ATTEMPTS_MAX 30
#define BACKOFF_MAX_MS 250

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
    bool entered;                /* counts as active */
    struct sql_session *session; /* NULL: none, or ended */
    bool ended;
    bool lost;                  /* against another transaction: may be tried again */
    int attempt;                /* of weir_sql_attempt(); 0: none of its */
    enum weir_status outcome;   /* of the commit, once ended */
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
    struct sql_session *session;
    struct sql_cursor *cursor; /* NULL: over */
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

/* The same for what the database says. */
static enum weir_status database_fails(struct weir_tx *tx, const struct weir_error *err)
{
    if (!tx->failure)
        tx->lost = err->status == WEIR_ABORTED;
    return sql_fail(tx, err);
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
    struct sql_cursor *cursor = rows->cursor;
    if (!cursor)
        return;
    rows->cursor = NULL;
    if (rows->tx) {
        rows->db->backend->release(rows->session, cursor);
        *rows->link = rows->next;
        if (rows->next)
            rows->next->link = rows->link;
        return;
    }
    rows->db->backend->read_end(rows->db, rows->session, cursor);
    sql_leave(rows->db);
}

static void rows_fail(struct weir_rows *rows, const struct weir_error *err)
{
    rows_stop(rows);
    if (rows->tx) {
        database_fails(rows->tx, err);
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
    rows->session = tx->session;
    if (tx->db->backend->query(tx->session, sql, values, count, &rows->cursor, &err) != WEIR_OK) {
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
    if (db->backend->read(db, context, sql, values, count, &rows->session, &rows->cursor, &err) == WEIR_OK)
        return rows;
    rows->cursor = NULL;
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
    if (!rows->cursor)
        return false;
    if (rows->tx && check(rows->tx) != WEIR_OK) {
        rows_fail(rows, rows->tx->failure);
        return false;
    }
    struct weir_error err = {0};
    int found = rows->db->backend->next(rows->session, rows->cursor, &err);
    rows->on_row = found > 0;
    if (found == 0)
        rows_stop(rows); /* a connection goes back, its snapshot ends */
    else if (found < 0)
        rows_fail(rows, &err);
    return found > 0;
}

/* False when there is no such value, which fails the rows: a mistake of the author's. */
static bool is_there(const struct weir_rows *rows, int column)
{
    const struct sql_backend *backend = rows->db->backend;
    int columns = rows->on_row ? backend->columns(rows->cursor) : 0;
    if (rows->on_row && column >= 0 && column < columns)
        return true;
    struct weir_error err = {0};
    if (rows->on_row)
        weir_fail(&err, WEIR_INTERNAL, "%s: there is no column %d, the first of %d is 0: %.160s",
                  rows->db->name, column, columns, backend->text_of(rows->cursor));
    else
        weir_fail(&err, WEIR_INTERNAL, "%s: a column was read without a row: weir_rows_next() gives one",
                  rows->db->name);
    rows_fail((struct weir_rows *)rows, &err);
    return false;
}

/* Zero when there is none. */
static struct weir_value value_of(const struct weir_rows *rows, int column, int type)
{
    struct weir_value value = {.type = WEIR_VALUE_NULL};
    struct weir_error err = {0};
    if (!is_there(rows, column))
        return value;
    if (rows->db->backend->value(rows->cursor, column, type, &value, &err) == WEIR_OK)
        return value;
    rows_fail((struct weir_rows *)rows, &err);
    return (struct weir_value){.type = WEIR_VALUE_NULL};
}

bool weir_rows_null(const struct weir_rows *rows, int column)
{
    return !is_there(rows, column) || rows->db->backend->is_null(rows->cursor, column);
}

int64_t weir_rows_int(const struct weir_rows *rows, int column)
{
    return value_of(rows, column, WEIR_VALUE_INT).as.integer;
}

double weir_rows_double(const struct weir_rows *rows, int column)
{
    struct weir_value value = value_of(rows, column, WEIR_VALUE_DOUBLE);
    return value.type == WEIR_VALUE_NULL ? 0 : value.as.number;
}

char *weir_rows_text(const struct weir_rows *rows, int column)
{
    struct weir_value value = value_of(rows, column, WEIR_VALUE_TEXT);
    return weir_arena_text(rows->arena, value.type == WEIR_VALUE_NULL ? weir_bytes(NULL, 0) : value.as.bytes);
}

struct weir_bytes weir_rows_bytes(const struct weir_rows *rows, int column)
{
    struct weir_value value = value_of(rows, column, WEIR_VALUE_BYTES);
    if (value.type == WEIR_VALUE_NULL || !value.as.bytes.data)
        return weir_bytes(NULL, 0);
    void *copy = weir_arena_alloc(rows->arena, value.as.bytes.size);
    memcpy(copy, value.as.bytes.data, value.as.bytes.size);
    return weir_bytes(copy, value.as.bytes.size);
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

struct weir_tx *sql_begin_at(struct weir_sql *db, struct weir_call *call, struct weir_context *context,
                             struct weir_arena *arena, enum sql_isolation isolation)
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
    if (!tx->entered) {
        sql_fail(tx, &err);
    } else if (db->backend->begin(db, context, call, isolation, &tx->session, &err) != WEIR_OK) {
        tx->session = NULL;
        database_fails(tx, &err);
    }
    return tx;
}

struct weir_tx *sql_begin(struct weir_sql *db, struct weir_call *call, struct weir_context *context,
                          struct weir_arena *arena)
{
    return sql_begin_at(db, call, context, arena, (enum sql_isolation)db->settings.isolation);
}

struct weir_tx *weir_sql_begin(struct weir_call *call, struct weir_sql *db)
{
    struct weir_tx *tx = sql_begin(db, call, weir_call_context(call), weir_call_arena(call));
    idempotency_begun(tx);
    return tx;
}

/* Gives up what it has. OK when it was kept, and is durable. */
static enum weir_status end(struct weir_tx *tx, bool keep, struct weir_error *err)
{
    while (tx->rows)
        rows_stop(tx->rows);
    enum weir_status status = WEIR_OK;
    if (tx->session)
        status = tx->db->backend->end(tx->db, tx->session, keep, err);
    tx->session = NULL;
    if (tx->entered)
        sql_leave(tx->db);
    tx->entered = false;
    tx->ended = true;
    return status;
}

static enum weir_status commit_it(struct weir_tx *tx)
{
    struct weir_error err = {0};
    idempotency_keep(tx);
    bool keep = check(tx) == WEIR_OK;
    if (end(tx, keep, &err) != WEIR_OK && keep)
        return database_fails(tx, &err);
    if (!keep) {
        if (tx->call)
            weir_call_set_error(tx->call, tx->failure);
        return tx->failure->status;
    }
    idempotency_committed(tx);
    for (struct commit_hook *hook = tx->hooks; hook; hook = hook->next)
        hook->committed(hook->arg);
    return WEIR_OK;
}

enum weir_status weir_sql_commit(struct weir_tx *tx)
{
    tx->outcome = commit_it(tx);
    return tx->outcome;
}

void weir_sql_rollback(struct weir_tx *tx)
{
    struct weir_error ignored = {0};
    if (!tx->ended)
        (void)end(tx, false, &ignored);
}

/* ---- Attempts ---- */

/* 5 ms, doubled each time, half of it by chance, so that those who met do not meet again. False: no time is left. */
static bool wait_for_next_attempt(const struct weir_tx *tx)
{
    int doublings = tx->attempt - 1;
    int64_t longest_ms = doublings < 6 ? INT64_C(5) << doublings : BACKOFF_MAX_MS;
    uint32_t chance;
    random_bytes(&chance, sizeof chance);
    int64_t ms = longest_ms / 2 + chance % (uint32_t)(longest_ms / 2 + 1);
    return weir_context_left_ms(tx->context) > ms && weir_context_sleep(tx->context, ms) == WEIR_OK;
}

bool weir_sql_attempt(struct weir_call *call, struct weir_sql *db, struct weir_tx **tx)
{
    struct weir_tx *last = *tx;
    int attempt = last ? last->attempt + 1 : 1;
    if (last) {
        bool committed = !last->ended && weir_sql_commit(last) == WEIR_OK;
        if (committed || !last->lost || attempt > ATTEMPTS_MAX || !wait_for_next_attempt(last))
            return false;
        weir_call_set_error(call, &(struct weir_error){0});
    }
    *tx = weir_sql_begin(call, db);
    (*tx)->attempt = attempt;
    if (weir_sql_status(*tx) == WEIR_OK)
        return true;
    (*tx)->outcome = commit_it(*tx);
    return false;
}

enum weir_status weir_sql_outcome(struct weir_tx *tx)
{
    if (!tx->ended) {
        weir_sql_rollback(tx);
        tx->outcome =
            weir_sql_fail(tx, WEIR_INTERNAL, "%s: the loop was left before its commit", tx->db->name);
    }
    return tx->outcome;
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
    if (tx->db->backend->exec(tx->session, sql, values, count, &changed, &err) == WEIR_OK)
        return changed;
    database_fails(tx, &err);
    return -1;
}

enum weir_status sql_exec_later(struct weir_tx *tx, const char *sql, const struct weir_value *values,
                                int count)
{
    struct weir_error err = {0};
    if (check(tx) != WEIR_OK)
        return tx->failure->status;
    if (tx->db->backend->exec_later(tx->session, sql, values, count, &err) == WEIR_OK)
        return WEIR_OK;
    return database_fails(tx, &err);
}

int64_t sql_last_id(struct weir_tx *tx)
{
    return tx->session ? tx->db->backend->last_id(tx->session) : 0;
}
