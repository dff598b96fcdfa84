/* CancelOrder. That it is wanted is stored before logistics is asked to keep the parcel: should we end
 * between the two, finish_cancels() goes on from there, and no parcel is kept back of an order that stays
 * paid. */
#include "common/values.h"
#include "order/order.h"

#define BATCH 64

/* The parcel must not have left. Idempotent, so it may be asked again. */
static enum weir_status stop_shipment(struct weir_call *call, const char *order_id)
{
    struct order_service *service = weir_call_self(call);
    Logistics__CancelShipmentRequest request = LOGISTICS__CANCEL_SHIPMENT_REQUEST__INIT;
    request.order_id = weir_call_strdup(call, order_id);
    Logistics__Shipment *shipment;
    return logistics_cancel_shipment(call, service->logistics, &request, &shipment);
}

static void publish(struct order_service *service, struct weir_tx *tx, const Order__Order *order)
{
    Order__Cancelled event = ORDER__CANCELLED__INIT;
    event.order_id = order->order_id;
    event.customer_id = order->customer_id;
    event.reason = order->reason;
    event.cancelled_at = order->updated_at;
    order_cancelled_publish(tx, &event);
    order_changed(service, tx, order->order_id);
}

/* Who wanted it first gives the reason. */
static enum weir_status want(struct weir_call *call, const char *order_id, const char *reason)
{
    struct order_service *service = weir_call_self(call);
    struct weir_tx *tx = weir_sql_begin(call, service->db);
    weir_sql_exec(tx,
                  "UPDATE orders SET owes = owes | ?1, reason = ?2"
                  " WHERE order_id = ?3 AND state IN (3, 4) AND owes & ?1 = 0",
                  (int)OWES_CANCEL, reason, order_id);
    return weir_sql_commit(tx);
}

static enum weir_status want_no_more(struct weir_call *call, const char *order_id)
{
    struct order_service *service = weir_call_self(call);
    struct weir_tx *tx = weir_sql_begin(call, service->db);
    weir_sql_exec(tx,
                  "UPDATE orders SET owes = owes & ~?1, reason = ''"
                  " WHERE order_id = ?2 AND state IN (3, 4) AND owes & ?1 <> 0",
                  (int)OWES_CANCEL, order_id);
    return weir_sql_commit(tx);
}

/* Of an order that is wanted cancelled. */
static enum weir_status cancel(struct weir_call *call, const char *order_id, Order__Order *order)
{
    struct order_service *service = weir_call_self(call);
    enum weir_status status = stop_shipment(call, order_id);
    if (status == WEIR_FAILED_PRECONDITION) { /* the parcel has left */
        struct weir_error refusal = *weir_call_error(call);
        status = want_no_more(call, order_id);
        return status == WEIR_OK ? weir_call_set_error(call, &refusal) : status;
    }
    if (status != WEIR_OK)
        return status;

    struct weir_tx *tx = weir_sql_begin(call, service->db);
    bool moved =
        weir_sql_exec(tx,
                      "UPDATE orders SET state = ?, owes = ?, updated_ms = ?"
                      " WHERE order_id = ? AND state IN (3, 4)",
                      (int)CANCELLED, OWES_RELEASE | OWES_RESTOCK | OWES_GIVE_BACK, unix_ms(), order_id) == 1;
    order_load(tx, order_id, order, NULL);
    if (moved)
        publish(service, tx, order);
    return weir_sql_commit(tx);
}

enum weir_status cancel_order(struct weir_call *call, const Order__CancelOrderRequest *request,
                              Order__Order *reply)
{
    struct order_service *service = weir_call_self(call);
    enum weir_status status = order_get(call, service->db, request->order_id, reply);
    if (status != WEIR_OK || reply->state == CANCELLED)
        return status;
    if (reply->state != CONFIRMED && reply->state != COMPLETED)
        return weir_call_fail(call, WEIR_FAILED_PRECONDITION, "order %s is %s and cannot be cancelled",
                              reply->order_id, reply->state == PENDING ? "being placed" : "rejected");
    status =
        want(call, request->order_id, request->reason[0] ? request->reason : "cancelled by the customer");
    return status == WEIR_OK ? cancel(call, request->order_id, reply) : status;
}

bool finish_cancels(struct weir_call *call)
{
    struct order_service *service = weir_call_self(call);
    char *ids[BATCH];
    int count = 0;
    struct weir_rows *rows = weir_sql_read(
        call, service->db,
        "SELECT order_id FROM orders WHERE owes <> 0 AND owes & ? <> 0 ORDER BY updated_ms LIMIT 64",
        (int)OWES_CANCEL);
    while (count < BATCH && weir_rows_next(rows))
        ids[count++] = weir_rows_text(rows, 0);
    weir_rows_end(rows);

    for (int i = 0; i < count; i++) {
        Order__Order order = ORDER__ORDER__INIT;
        enum weir_status status = cancel(call, ids[i], &order);
        if (status == WEIR_OK || status == WEIR_FAILED_PRECONDITION)
            continue;
        if (!weir_call_over(call))
            weir_log_warn("cancelling will be repeated", weir_field_text("order_id", ids[i]),
                          weir_field_error(weir_call_error(call)));
        return false;
    }
    return count == BATCH;
}
