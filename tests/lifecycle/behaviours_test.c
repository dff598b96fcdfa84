/* Behaviours that are rules of the engine, on a virtual clock: "time what component". The others are in
 * transports_test.c, classic_stop_test.c and where the table of docs/lifecycle.md says. */
#include "test.h"

#include <sysexits.h>

#include "graph.h"
#include "sim.h"

static const struct plan_options options = {.deadline_ms = 10000, .report_ms = 200, .destroy_max_ms = 1000};

struct story {
    struct plan *plan;
    struct sim sim;
};

static void begin(struct story *story, const struct plan_options *given, const struct graph_line *lines)
{
    story->plan = graph_plan(given, lines);
    assert_int_equal(story->plan->error_count, 0);
    sim_init(&story->sim, story->plan);
    story->sim.with_trace = true;
}

static struct sim_fake *fake(struct story *story, const char *name)
{
    return &story->sim.fakes[graph_index(story->plan, name)];
}

static const struct engine_step *step(const struct story *story, const char *name, enum op op)
{
    return &story->sim.engine->parts[graph_index(story->plan, name)].steps[op];
}

/* Runs it against the invariants. */
static void assert_story(struct story *story, const char *trace, int status)
{
    const char *broken = sim_run(&story->sim);
    assert_string_equal(broken ? broken : "", "");
    assert_string_equal(weir_buffer_text(&story->sim.trace), trace);
    assert_int_equal(story->sim.status, status);
    assert_false(story->sim.forced);
}

static void end(struct story *story)
{
    sim_clean_up(&story->sim);
    plan_destroy(story->plan);
}

/* rest drains to its limit, and returns with the last of its reserve: the commits behind it take all of theirs. */
static void a_drain_that_uses_the_whole_budget_leaves_later_commits_and_flushes_their_reserve(void **state)
{
    (void)state;
    struct story story;
    begin(&story, &options,
          (struct graph_line[]){
              {"producer", NULL, 100, 2000}, {"consumer", "producer", 100, 1000}, {"rest", "consumer"}, {0}});
    *fake(&story, "rest") = (struct sim_fake){.ops = {[OP_DRAIN] = {.takes = 60000, .notice = 250}},
                                              .lost = {.in_flight = 1, .cancelled = 1}};
    fake(&story, "consumer")->ops[OP_FINISH].takes = 1100;
    fake(&story, "producer")->ops[OP_FINISH].takes = 2100;
    sim_at(&story.sim, 1000, sim_signal());
    assert_story(&story,
                 "0 start producer, 0 start consumer, 0 start rest, 0 ready, 1000 announce, 1000 quiesce "
                 "rest, 1000 drain rest, 7600 destroy rest, 7600 quiesce consumer, 7600 drain consumer, 7600 "
                 "finish consumer, 8700 destroy consumer, 8700 quiesce producer, 8700 drain producer, 8700 "
                 "finish producer, 10800 exit 75",
                 EX_TEMPFAIL);
    assert_int_equal(step(&story, "consumer", OP_FINISH)->outcome, OUTCOME_CLEAN);
    assert_int_equal(step(&story, "producer", OP_FINISH)->outcome, OUTCOME_CLEAN);
    end(&story);
}

/* Each may drain for 1 s and takes 0.9: from the signal that would be over long before its turn. */
static void a_budget_runs_from_the_components_turn_and_the_announcement_does_not_eat_it(void **state)
{
    (void)state;
    struct plan_options announced = options;
    announced.pre_drain_ms = 3000;
    struct story story;
    begin(&story, &announced,
          (struct graph_line[]){{"db", .drain_max = 1000}, {"rest", "db", .drain_max = 1000}, {0}});
    fake(&story, "rest")->ops[OP_DRAIN].takes = 900;
    fake(&story, "db")->ops[OP_DRAIN].takes = 900;
    sim_at(&story.sim, 1000, sim_signal());
    assert_story(&story,
                 "0 start db, 0 start rest, 0 ready, 1000 announce, 4000 quiesce rest, 4000 drain rest, 4900 "
                 "finish rest, 4900 destroy rest, 4900 quiesce db, 4900 drain db, 5800 finish db, 5800 "
                 "destroy db, 5800 exit 0",
                 0);
    end(&story);
}

