#include "common/values.h"
#include "logistics/logistics.h"

const char *const logistics_schema[] = {
    "CREATE TABLE shipments ("
    "  order_id TEXT PRIMARY KEY,"
    "  shipment_id TEXT NOT NULL UNIQUE,"
    "  customer_id TEXT NOT NULL,"
    "  state INTEGER NOT NULL,"
    "  planned_ms INTEGER NOT NULL"
    ") WITHOUT ROWID;"
    "CREATE TABLE shipment_items ("
    "  order_id TEXT NOT NULL REFERENCES shipments,"
    "  sku TEXT NOT NULL,"
    "  quantity INTEGER NOT NULL,"
    "  PRIMARY KEY (order_id, sku)"
    ") WITHOUT ROWID;"
    "CREATE TABLE departures (order_id TEXT PRIMARY KEY, leaves_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX departures_due ON departures (leaves_ms);",
    NULL,
};

bool shipment_load(struct weir_tx *tx, const char *order_id, Logistics__Shipment *shipment)
{
    struct weir_call *call = weir_sql_call(tx);
    struct weir_rows *rows = weir_sql_query(
        tx, "SELECT shipment_id, customer_id, state, planned_ms FROM shipments WHERE order_id = ?", order_id);
    bool found = weir_rows_next(rows);
    if (found) {
        shipment->order_id = weir_call_strdup(call, order_id);
        shipment->shipment_id = weir_rows_text(rows, 0);
        shipment->customer_id = weir_rows_text(rows, 1);
        shipment->state = (Logistics__ShipmentState)weir_rows_int(rows, 2);
        shipment->planned_at = timestamp_of(call, weir_rows_int(rows, 3));
    }
    weir_rows_end(rows);
    if (!found)
        return false;

    shipment->items = LIST_OF(call, 50, Order__OrderItem);
    rows = weir_sql_query(tx, "SELECT sku, quantity FROM shipment_items WHERE order_id = ? ORDER BY sku",
                          order_id);
    while (shipment->n_items < 50 && weir_rows_next(rows)) {
        Order__OrderItem *item = weir_call_alloc(call, sizeof *item);
        order__order_item__init(item);
        item->sku = weir_rows_text(rows, 0);
        item->quantity = (int32_t)weir_rows_int(rows, 1);
        shipment->items[shipment->n_items++] = item;
    }
    weir_rows_end(rows);
    return true;
}

static enum weir_status get_shipment(struct weir_call *call, const Logistics__GetShipmentRequest *request,
                                     Logistics__Shipment *reply)
{
    struct logistics *logistics = weir_call_self(call);
    struct weir_tx *tx = weir_sql_begin(call, logistics->db);
    if (!shipment_load(tx, request->order_id, reply))
        weir_sql_fail(tx, WEIR_NOT_FOUND, "no shipment for order \"%s\"", request->order_id);
    return weir_sql_commit(tx);
}

static enum weir_status count_shipments(struct weir_call *call,
                                        const Logistics__CountShipmentsRequest *request,
                                        Logistics__ShipmentCounts *reply)
{
    (void)request;
    struct logistics *logistics = weir_call_self(call);
    struct weir_rows *rows = weir_sql_read(
        call, logistics->db, "SELECT total(state = 1), total(state = 2), total(state = 3) FROM shipments");
    if (weir_rows_next(rows)) {
        reply->planned = weir_rows_int(rows, 0);
        reply->sent = weir_rows_int(rows, 1);
        reply->cancelled = weir_rows_int(rows, 2);
    }
    return weir_rows_end(rows);
}

const struct shipment_handlers shipment_handlers = {
    .get_shipment = {get_shipment},
    .count_shipments = {count_shipments},
};
