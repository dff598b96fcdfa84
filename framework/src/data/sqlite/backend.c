/* SQLite's table of functions: the writer for transactions, a pool of connections for reading. */
#include "data/sqlite/backend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/clock.h>

#include "core/condition.h"
#include "core/memory.h"
#include "data/sqlite/files.h"
#include "data/statements.h"

#define SCHEME "sqlite:"
/* SQLite begins a log anew at 4 MB, when nobody is in the way. */
#define LOG_BYTES_MAX (INT64_C(8) << 20)
/* How long writers wait for readers of the log at most. */
#define LOG_TURN_MS 20

struct sqlite *sqlite_of(const struct weir_sql *db)
{
    return db->state;
}

static struct connection *connection_of(struct sql_session *session)
{
    return (struct connection *)session;
}

static struct sql_session *session_of(struct connection *connection)
{
    return (struct sql_session *)connection;
}

static sqlite3_stmt *handle_of(const struct sql_cursor *cursor)
{
    return ((const struct statement *)cursor)->handle;
}

/* ---- Open and close ---- */

static struct connection_options options_of(struct weir_sql *db)
{
    return (struct connection_options){
        .path = sqlite_of(db)->path,
        .synchronous = db->settings.synchronous ? "normal" : "full",
        .name = db->name,
        .cut = &db->cut,
    };
}

/* SQLite believes what it finds in the write-ahead log. Nobody else may add to it meanwhile. */
static enum weir_status believe_log(struct weir_sql *db, struct connection *connection,
                                    struct weir_error *err)
{
    if (!files_has_log(sqlite_of(db)->path))
        return WEIR_OK;
    if (connection_control(connection, "BEGIN IMMEDIATE", err) != WEIR_OK)
        return err->status;
    enum weir_status status = files_rewrite_log(db->name, sqlite_of(db)->path, err);
    struct weir_error ignored = {0};
    (void)connection_control(connection, "ROLLBACK", &ignored);
    return status;
}

/* What every way to open it needs. */
static enum weir_status prepare(struct weir_sql *db, struct weir_error *err)
{
    struct sqlite *sqlite = NEW(struct sqlite);
    db->state = sqlite;
    writer_init(&sqlite->writer, &db->units, &db->commits, db->settings.commit_group_max,
                db->settings.busy_timeout_ms);
    pthread_mutex_init(&sqlite->lock, NULL);
    condition_init(&sqlite->reader_free);
    sqlite->path = db->settings.url + strlen(SCHEME);
    if (strcmp(sqlite->path, ":memory:") == 0)
        return weir_fail(err, WEIR_INVALID_ARGUMENT,
                         "%s: a database in memory has one connection only; use a file", db->name);
    return WEIR_OK;
}

