/* The stop as metrics, asked of a real admin listener. */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <weir/weir.h>

#include "edge/admin.h"
#include "lifecycle/app.h"
#include "raw_client.h"
#include "wait.h"

struct fixture {
    struct weir_app *app;
    pthread_t thread;
    int exit_status;
    atomic_bool draining, may_end;
    int64_t in_flight, cancelled;
};

static bool may_end(void *arg)
{
    return atomic_load(&((struct fixture *)arg)->may_end);
}

static bool is_draining(void *arg)
{
    return atomic_load(&((struct fixture *)arg)->draining);
}

static enum weir_status start(void *self, struct weir_context *context, struct weir_error *err)
{
    (void)self, (void)err;
    return weir_context_sleep(context, 20) == WEIR_DEADLINE_EXCEEDED ? WEIR_UNAVAILABLE : WEIR_OK;
}

static enum weir_status drain(void *self, struct weir_context *context, struct weir_work *work,
                              struct weir_error *err)
{
    (void)context, (void)err;
    struct fixture *f = self;
    f->draining = true;
    kit_wait_in_time(may_end, f);
    work->in_flight = f->in_flight;
    work->cancelled = f->cancelled;
    work->completed = f->in_flight - f->cancelled;
    return WEIR_OK;
}

static void *run(void *arg)
{
    struct fixture *f = arg;
    f->exit_status = weir_app_run(f->app);
    return NULL;
}

static void begin(struct fixture *f, const char *report_file)
{
    static const struct weir_component_ops ops = {.start = start, .drain = drain};
    char flag[128] = "--app.start_total_ms=0";
    if (report_file)
        snprintf(flag, sizeof flag, "--app.report_file=%s", report_file);
    char *argv[] = {"shelf",
                    "--app.report=none",
                    "--log.level=error",
                    "--admin.listen=127.0.0.1:0",
                    "--app.deadline_ms=20000",
                    flag,
                    NULL};
    f->app = weir_app_new("shelf", 6, argv);
    f->draining = f->may_end = false;
    weir_component_add(f->app, "slow", &ops, f, NULL);
    assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
    kit_wait(kit_app_is_ready, f->app);
}

static void end(struct fixture *f, int expected)
{
    f->may_end = true;
    weir_app_stop(f->app, "the test's end");
    pthread_join(f->thread, NULL);
    assert_int_equal(f->exit_status, expected);
}

