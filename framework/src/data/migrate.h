/* Numbered migrations: applied once each, in order, and never changed afterwards. */
#ifndef WEIR_DATA_MIGRATE_H
#define WEIR_DATA_MIGRATE_H

#include <weir/bytes.h>

#include "data/sql.h"

/* A line for each migration. */
struct migrate_report {
    struct weir_buffer *lines;
    int64_t count;
};

/* Applies what is new of weir's own and of the service's migrations. Each runs in a transaction that holds the
 * database's lock for migrations, so processes that start together apply it once. FAILED_PRECONDITION: one that was
 * applied has changed, or is missing here. `report` may be NULL. */
enum weir_status migrate(struct weir_sql *db, struct sql_session *session, struct migrate_report *report,
                         struct weir_error *err);

/* What migrate() would do; changes nothing. A session that is NULL: the database is not there yet. */
enum weir_status migrate_dry(struct weir_sql *db, struct sql_session *session, struct migrate_report *report,
                             struct weir_error *err);

#endif
