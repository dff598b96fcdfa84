/* Runs components' operations on threads of its own: one thread for each component that is in an operation,
 * made when it is needed and used again. All functions are for the lifecycle's thread. */
#ifndef WEIR_LIFECYCLE_RUNNER_H
#define WEIR_LIFECYCLE_RUNNER_H

#include <stdbool.h>

#include <weir/component.h>

#include "lifecycle/inbox.h"
#include "lifecycle/plan.h"

struct runner;

/* Returns are posted to `inbox`, which must outlive every operation. */
struct runner *runner_new(uint32_t parts, struct inbox *inbox);

/* Begins an operation that the component has, and that runs alone. `limit_ns` is for start, drain, finish. */
void runner_call(struct runner *runner, uint32_t part, const char *name, const struct weir_component_ops *ops,
                 void *self, enum op op, int64_t limit_ns);
/* Moves the limit of what runs earlier; one that has come ends its context with `why`. */
void runner_limit(struct runner *runner, uint32_t part, int64_t limit_ns, enum weir_status why);
/* From now on what it calls is part of a handover: its contexts say so. */
void runner_set_handover(struct runner *runner);
/* Its return has been taken from the inbox: its context is gone. */
void runner_returned(struct runner *runner, uint32_t part);

/* When the next context is over; WEIR_NEVER. */
int64_t runner_next_limit(const struct runner *runner);
/* Ends the contexts whose time has come, so that those who watch them are told. */
void runner_expire(struct runner *runner, int64_t now_ns);

/* An operation has not come back. Any thread. */
bool runner_runs(const struct runner *runner);
/* Writes one line, and its stack, for each operation that runs. Any thread. */
void runner_print_running(struct runner *runner, int descriptor);

/* Nothing runs any more: joins the threads. NULL is fine. */
void runner_destroy(struct runner *runner);

#endif
