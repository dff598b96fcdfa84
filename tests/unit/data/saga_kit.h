/* A service whose only business is a saga, and the other side of its steps, which a test tells what to do. */
#ifndef SAGA_KIT_H
#define SAGA_KIT_H

#include "test.h"

#include <stdatomic.h>

#include <weir/test.h>
#include <weir/weir.h>

enum { RESERVE, AUTHORIZE, CONFIRM, DEDUCT, CAPTURE, COMPLETE, STEPS };
enum { FORTH, BACK, WAYS };

/* What the other side does with a step, the first `times` times (-1: always). */
struct answer {
    int times;
    enum weir_status status;
    bool does_it;       /* and the answer is lost */
    bool does_it_later; /* when the test says so */
    int64_t takes_ms;
};

enum effect { NOTHING, HAS_IT, GAVE_IT_BACK };

#define SAGAS_MOST 64

/* The other side: outlives the service. */
struct world {
    struct answer answers[WAYS][STEPS];
    enum effect effects[SAGAS_MOST][STEPS];
    int ran[WAYS][STEPS]; /* attempts */
    char trace[4096];
    atomic_int crash_at; /* this many calls (and commits) from now; 0: none */
    atomic_bool crashed;
    char image[128]; /* the database as it was then */
    int late[256], n_late;
    bool cancelled_as_it_ends; /* right behind the commit of the last step, before its thread looks again */
    unsigned seed;             /* not 0: answers at random */
};

extern struct world world;
extern struct weir_sql *saga_kit_db;
extern struct weir_saga_runner *saga_kit_sagas[2];

/* What is in the folder, and its end. */
void saga_kit_begin(void);
/* The service on the database of that number; with one runner or two. */
struct weir_test *saga_kit_start(int database, int runners);
/* The database as it was at the crash becomes this number. */
void saga_kit_restore(int database);
void saga_kit_end(void);

/* Begins and runs the saga of this number: what its client is told. */
struct weir_test_call *saga_kit_place_start(struct weir_test *test, int id);
const struct weir_test_reply *saga_kit_place(struct weir_test *test, int id);
const struct weir_test_reply *saga_kit_cancel(struct weir_test *test, int id);
const struct weir_test_reply *saga_kit_sql(struct weir_test *test, const char *sql);
/* "done", "undone: reason", "forward deduct 3", ... as it is stored; and of the service's own row. */
const char *saga_kit_state(struct weir_test *test, int id);
/* "11-11-": what the other side has of it; - is a commit. */
const char *saga_kit_effects(int id);
/* What was done late comes now. */
void saga_kit_late(void);

#endif
