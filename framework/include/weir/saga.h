/* Sagas: work of several steps at several services that ends done, or undone, whatever crashes in between.
 *
 *     static const struct weir_saga_type order_saga = {
 *         .name = "order",
 *         .steps = {
 *             {"reserve stock", .run = reserve_stock, .undo = release_stock},
 *             {"authorize payment", .run = authorize, .undo = void_payment},
 *             {"confirm", .commit = confirm, .pivot = true},
 *             {"deduct stock", .run = deduct, .undo = restock},
 *             {"capture payment", .run = capture, .undo = refund},
 *             {"complete", .commit = complete},
 *         },
 *         ...
 *     };
 *
 * A saga is a row in the service's database, written in the transactions of the service's own rows, and is run
 * by one process at a time, who holds its lease. When that process is gone, another one (or the next) goes on.
 *
 * What a step must bear. A step's success is stored with the next transaction, not in one of its own. So `run`
 * and `undo` are idempotent at the other side: after a crash, or when a later step must be tried again, all steps since
 * the last `commit` come again, with a subject that is loaded anew (what a step puts into the subject is there for the
 * steps behind it, and lasts when a `commit` stores it). A saga that turns back undoes all that may have begun, the last first: undoing what never ran must
 * do no harm, and must keep a `run` that is still on its way from having an effect later (release and void
 * leave a mark at the other side). A step runs on while its saga is turned back by somebody else, or its lease is
 * lost; what it then writes here is refused.
 *
 * What a step's status means. OK: the next one. CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED,
 * INTERNAL, UNAVAILABLE, DATA_LOSS: nobody knows; again, with growing back-off. Any other is a refusal. Up to the
 * pivot a refusal turns the saga back, and so does the end of its time. Past the pivot only FAILED_PRECONDITION
 * does; all others come again until they succeed, logged and counted. `undo` is repeated until it is OK.
 *
 * Functions are for the executor's threads and may block unless they say otherwise. */
#ifndef WEIR_SAGA_H
#define WEIR_SAGA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/call.h>
#include <weir/component.h>
#include <weir/export.h>
#include <weir/sql.h>

#define WEIR_SAGA_STEPS_MAX 12
#define WEIR_SAGA_TYPES_MAX 8
#define WEIR_SAGA_ID_SIZE 64 /* with the terminator */

/* One of `run` and `commit`. `subject` is what the type's `load` filled. */
struct weir_saga_step {
    const char *name; /* is stored: a saga that was begun by an older release is found by it */
    enum weir_status (*run)(struct weir_call *call, void *subject);
    enum weir_status (*undo)(struct weir_call *call, void *subject); /* may be absent */
    /* Within the transaction that moves the saga on: weir_sql_fail() fails the step. */
    void (*commit)(struct weir_tx *tx, void *subject);
    bool pivot; /* once this one is done the saga goes forward only */
};

/* Static. */
struct weir_saga_type {
    const char *name; /* is stored */
    struct weir_saga_step steps[WEIR_SAGA_STEPS_MAX];
    size_t subject_size;
    /* Fills the subject from the database, outside of a transaction. */
    enum weir_status (*load)(struct weir_call *call, const char *id, void *subject);
    /* Within the transaction that turns it back, before anything is undone. May be absent. */
    void (*turned)(struct weir_tx *tx, void *subject, const char *reason);
};

/* Runs sagas of some types in one database: a component. Whoever begins or turns sagas needs it. Zero is the
 * default everywhere. */
struct weir_saga_options {
    struct weir_sql *db;                                     /* Required */
    const struct weir_saga_type *types[WEIR_SAGA_TYPES_MAX]; /* Borrows until the app is destroyed */
    void *self;              /* weir_call_self() of background steps. Borrows until the app is destroyed */
    int64_t workers;         /* threads for background steps. Default 8. Key workers */
    int64_t step_timeout_ms; /* of a background attempt. Default 10,000. Key step_timeout_ms */
    int64_t retry_max_ms;    /* longest pause between two attempts. Default 10,000. Key retry_max_ms */
    int64_t
        lease_ms; /* a process that is silent for so long has lost its sagas. Default 15,000. Key lease_ms */
    /* Ended sagas stay so long, then their rows are deleted: nothing can turn them any more, and who begins one of the
     * same id begins a new one. Default 30 days, at least a minute. Key keep_ms */
    int64_t keep_ms;
    const void *needs[WEIR_NEEDS_MAX]; /* besides db: the channels and the outbox that steps use */
};

