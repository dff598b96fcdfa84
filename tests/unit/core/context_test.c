/* Deadlines, cancellation and traces as they flow from parent to child. */
#include "test.h"

#include <pthread.h>

#include <weir/clock.h>

#include "core/context.h"

struct told {
    struct weir_context_watch watch;
    int times;
    enum weir_status status;
};

static void tell(struct weir_context_watch *watch, enum weir_status status)
{
    struct told *told = (struct told *)watch;
    told->times++;
    told->status = status;
}

static void a_childs_deadline_is_never_later_than_its_parents(void **state)
{
    (void)state;
    struct weir_context parent, late, early;
    context_init(&parent, NULL, 2000);
    context_init(&late, &parent, 3000);
    context_init(&early, &parent, 1000);

    assert_int_equal(weir_context_deadline_ns(&late), 2000);
    assert_int_equal(weir_context_deadline_ns(&early), 1000);

    context_clean_up(&early);
    context_clean_up(&late);
    context_clean_up(&parent);
}

static void a_parents_cancellation_reaches_its_grandchild_once(void **state)
{
    (void)state;
    struct weir_context parent, child, grandchild;
    struct told told = {.watch.over = tell};
    context_init(&parent, NULL, WEIR_NEVER);
    context_init(&child, &parent, WEIR_NEVER);
    context_init(&grandchild, &child, WEIR_NEVER);
    weir_context_watch(&grandchild, &told.watch);

    context_end(&parent, WEIR_CANCELLED);
    context_end(&child, WEIR_DEADLINE_EXCEEDED);

    assert_int_equal(told.times, 1);
    assert_int_equal(told.status, WEIR_CANCELLED);
    assert_int_equal(weir_context_status(&child), WEIR_CANCELLED);
    assert_int_equal(weir_context_left_ms(&grandchild), 0);

    context_clean_up(&grandchild);
    context_clean_up(&child);
    context_clean_up(&parent);
}

static void watching_what_is_over_is_told_at_once(void **state)
{
    (void)state;
    struct weir_context context;
    struct told told = {.watch.over = tell};
    context_init(&context, NULL, WEIR_NEVER);
    context_end(&context, WEIR_CANCELLED);

    weir_context_watch(&context, &told.watch);

    assert_int_equal(told.times, 1);
    weir_context_unwatch(&told.watch);
    context_clean_up(&context);
}

static void what_was_unwatched_is_not_told(void **state)
{
    (void)state;
    struct weir_context context;
    struct told first = {.watch.over = tell}, second = {.watch.over = tell}, third = {.watch.over = tell};
    context_init(&context, NULL, WEIR_NEVER);
    weir_context_watch(&context, &first.watch);
    weir_context_watch(&context, &second.watch);
    weir_context_watch(&context, &third.watch);

    weir_context_unwatch(&second.watch);
    context_end(&context, WEIR_CANCELLED);

    assert_int_equal(first.times, 1);
    assert_int_equal(second.times, 0);
    assert_int_equal(third.times, 1);
    context_clean_up(&context);
}

static void *end_it(void *context)
{
    context_end(context, WEIR_CANCELLED);
    return NULL;
}

static void a_sleeper_is_woken_by_the_end(void **state)
{
    (void)state;
    struct weir_context context;
    context_init(&context, NULL, WEIR_NEVER);
    pthread_t thread;
    pthread_create(&thread, NULL, end_it, &context);

    assert_int_equal(weir_context_sleep(&context, 3600 * 1000), WEIR_CANCELLED);

    pthread_join(thread, NULL);
    context_clean_up(&context);
}

static void a_limit_moves_the_deadline_earlier_and_never_later(void **state)
{
    (void)state;
    struct weir_context context;
    context_init(&context, NULL, 2000);

    context_limit(&context, 3000);
    assert_int_equal(weir_context_deadline_ns(&context), 2000);
    context_limit(&context, 1000);
    assert_int_equal(weir_context_deadline_ns(&context), 1000);

    assert_int_equal(weir_context_status(&context), WEIR_DEADLINE_EXCEEDED);
    context_clean_up(&context);
}

static void a_valid_trace_is_continued_with_a_span_of_its_own(void **state)
{
    (void)state;
    struct weir_context context, child;
    context_init(&context, NULL, WEIR_NEVER);
    context_set_trace(&context, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    context_init(&child, &context, WEIR_NEVER);

    assert_memory_equal(context.traceparent, "00-0af7651916cd43dd8448eb211c80319c-", 36);
    assert_string_equal(context.traceparent + 52, "-01");
    assert_string_not_equal(context.traceparent + 36, "b7ad6b7169203331-01");
    assert_memory_equal(child.traceparent, context.traceparent, 36);
    assert_memory_not_equal(child.traceparent + 36, context.traceparent + 36, 16);

    context_clean_up(&child);
    context_clean_up(&context);
}

static void a_bad_trace_starts_a_new_one(void **state)
{
    (void)state;
    static const char *const bad[] = {
        NULL,
        "",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct weir_context context;
        context_init(&context, NULL, WEIR_NEVER);
        context_set_trace(&context, bad[i]);
        assert_int_equal(strlen(context.traceparent), 55);
        assert_memory_not_equal(context.traceparent + 3, "0af7651916cd43dd8448eb211c80319c", 32);
        assert_memory_not_equal(context.traceparent + 3, "00000000000000000000000000000000", 32);
        context_clean_up(&context);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_childs_deadline_is_never_later_than_its_parents),
        cmocka_unit_test(a_parents_cancellation_reaches_its_grandchild_once),
        cmocka_unit_test(watching_what_is_over_is_told_at_once),
        cmocka_unit_test(what_was_unwatched_is_not_told),
        cmocka_unit_test(a_sleeper_is_woken_by_the_end),
        cmocka_unit_test(a_limit_moves_the_deadline_earlier_and_never_later),
        cmocka_unit_test(a_valid_trace_is_continued_with_a_span_of_its_own),
        cmocka_unit_test(a_bad_trace_starts_a_new_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
