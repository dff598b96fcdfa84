/* Single stories on a virtual clock: "time what component". The whole trace is the expectation. */
#include "test.h"

#include <sysexits.h>

#include "graph.h"
#include "orders.h"
#include "story.h"

static const struct plan_options options = {.deadline_ms = 10000, .report_ms = 200, .destroy_max_ms = 1000};

static const struct graph_line chain[] = {{"db"}, {"kafka", "db"}, {"rest", "kafka"}, {0}};

static void a_service_starts_along_its_edges_and_stops_against_them(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, chain);
    story_fake(&story, "db")->ops[OP_START].takes = 30;
    story_fake(&story, "rest")->ops[OP_DRAIN].takes = 100;
    story_fake(&story, "kafka")->ops[OP_FINISH].takes = 7;
    sim_at(&story.sim, 1000, sim_signal());
    story_assert(
        &story,
        "0 start db, 30 start kafka, 30 start rest, 30 ready, 1000 announce, "
        "1000 quiesce rest, 1000 drain rest, 1100 finish rest, "
        "1100 destroy rest, 1100 quiesce kafka, 1100 drain kafka, 1100 finish kafka, "
        "1107 destroy kafka, 1107 quiesce db, 1107 drain db, 1107 finish db, 1107 destroy db, 1107 exit 0",
        0, false);
    story_end(&story);
}

static void a_failed_start_stops_only_what_started_and_names_its_cause(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, chain);
    story_fake(&story, "rest")->ops[OP_START].fails = true;
    story_assert(&story,
                 "0 start db, 0 start kafka, 0 start rest, 0 announce, 0 destroy rest, "
                 "0 quiesce kafka, 0 drain kafka, 0 finish kafka, "
                 "0 quiesce db, 0 drain db, 0 finish db, 0 destroy kafka, 0 destroy db, 0 exit 69",
                 EX_UNAVAILABLE, false);
    assert_int_equal(story.sim.engine->cause.kind, CAUSE_START);
    assert_string_equal(story.plan->parts[story.sim.engine->cause.part].name, "rest");
    assert_string_equal(story.sim.engine->cause.text, "it did not work");
    story_end(&story);
}

static void a_start_that_comes_back_too_late_begins_a_stop_and_is_cancelled_once(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, (struct graph_line[]){{"db"}, {"api", "db", .start_timeout = 500}, {0}});
    story_fake(&story, "api")->ops[OP_START] = (struct sim_op){.hangs = true};
    story_assert(&story,
                 "0 start db, 0 start api, 750 announce, 1000 give up api, "
                 "1000 quiesce db, 1000 drain db, 1000 finish db, 1000 exit 69 forced",
                 EX_UNAVAILABLE, true);
    story_end(&story);
}

static const struct plan_options start_in_1000 = {
    .deadline_ms = 10000, .report_ms = 200, .destroy_max_ms = 1000, .start_total_ms = 1000};

static void a_start_is_cancelled_when_the_time_of_the_whole_start_is_over(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &start_in_1000,
                (struct graph_line[]){{"db"}, {"api", "db", .start_timeout = 500}, {0}});
    story_fake(&story, "db")->ops[OP_START].takes = 600;
    story_fake(&story, "api")->ops[OP_START].hangs = true;
    story_assert(&story,
                 "0 start db, 600 start api, 1250 announce, 1500 give up api, "
                 "1500 quiesce db, 1500 drain db, 1500 finish db, 1500 exit 69 forced",
                 EX_UNAVAILABLE, true);
    assert_string_equal(story.sim.engine->cause.text,
                        "did not return before start_total_ms of the app was over");
    story_end(&story);
}

static void a_start_within_its_own_timeout_says_that_this_was_over(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &start_in_1000, (struct graph_line[]){{"db", .start_timeout = 500}, {0}});
    story_fake(&story, "db")->ops[OP_START].hangs = true;
    story_assert(&story, "0 start db, 750 announce, 1000 give up db, 1000 exit 69 forced", EX_UNAVAILABLE,
                 true);
    assert_string_equal(story.sim.engine->cause.text, "did not return in start_timeout_ms");
    story_end(&story);
}

