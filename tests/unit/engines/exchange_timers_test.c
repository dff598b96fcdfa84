/* The deadlines of a loop's exchanges: told in order, each once, only those that are due and not taken back.
 */
#include "test.h"

#include <weir/clock.h>

#include "engines/microhttpd/internal.h"

#define COUNT 2000

static int64_t told[COUNT];
static size_t told_count;

static void on_expired(struct exchange *exchange)
{
    told[told_count++] = exchange->deadline_ns;
}

static void deadlines_are_told_in_order_unless_they_were_taken_back(void **state)
{
    (void)state;
    static const struct http_user_ops ops = {.expired = on_expired};
    struct http_engine engine = {.ops = &ops};
    struct loop loop = {.engine = &engine};
    struct exchange *exchanges = calloc(COUNT, sizeof *exchanges);
    uint64_t seed = 3;
    size_t expected = 0;
    told_count = 0;
    for (int round = 0; round < 2; round++) /* the second round moves each */
        for (int i = 0; i < COUNT; i++) {
            exchanges[i].loop = &loop;
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            timer_set(&exchanges[i], (int64_t)(seed >> 40) % 1000 + 1);
        }
    for (int i = 0; i < COUNT; i++) {
        if (i % 3 == 0)
            timer_set(&exchanges[i], WEIR_NEVER);
        else if (i % 3 == 1)
            atomic_store(&exchanges[i].phase, EXCHANGE_ANSWERED);
        else
            expected += exchanges[i].deadline_ns <= 500;
    }
    loop.now_ns = 500;
    timers_fire(&loop);
    assert_int_equal(told_count, expected);
    for (size_t i = 1; i < told_count; i++)
        assert_true(told[i - 1] <= told[i]);
    assert_in_range(timers_next(&loop), 501, 1000);

    loop.now_ns = 1000;
    timers_fire(&loop);
    assert_int_equal(told_count, COUNT / 3);
    assert_true(timers_next(&loop) == WEIR_NEVER);
    free(loop.timers);
    free(exchanges);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines_are_told_in_order_unless_they_were_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
