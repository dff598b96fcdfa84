#include "test.h"

#include "invariants_seen.h"

#include <stdio.h>

#define NEVER INT64_MAX

static int64_t least(int64_t left, int64_t right)
{
    return left < right ? left : right;
}

static int64_t most(int64_t left, int64_t right)
{
    return left > right ? left : right;
}

const char *const invariants_rules[INVARIANTS_RULES] = {"S1",  "S2", "S3", "S4",  "S5",  "S6",
                                                        "S7",  "S8", "S9", "S10", "S11", "S12",
                                                        "S13", "L1", "L2", "L3",  "L4",  "L5"};

void seen_broken(struct invariants *seen, const char *rule, uint32_t part, int64_t now)
{
    static const char *const of_time[] = {"S2", "S5", "S6", "S7", "S11:", "S13", "L"};
    for (size_t i = 0; seen->frozen && i < sizeof of_time / sizeof of_time[0]; i++)
        if (strncmp(rule, of_time[i], strlen(of_time[i])) == 0)
            return;
    for (uint32_t i = 0; i < INVARIANTS_RULES; i++)
        if (strcspn(rule, ": ") == strlen(invariants_rules[i]) &&
            strncmp(rule, invariants_rules[i], strlen(invariants_rules[i])) == 0)
            seen->rules |= 1U << i;
    if (!seen->broken[0])
        snprintf(seen->broken, sizeof seen->broken, "%s: %s at %lld", rule,
                 part == PLAN_NONE ? "" : seen->plan->parts[part].name, (long long)now);
}

void invariants_init(struct invariants *seen, const struct plan *plan)
{
    memset(seen, 0, sizeof *seen);
    seen->plan = plan;
    seen->work_end = seen->start_end = NEVER;
    for (uint32_t i = 0; i < plan->count; i++) {
        struct seen_part *part = &seen->parts[i];
        part->running = OP_NONE;
        part->until = part->give_up = part->finish_end = part->start_end = part->destroy_end = part->end =
            NEVER;
    }
}

/* ---- What the rules say of a component ---- */

bool seen_has_steps(const struct plan_part *plan)
{
    return plan->has[OP_QUIESCE] || plan->has[OP_DRAIN] || plan->has[OP_FINISH];
}

enum op seen_last_step(const struct plan_part *plan)
{
    return plan->has[OP_FINISH] ? OP_FINISH : plan->has[OP_DRAIN] ? OP_DRAIN : OP_QUIESCE;
}

bool seen_had_turn(const struct seen_part *part)
{
    return part->called[OP_QUIESCE] || part->called[OP_DRAIN] || part->called[OP_FINISH];
}

static bool serves(const struct seen_part *part)
{
    return part->up && !part->restarting && !seen_had_turn(part);
}

static bool needs_serve(const struct invariants *seen, uint32_t index)
{
    for (uint32_t i = 0; i < seen->plan->count; i++)
        if (i != index && plan_needs(seen->plan, index, i) && !serves(&seen->parts[i]))
            return false;
    return true;
}

/* Whether what is due now counts: a return of this very moment wins over the clock, until the tick. */
enum due { DUE_COUNTS, DUE_WAITS };

static bool turn_may_come(const struct invariants *seen, uint32_t index, int64_t now, enum due due);

/* Its dependencies need not wait for it any more. */
static bool ended(const struct invariants *seen, uint32_t index, int64_t now, enum due due)
{
    const struct seen_part *part = &seen->parts[index];
    const struct plan_part *plan = &seen->plan->parts[index];
    if (part->gone || part->called[OP_DESTROY])
        return true;
    if (part->running != OP_NONE && due == DUE_WAITS)
        now--;
    if (part->running == OP_START)
        return now >= part->start_end;
    if (!part->up)
        return true;
    if (!seen_has_steps(plan))
        return turn_may_come(seen, index, now, due);
    if (part->returned[seen_last_step(plan)] || now >= part->end)
        return true;
    return part->called[OP_FINISH] ? now >= part->finish_end : seen_had_turn(part) && now >= part->give_up;
}

