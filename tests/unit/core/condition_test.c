/* Waiting on the monotonic clock, and for the end of a context. */
#include "test.h"

#include <pthread.h>

#include <weir/clock.h>

#include "core/condition.h"
#include "core/context.h"

struct fixture {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct weir_context context;
    bool done;
};

static void set_up(struct fixture *fixture)
{
    *fixture = (struct fixture){.lock = PTHREAD_MUTEX_INITIALIZER};
    condition_init(&fixture->changed);
    context_init(&fixture->context, NULL, WEIR_NEVER);
}

static void clean_up(struct fixture *fixture)
{
    context_clean_up(&fixture->context);
    pthread_cond_destroy(&fixture->changed);
}

static void a_wait_ends_at_its_time(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    int64_t until = weir_now_ns() + WEIR_NS_PER_MS;

    pthread_mutex_lock(&fixture.lock);
    while (condition_wait(&fixture.changed, &fixture.lock, until))
        continue;
    pthread_mutex_unlock(&fixture.lock);

    assert_true(weir_now_ns() >= until);
    clean_up(&fixture);
}

static void *do_it(void *arg)
{
    struct fixture *fixture = arg;
    pthread_mutex_lock(&fixture->lock);
    fixture->done = true;
    pthread_cond_signal(&fixture->changed);
    pthread_mutex_unlock(&fixture->lock);
    return NULL;
}

static void a_wait_without_a_limit_ends_with_the_signal(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    pthread_t thread;

    pthread_mutex_lock(&fixture.lock);
    pthread_create(&thread, NULL, do_it, &fixture);
    while (!fixture.done)
        assert_true(condition_wait(&fixture.changed, &fixture.lock, WEIR_NEVER));
    pthread_mutex_unlock(&fixture.lock);

    pthread_join(thread, NULL);
    clean_up(&fixture);
}

static void *end_it(void *arg)
{
    struct fixture *fixture = arg;
    context_end(&fixture->context, WEIR_CANCELLED);
    return NULL;
}

static void the_end_of_a_context_ends_the_wait_that_watches_it(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    pthread_t thread;
    struct condition_watch watch;

    condition_watch(&watch, &fixture.context, &fixture.lock, &fixture.changed);
    pthread_mutex_lock(&fixture.lock);
    pthread_create(&thread, NULL, end_it, &fixture);
    while (weir_context_status(&fixture.context) == WEIR_OK)
        condition_wait(&fixture.changed, &fixture.lock, WEIR_NEVER);
    pthread_mutex_unlock(&fixture.lock);
    condition_unwatch(&watch);

    pthread_join(thread, NULL);
    clean_up(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_ends_at_its_time),
        cmocka_unit_test(a_wait_without_a_limit_ends_with_the_signal),
        cmocka_unit_test(the_end_of_a_context_ends_the_wait_that_watches_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
