#include <string.h>

#include "common/values.h"
#include "recommendation/recommendation.h"
#include "recommendation_sql.h"

static void count_order(struct weir_tx *tx, const Order__Paid *event)
{
    add_to_count(tx, "orders");
    for (size_t i = 0; i < event->n_items; i++) {
        add_order_of(tx, event->items[i]->sku);
        for (size_t j = 0; j < event->n_items; j++)
            if (i != j)
                add_pair(tx, event->items[i]->sku, event->items[j]->sku);
    }
}

static enum weir_status on_order_paid(struct weir_call *call, const Order__Paid *event,
                                      Google__Protobuf__Empty *reply)
{
    (void)reply;
    struct recommendation *recommendation = weir_call_self(call);
    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, recommendation->db, &tx))
        if (weir_inbox_first(tx))
            count_order(tx, event);
    return weir_sql_outcome(tx);
}

static enum weir_status on_user_activity(struct weir_call *call, const User__Activity *event,
                                         Google__Protobuf__Empty *reply)
{
    (void)reply;
    struct recommendation *recommendation = weir_call_self(call);
    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, recommendation->db, &tx))
        if (weir_inbox_first(tx)) {
            add_to_count(tx, "views");
            add_view_of(tx, event->sku);
        }
    return weir_sql_outcome(tx);
}

static enum weir_status get_recommendations(struct weir_call *call,
                                            const Recommendation__GetRecommendationsRequest *request,
                                            Recommendation__Recommendations *reply)
{
    struct recommendation *recommendation = weir_call_self(call);
    int32_t limit = request->limit ? request->limit : 5;
    if (limit < 1 || limit > 20)
        return weir_call_fail(call, WEIR_INVALID_ARGUMENT, "limit: %d is not within 1 to 20", limit);

    reply->sku = request->sku;
    struct find_popularity_row popularity = {0};
    enum weir_status status = find_popularity_read(call, recommendation->db, request->sku, &popularity);
    if (status != WEIR_OK && status != WEIR_NOT_FOUND)
        return status;
    reply->orders = popularity.orders;
    reply->views = popularity.views;

    reply->recommendations = LIST_OF(call, limit, Recommendation__Recommendation);
    struct bought_with_row row;
    struct bought_with_rows rows = bought_with_read(call, recommendation->db, request->sku, limit);
    while (bought_with_next(&rows, &row)) {
        Recommendation__Recommendation *other = weir_call_alloc(call, sizeof *other);
        recommendation__recommendation__init(other);
        other->sku = row.other;
        other->bought_together = row.orders;
        reply->recommendations[reply->n_recommendations++] = other;
    }
    return bought_with_end(&rows);
}

static enum weir_status count_orders(struct weir_call *call,
                                     const Recommendation__CountOrdersRequest *request,
                                     Recommendation__OrderCounts *reply)
{
    (void)request;
    struct recommendation *recommendation = weir_call_self(call);
    struct all_counts_row row;
    struct all_counts_rows rows = all_counts_read(call, recommendation->db);
    while (all_counts_next(&rows, &row))
        *(strcmp(row.name, "orders") == 0 ? &reply->orders : &reply->views) = row.value;
    return all_counts_end(&rows);
}

const struct recommendation_handlers recommendation_handlers = {
    .get_recommendations = {get_recommendations},
    .count_orders = {count_orders},
    .on_order_paid = {on_order_paid},
    .on_user_activity = {on_user_activity},
};
