#include "data/postgres/pool.h"

#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "core/condition.h"
#include "core/memory.h"

#define CONNECT_MS 2000
#define START_PAUSE_MS 200
#define FIRST_BACKOFF_MS 50
#define LONGEST_BACKOFF_MS 1000

/* ---- The maker ---- */

/* Holds: lock. */
static void is_away(struct pg_pool *pool)
{
    pool->away = true;
    component_away(pool->owner, &pool->why);
}

/* Holds: lock. */
static void is_here(struct pg_pool *pool)
{
    pool->away = pool->suspected = false;
    component_back(pool->owner);
    pool->backoff_ms = 0;
}

static struct pg_connection *make(struct pg_pool *pool, struct weir_context *parent, bool *ret_away,
                                  struct weir_error *err)
{
    struct weir_context context;
    context_init(&context, parent, weir_deadline_in_ms(CONNECT_MS));
    struct pg_connection *connection = NEW(struct pg_connection);
    *ret_away = false;
    if (pg_open(connection, pool->url, pool->name, &context, ret_away, err) != WEIR_OK) {
        free(connection);
        connection = NULL;
    }
    context_clean_up(&context);
    if (connection)
        connection->cut = pool->cut;
    return connection;
}

/* Holds: lock, and gives it up meanwhile. */
static void make_one(struct pg_pool *pool)
{
    pthread_mutex_unlock(&pool->lock);
    struct weir_error err = {0};
    bool away = false;
    struct pg_connection *made = make(pool, &pool->context, &away, &err);
    pthread_mutex_lock(&pool->lock);
    if (made) {
        made->next = pool->idle;
        pool->idle = made;
        pool->open++;
        is_here(pool);
    } else if (!pool->stopping) {
        pool->why = err;
        pool->backoff_ms = pool->backoff_ms ? pool->backoff_ms * 2 : FIRST_BACKOFF_MS;
        if (pool->backoff_ms > LONGEST_BACKOFF_MS)
            pool->backoff_ms = LONGEST_BACKOFF_MS;
        pool->retry_at_ns = weir_now_ns() + pool->backoff_ms * WEIR_NS_PER_MS;
        if (away || pool->open == 0)
            is_away(pool);
        else
            weir_log_warn("a connection to the database could not be made", weir_field_error(&err));
    }
    pthread_cond_broadcast(&pool->changed);
}

