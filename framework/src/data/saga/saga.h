/* Sagas from the inside. See <weir/saga.h> for its users' side.
 *
 *   saga_store   their rows
 *   saga_lease   who may work on them
 *   saga_queue   those of this process: by id, by when they are due. Pure
 *   saga_step    what comes next for one of them, and doing it
 *   saga_brake   a step that fails for one is not tried by all
 *   saga_worker  a thread that runs those that are ready
 *   saga_runner  the component: the scheduler, start and stop
 *   saga         beginning, running and turning: the functions of the header
 *   saga_add     options and configuration
 *
 * A saga of this process is WAITING in the heap until it is due, READY for a worker, or RUNNING on a thread, which alone
 * touches what is not said to be under `lock`. `lock` is never held while the database or a step is called. */
#ifndef WEIR_DATA_SAGA_H
#define WEIR_DATA_SAGA_H

#include <pthread.h>
#include <stdatomic.h>

#include <weir/saga.h>

#include "data/sql.h"

struct counter;
struct metric_source;
struct saga_worker;

enum saga_place { SAGA_WAITING = 1, SAGA_READY, SAGA_RUNNING };

/* What became of a step, in ms since the saga began. */
struct saga_mark {
    int64_t began_ms, took_ms, undone_ms; /* -1: not yet */
    int64_t attempts;
    char *error; /* NULL: none */
};

struct saga {
    const struct weir_saga_type *type;
    char id[WEIR_SAGA_ID_SIZE];

    /* As stored. */
    enum weir_saga_state stored_state;
    int stored_step; /* behind the last commit */

    enum weir_saga_state state;
    int step;                 /* forward: comes next. Back: is to be undone next, -1 at the end */
    int begun_to;             /* steps before this one may have begun */
    _Atomic int64_t begun_ms; /* metrics look at it */
    int64_t deadline_ms, ended_ms;
    int64_t attempts; /* of this step */
    char *reason;
    bool told;                /* that it needs somebody */
    bool gone;                /* the row is another process's now, or over */
    enum weir_status refusal; /* what turned it, in this process; 0: something else did */
    struct saga_mark marks[WEIR_SAGA_STEPS_MAX];

    /* Guarded by lock. */
    enum saga_place place;
    bool braked; /* waits for others to try its step */
    int64_t due_ns;
    size_t heap_index;
    struct saga *next_ready, *next_of_id;
    atomic_bool stale; /* its row says something else than what is here */
};

struct saga_queue {
    struct saga **buckets;
    size_t n_buckets, count;
    struct saga **heap;
    size_t n_heap, heap_size;
    struct saga *first_ready, **last_ready;
    size_t n_ready;
};

/* A step that fails for one saga because the other side is away fails for all: one tries, the others wait. Guarded by
 * lock. */
struct saga_brake {
    bool failing, probing;
    int failures;
    int64_t until_ns;
};

struct saga_settings {
    int64_t workers, step_timeout_ms, retry_max_ms, lease_ms, keep_ms;
};

struct saga_kind {
    struct weir_saga_runner *runner;
    const struct weir_saga_type *type;
    int n_steps, pivot; /* pivot: the step behind it; n_steps where there is none */
    struct saga_brake brakes[2][WEIR_SAGA_STEPS_MAX]; /* forward, back */
    struct counter *done, *undone, *turned, *retried;
    int64_t open; /* in this process. Guarded by lock */
};

struct weir_saga_runner {
    struct weir_component component; /* first: a handle */
    const char *name;
    struct weir_sql *db;
    void *self;
    struct saga_settings settings;
    struct saga_kind kinds[WEIR_SAGA_TYPES_MAX];
    int n_kinds;
    struct metric_source *metrics[2 * WEIR_SAGA_TYPES_MAX];
    pthread_t scheduler;
    bool scheduler_runs;
    struct saga_worker *workers; /* settings.workers of them */
    int n_workers;               /* that run */

    int64_t owner;                  /* this process: random, never 0 */
    int lock_file;                  /* -1: none, only the lease's time counts */
    _Atomic int64_t lease_until_ms; /* Unix time, as stored */

    pthread_mutex_t lock; /* all below */
    pthread_cond_t work, changed;
    struct saga_queue queue;
    int idle, busy; /* workers */
    int64_t scheduler_wakes_ns, scan_due_ns;
    bool stopping; /* no more are claimed */
    bool cut;      /* the time of the stop is over */
    bool end_work; /* threads leave */
    bool end_scheduler;
    int64_t completed, cancelled; /* since the stop began */
};

struct saga_worker {
    struct weir_saga_runner *runner;
    pthread_t thread;
    struct weir_call *call; /* what it does now; NULL: nothing. Guarded by the runner's lock */
};

/* ---- saga_queue ---- */

void saga_queue_init(struct saga_queue *queue);
void saga_queue_clean_up(struct saga_queue *queue); /* frees its sagas, too */
struct saga *saga_new(const struct weir_saga_type *type, const char *id);
void saga_free(struct saga *saga);
struct saga *saga_queue_find(const struct saga_queue *queue, const struct weir_saga_type *type,
                             const char *id);
