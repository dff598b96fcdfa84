#include "lifecycle/report_path.h"

#include <stdlib.h>

#include "core/memory.h"

static void push(struct path *path, uint32_t part, enum op op, int64_t used, bool abandoned)
{
    if (used > 0)
        path->parts[path->count++] = (struct path_part){part, op, used, abandoned};
}

static uint32_t last_to_end(const struct engine *engine)
{
    uint32_t last = PLAN_NONE;
    for (uint32_t i = engine->plan->count; i-- > 0;) {
        uint32_t index = engine->plan->order[i];
        if (engine->parts[index].state == PART_ENDED &&
            (last == PLAN_NONE || engine->parts[index].ended_at >= engine->parts[last].ended_at))
            last = index;
    }
    return last;
}

static int64_t in_stop(const struct engine *engine, int64_t at)
{
    return at > engine->t0 ? at : engine->t0;
}

/* Inside a component nothing waits: from its end back to its turn. */
static void own_steps(const struct engine *engine, uint32_t index, struct path *path)
{
    const struct engine_part *part = &engine->parts[index];
    int64_t end = part->ended_at;
    for (enum op op = OP_FINISH; op >= OP_START; op--) {
        const struct engine_step *step = &part->steps[op];
        if (op == OP_START && part->has_turn)
            break;
        if (step->called && end > engine->t0) {
            push(path, index, op, end - in_stop(engine, step->at), step->outcome == OUTCOME_ABANDONED);
            end = in_stop(engine, step->at);
        }
        if (op == OP_START)
            break;
    }
}

static void reverse(struct path *path)
{
    for (uint32_t i = 0, k = path->count; i + 1 < k; i++) {
        k--;
        struct path_part swap = path->parts[i];
        path->parts[i] = path->parts[k];
        path->parts[k] = swap;
    }
}

void path_find(const struct engine *engine, struct path *ret_path)
{
    struct path *path = ret_path;
    *path = (struct path){.parts = memory_alloc((engine->plan->count * OP_COUNT + 3U) * sizeof *path->parts)};
    uint32_t at = last_to_end(engine);
    if (at == PLAN_NONE) {
        push(path, PLAN_NONE, OP_NONE, engine->exited_at - engine->t0, false);
        return;
    }
    push(path, PLAN_NONE, OP_DESTROY, engine->exited_at - engine->parts[at].ended_at, false);
    for (;;) {
        const struct engine_part *part = &engine->parts[at];
        own_steps(engine, at, path);
        if (!part->has_turn || part->waited_for != WAIT_PART) {
            if (part->has_turn && part->waited_for == WAIT_PRE_DRAIN)
                push(path, PLAN_NONE, OP_NONE, part->turn - engine->t0, false);
            else if (part->has_turn && part->waited_for == WAIT_START)
                push(path, at, OP_START, part->turn - engine->t0, false);
            break;
        }
        at = part->waited_for_part;
    }
    reverse(path);
}

void path_free(struct path *path)
{
    free(path->parts);
    *path = (struct path){0};
}

void path_name(const struct engine *engine, const struct path_part *part, struct weir_buffer *out)
{
    if (part->part != PLAN_NONE)
        weir_buffer_printf(out, "%s %s", engine->plan->parts[part->part].name, op_name(part->op));
    else
        weir_buffer_append_text(out, part->op == OP_DESTROY ? "destroy" : "pre_drain");
}
