#include "data/sqlite/connection.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>

#include "core/memory.h"

/* Virtual machine steps between two looks at the context: about 20 us. */
#define STEPS_BETWEEN_LOOKS 1000
/* A lock that another process holds for longer is no transaction of a service. */
#define LOCK_OUTAGE_NS WEIR_NS_PER_S

static enum weir_status context_status(const struct connection *connection)
{
    if (!connection->context)
        return WEIR_OK;
    if (connection->cut && atomic_load_explicit(connection->cut, memory_order_relaxed))
        return WEIR_CANCELLED;
    return weir_context_status(connection->context);
}

/* A constraint is the request's fault, everything unknown the program's. https://www.sqlite.org/rescode.html
 */
static enum weir_status status_of(const struct connection *connection, int code)
{
    switch (code) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return WEIR_ALREADY_EXISTS;
    case SQLITE_READONLY_DBMOVED: /* or deleted: not what the caller asked for is wrong */
    case SQLITE_READONLY_ROLLBACK:
    case SQLITE_READONLY_RECOVERY:
    case SQLITE_READONLY_CANTLOCK:
    case SQLITE_READONLY_CANTINIT:
    case SQLITE_READONLY_DIRECTORY:
        return WEIR_UNAVAILABLE;
    default:
        break;
    }
    switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
        return WEIR_FAILED_PRECONDITION;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
    case SQLITE_FULL: /* the disk: a matter of the server's, which passes */
        return WEIR_UNAVAILABLE;
    case SQLITE_READONLY: /* of a reader: the author's mistake */
        return connection->owner ? WEIR_UNAVAILABLE : WEIR_INTERNAL;
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
        return WEIR_RESOURCE_EXHAUSTED;
    case SQLITE_INTERRUPT:
        return connection->interrupted;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return WEIR_DATA_LOSS;
    default:
        return WEIR_INTERNAL;
    }
}

/* Not the statement's fault, and not over with it. Who was not let in for a moment has met somebody else at work. */
static bool is_outage(const struct connection *connection, int code)
{
    switch (code & 0xff) {
    case SQLITE_BUSY:
        return weir_now_ns() - connection->lock_waited_ns >= LOCK_OUTAGE_NS;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_FULL:
    case SQLITE_READONLY:
        return true;
    default:
        return false;
    }
}

/* The statement's text is for the author: it is left out where the client is shown the error. */
static enum weir_status explain(const struct connection *connection, int code, const char *sql,
                                struct weir_error *err)
{
    enum weir_status status = status_of(connection, code);
    if (code == SQLITE_AUTH)
        return weir_fail(err, WEIR_INTERNAL,
                         "%s: transactions are begun and ended by weir_sql_begin() and "
                         "weir_sql_commit(), and ATTACH is not for services: %.160s",
                         connection->name, sql);
    if ((code & 0xff) == SQLITE_INTERRUPT)
        return weir_fail(err, status, "%s: a statement was interrupted: %s", connection->name,
                         status == WEIR_CANCELLED ? "nobody waits for it any more" : "its time is over");
    if ((code & 0xff) == SQLITE_BUSY && context_status(connection) != WEIR_OK)
        return weir_fail(err, context_status(connection), "%s: another process holds the database's lock",
                         connection->name);
    if (status == WEIR_INTERNAL)
        return weir_fail(err, status, "%s: %s: %.160s", connection->name, sqlite3_errmsg(connection->handle),
                         sql);
    return weir_fail(err, status, "%s: %s", connection->name, sqlite3_errmsg(connection->handle));
}

static enum weir_status fail(const struct connection *connection, int code, const char *sql,
                             struct weir_error *err)
{
    enum weir_status status = explain(connection, code, sql, err);
    if (connection->owner && is_outage(connection, code))
        component_away(connection->owner, err);
    return status;
}

/* ---- What SQLite asks while it works ---- */

