/* What a gate counts, refuses and waits for. */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>

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

/* Enters as often as it may, and remembers where. */
struct taker {
    struct gate *gate;
    int wants, got;
    uint8_t places[200];
};

static void *enter_many(void *arg)
{
    struct taker *taker = arg;
    for (int i = 0; i < taker->wants; i++)
        if (gate_enter_here(taker->gate, &taker->places[taker->got]) == WEIR_OK)
            taker->got++;
    return NULL;
}

static void leave_many(struct taker *taker)
{
    for (int i = 0; i < taker->got; i++)
        gate_leave_from(taker->gate, taker->places[i], false);
    taker->got = 0;
}

static int enter_on_threads(struct taker *takers, int count)
{
    pthread_t threads[20];
    int got = 0;
    for (int i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, enter_many, &takers[i]);
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        got += takers[i].got;
    }
    return got;
}

static void a_limit_is_one_for_all_threads_and_all_of_it_can_be_used(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct gate *gate = gate_new(100);
        struct taker takers[20];
        for (int i = 0; i < 20; i++)
            takers[i] = (struct taker){.gate = gate, .wants = 10};
        assert_int_equal(enter_on_threads(takers, 20), 100);
        assert_int_equal(gate_in_flight(gate), 100);
        for (int i = 0; i < 20; i++)
            leave_many(&takers[i]);

        /* What these threads have left is one other's, whole. */
        struct taker greedy = {.gate = gate, .wants = 200};
        assert_int_equal(enter_on_threads(&greedy, 1), 100);
        leave_many(&greedy);
        assert_int_equal(gate_in_flight(gate), 0);
        gate_destroy(gate);
    }
}

static void work_of_all_threads_is_accounted_for(void **state)
{
    (void)state;
    struct gate *gate = gate_new(0);
    struct taker takers[5];
    for (int i = 0; i < 5; i++)
        takers[i] = (struct taker){.gate = gate, .wants = 10};
    assert_int_equal(enter_on_threads(takers, 5), 50);
    gate_drain(gate);
    uint8_t place;
    assert_int_equal(gate_enter_here(gate, &place), WEIR_OK);
    gate_close(gate);
    for (int i = 0; i < 4; i++)
        leave_many(&takers[i]);

    struct weir_work work = {0};
    gate_account(gate, &work);

    assert_int_equal(work.in_flight, 51);
    assert_int_equal(work.completed, 40);
    assert_int_equal(work.stuck, 11);
    leave_many(&takers[4]);
    gate_leave_from(gate, place, false);
    struct weir_context context;
    context_init(&context, NULL, WEIR_NEVER);
    assert_true(gate_wait_empty(gate, &context));
    context_clean_up(&context);
    gate_destroy(gate);
}

static atomic_int inside, most_inside;

static void *come_and_go(void *arg)
{
    struct taker *taker = arg;
    for (int i = 0; i < taker->wants; i++) {
        uint8_t place;
        if (gate_enter_here(taker->gate, &place) != WEIR_OK)
            continue;
        taker->got++;
        int now = atomic_fetch_add(&inside, 1) + 1, most = atomic_load(&most_inside);
        while (now > most && !atomic_compare_exchange_weak(&most_inside, &most, now))
            continue;
        atomic_fetch_sub(&inside, 1);
        gate_leave_from(taker->gate, place, false);
    }
    return NULL;
}

static void a_limit_is_never_passed(void **state)
{
    (void)state;
    struct gate *gate = gate_new(3);
    pthread_t threads[8];
    struct taker takers[8];
    for (int i = 0; i < 8; i++) {
        takers[i] = (struct taker){.gate = gate, .wants = 5000};
        pthread_create(&threads[i], NULL, come_and_go, &takers[i]);
    }
    int got = 0;
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        got += takers[i].got;
    }
    assert_true(got > 0);
    assert_in_range(atomic_load(&most_inside), 1, 3);
    assert_int_equal(gate_in_flight(gate), 0);
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
        cmocka_unit_test(a_limit_is_one_for_all_threads_and_all_of_it_can_be_used),
        cmocka_unit_test(a_limit_is_never_passed),
        cmocka_unit_test(work_of_all_threads_is_accounted_for),
        cmocka_unit_test(a_closed_gate_refuses_and_lets_out),
        cmocka_unit_test(the_account_adds_up_over_early_late_refused_and_stuck_work),
        cmocka_unit_test(work_that_its_client_cancels_is_not_cut_by_the_stop),
        cmocka_unit_test(work_whose_result_was_cut_is_cancelled_whenever_it_left),
        cmocka_unit_test(a_gate_may_be_destroyed_as_soon_as_it_is_empty),
        cmocka_unit_test(waiting_ends_with_its_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
