/* "stopping, 12.0 s of 25.0: rest draining (cut at 20.5); relay, executor wait for rest" */
#include <stdlib.h>

#include "core/memory.h"
#include "lifecycle/report.h"

static double seconds(const struct engine *engine, int64_t at)
{
    return (double)(at - engine->t0) / 1000;
}

/* Who the others wait for, in the end: a dependant that has not ended and is in an operation; PLAN_NONE:
 * nobody. */
static uint32_t waits_for(const struct engine *engine, uint32_t index)
{
    const struct plan *plan = engine->plan;
    for (uint32_t i = plan->count; i-- > 0;) {
        uint32_t other = plan->order[i];
        if (engine->parts[other].state != PART_ENDED && plan_needs(plan, other, index)) {
            uint32_t root = waits_for(engine, other);
            return root == PLAN_NONE ? other : root;
        }
    }
    return PLAN_NONE;
}

static const char *doing(const struct engine_part *part)
{
    switch (part->state) {
    case PART_STARTING:
        return "cancelled in start";
    case PART_QUIESCE:
        return "closing";
    case PART_DRAIN:
        return "draining";
    case PART_FINISH:
        return "finishing";
    default:
        return part->destroy == DESTROY_RUNNING ? "being destroyed" : NULL;
    }
}

static void busy_ones(const struct engine *engine, const char **separator, struct weir_buffer *out)
{
    for (uint32_t i = engine->plan->count; i-- > 0;) {
        uint32_t index = engine->plan->order[i];
        const struct engine_part *part = &engine->parts[index];
        if (!doing(part))
            continue;
        weir_buffer_printf(out, "%s%s %s", *separator, engine->plan->parts[index].name, doing(part));
        if (part->state == PART_DRAIN || part->state == PART_QUIESCE)
            weir_buffer_printf(out, " (cut at %.1f)", seconds(engine, part->until));
        else
            weir_buffer_printf(out, " (until %.1f)", seconds(engine, part->timer));
        *separator = "; ";
    }
}

static void waiting_ones(const struct engine *engine, const char **separator, struct weir_buffer *out)
{
    const struct plan *plan = engine->plan;
    bool *said = memory_zalloc((plan->count + 1) * sizeof *said);
    for (uint32_t i = plan->count; i-- > 0;) {
        uint32_t root =
            engine->parts[plan->order[i]].state == PART_UP ? waits_for(engine, plan->order[i]) : PLAN_NONE;
        if (root == PLAN_NONE || said[plan->order[i]])
            continue;
        uint32_t count = 0;
        for (uint32_t k = i + 1; k-- > 0;) {
            uint32_t index = plan->order[k];
            if (engine->parts[index].state != PART_UP || said[index] || waits_for(engine, index) != root)
                continue;
            weir_buffer_printf(out, "%s%s", count++ ? ", " : *separator, plan->parts[index].name);
            said[index] = true;
        }
        weir_buffer_printf(out, " %s for %s", count == 1 ? "waits" : "wait", plan->parts[root].name);
        *separator = "; ";
    }
    free(said);
}

void report_progress(const struct engine *engine, int64_t now, struct weir_buffer *out)
{
    weir_buffer_printf(out, "stopping, %.1f s of %.1f: ", seconds(engine, now),
                       (double)engine->plan->options.deadline_ms / 1000);
    const char *separator = "";
    if (now < engine->announce_until) {
        weir_buffer_printf(out, "announced until %.1f", seconds(engine, engine->announce_until));
        separator = "; ";
    }
    busy_ones(engine, &separator, out);
    waiting_ones(engine, &separator, out);
    weir_buffer_append_text(out, "\n");
}