static int look_at_context(void *self)
{
    struct connection *connection = self;
    enum weir_status status = context_status(connection);
    if (status == WEIR_OK)
        return 0;
    if (connection->grace_ns > 0) {
        int64_t now = weir_now_ns();
        if (connection->over_since_ns == 0)
            connection->over_since_ns = now;
        if (now - connection->over_since_ns < connection->grace_ns)
            return 0;
    }
    connection->interrupted = status;
    return 1;
}

static int wait_for_lock(void *self, int attempt)
{
    static const int delay_ms[] = {1, 1, 2, 3, 5, 10};
    struct connection *connection = self;
    if (attempt == 0)
        connection->lock_waited_ns = weir_now_ns();
    if (context_status(connection) != WEIR_OK || weir_now_ns() >= connection->busy_until_ns)
        return 0;
    int ms = delay_ms[attempt < 6 ? attempt : 5];
    if (connection->context)
        return weir_context_sleep(connection->context, ms) == WEIR_OK;
    sqlite3_sleep(ms);
    return 1;
}

static int allow(void *self, int action, const char *one, const char *two, const char *database,
                 const char *trigger)
{
    (void)one, (void)two, (void)database, (void)trigger;
    const struct connection *connection = self;
    bool forbidden = action == SQLITE_TRANSACTION || action == SQLITE_SAVEPOINT || action == SQLITE_ATTACH ||
                     action == SQLITE_DETACH;
    return forbidden && !connection->transactions_allowed ? SQLITE_DENY : SQLITE_OK;
}

/* ---- Open and close ---- */

static enum weir_status set_up(struct connection *connection, const struct connection_options *options,
                               struct weir_error *err)
{
    sqlite3 *handle = connection->handle;
    sqlite3_extended_result_codes(handle, 1);
    sqlite3_busy_handler(handle, wait_for_lock, connection);
    sqlite3_progress_handler(handle, STEPS_BETWEEN_LOOKS, look_at_context, connection);
    /* "name" in double quotes is a column, never a text because there is no such column. */
    sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);

    enum weir_status status =
        connection_script(connection, "PRAGMA foreign_keys = ON; PRAGMA cache_size = -8192", err);
    if (status == WEIR_OK && !options->read_only)
        status = connection_script(connection, "PRAGMA journal_mode = WAL", err);
    if (status == WEIR_OK)
        status = connection_script(connection,
                                   strcmp(options->synchronous, "normal") == 0 ? "PRAGMA synchronous = NORMAL"
                                                                               : "PRAGMA synchronous = FULL",
                                   err);
    if (status == WEIR_OK && options->read_only)
        status = connection_script(connection, "PRAGMA query_only = ON", err);
    sqlite3_set_authorizer(handle, allow, connection);
    return status;
}

enum weir_status connection_open(struct connection *connection, const struct connection_options *options,
                                 struct weir_context *context, struct weir_error *err)
{
    *connection = (struct connection){.name = options->name, .cut = options->cut};
    connection_work_for(connection, context, 5000);
    int code = sqlite3_open_v2(
        options->path, &connection->handle,
        SQLITE_OPEN_READWRITE | (options->looks ? 0 : SQLITE_OPEN_CREATE) | SQLITE_OPEN_NOMUTEX, NULL);
    enum weir_status status;
    if (code != SQLITE_OK)
        status = weir_fail(err, WEIR_UNAVAILABLE, "%s: cannot open %s: %s", options->name, options->path,
                           connection->handle ? sqlite3_errmsg(connection->handle) : "out of memory");
    else if (!options->read_only && sqlite3_db_readonly(connection->handle, "main") == 1)
        status =
            weir_fail(err, WEIR_UNAVAILABLE, "%s: %s may not be written to", options->name, options->path);
    else
        status = set_up(connection, options, err);
    connection->context = NULL;
    if (status != WEIR_OK)
        connection_close(connection);
    return status;
}

