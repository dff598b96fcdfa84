#include "lifecycle/plan.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

const char *op_name(enum op op)
{
    static const char *const names[] = {"start", "quiesce", "drain", "finish", "destroy", "none"};
    return names[op];
}

struct plan_options plan_defaults(void)
{
    return (struct plan_options){.deadline_ms = 25000, .report_ms = 200, .destroy_max_ms = 1000};
}

/* Takes text. */
static void add_line(char ***lines, size_t *count, char *text)
{
    *lines = memory_realloc(*lines, (*count + 1) * sizeof **lines);
    (*lines)[(*count)++] = text;
}

#define error(plan, ...) add_line(&(plan)->errors, &(plan)->error_count, memory_printf(__VA_ARGS__))
#define warn(plan, ...) add_line(&(plan)->warnings, &(plan)->warning_count, memory_printf(__VA_ARGS__))

/* ---- What the author said, with defaults; one by one ---- */

static int64_t checked(struct plan *plan, const char *of, const char *key, int64_t ms)
{
    if (ms >= 0 && ms <= PLAN_MS_MAX)
        return ms;
    error(plan, "%s: %s is %lld; it must be from 0 to %lld", of, key, (long long)ms, (long long)PLAN_MS_MAX);
    return 0;
}

static int64_t or_default(int64_t value, int64_t fallback)
{
    return value ? value : fallback;
}

static void take_options(struct plan *plan, const struct plan_options *given)
{
    plan->options = (struct plan_options){
        .deadline_ms = checked(plan, "app", "deadline_ms", given->deadline_ms),
        .pre_drain_ms = checked(plan, "app", "pre_drain_ms", given->pre_drain_ms),
        .report_ms = checked(plan, "app", "report_ms", given->report_ms),
        .destroy_max_ms = checked(plan, "app", "destroy_max_ms", given->destroy_max_ms),
        .platform_grace_ms = checked(plan, "app", "platform_grace_ms", given->platform_grace_ms),
        .start_total_ms = checked(plan, "app", "start_total_ms", given->start_total_ms),
    };
    plan->work = plan->options.deadline_ms - plan->options.report_ms;
}

static void take_restart(struct plan *plan, struct plan_part *part, const struct plan_restart *given)
{
    part->restart = (struct plan_restart){
        .most = given->most,
        .within_ms = or_default(checked(plan, part->name, "restart within_ms", given->within_ms), 60000),
        .first_backoff_ms =
            or_default(checked(plan, part->name, "restart first_backoff_ms", given->first_backoff_ms), 100),
        .longest_backoff_ms = or_default(
            checked(plan, part->name, "restart longest_backoff_ms", given->longest_backoff_ms), 5000),
    };
    if (given->most < 0 || given->most > PLAN_RESTARTS_MAX) {
        error(plan, "%s: restart most is %lld; it must be from 0 to %d", part->name, (long long)given->most,
              PLAN_RESTARTS_MAX);
        part->restart.most = 0;
    }
}

static void take_times(struct plan *plan, struct plan_part *part, const struct plan_input *input)
{
    int64_t cut_min = checked(plan, part->name, "cut_min_ms", input->cut_min_ms);
    if (cut_min && cut_min < PLAN_CUT_MIN_FLOOR_MS)
        error(plan, "%s: cut_min_ms is %lld; less than %d leaves no time to say what was cut", part->name,
              (long long)cut_min, PLAN_CUT_MIN_FLOOR_MS);
    bool stops = part->has[OP_QUIESCE] || part->has[OP_DRAIN] || part->has[OP_FINISH];
    part->cut_min = stops ? or_default(cut_min, PLAN_CUT_MIN_DEFAULT_MS) : 0;
    int64_t finish_min = checked(plan, part->name, "finish_min_ms", input->finish_min_ms);
    part->finish_min = part->has[OP_FINISH] ? finish_min : 0;
    part->drain_max = or_default(checked(plan, part->name, "drain_max_ms", input->drain_max_ms), -1);
    part->start_timeout = checked(plan, part->name, "start_timeout_ms", input->start_timeout_ms);
    if (!part->start_timeout) {
        part->start_timeout = 30000;
        if (plan->options.start_total_ms && plan->options.start_total_ms < part->start_timeout)
            part->start_timeout = plan->options.start_total_ms;
    }
    if (plan->options.start_total_ms && part->start_timeout > plan->options.start_total_ms)
        error(plan, "%s: start_timeout_ms %lld is longer than start_total_ms %lld of the app", part->name,
              (long long)part->start_timeout, (long long)plan->options.start_total_ms);
    part->reserve = part->cut_min + part->finish_min;
    take_restart(plan, part, &input->restart);
}

