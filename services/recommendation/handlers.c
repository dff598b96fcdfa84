#include <string.h>

#include "common/values.h"
#include "recommendation/recommendation.h"

const char *const recommendation_schema[] = {
    "CREATE TABLE pairs ("
    "  sku TEXT NOT NULL,"
    "  other TEXT NOT NULL,"
    "  orders INTEGER NOT NULL,"
    "  PRIMARY KEY (sku, other)"
    ") WITHOUT ROWID;"
    "CREATE TABLE products ("
    "  sku TEXT PRIMARY KEY,"
    "  orders INTEGER NOT NULL DEFAULT 0,"
    "  views INTEGER NOT NULL DEFAULT 0"
    ") WITHOUT ROWID;"
    "CREATE TABLE counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO counts (name, value) VALUES ('orders', 0), ('views', 0);",
    NULL,
};

static void count_pair(struct weir_tx *tx, const char *sku, const char *other)
{
    weir_sql_exec(tx,
                  "INSERT INTO pairs (sku, other, orders) VALUES (?, ?, 1)"
                  " ON CONFLICT (sku, other) DO UPDATE SET orders = orders + 1",
                  sku, other);
}

static void count_order(struct weir_tx *tx, const Order__Paid *event)
{
    weir_sql_exec(tx, "UPDATE counts SET value = value + 1 WHERE name = 'orders'");
    for (size_t i = 0; i < event->n_items; i++) {
        weir_sql_exec(tx,
                      "INSERT INTO products (sku, orders) VALUES (?, 1)"
                      " ON CONFLICT (sku) DO UPDATE SET orders = orders + 1",
                      event->items[i]->sku);
        for (size_t j = 0; j < event->n_items; j++)
            if (i != j)
                count_pair(tx, event->items[i]->sku, event->items[j]->sku);
    }
}

static enum weir_status on_order_paid(struct weir_call *call, const Order__Paid *event,
                                      Google__Protobuf__Empty *reply)
{
    (void)reply;
    struct recommendation *recommendation = weir_call_self(call);
    struct weir_tx *tx = weir_sql_begin(call, recommendation->db);
    if (weir_inbox_first(tx))
        count_order(tx, event);
    return weir_sql_commit(tx);
}

static enum weir_status on_user_activity(struct weir_call *call, const User__Activity *event,
                                         Google__Protobuf__Empty *reply)
{
    (void)reply;
    struct recommendation *recommendation = weir_call_self(call);
    struct weir_tx *tx = weir_sql_begin(call, recommendation->db);
    if (weir_inbox_first(tx)) {
        weir_sql_exec(tx, "UPDATE counts SET value = value + 1 WHERE name = 'views'");
        weir_sql_exec(tx,
                      "INSERT INTO products (sku, views) VALUES (?, 1) ON CONFLICT (sku) DO UPDATE SET views "
                      "= views + 1",
                      event->sku);
    }
    return weir_sql_commit(tx);
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
    struct weir_rows *rows = weir_sql_read(call, recommendation->db,
                                           "SELECT orders, views FROM products WHERE sku = ?", request->sku);
    if (weir_rows_next(rows)) {
        reply->orders = weir_rows_int(rows, 0);
        reply->views = weir_rows_int(rows, 1);
    }
    enum weir_status status = weir_rows_end(rows);
    if (status != WEIR_OK)
        return status;

    reply->recommendations = LIST_OF(call, limit, Recommendation__Recommendation);
    rows = weir_sql_read(call, recommendation->db,
                         "SELECT other, orders FROM pairs WHERE sku = ? ORDER BY orders DESC, other LIMIT ?",
                         request->sku, limit);
    while (weir_rows_next(rows)) {
        Recommendation__Recommendation *other = weir_call_alloc(call, sizeof *other);
        recommendation__recommendation__init(other);
        other->sku = weir_rows_text(rows, 0);
        other->bought_together = weir_rows_int(rows, 1);
        reply->recommendations[reply->n_recommendations++] = other;
    }
    return weir_rows_end(rows);
}

static enum weir_status count_orders(struct weir_call *call,
                                     const Recommendation__CountOrdersRequest *request,
                                     Recommendation__OrderCounts *reply)
{
    (void)request;
    struct recommendation *recommendation = weir_call_self(call);
    struct weir_rows *rows = weir_sql_read(call, recommendation->db, "SELECT name, value FROM counts");
    while (weir_rows_next(rows)) {
        bool orders = strcmp(weir_rows_text(rows, 0), "orders") == 0;
        *(orders ? &reply->orders : &reply->views) = weir_rows_int(rows, 1);
    }
    return weir_rows_end(rows);
}

const struct recommendation_handlers recommendation_handlers = {
    .get_recommendations = {get_recommendations},
    .count_orders = {count_orders},
    .on_order_paid = {on_order_paid},
    .on_user_activity = {on_user_activity},
};
