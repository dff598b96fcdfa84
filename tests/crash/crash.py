"""A shop of which one service is ended at a chosen call (points.c), and what must be true of an order afterwards."""

import collections
import functools
import http.client
import json
import mmap
import os
import shutil
import struct
import subprocess
import sys
import threading
import time
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "shop"))
from shop import BUILD, Shop  # noqa: E402

PENDING, REJECTED, CONFIRMED, COMPLETED, CANCELLED = 1, 2, 3, 4, 5
SHIM = os.path.join(BUILD, "tests", "crash", "libcrash-points.so")
POWER_CUT = os.path.join(BUILD, "tests", "crash", "power-cut")
CONSUMERS = ["logistics", "points", "recommendation"]
ITEMS = [("tea-assam", 1), ("mug-white", 2)]
TOTAL = 690 + 2 * 890
# Whether the client sends it again; to whom; where the victim died before, if the point is of its next life; whether an
# order is cancelled that is completed.
Mode = collections.namedtuple("Mode", "retry by first cancel", defaults=(None, False))
HOWS = ["before", "half", "after"]
SETTLED_WITHIN = 40  # seconds; the machine may be busy with other tests
QUIET = 0.06  # seconds without anything under way: then a point will not come any more


class Control:
    """The file that points.c shares with us; see its struct control."""
    HEAD = struct.Struct("IIII96sI")
    CLASS = struct.Struct("96sII")
    COUNT_AT, CLASSES_AT = HEAD.size - 4, HEAD.size

    def __init__(self, path):
        self.path = path
        self.times = 0
        with open(path, "wb") as file:
            file.write(bytes(self.CLASSES_AT + 256 * self.CLASS.size))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)

    def arm(self, target="", number=0, how=None):
        """From now on calls are counted, and the target ends the process."""
        self.disarm()
        self.HEAD.pack_into(self.memory, 0, 0, 1 + HOWS.index(how) if how else 0, number, 0, target.encode(), 0)
        self.times += 1
        struct.pack_into("I", self.memory, 0, self.times)

    def disarm(self):
        struct.pack_into("I", self.memory, 0, 0)

    @property
    def hit(self):
        return struct.unpack_from("I", self.memory, 12)[0] == 1

    def classes(self):
        """{class: (calls, whether its calls have bytes)}"""
        count = struct.unpack_from("I", self.memory, self.COUNT_AT)[0]
        found = (self.CLASS.unpack_from(self.memory, self.CLASSES_AT + i * self.CLASS.size) for i in range(count))
        return {name.partition(b"\0")[0].decode(): (calls, bool(writes)) for name, calls, writes in found}


class Consumers(Shop):
    """What the lanes share: the broker, and who takes the events."""

    def __init__(self, shift):
        super().__init__(shift)
        self.flags["logistics"] = ["--logistics.send_after_ms=3600000"]  # none leaves before it is cancelled
        try:
            self.start("broker", *CONSUMERS)
        except BaseException:
            self.close()
            raise


