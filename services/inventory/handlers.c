#include "common/values.h"
#include "inventory/inventory.h"

static enum weir_status get_stock_totals(struct weir_call *call,
                                         const Inventory__GetStockTotalsRequest *request,
                                         Inventory__StockTotals *reply)
{
    (void)request;
    struct inventory *inventory = weir_call_self(call);
    struct weir_rows *rows =
        weir_sql_read(call, inventory->db,
                      "SELECT sum(on_hand), sum(reserved), sum(deducted), sum(initial), sum(restocked),"
                      " (SELECT count(DISTINCT order_id) FROM reservation_lines WHERE state = 1) FROM stock");
    if (weir_rows_next(rows)) {
        reply->on_hand = weir_rows_int(rows, 0);
        reply->reserved = weir_rows_int(rows, 1);
        reply->deducted = weir_rows_int(rows, 2);
        reply->initial = weir_rows_int(rows, 3);
        reply->restocked = weir_rows_int(rows, 4);
        reply->open_reservations = weir_rows_int(rows, 5);
    }
    return weir_rows_end(rows);
}

const struct inventory_handlers inventory_handlers = {
    .reserve = {reserve},
    .release = {release},
    .restock = {restock},
    .get_stock_totals = {get_stock_totals},
    .deduct_stock = {.message = deduct_one, .draining = deduct_soon},
};
