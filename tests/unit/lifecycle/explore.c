#include "test.h"

#include "explore.h"

#include <stdio.h>
#include <weir/bytes.h>

#include "invariants.h"

#define DEPTH_MAX 256
#define CHOICES_MAX (EXPLORE_PARTS_MAX * 5 + 3)
#define RESTARTS_MAX 4
#define NEVER ENGINE_NEVER

enum choice_kind { RETURN_OK, RETURN_ERROR, RETURN_LOST, RETURN_STUCK, FAIL, SIGNAL, STOP, TICK, WAIT };

struct choice {
    enum choice_kind kind;
    uint32_t part;
    enum op op;
    uint32_t faults; /* that it costs */
};

/* The engine has no memory but its blocks: a state is their bytes. */
struct node {
    struct engine engine;
    struct engine_part parts[EXPLORE_PARTS_MAX];
    int64_t restarts[EXPLORE_PARTS_MAX][RESTARTS_MAX];
    struct invariants seen;
    int64_t now;
    uint32_t signals, faults; /* that are left */
};

struct explorer {
    const struct plan *plan;
    const struct explore_scope *scope;
    struct engine *engine;
    struct node at;
    struct node *nodes[DEPTH_MAX];
    struct choice way[DEPTH_MAX];
    uint32_t depth;
    uint64_t
        *hashes; /* 0: free. Two states of one hash are taken for one: one chance in 10^6 at 10^6.5 states */
    uint64_t capacity;
    struct explore_count count;
    const char *broken;
};

/* ---- States ---- */

static void save(struct explorer *explorer, struct node *node)
{
    *node = explorer->at;
    node->engine = *explorer->engine;
    for (uint32_t i = 0; i < explorer->plan->count; i++) {
        node->parts[i] = explorer->engine->parts[i];
        memcpy(node->restarts[i], node->parts[i].restarts,
               ((size_t)explorer->plan->parts[i].restart.most + 1) * sizeof(int64_t));
    }
}

static void load(struct explorer *explorer, const struct node *node)
{
    explorer->at.seen = node->seen;
    explorer->at.now = node->now;
    explorer->at.signals = node->signals;
    explorer->at.faults = node->faults;
    *explorer->engine = node->engine;
    for (uint32_t i = 0; i < explorer->plan->count; i++) {
        explorer->engine->parts[i] = node->parts[i];
        memcpy(node->parts[i].restarts, node->restarts[i],
               ((size_t)explorer->plan->parts[i].restart.most + 1) * sizeof(int64_t));
    }
}

static void mix(uint64_t *hash, uint64_t value)
{
    uint64_t z = *hash + value + 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    *hash = z ^ (z >> 31);
}

/* Times count from now: the same state at another time is the same state. */
static void mix_time(uint64_t *hash, int64_t time, int64_t now)
{
    mix(hash, time == NEVER ? UINT64_MAX : (uint64_t)(time - now));
}

static void mix_time_left(uint64_t *hash, int64_t time, int64_t now)
{
    mix_time(hash, time < now ? now : time, now);
}

/* As far as the exit's status depends on it. */
static uint64_t kind_of(enum outcome outcome, enum skip_why why)
{
    if (outcome == OUTCOME_SKIPPED)
        return why == SKIP_NOT_STARTED || why == SKIP_START_FAILED || why == SKIP_WAS_DOWN ? 1 : 2;
    return outcome == OUTCOME_NONE ? 0 : outcome == OUTCOME_CLEAN ? 1 : outcome == OUTCOME_ABANDONED ? 3 : 4;
}

/* What the engine decides by; not what it only reports (texts, when and how long). */
static void mix_part(uint64_t *hash, const struct engine_part *part, int64_t now)
{
    bool ended = part->state == PART_ENDED;
    mix(hash, (uint64_t)part->state | (uint64_t)part->running << 4 | (uint64_t)part->destroy << 8 |
                  (uint64_t)part->was_up << 12 | (uint64_t)part->drained << 13 | (uint64_t)part->stuck << 14 |
                  (uint64_t)(part->failed && !ended) << 15 | (uint64_t)part->dependants_left << 20 |
                  (uint64_t)part->dependants_kept << 24);
    uint64_t steps = 0;
    for (enum op op = OP_START; op < OP_COUNT; op++)
        steps = steps << 3 | kind_of(part->steps[op].outcome, part->steps[op].why);
    mix(hash, steps);
    mix_time(hash, part->timer, now);
    if (part->running != OP_NONE && !ended)
        mix_time(hash, part->limit, now);
    if (part->state == PART_QUIESCE || part->state == PART_DRAIN) {
        mix_time(hash, part->until, now);
        mix_time(hash, part->give_up, now);
    }
    if (!ended)
        mix_time(hash, part->end, now);
    for (uint32_t i = 0; i < part->restart_count; i++)
        mix_time(hash, part->restarts[i], now);
}

