/* The database's own thread for what is in nobody's way: forgets old inbox rows, old answers by
 * idempotency key and sagas that ended long ago, a few at a time, and has the engine tidy its files. */
#ifndef WEIR_DATA_KEEPER_H
#define WEIR_DATA_KEEPER_H

#include <stdint.h>

#include <weir/context.h>
#include <weir/error.h>

struct weir_sql;
struct keeper;

enum weir_status keeper_start(struct weir_sql *db, struct keeper **ret_keeper, struct weir_error *err);
void keeper_stop(struct keeper *keeper); /* NULL is fine */

/* Deletes inbox rows from before `before_ms` (Unix time), in transactions of at most `batch` rows, with a
 * pause between them. */
enum weir_status keeper_prune_inbox(struct weir_sql *db, struct weir_context *context, int64_t before_ms,
                                    int64_t batch, struct weir_error *err);
/* The same for answers by idempotency key whose time is over at `now_ms`. */
enum weir_status keeper_prune_idempotency(struct weir_sql *db, struct weir_context *context, int64_t now_ms,
                                          int64_t batch, struct weir_error *err);
/* The same for sagas of this name that have ended before `before_ms`. */
enum weir_status keeper_prune_sagas(struct weir_sql *db, struct weir_context *context, const char *name,
                                    int64_t before_ms, int64_t batch, struct weir_error *err);

#endif
