/* The service inventory by itself, its stop above all, with the test kit: no process, no port, no broker. */
#include "test.h"

#include <stdio.h>
#include <unistd.h>

#include <weir/test.h>

#include "inventory/inventory.h"

#define INVENTORY "shop.inventory.v1.InventoryService/"
#define RESERVE_TEA                                                                                          \
    "{\"orderId\": \"o-1\", \"lines\": [{\"sku\": \"tea-assam\", \"quantity\": 2},"                          \
    " {\"sku\": \"mug-clay\", \"quantity\": 1}]}"

static const char *open_reservations(struct weir_test *test)
{
    const struct weir_test_reply *reply = weir_test_call(test, INVENTORY "GetStockTotals", NULL);
    const char *found = strstr(reply->json, "\"openReservations\"");
    assert_non_null(found);
    return found;
}

static void a_reservation_comes_back_when_its_time_is_over(void **state)
{
    (void)state;
    struct weir_test *test = weir_test_new(inventory_app);
    const struct weir_test_reply *reply = weir_test_call(test, INVENTORY "Reserve", RESERVE_TEA);
    assert_int_equal(reply->status, WEIR_OK);
    assert_non_null(strstr(reply->json, "\"total\":{\"amountMinor\":\"2750\",\"currency\":\"EUR\"}"));
    weir_test_advance(test, 899000);
    assert_string_equal(open_reservations(test), "\"openReservations\":\"1\"}");
    weir_test_advance(test, 3000);
    assert_string_equal(open_reservations(test), "\"openReservations\":\"0\"}");
    weir_test_stop_at(test, 0);
    assert_string_equal(weir_test_report(test)->outcome, "clean");
    weir_test_free(test);
}

/* The next process finds what the last one had reserved, and gives it back in its time. */
static void what_was_reserved_outlives_a_stop_and_still_comes_back(void **state)
{
    (void)state;
    char folder[] = "/tmp/inventory-test-XXXXXX", url[64];
    assert_non_null(mkdtemp(folder));
    snprintf(url, sizeof url, "--db.url=sqlite:%s/db", folder);
    const char *const flags[] = {url, "--inventory.reservation_ms=5000", NULL};
    struct weir_test *test = weir_test_new_with(inventory_app, flags);
    assert_int_equal(weir_test_call(test, INVENTORY "Reserve", RESERVE_TEA)->status, WEIR_OK);
    weir_test_stop_at(test, 0);
    assert_int_equal(weir_test_run_to_end(test), 0);
    weir_test_free(test);

    test = weir_test_new_with(inventory_app, flags);
    assert_string_equal(open_reservations(test), "\"openReservations\":\"1\"}");
    weir_test_advance(test, 7000);
    assert_string_equal(open_reservations(test), "\"openReservations\":\"0\"}");
    weir_test_free(test);
    static const char *const files[] = {"db", "db.relay"};
    for (int i = 0; i < 2; i++) {
        snprintf(url, sizeof url, "%s/%s", folder, files[i]);
        assert_int_equal(unlink(url), 0);
    }
    assert_int_equal(rmdir(folder), 0);
}

static void a_stop_ends_deductions_between_two_lines_and_what_was_answered_is_done(void **state)
{
    (void)state;
    struct weir_test *test = weir_test_new(inventory_app);
    weir_test_call(test, INVENTORY "Reserve", RESERVE_TEA);
    struct weir_test_call *deduct =
        weir_test_call_start(test, &(struct weir_test_request){.method = INVENTORY "DeductStock"});
    weir_test_call_send(deduct, "{\"orderId\": \"o-1\", \"sku\": \"tea-assam\", \"quantity\": 2}");
    assert_string_equal(weir_test_call_receive(deduct),
                        "{\"orderId\":\"o-1\",\"sku\":\"tea-assam\",\"linesDone\":1}");
    weir_test_stop_at(test, 100);

    const struct weir_test_report *report = weir_test_report(test);
    assert_string_equal(report->outcome, "clean");
    assert_true(report->elapsed_ms < 10);
    const struct weir_test_reply *reply = weir_test_call_reply(deduct);
    assert_int_equal(reply->status, WEIR_UNAVAILABLE);
    assert_string_equal(reply->error, "inventory is stopping; send what was not answered again");
    assert_int_equal(weir_test_component(test, "grpc")->work.completed, 1);
    weir_test_free(test);
}

/* Who serves stops first; then the timer, the relay and its producer; the database, which all need, is last. */
static void the_database_stops_after_all_who_need_it(void **state)
{
    (void)state;
    struct weir_test *test = weir_test_new(inventory_app);
    weir_test_stop_at(test, 10);
    weir_test_run_to_end(test);
    const char *trace = weir_test_trace(test);
    const char *last = strstr(trace, "10 quiesce db");
    assert_non_null(last);
    static const char *const before[] = {"10 drain rest", "10 drain grpc", "10 drain expiry",
                                         "10 finish outbox"};
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        assert_non_null(strstr(trace, before[i]));
        assert_true(strstr(trace, before[i]) < last);
    }
    weir_test_free(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reservation_comes_back_when_its_time_is_over),
        cmocka_unit_test(what_was_reserved_outlives_a_stop_and_still_comes_back),
        cmocka_unit_test(a_stop_ends_deductions_between_two_lines_and_what_was_answered_is_done),
        cmocka_unit_test(the_database_stops_after_all_who_need_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
