#include "lifecycle/engine.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "lifecycle/engine_state.h"

const char *outcome_name(enum outcome outcome)
{
    static const char *const names[] = {"none", "clean", "cut", "failed", "abandoned", "skipped"};
    return names[outcome];
}

struct engine *engine_new(const struct plan *plan)
{
    struct engine *engine = NEW(struct engine);
    engine->plan = plan;
    engine->now = INT64_MIN;
    engine->work_end = engine->start_end = ENGINE_NEVER;
    engine->parts = memory_zalloc((plan->count + 1) * sizeof *engine->parts);
    /* Per event and component: a limit, stacks; and one call of a step, one of destroy. */
    engine->actions = memory_zalloc((plan->count * 6U + 4) * sizeof *engine->actions);
    engine->calls = memory_zalloc((plan->count * 2U + 1) * sizeof *engine->calls);
    engine->left_count = plan->count;
    engine->plain_left = engine->plain_kept = plan->count - plan->base_count;
    engine->last_plain_at = INT64_MIN;
    for (uint32_t i = 0; i < plan->count; i++) {
        struct engine_part *part = &engine->parts[i];
        part->running = OP_NONE;
        part->end = part->timer = part->limit = ENGINE_NEVER;
        part->dependants_left = part->dependants_kept = plan->parts[i].dependant_count;
        part->last_dependant_at = INT64_MIN;
        part->waited_for_part = part->held_by = PLAN_NONE;
        part->restarts = memory_zalloc(((size_t)plan->parts[i].restart.most + 1) * sizeof *part->restarts);
    }
    return engine;
}

void engine_destroy(struct engine *engine)
{
    if (!engine)
        return;
    for (uint32_t i = 0; i < engine->plan->count; i++)
        free(engine->parts[i].restarts);
    free(engine->parts);
    free(engine->actions);
    free(engine->calls);
    free(engine);
}

void engine_copy_text(char *ret_text, const char *text)
{
    snprintf(ret_text, ENGINE_TEXT_SIZE, "%s", text ? text : "");
}

void engine_act(struct engine *engine, struct engine_action action)
{
    assert(engine->action_count + engine->call_count < engine->plan->count * 6U + 4);
    if (action.kind == ACTION_CALL)
        engine->calls[engine->call_count++] = action;
    else
        engine->actions[engine->action_count++] = action;
}

void engine_call(struct engine *engine, uint32_t index, enum op op, int64_t limit, int64_t timer)
{
    struct engine_part *part = part_of(engine, index);
    part->running = op;
    part->limit = limit;
    part->timer = timer;
    part->steps[op] = (struct engine_step){.called = true, .at = engine->now};
    engine_act(engine, (struct engine_action){.kind = ACTION_CALL, .part = index, .op = op, .limit = limit});
}

void engine_limit(struct engine *engine, uint32_t index, int64_t limit)
{
    struct engine_part *part = part_of(engine, index);
    if (limit >= part->limit)
        return;
    part->limit = limit;
    engine_act(engine, (struct engine_action){
                           .kind = ACTION_LIMIT, .part = index, .op = part->running, .limit = limit});
}

void engine_outcome(struct engine *engine, uint32_t index, enum op op, enum outcome outcome,
                    enum skip_why why)
{
    struct engine_step *step = &part_of(engine, index)->steps[op];
    if (step->outcome != OUTCOME_NONE)
        return;
    step->outcome = outcome;
    step->why = why;
    step->done = engine->now;
    step->used = step->called ? engine->now - step->at : 0;
}

void engine_skip(struct engine *engine, uint32_t index, enum op first, enum op last, enum skip_why why)
{
    for (enum op op = first; op <= last; op++) {
        bool has = engine->plan->parts[index].has[op];
        engine_outcome(engine, index, op, has ? OUTCOME_SKIPPED : OUTCOME_CLEAN, has ? why : SKIP_NONE);
    }
}

/* ---- Events ---- */

static void odd(struct engine *engine)
{
    engine->odd_count++;
}

static void returned(struct engine *engine, const struct engine_event *event)
{
    struct engine_part *part = part_of(engine, event->part);
    if (event->op >= OP_COUNT || part->running != event->op) {
        odd(engine);
        return;
    }
    part->running = OP_NONE;
    if (event->op == OP_START)
        start_returned(engine, event->part, event);
    else if (event->op == OP_DESTROY)
        exit_destroy_returned(engine, event->part, event);
    else
        stop_step_returned(engine, event->part, event);
}

static void signalled(struct engine *engine, const char *name)
{
    struct engine_signal *signal = &engine->signals[engine->signal_count++];
    signal->at = engine->now;
    snprintf(signal->name, sizeof signal->name, "%s", name ? name : "");
    if (engine->phase != PHASE_STOPPING)
        stop_begin(engine, CAUSE_SIGNAL, PLAN_NONE, name);
    else if (engine->signal_count == 2)
        stop_escalate(engine);
    else if (engine->signal_count == 3)
        exit_now(engine);
}