static void a_component_that_never_started_or_whose_stop_failed_ends_at_once(void **state)
{
    (void)state;
    struct story story;
    begin(&story, &options,
          (struct graph_line[]){{"db", NULL, 250, 3000}, {"api", "db"}, {"front", "api"}, {0}});
    fake(&story, "api")->ops[OP_START].fails = true;
    fake(&story, "db")->ops[OP_QUIESCE].fails = true;
    fake(&story, "db")->ops[OP_DRAIN].fails = true;
    fake(&story, "db")->ops[OP_FINISH].fails = true;
    assert_story(&story,
                 "0 start db, 0 start api, 0 announce, 0 destroy front, 0 quiesce db, 0 drain db, 0 finish "
                 "db, 0 destroy api, 0 destroy db, 0 exit 69",
                 EX_UNAVAILABLE);
    assert_int_equal(step(&story, "db", OP_FINISH)->outcome, OUTCOME_FAILED);
    assert_int_equal(step(&story, "front", OP_DRAIN)->why, SKIP_NOT_STARTED);
    end(&story);
}

/* The start took three times as long as a whole stop may; db still has all of that for itself. */
static void a_start_that_timed_out_is_rolled_back_under_a_fresh_budget(void **state)
{
    (void)state;
    struct story story;
    begin(&story, &options, (struct graph_line[]){{"db"}, {"api", "db", .start_timeout = 30000}, {0}});
    fake(&story, "api")->ops[OP_START] = (struct sim_op){.takes = 90000, .notice = 50};
    fake(&story, "db")->ops[OP_DRAIN].takes = 9000;
    assert_story(&story,
                 "0 start db, 0 start api, 30050 announce, 30050 destroy api, 30050 quiesce db, 30050 drain "
                 "db, 39050 finish db, 39050 destroy db, 39050 exit 69",
                 EX_UNAVAILABLE);
    assert_int_equal(step(&story, "db", OP_DRAIN)->outcome, OUTCOME_CLEAN);
    end(&story);
}

static void a_deregistration_that_fails_does_not_stop_the_stop(void **state)
{
    (void)state;
    struct plan_options announced = options;
    announced.pre_drain_ms = 500;
    struct story story;
    begin(&story, &announced,
          (struct graph_line[]){
              {"rest", .kind = INGRESS}, {"registry", "rest", .kind = ANNOUNCER, .drain_max = 2000}, {0}});
    fake(&story, "registry")->ops[OP_QUIESCE].fails = true;
    fake(&story, "registry")->ops[OP_DRAIN].fails = true;
    fake(&story, "rest")->ops[OP_DRAIN].takes = 100;
    sim_at(&story.sim, 1000, sim_signal());
    assert_story(&story,
                 "0 start rest, 0 start registry, 0 ready, 1000 announce, 1000 quiesce registry, 1000 drain "
                 "registry, 1000 finish registry, 1000 destroy registry, 1500 quiesce rest, 1500 drain rest, "
                 "1600 finish rest, 1600 destroy rest, 1600 exit 75",
                 EX_TEMPFAIL);
    assert_int_equal(step(&story, "rest", OP_DRAIN)->outcome, OUTCOME_CLEAN);
    end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_drain_that_uses_the_whole_budget_leaves_later_commits_and_flushes_their_reserve),
        cmocka_unit_test(a_budget_runs_from_the_components_turn_and_the_announcement_does_not_eat_it),
        cmocka_unit_test(a_component_that_never_started_or_whose_stop_failed_ends_at_once),
        cmocka_unit_test(a_start_that_timed_out_is_rolled_back_under_a_fresh_budget),
        cmocka_unit_test(a_deregistration_that_fails_does_not_stop_the_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
