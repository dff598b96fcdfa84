/* A stop: its begin, turns, steps, second signal. A restart uses the same steps for one component. */
#include "lifecycle/engine_state.h"

static bool stopping(const struct engine *engine)
{
    return engine->phase == PHASE_STOPPING;
}

static int64_t reserve_of(const struct engine *engine, uint32_t index)
{
    return engine->plan->parts[index].reserve;
}

/* ---- Begin ---- */

/* Cancelled, and given its reserve to return, but no less than the usual one: whatever comes before its
 * latest end costs nobody anything. Its own timeout may have passed: limits only move earlier. */
static void cancel_start(struct engine *engine, uint32_t index)
{
    struct engine_part *part = part_of(engine, index);
    int64_t time = max_ms(reserve_of(engine, index), PLAN_CUT_MIN_DEFAULT_MS);
    engine_limit(engine, index, engine->now);
    part->timer = min_ms(engine->now + time, part->end);
}

static void begin_part(struct engine *engine, uint32_t index)
{
    struct engine_part *part = part_of(engine, index);
    part->end = engine->t0 + engine->plan->parts[index].end;
    switch (part->state) {
    case PART_NEW:
        engine_skip(engine, index, OP_START, OP_FINISH, SKIP_NOT_STARTED);
        stop_end_part(engine, index);
        break;
    case PART_STARTING:
        cancel_start(engine, index);
        break;
    case PART_BACKOFF:
        for (enum op op = OP_QUIESCE; op <= OP_FINISH; op++)
            part->steps[op] = (struct engine_step){0};
        engine_skip(engine, index, OP_QUIESCE, OP_FINISH, SKIP_WAS_DOWN);
        stop_end_part(engine, index);
        break;
    default: /* a restart's steps are the stop's own from now on: they had their reserve, which fits any window */
        break;
    }
}

void stop_begin(struct engine *engine, enum cause_kind kind, uint32_t part, const char *text)
{
    if (stopping(engine))
        return;
    engine->cause.kind = kind;
    engine->cause.part = part;
    engine_copy_text(engine->cause.text, text);
    bool announced = engine->phase == PHASE_RUNNING && kind != CAUSE_HANDOVER;
    engine->phase = PHASE_STOPPING;
    engine->t0 = engine->now;
    engine->announce_until = engine->t0 + (announced ? engine->plan->options.pre_drain_ms : 0);
    engine->work_end = engine->t0 + engine->plan->work;
    engine_act(engine, (struct engine_action){.kind = ACTION_ANNOUNCE, .part = PLAN_NONE, .op = OP_NONE});
    for (uint32_t i = engine->plan->count; i-- > 0;)
        begin_part(engine, engine->plan->order[i]);
}

/* ---- Steps ---- */

void stop_end_part(struct engine *engine, uint32_t index)
{
    struct engine_part *part = part_of(engine, index);
    const struct plan_part *plan = &engine->plan->parts[index];
    part->state = PART_ENDED;
    part->timer = ENGINE_NEVER;
    part->ended_at = engine->now;
    engine->left_count--;
    for (uint32_t i = 0; i < plan->need_count; i++) {
        struct engine_part *on = part_of(engine, plan->needs[i]);
        on->dependants_left--;
        on->last_dependant = index;
        on->last_dependant_at = engine->now;
    }
    if (plan->base)
        return;
    engine->plain_left--;
    engine->last_plain = index;
    engine->last_plain_at = engine->now;
}

/* In a stop a step that has no time at all is not called: nothing would come of it but a thread that runs. */
static bool has_time(const struct engine *engine, const struct engine_part *part, enum op op)
{
    return engine->now < (op == OP_FINISH ? part->end : part->give_up);
}

