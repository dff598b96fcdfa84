/* Plans from a few words, for the tests of this folder. */
#ifndef GRAPH_H
#define GRAPH_H

#include "lifecycle/plan.h"

#define GRAPH_PARTS_MAX 32

struct graph_line {
    const char *name;
    const char *needs; /* "db, relay"; NULL: nothing. "?" is a component of another app */
    int64_t cut_min, finish_min, drain_max, start_timeout;
    enum { PLAIN, INGRESS, ANNOUNCER, BASE, BASE_ANNOUNCER } kind;
    const char *has; /* letters of s q d f x (destroy); NULL: all */
    struct plan_restart restart;
};

/* Lines end with one without a name. Caller destroys the plan. */
struct plan *graph_plan(const struct plan_options *options, const struct graph_line *lines);

/* The index by name; fails the test when there is none. */
uint32_t graph_index(const struct plan *plan, const char *name);

#endif
