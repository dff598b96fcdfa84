/* Callbacks and clocks that do what they should not: each has one outcome, which docs/lifecycle.md lists. On the test
 * kit's clock; app_odd_test.c has what takes a process. */
#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <sysexits.h>

#include <weir/test.h>
#include <weir/weir.h>

#include "testing/clock.h"

static struct weir_app *empty_app(int argc, char **argv)
{
    return weir_app_new("odd", argc, argv);
}

static struct weir_test_trace *trace(struct weir_test *test, const char *name,
                                     struct weir_test_trace_options options)
{
    return weir_test_trace_add(weir_test_app(test), name, &options);
}

enum which { START, QUIESCE, DRAIN, FINISH, DESTROY, OPERATIONS };

static struct weir_test_script *script_of(struct weir_test_trace_options *options, enum which which)
{
    struct weir_test_script *const scripts[] = {&options->start, &options->quiesce, &options->drain,
                                                &options->finish, &options->destroy};
    return scripts[which];
}

static const struct weir_test_step *step_of(const struct weir_test_component *component, enum which which)
{
    const struct weir_test_step *const steps[] = {&component->start, &component->quiesce, &component->drain,
                                                  &component->finish, &component->destroy};
    return steps[which];
}

/* db <- odd, and beside them one that has nothing to do with them. `odd` is told to misbehave in one operation. */
static struct weir_test *new_three(enum which which, struct weir_test_script script)
{
    struct weir_test *test = weir_test_new(empty_app);
    struct weir_test_trace *db = trace(test, "db", (struct weir_test_trace_options){.in_flight = 0});
    struct weir_test_trace_options options = {.component.needs = {db}};
    *script_of(&options, which) = script;
    trace(test, "odd", options);
    trace(test, "other", (struct weir_test_trace_options){.in_flight = 0});
    weir_test_stop_at(test, 100);
    return test;
}

static void assert_end(struct weir_test *test, enum which which, const char *outcome, int status)
{
    assert_int_equal(weir_test_run_to_end(test), status);
    assert_string_equal(step_of(weir_test_component(test, "odd"), which)->outcome, outcome);
    assert_string_equal(weir_test_component(test, "db")->finish.outcome, "clean");
    assert_string_equal(weir_test_component(test, "other")->destroy.outcome, "clean");
    weir_test_free(test);
}

static void an_operation_that_is_null_does_nothing_and_succeeds(void **state)
{
    (void)state;
    static const struct weir_component_ops no_ops = {.start = NULL};
    struct weir_test *test = weir_test_new(empty_app);
    weir_component_add(weir_test_app(test), "empty", &no_ops, NULL, NULL);
    weir_component_add(weir_test_app(test), "none", NULL, NULL, NULL);
    weir_test_stop_at(test, 0);
    assert_int_equal(weir_test_run_to_end(test), 0);
    assert_string_equal(weir_test_component(test, "none")->outcome, "clean");
    assert_int_equal(weir_test_component(test, "empty")->drain.used_ms, 0);
    weir_test_free(test);
}

static void an_operation_that_fails_is_reported_and_the_others_go_on(void **state)
{
    (void)state;
    static const int status[] = {EX_UNAVAILABLE, EX_TEMPFAIL, EX_TEMPFAIL, EX_TEMPFAIL};
    for (enum which which = START; which <= FINISH; which++)
        assert_end(new_three(which, (struct weir_test_script){.fails = WEIR_INTERNAL}), which, "failed",
                   status[which]);
}

static void an_operation_that_hangs_is_given_up_and_the_others_go_on(void **state)
{
    (void)state;
    static const int status[] = {EX_UNAVAILABLE, EX_TEMPFAIL, EX_TEMPFAIL, EX_TEMPFAIL, EX_TEMPFAIL};
    for (enum which which = START; which <= DESTROY; which++)
        assert_end(new_three(which, (struct weir_test_script){.hangs = true}), which, "abandoned",
                   status[which]);
}

/* It had been given up: that stays, though it came back while others still went on. */
static void an_operation_that_returns_late_stays_given_up(void **state)
{
    (void)state;
    static const int64_t late_ms[] = {31000, 25000, 25000, 25000, 1500};
    static const int status[] = {EX_UNAVAILABLE, EX_TEMPFAIL, EX_TEMPFAIL, EX_TEMPFAIL, EX_TEMPFAIL};
    for (enum which which = START; which <= DESTROY; which++)
        assert_end(
            new_three(which, (struct weir_test_script){.takes_ms = late_ms[which], .ignores_cancel = true}),
            which, "abandoned", status[which]);
}

