/* Numbered migrations: applied once each, in order, and never changed afterwards. */
#ifndef WEIR_DATA_MIGRATE_H
#define WEIR_DATA_MIGRATE_H

#include "data/connection.h"

/* Applies what is new of `migrations` (NULL at the end; NULL is none). `owner` tells lists of one database
 * apart: the service's, and weir's own tables. Each runs in a transaction that holds the database's write
 * lock, so processes that start together apply it once. FAILED_PRECONDITION: one that was applied has
 * changed, or is missing here. */
enum weir_status migrate(struct connection *connection, const char *owner, const char *const *migrations,
                         struct weir_error *err);

#endif
