/* The only door for a frontend: orders, products, shipments, points and recommendations, over REST. */
#ifndef GATEWAY_H
#define GATEWAY_H

#include <weir/weir.h>

#include "shop/inventory/v1/inventory.weir.h"
#include "shop/user/v1/events.weir.h"

struct gateway {
    struct weir_channel *inventory;
    struct weir_producer *events;
};

extern const struct catalog_handlers gateway_catalog_handlers;

#endif