static bool turn_may_come(const struct invariants *seen, uint32_t index, int64_t now, enum due due)
{
    for (uint32_t i = 0; i < seen->plan->count; i++)
        if (i != index && plan_needs(seen->plan, i, index) && !ended(seen, i, now, due))
            return false;
    bool announced = due == DUE_WAITS ? seen->announced : now >= seen->announce_until;
    return seen->plan->parts[index].announcer || announced;
}

static bool drained(const struct invariants *seen, uint32_t index)
{
    const struct seen_part *part = &seen->parts[index];
    const struct plan_part *plan = &seen->plan->parts[index];
    if (part->late_up)
        return false;
    if (!part->up)
        return true;
    return plan->has[OP_DRAIN] ? part->returned[OP_DRAIN]
                               : !plan->has[OP_QUIESCE] || part->returned[OP_QUIESCE];
}

static bool destroyed(const struct invariants *seen, uint32_t index, int64_t now);

bool seen_may_be_destroyed(const struct invariants *seen, uint32_t index, int64_t now)
{
    const struct seen_part *part = &seen->parts[index];
    if (part->running != OP_NONE || part->stuck || !drained(seen, index) ||
        !ended(seen, index, now, DUE_COUNTS))
        return false;
    for (uint32_t i = 0; i < seen->plan->count; i++)
        if (i != index && plan_needs(seen->plan, i, index) && !destroyed(seen, i, now))
            return false;
    return true;
}

static bool destroyed(const struct invariants *seen, uint32_t index, int64_t now)
{
    return seen->plan->parts[index].has[OP_DESTROY] ? seen->parts[index].returned[OP_DESTROY]
                                                    : seen_may_be_destroyed(seen, index, now);
}

/* ---- Events ---- */

static int64_t time_of(const struct seen_part *part, enum op op)
{
    if (op == OP_START)
        return part->start_end;
    if (op == OP_DESTROY)
        return part->destroy_end;
    return op == OP_FINISH ? part->finish_end : part->give_up;
}

static bool too_late(const struct seen_part *part, enum op op, int64_t now)
{
    return now > time_of(part, op);
}

static bool lost_something(const struct weir_work *work)
{
    return work && (work->cancelled || work->stuck || work->kept || work->undelivered || work->uncommitted);
}

static void see_return(struct invariants *seen, const struct engine_event *event, int64_t now)
{
    struct seen_part *part = &seen->parts[event->part];
    const struct plan_part *plan = &seen->plan->parts[event->part];
    bool late = part->given_up || (!seen->frozen && too_late(part, event->op, now));
    part->running = OP_NONE;
    part->returned[event->op] = true;
    part->returned_at[event->op] = now;
    if (!late) {
        bool lost = (event->op == OP_DRAIN || event->op == OP_FINISH) && lost_something(event->work);
        part->expected[event->op] = event->status != WEIR_OK && event->op != OP_DESTROY ? OUTCOME_FAILED
                                    : lost                                              ? OUTCOME_CUT
                                                                                        : OUTCOME_CLEAN;
        part->statuses[event->op] = event->op == OP_DESTROY ? WEIR_OK : event->status;
    }
    if (event->op == OP_DESTROY)
        return;
    if (event->op == OP_START) {
        part->late_start = seen->stopping;
        part->up = event->status == WEIR_OK && !late;
        part->late_up = event->status == WEIR_OK && late;
        part->unclean = late && seen_has_steps(plan);
        seen->may_restart = part->failed && part->up;
        return;
    }
    if (event->op == OP_DRAIN)
        part->stuck = event->work && event->work->stuck;
    part->unclean = part->unclean || late || event->status != WEIR_OK ||
                    (event->op != OP_QUIESCE && lost_something(event->work));
    if (!seen->stopping && event->op == seen_last_step(plan) && !part->stuck) {
        part->up = false; /* until its next start */
        part->unclean = false;
        memset(part->outcomes, 0, sizeof part->outcomes);
    }
}

