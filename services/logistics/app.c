#include <weir/weir.h>

#include "logistics/logistics.h"
#include "logistics_sql.h"

static void configure(struct weir_app *app, struct logistics *logistics)
{
    static const struct weir_config_key keys[] = {
        {.name = "send_after_ms",
         .type = WEIR_CONFIG_INT,
         .offset = offsetof(struct logistics, send_after_ms),
         .fallback = "60000",
         .max = 86400000,
         .help = "from an order's completion until its parcel leaves, in ms"},
        {0},
    };
    weir_config_section(app, "logistics", keys, logistics);
}

struct weir_app *logistics_app(int argc, char **argv)
{
    static struct logistics logistics;
    struct weir_app *app = weir_app_new("logistics", argc, argv);

    configure(app, &logistics);
    logistics.db = weir_sql_add(app, "db", &(struct weir_sql_options){.schema = &logistics_sql});
    struct weir_service *shipments = shipment_service_add(app, &(struct shipment_service_options){
                                                                   .handlers = &shipment_handlers,
                                                                   .self = &logistics,
                                                                   .needs = {logistics.db},
                                                               });
    struct weir_service *events = logistics_service_add(app, &(struct logistics_service_options){
                                                                 .handlers = &logistics_handlers,
                                                                 .self = &logistics,
                                                                 .needs = {logistics.db},
                                                             });
    weir_consumer_add(app, "orders", events, NULL);
    struct weir_rest_server *rest = weir_rest_server_add(app, "rest", shipments, NULL);
    weir_rest_server_serve(rest, events);
    weir_timer_add(
        app, "parcels", send_parcels,
        &(struct weir_timer_options){.every_ms = 1000, .self = &logistics, .needs = {logistics.db}});
    return app;
}
