#include "test.h"

#include "invariants_seen.h"

#include <sysexits.h>

/* ---- Exit ---- */

static void check_finish_was_due(struct invariants *seen, uint32_t index, int64_t now)
{
    const struct seen_part *part = &seen->parts[index];
    const struct plan_part *plan = &seen->plan->parts[index];
    if (!part->up || !seen_has_steps(plan))
        return;
    EXPECT(seen_had_turn(part) || part->late_start, "L4", index);
    bool in_time = seen_had_turn(part);
    for (enum op op = OP_QUIESCE; op < OP_FINISH; op++)
        in_time = in_time && (!plan->has[op] ||
                              (part->expected[op] != OUTCOME_NONE &&
                               part->expected[op] != OUTCOME_ABANDONED && part->returned_at[op] < part->end));
    EXPECT(!in_time || !plan->has[OP_FINISH] || part->called[OP_FINISH], "L4", index);
}

/* What came of it; who does not return is given up, and what was not called was left out. */
static enum outcome expected_outcome(const struct seen_part *part, const struct plan_part *plan, enum op op)
{
    if (!plan->has[op])
        return OUTCOME_CLEAN;
    if (part->expected[op] != OUTCOME_NONE)
        return part->expected[op];
    return part->called[op] ? OUTCOME_ABANDONED : OUTCOME_SKIPPED;
}

static void check_part_at_exit(struct invariants *seen, uint32_t index, const struct engine *engine,
                               int64_t now)
{
    const struct seen_part *part = &seen->parts[index];
    const struct plan_part *plan = &seen->plan->parts[index];
    for (enum op op = OP_START; op < OP_COUNT; op++) {
        enum outcome outcome = engine->parts[index].steps[op].outcome;
        EXPECT(outcome == expected_outcome(part, plan, op), "S9", index);
        EXPECT(engine->parts[index].steps[op].status == part->statuses[op], "S9", index);
        EXPECT(outcome == OUTCOME_FAILED || !engine->parts[index].steps[op].text[0], "S9", index);
    }
    EXPECT(seen->third || part->running == OP_NONE || part->given_up, "S9", index);
    if (!seen->third) {
        EXPECT(part->called[OP_DESTROY] || !plan->has[OP_DESTROY] || now >= seen->work_end ||
                   !seen_may_be_destroyed(seen, index, now),
               "S5", index);
        check_finish_was_due(seen, index, now);
    }
}

static bool is_clean(const struct invariants *seen, uint32_t index)
{
    const struct seen_part *part = &seen->parts[index];
    if (part->running != OP_NONE || part->stuck || part->unclean)
        return false;
    for (enum op op = OP_QUIESCE; op <= OP_FINISH; op++)
        if (part->up && seen->plan->parts[index].has[op] && !part->returned[op])
            return false;
    return true;
}

const char *invariants_exit(struct invariants *seen, const struct engine *engine)
{
    int64_t now = engine->exited_at;
    bool clean = true, runs = false;
    for (uint32_t i = 0; i < seen->plan->count; i++) {
        check_part_at_exit(seen, i, engine, now);
        clean = clean && is_clean(seen, i);
        runs = runs || seen->parts[i].running != OP_NONE || seen->parts[i].stuck;
    }
    int expected = engine->cause.kind == CAUSE_START       ? EX_UNAVAILABLE
                   : engine->cause.kind == CAUSE_COMPONENT ? EX_SOFTWARE
                   : clean                                 ? 0
                                                           : EX_TEMPFAIL;
    EXPECT(seen->exited, "S10", PLAN_NONE);
    EXPECT(engine->exit_status == expected, "S11", PLAN_NONE);
    EXPECT(engine->forced == runs, "S11 forced", PLAN_NONE);
    return seen->broken[0] ? seen->broken : NULL;
}