static void cut_now(struct invariants *seen, uint32_t index, int64_t now)
{
    struct seen_part *part = &seen->parts[index];
    if (!seen_had_turn(part))
        return;
    part->until = least(part->until, now);
    if (part->running == OP_DRAIN)
        part->most = least(part->most, now);
    part->give_up = least(least(part->give_up, now + seen->plan->parts[index].reserve), part->end);
}

static void see_second_signal(struct invariants *seen, int64_t now)
{
    int64_t longest = 0;
    for (uint32_t i = 0; i < seen->plan->count; i++) {
        const struct plan_part *plan = &seen->plan->parts[i];
        bool in_finish = seen->parts[i].running == OP_FINISH;
        if (!ended(seen, i, now, DUE_WAITS))
            longest = most(longest, (in_finish ? plan->finish_min : plan->reserve) + plan->tail);
    }
    seen->announce_until = least(seen->announce_until, now);
    seen->work_end = least(seen->work_end, now + longest);
    for (uint32_t i = 0; i < seen->plan->count; i++) {
        struct seen_part *part = &seen->parts[i];
        if (!ended(seen, i, now, DUE_WAITS)) {
            part->end = least(part->end, seen->work_end - seen->plan->parts[i].tail);
            part->start_end = least(part->start_end, part->end);
            part->finish_end = least(part->finish_end, part->end);
            if (part->running == OP_FINISH)
                part->most = least(part->most, part->end);
            if (!part->called[OP_FINISH])
                cut_now(seen, i, now);
        }
        part->destroy_end = least(part->destroy_end, seen->work_end);
    }
}

void invariants_event(struct invariants *seen, const struct engine_event *event, int64_t now)
{
    seen->event = event->kind;
    seen->event_part = event->part;
    seen->may_restart = false;
    if (event->kind == EVENT_RUN) {
        if (seen->plan->options.start_total_ms)
            seen->start_end = now + seen->plan->options.start_total_ms;
    } else if (event->kind == EVENT_RETURNED) {
        see_return(seen, event, now);
    } else if (event->kind == EVENT_FAILED) {
        struct seen_part *part = &seen->parts[event->part];
        part->failed = part->failed || part->up || part->running == OP_START;
        seen->may_restart = serves(part);
        if (seen->stopping && !part->called[OP_FINISH] && !ended(seen, event->part, now, DUE_WAITS))
            cut_now(seen, event->part, now);
    } else if (event->kind == EVENT_SIGNAL) {
        seen->signals++;
        seen->third = seen->signals >= 3;
        if (seen->stopping && seen->signals == 2)
            see_second_signal(seen, now);
    }
}

/* ---- Actions ---- */

/* Its steps were those of a restart; whether it started stays. */
static void forget_cycle(struct seen_part *part)
{
    memset(part->outcomes, 0, sizeof part->outcomes);
    for (enum op op = OP_QUIESCE; op <= OP_FINISH; op++) {
        part->called[op] = part->returned[op] = false;
        part->expected[op] = OUTCOME_NONE;
        part->statuses[op] = WEIR_OK;
    }
}

static void see_announcement(struct invariants *seen, int64_t now)
{
    EXPECT(!seen->stopping, "S10", PLAN_NONE);
    seen->stopping = true;
    seen->t0 = now;
    seen->announce_until =
        now + (seen->ready && seen->event != EVENT_HANDOVER ? seen->plan->options.pre_drain_ms : 0);
    seen->work_end = now + seen->plan->options.deadline_ms - seen->plan->options.report_ms;
    for (uint32_t i = 0; i < seen->plan->count; i++) {
        struct seen_part *part = &seen->parts[i];
        const struct plan_part *plan = &seen->plan->parts[i];
        part->end = now + plan->end;
        part->in_restart = seen_had_turn(part);
        part->give_up = least(part->give_up, part->end);
        part->finish_end = least(part->finish_end, part->end);
        if (part->running == OP_START)
            part->most = least(part->most, now);
        if (part->running == OP_START)
            part->start_end = least(now + most(plan->reserve, PLAN_CUT_MIN_DEFAULT_MS), part->end);
        if (!part->up && part->running == OP_NONE)
            forget_cycle(part);
    }
}