void connection_close(struct connection *connection)
{
    for (int i = 0; i < STATEMENTS_MAX; i++)
        sqlite3_finalize(connection->statements[i].handle);
    memset(connection->statements, 0, sizeof connection->statements);
    sqlite3_close_v2(connection->handle);
    connection->handle = NULL;
}

void connection_work_for(struct connection *connection, struct weir_context *context, int64_t busy_ms)
{
    connection->context = context;
    connection->busy_until_ns = weir_deadline_in_ms(busy_ms);
    connection->lock_waited_ns = WEIR_NEVER;
    connection->over_since_ns = 0;
    connection->grace_ns = 0;
}

bool connection_is_idle(const struct connection *connection)
{
    return sqlite3_get_autocommit(connection->handle);
}

/* Writes into a file that has no name any more succeed, and are gone with the process. */
enum weir_status connection_check_file(struct connection *connection, struct weir_error *err)
{
    int moved = 0;
    int code = sqlite3_file_control(connection->handle, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    if (code != SQLITE_OK || !moved)
        return WEIR_OK;
    weir_fail(err, WEIR_UNAVAILABLE, "%s: the file %s was deleted or replaced", connection->name,
              sqlite3_db_filename(connection->handle, "main"));
    if (connection->owner)
        component_away(connection->owner, err);
    return WEIR_UNAVAILABLE;
}

/* ---- Statements ---- */

/* FNV-1a. */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *text; text++)
        hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    return hash;
}

/* The one with this text, else a free or the least recently used one; NULL when all are in use, or this text
 * is. */
static struct statement *find(struct connection *connection, const char *sql, uint64_t hash)
{
    struct statement *oldest = NULL;
    for (int i = 0; i < STATEMENTS_MAX; i++) {
        struct statement *statement = &connection->statements[i];
        if (statement->handle && statement->hash == hash &&
            statement->control == connection->transactions_allowed &&
            strcmp(sqlite3_sql(statement->handle), sql) == 0)
            return statement->in_use ? NULL : statement;
        if (!statement->in_use && (!oldest || statement->used < oldest->used))
            oldest = statement;
    }
    if (oldest) {
        sqlite3_finalize(oldest->handle);
        *oldest = (struct statement){.hash = hash, .control = connection->transactions_allowed};
    }
    return oldest;
}

static enum weir_status compile(struct connection *connection, const char *sql, sqlite3_stmt **ret_handle,
                                struct weir_error *err)
{
    const char *tail = NULL;
    int code = sqlite3_prepare_v3(connection->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_handle, &tail);
    if (code != SQLITE_OK)
        return fail(connection, code, sql, err);
    while (*tail == ';' || isspace((unsigned char)*tail))
        tail++;
    if (*ret_handle && !*tail)
        return WEIR_OK;
    enum weir_status status = weir_fail(err, WEIR_INTERNAL, "%s: %s: %.160s", connection->name,
                                        *ret_handle ? "one statement at a time" : "an empty statement", sql);
    sqlite3_finalize(*ret_handle);
    *ret_handle = NULL;
    return status;
}

static struct statement *take(struct connection *connection, const char *sql, struct weir_error *err)
{
    uint64_t hash = hash_of(sql);
    struct statement *cached = find(connection, sql, hash);
    struct statement *statement = cached ? cached : NEW(struct statement);
    statement->uncached = !cached;
    if (!statement->handle && compile(connection, sql, &statement->handle, err) != WEIR_OK) {
        if (statement->uncached)
            free(statement);
        return NULL;
    }
    statement->in_use = true;
    statement->used = ++connection->uses;
    return statement;
}

static int bind(sqlite3_stmt *handle, int at, const struct weir_value *value,
                sqlite3_destructor_type lifetime)
{
    switch (value->type) {
    case WEIR_VALUE_INT:
        return sqlite3_bind_int64(handle, at, value->as.integer);
    case WEIR_VALUE_DOUBLE:
        return sqlite3_bind_double(handle, at, value->as.number);
    case WEIR_VALUE_TEXT:
        return sqlite3_bind_text64(handle, at, value->as.text, strlen(value->as.text), lifetime, SQLITE_UTF8);
    case WEIR_VALUE_BYTES:
        if (value->as.bytes.size == 0)
            return sqlite3_bind_zeroblob(handle, at, 0);
        return sqlite3_bind_blob64(handle, at, value->as.bytes.data, value->as.bytes.size, lifetime);
    case WEIR_VALUE_NULL:
        break;
    }
    return sqlite3_bind_null(handle, at);
}

