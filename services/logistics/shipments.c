#include "common/values.h"
#include "logistics/logistics.h"
#include "logistics_sql.h"

bool shipment_load(struct weir_tx *tx, const char *order_id, Logistics__Shipment *shipment)
{
    struct weir_call *call = weir_sql_call(tx);
    struct find_shipment_row row;
    if (!find_shipment(tx, order_id, &row))
        return false;
    shipment->order_id = weir_call_strdup(call, order_id);
    shipment->shipment_id = row.shipment_id;
    shipment->customer_id = row.customer_id;
    shipment->state = (Logistics__ShipmentState)row.state;
    shipment->planned_at = timestamp_of(call, row.planned_ms);
    shipment->items = LIST_OF(call, 50, Order__OrderItem);
    shipment->n_items = 0;
    struct items_of_shipment_row item_row;
    struct items_of_shipment_rows rows = items_of_shipment(tx, order_id);
    while (shipment->n_items < 50 && items_of_shipment_next(&rows, &item_row)) {
        Order__OrderItem *item = weir_call_alloc(call, sizeof *item);
        order__order_item__init(item);
        item->sku = item_row.sku;
        item->quantity = (int32_t)item_row.quantity;
        shipment->items[shipment->n_items++] = item;
    }
    items_of_shipment_end(&rows);
    return true;
}

static enum weir_status get_shipment(struct weir_call *call, const Logistics__GetShipmentRequest *request,
                                     Logistics__Shipment *reply)
{
    struct logistics *logistics = weir_call_self(call);
    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, logistics->db, &tx))
        if (!shipment_load(tx, request->order_id, reply))
            weir_sql_fail(tx, WEIR_NOT_FOUND, "no shipment for order \"%s\"", request->order_id);
    return weir_sql_outcome(tx);
}

static enum weir_status count_shipments(struct weir_call *call,
                                        const Logistics__CountShipmentsRequest *request,
                                        Logistics__ShipmentCounts *reply)
{
    (void)request;
    struct logistics *logistics = weir_call_self(call);
    struct count_by_state_row row = {0};
    enum weir_status status = count_by_state_read(call, logistics->db, &row);
    reply->planned = row.planned;
    reply->sent = row.sent;
    reply->cancelled = row.cancelled;
    return status;
}

const struct shipment_handlers shipment_handlers = {
    .get_shipment = {get_shipment},
    .count_shipments = {count_shipments},
};
