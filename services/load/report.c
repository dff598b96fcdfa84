#include "load/load.h"

bool count_delivered(struct weir_call *call, struct delivered *ret_delivered)
{
    struct load *load = weir_call_self(call);
    Logistics__CountShipmentsRequest about_shipments = LOGISTICS__COUNT_SHIPMENTS_REQUEST__INIT;
    Points__CountEntriesRequest about_points = POINTS__COUNT_ENTRIES_REQUEST__INIT;
    Recommendation__CountOrdersRequest about_orders = RECOMMENDATION__COUNT_ORDERS_REQUEST__INIT;
    Logistics__ShipmentCounts *shipments;
    Points__EntryCounts *points;
    Recommendation__OrderCounts *orders;
    if (shipment_count_shipments(call, load->gateway, &about_shipments, &shipments) != WEIR_OK ||
        points_count_entries(call, load->gateway, &about_points, &points) != WEIR_OK ||
        recommendation_count_orders(call, load->gateway, &about_orders, &orders) != WEIR_OK)
        return false;
    *ret_delivered = (struct delivered){
        .shipments = shipments->planned + shipments->sent + shipments->cancelled,
        .points = points->orders + points->taken_back,
        .recommendations = orders->orders,
    };
    return true;
}

static void print_line(const struct load *load, const struct delivered *now, bool known)
{
    printf("placed %lld  accepted %lld  refused %lld  repeated %lld  in flight %lld",
           (long long)atomic_load(&load->placed), (long long)atomic_load(&load->accepted),
           (long long)atomic_load(&load->refused), (long long)atomic_load(&load->repeated),
           (long long)atomic_load(&load->in_flight));
    if (known)
        printf("  delivered: logistics %lld, points %lld, recommendation %lld\n",
               (long long)(now->shipments - load->before.shipments),
               (long long)(now->points - load->before.points),
               (long long)(now->recommendations - load->before.recommendations));
    else
        printf("  delivered: not known just now\n");
    fflush(stdout);
}

static void print_latency(const char *since, const struct latency *latency)
{
    printf("since %s, ms: p50 %.2f  p90 %.2f  p99 %.2f  p99.9 %.2f  longest %.2f\n", since,
           latency_ms(latency, 50), latency_ms(latency, 90), latency_ms(latency, 99),
           latency_ms(latency, 99.9), latency_ms(latency, 100));
}

static void print_summary(const struct load *load)
{
    double seconds = (double)(atomic_load(&load->ended_ns) - load->began_ns) / (double)WEIR_NS_PER_S;
    printf("settled %lld orders in %.3f s\n",
           (long long)(atomic_load(&load->accepted) + atomic_load(&load->refused)), seconds);
    if (!load->closed) /* what an order waited because the ones before it were late counts */
        print_latency("due", &load->since_due);
    print_latency("sent", &load->since_sent);
    fflush(stdout);
}

bool report(struct weir_call *call)
{
    struct load *load = weir_call_self(call);
    struct delivered now;
    bool known = count_delivered(call, &now);
    if (load->sku_count == 0) /* nothing is placed yet */
        return false;
    print_line(load, &now, known);

    int64_t accepted = atomic_load(&load->accepted);
    bool settled = load->count > 0 && accepted + atomic_load(&load->refused) == load->count;
    bool delivered = known && now.shipments - load->before.shipments >= accepted &&
                     now.points - load->before.points >= accepted &&
                     now.recommendations - load->before.recommendations >= accepted;
    if (settled && (delivered || !load->wait_delivered)) {
        print_summary(load);
        weir_app_stop(weir_component_app(load->timer), "all orders are settled");
    }
    return false;
}
