/* The deadlines of exchanges: a binary heap per loop. */
#include "core/memory.h"
#include "engines/microhttpd/internal.h"

static void place(struct loop *loop, size_t at, struct exchange *exchange)
{
    loop->timers[at] = exchange;
    exchange->timer_index = at + 1;
}

static void sift_up(struct loop *loop, size_t at)
{
    struct exchange *exchange = loop->timers[at];
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (loop->timers[parent]->deadline_ns <= exchange->deadline_ns)
            break;
        place(loop, at, loop->timers[parent]);
        at = parent;
    }
    place(loop, at, exchange);
}

static void sift_down(struct loop *loop, size_t at)
{
    struct exchange *exchange = loop->timers[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= loop->timer_count)
            break;
        if (child + 1 < loop->timer_count &&
            loop->timers[child + 1]->deadline_ns < loop->timers[child]->deadline_ns)
            child++;
        if (exchange->deadline_ns <= loop->timers[child]->deadline_ns)
            break;
        place(loop, at, loop->timers[child]);
        at = child;
    }
    place(loop, at, exchange);
}

static void remove_timer(struct exchange *exchange)
{
    struct loop *loop = exchange->loop;
    size_t at = exchange->timer_index - 1;
    exchange->timer_index = 0;
    struct exchange *last = loop->timers[--loop->timer_count];
    if (last == exchange)
        return;
    place(loop, at, last);
    sift_up(loop, at);
    sift_down(loop, last->timer_index - 1);
}

void timer_set(struct exchange *exchange, int64_t deadline_ns)
{
    struct loop *loop = exchange->loop;
    if (exchange->timer_index > 0)
        remove_timer(exchange);
    exchange->deadline_ns = deadline_ns;
    if (deadline_ns == WEIR_NEVER)
        return;
    if (loop->timer_count == loop->timer_capacity) {
        loop->timer_capacity = loop->timer_capacity ? 2 * loop->timer_capacity : 64;
        loop->timers = memory_realloc(loop->timers, loop->timer_capacity * sizeof(struct exchange *));
    }
    loop->timers[loop->timer_count] = exchange;
    sift_up(loop, loop->timer_count++);
}

void timers_fire(struct loop *loop)
{
    while (loop->timer_count > 0 && loop->timers[0]->deadline_ns <= loop->now_ns) {
        struct exchange *exchange = loop->timers[0];
        remove_timer(exchange);
        if (loop->engine->ops->expired && atomic_load(&exchange->phase) == EXCHANGE_OPEN)
            loop->engine->ops->expired(exchange);
    }
}

int64_t timers_next(const struct loop *loop)
{
    return loop->timer_count > 0 ? loop->timers[0]->deadline_ns : WEIR_NEVER;
}
