/* What holds of every run of the lifecycle, whatever components do: written once, for the simulation and for the
 * exploration. Seen from the outside: events, actions, reported outcomes, the plan and the clock; none of the
 * engine's reasoning is used.
 *
 * - S1: start(c) only when all it needs are up; none in a stop; ready only when all are up
 * - S2: in a stop, quiesce(d) only when each dependant never was up, has returned from finish, or is out of time
 * - S3: one operation at a time per component; in the order start, quiesce, drain, finish; each once a cycle
 * - S4: destroy(c) at most once; after every dependant's; nothing of c runs or is stuck; drained, if it was up
 * - S5: at exit, not destroyed only if held, or past the time
 * - S6: at each turn the reserves of c and of all behind it are left; every limit is within c's window, and what
 *   runs was told of it; a start's is within start_total_ms
 * - S7: finish has finish_min at least when its drain returned in time
 * - S8: a limit only moves earlier
 * - S9: each step has exactly one outcome at exit, that which came of it, and it never changed
 * - S10: nothing after exit; one exit; one announcement; the first cause stays
 * - S11: 0 exactly for a clean stop that was asked for; forced exactly if something runs
 * - S12: never up: no quiesce, drain, finish
 * - S13: who is no announcer does not quiesce during the announcement, except after a second signal
 * - L1: a stop is over in its time, and a start in start_total_ms; no state without a next event
 * - L2: it never waits for nothing: something runs, or the announcement does
 * - L3: a turn comes as soon as every dependant has ended or is out of time
 * - L4: who is up and returns in its time gets finish
 * - L5: after a second signal it is over within the longest chain of reserves */
#ifndef INVARIANTS_H
#define INVARIANTS_H

#include "lifecycle/engine.h"

#define INVARIANTS_PARTS_MAX 16
#define INVARIANTS_RULES 18
extern const char *const invariants_rules[INVARIANTS_RULES]; /* "S1" ... "L5" */

struct seen_part {
    bool up;         /* its start came back ok in time, in this cycle */
    bool late_up;    /* it came back ok after it had been given up */
    bool restarting; /* it failed, and no stop began: it serves nobody until its next start */
    bool failed;
    bool given_up; /* the engine said so */
    bool gone;     /* ended, and the engine has seen that */
    enum op running;
    bool called[OP_COUNT], returned[OP_COUNT]; /* in this cycle */
    int64_t returned_at[OP_COUNT];
    bool stuck, unclean;
    bool late_start; /* its start came back after the stop began */
    bool in_restart; /* its steps began before the stop */
    int64_t limit;   /* of what runs */
    int64_t until, give_up, finish_end, start_end, destroy_end, end; /* by the rules, not by the engine */
    int64_t most; /* what runs must have been told by now */
    enum outcome outcomes[OP_COUNT];
    enum outcome expected[OP_COUNT]; /* by what came of it; NONE: it has not returned in its time */
    enum weir_status statuses[OP_COUNT];
};

struct invariants {
    const struct plan *plan;
    struct seen_part parts[INVARIANTS_PARTS_MAX];
    enum event_kind event;
    uint32_t event_part;
    bool may_restart; /* the event is a failure of one that was up */
    bool stopping, ready, exited, third;
    bool frozen;    /* the process stood still for a while: rules about time do not hold */
    bool announced; /* the announcement is over, and the engine has seen that */
    int64_t start_end, t0, work_end, announce_until;
    uint32_t signals;
    enum cause_kind cause;
    uint32_t cause_part;
    char broken[256]; /* the first one */
    uint32_t rules;   /* bits: all that were broken */
};

void invariants_init(struct invariants *invariants, const struct plan *plan);
/* Before the engine handles it. */
void invariants_event(struct invariants *invariants, const struct engine_event *event, int64_t now);
/* After; of the engine only the reported outcomes and the cause are read. NULL, or what is broken. */
const char *invariants_actions(struct invariants *invariants, const struct engine_action *actions,
                               uint32_t count, const struct engine *engine, int64_t now);
const char *invariants_exit(struct invariants *invariants, const struct engine *engine);

#endif
