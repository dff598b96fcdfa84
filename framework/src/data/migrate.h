/* Numbered migrations: applied once each, in order, and never changed afterwards. */
#ifndef WEIR_DATA_MIGRATE_H
#define WEIR_DATA_MIGRATE_H

#include "data/sql.h"

/* Applies what is new of weir's own and of the service's migrations. Each runs in a transaction that holds the
 * database's lock for migrations, so processes that start together apply it once. FAILED_PRECONDITION: one that was
 * applied has changed, or is missing here. */
enum weir_status migrate(struct weir_sql *db, struct sql_session *session, struct weir_error *err);

#endif
