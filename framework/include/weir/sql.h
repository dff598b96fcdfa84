/* One small interface over SQLite and PostgreSQL. Unless it says otherwise a
 * function may block and is for the executor's threads; one transaction belongs to one thread at a time.
 *
 *     struct weir_tx *tx = weir_sql_begin(call, db);
 *     weir_sql_exec(tx, "INSERT INTO orders (id, total_minor) VALUES (?, ?)", id, total);
 *     order_paid_publish(tx, &(Order__Paid){...});
 *     return weir_sql_commit(tx);
 *
 * A failing statement fails the transaction: later statements do nothing, weir_sql_commit() rolls back and
 * returns the first failure, and weir_call_error(call) has its text. Every transaction ends with exactly one
 * of commit and rollback. */
#ifndef WEIR_SQL_H
#define WEIR_SQL_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/call.h>
#include <weir/component.h>
#include <weir/export.h>

struct weir_sql;
struct weir_tx;
struct weir_rows;

/* A statement that weir-sqlgen has made, and checked against the schema. */
struct weir_sql_statement {
    const char *name, *place; /* "take_stock", "queries.sql:12" */
    const char *sql;          /* with ?1, ?2, ... for its parameters */
    const char *parameters,
        *columns; /* their types, a letter each: i BIGINT, o BOOLEAN, d DOUBLE PRECISION, t
                                       * TEXT, b BYTEA */
};

/* What CMake's weir_sql() makes of migrations and named queries (docs/data.md): "NAME.h" has it as NAME. */
struct weir_sql_schema {
    const char *const *migrations;               /* as below */
    const struct weir_sql_statement *statements; /* an empty one at the end */
};

/* Every member but schema, migrations and needs is a key of the same name in the configuration's section. */
struct weir_sql_options {
    const char *url; /* Required, here or there: "sqlite:var/inventory.db" (the folder is created), or libpq's
                      * URI "postgres://user:password@host/database" */
    /* Migrations, and statements: each is prepared at start, so one that does not fit the database is an error
     * then. Instead of `migrations`. */
    const struct weir_sql_schema *schema;
    /* The numbered migrations, oldest first, NULL at the end: applied in order, each in a transaction, under
     * a lock; how many were applied is in the table weir_migrations, with a checksum: a changed one is an
     * error at start. */
    const char *const *migrations;
    /* The same for PostgreSQL, where they must differ from what SQLite takes. NULL: as above. */
    const char *const *postgres_migrations;
    int64_t readers;          /* SQLite: connections for reading. Default 2 */
    int64_t connections;      /* PostgreSQL: at most so many. Default 10 */
    const char *isolation;    /* PostgreSQL: "serializable" (default) or "read_committed" */
    const char *synchronous;  /* "full" (default: what was acknowledged survives a power cut) or "normal" */
    int64_t commit_group_max; /* transactions that share one fsync. Default 64; 1: none */
    int64_t busy_timeout_ms;  /* for the writer's turn, within the call's deadline. Default 5,000 */
    int64_t idempotency_keep_ms; /* answers by idempotency key stay as long. Default and least 24 h */
    const void *needs[WEIR_NEEDS_MAX];
};

WEIR_API struct weir_sql *weir_sql_add(struct weir_app *app, const char *name,
                                       const struct weir_sql_options *options);

/* A bound parameter. Users pass ints, doubles, bools, const char * (NULL is NULL) and struct weir_bytes as
 * they are, 16 at most. */
struct weir_value {
    enum { WEIR_VALUE_NULL, WEIR_VALUE_INT, WEIR_VALUE_DOUBLE, WEIR_VALUE_TEXT, WEIR_VALUE_BYTES } type;
    union {
        int64_t integer;
        double number;
        const char *text;
        struct weir_bytes bytes;
    } as;
};

/* Waits for the writer's turn within the call's deadline. Never NULL: a failed begin fails what follows. */
WEIR_API struct weir_tx *weir_sql_begin(struct weir_call *call, struct weir_sql *db);
/* After WEIR_OK all of it is durable; after WEIR_UNKNOWN the connection was lost, or the disk failed, while the
 * database committed, and it may have happened or not; otherwise none of it happened. */
