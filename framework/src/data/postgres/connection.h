/* One connection to PostgreSQL, in libpq's pipeline mode, with its prepared statements.
 *
 * A connection belongs to one thread at a time. What it does is done for a context: once that is over nothing is waited
 * for any more, and the connection is broken: its owner closes it, whereupon the server ends what still runs
 * (client_connection_check_interval). Nothing here blocks longer, whatever the server or the network does; only the
 * look-up of the host's name is libpq's. `err` is never NULL here.
 *
 * Statements that need no answer are queued and sent with the next that does: BEGIN with the first statement, the
 * outbox's row with COMMIT. */
#ifndef WEIR_DATA_POSTGRES_CONNECTION_H
#define WEIR_DATA_POSTGRES_CONNECTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include <weir/context.h>
#include <weir/error.h>
#include <weir/sql.h>

#define PG_STATEMENTS_MAX 64
#define PG_QUEUE_MAX 32
#define PG_PARAMETERS_MAX 16

struct pg_statement {
    char *sql; /* as given; NULL: free */
    char name[24];
    Oid types[PG_PARAMETERS_MAX];
    int parameters;
    uint64_t hash;
    uint64_t used; /* when, in uses: the smallest is the least recent */
};

struct pg_connection {
    PGconn *handle;
    const char *name;             /* of the component, for errors. Borrows */
    struct weir_context *context; /* on whose behalf it works; NULL: is not interrupted */
    const atomic_bool *cut;       /* once true everything is interrupted. May be NULL */
    int64_t until_ns;             /* at the latest, beside the context */
    int64_t grace_ns;             /* how much longer than the context */
    bool broken;                  /* to be closed */
    bool in_transaction;          /* begun, if only by word */
    const char *begin;            /* to be sent before the next statement. NULL: none */
    bool committing;              /* COMMIT was queued, and its result has not come */
    bool forget_statements;       /* what is prepared is out of date */

    const char *queue[PG_QUEUE_MAX]; /* the texts of what was sent since the last synchronisation */
    char *owned[PG_QUEUE_MAX];       /* those to be freed then */
    int queued;

    uint64_t uses;
    int64_t next_name;
    struct pg_statement statements[PG_STATEMENTS_MAX];

    const void *holder;         /* the pool's: which call has it */
    struct pg_connection *next; /* the pool's */
};

/* Connects within the context. On failure nothing is open, and `ret_away` says whether the server cannot be reached or
 * does not serve yet (so that one may wait for it). */
enum weir_status pg_open(struct pg_connection *connection, const char *url, const char *name,
                         struct weir_context *context, bool *ret_away, struct weir_error *err);
void pg_close(struct pg_connection *connection);
/* Whether the idle connection still stands, as far as the kernel knows. Does not block. */
bool pg_is_alive(struct pg_connection *connection);
/* From now on works for `context`. */
void pg_work_for(struct pg_connection *connection, struct weir_context *context);

/* `how` is what follows BEGIN. Sent with the first statement. */
void pg_begin(struct pg_connection *connection, const char *how);
/* UNKNOWN: nobody knows whether it was committed. */
enum weir_status pg_commit(struct pg_connection *connection, struct weir_error *err);
void pg_rollback(struct pg_connection *connection);

/* Caller owns the result, PQclear(). */
enum weir_status pg_run(struct pg_connection *connection, const char *sql, const struct weir_value *values,
                        int count, PGresult **ret_result, struct weir_error *err);
/* The same, and the transaction's end with it. Of a transaction that only reads. */
enum weir_status pg_run_and_end(struct pg_connection *connection, const char *sql,
                                const struct weir_value *values, int count, PGresult **ret_result,
                                struct weir_error *err);
/* Queues it. Its failure is the next one's. */
enum weir_status pg_run_later(struct pg_connection *connection, const char *sql,
                              const struct weir_value *values, int count, struct weir_error *err);
/* Any number of statements without parameters, as they are. */
enum weir_status pg_script(struct pg_connection *connection, const char *sql, struct weir_error *err);

/* The types of a statement's columns, with these types of its parameters. Caller owns the result. */
enum weir_status pg_describe(struct pg_connection *connection, const char *sql, const Oid *types, int count,
                             PGresult **ret_result, struct weir_error *err);

const char *pg_type_name(Oid type);

#endif
