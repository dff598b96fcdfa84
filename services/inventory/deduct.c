/* DeductStock: what was reserved leaves the warehouse, a line a message, and each is answered when it is
 * durable. */
#include "common/values.h"
#include "inventory/inventory.h"
#include "inventory_sql.h"

struct progress {
    int32_t lines_done;
};

/* A line whose reservation came back (the order took longer than that lasts) is deducted from what is on
 * hand, if there still is enough. */
static void deduct(struct weir_tx *tx, const Inventory__DeductRequest *request)
{
    struct find_line_row line = {0};
    bool found = find_line(tx, request->order_id, request->sku, &line);
    if (!found || line.quantity != request->quantity) {
        weir_sql_fail(tx, WEIR_FAILED_PRECONDITION, "order %s: no %d of sku %s are reserved",
                      request->order_id, request->quantity, request->sku);
    } else if (line.state == LINE_RESERVED) {
        deduct_reserved(tx, line.quantity, request->sku);
    } else if (line.state == LINE_RELEASED && line.reservation_state == RESERVATION_EXPIRED) {
        if (deduct_on_hand(tx, line.quantity, request->sku) == 0)
            weir_sql_fail(tx, WEIR_FAILED_PRECONDITION,
                          "order %s: the reservation of sku %s expired, and it is sold out",
                          request->order_id, request->sku);
    } else if (line.state != LINE_DEDUCTED) {
        weir_sql_fail(tx, WEIR_FAILED_PRECONDITION, "order %s: sku %s was given back", request->order_id,
                      request->sku);
    }
    if (line.state != LINE_DEDUCTED)
        set_line_state(tx, LINE_DEDUCTED, request->order_id, request->sku);
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
    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, inventory->db, &tx))
        deduct(tx, request);
    enum weir_status status = weir_sql_outcome(tx);
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
