/* A place where one waits to be told, as at a semaphore that counts to one. A thread sleeps there; a fiber gives
 * its thread to others meanwhile. Who tells takes no lock that the one who wakes up would have to wait for. */
#ifndef WEIR_CORE_PARKER_H
#define WEIR_CORE_PARKER_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct fiber;

struct parker {
    atomic_int state; /* enum parker_state in parker.c */
    struct fiber *fiber;
    sem_t asleep;
};

void parker_init(struct parker *parker);
/* Nobody waits; who told has only to be past the point where the waiter could go on. */
void parker_clean_up(struct parker *parker);

/* Any thread. Told again before somebody waits counts once. */
void parker_tell(struct parker *parker);
/* One thread or fiber at a time. Returns at once when it was told before. */
void parker_wait(struct parker *parker);
/* The same, until until_ns of CLOCK_MONOTONIC at the latest. */
void parker_wait_until(struct parker *parker, int64_t until_ns);

/* For fiber.c: begins to wait for a fiber, false when it was told; ends that wait, false when it is told just now. */
bool parker_park(struct parker *parker, struct fiber *fiber);
bool parker_unpark(struct parker *parker);

#endif
