/* What orders tell us, and cancelling. The inbox makes a redelivered event harmless; the states make events
 * harmless that come in another order than they happened in (they are of different topics). */
#include "common/values.h"
#include "logistics/logistics.h"

#define PLANNED LOGISTICS__SHIPMENT_STATE__SHIPMENT_STATE_PLANNED
#define SENT LOGISTICS__SHIPMENT_STATE__SHIPMENT_STATE_SENT
#define CANCELLED LOGISTICS__SHIPMENT_STATE__SHIPMENT_STATE_CANCELLED

static void plan(struct weir_tx *tx, const Order__Paid *event)
{
    char shipment_id[WEIR_ID_SIZE];
    int64_t planned =
        weir_sql_exec(tx,
                      "INSERT INTO shipments (order_id, shipment_id, customer_id, state, planned_ms)"
                      " VALUES (?, ?, ?, ?, ?) ON CONFLICT (order_id) DO NOTHING",
                      event->order_id, weir_id_new(shipment_id), event->customer_id, (int)PLANNED, unix_ms());
    for (size_t i = 0; planned == 1 && i < event->n_items; i++)
        weir_sql_exec(tx, "INSERT INTO shipment_items (order_id, sku, quantity) VALUES (?, ?, ?)",
                      event->order_id, event->items[i]->sku, event->items[i]->quantity);
}

static enum weir_status on_order_paid(struct weir_call *call, const Order__Paid *event,
                                      Google__Protobuf__Empty *reply)
{
    (void)reply;
    struct logistics *logistics = weir_call_self(call);
    struct weir_tx *tx = weir_sql_begin(call, logistics->db);
    if (weir_inbox_first(tx))
        plan(tx, event);
    return weir_sql_commit(tx);
}

static enum weir_status on_order_completed(struct weir_call *call, const Order__Completed *event,
                                           Google__Protobuf__Empty *reply)
{
    (void)reply;
    struct logistics *logistics = weir_call_self(call);
    struct weir_tx *tx = weir_sql_begin(call, logistics->db);
    if (weir_inbox_first(tx))
        weir_sql_exec(
            tx,
            "INSERT INTO departures (order_id, leaves_ms) VALUES (?, ?) ON CONFLICT (order_id) DO NOTHING",
            event->order_id, unix_ms() + logistics->send_after_ms);
    return weir_sql_commit(tx);
}

/* An order whose shipment is not known yet gets one that is cancelled already: order.paid finds it. */
static void cancel(struct weir_tx *tx, const char *order_id, const char *customer_id)
{
    char shipment_id[WEIR_ID_SIZE];
    weir_sql_exec(
        tx,
        "INSERT INTO shipments (order_id, shipment_id, customer_id, state, planned_ms) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (order_id) DO UPDATE SET state = excluded.state WHERE state = ?",
        order_id, weir_id_new(shipment_id), customer_id, (int)CANCELLED, unix_ms(), (int)PLANNED);
}

static enum weir_status on_order_cancelled(struct weir_call *call, const Order__Cancelled *event,
                                           Google__Protobuf__Empty *reply)
{
    (void)reply;
    struct logistics *logistics = weir_call_self(call);
    struct weir_tx *tx = weir_sql_begin(call, logistics->db);
    if (weir_inbox_first(tx))
        cancel(tx, event->order_id, event->customer_id);
    return weir_sql_commit(tx);
}

static enum weir_status cancel_shipment(struct weir_call *call,
                                        const Logistics__CancelShipmentRequest *request,
                                        Logistics__Shipment *reply)
{
    struct logistics *logistics = weir_call_self(call);
    enum weir_status status = check_name(call, "order_id", request->order_id, 64);
    if (status != WEIR_OK)
        return status;
    struct weir_tx *tx = weir_sql_begin(call, logistics->db);
    cancel(tx, request->order_id, "");
    if (shipment_load(tx, request->order_id, reply) && reply->state == SENT)
        weir_sql_fail(tx, WEIR_FAILED_PRECONDITION, "order %s: its parcel has left", request->order_id);
    return weir_sql_commit(tx);
}

bool send_parcels(struct weir_call *call)
{
    struct logistics *logistics = weir_call_self(call);
    struct weir_tx *tx = weir_sql_begin(call, logistics->db);
    int64_t now = unix_ms();
    int64_t sent = weir_sql_exec(tx,
                                 "UPDATE shipments SET state = ? WHERE state = ? AND order_id IN"
                                 " (SELECT order_id FROM departures WHERE leaves_ms <= ?)",
                                 (int)SENT, (int)PLANNED, now);
    /* A departure whose shipment is not planned yet waits for it. */
    weir_sql_exec(
        tx, "DELETE FROM departures WHERE leaves_ms <= ? AND order_id IN (SELECT order_id FROM shipments)",
        now);
    if (weir_sql_commit(tx) != WEIR_OK)
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