static void nothing_starts_once_the_time_of_the_whole_start_is_over(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &start_in_1000, (struct graph_line[]){{"db"}, {"api", "db"}, {0}});
    story_fake(&story, "db")->ops[OP_START].takes = 1000;
    story_assert(
        &story,
        "0 start db, 1000 announce, 1000 destroy api, 1000 quiesce db, 1000 drain db, 1000 finish db, "
        "1000 destroy db, 1000 exit 69",
        EX_UNAVAILABLE, false);
    assert_string_equal(story.plan->parts[story.sim.engine->cause.part].name, "api");
    assert_string_equal(story.sim.engine->cause.text,
                        "start_total_ms of the app was over before it could start");
    story_end(&story);
}

static void a_restart_has_its_own_timeout_whatever_the_whole_start_had(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &start_in_1000,
                (struct graph_line[]){{"db", .start_timeout = 900,
                                       .restart = {.most = 2, .within_ms = 10000, .first_backoff_ms = 100}},
                                      {0}});
    story_fake(&story, "db")->ops[OP_START].takes = 700;
    sim_at(&story.sim, 5000, story_failure(&story, "db", "lost its disk"));
    sim_at(&story.sim, 7000, sim_signal());
    story_assert(
        &story,
        "0 start db, 700 ready, 5000 quiesce db, 5000 drain db, 5000 finish db, 5100 start db, "
        "7000 announce, 7000 quiesce db, 7000 drain db, 7000 finish db, 7000 destroy db, 7000 exit 0",
        0, false);
    story_end(&story);
}

static void a_signal_during_start_cancels_it_and_stops_what_had_started(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, (struct graph_line[]){{"db"}, {"api", "db"}, {"front", "api"}, {0}});
    story_fake(&story, "api")->ops[OP_START] = (struct sim_op){.takes = 20000, .notice = 5};
    sim_at(&story.sim, 100, sim_signal());
    story_assert(&story,
                 "0 start db, 0 start api, 100 announce, 100 limit api, 100 destroy front, 105 destroy api, "
                 "105 quiesce db, 105 drain db, 105 finish db, 105 destroy db, 105 exit 0",
                 0, false);
    story_end(&story);
}

static void a_cancelled_start_that_comes_back_ok_is_stopped_in_its_turn(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, (struct graph_line[]){{"api"}, {0}});
    story_fake(&story, "api")->ops[OP_START] = (struct sim_op){.takes = 20000, .notice = 5, .cut_ok = true};
    sim_at(&story.sim, 100, sim_signal());
    story_assert(&story,
                 "0 start api, 100 announce, 100 limit api, 105 quiesce api, 105 drain api, 105 finish api, "
                 "105 destroy api, 105 exit 0",
                 0, false);
    story_end(&story);
}

static void a_hung_drain_holds_nobody_who_does_not_need_it_and_loses_nobody_its_finish(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options,
                (struct graph_line[]){
                    {"db", NULL, 100, 400}, {"rest", "db"}, {"consumer", "db", 100, 500}, {"saga"}, {0}});
    story_fake(&story, "rest")->ops[OP_DRAIN].hangs = true;
    sim_at(&story.sim, 1000, sim_signal());
    story_assert(
        &story,
        "0 start db, 0 start saga, 0 start rest, 0 start consumer, 0 ready, 1000 announce, "
        "1000 quiesce consumer, 1000 quiesce rest, 1000 quiesce saga, 1000 drain rest, 1000 drain consumer, "
        "1000 finish consumer, 1000 destroy consumer, 1000 drain saga, 1000 finish saga, "
        "1000 destroy saga, 10300 give up rest, 10300 quiesce db, 10300 drain db, 10300 finish db, 10300 "
        "exit 75 forced",
        EX_TEMPFAIL, true);
    story_end(&story);
}

