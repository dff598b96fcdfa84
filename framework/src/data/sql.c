/* The database as a component: opens, migrates, waits for what is under way, checkpoints, closes. */
#include "data/sql.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "core/condition.h"
#include "core/memory.h"
#include "data/keeper.h"
#include "data/migrate.h"
#include "data/tables.h"
#include "observe/metrics.h"

#define SCHEME "sqlite:"
/* A deadline that moves earlier wakes nobody here, so it is looked at as often. */
#define LOOK_NS (20 * WEIR_NS_PER_MS)
/* From the interrupt until the interrupted ones are out: part of cut_min_ms. */
#define CUT_NS (80 * WEIR_NS_PER_MS)

struct weir_sql *sql_new(const char *name, const struct sql_settings *settings)
{
    struct weir_sql *db = NEW(struct weir_sql);
    db->name = name;
    db->settings = *settings;
    writer_init(&db->writer, settings->commit_group_max, settings->busy_timeout_ms);
    pthread_mutex_init(&db->lock, NULL);
    condition_init(&db->changed);
    condition_init(&db->reader_free);
    return db;
}

/* ---- Start ---- */

static enum weir_status make_folders(const char *name, const char *path, struct weir_error *err)
{
    char *folder = memory_strdup(path);
    enum weir_status status = WEIR_OK;
    for (char *slash = strchr(folder + 1, '/'); slash && status == WEIR_OK; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(folder, 0777) != 0 && errno != EEXIST)
            status =
                weir_fail_errno(err, WEIR_UNAVAILABLE, errno, "%s: cannot create folder %s", name, folder);
        *slash = '/';
    }
    free(folder);
    return status;
}

static enum weir_status check_url(struct weir_sql *db, struct weir_error *err)
{
    const char *url = db->settings.url;
    if (!url || strncmp(url, SCHEME, strlen(SCHEME)) != 0 || !url[strlen(SCHEME)])
        return weir_fail(err, WEIR_INVALID_ARGUMENT, "%s: url must be \"sqlite:PATH\", not \"%s\"", db->name,
                         url ? url : "");
    db->path = url + strlen(SCHEME);
    if (strcmp(db->path, ":memory:") == 0)
        return weir_fail(err, WEIR_INVALID_ARGUMENT,
                         "%s: a database in memory has one connection only; use a file", db->name);
    return WEIR_OK;
}

static enum weir_status open_readers(struct weir_sql *db, const struct connection_options *options,
                                     struct weir_context *context, struct weir_error *err)
{
    struct connection_options for_reading = *options;
    for_reading.read_only = true;
    db->readers = memory_zalloc((size_t)db->settings.readers * sizeof *db->readers);
    for (int64_t i = 0; i < db->settings.readers; i++) {
        struct reader *reader = &db->readers[i];
        if (connection_open(&reader->connection, &for_reading, context, err) != WEIR_OK)
            return err->status;
        reader->next = db->free_readers;
        db->free_readers = reader;
    }
    return WEIR_OK;
}

static void close_all(struct weir_sql *db)
{
    for (int64_t i = 0; db->readers && i < db->settings.readers; i++)
        connection_close(&db->readers[i].connection);
    free(db->readers);
    db->readers = db->free_readers = NULL;
    connection_close(&db->writer.connection);
    db->open = false;
}

static double read_transactions(void *db)
{
    return (double)sql_counts(db).transactions;
}

static double read_commits(void *db)
{
    return (double)sql_counts(db).commits;
}

static void add_metrics(struct weir_sql *db)
{
    struct metric_options transactions = {
        .name = "weir_sql_transactions_total",
        .help = "Transactions that were committed",
        .labels = {{"database", db->name}},
    };
    struct metric_options commits = {
        .name = "weir_sql_commits_total",
        .help = "Commits of the database, each shared by one or more transactions",
        .labels = {{"database", db->name}},
    };
    db->metrics[0] = metrics_source(METRIC_COUNTER, &transactions, read_transactions, db);
    db->metrics[1] = metrics_source(METRIC_COUNTER, &commits, read_commits, db);
}

