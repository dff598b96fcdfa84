"""Gathers what the checker looks at: the tables of every service and every record of the broker."""

import sqlite3
import threading
import time

import contents
import kafka

TABLES = {
    "order": ["orders", "order_items", "weir_idempotency"],
    "inventory": ["products", "stock", "reservations", "reservation_lines"],
    "payment": ["payments"],
    "logistics": ["shipments", "shipment_items"],
    "points": ["entries"],
    "recommendation": ["pairs", "products", "counts"],
}
PUBLISHERS = ["order", "inventory", "payment"]
SUBSCRIBERS = ["logistics", "points", "recommendation"]
# What each of them must have dealt with before all is quiet.
SUBSCRIPTIONS = {
    "logistics": {"order.paid": "OnOrderPaid", "order.completed": "OnOrderCompleted", "order.cancelled": "OnOrderCancelled"},
    "points": {"order.paid": "OnOrderPaid", "order.cancelled": "OnOrderCancelled"},
    "recommendation": {"order.paid": "OnOrderPaid"},
}


class Sqlite:
    """A file for each service."""

    def __init__(self, folder):
        self.folder = folder

    def rows(self, service, query):
        connection = sqlite3.connect(f"file:{self.folder}/{service}.db?mode=ro", uri=True, timeout=10)
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(query)]
        finally:
            connection.close()

    def tables(self, service):
        return {row["name"] for row in self.rows(service, "SELECT name FROM sqlite_master WHERE type = 'table'")}

    def outbox(self, service):
        """Rows that are kept, oldest first; how many were published; what was set aside."""
        rows = self.rows(service, "SELECT id, message_id, topic, key FROM weir_outbox ORDER BY id")
        for row in rows:
            row["key"] = row["key"].decode() if isinstance(row["key"], bytes) else row["key"]
        return rows

    def unpublished(self, service):
        return self.rows(service, "SELECT (SELECT coalesce(max(id), 0) FROM weir_outbox) - (SELECT published FROM"
                                  " weir_outbox_state) AS n")[0]["n"]

    def rejected(self, service):
        return self.rows(service, "SELECT message_id, topic, reason FROM weir_outbox_rejected")

    def inbox(self, service):
        return {(row["method"].rpartition(".")[2].rpartition("/")[2], row["message_id"])
                for row in self.rows(service, "SELECT method, message_id FROM weir_inbox")}


def unsettled(database):
    """Orders that somebody still has to do something for, as texts."""
    found = [f"order {row['order_id']} has the state {row['state']}"
             for row in database.rows("order", "SELECT order_id, state FROM orders WHERE state IN (1, 3) LIMIT 20")]
    tables = database.tables("order")
    if "weir_saga" in tables:
        found += [f"saga {row['name']} {row['id']} has the state {row['state']}, step {row['step']}"
                  for row in database.rows("order", "SELECT name, id, state, step FROM weir_saga WHERE state < 3 LIMIT 20")]
    else:
        found += [f"order {row['order_id']} owes {row['owes']}"
                  for row in database.rows("order", "SELECT order_id, owes FROM orders WHERE owes <> 0 LIMIT 20")]
    return found


class Recorder:
    """Reads the topics while the shop runs: the development broker forgets."""

    def __init__(self, brokers):
        self.brokers, self.topics = brokers, kafka.Topics()
        self.lock = threading.Lock()
        self.closing = False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()

    def _run(self):
        while not self.closing:
            self.read()
            time.sleep(1)  # the records wait

    def read(self):
        """True when all that is there was read."""
        with self.lock:
            for host, port in self.brokers:
                try:
                    self.topics.read(host, port)
                    return True
                except (OSError, EOFError, IndexError):
                    continue
        return False

    def forget(self):
        with self.lock:
            self.topics.forget()

    def stop(self):
        self.closing = True
        self.thread.join()

    def records(self):
        with self.lock:
            return [{"run": record["run"], "topic": record["topic"], "partition": record["partition"],
                     "offset": record["offset"], "at_ms": record["at_ms"], "key": record["key"],
                     "message_id": record["message_id"], "event": contents.event(record["topic"], record["value"])}
                    for record in self.topics.records]

    def unread_by(self, database):
        """Messages that a subscriber has not dealt with, by service."""
        with self.lock:
            ids = {}
            for record in self.topics.records:
                ids.setdefault(record["topic"], set()).add(record["message_id"])
        left = {}
        for service, methods in SUBSCRIPTIONS.items():
            seen = database.inbox(service)
            left[service] = sum((method, message) not in seen for topic, method in methods.items()
                                for message in ids.get(topic, ()))
        return {service: count for service, count in left.items() if count}


def quiet(database, recorder):
    """What is still under way, as texts; empty when nothing is."""
    try:
        found = unsettled(database)
        for service in PUBLISHERS:
            if count := database.unpublished(service):
                found.append(f"{service} has {count} events that are not published")
        if not recorder.read():
            found.append("the broker does not give its records")
        found += [f"{service} has not dealt with {count} messages" for service, count in recorder.unread_by(database).items()]
        return found
    except sqlite3.Error as problem:
        return [f"a database does not answer: {problem}"]


def world(database, recorder, history, sent, before, clock_is_right):
    """`sent`: what the customers wanted, by order id; `before`: prices and stock before the first order."""
    tables = {f"{service}.{table}": database.rows(service, f"SELECT * FROM {table}")
              for service, names in TABLES.items() for table in names}
    return {
        "sent": sent, "history": history, **before, "tables": tables, "unsettled": unsettled(database),
        "outbox": {service: database.outbox(service) for service in PUBLISHERS},
        "rejected": {service: database.rejected(service) for service in PUBLISHERS}, "records": recorder.records(),
        "clock_is_right": clock_is_right,
    }


def before(database):
    return {"prices": {row["sku"]: row["price_minor"] for row in database.rows("inventory", "SELECT sku, price_minor FROM products")},
            "initial": {row["sku"]: row["on_hand"] for row in database.rows("inventory", "SELECT sku, on_hand FROM stock")}}
