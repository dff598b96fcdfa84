/* What reaches the lifecycle's thread: signals, and messages of other threads. */
#include "test.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/clock.h>

#include "lifecycle/inbox.h"
#include "lifecycle/process.h"

static void a_signal_within_300_ms_of_the_one_before_it_is_the_same(void **state)
{
    (void)state;
    static const struct {
        int64_t at_ms;
        bool counts;
    } signals[] = {{5000, true},  {5001, false}, {5299, false}, {5500, false},
                   {5799, false}, {6099, true},  {6400, true}};
    struct signal_filter filter = {0};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        assert_int_equal(signal_counts(&filter, signals[i].at_ms * WEIR_NS_PER_MS), signals[i].counts);
}

static bool readable(const struct inbox *inbox)
{
    return poll(&(struct pollfd){.fd = inbox->descriptor, .events = POLLIN}, 1, 0) == 1;
}

static void messages_come_in_order_and_one_that_waits_is_not_overwritten(void **state)
{
    (void)state;
    struct inbox inbox;
    inbox_init(&inbox);
    struct message failed = {.kind = EVENT_FAILED, .part = 3}, stop = {.kind = EVENT_STOP}, taken;
    assert_false(readable(&inbox));
    inbox_post_text(&inbox, &failed, WEIR_DATA_LOSS, "first");
    inbox_post_text(&inbox, &stop, WEIR_OK, "enough");
    inbox_post_text(&inbox, &failed, WEIR_INTERNAL, "second");
    assert_true(readable(&inbox));

    assert_true(inbox_take(&inbox, &taken));
    assert_int_equal(taken.part, 3);
    assert_int_equal(taken.status, WEIR_DATA_LOSS);
    assert_string_equal(taken.text, "first");
    inbox_post_text(&inbox, &failed, WEIR_INTERNAL, "third");
    assert_true(inbox_take(&inbox, &taken));
    assert_string_equal(taken.text, "enough");
    assert_true(inbox_take(&inbox, &taken));
    assert_string_equal(taken.text, "third");
    assert_false(inbox_take(&inbox, &taken));
    assert_false(readable(&inbox));
    inbox_clean_up(&inbox);
}

#define THREADS 4
#define POSTS 2000

struct poster {
    pthread_t thread;
    struct inbox *inbox;
    struct message *own, *shared;
};

static void *post_many(void *arg)
{
    struct poster *poster = arg;
    for (int i = 0; i < POSTS; i++) {
        inbox_post_text(poster->inbox, poster->shared, WEIR_OK, "shared");
        inbox_post_text(poster->inbox, poster->own, WEIR_OK, i + 1 == POSTS ? "last" : "own");
    }
    return NULL;
}

static void messages_of_many_threads_arrive_whole(void **state)
{
    (void)state;
    struct inbox inbox;
    inbox_init(&inbox);
    struct message own[THREADS] = {{0}}, shared = {.kind = EVENT_STOP};
    struct poster posters[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        own[i] = (struct message){.kind = EVENT_FAILED, .part = i};
        posters[i] = (struct poster){.inbox = &inbox, .own = &own[i], .shared = &shared};
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_many, &posters[i]), 0);
    }
    struct message taken;
    for (int i = 0; i < POSTS; i++)
        if (inbox_take(&inbox, &taken))
            assert_true(!strcmp(taken.text, taken.kind == EVENT_STOP ? "shared" : "own") ||
                        !strcmp(taken.text, "last"));
    for (int i = 0; i < THREADS; i++)
        pthread_join(posters[i].thread, NULL);
    while (inbox_take(&inbox, &taken))
        assert_true(taken.at_ns > 0);
    assert_false(readable(&inbox));
    inbox_clean_up(&inbox);
}

static void set(const char *variable, const char *value)
{
    if (value)
        setenv(variable, value, 1);
    else
        unsetenv(variable);
}

static void the_service_managers_watchdog_is_heeded_where_it_watches_this_process(void **state)
{
    (void)state;
    char own[24];
    snprintf(own, sizeof own, "%d", (int)getpid());
    const struct {
        const char *socket, *usec, *pid;
        int64_t expected;
    } cases[] = {
        {"@there", "20000000", own, 20 * WEIR_NS_PER_S},
        {"@there", "20000000", NULL, 20 * WEIR_NS_PER_S},
        {"@there", "20000000", "1", 0},
        {"@there", NULL, own, 0},
        {NULL, "20000000", own, 0},
        {"@there", "-1", own, 0},
        {"@there", "18446744073709551615", own, 0},
        {"@there", "soon", own, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set("NOTIFY_SOCKET", cases[i].socket);
        set("WATCHDOG_USEC", cases[i].usec);
        set("WATCHDOG_PID", cases[i].pid);
        assert_int_equal(process_watchdog_ns(), cases[i].expected);
    }
    set("NOTIFY_SOCKET", NULL);
    set("WATCHDOG_USEC", NULL);
    set("WATCHDOG_PID", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_within_300_ms_of_the_one_before_it_is_the_same),
        cmocka_unit_test(messages_come_in_order_and_one_that_waits_is_not_overwritten),
        cmocka_unit_test(messages_of_many_threads_arrive_whole),
        cmocka_unit_test(the_service_managers_watchdog_is_heeded_where_it_watches_this_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
