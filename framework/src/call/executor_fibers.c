#include "call/executor_fibers.h"

#include <stddef.h>

#include <weir/clock.h>

void executor_fibers_init(struct executor_fibers *fibers)
{
    *fibers = (struct executor_fibers){0};
    fibers->last_resumed = &fibers->resumed;
}

void executor_fibers_clean_up(struct executor_fibers *fibers)
{
    while (fibers->spare) {
        struct fiber *fiber = fibers->spare;
        fibers->spare = fiber->next;
        fiber_destroy(fiber);
    }
}

struct fiber *executor_fibers_get(struct executor_fibers *fibers, struct fiber_host *host, bool more)
{
    struct fiber *fiber = fibers->spare;
    if (fiber)
        fibers->spare = fiber->next;
    else if (more && fibers_available())
        fiber = fiber_new(host);
    return fiber;
}

void executor_fibers_put(struct executor_fibers *fibers, struct fiber *fiber)
{
    fiber->next = fibers->spare;
    fibers->spare = fiber;
}

void executor_fibers_wait(struct executor_fibers *fibers, struct fiber *fiber)
{
    fiber->link = NULL;
    if (fiber->until_ns == WEIR_NEVER)
        return;
    fiber->next = fibers->limited;
    if (fiber->next)
        fiber->next->link = &fiber->next;
    fiber->link = &fibers->limited;
    fibers->limited = fiber;
}

static void wait_no_more(struct fiber *fiber)
{
    if (!fiber->link)
        return;
    *fiber->link = fiber->next;
    if (fiber->next)
        fiber->next->link = fiber->link;
    fiber->link = NULL;
}

void executor_fibers_go_on(struct executor_fibers *fibers, struct fiber *fiber)
{
    wait_no_more(fiber);
    fiber->next = NULL;
    *fibers->last_resumed = fiber;
    fibers->last_resumed = &fiber->next;
}

void executor_fibers_look(struct executor_fibers *fibers)
{
    int64_t now = weir_now_ns();
    if (now < fibers->look_ns)
        return;
    fibers->look_ns = now + EXECUTOR_FIBERS_LOOK_NS;
    for (struct fiber *fiber = fibers->limited, *next; fiber; fiber = next) {
        next = fiber->next;
        if (fiber->until_ns <= now && fiber_overdue(fiber))
            executor_fibers_go_on(fibers, fiber);
    }
}

struct fiber *executor_fibers_take(struct executor_fibers *fibers)
{
    struct fiber *fiber = fibers->resumed;
    if (!fiber)
        return NULL;
    fibers->resumed = fiber->next;
    if (!fibers->resumed)
        fibers->last_resumed = &fibers->resumed;
    return fiber;
}
