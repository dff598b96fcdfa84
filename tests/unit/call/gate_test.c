/* What a gate counts, refuses and waits for. */
#include "test.h"

#include <pthread.h>

#include <weir/clock.h>

#include "call/gate.h"
#include "core/context.h"

static void a_full_gate_refuses_until_somebody_leaves(void **state)
{
    (void)state;
    struct gate *gate = gate_new(2);
    assert_int_equal(gate_enter(gate), WEIR_OK);
    assert_int_equal(gate_enter(gate), WEIR_OK);

    assert_int_equal(gate_enter(gate), WEIR_RESOURCE_EXHAUSTED);
    assert_int_equal(gate_in_flight(gate), 2);

    gate_leave(gate, false);
    assert_int_equal(gate_enter(gate), WEIR_OK);
    gate_leave(gate, false);
    gate_leave(gate, false);
    gate_destroy(gate);
}

static void a_closed_gate_refuses_and_lets_out(void **state)
{
    (void)state;
    struct gate *gate = gate_new(0);
    assert_int_equal(gate_enter(gate), WEIR_OK);

    gate_close(gate);

    assert_int_equal(gate_enter(gate), WEIR_UNAVAILABLE);
    gate_leave(gate, false);
    assert_int_equal(gate_in_flight(gate), 0);
    gate_destroy(gate);
}

static void the_account_adds_up_over_early_late_refused_and_stuck_work(void **state)
{
    (void)state;
    struct gate *gate = gate_new(0);
    gate_enter(gate);
    gate_leave(gate, false); /* before the drain: an ordinary call */
    for (int i = 0; i < 3; i++)
        gate_enter(gate);
    gate_drain(gate);
    assert_int_equal(gate_enter(gate), WEIR_OK); /* on a connection that is open */
    gate_leave(gate, false);
    gate_close(gate);
    gate_cut(gate);
    gate_leave(gate, true);
    assert_int_equal(gate_enter(gate), WEIR_UNAVAILABLE);

    struct weir_work work = {0};
    gate_account(gate, &work);

    assert_int_equal(work.in_flight, 4);
    assert_int_equal(work.completed, 1);
    assert_int_equal(work.cancelled, 1);
    assert_int_equal(work.stuck, 2);
    gate_leave(gate, false);
    gate_leave(gate, false);
    gate_destroy(gate);
}

static void work_that_its_client_cancels_is_not_cut_by_the_stop(void **state)
{
    (void)state;
    struct gate *gate = gate_new(0);
    gate_enter(gate);
    gate_drain(gate);
    gate_leave(gate, true);

    struct weir_work work = {0};
    gate_account(gate, &work);

    assert_int_equal(work.completed, 1);
    assert_int_equal(work.cancelled, 0);
    gate_destroy(gate);
}

static void work_whose_result_was_cut_is_cancelled_whenever_it_left(void **state)
{
    (void)state;
    struct gate *gate = gate_new(0);
    gate_enter(gate);
    gate_enter(gate);
    assert_false(gate_is_draining(gate));
    gate_leave(gate, false); /* before the drain */
    gate_drain(gate);
    assert_true(gate_is_draining(gate));
    gate_leave(gate, false);
    gate_cut(gate);
    gate_was_cut(gate, false);
    gate_was_cut(gate, true);

    struct weir_work work = {0};
    gate_account(gate, &work);

    assert_int_equal(work.in_flight, 2);
    assert_int_equal(work.completed, 0);
    assert_int_equal(work.cancelled, 2);
    gate_destroy(gate);
}

static void *leave_all(void *arg)
{
    struct gate *gate = arg;
    for (int i = 0; i < 1000; i++)
        gate_leave(gate, false);
    return NULL;
}

static void a_gate_may_be_destroyed_as_soon_as_it_is_empty(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        struct gate *gate = gate_new(0);
        for (int i = 0; i < 2000; i++)
            gate_enter(gate);
        struct weir_context context;
        context_init(&context, NULL, WEIR_NEVER);
        pthread_t first, second;
        pthread_create(&first, NULL, leave_all, gate);
        pthread_create(&second, NULL, leave_all, gate);

        assert_true(gate_wait_empty(gate, &context));
        gate_destroy(gate);

        pthread_join(first, NULL);
        pthread_join(second, NULL);
        context_clean_up(&context);
    }
}

static void *end_context(void *context)
{
    context_end(context, WEIR_DEADLINE_EXCEEDED);
    return NULL;
}

static void waiting_ends_with_its_context(void **state)
{
    (void)state;
    struct gate *gate = gate_new(0);
    gate_enter(gate);
    struct weir_context context;
    context_init(&context, NULL, WEIR_NEVER);
    pthread_t thread;
    pthread_create(&thread, NULL, end_context, &context);

    assert_false(gate_wait_empty(gate, &context));

    pthread_join(thread, NULL);
    gate_leave(gate, false);
    context_clean_up(&context);
    gate_destroy(gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_gate_refuses_until_somebody_leaves),
        cmocka_unit_test(a_closed_gate_refuses_and_lets_out),
        cmocka_unit_test(the_account_adds_up_over_early_late_refused_and_stuck_work),
        cmocka_unit_test(work_that_its_client_cancels_is_not_cut_by_the_stop),
        cmocka_unit_test(work_whose_result_was_cut_is_cancelled_whenever_it_left),
        cmocka_unit_test(a_gate_may_be_destroyed_as_soon_as_it_is_empty),
        cmocka_unit_test(waiting_ends_with_its_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