static void remove_metrics(struct weir_sql *db)
{
    for (int i = 0; i < 2; i++) {
        metrics_source_remove(db->metrics[i]);
        db->metrics[i] = NULL;
    }
}

static enum weir_status sql_start(void *self, struct weir_context *context, struct weir_error *err)
{
    struct weir_sql *db = self;
    if (check_url(db, err) != WEIR_OK || make_folders(db->name, db->path, err) != WEIR_OK)
        return err->status;

    struct connection_options options = {
        .path = db->path,
        .synchronous = db->settings.synchronous ? "normal" : "full",
        .name = db->name,
        .cut = &db->cut,
    };
    struct connection *connection = &db->writer.connection;
    enum weir_status status = connection_open(connection, &options, context, err);
    if (status != WEIR_OK)
        return status;
    connection_work_for(connection, context, weir_context_left_ms(context));
    status = migrate(connection, "weir", tables_migrations, err);
    if (status == WEIR_OK)
        status = migrate(connection, "service", db->settings.migrations, err);
    if (status == WEIR_OK)
        status = open_readers(db, &options, context, err);
    connection->context = NULL;
    if (status == WEIR_OK) {
        pthread_mutex_lock(&db->lock);
        db->open = true;
        db->closed = false;
        atomic_store(&db->cut, false);
        pthread_mutex_unlock(&db->lock);
        status = keeper_start(db, &db->keeper, err);
        if (status == WEIR_OK)
            add_metrics(db);
    }
    if (status != WEIR_OK)
        close_all(db);
    return status;
}

/* ---- Stop ---- */

static enum weir_status sql_quiesce(void *self, struct weir_error *err)
{
    (void)err;
    struct weir_sql *db = self;
    pthread_mutex_lock(&db->lock);
    db->closed = true;
    pthread_mutex_unlock(&db->lock);
    keeper_stop(db->keeper);
    db->keeper = NULL;
    return WEIR_OK;
}

static enum weir_status sql_drain(void *self, struct weir_context *context, struct weir_work *work,
                                  struct weir_error *err)
{
    (void)err;
    struct weir_sql *db = self;
    struct condition_watch watch;
    condition_watch(&watch, context, &db->lock, &db->changed);
    pthread_mutex_lock(&db->lock);
    int64_t in_flight = db->active;
    while (db->active > 0 && weir_context_status(context) == WEIR_OK)
        condition_wait(&db->changed, &db->lock, weir_now_ns() + LOOK_NS);

    int64_t late = db->active;
    int64_t give_up_ns = weir_now_ns() + CUT_NS;
    if (late > 0)
        atomic_store(&db->cut, true);
    while (db->active > 0 && weir_now_ns() < give_up_ns)
        condition_wait(&db->changed, &db->lock, give_up_ns);
    work->in_flight += in_flight;
    work->completed += in_flight - late;
    work->cancelled += late - db->active;
    work->stuck += db->active;
    pthread_mutex_unlock(&db->lock);
    condition_unwatch(&watch);
    return WEIR_OK;
}

static enum weir_status checkpoint(struct weir_sql *db, struct weir_context *context, struct weir_error *err)
{
    if (writer_enter_idle(&db->writer, context, err) != WEIR_OK)
        return err->status;
    int64_t left_ms = weir_context_left_ms(context);
    connection_work_for(&db->writer.connection, context, left_ms < 250 ? left_ms / 2 : left_ms - 100);
    int64_t busy = 0;
    enum weir_status status =
        connection_number(&db->writer.connection, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, 0, &busy, err);
    if (status == WEIR_OK && busy)
        status = weir_fail(err, WEIR_UNAVAILABLE, "%s: another process uses the database", db->name);
    db->writer.connection.context = NULL;
    writer_leave_idle(&db->writer);
    return status;
}

/* What was acknowledged is in the write-ahead log and safe already; with a checkpoint the next start need not
 * read it. */
