#!/usr/bin/env python3
"""An order goes on from whichever step it was left at, and is in nobody's way meanwhile."""

import http.client
import json
import signal
import sqlite3
import threading
import time

from shop import run

PENDING, REJECTED, CONFIRMED, COMPLETED, CANCELLED = 1, 2, 3, 4, 5


def send(shop, service, method, path, body=None, timeout=30):
    """The answer's status and body; None when none came in time."""
    connection = http.client.HTTPConnection(shop.address(service, "rest"), timeout=timeout)
    try:
        connection.request(method, path, None if body is None else json.dumps(body),
                           {} if body is None else {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except TimeoutError:
        return None
    finally:
        connection.close()


def place(shop, customer="ada"):
    status, order = send(shop, "gateway", "POST", "/v1/orders",
                         {"customer_id": customer, "items": [{"sku": "tea-assam", "quantity": 2}]})
    if status != 200:
        raise AssertionError(f"the order was answered with {status} {order}")
    return order["orderId"]


def wait_state(shop, order_id, state):
    shop.wait_value("order", f"SELECT state FROM orders WHERE order_id = '{order_id}'", state)


def store(shop, service, *statements):
    """Into the database of a service that is down."""
    connection = sqlite3.connect(f"{shop.dir}/{service}.db")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def a_cancellation_goes_on_after_the_order_service_died_in_it(shop):
    shop.start_all()
    order_id = place(shop)
    wait_state(shop, order_id, COMPLETED)
    shop.wait_value("logistics", f"SELECT count(*) FROM shipments WHERE order_id = '{order_id}'", 1)

    logistics = shop.processes["logistics"]
    logistics.send_signal(signal.SIGSTOP)
    shop.expect("the answer while logistics is frozen",
                send(shop, "order", "POST", f"/v1/orders/{order_id}:cancel", {"reason": "too slow"}, 1), None)
    shop.kill("order")
    logistics.send_signal(signal.SIGCONT)

    shop.start("order")
    wait_state(shop, order_id, CANCELLED)
    shop.wait_value("order", "SELECT count(*) FROM weir_saga WHERE state < 3", 0)
    shop.expect("shipment", shop.value("logistics", "SELECT state FROM shipments"), 3)
    shop.expect("pieces restocked", shop.value("inventory", "SELECT sum(restocked) FROM stock"), 2)
    shop.expect("payments refunded", shop.value("payment", "SELECT count(*) FROM payments WHERE state = 5"), 1)
    _, order = send(shop, "gateway", "GET", f"/v1/orders/{order_id}")
    shop.expect("reason", order["reason"], "too slow")
    shop.stop_all()
    shop.check_exits()


def a_cancellation_that_is_refused_leaves_nothing_behind(shop):
    shop.start_all()
    order_id = place(shop)
    wait_state(shop, order_id, COMPLETED)
    shop.wait_value("logistics", f"SELECT count(*) FROM shipments WHERE order_id = '{order_id}'", 1)
    shop.stop("logistics")
    store(shop, "logistics", "UPDATE shipments SET state = 2")
    shop.start("logistics")
    status, problem = send(shop, "gateway", "POST", f"/v1/orders/{order_id}:cancel", {})
    shop.expect("answer", (status, problem["detail"]), (409, f"order {order_id}: its parcel has left"))
    shop.expect("order", shop.rows("order", "SELECT state, reason FROM orders"), [(COMPLETED, "")])
    shop.stop_all()
    shop.check_exits()


def orders_that_cannot_be_settled_keep_no_other_from_it(shop):
    shop.start_all()
    shop.stop("order")
    stuck = [f"018f6a0e-7c1a-7000-8000-{i:012x}" for i in range(560)]  # more than are taken over at once
    store(shop, "order",
          *(f"INSERT INTO orders (order_id, customer_id, state, created_ms, updated_ms)"
            f" VALUES ('{order_id}', 'ada', {CONFIRMED}, 1, 1)" for order_id in stuck),
          *(f"INSERT INTO weir_saga VALUES ('order', '{order_id}', 1, 'capture payment', 0, 0, 0, 1, 1, 0, '', '')"
            for order_id in stuck))
    shop.start("order")
    placed = [place(shop, "grace") for _ in range(8)]
    shop.wait_value("order", f"SELECT count(*) FROM orders WHERE state = {COMPLETED}", len(placed))
    shop.expect("orders that wait for somebody's help", shop.value("order", "SELECT count(*) FROM weir_saga WHERE state < 3"),
                len(stuck))
    shop.stop_all()
    shop.check_exits()


def a_frozen_inventory_keeps_nobody_from_asking_for_an_order(shop):
    shop.start_all()
    order_id = place(shop)
    wait_state(shop, order_id, COMPLETED)
    inventory = shop.processes["inventory"]
    inventory.send_signal(signal.SIGSTOP)

    answers = []
    order = {"customer_id": "grace", "items": [{"sku": "tea-assam", "quantity": 1}]}
    clients = [threading.Thread(target=lambda: answers.append(send(shop, "gateway", "POST", "/v1/orders", order, 60)))
               for _ in range(32 + 256 + 12)]  # what PlaceOrder runs, what waits, and what is too much
    for client in clients:
        client.start()
    end = time.monotonic() + 60
    while len(answers) < 12 and time.monotonic() < end:
        time.sleep(0.05)  # a poll with a deadline
    shop.expect("orders that were refused at once", len(answers), 12)
    shop.expect("what they were told", {(status, problem["code"], problem["detail"]) for status, problem in answers},
                {(503, "UNAVAILABLE", "too many calls of PlaceOrder wait already, try again later")})

    seconds = []
    for _ in range(100):
        begun = time.monotonic()
        status, _ = send(shop, "gateway", "GET", f"/v1/orders/{order_id}")
        seconds.append(time.monotonic() - begun)
        if status != 200:
            shop.failed.append(f"GetOrder was answered with {status}")
    print(f"  GetOrder: median {sorted(seconds)[50] * 1000:.0f} ms, slowest of 100 {max(seconds) * 1000:.0f} ms")
    shop.expect("the slowest GetOrder waited for no PlaceOrder", max(seconds) < 3, True)  # those last 8 s and more

    inventory.send_signal(signal.SIGCONT)
    for client in clients:
        client.join()
    shop.expect("orders without an answer", len(clients) - len(answers), 0)
    shop.expect("the others were accepted or given up",
                {status for status, _ in answers[12:]} - {200, 503, 504}, set())
    shop.wait_value("order", "SELECT count(*) FROM weir_saga WHERE state < 3", 0)
    # Who was told 504 does not know: such an order may be completed, too.
    accepted = {order_id} | {reply["orderId"] for status, reply in answers if status == 200}
    completed = {order for (order,) in shop.rows("order", f"SELECT order_id FROM orders WHERE state = {COMPLETED}")}
    shop.expect("accepted orders that are not completed", accepted - completed, set())
    shop.stop_all()
    shop.check_exits()


run(
    a_cancellation_goes_on_after_the_order_service_died_in_it,
    a_cancellation_that_is_refused_leaves_nothing_behind,
    orders_that_cannot_be_settled_keep_no_other_from_it,
    a_frozen_inventory_keeps_nobody_from_asking_for_an_order,
)
