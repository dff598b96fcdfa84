/* What a stop's order alone does not show: ties, late returns, restarts in their window, what is remembered for the
 * report. */
#include "test.h"

#include <sysexits.h>

#include "story.h"

static const struct plan_options options = {.deadline_ms = 10000, .report_ms = 200, .destroy_max_ms = 1000};

/* ---- Odd events and clocks ---- */

static void times_may_be_below_zero(void **state)
{
    (void)state;
    struct plan *plan = graph_plan(&options, (struct graph_line[]){{"db"}, {0}});
    struct engine *engine = engine_new(plan);
    uint32_t count;
    engine_handle(engine, &(struct engine_event){.kind = EVENT_RUN}, -500, &count);
    assert_int_equal(engine->now, -500);
    assert_int_equal(engine->parts[0].steps[OP_START].at, -500);
    engine_handle(engine, &(struct engine_event){.kind = EVENT_TICK}, -700, &count);
    assert_int_equal(engine->now, -500);
    engine_destroy(engine);
    plan_destroy(plan);
}

static void a_turn_before_time_zero_waited_for_nobody(void **state)
{
    (void)state;
    static const struct graph_line lines[][2] = {{{"db", .has = "dx"}, {0}},
                                                 {{"log", .has = "dx", .kind = BASE}, {0}}};
    for (size_t i = 0; i < 2; i++) {
        struct plan *plan = graph_plan(&options, lines[i]);
        struct engine *engine = engine_new(plan);
        struct engine_event run = {.kind = EVENT_RUN}, signal = sim_signal();
        uint32_t count;
        engine_handle(engine, &run, -5000, &count);
        engine_handle(engine, &signal, -3000, &count);
        assert_true(engine->parts[0].has_turn);
        assert_int_equal(engine->parts[0].waited_for, WAIT_NONE);
        engine_destroy(engine);
        plan_destroy(plan);
    }
}

static void nothing_begins_before_it_is_run(void **state)
{
    (void)state;
    struct plan *plan = graph_plan(&options, (struct graph_line[]){{"db"}, {0}});
    struct engine *engine = engine_new(plan);
    uint32_t count;
    engine_handle(engine, &(struct engine_event){.kind = EVENT_TICK}, 0, &count);
    assert_int_equal(count, 0);
    assert_int_equal(engine->odd_count, 1);
    assert_int_equal(engine->parts[0].state, PART_NEW);
    engine_destroy(engine);
    plan_destroy(plan);
}

static void the_return_of_no_operation_is_odd(void **state)
{
    (void)state;
    struct plan *plan = graph_plan(&options, (struct graph_line[]){{"db", .has = "qdfx"}, {0}});
    struct engine *engine = engine_new(plan);
    uint32_t count;
    engine_handle(engine, &(struct engine_event){.kind = EVENT_RUN}, 0, &count);
    engine_handle(engine, &(struct engine_event){.kind = EVENT_RETURNED, .op = OP_NONE}, 0, &count);
    assert_int_equal(count, 0);
    assert_int_equal(engine->odd_count, 1);
    engine_destroy(engine);
    plan_destroy(plan);
}

/* The engine's thread comes a millisecond after the timer of one, with the return of another. */
static void who_is_out_of_time_is_given_up_with_the_next_event_whatever_it_is(void **state)
{
    (void)state;
    struct plan *plan = graph_plan(
        &options,
        (struct graph_line[]){{"hangs", .has = "dx", .drain_max = 100}, {"works", .has = "dx"}, {0}});
    struct engine *engine = engine_new(plan);
    struct engine_event signal = sim_signal(), run = {.kind = EVENT_RUN},
                        returned = {.kind = EVENT_RETURNED, .part = 1, .op = OP_DRAIN};
    uint32_t count;
    engine_handle(engine, &run, 0, &count);
    engine_handle(engine, &signal, 1000, &count);
    assert_int_equal(engine_next_timer(engine), 1350);
    engine_handle(engine, &returned, 1351, &count);
    assert_int_equal(engine->parts[0].steps[OP_DRAIN].outcome, OUTCOME_ABANDONED);
    engine_destroy(engine);
    plan_destroy(plan);
}

