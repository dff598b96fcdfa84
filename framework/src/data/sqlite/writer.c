#include "data/sqlite/writer.h"

#include <stdatomic.h>
#include <stdlib.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "core/memory.h"
#include "core/parker.h"

/* A group commits at the latest when the turn changes hands after this: the first of it should not wait for
 * ever. */
#define GROUP_AGE_MAX_NS (10 * WEIR_NS_PER_MS)
/* An interrupted write takes its whole group with it, so one that shares its group is given a little more. */
#define GROUP_GRACE_NS (50 * WEIR_NS_PER_MS)

/* How long who looks waits for another process's lock. */
#define AWAY_LOCK_MS 250

/* Who has left a unit in a group. */
struct group_waiter {
    struct parker told;
    struct group_waiter *next;
};

/* Those who wait do so at parkers: who wakes has no lock to wait for, as behind a condition. */
struct group {
    int64_t kept;
    struct group_waiter *waiters;
    atomic_int references; /* the writer's, and theirs */
    int64_t begun_ns;
    int64_t changes;         /* of the connection, when it began */
    struct weir_error error; /* status OK: durable. To be read when done */
};

struct turn_waiter {
    struct weir_context_watch watch; /* first */
    struct parker changed;           /* granted, or the context is over */
    atomic_bool granted;
    bool idle; /* wants no group */
    struct turn_waiter *next;
};

void writer_init(struct writer *writer, _Atomic int64_t *units, _Atomic int64_t *commits, int64_t group_max,
                 int64_t busy_timeout_ms)
{
    writer->units = units;
    writer->commits = commits;
    writer->group_max = group_max;
    writer->group_age_max_ns = GROUP_AGE_MAX_NS;
    writer->busy_timeout_ms = busy_timeout_ms;
    pthread_mutex_init(&writer->lock, NULL);
    writer->last = &writer->first;
}

void writer_clean_up(struct writer *writer)
{
    pthread_mutex_destroy(&writer->lock);
}

/* ---- The turn ---- */

/* Holds: lock. */
static void grant_next(struct writer *writer)
{
    struct turn_waiter *next = writer->first;
    writer->holder = NULL;
    writer->taken = next != NULL;
    if (!next)
        return;
    writer->first = next->next;
    if (!writer->first)
        writer->last = &writer->first;
    writer->waiting--;
    atomic_store(&next->granted, true);
    parker_tell(&next->changed);
}

/* Holds: lock. */
static void forget(struct writer *writer, struct turn_waiter *waiter)
{
    struct turn_waiter **link = &writer->first;
    while (*link != waiter)
        link = &(*link)->next;
    *link = waiter->next;
    writer->waiting--;
    if (writer->last == &waiter->next)
        writer->last = link;
}

static void context_is_over(struct weir_context_watch *watch, enum weir_status status)
{
    (void)status;
    parker_tell(&((struct turn_waiter *)watch)->changed);
}

/* Holds: nothing. */
static enum weir_status wait_until_granted(struct turn_waiter *waiter, struct weir_context *context,
                                           int64_t give_up_ns)
{
    int64_t deadline_ns = weir_context_deadline_ns(context);
    int64_t until_ns = deadline_ns < give_up_ns ? deadline_ns : give_up_ns;
    enum weir_status over = WEIR_OK;
    while (!atomic_load(&waiter->granted) && (over = weir_context_status(context)) == WEIR_OK &&
           weir_now_ns() < give_up_ns)
        parker_wait_until(&waiter->changed, until_ns);
    return over;
}

static enum weir_status wait_for_turn(struct writer *writer, struct weir_context *context, bool idle,
                                      int64_t give_up_ns, struct weir_error *err)
{
    struct turn_waiter waiter = {.watch.over = context_is_over, .idle = idle};
    parker_init(&waiter.changed);
    weir_context_watch(context, &waiter.watch);

    pthread_mutex_lock(&writer->lock);
    if (!writer->taken) {
        writer->taken = true;
        atomic_store(&waiter.granted, true);
    } else {
        *writer->last = &waiter;
        writer->last = &waiter.next;
        writer->waiting++;
    }
    pthread_mutex_unlock(&writer->lock);
    enum weir_status over = wait_until_granted(&waiter, context, give_up_ns);
    pthread_mutex_lock(&writer->lock); /* who granted it is through with the waiter now */
    bool granted = atomic_load(&waiter.granted);
    if (!granted)
        forget(writer, &waiter);
    pthread_mutex_unlock(&writer->lock);

    weir_context_unwatch(&waiter.watch);
    parker_clean_up(&waiter.changed);
    if (granted)
        return WEIR_OK;
    const char *name = writer->connection.name;
    if (over != WEIR_OK)
        return weir_fail(err, over, "%s: the writer's turn did not come in time", name);
    return weir_fail(err, WEIR_UNAVAILABLE, "%s: the writer's turn did not come within %lld ms", name,
                     (long long)writer->busy_timeout_ms);
}