static bool contains(const uint32_t *list, uint32_t count, uint32_t value)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i] == value)
            return true;
    return false;
}

/* `taken` says of each which one took it last, from 1. */
static void take_needs(struct plan *plan, uint32_t index, const struct plan_input *inputs, uint32_t *taken)
{
    struct plan_part *part = &plan->parts[index];
    const struct plan_input *input = &inputs[index];
    part->needs = memory_alloc((input->need_count + 1) * sizeof *part->needs);
    for (size_t i = 0; i < input->need_count; i++) {
        uint32_t on = input->needs[i];
        if (on >= plan->count) {
            error(plan, "%s: needs something that was not added to this app", part->name);
        } else if (on == index) {
            error(plan, "%s: needs itself: %s -> %s", part->name, part->name, part->name);
        } else if (part->base && !inputs[on].base) {
            error(plan, "%s: is base, and so needed by all that is not; it cannot need %s: %s -> %s -> %s",
                  part->name, inputs[on].name, part->name, inputs[on].name, part->name);
        } else if (inputs[on].announcer) {
            error(plan, "%s: needs %s, which is an announcer: it leaves first: %s -> %s", part->name,
                  inputs[on].name, part->name, inputs[on].name);
        } else if (taken[on] != index + 1 && !(inputs[on].base && !part->base)) {
            taken[on] = index + 1;
            part->needs[part->need_count++] = on;
        }
    }
}

/* The names so far, by their hash. */
struct names {
    uint32_t *slots; /* index + 1; 0: free */
    size_t mask;
};

static void names_init(struct names *names, size_t count)
{
    size_t size = 16;
    while (size < 2 * count)
        size *= 2;
    *names = (struct names){.slots = memory_zalloc(size * sizeof *names->slots), .mask = size - 1};
}

/* False when it is there already. */
static bool names_add(struct names *names, const struct plan *plan, uint32_t index)
{
    const char *name = plan->parts[index].name;
    size_t at = 14695981039346656037U; /* FNV-1a */
    for (const char *c = name; *c; c++)
        at = (at ^ (unsigned char)*c) * 1099511628211U;
    for (;; at++) {
        uint32_t *slot = &names->slots[at & names->mask];
        if (*slot == 0) {
            *slot = index + 1;
            return true;
        }
        if (strcmp(plan->parts[*slot - 1].name, name) == 0)
            return false;
    }
}

static void take_inputs(struct plan *plan, const struct plan_input *inputs)
{
    struct names names;
    names_init(&names, plan->count);
    for (uint32_t i = 0; i < plan->count; i++) {
        struct plan_part *part = &plan->parts[i];
        const struct plan_input *input = &inputs[i];
        part->name = memory_strdup(input->name ? input->name : "");
        memcpy(part->has, input->has, sizeof part->has);
        part->ingress = input->ingress;
        part->announcer = input->announcer;
        part->base = input->base;
        plan->base_count += input->base;
        if (!part->name[0])
            error(plan, "component %u has an empty name", i + 1);
        else if (!names_add(&names, plan, i))
            error(plan, "%s: added twice; every component has a name of its own", part->name);
        if (part->base && part->announcer)
            error(plan, "%s: is base and announcer; base is the last to leave, an announcer the first",
                  part->name);
        take_times(plan, part, input);
    }
    free(names.slots);
    uint32_t *taken = memory_zalloc((plan->count + 1) * sizeof *taken);
    for (uint32_t i = 0; i < plan->count; i++)
        take_needs(plan, i, inputs, taken);
    free(taken);
}

/* ---- Order ---- */

static void link_dependants(struct plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++)
        for (uint32_t k = 0; k < plan->parts[i].need_count; k++)
            plan->parts[plan->parts[i].needs[k]].dependant_count++;
    for (uint32_t i = 0; i < plan->count; i++) {
        struct plan_part *part = &plan->parts[i];
        part->dependants = memory_alloc((part->dependant_count + 1) * sizeof *part->dependants);
        part->dependant_count = 0;
    }
    for (uint32_t i = 0; i < plan->count; i++) {
        for (uint32_t k = 0; k < plan->parts[i].need_count; k++) {
            struct plan_part *on = &plan->parts[plan->parts[i].needs[k]];
            on->dependants[on->dependant_count++] = i;
        }
    }
}

/* Kahn's algorithm over base, then over the rest: what is not base comes after all that is. Returns how many
 * are in order now; ties stay in the order of adding. */
