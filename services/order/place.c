/* PlaceOrder: the order is stored, its stock reserved, its payment authorised, and then, in one transaction,
 * it is confirmed and its event written; only after that is the client told. Every step may be repeated: the
 * same order id with the same content is the same order. */
#include <string.h>

#include "common/values.h"
#include "order/order.h"

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

/* Step 1. The order as it is stored now: PENDING if it is new, or is not settled yet. */
static enum weir_status store(struct weir_call *call, const char *order_id,
                              const Order__PlaceOrderRequest *request, Order__Order *order)
{
    struct order_service *service = weir_call_self(call);
    struct weir_tx *tx = weir_sql_begin(call, service->db);
    if (request->order_id[0] && order_load(tx, order_id, order, NULL)) {
        if (!same_content(request, order))
            weir_sql_fail(tx, WEIR_ALREADY_EXISTS, "order %s exists, with other content", order_id);
        return weir_sql_commit(tx);
    }

    int64_t now = unix_ms();
    weir_sql_exec(
        tx,
        "INSERT INTO orders (order_id, customer_id, state, created_ms, updated_ms) VALUES (?, ?, ?, ?, ?)",
        order_id, request->customer_id, (int)PENDING, now, now);
    for (size_t i = 0; i < request->n_items; i++)
        weir_sql_exec(tx, "INSERT INTO order_items (order_id, line, sku, quantity) VALUES (?, ?, ?, ?)",
                      order_id, (int)i, request->items[i]->sku, request->items[i]->quantity);
    order->state = PENDING;
    return weir_sql_commit(tx);
}

/* True for an answer that settles the question; false when nobody knows what became of the request. */
static bool is_known(enum weir_status status)
{
    return !weir_status_is_transient(status) && status != WEIR_INTERNAL;
}

/* A step whose outcome is not known is repeated, within the call's time. Then it is for settle.c to decide.
 */
static bool again(struct weir_call *call, enum weir_status status, int attempt)
{
    if (status == WEIR_OK || is_known(status))
        return false;
    int64_t pause_ms = attempt < 5 ? 20 << attempt : 500;
    return weir_context_sleep(weir_call_context(call), pause_ms) == WEIR_OK;
}

/* Step 2. */
static enum weir_status reserve_stock(struct weir_call *call, const char *order_id,
                                      const Order__PlaceOrderRequest *request,
                                      Inventory__Reservation **ret_reservation)
{
    struct order_service *service = weir_call_self(call);
    Inventory__ReserveRequest reserve = INVENTORY__RESERVE_REQUEST__INIT;
    reserve.order_id = weir_call_strdup(call, order_id);
    reserve.lines = LIST_OF(call, request->n_items, Inventory__Line);
    for (size_t i = 0; i < request->n_items; i++) {
        Inventory__Line *line = weir_call_alloc(call, sizeof *line);
        inventory__line__init(line);
        line->sku = request->items[i]->sku;
        line->quantity = request->items[i]->quantity;
        reserve.lines[reserve.n_lines++] = line;
    }

    enum weir_status status;
    int attempt = 0;
    do
        status = inventory_reserve(call, service->inventory, &reserve, ret_reservation);
    while (again(call, status, attempt++));
    return status;
}

/* Step 3. */
static enum weir_status authorize_payment(struct weir_call *call, const char *order_id,
                                          const Order__PlaceOrderRequest *request, Common__Money *total)
{
    struct order_service *service = weir_call_self(call);
    Payment__AuthorizeRequest authorize = PAYMENT__AUTHORIZE_REQUEST__INIT;
    authorize.order_id = weir_call_strdup(call, order_id);
    authorize.customer_id = request->customer_id;
    authorize.amount = total;

    Payment__Payment *payment;
    enum weir_status status;
    int attempt = 0;
    do
        status = payment_authorize(call, service->payment, &authorize, &payment);
    while (again(call, status, attempt++));
    return status;
}

/* Step 4: confirmed, with its event, in one transaction. Somebody else may have driven the same order
 * meanwhile. */
static enum weir_status confirm(struct weir_call *call, const char *order_id, const Common__Money *total,
                                Order__Order *order)
{
    struct order_service *service = weir_call_self(call);
    struct weir_tx *tx = weir_sql_begin(call, service->db);
    weir_sql_exec(tx, "UPDATE orders SET total_minor = ?, currency = ? WHERE order_id = ? AND state = ?",
                  total->amount_minor, total->currency, order_id, (int)PENDING);
    int owes = service->complete ? OWES_DEDUCT | OWES_CAPTURE : 0;
    bool ours = order_move(tx, order_id, PENDING, CONFIRMED, owes, "");
    order_load(tx, order_id, order, NULL);
    if (ours) {
        Order__Paid event = ORDER__PAID__INIT;
        event.order_id = order->order_id;
        event.customer_id = order->customer_id;
        event.items = order->items;
        event.n_items = order->n_items;
        event.total = order->total;
        event.paid_at = order->updated_at;
        order_paid_publish(tx, &event);
        order_changed(service, tx, order_id);
    }
    return weir_sql_commit(tx);
}

/* The answer for an order that is settled. */
static enum weir_status answer(struct weir_call *call, const Order__Order *order)
{
    if (order->state == REJECTED)
        return weir_call_fail(call, WEIR_FAILED_PRECONDITION, "order %s rejected: %s", order->order_id,
                              order->reason);
    return WEIR_OK;
}

/* A refusal ends the order; what it may hold at inventory and payment is given back by settle.c. Unless
 * somebody else drove it further: then the refusal came late. */
static enum weir_status reject(struct weir_call *call, const char *order_id, enum weir_status status,
                               Order__Order *order)
{
    struct order_service *service = weir_call_self(call);
    char *reason = weir_call_strdup(call, weir_call_error(call)->text);
    struct weir_tx *tx = weir_sql_begin(call, service->db);
    bool ours = order_move(tx, order_id, PENDING, REJECTED, OWES_RELEASE | OWES_GIVE_BACK, reason);
    if (ours)
        order_changed(service, tx, order_id);
    else
        order_load(tx, order_id, order, NULL);
    enum weir_status stored = weir_sql_commit(tx);
    if (stored != WEIR_OK || !ours)
        return stored != WEIR_OK ? stored : answer(call, order);
    return weir_call_fail(call, status == WEIR_NOT_FOUND ? WEIR_FAILED_PRECONDITION : status,
                          "order %s rejected: %s", order_id, reason);
}

enum weir_status place_order(struct weir_call *call, const Order__PlaceOrderRequest *request,
                             Order__Order *reply)
{
    enum weir_status status = check(call, request);
    if (status != WEIR_OK)
        return status;

    char made[WEIR_ID_SIZE];
    const char *order_id = request->order_id[0] ? request->order_id : weir_id_new(made);
    status = store(call, order_id, request, reply);
    if (status != WEIR_OK || reply->state != PENDING)
        return status != WEIR_OK ? status : answer(call, reply);

    Inventory__Reservation *reservation;
    status = reserve_stock(call, order_id, request, &reservation);
    if (status == WEIR_OK)
        status = authorize_payment(call, order_id, request, reservation->total);
    if (status != WEIR_OK && is_known(status))
        return reject(call, order_id, status, reply);
    if (status != WEIR_OK)
        return status; /* not known: the client may send the order again; settle.c rejects it in the end */

    status = confirm(call, order_id, reservation->total, reply);
    return status != WEIR_OK ? status : answer(call, reply);
}
