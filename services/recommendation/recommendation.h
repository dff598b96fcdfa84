/* "Bought together", from orders and from what customers look at. */
#ifndef RECOMMENDATION_H
#define RECOMMENDATION_H

#include <weir/weir.h>

#include "shop/recommendation/v1/recommendation.weir.h"

struct recommendation {
    struct weir_sql *db;
};

extern const struct recommendation_handlers recommendation_handlers;

#endif