/* What the invariants judge by. Before a component has finished it counts whether its steps came back in time. */
static void mix_seen(uint64_t *hash, const struct seen_part *seen, const struct plan_part *plan, int64_t now)
{
    const bool facts[] = {seen->up,   seen->late_up, seen->restarting, seen->failed,     seen->given_up,
                          seen->gone, seen->stuck,   seen->unclean,    seen->late_start, seen->in_restart};
    uint64_t bits = (uint64_t)seen->running, steps = 0;
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++)
        bits = bits << 1 | facts[i];
    bool finishes = seen->called[OP_FINISH];
    for (enum op op = OP_START; op < OP_COUNT; op++) {
        bool in_time = !finishes && seen->returned[op] && seen->returned_at[op] < seen->end;
        bits = bits << 3 | (uint64_t)(seen->called[op] << 2 | seen->returned[op] << 1 | in_time);
        steps = steps << 3 | (uint64_t)(seen->outcomes[op] != OUTCOME_NONE) << 2 |
                (uint64_t)(seen->expected[op] != OUTCOME_NONE) << 1 |
                (seen->expected[op] == OUTCOME_ABANDONED);
    }
    bool drained_in_time =
        seen->returned[OP_DRAIN] && seen->returned_at[OP_DRAIN] <= seen->until + plan->cut_min;
    mix(hash, bits);
    mix(hash, steps << 1 | (!finishes && drained_in_time));
    if (seen->running != OP_NONE)
        mix_time(hash, seen->limit, now), mix_time(hash, seen->most, now);
    if (seen->running == OP_DESTROY)
        mix_time(hash, seen->destroy_end, now);
    if (seen->running == OP_START)
        mix_time(hash, seen->start_end, now);
    if (seen->gone)
        return;
    const int64_t before[] = {seen->until, seen->give_up}, after[] = {seen->finish_end, seen->finish_end};
    for (size_t i = 0; i < 2; i++)
        mix_time(hash, finishes ? after[i] : before[i], now);
    mix_time(hash, seen->end, now);
}

static uint64_t hash_of(const struct explorer *explorer)
{
    const struct engine *engine = explorer->engine;
    const struct node *at = &explorer->at;
    uint64_t hash = 0;
    mix(&hash, (uint64_t)engine->phase | (uint64_t)engine->cause.kind << 8 |
                   (uint64_t)engine->up_count << 16 | (uint64_t)engine->signal_count << 24 |
                   (uint64_t)at->signals << 32 | (uint64_t)at->seen.announced << 40 |
                   (uint64_t)(engine->now == at->now) << 41 | (uint64_t)engine->left_count << 44 |
                   (uint64_t)engine->plain_left << 48 | (uint64_t)engine->plain_kept << 52);
    mix(&hash, at->faults);
    mix_time_left(&hash, engine->announce_until, at->now);
    mix_time(&hash, engine->work_end, at->now);
    if (engine->phase == PHASE_STARTING)
        mix_time(&hash, engine->start_end, at->now);
    mix_time_left(&hash, at->seen.announce_until, at->now);
    mix_time(&hash, at->seen.work_end, at->now);
    for (uint32_t i = 0; i < explorer->plan->count; i++) {
        const struct plan_part *plan = &explorer->plan->parts[i];
        mix_part(&hash, &engine->parts[i], at->now);
        mix_seen(&hash, &at->seen.parts[i], plan, at->now);
    }
    return hash ? hash : 1;
}

/* True when it is new. */
static bool put(uint64_t *hashes, uint64_t capacity, uint64_t hash)
{
    uint64_t at = hash & (capacity - 1);
    for (; hashes[at]; at = (at + 1) & (capacity - 1))
        if (hashes[at] == hash)
            return false;
    hashes[at] = hash;
    return true;
}

