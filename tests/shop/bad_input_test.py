#!/usr/bin/env python3
"""Bad input to the shop over REST, gRPC and configuration: each case with its exact, clear answer. (Kafka's, where what is bad
is set aside, are in tests/unit/transports/consumer_test.c and tests/transports/one_handler_test.c.)"""

import http.client
import json
import os
import subprocess
import tempfile

from shop import BUILD, ROOT, run

GOOD = {"customer_id": "ada", "items": [{"sku": "tea-assam", "quantity": 1}]}
UUID = "018f6a0e-7c1a-7000-8000-000000000001"


def order(**changes):
    return json.dumps({**GOOD, **changes})


def item(**changes):
    return order(items=[{"sku": "tea-assam", "quantity": 1, **changes}])


# Method, path, headers, body; then status, code, detail.
REST = [
    ("POST", "/v1/orders", {}, "", 400, "INVALID_ARGUMENT", "customer_id is missing"),
    ("POST", "/v1/orders", {}, "{", 400, "INVALID_ARGUMENT", "line 1, column 2: expected a key in quotes"),
    ("POST", "/v1/orders", {}, "[]", 400, "INVALID_ARGUMENT", "line 1, column 1: expected an object, not an array"),
    ("POST", "/v1/orders", {}, '{"customer": "ada"}', 400, "INVALID_ARGUMENT", None),
    ("POST", "/v1/orders", {}, order(customer_id=5), 400, "INVALID_ARGUMENT",
     "line 1, column 17: customerId: expected a string, not a number"),
    ("POST", "/v1/orders", {}, item(quantity=1.5), 400, "INVALID_ARGUMENT", None),
    ("POST", "/v1/orders", {}, item(quantity=99999999999), 400, "INVALID_ARGUMENT", None),
    ("POST", "/v1/orders", {}, order(customer_id=""), 400, "INVALID_ARGUMENT", "customer_id is missing"),
    ("POST", "/v1/orders", {}, order(customer_id="a b"), 400, "INVALID_ARGUMENT",
     "customer_id: only letters, digits and -_.: are allowed"),
    ("POST", "/v1/orders", {}, order(customer_id="a" * 65), 400, "INVALID_ARGUMENT",
     "customer_id: 65 characters, at most 64 are allowed"),
    ("POST", "/v1/orders", {}, order(items=[]), 400, "INVALID_ARGUMENT", "items: 0 items, 1 to 50 are allowed"),
    ("POST", "/v1/orders", {}, order(items=[{"sku": f"s{i}", "quantity": 1} for i in range(51)]), 400, "INVALID_ARGUMENT",
     "items: 51 items, 1 to 50 are allowed"),
    ("POST", "/v1/orders", {}, order(items=[{"sku": "a", "quantity": 1}] * 2), 400, "INVALID_ARGUMENT",
     'items[1].sku: "a" is there twice'),
    ("POST", "/v1/orders", {}, item(quantity=0), 400, "INVALID_ARGUMENT", "items[0].quantity: 0 is not within 1 to 1000"),
    ("POST", "/v1/orders", {}, item(quantity=-1), 400, "INVALID_ARGUMENT", "items[0].quantity: -1 is not within 1 to 1000"),
    ("POST", "/v1/orders", {}, item(sku=""), 400, "INVALID_ARGUMENT", "items[0].sku is missing"),
    ("POST", "/v1/orders", {}, order(order_id="7"), 400, "INVALID_ARGUMENT", 'order_id: "7" is not a UUID'),
    ("POST", "/v1/orders", {"Content-Type": "text/plain"}, order(), 415, None, None),
    ("POST", "/v1/orders", {}, " " * 1100000, 413, None, None),
    ("DELETE", "/v1/orders", {}, None, 405, None, None),
    ("GET", "/v1/nothing", {}, None, 404, "NOT_FOUND", "there is nothing at this path"),
    ("GET", f"/v1/orders/{UUID}", {}, None, 404, "NOT_FOUND", f'no order "{UUID}"'),
    ("POST", f"/v1/orders/{UUID}:cancel", {}, "{}", 404, "NOT_FOUND", f'no order "{UUID}"'),
    ("GET", "/v1/orders", {}, None, 400, "INVALID_ARGUMENT", "customer_id is missing"),
    ("GET", "/v1/orders?customer_id=ada&page_size=101", {}, None, 400, "INVALID_ARGUMENT",
     "page_size: 101 is not within 1 to 100"),
    ("GET", "/v1/orders?customer_id=ada&page_token=x", {}, None, 400, "INVALID_ARGUMENT",
     "page_token: not one that an answer gave"),
    ("GET", "/v1/orders?customer_id=ada&colour=red", {}, None, 400, "INVALID_ARGUMENT", None),
    ("GET", "/v1/products/no-such-thing", {}, None, 404, "NOT_FOUND", 'no product "no-such-thing"'),
    ("GET", "/v1/recommendations/tea-assam?limit=21", {}, None, 400, "INVALID_ARGUMENT", "limit: 21 is not within 1 to 20"),
    ("GET", f"/v1/shipments/{UUID}", {}, None, 404, "NOT_FOUND", f'no shipment for order "{UUID}"'),
    ("POST", "/v1/reservations", {}, "{}", 404, "NOT_FOUND", "there is nothing at this path"),  # not for the public
]

