/* The connections to one PostgreSQL database.
 *
 * A thread of the pool's makes connections, when somebody waits for one and there may be more, and looks whether a
 * server that is away has come back; so nobody who asks for a connection waits for a server that is known to be away.
 *
 *     here  -> (a connection is lost, or a statement was not answered in time) -> suspected: one is made to see
 *           -> (it cannot be made) -> away: who asks is refused at once; tried again, less and less often
 *           -> (it can) -> here
 *
 * Lock discipline: `lock` guards all below it. A connection belongs to who has taken it. */
#ifndef WEIR_DATA_POSTGRES_POOL_H
#define WEIR_DATA_POSTGRES_POOL_H

#include <pthread.h>

#include "core/context.h"
#include "data/postgres/connection.h"
#include "lifecycle/component.h"

struct pg_pool {
    const char *url, *name;
    int64_t most;
    int64_t busy_timeout_ms;
    const atomic_bool *cut;
    struct weir_component *owner; /* told when the database is away, and back */
    pthread_t maker;
    bool maker_runs;
    struct weir_context context; /* over when the maker shall stop */

    pthread_mutex_t lock;
    pthread_cond_t changed; /* for those who wait: there is one, or none will come */
    pthread_cond_t wanted;  /* for the maker */
    struct pg_connection *idle, *used;
    int64_t open;    /* both */
    int64_t waiting; /* for one */
    bool suspected, away, stopping;
    int64_t backoff_ms, retry_at_ns;
    struct weir_error why; /* it is away, or a connection could not be made */
};

/* Connects once, and waits for a server that is not there yet as long as the context allows. The connection is taken. */
enum weir_status pg_pool_open(struct pg_pool *pool, struct weir_context *context,
                              struct pg_connection **ret_first, struct weir_error *err);
/* All are given back. Fine after a failed open. */
void pg_pool_close(struct pg_pool *pool);

/* Within the context and busy_timeout_ms. `holder`, when there is one, has none yet. */
enum weir_status pg_pool_take(struct pg_pool *pool, struct weir_context *context, const void *holder,
                              struct pg_connection **ret_connection, struct weir_error *err);
/* Rolls back what is open. */
void pg_pool_give(struct pg_pool *pool, struct pg_connection *connection);
bool pg_pool_is_away(struct pg_pool *pool);

#endif