static bool add_state(struct explorer *explorer)
{
    if (explorer->count.states * 2 >= explorer->capacity) {
        uint64_t capacity = explorer->capacity ? explorer->capacity * 2 : 4096;
        uint64_t *hashes = calloc(capacity, sizeof *hashes);
        for (uint64_t i = 0; i < explorer->capacity; i++)
            if (explorer->hashes[i])
                put(hashes, capacity, explorer->hashes[i]);
        free(explorer->hashes);
        explorer->hashes = hashes;
        explorer->capacity = capacity;
    }
    bool is_new = put(explorer->hashes, explorer->capacity, hash_of(explorer));
    explorer->count.states += is_new;
    return is_new;
}

/* ---- Choices ---- */

static uint32_t choices_of_part(const struct explorer *explorer, uint32_t index, struct choice *ret_choices)
{
    const struct engine *engine = explorer->engine;
    const struct engine_part *part = &engine->parts[index];
    uint32_t count = 0;
    enum op op = part->running;
    bool late = op != OP_NONE && op != OP_DESTROY && part->state == PART_ENDED;
    if (op != OP_NONE)
        ret_choices[count++] = (struct choice){RETURN_OK, index, op, 0};
    if (op != OP_NONE && op != OP_DESTROY) {
        bool cancelled = op == OP_START && engine->phase == PHASE_STOPPING; /* it heeds that: no fault */
        if (!late || op == OP_START)
            ret_choices[count++] = (struct choice){RETURN_ERROR, index, op, !late && !cancelled};
    }
    if (!late && (op == OP_DRAIN || op == OP_FINISH))
        ret_choices[count++] = (struct choice){RETURN_LOST, index, op, 1};
    if (op == OP_DRAIN)
        ret_choices[count++] = (struct choice){RETURN_STUCK, index, op, 1};
    if (part->state != PART_NEW && part->state != PART_ENDED && !part->failed)
        ret_choices[count++] = (struct choice){FAIL, index, OP_NONE, 1};
    return count;
}

static uint32_t choices_of(const struct explorer *explorer, struct choice *ret_choices)
{
    const struct engine *engine = explorer->engine;
    uint32_t count = 0;
    for (uint32_t i = 0; i < explorer->plan->count; i++)
        count += choices_of_part(explorer, i, ret_choices + count);
    if (explorer->at.signals)
        ret_choices[count++] = (struct choice){SIGNAL, PLAN_NONE, OP_NONE, 0};
    if (explorer->scope->stop && engine->phase != PHASE_STOPPING)
        ret_choices[count++] = (struct choice){STOP, PLAN_NONE, OP_NONE, 0};
    int64_t timer = engine_next_timer(engine);
    if (timer != NEVER)
        ret_choices[count++] =
            (struct choice){timer <= explorer->at.now ? TICK : WAIT, PLAN_NONE, OP_NONE, 0};
    return count;
}

/* To the next timer, or to the limit of what runs: it may heed it there. */
static void wait(struct explorer *explorer)
{
    int64_t next = engine_next_timer(explorer->engine);
    for (uint32_t i = 0; i < explorer->plan->count; i++) {
        const struct engine_part *part = &explorer->engine->parts[i];
        if (part->running != OP_NONE && part->state != PART_ENDED && part->limit > explorer->at.now &&
            part->limit < next)
            next = part->limit;
    }
    explorer->at.now = next;
}

/* False when it takes more faults than there are left. */
static bool take_faults(struct node *at, uint32_t faults)
{
    if (at->faults == EXPLORE_NO_BOUND)
        return true;
    if (faults > at->faults)
        return false;
    at->faults -= faults;
    return true;
}

/* False as take_faults(). */
static bool handle(struct explorer *explorer, const struct engine_event *event)
{
    struct node *at = &explorer->at;
    uint32_t count, hangs = 0;
    invariants_event(&at->seen, event, at->now);
    const struct engine_action *actions = engine_handle(explorer->engine, event, at->now, &count);
    for (uint32_t i = 0; i < count; i++)
        hangs += actions[i].kind == ACTION_STACKS;
    if (!take_faults(at, hangs))
        return false;
    explorer->broken = invariants_actions(&at->seen, actions, count, explorer->engine, at->now);
    if (!explorer->broken && explorer->engine->phase == PHASE_EXITED) {
        explorer->broken = invariants_exit(&at->seen, explorer->engine);
        explorer->count.exits++;
    }
    if (explorer->engine->odd_count)
        explorer->broken = "the engine takes for odd what it asked for";
    return true;
}

