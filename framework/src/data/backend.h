/* What a database engine does for <weir/sql.h>: the seam below transactions, rows and migrations. sqlite/backend.c and
 * postgres/backend.c have a table each; nothing above knows which.
 *
 * A session is a connection while one transaction or read has it; it belongs to one thread at a time. Values are
 * borrowed for the call. Errors: `err` is never NULL, and ABORTED means that it lost against another transaction: the
 * whole may be tried again. */
#ifndef WEIR_DATA_BACKEND_H
#define WEIR_DATA_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/context.h>
#include <weir/error.h>
#include <weir/sql.h>

struct sql_session; /* the engine's */
struct sql_cursor;  /* the rows of one statement */

enum sql_isolation { SQL_SERIALIZABLE, SQL_READ_COMMITTED };

/* In a transaction of its own, one migration after the other:
 *     ENTER (BEGIN, script, CHECK, COMMIT | ROLLBACK)... LEAVE */
enum migration_stage {
    MIGRATION_ENTER,
    MIGRATION_BEGIN, /* waits for other processes that migrate */
    MIGRATION_CHECK, /* of what the script left */
    MIGRATION_COMMIT,
    MIGRATION_ROLLBACK,
    MIGRATION_LEAVE,
};

struct sql_backend {
    const char *name;

    /* ---- The component's: each may block within the context ---- */

    /* Connects to what is there, makes and changes nothing, and gives a session that only reads; NULL: the database is
     * not there yet, and open() would make it. close() is called in any case. */
    enum weir_status (*look)(struct weir_sql *db, struct weir_context *context,
                             struct sql_session **ret_session, struct weir_error *err);
    /* Connects, and gives the session for migrations. Ready for what follows once migrated() was called. On failure
     * close() is called. */
    enum weir_status (*open)(struct weir_sql *db, struct weir_context *context,
                             struct sql_session **ret_session, struct weir_error *err);
    enum weir_status (*migrated)(struct weir_sql *db, struct sql_session *session,
                                 struct weir_context *context, struct weir_error *err);
    /* Nothing is under way. Also after a failed open, or none. */
    void (*close)(struct weir_sql *db);
    /* Before the close, when all is done. May be NULL. */
    enum weir_status (*finish)(struct weir_sql *db, struct weir_context *context, struct weir_error *err);
    /* Now and then while it is open: housekeeping of files. What does not go now goes another time. May be NULL. */
    enum weir_status (*tidy)(struct weir_sql *db, struct weir_context *context, struct weir_error *err);

    /* ---- Migrations ---- */

    enum weir_status (*migration)(struct sql_session *session, enum migration_stage stage,
                                  struct weir_error *err);
    /* Any number of statements, separated by semicolons. `portable`: written for any engine. */
    enum weir_status (*script)(struct sql_session *session, const char *sql, bool portable,
                               struct weir_error *err);
    /* Is there such a table? */
    enum weir_status (*has_table)(struct sql_session *session, const char *table, bool *ret_has,
                                  struct weir_error *err);

    /* Prepares a statement, without running it: its parameters and columns are of the types that it says. */
    enum weir_status (*check)(struct sql_session *session, const struct weir_sql_statement *statement,
                              struct weir_error *err);

    /* ---- Transactions ---- */

    /* `holder` is the call, to find one that would wait for itself; may be NULL. */
    enum weir_status (*begin)(struct weir_sql *db, struct weir_context *context, const void *holder,
                              enum sql_isolation isolation, struct sql_session **ret_session,
                              struct weir_error *err);
    /* Ends it, and gives the session back. OK when it was kept and is durable, or was not to be kept. */
    enum weir_status (*end)(struct weir_sql *db, struct sql_session *session, bool keep,
                            struct weir_error *err);
    /* A statement outside of any transaction, from a snapshot; read_end() gives the session back. */
    enum weir_status (*read)(struct weir_sql *db, struct weir_context *context, const char *sql,
                             const struct weir_value *values, int count, struct sql_session **ret_session,
                             struct sql_cursor **ret_cursor, struct weir_error *err);
    void (*read_end)(struct weir_sql *db, struct sql_session *session, struct sql_cursor *cursor);

    /* ---- Statements ---- */

    enum weir_status (*exec)(struct sql_session *session, const char *sql, const struct weir_value *values,
                             int count, int64_t *ret_changed, struct weir_error *err);
    /* Its outcome is told by a later one, or by the end: saves a round trip. */
    enum weir_status (*exec_later)(struct sql_session *session, const char *sql,
                                   const struct weir_value *values, int count, struct weir_error *err);
    enum weir_status (*query)(struct sql_session *session, const char *sql, const struct weir_value *values,
                              int count, struct sql_cursor **ret_cursor, struct weir_error *err);
    /* 1: there is a row, 0: no more, -1: err is filled. */
    int (*next)(struct sql_session *session, struct sql_cursor *cursor, struct weir_error *err);
    void (*release)(struct sql_session *session, struct sql_cursor *cursor);

    /* ---- The current row ---- */

    int (*columns)(const struct sql_cursor *cursor);
    const char *(*text_of)(const struct sql_cursor *cursor); /* the statement's */
    bool (*is_null)(const struct sql_cursor *cursor, int column);
    /* As `type`; texts and bytes live until the next row. A NULL is 0 or empty. */
    enum weir_status (*value)(struct sql_cursor *cursor, int column, int type, struct weir_value *ret_value,
                              struct weir_error *err);

    int64_t (*last_id)(
        struct sql_session *session); /* of the last INSERT, where ids are the engine's; else 0 */
};

extern const struct sql_backend sqlite_backend;
extern const struct sql_backend postgres_backend;

/* By its URL. NULL: there is none such; err says which there are. */
const struct sql_backend *sql_backend_of(const char *name, const char *url, struct weir_error *err);

#endif
