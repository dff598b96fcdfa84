#include <stdlib.h>
#include <string.h>

#include "common/values.h"
#include "order/order.h"
#include "order_sql.h"

static void fill(struct weir_call *call, const struct find_order_row *row, Order__Order *order)
{
    order->order_id = row->order_id;
    order->customer_id = row->customer_id;
    order->state = (Order__OrderState)row->state;
    bool has_reason = order->state == REJECTED || order->state == CANCELLED;
    order->reason = has_reason ? row->reason : weir_call_strdup(call, "");
    order->total = money_of(call, row->total_minor, row->currency);
    order->created_at = timestamp_of(call, row->created_ms);
    order->updated_at = timestamp_of(call, row->updated_ms);
    order->lines_deducted = (int32_t)row->lines_deducted;
}

static enum weir_status fill_items(struct weir_call *call, struct items_of_order_rows rows,
                                   Order__Order *order)
{
    order->items = LIST_OF(call, ORDER_ITEMS_MAX, Order__OrderItem);
    order->n_items = 0;
    struct items_of_order_row row;
    while (order->n_items < ORDER_ITEMS_MAX && items_of_order_next(&rows, &row)) {
        Order__OrderItem *item = weir_call_alloc(call, sizeof *item);
        order__order_item__init(item);
        item->sku = row.sku;
        item->quantity = (int32_t)row.quantity;
        order->items[order->n_items++] = item;
    }
    return items_of_order_end(&rows);
}

bool order_find(struct weir_tx *tx, const char *order_id, Order__Order *order)
{
    struct weir_call *call = weir_sql_call(tx);
    struct find_order_row row;
    if (!find_order(tx, order_id, &row))
        return false;
    fill(call, &row, order);
    fill_items(call, items_of_order(tx, order_id), order);
    return true;
}

enum weir_status order_get(struct weir_call *call, struct weir_sql *db, const char *order_id,
                           Order__Order *order)
{
    struct find_order_row row;
    enum weir_status status = find_order_read(call, db, order_id, &row);
    if (status == WEIR_NOT_FOUND)
        return weir_call_fail(call, WEIR_NOT_FOUND, "no order \"%s\"", order_id);
    if (status != WEIR_OK)
        return status;
    fill(call, &row, order);
    return fill_items(call, items_of_order_read(call, db, order_id), order);
}

enum weir_status order_load(struct weir_call *call, const char *order_id, void *subject)
{
    const struct order_service *service = weir_call_self(call);
    order__order__init(subject);
    return order_get(call, service->db, order_id, subject);
}

struct change {
    struct order_service *service;
    const char *order_id;
};

static void committed(void *arg)
{
    const struct change *change = arg;
    watchers_tell(&change->service->watchers, change->order_id, -1);
}

bool order_move(struct weir_tx *tx, Order__Order *order, Order__OrderState from, Order__OrderState to,
                const char *reason)
{
    struct weir_call *call = weir_sql_call(tx);
    int64_t now_ms = unix_ms();
    if (move_order(tx, to, now_ms, reason, order->order_id, from) != 1)
        return false;
    order->state = to;
    order->reason = weir_call_strdup(call, reason ? reason : "");
    order->updated_at = timestamp_of(call, now_ms);
    struct change *change = weir_call_alloc(call, sizeof *change);
    change->service = weir_call_self(call);
    change->order_id = order->order_id;
    weir_sql_on_commit(tx, committed, change);
    return true;
}