static uint32_t sort_kind(struct plan *plan, bool base, uint32_t done, uint32_t *missing)
{
    uint32_t next = done;
    for (uint32_t i = 0; i < plan->count; i++)
        if (plan->parts[i].base == base && !missing[i])
            plan->order[done++] = i;
    for (; next < done; next++) {
        const struct plan_part *part = &plan->parts[plan->order[next]];
        for (uint32_t k = 0; k < part->dependant_count; k++)
            if (--missing[part->dependants[k]] == 0)
                plan->order[done++] = part->dependants[k];
    }
    return done;
}

/* `at` is on a cycle of those that are `left`. */
static char *cycle_text(const struct plan *plan, uint32_t at, const uint32_t *follow)
{
    struct weir_buffer text = {0};
    uint32_t begin = at;
    do {
        weir_buffer_printf(&text, "%s -> ", plan->parts[at].name);
        at = follow[at];
    } while (at != begin);
    weir_buffer_append_text(&text, plan->parts[begin].name);
    char *copy = memory_strdup(weir_buffer_text(&text));
    weir_buffer_free(&text);
    return copy;
}

/* Who is left over is on a cycle or needs one that is; everyone left needs somebody left, so a walk along
 * `needs` ends in a cycle. */
static void report_cycles(struct plan *plan, const uint32_t *missing)
{
    uint32_t *walk = memory_zalloc(plan->count * sizeof *walk); /* which walk came by, from 1 */
    uint32_t *follow = memory_zalloc(plan->count * sizeof *follow);
    for (uint32_t i = 0; i < plan->count; i++) {
        uint32_t at = i;
        while (missing[at] && !walk[at]) {
            walk[at] = i + 1;
            const struct plan_part *part = &plan->parts[at];
            for (uint32_t k = 0; k < part->need_count; k++)
                if (missing[part->needs[k]])
                    follow[at] = part->needs[k];
            at = follow[at];
        }
        if (missing[at] && walk[at] == i + 1 && missing[i]) {
            char *cycle = cycle_text(plan, at, follow);
            error(plan, "components need each other in a circle: %s", cycle);
            free(cycle);
        }
    }
    free(follow);
    free(walk);
}

/* False when there is a cycle. */
static bool sort(struct plan *plan)
{
    uint32_t *missing = memory_zalloc((plan->count + 1) * sizeof *missing);
    plan->order = memory_zalloc((plan->count + 1) * sizeof *plan->order);
    for (uint32_t i = 0; i < plan->count; i++)
        missing[i] = plan->parts[i].need_count;
    uint32_t done = sort_kind(plan, true, 0, missing);
    done = sort_kind(plan, false, done, missing);
    report_cycles(plan, missing);
    for (uint32_t i = 0; i < done; i++)
        plan->parts[plan->order[i]].rank = i;
    free(missing);
    return done == plan->count;
}

/* ---- Windows ---- */

static void follow_longer(struct plan *plan, struct plan_part *part, uint32_t on)
{
    const struct plan_part *dependency = &plan->parts[on];
    int64_t length = dependency->reserve + dependency->tail;
    if (part->tail_next == PLAN_NONE || length > part->tail) {
        part->tail = length;
        part->tail_next = on;
    }
}

/* Dependencies first. All of base stands behind one virtual node: its longest chain. */
static void set_windows(struct plan *plan)
{
    const struct plan_options *options = &plan->options;
    struct plan_part virtual_base = {.tail_next = PLAN_NONE};
    plan->longest = PLAN_NONE;
    for (uint32_t i = 0; i < plan->count; i++) {
        struct plan_part *part = &plan->parts[plan->order[i]];
        part->tail_next = PLAN_NONE;
        if (!part->base && virtual_base.tail_next != PLAN_NONE)
            follow_longer(plan, part, virtual_base.tail_next);
        for (uint32_t k = 0; k < part->need_count; k++)
            follow_longer(plan, part, part->needs[k]);
        if (part->base)
            follow_longer(plan, &virtual_base, plan->order[i]);
        part->end = plan->work - part->tail;
        part->turn_latest = part->end - part->reserve;
        part->turn_first = part->announcer ? 0 : options->pre_drain_ms;
        int64_t length = part->turn_first + part->reserve + part->tail + options->report_ms;
        if (plan->longest == PLAN_NONE || length > plan->longest_ms) {
            plan->longest_ms = length;
            plan->longest = plan->order[i];
        }
    }
}

