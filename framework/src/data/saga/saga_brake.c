/* When the other side of a step is away, every saga that came to it would find out by itself, each on a thread for as
 * long as that takes. So one tries at a time, and the others wait, without a thread, until it succeeds. */
#include <weir/clock.h>

#include "data/saga/saga.h"

#define FIRST_MS 50
#define LOOK_AGAIN_MS 100

struct saga_brake *saga_brake_of(struct saga_kind *kind, const struct saga *saga)
{
    if (saga->step < 0 || saga->step >= kind->n_steps)
        return NULL;
    const struct weir_saga_step *step = &kind->type->steps[saga->step];
    if (saga->state == WEIR_SAGA_BACK)
        return step->undo ? &kind->brakes[1][saga->step] : NULL;
    return step->run ? &kind->brakes[0][saga->step] : NULL;
}

bool saga_brake_holds(struct saga_brake *brake, int64_t *ret_until_ns)
{
    if (!brake || !brake->failing)
        return false;
    int64_t now = weir_now_ns();
    if (brake->probing || now < brake->until_ns) {
        *ret_until_ns = brake->until_ns > now ? brake->until_ns : now + LOOK_AGAIN_MS * WEIR_NS_PER_MS;
        return true;
    }
    brake->probing = true;
    return false;
}

static bool is_away(enum weir_status status)
{
    return status == WEIR_UNAVAILABLE || status == WEIR_DEADLINE_EXCEEDED;
}

bool saga_brake_tell(struct saga_brake *brake, enum weir_status status, int64_t longest_ms)
{
    if (!brake)
        return false;
    bool was_failing = brake->failing;
    brake->probing = false;
    if (!is_away(status)) {
        *brake = (struct saga_brake){0};
        return was_failing;
    }
    int64_t now = weir_now_ns();
    if (now >= brake->until_ns) { /* those that were under way with the first one count as one */
        int64_t pause_ms = brake->failures < 16 ? (int64_t)FIRST_MS << brake->failures : longest_ms;
        brake->failures++;
        brake->until_ns = now + (pause_ms < longest_ms ? pause_ms : longest_ms) * WEIR_NS_PER_MS;
    }
    brake->failing = true;
    return !was_failing;
}
