/* What becomes of a saga when its steps are refused, fail, or their process dies. */
#include "saga_kit.h"

static int begin(void **state)
{
    (void)state;
    saga_kit_begin();
    return 0;
}

static int end(void **state)
{
    (void)state;
    saga_kit_end();
    return 0;
}

static void stop(struct weir_test *test)
{
    weir_test_stop_at(test, 0);
    assert_string_equal(weir_test_report(test)->outcome, "clean");
    weir_test_free(test);
}

#define DONE "completed, done ; reserve 1; authorize 1; confirm 1; deduct 1; capture 1; complete 1"

static void a_saga_is_done_step_by_step_and_its_client_is_told_after_the_pivot(void **state)
{
    (void)state;
    struct weir_test *test = saga_kit_start(0, 1);
    world.answers[FORTH][DEDUCT].takes_ms = 100;
    assert_int_equal(saga_kit_place(test, 1)->status, WEIR_OK);
    assert_string_equal(saga_kit_state(test, 1),
                        "confirmed, forward deduct; reserve 1; authorize 1; confirm 1");
    weir_test_advance(test, 200);
    assert_string_equal(saga_kit_state(test, 1), DONE);
    assert_string_equal(world.trace, "reserve, authorize, confirm, deduct, capture, complete");
    assert_string_equal(saga_kit_effects(1), "11-11-");
    stop(test);
}

static void a_refused_step_undoes_what_began_in_reverse(void **state)
{
    (void)state;
    static const struct {
        int step;
        const char *trace, *stored, *effects;
    } expected[] = {
        {RESERVE, "reserve, turned, undo reserve",
         "turned, undone reserve; reserve 2 open undone reserve: FAILED_PRECONDITION; reserve: "
         "FAILED_PRECONDITION",
         "20-00-"},
        {AUTHORIZE, "reserve, authorize, turned, undo authorize, undo reserve",
         "turned, undone reserve; reserve 2 undone; authorize 2 open undone authorize: FAILED_PRECONDITION; "
         "authorize: FAILED_PRECONDITION",
         "22-00-"},
        {DEDUCT, "reserve, authorize, confirm, deduct, turned, undo deduct, undo authorize, undo reserve",
         "turned, undone deduct; reserve 2 undone; authorize 2 undone; confirm 1; deduct 2 open undone "
         "deduct: "
         "FAILED_PRECONDITION; deduct: FAILED_PRECONDITION",
         "22-20-"},
        {CAPTURE,
         "reserve, authorize, confirm, deduct, capture, turned, undo capture, undo deduct, undo authorize, "
         "undo reserve",
         "turned, undone deduct; reserve 2 undone; authorize 2 undone; confirm 1; deduct 2 undone; capture 2 "
         "open "
         "undone capture: FAILED_PRECONDITION; capture: FAILED_PRECONDITION",
         "22-22-"},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        world = (struct world){0};
        world.answers[FORTH][expected[i].step] =
            (struct answer){.times = -1, .status = WEIR_FAILED_PRECONDITION};
        struct weir_test *test = saga_kit_start((int)i, 1);
        bool before_pivot = expected[i].step < CONFIRM;
        assert_int_equal(saga_kit_place(test, 1)->status, before_pivot ? WEIR_FAILED_PRECONDITION : WEIR_OK);
        weir_test_advance(test, 100);
        assert_string_equal(world.trace, expected[i].trace);
        assert_string_equal(saga_kit_state(test, 1), expected[i].stored);
        assert_string_equal(saga_kit_effects(1), expected[i].effects);
        stop(test);
    }
}

/* Whether the other side has done it or not. */
static void a_step_whose_outcome_is_unknown_comes_again_until_it_is_known(void **state)
{
    (void)state;
    static const int steps[] = {RESERVE, AUTHORIZE, DEDUCT, CAPTURE};
    for (int i = 0; i < 8; i++) {
        int step = steps[i % 4];
        world = (struct world){0};
        world.answers[FORTH][step] =
            (struct answer){.times = 6, .status = WEIR_UNAVAILABLE, .does_it = i < 4};
        struct weir_test *test = saga_kit_start(i, 1);
        assert_int_equal(saga_kit_place(test, 1)->status, WEIR_OK);
        weir_test_advance(test, 20000);
        assert_int_equal(world.ran[FORTH][step], 7);
        assert_string_equal(saga_kit_effects(1), "11-11-");
        assert_null(strstr(world.trace, "undo"));
        assert_non_null(strstr(saga_kit_state(test, 1), "completed, done "));
        stop(test);
    }
}