# Service, method, JSON; then the status and its words.
GRPC = [
    ("payment", "shop.payment.v1.PaymentService/Authorize", {}, "INVALID_ARGUMENT: order_id is missing"),
    ("payment", "shop.payment.v1.PaymentService/Authorize", {"order_id": "1", "customer_id": "ada"},
     "INVALID_ARGUMENT: amount: must be more than 0"),
    ("payment", "shop.payment.v1.PaymentService/Authorize",
     {"order_id": "1", "customer_id": "ada", "amount": {"amount_minor": 1, "currency": "XYZ"}},
     'INVALID_ARGUMENT: amount.currency: "XYZ", only EUR is accepted'),
    ("payment", "shop.payment.v1.PaymentService/Capture", {"order_id": "1"}, "NOT_FOUND: order 1: there is no payment"),
    ("inventory", "shop.inventory.v1.InventoryService/Reserve", {"order_id": "1"},
     "INVALID_ARGUMENT: lines: 0 lines, 1 to 50 are allowed"),
    ("inventory", "shop.inventory.v1.InventoryService/Reserve",
     {"order_id": "1", "lines": [{"sku": "tea-assam", "quantity": 1001}]},
     "INVALID_ARGUMENT: lines[0].quantity: 1001 is not within 1 to 1000"),
    ("inventory", "shop.inventory.v1.InventoryService/Reserve", {"order_id": "1", "lines": [{"sku": "x", "quantity": 1}]},
     'NOT_FOUND: no product "x"'),
    ("inventory", "shop.inventory.v1.InventoryService/DeductStock", {"order_id": "1", "sku": "tea-assam", "quantity": 1},
     "FAILED_PRECONDITION: order 1: no 1 of sku tea-assam are reserved"),
    ("order", "shop.order.v1.OrderService/WatchOrder", {"order_id": "1"}, 'NOT_FOUND: no order "1"'),
]

# A file; then what --check-config says of it.
CONFIGURATION = [
    ("rest: {listn: '127.0.0.1:1'}\n", "{file}:1: rest.listn: unknown key; did you mean listen?"),
    ("rset: {listen: '127.0.0.1:1'}\n", "{file}:1: rset: unknown section; did you mean rest?"),
    ("app:\n  deadline_ms: soon\n", None),
    ("order: {patience_ms: 5}\n", None),
    ("rest: [\n", None),
]


def rest_refuses(shop):
    host, port = shop.address("gateway", "rest").split(":")
    for method, path, headers, body, status, code, detail in REST:
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        connection.request(method, path, body, {"Content-Type": "application/json", **headers} if body is not None else headers)
        answer = connection.getresponse()
        problem = json.loads(answer.read())
        connection.close()
        shown = f"{method} {path} {(body or '')[:60]}"
        shop.expect(f"{shown}: {problem.get('detail')}: status", (answer.status, problem["status"]), (status, status))
        shop.expect("  type", answer.headers["Content-Type"], "application/problem+json")
        if code:
            shop.expect("  code", problem["code"], code)
        if detail:
            shop.expect("  detail", problem["detail"], detail)


def grpc_refuses(shop):
    for service, method, request, wanted in GRPC:
        result = subprocess.run([f"{BUILD}/framework/tools/weir/weir", "call", shop.address(service, "grpc"), method,
                                 json.dumps(request)], cwd=ROOT, capture_output=True, text=True, timeout=30)
        shop.expect(f"{method} {request}", result.stderr.strip().splitlines()[-1:], [f"weir: {wanted}"])
        shop.expect("  exit status is not 0", result.returncode != 0, True)


def a_header_that_is_no_name_spoils_no_event(shop):
    shop.start_all()
    host, port = shop.address("gateway", "rest").split(":")
    for name in (b"\xff\xfe", b"z" * 1000, b"ada"):
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        connection.request("GET", "/v1/products/tea-assam", headers={"x-customer-id": name})
        shop.expect(f"status with x-customer-id {name[:8]}", connection.getresponse().status, 200)
        connection.close()
    shop.wait_value("recommendation", "SELECT value FROM counts WHERE name = 'views'", 3)
    shop.stop_all()
    shop.check_exits()


def everything_bad_is_refused_and_nothing_is_stored(shop):
    shop.start_all()
    rest_refuses(shop)
    grpc_refuses(shop)
    shop.expect("orders", shop.value("order", "SELECT count(*) FROM orders"), 0)
    shop.expect("reserved", shop.value("inventory", "SELECT sum(reserved) FROM stock"), 0)
    shop.expect("payments", shop.value("payment", "SELECT count(*) FROM payments"), 0)
    shop.stop_all()
    shop.check_exits()


def a_bad_configuration_is_an_error_that_names_its_place(shop):
    for text, wanted in CONFIGURATION:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            result = subprocess.run([f"{BUILD}/services/shop-order", "--config", file.name, "--check-config"], cwd=ROOT,
                                    capture_output=True, text=True, timeout=30)
            lines = (result.stderr + result.stdout).splitlines()
            shop.expect(f"{text!r}: {lines[:3]}: exit status", result.returncode, 78)
            place = [line for line in lines if line.strip().startswith(f"{file.name}:")]
            shop.expect("  a line names file and line", len(place) > 0, True)
            if wanted:
                shop.expect("  said", wanted.format(file=file.name) in [line.strip() for line in lines], True)


run(everything_bad_is_refused_and_nothing_is_stored, a_header_that_is_no_name_spoils_no_event,
    a_bad_configuration_is_an_error_that_names_its_place)
