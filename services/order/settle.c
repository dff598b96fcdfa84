/* What orders still owe to inventory and payment. Each step is durable here (the column `owes`), idempotent
 * there, and repeated until its outcome is known; so a crash of anybody at any point only makes it come
 * again. One thread does it, so the steps of one order never overlap. */
#include "common/values.h"
#include "order/order.h"

#define BATCH 64

struct owing {
    Order__Order order;
    int owes;
};

/* ---- Orders that nobody settled in time ---- */

static void reject_stale(struct weir_call *call)
{
    struct order_service *service = weir_call_self(call);
    struct weir_tx *tx = weir_sql_begin(call, service->db);
    char *ids[BATCH];
    int count = 0;
    struct weir_rows *rows =
        weir_sql_query(tx, "SELECT order_id FROM orders WHERE state = 1 AND created_ms < ? LIMIT 64",
                       unix_ms() - service->patience_ms);
    while (count < BATCH && weir_rows_next(rows))
        ids[count++] = weir_rows_text(rows, 0);
    weir_rows_end(rows);
    if (count == 0) {
        weir_sql_rollback(tx);
        return;
    }
    for (int i = 0; i < count; i++)
        if (order_move(tx, ids[i], PENDING, REJECTED, OWES_RELEASE | OWES_GIVE_BACK, "not settled in time"))
            order_changed(tx, ids[i]);
    if (weir_sql_commit(tx) != WEIR_OK)
        weir_log_warn("stale orders were not rejected", weir_field_error(weir_call_error(call)));
    else
        weir_log_info("stale orders rejected", weir_field_int("orders", count));
}

/* ---- Steps ---- */

static enum weir_status receive_progress(struct weir_call *call, struct weir_client_stream *stream,
                                         const Order__Order *order)
{
    struct order_service *service = weir_call_self(call);
    for (size_t line = 0; line < order->n_items; line++) {
        if (!inventory_deduct_stock_read(stream))
            return WEIR_UNAVAILABLE; /* its end says why */
        watchers_tell(service->watchers, order->order_id, (int32_t)line + 1);
    }
    return WEIR_OK;
}

static enum weir_status deduct(struct weir_call *call, const Order__Order *order)
{
    struct order_service *service = weir_call_self(call);
    struct weir_client_stream *stream = inventory_deduct_stock_open(call, service->inventory);
    for (size_t i = 0; i < order->n_items; i++) {
        Inventory__DeductRequest request = INVENTORY__DEDUCT_REQUEST__INIT;
        request.order_id = order->order_id;
        request.sku = order->items[i]->sku;
        request.quantity = order->items[i]->quantity;
        if (inventory_deduct_stock_write(stream, &request) != WEIR_OK)
            break;
    }
    weir_client_stream_half_close(stream);
    enum weir_status received = receive_progress(call, stream, order);
    if (received == WEIR_OK)
        inventory_deduct_stock_read(stream); /* the end */
    enum weir_status status = weir_client_stream_finish(stream);
    return status == WEIR_OK ? received : status;
}

static enum weir_status capture(struct weir_call *call, const Order__Order *order)
{
    struct order_service *service = weir_call_self(call);
    Payment__PaymentRequest request = PAYMENT__PAYMENT_REQUEST__INIT;
    request.order_id = order->order_id;
    Payment__Payment *payment;
    return payment_capture(call, service->payment, &request, &payment);
}

static enum weir_status release_stock(struct weir_call *call, const Order__Order *order)
{
    struct order_service *service = weir_call_self(call);
    Inventory__ReleaseRequest request = INVENTORY__RELEASE_REQUEST__INIT;
    request.order_id = order->order_id;
    Inventory__ReleaseResponse *response;
    return inventory_release(call, service->inventory, &request, &response);
}

static enum weir_status restock(struct weir_call *call, const Order__Order *order)
{
    struct order_service *service = weir_call_self(call);
    Inventory__RestockRequest request = INVENTORY__RESTOCK_REQUEST__INIT;
    request.order_id = order->order_id;
    Inventory__RestockResponse *response;
    return inventory_restock(call, service->inventory, &request, &response);
}

static enum weir_status give_back_money(struct weir_call *call, const Order__Order *order)
{
    struct order_service *service = weir_call_self(call);
    Payment__PaymentRequest request = PAYMENT__PAYMENT_REQUEST__INIT;
    request.order_id = order->order_id;
    Payment__Payment *payment;
    enum weir_status status = payment_void(call, service->payment, &request, &payment);
    if (status == WEIR_FAILED_PRECONDITION) /* it is captured */
        status = payment_refund(call, service->payment, &request, &payment);
    return status;
}

