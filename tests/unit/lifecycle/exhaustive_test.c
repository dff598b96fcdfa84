/* Every interleaving of small services: all graphs of so many components, each taken through every order of
 * returns, results, failures, signals and timers. See explore.h.
 *
 *     lifecycle_exhaustive_test [long|short]     long: the larger sets, too; or WEIR_EXHAUSTIVE=long.
 * short: for a run for each of many mutants of the engine */
#include "test.h"

#include <stdio.h>
#include <time.h>

#include "explore.h"

static bool long_run, short_run;

struct shape {
    uint32_t parts;
    uint32_t edges; /* bit of pair (i, k), k < i: i needs k */
    bool announcer; /* the last one, where nothing needs it */
    bool base;      /* the first one, where it needs nothing */
    bool restart;   /* each may once */
    bool uneven;    /* reserves that differ; else all time out together: ties */
};

static uint32_t pair(uint32_t i, uint32_t k)
{
    return i * (i - 1) / 2 + k;
}

static bool edge(const struct shape *shape, uint32_t i, uint32_t k)
{
    return k < i && (shape->edges >> pair(i, k) & 1);
}

/* With the components in another order. UINT32_MAX when an edge would point forwards. */
static uint32_t reordered(const struct shape *shape, const uint32_t *place)
{
    uint32_t edges = 0;
    for (uint32_t i = 0; i < shape->parts; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (edge(shape, i, k) && place[i] < place[k])
                return UINT32_MAX;
            if (edge(shape, i, k))
                edges |= 1U << pair(place[i], place[k]);
        }
    }
    return edges;
}

/* Of the graphs that differ in names alone, the one with the least number. */
static bool is_first(const struct shape *shape, uint32_t *place, uint32_t placed, uint32_t used)
{
    if (placed == shape->parts)
        return reordered(shape, place) >= shape->edges;
    for (uint32_t at = 0; at < shape->parts; at++) {
        if (used >> at & 1)
            continue;
        place[placed] = at;
        if (!is_first(shape, place, placed + 1, used | 1U << at))
            return false;
    }
    return true;
}

static struct plan *plan_of(const struct shape *shape)
{
    static const char *const names[EXPLORE_PARTS_MAX] = {"a", "b", "c", "d"};
    uint32_t needs[EXPLORE_PARTS_MAX][EXPLORE_PARTS_MAX];
    struct plan_input inputs[EXPLORE_PARTS_MAX] = {0};
    for (uint32_t i = 0; i < shape->parts; i++) {
        uint32_t uneven = shape->uneven ? i : 0;
        inputs[i] = (struct plan_input){.name = names[i],
                                        .needs = needs[i],
                                        .has = {true, true, true, true, true},
                                        .cut_min_ms = 10 + uneven,
                                        .finish_min_ms = 5 + 2 * uneven,
                                        .start_timeout_ms = 20};
        if (shape->restart)
            inputs[i].restart = (struct plan_restart){1, 100, 3, 3};
        for (uint32_t k = 0; k < i; k++)
            if (edge(shape, i, k))
                needs[i][inputs[i].need_count++] = k;
    }
    inputs[shape->parts - 1].announcer = shape->announcer;
    inputs[0].base = shape->base;
    struct plan_options options = {
        .deadline_ms = 100000, .pre_drain_ms = 8, .report_ms = 2, .destroy_max_ms = 7};
    struct plan *plan = plan_new(&options, inputs, shape->parts);
    options.deadline_ms = plan->longest_ms + 13; /* what drains live from */
    plan_destroy(plan);
    return plan_new(&options, inputs, shape->parts);
}

