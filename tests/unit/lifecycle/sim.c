#include "test.h"

#include "sim.h"

#include <stdio.h>

void sim_init(struct sim *sim, const struct plan *plan)
{
    memset(sim, 0, sizeof *sim);
    sim->plan = plan;
    sim->engine = engine_new(plan);
    invariants_init(&sim->invariants, plan);
}

void sim_clean_up(struct sim *sim)
{
    engine_destroy(sim->engine);
    weir_buffer_free(&sim->trace);
}

void sim_at(struct sim *sim, int64_t at, struct engine_event event)
{
    if (sim->external_count < SIM_EXTERNALS_MAX)
        sim->externals[sim->external_count++] = (struct sim_external){.at = at, .event = event};
}

static void trace(struct sim *sim, const char *what, uint32_t part)
{
    if (!sim->with_trace)
        return;
    weir_buffer_printf(&sim->trace, "%s%lld %s", sim->trace.size ? ", " : "", (long long)sim->now, what);
    if (part != PLAN_NONE)
        weir_buffer_printf(&sim->trace, " %s", sim->plan->parts[part].name);
}

/* When the operation will return, as things stand. */
static void set_due(struct sim *sim, uint32_t part)
{
    struct sim_call *call = &sim->calls[part];
    const struct sim_op *fake = &sim->fakes[part].ops[call->op];
    bool has_limit = call->op == OP_START || call->op == OP_DRAIN || call->op == OP_FINISH;
    call->due = fake->hangs ? INT64_MAX : call->called + fake->takes;
    call->cut = false;
    if (fake->hangs || fake->deaf || !has_limit || call->due <= call->limit)
        return;
    int64_t noticed = (call->limit > sim->now ? call->limit : sim->now) + fake->notice;
    if (noticed < call->due) {
        call->due = noticed;
        call->cut = true;
    }
}

static void remember(struct sim *sim, const struct engine_action *action)
{
    const int64_t facts[] = {sim->now, (int64_t)action->kind, (int64_t)action->op, action->limit};
    uint64_t *print = &sim->fingerprints[action->part];
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++)
        *print = (*print ^ (uint64_t)facts[i]) * 0x100000001b3U; /* FNV-1a, by the word */
}

static void act(struct sim *sim, const struct engine_action *action)
{
    if (action->part != PLAN_NONE && action->op != OP_DESTROY)
        remember(sim, action);
    struct sim_call *call = action->part == PLAN_NONE ? NULL : &sim->calls[action->part];
    switch (action->kind) {
    case ACTION_CALL:
        *call =
            (struct sim_call){.running = true, .op = action->op, .called = sim->now, .limit = action->limit};
        set_due(sim, action->part);
        trace(sim, op_name(action->op), action->part);
        break;
    case ACTION_LIMIT:
        if (call->running) {
            int64_t was_due = call->cut ? call->due : INT64_MAX;
            call->limit = action->limit;
            set_due(sim, action->part);
            if (was_due < call->due) {
                call->due = was_due;
                call->cut = true;
            }
        }
        trace(sim, "limit", action->part);
        break;
    case ACTION_STACKS:
        trace(sim, "give up", action->part);
        break;
    case ACTION_ANNOUNCE:
        trace(sim, "announce", PLAN_NONE);
        break;
    case ACTION_READY:
        trace(sim, "ready", PLAN_NONE);
        break;
    case ACTION_EXIT:
        sim->exited = true;
        sim->status = action->status;
        sim->forced = action->forced;
        if (sim->with_trace) {
            trace(sim, "exit", PLAN_NONE);
            weir_buffer_printf(&sim->trace, " %d%s", action->status, action->forced ? " forced" : "");
        }
        break;
    }
}

static const char *handle(struct sim *sim, const struct engine_event *event)
{
    uint32_t count;
    invariants_event(&sim->invariants, event, sim->now);
    const struct engine_action *actions = engine_handle(sim->engine, event, sim->now, &count);
    const char *broken = invariants_actions(&sim->invariants, actions, count, sim->engine, sim->now);
    for (uint32_t i = 0; i < count; i++)
        act(sim, &actions[i]);
    return broken;
}

static const char *return_from(struct sim *sim, uint32_t part)
{
    struct sim_call *call = &sim->calls[part];
    const struct sim_fake *fake = &sim->fakes[part];
    const struct sim_op *op = &fake->ops[call->op];
    struct engine_event event = {
        .kind = EVENT_RETURNED, .part = part, .op = call->op, .text = "it did not work"};
    if (call->cut && (call->op == OP_DRAIN || call->op == OP_FINISH))
        event.work = &fake->lost;
    else if (call->op == OP_DRAIN)
        event.work = &fake->work;
    if (op->fails && !call->cut)
        event.status = WEIR_UNAVAILABLE;
    if (call->op == OP_START && call->cut && !op->cut_ok)
        event.status = WEIR_CANCELLED;
    if (call->op == OP_START && sim->starts[part] < 32 && (fake->bad_starts >> sim->starts[part] & 1))
        event.status = WEIR_UNAVAILABLE;
    sim->starts[part] += call->op == OP_START;
    call->running = false;
    return handle(sim, &event);
}

/* What happens next at `at`: returns before signals and the like, and those before the clock; the order among
 * returns is anybody's. */
static const char *step(struct sim *sim, int64_t at)
{
    sim->now = at;
    if (sim->ties)
        sim->ties = sim->ties * 6364136223846793005U + 1442695040888963407U;
    uint32_t count = sim->plan->count;
    uint32_t first = count ? (uint32_t)(sim->ties >> 33) % count : 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t part = (first + i) % count;
        if (sim->calls[part].running && sim->calls[part].due <= at)
            return return_from(sim, part);
    }
    for (uint32_t i = 0; i < sim->external_count; i++) {
        struct sim_external *external = &sim->externals[i];
        if (!external->done && external->at <= at) {
            external->done = true;
            return handle(sim, &external->event);
        }
    }
    return handle(sim, &(struct engine_event){.kind = EVENT_TICK});
}

static int64_t next_time(const struct sim *sim)
{
    int64_t next = engine_next_timer(sim->engine);
    for (uint32_t i = 0; i < sim->plan->count; i++)
        if (sim->calls[i].running && sim->calls[i].due < next)
            next = sim->calls[i].due;
    for (uint32_t i = 0; i < sim->external_count; i++)
        if (!sim->externals[i].done && sim->externals[i].at < next)
            next = sim->externals[i].at;
    if (next >= sim->frozen_from && next < sim->frozen_until)
        next = sim->frozen_until;
    return next < sim->now ? sim->now : next;
}

/* Whatever still comes, nothing follows. */
static const char *after_exit(struct sim *sim)
{
    const char *broken = handle(sim, &(struct engine_event){.kind = EVENT_TICK});
    for (uint32_t i = 0; !broken && i < sim->plan->count; i++)
        if (sim->calls[i].running)
            broken = return_from(sim, i);
    struct engine_event signal = sim_signal();
    return broken ? broken : handle(sim, &signal);
}

const char *sim_run(struct sim *sim)
{
    const char *broken = handle(sim, &(struct engine_event){.kind = EVENT_RUN});
    for (int steps = 0; (!broken || sim->goes_on) && !sim->exited; steps++) {
        int64_t next = next_time(sim);
        if (next == INT64_MAX || steps > 100000)
            return "L1: nothing will ever happen again, and it has not ended";
        broken = step(sim, next);
    }
    if (!broken || sim->goes_on)
        broken = invariants_exit(&sim->invariants, sim->engine);
    return broken || !sim->exited ? broken : after_exit(sim);
}
