/* What orders still owe to inventory and payment. Each step is durable here (the column `owes`), idempotent
 * there, and repeated until its outcome is known; so a crash of anybody at any point only makes it come
 * again. */
#include <stdio.h>
#include <string.h>

#include "common/values.h"
#include "order/order.h"

#define BATCH 64

struct owing {
    Order__Order order;
    int owes;
};

static struct order_service *service_of(const struct weir_call *call)
{
    return ((const struct settle_lane *)weir_call_self(call))->service;
}

/* By the last digit, which is random in every version that clients use. */
int settle_lane_of(const char *order_id)
{
    size_t length = strlen(order_id);
    return length > 0 ? order_id[length - 1] % SETTLE_LANES : 0;
}

/* ---- Orders that nobody settled in time ---- */

static void reject_stale(struct weir_call *call)
{
    struct order_service *service = service_of(call);
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
            order_changed(service, tx, ids[i]);
    if (weir_sql_commit(tx) != WEIR_OK)
        weir_log_warn("stale orders were not rejected", weir_field_error(weir_call_error(call)));
    else
        weir_log_info("stale orders rejected", weir_field_int("orders", count));
}

/* ---- Steps ---- */

static enum weir_status receive_progress(struct weir_call *call, struct weir_client_stream *stream,
                                         const Order__Order *order)
{
    struct order_service *service = service_of(call);
    for (size_t line = 0; line < order->n_items; line++) {
        if (!inventory_deduct_stock_read(stream))
            return WEIR_UNAVAILABLE; /* its end says why */
        watchers_tell(&service->watchers, order->order_id, (int32_t)line + 1);
    }
    return WEIR_OK;
}

