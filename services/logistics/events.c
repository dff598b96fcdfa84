/* What orders tell us, and cancelling. The inbox makes a redelivered event harmless; the states make events
 * harmless that come in another order than they happened in (they are of different topics). */
#include "common/values.h"
#include "logistics/logistics.h"
#include "logistics_sql.h"

#define PLANNED LOGISTICS__SHIPMENT_STATE__SHIPMENT_STATE_PLANNED
#define SENT LOGISTICS__SHIPMENT_STATE__SHIPMENT_STATE_SENT

static void plan(struct weir_tx *tx, const Order__Paid *event)
{
    char shipment_id[WEIR_ID_SIZE];
    int64_t planned =
        add_shipment(tx, event->order_id, weir_id_new(shipment_id), event->customer_id, PLANNED, unix_ms());
    for (size_t i = 0; planned == 1 && i < event->n_items; i++)
        add_item(tx, event->order_id, event->items[i]->sku, event->items[i]->quantity);
}

static enum weir_status on_order_paid(struct weir_call *call, const Order__Paid *event,
                                      Google__Protobuf__Empty *reply)
{
    (void)reply;
    struct logistics *logistics = weir_call_self(call);
    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, logistics->db, &tx))
        if (weir_inbox_first(tx))
            plan(tx, event);
    return weir_sql_outcome(tx);
}

static enum weir_status on_order_completed(struct weir_call *call, const Order__Completed *event,
                                           Google__Protobuf__Empty *reply)
{
    (void)reply;
    struct logistics *logistics = weir_call_self(call);
    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, logistics->db, &tx))
        if (weir_inbox_first(tx))
            add_departure(tx, event->order_id, unix_ms() + logistics->send_after_ms);
    return weir_sql_outcome(tx);
}

static void cancel(struct weir_tx *tx, const char *order_id, const char *customer_id)
{
    char shipment_id[WEIR_ID_SIZE];
    cancel_planned(tx, order_id, weir_id_new(shipment_id), customer_id, unix_ms());
}

static enum weir_status on_order_cancelled(struct weir_call *call, const Order__Cancelled *event,
                                           Google__Protobuf__Empty *reply)
{
    (void)reply;
    struct logistics *logistics = weir_call_self(call);
    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, logistics->db, &tx))
        if (weir_inbox_first(tx))
            cancel(tx, event->order_id, event->customer_id);
    return weir_sql_outcome(tx);
}

static enum weir_status cancel_shipment(struct weir_call *call,
                                        const Logistics__CancelShipmentRequest *request,
                                        Logistics__Shipment *reply)
{
    struct logistics *logistics = weir_call_self(call);
    enum weir_status status = check_name(call, "order_id", request->order_id, 64);
    if (status != WEIR_OK)
        return status;
    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, logistics->db, &tx)) {
        cancel(tx, request->order_id, "");
        if (shipment_load(tx, request->order_id, reply) && reply->state == SENT)
            weir_sql_fail(tx, WEIR_FAILED_PRECONDITION, "order %s: its parcel has left", request->order_id);
    }
    return weir_sql_outcome(tx);
}

bool send_parcels(struct weir_call *call)
{
    struct logistics *logistics = weir_call_self(call);
    int64_t sent = 0;
    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, logistics->db, &tx)) {
        int64_t now = unix_ms();
        sent = send_planned(tx, now);
        forget_departures(tx, now);
    }
    if (weir_sql_outcome(tx) != WEIR_OK)
        weir_log_warn("parcels did not leave", weir_field_error(weir_call_error(call)));
    else if (sent > 0)
        weir_log_debug("parcels left", weir_field_int("parcels", sent));
    return false;
}

const struct logistics_handlers logistics_handlers = {
    .cancel_shipment = {cancel_shipment},
    .on_order_paid = {on_order_paid},
    .on_order_completed = {on_order_completed},
    .on_order_cancelled = {on_order_cancelled},
};