static void apply(struct engine *engine, const struct engine_event *event)
{
    bool of_part = event->kind == EVENT_RETURNED || event->kind == EVENT_FAILED;
    if ((of_part && event->part >= engine->plan->count) ||
        (engine->phase == PHASE_IDLE) != (event->kind == EVENT_RUN)) {
        odd(engine);
        return;
    }
    switch (event->kind) {
    case EVENT_TICK:
        break;
    case EVENT_HANDOVER:
        if (engine->phase == PHASE_RUNNING)
            stop_begin(engine, CAUSE_HANDOVER, PLAN_NONE, event->text);
        break;
    case EVENT_RUN:
        engine->phase = PHASE_STARTING;
        if (engine->plan->options.start_total_ms)
            engine->start_end = engine->now + engine->plan->options.start_total_ms;
        break;
    case EVENT_RETURNED:
        returned(engine, event);
        break;
    case EVENT_FAILED:
        start_failed_part(engine, event->part, event->text);
        break;
    case EVENT_STOP:
        stop_begin(engine, CAUSE_STOP, PLAN_NONE, event->text);
        break;
    case EVENT_SIGNAL:
        signalled(engine, event->text);
    }
}

/* A timer that is due at this very moment waits for the tick: a return at the same time wins over it. */
static void expire(struct engine *engine, bool tick)
{
    int64_t due = tick ? engine->now : engine->now - 1;
    for (uint32_t i = engine->plan->count; i-- > 0 && engine->phase != PHASE_EXITED;) {
        uint32_t index = engine->plan->order[i];
        struct engine_part *part = part_of(engine, index);
        if (part->timer > due)
            continue;
        part->timer = ENGINE_NEVER;
        if (part->state == PART_STARTING)
            start_timer(engine, index);
        else if (part->state == PART_ENDED)
            exit_destroy_timer(engine, index);
        else if (part->state != PART_BACKOFF) /* start_advance() sees that its time has come */
            stop_step_timer(engine, index);
    }
}

/* One pass each: components are taken in an order in which nothing that comes later makes something earlier
 * due, and destroy enables no step. */
static void advance(struct engine *engine)
{
    start_advance(engine); /* in a stop nobody waits to start */
    if (engine->phase == PHASE_STOPPING) {
        stop_advance(engine);
        exit_advance(engine);
    }
}

/* Whether `left` is called before `right`: destroys first, then in the order of stopping, or of starting. */
static bool sooner(const struct engine *engine, const struct engine_action *left,
                   const struct engine_action *right)
{
    if ((left->op == OP_DESTROY) != (right->op == OP_DESTROY))
        return left->op == OP_DESTROY;
    uint32_t left_rank = engine->plan->parts[left->part].rank,
             right_rank = engine->plan->parts[right->part].rank;
    return engine->phase == PHASE_STOPPING ? left_rank > right_rank : left_rank < right_rank;
}

/* Insertion: they are few and nearly sorted. */
static void sort_calls(struct engine *engine)
{
    for (uint32_t i = 1; i < engine->call_count; i++) {
        struct engine_action call = engine->calls[i];
        uint32_t at = i;
        for (; at > 0 && sooner(engine, &call, &engine->calls[at - 1]); at--)
            engine->calls[at] = engine->calls[at - 1];
        engine->calls[at] = call;
    }
}

const struct engine_action *engine_handle(struct engine *engine, const struct engine_event *event,
                                          int64_t now, uint32_t *ret_count)
{
    engine->action_count = engine->call_count = 0;
    *ret_count = 0;
    if (engine->phase == PHASE_EXITED)
        return engine->actions;

    engine->now = max_ms(engine->now, now);
    apply(engine, event);
    expire(engine, event->kind == EVENT_TICK);
    if (engine->phase != PHASE_IDLE)
        advance(engine);

    if (engine->phase == PHASE_EXITED) {
        engine_act(engine, (struct engine_action){.kind = ACTION_EXIT,
                                                  .part = PLAN_NONE,
                                                  .op = OP_NONE,
                                                  .status = engine->exit_status,
                                                  .forced = engine->forced});
    } else {
        sort_calls(engine);
        for (uint32_t i = 0; i < engine->call_count; i++)
            engine->actions[engine->action_count++] = engine->calls[i];
    }
    *ret_count = engine->action_count;
    return engine->actions;
}

int64_t engine_next_timer(const struct engine *engine)
{
    int64_t next = ENGINE_NEVER;
    if (engine->phase == PHASE_EXITED)
        return next;
    for (uint32_t i = 0; i < engine->plan->count; i++)
        next = min_ms(next, engine->parts[i].timer);
    if (engine->phase == PHASE_STOPPING && engine->now < engine->announce_until)
        next = min_ms(next, engine->announce_until);
    return next;
}

bool engine_ready(const struct engine *engine)
{
    return engine->phase == PHASE_RUNNING && engine->up_count == engine->plan->count;
}

bool engine_runs(const struct engine *engine, uint32_t part)
{
    return engine->parts[part].running != OP_NONE || engine->parts[part].stuck;
}
