/* Waiting for a time, as a virtual clock must know of it. Every wait of weir's that time alone can end goes by
 * condition_wait() or by these; see <weir/clock.h> for reading the clock. */
#ifndef WEIR_CORE_CLOCK_H
#define WEIR_CORE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct clock_wait {
    int64_t until_ns;
    /* Called when `until_ns` has come, again and again until the wait has ended: wakes who waits. On the thread
     * that moves the time; must not block. */
    void (*wake)(struct clock_wait *wait);
    bool late; /* of those that are due at the same time it is woken last */
    struct clock_wait *next, **link;
};

/* The test kit's. */
struct virtual_clock {
    void (*begin)(struct clock_wait *wait);
    void (*end)(struct clock_wait *wait);
};
/* NULL: time is real. Set before threads run. Borrows. */
void clock_set_virtual(const struct virtual_clock *clock);

/* True when time is virtual: then wait without a limit until woken, but not at all if `until_ns` has come by
 * now, and call clock_wait_end(). False: nothing was begun. Any thread. */
bool clock_wait_begin(struct clock_wait *wait);
void clock_wait_end(struct clock_wait *wait);

#endif