/* ---- The order in one batch ---- */

static const struct plan_options announced = {
    .deadline_ms = 10000, .pre_drain_ms = 500, .report_ms = 200, .destroy_max_ms = 1000};

static void destroys_come_before_all_other_calls_of_the_same_moment(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &announced,
                (struct graph_line[]){{"registry", .kind = ANNOUNCER, .has = "dx"}, {"rest"}, {0}});
    story_fake(&story, "registry")->ops[OP_DRAIN].takes = 500;
    sim_at(&story.sim, 1000, sim_signal());
    story_assert(&story,
                 "0 start rest, 0 ready, 1000 announce, 1000 drain registry, 1500 destroy registry, "
                 "1500 quiesce rest, 1500 drain rest, 1500 finish rest, 1500 destroy rest, 1500 exit 0",
                 0, false);
    story_end(&story);
}

static void calls_of_the_same_moment_come_in_the_order_of_stopping(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &announced,
                (struct graph_line[]){{"registry", .kind = ANNOUNCER, .has = "dfx"}, {"rest"}, {0}});
    story_fake(&story, "registry")->ops[OP_DRAIN].takes = 500;
    sim_at(&story.sim, 1000, sim_signal());
    story_assert(&story,
                 "0 start rest, 0 ready, 1000 announce, 1000 drain registry, 1500 quiesce rest, "
                 "1500 finish registry, 1500 destroy registry, 1500 drain rest, 1500 finish rest, "
                 "1500 destroy rest, 1500 exit 0",
                 0, false);
    story_end(&story);
}

/* ---- Late returns, and destroy ---- */

static void what_was_up_without_a_start_is_not_destroyed_undrained(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options,
                (struct graph_line[]){{"late", .has = "qdx", .drain_max = 100}, {"slow"}, {0}});
    story_fake(&story, "late")->ops[OP_QUIESCE] = (struct sim_op){.takes = 600};
    story_fake(&story, "slow")->ops[OP_DRAIN].takes = 2000;
    sim_at(&story.sim, 1000, sim_signal());
    story_assert(
        &story,
        "0 start slow, 0 ready, 1000 announce, 1000 quiesce slow, 1000 quiesce late, 1000 drain slow, "
        "1350 give up late, 3000 finish slow, 3000 destroy slow, 3000 exit 75",
        EX_TEMPFAIL, false);
    assert_int_equal(story_part(&story, "late")->steps[OP_DESTROY].why, SKIP_NOT_DRAINED);
    story_end(&story);
}

static void without_a_drain_a_late_quiesce_is_enough_to_be_destroyed(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options,
                (struct graph_line[]){{"late", .has = "sqx", .drain_max = 100}, {"slow"}, {0}});
    story_fake(&story, "late")->ops[OP_QUIESCE] = (struct sim_op){.takes = 600};
    story_fake(&story, "slow")->ops[OP_DRAIN].takes = 2000;
    sim_at(&story.sim, 1000, sim_signal());
    story_assert(
        &story,
        "0 start late, 0 start slow, 0 ready, 1000 announce, 1000 quiesce slow, 1000 quiesce late, "
        "1000 drain slow, 1350 give up late, 1600 destroy late, 3000 finish slow, 3000 destroy slow, "
        "3000 exit 75",
        EX_TEMPFAIL, false);
    story_end(&story);
}

