/* A database of a test's own, in a folder that goes away with it, without an app. */
#ifndef DATA_KIT_H
#define DATA_KIT_H

#include "test.h"

#include <weir/call.h>
#include <weir/clock.h>
#include <weir/sql.h>

#include "core/context.h"
#include "data/sql.h"

struct kit {
    char folder[64];
    char url[128];
    struct sql_settings settings;
    struct weir_context context; /* for starting and stopping: has all the time */
    struct weir_sql *db;         /* NULL: not started */
    struct weir_error error;
    struct weir_buffer lines; /* of kit_migrate() */
};

/* Full durability, groups of 64, two readers; `migrations` NULL: the table `items (id INTEGER PRIMARY KEY, n
 * INTEGER)`. */
void kit_open(struct kit *kit, const char *const *migrations);
/* Starts a database at the kit's url; kit->error when it fails. */
enum weir_status kit_start(struct kit *kit);
/* What `--migrate` says of the database at the kit's url, whatever else has it open; kit->error when it fails. */
const char *kit_migrate(struct kit *kit, bool dry);
/* Quiesce, drain, finish, destroy. */
struct weir_work kit_stop(struct kit *kit);
void kit_close(struct kit *kit);

struct weir_call *kit_call(int64_t timeout_ms);

/* One number, read outside of any transaction. */
int64_t kit_number(struct kit *kit, const char *sql);
/* One transaction with one statement; the commit's status. */
enum weir_status kit_run(struct kit *kit, const char *sql);

#endif