WEIR_API enum weir_status weir_sql_commit(struct weir_tx *tx) WEIR_MUST_USE;
WEIR_API void weir_sql_rollback(struct weir_tx *tx);

/* A transaction that is tried again when it lost against another one (ABORTED by the database):
 *
 *     struct weir_tx *tx = NULL;
 *     while (weir_sql_attempt(call, db, &tx)) {
 *         weir_sql_exec(tx, "UPDATE stock SET left = left - ? WHERE sku = ?", quantity, sku);
 *     }
 *     return weir_sql_outcome(tx);
 *
 * Begins; the next turn commits, or, when it lost and the call has time left, waits a little longer each time and
 * begins anew. So the body may run several times, and does nothing that a rollback does not undo; `continue` goes
 * to the commit, and weir_sql_fail() in the body ends the loop. Who leaves the loop otherwise has rolled back. */
WEIR_API bool weir_sql_attempt(struct weir_call *call, struct weir_sql *db, struct weir_tx **tx);
/* What weir_sql_commit() has returned. */
WEIR_API enum weir_status weir_sql_outcome(struct weir_tx *tx) WEIR_MUST_USE;

/* Fails the transaction for a reason of the author's:
 * `weir_sql_fail(tx, WEIR_FAILED_PRECONDITION, "...")`. */
WEIR_API enum weir_status weir_sql_fail(struct weir_tx *tx, enum weir_status status, const char *format, ...)
    WEIR_PRINTF(3, 4);
WEIR_API enum weir_status weir_sql_status(const struct weir_tx *tx);
WEIR_API struct weir_call *weir_sql_call(const struct weir_tx *tx);
WEIR_API struct weir_sql *weir_sql_db(const struct weir_tx *tx);

/* Told on the committing thread right after the commit is durable (never after a rollback): to wake a relay,
 * a watcher. Must not block. */
WEIR_API void weir_sql_on_commit(struct weir_tx *tx, void (*committed)(void *arg), void *arg);

/* Runs one statement. Rows changed; -1 when the transaction has failed. A broken UNIQUE or PRIMARY KEY is
 * ALREADY_EXISTS, CHECK, NOT NULL and foreign keys FAILED_PRECONDITION. */
#define weir_sql_exec(tx, sql, ...) WEIR_SQL_VALUES_(weir_sql_exec_values, tx, sql, ##__VA_ARGS__)
WEIR_API int64_t weir_sql_exec_values(struct weir_tx *tx, const char *sql, const struct weir_value *values,
                                      int count);

/* Reads inside the transaction, or (weir_sql_read) outside of any, from a snapshot. Never NULL. One at a time
 * per transaction and statement text.
 *
 *     struct weir_rows *rows = weir_sql_query(tx, "SELECT id, left FROM stock WHERE sku = ?", sku);
 *     while (weir_rows_next(rows))
 *         use(weir_rows_text(rows, 0), weir_rows_int(rows, 1));
 *     status = weir_rows_end(rows); */
#define weir_sql_query(tx, sql, ...) WEIR_SQL_VALUES_(weir_sql_query_values, tx, sql, ##__VA_ARGS__)
WEIR_API struct weir_rows *weir_sql_query_values(struct weir_tx *tx, const char *sql,
                                                 const struct weir_value *values, int count);
