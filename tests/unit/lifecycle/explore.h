/* Takes the engine through every order of what can happen to one plan: returns with every result, failures,
 * signals, and the clock, which goes from one moment that matters to the next (a timer, a limit). What has
 * not returned by its timer hung; it may still return, at any later moment. Every event passes the
 * invariants, every state is visited once. */
#ifndef EXPLORE_H
#define EXPLORE_H

#include "lifecycle/plan.h"

#define EXPLORE_PARTS_MAX 4
#define EXPLORE_NO_BOUND UINT32_MAX

struct explore_scope {
    bool from_start; /* else from the moment when all are up */
    bool stop;       /* asked to stop otherwise than by a signal, too */
    uint32_t signals;
    uint32_t
        faults; /* in all: an error, a hang, lost work, stuck work, a failure at run time; or EXPLORE_NO_BOUND */
};

struct explore_count {
    uint64_t states, steps, exits;
};

/* Adds to the counts. NULL, or what was broken, with the way that leads there; valid until the next call. */
const char *explore(const struct plan *plan, const struct explore_scope *scope, struct explore_count *count);

#endif