/* All that it says; caller frees. */
static struct raw_answer *ask(struct fixture *f)
{
    struct raw_answer *answer =
        raw_ask(admin_port(f->app->parts[0]->component), "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(answer->status, 200);
    return answer;
}

static double value_in(const struct raw_answer *answer, const char *series)
{
    char line[160];
    snprintf(line, sizeof line, "\n%s ", series);
    const char *at = strstr(answer->body, line);
    if (!at)
        fail_msg("there is no %s in:\n%s", series, answer->body);
    return strtod(at + strlen(line), NULL);
}

static double value(struct fixture *f, const char *series)
{
    struct raw_answer *answer = ask(f);
    double number = value_in(answer, series);
    free(answer);
    return number;
}

static void assert_value(double expected, struct fixture *f, const char *series)
{
    double found = value(f, series);
    if (found < expected || found > expected)
        fail_msg("%s is %g, expected %g", series, found, expected);
}

static void a_stop_shows_how_far_it_is(void **state)
{
    (void)state;
    struct fixture f = {0};
    begin(&f, NULL);
    assert_value(0, &f, "weir_stop_elapsed_seconds{app=\"shelf\"}");
    assert_value(20, &f, "weir_stop_left_seconds{app=\"shelf\"}");
    assert_value(0, &f, "weir_stop_components_open{app=\"shelf\"}");
    weir_app_stop(f.app, "test");
    kit_wait(is_draining, &f);
    struct raw_answer *answer = ask(&f);
    double elapsed = value_in(answer, "weir_stop_elapsed_seconds{app=\"shelf\"}");
    double left = value_in(answer, "weir_stop_left_seconds{app=\"shelf\"}");
    free(answer);
    assert_true(elapsed > 0 && elapsed < 20 && left > 0 && left < 20);
    assert_true(elapsed + left > 19.5 && elapsed + left < 20.5);
    assert_value(2, &f,
                 "weir_stop_components_open{app=\"shelf\"}"); /* slow and admin; the executor has ended */
    end(&f, 0);
}

static void each_component_shows_what_its_start_took(void **state)
{
    (void)state;
    struct fixture f = {0};
    begin(&f, NULL);
    double slow = value(&f, "weir_start_seconds{app=\"shelf\",component=\"slow\"}");
    assert_true(slow >= 0.019 && slow < 15);
    assert_true(value(&f, "weir_start_seconds{app=\"shelf\",component=\"admin\"}") < slow + 15);
    end(&f, 0);
}

struct paths {
    char report[64], last[80];
};

static struct paths new_paths(void)
{
    struct paths paths;
    snprintf(paths.report, sizeof paths.report, "/tmp/stop_metrics_test_%d.json", (int)getpid());
    snprintf(paths.last, sizeof paths.last, "%s.last", paths.report);
    return paths;
}

static void remove_paths(const struct paths *paths)
{
    unlink(paths->report);
    unlink(paths->last);
}

static bool has(struct fixture *f, const char *text)
{
    struct raw_answer *answer = ask(f);
    bool found = strstr(answer->body, text) != NULL;
    free(answer);
    return found;
}

static void the_last_runs_report_is_in_the_metrics_of_the_next(void **state)
{
    (void)state;
    struct paths paths = new_paths();
    struct fixture f = {.in_flight = 5, .cancelled = 2};
    begin(&f, paths.report);
    assert_false(has(&f, "weir_last_stop_"));
    end(&f, 75);

    f = (struct fixture){0};
    begin(&f, paths.report);
    assert_value(0, &f, "weir_last_stop_outcome{app=\"shelf\",outcome=\"clean\"}");
    assert_value(1, &f, "weir_last_stop_outcome{app=\"shelf\",outcome=\"unclean\"}");
    assert_value(0, &f, "weir_last_stop_outcome{app=\"shelf\",outcome=\"killed\"}");
    assert_value(75, &f, "weir_last_stop_exit_status{app=\"shelf\"}");
    assert_true(value(&f, "weir_last_stop_seconds{app=\"shelf\"}") < 20);
    assert_value(5, &f, "weir_last_stop_in_flight{app=\"shelf\",component=\"slow\"}");
    assert_value(3, &f, "weir_last_stop_completed{app=\"shelf\",component=\"slow\"}");
    assert_value(2, &f, "weir_last_stop_cancelled{app=\"shelf\",component=\"slow\"}");
    assert_value(0, &f, "weir_last_stop_undelivered{app=\"shelf\",component=\"slow\"}");
    assert_value(0, &f, "weir_last_stop_uncommitted{app=\"shelf\",component=\"slow\"}");
    assert_true(has(&f, "# TYPE weir_last_stop_component_seconds gauge\n"));
    end(&f, 0);
    remove_paths(&paths);
}

static void write_report(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void a_run_that_was_killed_shows_so(void **state)
{
    (void)state;
    struct paths paths = new_paths();
    write_report(paths.report,
                 "{\"weir_report\": 1, \"service\": \"shelf\", \"outcome\": \"running\", \"pid\": 1}\n");
    struct fixture f = {0};
    begin(&f, paths.report);
    assert_value(1, &f, "weir_last_stop_outcome{app=\"shelf\",outcome=\"killed\"}");
    assert_false(has(&f, "weir_last_stop_seconds"));
    end(&f, 0);
    remove_paths(&paths);
}

static void a_report_that_cannot_be_read_keeps_nobody_from_starting(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "no JSON", "{\"weir_report\": 1, \"components\": [{",
                                        "{\"weir_report\": 2}",
                                        "{\"weir_report\": 1, \"elapsed\": \"soon\"}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct paths paths = new_paths();
        write_report(paths.report, texts[i]);
        struct fixture f = {0};
        begin(&f, paths.report);
        assert_false(has(&f, "weir_last_stop_"));
        end(&f, 0);
        remove_paths(&paths);
    }
}

static void two_apps_of_one_name_show_both(void **state)
{
    (void)state;
    struct fixture one = {0}, two = {0};
    begin(&one, NULL);
    begin(&two, NULL);
    assert_value(1, &two, "weir_ready{app=\"shelf\"}");
    assert_value(1, &one, "weir_ready{app=\"shelf\",copy=\"2\"}");
    end(&one, 0);
    assert_false(has(&two, "weir_ready{app=\"shelf\"}"));
    assert_value(1, &two, "weir_ready{app=\"shelf\",copy=\"2\"}");
    end(&two, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_shows_how_far_it_is),
        cmocka_unit_test(each_component_shows_what_its_start_took),
        cmocka_unit_test(the_last_runs_report_is_in_the_metrics_of_the_next),
        cmocka_unit_test(a_run_that_was_killed_shows_so),
        cmocka_unit_test(a_report_that_cannot_be_read_keeps_nobody_from_starting),
        cmocka_unit_test(two_apps_of_one_name_show_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