static char *chain_text(const struct plan *plan, uint32_t head, bool *in_chain)
{
    struct weir_buffer text = {0};
    if (plan->parts[head].turn_first)
        weir_buffer_printf(&text, "pre_drain %lld, ", (long long)plan->parts[head].turn_first);
    for (uint32_t at = head; at != PLAN_NONE; at = plan->parts[at].tail_next) {
        in_chain[at] = true;
        weir_buffer_printf(&text, "%s %lld, ", plan->parts[at].name, (long long)plan->parts[at].reserve);
    }
    weir_buffer_printf(&text, "report %lld", (long long)plan->options.report_ms);
    char *copy = memory_strdup(weir_buffer_text(&text));
    weir_buffer_free(&text);
    return copy;
}

static void check_chains(struct plan *plan)
{
    bool *in_chain = memory_zalloc((plan->count + 1) * sizeof *in_chain);
    for (uint32_t i = plan->count; i-- > 0;) {
        uint32_t head = plan->order[i];
        const struct plan_part *part = &plan->parts[head];
        int64_t length = part->turn_first + part->reserve + part->tail + plan->options.report_ms;
        if (length <= plan->options.deadline_ms || in_chain[head])
            continue;
        char *chain = chain_text(plan, head, in_chain);
        error(plan,
              "%s: the chain that a stop must have time for is longer than deadline_ms: %s = %lld of %lld ms",
              part->name, chain, (long long)length, (long long)plan->options.deadline_ms);
        free(chain);
    }
    free(in_chain);
    if (plan->longest == PLAN_NONE &&
        plan->options.pre_drain_ms + plan->options.report_ms > plan->options.deadline_ms)
        error(plan, "app: pre_drain_ms %lld and report_ms %lld are longer than deadline_ms %lld",
              (long long)plan->options.pre_drain_ms, (long long)plan->options.report_ms,
              (long long)plan->options.deadline_ms);
}

static void find_warnings(struct plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct plan_part *part = &plan->parts[i];
        for (uint32_t k = 0; part->ingress && k < part->dependant_count; k++) {
            const struct plan_part *dependant = &plan->parts[part->dependants[k]];
            if (!dependant->announcer)
                warn(plan, "%s: takes work from outside until %s, which needs it, has ended", part->name,
                     dependant->name);
        }
        if (part->drain_max > part->turn_latest - part->turn_first)
            warn(plan, "%s: drain_max_ms %lld can never be reached; at most %lld are left", part->name,
                 (long long)part->drain_max, (long long)(part->turn_latest - part->turn_first));
    }
    int64_t slack = plan->options.deadline_ms - plan->longest_ms;
    if (plan->longest != PLAN_NONE && slack < plan->options.deadline_ms / 10)
        warn(plan, "app: of deadline_ms %lld only %lld are left for work in flight",
             (long long)plan->options.deadline_ms, (long long)slack);
}

struct plan *plan_new(const struct plan_options *options, const struct plan_input *inputs, size_t count)
{
    struct plan *plan = NEW(struct plan);
    plan->count = (uint32_t)count;
    plan->parts = memory_zalloc((count + 1) * sizeof *plan->parts);
    take_options(plan, options);
    take_inputs(plan, inputs);
    link_dependants(plan);
    bool sorted = sort(plan);

    if (plan->options.platform_grace_ms && plan->options.deadline_ms > plan->options.platform_grace_ms)
        error(plan, "app: deadline_ms %lld is longer than the %lld ms after which the platform kills",
              (long long)plan->options.deadline_ms, (long long)plan->options.platform_grace_ms);
    if (sorted) {
        set_windows(plan);
        check_chains(plan);
        if (!plan->error_count)
            find_warnings(plan);
    }
    return plan;
}

void plan_destroy(struct plan *plan)
{
    if (!plan)
        return;
    for (uint32_t i = 0; i < plan->count; i++) {
        free(plan->parts[i].name);
        free(plan->parts[i].needs);
        free(plan->parts[i].dependants);
    }
    for (size_t i = 0; i < plan->error_count; i++)
        free(plan->errors[i]);
    for (size_t i = 0; i < plan->warning_count; i++)
        free(plan->warnings[i]);
    free(plan->errors);
    free(plan->warnings);
    free(plan->order);
    free(plan->parts);
    free(plan);
}

bool plan_needs(const struct plan *plan, uint32_t part, uint32_t on)
{
    if (plan->parts[on].base && !plan->parts[part].base)
        return true;
    return contains(plan->parts[part].needs, plan->parts[part].need_count, on);
}
