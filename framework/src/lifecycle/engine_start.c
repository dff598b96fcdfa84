/* Start and restart: see the states in engine.h. */
#include <string.h>

#include "lifecycle/engine_state.h"

static void call_start(struct engine *engine, uint32_t index)
{
    struct engine_part *part = part_of(engine, index);
    const struct plan_part *plan = &engine->plan->parts[index];
    part->state = PART_STARTING;
    part->was_up = part->drained = part->stuck = part->failed = part->has_turn = false;
    part->work = (struct weir_work){0};
    for (enum op op = OP_START; op < OP_COUNT; op++)
        part->steps[op] = (struct engine_step){0};
    if (plan->has[OP_START]) {
        int64_t limit = engine->now + plan->start_timeout;
        if (engine->phase == PHASE_STARTING)
            limit = min_ms(limit, engine->start_end);
        engine_call(engine, index, OP_START, limit, limit + plan->cut_min);
        return;
    }
    part->state = PART_UP;
    part->was_up = true;
    part->up_at = engine->now;
    engine->up_count++;
}

static bool base_is_up(const struct engine *engine)
{
    for (uint32_t i = 0; i < engine->plan->base_count; i++)
        if (engine->parts[engine->plan->order[i]].state != PART_UP)
            return false;
    return true;
}

static bool needs_are_up(const struct engine *engine, uint32_t index)
{
    const struct plan_part *plan = &engine->plan->parts[index];
    for (uint32_t i = 0; i < plan->need_count; i++)
        if (engine->parts[plan->needs[i]].state != PART_UP)
            return false;
    return plan->base || base_is_up(engine);
}

void start_advance(struct engine *engine)
{
    for (uint32_t i = 0; i < engine->plan->count; i++) {
        uint32_t index = engine->plan->order[i];
        const struct engine_part *part = part_of(engine, index);
        bool waits = part->state == PART_NEW || (part->state == PART_BACKOFF && part->timer == ENGINE_NEVER);
        if (waits && engine->phase == PHASE_STARTING && engine->now >= engine->start_end) {
            stop_begin(engine, CAUSE_START, index,
                       "start_total_ms of the app was over before it could start");
            return;
        }
        if (waits && needs_are_up(engine, index))
            call_start(engine, index);
    }
    if (engine->phase == PHASE_STARTING && engine->up_count == engine->plan->count) {
        engine->phase = PHASE_RUNNING;
        engine->was_ready = true;
        engine_act(engine, (struct engine_action){.kind = ACTION_READY, .part = PLAN_NONE, .op = OP_NONE});
    }
}

/* ---- Restart ---- */

/* One more is within `most` in `within_ms`. */
static bool take_restart(struct engine *engine, uint32_t index)
{
    struct engine_part *part = part_of(engine, index);
    const struct plan_restart *policy = &engine->plan->parts[index].restart;
    uint32_t most = (uint32_t)policy->most, expired = 0;
    while (expired < part->restart_count && part->restarts[expired] + policy->within_ms <= engine->now)
        expired++;
    part->restart_count -= expired;
    memmove(part->restarts, part->restarts + expired, part->restart_count * sizeof *part->restarts);
    if (part->restart_count == most)
        return false;
    part->restarts[part->restart_count++] = engine->now;
    part->restart_total++;
    return true;
}

void start_back_off(struct engine *engine, uint32_t index)
{
    struct engine_part *part = part_of(engine, index);
    const struct plan_restart *policy = &engine->plan->parts[index].restart;
    int64_t wait = policy->first_backoff_ms;
    for (uint32_t i = 1; i < part->restart_count && wait < policy->longest_backoff_ms; i++)
        wait *= 2;
    part->state = PART_BACKOFF;
    part->timer = engine->now + min_ms(wait, policy->longest_backoff_ms);
}

void start_failed_part(struct engine *engine, uint32_t index, const char *text)
{
    struct engine_part *part = part_of(engine, index);
    if (part->state == PART_STARTING) { /* looked at when its start returns */
        if (!part->failed)
            engine_copy_text(part->failure, text);
        part->failed = true;
    } else if (engine->phase == PHASE_STOPPING) {
        part->failed = true;
        stop_cut(engine, index);
    } else if (part->state == PART_UP) {
        engine_copy_text(part->failure, text);
        part->failed = true;
        if (engine->phase == PHASE_RUNNING && take_restart(engine, index)) {
            engine->up_count--;
            stop_turn(engine, index);
        } else {
            stop_begin(engine, CAUSE_COMPONENT, index, text);
        }
    }
    /* Down already, or gone: nothing that was not known. */
}

/* ---- Start returned ---- */

static void start_succeeded(struct engine *engine, uint32_t index)
{
    struct engine_part *part = part_of(engine, index);
    engine_outcome(engine, index, OP_START, OUTCOME_CLEAN, SKIP_NONE);
    part->was_up = true;
    if (part->state == PART_ENDED) /* too late: nobody will drain it */
        return;
    bool failed_meanwhile = part->failed;
    part->state = PART_UP;
    part->timer = ENGINE_NEVER;
    part->up_at = engine->now;
    engine->up_count++;
    if (failed_meanwhile && engine->phase != PHASE_STOPPING) {
        char text[ENGINE_TEXT_SIZE];
        engine_copy_text(text, part->failure);
        start_failed_part(engine, index, text);
    }
}

static void start_did_not(struct engine *engine, uint32_t index, const char *text)
{
    struct engine_part *part = part_of(engine, index);
    engine_outcome(engine, index, OP_START, OUTCOME_FAILED, SKIP_NONE);
    if (part->state == PART_ENDED)
        return;
    bool restart = engine->phase == PHASE_RUNNING;
    if (restart && take_restart(engine, index)) {
        start_back_off(engine, index);
        return;
    }
    engine_skip(engine, index, OP_QUIESCE, OP_FINISH, SKIP_START_FAILED);
    stop_end_part(engine, index);
    if (restart)
        stop_begin(engine, CAUSE_COMPONENT, index, part->failure);
    else
        stop_begin(engine, CAUSE_START, index, text);
}

void start_returned(struct engine *engine, uint32_t index, const struct engine_event *event)
{
    struct engine_step *step = &part_of(engine, index)->steps[OP_START];
    if (step->outcome == OUTCOME_NONE) {
        step->status = event->status;
        if (event->status != WEIR_OK)
            engine_copy_text(step->text, event->text);
    }
    if (event->status == WEIR_OK)
        start_succeeded(engine, index);
    else
        start_did_not(engine, index, event->text);
}

/* Its timeout, then cut_min to notice; in a stop, the time that it was given to return. */
void start_timer(struct engine *engine, uint32_t index)
{
    struct engine_part *part = part_of(engine, index);
    if (engine->phase == PHASE_RUNNING) {
        stop_begin(engine, CAUSE_COMPONENT, index, part->failure);
    } else if (engine->phase == PHASE_STARTING) {
        stop_begin(engine, CAUSE_START, index,
                   part->limit == engine->start_end
                       ? "did not return before start_total_ms of the app was over"
                       : "did not return in start_timeout_ms");
    } else {
        engine_outcome(engine, index, OP_START, OUTCOME_ABANDONED, SKIP_NONE);
        engine_skip(engine, index, OP_QUIESCE, OP_FINISH, SKIP_OWN_ABANDONED);
        engine_act(engine, (struct engine_action){.kind = ACTION_STACKS, .part = index, .op = OP_START});
        stop_end_part(engine, index);
    }
}
