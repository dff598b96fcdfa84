#include "common/values.h"
#include "points/points.h"
#include "points_sql.h"

#define WELCOME_POINTS 100

static enum weir_status on_order_paid(struct weir_call *call, const Order__Paid *event,
                                      Google__Protobuf__Empty *reply)
{
    (void)reply;
    struct points *points = weir_call_self(call);
    int64_t earned = event->total ? event->total->amount_minor / 100 : 0;
    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, points->db, &tx))
        if (weir_inbox_first(tx))
            add_entry(tx, event->order_id, event->customer_id, earned, unix_ms());
    return weir_sql_outcome(tx);
}

static enum weir_status on_order_cancelled(struct weir_call *call, const Order__Cancelled *event,
                                           Google__Protobuf__Empty *reply)
{
    (void)reply;
    struct points *points = weir_call_self(call);
    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, points->db, &tx))
        if (weir_inbox_first(tx))
            take_back(tx, event->order_id, event->customer_id, unix_ms());
    return weir_sql_outcome(tx);
}

static enum weir_status on_user_registered(struct weir_call *call, const User__Registered *event,
                                           Google__Protobuf__Empty *reply)
{
    (void)reply;
    struct points *points = weir_call_self(call);
    const char *entry = weir_call_printf(call, "welcome:%s", event->customer_id);
    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, points->db, &tx))
        if (weir_inbox_first(tx))
            add_entry(tx, entry, event->customer_id, WELCOME_POINTS, unix_ms());
    return weir_sql_outcome(tx);
}

static enum weir_status get_balance(struct weir_call *call, const Points__GetBalanceRequest *request,
                                    Points__Balance *reply)
{
    struct points *points = weir_call_self(call);
    reply->customer_id = request->customer_id;
    struct find_balance_row balance;
    enum weir_status status = find_balance_read(call, points->db, request->customer_id, &balance);
    if (status != WEIR_OK)
        return status;
    reply->points = balance.points;

    reply->entries = LIST_OF(call, 100, Points__Entry);
    struct entries_of_row row;
    struct entries_of_rows rows = entries_of_read(call, points->db, request->customer_id);
    while (entries_of_next(&rows, &row)) {
        Points__Entry *entry = weir_call_alloc(call, sizeof *entry);
        points__entry__init(entry);
        entry->order_id = row.order_id;
        entry->points = row.points;
        reply->entries[reply->n_entries++] = entry;
    }
    return entries_of_end(&rows);
}

static enum weir_status count_entries(struct weir_call *call, const Points__CountEntriesRequest *request,
                                      Points__EntryCounts *reply)
{
    (void)request;
    struct points *points = weir_call_self(call);
    struct count_order_entries_row row = {0};
    enum weir_status status = count_order_entries_read(call, points->db, &row);
    reply->orders = row.orders;
    reply->points = row.points;
    reply->taken_back = row.taken_back;
    return status;
}

const struct points_handlers points_handlers = {
    .get_balance = {get_balance},
    .count_entries = {count_entries},
    .on_order_paid = {on_order_paid},
    .on_order_cancelled = {on_order_cancelled},
    .on_user_registered = {on_user_registered},
};