struct weir_saga_runner;
WEIR_API struct weir_saga_runner *weir_saga_add(struct weir_app *app, const char *name,
                                                const struct weir_saga_options *options);

/* Begins a saga with the transaction, together with the rows that it is about. It is past its pivot within
 * `timeout_ms`, or turns back; negative: no limit. One that was undone is begun anew. False: there is such a one
 * already, under way or done (or the transaction has failed). Then weir_saga_run(); what nobody runs within 2 s
 * is run in the background. Copies id. */
WEIR_API bool weir_saga_begin(struct weir_tx *tx, struct weir_saga_runner *runner,
                              const struct weir_saga_type *type, const char *id, int64_t timeout_ms);

/* Runs it on this thread up to its pivot, the rest in the background; where somebody else runs it, waits for that.
 * OK: the pivot is committed. When it turned back: the refusal's status and text. In both cases `subject` is as it was
 * committed. Otherwise nobody knows yet: this call's time was over, and it goes on in the background. `subject` is
 * loaded by the caller, or is what he has stored; it is what it was before a transaction that failed. */
WEIR_API enum weir_status weir_saga_run(struct weir_call *call, struct weir_saga_runner *runner,
                                        const struct weir_saga_type *type, const char *id, void *subject);

/* Turns back a saga that is under way or done, with the transaction: `turned` is called with `subject` at once, the
 * steps are undone in the background. False: there is none (any more: keep_ms), or it is turned back already. */
WEIR_API bool weir_saga_turn(struct weir_tx *tx, struct weir_saga_runner *runner,
                             const struct weir_saga_type *type, const char *id, void *subject,
                             const char *reason);

/* ---- To look at ---- */

enum weir_saga_state {
    WEIR_SAGA_FORWARD = 1,
    WEIR_SAGA_BACK = 2, /* turned: what was done is being undone */
    WEIR_SAGA_DONE = 3,
    WEIR_SAGA_UNDONE = 4,
};

struct weir_saga_step_view {
    const char *name;
    int64_t began_ms;  /* Unix time of its first attempt; 0: not yet */
    int64_t ended_ms;  /* 0: not yet */
    int64_t undone_ms; /* 0: not */
    int64_t attempts;  /* forward and back */
    const char *error; /* of the last attempt that failed; "" */
};

/* As it was stored last: with its transactions, and with every attempt that is followed by a longer pause. */
struct weir_saga_view {
    enum weir_saga_state state;
    const char *step;   /* behind its last transaction, "" at the end; the steps tell how far it came since */
    const char *reason; /* why it turned; "" */
    int64_t begun_ms;   /* Unix time */
    int64_t ended_ms;   /* 0: under way */
    int64_t deadline_ms; /* to be past the pivot; 0: none */
    int64_t next_ms;     /* the next attempt; 0: now */
    int64_t attempts;    /* that failed since its last transaction */
    struct weir_saga_step_view steps[WEIR_SAGA_STEPS_MAX];
    size_t n_steps;
};

/* NOT_FOUND when there is none. Texts live as long as the call. */
WEIR_API enum weir_status weir_saga_look(struct weir_call *call, struct weir_saga_runner *runner,
                                         const struct weir_saga_type *type, const char *id,
                                         struct weir_saga_view *ret_view);

/* Sagas of this type under way in the database, whoever runs them. */
WEIR_API enum weir_status weir_saga_count(struct weir_call *call, struct weir_saga_runner *runner,
                                          const struct weir_saga_type *type, int64_t *ret_count);

#endif
