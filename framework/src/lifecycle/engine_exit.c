/* Destroy and exit: what may still be used is not destroyed; the process waits for nobody who was given up.
 */
#include "lifecycle/engine_state.h"

#include <sysexits.h>

static void destroyed(struct engine *engine, uint32_t index)
{
    const struct plan_part *plan = &engine->plan->parts[index];
    part_of(engine, index)->destroy = DESTROY_DONE;
    for (uint32_t i = 0; i < plan->need_count; i++)
        part_of(engine, plan->needs[i])->dependants_kept--;
    engine->plain_kept -= !plan->base;
}

void exit_destroy_returned(struct engine *engine, uint32_t index, const struct engine_event *event)
{
    (void)event;
    part_of(engine, index)->timer = ENGINE_NEVER;
    engine_outcome(engine, index, OP_DESTROY, OUTCOME_CLEAN, SKIP_NONE);
    destroyed(engine, index);
}

void exit_destroy_timer(struct engine *engine, uint32_t index)
{
    part_of(engine, index)->destroy = DESTROY_ABANDONED;
    engine_outcome(engine, index, OP_DESTROY, OUTCOME_ABANDONED, SKIP_NONE);
    engine_act(engine, (struct engine_action){.kind = ACTION_STACKS, .part = index, .op = OP_DESTROY});
}

/* Why it cannot be destroyed now; SKIP_NONE when it can. */
static enum skip_why held(const struct engine *engine, uint32_t index)
{
    const struct engine_part *part = &engine->parts[index];
    if (part->running != OP_NONE)
        return SKIP_RUNS;
    if (part->stuck)
        return SKIP_STUCK;
    if (part->was_up && !part->drained)
        return SKIP_NOT_DRAINED;
    if (part->dependants_kept || (engine->plan->parts[index].base && engine->plain_kept))
        return SKIP_HELD;
    return SKIP_NONE;
}

static void call_destroy(struct engine *engine, uint32_t index)
{
    struct engine_part *part = part_of(engine, index);
    if (!engine->plan->parts[index].has[OP_DESTROY]) {
        engine_outcome(engine, index, OP_DESTROY, OUTCOME_CLEAN, SKIP_NONE);
        destroyed(engine, index);
        return;
    }
    int64_t limit = min_ms(engine->now + engine->plan->options.destroy_max_ms, engine->work_end);
    part->destroy = DESTROY_RUNNING;
    engine_call(engine, index, OP_DESTROY, limit, limit);
}

/* The one at the root of it: who needs `index`, was not destroyed, and is held by nobody else. */
static uint32_t holder(const struct engine *engine, uint32_t index)
{
    for (uint32_t i = engine->plan->count; i-- > 0;) {
        uint32_t other = engine->plan->order[i];
        if (engine->parts[other].destroy != DESTROY_DONE && plan_needs(engine->plan, other, index))
            return engine->parts[other].held_by != PLAN_NONE ? engine->parts[other].held_by : other;
    }
    return PLAN_NONE;
}

/* In stop order, so that who holds is known before who is held. */
static void close_accounts(struct engine *engine, enum skip_why why_not_called)
{
    for (uint32_t i = engine->plan->count; i-- > 0;) {
        uint32_t index = engine->plan->order[i];
        struct engine_part *part = part_of(engine, index);
        if (part->running != OP_NONE && part->steps[part->running].outcome == OUTCOME_NONE)
            engine_outcome(engine, index, part->running, OUTCOME_ABANDONED, SKIP_NONE);
        engine_skip(engine, index, OP_START, OP_FINISH, why_not_called);
        enum skip_why why = held(engine, index);
        if (why == SKIP_HELD)
            part->held_by = holder(engine, index);
        engine_skip(engine, index, OP_DESTROY, OP_DESTROY, why == SKIP_NONE ? why_not_called : why);
    }
}

static bool step_is_clean(const struct engine_step *step)
{
    return step->outcome == OUTCOME_CLEAN ||
           (step->outcome == OUTCOME_SKIPPED &&
            (step->why == SKIP_NOT_STARTED || step->why == SKIP_START_FAILED || step->why == SKIP_WAS_DOWN));
}

bool engine_clean(const struct engine *engine)
{
    for (uint32_t i = 0; i < engine->plan->count; i++) {
        if (engine_runs(engine, i))
            return false;
        for (enum op op = OP_QUIESCE; op <= OP_FINISH; op++)
            if (!step_is_clean(&engine->parts[i].steps[op]))
                return false;
    }
    return true;
}

static int status_of(const struct engine *engine)
{
    if (engine->cause.kind == CAUSE_START)
        return EX_UNAVAILABLE;
    if (engine->cause.kind == CAUSE_COMPONENT)
        return EX_SOFTWARE;
    return engine_clean(engine) ? 0 : EX_TEMPFAIL;
}

static void leave(struct engine *engine, enum skip_why why_not_called)
{
    close_accounts(engine, why_not_called);
    for (uint32_t i = 0; i < engine->plan->count; i++)
        engine->forced = engine->forced || engine_runs(engine, i);
    engine->exit_status = status_of(engine);
    engine->exited_at = engine->now;
    engine->phase = PHASE_EXITED;
}

void exit_now(struct engine *engine)
{
    leave(engine, SKIP_SIGNAL);
}

void exit_advance(struct engine *engine)
{
    bool destroying = false;
    for (uint32_t i = engine->plan->count; i-- > 0;) {
        uint32_t index = engine->plan->order[i];
        const struct engine_part *part = part_of(engine, index);
        if (part->state == PART_ENDED && part->destroy == DESTROY_NO && engine->now < engine->work_end &&
            held(engine, index) == SKIP_NONE)
            call_destroy(engine, index);
        destroying = destroying || part->destroy == DESTROY_RUNNING;
    }
    if (!destroying && engine->left_count == 0)
        leave(engine, SKIP_DEADLINE);
}
