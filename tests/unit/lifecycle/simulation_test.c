/* Random services under random faults on a virtual clock; every event is held against the invariants. A run
 * is its seed:
 *
 *     lifecycle_simulation_test [RUNS [FIRST_SEED]]     or WEIR_SIMULATION_RUNS, WEIR_SIMULATION_SEED
 *
 * A broken invariant names the seed and the command that replays it with its trace. With
 * WEIR_SIMULATION_RULES=1 it goes on instead, and names each invariant that any seed broke. */
#include "test.h"

#include <stdio.h>
#include <sysexits.h>

#include "lifecycle/report_path.h"
#include "sim.h"

static uint64_t runs = 100000, first_seed = 1;
static const char *program;

/* ---- Chance ---- */

struct chance {
    uint64_t state;
};

/* splitmix64: every seed, the neighbouring ones too, gives a run of its own. */
static uint64_t draw(struct chance *chance)
{
    uint64_t z = chance->state += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static int64_t up_to(struct chance *chance, int64_t most)
{
    return (int64_t)(draw(chance) % (uint64_t)(most + 1));
}

static bool in_100(struct chance *chance, int64_t percent)
{
    return up_to(chance, 99) < percent;
}

/* ---- A random service ---- */

struct service {
    struct chance chance;
    int64_t grid;   /* times are multiples of it: ties are what goes wrong */
    int64_t faults; /* percent */
    char names[SIM_PARTS_MAX][8];
    uint32_t needs[SIM_PARTS_MAX][SIM_PARTS_MAX];
    struct plan_input inputs[SIM_PARTS_MAX];
    uint32_t count;
    struct plan *plan;
};

static int64_t time_up_to(struct service *service, int64_t most)
{
    return up_to(&service->chance, most / service->grid) * service->grid;
}

static void random_part(struct service *service, uint32_t index, uint32_t base)
{
    struct chance *chance = &service->chance;
    struct plan_input *input = &service->inputs[index];
    snprintf(service->names[index], sizeof service->names[index], "c%u", index);
    *input = (struct plan_input){.name = service->names[index], .needs = service->needs[index]};
    input->base = index < base;
    input->announcer = !input->base && in_100(chance, 8);
    for (uint32_t on = 0; on < index; on++)
        if (in_100(chance, 30) && !service->inputs[on].announcer && (!input->base || on < base))
            service->needs[index][input->need_count++] = on;
    bool plain = in_100(chance, 60); /* has everything */
    for (enum op op = OP_START; op < OP_COUNT; op++)
        input->has[op] = plain || in_100(chance, 60);
    input->cut_min_ms = in_100(chance, 30) ? 0 : 10 + time_up_to(service, 400);
    input->finish_min_ms = in_100(chance, 40) ? 0 : time_up_to(service, 1000);
    input->drain_max_ms = in_100(chance, 70) ? 0 : time_up_to(service, 2000);
    input->start_timeout_ms = 10 + time_up_to(service, 2000);
    if (input->has[OP_START] && in_100(chance, 50))
        input->restart = (struct plan_restart){1 + up_to(chance, 2), 1 + time_up_to(service, 3000),
                                               1 + time_up_to(service, 100), 1 + time_up_to(service, 300)};
}

static void random_service(struct service *service, uint64_t seed)
{
    static const int64_t grids[] = {1, 10, 50, 250};
    static const int64_t faults[] = {0, 4, 16, 60};
    *service = (struct service){.chance = {seed}};
    service->grid = grids[up_to(&service->chance, 3)];
    service->faults = faults[up_to(&service->chance, 3)];
    service->count = (uint32_t)(1 + up_to(&service->chance, 11));
    uint32_t base = in_100(&service->chance, 50) ? (uint32_t)up_to(&service->chance, 2) : 0;
    for (uint32_t i = 0; i < service->count; i++)
        random_part(service, i, base);

    /* First with all the time there is, to see what the longest chain needs; then with little more than that.
     */
    struct plan_options options = {.deadline_ms = 1000000, .report_ms = time_up_to(service, 200)};
    options.destroy_max_ms = 1 + time_up_to(service, 500);
    options.start_total_ms = in_100(&service->chance, 75) ? 0 : 2010 + time_up_to(service, 3000);
    options.pre_drain_ms = in_100(&service->chance, 50) ? 0 : time_up_to(service, 2000);
    struct plan *plan = plan_new(&options, service->inputs, service->count);
    options.deadline_ms = plan->longest_ms + (in_100(&service->chance, 20) ? 0 : time_up_to(service, 5000));
    plan_destroy(plan);
    if (options.deadline_ms < options.pre_drain_ms + options.report_ms)
        options.deadline_ms = options.pre_drain_ms + options.report_ms;
    service->plan = plan_new(&options, service->inputs, service->count);
}

static void random_fake(struct service *service, uint32_t index, struct sim_fake *fake)
{
    struct chance *chance = &service->chance;
    const struct plan_part *part = &service->plan->parts[index];
    int64_t faults = service->faults, drain = in_100(chance, faults) ? 6000 : 600;
    for (enum op op = OP_START; op < OP_COUNT; op++) {
        fake->ops[op] = (struct sim_op){
            .takes = in_100(chance, 30) ? 0 : time_up_to(service, op == OP_DRAIN ? drain : 300),
            .hangs = in_100(chance, faults / 4),
            .deaf = in_100(chance, faults / 2),
            .notice = in_100(chance, faults) ? time_up_to(service, 2000) : time_up_to(service, part->cut_min),
            .fails = in_100(chance, faults / 3),
            .cut_ok = in_100(chance, 30),
        };
        if (in_100(chance, faults / 2))
            fake->ops[op].takes = time_up_to(service, 12000);
    }
    fake->ops[OP_START].takes %= in_100(chance, faults + 2) ? 1500 : part->start_timeout;
    fake->ops[OP_QUIESCE].takes %= in_100(chance, 100 - faults) ? 2 : 1000;
    if (!in_100(chance, faults / 2))
        fake->bad_starts = 0;
    else
        fake->bad_starts = (uint32_t)draw(chance) & (uint32_t)draw(chance) & (in_100(chance, 50) ? ~1U : ~0U);
    fake->ops[OP_START].fails = false;
    fake->lost = (struct weir_work){.in_flight = 3,
                                    .completed = 1,
                                    .cancelled = in_100(chance, 80) ? 2 : 0,
                                    .stuck = in_100(chance, faults / 2) ? 1 : 0};
    if (in_100(chance, faults / 4))
        fake->work = fake->lost;
}

static void random_events(struct service *service, struct sim *sim)
{
    struct chance *chance = &service->chance;
    int64_t begin = in_100(chance, 20) ? time_up_to(service, 500) : 2000 + time_up_to(service, 4000);
    for (int64_t i = in_100(chance, 50) ? up_to(chance, 4) : 0; i > 0; i--)
        sim_at(sim, time_up_to(service, in_100(chance, 50) ? begin : begin + 8000),
               (struct engine_event){.kind = EVENT_FAILED,
                                     .part = (uint32_t)up_to(chance, service->count - 1),
                                     .text = "it broke"});
    if (in_100(chance, 15))
        sim_at(sim, begin, (struct engine_event){.kind = EVENT_STOP, .text = "enough"});
    else if (in_100(chance, 15))
        sim_at(sim, begin, (struct engine_event){.kind = EVENT_HANDOVER, .text = "process 7"});
    sim_at(sim, begin, sim_signal());
    int64_t second = begin + time_up_to(service, service->plan->options.deadline_ms);
    if (in_100(chance, 40)) {
        sim_at(sim, second, sim_signal());
        if (in_100(chance, 40))
            sim_at(sim, second + time_up_to(service, 3000), sim_signal());
    }
}

/* The critical path's parts add up to the stop's length. */
static const char *check_path(const struct engine *engine)
{
    struct path path;
    path_find(engine, &path);
    int64_t sum = 0;
    for (uint32_t i = 0; i < path.count; i++)
        sum += path.parts[i].used;
    path_free(&path);
    bool third = engine->signal_count == ENGINE_SIGNALS_MAX; /* nobody has ended then */
    return third || sum == engine->exited_at - engine->t0 ? NULL : "the critical path does not add up";
}

static void random_run(struct service *service, struct sim *sim, uint64_t seed)
{
    random_service(service, seed);
    sim_init(sim, service->plan);
    sim->ties = seed;
    for (uint32_t i = 0; i < service->count; i++)
        random_fake(service, i, &sim->fakes[i]);
    random_events(service, sim);
}

static void end_run(struct service *service, struct sim *sim)
{
    sim_clean_up(sim);
    plan_destroy(service->plan);
}

/* What came to pass: a simulation in which nothing ever goes wrong would break no rule either. */
static struct {
    uint64_t clean, unclean, bad_start, component, forced, third_signal, escalated, abandoned, restarts, held;
} seen;

static void count_stop(const struct sim *sim)
{
    const struct engine *engine = sim->engine;
    seen.bad_start += engine->cause.kind == CAUSE_START;
    seen.component += engine->cause.kind == CAUSE_COMPONENT;
    seen.clean += engine->exit_status == 0;
    seen.unclean += engine->exit_status == EX_TEMPFAIL;
    seen.forced += engine->forced;
    seen.escalated += engine->signal_count == 2;
    seen.third_signal += engine->signal_count == ENGINE_SIGNALS_MAX;
    for (uint32_t i = 0; i < sim->plan->count; i++) {
        const struct engine_part *part = &engine->parts[i];
        seen.restarts += part->restart_total;
        seen.held += part->steps[OP_DESTROY].why == SKIP_HELD;
        for (enum op op = OP_START; op < OP_COUNT; op++)
            seen.abandoned += part->steps[op].outcome == OUTCOME_ABANDONED;
    }
}

static void print_stops(void)
{
    const struct {
        const char *what;
        uint64_t count;
    } lines[] = {
        {"clean", seen.clean},
        {"unclean", seen.unclean},
        {"starts failed", seen.bad_start},
        {"components failed", seen.component},
        {"forced", seen.forced},
        {"second signals", seen.escalated},
        {"third signals", seen.third_signal},
        {"operations given up", seen.abandoned},
        {"restarts", seen.restarts},
        {"components held", seen.held},
    };
    printf("%llu stops, seeds %llu to %llu:", (unsigned long long)runs, (unsigned long long)first_seed,
           (unsigned long long)(first_seed + runs - 1));
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        printf("%s %llu %s", i ? "," : "", (unsigned long long)lines[i].count, lines[i].what);
        if (runs >= 10000 && !lines[i].count)
            fail_msg("%llu stops, and none with: %s", (unsigned long long)runs, lines[i].what);
    }
    printf("\n");
}

