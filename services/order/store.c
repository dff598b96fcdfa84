#include <stdlib.h>
#include <string.h>

#include "common/values.h"
#include "order/order.h"

const char *const order_schema[] = {
    "CREATE TABLE orders ("
    "  order_id TEXT PRIMARY KEY,"
    "  customer_id TEXT NOT NULL,"
    "  state INTEGER NOT NULL,"
    "  reason TEXT NOT NULL DEFAULT '',"
    "  total_minor INTEGER NOT NULL DEFAULT 0,"
    "  currency TEXT NOT NULL DEFAULT 'EUR',"
    "  created_ms INTEGER NOT NULL,"
    "  updated_ms INTEGER NOT NULL,"
    "  lines_deducted INTEGER NOT NULL DEFAULT 0"
    ") WITHOUT ROWID;"
    "CREATE TABLE order_items ("
    "  order_id TEXT NOT NULL REFERENCES orders,"
    "  line INTEGER NOT NULL,"
    "  sku TEXT NOT NULL,"
    "  quantity INTEGER NOT NULL,"
    "  PRIMARY KEY (order_id, line)"
    ") WITHOUT ROWID;"
    "CREATE INDEX orders_of_customer ON orders (customer_id, created_ms DESC, order_id DESC);",
    NULL,
};

#define COLUMNS                                                                                              \
    "order_id, customer_id, state, reason, total_minor, currency, created_ms, updated_ms, lines_deducted"

static void fill(struct weir_call *call, const struct weir_rows *rows, Order__Order *order)
{
    order->order_id = weir_rows_text(rows, 0);
    order->customer_id = weir_rows_text(rows, 1);
    order->state = (Order__OrderState)weir_rows_int(rows, 2);
    bool has_reason = order->state == REJECTED || order->state == CANCELLED;
    order->reason = has_reason ? weir_rows_text(rows, 3) : weir_call_strdup(call, "");
    order->total = money_of(call, weir_rows_int(rows, 4), weir_rows_text(rows, 5));
    order->created_at = timestamp_of(call, weir_rows_int(rows, 6));
    order->updated_at = timestamp_of(call, weir_rows_int(rows, 7));
    order->lines_deducted = (int32_t)weir_rows_int(rows, 8);
}

static enum weir_status fill_items(struct weir_call *call, struct weir_rows *rows, Order__Order *order)
{
    order->items = LIST_OF(call, ORDER_ITEMS_MAX, Order__OrderItem);
    order->n_items = 0;
    while (order->n_items < ORDER_ITEMS_MAX && weir_rows_next(rows)) {
        Order__OrderItem *item = weir_call_alloc(call, sizeof *item);
        order__order_item__init(item);
        item->sku = weir_rows_text(rows, 0);
        item->quantity = (int32_t)weir_rows_int(rows, 1);
        order->items[order->n_items++] = item;
    }
    return weir_rows_end(rows);
}

bool order_find(struct weir_tx *tx, const char *order_id, Order__Order *order)
{
    struct weir_call *call = weir_sql_call(tx);
    struct weir_rows *rows =
        weir_sql_query(tx, "SELECT " COLUMNS " FROM orders WHERE order_id = ?", order_id);
    bool found = weir_rows_next(rows);
    if (found)
        fill(call, rows, order);
    weir_rows_end(rows);
    if (found)
        fill_items(call,
                   weir_sql_query(tx,
                                  "SELECT sku, quantity FROM order_items WHERE order_id = ? ORDER BY line",
                                  order_id),
                   order);
    return found;
}

enum weir_status order_get(struct weir_call *call, struct weir_sql *db, const char *order_id,
                           Order__Order *order)
{
    struct weir_rows *rows =
        weir_sql_read(call, db, "SELECT " COLUMNS " FROM orders WHERE order_id = ?", order_id);
    bool found = weir_rows_next(rows);
    if (found)
        fill(call, rows, order);
    enum weir_status status = weir_rows_end(rows);
    if (status != WEIR_OK)
        return status;
    if (!found)
        return weir_call_fail(call, WEIR_NOT_FOUND, "no order \"%s\"", order_id);
    return fill_items(call,
                      weir_sql_read(call, db,
                                    "SELECT sku, quantity FROM order_items WHERE order_id = ? ORDER BY line",
                                    order_id),
                      order);
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
    bool moved = weir_sql_exec(tx,
                               "UPDATE orders SET state = ?, updated_ms = ?, reason = coalesce(?, reason)"
                               " WHERE order_id = ? AND state = ?",
                               (int)to, now_ms, reason, order->order_id, (int)from) == 1;
    if (!moved)
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
