#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <weir/test.h>
#include <weir/weir.h>

static int queued;

/* Sends what is queued, a mail in 100 ms, while there is time. The rest is found by the next start. */
static enum weir_status drain(void *self, struct weir_context *context, struct weir_work *work,
                              struct weir_error *err)
{
    (void)self, (void)err;
    work->in_flight = queued;
    while (queued > 0 && weir_context_sleep(context, 100) == WEIR_OK) {
        queued--;
        work->completed++;
    }
    work->kept = queued;
    return WEIR_OK;
}

static struct weir_app *mailer_app(int argc, char **argv)
{
    static const struct weir_component_ops ops = {.drain = drain};
    struct weir_app *app = weir_app_new("mailer", argc, argv);
    struct weir_test_trace *db =
        weir_test_trace_add(app, "db", &(struct weir_test_trace_options){.start.takes_ms = 30});
    queued = 50;
    weir_component_add(app, "mailer", &ops, NULL, &(struct weir_component_options){.needs = {db}});
    return app;
}

static void all_mail_is_sent_before_the_database_stops(void **state)
{
    (void)state;
    struct weir_test *test = weir_test_new(mailer_app);
    weir_test_stop_at(test, 0);
    assert_string_equal(weir_test_report(test)->outcome, "clean");
    assert_string_equal(weir_test_trace(test), "0 start db, 30 drain mailer, 5030 quiesce db, 5030 drain db, "
                                               "5030 finish db, 5030 destroy db");
    weir_test_free(test);
}

static void a_second_signal_keeps_the_rest_for_the_next_start(void **state)
{
    (void)state;
    struct weir_test *test = weir_test_new(mailer_app);
    weir_test_stop_at(test, 0);
    weir_test_signal_at(test, 2050, SIGTERM);
    assert_int_equal(weir_test_report(test)->exit, 75);
    assert_int_equal(weir_test_component(test, "mailer")->work.completed, 20);
    assert_int_equal(weir_test_component(test, "mailer")->work.kept, 30);
    assert_string_equal(weir_test_component(test, "db")->outcome, "clean");
    weir_test_free(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_mail_is_sent_before_the_database_stops),
        cmocka_unit_test(a_second_signal_keeps_the_rest_for_the_next_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
