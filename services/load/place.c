#include <stdlib.h>
#include <string.h>

#include "common/values.h"
#include "load/load.h"

/* One order from its first sending until its outcome is known. */
struct order {
    struct order *next;
    struct load *load;
    char order_id[WEIR_ID_SIZE];
    int64_t number;
    int64_t due_ns, sent_ns;
};

static bool learn_skus(struct weir_call *call)
{
    struct load *load = weir_call_self(call);
    Inventory__ListProductsRequest request = INVENTORY__LIST_PRODUCTS_REQUEST__INIT;
    request.page_size = SKUS_MAX;
    Inventory__ListProductsResponse *products;
    if (catalog_list_products(call, load->gateway, &request, &products) != WEIR_OK) {
        weir_log_warn("the gateway does not answer yet", weir_field_error(weir_call_error(call)));
        return false;
    }
    if (!count_delivered(call, &load->before))
        weir_log_warn("not every consumer answers; what was delivered counts from 0",
                      weir_field_error(weir_call_error(call)));
    for (size_t i = 0; i < products->n_products && load->sku_count < SKUS_MAX; i++)
        load->skus[load->sku_count++] = strdup(products->products[i]->sku);
    load->began_ns = weir_now_ns();
    return load->sku_count > 0;
}

static void send_order(struct order *order);

static void settle(struct order *order, const char *outcome)
{
    struct load *load = order->load;
    int64_t now_ns = weir_now_ns();
    latency_add(&load->since_due, now_ns - order->due_ns);
    latency_add(&load->since_sent, now_ns - order->sent_ns);
    atomic_store(&load->ended_ns, now_ns);
    pthread_mutex_lock(&load->lock);
    if (load->record_file)
        fprintf(load->record_file, "%s %s\n", order->order_id, outcome);
    pthread_mutex_unlock(&load->lock);
    free(order);
}

static void placed(struct weir_call *call, enum weir_status status, Order__Order *reply, void *state)
{
    (void)reply;
    struct order *order = state;
    struct load *load = order->load;
    if (status == WEIR_OK) {
        atomic_fetch_add(&load->accepted, 1);
        settle(order, "accepted");
    } else if (!weir_status_is_transient(status) && status != WEIR_INTERNAL) {
        atomic_fetch_add(&load->refused, 1);
        settle(order, "refused");
    } else {
        atomic_fetch_add(&load->repeated, 1);
        pthread_mutex_lock(&load->lock);
        order->next = load->again;
        load->again = order;
        pthread_mutex_unlock(&load->lock);
    }
    atomic_fetch_sub(&load->in_flight, 1);
    weir_call_background_end(call);
}

/* The content follows from the number, so that sending again sends the same. */
static void send_order(struct order *order)
{
    struct load *load = order->load;
    atomic_fetch_add(&load->in_flight, 1);
    struct weir_call *call = weir_call_background(load->timer, load, 10000);
    Order__PlaceOrderRequest request = ORDER__PLACE_ORDER_REQUEST__INIT;
    request.order_id = order->order_id;
    request.customer_id = weir_call_printf(call, "customer-%03d", (int)(order->number % 500));
    request.items = LIST_OF(call, 2, Order__OrderItem);
    for (int i = 0; i < 2; i++) {
        Order__OrderItem *item = weir_call_alloc(call, sizeof *item);
        order__order_item__init(item);
        item->sku = load->skus[(order->number * 7 + (int64_t)i * 13) % load->sku_count];
        item->quantity = 1 + (int32_t)(order->number % 3);
        request.items[request.n_items++] = item;
    }
    if (strcmp(request.items[0]->sku, request.items[1]->sku) == 0)
        request.n_items = 1;
    order_place_order_start(call, load->gateway, &request, placed, order);
}

static void send_again(struct load *load)
{
    pthread_mutex_lock(&load->lock);
    struct order *again = load->again;
    load->again = NULL;
    pthread_mutex_unlock(&load->lock);
    while (again) {
        struct order *order = again;
        again = order->next;
        send_order(order);
    }
}

/* How many should have been placed by now. */
static int64_t count_due(const struct load *load)
{
    int64_t due = load->closed ? INT64_MAX : (weir_now_ns() - load->began_ns) / 1000 * load->rate / 1000000;
    return load->count > 0 && due > load->count ? load->count : due;
}

bool place_due(struct weir_call *call)
{
    struct load *load = weir_call_self(call);
    if (load->sku_count == 0 && !learn_skus(call))
        return false;

    send_again(load);
    int64_t due = count_due(load);
    while (atomic_load(&load->placed) < due && atomic_load(&load->in_flight) < load->in_flight_max) {
        struct order *order = calloc(1, sizeof *order);
        if (!order)
            return false;
        order->load = load;
        order->number = atomic_fetch_add(&load->placed, 1);
        order->sent_ns = weir_now_ns();
        order->due_ns =
            load->closed ? order->sent_ns : load->began_ns + order->number * WEIR_NS_PER_S / load->rate;
        weir_id_new(order->order_id);
        send_order(order);
    }
    return false;
}
