/* The test kit itself: time, stops, reports, the trace. calls_test.c has what comes in and goes out. */
#include "test.h"

#include <signal.h>
#include <sysexits.h>

#include <weir/test.h>
#include <weir/weir.h>

static struct weir_app *empty_app(int argc, char **argv)
{
    return weir_app_new("empty", argc, argv);
}

static struct weir_test *new_test(void)
{
    return weir_test_new(empty_app);
}

static struct weir_test_trace *trace(struct weir_test *test, const char *name,
                                     struct weir_test_trace_options options)
{
    return weir_test_trace_add(weir_test_app(test), name, &options);
}

#define TRACE(test, name, ...) trace(test, name, (struct weir_test_trace_options){__VA_ARGS__})

static void a_stop_is_traced_with_the_times_of_the_test(void **state)
{
    (void)state;
    struct weir_test *test = new_test();
    struct weir_test_trace *db = TRACE(test, "db", .start.takes_ms = 20, .finish.takes_ms = 7);
    TRACE(test, "rest", .component.needs = {db}, .in_flight = 2, .drain.takes_ms = 400);
    weir_test_stop_at(test, 1000);
    const struct weir_test_report *report = weir_test_report(test);

    assert_string_equal(weir_test_trace(test),
                        "0 start db, 20 start rest, 1020 quiesce rest, 1020 drain rest, 1420 finish rest, "
                        "1420 destroy rest, 1420 quiesce db, 1420 drain db, 1420 finish db, 1427 destroy db");
    assert_string_equal(report->outcome, "clean");
    assert_string_equal(report->cause, "SIGTERM");
    assert_int_equal(report->exit, 0);
    assert_int_equal(report->elapsed_ms, 407);
    assert_non_null(strstr(report->text, "stop clean: 0.407 s of 25.000 s  cause SIGTERM  exit 0\n"));
    assert_non_null(strstr(report->json, "\"outcome\": \"clean\""));
    const struct weir_test_component *rest = weir_test_component(test, "rest");
    assert_string_equal(rest->outcome, "clean");
    assert_int_equal(rest->drain.at_ms, 0);
    assert_int_equal(rest->drain.used_ms, 400);
    assert_int_equal(rest->work.completed, 2);
    assert_int_equal(weir_test_now_ms(test), 1427);
    weir_test_free(test);
}

static void what_hangs_is_given_up_and_everybody_else_finishes(void **state)
{
    (void)state;
    struct weir_test *test = new_test();
    struct weir_test_trace *db = trace(test, "db", (struct weir_test_trace_options){0});
    TRACE(test, "rest", .component.needs = {db}, .drain.hangs = true);
    weir_test_stop_at(test, 0);
    const struct weir_test_report *report = weir_test_report(test);
    assert_string_equal(report->outcome, "unclean");
    assert_int_equal(report->exit, EX_TEMPFAIL);
    assert_true(report->forced);
    assert_string_equal(weir_test_component(test, "rest")->outcome, "abandoned");
    assert_string_equal(weir_test_component(test, "rest")->finish.outcome, "skipped");
    assert_string_equal(weir_test_component(test, "db")->outcome, "clean");
    assert_string_equal(weir_test_trace(test), "0 start db, 0 start rest, 0 quiesce rest, 0 drain rest, "
                                               "24550 quiesce db, 24550 drain db, 24550 finish db");
    weir_test_free(test);
}