static const char *run_seed(uint64_t seed, bool with_trace, struct weir_buffer *ret_trace)
{
    struct service service;
    static struct sim sim;
    static char text[256];
    random_run(&service, &sim, seed);
    sim.with_trace = with_trace;
    const char *broken = service.plan->error_count ? service.plan->errors[0] : sim_run(&sim);
    if (!broken)
        broken = check_path(sim.engine);
    if (!ret_trace)
        count_stop(&sim);
    if (broken)
        snprintf(text, sizeof text, "%s", broken);
    if (ret_trace) {
        plan_text(service.plan, "the service", ret_trace);
        weir_buffer_append(ret_trace, sim.trace.data, sim.trace.size);
    }
    end_run(&service, &sim);
    return broken ? text : NULL;
}

static void fail_seed(uint64_t seed, const char *broken)
{
    fail_msg("seed %llu: %s\nreplay it with: %s 1 %llu", (unsigned long long)seed, broken, program,
             (unsigned long long)seed);
}

static void every_invariant_holds_in_random_services_under_random_faults(void **state)
{
    (void)state;
    for (uint64_t seed = first_seed; seed < first_seed + runs; seed++) {
        const char *broken = run_seed(seed, false, NULL);
        if (!broken && runs > 1)
            continue;
        struct weir_buffer trace = {0};
        run_seed(seed, true, &trace);
        printf("seed %llu\n%s\n", (unsigned long long)seed,
               weir_buffer_text(&trace)); /* print_message() cuts */
        weir_buffer_free(&trace);
        if (broken)
            fail_seed(seed, broken);
    }
    print_stops();
}

