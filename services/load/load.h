/* Places orders at a steady rate, whatever becomes of them, or always so many at a time, and says what did.
 * An order whose outcome is not known is sent again under the same id until it is. */
#ifndef LOAD_H
#define LOAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include <weir/weir.h>

#include "load/latency.h"
#include "shop/inventory/v1/inventory.weir.h"
#include "shop/logistics/v1/logistics.weir.h"
#include "shop/order/v1/order.weir.h"
#include "shop/points/v1/points.weir.h"
#include "shop/recommendation/v1/recommendation.weir.h"

#define SKUS_MAX 100

/* Delivered to each consumer. */
struct delivered {
    int64_t shipments, points, recommendations;
};

struct load {
    struct weir_channel *gateway;
    struct weir_timer *timer;

    /* Section "load" of the configuration. */
    int64_t rate;  /* orders a second */
    bool closed;   /* instead: in_flight_max orders are under way, always */
    int64_t count; /* 0: for ever */
    int64_t in_flight_max;
    const char *record;  /* a file: a line per order with its id and outcome; "": none */
    bool wait_delivered; /* at the end until every consumer has them all */

    char *skus[SKUS_MAX];
    int sku_count;
    int64_t began_ns;
    atomic_int_fast64_t ended_ns; /* of the last order that is settled */
    struct latency since_due;     /* by the rate, until an order is settled */
    struct latency since_sent;    /* the first time */
    FILE *record_file;
    struct delivered before; /* the first order */

    atomic_int_fast64_t placed, accepted, refused, repeated, in_flight;
    pthread_mutex_t lock; /* again, record_file */
    struct order *again;  /* whose outcome is not known, to be sent again */
};

/* False when somebody does not answer. */
bool count_delivered(struct weir_call *call, struct delivered *ret_delivered);

/* Timers: place.c places what is due; report.c prints a line a second, and ends the app when all is done. */
bool place_due(struct weir_call *call);
bool report(struct weir_call *call);

#endif
