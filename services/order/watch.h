/* Who watches which order. Any thread. */
#ifndef ORDER_WATCH_H
#define ORDER_WATCH_H

#include <pthread.h>
#include <stdint.h>

#include <weir/weir.h>

#include "shop/order/v1/order.weir.h"

struct watchers {
    pthread_mutex_t lock;
    struct watcher *first;
};

/* The order changed, or has had so many lines deducted: its watchers are sent what it is now. */
void watchers_tell(struct watchers *watchers, const char *order_id, int32_t lines_deducted);

enum weir_status watch_open(struct weir_call *call, const Order__WatchOrderRequest *request);
void watch_cancel(struct weir_call *call);
void watch_draining(struct weir_call *call, int64_t left_ms);

#endif
