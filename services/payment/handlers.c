#include <string.h>

#include "common/values.h"
#include "payment/payment.h"
#include "payment_sql.h"

#define OPEN PAYMENT__PAYMENT_STATE__PAYMENT_STATE_OPEN
#define DECLINED PAYMENT__PAYMENT_STATE__PAYMENT_STATE_DECLINED
#define CAPTURED PAYMENT__PAYMENT_STATE__PAYMENT_STATE_CAPTURED
#define VOIDED PAYMENT__PAYMENT_STATE__PAYMENT_STATE_VOIDED
#define REFUNDED PAYMENT__PAYMENT_STATE__PAYMENT_STATE_REFUNDED

#define VALID_MS (INT64_C(7) * 24 * 3600 * 1000)

static const char *state_name(Payment__PaymentState state)
{
    switch (state) {
    case OPEN:
        return "authorised";
    case DECLINED:
        return "declined";
    case CAPTURED:
        return "captured";
    case VOIDED:
        return "voided";
    case REFUNDED:
        return "refunded";
    default:
        return "unknown";
    }
}

/* True when there is such a payment. */
static bool load(struct weir_tx *tx, const char *order_id, Payment__Payment *reply)
{
    struct weir_call *call = weir_sql_call(tx);
    struct find_payment_row row;
    if (!find_payment(tx, order_id, &row))
        return false;
    reply->order_id = weir_call_strdup(call, order_id);
    reply->customer_id = row.customer_id;
    reply->amount = money_of(call, row.amount_minor, row.currency);
    reply->state = (Payment__PaymentState)row.state;
    reply->expires_at = timestamp_of(call, row.expires_ms);
    return true;
}

static void insert(struct weir_tx *tx, const char *order_id, const char *customer_id, int64_t amount_minor,
                   Payment__PaymentState state)
{
    add_payment(tx, order_id, customer_id, amount_minor, SHOP_CURRENCY, state, unix_ms() + VALID_MS);
}

static void set_state(struct weir_tx *tx, Payment__Payment *payment, Payment__PaymentState state)
{
    set_payment_state(tx, state, payment->order_id);
    payment->state = state;
}

/* The answer that an earlier request of this order had. */
static enum weir_status authorized_before(struct weir_tx *tx, const Payment__AuthorizeRequest *request,
                                          const Payment__Payment *payment)
{
    bool same = payment->state == VOIDED || (payment->amount->amount_minor == request->amount->amount_minor &&
                                             strcmp(payment->customer_id, request->customer_id) == 0);
    if (!same)
        return weir_sql_fail(tx, WEIR_ALREADY_EXISTS,
                             "order %s: there is a payment of another amount or customer", request->order_id);
    if (payment->state == DECLINED)
        return weir_sql_fail(tx, WEIR_FAILED_PRECONDITION, "payment declined");
    if (payment->state != OPEN && payment->state != CAPTURED)
        return weir_sql_fail(tx, WEIR_FAILED_PRECONDITION, "order %s: the payment is %s", request->order_id,
                             state_name(payment->state));
    return WEIR_OK;
}

static enum weir_status check_authorize(struct weir_call *call, const Payment__AuthorizeRequest *request)
{
    enum weir_status status = check_name(call, "order_id", request->order_id, 64);
    if (status == WEIR_OK)
        status = check_name(call, "customer_id", request->customer_id, 64);
    if (status != WEIR_OK)
        return status;
    if (!request->amount || request->amount->amount_minor <= 0)
        return weir_call_fail(call, WEIR_INVALID_ARGUMENT, "amount: must be more than 0");
    if (strcmp(request->amount->currency, SHOP_CURRENCY) != 0)
        return weir_call_fail(call, WEIR_INVALID_ARGUMENT,
                              "amount.currency: \"%s\", only " SHOP_CURRENCY " is accepted",
                              request->amount->currency);
    return WEIR_OK;
}

static enum weir_status authorize(struct weir_call *call, const Payment__AuthorizeRequest *request,
                                  Payment__Payment *reply)
{
    struct payment *payment = weir_call_self(call);
    enum weir_status status = check_authorize(call, request);
    if (status != WEIR_OK)
        return status;

    /* The acquirer is asked outside of the transaction: it may be slow. Asking it twice for the same order is
     * its business to recognise, as ours is below. */
    enum weir_status answer = acquirer_authorize(call, &payment->acquirer, request->customer_id);
    if (answer != WEIR_OK && answer != WEIR_FAILED_PRECONDITION)
        return answer;

    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, payment->db, &tx)) {
        if (load(tx, request->order_id, reply)) {
            authorized_before(tx, request, reply);
            continue;
        }
        insert(tx, request->order_id, request->customer_id, request->amount->amount_minor,
               answer == WEIR_OK ? OPEN : DECLINED);
        load(tx, request->order_id, reply);
    }
    status = weir_sql_outcome(tx);
    if (status == WEIR_OK && reply->state == DECLINED)
        return weir_call_fail(call, WEIR_FAILED_PRECONDITION, "payment declined");
    return status;
}

