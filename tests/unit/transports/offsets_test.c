/* The window of finished offsets: what is committed never passes what is not done. */
#include "test.h"

#include "transports/kafka/offsets.h"

static void nothing_is_done_before_the_first_message(void **state)
{
    (void)state;
    struct offsets o;
    offsets_init(&o, 64);
    assert_int_equal(o.base, -1);
    assert_int_equal(offsets_done_beyond(&o, -1), 0);
    offsets_clean_up(&o);
}

static void the_first_message_begins_the_window_wherever_it_is(void **state)
{
    (void)state;
    struct offsets o;
    offsets_init(&o, 64);
    assert_int_equal(offsets_take(&o, 1000), OFFSETS_TAKEN);
    assert_int_equal(o.base, 1000);
    offsets_done(&o, 1000);
    assert_int_equal(o.base, 1001);
    assert_int_equal(o.open, 0);
    offsets_clean_up(&o);
}

static void the_base_waits_for_the_first_that_is_not_done(void **state)
{
    (void)state;
    struct offsets o;
    offsets_init(&o, 64);
    for (int i = 0; i < 5; i++)
        offsets_take(&o, i);
    offsets_done(&o, 4);
    offsets_done(&o, 1);
    offsets_done(&o, 2);
    assert_int_equal(o.base, 0);
    assert_int_equal(offsets_done_beyond(&o, 0), 3);
    offsets_done(&o, 0);
    assert_int_equal(o.base, 3);
    offsets_done(&o, 3);
    assert_int_equal(o.base, 5);
    assert_int_equal(o.open, 0);
    offsets_clean_up(&o);
}

static void offsets_that_are_left_out_count_as_done(void **state)
{
    (void)state;
    struct offsets o;
    offsets_init(&o, 64);
    offsets_take(&o, 10);
    assert_int_equal(offsets_take(&o, 20), OFFSETS_TAKEN);
    offsets_done(&o, 20);
    assert_int_equal(o.base, 10);
    offsets_done(&o, 10);
    assert_int_equal(o.base, 21);
    offsets_clean_up(&o);
}

static void a_leap_past_the_window_is_fine_when_all_is_done(void **state)
{
    (void)state;
    struct offsets o;
    offsets_init(&o, 64);
    offsets_take(&o, 0);
    offsets_done(&o, 0);
    assert_int_equal(offsets_take(&o, 1000000), OFFSETS_TAKEN);
    assert_int_equal(o.base, 1000000);
    offsets_clean_up(&o);
}

static void the_window_is_full_64_ahead_of_what_is_not_done(void **state)
{
    (void)state;
    struct offsets o;
    offsets_init(&o, 64);
    for (int i = 0; i < 64; i++)
        assert_int_equal(offsets_take(&o, i), OFFSETS_TAKEN);
    for (int i = 1; i < 64; i++)
        offsets_done(&o, i);
    assert_int_equal(offsets_take(&o, 64), OFFSETS_FULL);
    offsets_done(&o, 0);
    assert_int_equal(o.base, 64);
    assert_int_equal(offsets_take(&o, 64), OFFSETS_TAKEN);
    offsets_clean_up(&o);
}

static void what_comes_twice_is_known(void **state)
{
    (void)state;
    struct offsets o;
    offsets_init(&o, 64);
    offsets_take(&o, 7);
    assert_int_equal(offsets_take(&o, 7), OFFSETS_KNOWN);
    assert_int_equal(offsets_take(&o, 3), OFFSETS_KNOWN);
    offsets_clean_up(&o);
}

static void what_is_done_and_not_committed_is_counted(void **state)
{
    (void)state;
    struct offsets o;
    offsets_init(&o, 64);
    for (int i = 0; i < 10; i++)
        offsets_take(&o, i);
    for (int i = 0; i < 6; i++)
        offsets_done(&o, i);
    offsets_done(&o, 8);
    assert_int_equal(offsets_done_beyond(&o, 4), 3);
    assert_int_equal(offsets_done_beyond(&o, 6), 1);
    offsets_clean_up(&o);
}

/* Against a plain array, with gaps and any order of ends. */
static void a_random_order_agrees_with_a_plain_model(void **state)
{
    (void)state;
    enum { LAST = 20000 };
    static uint8_t model[LAST + 64]; /* 0 not there, 1 open, 2 done */
    uint32_t random = 12345;
    struct offsets o;
    offsets_init(&o, 256);
    int64_t next = 0, lowest = 0, open[256];
    int count = 0;
    while (next < LAST) {
        random = random * 1664525 + 1013904223;
        if (random >> 31) {
            int64_t offset = next + (random >> 16 & 7) / 6;
            if (offsets_take(&o, offset) != OFFSETS_TAKEN)
                continue;
            memset(model + next, 2, (size_t)(offset - next));
            model[offset] = 1;
            open[count++] = offset;
            next = offset + 1;
        } else if (count > 0) {
            int which = (int)((random >> 8) % (uint32_t)count);
            offsets_done(&o, open[which]);
            model[open[which]] = 2;
            open[which] = open[--count];
        }
        while (lowest < next && model[lowest] == 2)
            lowest++;
        assert_int_equal(o.open, count);
        if (count > 0 || o.next == next)
            assert_int_equal(o.base < 0 ? 0 : o.base, lowest);
    }
    offsets_clean_up(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_done_before_the_first_message),
        cmocka_unit_test(the_first_message_begins_the_window_wherever_it_is),
        cmocka_unit_test(the_base_waits_for_the_first_that_is_not_done),
        cmocka_unit_test(offsets_that_are_left_out_count_as_done),
        cmocka_unit_test(a_leap_past_the_window_is_fine_when_all_is_done),
        cmocka_unit_test(the_window_is_full_64_ahead_of_what_is_not_done),
        cmocka_unit_test(what_comes_twice_is_known),
        cmocka_unit_test(what_is_done_and_not_committed_is_counted),
        cmocka_unit_test(a_random_order_agrees_with_a_plain_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
