/* A whole app: its database, producer and outbox start, publish and stop along their edges. */
#include "kit.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/app.h>
#include <weir/outbox.h>

#include "broker.h"
#include "echo.weir.h"
#include "wait.h"

#define EVENTS 20

static const char *const migrations[] = {"CREATE TABLE done (n INTEGER)", NULL};

/* Publishes as soon as the app is up, then has it stopped. */
struct driver {
    struct weir_app *app;
    struct weir_sql *db;
    pthread_t thread;
};

static void *publish_and_stop(void *self)
{
    struct driver *driver = self;
    kit_wait_in_time(kit_app_is_ready, driver->app);
    struct weir_call *call = kit_call(10000);
    struct weir_tx *tx = weir_sql_begin(call, driver->db);
    for (int i = 0; i < EVENTS; i++) {
        Echo__EchoRequest event = ECHO__ECHO_REQUEST__INIT;
        event.key = (char *)(uintptr_t) "key";
        echo_echo_request_publish(tx, &event);
        weir_sql_exec(tx, "INSERT INTO done VALUES (?)", i);
    }
    enum weir_status status = weir_sql_commit(tx);
    if (status != WEIR_OK)
        fprintf(stderr, "%s\n", weir_call_error(call)->text);
    weir_call_background_end(call);
    weir_app_stop(driver->app, status == WEIR_OK ? "all is published" : "commit failed");
    return NULL;
}

static enum weir_status driver_start(void *self, struct weir_context *context, struct weir_error *err)
{
    (void)context, (void)err;
    struct driver *driver = self;
    pthread_create(&driver->thread, NULL, publish_and_stop, driver);
    return WEIR_OK;
}

static enum weir_status driver_drain(void *self, struct weir_context *context, struct weir_work *work,
                                     struct weir_error *err)
{
    (void)context, (void)work, (void)err;
    struct driver *driver = self;
    pthread_join(driver->thread, NULL);
    return WEIR_OK;
}

static int run_app(const char *url, const char *brokers, const char *deadline)
{
    static const struct weir_component_ops ops = {.start = driver_start, .drain = driver_drain};
    char url_flag[256], brokers_flag[128];
    snprintf(url_flag, sizeof url_flag, "--db.url=%s", url);
    snprintf(brokers_flag, sizeof brokers_flag, "--events.brokers=%s", brokers);
    char *argv[] = {"data-test", url_flag, brokers_flag, (char *)(uintptr_t)deadline, NULL};
    struct weir_app *app = weir_app_new("data-test", 4, argv);
    struct driver driver = {.app = app};
    driver.db = weir_sql_add(app, "db", &(struct weir_sql_options){.migrations = migrations});
    struct weir_producer *producer = weir_producer_add(app, "events", NULL);
    struct weir_outbox *outbox = weir_outbox_add(app, "outbox", driver.db, producer, NULL);
    weir_component_add(app, "driver", &ops, &driver,
                       &(struct weir_component_options){.needs = {driver.db, outbox}});
    return weir_app_run(app);
}

/* In a child: signals and threads are the app's. */
static int run_in_child(const char *url, const char *brokers, const char *deadline)
{
    pid_t child = fork();
    if (child == 0)
        _exit(run_app(url, brokers, deadline));
    int status = 0;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

struct fixture {
    struct kit kit;
    struct kit_child broker;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    kit_open(&fixture.kit, migrations);
    kit_child_start(&fixture.broker, "127.0.0.1:0");
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    kit_child_kill(&f->broker);
    kit_close(&f->kit);
    return 0;
}

static void what_cannot_be_published_is_kept_for_the_next_process(void **state)
{
    struct fixture *f = *state;
    int exit_status = run_in_child(f->kit.url, "127.0.0.1:1", "--app.deadline_ms=4000"); /* nobody listens */
    assert_int_equal(exit_status, 75); /* the report says what is kept */
    assert_int_equal(kit_start(&f->kit), WEIR_OK);
    assert_int_equal(kit_number(&f->kit, "SELECT count(*) FROM done"), EVENTS);
    assert_int_equal(kit_number(&f->kit, "SELECT count(*) FROM weir_outbox"), EVENTS);
    assert_int_equal(kit_number(&f->kit, "SELECT published FROM weir_outbox_state"), 0);
    kit_stop(&f->kit);

    assert_int_equal(run_in_child(f->kit.url, f->broker.address, "--app.deadline_ms=25000"), 0);
    assert_int_equal(kit_start(&f->kit), WEIR_OK);
    assert_int_equal(kit_number(&f->kit, "SELECT published FROM weir_outbox_state"), 2 * EVENTS);
}

static void an_app_that_migrates_starts_nothing(void **state)
{
    struct fixture *f = *state;
    const char *brokers = "127.0.0.1:1";
    assert_int_equal(run_in_child(f->kit.url, brokers, "--migrate=dry-run"), 2); /* some are due */
    assert_int_equal(run_in_child(f->kit.url, brokers, "--migrate"), 0);
    assert_int_equal(run_in_child(f->kit.url, brokers, "--migrate=dry-run"), 0);
    assert_int_equal(run_in_child("sqlite:/dev/null/x/y.db", brokers, "--migrate"), 69);
    assert_int_equal(kit_start(&f->kit), WEIR_OK);
    assert_int_equal(kit_number(&f->kit, "SELECT count(*) FROM done"), 0); /* the driver did not run */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_cannot_be_published_is_kept_for_the_next_process, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_app_that_migrates_starts_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
