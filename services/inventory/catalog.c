/* What anybody may see of products and their stock. */
#include "common/values.h"
#include "inventory/inventory.h"

static void fill_product(struct weir_call *call, const struct weir_rows *rows, Inventory__Product *product)
{
    product->sku = weir_rows_text(rows, 0);
    product->name = weir_rows_text(rows, 1);
    product->price = money_of(call, weir_rows_int(rows, 2), weir_rows_text(rows, 3));
    product->available = weir_rows_int(rows, 4);
}

static enum weir_status get_product(struct weir_call *call, const Inventory__GetProductRequest *request,
                                    Inventory__Product *reply)
{
    struct inventory *inventory = weir_call_self(call);
    struct weir_rows *rows = weir_sql_read(call, inventory->db,
                                           "SELECT p.sku, p.name, p.price_minor, p.currency, s.on_hand"
                                           " FROM products p JOIN stock s USING (sku) WHERE p.sku = ?",
                                           request->sku);
    bool found = weir_rows_next(rows);
    if (found)
        fill_product(call, rows, reply);
    enum weir_status status = weir_rows_end(rows);
    if (status == WEIR_OK && !found)
        return weir_call_fail(call, WEIR_NOT_FOUND, "no product \"%s\"", request->sku);
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
    struct weir_rows *rows =
        weir_sql_read(call, inventory->db,
                      "SELECT p.sku, p.name, p.price_minor, p.currency, s.on_hand"
                      " FROM products p JOIN stock s USING (sku) WHERE p.sku > ? ORDER BY p.sku LIMIT ?",
                      request->page_token, page_size + 1);
    while (weir_rows_next(rows)) {
        if (reply->n_products == (size_t)page_size) {
            reply->next_page_token = reply->products[reply->n_products - 1]->sku;
            break;
        }
        Inventory__Product *product = weir_call_alloc(call, sizeof *product);
        inventory__product__init(product);
        fill_product(call, rows, product);
        reply->products[reply->n_products++] = product;
    }
    return weir_rows_end(rows);
}

static enum weir_status get_stock(struct weir_call *call, const Inventory__GetStockRequest *request,
                                  Inventory__Stock *reply)
{
    struct inventory *inventory = weir_call_self(call);
    struct weir_rows *rows = weir_sql_read(
        call, inventory->db,
        "SELECT on_hand, reserved, deducted, initial, restocked FROM stock WHERE sku = ?", request->sku);
    bool found = weir_rows_next(rows);
    if (found) {
        reply->sku = request->sku;
        reply->on_hand = weir_rows_int(rows, 0);
        reply->reserved = weir_rows_int(rows, 1);
        reply->deducted = weir_rows_int(rows, 2);
        reply->initial = weir_rows_int(rows, 3);
        reply->restocked = weir_rows_int(rows, 4);
    }
    enum weir_status status = weir_rows_end(rows);
    if (status == WEIR_OK && !found)
        return weir_call_fail(call, WEIR_NOT_FOUND, "no product \"%s\"", request->sku);
    return status;
}

const struct catalog_handlers catalog_handlers = {
    .get_product = {get_product},
    .list_products = {list_products},
    .get_stock = {get_stock},
};
