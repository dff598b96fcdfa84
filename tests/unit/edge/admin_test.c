/* The admin listener through a whole life: while the app starts, serves and stops. */
#include "test.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <weir/weir.h>

#include "edge/admin.h"
#include "lifecycle/app.h"
#include "raw_client.h"
#include "wait.h"

/* An app with one component, "slow", that starts and drains when the test says so. */
struct fixture {
    struct weir_app *app;
    const struct weir_component *admin;
    int port;
    int exit_status;
    pthread_t thread;
    atomic_bool may_start, may_end, draining;
    bool stopped; /* then the app frees itself */
};

static enum weir_status wait_until(atomic_bool *allowed, struct weir_context *context)
{
    enum weir_status status = WEIR_OK;
    while (!*allowed && status == WEIR_OK)
        status = weir_context_sleep(context, 1);
    return status;
}

static enum weir_status slow_start(void *self, struct weir_context *context, struct weir_error *err)
{
    (void)err;
    struct fixture *f = self;
    return wait_until(&f->may_start, context);
}

static enum weir_status slow_drain(void *self, struct weir_context *context, struct weir_work *work,
                                   struct weir_error *err)
{
    (void)work, (void)err;
    struct fixture *f = self;
    f->draining = true;
    return wait_until(&f->may_end, context);
}

static void *run(void *arg)
{
    struct fixture *f = arg;
    f->exit_status = weir_app_run(f->app);
    return NULL;
}

static bool is_listening(void *arg)
{
    struct fixture *f = arg;
    f->port = admin_port(f->admin);
    return f->port != 0;
}

static bool is_draining(void *arg)
{
    const struct fixture *f = arg;
    return f->draining;
}

static void begin(struct fixture *f, const char *flag)
{
    static const struct weir_component_ops ops = {.start = slow_start, .drain = slow_drain};
    char *argv[] = {"shelf", "--app.report=none", "--log.level=error", (char *)flag, NULL};
    f->app = weir_app_new("shelf", flag ? 4 : 3, argv);
    f->admin = f->app->parts[0]->component;
    assert_string_equal(weir_component_name(f->admin), "admin");
    weir_component_add(f->app, "slow", &ops, f, NULL);
    assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    begin(f, "--admin.listen=127.0.0.1:0");
    kit_wait(is_listening, f);
    return 0;
}

static void stop(struct fixture *f)
{
    f->stopped = true;
    weir_app_stop(f->app, "test");
}

static void end(struct fixture *f)
{
    f->may_start = f->may_end = true;
    if (!f->stopped) {
        kit_wait(kit_app_is_ready, f->app);
        stop(f);
    }
    pthread_join(f->thread, NULL);
    assert_int_equal(f->exit_status, 0);
}

static int tear_down(void **state)
{
    end(*state);
    free(*state);
    return 0;
}

static void assert_answer(struct fixture *f, const char *path, int status, const char *body)
{
    char request[128];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
    struct raw_answer *answer = raw_ask(f->port, request);
    assert_int_equal(answer->status, status);
    assert_string_equal(answer->body, body);
    free(answer);
}

static void health_and_readiness_follow_the_apps_life(void **state)
{
    struct fixture *f = *state;
    assert_answer(f, "/healthz", 200, "ok");
    assert_answer(f, "/ready", 503, "not ready");

    f->may_start = true;
    kit_wait(kit_app_is_ready, f->app);
    assert_answer(f, "/healthz", 200, "ok");
    assert_answer(f, "/ready", 200, "ready");

    stop(f);
    kit_wait(is_draining, f);
    assert_answer(f, "/healthz", 200, "ok");
    assert_answer(f, "/ready", 503, "not ready");
}

static void metrics_are_in_prometheus_text(void **state)
{
    struct fixture *f = *state;
    struct raw_answer *answer = raw_ask(f->port, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(answer->status, 200);
    assert_string_equal(raw_header(answer, "Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_string_equal(raw_header(answer, "Cache-Control"), "no-store");
    assert_non_null(strstr(answer->body, "# TYPE process_cpu_seconds_total counter\n"));
    assert_non_null(strstr(answer->body, "\nweir_ready{app=\"shelf\"} 0\n"));
    free(answer);
}

static void anything_else_is_a_problem(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = {"/", "/metric", "/metrics/", "/%6detrics", "//healthz"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        assert_answer(f, paths[i], 404,
                      "{\"type\":\"about:blank\",\"status\":404,\"detail\":\"there are /healthz, /ready and "
                      "/metrics\"}");
    assert_answer(f, "/healthz?x=1", 200, "ok");
}

static void only_reading_is_allowed(void **state)
{
    struct fixture *f = *state;
    struct raw_answer *answer =
        raw_ask(f->port, "POST /ready HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    assert_int_equal(answer->status, 405);
    assert_string_equal(raw_header(answer, "Allow"), "GET, HEAD");
    assert_string_equal(raw_header(answer, "Content-Type"), "application/problem+json");
    free(answer);

    int fd = raw_connect(f->port);
    assert_true(raw_send(fd, "HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n"));
    answer = raw_read(fd, true);
    assert_int_equal(answer->status, 200);
    assert_true(raw_closed(fd));
    close(fd);
    free(answer);
}

static void an_idle_connection_does_not_delay_the_end(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f->port);
    assert_answer(f, "/healthz", 200, "ok"); /* so the one before was accepted, too */
    f->may_start = f->may_end = true;
    kit_wait(kit_app_is_ready, f->app);
    int64_t begun_ns = weir_now_ns();
    stop(f);
    assert_true(raw_closed(fd));
    assert_true(weir_now_ns() - begun_ns < WEIR_NS_PER_S);
    close(fd);
}

static void without_an_address_nothing_listens(void **state)
{
    (void)state;
    struct fixture f = {.may_start = true};
    begin(&f, NULL);
    kit_wait(kit_app_is_ready, f.app);
    assert_int_equal(admin_port(f.admin), 0);
    end(&f);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(health_and_readiness_follow_the_apps_life),
        TEST(metrics_are_in_prometheus_text),
        TEST(anything_else_is_a_problem),
        TEST(only_reading_is_allowed),
        TEST(an_idle_connection_does_not_delay_the_end),
        cmocka_unit_test(without_an_address_nothing_listens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
