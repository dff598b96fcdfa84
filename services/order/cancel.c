#include "common/values.h"
#include "order/order.h"

/* The parcel must not have left. Idempotent: should the rest fail, cancelling again goes on from here. */
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
    status = stop_shipment(call, request->order_id);
    if (status != WEIR_OK)
        return status;

    const char *reason = request->reason[0] ? request->reason : "cancelled by the customer";
    int owes = OWES_RELEASE | OWES_RESTOCK | OWES_GIVE_BACK;
    struct weir_tx *tx = weir_sql_begin(call, service->db);
    bool moved = order_move(tx, request->order_id, CONFIRMED, CANCELLED, owes, reason) ||
                 order_move(tx, request->order_id, COMPLETED, CANCELLED, owes, reason);
    order_load(tx, request->order_id, reply, NULL);
    if (moved)
        publish(service, tx, reply);
    return weir_sql_commit(tx);
}