/* ---- One that calls back ---- */

static struct nosy {
    struct weir_component *component;
    enum which when;
    void (*what)(struct nosy *nosy);
    int calls;
} nosy;

static void maybe(enum which now)
{
    if (now != nosy.when)
        return;
    nosy.calls++;
    nosy.what(&nosy);
}

static enum weir_status nosy_start(void *self, struct weir_context *context, struct weir_error *err)
{
    (void)self, (void)context, (void)err;
    maybe(START);
    return WEIR_OK;
}

static enum weir_status nosy_quiesce(void *self, struct weir_error *err)
{
    (void)self, (void)err;
    maybe(QUIESCE);
    return WEIR_OK;
}

static enum weir_status nosy_drain(void *self, struct weir_context *context, struct weir_work *work,
                                   struct weir_error *err)
{
    (void)self, (void)err;
    maybe(DRAIN);
    work->in_flight = 1;
    *(weir_context_sleep(context, 500) == WEIR_OK ? &work->completed : &work->cancelled) = 1;
    return WEIR_OK;
}

static enum weir_status nosy_finish(void *self, struct weir_context *context, struct weir_work *work,
                                    struct weir_error *err)
{
    (void)self, (void)context, (void)work, (void)err;
    maybe(FINISH);
    return WEIR_OK;
}

static void nosy_destroy(void *self)
{
    (void)self;
    maybe(DESTROY);
}

static struct weir_test *new_nosy(enum which when, void (*what)(struct nosy *nosy))
{
    static const struct weir_component_ops ops = {nosy_start, nosy_quiesce, nosy_drain, nosy_finish,
                                                  nosy_destroy};
    struct weir_test *test = weir_test_new(empty_app);
    nosy = (struct nosy){.when = when, .what = what};
    nosy.component = weir_component_add(weir_test_app(test), "nosy", &ops, NULL, NULL);
    weir_test_start(test);
    weir_test_stop_at(test, 100);
    return test;
}

static void assert_nosy_end(struct weir_test *test, int status, const char *cause)
{
    assert_int_equal(weir_test_run_to_end(test), status);
    assert_string_equal(weir_test_report(test)->cause, cause);
    assert_int_equal(nosy.calls, 1);
    assert_string_equal(weir_test_component(test, "nosy")->destroy.outcome, "clean");
    weir_test_free(test);
}

static void ask_to_stop(struct nosy *self)
{
    weir_app_stop(weir_component_app(self->component), "from inside");
}

static void a_stop_asked_for_in_a_start_is_one_and_in_a_stop_changes_nothing(void **state)
{
    (void)state;
    for (enum which when = START; when < OPERATIONS; when++)
        assert_nosy_end(new_nosy(when, ask_to_stop), 0, when == START ? "from inside" : "SIGTERM");
}

static void say_failed(struct nosy *self)
{
    weir_component_failed(self->component, &(struct weir_error){WEIR_DATA_LOSS, "", "lost its disk"});
}

/* In a stop its own drain is cut: what it works for is lost already. */
static void
a_component_that_says_in_a_start_that_it_failed_stops_the_service_and_in_a_stop_is_cut(void **state)
{
    (void)state;
    static const int status[] = {EX_SOFTWARE, EX_TEMPFAIL, EX_TEMPFAIL, 0, 0};
    for (enum which when = START; when < OPERATIONS; when++)
        assert_nosy_end(new_nosy(when, say_failed), status[when],
                        when == START ? "lost its disk" : "SIGTERM");
}

static void add_one(struct nosy *self)
{
    struct weir_app *app = weir_component_app(self->component);
    struct weir_component *late = weir_component_add(app, "late", NULL, NULL, NULL);
    assert_non_null(late);
    weir_component_failed(late, NULL);
}

static void a_component_that_is_added_after_the_start_is_refused_and_nothing_comes_of_it(void **state)
{
    (void)state;
    for (enum which when = START; when < OPERATIONS; when++) {
        struct weir_test *test = new_nosy(when, add_one);
        assert_int_equal(weir_test_run_to_end(test), 0);
        assert_null(strstr(weir_test_trace(test), "late"));
        assert_nosy_end(test, 0, "SIGTERM");
    }
}

static void run_again(struct nosy *self)
{
    assert_int_equal(weir_app_run(weir_component_app(self->component)), EX_SOFTWARE);
}

