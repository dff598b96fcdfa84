/* CancelOrder: a saga of its own. That it is wanted is stored before logistics is asked to keep the parcel, so no parcel
 * is kept back of an order that stays paid, whatever ends in between. Then the order's own saga turns back. */
#include "common/values.h"
#include "order/order.h"
#include "order_sql.h"

#define TOO_OLD "order %s was completed too long ago to be cancelled"

/* Who wanted it first gives the reason. */
static enum weir_status want(struct weir_call *call, const char *order_id, const char *reason)
{
    struct order_service *service = weir_call_self(call);
    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, service->db, &tx))
        if (weir_saga_begin(tx, service->sagas, &cancel_saga, order_id, -1))
            set_wish(tx, reason, order_id);
    return weir_sql_outcome(tx);
}

void order_turn_back(struct weir_tx *tx, void *subject)
{
    struct order_service *service = weir_call_self(weir_sql_call(tx));
    Order__Order *order = subject;
    struct find_order_row row;
    const char *reason = find_order(tx, order->order_id, &row) ? row.reason : "";
    if (!weir_saga_turn(tx, service->sagas, order_life(service), order->order_id, order, reason) &&
        order_find(tx, order->order_id, order) && (order->state == CONFIRMED || order->state == COMPLETED)) {
        weir_sql_fail(tx, WEIR_FAILED_PRECONDITION, TOO_OLD, order->order_id); /* since it was wanted */
        return;
    }
    weir_idempotency_keep(tx); /* its order has turned, or was given up meanwhile */
}

void order_not_cancelled(struct weir_tx *tx, void *subject, const char *reason)
{
    (void)reason;
    const Order__Order *order = subject;
    set_wish(tx, "", order->order_id);
}

/* Its own saga must still be kept: nothing else can turn it back. */
static enum weir_status check_not_too_old(struct weir_call *call, const char *order_id)
{
    struct order_service *service = weir_call_self(call);
    struct weir_saga_view view;
    enum weir_status status = weir_saga_look(call, service->sagas, order_life(service), order_id, &view);
    return status == WEIR_NOT_FOUND ? weir_call_fail(call, WEIR_FAILED_PRECONDITION, TOO_OLD, order_id)
                                    : status;
}

enum weir_status cancel_order(struct weir_call *call, const Order__CancelOrderRequest *request,
                              Order__Order *reply)
{
    struct order_service *service = weir_call_self(call);
    weir_idempotency_choose(call); /* order_turn_back() */
    enum weir_status status = order_get(call, service->db, request->order_id, reply);
    if (status != WEIR_OK || reply->state == CANCELLED)
        return status;
    if (reply->state != CONFIRMED && reply->state != COMPLETED)
        return weir_call_fail(call, WEIR_FAILED_PRECONDITION, "order %s is %s and cannot be cancelled",
                              reply->order_id, reply->state == PENDING ? "being placed" : "rejected");
    status = check_not_too_old(call, request->order_id);
    if (status != WEIR_OK)
        return status;
    status =
        want(call, request->order_id, request->reason[0] ? request->reason : "cancelled by the customer");
    return status == WEIR_OK ? weir_saga_run(call, service->sagas, &cancel_saga, request->order_id, reply)
                             : status;
}