static void a_transaction_that_fails_comes_again_and_leaves_the_subject_as_it_was(void **state)
{
    (void)state;
    world.answers[FORTH][CONFIRM] = (struct answer){.times = 3, .status = WEIR_UNAVAILABLE};
    world.answers[FORTH][COMPLETE] = (struct answer){.times = 3, .status = WEIR_INTERNAL};
    struct weir_test *test = saga_kit_start(0, 1);
    assert_int_equal(saga_kit_place(test, 1)->status, WEIR_OK);
    weir_test_advance(test, 20000);
    assert_int_equal(world.ran[FORTH][CONFIRM], 4);
    assert_int_equal(world.ran[FORTH][COMPLETE], 4);
    assert_non_null(strstr(saga_kit_state(test, 1), "completed, done "));
    stop(test);
}

static void a_transaction_that_is_refused_before_the_pivot_turns_the_saga_back(void **state)
{
    (void)state;
    world.answers[FORTH][CONFIRM] = (struct answer){.times = 1, .status = WEIR_INVALID_ARGUMENT};
    struct weir_test *test = saga_kit_start(0, 1);
    assert_int_equal(saga_kit_place(test, 1)->status, WEIR_INVALID_ARGUMENT);
    weir_test_advance(test, 100);
    assert_non_null(strstr(saga_kit_state(test, 1), "turned, undone "));
    assert_string_equal(saga_kit_effects(1), "22-00-");
    stop(test);
}

static void an_undoing_that_fails_comes_again_until_it_succeeds(void **state)
{
    (void)state;
    static const int steps[] = {RESERVE, AUTHORIZE, DEDUCT, CAPTURE};
    world.answers[FORTH][CAPTURE] = (struct answer){.times = -1, .status = WEIR_FAILED_PRECONDITION};
    for (int i = 0; i < 4; i++)
        world.answers[BACK][steps[i]] = (struct answer){
            .times = 5, .status = i % 2 ? WEIR_NOT_FOUND : WEIR_UNAVAILABLE, .does_it = i > 1};
    struct weir_test *test = saga_kit_start(0, 1);
    assert_int_equal(saga_kit_place(test, 1)->status, WEIR_OK);
    weir_test_advance(test, 10 * 60000);
    for (int i = 0; i < 4; i++)
        assert_int_equal(world.ran[BACK][steps[i]], 6);
    assert_string_equal(saga_kit_effects(1), "22-22-");
    assert_non_null(strstr(saga_kit_state(test, 1), "turned, undone "));
    stop(test);
}

static void a_saga_that_is_not_past_its_pivot_in_time_turns_back(void **state)
{
    (void)state;
    world.answers[FORTH][AUTHORIZE] =
        (struct answer){.times = -1, .status = WEIR_UNAVAILABLE, .does_it = true};
    struct weir_test *test = saga_kit_start(0, 1);
    struct weir_test_call *place = saga_kit_place_start(test, 1);
    weir_test_advance(test, 29000);
    assert_string_equal(saga_kit_effects(1), "11-00-");
    weir_test_advance(test, 2000);
    assert_int_not_equal(weir_test_call_reply(place)->status, WEIR_OK);
    assert_non_null(strstr(saga_kit_state(test, 1), "turned, undone "));
    assert_non_null(strstr(saga_kit_state(test, 1), "not settled in time"));
    assert_string_equal(saga_kit_effects(1), "22-00-");
    stop(test);
}

