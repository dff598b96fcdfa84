#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/values.h"
#include "order/order.h"
#include "order_sql.h"

enum weir_status get_order(struct weir_call *call, const Order__GetOrderRequest *request, Order__Order *reply)
{
    struct order_service *service = weir_call_self(call);
    return order_get(call, service->db, request->order_id, reply);
}

/* A page token is where the page before ended: "<created_ms>.<order_id>". */
static enum weir_status read_token(struct weir_call *call, const char *token, int64_t *ret_created_ms,
                                   const char **ret_order_id)
{
    *ret_created_ms = INT64_MAX;
    *ret_order_id = "";
    if (!token[0])
        return WEIR_OK;
    char *end;
    *ret_created_ms = strtoll(token, &end, 10);
    if (end == token || *end != '.' || !weir_id_valid(end + 1))
        return weir_call_fail(call, WEIR_INVALID_ARGUMENT, "page_token: not one that an answer gave");
    *ret_order_id = end + 1;
    return WEIR_OK;
}

enum weir_status list_orders(struct weir_call *call, const Order__ListOrdersRequest *request,
                             Order__ListOrdersResponse *reply)
{
    struct order_service *service = weir_call_self(call);
    int32_t page_size = request->page_size;
    int64_t created_ms;
    const char *order_id;
    enum weir_status status = check_name(call, "customer_id", request->customer_id, 64);
    if (status == WEIR_OK)
        status = check_page_size(call, &page_size);
    if (status == WEIR_OK)
        status = read_token(call, request->page_token, &created_ms, &order_id);
    if (status != WEIR_OK)
        return status;

    struct orders_of_customer_row found[101];
    int count = 0;
    struct orders_of_customer_rows rows =
        orders_of_customer_read(call, service->db, request->customer_id, created_ms, order_id, page_size + 1);
    while (count <= page_size && orders_of_customer_next(&rows, &found[count]))
        count++;
    status = orders_of_customer_end(&rows);

    reply->orders = LIST_OF(call, page_size, Order__Order);
    for (int i = 0; i < count && i < page_size && status == WEIR_OK; i++) {
        Order__Order *order = weir_call_alloc(call, sizeof *order);
        order__order__init(order);
        status = order_get(call, service->db, found[i].order_id, order);
        reply->orders[reply->n_orders++] = order;
    }
    if (status == WEIR_OK && count > page_size) {
        const Order__Order *last = reply->orders[page_size - 1];
        int64_t last_ms = last->created_at->seconds * 1000 + last->created_at->nanos / 1000000;
        reply->next_page_token = weir_call_printf(call, "%lld.%s", (long long)last_ms, last->order_id);
    }
    return status;
}

enum weir_status count_orders(struct weir_call *call, const Order__CountOrdersRequest *request,
                              Order__OrderCounts *reply)
{
    (void)request;
    struct order_service *service = weir_call_self(call);
    int64_t orders = 0, cancels = 0;
    enum weir_status status = weir_saga_count(call, service->sagas, order_life(service), &orders);
    if (status == WEIR_OK)
        status = weir_saga_count(call, service->sagas, &cancel_saga, &cancels);
    if (status != WEIR_OK)
        return status;
    reply->unsettled = orders + cancels;
    struct count_by_state_row row;
    struct count_by_state_rows rows = count_by_state_read(call, service->db);
    while (count_by_state_next(&rows, &row)) {
        switch ((Order__OrderState)row.state) {
        case PENDING:
            reply->pending = row.orders;
            break;
        case REJECTED:
            reply->rejected = row.orders;
            break;
        case CONFIRMED:
            reply->confirmed = row.orders;
            break;
        case COMPLETED:
            reply->completed = row.orders;
            break;
        case CANCELLED:
            reply->cancelled = row.orders;
            break;
        default:
            break;
        }
    }
    return count_by_state_end(&rows);
}

/* ---- What its sagas do ---- */

static Google__Protobuf__Timestamp *time_of(struct weir_call *call, int64_t ms)
{
    return ms ? timestamp_of(call, ms) : NULL;
}

static Order__Saga *saga_of(struct weir_call *call, const struct weir_saga_type *type,
                            const struct weir_saga_view *view)
{
    Order__Saga *saga = weir_call_alloc(call, sizeof *saga);
    order__saga__init(saga);
    saga->name = weir_call_strdup(call, type->name);
    saga->state = (Order__SagaState)view->state;
    saga->step = weir_call_strdup(call, view->step);
    saga->reason = weir_call_strdup(call, view->reason);
    saga->attempts = view->attempts;
    saga->begun_at = time_of(call, view->begun_ms);
    saga->ended_at = time_of(call, view->ended_ms);
    saga->deadline_at = time_of(call, view->deadline_ms);
    saga->next_attempt_at = time_of(call, view->next_ms);
    saga->steps = LIST_OF(call, view->n_steps, Order__SagaStep);
    for (size_t i = 0; i < view->n_steps; i++) {
        Order__SagaStep *step = weir_call_alloc(call, sizeof *step);
        order__saga_step__init(step);
        step->name = weir_call_strdup(call, view->steps[i].name);
        step->began_at = time_of(call, view->steps[i].began_ms);
        step->ended_at = time_of(call, view->steps[i].ended_ms);
        step->undone_at = time_of(call, view->steps[i].undone_ms);
        step->attempts = view->steps[i].attempts;
        step->error = weir_call_strdup(call, view->steps[i].error);
        saga->steps[saga->n_steps++] = step;
    }
    return saga;
}

enum weir_status get_order_saga(struct weir_call *call, const Order__GetOrderSagaRequest *request,
                                Order__OrderSaga *reply)
{
    struct order_service *service = weir_call_self(call);
    struct weir_saga_view view;
    enum weir_status status =
        weir_saga_look(call, service->sagas, order_life(service), request->order_id, &view);
    if (status == WEIR_NOT_FOUND)
        return weir_call_fail(call, WEIR_NOT_FOUND, "no order \"%s\"", request->order_id);
    if (status != WEIR_OK)
        return status;
    reply->order_id = request->order_id;
    reply->order = saga_of(call, &order_saga, &view);
    status = weir_saga_look(call, service->sagas, &cancel_saga, request->order_id, &view);
    if (status == WEIR_OK)
        reply->cancel = saga_of(call, &cancel_saga, &view);
    return status == WEIR_NOT_FOUND ? WEIR_OK : status;
}