#define weir_sql_read(call, db, sql, ...)                                                                    \
    WEIR_SQL_VALUES2_(weir_sql_read_values, call, db, sql, ##__VA_ARGS__)
WEIR_API struct weir_rows *weir_sql_read_values(struct weir_call *call, struct weir_sql *db, const char *sql,
                                                const struct weir_value *values, int count);

WEIR_API bool weir_rows_next(struct weir_rows *rows);
WEIR_API bool weir_rows_null(const struct weir_rows *rows, int column);
WEIR_API int64_t weir_rows_int(const struct weir_rows *rows, int column);
WEIR_API double weir_rows_double(const struct weir_rows *rows, int column);
/* A copy in the call's arena; "" for NULL. */
WEIR_API char *weir_rows_text(const struct weir_rows *rows, int column);
WEIR_API struct weir_bytes weir_rows_bytes(const struct weir_rows *rows, int column);
/* Ends it, early or not. OK, or what failed. */
WEIR_API enum weir_status weir_rows_end(struct weir_rows *rows);

/* ---- how parameters become values ---- */

static inline struct weir_value weir_value_int(int64_t integer)
{
    return (struct weir_value){.type = WEIR_VALUE_INT, .as.integer = integer};
}

static inline struct weir_value weir_value_double(double number)
{
    return (struct weir_value){.type = WEIR_VALUE_DOUBLE, .as.number = number};
}

static inline struct weir_value weir_value_text(const char *text)
{
    return (struct weir_value){.type = text ? WEIR_VALUE_TEXT : WEIR_VALUE_NULL, .as.text = text};
}

static inline struct weir_value weir_value_bytes(struct weir_bytes bytes)
{
    return (struct weir_value){.type = WEIR_VALUE_BYTES, .as.bytes = bytes};
}

#define WEIR_VALUE_(x)                                                                                       \
    _Generic((x), char *: weir_value_text, const char *: weir_value_text, struct weir_bytes: weir_value_bytes,  \
             double: weir_value_double, float: weir_value_double, default: weir_value_int)(x)

#define WEIR_COUNT_(_0, _1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, _13, _14, _15, _16, n, ...) n
#define WEIR_COUNT(...)                                                                                      \
    WEIR_COUNT_(_0, ##__VA_ARGS__, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define WEIR_MAP_0()
#define WEIR_MAP_1(a) WEIR_VALUE_(a)
#define WEIR_MAP_2(a, ...) WEIR_VALUE_(a), WEIR_MAP_1(__VA_ARGS__)
#define WEIR_MAP_3(a, ...) WEIR_VALUE_(a), WEIR_MAP_2(__VA_ARGS__)
#define WEIR_MAP_4(a, ...) WEIR_VALUE_(a), WEIR_MAP_3(__VA_ARGS__)
#define WEIR_MAP_5(a, ...) WEIR_VALUE_(a), WEIR_MAP_4(__VA_ARGS__)
#define WEIR_MAP_6(a, ...) WEIR_VALUE_(a), WEIR_MAP_5(__VA_ARGS__)
#define WEIR_MAP_7(a, ...) WEIR_VALUE_(a), WEIR_MAP_6(__VA_ARGS__)
#define WEIR_MAP_8(a, ...) WEIR_VALUE_(a), WEIR_MAP_7(__VA_ARGS__)
#define WEIR_MAP_9(a, ...) WEIR_VALUE_(a), WEIR_MAP_8(__VA_ARGS__)
#define WEIR_MAP_10(a, ...) WEIR_VALUE_(a), WEIR_MAP_9(__VA_ARGS__)
#define WEIR_MAP_11(a, ...) WEIR_VALUE_(a), WEIR_MAP_10(__VA_ARGS__)
#define WEIR_MAP_12(a, ...) WEIR_VALUE_(a), WEIR_MAP_11(__VA_ARGS__)
#define WEIR_MAP_13(a, ...) WEIR_VALUE_(a), WEIR_MAP_12(__VA_ARGS__)
#define WEIR_MAP_14(a, ...) WEIR_VALUE_(a), WEIR_MAP_13(__VA_ARGS__)
#define WEIR_MAP_15(a, ...) WEIR_VALUE_(a), WEIR_MAP_14(__VA_ARGS__)
#define WEIR_MAP_16(a, ...) WEIR_VALUE_(a), WEIR_MAP_15(__VA_ARGS__)
#define WEIR_PASTE_(a, b) a##b
#define WEIR_PASTE(a, b) WEIR_PASTE_(a, b)
#define WEIR_MAP(...) WEIR_PASTE(WEIR_MAP_, WEIR_COUNT(__VA_ARGS__))(__VA_ARGS__)

#define WEIR_SQL_VALUES_(function, first, sql, ...)                                                          \
    function(first, sql, (const struct weir_value[]){{.type = WEIR_VALUE_NULL}, WEIR_MAP(__VA_ARGS__)} + 1,  \
             WEIR_COUNT(__VA_ARGS__))
#define WEIR_SQL_VALUES2_(function, first, second, sql, ...)                                                 \
    function(first, second, sql,                                                                             \
             (const struct weir_value[]){{.type = WEIR_VALUE_NULL}, WEIR_MAP(__VA_ARGS__)} + 1,              \
             WEIR_COUNT(__VA_ARGS__))

#endif