static enum weir_status refuse(struct weir_tx *tx, const Payment__Payment *payment, const char *wanted)
{
    return weir_sql_fail(tx, WEIR_FAILED_PRECONDITION, "order %s: a payment that is %s cannot be %s",
                         payment->order_id, state_name(payment->state), wanted);
}

/* Loads the payment of a request into reply, or fails the transaction. */
static bool find(struct weir_tx *tx, const char *order_id, Payment__Payment *reply)
{
    if (load(tx, order_id, reply))
        return true;
    weir_sql_fail(tx, WEIR_NOT_FOUND, "order %s: there is no payment", order_id);
    return false;
}

static void capture_in(struct weir_tx *tx, Payment__Payment *payment)
{
    if (payment->state == OPEN) {
        Payment__Captured event = PAYMENT__CAPTURED__INIT;
        event.order_id = payment->order_id;
        event.amount = payment->amount;
        set_state(tx, payment, CAPTURED);
        payment_captured_publish(tx, &event);
    } else if (payment->state != CAPTURED) {
        refuse(tx, payment, "captured");
    }
}

static enum weir_status capture(struct weir_call *call, const Payment__PaymentRequest *request,
                                Payment__Payment *reply)
{
    struct payment *payment = weir_call_self(call);
    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, payment->db, &tx))
        if (find(tx, request->order_id, reply))
            capture_in(tx, reply);
    return weir_sql_outcome(tx);
}

static enum weir_status void_(struct weir_call *call, const Payment__PaymentRequest *request,
                              Payment__Payment *reply)
{
    struct payment *payment = weir_call_self(call);
    enum weir_status status = check_name(call, "order_id", request->order_id, 64);
    if (status != WEIR_OK)
        return status;
    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, payment->db, &tx)) {
        if (!load(tx, request->order_id, reply)) {
            insert(tx, request->order_id, "", 0,
                   VOIDED); /* an Authorize that is still on its way finds this */
            load(tx, request->order_id, reply);
        } else if (reply->state == OPEN) {
            set_state(tx, reply, VOIDED);
        } else if (reply->state == CAPTURED || reply->state == REFUNDED) {
            refuse(tx, reply, "voided");
        }
    }
    return weir_sql_outcome(tx);
}

static void refund_in(struct weir_tx *tx, Payment__Payment *payment)
{
    if (payment->state == CAPTURED) {
        Payment__Refunded event = PAYMENT__REFUNDED__INIT;
        event.order_id = payment->order_id;
        event.amount = payment->amount;
        set_state(tx, payment, REFUNDED);
        payment_refunded_publish(tx, &event);
    } else if (payment->state != REFUNDED) {
        refuse(tx, payment, "refunded");
    }
}

static enum weir_status refund(struct weir_call *call, const Payment__PaymentRequest *request,
                               Payment__Payment *reply)
{
    struct payment *payment = weir_call_self(call);
    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, payment->db, &tx))
        if (find(tx, request->order_id, reply))
            refund_in(tx, reply);
    return weir_sql_outcome(tx);
}

static enum weir_status get_payment(struct weir_call *call, const Payment__PaymentRequest *request,
                                    Payment__Payment *reply)
{
    struct payment *payment = weir_call_self(call);
    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, payment->db, &tx))
        find(tx, request->order_id, reply);
    return weir_sql_outcome(tx);
}

static enum weir_status get_totals(struct weir_call *call, const Payment__GetTotalsRequest *request,
                                   Payment__Totals *reply)
{
    (void)request;
    struct payment *payment = weir_call_self(call);
    struct totals_by_state_row row;
    struct totals_by_state_rows rows = totals_by_state_read(call, payment->db);
    while (totals_by_state_next(&rows, &row)) {
        int64_t amount = row.amount_minor;
        reply->payments += row.payments;
        switch ((Payment__PaymentState)row.state) {
        case OPEN:
            reply->open_minor += amount;
            break;
        case REFUNDED:
            reply->refunded_minor += amount;
            reply->captured_minor += amount;
            break;
        case CAPTURED:
            reply->captured_minor += amount;
            break;
        case VOIDED:
            reply->voided_minor += amount;
            break;
        default:
            amount = 0; /* declined: never authorised */
            break;
        }
        reply->authorized_minor += amount;
    }
    return totals_by_state_end(&rows);
}

bool payment_expire(struct weir_call *call)
{
    struct payment *payment = weir_call_self(call);
    int64_t expired = 0;
    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, payment->db, &tx))
        expired = expire_payments(tx, VOIDED, unix_ms());
    if (weir_sql_outcome(tx) != WEIR_OK)
        weir_log_warn("expired payments were not voided", weir_field_error(weir_call_error(call)));
    else if (expired > 0)
        weir_log_info("expired payments voided", weir_field_int("payments", expired));
    return expired == 100;
}

const struct payment_handlers payment_handlers = {
    .authorize = {authorize},
    .capture = {capture},
    .void_ = {void_},
    .refund = {refund},
    .get_payment = {get_payment},
    .get_totals = {get_totals},
};