static void a_second_signal_cuts_what_drains_and_leaves_everybody_its_reserve(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options,
                (struct graph_line[]){{"db", NULL, 100, 400}, {"rest", "db", 100, 300}, {0}});
    *story_fake(&story, "rest") = (struct sim_fake){.ops = {[OP_DRAIN] = {.takes = 9000, .notice = 50}},
                                                    .lost = {.in_flight = 3, .completed = 1, .cancelled = 2}};
    story_fake(&story, "db")->ops[OP_FINISH].hangs = true;
    sim_at(&story.sim, 1000, sim_signal());
    sim_at(&story.sim, 2000, sim_signal());
    story_assert(&story,
                 "0 start db, 0 start rest, 0 ready, 1000 announce, 1000 quiesce rest, 1000 drain rest, "
                 "2000 limit rest, 2050 finish rest, 2050 destroy rest, 2050 quiesce db, 2050 drain db, "
                 "2050 finish db, 2900 give up db, 2900 exit 75 forced",
                 EX_TEMPFAIL, true);
    story_end(&story);
}

static void a_third_signal_ends_it_at_once(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, (struct graph_line[]){{"db"}, {"rest", "db"}, {0}});
    story_fake(&story, "rest")->ops[OP_DRAIN].hangs = true;
    sim_at(&story.sim, 1000, sim_signal());
    sim_at(&story.sim, 1100, sim_signal());
    sim_at(&story.sim, 1200, sim_signal());
    story_assert(&story,
                 "0 start db, 0 start rest, 0 ready, 1000 announce, 1000 quiesce rest, 1000 drain rest, "
                 "1100 limit rest, 1200 exit 75 forced",
                 EX_TEMPFAIL, true);
    assert_int_equal(story.sim.engine->parts[0].steps[OP_FINISH].why, SKIP_SIGNAL);
    story_end(&story);
}

static void a_third_signal_wins_over_a_timer_of_the_same_moment(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, (struct graph_line[]){{"db"}, {"rest", "db"}, {0}});
    story_fake(&story, "rest")->ops[OP_DRAIN].hangs = true;
    sim_at(&story.sim, 1000, sim_signal());
    sim_at(&story.sim, 1100, sim_signal());
    sim_at(&story.sim, 1350, sim_signal());
    story_assert(&story,
                 "0 start db, 0 start rest, 0 ready, 1000 announce, 1000 quiesce rest, 1000 drain rest, "
                 "1100 limit rest, 1350 exit 75 forced",
                 EX_TEMPFAIL, true);
    story_end(&story);
}

static void the_announcer_leaves_at_once_and_ingress_after_the_announcement(void **state)
{
    (void)state;
    struct plan_options announced = options;
    announced.pre_drain_ms = 500;
    struct story story;
    story_begin(
        &story, &announced,
        (struct graph_line[]){{"rest", .kind = INGRESS}, {"registry", "rest", .kind = ANNOUNCER}, {0}});
    sim_at(&story.sim, 1000, sim_signal());
    story_assert(
        &story,
        "0 start rest, 0 start registry, 0 ready, 1000 announce, 1000 quiesce registry, 1000 drain registry, "
        "1000 finish registry, 1000 destroy registry, 1500 quiesce rest, 1500 drain rest, 1500 finish rest, "
        "1500 destroy rest, 1500 exit 0",
        0, false);
    story_end(&story);
}

static void a_handover_has_no_announcement(void **state)
{
    (void)state;
    struct plan_options announced = options;
    announced.pre_drain_ms = 500;
    struct story story;
    story_begin(
        &story, &announced,
        (struct graph_line[]){{"rest", .kind = INGRESS}, {"registry", "rest", .kind = ANNOUNCER}, {0}});
    sim_at(&story.sim, 1000, (struct engine_event){.kind = EVENT_HANDOVER, .text = "to process 7"});
    story_assert(&story,
                 "0 start rest, 0 start registry, 0 ready, 1000 announce, 1000 quiesce registry, 1000 drain "
                 "registry, 1000 finish registry, 1000 destroy registry, 1000 quiesce rest, 1000 drain rest, "
                 "1000 finish rest, 1000 destroy rest, 1000 exit 0",
                 0, false);
    assert_int_equal(story.sim.engine->cause.kind, CAUSE_HANDOVER);
    assert_string_equal(story.sim.engine->cause.text, "to process 7");
    story_end(&story);
}

