"""Looks whether a shop kept its promises. Knows what was sent, what was answered, every table and every record; nothing else:
no code, no log and no figure of the services.

A rule is a function from a world (collect.world()) to texts, one for each place where the promise is broken."""

import collections

PENDING, REJECTED, CONFIRMED, COMPLETED, CANCELLED = 1, 2, 3, 4, 5
STATE = {1: "PENDING", 2: "REJECTED", 3: "CONFIRMED", 4: "COMPLETED", 5: "CANCELLED"}
PAID = (CONFIRMED, COMPLETED, CANCELLED)  # the client was told, or could have been: the event is out
RESERVED, DEDUCTED, RELEASED, RESTOCKED = 1, 2, 3, 4
OPEN, DECLINED, CAPTURED, VOIDED, REFUNDED = 1, 2, 3, 4, 5
PLANNED, SENT, SHIPMENT_CANCELLED = 1, 2, 3


def index(rows, column):
    return {row[column]: row for row in rows}


def group(rows, column):
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row[column]].append(row)
    return groups


class World:
    """The same as given, looked up by order."""

    def __init__(self, given):
        self.sent, self.prices, self.initial = given["sent"], given["prices"], given["initial"]
        self.history = [entry for entry in given["history"] if not entry.get("under_way")]  # says: ask again
        self.tables, self.records = given["tables"], given["records"]
        self.outbox, self.rejected, self.unsettled = given["outbox"], given["rejected"], given["unsettled"]
        self.clock_is_right = given["clock_is_right"]  # that of who gives records their times
        self.orders = index(self.tables["order.orders"], "order_id")
        self.items = {order: [[row["sku"], row["quantity"]] for row in sorted(rows, key=lambda row: row["line"])]
                      for order, rows in group(self.tables["order.order_items"], "order_id").items()}
        self._name_keyed()
        self.answers = group(self.history, "order")
        self.events = collections.defaultdict(lambda: collections.defaultdict(dict))  # topic, key, message id: event
        for record in self.records:
            self.events[record["topic"]][record["key"]][record["message_id"]] = record["event"]

    def _name_keyed(self):
        """An order that was sent with a key is named by the shop: it is the one of its customer, who has no other."""
        stored = group(self.tables["order.orders"], "customer_id")
        good = group([entry for entry in self.history if entry["what"] in ("place", "again") and entry["status"] == 200], "order")
        self.keys = {key: {"told": {entry["body"]["orderId"] for entry in good[key]},
                           "stored": {row["order_id"] for row in stored[wanted["customer"]]}}
                     for key, wanted in self.sent.items() if wanted.get("keyed")}
        names = {key: min(found["told"] or found["stored"] or {key}) for key, found in self.keys.items()}
        self.sent = {names.get(order, order): wanted for order, wanted in self.sent.items()}
        self.history = [{**entry, "order": names.get(entry["order"], entry["order"])} for entry in self.history]

    def state(self, order):
        return self.orders[order]["state"] if order in self.orders else None

    def in_state(self, *states):
        return {order for order, row in self.orders.items() if row["state"] in states}

    def told(self, order, what, status):
        return [entry for entry in self.answers.get(order, ()) if entry["what"] in what and entry["status"] == status]

    def total(self, items):
        return sum(self.prices[sku] * quantity for sku, quantity in items)


def named(state):
    return STATE.get(state, "not stored")


# ---- What customers were told ----


def accepted_orders_are_kept(world):
    for order in world.sent:
        if world.told(order, ("place", "again"), 200) and world.state(order) not in PAID:
            yield f"order {order} was answered with 200 and is {named(world.state(order))}"


def refused_orders_have_no_effect(world):
    for order in world.sent:
        if world.told(order, ("place", "again"), 409) and world.state(order) not in (REJECTED, None):
            yield f"order {order} was refused with 409 and is {named(world.state(order))}"


def orders_are_what_was_sent(world):
    for order, row in world.orders.items():
        wanted = world.sent.get(order)
        if wanted is None:
            yield f"order {order} is stored, and nobody sent it"
        elif row["customer_id"] != wanted["customer"] or world.items.get(order) != [list(item) for item in wanted["items"]]:
            yield f"order {order} is stored as {row['customer_id']} {world.items.get(order)}, not as it was sent: {wanted}"
        elif row["state"] in PAID and row["total_minor"] != world.total(wanted["items"]):
            yield f"order {order} costs {row['total_minor']}, not {world.total(wanted['items'])}"


