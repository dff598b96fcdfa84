#include <weir/weir.h>

#include "gateway/gateway.h"
#include "shop/logistics/v1/logistics.weir.h"
#include "shop/order/v1/order.weir.h"
#include "shop/points/v1/points.weir.h"
#include "shop/recommendation/v1/recommendation.weir.h"

static struct weir_app *gateway_app(int argc, char **argv)
{
    static struct gateway gateway;
    struct weir_app *app = weir_app_new("gateway", argc, argv);

    gateway.inventory = inventory_channel_add(app, "inventory");
    gateway.events = weir_producer_add(app, "events", NULL);
    struct weir_service *catalog = catalog_service_add(app, &(struct catalog_service_options){
                                                                .handlers = &gateway_catalog_handlers,
                                                                .self = &gateway,
                                                                .needs = {gateway.inventory, gateway.events},
                                                            });

    struct weir_rest_server *rest = weir_rest_server_add(app, "rest", catalog, NULL);
    weir_rest_server_serve(rest, weir_proxy_add(app, &order_service_type, order_channel_add(app, "order")));
    weir_rest_server_serve(
        rest, weir_proxy_add(app, &shipment_service_type, weir_rest_channel_add(app, "logistics", NULL)));
    weir_rest_server_serve(
        rest, weir_proxy_add(app, &points_service_type, weir_rest_channel_add(app, "points", NULL)));
    weir_rest_server_serve(rest, weir_proxy_add(app, &recommendation_service_type,
                                                weir_rest_channel_add(app, "recommendation", NULL)));
    return app;
}

int main(int argc, char **argv)
{
    return weir_app_run(gateway_app(argc, argv));
}