static void a_saga_past_its_pivot_goes_forward_only_for_as_long_as_it_takes(void **state)
{
    (void)state;
    world.answers[FORTH][CAPTURE] = (struct answer){.times = -1, .status = WEIR_UNAVAILABLE};
    struct weir_test *test = saga_kit_start(0, 1);
    assert_int_equal(saga_kit_place(test, 1)->status, WEIR_OK);
    weir_test_advance(test, 3600000);
    assert_non_null(strstr(saga_kit_state(test, 1), "capture 3"));
    assert_true(world.ran[FORTH][CAPTURE] > 300 && world.ran[FORTH][CAPTURE] < 600); /* every 10 s */
    world.answers[FORTH][CAPTURE] = (struct answer){0};
    weir_test_advance(test, 11000);
    assert_non_null(strstr(saga_kit_state(test, 1), "completed, done "));
    stop(test);
}

/* Another status than FAILED_PRECONDITION is somebody's mistake: an order that is paid does not end by it. */
static void an_odd_answer_past_the_pivot_is_no_refusal(void **state)
{
    (void)state;
    world.answers[FORTH][CAPTURE] = (struct answer){.times = 4, .status = WEIR_NOT_FOUND};
    struct weir_test *test = saga_kit_start(0, 1);
    assert_int_equal(saga_kit_place(test, 1)->status, WEIR_OK);
    weir_test_advance(test, 60000);
    assert_non_null(strstr(saga_kit_state(test, 1), "completed, done "));
    stop(test);
}

static void a_step_that_is_away_is_tried_by_one_saga_and_keeps_no_thread_of_the_others(void **state)
{
    (void)state;
    struct weir_test *test = saga_kit_start(0, 1);
    world.answers[FORTH][CAPTURE] = (struct answer){.times = -1, .status = WEIR_UNAVAILABLE};
    for (int id = 1; id <= 40; id++)
        assert_int_equal(saga_kit_place(test, id)->status, WEIR_OK);
    weir_test_advance(test, 60000);
    int before = world.ran[FORTH][CAPTURE];
    weir_test_advance(test, 60000);
    assert_true(world.ran[FORTH][CAPTURE] - before <= 12); /* 40 sagas: one attempt in 5 to 10 s */
    world.answers[FORTH][CAPTURE] = (struct answer){0};
    weir_test_advance(test, 11000);
    for (int id = 1; id <= 40; id++)
        assert_string_equal(saga_kit_effects(id), "11-11-");
    stop(test);
}

static void a_saga_that_is_cancelled_is_undone_wherever_it_is(void **state)
{
    (void)state;
    static const int64_t after_ms[] = {0, 50, 150, 250, 500};
    for (int i = 0; i < 5; i++) { /* before the deduction, within it, within the capture, after the end */
        world = (struct world){0};
        world.answers[FORTH][DEDUCT].takes_ms = world.answers[FORTH][CAPTURE].takes_ms = 100;
        struct weir_test *test = saga_kit_start(i, 1);
        assert_int_equal(saga_kit_place(test, 1)->status, WEIR_OK);
        weir_test_advance(test, after_ms[i]);
        assert_int_equal(saga_kit_cancel(test, 1)->status, WEIR_OK);
        assert_int_equal(saga_kit_cancel(test, 1)->status, WEIR_FAILED_PRECONDITION);
        weir_test_advance(test, 1000);
        assert_non_null(strstr(saga_kit_state(test, 1), "turned, undone "));
        assert_string_equal(saga_kit_effects(1), "22-22-");
        assert_int_equal(saga_kit_place(test, 1)->status,
                         WEIR_FAILED_PRECONDITION); /* begun anew: it is given back */
        weir_test_advance(test, 1000);
        stop(test);
    }
}

static void a_saga_that_is_cancelled_in_the_moment_of_its_end_is_undone(void **state)
{
    (void)state;
    world.cancelled_as_it_ends = true;
    struct weir_test *test = saga_kit_start(0, 1);
    assert_int_equal(saga_kit_place(test, 1)->status, WEIR_OK);
    weir_test_advance(test, 1000);
    assert_non_null(strstr(saga_kit_state(test, 1), "turned, undone "));
    assert_string_equal(saga_kit_effects(1), "22-22-");
    stop(test);
}