def answers_are_what_was_sent(world):
    """The same order each time, whoever is asked."""
    for order, entries in world.answers.items():
        wanted = world.sent[order]
        made = set()
        for entry in entries:
            if entry["status"] != 200:
                continue
            body = entry["body"]
            items = [[item["sku"], item["quantity"]] for item in body["items"]]
            if body["orderId"] != order or body["customerId"] != wanted["customer"] or items != [list(i) for i in wanted["items"]]:
                yield f"order {order} was answered ({entry['what']}) as another one: {body}"
            made.add(body["createdAt"])
        if len(made) > 1:
            yield f"order {order} was answered as made at {len(made)} times: {', '.join(sorted(made))}"


def other_content_is_refused(world):
    for order in world.sent:
        for entry in world.answers.get(order, ()):
            if entry["what"] == "other" and entry["status"] == 200:
                yield f"order {order} was accepted a second time, with other content"


def one_order_for_a_key(world):
    for key, found in world.keys.items():
        for what, orders in (("was answered with", found["told"]), ("has made", found["stored"])):
            if len(orders) > 1:
                yield f"key {key} {what} {len(orders)} orders: {', '.join(sorted(orders))}"


def answers_of_a_key_are_the_kept_one(world):
    """Who asks after the kept answer was given gets it, and is told that it is an earlier one. Which one was kept says its trace:
    where nothing could be kept (the order was confirmed without its client, and then the disk was full) the next one is."""
    traces = {row["key"]: row["trace"][3:35] for row in world.tables["order.weir_idempotency"] if row["status"] == 0}
    keyed = [entry for entry in world.history if "key" in entry and entry["status"] == 200 and entry["what"] != "other"]
    for key, entries in group(keyed, "key").items():
        kept = [entry for entry in entries if entry["replayed"] or entry["trace"] == traces.get(key)]
        since = min((entry["answered"] for entry in kept), default=None)
        for entry in entries:
            if entry not in kept and since is not None and entry["sent"] > since:
                yield f"key {key} was answered anew ({entry['what']}), though it had a kept answer"
        if any(entry["body"] != kept[0]["body"] for entry in kept):
            yield f"key {key} has kept answers that differ"


ANSWERS = {"place": {200, 409}, "again": {200}, "other": {409, 422}, "cancel": {200, 409}, "get": {200}}


def no_answer_is_strange(world):
    """Those that say "ask again" aside."""
    for entry in world.history:
        if entry["status"] is not None and entry["status"] < 500 and entry["status"] not in ANSWERS[entry["what"]] | {429}:
            yield f"order {entry['order']}: {entry['what']} was answered with {entry['status']}: {entry['body']}"


def accepted_orders_are_found(world):
    for order, entries in world.answers.items():
        accepted = [entry["answered"] for entry in entries if entry["what"] in ("place", "again") and entry["status"] == 200]
        for entry in entries:
            if entry["status"] == 404 and accepted and entry["sent"] > min(accepted):
                yield f"order {order} was accepted, and later ({entry['what']}) not found"


def cancels_are_what_was_told(world):
    for order, row in world.orders.items():
        asked = [entry for entry in world.answers.get(order, ()) if entry["what"] == "cancel"]
        if any(entry["status"] == 200 for entry in asked) and row["state"] != CANCELLED:
            yield f"order {order} was answered as cancelled and is {named(row['state'])}"
        if row["state"] == CANCELLED and any(entry["status"] == 409 for entry in asked):
            yield f"order {order} could not be cancelled, it was answered, and is"
        if row["state"] == CANCELLED and not asked:
            yield f"order {order} is cancelled, and nobody asked for it"


# ---- Nothing is left over ----


def every_order_is_settled(world):
    for text in world.unsettled:
        yield text


def one_shipment_for_each_paid_order(world):
    shipments = group(world.tables["logistics.shipments"], "order_id")
    contents = {order: sorted([row["sku"], row["quantity"]] for row in rows)
                for order, rows in group(world.tables["logistics.shipment_items"], "order_id").items()}
    for order in world.in_state(*PAID):
        rows, cancelled = shipments.get(order, []), world.state(order) == CANCELLED
        if len(rows) != 1:
            yield f"order {order} is {named(world.state(order))} and has {len(rows)} shipments"
        elif cancelled != (rows[0]["state"] == SHIPMENT_CANCELLED):
            yield f"order {order} is {named(world.state(order))}, its shipment's state is {rows[0]['state']}"
        elif not (cancelled and order not in contents) and contents.get(order) != sorted(world.items[order]):
            yield f"order {order}: the shipment has {contents.get(order)}, the order {sorted(world.items[order])}"
    for order in set(shipments) - world.in_state(*PAID):
        yield f"order {order} is {named(world.state(order))} and has a shipment"


