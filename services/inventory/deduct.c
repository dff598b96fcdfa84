/* DeductStock: what was reserved leaves the warehouse, a line a message, and each is answered when it is
 * durable. */
#include "common/values.h"
#include "inventory/inventory.h"

struct progress {
    int32_t lines_done;
};

/* A line whose reservation came back (the order took longer than that lasts) is deducted from what is on
 * hand, if there still is enough. */
static void deduct(struct weir_tx *tx, const Inventory__DeductRequest *request)
{
    struct weir_rows *rows = weir_sql_query(
        tx,
        "SELECT l.quantity, l.state, r.state FROM reservation_lines l JOIN reservations r USING (order_id)"
        " WHERE l.order_id = ? AND l.sku = ?",
        request->order_id, request->sku);
    bool found = weir_rows_next(rows);
    int64_t quantity = found ? weir_rows_int(rows, 0) : 0;
    int64_t state = found ? weir_rows_int(rows, 1) : 0;
    bool expired = found && weir_rows_int(rows, 2) == RESERVATION_EXPIRED;
    weir_rows_end(rows);

    if (!found || quantity != request->quantity) {
        weir_sql_fail(tx, WEIR_FAILED_PRECONDITION, "order %s: no %d of sku %s are reserved",
                      request->order_id, request->quantity, request->sku);
    } else if (state == LINE_RESERVED) {
        weir_sql_exec(tx,
                      "UPDATE stock SET reserved = reserved - ?1, deducted = deducted + ?1 WHERE sku = ?2",
                      quantity, request->sku);
    } else if (state == LINE_RELEASED && expired) {
        int64_t taken = weir_sql_exec(tx,
                                      "UPDATE stock SET on_hand = on_hand - ?1, deducted = deducted + ?1"
                                      " WHERE sku = ?2 AND on_hand >= ?1",
                                      quantity, request->sku);
        if (taken == 0)
            weir_sql_fail(tx, WEIR_FAILED_PRECONDITION,
                          "order %s: the reservation of sku %s expired, and it is sold out",
                          request->order_id, request->sku);
    } else if (state != LINE_DEDUCTED) {
        weir_sql_fail(tx, WEIR_FAILED_PRECONDITION, "order %s: sku %s was given back", request->order_id,
                      request->sku);
    }
    if (state != LINE_DEDUCTED)
        weir_sql_exec(tx, "UPDATE reservation_lines SET state = ? WHERE order_id = ? AND sku = ?",
                      LINE_DEDUCTED, request->order_id, request->sku);
}

static struct progress *progress_of(struct weir_call *call)
{
    if (!weir_call_state(call))
        weir_call_set_state(call, weir_call_alloc(call, sizeof(struct progress)));
    return weir_call_state(call);
}

enum weir_status deduct_one(struct weir_call *call, const Inventory__DeductRequest *request)
{
    struct inventory *inventory = weir_call_self(call);
    struct weir_tx *tx = weir_sql_begin(call, inventory->db);
    deduct(tx, request);
    enum weir_status status = weir_sql_commit(tx);
    if (status != WEIR_OK)
        return status;

    struct progress *progress = progress_of(call);
    Inventory__DeductProgress reply = INVENTORY__DEDUCT_PROGRESS__INIT;
    reply.order_id = request->order_id;
    reply.sku = request->sku;
    reply.lines_done = ++progress->lines_done;
    status = inventory_deduct_stock_send(call, &reply);
    return status == WEIR_PENDING ? WEIR_OK : status; /* one answer a message: never far behind */
}

/* What was answered is durable, and what was not may be sent again, so the stream can end between two
 * messages. */
void deduct_soon(struct weir_call *call, int64_t left_ms)
{
    (void)left_ms;
    weir_call_fail(call, WEIR_UNAVAILABLE, "inventory is stopping; send what was not answered again");
    weir_stream_end(call, WEIR_UNAVAILABLE);
}