static void work_that_is_told_to_end_is_cut_and_what_ignores_it_is_stuck(void **state)
{
    (void)state;
    struct weir_test *test =
        weir_test_new_with(empty_app, (const char *const[]){"--app.deadline_ms=2000", NULL});
    TRACE(test, "obeys", .in_flight = 3, .drain.takes_ms = 60000);
    TRACE(test, "deaf", .in_flight = 3, .stuck = 1, .drain.takes_ms = 60000);
    weir_test_stop_at(test, 0);
    assert_int_equal(weir_test_run_to_end(test), EX_TEMPFAIL);
    const struct weir_test_component *obeys = weir_test_component(test, "obeys"),
                                     *deaf = weir_test_component(test, "deaf");
    assert_string_equal(obeys->outcome, "cut");
    assert_int_equal(obeys->drain.used_ms, 1550);
    assert_int_equal(obeys->work.cancelled, 3);
    assert_string_equal(obeys->destroy.outcome, "clean");
    assert_int_equal(deaf->work.stuck, 1);
    assert_string_equal(deaf->destroy.outcome, "skipped");
    weir_test_free(test);
}

static void a_second_signal_cuts_a_drain_and_one_within_300_ms_is_the_same(void **state)
{
    (void)state;
    struct weir_test *test = new_test();
    TRACE(test, "rest", .in_flight = 1, .drain.takes_ms = 60000);
    weir_test_ready(test);
    weir_test_signal(test, SIGTERM);
    weir_test_signal_at(test, 299, SIGINT);
    weir_test_signal_at(test, 1000, SIGTERM);
    weir_test_run_to_end(test);
    assert_int_equal(weir_test_component(test, "rest")->drain.used_ms, 1000);
    assert_int_equal(weir_test_component(test, "rest")->work.cancelled, 1);
    weir_test_free(test);
}

static void a_signal_during_the_start_cancels_it(void **state)
{
    (void)state;
    struct weir_test *test = new_test();
    struct weir_test_trace *db = trace(test, "db", (struct weir_test_trace_options){0});
    TRACE(test, "api", .component.needs = {db}, .start.takes_ms = 5000);
    weir_test_start(test);
    weir_test_stop_at(test, 700);
    assert_false(weir_test_ready(test));
    assert_int_equal(weir_test_run_to_end(test), 0);
    assert_string_equal(weir_test_trace(test),
                        "0 start db, 0 start api, 700 destroy api, 700 quiesce db, 700 drain db, "
                        "700 finish db, 700 destroy db");
    weir_test_free(test);
}

static void a_start_that_fails_is_reported_with_its_error(void **state)
{
    (void)state;
    struct weir_test *test = new_test();
    TRACE(test, "api", .start.fails = WEIR_UNAVAILABLE);
    assert_false(weir_test_ready(test));
    assert_int_equal(weir_test_report(test)->exit, EX_UNAVAILABLE);
    assert_string_equal(weir_test_component(test, "api")->start.outcome, "failed");
    assert_non_null(strstr(weir_test_component(test, "api")->start.error, "as its script says"));
    weir_test_free(test);
}

static void a_component_that_fails_is_restarted_after_its_back_off(void **state)
{
    (void)state;
    struct weir_test *test = new_test();
    struct weir_test_trace *api = TRACE(test, "api", .component.restart.most = 1);
    weir_test_ready(test);
    weir_test_advance(test, 500);
    weir_component_failed(api, &(struct weir_error){WEIR_DATA_LOSS, "", "lost its disk"});
    weir_test_advance(test, 500);
    weir_test_stop_at(test, 0);
    assert_int_equal(weir_test_report(test)->exit, 0);
    assert_int_equal(weir_test_component(test, "api")->restarts, 1);
    assert_string_equal(weir_test_trace(test),
                        "0 start api, 500 quiesce api, 500 drain api, 500 finish api, 600 start api, "
                        "1000 quiesce api, 1000 drain api, 1000 finish api, 1000 destroy api");
    weir_test_free(test);
}

static struct weir_component *slow;

/* Takes 1,250 ms in two sleeps: the second begins when the lifecycle waits for the end of both already. */
static enum weir_status start_slowly(void *self, struct weir_context *context, struct weir_error *err)
{
    (void)self, (void)context, (void)err;
    struct weir_call *call = weir_call_background(slow, NULL, -1);
    weir_context_sleep(weir_call_context(call), 1100);
    weir_context_sleep(weir_call_context(call), 150);
    weir_call_background_end(call);
    return WEIR_OK;
}

