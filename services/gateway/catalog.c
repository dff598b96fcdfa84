/* Products come from inventory; a look at one is told as user.activity. */
#include "common/values.h"
#include "gateway/gateway.h"

/* Nobody waits for it, and nothing is lost that anybody was promised: views are statistics. */
static void tell_activity(struct weir_call *call, const char *sku)
{
    struct gateway *gateway = weir_call_self(call);
    const char *customer = weir_call_metadata(call, "x-customer-id");
    User__Activity event = USER__ACTIVITY__INIT;
    bool is_name = customer && check_name(call, "x-customer-id", customer, 64) == WEIR_OK;
    event.customer_id = weir_call_strdup(call, is_name ? customer : "anonymous");
    event.sku = weir_call_strdup(call, sku);
    event.seen_at = timestamp_of(call, unix_ms());
    if (user_activity_post(call, gateway->events, &event) != WEIR_OK)
        weir_log_debug("a product view was not told", weir_field_error(weir_call_error(call)));
}

static enum weir_status get_product(struct weir_call *call, const Inventory__GetProductRequest *request,
                                    Inventory__Product *reply)
{
    struct gateway *gateway = weir_call_self(call);
    Inventory__Product *product;
    enum weir_status status = catalog_get_product(call, gateway->inventory, request, &product);
    if (status != WEIR_OK)
        return status;
    *reply = *product;
    tell_activity(call, product->sku);
    return WEIR_OK;
}

static enum weir_status list_products(struct weir_call *call, const Inventory__ListProductsRequest *request,
                                      Inventory__ListProductsResponse *reply)
{
    struct gateway *gateway = weir_call_self(call);
    Inventory__ListProductsResponse *products;
    enum weir_status status = catalog_list_products(call, gateway->inventory, request, &products);
    if (status == WEIR_OK)
        *reply = *products;
    return status;
}

static enum weir_status get_stock(struct weir_call *call, const Inventory__GetStockRequest *request,
                                  Inventory__Stock *reply)
{
    struct gateway *gateway = weir_call_self(call);
    Inventory__Stock *stock;
    enum weir_status status = catalog_get_stock(call, gateway->inventory, request, &stock);
    if (status == WEIR_OK)
        *reply = *stock;
    return status;
}

const struct catalog_handlers gateway_catalog_handlers = {
    .get_product = {get_product},
    .list_products = {list_products},
    .get_stock = {get_stock},
};
