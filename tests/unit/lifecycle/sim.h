/* Runs the engine on a virtual clock against fakes that do what they are told: take their time, heed a limit
 * or not, fail, hang. Every event passes the invariants. */
#ifndef SIM_H
#define SIM_H

#include <weir/bytes.h>

#include "invariants.h"
#include "lifecycle/engine.h"

#define SIM_PARTS_MAX 16
#define SIM_EXTERNALS_MAX 16

/* One operation of one fake. Zero returns ok at once. */
struct sim_op {
    int64_t takes;  /* when nothing is in its way */
    bool hangs;     /* never returns, whatever it is told */
    bool deaf;      /* does not notice its limit */
    int64_t notice; /* from its limit until it returns, when it is not deaf */
    bool fails;     /* when it was not cut */
    bool cut_ok;    /* start: returns ok though it was cancelled */
};

struct sim_fake {
    struct sim_op ops[OP_COUNT];
    struct weir_work work; /* reported by a drain that was not cut */
    struct weir_work lost; /* reported by a drain or a finish that was cut */
    uint32_t bad_starts;   /* bits: its first, second, ... start fails */
};

struct sim_external {
    int64_t at;
    struct engine_event event;
    bool done;
};

struct sim_call {
    bool running;
    enum op op;
    int64_t called, limit, due; /* due: INT64_MAX when it hangs */
    bool cut;                   /* at `due` it will have been cut */
};

struct sim {
    const struct plan *plan;
    struct engine *engine;
    struct invariants invariants;
    struct sim_fake fakes[SIM_PARTS_MAX];
    struct sim_call calls[SIM_PARTS_MAX];
    uint32_t starts[SIM_PARTS_MAX];
    struct sim_external externals[SIM_EXTERNALS_MAX];
    uint32_t external_count;
    int64_t now;
    uint64_t ties; /* seed of the order in which returns of the same time come; 0: that of adding */
    bool goes_on;  /* though an invariant is broken, to see which others are */
    bool exited;
    int status;
    bool forced;
    uint64_t fingerprints[SIM_PARTS_MAX]; /* of every call but destroy, and every limit, with its time */
    int64_t frozen_from, frozen_until;    /* the process stands still; 0: never */
    struct weir_buffer trace;             /* "0 start db, 10 ready, ..." */
    bool with_trace;
};

/* Borrows the plan. */
void sim_init(struct sim *sim, const struct plan *plan);
void sim_clean_up(struct sim *sim);

void sim_at(struct sim *sim, int64_t at, struct engine_event event);
static inline struct engine_event sim_signal(void)
{
    return (struct engine_event){.kind = EVENT_SIGNAL, .text = "SIGTERM"};
}

/* Until the engine exits, nothing can happen any more, or an invariant is broken. NULL, or what was broken.
 */
const char *sim_run(struct sim *sim);

#endif
