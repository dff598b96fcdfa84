/* One shipment per paid order, whatever is redelivered. */
#ifndef LOGISTICS_H
#define LOGISTICS_H

#include <weir/weir.h>

#include "shop/logistics/v1/logistics.weir.h"

struct logistics {
    struct weir_sql *db;
    int64_t send_after_ms; /* from the order's completion until its parcel leaves */
};

/* app.c: what main() runs and tests try. */
struct weir_app *logistics_app(int argc, char **argv);

extern const struct shipment_handlers shipment_handlers;   /* shipments.c */
extern const struct logistics_handlers logistics_handlers; /* events.c */

/* Loads a shipment with its items into `shipment`; false when there is none. */
bool shipment_load(struct weir_tx *tx, const char *order_id, Logistics__Shipment *shipment);

/* Timer: parcels of completed orders leave. */
bool send_parcels(struct weir_call *call);

#endif
