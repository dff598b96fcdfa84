#!/usr/bin/env python3
"""What becomes of single orders: placed, refused, repeated, watched, cancelled, given up."""

import http.client
import json
import subprocess
import time

from shop import BUILD, ROOT, run

TEA = {"sku": "tea-assam", "quantity": 2}
JAM = {"sku": "jam-fig", "quantity": 1}
TOTAL = 2 * 690 + 495  # cents, as inventory's schema has them


def ask(shop, method, path, body=None, service="gateway", headers=None):
    """Status and JSON of one request."""
    host, port = shop.address(service, "rest").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=40)
    connection.request(method, path, json.dumps(body) if body is not None else None,
                       {"Content-Type": "application/json", **(headers or {})})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text)


def place(shop, **order):
    return ask(shop, "POST", "/v1/orders", {"customer_id": "ada", "items": [TEA, JAM], **order})


def call(shop, service, method, request):
    """Status words and the answers of a call over gRPC, a line each."""
    result = subprocess.run([f"{BUILD}/framework/tools/weir/weir", "call", shop.address(service, "grpc"), method,
                             json.dumps(request)], cwd=ROOT, capture_output=True, text=True, timeout=60)
    return result.stderr.strip(), result.stdout


def until(what, ask_again, wanted, within=30):
    end = time.monotonic() + within
    while (value := ask_again()) != wanted:
        if time.monotonic() > end:
            raise AssertionError(f"{what}: {value}, not {wanted}, after {within} s")
        time.sleep(0.05)  # a poll with a deadline


def state_of(shop, order_id):
    return ask(shop, "GET", f"/v1/orders/{order_id}")[1].get("state")


def stock_of(shop, sku):
    stock = ask(shop, "GET", f"/v1/products/{sku}/stock")[1]
    return {key: int(stock[key]) for key in ("onHand", "reserved", "deducted", "restocked")}


