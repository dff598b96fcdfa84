/* A test's life: the app on a thread of its own, and time that the test's thread moves. */
#include "testing/kit.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <weir/clock.h>

#include "core/config.h"
#include "core/memory.h"
#include "observe/log.h"
#include "testing/clock.h"

#define DAY_NS (86400 * WEIR_NS_PER_S)
#define LOG_FLUSH_MS 100

struct weir_test *current_test;

/* ---- Making the app ---- */

/* What a service cannot be configured without, and what is not used here: the sockets and brokers. */
static const char *stand_in_value(const char *section, const char *key)
{
    if (!strcmp(key, "listen"))
        return "127.0.0.1:0";
    if (!strcmp(key, "brokers") || !strcmp(key, "target"))
        return "test";
    if (!strcmp(key, "url"))
        return weir_arena_printf(current_test->arena, "sqlite:%s/%s.db", current_test->folder, section);
    return NULL;
}

static void make_arguments(struct weir_test *test, const char *const *flags, int *ret_count)
{
    static const char *const own[] = {"test", "--app.report=none", "--log.level=warn"};
    size_t count = 0, owned = sizeof own / sizeof own[0];
    while (flags && flags[count])
        count++;
    test->argv = memory_zalloc((owned + count + 1) * sizeof *test->argv);
    memcpy(test->argv, own, sizeof own);
    if (count)
        memcpy(test->argv + owned, flags, count * sizeof *flags);
    *ret_count = (int)(owned + count);
}

struct weir_test *weir_test_new_with(weir_test_app_fn *app, const char *const *flags)
{
    weir_test_free(current_test); /* of a test that failed in its middle */
    struct weir_test *test = NEW(struct weir_test);
    current_test = test;
    test->arena = weir_arena_new();
    pthread_mutex_init(&test->lock, NULL);
    pthread_cond_init(&test->changed, NULL);
    test->last_entry = &test->entries;
    test->last_record = &test->records;
    test->last_question = &test->questions;
    strcpy(test->folder, "/tmp/weir-test-XXXXXX");
    if (!mkdtemp(test->folder))
        test_die("a folder cannot be made in /tmp");

    int count;
    make_arguments(test, flags, &count);
    test_clock_begin();
    config_set_stand_in(stand_in_value);
    sigset_t signals; /* a service blocks them; a test shall still be ended by them */
    pthread_sigmask(SIG_BLOCK, NULL, &signals);
    test->app = app(count, (char **)test->argv);
    pthread_sigmask(SIG_SETMASK, &signals, NULL);
    config_set_stand_in(NULL);
    return test;
}

struct weir_test *weir_test_new(weir_test_app_fn *app)
{
    return weir_test_new_with(app, NULL);
}

struct weir_app *weir_test_app(struct weir_test *test)
{
    return test->app;
}

/* ---- Running it ---- */

static void *serve(void *arg)
{
    struct weir_test *test = arg;
    pthread_setname_np(pthread_self(), "lifecycle");
    app_serve(test->app, test->signals[0]);
    atomic_store(&test->over, true);
    return NULL;
}

void weir_test_start(struct weir_test *test)
{
    if (test->begun)
        return;
    test->begun = true;
    stand_in_all(test);
    if (!app_begin(test->app, &test->exit)) {
        test->app = NULL;
        test->joined = true;
        atomic_store(&test->over, true);
        return;
    }
    broker_begin(test);
    test->app->called = trace_note;
    if (pipe2(test->signals, O_CLOEXEC | O_NONBLOCK) != 0 ||
        pthread_create(&test->thread, NULL, serve, test) != 0)
        test_die("no pipe or no thread can be made");
}

/* The lifecycle's thread is gone: what the engine knows is nobody else's now. */
static void join(struct weir_test *test)
{
    if (test->joined || !atomic_load(&test->over))
        return;
    pthread_join(test->thread, NULL);
    test->joined = true;
    test->exit = test->app->engine->exit_status;
    app_report(test->app);
}

static bool is_over(void *test)
{
    return atomic_load(&((struct weir_test *)test)->over);
}

static bool is_ready_or_over(void *arg)
{
    struct weir_test *test = arg;
    return is_over(test) || weir_app_ready(test->app);
}

bool test_pass_until(struct weir_test *test, bool (*done)(void *arg), void *arg)
{
    weir_test_start(test);
    int64_t until_ns = test_clock_ns() + DAY_NS;
    bool goes = true;
    for (test_clock_settle(); !done(arg) && goes; test_clock_settle())
        goes = test_clock_step(until_ns);
    join(test);
    return done(arg);
}