/* Adds a RUNNING one. */
void saga_queue_add(struct saga_queue *queue, struct saga *saga);
/* Of a RUNNING one; does not free it. */
void saga_queue_remove(struct saga_queue *queue, struct saga *saga);
/* RUNNING becomes WAITING or READY; WAITING or READY becomes RUNNING. */
void saga_queue_wait(struct saga_queue *queue, struct saga *saga, int64_t due_ns);
void saga_queue_ready(struct saga_queue *queue, struct saga *saga);
void saga_queue_take(struct saga_queue *queue, struct saga *saga);
struct saga *saga_queue_take_ready(struct saga_queue *queue); /* NULL: none */
int64_t saga_queue_due_ns(const struct saga_queue *queue);    /* the earliest; WEIR_NEVER: nobody waits */
/* WAITING ones that are due, or (braked) wait behind a brake that is off, become READY. */
void saga_queue_ripen(struct saga_queue *queue, int64_t now_ns);
void saga_queue_unbrake(struct saga_queue *queue);

/* ---- saga_store. In transactions, and reads outside of them ---- */

/* One that is new here, or begun anew; false: it is there already. */
bool saga_insert(struct weir_tx *tx, const struct weir_saga_runner *runner, const struct weir_saga_type *type,
                 const char *id, int64_t begun_ms, int64_t deadline_ms);
/* Stores where it is now. Fails the transaction with ABORTED, and says that it is stale, when it is not as it was stored
 * last or not ours any more. saga_stored() after the commit. */
void saga_update(struct weir_tx *tx, const struct weir_saga_runner *runner, struct saga *saga,
                 int64_t next_ms);
void saga_stored(struct saga *saga);
/* True: it was forward or done, and is ours now. */
bool saga_update_turned(struct weir_tx *tx, const struct weir_saga_runner *runner,
                        const struct weir_saga_type *type, const char *id, const char *reason);
/* `gone`: there is nothing (more) to do here. */
enum weir_status saga_reload(struct weir_call *call, const struct weir_saga_runner *runner,
                             struct saga *saga);
int saga_n_steps(const struct weir_saga_type *type);

/* ---- saga_lease ---- */

enum weir_status saga_lease_open(struct weir_saga_runner *runner, struct weir_error *err);
void saga_lease_close(struct weir_saga_runner *runner);
/* Within any transaction: makes it longer when half of it is over. */
void saga_lease_renew(struct weir_tx *tx, struct weir_saga_runner *runner);
bool saga_lease_is_short(const struct weir_saga_runner *runner);
/* Takes sagas whose process is gone; how many. */
int saga_lease_claim(struct weir_call *call, struct weir_saga_runner *runner);
/* At the stop: whoever comes may have them. */
enum weir_status saga_lease_give_up(struct weir_call *call, struct weir_saga_runner *runner);

/* ---- saga_step. Runs on: the thread that has the saga RUNNING ---- */

/* For a subject that was loaded anew: what steps since the last transaction have put there is gone, so they come again. */
void saga_begin_anew(struct saga *saga);
/* Loads what is stale, does what comes next. OK: it went on (or is over); else it is for another time, see
 * saga_pause_ms(). */
enum weir_status saga_go(struct weir_call *call, struct weir_saga_runner *runner, struct saga *saga,
                         void *subject);
bool saga_is_over(const struct saga *saga); /* here */
bool saga_before_pivot(const struct saga_kind *kind, const struct saga *saga);
/* After a failure: how long to wait. */
int64_t saga_pause_ms(const struct weir_saga_runner *runner, const struct saga_kind *kind,
                      const struct saga *saga, enum weir_status status);
/* Stores a failure that is followed by a longer pause, so that it can be seen. */
void saga_note(struct weir_call *call, struct weir_saga_runner *runner, struct saga *saga, int64_t pause_ms);

/* ---- saga_brake. Holds: lock ---- */

/* NULL: nothing is called next. */
struct saga_brake *saga_brake_of(struct saga_kind *kind, const struct saga *saga);
/* True: not now, but after `ret_until_ns`. False: try, and tell how it went. */
bool saga_brake_holds(struct saga_brake *brake, int64_t *ret_until_ns);
/* True: this was the first failure, or the first success after failures. */
bool saga_brake_tell(struct saga_brake *brake, enum weir_status status, int64_t longest_ms);

/* ---- saga_runner ---- */

extern const struct weir_component_ops saga_runner_ops;
struct weir_saga_runner *saga_runner_new(const char *name, struct weir_sql *db,
                                         const struct weir_saga_type *const *types,
                                         const struct saga_settings *settings);
struct saga_kind *saga_kind_of(struct weir_saga_runner *runner, const struct weir_saga_type *type);
/* All: holds lock. A new one for a worker, at once, or (`due_ns`) for later. */
void saga_runner_add(struct weir_saga_runner *runner, struct saga *saga);
void saga_runner_ready(struct weir_saga_runner *runner, struct saga *saga);
void saga_runner_wait(struct weir_saga_runner *runner, struct saga *saga, int64_t due_ns);
/* What a thread ran: it is over, or goes on at `due_ns`. */
void saga_runner_give_back(struct weir_saga_runner *runner, struct saga *saga, int64_t due_ns);
/* saga_worker.c: a thread. */
void *saga_work(void *arg);

int64_t saga_unix_ms(void);

#endif