static void a_handover_during_the_start_is_none(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, (struct graph_line[]){{"rest"}, {0}});
    *story_fake(&story, "rest") = (struct sim_fake){.ops = {[OP_START] = {.takes = 100}}};
    sim_at(&story.sim, 50, (struct engine_event){.kind = EVENT_HANDOVER, .text = "to process 7"});
    sim_at(&story.sim, 1000, sim_signal());
    story_assert(&story,
                 "0 start rest, 100 ready, 1000 announce, 1000 quiesce rest, 1000 drain rest, 1000 finish "
                 "rest, 1000 destroy rest, 1000 exit 0",
                 0, false);
    story_end(&story);
}

static void a_failed_component_begins_a_stop_with_itself_as_the_cause(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, (struct graph_line[]){{"db"}, {"rest", "db"}, {0}});
    *story_fake(&story, "db") = (struct sim_fake){.ops = {[OP_DRAIN] = {.takes = 5000}}};
    sim_at(&story.sim, 1000, story_failure(&story, "db", "lost its disk"));
    sim_at(&story.sim, 1000, story_failure(&story, "rest", "cannot reach db"));
    story_assert(&story,
                 "0 start db, 0 start rest, 0 ready, 1000 announce, 1000 quiesce rest, 1000 drain rest, "
                 "1000 finish rest, 1000 destroy rest, 1000 quiesce db, 1000 drain db, 1000 finish db, "
                 "1000 destroy db, 1000 exit 70",
                 EX_SOFTWARE, false);
    assert_string_equal(story.sim.engine->cause.text, "lost its disk");
    story_end(&story);
}

static void a_component_that_fails_while_it_starts_is_looked_at_when_it_is_up(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, (struct graph_line[]){{"db"}, {0}});
    story_fake(&story, "db")->ops[OP_START].takes = 100;
    sim_at(&story.sim, 50, story_failure(&story, "db", "lost its disk"));
    story_assert(
        &story,
        "0 start db, 100 announce, 100 quiesce db, 100 drain db, 100 finish db, 100 destroy db, 100 exit 70",
        EX_SOFTWARE, false);
    story_end(&story);
}

static const struct plan_restart twice = {.most = 2, .within_ms = 10000, .first_backoff_ms = 100};

static void a_restart_happens_in_place_while_dependants_go_on(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, (struct graph_line[]){{"db", .restart = twice}, {"rest", "db"}, {0}});
    sim_at(&story.sim, 1000, story_failure(&story, "db", "lost its disk"));
    sim_at(&story.sim, 3000, sim_signal());
    story_assert(
        &story,
        "0 start db, 0 start rest, 0 ready, 1000 quiesce db, 1000 drain db, 1000 finish db, 1100 start db, "
        "3000 announce, 3000 quiesce rest, 3000 drain rest, 3000 finish rest, 3000 destroy rest, "
        "3000 quiesce db, 3000 drain db, 3000 finish db, 3000 destroy db, 3000 exit 0",
        0, false);
    story_end(&story);
}

static void a_service_is_not_ready_while_a_component_restarts(void **state)
{
    (void)state;
    struct plan *plan =
        graph_plan(&options, (struct graph_line[]){{"db", .has = "s", .restart = twice}, {0}});
    struct engine *engine = engine_new(plan);
    const struct engine_event run = {.kind = EVENT_RUN}, tick = {.kind = EVENT_TICK},
                              failed = {.kind = EVENT_FAILED},
                              started = {.kind = EVENT_RETURNED, .op = OP_START};
    uint32_t count;
    engine_handle(engine, &run, 0, &count);
    assert_false(engine_ready(engine));
    engine_handle(engine, &started, 5, &count);
    assert_true(engine_ready(engine));
    engine_handle(engine, &failed, 1000, &count);
    assert_false(engine_ready(engine));
    assert_int_equal(engine_next_timer(engine), 1100);
    engine_handle(engine, &tick, 1100, &count);
    assert_false(engine_ready(engine));
    engine_handle(engine, &started, 1200, &count);
    assert_true(engine_ready(engine));
    engine_destroy(engine);
    plan_destroy(plan);
}