static const struct step {
    enum owed owed;
    enum weir_status (*run)(struct weir_call *call, const Order__Order *order);
    const char *name;
} steps[] = {
    {OWES_DEDUCT, deduct, "deduct stock"},
    {OWES_CAPTURE, capture, "capture payment"},
    {OWES_RELEASE, release_stock, "release stock"},
    {OWES_RESTOCK, restock, "restock"},
    {OWES_GIVE_BACK, give_back_money, "give back money"},
};

/* ---- Ends ---- */

/* Deducted and captured. Not, when it was cancelled meanwhile: then it owes other steps now. */
static enum weir_status complete(struct weir_call *call, Order__Order *order)
{
    struct order_service *service = weir_call_self(call);
    struct weir_tx *tx = weir_sql_begin(call, service->db);
    weir_sql_exec(tx, "UPDATE orders SET lines_deducted = ? WHERE order_id = ?", (int)order->n_items,
                  order->order_id);
    if (order_move(tx, order->order_id, CONFIRMED, COMPLETED, 0, "")) {
        Order__Completed event = ORDER__COMPLETED__INIT;
        event.order_id = order->order_id;
        event.customer_id = order->customer_id;
        event.completed_at = timestamp_of(call, unix_ms());
        order_completed_publish(tx, &event);
        order_changed(tx, order->order_id);
    }
    return weir_sql_commit(tx);
}

/* A confirmed order whose stock or payment is gone after all (its reservation or authorisation expired):
 * cancelled by us. */
static enum weir_status give_up(struct weir_call *call, Order__Order *order, const char *reason)
{
    struct order_service *service = weir_call_self(call);
    struct weir_tx *tx = weir_sql_begin(call, service->db);
    if (order_move(tx, order->order_id, CONFIRMED, CANCELLED, OWES_RELEASE | OWES_RESTOCK | OWES_GIVE_BACK,
                   reason)) {
        Order__Cancelled event = ORDER__CANCELLED__INIT;
        event.order_id = order->order_id;
        event.customer_id = order->customer_id;
        event.reason = weir_call_strdup(call, reason);
        event.cancelled_at = timestamp_of(call, unix_ms());
        order_cancelled_publish(tx, &event);
        order_changed(tx, order->order_id);
    }
    return weir_sql_commit(tx);
}

static enum weir_status settled(struct weir_call *call, const Order__Order *order)
{
    struct order_service *service = weir_call_self(call);
    struct weir_tx *tx = weir_sql_begin(call, service->db);
    weir_sql_exec(tx, "UPDATE orders SET owes = 0 WHERE order_id = ? AND state = ?", order->order_id,
                  (int)order->state);
    return weir_sql_commit(tx);
}

static enum weir_status settle(struct weir_call *call, struct owing *owing)
{
    Order__Order *order = &owing->order;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (!(owing->owes & (int)steps[i].owed))
            continue;
        enum weir_status status = steps[i].run(call, order);
        if (status == WEIR_FAILED_PRECONDITION && order->state == CONFIRMED)
            return give_up(call, order, weir_call_strdup(call, weir_call_error(call)->text));
        if (status != WEIR_OK) {
            struct weir_error err = *weir_call_error(call);
            weir_error_prefix(&err, "order %s: %s", order->order_id, steps[i].name);
            return weir_call_set_error(call, &err);
        }
    }
    return order->state == CONFIRMED ? complete(call, order) : settled(call, order);
}

static int load_owing(struct weir_call *call, struct owing *batch)
{
    struct order_service *service = weir_call_self(call);
    char *ids[BATCH];
    int owes[BATCH], count = 0;
    struct weir_rows *rows = weir_sql_read(
        call, service->db, "SELECT order_id, owes FROM orders WHERE owes <> 0 ORDER BY updated_ms LIMIT 64");
    while (count < BATCH && weir_rows_next(rows)) {
        ids[count] = weir_rows_text(rows, 0);
        owes[count++] = (int)weir_rows_int(rows, 1);
    }
    if (weir_rows_end(rows) != WEIR_OK)
        return 0;
    for (int i = 0; i < count; i++) {
        order__order__init(&batch[i].order);
        batch[i].owes = owes[i];
        if (order_get(call, service->db, ids[i], &batch[i].order) != WEIR_OK)
            return i;
    }
    return count;
}

bool settle_orders(struct weir_call *call)
{
    reject_stale(call);
    struct owing *batch = weir_call_alloc(call, BATCH * sizeof *batch);
    int count = load_owing(call, batch);
    for (int i = 0; i < count; i++) {
        if (settle(call, &batch[i]) != WEIR_OK) {
            /* Inventory or payment is away: try all of it again the next time. */
            if (!weir_call_over(call))
                weir_log_warn("settling will be repeated", weir_field_error(weir_call_error(call)));
            return false;
        }
    }
    return count == BATCH;
}
