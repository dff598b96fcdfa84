/* A stack of its own for a task, so that the task can wait while the thread that ran it does something else.
 *
 * A fiber runs on whatever thread resumes it, one at a time, and may go on on another one than it began on. It
 * gives its thread back by parker_wait() (core/parker.h) only, never elsewhere: everything else that blocks
 * blocks the thread. So nothing that belongs to a thread may be held across a parker_wait(): no mutex, no
 * address of a thread-local variable.
 *
 * Where this cannot be done (other processors than x86-64) there are none: fibers_available() is false. */
#ifndef WEIR_CORE_FIBER_H
#define WEIR_CORE_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fiber;
struct parker;

/* Who runs fibers. Embedded in the one that does. */
struct fiber_host {
    /* What a fiber waited for has come, or it should look again. Any thread. */
    void (*ready)(struct fiber_host *host, struct fiber *fiber);
};

struct fiber {
    struct fiber_host *host;
    void (*run)(void *arg); /* the task under way */
    void *arg;
    void *stack_pointer, *carrier_stack_pointer; /* of the one that does not run */
    void *stack;
    size_t stack_size;
    bool waits; /* it came back to wait at `parker`, until until_ns at the latest */
    struct parker *parker;
    int64_t until_ns;
    struct fiber *next, **link; /* these three: the host's */
    void *kept;
    void *sanitizer_fiber, *sanitizer_carrier, *fake_stack, *carrier_fake_stack;
    const void *carrier_bottom;
    size_t carrier_size;
};

bool fibers_available(void);
/* NULL: no memory for its stack. */
struct fiber *fiber_new(struct fiber_host *host);
/* It runs nothing. */
void fiber_destroy(struct fiber *fiber);

/* Runs it until its task ends (true) or waits (false; see fiber_stays()). */
bool fiber_resume(struct fiber *fiber);
/* After fiber_resume() was false: true when it waits from now on, and host->ready will be called or
 * fiber_overdue() must; false: what it waits for is there, resume it. */
bool fiber_stays(struct fiber *fiber);
/* Its time is over: true when it is to be resumed for that, and host->ready will not be called. */
bool fiber_overdue(struct fiber *fiber);

/* The one that runs on this thread; NULL: none. */
struct fiber *fiber_self(void);
/* Runs on: a fiber. Gives its thread back until it is resumed. */
void fiber_wait(struct parker *parker, int64_t until_ns);

#endif