static void one_restart_too_many_becomes_a_stop_with_the_first_failure_as_its_cause(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, (struct graph_line[]){{"db", .restart = twice}, {0}});
    story_fake(&story, "db")->bad_starts = 6; /* the second and the third */
    sim_at(&story.sim, 1000, story_failure(&story, "db", "lost its disk"));
    story_assert(
        &story,
        "0 start db, 0 ready, 1000 quiesce db, 1000 drain db, 1000 finish db, 1100 start db, 1300 start db, "
        "1300 announce, 1300 destroy db, 1300 exit 70",
        EX_SOFTWARE, false);
    assert_string_equal(story.sim.engine->cause.text, "lost its disk");
    story_end(&story);
}

static void a_restart_over_stuck_work_becomes_a_stop(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, (struct graph_line[]){{"db", .restart = twice}, {0}});
    *story_fake(&story, "db") =
        (struct sim_fake){.work = {.in_flight = 1, .stuck = 1}, .lost = {.in_flight = 1, .stuck = 1}};
    story_fake(&story, "db")->ops[OP_DRAIN].takes = 1;
    sim_at(&story.sim, 1000, story_failure(&story, "db", "lost its disk"));
    story_assert(&story,
                 "0 start db, 0 ready, 1000 quiesce db, 1000 drain db, 1000 announce, 1000 finish db, "
                 "1000 exit 70 forced",
                 EX_SOFTWARE, true);
    story_end(&story);
}

static void a_restart_waits_until_what_it_needs_is_up_again(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options,
                (struct graph_line[]){{"db", .restart = twice}, {"rest", "db", .restart = twice}, {0}});
    story_fake(&story, "db")->ops[OP_START].takes = 900;
    sim_at(&story.sim, 2000, story_failure(&story, "db", "lost its disk"));
    sim_at(&story.sim, 2000, story_failure(&story, "rest", "cannot reach db"));
    sim_at(&story.sim, 5000, sim_signal());
    story_assert(&story,
                 "0 start db, 900 start rest, 900 ready, 2000 quiesce db, 2000 drain db, 2000 finish db, "
                 "2000 quiesce rest, 2000 drain rest, 2000 finish rest, 2100 start db, 3000 start rest, "
                 "5000 announce, 5000 quiesce rest, 5000 drain rest, 5000 finish rest, 5000 destroy rest, "
                 "5000 quiesce db, 5000 drain db, 5000 finish db, 5000 destroy db, 5000 exit 0",
                 0, false);
    story_end(&story);
}

static void a_stop_that_is_clean_in_the_last_millisecond_is_clean(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, (struct graph_line[]){{"db"}, {0}});
    story_fake(&story, "db")->ops[OP_FINISH] = (struct sim_op){.takes = 9800};
    sim_at(&story.sim, 1000, sim_signal());
    story_assert(
        &story,
        "0 start db, 0 ready, 1000 announce, 1000 quiesce db, 1000 drain db, 1000 finish db, 10800 exit 0", 0,
        false);
    story_end(&story);
}

static void destroy_waits_for_a_late_return_only_as_long_as_anything_else_goes_on(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options,
                (struct graph_line[]){{"db"}, {"late", .drain_max = 100}, {"slow", "db"}, {0}});
    story_fake(&story, "late")->ops[OP_DRAIN] = (struct sim_op){.takes = 1000, .deaf = true};
    story_fake(&story, "slow")->ops[OP_DRAIN].takes = 2000;
    sim_at(&story.sim, 1000, sim_signal());
    story_assert(&story,
                 "0 start db, 0 start late, 0 start slow, 0 ready, 1000 announce, 1000 quiesce slow, "
                 "1000 quiesce late, 1000 drain late, 1000 drain slow, 1350 give up late, 2000 destroy late, "
                 "3000 finish slow, 3000 destroy slow, 3000 quiesce db, 3000 drain db, 3000 finish db, "
                 "3000 destroy db, 3000 exit 75",
                 EX_TEMPFAIL, false);
    story_end(&story);
}

