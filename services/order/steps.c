/* What an order asks of inventory, payment and logistics. Every function is idempotent at the other side, by the order's id,
 * and every undoing leaves a mark there: what it undoes has no effect when it comes later. */
#include "common/values.h"
#include "order/order.h"

enum weir_status reserve_stock(struct weir_call *call, void *subject)
{
    struct order_service *service = weir_call_self(call);
    Order__Order *order = subject;
    Inventory__ReserveRequest reserve = INVENTORY__RESERVE_REQUEST__INIT;
    reserve.order_id = order->order_id;
    reserve.lines = LIST_OF(call, order->n_items, Inventory__Line);
    for (size_t i = 0; i < order->n_items; i++) {
        Inventory__Line *line = weir_call_alloc(call, sizeof *line);
        inventory__line__init(line);
        line->sku = order->items[i]->sku;
        line->quantity = order->items[i]->quantity;
        reserve.lines[reserve.n_lines++] = line;
    }
    Inventory__Reservation *reservation;
    enum weir_status status = inventory_reserve(call, service->inventory, &reserve, &reservation);
    if (status == WEIR_OK)
        order->total = reservation->total;
    return status;
}

enum weir_status release_stock(struct weir_call *call, void *subject)
{
    struct order_service *service = weir_call_self(call);
    const Order__Order *order = subject;
    Inventory__ReleaseRequest request = INVENTORY__RELEASE_REQUEST__INIT;
    request.order_id = order->order_id;
    Inventory__ReleaseResponse *response;
    return inventory_release(call, service->inventory, &request, &response);
}

static enum weir_status receive_progress(struct weir_call *call, struct weir_client_stream *stream,
                                         const Order__Order *order)
{
    struct order_service *service = weir_call_self(call);
    for (size_t line = 0; line < order->n_items; line++) {
        if (!inventory_deduct_stock_read(stream))
            return WEIR_UNAVAILABLE; /* its end says why */
        watchers_tell(&service->watchers, order->order_id, (int32_t)line + 1);
    }
    return WEIR_OK;
}

enum weir_status deduct_stock(struct weir_call *call, void *subject)
{
    struct order_service *service = weir_call_self(call);
    const Order__Order *order = subject;
    struct weir_client_stream *stream = inventory_deduct_stock_open(call, service->inventory);
    for (size_t i = 0; i < order->n_items; i++) {
        Inventory__DeductRequest request = INVENTORY__DEDUCT_REQUEST__INIT;
        request.order_id = order->order_id;
        request.sku = order->items[i]->sku;
        request.quantity = order->items[i]->quantity;
        if (inventory_deduct_stock_write(stream, &request) != WEIR_OK)
            break;
    }
    weir_client_stream_half_close(stream);
    enum weir_status received = receive_progress(call, stream, order);
    if (received == WEIR_OK)
        inventory_deduct_stock_read(stream); /* the end */
    enum weir_status status = weir_client_stream_finish(stream);
    return status == WEIR_OK ? received : status;
}

/* What is not deducted yet is released first, so that a deduction still under way finds nothing. */
enum weir_status restock(struct weir_call *call, void *subject)
{
    struct order_service *service = weir_call_self(call);
    const Order__Order *order = subject;
    Inventory__RestockRequest request = INVENTORY__RESTOCK_REQUEST__INIT;
    request.order_id = order->order_id;
    Inventory__RestockResponse *response;
    enum weir_status status = release_stock(call, subject);
    return status == WEIR_OK ? inventory_restock(call, service->inventory, &request, &response) : status;
}

static Payment__PaymentRequest payment_of(const Order__Order *order)
{
    Payment__PaymentRequest request = PAYMENT__PAYMENT_REQUEST__INIT;
    request.order_id = order->order_id;
    return request;
}

enum weir_status authorize_payment(struct weir_call *call, void *subject)
{
    struct order_service *service = weir_call_self(call);
    Order__Order *order = subject;
    Payment__AuthorizeRequest authorize = PAYMENT__AUTHORIZE_REQUEST__INIT;
    authorize.order_id = order->order_id;
    authorize.customer_id = order->customer_id;
    authorize.amount = order->total;
    Payment__Payment *payment;
    return payment_authorize(call, service->payment, &authorize, &payment);
}

/* Refused only where it has been captured: then it is refunded already. */
enum weir_status void_payment(struct weir_call *call, void *subject)
{
    struct order_service *service = weir_call_self(call);
    Payment__PaymentRequest request = payment_of(subject);
    Payment__Payment *payment;
    enum weir_status status = payment_void(call, service->payment, &request, &payment);
    return status == WEIR_FAILED_PRECONDITION ? WEIR_OK : status;
}

enum weir_status capture_payment(struct weir_call *call, void *subject)
{
    struct order_service *service = weir_call_self(call);
    Payment__PaymentRequest request = payment_of(subject);
    Payment__Payment *payment;
    return payment_capture(call, service->payment, &request, &payment);
}

/* What is not captured yet is voided first, so that a capture still under way is refused. */
enum weir_status refund_payment(struct weir_call *call, void *subject)
{
    struct order_service *service = weir_call_self(call);
    Payment__PaymentRequest request = payment_of(subject);
    Payment__Payment *payment;
    enum weir_status status = payment_void(call, service->payment, &request, &payment);
    if (status == WEIR_FAILED_PRECONDITION)
        status = payment_refund(call, service->payment, &request, &payment);
    return status;
}

/* Refused when the parcel has left. */
enum weir_status keep_parcel(struct weir_call *call, void *subject)
{
    struct order_service *service = weir_call_self(call);
    const Order__Order *order = subject;
    Logistics__CancelShipmentRequest request = LOGISTICS__CANCEL_SHIPMENT_REQUEST__INIT;
    request.order_id = order->order_id;
    Logistics__Shipment *shipment;
    return logistics_cancel_shipment(call, service->logistics, &request, &shipment);
}
