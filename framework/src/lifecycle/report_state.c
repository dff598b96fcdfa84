/* What each component does now: for SIGUSR1, at any time of the process's life. */
#include <stdio.h>
#include <unistd.h>

#include "lifecycle/report.h"
#include "lifecycle/text.h"

static const char *part_name(const struct engine *engine, uint32_t index)
{
    return engine->plan->parts[index].name;
}

static void first_line(const struct engine *engine, const char *app_name, int64_t now,
                       struct weir_buffer *out)
{
    uint32_t up = 0, count = engine->plan->count;
    for (uint32_t i = 0; i < count; i++)
        up += engine->parts[i].state == PART_UP;
    weir_buffer_printf(out, "%s (pid %d): ", app_name, (int)getpid());
    switch (engine->phase) {
    case PHASE_STARTING:
        weir_buffer_printf(out, "starting, %u of %u are up\n", up, count);
        break;
    case PHASE_STOPPING:
        weir_buffer_printf(out, "stopping, %s s", text_seconds(now - engine->t0).text);
        weir_buffer_printf(out, " of %s, %u not ended\n",
                           text_seconds(engine->plan->options.deadline_ms).text, engine->left_count);
        break;
    default:
        weir_buffer_printf(out, "%s, %u of %u are up\n", engine_ready(engine) ? "ready" : "not ready", up,
                           count);
    }
}

struct now_of_part {
    const char *doing;
    int64_t since; /* NEVER: it has no begin */
    int64_t until; /* NEVER: without a limit */
};

static struct now_of_part operation(const struct engine_part *part, const char *doing, enum op op)
{
    return (struct now_of_part){doing, part->steps[op].at, part->timer};
}

static struct now_of_part ended(const struct engine_part *part)
{
    switch (part->destroy) {
    case DESTROY_DONE:
        return (struct now_of_part){"destroyed", part->steps[OP_DESTROY].done, ENGINE_NEVER};
    case DESTROY_RUNNING:
        return operation(part, "being destroyed", OP_DESTROY);
    default:
        return (struct now_of_part){part->running != OP_NONE ? "given up, still runs" : "ended",
                                    part->ended_at, ENGINE_NEVER};
    }
}

static struct now_of_part look_at(const struct engine_part *part)
{
    switch (part->state) {
    case PART_NEW:
        return (struct now_of_part){"not started", ENGINE_NEVER, ENGINE_NEVER};
    case PART_STARTING:
        return operation(part, "starting", OP_START);
    case PART_UP:
        return (struct now_of_part){"up", part->up_at, ENGINE_NEVER};
    case PART_QUIESCE:
        return operation(part, "closing", OP_QUIESCE);
    case PART_DRAIN:
        return operation(part, "draining", OP_DRAIN);
    case PART_FINISH:
        return operation(part, "finishing", OP_FINISH);
    case PART_BACKOFF:
        return (struct now_of_part){"restarts soon", ENGINE_NEVER, part->timer};
    default:
        return ended(part);
    }
}

static void add_name(struct weir_buffer *out, const char *name)
{
    weir_buffer_printf(out, "%s%s", out->size ? ", " : "", name);
}

/* Its own edges only: each row says the next step of the way. */
static void waits_for(const struct engine *engine, uint32_t index, int64_t now, struct weir_buffer *out)
{
    const struct plan *plan = engine->plan;
    const struct engine_part *part = &engine->parts[index];
    bool to_start = part->state == PART_NEW || part->state == PART_BACKOFF;
    if (engine->phase == PHASE_STOPPING && part->state == PART_UP && now < engine->announce_until &&
        !plan->parts[index].announcer)
        add_name(out, "announcement");
    for (uint32_t i = 0; i < plan->count; i++) {
        enum part_state other = engine->parts[i].state;
        if (to_start && other != PART_UP && plan_needs(plan, index, i))
            add_name(out, part_name(engine, i));
        if (engine->phase == PHASE_STOPPING && part->state == PART_UP && other != PART_ENDED &&
            plan_needs(plan, i, index))
            add_name(out, part_name(engine, i));
    }
}

static void row(const struct engine *engine, uint32_t index, int64_t now, struct table *table)
{
    struct now_of_part part = look_at(&engine->parts[index]);
    const struct seconds since = text_seconds(part.since == ENGINE_NEVER ? 0 : now - part.since),
                         left = text_seconds(part.until == ENGINE_NEVER ? 0 : part.until - now);
    struct weir_buffer waits = {0};
    waits_for(engine, index, now, &waits);
    const char *cells[] = {
        part_name(engine, index),
        part.doing,
        part.since == ENGINE_NEVER ? NULL : since.text,
        part.until == ENGINE_NEVER ? NULL : left.text,
        waits.size ? weir_buffer_text(&waits) : NULL,
    };
    table_row(table, cells, NULL);
    weir_buffer_free(&waits);
}

void report_state(const struct engine *engine, const char *app_name, int64_t now, struct weir_buffer *out)
{
    static const char *const head[] = {"component", "now", "for s", "s left", "waits for"};
    first_line(engine, app_name, now, out);
    struct table table;
    table_begin(&table, 5, 1U << 0 | 1U << 1 | 1U << 4);
    table_row(&table, head, NULL);
    for (uint32_t i = engine->plan->count; i-- > 0;)
        row(engine, engine->plan->order[i], now, &table);
    table_end(&table, out);
}
