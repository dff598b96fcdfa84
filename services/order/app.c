#include <weir/weir.h>

#include "order/order.h"
#include "order_sql.h"

/* Those that wait for other services have limits: when one hangs, threads are left for those who only ask. */
const struct order_handlers order_handlers = {
    .place_order = {place_order, .limits = {.threads_max = 32, .queue_max = 256}},
    .get_order = {get_order},
    .list_orders = {list_orders},
    .cancel_order = {cancel_order, .limits = {.threads_max = 8, .queue_max = 64}},
    .count_orders = {count_orders},
    .get_order_saga = {get_order_saga},
    .watch_order = {.open = watch_open, .cancel = watch_cancel, .draining = watch_draining},
};

static void configure(struct weir_app *app, struct order_service *order)
{
    static const struct weir_config_key keys[] = {
        {.name = "patience_ms",
         .type = WEIR_CONFIG_INT,
         .offset = offsetof(struct order_service, patience_ms),
         .fallback = "30000",
         .min = 1000,
         .max = 600000,
         .help = "an order that is not settled within this is rejected, in ms"},
        {.name = "complete",
         .type = WEIR_CONFIG_BOOL,
         .offset = offsetof(struct order_service, complete),
         .fallback = "true",
         .help =
             "deduct the stock of a confirmed order and capture its payment; without, it stays confirmed"},
        {0},
    };
    weir_config_section(app, "order", keys, order);
}

struct weir_app *order_app(int argc, char **argv)
{
    static struct order_service order = {.watchers.lock = PTHREAD_MUTEX_INITIALIZER};
    struct weir_app *app = weir_app_new("order", argc, argv);

    configure(app, &order);
    order.db = weir_sql_add(app, "db", &(struct weir_sql_options){.schema = &order_sql});
    order.inventory = inventory_channel_add(app, "inventory");
    order.payment = payment_channel_add(app, "payment");
    order.logistics = weir_rest_channel_add(app, "logistics", NULL);
    struct weir_producer *events = weir_producer_add(app, "events", NULL);
    struct weir_outbox *outbox = weir_outbox_add(app, "outbox", order.db, events, NULL);
    order.sagas = weir_saga_add(app, "sagas",
                                &(struct weir_saga_options){
                                    .db = order.db,
                                    .types = {&order_saga, &order_saga_until_confirmed, &cancel_saga},
                                    .self = &order,
                                    .needs = {order.inventory, order.payment, order.logistics, outbox},
                                });

    struct weir_service *service = order_service_add(app, &(struct order_service_options){
                                                              .handlers = &order_handlers,
                                                              .self = &order,
                                                              .idempotency = order.db,
                                                              .needs = {order.db, order.sagas, outbox},
                                                          });
    weir_rest_server_add(app, "rest", service, NULL);
    weir_grpc_server_add(app, "grpc", service, NULL);
    return app;
}