static void see_start(struct invariants *seen, uint32_t index, int64_t limit, int64_t now)
{
    struct seen_part *part = &seen->parts[index];
    int64_t end = now + seen->plan->parts[index].start_timeout;
    EXPECT(limit == (seen->ready ? end : least(end, seen->start_end)) && now < limit, "S6", index);
    EXPECT(!seen->stopping, "S1", index);
    EXPECT(needs_serve(seen, index), "S1", index);
    EXPECT(!part->up, "S3", index);
    *part = (struct seen_part){.running = OP_NONE,
                               .until = NEVER,
                               .give_up = NEVER,
                               .finish_end = NEVER,
                               .start_end = NEVER,
                               .destroy_end = NEVER,
                               .end = NEVER};
}

/* The first step of a component, in a stop or in its restart. */
static void see_turn(struct invariants *seen, uint32_t index, int64_t now)
{
    struct seen_part *part = &seen->parts[index];
    const struct plan_part *plan = &seen->plan->parts[index];
    part->until = now;
    if (!seen->stopping) {
        EXPECT(part->failed, "S3", index);
        part->give_up = now + plan->reserve;
        return;
    }
    for (uint32_t i = 0; i < seen->plan->count; i++)
        if (i != index && plan_needs(seen->plan, i, index))
            EXPECT(ended(seen, i, now, DUE_COUNTS), "S2", index);
    EXPECT(plan->announcer || now >= seen->announce_until, "S13", index);
    EXPECT(part->late_start || now + plan->reserve + plan->tail <= seen->work_end, "S6", index);
    if (seen->signals < 2 && !part->failed) {
        int64_t until = part->end - plan->reserve;
        if (plan->drain_max >= 0)
            until = least(until, now + plan->drain_max);
        part->until = most(now, until);
    }
    part->give_up = least(part->until + plan->reserve, part->end);
}

static void see_step(struct invariants *seen, uint32_t index, enum op op, int64_t limit, int64_t now)
{
    struct seen_part *part = &seen->parts[index];
    const struct plan_part *plan = &seen->plan->parts[index];
    EXPECT(part->up, "S12", index);
    for (enum op before = OP_QUIESCE; before < op; before++)
        EXPECT(!plan->has[before] || part->returned[before], "S3", index);
    for (enum op after = op; after < OP_COUNT; after++)
        EXPECT(!part->called[after], "S3", index);
    if (!seen_had_turn(part))
        see_turn(seen, index, now);
    if (seen->stopping) {
        EXPECT(limit <= part->end, "S6", index);
        EXPECT(now < part->end, "S6", index);
    }
    EXPECT(op == OP_FINISH || now < part->give_up, "S6", index);
    if (op == OP_DRAIN)
        EXPECT(limit == most(part->until, now), "S6", index);
    if (op == OP_FINISH) {
        part->finish_end = seen->stopping ? part->end : now + plan->reserve;
        bool in_time = !plan->has[OP_DRAIN] || part->returned_at[OP_DRAIN] <= part->until + plan->cut_min;
        bool whole_slot = !part->late_start && !part->in_restart && plan->has[OP_DRAIN];
        EXPECT(!whole_slot || !in_time || limit - now >= plan->finish_min, "S7", index);
    }
}

