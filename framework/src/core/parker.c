#include "core/parker.h"

#include <time.h>

#include <weir/clock.h>

#include "core/fiber.h"

enum parker_state { EMPTY, TOLD, A_FIBER, A_THREAD };

void parker_init(struct parker *parker)
{
    atomic_init(&parker->state, EMPTY);
    parker->fiber = NULL;
    sem_init(&parker->asleep, 0, 0);
}

void parker_clean_up(struct parker *parker)
{
    sem_destroy(&parker->asleep);
}

static bool move(struct parker *parker, int from, int to)
{
    return atomic_compare_exchange_strong(&parker->state, &from, to);
}

void parker_tell(struct parker *parker)
{
    switch (atomic_exchange(&parker->state, TOLD)) {
    case A_FIBER: { /* it stays until it is resumed */
        struct fiber *fiber = parker->fiber;
        fiber->host->ready(fiber->host, fiber);
        break;
    }
    case A_THREAD:
        sem_post(&parker->asleep);
        break;
    default: /* nobody is there yet; from here on it may be gone */
        break;
    }
}

bool parker_park(struct parker *parker, struct fiber *fiber)
{
    parker->fiber = fiber;
    return move(parker, EMPTY, A_FIBER);
}

bool parker_unpark(struct parker *parker)
{
    return move(parker, A_FIBER, EMPTY);
}

static void sleep_until(struct parker *parker, int64_t until_ns)
{
    if (!move(parker, EMPTY, A_THREAD))
        return;
    struct timespec until = {.tv_sec = until_ns / WEIR_NS_PER_S, .tv_nsec = until_ns % WEIR_NS_PER_S};
    int failed = until_ns == WEIR_NEVER ? sem_wait(&parker->asleep)
                                        : sem_clockwait(&parker->asleep, CLOCK_MONOTONIC, &until);
    if (failed && !move(parker, A_THREAD, EMPTY)) /* time or a signal; and told just now */
        while (sem_wait(&parker->asleep) != 0)
            ;
}

void parker_wait_until(struct parker *parker, int64_t until_ns)
{
    if (!move(parker, TOLD, EMPTY)) {
        if (fiber_self())
            fiber_wait(parker, until_ns);
        else
            sleep_until(parker, until_ns);
        (void)move(parker, TOLD, EMPTY);
    }
}

void parker_wait(struct parker *parker)
{
    while (!move(parker, TOLD, EMPTY)) {
        if (fiber_self())
            fiber_wait(parker, WEIR_NEVER);
        else
            while (atomic_load(&parker->state) == EMPTY)
                sleep_until(parker, WEIR_NEVER);
    }
}