class Lane(Shop):
    """An order service of its own, with inventory, payment and gateway; the victim runs under the shim."""

    def __init__(self, shift, consumers, victim, flags, power_cut=False):
        super().__init__(shift, consumers.address("broker", "kafka"))
        self.consumers = consumers
        self.victim = victim
        self.orders = []
        self.control = Control(f"{self.dir}/control")
        self.flags.update(flags)
        self.power_cut = power_cut
        self.disk = f"{self.dir}/disk"  # the victim's
        os.mkdir(self.disk)
        self.chance = 0
        ports = {self.address(name, protocol).split(":")[1]: name for name, protocol in
                 (("order", "rest"), ("order", "grpc"), ("order", "admin"), ("inventory", "grpc"),
                  ("inventory", "admin"), ("payment", "grpc"), ("payment", "admin"))}
        ports[consumers.address("broker", "kafka").split(":")[1]] = "broker"
        for name in ("order", "gateway"):
            self.extra[name]["WEIR_LOGISTICS_TARGET"] = consumers.address("logistics", "rest")
        self.extra[victim].update(
            LD_PRELOAD=SHIM, CRASH_CONTROL=self.control.path,
            ASAN_OPTIONS="detect_leaks=0:verify_asan_link_order=0",
            CRASH_LOG=f"{self.dir}/files.log", CRASH_FOLDER=self.disk,
            CRASH_PORTS=",".join(f"{port}={name}" for port, name in ports.items()))
        try:
            self.start("payment", "inventory", "order", "gateway")
        except BaseException:
            self.close()
            raise

    @functools.lru_cache(maxsize=None)
    def address(self, service, protocol):
        return super().address(service, protocol)

    def database(self, service):
        return f"{self.disk}/{service}.db" if service == self.victim else super().database(service)

    def start(self, *names):
        if self.victim in names:  # what is there now is all on the disk
            shutil.rmtree(f"{self.dir}/base", ignore_errors=True)
            shutil.copytree(self.disk, f"{self.dir}/base")
        super().start(*names)

    def cut_power(self):
        """The victim has died; of what it wrote the disk has what a power cut leaves."""
        shutil.rmtree(self.disk)
        os.mkdir(self.disk)
        subprocess.run([POWER_CUT, f"{self.dir}/files.log", f"{self.dir}/base", self.disk, str(self.chance)], check=True)

    def died(self):
        return self.processes[self.victim].poll() is not None

    def start_fresh(self):
        """Connections and caches are new; so a point means the same call each time."""
        if self.victim in self.processes:
            self.kill(self.victim)
        self.start(self.victim)

    def restart(self, point=None):
        """After it died; `point`: and dies there again, maybe before it is ready."""
        self.processes.pop(self.victim).wait()
        if self.power_cut:
            self.cut_power()
        if not point:
            self.start(self.victim)
            return
        self.control.arm(*point)
        try:
            self.start(self.victim)
        except AssertionError:
            if not self.died() or not self.control.hit:
                raise

    def expect(self, what, left, right):
        if left != right:
            self.failed.append(f"{what}: {left} != {right}")

    # ---- A client ----

    def send(self, order_id, by, cancel=False):
        """Places or cancels an order. The answer's status and body; (None, why) when there was none."""
        connection = http.client.HTTPConnection(self.address(by, "rest"), timeout=10)
        body = {"reason": "too slow"} if cancel else {
            "order_id": order_id, "customer_id": "ada",
            "items": [{"sku": sku, "quantity": quantity} for sku, quantity in ITEMS]}
        try:
            connection.request("POST", f"/v1/orders/{order_id}:cancel" if cancel else "/v1/orders", json.dumps(body),
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as problem:
            return None, repr(problem)
        finally:
            connection.close()

    def ask(self, order_id, by, retry, cancel):
        """Begins to place or cancel an order, as a user would; the client's answers are in the list that is returned."""
        answers = []

        def client():
            end = time.monotonic() + SETTLED_WITHIN
            while True:
                answers.append(self.send(order_id, by, cancel))
                status = answers[-1][0]
                if not retry or status == 200 or (status and 400 <= status < 500) or time.monotonic() > end:
                    return
                time.sleep(0.05)  # a client's pause

        thread = threading.Thread(target=client)
        thread.start()
        return thread, answers

    # ---- What is stored ----

    def state(self, order_id):
        """Its state, and how many of its sagas are under way."""
        rows = self.rows("order", "SELECT state, (SELECT count(*) FROM weir_saga WHERE id = order_id AND weir_saga.state < 3)"
                         f" FROM orders WHERE order_id = '{order_id}'")
        return rows[0] if rows else (None, 0)

    def published(self):
        """No event of this lane waits for the broker."""
        return all(self.value(name, "SELECT (SELECT coalesce(max(id), 0) FROM weir_outbox) - published"
                              " FROM weir_outbox_state") <= 0 for name in ("order", "inventory", "payment"))

    def settled(self, order_id):
        """The order has come to its end, and everybody who is told of it has taken it."""
        state, under_way = self.state(order_id)
        if under_way or state in (PENDING, CONFIRMED) or not self.published():
            return False
        if state not in (COMPLETED, CANCELLED):
            return True
        taken = "state <> 3" if state == COMPLETED else "state = 3", f"taken_back = {int(state == CANCELLED)}"
        return all(self.consumers.value(name, f"SELECT count(*) FROM {table} WHERE order_id = '{order_id}' AND {so}") == 1
                   for name, table, so in (("logistics", "shipments", taken[0]), ("points", "entries", taken[1])))

    def found(self, order_id):
        """What all that have to do with an order stored of it."""
        def of(shop, service, query):
            return shop.rows(service, query.format(f"'{order_id}'"))
        return {
            "order": self.state(order_id)[0],
            "reservations": [state for (state,) in of(self, "inventory",
                             "SELECT state FROM reservations WHERE order_id = {} AND state = 1")],
            "lines": of(self, "inventory", "SELECT sku, quantity, state FROM reservation_lines WHERE order_id = {} ORDER BY sku"),
            "payments": of(self, "payment", "SELECT amount_minor, state FROM payments WHERE order_id = {}"),
            "shipments": len(of(self.consumers, "logistics", "SELECT 1 FROM shipments WHERE order_id = {}")),
            "points": of(self.consumers, "points", "SELECT points, taken_back FROM entries WHERE order_id = {}"),
            "events": [topic for (topic,) in of(self, "order", "SELECT topic FROM weir_outbox"
                                                " WHERE CAST(key AS TEXT) = {} ORDER BY id")]}

    def problems(self, order_id, answers, cancel):
        """What is wrong with an order that has come to its end."""
        found = self.found(order_id)
        state, accepted = found["order"], any(status == 200 for status, _ in answers)
        wanted = dict(found)
        if state in (COMPLETED, CANCELLED):
            done = state == COMPLETED
            wanted |= {"lines": sorted((sku, quantity, 2 if done else 4) for sku, quantity in ITEMS),
                       "payments": [(TOTAL, 3 if done else 5)], "shipments": 1,
                       "points": [(TOTAL // 100, int(not done))],
                       "events": ["order.paid", "order.completed"] + ["order.cancelled"] * (not done)}
        else:  # refused, or never stored: everything was given back
            wanted |= {"reservations": [], "lines": [line[:2] + (3,) for line in found["lines"]],
                       "payments": [(amount, 4) for amount, _ in found["payments"]],
                       "shipments": 0, "points": [], "events": []}
        if state not in ([COMPLETED, CANCELLED] if cancel else [COMPLETED, REJECTED, None]):
            wanted["order"] = "another state"
        if accepted and state != (CANCELLED if cancel else COMPLETED):
            wanted["order"] = "what was answered"
        return [f"{what}: {found[what]}, not {wanted[what]}" for what in wanted if found[what] != wanted[what]]

    def check_sums(self):
        """Over everything at the end."""
        ids = ", ".join(f"'{order_id}'" for order_id in self.orders)
        completed = self.value("order", "SELECT count(*) FROM orders WHERE state = 4")
        shipped = self.value("order", "SELECT count(*) FROM orders WHERE state IN (4, 5)")
        pieces = sum(quantity for _, quantity in ITEMS)
        for what, service, query, wanted in (
                ("orders that are not at their end", "order", "SELECT count(*) FROM orders WHERE state IN (1, 3)", 0),
                ("stock that does not add up", "inventory",
                 "SELECT count(*) FROM stock WHERE on_hand + reserved + deducted <> initial + restocked", 0),
                ("pieces reserved", "inventory", "SELECT sum(reserved) FROM stock", 0),
                ("pieces deducted", "inventory", "SELECT sum(deducted) - sum(restocked) FROM stock", completed * pieces),
                ("money captured", "payment", "SELECT sum(amount_minor) FROM payments WHERE state = 3",
                 completed * TOTAL),
                ("authorisations left open", "payment", "SELECT count(*) FROM payments WHERE state = 1", 0)):
            self.expect(what, self.value(service, query), wanted)
        for service, table in (("logistics", "shipments"), ("points", "entries")):
            self.expect(f"rows of {table}", self.consumers.value(
                service, f"SELECT count(*) FROM {table} WHERE order_id IN ({ids})"), shipped)

    # ---- One order, one point ----

    def wait_until_quiet(self, order_id, client, end):
        """Until the victim has died, or everything has come to its end."""
        quiet_since = None
        while time.monotonic() < end and not self.died():
            quiet = not client.is_alive() and self.settled(order_id)
            quiet_since = (quiet_since or time.monotonic()) if quiet else None
            if quiet and time.monotonic() - quiet_since > QUIET:
                return
            time.sleep(0.01)  # a poll with a deadline

    def run(self, point, mode):
        """Places or cancels an order under `point` (class, number, how; None: none). Whether the point was reached, and
        what is wrong."""
        order_id = str(uuid.uuid4())
        self.orders.append(order_id)
        end = time.monotonic() + SETTLED_WITHIN
        if mode.cancel:
            self.wait_until_quiet(order_id, self.ask(order_id, mode.by, True, False)[0], end)
        self.control.arm(*(mode.first or point or ()))
        client, answers = self.ask(order_id, mode.by, mode.retry, mode.cancel)
        self.wait_until_quiet(order_id, client, end)
        if mode.first:
            if not self.control.hit:
                self.control.disarm()
                return False, []
            self.processes[self.victim].wait()
            self.restart(point or ("", 0, None))
            self.wait_until_quiet(order_id, client, end)
        self.control.disarm()
        hit = self.control.hit
        if hit:
            self.processes[self.victim].wait()
        elif self.died():
            status = self.processes[self.victim].returncode
            self.restart()
            client.join()
            return True, [f"{self.victim} ended by itself with {status}: {self.log(self.victim)}"]
        if hit:
            self.restart()
        client.join()
        while not self.settled(order_id):
            if time.monotonic() > end:
                return hit, [f"not settled: answers {answers}, {self.found(order_id)}"]
            time.sleep(0.01)  # a poll with a deadline
        if mode.retry and answers[-1][0] != 200:
            return hit, [f"the client sent it until {answers[-1]}"]
        return hit, self.problems(order_id, answers, mode.cancel)
