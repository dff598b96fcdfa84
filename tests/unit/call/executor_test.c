/* Bounded threads, a bounded queue, and nothing lost at the stop. */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "call/executor.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int running;
static bool open_door;

static atomic_int done;

static void wait_at_door(struct executor_task *task)
{
    (void)task;
    pthread_mutex_lock(&lock);
    running++;
    pthread_cond_broadcast(&changed);
    while (!open_door)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    atomic_fetch_add(&done, 1);
}

static void wait_until_running(int count)
{
    pthread_mutex_lock(&lock);
    while (running < count)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void set_door(bool open)
{
    pthread_mutex_lock(&lock);
    open_door = open;
    running = 0;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static int reset(void **state)
{
    (void)state;
    set_door(false);
    atomic_store(&done, 0);
    return 0;
}

static void a_full_queue_refuses_and_work_that_was_accepted_goes_on(void **state)
{
    (void)state;
    struct executor_task tasks[5] = {0};
    for (int i = 0; i < 5; i++)
        tasks[i].run = wait_at_door;
    struct executor *executor = executor_new(1, 2);
    assert_int_equal(executor_start(executor, NULL), WEIR_OK);

    assert_true(executor_submit(executor, &tasks[0]));
    wait_until_running(1);
    assert_true(executor_submit(executor, &tasks[1]));
    assert_true(executor_submit(executor, &tasks[2]));
    assert_false(executor_submit(executor, &tasks[3]));
    executor_continue(executor, &tasks[4]);

    set_door(true);
    executor_stop(executor);
    assert_int_equal(atomic_load(&done), 4);
    executor_destroy(executor);
}

static void as_many_tasks_run_at_once_as_there_are_threads(void **state)
{
    (void)state;
    struct executor_task tasks[3] = {0};
    struct executor *executor = executor_new(3, 3);
    executor_start(executor, NULL);
    for (int i = 0; i < 3; i++) {
        tasks[i].run = wait_at_door;
        executor_submit(executor, &tasks[i]);
    }

    wait_until_running(3);

    set_door(true);
    executor_destroy(executor);
    assert_int_equal(atomic_load(&done), 3);
}

static void a_stopped_executor_refuses_but_runs_what_was_accepted(void **state)
{
    (void)state;
    struct executor_task task = {.run = wait_at_door};
    struct executor *executor = executor_new(1, 1);
    executor_start(executor, NULL);
    executor_stop(executor);
    set_door(true);

    assert_false(executor_submit(executor, &task));
    executor_continue(executor, &task);

    assert_int_equal(atomic_load(&done), 1);
    executor_destroy(executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_full_queue_refuses_and_work_that_was_accepted_goes_on, reset),
        cmocka_unit_test_setup(as_many_tasks_run_at_once_as_there_are_threads, reset),
        cmocka_unit_test_setup(a_stopped_executor_refuses_but_runs_what_was_accepted, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
