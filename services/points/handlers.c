#include "common/values.h"
#include "points/points.h"

#define WELCOME_POINTS 100

/* An order's entry has the points it earned; `taken_back` when it was cancelled, perhaps before order.paid
 * came: then there never are any. The welcome is an entry without an order. */
const char *const points_schema[] = {
    "CREATE TABLE entries ("
    "  order_id TEXT PRIMARY KEY,"
    "  customer_id TEXT NOT NULL,"
    "  points INTEGER NOT NULL,"
    "  taken_back INTEGER NOT NULL DEFAULT 0,"
    "  created_ms INTEGER NOT NULL"
    ") WITHOUT ROWID;"
    "CREATE INDEX entries_of_customer ON entries (customer_id, created_ms DESC);",
    NULL,
};

static void add_entry(struct weir_tx *tx, const char *order_id, const char *customer_id, int64_t points)
{
    weir_sql_exec(tx,
                  "INSERT INTO entries (order_id, customer_id, points, created_ms) VALUES (?, ?, ?, ?)"
                  " ON CONFLICT (order_id) DO NOTHING",
                  order_id, customer_id, points, unix_ms());
}

static enum weir_status on_order_paid(struct weir_call *call, const Order__Paid *event,
                                      Google__Protobuf__Empty *reply)
{
    (void)reply;
    struct points *points = weir_call_self(call);
    struct weir_tx *tx = weir_sql_begin(call, points->db);
    if (weir_inbox_first(tx))
        add_entry(tx, event->order_id, event->customer_id,
                  event->total ? event->total->amount_minor / 100 : 0);
    return weir_sql_commit(tx);
}

static enum weir_status on_order_cancelled(struct weir_call *call, const Order__Cancelled *event,
                                           Google__Protobuf__Empty *reply)
{
    (void)reply;
    struct points *points = weir_call_self(call);
    struct weir_tx *tx = weir_sql_begin(call, points->db);
    if (weir_inbox_first(tx))
        weir_sql_exec(tx,
                      "INSERT INTO entries (order_id, customer_id, points, taken_back, created_ms) VALUES "
                      "(?, ?, 0, 1, ?)"
                      " ON CONFLICT (order_id) DO UPDATE SET taken_back = 1",
                      event->order_id, event->customer_id, unix_ms());
    return weir_sql_commit(tx);
}

static enum weir_status on_user_registered(struct weir_call *call, const User__Registered *event,
                                           Google__Protobuf__Empty *reply)
{
    (void)reply;
    struct points *points = weir_call_self(call);
    struct weir_tx *tx = weir_sql_begin(call, points->db);
    if (weir_inbox_first(tx))
        add_entry(tx, weir_call_printf(call, "welcome:%s", event->customer_id), event->customer_id,
                  WELCOME_POINTS);
    return weir_sql_commit(tx);
}

static enum weir_status get_balance(struct weir_call *call, const Points__GetBalanceRequest *request,
                                    Points__Balance *reply)
{
    struct points *points = weir_call_self(call);
    reply->customer_id = request->customer_id;
    struct weir_rows *rows = weir_sql_read(
        call, points->db, "SELECT total(points) FROM entries WHERE customer_id = ? AND taken_back = 0",
        request->customer_id);
    if (weir_rows_next(rows))
        reply->points = weir_rows_int(rows, 0);
    enum weir_status status = weir_rows_end(rows);
    if (status != WEIR_OK)
        return status;

    reply->entries = LIST_OF(call, 100, Points__Entry);
    rows = weir_sql_read(call, points->db,
                         "SELECT order_id, points FROM entries WHERE customer_id = ? AND taken_back = 0"
                         " ORDER BY created_ms DESC, order_id DESC LIMIT 100",
                         request->customer_id);
    while (weir_rows_next(rows)) {
        Points__Entry *entry = weir_call_alloc(call, sizeof *entry);
        points__entry__init(entry);
        entry->order_id = weir_rows_text(rows, 0);
        entry->points = weir_rows_int(rows, 1);
        reply->entries[reply->n_entries++] = entry;
    }
    return weir_rows_end(rows);
}

static enum weir_status count_entries(struct weir_call *call, const Points__CountEntriesRequest *request,
                                      Points__EntryCounts *reply)
{
    (void)request;
    struct points *points = weir_call_self(call);
    struct weir_rows *rows = weir_sql_read(
        call, points->db,
        "SELECT total(taken_back = 0), total(CASE taken_back WHEN 0 THEN points END), total(taken_back)"
        " FROM entries WHERE order_id NOT LIKE 'welcome:%'");
    if (weir_rows_next(rows)) {
        reply->orders = weir_rows_int(rows, 0);
        reply->points = weir_rows_int(rows, 1);
        reply->taken_back = weir_rows_int(rows, 2);
    }
    return weir_rows_end(rows);
}

const struct points_handlers points_handlers = {
    .get_balance = {get_balance},
    .count_entries = {count_entries},
    .on_order_paid = {on_order_paid},
    .on_order_cancelled = {on_order_cancelled},
    .on_user_registered = {on_user_registered},
};
