/* What anybody may see of products and their stock. */
#include "common/values.h"
#include "inventory/inventory.h"
#include "inventory_sql.h"

static void fill_product(struct weir_call *call, const struct product_row *row, Inventory__Product *product)
{
    product->sku = row->sku;
    product->name = row->name;
    product->price = money_of(call, row->price_minor, row->currency);
    product->available = row->on_hand;
}

static enum weir_status get_product(struct weir_call *call, const Inventory__GetProductRequest *request,
                                    Inventory__Product *reply)
{
    struct inventory *inventory = weir_call_self(call);
    struct product_row row;
    enum weir_status status = find_product_read(call, inventory->db, request->sku, &row);
    if (status == WEIR_NOT_FOUND)
        return weir_call_fail(call, WEIR_NOT_FOUND, "no product \"%s\"", request->sku);
    if (status == WEIR_OK)
        fill_product(call, &row, reply);
    return status;
}

/* Pages go by sku: a page token is the last sku of the page before. */
static enum weir_status list_products(struct weir_call *call, const Inventory__ListProductsRequest *request,
                                      Inventory__ListProductsResponse *reply)
{
    struct inventory *inventory = weir_call_self(call);
    int32_t page_size = request->page_size;
    enum weir_status status = check_page_size(call, &page_size);
    if (status != WEIR_OK)
        return status;

    reply->products = LIST_OF(call, page_size, Inventory__Product);
    struct product_row row;
    struct products_after_rows rows =
        products_after_read(call, inventory->db, request->page_token, page_size + 1);
    while (products_after_next(&rows, &row)) {
        if (reply->n_products == (size_t)page_size) {
            reply->next_page_token = reply->products[reply->n_products - 1]->sku;
            break;
        }
        Inventory__Product *product = weir_call_alloc(call, sizeof *product);
        inventory__product__init(product);
        fill_product(call, &row, product);
        reply->products[reply->n_products++] = product;
    }
    return products_after_end(&rows);
}

static enum weir_status get_stock(struct weir_call *call, const Inventory__GetStockRequest *request,
                                  Inventory__Stock *reply)
{
    struct inventory *inventory = weir_call_self(call);
    struct find_stock_row row;
    enum weir_status status = find_stock_read(call, inventory->db, request->sku, &row);
    if (status == WEIR_NOT_FOUND)
        return weir_call_fail(call, WEIR_NOT_FOUND, "no product \"%s\"", request->sku);
    if (status != WEIR_OK)
        return status;
    reply->sku = request->sku;
    reply->on_hand = row.on_hand;
    reply->reserved = row.reserved;
    reply->deducted = row.deducted;
    reply->initial = row.initial;
    reply->restocked = row.restocked;
    return WEIR_OK;
}

const struct catalog_handlers catalog_handlers = {
    .get_product = {get_product},
    .list_products = {list_products},
    .get_stock = {get_stock},
};