static void call_step(struct engine *engine, uint32_t index, enum op op)
{
    static const enum part_state states[] = {
        [OP_QUIESCE] = PART_QUIESCE, [OP_DRAIN] = PART_DRAIN, [OP_FINISH] = PART_FINISH};
    struct engine_part *part = part_of(engine, index);
    const struct plan_part *plan = &engine->plan->parts[index];
    part->state = states[op];
    if (op == OP_QUIESCE)
        engine_call(engine, index, op, part->give_up, part->give_up);
    else if (op == OP_DRAIN)
        engine_call(engine, index, op, max_ms(part->until, engine->now), part->give_up);
    else if (stopping(engine))
        engine_call(engine, index, op, part->end, part->end);
    else /* told finish_min; cut_min more to say what it could not */
        engine_call(engine, index, op, engine->now + plan->finish_min, engine->now + plan->reserve);
}

/* Calls the first operation from `op` on that it has. */
static void go_on(struct engine *engine, uint32_t index, enum op op)
{
    struct engine_part *part = part_of(engine, index);
    for (; op <= OP_FINISH; op++) {
        if (engine->plan->parts[index].has[op]) {
            if (has_time(engine, part, op)) {
                call_step(engine, index, op);
                return;
            }
            stop_begin(engine, CAUSE_COMPONENT, index, part->failure); /* no restart over what was left out */
            break;
        }
        if (op == OP_DRAIN)
            part->drained = true;
    }
    if (stopping(engine))
        stop_end_part(engine, index);
    else
        start_back_off(engine, index);
}

static void remember_wait(struct engine *engine, uint32_t index)
{
    struct engine_part *part = part_of(engine, index);
    const struct plan_part *plan = &engine->plan->parts[index];
    int64_t latest = engine->t0;
    if (!plan->announcer && engine->announce_until > latest) {
        part->waited_for = WAIT_PRE_DRAIN;
        latest = engine->announce_until;
    }
    if (part->up_at > latest) {
        part->waited_for = WAIT_START;
        latest = part->up_at;
    }
    if (part->last_dependant_at > latest) {
        part->waited_for = WAIT_PART;
        part->waited_for_part = part->last_dependant;
        latest = part->last_dependant_at;
    }
    if (plan->base && engine->last_plain_at > latest) {
        part->waited_for = WAIT_PART;
        part->waited_for_part = engine->last_plain;
    }
}

static bool escalated(const struct engine *engine)
{
    return engine->signal_count >= 2;
}

void stop_turn(struct engine *engine, uint32_t index)
{
    struct engine_part *part = part_of(engine, index);
    const struct plan_part *plan = &engine->plan->parts[index];
    int64_t now = engine->now;
    part->has_turn = true;
    part->turn = part->until = now;
    if (stopping(engine)) {
        if (!escalated(engine) && !part->failed) {
            int64_t until = part->end - plan->reserve;
            if (plan->drain_max >= 0)
                until = min_ms(until, now + plan->drain_max);
            part->until = max_ms(now, until);
        }
        remember_wait(engine, index);
    }
    part->give_up = min_ms(part->until + plan->reserve, part->end);
    go_on(engine, index, OP_QUIESCE);
}

/* Its drain shall end now. */
void stop_cut(struct engine *engine, uint32_t index)
{
    struct engine_part *part = part_of(engine, index);
    if (part->state != PART_QUIESCE && part->state != PART_DRAIN)
        return;
    part->until = min_ms(part->until, engine->now);
    part->give_up = min_ms(part->give_up, engine->now + reserve_of(engine, index));
    part->timer = part->give_up;
    engine_limit(engine, index, part->state == PART_DRAIN ? engine->now : part->give_up);
}

static void add_work(struct weir_work *sum, const struct weir_work *work)
{
    sum->in_flight += work->in_flight;
    sum->completed += work->completed;
    sum->cancelled += work->cancelled;
    sum->stuck += work->stuck;
    sum->kept += work->kept;
    sum->undelivered += work->undelivered;
    sum->uncommitted += work->uncommitted;
}

static bool lost_something(const struct weir_work *work)
{
    return work->cancelled || work->stuck || work->kept || work->undelivered || work->uncommitted;
}