static void explore_all(struct shape shape, struct explore_scope scope)
{
    struct explore_count count = {0};
    clock_t begin = clock();
    uint32_t graphs = 0, place[EXPLORE_PARTS_MAX];
    for (shape.edges = 0; shape.edges < 1U << shape.parts * (shape.parts - 1) / 2; shape.edges++) {
        bool all_alike = !shape.announcer && !shape.base && !shape.uneven;
        if (all_alike && !is_first(&shape, place, 0, 0))
            continue;
        graphs++;
        struct plan *plan = plan_of(&shape);
        assert_int_equal(plan->error_count, 0);
        const char *broken = explore(plan, &scope, &count);
        if (broken)
            print_error("%u components, graph %#x: %s\n", shape.parts, shape.edges, broken);
        assert_null(broken);
        plan_destroy(plan);
    }
    assert_true(count.exits > 0);
    char faults[32] = "any number";
    if (scope.faults != EXPLORE_NO_BOUND)
        snprintf(faults, sizeof faults, "%u", scope.faults);
    printf(
        "%u components, %s%s%s%s%s%s, %u signals, faults: %s, %u graphs, %llu states, %llu steps, %.1f s\n",
        shape.parts, scope.from_start ? "from the start" : "from up", shape.announcer ? ", announcer" : "",
        shape.base ? ", base" : "", shape.restart ? ", restarts" : "", shape.uneven ? ", uneven" : "",
        scope.stop ? ", stop" : "", scope.signals, faults, graphs, (unsigned long long)count.states,
        (unsigned long long)count.steps, (double)(clock() - begin) / CLOCKS_PER_SEC);
    fflush(stdout);
}

static void every_order_of_one_component_with_restarts(void **state)
{
    (void)state;
    explore_all(
        (struct shape){.parts = 1, .restart = true},
        (struct explore_scope){.from_start = true, .stop = true, .signals = 3, .faults = long_run ? 4 : 2});
}

static void every_order_of_two_components_from_the_start_with_three_signals_and_a_fault(void **state)
{
    (void)state;
    struct explore_scope scope = {
        .from_start = true, .stop = !short_run, .signals = short_run ? 2 : 3, .faults = 1};
    explore_all((struct shape){.parts = 2}, scope);
    if (long_run)
        explore_all((struct shape){.parts = 2, .restart = true}, scope);
}

static void every_order_of_the_stop_of_two_components_with_any_number_of_faults(void **state)
{
    (void)state;
    if (!short_run)
        explore_all((struct shape){.parts = 2},
                    (struct explore_scope){.stop = true, .signals = 2, .faults = EXPLORE_NO_BOUND});
}

static void every_order_of_a_restart_of_two_components(void **state)
{
    (void)state;
    explore_all((struct shape){.parts = 2, .restart = true},
                (struct explore_scope){.signals = 1, .faults = long_run ? 2 : 1});
}

static void every_order_of_the_starts_of_three_components(void **state)
{
    (void)state;
    explore_all((struct shape){.parts = 3}, (struct explore_scope){.from_start = true,
                                                                   .signals = short_run ? 0 : 1 + long_run,
                                                                   .faults = long_run});
}

static void every_order_of_the_stop_of_three_components_with_two_signals_and_a_fault(void **state)
{
    (void)state;
    struct explore_scope scope = {.signals = short_run ? 1 : 2, .faults = 1};
    explore_all((struct shape){.parts = 3}, scope);
    if (!long_run)
        return;
    explore_all((struct shape){.parts = 3, .uneven = true}, scope);
    scope.faults = 2;
    explore_all((struct shape){.parts = 3}, scope);
}

static void every_order_with_an_announcer_and_with_base(void **state)
{
    (void)state;
    uint32_t parts = long_run ? 3 : 2;
    struct explore_scope scope = {.signals = 2, .faults = 1};
    explore_all((struct shape){.parts = parts, .announcer = true}, scope);
    explore_all((struct shape){.parts = parts, .base = true, .uneven = true}, scope);
}

static void every_order_of_the_stop_of_four_components(void **state)
{
    (void)state;
    explore_all((struct shape){.parts = 4}, (struct explore_scope){.signals = 1, .faults = long_run});
}

int main(int argc, char **argv)
{
    const char *asked = argc > 1 ? argv[1] : getenv("WEIR_EXHAUSTIVE");
    long_run = asked && strcmp(asked, "long") == 0;
    short_run = asked && strcmp(asked, "short") == 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_of_one_component_with_restarts),
        cmocka_unit_test(every_order_of_two_components_from_the_start_with_three_signals_and_a_fault),
        cmocka_unit_test(every_order_of_the_stop_of_two_components_with_any_number_of_faults),
        cmocka_unit_test(every_order_of_a_restart_of_two_components),
        cmocka_unit_test(every_order_of_the_starts_of_three_components),
        cmocka_unit_test(every_order_of_the_stop_of_three_components_with_two_signals_and_a_fault),
        cmocka_unit_test(every_order_with_an_announcer_and_with_base),
        cmocka_unit_test(every_order_of_the_stop_of_four_components),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
