/* The service logistics by itself, with the test kit: events in, without a broker. */
#include "test.h"

#include <weir/test.h>

#include "logistics/logistics.h"

#define COUNT "shop.logistics.v1.ShipmentService/CountShipments"

static void deliver(struct weir_test *test, const char *topic, const char *message_id)
{
    struct weir_test_call *call = weir_test_call_start(
        test, &(struct weir_test_request){.topic = topic,
                                          .json = "{\"orderId\": \"o-1\", \"customerId\": \"c-1\"}",
                                          .message_id = message_id});
    assert_int_equal(weir_test_call_wait(call)->status, WEIR_OK);
}

static void a_redelivered_order_is_shipped_once_and_leaves_in_its_time(void **state)
{
    (void)state;
    struct weir_test *test = weir_test_new(logistics_app);
    deliver(test, "order.paid", "m-1");
    deliver(test, "order.paid", "m-1");
    deliver(test, "order.completed", "m-2");
    weir_test_advance(test, 59000);
    assert_string_equal(weir_test_call(test, COUNT, NULL)->json,
                        "{\"planned\":\"1\",\"sent\":\"0\",\"cancelled\":\"0\"}");
    weir_test_advance(test, 3000);
    assert_string_equal(weir_test_call(test, COUNT, NULL)->json,
                        "{\"planned\":\"0\",\"sent\":\"1\",\"cancelled\":\"0\"}");
    weir_test_stop_at(test, 0);
    assert_string_equal(weir_test_report(test)->outcome, "clean");
    weir_test_free(test);
}

static void an_order_that_was_cancelled_before_it_was_heard_of_is_not_shipped(void **state)
{
    (void)state;
    struct weir_test *test = weir_test_new(logistics_app);
    deliver(test, "order.cancelled", "m-1");
    deliver(test, "order.paid", "m-2");
    assert_string_equal(weir_test_call(test, COUNT, NULL)->json,
                        "{\"planned\":\"0\",\"sent\":\"0\",\"cancelled\":\"1\"}");
    weir_test_free(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_redelivered_order_is_shipped_once_and_leaves_in_its_time),
        cmocka_unit_test(an_order_that_was_cancelled_before_it_was_heard_of_is_not_shipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
