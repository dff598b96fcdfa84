/* Bounded threads, a bounded queue, bounds of each lane, and nothing lost at the stop. */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <weir/bytes.h>

#include "call/executor.h"
#include "observe/metrics.h"

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

    assert_int_equal(executor_submit(executor, NULL, &tasks[0]), EXECUTOR_TAKEN);
    wait_until_running(1);
    assert_int_equal(executor_submit(executor, NULL, &tasks[1]), EXECUTOR_TAKEN);
    assert_int_equal(executor_submit(executor, NULL, &tasks[2]), EXECUTOR_TAKEN);
    assert_int_equal(executor_submit(executor, NULL, &tasks[3]), EXECUTOR_FULL);
    executor_continue(executor, NULL, &tasks[4]);

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
        executor_submit(executor, NULL, &tasks[i]);
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

    assert_int_equal(executor_submit(executor, NULL, &task), EXECUTOR_FULL);
    executor_continue(executor, NULL, &task);

    assert_int_equal(atomic_load(&done), 1);
    executor_destroy(executor);
}

/* Submits tasks[0] to tasks[count - 1] one after the other; how many were taken, before `refusal` came. */
static int submit(struct executor *executor, struct executor_lane *lane, struct executor_task *tasks,
                  int count, enum executor_answer *ret_refusal)
{
    *ret_refusal = EXECUTOR_TAKEN;
    for (int i = 0; i < count; i++) {
        tasks[i].run = wait_at_door;
        enum executor_answer answer = executor_submit(executor, lane, &tasks[i]);
        if (answer != EXECUTOR_TAKEN) {
            *ret_refusal = answer;
            return i;
        }
    }
    return count;
}

static double metric(const char *line_begin)
{
    struct weir_buffer text = {0};
    metrics_write(&text);
    const char *line = strstr(weir_buffer_text(&text), line_begin);
    double value = line ? strtod(line + strlen(line_begin), NULL) : -1;
    weir_buffer_free(&text);
    return value;
}

static void a_lane_that_hangs_leaves_threads_and_queue_to_others(void **state)
{
    (void)state;
    struct executor_task hanging[8] = {0}, others[2] = {0};
    enum executor_answer refusal;
    struct executor *executor = executor_new(4, 8);
    struct executor_lane *lane = executor_lane_new(
        executor, &(struct executor_lane_options){
                      .service = "Shop", .method = "Hang", .threads_max = 2, .queue_max = 3});
    executor_start(executor, NULL);

    assert_int_equal(submit(executor, lane, hanging, 8, &refusal), 5);
    assert_int_equal(refusal, EXECUTOR_LANE_FULL);
    assert_int_equal(submit(executor, NULL, others, 2, &refusal), 2);
    wait_until_running(4); /* two of the lane, and both others */
    assert_true(metric("weir_executor_running{service=\"Shop\",method=\"Hang\"} ") == 2);
    assert_true(metric("weir_executor_waiting{service=\"Shop\",method=\"Hang\"} ") == 3);
    assert_true(metric("weir_executor_refused_total{service=\"Shop\",method=\"Hang\"} ") == 1);

    set_door(true);
    executor_stop(executor);
    assert_int_equal(atomic_load(&done), 7);
    assert_true(metric("weir_executor_running{service=\"Shop\",method=\"Hang\"} ") == 0);
    assert_true(metric("weir_executor_waiting{service=\"Shop\",method=\"Hang\"} ") == 0);
    executor_destroy(executor);
}

static void without_bounds_of_its_own_a_lane_has_three_quarters_of_all(void **state)
{
    (void)state;
    const struct {
        int threads, queue, taken;
    } rows[] = {{1, 4, 1 + 3}, {2, 4, 1 + 3}, {3, 4, 2 + 3}, {4, 16, 3 + 12}, {16, 16, 12 + 12}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct executor_task tasks[32] = {0};
        enum executor_answer refusal;
        set_door(false);
        struct executor *executor = executor_new(rows[i].threads, rows[i].queue);
        struct executor_lane *lane =
            executor_lane_new(executor, &(struct executor_lane_options){.service = "Shop", .method = "Hang"});
        executor_start(executor, NULL);
        int threads = rows[i].taken - rows[i].queue * 3 / 4;
        assert_int_equal(submit(executor, lane, tasks, threads, &refusal), threads);
        wait_until_running(threads);
        assert_int_equal(threads + submit(executor, lane, tasks + threads, 32 - threads, &refusal),
                         rows[i].taken);
        assert_int_equal(refusal, EXECUTOR_LANE_FULL);
        set_door(true);
        executor_destroy(executor);
    }
}

static void a_step_of_accepted_work_waits_for_its_lane_and_is_never_refused(void **state)
{
    (void)state;
    struct executor_task hanging[3] = {0}, steps[4] = {0};
    enum executor_answer refusal;
    struct executor *executor = executor_new(2, 2);
    struct executor_lane *lane = executor_lane_new(
        executor, &(struct executor_lane_options){
                      .service = "Shop", .method = "Hang", .threads_max = 1, .queue_max = 1});
    executor_start(executor, NULL);
    assert_int_equal(submit(executor, lane, hanging, 3, &refusal), 2);
    for (int i = 0; i < 4; i++) {
        steps[i].run = wait_at_door;
        executor_continue(executor, lane, &steps[i]);
    }
    set_door(true);
    executor_stop(executor);
    assert_int_equal(atomic_load(&done), 6);
    executor_destroy(executor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_full_queue_refuses_and_work_that_was_accepted_goes_on, reset),
        cmocka_unit_test_setup(as_many_tasks_run_at_once_as_there_are_threads, reset),
        cmocka_unit_test_setup(a_stopped_executor_refuses_but_runs_what_was_accepted, reset),
        cmocka_unit_test_setup(a_lane_that_hangs_leaves_threads_and_queue_to_others, reset),
        cmocka_unit_test_setup(without_bounds_of_its_own_a_lane_has_three_quarters_of_all, reset),
        cmocka_unit_test_setup(a_step_of_accepted_work_waits_for_its_lane_and_is_never_refused, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