/* Its cancelled start returns ok at its latest end: there is no time to drain it, but to destroy what it needs. */
static void who_came_up_without_time_to_drain_is_not_destroyed(void **state)
{
    (void)state;
    static const struct plan_options tight = {.deadline_ms = 110, .destroy_max_ms = 1000};
    struct story story;
    story_begin(&story, &tight,
                (struct graph_line[]){{"db", NULL, 100}, {"api", "db", 10, .has = "sdfx"}, {0}});
    story_fake(&story, "api")->ops[OP_START] = (struct sim_op){.takes = 9000, .notice = 10, .cut_ok = true};
    sim_at(&story.sim, 1000, sim_signal());
    story_assert(&story,
                 "0 start db, 0 start api, 1000 announce, 1000 limit api, 1010 quiesce db, 1010 drain db, "
                 "1010 finish db, 1010 exit 75",
                 EX_TEMPFAIL, false);
    assert_int_equal(story_part(&story, "api")->steps[OP_DRAIN].why, SKIP_DEADLINE);
    assert_int_equal(story_part(&story, "api")->steps[OP_DESTROY].why, SKIP_NOT_DRAINED);
    story_end(&story);
}

static void what_is_held_names_who_runs_nearest_to_it(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, (struct graph_line[]){{"db"}, {"relay", "db"}, {"rest", "relay"}, {0}});
    story_fake(&story, "relay")->ops[OP_DRAIN].hangs = true;
    story_fake(&story, "rest")->ops[OP_DRAIN].hangs = true;
    sim_at(&story.sim, 1000, sim_signal());
    story_assert(&story, NULL, EX_TEMPFAIL, true);
    assert_int_equal(story_part(&story, "db")->steps[OP_DESTROY].why, SKIP_HELD);
    assert_int_equal(story_part(&story, "db")->held_by, graph_index(story.plan, "relay"));
    story_end(&story);
}

static void what_has_no_destroy_is_gone_once_nobody_can_use_it(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, (struct graph_line[]){{"db", .has = "sd"}, {"slow"}, {0}});
    story_fake(&story, "slow")->ops[OP_DRAIN].takes = 2000;
    sim_at(&story.sim, 1000, sim_signal());
    story_assert(&story, NULL, 0, false);
    assert_int_equal(story_part(&story, "db")->steps[OP_DESTROY].outcome, OUTCOME_CLEAN);
    assert_int_equal(story_part(&story, "db")->steps[OP_DESTROY].done, 1000);
    story_end(&story);
}

static void a_hung_start_leaves_out_the_later_steps_and_says_so(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, (struct graph_line[]){{"db", .start_timeout = 500}, {0}});
    story_fake(&story, "db")->ops[OP_START].hangs = true;
    story_assert(&story, "0 start db, 750 announce, 1000 give up db, 1000 exit 69 forced", EX_UNAVAILABLE,
                 true);
    const struct engine_step *steps = story_part(&story, "db")->steps;
    assert_int_equal(steps[OP_START].outcome, OUTCOME_ABANDONED);
    assert_int_equal(steps[OP_DRAIN].why, SKIP_OWN_ABANDONED);
    assert_int_equal(steps[OP_DRAIN].used, 0);
    assert_int_equal(steps[OP_DESTROY].why, SKIP_RUNS);
    story_end(&story);
}

static void a_step_that_failed_keeps_its_error(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, (struct graph_line[]){{"db"}, {"api", "db"}, {0}});
    story_fake(&story, "api")->ops[OP_START].fails = true;
    story_fake(&story, "db")->ops[OP_DRAIN].fails = true;
    story_assert(&story, NULL, EX_UNAVAILABLE, false);
    const struct engine_step *start = &story_part(&story, "api")->steps[OP_START],
                             *drain = &story_part(&story, "db")->steps[OP_DRAIN];
    assert_int_equal(start->status, WEIR_UNAVAILABLE);
    assert_string_equal(start->text, "it did not work");
    assert_int_equal(drain->status, WEIR_UNAVAILABLE);
    assert_string_equal(drain->text, "it did not work");
    story_end(&story);
}

/* ---- Restarts ---- */

