/* What every call leaves in the metrics. Here a method without a handler: it is called, and answered
 * UNIMPLEMENTED. */
#include "test.h"

#include <stdio.h>

#include "call/call.h"
#include "observe/metrics.h"

static double in_flight_within;

/* The value of this series; -1 when it is not there. */
static double value_of(const char *series)
{
    struct weir_buffer text = {0};
    metrics_write(&text);
    const char *line = strstr(weir_buffer_text(&text), series);
    double value = line ? strtod(line + strlen(series), NULL) : -1;
    weir_buffer_free(&text);
    return value;
}

#define GET "{service=\"lib.Books\",method=\"Get\",transport=\"wire\""

static bool is_present(const void *handlers)
{
    (void)handlers;
    in_flight_within = value_of("weir_calls_in_flight" GET "} ");
    return false;
}

static void finish(struct weir_call *call)
{
    weir_call_release(call);
}

static const struct call_ops wire = {.name = "wire", .finish = finish};
static const struct weir_method methods[] = {{.name = "Get", .is_present = is_present}};
static const struct weir_service_type type = {
    .full_name = "lib.Books", .methods = methods, .method_count = 1};

static void a_call_is_counted_timed_and_in_flight_while_it_runs(void **state)
{
    (void)state;
    struct weir_service service = {.type = &type};
    for (int i = 0; i < 3; i++)
        call_dispatch(call_new(&wire, NULL, &service, &methods[0], NULL));

    assert_true(in_flight_within == 1);
    assert_true(value_of("weir_calls_in_flight" GET "} ") == 0);
    assert_true(value_of("weir_calls_total" GET ",status=\"UNIMPLEMENTED\"} ") == 3);
    assert_true(value_of("weir_calls_total" GET ",status=\"OK\"} ") == -1);
    assert_true(value_of("weir_call_seconds_count" GET "} ") == 3);
}

static void a_refused_call_is_counted_too(void **state)
{
    (void)state;
    struct weir_service service = {.type = &type};
    struct gate *gate = gate_new(0);
    gate_close(gate);
    call_dispatch(call_new(&wire, NULL, &service, &methods[0], gate));
    gate_destroy(gate);
    assert_true(value_of("weir_calls_total" GET ",status=\"UNAVAILABLE\"} ") == 1);
    assert_true(value_of("weir_calls_in_flight" GET "} ") == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_is_counted_timed_and_in_flight_while_it_runs),
        cmocka_unit_test(a_refused_call_is_counted_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
