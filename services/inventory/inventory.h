/* Products and stock: reserved for an order, then deducted or released. */
#ifndef INVENTORY_H
#define INVENTORY_H

#include <weir/weir.h>

#include "shop/inventory/v1/inventory.weir.h"

struct inventory {
    struct weir_sql *db;
    int64_t reservation_ms; /* how long a reservation lasts */
};

/* A line of a reservation: where its goods are. */
enum line_state { LINE_RESERVED = 1, LINE_DEDUCTED = 2, LINE_RELEASED = 3, LINE_RESTOCKED = 4 };

/* RELEASED is also a mark for an order that nothing was reserved for: a Reserve that comes late finds it. */
enum reservation_state { RESERVATION_ACTIVE = 1, RESERVATION_RELEASED = 2, RESERVATION_EXPIRED = 3 };

/* app.c: what main() runs and tests try. */
struct weir_app *inventory_app(int argc, char **argv);

extern const struct catalog_handlers catalog_handlers;
extern const struct inventory_handlers inventory_handlers;

/* deduct.c */
enum weir_status deduct_one(struct weir_call *call, const Inventory__DeductRequest *request);
void deduct_soon(struct weir_call *call, int64_t left_ms);

/* reservation.c: gives back all lines of an order that are `from`, as `to`: RESERVED as RELEASED, DEDUCTED as
 * RESTOCKED. */
int64_t give_back_lines(struct weir_tx *tx, const char *order_id, enum line_state from, enum line_state to);
enum weir_status reserve(struct weir_call *call, const Inventory__ReserveRequest *request,
                         Inventory__Reservation *reply);
enum weir_status release(struct weir_call *call, const Inventory__ReleaseRequest *request,
                         Inventory__ReleaseResponse *reply);
enum weir_status restock(struct weir_call *call, const Inventory__RestockRequest *request,
                         Inventory__RestockResponse *reply);

/* Timer: reservations whose time is over come back. */
bool inventory_expire(struct weir_call *call);

#endif