static enum weir_status sql_finish(void *self, struct weir_context *context, struct weir_work *work,
                                   struct weir_error *err)
{
    (void)work;
    enum weir_status status = checkpoint(self, context, err);
    if (status == WEIR_OK || !weir_status_is_transient(status))
        return status;
    weir_log_info("no checkpoint, the next start makes it", weir_field_error(err));
    return WEIR_OK;
}

static void sql_destroy(void *self)
{
    struct weir_sql *db = self;
    remove_metrics(db);
    keeper_stop(db->keeper);
    close_all(db);
    writer_clean_up(&db->writer);
    pthread_cond_destroy(&db->reader_free);
    pthread_cond_destroy(&db->changed);
    pthread_mutex_destroy(&db->lock);
    free(db);
}

const struct weir_component_ops sql_ops = {
    .start = sql_start,
    .quiesce = sql_quiesce,
    .drain = sql_drain,
    .finish = sql_finish,
    .destroy = sql_destroy,
};

/* ---- What is under way ---- */

enum weir_status sql_enter(struct weir_sql *db, struct weir_error *err)
{
    pthread_mutex_lock(&db->lock);
    bool open = db->open && !db->closed;
    db->active += open;
    pthread_mutex_unlock(&db->lock);
    return open ? WEIR_OK
                : weir_fail(err, WEIR_UNAVAILABLE, "%s: the database is %s", db->name,
                            db->open ? "stopping" : "not open");
}

void sql_leave(struct weir_sql *db)
{
    pthread_mutex_lock(&db->lock);
    if (--db->active == 0)
        pthread_cond_broadcast(&db->changed);
    pthread_mutex_unlock(&db->lock);
}

/* ---- Readers ---- */

static struct reader *wait_for_reader(struct weir_sql *db, struct weir_context *context,
                                      struct weir_error *err)
{
    int64_t give_up_ns = weir_deadline_in_ms(db->settings.busy_timeout_ms);
    struct condition_watch watch;
    condition_watch(&watch, context, &db->lock, &db->reader_free);
    pthread_mutex_lock(&db->lock);
    enum weir_status over = WEIR_OK;
    while (!db->free_readers && (over = weir_context_status(context)) == WEIR_OK &&
           weir_now_ns() < give_up_ns) {
        int64_t deadline = weir_context_deadline_ns(context);
        condition_wait(&db->reader_free, &db->lock, deadline < give_up_ns ? deadline : give_up_ns);
    }
    struct reader *reader = db->free_readers;
    if (reader)
        db->free_readers = reader->next;
    pthread_mutex_unlock(&db->lock);
    condition_unwatch(&watch);
    if (!reader)
        weir_fail(err, over != WEIR_OK ? over : WEIR_RESOURCE_EXHAUSTED,
                  "%s: all %lld connections for reading are in use", db->name,
                  (long long)db->settings.readers);
    return reader;
}

struct reader *sql_take_reader(struct weir_sql *db, struct weir_context *context, struct weir_error *err)
{
    pthread_mutex_lock(&db->lock);
    struct reader *reader = db->free_readers;
    if (reader)
        db->free_readers = reader->next;
    pthread_mutex_unlock(&db->lock);
    if (!reader)
        reader = wait_for_reader(db, context, err);
    if (reader)
        connection_work_for(&reader->connection, context, db->settings.busy_timeout_ms);
    return reader;
}

void sql_give_reader(struct weir_sql *db, struct reader *reader)
{
    reader->connection.context = NULL;
    pthread_mutex_lock(&db->lock);
    reader->next = db->free_readers;
    db->free_readers = reader;
    pthread_cond_signal(&db->reader_free);
    pthread_mutex_unlock(&db->lock);
}

struct sql_counts sql_counts(const struct weir_sql *db)
{
    return (struct sql_counts){
        .transactions = atomic_load(&db->writer.units),
        .commits = atomic_load(&db->writer.commits),
    };
}
