/* Single stories on a virtual clock, held against the invariants: "time what component". */
#ifndef STORY_H
#define STORY_H

#include "graph.h"
#include "sim.h"

struct story {
    struct plan *plan;
    struct sim sim;
};

/* Lines as for graph_plan(). */
void story_begin(struct story *story, const struct plan_options *options, const struct graph_line *lines);
void story_end(struct story *story);

struct sim_fake *story_fake(struct story *story, const char *name);
struct engine_event story_failure(struct story *story, const char *name, const char *text);
const struct engine_part *story_part(struct story *story, const char *name);

/* Runs it. `trace` NULL: whatever happens on the way. */
void story_assert(struct story *story, const char *trace, int status, bool forced);

#endif
