/* Loyalty points: an entry per paid order, taken back when it is cancelled. */
#ifndef POINTS_H
#define POINTS_H

#include <weir/weir.h>

#include "shop/points/v1/points.weir.h"

struct points {
    struct weir_sql *db;
};

extern const struct points_handlers points_handlers;

#endif
