/* The service order by itself, with the test kit: the test answers for inventory and payment. */
#include "test.h"

#include <weir/test.h>

#include "order/order.h"

#define ORDER "shop.order.v1.OrderService/"
#define INVENTORY "shop.inventory.v1.InventoryService/"
#define PAYMENT "shop.payment.v1.PaymentService/"
#define ID "0198a2b4-0000-7000-8000-000000000001"
#define PLACE                                                                                                \
    "{\"orderId\": \"" ID "\", \"customerId\": \"ada\", \"items\": [{\"sku\": \"tea\", \"quantity\": 2}]}"
#define COUNTED(pending, rejected, confirmed, completed, unsettled)                                          \
    "{\"pending\":\"" #pending "\",\"rejected\":\"" #rejected "\",\"confirmed\":\"" #confirmed               \
    "\",\"completed\":\"" #completed "\",\"cancelled\":\"0\",\"unsettled\":\"" #unsettled "\"}"

static void answer(struct weir_test *test, const char *method, const char *json)
{
    weir_test_answer(test, &(struct weir_test_answer){.method = method, .json = json});
}

/* All do what they are asked. */
static struct weir_test *new_test_with(const char *const *flags)
{
    struct weir_test *test = weir_test_new_with(order_app, flags);
    answer(test, INVENTORY "Reserve",
           "{\"orderId\": \"" ID "\", \"total\": {\"currency\": \"EUR\", \"amountMinor\": 1380}}");
    answer(test, INVENTORY "DeductStock", "{\"orderId\": \"" ID "\", \"sku\": \"tea\", \"linesDone\": 1}");
    answer(test, INVENTORY "Release", "{\"released\": true}");
    answer(test, PAYMENT "Authorize", "{\"orderId\": \"" ID "\"}");
    answer(test, PAYMENT "Capture", "{\"orderId\": \"" ID "\"}");
    answer(test, PAYMENT "Void", "{\"orderId\": \"" ID "\"}");
    return test;
}

static struct weir_test *new_test(void)
{
    return new_test_with(NULL);
}

static const char *counts(struct weir_test *test)
{
    return weir_test_call(test, ORDER "CountOrders", NULL)->json;
}

static void assert_news(struct weir_test_call *watch, const char *state)
{
    const char *news = weir_test_call_receive(watch);
    assert_non_null(news);
    assert_non_null(strstr(news, state));
}

static void an_order_is_confirmed_settled_watched_and_told_to_others(void **state)
{
    (void)state;
    struct weir_test *test = new_test();
    const struct weir_test_reply *placed = weir_test_call(test, ORDER "PlaceOrder", PLACE);
    assert_int_equal(placed->status, WEIR_OK);
    assert_non_null(strstr(placed->json, "\"state\":\"ORDER_STATE_CONFIRMED\""));
    weir_test_advance(test, 2000);
    struct weir_test_call *watch = weir_test_call_start(
        test, &(struct weir_test_request){.method = ORDER "WatchOrder", .json = "{\"orderId\": \"" ID "\"}"});
    assert_news(watch, "ORDER_STATE_COMPLETED");
    assert_int_equal(weir_test_call_reply(watch)->status, WEIR_OK);

    assert_string_equal(counts(test), COUNTED(0, 0, 0, 1, 0));
    assert_string_equal(weir_test_asked(test, INVENTORY "DeductStock", 0),
                        "{\"orderId\":\"" ID "\",\"sku\":\"tea\",\"quantity\":2}");
    assert_string_equal(weir_test_published(test, &order_paid_topic, 0)->key, ID);
    assert_non_null(weir_test_published(test, &order_completed_topic, 0));
    weir_test_stop_at(test, 0);
    assert_string_equal(weir_test_report(test)->outcome, "clean");
    weir_test_free(test);
}

/* Payment takes 3 s to answer, and the stop comes after one: the client still has his answer, and what the order owes is
 * settled before the database stops, or by the next process. */
static void a_stop_while_an_order_is_placed_lets_it_be_confirmed(void **state)
{
    (void)state;
    struct weir_test *test = new_test();
    weir_test_answer(test, &(struct weir_test_answer){.method = PAYMENT "Authorize", .after_ms = 3000});
    struct weir_test_call *place =
        weir_test_call_start(test, &(struct weir_test_request){.method = ORDER "PlaceOrder", .json = PLACE});
    weir_test_stop_at(test, 1000);
    const struct weir_test_report *report = weir_test_report(test);
    assert_string_equal(report->outcome, "clean");
    assert_true(report->elapsed_ms >= 2000 && report->elapsed_ms < 3000);
    assert_non_null(strstr(weir_test_call_reply(place)->json, "\"state\":\"ORDER_STATE_CONFIRMED\""));
    assert_string_equal(weir_test_published(test, &order_paid_topic, 0)->key, ID);
    weir_test_free(test);
}