/* Three within 1000 ms: each failure, and whether it becomes a restart. */
static void restarts_are_counted_within_their_time(void **state)
{
    (void)state;
    static const struct {
        int64_t at;
        bool restarts;
    } failures[] = {{1000, true}, {1400, true}, {1800, true}, /* full */
                    {2000, true},                             /* that of 1000 is out, to the millisecond */
                    {2500, true},                             /* and that of 1400 */
                    {2799, false}};                           /* 1800, 2000 and 2500 are in */
    struct plan *plan =
        graph_plan(&options, (struct graph_line[]){{"db", .has = "x", .restart = {3, 1000, 1, 1}}, {0}});
    struct engine *engine = engine_new(plan);
    const struct engine_event run = {.kind = EVENT_RUN}, tick = {.kind = EVENT_TICK},
                              failed = {.kind = EVENT_FAILED, .text = "lost its disk"};
    uint32_t count;
    engine_handle(engine, &run, 0, &count);
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        engine_handle(engine, &failed, failures[i].at, &count);
        assert_int_equal(engine->phase == PHASE_RUNNING, failures[i].restarts);
        engine_handle(engine, &tick, failures[i].at + 1, &count);
        assert_int_equal(engine_ready(engine), failures[i].restarts);
    }
    assert_int_equal(engine->parts[0].restart_total, 5);
    engine_destroy(engine);
    plan_destroy(plan);
}

static void the_first_failure_of_one_that_is_starting_is_the_cause(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, (struct graph_line[]){{"db"}, {0}});
    story_fake(&story, "db")->ops[OP_START].takes = 100;
    sim_at(&story.sim, 50, story_failure(&story, "db", "lost its disk"));
    sim_at(&story.sim, 60, story_failure(&story, "db", "still has none"));
    story_assert(&story, NULL, EX_SOFTWARE, false);
    assert_string_equal(story.sim.engine->cause.text, "lost its disk");
    story_end(&story);
}

/* In back-off as the stop begins, and kept from its destroy by one that hangs: nothing of it is given up. */
static void who_is_down_has_no_timer_in_a_stop(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options,
                (struct graph_line[]){{"log", .has = "sf", .kind = BASE},
                                      {"db", .restart = {1, 60000, 5000, 5000}},
                                      {"rest", "db"},
                                      {0}});
    story_fake(&story, "rest")->ops[OP_DRAIN].hangs = true;
    story_fake(&story, "log")->ops[OP_FINISH] = (struct sim_op){.takes = 300, .deaf = true};
    sim_at(&story.sim, 1000, story_failure(&story, "db", "lost its disk"));
    sim_at(&story.sim, 2000, sim_signal());
    story_assert(
        &story,
        "0 start log, 0 start db, 0 start rest, 0 ready, 1000 quiesce db, 1000 drain db, 1000 finish db, "
        "2000 announce, 2000 quiesce rest, 2000 drain rest, 11300 give up rest, 11300 finish log, "
        "11600 exit 75 forced",
        EX_TEMPFAIL, true);
    assert_int_equal(story_part(&story, "db")->steps[OP_DRAIN].why, SKIP_WAS_DOWN);
    assert_int_equal(story_part(&story, "db")->steps[OP_DESTROY].why, SKIP_HELD);
    story_end(&story);
}

/* ---- What a turn waited for ---- */

static void a_turn_at_the_begin_of_the_stop_waited_for_nothing(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, (struct graph_line[]){{"db"}, {"rest", "db"}, {0}});
    story_fake(&story, "db")->ops[OP_START].takes = 100;
    sim_at(&story.sim, 100, sim_signal());
    story_assert(&story, NULL, 0, false);
    assert_int_equal(story_part(&story, "db")->up_at, 100);
    assert_int_equal(story_part(&story, "db")->waited_for, WAIT_NONE);
    story_end(&story);
}