static bool take(struct explorer *explorer, struct choice choice)
{
    static const struct weir_work lost = {.in_flight = 1, .cancelled = 1},
                                  stuck = {.in_flight = 1, .stuck = 1};
    struct engine_event event = {.kind = EVENT_RETURNED, .part = choice.part, .op = choice.op};
    if (!take_faults(&explorer->at, choice.faults))
        return false;
    switch (choice.kind) {
    case RETURN_OK:
        break;
    case RETURN_ERROR:
        event.status = WEIR_UNAVAILABLE;
        break;
    case RETURN_LOST:
        event.work = &lost;
        break;
    case RETURN_STUCK:
        event.work = &stuck;
        break;
    case FAIL:
        event.kind = EVENT_FAILED;
        break;
    case SIGNAL:
        event.kind = EVENT_SIGNAL;
        explorer->at.signals--;
        break;
    case STOP:
        event.kind = EVENT_STOP;
        break;
    case TICK:
        event.kind = EVENT_TICK;
        break;
    case WAIT:
        wait(explorer);
        return true;
    }
    return handle(explorer, &event);
}

/* ---- The search ---- */

static void search(struct explorer *explorer)
{
    if (explorer->depth == DEPTH_MAX) {
        explorer->broken = "L1: it goes on and on";
        return;
    }
    struct node **node = &explorer->nodes[explorer->depth];
    if (!*node)
        *node = malloc(sizeof **node);
    save(explorer, *node);
    struct choice choices[CHOICES_MAX];
    uint32_t count = choices_of(explorer, choices);
    for (uint32_t i = 0; i < count && !explorer->broken; i++) {
        if (i > 0)
            load(explorer, *node);
        explorer->way[explorer->depth++] = choices[i];
        if (take(explorer, choices[i])) {
            explorer->count.steps++;
            bool goes_on = !explorer->broken && explorer->engine->phase != PHASE_EXITED;
            if (goes_on && add_state(explorer))
                search(explorer);
        }
        if (!explorer->broken)
            explorer->depth--;
    }
}

static const char *way_text(const struct explorer *explorer)
{
    static const char *const kinds[] = {"ok",     "error", "lost work", "stuck work", "fails",
                                        "signal", "stop",  "tick",      "wait"};
    static char text[8192];
    size_t size = (size_t)snprintf(text, sizeof text, "%s after", explorer->broken);
    for (uint32_t i = 0; i < explorer->depth && size < sizeof text; i++) {
        const struct choice *choice = &explorer->way[i];
        const char *name = choice->part == PLAN_NONE ? "" : explorer->plan->parts[choice->part].name;
        size += (size_t)snprintf(text + size, sizeof text - size, "%s %s%s%s%s%s", i ? "," : "", name,
                                 *name ? " " : "", choice->op == OP_NONE ? "" : op_name(choice->op),
                                 choice->op == OP_NONE ? "" : " ", kinds[choice->kind]);
    }
    return text;
}

/* All starts return ok at once. */
static void start_all(struct explorer *explorer)
{
    for (bool started = true; started && !explorer->broken;) {
        started = false;
        for (uint32_t i = 0; i < explorer->plan->count && !explorer->broken; i++) {
            if (explorer->engine->parts[i].running == OP_START) {
                take(explorer, (struct choice){RETURN_OK, i, OP_START, 0});
                started = true;
            }
        }
    }
}

const char *explore(const struct plan *plan, const struct explore_scope *scope, struct explore_count *count)
{
    struct explorer *explorer = calloc(1, sizeof *explorer);
    explorer->plan = plan;
    explorer->scope = scope;
    explorer->engine = engine_new(plan);
    explorer->at.signals = scope->signals;
    explorer->at.faults = scope->faults;
    invariants_init(&explorer->at.seen, plan);
    handle(explorer, &(struct engine_event){.kind = EVENT_RUN});
    if (!scope->from_start)
        start_all(explorer);
    if (!explorer->broken)
        search(explorer);
    const char *broken = explorer->broken ? way_text(explorer) : NULL;
    count->states += explorer->count.states;
    count->steps += explorer->count.steps;
    count->exits += explorer->count.exits;
    for (uint32_t i = 0; i < DEPTH_MAX; i++)
        free(explorer->nodes[i]);
    free(explorer->hashes);
    engine_destroy(explorer->engine);
    free(explorer);
    return broken;
}
