/* All lines of an order are reserved, or none; they come back by Release, by Restock, or when their time is
 * over. */
#include <string.h>

#include "common/values.h"
#include "inventory/inventory.h"
#include "inventory_sql.h"

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
static int64_t load(struct weir_tx *tx, const char *order_id, Inventory__Reservation *reply)
{
    struct weir_call *call = weir_sql_call(tx);
    struct find_reservation_row reservation;
    if (!find_reservation(tx, order_id, &reservation))
        return 0;

    reply->order_id = weir_call_strdup(call, order_id);
    reply->expires_at = timestamp_of(call, reservation.expires_ms);
    reply->lines = LIST_OF(call, 50, Inventory__PricedLine);
    reply->n_lines = 0;
    int64_t total = 0;
    struct priced_lines_row row;
    struct priced_lines_rows rows = priced_lines(tx, order_id);
    while (reply->n_lines < 50 && priced_lines_next(&rows, &row)) {
        Inventory__PricedLine *line = weir_call_alloc(call, sizeof *line);
        inventory__priced_line__init(line);
        line->sku = row.sku;
        line->quantity = (int32_t)row.quantity;
        line->price = money_of(call, row.price_minor, row.currency);
        total += row.price_minor * row.quantity;
        reply->lines[reply->n_lines++] = line;
    }
    priced_lines_end(&rows);
    reply->total = money_of(call, total, SHOP_CURRENCY);
    return reservation.state;
}

static bool has_line(const Inventory__Reservation *reservation, const Inventory__Line *line)
{
    for (size_t i = 0; i < reservation->n_lines; i++)
        if (strcmp(reservation->lines[i]->sku, line->sku) == 0)
            return reservation->lines[i]->quantity == line->quantity;
    return false;
}

/* A second Reserve of an order: the same lines again, or a refusal. */
static void reserved_before(struct weir_tx *tx, const Inventory__ReserveRequest *request, int64_t state,
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
    struct find_stock_row stock;
    if (find_stock(tx, line->sku, &stock))
        weir_sql_fail(tx, WEIR_FAILED_PRECONDITION, "sku %s: %d wanted, %lld left", line->sku, line->quantity,
                      (long long)stock.on_hand);
    else
        weir_sql_fail(tx, WEIR_NOT_FOUND, "no product \"%s\"", line->sku);
}

/* An event once, when the stock falls under its threshold. */
static void tell_when_low(struct weir_tx *tx, const Inventory__Line *line)
{
    struct find_stock_row stock;
    if (!find_stock(tx, line->sku, &stock) || stock.on_hand >= stock.threshold ||
        stock.on_hand + line->quantity < stock.threshold)
        return;
    Inventory__Low event = INVENTORY__LOW__INIT;
    event.sku = line->sku;
    event.on_hand = stock.on_hand;
    event.threshold = stock.threshold;
    inventory_low_publish(tx, &event);
}

static void take_lines(struct weir_tx *tx, const Inventory__ReserveRequest *request)
{
    for (size_t i = 0; i < request->n_lines && weir_sql_status(tx) == WEIR_OK; i++) {
        const Inventory__Line *line = request->lines[i];
        if (take_stock(tx, line->quantity, line->sku) == 0) {
            refuse_line(tx, line);
            return;
        }
        add_line(tx, request->order_id, line->sku, line->quantity, LINE_RESERVED);
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

    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, inventory->db, &tx)) {
        int64_t state = load(tx, request->order_id, reply);
        if (state) {
            reserved_before(tx, request, state, reply);
            continue;
        }
        add_reservation(tx, request->order_id, RESERVATION_ACTIVE, unix_ms() + inventory->reservation_ms);
        take_lines(tx, request);
        load(tx, request->order_id, reply);
    }
    return weir_sql_outcome(tx);
}

int64_t give_back_lines(struct weir_tx *tx, const char *order_id, enum line_state from, enum line_state to)
{
    struct lines_in_state_row lines[50];
    int count = 0;
    struct lines_in_state_rows rows = lines_in_state(tx, order_id, from);
    while (count < 50 && lines_in_state_next(&rows, &lines[count]))
        count++;
    lines_in_state_end(&rows);

    for (int i = 0; i < count; i++) {
        if (from == LINE_RESERVED)
            put_back_reserved(tx, lines[i].quantity, lines[i].sku);
        else
            put_back_deducted(tx, lines[i].quantity, lines[i].sku);
    }
    move_lines(tx, to, order_id, from);
    return count;
}

enum weir_status release(struct weir_call *call, const Inventory__ReleaseRequest *request,
                         Inventory__ReleaseResponse *reply)
{
    struct inventory *inventory = weir_call_self(call);
    enum weir_status status = check_name(call, "order_id", request->order_id, 64);
    if (status != WEIR_OK)
        return status;

    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, inventory->db, &tx)) {
        mark_released(tx, request->order_id, RESERVATION_RELEASED, unix_ms());
        reply->released = give_back_lines(tx, request->order_id, LINE_RESERVED, LINE_RELEASED) > 0;
    }
    return weir_sql_outcome(tx);
}

enum weir_status restock(struct weir_call *call, const Inventory__RestockRequest *request,
                         Inventory__RestockResponse *reply)
{
    struct inventory *inventory = weir_call_self(call);
    enum weir_status status = check_name(call, "order_id", request->order_id, 64);
    if (status != WEIR_OK)
        return status;

    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, inventory->db, &tx))
        reply->restocked = give_back_lines(tx, request->order_id, LINE_DEDUCTED, LINE_RESTOCKED) > 0;
    return weir_sql_outcome(tx);
}

bool inventory_expire(struct weir_call *call)
{
    struct inventory *inventory = weir_call_self(call);
    int count = 0;
    int64_t lines = 0;
    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(call, inventory->db, &tx)) {
        struct expired_reservations_row expired[50];
        struct expired_reservations_rows rows = expired_reservations(tx, unix_ms());
        count = 0;
        while (count < 50 && expired_reservations_next(&rows, &expired[count]))
            count++;
        expired_reservations_end(&rows);

        lines = 0;
        for (int i = 0; i < count; i++) {
            lines += give_back_lines(tx, expired[i].order_id, LINE_RESERVED, LINE_RELEASED);
            set_reservation_state(tx, RESERVATION_EXPIRED, expired[i].order_id);
        }
    }
    if (weir_sql_outcome(tx) != WEIR_OK)
        weir_log_warn("expired reservations were not released", weir_field_error(weir_call_error(call)));
    else if (lines > 0)
        weir_log_info("expired reservations released", weir_field_int("lines", lines));
    return count == 50;
}