static void a_process_that_was_frozen_past_its_deadline_leaves_at_once(void **state)
{
    (void)state;
    struct plan *plan = graph_plan(&options, (struct graph_line[]){{"db"}, {"rest", "db"}, {0}});
    struct engine *engine = engine_new(plan);
    uint32_t count;
    engine_handle(engine, &(struct engine_event){.kind = EVENT_RUN}, 0, &count);
    engine_handle(engine, &(struct engine_event){.kind = EVENT_RETURNED, .part = 0, .op = OP_START}, 0,
                  &count);
    engine_handle(engine, &(struct engine_event){.kind = EVENT_RETURNED, .part = 1, .op = OP_START}, 0,
                  &count);
    struct engine_event signal = sim_signal();
    engine_handle(engine, &signal, 100, &count);
    const struct engine_action *actions =
        engine_handle(engine, &(struct engine_event){.kind = EVENT_TICK}, 100 + 60000, &count);
    assert_int_equal(actions[count - 1].kind, ACTION_EXIT);
    assert_int_equal(actions[count - 1].status, EX_TEMPFAIL);
    assert_true(actions[count - 1].forced);
    engine_handle(engine, &(struct engine_event){.kind = EVENT_TICK}, 100 + 70000, &count);
    assert_int_equal(count, 0);
    engine_destroy(engine);
    plan_destroy(plan);
}

static void a_clock_that_goes_back_is_held(void **state)
{
    (void)state;
    struct plan *plan = graph_plan(&options, (struct graph_line[]){{"db"}, {0}});
    struct engine *engine = engine_new(plan);
    uint32_t count;
    engine_handle(engine, &(struct engine_event){.kind = EVENT_RUN}, 500, &count);
    engine_handle(engine, &(struct engine_event){.kind = EVENT_TICK}, 300, &count);
    assert_int_equal(engine->now, 500);
    engine_destroy(engine);
    plan_destroy(plan);
}

static void a_return_that_nobody_waits_for_is_ignored_and_counted(void **state)
{
    (void)state;
    struct plan *plan = graph_plan(&options, (struct graph_line[]){{"db"}, {0}});
    struct engine *engine = engine_new(plan);
    uint32_t count;
    engine_handle(engine, &(struct engine_event){.kind = EVENT_RUN}, 0, &count);
    engine_handle(engine, &(struct engine_event){.kind = EVENT_RETURNED, .part = 0, .op = OP_DRAIN}, 0,
                  &count);
    engine_handle(engine, &(struct engine_event){.kind = EVENT_RETURNED, .part = 7, .op = OP_START}, 0,
                  &count);
    assert_int_equal(engine->odd_count, 2);
    assert_int_equal(engine->parts[0].state, PART_STARTING);
    engine_destroy(engine);
    plan_destroy(plan);
}

static void an_app_without_components_runs_and_stops(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, (struct graph_line[]){{0}});
    sim_at(&story.sim, 10, sim_signal());
    story_assert(&story, "0 ready, 10 announce, 10 exit 0", 0, false);
    story_end(&story);
}

