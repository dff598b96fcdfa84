/* Tasks that wait leave their thread to others: who may run, who is woken, and that no waker is missed. */
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include <weir/clock.h>

#include "call/executor.h"
#include "core/fiber.h"
#include "core/parker.h"
#include "wait.h"

struct waiting_task {
    struct executor_task task; /* first */
    struct parker told;
    int64_t until_ns;
    atomic_bool waits, ended;
};

static void wait_to_be_told(struct executor_task *task)
{
    struct waiting_task *self = (struct waiting_task *)task;
    assert_int_equal(fiber_self() != NULL, fibers_available());
    atomic_store(&self->waits, true);
    if (self->until_ns)
        parker_wait_until(&self->told, self->until_ns);
    else
        parker_wait(&self->told);
    atomic_store(&self->ended, true);
}

static void submit(struct executor *executor, struct waiting_task *task)
{
    parker_init(&task->told);
    task->task.run = wait_to_be_told;
    assert_int_equal(executor_submit(executor, NULL, &task->task), EXECUTOR_TAKEN);
}

static bool waits(void *task)
{
    return atomic_load(&((struct waiting_task *)task)->waits);
}

static bool ended(void *task)
{
    return atomic_load(&((struct waiting_task *)task)->ended);
}

static void one_that_was_told_before_does_not_wait(void **state)
{
    (void)state;
    struct waiting_task task = {0};
    struct executor *executor = executor_new(1, 1);
    executor_start(executor, NULL);
    parker_init(&task.told);
    parker_tell(&task.told);
    task.task.run = wait_to_be_told;

    assert_int_equal(executor_submit(executor, NULL, &task.task), EXECUTOR_TAKEN);

    executor_stop(executor);
    assert_true(ended(&task));
    executor_destroy(executor);
}

static void one_that_waits_counts_among_those_that_run(void **state)
{
    (void)state;
    struct waiting_task first = {0}, second = {0};
    struct executor *executor = executor_new(1, 2);
    executor_start(executor, NULL);
    submit(executor, &first);
    kit_wait(waits, &first);
    submit(executor, &second);
    assert_false(
        waits(&second)); /* nobody may begin it before the first has ended, however long that takes */

    parker_tell(&first.told);
    kit_wait(waits, &second);
    assert_true(ended(&first));

    parker_tell(&second.told);
    executor_destroy(executor);
    assert_true(ended(&second));
}

static void a_wait_ends_at_its_time_though_nobody_tells(void **state)
{
    (void)state;
    struct waiting_task task = {.until_ns = weir_now_ns() + 30 * WEIR_NS_PER_MS};
    struct executor *executor = executor_new(2, 2);
    executor_start(executor, NULL);

    submit(executor, &task);

    kit_wait(ended, &task);
    assert_true(weir_now_ns() >= task.until_ns);
    executor_destroy(executor);
}

static void a_wait_with_a_time_ends_when_it_is_told(void **state)
{
    (void)state;
    struct waiting_task task = {.until_ns = weir_now_ns() + 3600 * WEIR_NS_PER_S};
    struct executor *executor = executor_new(2, 2);
    executor_start(executor, NULL);
    submit(executor, &task);
    kit_wait(waits, &task);

    parker_tell(&task.told);

    executor_destroy(executor);
    assert_true(ended(&task));
}

static void *tell(void *parker)
{
    parker_tell(parker);
    return NULL;
}

static void a_stop_waits_for_those_that_wait(void **state)
{
    (void)state;
    struct waiting_task task = {0};
    struct executor *executor = executor_new(2, 2);
    executor_start(executor, NULL);
    submit(executor, &task);
    kit_wait(waits, &task);
    pthread_t teller;
    pthread_create(&teller, NULL, tell, &task.told);

    executor_stop(executor);

    assert_true(ended(&task));
    pthread_join(teller, NULL);
    executor_destroy(executor);
}

/* ---- Many at once ---- */

#define RING 24
#define ROUNDS 2000

/* A token goes round; several, so that threads meet. Some wait with a time, some give their thread to nobody. */
struct runner {
    struct executor_task task; /* first */
    struct parker token;
    struct runner *next;
    atomic_int passes;
};

static void pass_on(struct executor_task *task)
{
    struct runner *self = (struct runner *)task;
    for (; self->passes < ROUNDS; self->passes++) {
        if (self->passes % 3 == 0)
            parker_wait_until(&self->token, weir_now_ns() + 3600 * WEIR_NS_PER_S);
        else
            parker_wait(&self->token);
        parker_tell(&self->next->token);
    }
}

static void no_waker_is_missed(void **state)
{
    (void)state;
    for (int threads = RING; threads <= 2 * RING; threads += RING) {
        struct runner runners[RING] = {0};
        struct executor *executor = executor_new(threads, RING);
        executor_start(executor, NULL);
        for (int i = 0; i < RING; i++) {
            parker_init(&runners[i].token);
            runners[i].next = &runners[(i + 1) % RING];
            runners[i].task.run = pass_on;
        }
        for (int i = 0; i < RING; i++)
            assert_int_equal(executor_submit(executor, NULL, &runners[i].task), EXECUTOR_TAKEN);
        parker_tell(&runners[0].token);
        executor_stop(executor);
        for (int i = 0; i < RING; i++)
            assert_int_equal(runners[i].passes, ROUNDS);
        executor_destroy(executor);
    }
}

/* Each waits for the one behind it, on the thread's own terms: as many must run as there are threads. */
static void block_for_the_next(struct executor_task *task)
{
    struct runner *self = (struct runner *)task;
    if (self->next)
        while (!atomic_load(&self->next->passes))
            sched_yield();
    atomic_store(&self->passes, 1);
}

static void those_that_block_their_thread_do_not_hold_others(void **state)
{
    (void)state;
    struct runner runners[8] = {0};
    struct executor *executor = executor_new(8, 8);
    executor_start(executor, NULL);
    for (int i = 0; i < 8; i++) {
        runners[i].next = i < 7 ? &runners[i + 1] : NULL;
        runners[i].task.run = block_for_the_next;
        assert_int_equal(executor_submit(executor, NULL, &runners[i].task), EXECUTOR_TAKEN);
    }
    executor_stop(executor);
    assert_int_equal(runners[0].passes, 1);
    executor_destroy(executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_was_told_before_does_not_wait),
        cmocka_unit_test(one_that_waits_counts_among_those_that_run),
        cmocka_unit_test(a_wait_ends_at_its_time_though_nobody_tells),
        cmocka_unit_test(a_wait_with_a_time_ends_when_it_is_told),
        cmocka_unit_test(a_stop_waits_for_those_that_wait),
        cmocka_unit_test(no_waker_is_missed),
        cmocka_unit_test(those_that_block_their_thread_do_not_hold_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
