#include <weir/weir.h>

#include "inventory/inventory.h"
#include "inventory_sql.h"

static void configure(struct weir_app *app, struct inventory *inventory)
{
    static const struct weir_config_key keys[] = {
        {.name = "reservation_ms",
         .type = WEIR_CONFIG_INT,
         .offset = offsetof(struct inventory, reservation_ms),
         .fallback = "900000",
         .min = 1000,
         .max = 86400000,
         .help = "how long a reservation lasts, in ms"},
        {0},
    };
    weir_config_section(app, "inventory", keys, inventory);
}

struct weir_app *inventory_app(int argc, char **argv)
{
    static struct inventory inventory;
    struct weir_app *app = weir_app_new("inventory", argc, argv);

    configure(app, &inventory);
    inventory.db = weir_sql_add(app, "db", &(struct weir_sql_options){.schema = &inventory_sql});
    struct weir_producer *events = weir_producer_add(app, "events", NULL);
    struct weir_outbox *outbox = weir_outbox_add(app, "outbox", inventory.db, events, NULL);

    struct weir_service *catalog = catalog_service_add(app, &(struct catalog_service_options){
                                                                .handlers = &catalog_handlers,
                                                                .self = &inventory,
                                                                .needs = {inventory.db},
                                                            });
    struct weir_service *stock = inventory_service_add(app, &(struct inventory_service_options){
                                                                .handlers = &inventory_handlers,
                                                                .self = &inventory,
                                                                .needs = {inventory.db, outbox},
                                                            });
    struct weir_rest_server *rest = weir_rest_server_add(app, "rest", catalog, NULL);
    weir_rest_server_serve(rest, stock);
    struct weir_grpc_server *grpc = weir_grpc_server_add(app, "grpc", catalog, NULL);
    weir_grpc_server_serve(grpc, stock);
    weir_timer_add(
        app, "expiry", inventory_expire,
        &(struct weir_timer_options){.every_ms = 1000, .self = &inventory, .needs = {inventory.db}});
    return app;
}
