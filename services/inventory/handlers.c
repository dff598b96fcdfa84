#include "common/values.h"
#include "inventory/inventory.h"
#include "inventory_sql.h"

static enum weir_status get_stock_totals(struct weir_call *call,
                                         const Inventory__GetStockTotalsRequest *request,
                                         Inventory__StockTotals *reply)
{
    (void)request;
    struct inventory *inventory = weir_call_self(call);
    struct total_stock_row row = {0};
    enum weir_status status = total_stock_read(call, inventory->db, &row);
    reply->on_hand = row.on_hand;
    reply->reserved = row.reserved;
    reply->deducted = row.deducted;
    reply->initial = row.initial;
    reply->restocked = row.restocked;
    reply->open_reservations = row.open_reservations;
    return status;
}

const struct inventory_handlers inventory_handlers = {
    .reserve = {reserve},
    .release = {release},
    .restock = {restock},
    .get_stock_totals = {get_stock_totals},
    .deduct_stock = {.message = deduct_one, .draining = deduct_soon},
};