static void an_app_that_is_run_inside_itself_goes_on_as_if_it_were_not(void **state)
{
    (void)state;
    for (enum which when = START; when < OPERATIONS; when++)
        assert_nosy_end(new_nosy(when, run_again), 0, "SIGTERM");
}

static enum weir_status lie(void *self, struct weir_context *context, struct weir_work *work,
                            struct weir_error *err)
{
    (void)self, (void)context, (void)work, (void)err;
    return (enum weir_status)77;
}

static void a_status_that_is_none_is_a_failure(void **state)
{
    (void)state;
    static const struct weir_component_ops ops = {.drain = lie};
    struct weir_test *test = weir_test_new(empty_app);
    weir_component_add(weir_test_app(test), "liar", &ops, NULL, NULL);
    weir_test_stop_at(test, 0);
    assert_int_equal(weir_test_run_to_end(test), EX_TEMPFAIL);
    assert_string_equal(weir_test_component(test, "liar")->drain.outcome, "failed");
    assert_string_equal(weir_test_component(test, "liar")->drain.error, "UNKNOWN");
    weir_test_free(test);
}

/* ---- Clocks and signals ---- */

/* As after a machine was asleep: nobody had a chance to be woken in between. */
static void a_clock_that_jumps_past_the_deadline_ends_the_stop_at_once(void **state)
{
    (void)state;
    struct weir_test *test = weir_test_new(empty_app);
    struct weir_test_trace *db = trace(test, "db", (struct weir_test_trace_options){.in_flight = 0});
    trace(test, "rest",
          (struct weir_test_trace_options){.component.needs = {db}, .in_flight = 1, .drain.takes_ms = 20000});
    weir_test_stop_at(test, 0);
    weir_test_advance(test, 1000);
    test_clock_set(test_clock_ns() + 3600 * WEIR_NS_PER_S);
    const struct weir_test_report *report = weir_test_report(test);
    assert_int_equal(report->exit, EX_TEMPFAIL);
    assert_true(report->elapsed_ms < 3602000);
    assert_string_equal(weir_test_component(test, "rest")->drain.outcome, "cut");
    assert_string_equal(weir_test_component(test, "db")->drain.outcome, "skipped");
    weir_test_free(test);
}

static void a_clock_that_jumps_while_nothing_stops_only_makes_timers_due(void **state)
{
    (void)state;
    struct weir_test *test = weir_test_new(empty_app);
    trace(test, "rest", (struct weir_test_trace_options){.in_flight = 0});
    weir_test_ready(test);
    test_clock_set(test_clock_ns() + 3600 * WEIR_NS_PER_S);
    weir_test_stop_at(test, 0);
    assert_int_equal(weir_test_run_to_end(test), 0);
    weir_test_free(test);
}

/* One every 100 ms: none is 300 ms behind the one before it. */
static void signals_that_never_cease_are_one(void **state)
{
    (void)state;
    struct weir_test *test = weir_test_new(empty_app);
    trace(test, "rest", (struct weir_test_trace_options){.in_flight = 1, .drain.takes_ms = 20000});
    weir_test_ready(test);
    for (int i = 0; i < 210; i++)
        weir_test_signal_at(test, i * 100 + 1, i % 2 ? SIGINT : SIGTERM);
    assert_int_equal(weir_test_run_to_end(test), 0);
    assert_int_equal(weir_test_component(test, "rest")->drain.used_ms, 20000);
    weir_test_free(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operation_that_is_null_does_nothing_and_succeeds),
        cmocka_unit_test(an_operation_that_fails_is_reported_and_the_others_go_on),
        cmocka_unit_test(an_operation_that_hangs_is_given_up_and_the_others_go_on),
        cmocka_unit_test(an_operation_that_returns_late_stays_given_up),
        cmocka_unit_test(a_stop_asked_for_in_a_start_is_one_and_in_a_stop_changes_nothing),
        cmocka_unit_test(
            a_component_that_says_in_a_start_that_it_failed_stops_the_service_and_in_a_stop_is_cut),
        cmocka_unit_test(a_component_that_is_added_after_the_start_is_refused_and_nothing_comes_of_it),
        cmocka_unit_test(an_app_that_is_run_inside_itself_goes_on_as_if_it_were_not),
        cmocka_unit_test(a_status_that_is_none_is_a_failure),
        cmocka_unit_test(a_clock_that_jumps_past_the_deadline_ends_the_stop_at_once),
        cmocka_unit_test(a_clock_that_jumps_while_nothing_stops_only_makes_timers_due),
        cmocka_unit_test(signals_that_never_cease_are_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
