/* Orders: placed, settled with inventory and payment, watched, cancelled.
 *
 *   app.c      what it is made of
 *   sagas.c    an order's life as a table, and a cancellation's
 *   steps.c    what their steps ask of others
 *   place.c    PlaceOrder, and what an order's saga stores here
 *   cancel.c   CancelOrder
 *   query.c    GetOrder, ListOrders, CountOrders, GetOrderSaga
 *   watch.c    WatchOrder
 *   store.c    rows and their messages
 */
#ifndef ORDER_H
#define ORDER_H

#include <weir/weir.h>

#include "order/watch.h"
#include "shop/inventory/v1/inventory.weir.h"
#include "shop/logistics/v1/logistics.weir.h"
#include "shop/order/v1/events.weir.h"
#include "shop/order/v1/order.weir.h"
#include "shop/payment/v1/payment.weir.h"

#define PENDING ORDER__ORDER_STATE__ORDER_STATE_PENDING
#define REJECTED ORDER__ORDER_STATE__ORDER_STATE_REJECTED
#define CONFIRMED ORDER__ORDER_STATE__ORDER_STATE_CONFIRMED
#define COMPLETED ORDER__ORDER_STATE__ORDER_STATE_COMPLETED
#define CANCELLED ORDER__ORDER_STATE__ORDER_STATE_CANCELLED

#define ORDER_ITEMS_MAX 50

struct order_service {
    struct weir_sql *db;
    struct weir_channel *inventory, *payment, *logistics;
    struct weir_saga_runner *sagas;
    struct watchers watchers;
    int64_t patience_ms; /* an order that is not settled within this is rejected */
    bool complete;       /* else an order's life ends when it is confirmed: for comparisons */
};

struct weir_app *order_app(int argc, char **argv);

extern const struct order_handlers order_handlers;

/* sagas.c */
extern const struct weir_saga_type order_saga, order_saga_until_confirmed, cancel_saga;
const struct weir_saga_type *order_life(const struct order_service *service);

/* steps.c. `subject` is the Order. */
enum weir_status reserve_stock(struct weir_call *call, void *subject);
enum weir_status release_stock(struct weir_call *call, void *subject);
enum weir_status deduct_stock(struct weir_call *call, void *subject);
enum weir_status restock(struct weir_call *call, void *subject);
enum weir_status authorize_payment(struct weir_call *call, void *subject);
enum weir_status void_payment(struct weir_call *call, void *subject);
enum weir_status capture_payment(struct weir_call *call, void *subject);
enum weir_status refund_payment(struct weir_call *call, void *subject);
enum weir_status keep_parcel(struct weir_call *call, void *subject);

/* place.c and cancel.c: within the sagas' transactions. */
void order_confirmed(struct weir_tx *tx, void *subject);
void order_completed(struct weir_tx *tx, void *subject);
void order_turned(struct weir_tx *tx, void *subject, const char *reason);
void order_turn_back(struct weir_tx *tx, void *subject);
void order_not_cancelled(struct weir_tx *tx, void *subject, const char *reason);

/* store.c. The order as the transaction sees it, items included; false when there is none. */
bool order_find(struct weir_tx *tx, const char *order_id, Order__Order *order);
/* The order outside of a transaction: NOT_FOUND when there is none. */
enum weir_status order_get(struct weir_call *call, struct weir_sql *db, const char *order_id,
                           Order__Order *order);
enum weir_status order_load(struct weir_call *call, const char *order_id, void *subject);
/* Moves an order from `from` to `to`, and tells its watchers after the commit; false when it is not `from` (any more). A
 * reason that is NULL stays what it is. */
bool order_move(struct weir_tx *tx, Order__Order *order, Order__OrderState from, Order__OrderState to,
                const char *reason);

enum weir_status place_order(struct weir_call *call, const Order__PlaceOrderRequest *request,
                             Order__Order *reply);
enum weir_status cancel_order(struct weir_call *call, const Order__CancelOrderRequest *request,
                              Order__Order *reply);
enum weir_status get_order(struct weir_call *call, const Order__GetOrderRequest *request,
                           Order__Order *reply);
enum weir_status list_orders(struct weir_call *call, const Order__ListOrdersRequest *request,
                             Order__ListOrdersResponse *reply);
enum weir_status count_orders(struct weir_call *call, const Order__CountOrdersRequest *request,
                              Order__OrderCounts *reply);
enum weir_status get_order_saga(struct weir_call *call, const Order__GetOrderSagaRequest *request,
                                Order__OrderSaga *reply);

#endif
