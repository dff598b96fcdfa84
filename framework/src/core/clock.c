#include "core/clock.h"

#include <stddef.h>
#include <time.h>

#include <weir/clock.h>

static const struct weir_clock_source *source;
static const struct virtual_clock *virtual_clock;

static int64_t read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * WEIR_NS_PER_S + now.tv_nsec;
}

int64_t weir_now_ns(void)
{
    return source ? source->now_ns(source->self) : read_clock(CLOCK_MONOTONIC);
}

int64_t weir_unix_ns(void)
{
    return source ? source->unix_ns(source->self) : read_clock(CLOCK_REALTIME);
}

int64_t weir_deadline_in_ms(int64_t ms)
{
    int64_t ns, deadline;
    if (ms < 0 || __builtin_mul_overflow(ms, WEIR_NS_PER_MS, &ns) ||
        __builtin_add_overflow(weir_now_ns(), ns, &deadline))
        return WEIR_NEVER;
    return deadline;
}

void weir_clock_set_source(const struct weir_clock_source *new_source)
{
    source = new_source;
}

void clock_set_virtual(const struct virtual_clock *clock)
{
    virtual_clock = clock;
}

bool clock_wait_begin(struct clock_wait *wait)
{
    if (!virtual_clock)
        return false;
    virtual_clock->begin(wait);
    return true;
}

void clock_wait_end(struct clock_wait *wait)
{
    virtual_clock->end(wait);
}