static enum weir_status stop_at_once(void *self, struct weir_error *err)
{
    (void)self, (void)err;
    return WEIR_OK;
}

/* Its time is the start's timeout and 250 ms for its reserve. On each of 20 runs. */
static void who_returns_at_his_limit_is_in_time(void **state)
{
    (void)state;
    static const struct weir_component_ops ops = {.start = start_slowly, .quiesce = stop_at_once};
    for (int i = 0; i < 20; i++) {
        struct weir_test *test = new_test();
        slow =
            weir_component_add(weir_test_app(test), "slow", &ops, NULL,
                               &(struct weir_component_options){.start_timeout_ms = 1000, .cut_min_ms = 250});
        assert_true(weir_test_ready(test));
        assert_int_equal(weir_test_now_ms(test), 1250);
        weir_test_stop_at(test, 0);
        assert_int_equal(weir_test_run_to_end(test), 0);
        weir_test_free(test);
    }
}

static int steps;

static bool count_step(struct weir_call *call)
{
    steps++;
    return weir_context_sleep(weir_call_context(call), 10) != WEIR_OK;
}

static struct weir_app *timer_app(int argc, char **argv)
{
    struct weir_app *app = weir_app_new("ticking", argc, argv);
    weir_timer_add(app, "tick", count_step, &(struct weir_timer_options){.every_ms = 990});
    return app;
}

static void a_timer_steps_as_time_passes_and_no_faster(void **state)
{
    (void)state;
    steps = 0;
    struct weir_test *test = weir_test_new(timer_app);
    int64_t unix_ns = weir_unix_ns();
    weir_test_advance(test, 989);
    assert_int_equal(steps, 0);
    weir_test_advance(test, 1);
    assert_int_equal(steps, 1);
    weir_test_advance(test, 599010);
    assert_int_equal(steps, 600);
    assert_int_equal(weir_unix_ns() - unix_ns, 600 * WEIR_NS_PER_S);
    weir_test_stop_at(test, 0);
    assert_int_equal(weir_test_run_to_end(test), 0);
    weir_test_free(test);
}

static void a_bad_configuration_is_an_exit_and_no_run(void **state)
{
    (void)state;
    struct weir_test *test =
        weir_test_new_with(empty_app, (const char *const[]){"--app.deadline_ms=soon", NULL});
    assert_false(weir_test_ready(test));
    assert_int_equal(weir_test_report(test)->exit, EX_CONFIG);
    assert_string_equal(weir_test_report(test)->outcome, "not run");
    weir_test_free(test);
}

static void a_test_that_never_ran_or_never_stopped_can_be_freed(void **state)
{
    (void)state;
    struct weir_test *test = new_test();
    trace(test, "api", (struct weir_test_trace_options){0});
    weir_test_free(test);
    test = new_test();
    trace(test, "api", (struct weir_test_trace_options){0});
    weir_test_ready(test);
    weir_test_free(test);
    weir_test_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_is_traced_with_the_times_of_the_test),
        cmocka_unit_test(what_hangs_is_given_up_and_everybody_else_finishes),
        cmocka_unit_test(work_that_is_told_to_end_is_cut_and_what_ignores_it_is_stuck),
        cmocka_unit_test(a_second_signal_cuts_a_drain_and_one_within_300_ms_is_the_same),
        cmocka_unit_test(a_signal_during_the_start_cancels_it),
        cmocka_unit_test(a_start_that_fails_is_reported_with_its_error),
        cmocka_unit_test(a_component_that_fails_is_restarted_after_its_back_off),
        cmocka_unit_test(who_returns_at_his_limit_is_in_time),
        cmocka_unit_test(a_timer_steps_as_time_passes_and_no_faster),
        cmocka_unit_test(a_bad_configuration_is_an_exit_and_no_run),
        cmocka_unit_test(a_test_that_never_ran_or_never_stopped_can_be_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