static void see_call(struct invariants *seen, const struct engine_action *action, int64_t now)
{
    uint32_t index = action->part;
    struct seen_part *part = &seen->parts[index];
    EXPECT(seen->plan->parts[index].has[action->op], "S3", index);
    EXPECT(part->running == OP_NONE, "S3", index);
    if (action->op == OP_START) {
        see_start(seen, index, action->limit, now);
    } else if (action->op == OP_DESTROY) {
        EXPECT(seen->stopping, "S4", index);
        EXPECT(!part->called[OP_DESTROY], "S4", index);
        EXPECT(seen_may_be_destroyed(seen, index, now), "S4", index);
        part->destroy_end = least(now + seen->plan->options.destroy_max_ms, seen->work_end);
    } else {
        see_step(seen, index, action->op, action->limit, now);
    }
    EXPECT(!seen->stopping || now < seen->work_end, "L1", index);
    part->called[action->op] = true;
    part->given_up = false;
    part->running = action->op;
    part->limit = part->most = action->limit;
}

static void see_limit(struct invariants *seen, const struct engine_action *action, int64_t now)
{
    struct seen_part *part = &seen->parts[action->part];
    EXPECT(part->running == action->op, "S8", action->part);
    EXPECT(action->limit < part->limit, "S8", action->part);
    EXPECT(action->limit <= part->end, "S6", action->part);
    part->limit = action->limit;
}

static void see_given_up(struct invariants *seen, const struct engine_action *action, int64_t now)
{
    struct seen_part *part = &seen->parts[action->part];
    EXPECT(part->running == action->op, "S9", action->part);
    EXPECT(now >= time_of(part, action->op), "L4", action->part);
    part->given_up = true;
    part->expected[action->op] = OUTCOME_ABANDONED;
}

/* Components without a start are up as soon as all that they need is. */
static void see_who_is_up(struct invariants *seen)
{
    for (uint32_t i = 0; i < seen->plan->count; i++) {
        uint32_t index = seen->plan->order[i];
        struct seen_part *part = &seen->parts[index];
        if (!seen->plan->parts[index].has[OP_START] && !part->up && needs_serve(seen, index))
            part->up = true;
    }
}

static void check_ready(struct invariants *seen, int64_t now)
{
    EXPECT(!seen->ready && !seen->stopping, "S1", PLAN_NONE);
    seen->ready = true;
    for (uint32_t i = 0; i < seen->plan->count; i++)
        EXPECT(serves(&seen->parts[i]), "S1", i);
}

static void check_outcomes(struct invariants *seen, const struct engine *engine, int64_t now)
{
    for (uint32_t i = 0; i < seen->plan->count; i++) {
        for (enum op op = OP_START; op < OP_COUNT; op++) {
            enum outcome outcome = engine->parts[i].steps[op].outcome;
            EXPECT(seen->parts[i].outcomes[op] == OUTCOME_NONE || seen->parts[i].outcomes[op] == outcome,
                   "S9", i);
            if (seen->stopping)
                seen->parts[i].outcomes[op] = outcome;
        }
    }
}

static bool something_goes_on(const struct invariants *seen, int64_t now, enum due due)
{
    for (uint32_t i = 0; i < seen->plan->count; i++) {
        const struct seen_part *part = &seen->parts[i];
        bool waits = part->up && !seen_had_turn(part) && !seen->plan->parts[i].announcer;
        if (waits && now < seen->announce_until)
            return true;
        if (part->running == OP_DESTROY ? now < part->destroy_end + (due == DUE_WAITS)
                                        : part->running != OP_NONE && !ended(seen, i, now, due))
            return true;
    }
    return false;
}

static void check_progress(struct invariants *seen, int64_t now, enum due due)
{
    EXPECT(something_goes_on(seen, now, due), "L2", PLAN_NONE);
    for (uint32_t i = 0; i < seen->plan->count; i++) {
        struct seen_part *part = &seen->parts[i];
        bool waits = part->up && !seen_had_turn(part) && seen_has_steps(&seen->plan->parts[i]);
        bool has_time = now < part->end && now < seen->work_end;
        EXPECT(!waits || !has_time || !turn_may_come(seen, i, now, due), "L3", i);
    }
    for (uint32_t i = 0; i < seen->plan->count; i++)
        seen->parts[i].gone = seen->parts[i].gone || (due == DUE_COUNTS && ended(seen, i, now, due));
}

