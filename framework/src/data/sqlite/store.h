/* What the relay reads from and writes to its tables. See tables.c for what they mean. */
#ifndef WEIR_DATA_SQLITE_STORE_H
#define WEIR_DATA_SQLITE_STORE_H

#include <weir/context.h>
#include <weir/error.h>

#include "data/outbox.h"
#include "data/sqlite/connection.h"
#include "data/window.h"

struct weir_sql;

struct store_state {
    int64_t published; /* all rows up to this id are on the broker */
    int64_t ever;
    int64_t last; /* the highest id there is */
    char cluster[CLUSTER_SIZE];
};

enum weir_status store_load(struct connection *connection, struct store_state *ret_state,
                            struct weir_error *err);
/* The highest id that a row has had. */
enum weir_status store_last(struct connection *connection, int64_t *ret_last, struct weir_error *err);
/* At most `room` rows behind `after`, in order. Gives each to `add`. */
enum weir_status store_read(struct connection *connection, int64_t after, int64_t room,
                            void (*add)(void *self, struct row *row), void *self, struct weir_error *err);

enum weir_status store_mark(struct weir_sql *db, struct weir_context *context, int64_t published,
                            struct weir_error *err);
/* Another broker: publish all rows that are still there again. Or, the first broker: only remember it. */
enum weir_status store_cluster(struct weir_sql *db, struct weir_context *context, const char *cluster,
                               bool again, struct store_state *ret_state, struct weir_error *err);
/* Sets a row aside that can never be published. */
enum weir_status store_reject(struct weir_sql *db, struct weir_context *context, int64_t id,
                              const char *reason, struct weir_error *err);
/* Remembers how far it has come by now, and deletes at most `batch` rows that were published `keep_ms` ago.
 */
enum weir_status store_prune(struct weir_sql *db, struct weir_context *context, int64_t now_ms,
                             int64_t keep_ms, int64_t batch, int64_t *ret_deleted, struct weir_error *err);

#endif
