#include "data/keeper.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "core/context.h"
#include "core/memory.h"
#include "data/sql.h"

#define INTERVAL_MS 60000
#define INBOX_KEEP_MS (INT64_C(7) * 24 * 3600 * 1000)
#define BATCH 200
#define PAUSE_MS 20

struct keeper {
    struct weir_sql *db;
    struct weir_context context; /* over when it shall stop */
    pthread_t thread;
};

/* Both with the parameters: how many, before when; and ?3, which, where there is a name. */
struct prunable {
    const char *count, *forget;
};

/* Ids grow with time, so the oldest rows are the first: only they are looked at. */
static const struct prunable inbox = {
    "SELECT count(*) FROM (SELECT at_ms FROM weir_inbox ORDER BY id LIMIT ?) AS oldest WHERE at_ms < ?",
    "DELETE FROM weir_inbox WHERE id IN (SELECT id FROM "
    "(SELECT id, at_ms FROM weir_inbox ORDER BY id LIMIT ?) AS oldest WHERE at_ms < ?)"};
static const struct prunable idempotency = {
    "SELECT count(*) FROM (SELECT expires_ms FROM weir_idempotency ORDER BY expires_ms LIMIT ?) AS oldest "
    "WHERE expires_ms < ?",
    "DELETE FROM weir_idempotency WHERE id IN (SELECT id FROM (SELECT id, expires_ms FROM weir_idempotency "
    "ORDER BY expires_ms LIMIT ?) AS oldest WHERE expires_ms < ?)"};

static const struct prunable sagas = {
    "SELECT count(*) FROM (SELECT id FROM weir_saga WHERE state > 2 AND name = ?3 AND ended_ms < ?2 "
    "ORDER BY ended_ms LIMIT ?1) AS oldest",
    "DELETE FROM weir_saga WHERE state > 2 AND name = ?3 AND id IN (SELECT id FROM weir_saga "
    "WHERE state > 2 AND name = ?3 AND ended_ms < ?2 ORDER BY ended_ms LIMIT ?1)"};

static enum weir_status prune_batch(struct weir_sql *db, const struct prunable *table, const char *name,
                                    struct weir_context *context, int64_t before_ms, int64_t batch,
                                    int64_t *ret_old, struct weir_error *err)
{
    struct weir_arena *arena = weir_arena_new();
    struct weir_value values[] = {weir_value_int(batch), weir_value_int(before_ms), weir_value_text(name)};
    int count = name ? 3 : 2;
    struct weir_rows *rows = sql_read(db, NULL, context, arena, table->count, values, count);
    *ret_old = weir_rows_next(rows) ? weir_rows_int(rows, 0) : 0;
    enum weir_status status = weir_rows_end(rows);
    if (status != WEIR_OK)
        *err = *sql_rows_error(rows);

    if (status == WEIR_OK && *ret_old > 0) {
        struct weir_tx *tx = sql_begin(db, NULL, context, arena);
        weir_sql_exec_values(tx, table->forget, values, count);
        status = weir_sql_commit(tx);
        if (status != WEIR_OK)
            *err = *sql_error(tx);
    }
    weir_arena_destroy(arena);
    return status;
}

static enum weir_status prune(struct weir_sql *db, const struct prunable *table, const char *name,
                              struct weir_context *context, int64_t before_ms, int64_t batch,
                              struct weir_error *err)
{
    int64_t old = batch;
    enum weir_status status = WEIR_OK;
    while (status == WEIR_OK && old == batch) {
        status = prune_batch(db, table, name, context, before_ms, batch, &old, err);
        if (status == WEIR_OK && old == batch)
            status = weir_context_sleep(context, PAUSE_MS);
    }
    return status;
}

enum weir_status keeper_prune_inbox(struct weir_sql *db, struct weir_context *context, int64_t before_ms,
                                    int64_t batch, struct weir_error *err)
{
    return prune(db, &inbox, NULL, context, before_ms, batch, err);
}

enum weir_status keeper_prune_idempotency(struct weir_sql *db, struct weir_context *context, int64_t now_ms,
                                          int64_t batch, struct weir_error *err)
{
    return prune(db, &idempotency, NULL, context, now_ms, batch, err);
}

enum weir_status keeper_prune_sagas(struct weir_sql *db, struct weir_context *context, const char *name,
                                    int64_t before_ms, int64_t batch, struct weir_error *err)
{
    return prune(db, &sagas, name, context, before_ms, batch, err);
}

static enum weir_status prune_sagas(struct keeper *keeper, int64_t now_ms, struct weir_error *err)
{
    const struct sql_kept *kept = keeper->db->kept_sagas;
    enum weir_status status = WEIR_OK;
    for (; kept && status == WEIR_OK; kept = kept->next)
        status =
            keeper_prune_sagas(keeper->db, &keeper->context, kept->name, now_ms - kept->keep_ms, BATCH, err);
    return status;
}

static void tidy(struct keeper *keeper)
{
    struct weir_sql *db = keeper->db;
    struct weir_error err = {0};
    if (db->backend->tidy && db->backend->tidy(db, &keeper->context, &err) != WEIR_OK &&
        weir_context_status(&keeper->context) == WEIR_OK)
        weir_log_warn("the write-ahead log stays large for now", weir_field_error(&err));
}

static void *run(void *self)
{
    struct keeper *keeper = self;
    while (weir_context_sleep(&keeper->context, INTERVAL_MS) == WEIR_OK) {
        struct weir_error err = {0};
        int64_t now_ms = weir_unix_ns() / WEIR_NS_PER_MS;
        enum weir_status status =
            keeper_prune_inbox(keeper->db, &keeper->context, now_ms - INBOX_KEEP_MS, BATCH, &err);
        if (status == WEIR_OK)
            status = keeper_prune_idempotency(keeper->db, &keeper->context, now_ms, BATCH, &err);
        if (status == WEIR_OK)
            status = prune_sagas(keeper, now_ms, &err);
        if (status != WEIR_OK && weir_context_status(&keeper->context) == WEIR_OK)
            weir_log_warn("old rows of the inbox, of idempotency keys, or of sagas, stay for now",
                          weir_field_error(&err));
        tidy(keeper);
    }
    return NULL;
}

enum weir_status keeper_start(struct weir_sql *db, struct keeper **ret_keeper, struct weir_error *err)
{
    struct keeper *keeper = NEW(struct keeper);
    keeper->db = db;
    context_init(&keeper->context, NULL, WEIR_NEVER);
    int failed = pthread_create(&keeper->thread, NULL, run, keeper);
    if (failed) {
        context_clean_up(&keeper->context);
        free(keeper);
        return weir_fail_errno(err, WEIR_RESOURCE_EXHAUSTED, failed, "%s: cannot start a thread", db->name);
    }
    pthread_setname_np(keeper->thread, "weir-keeper");
    *ret_keeper = keeper;
    return WEIR_OK;
}

void keeper_stop(struct keeper *keeper)
{
    if (!keeper)
        return;
    context_end(&keeper->context, WEIR_CANCELLED);
    pthread_join(keeper->thread, NULL);
    context_clean_up(&keeper->context);
    free(keeper);
}
