/* All lines of an order are reserved, or none; they come back by Release, by Restock, or when their time is
 * over. */
#include <string.h>

#include "common/values.h"
#include "inventory/inventory.h"

static enum weir_status check_lines(struct weir_call *call, const Inventory__ReserveRequest *request)
{
    enum weir_status status = check_name(call, "order_id", request->order_id, 64);
    if (status != WEIR_OK)
        return status;
    if (request->n_lines < 1 || request->n_lines > 50)
        return weir_call_fail(call, WEIR_INVALID_ARGUMENT, "lines: %zu lines, 1 to 50 are allowed",
                              request->n_lines);
    for (size_t i = 0; i < request->n_lines; i++) {
        const Inventory__Line *line = request->lines[i];
        if (line->quantity < 1 || line->quantity > 1000)
            return weir_call_fail(call, WEIR_INVALID_ARGUMENT,
                                  "lines[%zu].quantity: %d is not within 1 to 1000", i, line->quantity);
    }
    return WEIR_OK;
}

/* The reservation that an order has, with its lines and prices. 0 when there is none, else its state. */
static int load(struct weir_tx *tx, const char *order_id, Inventory__Reservation *reply)
{
    struct weir_call *call = weir_sql_call(tx);
    struct weir_rows *rows =
        weir_sql_query(tx, "SELECT state, expires_ms FROM reservations WHERE order_id = ?", order_id);
    int state = weir_rows_next(rows) ? (int)weir_rows_int(rows, 0) : 0;
    if (state)
        reply->expires_at = timestamp_of(call, weir_rows_int(rows, 1));
    weir_rows_end(rows);
    if (!state)
        return 0;

    reply->order_id = weir_call_strdup(call, order_id);
    reply->lines = LIST_OF(call, 50, Inventory__PricedLine);
    rows = weir_sql_query(
        tx,
        "SELECT l.sku, l.quantity, p.price_minor, p.currency"
        " FROM reservation_lines l JOIN products p USING (sku) WHERE l.order_id = ? ORDER BY l.sku",
        order_id);
    int64_t total = 0;
    while (weir_rows_next(rows) && reply->n_lines < 50) {
        Inventory__PricedLine *line = weir_call_alloc(call, sizeof *line);
        inventory__priced_line__init(line);
        line->sku = weir_rows_text(rows, 0);
        line->quantity = (int32_t)weir_rows_int(rows, 1);
        line->price = money_of(call, weir_rows_int(rows, 2), weir_rows_text(rows, 3));
        total += line->price->amount_minor * line->quantity;
        reply->lines[reply->n_lines++] = line;
    }
    weir_rows_end(rows);
    reply->total = money_of(call, total, SHOP_CURRENCY);
    return state;
}

static bool has_line(const Inventory__Reservation *reservation, const Inventory__Line *line)
{
    for (size_t i = 0; i < reservation->n_lines; i++)
        if (strcmp(reservation->lines[i]->sku, line->sku) == 0)
            return reservation->lines[i]->quantity == line->quantity;
    return false;
}

/* A second Reserve of an order: the same lines again, or a refusal. */
static void reserved_before(struct weir_tx *tx, const Inventory__ReserveRequest *request, int state,
                            const Inventory__Reservation *reply)
{
    if (state != RESERVATION_ACTIVE) {
        weir_sql_fail(tx, WEIR_FAILED_PRECONDITION, "order %s: its reservation was released",
                      request->order_id);
        return;
    }
    bool same = request->n_lines == reply->n_lines;
    for (size_t i = 0; same && i < request->n_lines; i++)
        same = has_line(reply, request->lines[i]);
    if (!same)
        weir_sql_fail(tx, WEIR_ALREADY_EXISTS, "order %s: other lines are reserved", request->order_id);
}

/* Says why a line could not be taken. */
static void refuse_line(struct weir_tx *tx, const Inventory__Line *line)
{
    struct weir_rows *rows = weir_sql_query(tx, "SELECT on_hand FROM stock WHERE sku = ?", line->sku);
    bool found = weir_rows_next(rows);
    int64_t left = found ? weir_rows_int(rows, 0) : 0;
    weir_rows_end(rows);
    if (found)
        weir_sql_fail(tx, WEIR_FAILED_PRECONDITION, "sku %s: %d wanted, %lld left", line->sku, line->quantity,
                      (long long)left);
    else
        weir_sql_fail(tx, WEIR_NOT_FOUND, "no product \"%s\"", line->sku);
}

/* An event once, when the stock falls under its threshold. */
static void tell_when_low(struct weir_tx *tx, const Inventory__Line *line)
{
    struct weir_rows *rows =
        weir_sql_query(tx, "SELECT on_hand, threshold FROM stock WHERE sku = ?", line->sku);
    Inventory__Low event = INVENTORY__LOW__INIT;
    bool low = false;
    if (weir_rows_next(rows)) {
        event.sku = line->sku;
        event.on_hand = weir_rows_int(rows, 0);
        event.threshold = weir_rows_int(rows, 1);
        low = event.on_hand < event.threshold && event.on_hand + line->quantity >= event.threshold;
    }
    weir_rows_end(rows);
    if (low)
        inventory_low_publish(tx, &event);
}

