/* A database from the inside. See <weir/sql.h> for its users' side. */
#ifndef WEIR_DATA_SQL_H
#define WEIR_DATA_SQL_H

#include <pthread.h>
#include <stdatomic.h>

#include <weir/arena.h>
#include <weir/sql.h>

#include "data/backend.h"
#include "lifecycle/component.h"

#define READERS_MAX 64
#define CONNECTIONS_MAX 1000

struct keeper;
struct metric_source;

/* Options with every default filled in. Texts are borrowed. */
struct sql_settings {
    const char *url;
    const char *const *migrations;
    const struct weir_sql_statement *statements; /* checked when it is opened. NULL: none */
    const char *const *postgres_migrations;
    int64_t readers;
    int64_t connections;
    int synchronous; /* 0 full, 1 normal */
    int isolation;   /* enum sql_isolation */
    int64_t commit_group_max;
    int64_t busy_timeout_ms;
    int64_t idempotency_keep_ms; /* less than a day is a day */
};

/* How long rows of this name stay once they are over. */
struct sql_kept {
    const char *name; /* Borrows */
    int64_t keep_ms;
    struct sql_kept *next;
};

struct weir_sql {
    struct weir_component component; /* first: a handle */
    struct sql_settings settings;
    const char *name;
    const struct sql_backend *backend; /* by the url; NULL: not opened yet */
    void *state;                       /* the backend's */
    bool open;
    atomic_bool cut; /* the drain's time is over: everything is interrupted */

    pthread_mutex_t lock;   /* active, closed */
    pthread_cond_t changed; /* active became 0 */
    bool closed;            /* nothing new any more */
    int64_t active;         /* transactions and reads that have begun and not ended */

    _Atomic int64_t units;   /* committed */
    _Atomic int64_t commits; /* that made them so: fewer, when they share */

    struct keeper *keeper;
    struct sql_kept
        *kept_sagas; /* set before anything starts. Where a name is there twice, the shorter counts */
    struct metric_source *metrics[2];
    struct weir_outbox *outbox; /* set before anything starts; NULL: none */
};

/* Without an app: for weir_sql_add() and for tests. */
struct weir_sql *sql_new(const char *name, const struct sql_settings *settings);
extern const struct weir_component_ops sql_ops;
component_migrate_fn sql_migrate;

/* Before it starts: sagas of this name stay so long after their end. Borrows the name. */
void sql_keep_sagas(struct weir_sql *db, const char *name, int64_t keep_ms);

/* Transactions and reads for weir's own threads, which have no call. Errors are then only in sql_error(). */
struct weir_tx *sql_begin(struct weir_sql *db, struct weir_call *call, struct weir_context *context,
                          struct weir_arena *arena);
/* The same, at least as isolated as said. */
struct weir_tx *sql_begin_at(struct weir_sql *db, struct weir_call *call, struct weir_context *context,
                             struct weir_arena *arena, enum sql_isolation isolation);
struct weir_rows *sql_read(struct weir_sql *db, struct weir_call *call, struct weir_context *context,
                           struct weir_arena *arena, const char *sql, const struct weir_value *values,
                           int count);
/* Runs one statement whose outcome a later one may tell, or the commit: it saves a round trip. */
enum weir_status sql_exec_later(struct weir_tx *tx, const char *sql, const struct weir_value *values,
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

int64_t sql_last_id(struct weir_tx *tx); /* SQLite: rowid of the last INSERT */

/* What was begun and not ended; refuses when the database is not open or is stopping. */
enum weir_status sql_enter(struct weir_sql *db, struct weir_error *err);
void sql_leave(struct weir_sql *db);

/* For tests and metrics. */
struct sql_counts {
    int64_t transactions; /* committed */
    int64_t commits;      /* that made them durable: fewer, when they share */
};
struct sql_counts sql_counts(const struct weir_sql *db);

#endif