static void an_order_whose_payment_never_answers_is_rejected_and_gives_everything_back(void **state)
{
    (void)state;
    struct weir_test *test = new_test();
    weir_test_answer(test, &(struct weir_test_answer){.method = PAYMENT "Authorize", .after_ms = 3600000});
    assert_int_equal(weir_test_call(test, ORDER "PlaceOrder", PLACE)->status, WEIR_DEADLINE_EXCEEDED);
    weir_test_advance(test, 5000);
    assert_string_equal(counts(test), COUNTED(0, 1, 0, 0, 0));
    assert_non_null(weir_test_asked(test, INVENTORY "Release", 0));
    assert_non_null(weir_test_asked(test, PAYMENT "Void", 0));
    assert_null(weir_test_published(test, &order_paid_topic, 0));
    weir_test_stop_at(test, 0);
    assert_string_equal(weir_test_report(test)->outcome, "clean");
    weir_test_free(test);
}

static void who_watches_is_told_of_the_stop_and_to_come_again(void **state)
{
    (void)state;
    struct weir_test *test = new_test();
    weir_test_answer(test, &(struct weir_test_answer){.method = INVENTORY "DeductStock",
                                                      .status = WEIR_UNAVAILABLE,
                                                      .error = "inventory is stopping"});
    weir_test_call(test, ORDER "PlaceOrder", PLACE);
    struct weir_test_call *watch = weir_test_call_start(
        test, &(struct weir_test_request){.method = ORDER "WatchOrder", .json = "{\"orderId\": \"" ID "\"}"});
    assert_news(watch, "ORDER_STATE_CONFIRMED");
    weir_test_stop_at(test, 5000);
    assert_int_equal(weir_test_run_to_end(test), 0);
    assert_int_equal(weir_test_call_reply(watch)->status, WEIR_UNAVAILABLE);
    assert_string_equal(weir_test_call_reply(watch)->error, "the order service is stopping; watch again");
    weir_test_free(test);
}

/* With a key the id is the key's, and the answer is the first one's, whatever has become of the order. */
static void an_order_that_is_sent_again_with_its_key_is_one_order(void **state)
{
    (void)state;
    struct weir_test *test = new_test();
    const struct weir_test_request request = {
        .method = ORDER "PlaceOrder",
        .json = "{\"customerId\": \"ada\", \"items\": [{\"sku\": \"tea\", \"quantity\": 2}]}",
        .message_id = "8e03978e"};
    const struct weir_test_reply *first = weir_test_call_wait(weir_test_call_start(test, &request));
    assert_int_equal(first->status, WEIR_OK);
    weir_test_advance(test, 2000);
    const struct weir_test_reply *again = weir_test_call_wait(weir_test_call_start(test, &request));
    assert_int_equal(again->status, WEIR_OK);
    assert_string_equal(again->json, first->json);
    assert_non_null(strstr(again->json, "\"state\":\"ORDER_STATE_CONFIRMED\""));
    assert_string_equal(counts(test), COUNTED(0, 0, 0, 1, 0));
    weir_test_stop_at(test, 0);
    assert_string_equal(weir_test_report(test)->outcome, "clean");
    weir_test_free(test);
}

static void an_order_whose_saga_is_not_kept_any_more_cannot_be_cancelled_and_keeps_its_parcel(void **state)
{
    (void)state;
    struct weir_test *test = new_test_with((const char *const[]){"--sagas.keep_ms=60000", NULL});
    assert_int_equal(weir_test_call(test, ORDER "PlaceOrder", PLACE)->status, WEIR_OK);
    weir_test_advance(test, 130000);
    const struct weir_test_reply *refused =
        weir_test_call(test, ORDER "CancelOrder", "{\"orderId\": \"" ID "\"}");
    assert_int_equal(refused->status, WEIR_FAILED_PRECONDITION);
    assert_string_equal(refused->error, "order " ID " was completed too long ago to be cancelled");
    assert_null(weir_test_asked(test, "shop.logistics.v1.LogisticsService/CancelShipment", 0));
    assert_string_equal(counts(test), COUNTED(0, 0, 0, 1, 0));
    weir_test_stop_at(test, 0);
    assert_string_equal(weir_test_report(test)->outcome, "clean");
    weir_test_free(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_is_confirmed_settled_watched_and_told_to_others),
        cmocka_unit_test(a_stop_while_an_order_is_placed_lets_it_be_confirmed),
        cmocka_unit_test(an_order_whose_payment_never_answers_is_rejected_and_gives_everything_back),
        cmocka_unit_test(an_order_that_is_sent_again_with_its_key_is_one_order),
        cmocka_unit_test(who_watches_is_told_of_the_stop_and_to_come_again),
        cmocka_unit_test(an_order_whose_saga_is_not_kept_any_more_cannot_be_cancelled_and_keeps_its_parcel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