struct statement *connection_prepare(struct connection *connection, const char *sql,
                                     const struct weir_value *values, int count, bool copy,
                                     struct weir_error *err)
{
    struct statement *statement = take(connection, sql, err);
    if (!statement)
        return NULL;
    int wanted = sqlite3_bind_parameter_count(statement->handle);
    if (wanted != count) {
        weir_fail(err, WEIR_INTERNAL, "%s: the statement has %d parameters, %d values were given: %.160s",
                  connection->name, wanted, count, sql);
        connection_release(connection, statement);
        return NULL;
    }
    for (int i = 0; i < count; i++) {
        int code = bind(statement->handle, i + 1, &values[i], copy ? SQLITE_TRANSIENT : SQLITE_STATIC);
        if (code != SQLITE_OK) {
            fail(connection, code, sql, err);
            connection_release(connection, statement);
            return NULL;
        }
    }
    return statement;
}

int connection_step(struct connection *connection, struct statement *statement, struct weir_error *err)
{
    int code = sqlite3_step(statement->handle);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        fail(connection, code, sqlite3_sql(statement->handle), err);
    return code;
}

/* Bindings go too: their memory may be somebody else's. */
void connection_release(struct connection *connection, struct statement *statement)
{
    (void)connection;
    if (statement->uncached) {
        sqlite3_finalize(statement->handle);
        free(statement);
        return;
    }
    sqlite3_reset(statement->handle);
    sqlite3_clear_bindings(statement->handle);
    statement->in_use = false;
}

/* sqlite3_changes() keeps the figure of an earlier statement when this one was no INSERT, UPDATE or DELETE.
 */
enum weir_status connection_exec(struct connection *connection, const char *sql,
                                 const struct weir_value *values, int count, int64_t *ret_changed,
                                 struct weir_error *err)
{
    struct statement *statement = connection_prepare(connection, sql, values, count, false, err);
    if (!statement)
        return err->status;
    int64_t before = sqlite3_total_changes64(connection->handle);
    int code;
    do
        code = connection_step(connection, statement, err);
    while (code == SQLITE_ROW);
    if (code == SQLITE_DONE && ret_changed) {
        bool changed = sqlite3_total_changes64(connection->handle) != before;
        *ret_changed = changed ? sqlite3_changes64(connection->handle) : 0;
    }
    connection_release(connection, statement);
    return code == SQLITE_DONE ? WEIR_OK : err->status;
}

enum weir_status connection_number(struct connection *connection, const char *sql,
                                   const struct weir_value *values, int count, int64_t *ret_number,
                                   struct weir_error *err)
{
    struct statement *statement = connection_prepare(connection, sql, values, count, false, err);
    if (!statement)
        return err->status;
    int code = connection_step(connection, statement, err);
    if (code == SQLITE_ROW || code == SQLITE_DONE)
        *ret_number = code == SQLITE_ROW ? sqlite3_column_int64(statement->handle, 0) : 0;
    connection_release(connection, statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? WEIR_OK : err->status;
}

enum weir_status connection_script(struct connection *connection, const char *sql, struct weir_error *err)
{
    int code = sqlite3_exec(connection->handle, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? WEIR_OK : fail(connection, code, sql, err);
}

enum weir_status connection_control(struct connection *connection, const char *sql, struct weir_error *err)
{
    connection->transactions_allowed = true;
    enum weir_status status = connection_exec(connection, sql, NULL, 0, NULL, err);
    connection->transactions_allowed = false;
    return status;
}