/* Then one looks whether it is back, and nobody waits in line behind. */
static bool is_away(const struct writer *writer)
{
    const struct weir_component *owner = writer->connection.owner;
    return owner && atomic_load_explicit(&owner->away, memory_order_relaxed);
}

static enum weir_status take_turn(struct writer *writer, struct weir_context *context, const void *holder,
                                  bool idle, int64_t give_up_ns, struct weir_error *err)
{
    pthread_mutex_lock(&writer->lock);
    bool free_turn = !writer->taken;
    bool own = writer->taken && holder && writer->holder == holder;
    if (free_turn)
        writer->taken = true;
    pthread_mutex_unlock(&writer->lock);
    if (own)
        return weir_fail(err, WEIR_INTERNAL,
                         "%s: this call has a transaction open already and would wait for itself",
                         writer->connection.name);
    if (free_turn)
        return WEIR_OK;
    if (is_away(writer) && !idle)
        return weir_fail(err, WEIR_UNAVAILABLE, "%s: the database is away, try again later",
                         writer->connection.name);
    return wait_for_turn(writer, context, idle, give_up_ns, err);
}

/* ---- Groups ---- */

static void group_release(struct group *group)
{
    if (atomic_fetch_sub(&group->references, 1) != 1)
        return;
    free(group);
}

static enum weir_status begin_group(struct writer *writer, struct weir_error *err)
{
    if (connection_control(&writer->connection, "BEGIN IMMEDIATE", err) != WEIR_OK)
        return err->status;
    struct group *group = NEW(struct group);
    atomic_init(&group->references, 1);
    group->begun_ns = weir_now_ns();
    group->changes = sqlite3_total_changes64(writer->connection.handle);
    writer->group = group;
    return WEIR_OK;
}

static void roll_back_all(struct writer *writer)
{
    struct weir_error err = {0};
    if (!connection_is_idle(&writer->connection) &&
        connection_control(&writer->connection, "ROLLBACK", &err) != WEIR_OK)
        weir_log_error("rollback failed", weir_field_error(&err));
}

static void database_is_back(struct writer *writer)
{
    if (writer->connection.owner)
        component_back(writer->connection.owner);
}

/* Has the turn, not the lock. Ends the transaction; the group's error says how. */
static void end_transaction(struct writer *writer, struct group *group)
{
    struct weir_error *err = &group->error;
    writer->connection.context = NULL;
    if (err->status == WEIR_OK && group->kept > 0) {
        if (connection_check_file(&writer->connection, err) == WEIR_OK &&
            connection_control(&writer->connection, "COMMIT", err) == WEIR_OK) {
            atomic_fetch_add_explicit(writer->commits, 1, memory_order_relaxed);
            atomic_fetch_add_explicit(writer->units, group->kept, memory_order_relaxed);
            /* One that changed nothing has written nothing: the disk may still be full. */
            if (sqlite3_total_changes64(writer->connection.handle) != group->changes)
                database_is_back(writer);
        } else {
            /* It is in the log, and the disk may have it: until the next commit overwrites it, a start would find it. */
            if (err->status == WEIR_UNAVAILABLE &&
                sqlite3_extended_errcode(writer->connection.handle) == SQLITE_IOERR_FSYNC)
                err->status = WEIR_UNKNOWN;
            weir_error_prefix(err, "commit failed");
        }
    }
    roll_back_all(writer);
}

static enum weir_status outcome_of(const struct group *group, struct weir_error *err)
{
    if (group->error.status != WEIR_OK)
        *err = group->error;
    return group->error.status;
}

/* The next one goes on with the group. Holds: lock, and gives it up. Returns when the group is durable or has failed, if
 * this unit has part in it. */
static enum weir_status hand_on(struct writer *writer, struct group *group, struct weir_error *err)
{
    bool waits = group->kept > 0;
    struct group_waiter waiter = {.next = group->waiters};
    if (waits) {
        parker_init(&waiter.told);
        group->waiters = &waiter;
        atomic_fetch_add(&group->references, 1);
    }
    grant_next(writer);
    pthread_mutex_unlock(&writer->lock);
    if (!waits)
        return WEIR_OK;
    parker_wait(&waiter.told);
    parker_clean_up(&waiter.told);
    enum weir_status status = outcome_of(group, err);
    group_release(group);
    return status;
}