static void a_process_that_was_frozen_breaks_no_rule_of_order_and_ends(void **state)
{
    (void)state;
    for (uint64_t seed = first_seed; seed < first_seed + runs / 4; seed++) {
        struct service service;
        static struct sim sim;
        random_run(&service, &sim, seed);
        sim.invariants.frozen = true;
        sim.frozen_from = time_up_to(&service, 8000);
        sim.frozen_until = sim.frozen_from + time_up_to(&service, 30000);
        const char *broken = sim_run(&sim);
        if (broken)
            fail_seed(seed, broken);
        end_run(&service, &sim);
    }
}

static bool reaches(const struct plan *plan, uint32_t from, uint32_t to)
{
    if (from == to)
        return true;
    for (uint32_t i = 0; i < plan->count; i++)
        if (i != from && plan_needs(plan, from, i) && reaches(plan, i, to))
            return true;
    return false;
}

static void a_hang_changes_no_call_and_no_limit_of_what_it_cannot_reach(void **state)
{
    (void)state;
    uint64_t pairs = 0;
    for (uint64_t seed = first_seed; seed < first_seed + runs / 8; seed++) {
        static struct sim sims[2];
        struct service service;
        random_run(&service, &sims[0], seed);
        uint32_t hung = (uint32_t)up_to(&service.chance, service.count - 1);
        sim_init(&sims[1], service.plan);
        memcpy(sims[1].fakes, sims[0].fakes, sizeof sims[0].fakes);
        sims[1].fakes[hung].ops[OP_DRAIN].hangs = true;
        for (int i = 0; i < 2; i++) {
            sims[i].external_count = 0;
            sims[i].ties = 0; /* the same order in both */
            sim_at(&sims[i], 3000, sim_signal());
            const char *broken = sim_run(&sims[i]);
            if (broken)
                fail_seed(seed, broken);
        }
        for (uint32_t i = 0; i < service.count; i++) {
            if (reaches(service.plan, hung, i))
                continue;
            pairs++;
            if (sims[0].fingerprints[i] != sims[1].fingerprints[i])
                fail_msg("seed %llu: a hang of %s changes %s", (unsigned long long)seed,
                         service.plan->parts[hung].name, service.plan->parts[i].name);
        }
        sim_clean_up(&sims[1]);
        end_run(&service, &sims[0]);
    }
    assert_true(pairs > 0 || runs < 8);
}