static void a_start_that_returns_after_all_dependants_have_ended_is_what_its_turn_waited_for(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options,
                (struct graph_line[]){{"db", .restart = {1, 60000, 100, 100}}, {"rest", "db"}, {0}});
    sim_at(&story.sim, 1000, story_failure(&story, "db", "lost its disk"));
    sim_at(&story.sim, 2000, sim_signal());
    story_fake(&story, "db")->ops[OP_START] = (struct sim_op){.takes = 950, .notice = 90, .cut_ok = true};
    story_fake(&story, "rest")->ops[OP_DRAIN].takes = 40;
    story_assert(&story, NULL, 0, false);
    assert_int_equal(story_part(&story, "db")->waited_for, WAIT_START);
    assert_int_equal(story_part(&story, "db")->turn, 2050);
    story_end(&story);
}

static void the_steps_of_a_restart_that_a_stop_takes_over_waited_for_nothing(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, (struct graph_line[]){{"db", .restart = {1, 60000, 100, 100}}, {0}});
    story_fake(&story, "db")->ops[OP_START].takes = 10;
    story_fake(&story, "db")->ops[OP_FINISH] = (struct sim_op){.takes = 200, .deaf = true};
    sim_at(&story.sim, 1000, story_failure(&story, "db", "lost its disk"));
    sim_at(&story.sim, 1100, sim_signal());
    story_assert(&story, NULL, 0, false);
    assert_int_equal(story_part(&story, "db")->ended_at, 1200);
    assert_int_equal(story_part(&story, "db")->waited_for, WAIT_NONE);
    story_end(&story);
}

/* ---- Work ---- */

static void any_loss_makes_a_step_cut(void **state)
{
    (void)state;
    static const struct weir_work losses[] = {
        {.cancelled = 1}, {.stuck = 1}, {.kept = 1}, {.undelivered = 1}, {.uncommitted = 1}};
    for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++) {
        struct story story;
        story_begin(&story, &options, (struct graph_line[]){{"db"}, {0}});
        story_fake(&story, "db")->work = losses[i];
        sim_at(&story.sim, 1000, sim_signal());
        story_assert(&story, NULL, EX_TEMPFAIL, losses[i].stuck > 0);
        assert_int_equal(story_part(&story, "db")->steps[OP_DRAIN].outcome, OUTCOME_CUT);
        assert_memory_equal(&story_part(&story, "db")->work, &losses[i], sizeof losses[i]);
        story_end(&story);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_may_be_below_zero),
        cmocka_unit_test(a_turn_before_time_zero_waited_for_nobody),
        cmocka_unit_test(nothing_begins_before_it_is_run),
        cmocka_unit_test(the_return_of_no_operation_is_odd),
        cmocka_unit_test(who_is_out_of_time_is_given_up_with_the_next_event_whatever_it_is),
        cmocka_unit_test(destroys_come_before_all_other_calls_of_the_same_moment),
        cmocka_unit_test(calls_of_the_same_moment_come_in_the_order_of_stopping),
        cmocka_unit_test(what_was_up_without_a_start_is_not_destroyed_undrained),
        cmocka_unit_test(without_a_drain_a_late_quiesce_is_enough_to_be_destroyed),
        cmocka_unit_test(who_came_up_without_time_to_drain_is_not_destroyed),
        cmocka_unit_test(what_is_held_names_who_runs_nearest_to_it),
        cmocka_unit_test(what_has_no_destroy_is_gone_once_nobody_can_use_it),
        cmocka_unit_test(a_hung_start_leaves_out_the_later_steps_and_says_so),
        cmocka_unit_test(a_step_that_failed_keeps_its_error),
        cmocka_unit_test(restarts_are_counted_within_their_time),
        cmocka_unit_test(the_first_failure_of_one_that_is_starting_is_the_cause),
        cmocka_unit_test(who_is_down_has_no_timer_in_a_stop),
        cmocka_unit_test(a_turn_at_the_begin_of_the_stop_waited_for_nothing),
        cmocka_unit_test(a_start_that_returns_after_all_dependants_have_ended_is_what_its_turn_waited_for),
        cmocka_unit_test(the_steps_of_a_restart_that_a_stop_takes_over_waited_for_nothing),
        cmocka_unit_test(any_loss_makes_a_step_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