static void remember_step(struct engine *engine, uint32_t index, const struct engine_event *event)
{
    struct engine_part *part = part_of(engine, index);
    struct engine_step *step = &part->steps[event->op];
    if (event->work && event->op != OP_QUIESCE)
        add_work(&part->work, event->work);
    if (event->op == OP_QUIESCE && !engine->plan->parts[index].has[OP_DRAIN])
        part->drained = true;
    if (event->op == OP_DRAIN) {
        part->drained = true;
        part->stuck = event->work && event->work->stuck > 0;
    }
    if (step->outcome != OUTCOME_NONE) /* it comes late: what was said stays said */
        return;
    step->status = event->status;
    if (event->status != WEIR_OK)
        engine_copy_text(step->text, event->text);
    bool cut = event->op != OP_QUIESCE && event->work && lost_something(event->work);
    engine_outcome(engine, index, event->op,
                   event->status != WEIR_OK ? OUTCOME_FAILED
                   : cut                    ? OUTCOME_CUT
                                            : OUTCOME_CLEAN,
                   SKIP_NONE);
}

void stop_step_returned(struct engine *engine, uint32_t index, const struct engine_event *event)
{
    struct engine_part *part = part_of(engine, index);
    remember_step(engine, index, event);
    if (part->state == PART_ENDED)
        return;
    if (part->stuck) /* no restart over work that still runs */
        stop_begin(engine, CAUSE_COMPONENT, index, part->failure);
    go_on(engine, index, event->op + 1);
}

void stop_step_timer(struct engine *engine, uint32_t index)
{
    struct engine_part *part = part_of(engine, index);
    enum op op = part->running;
    engine_outcome(engine, index, op, OUTCOME_ABANDONED, SKIP_NONE);
    engine_skip(engine, index, op, OP_FINISH, SKIP_OWN_ABANDONED);
    engine_act(engine, (struct engine_action){.kind = ACTION_STACKS, .part = index, .op = op});
    stop_end_part(engine, index);
    stop_begin(engine, CAUSE_COMPONENT, index, part->failure);
}

/* ---- Turns ---- */

static bool may_have_turn(const struct engine *engine, uint32_t index)
{
    const struct engine_part *part = &engine->parts[index];
    const struct plan_part *plan = &engine->plan->parts[index];
    if (part->state != PART_UP || part->dependants_left || (plan->base && engine->plain_left))
        return false;
    return plan->announcer || engine->now >= engine->announce_until;
}

void stop_advance(struct engine *engine)
{
    for (uint32_t i = engine->plan->count; i-- > 0;)
        if (may_have_turn(engine, engine->plan->order[i]))
            stop_turn(engine, engine->plan->order[i]);
}

/* ---- The second signal ---- */

static void escalate_part(struct engine *engine, uint32_t index)
{
    struct engine_part *part = part_of(engine, index);
    part->end = min_ms(part->end, engine->work_end - engine->plan->parts[index].tail);
    stop_cut(engine, index);
    if (part->state == PART_STARTING || part->state == PART_FINISH)
        part->timer = min_ms(part->timer, part->end);
    if (part->state == PART_FINISH)
        engine_limit(engine, index, part->end);
}

void stop_escalate(struct engine *engine)
{
    int64_t longest = 0;
    for (uint32_t i = 0; i < engine->plan->count; i++) {
        const struct engine_part *part = part_of(engine, i);
        const struct plan_part *plan = &engine->plan->parts[i];
        if (part->state != PART_ENDED)
            longest =
                max_ms(longest, (part->state == PART_FINISH ? plan->finish_min : plan->reserve) + plan->tail);
    }
    engine->announce_until = min_ms(engine->announce_until, engine->now);
    engine->work_end = min_ms(engine->work_end, engine->now + longest);
    for (uint32_t i = 0; i < engine->plan->count; i++) {
        struct engine_part *part = part_of(engine, i);
        if (part->state != PART_ENDED)
            escalate_part(engine, i);
        else if (part->destroy == DESTROY_RUNNING)
            part->timer = min_ms(part->timer, engine->work_end);
    }
}
