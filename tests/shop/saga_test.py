#!/usr/bin/env python3
"""An order's saga: what a killed process leaves behind is gone once somebody went on, and everybody can look."""

import http.client
import json
import threading
import time

from shop import run

ROUNDS = 5
CLIENTS = 16
OPEN = "SELECT count(*) FROM weir_saga WHERE state < 3"


def send(address, method, path, body=None, timeout=30):
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        connection.request(method, path, None if body is None else json.dumps(body),
                           {} if body is None else {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def place_until_it_dies(address, accepted):
    """A client that sends each order once, and forgets those without an answer."""
    while True:
        try:
            status, order = send(address, "POST", "/v1/orders",
                                 {"customer_id": "ada", "items": [{"sku": "tea-assam", "quantity": 1},
                                                                  {"sku": "jam-fig", "quantity": 1}]})
        except (OSError, http.client.HTTPException):
            return
        if status != 200:
            return
        accepted.append(order["orderId"])


def left_behind(shop):
    """Reservations and authorisations that are held for an order that is not confirmed (or that there is not)."""
    confirmed = {order for (order,) in shop.rows("order", "SELECT order_id FROM orders WHERE state IN (3, 4)")}
    reserved = {order for (order,) in shop.rows("inventory", "SELECT order_id FROM reservation_lines WHERE state = 1")}
    authorised = {order for (order,) in shop.rows("payment", "SELECT order_id FROM payments WHERE state IN (1, 3)")}
    return len(reserved - confirmed), len(authorised - confirmed)


def a_killed_order_service_leaves_nothing_behind_once_its_sagas_went_on(shop):
    shop.flags["payment"] = ["--acquirer.delay_ms=20"]
    shop.start_all()
    address = shop.address("order", "rest")
    accepted, reservations, authorisations, open_sagas, slowest = [], 0, 0, 0, 0
    for _ in range(ROUNDS):
        clients = [threading.Thread(target=place_until_it_dies, args=(address, accepted)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        time.sleep(1)  # under load
        shop.kill("order")
        for client in clients:
            client.join()
        held, authorised = left_behind(shop)
        reservations, authorisations = reservations + held, authorisations + authorised
        open_sagas += shop.value("order", OPEN)
        shop.start("order")
        begun = time.monotonic()
        shop.wait_value("order", OPEN, 0)
        slowest = max(slowest, time.monotonic() - begun)
        shop.expect("reservations and authorisations without an order, once the sagas went on", left_behind(shop), (0, 0))
    print(f"  {ROUNDS} kills: {open_sagas} sagas were open; {reservations} reservations and {authorisations} authorisations had"
          f" no confirmed order; all gone within {slowest:.1f} s of the start")
    shop.expect("something was left behind at first", reservations > 0 and authorisations > 0, True)
    states = dict(shop.rows("order", "SELECT order_id, state FROM orders"))
    shop.expect("accepted orders that are not completed", sum(states.get(order) != 4 for order in accepted), 0)
    shop.expect("orders that are neither completed nor rejected", sum(state not in (2, 4) for state in states.values()), 0)
    shop.expect("pieces still reserved", shop.value("inventory", "SELECT sum(reserved) FROM stock"), 0)
    shop.expect("pieces deducted", shop.value("inventory", "SELECT sum(deducted) - sum(restocked) FROM stock"),
                shop.value("order", "SELECT sum(quantity) FROM order_items JOIN orders USING (order_id) WHERE state = 4"))
    shop.expect("money captured", shop.value("payment", "SELECT sum(amount_minor) FROM payments WHERE state = 3"),
                shop.value("order", "SELECT sum(total_minor) FROM orders WHERE state = 4"))
    shop.stop_all()
    shop.check_exits()


def everybody_can_look_at_an_orders_saga(shop):
    shop.start_all()
    gateway = shop.address("gateway", "rest")
    order = {"customer_id": "ada", "items": [{"sku": "tea-assam", "quantity": 2}]}
    order_id = send(gateway, "POST", "/v1/orders", order)[1]["orderId"]
    shop.wait_value("order", OPEN, 0)
    saga = send(gateway, "GET", f"/v1/orders/{order_id}/saga")[1]
    shop.expect("saga", (saga["orderId"], saga["order"]["state"], "cancel" in saga), (order_id, "SAGA_STATE_DONE", False))
    shop.expect("steps", [(step["name"], step["attempts"], "endedAt" in step) for step in saga["order"]["steps"]],
                [(name, "1", True) for name in ("reserve stock", "authorize payment", "confirm", "deduct stock",
                                                "capture payment", "complete")])
    send(gateway, "POST", f"/v1/orders/{order_id}:cancel", {"reason": "too much tea"})
    shop.wait_value("order", OPEN, 0)
    saga = send(gateway, "GET", f"/v1/orders/{order_id}/saga")[1]
    shop.expect("cancelled", (saga["order"]["state"], saga["order"]["reason"], saga["cancel"]["state"]),
                ("SAGA_STATE_UNDONE", "too much tea", "SAGA_STATE_DONE"))
    shop.expect("undone", [step["name"] for step in saga["order"]["steps"] if "undoneAt" in step],
                ["reserve stock", "authorize payment", "deduct stock", "capture payment"])
    shop.expect("of nobody's order", send(gateway, "GET", "/v1/orders/nobodys/saga")[0], 404)

    mallory = send(gateway, "POST", "/v1/orders", {**order, "customer_id": "mallory"})[1]["detail"].split()[1]
    shop.wait_value("order", OPEN, 0)
    saga = send(gateway, "GET", f"/v1/orders/{mallory}/saga")[1]["order"]
    shop.expect("rejected", (saga["state"], saga["reason"], saga["steps"][1]["error"]),
                ("SAGA_STATE_UNDONE", "payment declined", "payment declined"))
    shop.stop_all()
    shop.check_exits()


run(
    a_killed_order_service_leaves_nothing_behind_once_its_sagas_went_on,
    everybody_can_look_at_an_orders_saga,
)
