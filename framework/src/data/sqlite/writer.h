/* The one connection that writes, and the turn to use it.
 *
 * Units of work take turns, first come, first served. Several share one SQLite transaction, and so one fsync:
 * the first begins it, each runs in a savepoint, and the last one commits it for all: when nobody waits for
 * the turn any more, or the group is full or old. A unit that is kept learns its outcome only when the group
 * is durable. SQLite rolls the whole transaction back when the disk is full, memory is short or a write is
 * interrupted: then all units of the group fail.
 *
 *     turn free -> taken (unit 1: BEGIN, SAVEPOINT ... RELEASE) -> passed on (unit 2: SAVEPOINT ... RELEASE)
 *               -> nobody waits: COMMIT by unit 2 -> both are told -> turn free
 *
 * A unit that is rolled back waits for the group, too, if others were kept before it: what it read, and what
 * it is about to answer because of it, may be theirs.
 *
 * Lock discipline: `lock` guards the queue, the turn and groups; the connection belongs to who has the turn.
 */
#ifndef WEIR_DATA_SQLITE_WRITER_H
#define WEIR_DATA_SQLITE_WRITER_H

#include <pthread.h>

#include "data/sqlite/connection.h"

struct group;
struct turn_waiter;

struct writer {
    struct connection connection;
    int64_t group_max;
    int64_t group_age_max_ns; /* an older group commits when the turn changes hands */
    int64_t busy_timeout_ms;

    pthread_mutex_t lock;
    bool taken;
    const void *holder; /* who has the turn: a call, to find one that waits for itself */
    struct turn_waiter *first, **last;
    int64_t waiting;     /* how many these are */
    struct group *group; /* the open transaction; NULL: none */

    _Atomic int64_t *units;   /* durable. Borrows */
    _Atomic int64_t *commits; /* that made them so. Borrows */
};

void writer_init(struct writer *writer, _Atomic int64_t *units, _Atomic int64_t *commits, int64_t group_max,
                 int64_t busy_timeout_ms);
/* Nobody has the turn or waits. */
void writer_clean_up(struct writer *writer);

/* Waits for the turn and opens a unit. On failure there is nothing to leave. `holder` may be NULL. */
enum weir_status writer_enter(struct writer *writer, struct weir_context *context, const void *holder,
                              struct weir_error *err);
/* Keeps the unit, or not, gives up the turn and waits until the group is durable. OK when kept and durable.
 */
enum weir_status writer_leave(struct writer *writer, bool keep, struct weir_error *err);

/* The turn alone, between transactions: for a checkpoint. */
enum weir_status writer_enter_idle(struct writer *writer, struct weir_context *context,
                                   struct weir_error *err);
void writer_leave_idle(struct writer *writer);

#endif
