/* One SQLite connection with its prepared statements. The only header that knows SQLite's types.
 *
 * A connection belongs to one thread at a time; handing it on is the owner's matter (a lock). What it does is
 * done for a context: once that is over a running statement is interrupted, and a wait for another process's
 * lock ends. `err` is never NULL here. */
#ifndef WEIR_DATA_SQLITE_CONNECTION_H
#define WEIR_DATA_SQLITE_CONNECTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

#include <weir/context.h>
#include <weir/error.h>
#include <weir/sql.h>

#include "lifecycle/component.h"

#define STATEMENTS_MAX 64

struct statement {
    sqlite3_stmt *handle;
    uint64_t hash;
    uint64_t used; /* when, in uses: the smallest is the least recent */
    bool in_use;
    bool control;  /* weir's own BEGIN or COMMIT: nobody else's, though the text be the same */
    bool uncached; /* its text is in use twice, or the cache is full: freed at its end */
};

struct connection {
    sqlite3 *handle;
    const char *name;             /* of the component, for errors. Borrows */
    struct weir_context *context; /* on whose behalf it works; NULL: is not interrupted */
    const atomic_bool *cut;       /* once true everything is interrupted. May be NULL */
    struct weir_component *owner; /* of the one that writes: told when the database is away. Else NULL */
    int64_t lock_waited_ns;       /* since when it waits for a lock of another process */
    int64_t busy_until_ns;        /* how long to wait for a lock of another process */
    int64_t over_since_ns;        /* when the context was first seen over; 0: not yet */
    int64_t grace_ns;             /* how much longer a statement may run then */
    enum weir_status interrupted; /* why the last interrupt was */
    bool transactions_allowed;    /* only while weir prepares its own BEGIN and COMMIT */
    uint64_t uses;
    struct statement statements[STATEMENTS_MAX];
};

struct connection_options {
    const char *path;
    bool read_only;
    bool looks;              /* with read_only: makes no file, and leaves the write-ahead log as it is */
    const char *synchronous; /* "full", "normal" */
    const char *name;
    const atomic_bool *cut;
};

/* On failure nothing is open. `context` bounds the wait for locks. */
enum weir_status connection_open(struct connection *connection, const struct connection_options *options,
                                 struct weir_context *context, struct weir_error *err);
/* Nothing is in use any more. A connection that is zero or never opened is fine. */
void connection_close(struct connection *connection);

/* From now on works for `context`, and waits for other processes at most `busy_ms`. */
void connection_work_for(struct connection *connection, struct weir_context *context, int64_t busy_ms);

/* Prepares, or takes it from the cache; then binds. With `copy` the values need not outlive the call. NULL on
 * failure. */
struct statement *connection_prepare(struct connection *connection, const char *sql,
                                     const struct weir_value *values, int count, bool copy,
                                     struct weir_error *err);
/* SQLITE_ROW, SQLITE_DONE; anything else: err is filled. */
int connection_step(struct connection *connection, struct statement *statement, struct weir_error *err);
void connection_release(struct connection *connection, struct statement *statement);

/* Runs a statement to its end; its rows are passed over. `ret_changed` may be NULL. */
enum weir_status connection_exec(struct connection *connection, const char *sql,
                                 const struct weir_value *values, int count, int64_t *ret_changed,
                                 struct weir_error *err);
/* The first column of the first row; 0 when there is none. */
enum weir_status connection_number(struct connection *connection, const char *sql,
                                   const struct weir_value *values, int count, int64_t *ret_number,
                                   struct weir_error *err);
/* Any number of statements, separated by semicolons, without parameters. */
enum weir_status connection_script(struct connection *connection, const char *sql, struct weir_error *err);
/* The same for weir's own BEGIN, SAVEPOINT, COMMIT and their like, which nobody else may use. Cached. */
enum weir_status connection_control(struct connection *connection, const char *sql, struct weir_error *err);

/* No transaction is open: none was begun, or SQLite has rolled it back by itself. */
bool connection_is_idle(const struct connection *connection);
/* UNAVAILABLE when its file was deleted or replaced. */
enum weir_status connection_check_file(struct connection *connection, struct weir_error *err);

#endif
