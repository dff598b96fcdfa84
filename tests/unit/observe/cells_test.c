/* Numbers that many threads add to. */
#include "test.h"

#include <pthread.h>

#include "observe/cells.h"

#define THREADS 8
#define TIMES 10000

static size_t first;

static void *add_to_two(void *arg)
{
    (void)arg;
    for (int i = 0; i < TIMES; i++) {
        cells_add(first, 1);
        cells_add(first + CELLS_PER_CHUNK, -2); /* in another chunk */
    }
    return NULL;
}

static void what_threads_add_is_added_up_and_stays_when_they_end(void **state)
{
    (void)state;
    first = cells_take(CELLS_PER_CHUNK + 1);
    for (int round = 1; round <= 3; round++) {
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++)
            pthread_create(&threads[i], NULL, add_to_two, NULL);
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(cells_sum(first), round * THREADS * TIMES);
        assert_int_equal(cells_sum(first + CELLS_PER_CHUNK), -2 * round * THREADS * TIMES);
    }
    assert_int_equal(cells_sum(first + 1), 0);
}

static atomic_bool over;

static void *add_until_told(void *arg)
{
    while (!atomic_load(&over))
        cells_add(*(size_t *)arg, 1);
    return NULL;
}

static void a_sum_never_falls_while_threads_add(void **state)
{
    (void)state;
    size_t cell = cells_take(1);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, add_until_told, &cell);
    int64_t before = 0;
    for (int i = 0; i < 2000; i++) {
        int64_t now = cells_sum(cell);
        assert_true(now >= before);
        before = now;
    }
    atomic_store(&over, true);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

static void who_takes_cells_has_them_alone_until_there_are_none_left(void **state)
{
    (void)state;
    size_t one = cells_take(3), other = cells_take(1);
    assert_int_equal(other, one + 3);
    for (int i = 0; i < CELLS_CHUNKS; i++)
        cells_take(CELLS_PER_CHUNK);
    assert_int_equal(cells_take(4), CELLS_CHUNKS * CELLS_PER_CHUNK - 4);
    cells_add(CELLS_CHUNKS * CELLS_PER_CHUNK - 1, 1);
    assert_int_equal(cells_sum(CELLS_CHUNKS * CELLS_PER_CHUNK - 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_threads_add_is_added_up_and_stays_when_they_end),
        cmocka_unit_test(a_sum_never_falls_while_threads_add),
        cmocka_unit_test(who_takes_cells_has_them_alone_until_there_are_none_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
