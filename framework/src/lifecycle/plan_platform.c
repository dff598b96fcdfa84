#include "lifecycle/plan_platform.h"

#include <stdlib.h>

#include "core/memory.h"

int64_t platform_seconds(int64_t ms)
{
    return (ms + 999) / 1000;
}

int64_t platform_grace_s(const struct plan *plan)
{
    return platform_seconds(plan->options.deadline_ms) + PLATFORM_LEAVE_S;
}

/* The longest chain of start timeouts, in ms. */
static int64_t longest_start(const struct plan *plan)
{
    int64_t longest = 0, base = 0;
    int64_t *until = memory_zalloc((plan->count + 1) * sizeof *until);
    for (uint32_t i = 0; i < plan->count; i++) { /* base stands first in a plan's order */
        const struct plan_part *part = &plan->parts[plan->order[i]];
        int64_t begin = part->base ? 0 : base;
        for (uint32_t k = 0; k < part->need_count; k++)
            if (until[part->needs[k]] > begin)
                begin = until[part->needs[k]];
        int64_t end = begin + (part->has[OP_START] ? part->start_timeout : 0);
        until[plan->order[i]] = end;
        longest = end > longest ? end : longest;
        base = part->base && end > base ? end : base;
    }
    free(until);
    return longest;
}

int64_t platform_start_s(const struct plan *plan)
{
    int64_t start = plan->options.start_total_ms ? plan->options.start_total_ms : longest_start(plan);
    return platform_seconds(start) + platform_grace_s(plan);
}