static void a_client_that_comes_again_drives_the_same_saga(void **state)
{
    (void)state;
    world.answers[FORTH][AUTHORIZE].takes_ms = 1000;
    struct weir_test *test = saga_kit_start(0, 1);
    struct weir_test_call *first = saga_kit_place_start(test, 1);
    weir_test_advance(test, 500);
    assert_int_equal(saga_kit_place(test, 1)->status, WEIR_OK);
    assert_int_equal(weir_test_call_reply(first)->status, WEIR_OK);
    weir_test_advance(test, 100);
    assert_string_equal(world.trace, "reserve, authorize, confirm, deduct, capture, complete");
    stop(test);
}

/* The process dies before and after each step, and within each transaction; another one finds its database. */
static void a_saga_whose_process_died_goes_on_at_once_and_comes_to_its_end(void **state)
{
    (void)state;
    for (int refused = 0; refused < 2; refused++) {
        bool crashed = true;
        for (int at = 1; crashed; at++) {
            world = (struct world){.crash_at = at};
            if (refused)
                world.answers[FORTH][CAPTURE] =
                    (struct answer){.times = -1, .status = WEIR_FAILED_PRECONDITION};
            struct weir_test *test = saga_kit_start(2 * at, 1);
            (void)saga_kit_place_start(test, 1);
            weir_test_advance(test, 1000);
            crashed = world.crashed;
            weir_test_free(test);
            if (!crashed) {
                assert_int_equal(at, refused ? 19 : 11); /* calls twice each, commits */
                break;
            }
            saga_kit_restore(2 * at + 1);
            test = saga_kit_start(2 * at + 1, 1);
            weir_test_advance(test, 100);
            assert_string_equal(saga_kit_effects(1), refused ? "22-22-" : "11-11-");
            assert_non_null(
                strstr(saga_kit_state(test, 1), refused ? "turned, undone " : "completed, done "));
            stop(test);
        }
        saga_kit_end();
        saga_kit_begin();
    }
}

static void a_stop_leaves_what_waits_to_the_next_process_and_ends_clean(void **state)
{
    (void)state;
    world.answers[FORTH][CAPTURE] = (struct answer){.times = -1, .status = WEIR_UNAVAILABLE};
    struct weir_test *test = saga_kit_start(0, 1);
    assert_int_equal(saga_kit_place(test, 1)->status, WEIR_OK);
    weir_test_advance(test, 60000);
    weir_test_stop_at(test, 0);
    assert_true(weir_test_report(test)->elapsed_ms < 100);
    assert_string_equal(weir_test_report(test)->outcome, "clean");
    weir_test_free(test);

    world.answers[FORTH][CAPTURE] = (struct answer){0};
    test = saga_kit_start(0, 1);
    weir_test_advance(test, 100);
    assert_non_null(strstr(saga_kit_state(test, 1), "completed, done "));
    stop(test);
}

static void a_stop_waits_for_what_is_under_way(void **state)
{
    (void)state;
    world.answers[FORTH][DEDUCT].takes_ms = 3000;
    struct weir_test *test = saga_kit_start(0, 1);
    assert_int_equal(saga_kit_place(test, 1)->status, WEIR_OK);
    weir_test_stop_at(test, 100);
    assert_string_equal(weir_test_report(test)->outcome, "clean");
    assert_true(weir_test_report(test)->elapsed_ms >= 2900);
    assert_int_equal(weir_test_component(test, "sagas-0")->work.completed, 1);
    assert_string_equal(saga_kit_effects(1), "11-11-");
    weir_test_free(test);
}

/* Two instances. The first is within a step when its saga is given to whoever comes. */
static void a_runner_that_lost_its_saga_stores_nothing_and_the_other_goes_on(void **state)
{
    (void)state;
    world.answers[FORTH][DEDUCT].takes_ms = 5000;
    struct weir_test *test = saga_kit_start(0, 2);
    assert_int_equal(saga_kit_place(test, 1)->status, WEIR_OK);
    weir_test_advance(test, 100);
    assert_string_equal(world.trace, "reserve, authorize, confirm, deduct");
    assert_int_equal(saga_kit_sql(test, "UPDATE weir_saga SET owner = 0")->status, WEIR_OK);
    weir_test_advance(test, 20000);
    /* Both have deducted and captured, and that is once at the other side; one has completed. */
    const char *first = strstr(world.trace, "complete");
    assert_non_null(first);
    assert_null(strstr(first + 1, "complete"));
    assert_non_null(strstr(saga_kit_state(test, 1), "completed, done "));
    assert_string_equal(saga_kit_effects(1), "11-11-");
    stop(test);
}

