/* The handlers of ledger.proto over a database. */
#ifndef LEDGER_SERVICE_H
#define LEDGER_SERVICE_H

#include <pthread.h>
#include <stdbool.h>

#include <weir/sql.h>

#include "ledger.weir.h"

/* Where the process kills itself, kill -9. */
enum ledger_crash {
    LEDGER_CRASH_NEVER,
    LEDGER_CRASH_BETWEEN, /* two steps */
    LEDGER_CRASH_AFTER,   /* the last commit */
};

struct ledger {
    struct weir_sql *db;
    enum ledger_crash crash;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t runs;           /* of handlers */
    int64_t waiting;        /* of these, now */
    bool open;              /* nobody waits any more */
    struct weir_call *held; /* to be finished by the test, with held_status; a reference */
    enum weir_status held_status;
};

extern const char *const ledger_schema[]; /* migrations: the table `entries` */
extern const struct ledger_handlers ledger_handlers;

void ledger_init(struct ledger *ledger, struct weir_sql *db);
void ledger_clean_up(struct ledger *ledger);
/* Until so many handlers wait; false after 10 s. */
bool ledger_await_waiting(struct ledger *ledger, int64_t count);
/* Until so many handlers have begun. */
bool ledger_await_runs(struct ledger *ledger, int64_t count);
void ledger_let_go(struct ledger *ledger);
int64_t ledger_runs(struct ledger *ledger);

#endif
