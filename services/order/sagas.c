/* An order's life, and what becomes of a wish to cancel it. Every step may come again (weir/saga.h). */
#include "common/values.h"
#include "order/order.h"

const struct weir_saga_type order_saga = {
    .name = "order",
    .steps =
        {
            {"reserve stock", .run = reserve_stock, .undo = release_stock},
            {"authorize payment", .run = authorize_payment, .undo = void_payment},
            {"confirm", .commit = order_confirmed, .pivot = true}, /* the client is answered after it */
            {"deduct stock", .run = deduct_stock, .undo = restock},
            {"capture payment", .run = capture_payment, .undo = refund_payment},
            {"complete", .commit = order_completed},
        },
    .subject_size = sizeof(Order__Order),
    .load = order_load,
    .turned = order_turned, /* rejected, or cancelled: before the steps are undone */
};

/* With `order.complete: false`. */
const struct weir_saga_type order_saga_until_confirmed = {
    .name = "order until confirmed",
    .steps =
        {
            {"reserve stock", .run = reserve_stock, .undo = release_stock},
            {"authorize payment", .run = authorize_payment, .undo = void_payment},
            {"confirm", .commit = order_confirmed, .pivot = true},
        },
    .subject_size = sizeof(Order__Order),
    .load = order_load,
    .turned = order_turned,
};

const struct weir_saga_type *order_life(const struct order_service *service)
{
    return service->complete ? &order_saga : &order_saga_until_confirmed;
}

/* Refused when the parcel has left: then the order goes on as if nobody had asked. */
const struct weir_saga_type cancel_saga = {
    .name = "cancel",
    .steps =
        {
            {"keep the parcel", .run = keep_parcel},
            {"turn the order back", .commit = order_turn_back, .pivot = true},
        },
    .subject_size = sizeof(Order__Order),
    .load = order_load,
    .turned = order_not_cancelled,
};