#define AGE "UPDATE weir_saga SET begun_ms = begun_ms - 2592000000, ended_ms = ended_ms - "

static void an_ended_saga_is_forgotten_after_its_time_and_not_before_and_an_open_one_never(void **state)
{
    (void)state;
    struct weir_test *test = saga_kit_start(0, 1);
    for (int id = 1; id <= 2; id++)
        assert_int_equal(saga_kit_place(test, id)->status, WEIR_OK);
    weir_test_advance(test, 200);
    world.answers[FORTH][DEDUCT] = (struct answer){.times = -1, .status = WEIR_UNAVAILABLE};
    assert_int_equal(saga_kit_place(test, 3)->status, WEIR_OK);
    weir_test_advance(test, 200);

    /* 30 days, but 5 s for the first and 100 s for the second; the keeper comes once a minute. */
    assert_int_equal(saga_kit_sql(test, AGE "2591995000 WHERE id = '1'")->status, WEIR_OK);
    assert_int_equal(saga_kit_sql(test, AGE "2591900000 WHERE id = '2'")->status, WEIR_OK);
    assert_int_equal(saga_kit_sql(test, AGE "2592000000 WHERE id = '3'")->status, WEIR_OK);
    weir_test_advance(test, 61000);
    assert_string_equal(saga_kit_state(test, 1), "no saga order \"1\"");
    assert_string_equal(saga_kit_state(test, 2), DONE);
    weir_test_advance(test, 121000);
    assert_string_equal(saga_kit_state(test, 2), "no saga order \"2\"");
    assert_non_null(strstr(saga_kit_state(test, 3), "confirmed, forward deduct"));
    assert_int_equal(saga_kit_cancel(test, 1)->status, WEIR_FAILED_PRECONDITION);
    stop(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_saga_is_done_step_by_step_and_its_client_is_told_after_the_pivot,
                                        begin, end),
        cmocka_unit_test_setup_teardown(a_refused_step_undoes_what_began_in_reverse, begin, end),
        cmocka_unit_test_setup_teardown(a_step_whose_outcome_is_unknown_comes_again_until_it_is_known, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_transaction_that_fails_comes_again_and_leaves_the_subject_as_it_was,
                                        begin, end),
        cmocka_unit_test_setup_teardown(a_transaction_that_is_refused_before_the_pivot_turns_the_saga_back,
                                        begin, end),
        cmocka_unit_test_setup_teardown(an_undoing_that_fails_comes_again_until_it_succeeds, begin, end),
        cmocka_unit_test_setup_teardown(a_saga_that_is_not_past_its_pivot_in_time_turns_back, begin, end),
        cmocka_unit_test_setup_teardown(a_saga_past_its_pivot_goes_forward_only_for_as_long_as_it_takes,
                                        begin, end),
        cmocka_unit_test_setup_teardown(an_odd_answer_past_the_pivot_is_no_refusal, begin, end),
        cmocka_unit_test_setup_teardown(
            a_step_that_is_away_is_tried_by_one_saga_and_keeps_no_thread_of_the_others, begin, end),
        cmocka_unit_test_setup_teardown(a_saga_that_is_cancelled_is_undone_wherever_it_is, begin, end),
        cmocka_unit_test_setup_teardown(a_saga_that_is_cancelled_in_the_moment_of_its_end_is_undone, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_client_that_comes_again_drives_the_same_saga, begin, end),
        cmocka_unit_test_setup_teardown(a_saga_whose_process_died_goes_on_at_once_and_comes_to_its_end, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_stop_leaves_what_waits_to_the_next_process_and_ends_clean, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_stop_waits_for_what_is_under_way, begin, end),
        cmocka_unit_test_setup_teardown(a_runner_that_lost_its_saga_stores_nothing_and_the_other_goes_on,
                                        begin, end),
        cmocka_unit_test_setup_teardown(
            an_ended_saga_is_forgotten_after_its_time_and_not_before_and_an_open_one_never, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