static void a_stop_reports_its_own_work_and_not_that_of_an_earlier_restart(void **state)
{
    (void)state;
    static const struct graph_line lines[] = {{"db", .restart = {1, 60000, 100, 100}}, {0}};
    static const struct weir_work work = {
        .in_flight = 6, .completed = 1, .cancelled = 1, .kept = 2, .undelivered = 3, .uncommitted = 4};
    struct story story;
    story_begin(&story, &options, lines);
    story_fake(&story, "db")->work = work;
    sim_at(&story.sim, 1000, story_failure(&story, "db", "lost its connection"));
    sim_at(&story.sim, 2000, sim_signal());
    story_assert(&story, NULL, EX_TEMPFAIL, false);
    const struct engine_part *part = &story.sim.engine->parts[0];
    assert_memory_equal(&part->work, &work, sizeof work);
    assert_int_equal(part->restart_total, 1);
    assert_true(story.sim.engine->was_ready);
    story_end(&story);
}

static void an_event_of_a_component_that_was_not_added_is_odd_and_changes_nothing(void **state)
{
    (void)state;
    struct story story;
    story_begin(&story, &options, chain);
    uint32_t count;
    engine_handle(story.sim.engine, &(struct engine_event){.kind = EVENT_RUN}, 0, &count);
    engine_handle(story.sim.engine, &(struct engine_event){.kind = EVENT_FAILED, .part = 3}, 0, &count);
    assert_int_equal(count, 0);
    assert_int_equal(story.sim.engine->odd_count, 1);
    story_end(&story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_reports_its_own_work_and_not_that_of_an_earlier_restart),
        cmocka_unit_test(an_event_of_a_component_that_was_not_added_is_odd_and_changes_nothing),
        cmocka_unit_test(a_service_starts_along_its_edges_and_stops_against_them),
        cmocka_unit_test(a_failed_start_stops_only_what_started_and_names_its_cause),
        cmocka_unit_test(a_start_that_comes_back_too_late_begins_a_stop_and_is_cancelled_once),
        cmocka_unit_test(a_start_is_cancelled_when_the_time_of_the_whole_start_is_over),
        cmocka_unit_test(a_start_within_its_own_timeout_says_that_this_was_over),
        cmocka_unit_test(nothing_starts_once_the_time_of_the_whole_start_is_over),
        cmocka_unit_test(a_restart_has_its_own_timeout_whatever_the_whole_start_had),
        cmocka_unit_test(a_signal_during_start_cancels_it_and_stops_what_had_started),
        cmocka_unit_test(a_cancelled_start_that_comes_back_ok_is_stopped_in_its_turn),
        cmocka_unit_test(a_hung_drain_holds_nobody_who_does_not_need_it_and_loses_nobody_its_finish),
        cmocka_unit_test(a_second_signal_cuts_what_drains_and_leaves_everybody_its_reserve),
        cmocka_unit_test(a_third_signal_ends_it_at_once),
        cmocka_unit_test(a_third_signal_wins_over_a_timer_of_the_same_moment),
        cmocka_unit_test(the_announcer_leaves_at_once_and_ingress_after_the_announcement),
        cmocka_unit_test(a_handover_has_no_announcement),
        cmocka_unit_test(a_handover_during_the_start_is_none),
        cmocka_unit_test(a_failed_component_begins_a_stop_with_itself_as_the_cause),
        cmocka_unit_test(a_component_that_fails_while_it_starts_is_looked_at_when_it_is_up),
        cmocka_unit_test(a_restart_happens_in_place_while_dependants_go_on),
        cmocka_unit_test(a_service_is_not_ready_while_a_component_restarts),
        cmocka_unit_test(one_restart_too_many_becomes_a_stop_with_the_first_failure_as_its_cause),
        cmocka_unit_test(a_restart_over_stuck_work_becomes_a_stop),
        cmocka_unit_test(a_restart_waits_until_what_it_needs_is_up_again),
        cmocka_unit_test(a_stop_that_is_clean_in_the_last_millisecond_is_clean),
        cmocka_unit_test(destroy_waits_for_a_late_return_only_as_long_as_anything_else_goes_on),
        cmocka_unit_test(a_process_that_was_frozen_past_its_deadline_leaves_at_once),
        cmocka_unit_test(a_clock_that_goes_back_is_held),
        cmocka_unit_test(a_return_that_nobody_waits_for_is_ignored_and_counted),
        cmocka_unit_test(an_app_without_components_runs_and_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