/* Has the turn, not the lock. */
static enum weir_status finish_group(struct writer *writer, struct group *group, struct weir_error *err)
{
    end_transaction(writer, group);
    pthread_mutex_lock(&writer->lock);
    struct group_waiter *waiters = group->waiters;
    writer->group = NULL;
    grant_next(writer);
    pthread_mutex_unlock(&writer->lock);
    while (waiters) {
        struct group_waiter *waiter = waiters;
        waiters = waiter->next; /* it is gone once it is told */
        parker_tell(&waiter->told);
    }
    enum weir_status status = outcome_of(group, err);
    group_release(group);
    return status;
}

/* Gives the turn to the next one, who goes on with the group, or ends the group first. Holds nothing. */
static enum weir_status pass_turn(struct writer *writer, bool kept, struct weir_error *err)
{
    struct group *group = writer->group;
    pthread_mutex_lock(&writer->lock);
    group->kept += kept;
    bool more = writer->first && !writer->first->idle && group->kept < writer->group_max &&
                weir_now_ns() - group->begun_ns < writer->group_age_max_ns && group->error.status == WEIR_OK;
    if (more)
        return hand_on(writer, group, err);
    pthread_mutex_unlock(&writer->lock);
    return finish_group(writer, group, err);
}

enum weir_status writer_enter(struct writer *writer, struct weir_context *context, const void *holder,
                              struct weir_error *err)
{
    int64_t give_up_ns = weir_deadline_in_ms(writer->busy_timeout_ms);
    enum weir_status status = take_turn(writer, context, holder, false, give_up_ns, err);
    if (status != WEIR_OK)
        return status;

    int64_t left_ms = (give_up_ns - weir_now_ns()) / WEIR_NS_PER_MS;
    if (left_ms > AWAY_LOCK_MS && is_away(writer))
        left_ms = AWAY_LOCK_MS;
    connection_work_for(&writer->connection, context, left_ms > 0 ? left_ms : 0);
    if (!writer->group && begin_group(writer, err) != WEIR_OK) {
        pthread_mutex_lock(&writer->lock);
        grant_next(writer);
        pthread_mutex_unlock(&writer->lock);
        return err->status;
    }
    if (connection_control(&writer->connection, "SAVEPOINT unit", err) != WEIR_OK) {
        struct weir_error ignored = {0};
        (void)pass_turn(writer, false, &ignored);
        return err->status;
    }
    if (writer->group->kept > 0)
        writer->connection.grace_ns = GROUP_GRACE_NS;
    pthread_mutex_lock(&writer->lock);
    writer->holder = holder;
    pthread_mutex_unlock(&writer->lock);
    return WEIR_OK;
}

/* SQLite has rolled everything back. Whose unit it was knows why; the others may try again. */
static void group_is_lost(struct writer *writer)
{
    weir_fail(&writer->group->error, WEIR_ABORTED,
              "%s: a transaction that shared this one's commit failed, and all "
              "of them were rolled back",
              writer->connection.name);
}

enum weir_status writer_leave(struct writer *writer, bool keep, struct weir_error *err)
{
    struct connection *connection = &writer->connection;
    connection->context = NULL;
    int unresolved = 0, unused;
    if (connection_is_idle(connection)) {
        group_is_lost(writer);
    } else {
        if (keep)
            sqlite3_db_status(connection->handle, SQLITE_DBSTATUS_DEFERRED_FKS, &unresolved, &unused, 0);
        keep = keep && unresolved == 0;
        struct weir_error failed = {0};
        if ((!keep && connection_control(connection, "ROLLBACK TO unit", &failed) != WEIR_OK) ||
            connection_control(connection, "RELEASE unit", &failed) != WEIR_OK)
            writer->group->error = failed;
    }
    enum weir_status status = pass_turn(writer, keep, err);
    if (status == WEIR_OK && unresolved)
        return weir_fail(err, WEIR_FAILED_PRECONDITION, "%s: FOREIGN KEY constraint failed",
                         connection->name);
    return status;
}

enum weir_status writer_enter_idle(struct writer *writer, struct weir_context *context,
                                   struct weir_error *err)
{
    return take_turn(writer, context, NULL, true, weir_deadline_in_ms(writer->busy_timeout_ms), err);
}

void writer_leave_idle(struct writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    grant_next(writer);
    pthread_mutex_unlock(&writer->lock);
}
