#!/usr/bin/env python3
"""Each rule of the checker notices what it is there for: a history that is right, broken in one place."""

import copy
import unittest

import checker
import plan

A, B, C, D = "order-a", "order-b", "order-c", "order-d"  # completed, cancelled, rejected, completed
KEY = "key-of-d"  # D was sent with it instead of an id
FIRST, SECOND = "1" * 32, "2" * 32  # traces


def answer(order, what, status, body=None, sent=1.0):
    return {"order": order, "what": what, "way": "gateway", "sent": sent, "answered": sent + 0.1, "status": status, "body": body}


def keyed(what, status, trace, body=None, sent=1.0, **more):
    return {**answer(KEY, what, status, body, sent), "key": KEY, "trace": trace, "replayed": False, **more}


def body(order, customer, items):
    return {"orderId": order, "customerId": customer, "createdAt": "2026-01-01T00:00:00Z",
            "items": [{"sku": sku, "quantity": quantity} for sku, quantity in items]}


def order(order_id, state, customer, total):
    return {"order_id": order_id, "state": state, "customer_id": customer, "total_minor": total}


def paid(order_id, customer, items, total):
    return {"order_id": order_id, "customer_id": customer, "items": items, "total_minor": total}


def record(topic, key, message_id, event, offset, at_ms):
    return {"run": 0, "topic": topic, "partition": 0, "offset": offset, "at_ms": at_ms, "key": key, "message_id": message_id,
            "event": event}


def good():
    ab, d = [["tea", 2], ["mug", 1]], [["tea", 1]]
    row = {"currency": "EUR"}
    outbox = [("p1", "order.paid", A), ("c1", "order.completed", A), ("p2", "order.paid", B), ("x2", "order.cancelled", B),
              ("p3", "order.paid", D), ("c3", "order.completed", D)]
    events = {"p1": paid(A, "ada", ab, 2300), "p2": paid(B, "bob", ab, 2300), "p3": paid(D, "dan", d, 700)}
    captured = [("m1", A, 2300), ("m3", D, 700)]
    return {
        "prices": {"tea": 700, "mug": 900}, "initial": {"tea": 100, "mug": 100}, "unsettled": [], "clock_is_right": True,
        "sent": {A: {"customer": "ada", "items": ab}, B: {"customer": "bob", "items": ab}, C: {"customer": "cy", "items": d},
                 KEY: {"customer": "dan", "items": d, "keyed": True}},
        "history": [
            answer(A, "place", None), answer(A, "place", 200, body(A, "ada", ab)),
            answer(A, "get", 200, body(A, "ada", ab), 2.0), answer(A, "other", 409, {}, 3.0),
            answer(B, "place", 200, body(B, "bob", ab)), answer(B, "cancel", 200, body(B, "bob", ab), 2.0),
            answer(C, "place", 409, {}), keyed("place", 503, "0" * 32, {}),
            keyed("place", 409, "9" * 32, {}, under_way=True), keyed("place", 200, FIRST, body(D, "dan", d)),
            keyed("again", 200, SECOND, body(D, "dan", d), 2.0, replayed=True), answer(KEY, "cancel", 409, {}, 5.0),
        ],
        "tables": {
            "order.orders": [order(A, 4, "ada", 2300), order(B, 5, "bob", 2300), order(C, 2, "cy", 0), order(D, 4, "dan", 700)],
            "order.order_items": [{"order_id": o, "line": line, "sku": sku, "quantity": quantity}
                                  for o, items in ((A, ab), (B, ab), (C, d), (D, d)) for line, (sku, quantity) in enumerate(items)],
            "order.weir_idempotency": [{"key": KEY, "status": 0, "trace": f"00-{FIRST}-{'3' * 16}-00"}],
            "inventory.stock": [
                {"sku": "tea", "on_hand": 97, "reserved": 0, "deducted": 5, "restocked": 2},
                {"sku": "mug", "on_hand": 99, "reserved": 0, "deducted": 2, "restocked": 1}],
            "inventory.reservation_lines": [{"order_id": o, "sku": sku, "quantity": quantity, "state": state}
                                            for o, items, state in ((A, ab, 2), (B, ab, 4), (C, d, 3), (D, d, 2))
                                            for sku, quantity in items],
            "payment.payments": [
                {"order_id": A, "amount_minor": 2300, "state": 3, **row}, {"order_id": B, "amount_minor": 2300, "state": 4, **row},
                {"order_id": C, "amount_minor": 700, "state": 2, **row}, {"order_id": D, "amount_minor": 700, "state": 3, **row}],
            "logistics.shipments": [{"order_id": A, "state": 1}, {"order_id": B, "state": 3}, {"order_id": D, "state": 2}],
            "logistics.shipment_items": [{"order_id": o, "sku": sku, "quantity": quantity}
                                         for o, items in ((A, ab), (B, ab), (D, d)) for sku, quantity in items],
            "points.entries": [{"order_id": A, "customer_id": "ada", "points": 23, "taken_back": 0},
                               {"order_id": B, "customer_id": "bob", "points": 23, "taken_back": 1},
                               {"order_id": D, "customer_id": "dan", "points": 7, "taken_back": 0}],
            "recommendation.counts": [{"name": "orders", "value": 3}],
            "recommendation.pairs": [{"sku": "tea", "other": "mug", "orders": 2}, {"sku": "mug", "other": "tea", "orders": 2}],
        },
        "outbox": {"order": [{"id": 10 + i, "message_id": m, "topic": t, "key": k} for i, (m, t, k) in enumerate(outbox)],
                   "payment": [{"id": 1 + i, "message_id": m, "topic": "payment.captured", "key": k}
                               for i, (m, k, _) in enumerate(captured)]},
        "rejected": {"order": [], "payment": []},
        "records": [record(t, k, m, events.get(m, {"order_id": k, "customer_id": ""}), i, 1000 + i)
                    for i, (m, t, k) in enumerate(outbox)] +
                   [record("payment.captured", k, m, {"order_id": k, "total_minor": amount}, i, 1000)
                    for i, (m, k, amount) in enumerate(captured)],
    }


