/* Orders: placed, settled with inventory and payment, watched, cancelled.
 *
 *   app.c      what it is made of
 *   place.c    PlaceOrder: reserve, authorise, confirm
 *   cancel.c   CancelOrder: wanted, then, if the parcel can be kept, done
 *   query.c    GetOrder, ListOrders, CountOrders
 *   settle.c   what an order still owes to inventory and payment: durable, repeated until it is done
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

/* Steps that an order owes; a set, in the column `owes`, done in this order and each idempotent at the other
 * side. */
enum owed {
    OWES_DEDUCT = 1,
    OWES_CAPTURE = 2,
    OWES_RELEASE = 4,
    OWES_RESTOCK = 8,
    OWES_GIVE_BACK = 16, /* the money: void, or refund what is captured */
    OWES_CANCEL = 32,    /* somebody wants it cancelled, and logistics has not answered yet; cancel.c's */
};

/* Orders are settled in lanes, by their id: the steps of one order never overlap, those of several do. */
#define SETTLE_LANES 8

struct settle_lane {
    struct order_service *service;
    int number;
    struct weir_timer *timer;
    bool failing;             /* and that was said */
    int64_t after_updated_ms; /* the next batch begins behind this order: */
    char after_order_id[64];
};

struct order_service {
    struct weir_sql *db;
    struct weir_channel *inventory, *payment, *logistics;
    struct settle_lane lanes[SETTLE_LANES];
    struct watchers watchers;
    int64_t patience_ms; /* an order that is not settled within this is rejected */
    bool complete;       /* else a confirmed order owes nothing more: for comparisons */
};

struct weir_app *order_app(int argc, char **argv);

extern const char *const order_schema[];
extern const struct order_handlers order_handlers;

/* store.c. Loads within tx into `order`, items included; false when there is none. `ret_owes` may be NULL. */
bool order_load(struct weir_tx *tx, const char *order_id, Order__Order *order, int *ret_owes);
/* Moves an order from `from` to `to` with what it then owes; false when it is not `from` (any more). */
bool order_move(struct weir_tx *tx, const char *order_id, Order__OrderState from, Order__OrderState to,
                int owes, const char *reason);
/* The order outside of a transaction: NOT_FOUND when there is none. */
enum weir_status order_get(struct weir_call *call, struct weir_sql *db, const char *order_id,
                           Order__Order *order);
/* After the commit: tells watchers, wakes the order's lane. */
void order_changed(struct order_service *service, struct weir_tx *tx, const char *order_id);

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

/* Adds the lanes' timers; `needs` is what they settle with. */
void settle_add(struct weir_app *app, struct order_service *service, const void *const needs[WEIR_NEEDS_MAX]);
int settle_lane_of(const char *order_id);
/* A timer's step. */
bool finish_cancels(struct weir_call *call);

#endif
