/* The database as a component: opens, migrates, waits for what is under way, checkpoints, closes. */
#include "data/sql.h"

#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "core/condition.h"
#include "core/memory.h"
#include "data/idempotency.h"
#include "data/keeper.h"
#include "data/migrate.h"
#include "data/statements.h"
#include "observe/metrics.h"

/* A deadline that moves earlier wakes nobody here, so it is looked at as often. */
#define LOOK_NS (20 * WEIR_NS_PER_MS)
/* From the interrupt until the interrupted ones are out: part of cut_min_ms. */
#define CUT_NS (80 * WEIR_NS_PER_MS)

struct weir_sql *sql_new(const char *name, const struct sql_settings *settings)
{
    struct weir_sql *db = NEW(struct weir_sql);
    idempotency_init();
    db->name = name;
    db->settings = *settings;
    pthread_mutex_init(&db->lock, NULL);
    condition_init(&db->changed);
    return db;
}

/* ---- Start ---- */

static void close_all(struct weir_sql *db)
{
    if (db->backend)
        db->backend->close(db);
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

const struct sql_backend *sql_backend_of(const char *name, const char *url, struct weir_error *err)
{
    static const struct {
        const char *scheme;
        const struct sql_backend *backend;
    } known[] = {
        {"sqlite:", &sqlite_backend},
        {"postgres://", &postgres_backend},
        {"postgresql://", &postgres_backend},
    };
    for (size_t i = 0; url && i < sizeof known / sizeof known[0]; i++)
        if (strncmp(url, known[i].scheme, strlen(known[i].scheme)) == 0 &&
            (url[strlen(known[i].scheme)] || known[i].backend != &sqlite_backend))
            return known[i].backend;
    weir_fail(err, WEIR_INVALID_ARGUMENT, "%s: url must be \"sqlite:PATH\" or \"postgres://...\", not \"%s\"",
              name, url ? url : "");
    return NULL;
}

static enum weir_status open_and_migrate(struct weir_sql *db, struct weir_context *context,
                                         struct migrate_report *report, struct weir_error *err)
{
    struct sql_session *session = NULL;
    enum weir_status status = db->backend->open(db, context, &session, err);
    if (status == WEIR_OK)
        status = migrate(db, session, report, err);
    if (status == WEIR_OK)
        status = statements_check(db, session, db->settings.statements, err);
    if (status == WEIR_OK)
        status = db->backend->migrated(db, session, context, err);
    return status;
}

static enum weir_status sql_start(void *self, struct weir_context *context, struct weir_error *err)
{
    struct weir_sql *db = self;
    db->backend = sql_backend_of(db->name, db->settings.url, err);
    if (!db->backend)
        return err->status;
    enum weir_status status = open_and_migrate(db, context, NULL, err);
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

static enum weir_status look(struct weir_sql *db, struct weir_context *context, struct migrate_report *report,
                             struct weir_error *err)
{
    struct sql_session *session = NULL;
    if (db->backend->look(db, context, &session, err) != WEIR_OK)
        return err->status;
    if (!session)
        weir_buffer_printf(report->lines, "%s: the database is not there yet, and would be made\n", db->name);
    return migrate_dry(db, session, report, err);
}

enum weir_status sql_migrate(void *self, struct weir_context *context, bool dry,
                             struct weir_buffer *ret_lines, int64_t *ret_count, struct weir_error *err)
{
    struct weir_sql *db = self;
    struct migrate_report report = {.lines = ret_lines};
    db->backend = sql_backend_of(db->name, db->settings.url, err);
    if (!db->backend)
        return err->status;
    enum weir_status status =
        dry ? look(db, context, &report, err) : open_and_migrate(db, context, &report, err);
    close_all(db);
    *ret_count += report.count;
    return status;
}

void sql_keep_sagas(struct weir_sql *db, const char *name, int64_t keep_ms)
{
    struct sql_kept *kept = NEW(struct sql_kept);
    *kept = (struct sql_kept){.name = name, .keep_ms = keep_ms, .next = db->kept_sagas};
    db->kept_sagas = kept;
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

static enum weir_status sql_finish(void *self, struct weir_context *context, struct weir_work *work,
                                   struct weir_error *err)
{
    (void)work;
    struct weir_sql *db = self;
    if (!db->backend->finish)
        return WEIR_OK;
    enum weir_status status = db->backend->finish(db, context, err);
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
    while (db->kept_sagas) {
        struct sql_kept *kept = db->kept_sagas;
        db->kept_sagas = kept->next;
        free(kept);
    }
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

struct sql_counts sql_counts(const struct weir_sql *db)
{
    return (struct sql_counts){
        .transactions = atomic_load(&db->units),
        .commits = atomic_load(&db->commits),
    };
}