def an_order_is_confirmed_settled_shipped_and_gives_points(shop):
    shop.start_all()
    status, order = place(shop)
    shop.expect("status, state, total", (status, order["state"], order["total"]),
                (200, "ORDER_STATE_CONFIRMED", {"amountMinor": str(TOTAL), "currency": "EUR"}))
    order_id = order["orderId"]
    errors, watched = call(shop, "order", "shop.order.v1.OrderService/WatchOrder", {"order_id": order_id})
    last = json.loads(watched.strip().splitlines()[-1])
    shop.expect("the last that a watcher sees", (errors, last["state"], last["linesDeducted"]),
                ("", "ORDER_STATE_COMPLETED", 2))
    shop.expect("stock of tea", stock_of(shop, "tea-assam"), {"onHand": 99998, "reserved": 0, "deducted": 2, "restocked": 0})
    until("points", lambda: ask(shop, "GET", "/v1/points/ada")[1]["points"], str(TOTAL // 100))
    until("shipment", lambda: ask(shop, "GET", f"/v1/shipments/{order_id}")[1].get("state"), "SHIPMENT_STATE_PLANNED")
    until("bought together", lambda: ask(shop, "GET", "/v1/recommendations/jam-fig")[1]["recommendations"],
          [{"sku": "tea-assam", "boughtTogether": "1"}])
    ask(shop, "GET", "/v1/products/jam-fig", headers={"X-Customer-Id": "ada"})
    until("views", lambda: ask(shop, "GET", "/v1/recommendations/jam-fig")[1]["views"], "1")
    shop.stop_all()
    shop.check_exits()


def a_declined_payment_releases_the_stock(shop):
    shop.start_all()
    status, problem = place(shop, customer_id="mallory")
    shop.expect("status and code", (status, problem["code"]), (409, "FAILED_PRECONDITION"))
    shop.expect("words", problem["detail"].split(" rejected: ")[1], "payment declined")
    order_id = problem["detail"].split()[1]
    shop.expect("state", state_of(shop, order_id), "ORDER_STATE_REJECTED")
    until("stock of tea", lambda: stock_of(shop, "tea-assam"), {"onHand": 100000, "reserved": 0, "deducted": 0, "restocked": 0})
    status, again = place(shop, customer_id="mallory", order_id=order_id)
    shop.expect("the same order again", (status, again["detail"]), (409, problem["detail"]))
    status, problem = place(shop, items=[{"sku": "jam-fig", "quantity": 1000}, {"sku": "nonsense", "quantity": 1}])
    shop.expect("unknown goods", (status, problem["detail"].split(" rejected: ")[1]), (409, 'no product "nonsense"'))
    until("stock of jam", lambda: stock_of(shop, "jam-fig")["reserved"], 0)
    shop.expect("events of refused orders", shop.value("logistics", "SELECT count(*) FROM shipments"), 0)
    shop.stop_all()


def the_same_order_again_is_the_same_order(shop):
    shop.start_all()
    order_id = "018f6a0e-7c1a-7000-8000-00000000000a"
    first, second = place(shop, order_id=order_id), place(shop, order_id=order_id)
    shop.expect("both answers", (first[0], second[0], first[1]["orderId"] == second[1]["orderId"]), (200, 200, True))
    status, problem = place(shop, order_id=order_id, items=[TEA])
    shop.expect("other content", (status, problem["detail"]), (409, f"order {order_id} exists, with other content"))
    until("state", lambda: state_of(shop, order_id), "ORDER_STATE_COMPLETED")
    shop.expect("orders, payments", (shop.value("order", "SELECT count(*) FROM orders"),
                                     shop.value("payment", "SELECT count(*) FROM payments")), (1, 1))
    for i in range(4):
        place(shop, items=[TEA])
    pages, token = [], ""
    while True:
        page = ask(shop, "GET", f"/v1/orders?customer_id=ada&page_size=2&page_token={token}")[1]
        pages.append([order["orderId"] for order in page["orders"]])
        token = page["nextPageToken"]
        if not token:
            break
    shop.expect("pages", [len(page) for page in pages], [2, 2, 1])
    shop.expect("different orders, the oldest last", (len({order for page in pages for order in page}), pages[2][0]),
                (5, order_id))
    shop.stop_all()


def a_cancelled_order_gives_everything_back(shop):
    shop.start_all()
    order_id = place(shop)[1]["orderId"]
    until("state", lambda: state_of(shop, order_id), "ORDER_STATE_COMPLETED")
    until("points", lambda: ask(shop, "GET", "/v1/points/ada")[1]["points"], str(TOTAL // 100))
    status, order = ask(shop, "POST", f"/v1/orders/{order_id}:cancel", {"reason": "too much tea"})
    shop.expect("cancelled", (status, order["state"], order["reason"]), (200, "ORDER_STATE_CANCELLED", "too much tea"))
    until("stock of tea", lambda: stock_of(shop, "tea-assam"), {"onHand": 100000, "reserved": 0, "deducted": 2, "restocked": 2})
    until("payment", lambda: shop.value("payment", "SELECT state FROM payments"), 5)  # refunded
    until("points", lambda: ask(shop, "GET", "/v1/points/ada")[1]["points"], "0")
    until("shipment", lambda: ask(shop, "GET", f"/v1/shipments/{order_id}")[1]["state"], "SHIPMENT_STATE_CANCELLED")
    status, again = ask(shop, "POST", f"/v1/orders/{order_id}:cancel", {})
    shop.expect("cancelled again", (status, again["reason"]), (200, "too much tea"))
    shop.stop_all()
    shop.check_exits()


def an_order_whose_parcel_has_left_is_not_cancelled(shop):
    shop.flags["logistics"] = ["--logistics.send_after_ms=0"]
    shop.start_all()
    order_id = place(shop)[1]["orderId"]
    until("shipment", lambda: ask(shop, "GET", f"/v1/shipments/{order_id}")[1].get("state"), "SHIPMENT_STATE_SENT")
    status, problem = ask(shop, "POST", f"/v1/orders/{order_id}:cancel", {})
    shop.expect("refused", (status, problem["detail"]), (409, f"order {order_id}: its parcel has left"))
    shop.expect("state", state_of(shop, order_id), "ORDER_STATE_COMPLETED")
    shop.stop_all()


def a_reservation_that_nobody_uses_comes_back(shop):
    shop.flags["inventory"] = ["--inventory.reservation_ms=1000"]
    shop.start_all()
    errors, _ = call(shop, "inventory", "shop.inventory.v1.InventoryService/Reserve",
                     {"order_id": "left-behind", "lines": [{"sku": "tea-assam", "quantity": 7}]})
    shop.expect("reserved", (errors, stock_of(shop, "tea-assam")["reserved"]), ("", 7))
    until("stock of tea", lambda: stock_of(shop, "tea-assam"), {"onHand": 100000, "reserved": 0, "deducted": 0, "restocked": 0})
    shop.stop_all()


def an_unknown_outcome_is_never_guessed(shop):
    """Payment is away: the client is told to try again, and may; who does not has nothing reserved in the end."""
    shop.flags["order"] = ["--order.patience_ms=4000"]
    shop.flags["gateway"] = ["--rest.timeout_ms=2000"]
    shop.start_all()
    kept, dropped = "018f6a0e-7c1a-7000-8000-00000000000b", "018f6a0e-7c1a-7000-8000-00000000000c"
    shop.stop("payment")
    for order_id in (kept, dropped):
        status, problem = place(shop, order_id=order_id)
        shop.expect(f"while payment is away: {problem}", status in (503, 504), True)
        shop.expect("state", state_of(shop, order_id), "ORDER_STATE_PENDING")
        if order_id == kept:
            shop.start("payment")
            shop.expect("sent again", place(shop, order_id=kept)[0], 200)
            shop.stop("payment")
    until("who does not try again", lambda: state_of(shop, dropped), "ORDER_STATE_REJECTED")
    shop.start("payment")
    until("who does", lambda: state_of(shop, kept), "ORDER_STATE_COMPLETED")
    until("stock of tea", lambda: stock_of(shop, "tea-assam"), {"onHand": 99998, "reserved": 0, "deducted": 2, "restocked": 0})
    until("sagas under way", lambda: shop.value("order", "SELECT count(*) FROM weir_saga WHERE state < 3"), 0)
    shop.expect("authorised and not captured", shop.value("payment", "SELECT count(*) FROM payments WHERE state = 1"), 0)
    shop.stop_all()


def an_acquirer_that_fails_is_asked_again(shop):
    shop.flags["payment"] = ["--acquirer.fails_permille=500"]
    shop.start_all()
    shop.expect("placed", [place(shop)[0] for _ in range(10)], [200] * 10)
    until("settled", lambda: shop.value("order", "SELECT count(*) FROM orders WHERE state = 4"), 10)
    shop.stop_all()


run(
    an_order_is_confirmed_settled_shipped_and_gives_points,
    a_declined_payment_releases_the_stock,
    the_same_order_again_is_the_same_order,
    a_cancelled_order_gives_everything_back,
    an_order_whose_parcel_has_left_is_not_cancelled,
    a_reservation_that_nobody_uses_comes_back,
    an_unknown_outcome_is_never_guessed,
    an_acquirer_that_fails_is_asked_again,
)