bool weir_test_ready(struct weir_test *test)
{
    if (!test_pass_until(test, is_ready_or_over, test))
        test_die(
            "the service does not become ready, and waits for no time: an operation of a component waits for "
            "something that never comes");
    return test->app && weir_app_ready(test->app);
}

int64_t weir_test_now_ms(const struct weir_test *test)
{
    (void)test;
    return test_clock_ms();
}

void weir_test_advance(struct weir_test *test, int64_t ms)
{
    weir_test_start(test);
    int64_t until_ns = test_clock_ns() + ms * WEIR_NS_PER_MS;
    while (test_clock_step(until_ns))
        continue;
    test_clock_set(until_ns);
    join(test);
}

void weir_test_settle(struct weir_test *test)
{
    weir_test_start(test);
    test_clock_settle();
    join(test);
}

/* ---- Signals ---- */

struct sent_signal {
    struct test_timer timer; /* first */
    struct sent_signal *next;
    struct weir_test *test;
    int number;
};

static void send_signal(struct test_timer *timer)
{
    const struct sent_signal *sent = (const struct sent_signal *)timer;
    struct signalfd_siginfo info = {.ssi_signo = (uint32_t)sent->number};
    if (!atomic_load(&sent->test->over) && write(sent->test->signals[1], &info, sizeof info) != sizeof info)
        test_die("too many signals that nobody has heard");
}

void weir_test_signal_at(struct weir_test *test, int64_t ms, int signal)
{
    weir_test_start(test);
    struct sent_signal *sent = NEW(struct sent_signal);
    sent->timer.fire = send_signal;
    sent->test = test;
    sent->number = signal;
    sent->next = test->sent;
    test->sent = sent;
    if (ms > 0)
        test_timer_begin(&sent->timer, ms);
    else
        send_signal(&sent->timer);
}

void weir_test_signal(struct weir_test *test, int signal)
{
    weir_test_signal_at(test, 0, signal);
    weir_test_settle(test);
}

void weir_test_stop_at(struct weir_test *test, int64_t ms)
{
    if (!test->begun)
        weir_test_ready(test);
    weir_test_signal_at(test, ms, SIGTERM);
}

int weir_test_run_to_end(struct weir_test *test)
{
    if (!test_pass_until(test, is_over, test))
        test_die("the service does not end within a day: weir_test_stop_at() asks it to");
    return test->exit;
}

/* ---- The end ---- */

static bool still_runs(struct weir_test *test)
{
    struct message message;
    while (inbox_take(&test->app->inbox, &message))
        if (message.kind == EVENT_RETURNED)
            runner_returned(test->app->runner, message.part);
    return runner_runs(test->app->runner) || !calls_all_over(test);
}

static bool runs_no_more(void *test)
{
    return !still_runs(test);
}

/* What the engine would not destroy, because something that has ended by now might have used it. */
static void destroy_what_is_left(struct weir_app *app)
{
    for (uint32_t i = app->count; i-- > 0;) {
        uint32_t index = app->plan->order[i];
        const struct app_part *part = app->parts[index];
        if (app->engine->parts[index].destroy == DESTROY_NO && part->ops->destroy)
            part->ops->destroy(part->self);
    }
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status, (void)type, (void)place;
    return remove(path);
}

static void close_app(struct weir_test *test)
{
    trace_let_go(test);
    if (!test_pass_until(test, runs_no_more, test)) {
        fprintf(stderr, "weir test: what still runs is left where it is:\n");
        runner_print_running(test->app->runner, STDERR_FILENO);
        return;
    }
    calls_free(test);
    destroy_what_is_left(test->app);
    test_clock_settle();
    broker_end(test);
    app_end(test->app);
    answers_free(test);
    stand_in_free(test);
}

static void close_what_never_ran(struct weir_test *test)
{
    app_destroy_parts(test->app);
    app_free(test->app);
    test->app = NULL;
}

void weir_test_free(struct weir_test *test)
{
    if (!test)
        return;
    if (!test->begun)
        close_what_never_ran(test);
    if (test->begun && !atomic_load(&test->over)) {
        weir_test_signal(test, SIGTERM);
        weir_test_run_to_end(test);
    }
    join(test);
    if (test->app) {
        close_app(test);
        log_stop(LOG_FLUSH_MS);
        close(test->signals[0]);
        close(test->signals[1]);
    } else {
        stand_in_free(test);
    }
    while (test->sent) {
        struct sent_signal *sent = test->sent;
        test->sent = sent->next;
        test_timer_end(&sent->timer);
        free(sent);
    }
    test_clock_end();
    nftw(test->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    pthread_cond_destroy(&test->changed);
    pthread_mutex_destroy(&test->lock);
    weir_arena_destroy(test->arena);
    free(test->argv);
    free(test);
    current_test = NULL;
}