/* The last one that closes the database writes the log into it: not who only looks at what somebody has left. */
static enum weir_status sqlite_look(struct weir_sql *db, struct weir_context *context,
                                    struct sql_session **ret_session, struct weir_error *err)
{
    if (prepare(db, err) != WEIR_OK)
        return err->status;
    const char *path = sqlite_of(db)->path;
    if (access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return WEIR_OK;
    struct connection_options options = options_of(db);
    options.read_only = options.looks = true;
    bool has_log = files_has_log(path);
    struct connection *connection = &sqlite_of(db)->writer.connection;
    if (connection_open(connection, &options, context, err) != WEIR_OK)
        return err->status;
    if (has_log)
        sqlite3_db_config(connection->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    connection_work_for(connection, context, weir_context_left_ms(context));
    *ret_session = session_of(connection);
    return WEIR_OK;
}

static enum weir_status sqlite_open(struct weir_sql *db, struct weir_context *context,
                                    struct sql_session **ret_session, struct weir_error *err)
{
    if (prepare(db, err) != WEIR_OK)
        return err->status;
    struct sqlite *sqlite = sqlite_of(db);
    if (files_make_folders(db->name, sqlite->path, err) != WEIR_OK)
        return err->status;

    struct connection_options options = options_of(db);
    struct connection *connection = &sqlite->writer.connection;
    if (connection_open(connection, &options, context, err) != WEIR_OK)
        return err->status;
    connection_work_for(connection, context, weir_context_left_ms(context));
    if (believe_log(db, connection, err) != WEIR_OK)
        return err->status;
    *ret_session = session_of(connection);
    return WEIR_OK;
}

static enum weir_status sqlite_migrated(struct weir_sql *db, struct sql_session *session,
                                        struct weir_context *context, struct weir_error *err)
{
    struct sqlite *sqlite = sqlite_of(db);
    connection_of(session)->context = NULL;
    struct connection_options for_reading = options_of(db);
    for_reading.read_only = true;
    sqlite->readers = memory_zalloc((size_t)db->settings.readers * sizeof *sqlite->readers);
    for (int64_t i = 0; i < db->settings.readers; i++) {
        struct reader *reader = &sqlite->readers[i];
        if (connection_open(&reader->connection, &for_reading, context, err) != WEIR_OK)
            return err->status;
        reader->next = sqlite->free_readers;
        sqlite->free_readers = reader;
    }
    connection_of(session)->owner = &db->component;
    /* The log is there by now. SQLite syncs the folder, too, and does not mind when that fails. */
    return files_sync_folder_of(db->name, sqlite->path, err);
}

static void sqlite_close(struct weir_sql *db)
{
    struct sqlite *sqlite = sqlite_of(db);
    if (!sqlite)
        return;
    for (int64_t i = 0; sqlite->readers && i < db->settings.readers; i++)
        connection_close(&sqlite->readers[i].connection);
    free(sqlite->readers);
    connection_close(&sqlite->writer.connection);
    writer_clean_up(&sqlite->writer);
    pthread_cond_destroy(&sqlite->reader_free);
    pthread_mutex_destroy(&sqlite->lock);
    free(sqlite);
    db->state = NULL;
}

/* What was acknowledged is in the write-ahead log and safe already; with a checkpoint the next start need not
 * read it. */
static enum weir_status sqlite_finish(struct weir_sql *db, struct weir_context *context,
                                      struct weir_error *err)
{
    struct writer *writer = &sqlite_of(db)->writer;
    if (writer_enter_idle(writer, context, err) != WEIR_OK)
        return err->status;
    int64_t left_ms = weir_context_left_ms(context);
    connection_work_for(&writer->connection, context, left_ms < 250 ? left_ms / 2 : left_ms - 100);
    int64_t busy = 0;
    enum weir_status status =
        connection_number(&writer->connection, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, 0, &busy, err);
    if (status == WEIR_OK && busy)
        status = weir_fail(err, WEIR_UNAVAILABLE, "%s: another process uses the database", db->name);
    writer->connection.context = NULL;
    writer_leave_idle(writer);
    return status;
}

/* The log begins anew only when a writer comes while nobody reads from it, so readers that overlap let it grow. Who
 * begins to read while nobody writes and all of the log is in the file reads from the file: those before him are soon
 * gone. */
static enum weir_status sqlite_tidy(struct weir_sql *db, struct weir_context *context, struct weir_error *err)
{
    struct sqlite *sqlite = sqlite_of(db);
    if (files_log_bytes(sqlite->path) <= LOG_BYTES_MAX)
        return WEIR_OK;
    if (writer_enter_idle(&sqlite->writer, context, err) != WEIR_OK)
        return err->status;
    struct connection *connection = &sqlite->writer.connection;
    connection_work_for(connection, context, LOG_TURN_MS);
    int64_t busy = 0; /* a reader stays: another time */
    enum weir_status status =
        connection_number(connection, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, 0, &busy, err);
    connection->context = NULL;
    writer_leave_idle(&sqlite->writer);
    return status;
}

/* ---- Migrations ---- */

/* Tables may be dropped and built anew while foreign keys are off; what is broken afterwards is found here. */
static enum weir_status check_foreign_keys(struct connection *connection, struct weir_error *err)
{
    int64_t broken = 0;
    if (connection_number(connection, "SELECT count(*) FROM pragma_foreign_key_check", NULL, 0, &broken,
                          err) != WEIR_OK)
        return err->status;
    if (broken > 0)
        return weir_fail(err, WEIR_FAILED_PRECONDITION, "%s: %lld rows would refer to nothing",
                         connection->name, (long long)broken);
    return WEIR_OK;
}

static enum weir_status sqlite_migration(struct sql_session *session, enum migration_stage stage,
                                         struct weir_error *err)
{
    struct connection *connection = connection_of(session);
    switch (stage) {
    case MIGRATION_ENTER:
        return connection_script(connection, "PRAGMA foreign_keys = OFF", err);
    case MIGRATION_BEGIN:
        return connection_control(connection, "BEGIN IMMEDIATE", err);
    case MIGRATION_CHECK:
        return check_foreign_keys(connection, err);
    case MIGRATION_COMMIT:
        return connection_control(connection, "COMMIT", err);
    case MIGRATION_ROLLBACK:
        return connection_is_idle(connection) ? WEIR_OK : connection_control(connection, "ROLLBACK", err);
    case MIGRATION_LEAVE:
        break;
    }
    return connection_script(connection, "PRAGMA foreign_keys = ON", err);
}

static enum weir_status sqlite_script(struct sql_session *session, const char *sql, bool portable,
                                      struct weir_error *err)
{
    (void)portable;
    return connection_script(connection_of(session), sql, err);
}

static enum weir_status sqlite_has_table(struct sql_session *session, const char *table, bool *ret_has,
                                         struct weir_error *err)
{
    struct weir_value name = weir_value_text(table);
    int64_t count = 0;
    enum weir_status status = connection_number(
        connection_of(session), "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?", &name,
        1, &count, err);
    *ret_has = count > 0;
    return status;
}

/* ---- Transactions ---- */

static enum weir_status sqlite_begin(struct weir_sql *db, struct weir_context *context, const void *holder,
                                     enum sql_isolation isolation, struct sql_session **ret_session,
                                     struct weir_error *err)
{
    (void)isolation; /* there is one writer */
    struct writer *writer = &sqlite_of(db)->writer;
    *ret_session = session_of(&writer->connection);
    return writer_enter(writer, context, holder, err);
}

static enum weir_status sqlite_end(struct weir_sql *db, struct sql_session *session, bool keep,
                                   struct weir_error *err)
{
    (void)session;
    return writer_leave(&sqlite_of(db)->writer, keep, err);
}

/* ---- Readers ---- */

static struct reader *wait_for_reader(struct weir_sql *db, struct weir_context *context,
                                      struct weir_error *err)
{
    struct sqlite *sqlite = sqlite_of(db);
    int64_t give_up_ns = weir_deadline_in_ms(db->settings.busy_timeout_ms);
    struct condition_watch watch;
    condition_watch(&watch, context, &sqlite->lock, &sqlite->reader_free);
    pthread_mutex_lock(&sqlite->lock);
    enum weir_status over = WEIR_OK;
    while (!sqlite->free_readers && (over = weir_context_status(context)) == WEIR_OK &&
           weir_now_ns() < give_up_ns) {
        int64_t deadline = weir_context_deadline_ns(context);
        condition_wait(&sqlite->reader_free, &sqlite->lock, deadline < give_up_ns ? deadline : give_up_ns);
    }
    struct reader *reader = sqlite->free_readers;
    if (reader)
        sqlite->free_readers = reader->next;
    pthread_mutex_unlock(&sqlite->lock);
    condition_unwatch(&watch);
    if (!reader)
        weir_fail(err, over != WEIR_OK ? over : WEIR_RESOURCE_EXHAUSTED,
                  "%s: all %lld connections for reading are in use", db->name,
                  (long long)db->settings.readers);
    return reader;
}

static void give_reader(struct weir_sql *db, struct reader *reader)
{
    struct sqlite *sqlite = sqlite_of(db);
    reader->connection.context = NULL;
    pthread_mutex_lock(&sqlite->lock);
    reader->next = sqlite->free_readers;
    sqlite->free_readers = reader;
    pthread_cond_signal(&sqlite->reader_free);
    pthread_mutex_unlock(&sqlite->lock);
}

static enum weir_status sqlite_query(struct sql_session *session, const char *sql,
                                     const struct weir_value *values, int count,
                                     struct sql_cursor **ret_cursor, struct weir_error *err)
{
    struct statement *statement = connection_prepare(connection_of(session), sql, values, count, true, err);
    *ret_cursor = (struct sql_cursor *)statement;
    return statement ? WEIR_OK : err->status;
}

static enum weir_status sqlite_read(struct weir_sql *db, struct weir_context *context, const char *sql,
                                    const struct weir_value *values, int count,
                                    struct sql_session **ret_session, struct sql_cursor **ret_cursor,
                                    struct weir_error *err)
{
    struct sqlite *sqlite = sqlite_of(db);
    pthread_mutex_lock(&sqlite->lock);
    struct reader *reader = sqlite->free_readers;
    if (reader)
        sqlite->free_readers = reader->next;
    pthread_mutex_unlock(&sqlite->lock);
    if (!reader)
        reader = wait_for_reader(db, context, err);
    if (!reader)
        return err->status;
    connection_work_for(&reader->connection, context, db->settings.busy_timeout_ms);
    *ret_session = session_of(&reader->connection);
    if (sqlite_query(*ret_session, sql, values, count, ret_cursor, err) == WEIR_OK)
        return WEIR_OK;
    give_reader(db, reader);
    return err->status;
}

static void sqlite_release(struct sql_session *session, struct sql_cursor *cursor)
{
    connection_release(connection_of(session), (struct statement *)cursor);
}

static void sqlite_read_end(struct weir_sql *db, struct sql_session *session, struct sql_cursor *cursor)
{
    sqlite_release(session, cursor);
    give_reader(db, (struct reader *)session);
}

/* ---- Statements and rows ---- */

static enum weir_status sqlite_exec(struct sql_session *session, const char *sql,
                                    const struct weir_value *values, int count, int64_t *ret_changed,
                                    struct weir_error *err)
{
    return connection_exec(connection_of(session), sql, values, count, ret_changed, err);
}

static enum weir_status sqlite_exec_later(struct sql_session *session, const char *sql,
                                          const struct weir_value *values, int count, struct weir_error *err)
{
    return connection_exec(connection_of(session), sql, values, count, NULL, err);
}

static int sqlite_next(struct sql_session *session, struct sql_cursor *cursor, struct weir_error *err)
{
    int code = connection_step(connection_of(session), (struct statement *)cursor, err);
    return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : -1;
}

static int sqlite_columns(const struct sql_cursor *cursor)
{
    return sqlite3_data_count(handle_of(cursor));
}

static const char *sqlite_text_of(const struct sql_cursor *cursor)
{
    return sqlite3_sql(handle_of(cursor));
}

static bool sqlite_is_null(const struct sql_cursor *cursor, int column)
{
    return sqlite3_column_type(handle_of(cursor), column) == SQLITE_NULL;
}

/* SQLite converts between all types. */
static enum weir_status sqlite_value(struct sql_cursor *cursor, int column, int type,
                                     struct weir_value *ret_value, struct weir_error *err)
{
    (void)err;
    sqlite3_stmt *handle = handle_of(cursor);
    const void *data;
    switch (type) {
    case WEIR_VALUE_INT:
        *ret_value = weir_value_int(sqlite3_column_int64(handle, column));
        break;
    case WEIR_VALUE_DOUBLE:
        *ret_value = weir_value_double(sqlite3_column_double(handle, column));
        break;
    default:
        data = type == WEIR_VALUE_TEXT ? (const void *)sqlite3_column_text(handle, column)
                                       : sqlite3_column_blob(handle, column);
        *ret_value =
            weir_value_bytes(weir_bytes(data, data ? (size_t)sqlite3_column_bytes(handle, column) : 0));
    }
    return WEIR_OK;
}

static int64_t sqlite_last_id(struct sql_session *session)
{
    return sqlite3_last_insert_rowid(connection_of(session)->handle);
}

const struct sql_backend sqlite_backend = {
    .name = "sqlite",
    .look = sqlite_look,
    .open = sqlite_open,
    .migrated = sqlite_migrated,
    .close = sqlite_close,
    .finish = sqlite_finish,
    .tidy = sqlite_tidy,
    .migration = sqlite_migration,
    .script = sqlite_script,
    .has_table = sqlite_has_table,
    .check = sqlite_check,
    .begin = sqlite_begin,
    .end = sqlite_end,
    .read = sqlite_read,
    .read_end = sqlite_read_end,
    .exec = sqlite_exec,
    .exec_later = sqlite_exec_later,
    .query = sqlite_query,
    .next = sqlite_next,
    .release = sqlite_release,
    .columns = sqlite_columns,
    .text_of = sqlite_text_of,
    .is_null = sqlite_is_null,
    .value = sqlite_value,
    .last_id = sqlite_last_id,
};