static void take_lines(struct weir_tx *tx, const Inventory__ReserveRequest *request)
{
    for (size_t i = 0; i < request->n_lines && weir_sql_status(tx) == WEIR_OK; i++) {
        const Inventory__Line *line = request->lines[i];
        int64_t taken = weir_sql_exec(tx,
                                      "UPDATE stock SET on_hand = on_hand - ?1, reserved = reserved + ?1"
                                      " WHERE sku = ?2 AND on_hand >= ?1",
                                      line->quantity, line->sku);
        if (taken == 0) {
            refuse_line(tx, line);
            return;
        }
        weir_sql_exec(tx,
                      "INSERT INTO reservation_lines (order_id, sku, quantity, state) VALUES (?, ?, ?, ?)",
                      request->order_id, line->sku, line->quantity, LINE_RESERVED);
        tell_when_low(tx, line);
    }
}

enum weir_status reserve(struct weir_call *call, const Inventory__ReserveRequest *request,
                         Inventory__Reservation *reply)
{
    struct inventory *inventory = weir_call_self(call);
    enum weir_status status = check_lines(call, request);
    if (status != WEIR_OK)
        return status;

    struct weir_tx *tx = weir_sql_begin(call, inventory->db);
    int state = load(tx, request->order_id, reply);
    if (state) {
        reserved_before(tx, request, state, reply);
    } else {
        weir_sql_exec(tx, "INSERT INTO reservations (order_id, state, expires_ms) VALUES (?, ?, ?)",
                      request->order_id, RESERVATION_ACTIVE, unix_ms() + inventory->reservation_ms);
        take_lines(tx, request);
        if (weir_sql_status(tx) == WEIR_OK)
            load(tx, request->order_id, reply);
    }
    return weir_sql_commit(tx);
}

int64_t give_back_lines(struct weir_tx *tx, const char *order_id, enum line_state from, enum line_state to)
{
    struct {
        const char *sku;
        int64_t quantity;
    } lines[50];
    int count = 0;
    struct weir_rows *rows =
        weir_sql_query(tx, "SELECT sku, quantity FROM reservation_lines WHERE order_id = ? AND state = ?",
                       order_id, (int)from);
    while (count < 50 && weir_rows_next(rows)) {
        lines[count].sku = weir_rows_text(rows, 0);
        lines[count++].quantity = weir_rows_int(rows, 1);
    }
    weir_rows_end(rows);

    /* Restocking counts the goods in again; releasing moves them back. */
    const char *update =
        from == LINE_RESERVED
            ? "UPDATE stock SET reserved = reserved - ?1, on_hand = on_hand + ?1 WHERE sku = ?2"
            : "UPDATE stock SET restocked = restocked + ?1, on_hand = on_hand + ?1 WHERE sku = ?2";
    for (int i = 0; i < count; i++)
        weir_sql_exec_values(
            tx, update,
            (struct weir_value[]){weir_value_int(lines[i].quantity), weir_value_text(lines[i].sku)}, 2);
    weir_sql_exec(tx, "UPDATE reservation_lines SET state = ? WHERE order_id = ? AND state = ?", (int)to,
                  order_id, (int)from);
    return count;
}

enum weir_status release(struct weir_call *call, const Inventory__ReleaseRequest *request,
                         Inventory__ReleaseResponse *reply)
{
    struct inventory *inventory = weir_call_self(call);
    enum weir_status status = check_name(call, "order_id", request->order_id, 64);
    if (status != WEIR_OK)
        return status;

    struct weir_tx *tx = weir_sql_begin(call, inventory->db);
    weir_sql_exec(tx,
                  "INSERT INTO reservations (order_id, state, expires_ms) VALUES (?1, ?2, ?3)"
                  " ON CONFLICT (order_id) DO UPDATE SET state = ?2",
                  request->order_id, RESERVATION_RELEASED, unix_ms());
    reply->released = give_back_lines(tx, request->order_id, LINE_RESERVED, LINE_RELEASED) > 0;
    return weir_sql_commit(tx);
}

enum weir_status restock(struct weir_call *call, const Inventory__RestockRequest *request,
                         Inventory__RestockResponse *reply)
{
    struct inventory *inventory = weir_call_self(call);
    enum weir_status status = check_name(call, "order_id", request->order_id, 64);
    if (status != WEIR_OK)
        return status;

    struct weir_tx *tx = weir_sql_begin(call, inventory->db);
    reply->restocked = give_back_lines(tx, request->order_id, LINE_DEDUCTED, LINE_RESTOCKED) > 0;
    return weir_sql_commit(tx);
}

bool inventory_expire(struct weir_call *call)
{
    struct inventory *inventory = weir_call_self(call);
    struct weir_tx *tx = weir_sql_begin(call, inventory->db);
    char *order_ids[50];
    int count = 0;
    struct weir_rows *rows = weir_sql_query(
        tx, "SELECT order_id FROM reservations WHERE state = 1 AND expires_ms < ? LIMIT 50", unix_ms());
    while (count < 50 && weir_rows_next(rows))
        order_ids[count++] = weir_rows_text(rows, 0);
    weir_rows_end(rows);

    int64_t lines = 0;
    for (int i = 0; i < count; i++) {
        lines += give_back_lines(tx, order_ids[i], LINE_RESERVED, LINE_RELEASED);
        weir_sql_exec(tx, "UPDATE reservations SET state = ? WHERE order_id = ?", RESERVATION_EXPIRED,
                      order_ids[i]);
    }
    if (weir_sql_commit(tx) != WEIR_OK)
        weir_log_warn("expired reservations were not released", weir_field_error(weir_call_error(call)));
    else if (lines > 0)
        weir_log_info("expired reservations released", weir_field_int("lines", lines));
    return count == 50;
}