def remove(rows, **which):
    rows[:] = [row for row in rows if any(row[name] != value for name, value in which.items())]


def change(rows, changes, **which):
    for row in rows:
        if all(row[name] == value for name, value in which.items()):
            row.update(changes)


class EachRule(unittest.TestCase):
    """Named after the rule; breaks it, and expects that it says so, once."""

    def setUp(self):
        self.world = good()
        self.tables = self.world["tables"]

    def expect(self, rule, *texts):
        self.assertEqual(checker.check(self.world).get(rule, []), list(texts))

    def test_nothing_is_said_of_a_shop_that_is_right(self):
        self.assertEqual(checker.check(self.world), {})

    def test_accepted_orders_are_kept(self):
        remove(self.tables["order.orders"], order_id=A)
        self.expect("accepted_orders_are_kept", "order order-a was answered with 200 and is not stored")

    def test_an_accepted_order_is_not_rejected_later(self):
        change(self.tables["order.orders"], {"state": 2}, order_id=A)
        self.expect("accepted_orders_are_kept", "order order-a was answered with 200 and is REJECTED")

    def test_refused_orders_have_no_effect(self):
        change(self.tables["order.orders"], {"state": 4}, order_id=C)
        self.expect("refused_orders_have_no_effect", "order order-c was refused with 409 and is COMPLETED")

    def test_orders_that_nobody_sent(self):
        self.tables["order.orders"].append(order("order-x", 2, "ada", 0))
        self.expect("orders_are_what_was_sent", "order order-x is stored, and nobody sent it")

    def test_orders_are_what_was_sent(self):
        change(self.tables["order.order_items"], {"quantity": 3}, order_id=A, sku="tea")
        self.expect("orders_are_what_was_sent", "order order-a is stored as ada [['tea', 3], ['mug', 1]], not as it was sent: "
                    "{'customer': 'ada', 'items': [['tea', 2], ['mug', 1]]}")

    def test_orders_cost_what_their_products_do(self):
        change(self.tables["order.orders"], {"total_minor": 2299}, order_id=A)
        self.expect("orders_are_what_was_sent", "order order-a costs 2299, not 2300")

    def test_answers_are_what_was_sent(self):
        self.world["history"].append(answer(B, "again", 200, {**body(B, "bob", [["tea", 2], ["mug", 1]]), "createdAt": "later"}, 4.0))
        self.expect("answers_are_what_was_sent", "order order-b was answered as made at 2 times: 2026-01-01T00:00:00Z, later")

    def test_other_content_is_refused(self):
        self.world["history"].append(answer(A, "other", 200, body(A, "ada", [["tea", 2], ["mug", 1]]), 4.0))
        self.expect("other_content_is_refused", "order order-a was accepted a second time, with other content")

    def test_a_key_makes_a_second_order(self):
        self.tables["order.orders"].append(order("order-e", 2, "dan", 0))
        self.expect("one_order_for_a_key", "key key-of-d has made 2 orders: order-d, order-e")

    def test_a_key_is_answered_with_two_orders(self):
        self.world["history"].append(keyed("again", 200, SECOND, body("order-e", "dan", [["tea", 1]]), 3.0, replayed=True))
        self.expect("one_order_for_a_key", "key key-of-d was answered with 2 orders: order-d, order-e")

    def test_the_order_of_a_key_is_lost(self):
        remove(self.tables["order.orders"], order_id=D)
        self.expect("accepted_orders_are_kept", "order order-d was answered with 200 and is not stored")

    def test_a_key_whose_customer_heard_nothing_makes_no_second_order(self):
        remove(self.world["history"], order=KEY)
        self.tables["order.orders"].append(order("order-e", 2, "dan", 0))
        self.expect("one_order_for_a_key", "key key-of-d has made 2 orders: order-d, order-e")

    def test_a_later_answer_of_a_key_does_not_say_that_it_is_one(self):
        self.world["history"].append(keyed("again", 200, "4" * 32, body(D, "dan", [["tea", 1]]), 3.0))
        self.expect("answers_of_a_key_are_the_kept_one", "key key-of-d was answered anew (again), though it had a kept answer")

    def test_a_later_answer_of_a_key_is_another_one(self):
        self.world["history"].append(keyed("again", 200, SECOND, {**body(D, "dan", [["tea", 1]]), "state": "?"}, 3.0, replayed=True))
        self.expect("answers_of_a_key_are_the_kept_one", "key key-of-d has kept answers that differ")

    def test_a_cancel_that_is_sent_again_with_its_key_is_answered_anew(self):
        self.tables["order.weir_idempotency"].append({"key": "key-of-b", "status": 0, "trace": f"00-{FIRST}-{'3' * 16}-00"})
        change(self.world["history"], {"key": "key-of-b", "trace": FIRST, "replayed": False}, order=B, what="cancel")
        self.assertEqual(checker.check(self.world), {})
        self.world["history"].append({**self.world["history"][5], "trace": SECOND, "sent": 4.0, "answered": 4.1})
        self.expect("answers_of_a_key_are_the_kept_one", "key key-of-b was answered anew (cancel), though it had a kept answer")

    def test_an_answer_before_the_kept_one_is_no_harm(self):
        self.world["history"].append(keyed("place", 200, "4" * 32, body(D, "dan", [["tea", 1]]), 0.5))
        self.assertEqual(checker.check(self.world), {})

    def test_no_answer_is_strange(self):
        self.world["history"].append(answer(A, "place", 400, {}, 4.0))
        self.expect("no_answer_is_strange", "order order-a: place was answered with 400: {}")

    def test_accepted_orders_are_found(self):
        self.world["history"].append(answer(A, "get", 404, {}, 4.0))
        self.expect("accepted_orders_are_found", "order order-a was accepted, and later (get) not found")

    def test_cancelled_orders_stay_cancelled(self):
        change(self.tables["order.orders"], {"state": 4}, order_id=B)
        self.expect("cancels_are_what_was_told", "order order-b was answered as cancelled and is COMPLETED")

    def test_nobody_else_cancels(self):
        change(self.tables["order.orders"], {"state": 5}, order_id=A)
        self.expect("cancels_are_what_was_told", "order order-a is cancelled, and nobody asked for it")

    def test_a_cancel_that_was_refused_has_no_effect(self):
        change(self.tables["order.orders"], {"state": 5}, order_id=D)
        self.expect("cancels_are_what_was_told", "order order-d could not be cancelled, it was answered, and is")

    def test_every_order_is_settled(self):
        self.world["unsettled"].append("order order-a owes 2")
        self.expect("every_order_is_settled", "order order-a owes 2")

    def test_a_shipment_is_missing(self):
        remove(self.tables["logistics.shipments"], order_id=A)
        self.expect("one_shipment_for_each_paid_order", "order order-a is COMPLETED and has 0 shipments")

    def test_a_shipment_is_there_twice(self):
        self.tables["logistics.shipments"].append({"order_id": A, "state": 1})
        self.expect("one_shipment_for_each_paid_order", "order order-a is COMPLETED and has 2 shipments")

    def test_a_cancelled_order_is_shipped(self):
        change(self.tables["logistics.shipments"], {"state": 2}, order_id=B)
        self.expect("one_shipment_for_each_paid_order", "order order-b is CANCELLED, its shipment's state is 2")

    def test_a_shipment_without_an_order(self):
        self.tables["logistics.shipments"].append({"order_id": C, "state": 1})
        self.expect("one_shipment_for_each_paid_order", "order order-c is REJECTED and has a shipment")

    def test_a_shipment_of_something_else(self):
        change(self.tables["logistics.shipment_items"], {"quantity": 9}, order_id=D)
        self.expect("one_shipment_for_each_paid_order", "order order-d: the shipment has [['tea', 9]], the order [['tea', 1]]")

    def test_points_are_missing(self):
        remove(self.tables["points.entries"], order_id=A)
        self.expect("points_of_each_paid_order", "order order-a is COMPLETED and has 0 entries of points")

    def test_points_are_kept_after_a_cancel(self):
        change(self.tables["points.entries"], {"taken_back": 0}, order_id=B)
        self.expect("points_of_each_paid_order", "order order-b is CANCELLED, its points are not taken back")

    def test_points_are_wrong(self):
        change(self.tables["points.entries"], {"points": 46}, order_id=A)
        self.expect("points_of_each_paid_order", "order order-a of ada over 2300 gave "
                    "{'order_id': 'order-a', 'customer_id': 'ada', 'points': 46, 'taken_back': 0}")

    def test_points_without_an_order(self):
        self.tables["points.entries"].append({"order_id": C, "customer_id": "cy", "points": 7, "taken_back": 0})
        self.expect("points_of_each_paid_order", "order order-c is REJECTED and has points")

    def test_an_event_had_its_effect_twice(self):
        change(self.tables["recommendation.counts"], {"value": 4}, name="orders")
        change(self.tables["recommendation.pairs"], {"orders": 3}, sku="tea")
        self.expect("each_paid_order_is_recommended_by_once", "4 orders are counted for recommendations, 3 were paid",
                    "tea and mug were bought together 2 times and counted 3 times")

    def test_stock_is_lost(self):
        change(self.tables["inventory.stock"], {"on_hand": 96}, sku="tea")
        row = "{'sku': 'tea', 'on_hand': 96, 'reserved': 0, 'deducted': 5, 'restocked': 2}"
        self.expect("stock_is_conserved", f"tea: what is there does not add up to 100: {row}",
                    f"tea: 100 were there and 3 are sold, but 96 are left: {row}")

    def test_stock_is_negative(self):
        change(self.tables["inventory.stock"], {"on_hand": -3, "reserved": 100}, sku="tea")
        row = "{'sku': 'tea', 'on_hand': -3, 'reserved': 100, 'deducted': 5, 'restocked': 2}"
        self.expect("stock_is_conserved", f"tea: a quantity is negative: {row}",
                    f"tea: 100 were there and 3 are sold, but -3 are left: {row}")

    def test_a_reservation_outlives_its_order(self):
        change(self.tables["inventory.reservation_lines"], {"state": 1}, order_id=C)
        self.expect("no_reservation_without_its_order", "order order-c is REJECTED, its lines at inventory have the states [1]")

    def test_a_reservation_without_an_order(self):
        self.tables["inventory.reservation_lines"].append({"order_id": "order-x", "sku": "tea", "quantity": 1, "state": 1})
        self.expect("no_reservation_without_its_order", "order order-x is not stored, its lines at inventory have the states [1]")

    def test_an_authorisation_outlives_its_order(self):
        change(self.tables["payment.payments"], {"state": 1}, order_id=C)
        self.expect("money_is_conserved", "order order-c is REJECTED, its payment's state is 1",
                    "3000 are captured and 700 authorised and open, orders for 3000 are completed")

    def test_a_cancelled_order_is_charged(self):
        change(self.tables["payment.payments"], {"state": 3}, order_id=B)
        self.expect("money_is_conserved", "order order-b is CANCELLED, its payment's state is 3",
                    "5300 are captured and 0 authorised and open, orders for 3000 are completed")

    def test_another_amount_is_captured(self):
        change(self.tables["payment.payments"], {"amount_minor": 2301}, order_id=A)
        self.expect("money_is_conserved", "order order-a costs 2300, 2301 were captured",
                    "3001 are captured and 0 authorised and open, orders for 3000 are completed")

    def test_an_order_was_never_paid(self):
        remove(self.tables["payment.payments"], order_id=D)
        self.expect("money_is_conserved", "order order-d is COMPLETED, and was never paid",
                    "2300 are captured and 0 authorised and open, orders for 3000 are completed")

    def test_an_event_is_lost(self):
        remove(self.world["records"], message_id="p1")
        self.expect("each_event_is_out_once", "order.paid does not have order order-a, which is COMPLETED")
        self.expect("stored_events_are_on_the_broker", "order: order.paid of order-a is stored and was never on the broker")

    def test_an_event_is_said_twice(self):
        self.world["records"].append(record("order.paid", A, "p9", paid(A, "ada", [["tea", 2], ["mug", 1]], 2300), 9, 2000))
        self.expect("each_event_is_out_once", "order.paid says 2 times that of order order-a")

    def test_an_event_that_is_sent_twice_is_no_harm(self):
        self.world["records"].append({**self.world["records"][0], "offset": 9, "at_ms": 2000})
        self.assertEqual(checker.check(self.world), {})

    def test_an_event_of_an_order_that_is_not(self):
        self.world["records"].append(record("order.paid", C, "p9", paid(C, "cy", [["tea", 1]], 700), 9, 2000))
        self.expect("each_event_is_out_once", "order.paid has order order-c, which is REJECTED")

    def test_a_payment_has_no_event(self):
        remove(self.world["records"], message_id="m1")
        self.expect("each_event_is_out_once", "payment.captured has order order-a 0 times, its payment's state is 3")

    def test_an_event_says_something_else(self):
        self.world["records"][0]["event"]["total_minor"] = 1
        self.expect("events_say_what_is_stored", "order.paid says of order order-a: {'order_id': 'order-a', 'customer_id': 'ada',"
                    " 'items': [['tea', 2], ['mug', 1]], 'total_minor': 1}")

    def test_events_of_a_key_change_places(self):
        change(self.world["records"], {"at_ms": 5000}, message_id="p1")
        self.expect("events_keep_their_order", "all topics: p1 of order-a came after a later event of its key, c1")

    def test_events_of_a_key_change_places_in_a_partition(self):
        self.world["clock_is_right"] = False
        event = paid(A, "ada", [["tea", 2], ["mug", 1]], 2300)
        change(self.world["records"], {"topic": "order.paid", "offset": -1, "event": event}, message_id="c1")
        self.expect("events_keep_their_order", "order.paid: p1 of order-a came after a later event of its key, c1")

    def test_events_stay_with_their_partition(self):
        copied = copy.deepcopy(self.world["records"][0])
        self.world["records"].append({**copied, "partition": 3})
        self.expect("events_stay_with_their_partition", "order.paid: order-a is in the partitions [0, 3]")

    def test_nothing_is_set_aside(self):
        self.world["rejected"]["order"].append({"topic": "order.paid", "reason": "too large"})
        self.world["records"].append(record("order.paid.dlt", A, "p1", None, 0, 3000))
        self.expect("nothing_is_set_aside", "order has set aside a message of order.paid: too large",
                    "order.paid.dlt has p1 of order-a")

    def test_every_rule_is_tried(self):
        with open(__file__, encoding="utf-8") as file:
            text = file.read()
        self.assertEqual([rule.__name__ for rule in checker.RULES if f'expect("{rule.__name__}"' not in text], [])


class ThePlan(unittest.TestCase):
    def test_is_a_function_of_the_seed(self):
        skus = ["mug", "tea", "tin", "pot", "jam"]
        self.assertEqual(plan.faults(7, 60), plan.faults(7, 60))
        self.assertEqual(list(plan.orders(7, 5, 20, skus)), list(plan.orders(7, 5, 20, skus)))
        self.assertNotEqual(plan.faults(7, 60), plan.faults(8, 60))

    def test_of_a_longer_run_begins_as_that_of_a_shorter_one(self):
        longer = plan.faults(7, 600)
        self.assertEqual(longer[:len(plan.faults(7, 60))], plan.faults(7, 60))


if __name__ == "__main__":
    unittest.main()
