/* A report as it is shown: what it leaves out is filled in from the rest of it. */
#ifndef REPORT_VIEW_H
#define REPORT_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "read.h"

enum view_step { STEP_START, STEP_QUIESCE, STEP_DRAIN, STEP_FINISH, STEP_DESTROY, STEP_COUNT };
const char *view_step_name(enum view_step step);

struct view {
    const struct report *report;
    const Weir__StopReport *content;
    size_t number;       /* from 1, on the page */
    bool running;        /* killed, or still runs: there is nothing more */
    int64_t announced;   /* what the announcement took, within the stop */
    int64_t elapsed;     /* until the process left */
    int64_t limit;       /* when all work had to have ended */
    int64_t total;       /* the deadline */
    Weir__StopWork work; /* of all components */
    int64_t lost;        /* cancelled, stuck, undelivered, uncommitted */
    char missing[128];   /* members that the report should have; "" */
};

void view_init(struct view *view, const struct report *report, size_t number);

/* NULL: the component has no such operation. */
const Weir__StopStep *view_step(const Weir__StopComponent *component, enum view_step step);
/* It ran, at a time that is known. */
bool view_ran(const Weir__StopStep *step);
bool view_is(const Weir__StopStep *step, const char *outcome);
/* The worst of its steps and where: "abandoned", STEP_DRAIN. */
const char *view_worst(const Weir__StopComponent *component, enum view_step *ret_step);
/* The step stands on the critical path. */
bool view_on_path(const struct view *view, const Weir__StopComponent *component, enum view_step step);
const Weir__StopComponent *view_component(const struct view *view, const char *name);
/* "asked by SIGTERM", "start of api: ..."; in a static buffer. */
const char *view_cause(const struct view *view);

#endif
