/* A database from the inside. See <weir/sql.h> for its users' side. */
#ifndef WEIR_DATA_SQL_H
#define WEIR_DATA_SQL_H

#include <pthread.h>
#include <stdatomic.h>

#include <weir/arena.h>
#include <weir/sql.h>

#include "data/connection.h"
#include "data/writer.h"
#include "lifecycle/component.h"

#define READERS_MAX 64

struct keeper;
struct metric_source;

/* Options with every default filled in. Texts are borrowed. */
struct sql_settings {
    const char *url;
    const char *const *migrations;
    int64_t readers;
    int synchronous; /* 0 full, 1 normal */
    int64_t commit_group_max;
    int64_t busy_timeout_ms;
};

struct reader {
    struct connection connection;
    struct reader *next; /* free ones */
};

struct weir_sql {
    struct weir_component component; /* first: a handle */
    struct sql_settings settings;
    const char *name;
    const char *path;
    bool open;
    atomic_bool cut; /* the drain's time is over: everything is interrupted */

    struct writer writer;

    pthread_mutex_t lock;   /* readers, active, closed */
    pthread_cond_t changed; /* active became 0 */
    pthread_cond_t reader_free;
    struct reader *readers, *free_readers;
    bool closed;    /* nothing new any more */
    int64_t active; /* transactions and reads that have begun and not ended */

    struct keeper *keeper;
    struct metric_source *metrics[2];
    struct weir_outbox *outbox; /* set before anything starts; NULL: none */
};

/* Without an app: for weir_sql_add() and for tests. */
struct weir_sql *sql_new(const char *name, const struct sql_settings *settings);
extern const struct weir_component_ops sql_ops;

/* Transactions and reads for weir's own threads, which have no call. Errors are then only in sql_error(). */
struct weir_tx *sql_begin(struct weir_sql *db, struct weir_call *call, struct weir_context *context,
                          struct weir_arena *arena);
struct weir_rows *sql_read(struct weir_sql *db, struct weir_call *call, struct weir_context *context,
                           struct weir_arena *arena, const char *sql, const struct weir_value *values,
                           int count);
/* What failed; NULL: nothing did. */
const struct weir_error *sql_error(const struct weir_tx *tx);
const struct weir_error *sql_rows_error(const struct weir_rows *rows);

/* Fails the transaction as a failed statement does. Returns err's status. */
enum weir_status sql_fail(struct weir_tx *tx, const struct weir_error *err);

/* What weir_sql_on_commit() was given with `committed`; NULL: it was not called with it. */
void *sql_on_commit_arg(const struct weir_tx *tx, void (*committed)(void *arg));
/* Cleared; lives as long as the transaction's call. */
void *sql_tx_alloc(struct weir_tx *tx, size_t size);

int64_t sql_last_id(struct weir_tx *tx); /* rowid of the last INSERT */

/* What was begun and not ended; refuses when the database is not open or is stopping. */
enum weir_status sql_enter(struct weir_sql *db, struct weir_error *err);
void sql_leave(struct weir_sql *db);

/* A connection of the pool, within the context's time. NULL: err says why. */
struct reader *sql_take_reader(struct weir_sql *db, struct weir_context *context, struct weir_error *err);
void sql_give_reader(struct weir_sql *db, struct reader *reader);

/* For tests and metrics. */
struct sql_counts {
    int64_t transactions; /* committed */
    int64_t commits;      /* that made them durable: fewer, when they share */
};
struct sql_counts sql_counts(const struct weir_sql *db);

#endif