def points_of_each_paid_order(world):
    entries = group(world.tables["points.entries"], "order_id")
    for order in world.in_state(*PAID):
        rows, row = entries.get(order, []), world.orders[order]
        if len(rows) != 1:
            yield f"order {order} is {named(row['state'])} and has {len(rows)} entries of points"
        elif bool(rows[0]["taken_back"]) != (row["state"] == CANCELLED):
            yield f"order {order} is {named(row['state'])}, its points are {'' if rows[0]['taken_back'] else 'not '}taken back"
        elif not rows[0]["taken_back"] and (rows[0]["points"], rows[0]["customer_id"]) != (
                world.total(world.items[order]) // 100, row["customer_id"]):
            yield f"order {order} of {row['customer_id']} over {world.total(world.items[order])} gave {dict(rows[0])}"
    for order in set(entries) - world.in_state(*PAID):
        yield f"order {order} is {named(world.state(order))} and has points"


def each_paid_order_is_recommended_by_once(world):
    orders = {row["name"]: row["value"] for row in world.tables["recommendation.counts"]}["orders"]
    paid = world.in_state(*PAID)
    if orders != len(paid):
        yield f"{orders} orders are counted for recommendations, {len(paid)} were paid"
    wanted = collections.Counter((a, b) for order in paid for a, _ in world.items[order] for b, _ in world.items[order] if a != b)
    counted = {(row["sku"], row["other"]): row["orders"] for row in world.tables["recommendation.pairs"]}
    for pair in sorted(set(wanted) | set(counted)):
        if wanted[pair] != counted.get(pair, 0):
            yield f"{pair[0]} and {pair[1]} were bought together {wanted[pair]} times and counted {counted.get(pair, 0)} times"


def stock_is_conserved(world):
    """From the orders alone: what was there, less what is completed."""
    sold = collections.Counter()
    for order in world.in_state(COMPLETED):
        for sku, quantity in world.items[order]:
            sold[sku] += quantity
    for row in world.tables["inventory.stock"]:
        sku, initial = row["sku"], world.initial[row["sku"]]
        if min(row["on_hand"], row["reserved"], row["deducted"], row["restocked"]) < 0:
            yield f"{sku}: a quantity is negative: {dict(row)}"
        if row["on_hand"] + row["reserved"] + row["deducted"] != initial + row["restocked"]:
            yield f"{sku}: what is there does not add up to {initial}: {dict(row)}"
        if row["on_hand"] != initial - sold[sku] or row["deducted"] - row["restocked"] != sold[sku]:
            yield f"{sku}: {initial} were there and {sold[sku]} are sold, but {row['on_hand']} are left: {dict(row)}"


def no_reservation_without_its_order(world):
    lines = group(world.tables["inventory.reservation_lines"], "order_id")
    for order, rows in lines.items():
        states = {row["state"] for row in rows}
        wanted = {DEDUCTED} if world.state(order) in (COMPLETED,) else {RELEASED, RESTOCKED}
        if not states <= wanted:
            yield f"order {order} is {named(world.state(order))}, its lines at inventory have the states {sorted(states)}"
    for order in world.in_state(COMPLETED):
        if sorted([row["sku"], row["quantity"]] for row in lines.get(order, [])) != sorted(world.items[order]):
            yield f"order {order} is COMPLETED, and inventory has other lines: {[dict(row) for row in lines.get(order, [])]}"


def money_is_conserved(world):
    payments = index(world.tables["payment.payments"], "order_id")
    for order, row in payments.items():
        allowed = {COMPLETED: (CAPTURED,), CANCELLED: (VOIDED, REFUNDED)}.get(world.state(order), (VOIDED, DECLINED))
        if row["state"] not in allowed:
            yield f"order {order} is {named(world.state(order))}, its payment's state is {row['state']}"
    for order in world.in_state(COMPLETED):
        if order not in payments:
            yield f"order {order} is COMPLETED, and was never paid"
        elif payments[order]["amount_minor"] != world.total(world.items[order]):
            yield f"order {order} costs {world.total(world.items[order])}, {payments[order]['amount_minor']} were captured"
    by_state = collections.Counter()
    for row in payments.values():
        by_state[row["state"]] += row["amount_minor"]
    captured = sum(world.total(world.items[order]) for order in world.in_state(COMPLETED))
    if by_state[CAPTURED] != captured or by_state[OPEN]:
        yield f"{by_state[CAPTURED]} are captured and {by_state[OPEN]} authorised and open, orders for {captured} are completed"


# ---- Events ----


def each_event_is_out_once(world):
    """Sent twice is allowed, with the same message id; said twice is not."""
    payments = index(world.tables["payment.payments"], "order_id")
    for topic, states in (("order.paid", PAID), ("order.completed", None), ("order.cancelled", (CANCELLED,))):
        events = world.events[topic]
        for order, messages in events.items():
            if len(messages) > 1:
                yield f"{topic} says {len(messages)} times that of order {order}"
            if states and world.state(order) not in states or topic == "order.completed" and world.state(order) not in (
                    COMPLETED, CANCELLED):
                yield f"{topic} has order {order}, which is {named(world.state(order))}"
        for order in world.in_state(*(states or (COMPLETED,))) - set(events):
            yield f"{topic} does not have order {order}, which is {named(world.state(order))}"
    for topic, states in (("payment.captured", (CAPTURED, REFUNDED)), ("payment.refunded", (REFUNDED,))):
        wanted = {order for order, row in payments.items() if row["state"] in states}
        for order in wanted ^ set(world.events[topic]):
            yield f"{topic} has order {order} {len(world.events[topic].get(order, ()))} times, its payment's state is " \
                  f"{payments[order]['state'] if order in payments else 'none'}"
        for order, messages in world.events[topic].items():
            if len(messages) > 1:
                yield f"{topic} says {len(messages)} times that of order {order}"


def events_say_what_is_stored(world):
    for order, messages in world.events["order.paid"].items():
        for event in messages.values():
            if order in world.orders and (event["order_id"], event["customer_id"], event["items"], event["total_minor"]) != (
                    order, world.orders[order]["customer_id"], world.items[order], world.total(world.items[order])):
                yield f"order.paid says of order {order}: {event}"


def events_keep_their_order(world):
    """Of each key, by what was published first: within a partition, and over all topics by the broker's clock, where that is one.
    Counts what comes first of a message within a run of the broker: what is sent again is sent again in order."""
    for service, rows in world.outbox.items():
        number = {row["message_id"]: row["id"] for row in rows}
        firsts = collections.defaultdict(dict)  # of a partition and key: message ids by their place
        clocked = collections.defaultdict(dict)
        for record in sorted(world.records, key=lambda record: record["offset"]):
            if record["message_id"] in number:
                place = (record["run"], record["topic"], record["partition"], record["key"])
                firsts[place].setdefault(record["message_id"], record["offset"])
                times = clocked[record["run"], "all topics", record["key"]]
                times[record["message_id"]] = min(record["at_ms"], times.get(record["message_id"], record["at_ms"]))
        for place, when in [*firsts.items(), *(clocked.items() if world.clock_is_right else ())]:
            newest = newest_at = None
            for message, at in sorted(when.items(), key=lambda pair: (pair[1], number[pair[0]])):
                if newest is not None and number[message] < number[newest] and newest_at < at:
                    yield f"{place[1]}: {message} of {place[-1]} came after a later event of its key, {newest}"
                if newest is None or number[message] > number[newest]:
                    newest, newest_at = message, at


def events_stay_with_their_partition(world):
    places = collections.defaultdict(set)
    for record in world.records:
        places[record["run"], record["topic"], record["key"]].add(record["partition"])
    for (_, topic, key), partitions in places.items():
        if len(partitions) > 1:
            yield f"{topic}: {key} is in the partitions {sorted(partitions)}"


def stored_events_are_on_the_broker(world):
    there = {record["message_id"] for record in world.records}
    for service, rows in world.outbox.items():
        for row in rows:
            if row["message_id"] not in there:
                yield f"{service}: {row['topic']} of {row['key']} is stored and was never on the broker"


def nothing_is_set_aside(world):
    for service, rows in world.rejected.items():
        for row in rows:
            yield f"{service} has set aside a message of {row['topic']}: {row['reason']}"
    for record in world.records:
        if record["topic"].endswith(".dlt"):
            yield f"{record['topic']} has {record['message_id']} of {record['key']}"


RULES = [
    accepted_orders_are_kept, refused_orders_have_no_effect, orders_are_what_was_sent, answers_are_what_was_sent,
    other_content_is_refused, one_order_for_a_key, answers_of_a_key_are_the_kept_one, no_answer_is_strange,
    accepted_orders_are_found, cancels_are_what_was_told, every_order_is_settled,
    one_shipment_for_each_paid_order, points_of_each_paid_order, each_paid_order_is_recommended_by_once, stock_is_conserved,
    no_reservation_without_its_order, money_is_conserved, each_event_is_out_once, events_say_what_is_stored,
    events_keep_their_order, events_stay_with_their_partition, stored_events_are_on_the_broker, nothing_is_set_aside,
]


def check(given):
    """{rule: [where it is broken, ...]} of those that are."""
    world = World(given)
    found = {rule.__name__: list(rule(world)) for rule in RULES}
    return {name: texts for name, texts in found.items() if texts}
