/* Fibers of an executor that run on no thread: those that may go on, those that wait with a deadline, those to be used
 * again. One that waits without a deadline is known only to who will wake it.
 *
 * Holds: the executor's lock, all of these. */
#ifndef WEIR_CALL_EXECUTOR_FIBERS_H
#define WEIR_CALL_EXECUTOR_FIBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/fiber.h"

/* Deadlines of who waits are looked at as often. */
#define EXECUTOR_FIBERS_LOOK_NS (20 * WEIR_NS_PER_MS)

struct executor_fibers {
    struct fiber *resumed, **last_resumed;
    struct fiber *limited;
    int64_t look_ns;
    struct fiber *spare;
};

void executor_fibers_init(struct executor_fibers *fibers);
/* None is used any more. */
void executor_fibers_clean_up(struct executor_fibers *fibers);

/* A spare one, else (`more`) a new one; NULL: none. */
struct fiber *executor_fibers_get(struct executor_fibers *fibers, struct fiber_host *host, bool more);
/* Its task has ended. */
void executor_fibers_put(struct executor_fibers *fibers, struct fiber *fiber);

/* It has left its thread to wait. */
void executor_fibers_wait(struct executor_fibers *fibers, struct fiber *fiber);
/* It may go on. */
void executor_fibers_go_on(struct executor_fibers *fibers, struct fiber *fiber);
/* The same for all whose time is over. */
void executor_fibers_look(struct executor_fibers *fibers);
/* The first that may go on; NULL: none. */
struct fiber *executor_fibers_take(struct executor_fibers *fibers);

#endif
