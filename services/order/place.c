/* PlaceOrder: the order is stored with its saga, which then runs on this thread until the order is confirmed or rejected;
 * only after that is the client told. Every step may be repeated: the same order id with the same content is the same
 * order. */
#include <string.h>

#include "common/values.h"
#include "order/order.h"
#include "order_sql.h"

static enum weir_status check(struct weir_call *call, const Order__PlaceOrderRequest *request)
{
    if (request->order_id[0] && !weir_id_valid(request->order_id))
        return weir_call_fail(call, WEIR_INVALID_ARGUMENT, "order_id: \"%.64s\" is not a UUID",
                              request->order_id);
    enum weir_status status = check_name(call, "customer_id", request->customer_id, 64);
    if (status != WEIR_OK)
        return status;
    if (request->n_items < 1 || request->n_items > ORDER_ITEMS_MAX)
        return weir_call_fail(call, WEIR_INVALID_ARGUMENT, "items: %zu items, 1 to %d are allowed",
                              request->n_items, ORDER_ITEMS_MAX);
    for (size_t i = 0; i < request->n_items; i++) {
        const Order__OrderItem *item = request->items[i];
        status = check_name(call, weir_call_printf(call, "items[%zu].sku", i), item->sku, 64);
        if (status != WEIR_OK)
            return status;
        if (item->quantity < 1 || item->quantity > 1000)
            return weir_call_fail(call, WEIR_INVALID_ARGUMENT,
                                  "items[%zu].quantity: %d is not within 1 to 1000", i, item->quantity);
        for (size_t j = 0; j < i; j++)
            if (strcmp(request->items[j]->sku, item->sku) == 0)
                return weir_call_fail(call, WEIR_INVALID_ARGUMENT, "items[%zu].sku: \"%s\" is there twice", i,
                                      item->sku);
    }
    return WEIR_OK;
}

static bool same_content(const Order__PlaceOrderRequest *request, const Order__Order *order)
{
    bool same = strcmp(request->customer_id, order->customer_id) == 0 && request->n_items == order->n_items;
    for (size_t i = 0; same && i < request->n_items; i++)
        same = strcmp(request->items[i]->sku, order->items[i]->sku) == 0 &&
               request->items[i]->quantity == order->items[i]->quantity;
    return same;
}

static void fill(struct weir_call *call, const char *order_id, const Order__PlaceOrderRequest *request,
                 int64_t now_ms, Order__Order *order)
{
    order->order_id = weir_call_strdup(call, order_id);
    order->customer_id = request->customer_id;
    order->items = request->items;
    order->n_items = request->n_items;
    order->state = PENDING;
    order->created_at = order->updated_at = timestamp_of(call, now_ms);
}

/* The order, with its saga; or as it is stored, if it is there already. */
static enum weir_status store(struct weir_call *call, const char *order_id,
                              const Order__PlaceOrderRequest *request, Order__Order *order)
{
    struct order_service *service = weir_call_self(call);
    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, service->db, &tx)) {
        int64_t now_ms = unix_ms();
        if (add_order(tx, order_id, request->customer_id, PENDING, now_ms) != 1) {
            if (order_find(tx, order_id, order) && !same_content(request, order))
                weir_sql_fail(tx, WEIR_ALREADY_EXISTS, "order %s exists, with other content", order_id);
            continue;
        }
        for (size_t i = 0; i < request->n_items; i++)
            add_item(tx, order_id, (int64_t)i, request->items[i]->sku, request->items[i]->quantity);
        weir_saga_begin(tx, service->sagas, order_life(service), order_id, service->patience_ms);
        fill(call, order_id, request, now_ms, order);
    }
    return weir_sql_outcome(tx);
}

enum weir_status place_order(struct weir_call *call, const Order__PlaceOrderRequest *request,
                             Order__Order *reply)
{
    struct order_service *service = weir_call_self(call);
    enum weir_status status = check(call, request);
    if (status != WEIR_OK)
        return status;

    char made[WEIR_ID_SIZE];
    const char *order_id = request->order_id[0] ? request->order_id : made;
    weir_idempotency_choose(call); /* order_confirmed() */
    if (!weir_idempotency_id(call, made))
        weir_id_new(made);
    status = store(call, order_id, request, reply);
    if (status == WEIR_OK && reply->state == PENDING)
        status = weir_saga_run(call, service->sagas, order_life(service), order_id, reply);
    if (reply->state == REJECTED)
        return weir_call_fail(call, status == WEIR_OK ? WEIR_FAILED_PRECONDITION : status,
                              "order %s rejected: %s", order_id, reply->reason);
    return status;
}

/* ---- In the transactions of the order's saga ---- */

void order_confirmed(struct weir_tx *tx, void *subject)
{
    Order__Order *order = subject;
    set_total(tx, order->total->amount_minor, order->total->currency, order->order_id);
    order_move(tx, order, PENDING, CONFIRMED, "");
    Order__Paid event = ORDER__PAID__INIT;
    event.order_id = order->order_id;
    event.customer_id = order->customer_id;
    event.items = order->items;
    event.n_items = order->n_items;
    event.total = order->total;
    event.paid_at = order->updated_at;
    order_paid_publish(tx, &event);
    weir_idempotency_keep(tx);
}

void order_completed(struct weir_tx *tx, void *subject)
{
    Order__Order *order = subject;
    set_lines_deducted(tx, (int64_t)order->n_items, order->order_id);
    order_move(tx, order, CONFIRMED, COMPLETED, NULL); /* somebody's wish to cancel it keeps its reason */
    Order__Completed event = ORDER__COMPLETED__INIT;
    event.order_id = order->order_id;
    event.customer_id = order->customer_id;
    event.completed_at = order->updated_at;
    order_completed_publish(tx, &event);
}

/* Rejected; or cancelled, if its client was told that it is confirmed. */
void order_turned(struct weir_tx *tx, void *subject, const char *reason)
{
    Order__Order *order = subject;
    if (order_move(tx, order, PENDING, REJECTED, reason))
        return;
    if (!order_move(tx, order, CONFIRMED, CANCELLED, reason) &&
        !order_move(tx, order, COMPLETED, CANCELLED, reason))
        return;
    Order__Cancelled event = ORDER__CANCELLED__INIT;
    event.order_id = order->order_id;
    event.customer_id = order->customer_id;
    event.reason = order->reason;
    event.cancelled_at = order->updated_at;
    order_cancelled_publish(tx, &event);
}