static enum weir_status deduct(struct weir_call *call, const Order__Order *order)
{
    struct order_service *service = service_of(call);
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

static Payment__PaymentRequest payment_of(const Order__Order *order)
{
    Payment__PaymentRequest request = PAYMENT__PAYMENT_REQUEST__INIT;
    request.order_id = order->order_id;
    return request;
}

static enum weir_status capture(struct weir_call *call, const Order__Order *order)
{
    struct order_service *service = service_of(call);
    Payment__PaymentRequest request = payment_of(order);
    Payment__Payment *payment;
    return payment_capture(call, service->payment, &request, &payment);
}

static enum weir_status release_stock(struct weir_call *call, const Order__Order *order)
{
    struct order_service *service = service_of(call);
    Inventory__ReleaseRequest request = INVENTORY__RELEASE_REQUEST__INIT;
    request.order_id = order->order_id;
    Inventory__ReleaseResponse *response;
    return inventory_release(call, service->inventory, &request, &response);
}

static enum weir_status restock(struct weir_call *call, const Order__Order *order)
{
    struct order_service *service = service_of(call);
    Inventory__RestockRequest request = INVENTORY__RESTOCK_REQUEST__INIT;
    request.order_id = order->order_id;
    Inventory__RestockResponse *response;
    return inventory_restock(call, service->inventory, &request, &response);
}

static enum weir_status give_back_money(struct weir_call *call, const Order__Order *order)
{
    struct order_service *service = service_of(call);
    Payment__PaymentRequest request = payment_of(order);
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
    struct order_service *service = service_of(call);
    struct weir_tx *tx = weir_sql_begin(call, service->db);
    weir_sql_exec(tx, "UPDATE orders SET lines_deducted = ? WHERE order_id = ?", (int)order->n_items,
                  order->order_id);
    if (order_move(tx, order->order_id, CONFIRMED, COMPLETED, 0, "")) {
        Order__Completed event = ORDER__COMPLETED__INIT;
        event.order_id = order->order_id;
        event.customer_id = order->customer_id;
        event.completed_at = timestamp_of(call, unix_ms());
        order_completed_publish(tx, &event);
        order_changed(service, tx, order->order_id);
    }
    return weir_sql_commit(tx);
}

/* A confirmed order whose stock or payment is gone after all (its reservation or authorisation expired):
 * cancelled by us. */
static enum weir_status give_up(struct weir_call *call, Order__Order *order, const char *reason)
{
    struct order_service *service = service_of(call);
    struct weir_tx *tx = weir_sql_begin(call, service->db);
    if (order_move(tx, order->order_id, CONFIRMED, CANCELLED, OWES_RELEASE | OWES_RESTOCK | OWES_GIVE_BACK,
                   reason)) {
        Order__Cancelled event = ORDER__CANCELLED__INIT;
        event.order_id = order->order_id;
        event.customer_id = order->customer_id;
        event.reason = weir_call_strdup(call, reason);
        event.cancelled_at = timestamp_of(call, unix_ms());
        order_cancelled_publish(tx, &event);
        order_changed(service, tx, order->order_id);
    }
    return weir_sql_commit(tx);
}

static enum weir_status settled(struct weir_call *call, const Order__Order *order)
{
    struct order_service *service = service_of(call);
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

/* With the order that waits longest. */
static void begin_anew(struct settle_lane *lane)
{
    lane->after_updated_ms = 0;
    lane->after_order_id[0] = 0;
}

static int load_owing(struct weir_call *call, struct owing *batch)
{
    struct settle_lane *lane = weir_call_self(call);
    struct order_service *service = lane->service;
    char *ids[BATCH];
    int owes[BATCH], count = 0;
    struct weir_rows *rows =
        weir_sql_read(call, service->db,
                      "SELECT order_id, owes, updated_ms FROM orders"
                      " WHERE owes <> 0 AND owes <> ? AND unicode(substr(order_id, -1)) % ? = ?"
                      " AND (updated_ms, order_id) > (?, ?) ORDER BY updated_ms, order_id LIMIT 64",
                      (int)OWES_CANCEL, SETTLE_LANES, lane->number, lane->after_updated_ms,
                      weir_call_strdup(call, lane->after_order_id));
    begin_anew(lane);
    while (count < BATCH && weir_rows_next(rows)) {
        ids[count] = weir_rows_text(rows, 0);
        owes[count++] = (int)weir_rows_int(rows, 1);
        if (count == BATCH) { /* there may be more behind it */
            lane->after_updated_ms = weir_rows_int(rows, 2);
            snprintf(lane->after_order_id, sizeof lane->after_order_id, "%s", ids[count - 1]);
        }
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

/* Says once that settling fails, and once that it goes on. */
static void note_failure(struct weir_call *call, bool failing)
{
    struct settle_lane *lane = weir_call_self(call);
    if (failing && !lane->failing)
        weir_log_warn("orders cannot be settled just now; tried again until they are",
                      weir_field_error(weir_call_error(call)));
    else if (!failing && lane->failing)
        weir_log_info("orders are settled again", weir_field_int("lane", lane->number));
    lane->failing = failing;
}

static bool settle_orders(struct weir_call *call)
{
    struct settle_lane *lane = weir_call_self(call);
    if (lane->number == 0)
        reject_stale(call);
    struct owing *batch = weir_call_alloc(call, BATCH * sizeof *batch);
    int count = load_owing(call, batch);
    bool failing = false;
    for (int i = 0; i < count; i++) {
        enum weir_status status = settle(call, &batch[i]);
        if (status == WEIR_OK)
            continue;
        if (weir_call_over(call)) /* we are stopping, or slow: not the order's fault */
            return false;
        failing = true;
        note_failure(call, true);
        if (weir_status_is_transient(status)) { /* inventory or payment is away: so it is for the others */
            begin_anew(lane);
            return false;
        }
    }
    if (!failing && count < BATCH)
        note_failure(call, false);
    return count == BATCH;
}

void settle_add(struct weir_app *app, struct order_service *service, const void *const needs[WEIR_NEEDS_MAX])
{
    for (int i = 0; i < SETTLE_LANES; i++) {
        struct settle_lane *lane = &service->lanes[i];
        *lane = (struct settle_lane){.service = service, .number = i};
        char name[32];
        snprintf(name, sizeof name, "settle-%d", i);
        struct weir_timer_options options = {.every_ms = 500, .self = lane};
        memcpy(options.needs, needs, sizeof options.needs);
        lane->timer = weir_timer_add(app, name, settle_orders, &options);
    }
}