/* No state without a next event, but the one in which all serve. */
static void check_next(struct invariants *seen, const struct engine *engine, int64_t now)
{
    int64_t longest = 0;
    bool all_serve = !seen->stopping;
    for (uint32_t i = 0; i < seen->plan->count; i++) {
        all_serve = all_serve && serves(&seen->parts[i]);
        longest = most(longest, seen->plan->parts[i].cut_min);
    }
    EXPECT(seen->exited || all_serve || engine_next_timer(engine) != NEVER, "L1", PLAN_NONE);
    EXPECT(!seen->exited || engine_next_timer(engine) == NEVER, "S10", PLAN_NONE);
    bool starting = !seen->ready && !seen->stopping;
    EXPECT(!starting || seen->start_end == NEVER || now <= seen->start_end + longest, "L1", PLAN_NONE);
}

/* What runs was told of every limit that has become earlier. */
static void check_limits(struct invariants *seen, int64_t now)
{
    for (uint32_t i = 0; i < seen->plan->count; i++) {
        const struct seen_part *part = &seen->parts[i];
        EXPECT(part->running == OP_NONE || part->given_up || part->gone || part->limit <= part->most, "S6",
               i);
    }
}

static bool announces(const struct engine_action *actions, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (actions[i].kind == ACTION_ANNOUNCE)
            return true;
    return false;
}

const char *invariants_actions(struct invariants *seen, const struct engine_action *actions, uint32_t count,
                               const struct engine *engine, int64_t now)
{
    EXPECT(!seen->exited || count == 0, "S10", PLAN_NONE);
    if (!seen->stopping && !announces(actions, count)) {
        if (seen->may_restart) {
            struct seen_part *part = &seen->parts[seen->event_part];
            part->restarting = true;
            part->up = seen_has_steps(&seen->plan->parts[seen->event_part]);
        }
        see_who_is_up(seen);
    }
    for (uint32_t i = 0; i < count; i++) {
        switch (actions[i].kind) {
        case ACTION_ANNOUNCE:
            see_announcement(seen, now);
            break;
        case ACTION_LIMIT:
            see_limit(seen, &actions[i], now);
            break;
        case ACTION_READY:
            check_ready(seen, now);
            break;
        case ACTION_CALL:
            see_call(seen, &actions[i], now);
            break;
        case ACTION_EXIT:
            EXPECT(seen->stopping && !seen->exited && i + 1 == count, "S10", PLAN_NONE);
            seen->exited = true;
            break;
        case ACTION_STACKS:
            see_given_up(seen, &actions[i], now);
            break;
        }
    }
    check_outcomes(seen, engine, now);
    check_next(seen, engine, now);
    EXPECT(seen->stopping || (seen->event != EVENT_SIGNAL && seen->event != EVENT_STOP), "S10", PLAN_NONE);
    EXPECT(seen->stopping || seen->event != EVENT_HANDOVER || engine->phase == PHASE_STARTING, "S10",
           PLAN_NONE);
    if (seen->stopping) {
        seen->announced = now >= seen->announce_until;
        const struct engine_cause *cause = &engine->cause;
        EXPECT(seen->cause == CAUSE_NONE || (seen->cause == cause->kind && seen->cause_part == cause->part),
               "S10", PLAN_NONE);
        seen->cause = cause->kind;
        seen->cause_part = cause->part;
        check_limits(seen, now);
        EXPECT(seen->third || seen->signals >= 2 || now <= seen->work_end, "L1", PLAN_NONE);
        EXPECT(seen->third || seen->signals < 2 || now <= seen->work_end, "L5", PLAN_NONE);
        /* The tick that began the stop gave limits that may be due by now: they have a tick of their own. */
        bool all_due = seen->event == EVENT_TICK && !announces(actions, count);
        if (!seen->exited)
            check_progress(seen, now, all_due ? DUE_COUNTS : DUE_WAITS);
    }
    return seen->broken[0] ? seen->broken : NULL;
}