static void set_number(uint64_t *number, const char *text)
{
    if (text && *text)
        *number = strtoull(text, NULL, 10);
}

/* Every invariant that any of the seeds breaks, on a line of its own as soon as one does. */
static int name_broken_rules(void)
{
    uint32_t rules = 0;
    for (uint64_t seed = first_seed; seed < first_seed + runs; seed++) {
        for (int frozen = 0; frozen < 2; frozen++) {
            struct service service;
            static struct sim sim;
            random_run(&service, &sim, seed);
            sim.goes_on = true;
            if (frozen) {
                sim.invariants.frozen = true;
                sim.frozen_from = time_up_to(&service, 8000);
                sim.frozen_until = sim.frozen_from + time_up_to(&service, 30000);
            }
            sim_run(&sim);
            for (uint32_t i = 0; i < INVARIANTS_RULES; i++)
                if (sim.invariants.rules & ~rules & 1U << i)
                    printf("broken: %s by seed %llu: %s\n", invariants_rules[i], (unsigned long long)seed,
                           sim.invariants.broken);
            fflush(stdout);
            rules |= sim.invariants.rules;
            end_run(&service, &sim);
        }
    }
    return rules != 0;
}

int main(int argc, char **argv)
{
    program = argv[0];
    set_number(&runs, getenv("WEIR_SIMULATION_RUNS"));
    set_number(&first_seed, getenv("WEIR_SIMULATION_SEED"));
    set_number(&runs, argc > 1 ? argv[1] : NULL);
    set_number(&first_seed, argc > 2 ? argv[2] : NULL);
    if (getenv("WEIR_SIMULATION_RULES"))
        return name_broken_rules();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_invariant_holds_in_random_services_under_random_faults),
        cmocka_unit_test(a_process_that_was_frozen_breaks_no_rule_of_order_and_ends),
        cmocka_unit_test(a_hang_changes_no_call_and_no_limit_of_what_it_cannot_reach),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
