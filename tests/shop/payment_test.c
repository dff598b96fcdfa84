/* The service payment by itself: what each request does in each state of a payment, and that the money adds up. */
#include "test.h"

#include <stdio.h>

#include <weir/test.h>

#include "payment/payment.h"

#define PAYMENT "shop.payment.v1.PaymentService/"
#define ORDER "{\"orderId\": \"o-1\"}"
#define AMOUNT(customer, minor)                                                                              \
    "{\"orderId\": \"o-1\", \"customerId\": \"" customer "\", \"amount\": {\"amountMinor\": \"" minor        \
    "\", \"currency\": \"EUR\"}}"

#define TOTALS(authorized, captured, voided, open, refunded)                                                 \
    "{\"authorizedMinor\":\"" authorized "\",\"capturedMinor\":\"" captured "\",\"voidedMinor\":\"" voided   \
    "\",\"openMinor\":\"" open "\",\"refundedMinor\":\"" refunded "\",\"payments\":\"1\"}"

struct step {
    const char *method, *json;
    enum weir_status status;
    const char *told; /* within the reply, or its error */
};

static void take(const struct step *steps, size_t count)
{
    struct weir_test *test = weir_test_new(payment_app);
    for (size_t i = 0; i < count; i++) {
        const struct step *step = &steps[i];
        char method[80];
        snprintf(method, sizeof method, PAYMENT "%s", step->method);
        const struct weir_test_reply *reply = weir_test_call(test, method, step->json);
        const char *text = reply->status == WEIR_OK ? reply->json : reply->error;
        if (reply->status != step->status || !strstr(text, step->told))
            fail_msg("step %zu, %s: %s \"%s\", not %s \"%s\"", i + 1, step->method,
                     weir_status_name(reply->status), text, weir_status_name(step->status), step->told);
    }
    weir_test_stop_at(test, 0);
    assert_string_equal(weir_test_report(test)->outcome, "clean");
    weir_test_free(test);
}

#define TAKE(steps) take(steps, sizeof(steps) / sizeof(steps)[0])

static void money_is_authorised_captured_and_refunded_once_however_often_it_is_asked_for(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"Authorize", AMOUNT("ada", "690"), WEIR_OK, "PAYMENT_STATE_OPEN"},
        {"Authorize", AMOUNT("ada", "690"), WEIR_OK, "PAYMENT_STATE_OPEN"},
        {"GetTotals", NULL, WEIR_OK, TOTALS("690", "0", "0", "690", "0")},
        {"Capture", ORDER, WEIR_OK, "PAYMENT_STATE_CAPTURED"},
        {"Capture", ORDER, WEIR_OK, "PAYMENT_STATE_CAPTURED"},
        {"Authorize", AMOUNT("ada", "690"), WEIR_OK, "PAYMENT_STATE_CAPTURED"},
        {"Void", ORDER, WEIR_FAILED_PRECONDITION, "order o-1: a payment that is captured cannot be voided"},
        {"Refund", ORDER, WEIR_OK, "PAYMENT_STATE_REFUNDED"},
        {"Refund", ORDER, WEIR_OK, "PAYMENT_STATE_REFUNDED"},
        {"Capture", ORDER, WEIR_FAILED_PRECONDITION, "a payment that is refunded cannot be captured"},
        {"GetTotals", NULL, WEIR_OK, TOTALS("690", "690", "0", "0", "690")},
    };
    TAKE(steps);
}

static void what_was_voided_first_is_never_authorised(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"Capture", ORDER, WEIR_NOT_FOUND, "order o-1: there is no payment"},
        {"Void", ORDER, WEIR_OK, "PAYMENT_STATE_VOIDED"},
        {"Void", ORDER, WEIR_OK, "PAYMENT_STATE_VOIDED"},
        {"Authorize", AMOUNT("ada", "690"), WEIR_FAILED_PRECONDITION, "order o-1: the payment is voided"},
        {"Refund", ORDER, WEIR_FAILED_PRECONDITION, "a payment that is voided cannot be refunded"},
        {"GetPayment", ORDER, WEIR_OK, "PAYMENT_STATE_VOIDED"},
    };
    TAKE(steps);
}

static void a_voided_authorisation_gives_its_money_back(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"Authorize", AMOUNT("ada", "690"), WEIR_OK, "PAYMENT_STATE_OPEN"},
        {"Refund", ORDER, WEIR_FAILED_PRECONDITION, "a payment that is authorised cannot be refunded"},
        {"Void", ORDER, WEIR_OK, "PAYMENT_STATE_VOIDED"},
        {"Capture", ORDER, WEIR_FAILED_PRECONDITION, "a payment that is voided cannot be captured"},
        {"GetTotals", NULL, WEIR_OK, TOTALS("690", "0", "690", "0", "0")},
    };
    TAKE(steps);
}

static void a_payment_that_was_declined_stays_declined(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"Authorize", AMOUNT("mallory", "690"), WEIR_FAILED_PRECONDITION, "payment declined"},
        {"Authorize", AMOUNT("mallory", "690"), WEIR_FAILED_PRECONDITION, "payment declined"},
        {"Capture", ORDER, WEIR_FAILED_PRECONDITION, "a payment that is declined cannot be captured"},
        {"GetTotals", NULL, WEIR_OK, TOTALS("0", "0", "0", "0", "0")},
    };
    TAKE(steps);
}

static void an_order_has_one_payment_of_one_amount_and_customer(void **state)
{
    (void)state;
    static const char other[] = "order o-1: there is a payment of another amount or customer";
    static const struct step steps[] = {
        {"Authorize", AMOUNT("ada", "690"), WEIR_OK, "PAYMENT_STATE_OPEN"},
        {"Authorize", AMOUNT("ada", "691"), WEIR_ALREADY_EXISTS, other},
        {"Authorize", AMOUNT("grace", "690"), WEIR_ALREADY_EXISTS, other},
        {"Authorize", AMOUNT("ada", "0"), WEIR_INVALID_ARGUMENT, "amount: must be more than 0"},
        {"Authorize",
         "{\"orderId\": \"o-2\", \"customerId\": \"ada\", \"amount\": {\"amountMinor\": \"1\", \"currency\": "
         "\"USD\"}}",
         WEIR_INVALID_ARGUMENT, "amount.currency: \"USD\", only EUR is accepted"},
        {"GetPayment", "{\"orderId\": \"o-2\"}", WEIR_NOT_FOUND, "order o-2: there is no payment"},
        {"GetTotals", NULL, WEIR_OK, TOTALS("690", "0", "0", "690", "0")},
    };
    TAKE(steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(money_is_authorised_captured_and_refunded_once_however_often_it_is_asked_for),
        cmocka_unit_test(what_was_voided_first_is_never_authorised),
        cmocka_unit_test(a_voided_authorisation_gives_its_money_back),
        cmocka_unit_test(a_payment_that_was_declined_stays_declined),
        cmocka_unit_test(an_order_has_one_payment_of_one_amount_and_customer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