static void *run(void *self)
{
    struct pg_pool *pool = self;
    pthread_mutex_lock(&pool->lock);
    while (!pool->stopping) {
        bool room = pool->open < pool->most;
        bool wanted = pool->away || (room && (pool->suspected || (pool->waiting > 0 && !pool->idle)));
        if (wanted && weir_now_ns() >= pool->retry_at_ns)
            make_one(pool);
        else
            condition_wait(&pool->wanted, &pool->lock, wanted ? pool->retry_at_ns : WEIR_NEVER);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* ---- Open and close ---- */

enum weir_status pg_pool_open(struct pg_pool *pool, struct weir_context *context,
                              struct pg_connection **ret_first, struct weir_error *err)
{
    pthread_mutex_init(&pool->lock, NULL);
    condition_init(&pool->changed);
    condition_init(&pool->wanted);
    context_init(&pool->context, NULL, WEIR_NEVER);
    struct pg_connection *first;
    bool away = false;
    while (!(first = make(pool, context, &away, err))) {
        if (!away)
            return err->status = WEIR_FAILED_PRECONDITION;
        if (weir_context_sleep(context, START_PAUSE_MS) != WEIR_OK)
            return err->status;
        *err = (struct weir_error){0};
    }
    first->next = pool->used;
    pool->used = first;
    pool->open = 1;
    pg_work_for(first, context);
    int failed = pthread_create(&pool->maker, NULL, run, pool);
    if (failed)
        return weir_fail_errno(err, WEIR_RESOURCE_EXHAUSTED, failed, "%s: cannot start a thread", pool->name);
    pthread_setname_np(pool->maker, "weir-postgres");
    pool->maker_runs = true;
    *ret_first = first;
    return WEIR_OK;
}

static void close_list(struct pg_connection **list)
{
    while (*list) {
        struct pg_connection *connection = *list;
        *list = connection->next;
        pg_close(connection);
        free(connection);
    }
}

void pg_pool_close(struct pg_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_signal(&pool->wanted);
    pthread_mutex_unlock(&pool->lock);
    context_end(&pool->context, WEIR_CANCELLED);
    if (pool->maker_runs)
        pthread_join(pool->maker, NULL);
    close_list(&pool->idle);
    close_list(&pool->used);
    context_clean_up(&pool->context);
    pthread_cond_destroy(&pool->wanted);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
}

/* ---- Taking and giving ---- */

/* Holds: lock. */
static void forget(struct pg_pool *pool, struct pg_connection *connection)
{
    struct pg_connection **link = &pool->used;
    while (*link != connection)
        link = &(*link)->next;
    *link = connection->next;
}

/* Holds: lock. An idle one that stands; NULL: none. */
static struct pg_connection *take_idle(struct pg_pool *pool)
{
    while (pool->idle && !pool->away) {
        struct pg_connection *connection = pool->idle;
        pool->idle = connection->next;
        if (pg_is_alive(connection))
            return connection;
        pg_close(connection);
        free(connection);
        pool->open--;
        pool->suspected = true;
        pthread_cond_signal(&pool->wanted);
    }
    return NULL;
}

/* Holds: lock. */
static bool is_held_by(const struct pg_pool *pool, const void *holder)
{
    for (const struct pg_connection *used = pool->used; holder && used; used = used->next)
        if (used->holder == holder)
            return true;
    return false;
}

/* Holds: lock. */
static enum weir_status why_none(const struct pg_pool *pool, struct weir_context *context,
                                 struct weir_error *err)
{
    enum weir_status over = weir_context_status(context);
    if (pool->away)
        return weir_fail(err, WEIR_UNAVAILABLE, "%s: the database is away", pool->name);
    if (over != WEIR_OK)
        return weir_fail(err, over, "%s: no connection to the database was free in time", pool->name);
    if (pool->open >= pool->most)
        return weir_fail(err, WEIR_RESOURCE_EXHAUSTED, "%s: all %lld connections are in use", pool->name,
                         (long long)pool->most);
    return weir_fail(err, WEIR_UNAVAILABLE, "%s: no connection to the database within %lld ms", pool->name,
                     (long long)pool->busy_timeout_ms);
}

/* Holds: lock. */
static struct pg_connection *wait_for_one(struct pg_pool *pool, struct weir_context *context)
{
    int64_t until_ns = weir_deadline_in_ms(pool->busy_timeout_ms);
    struct pg_connection *connection = NULL;
    pool->waiting++;
    while (!connection && !pool->away && weir_context_status(context) == WEIR_OK &&
           weir_now_ns() < until_ns) {
        int64_t deadline_ns = weir_context_deadline_ns(context);
        pthread_cond_signal(&pool->wanted);
        condition_wait(&pool->changed, &pool->lock, deadline_ns < until_ns ? deadline_ns : until_ns);
        connection = take_idle(pool);
    }
    pool->waiting--;
    return connection;
}

enum weir_status pg_pool_take(struct pg_pool *pool, struct weir_context *context, const void *holder,
                              struct pg_connection **ret_connection, struct weir_error *err)
{
    pthread_mutex_lock(&pool->lock);
    bool own = is_held_by(pool, holder);
    struct pg_connection *connection = own ? NULL : take_idle(pool);
    if (!own && !connection && !pool->away) {
        pthread_mutex_unlock(&pool->lock);
        struct condition_watch watch;
        condition_watch(&watch, context, &pool->lock, &pool->changed);
        pthread_mutex_lock(&pool->lock);
        connection = take_idle(pool);
        if (!connection)
            connection = wait_for_one(pool, context);
        pthread_mutex_unlock(&pool->lock);
        condition_unwatch(&watch);
        pthread_mutex_lock(&pool->lock);
    }
    if (connection) {
        connection->holder = holder;
        connection->next = pool->used;
        pool->used = connection;
    } else if (own) {
        weir_fail(err, WEIR_INTERNAL,
                  "%s: this call has a transaction open already and would wait for itself", pool->name);
    } else {
        why_none(pool, context, err);
    }
    pthread_mutex_unlock(&pool->lock);
    if (!connection)
        return err->status;
    pg_work_for(connection, context);
    *ret_connection = connection;
    return WEIR_OK;
}

void pg_pool_give(struct pg_pool *pool, struct pg_connection *connection)
{
    pg_rollback(connection);
    connection->context = NULL;
    bool broken = connection->broken;
    pthread_mutex_lock(&pool->lock);
    connection->holder = NULL;
    forget(pool, connection);
    if (broken) {
        pool->open--;
        pool->suspected = true;
        pthread_cond_signal(&pool->wanted);
    } else {
        connection->next = pool->idle;
        pool->idle = connection;
    }
    pthread_cond_signal(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    if (broken) {
        pg_close(connection);
        free(connection);
    }
}

bool pg_pool_is_away(struct pg_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool away = pool->away;
    pthread_mutex_unlock(&pool->lock);
    return away;
}
