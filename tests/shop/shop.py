"""Runs the shop's real processes for the end-to-end tests, and adds up what they stored."""

import collections
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SHOP_BUILD", os.path.join(ROOT, "build", "dev"))
SERVICES = ["payment", "inventory", "logistics", "order", "points", "recommendation", "gateway"]
READY_WITHIN = 60  # seconds; the machine may be busy with other tests
STOPPED_WITHIN = 40


class Shop:
    """All processes, on ports of their own, with their files in a folder of their own."""

    def __init__(self, shift, brokers=None):
        self.dir = tempfile.mkdtemp(prefix="weir-shop-")
        self.environment = dict(os.environ, SHOP_PORT_SHIFT=str(shift), ASAN_OPTIONS="detect_leaks=1")
        if brokers:
            self.environment["SHOP_BROKERS"] = brokers
        self.own_broker = not brokers
        self.flags = collections.defaultdict(list)  # of a service: ["--order.patience_ms=4000"]
        self.extra = collections.defaultdict(dict)  # of a service: more of its environment
        self.processes = {}
        self.exits = collections.defaultdict(list)
        self.failed = []

    def _ask(self, command):
        script = f". scripts/ports; {command}"
        return subprocess.run(["bash", "-c", script], cwd=ROOT, env=self.environment, check=True, text=True,
                              stdout=subprocess.PIPE).stdout.strip()

    def address(self, service, protocol):
        return self._ask(f"address {service} {protocol}")

    def start(self, *names):
        for name in names:
            if name == "broker":
                topics = self._ask("shop_topics")
                command = [f"{BUILD}/framework/tools/devbroker/weir-devbroker", "--listen",
                           self.address("broker", "kafka"), "--topics", topics]
                environment = self.environment
            else:
                command = [f"{BUILD}/services/shop-{name}", "--config", f"services/{name}/{name}.yaml"]
                if name != "gateway":
                    command.append(f"--db.url=sqlite:{self.database(name)}")
                command += self.flags[name]
                pairs = (line.split("=", 1) for line in self._ask(f"service_environment {name}").splitlines())
                environment = self.environment | dict(pairs) | self.extra[name]
            log = open(f"{self.dir}/{name}.log", "ab")
            self.processes[name] = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                                                    stdout=log, stderr=log, start_new_session=True)
            log.close()
        for name in names:
            self._wait_ready(name)

    def start_all(self):
        self.start(*(["broker"] if self.own_broker else []), *SERVICES)

    def _wait_ready(self, name):
        end = time.monotonic() + READY_WITHIN
        host, port = self.address(name, "kafka" if name == "broker" else "admin").split(":")
        while time.monotonic() < end:
            if self.processes[name].poll() is not None:
                raise AssertionError(f"{name} ended with {self.processes[name].returncode}:\n{self.log(name)}")
            try:
                if name == "broker":
                    socket.create_connection((host, int(port)), 1).close()
                    return
                with urllib.request.urlopen(f"http://{host}:{port}/ready", timeout=1) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                pass
            time.sleep(0.05)  # a poll with a deadline
        raise AssertionError(f"{name} was not ready within {READY_WITHIN} s:\n{self.log(name)}")

    def stop(self, name):
        """SIGTERM; the exit status goes to self.exits."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            self.exits[name].append(process.wait(STOPPED_WITHIN))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{name} did not stop within {STOPPED_WITHIN} s:\n{self.log(name)}")

    def kill(self, name):
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def stop_all(self):
        """The last one first; the broker behind those that commit to it, also where it was started again."""
        for name in sorted(reversed(self.processes), key=lambda name: name == "broker"):
            self.stop(name)

    def close(self):
        for process in self.processes.values():
            process.kill()
            process.wait()
        if os.environ.get("SHOP_KEEP"):
            print("files are kept in", self.dir)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def log(self, name, lines=40):
        with open(f"{self.dir}/{name}.log", errors="replace") as log:
            return "".join(log.readlines()[-lines:])

    def load(self, rate, count):
        """Begins to place orders; see finish_load()."""
        log = open(f"{self.dir}/load.log", "ab")
        process = subprocess.Popen([f"{BUILD}/services/shop-load", f"--load.rate={rate}", f"--load.count={count}",
                                    f"--load.record={self.dir}/load.record"], cwd=ROOT,
                                   env=dict(self.environment, WEIR_GATEWAY_TARGET=self.address("gateway", "rest")),
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        log.close()
        self.processes["load"] = process
        return process

    def placed(self):
        """Orders whose outcome the client knows by now."""
        with open(f"{self.dir}/load.log", errors="replace") as log:
            lines = [line for line in log if line.startswith("placed ")]
        words = lines[-1].split() if lines else []
        return int(words[3]) + int(words[5]) if words else 0

    def wait_placed(self, count, within=120):
        end = time.monotonic() + within
        while self.placed() < count:
            if self.processes["load"].poll() is not None or time.monotonic() > end:
                raise AssertionError(f"{count} orders were not placed within {within} s:\n{self.log('load')}")
            time.sleep(0.1)  # a poll with a deadline

    def finish_load(self, within):
        """Until every order is settled and delivered."""
        process = self.processes.pop("load")
        try:
            status = process.wait(within)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            logs = "\n".join(f"--- {name}\n{self.log(name, 15)}" for name in SERVICES)
            raise AssertionError(f"the load was not done within {within} s:\n{self.log('load', 5)}\n{logs}")
        if status != 0:
            raise AssertionError(f"the load ended with {status}:\n{self.log('load')}")

    # ---- What is stored ----

    def database(self, service):
        return f"{self.dir}/{service}.db"

    def rows(self, service, query):
        connection = sqlite3.connect(f"file:{self.database(service)}?mode=ro", uri=True)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def value(self, service, query):
        return self.rows(service, query)[0][0] or 0

    def wait_value(self, service, query, wanted, within=60):
        end = time.monotonic() + within
        while (value := self.value(service, query)) != wanted:
            if time.monotonic() > end:
                raise AssertionError(f"{service}: {query}: {value}, not {wanted}, after {within} s:\n{self.log(service)}")
            time.sleep(0.1)  # a poll with a deadline

    def expect(self, what, left, right):
        print(f"  {what}: {left}" + ("" if left == right else f"  BUT {right}"))
        if left != right:
            self.failed.append(f"{what}: {left} != {right}")

    def check_sums(self):
        """Everything that must add up once all is settled."""
        self.wait_value("order", "SELECT count(*) FROM weir_saga WHERE state < 3", 0)
        with open(f"{self.dir}/load.record") as record:
            outcomes = dict(line.split() for line in record)
        accepted = {order for order, outcome in outcomes.items() if outcome == "accepted"}
        stored = {order for (order,) in self.rows("order", "SELECT order_id FROM orders WHERE state IN (3, 4, 5)")}
        shipped = collections.Counter(order for (order,) in self.rows("logistics", "SELECT order_id FROM shipments"))
        pointed = collections.Counter(order for (order,) in self.rows("points", "SELECT order_id FROM entries"))
        self.expect("accepted orders that are not stored", len(accepted - stored), 0)
        self.expect("stored orders that nobody was told of", len(stored - accepted), 0)
        self.expect("orders with a shipment", len(shipped), len(stored))
        self.expect("orders with points", len(pointed), len(stored))
        self.expect("orders that were recommended by",
                    self.value("recommendation", "SELECT value FROM counts WHERE name = 'orders'"), len(stored))
        self.expect("products whose stock does not add up", self.value(
            "inventory", "SELECT count(*) FROM stock WHERE on_hand + reserved + deducted <> initial + restocked"), 0)
        self.expect("pieces deducted", self.value("inventory", "SELECT sum(deducted) - sum(restocked) FROM stock"),
                    self.value("order", "SELECT sum(quantity) FROM order_items JOIN orders USING (order_id) WHERE state = 4"))
        self.expect("pieces still reserved", self.value("inventory", "SELECT sum(reserved) FROM stock"), 0)
        self.expect("money captured", self.value("payment", "SELECT sum(amount_minor) FROM payments WHERE state = 3"),
                    self.value("order", "SELECT sum(total_minor) FROM orders WHERE state = 4"))
        self.expect("authorisations left open", self.value("payment", "SELECT count(*) FROM payments WHERE state = 1"), 0)
        self.expect("points given", self.value("points", "SELECT sum(points) FROM entries WHERE taken_back = 0"),
                    self.value("order", "SELECT sum(total_minor / 100) FROM orders WHERE state IN (3, 4)"))

    def check_exits(self):
        for name, statuses in self.exits.items():
            self.expect(f"exit statuses of {name}", statuses, [0] * len(statuses))
            if any(statuses):
                print(self.log(name))


def run(*tests, shop=Shop):
    """Runs test functions one after the other, says what each found, and ends the process."""
    shift = int(os.environ.get("SHOP_TEST_SHIFT", "20000"))
    passed = failed = 0
    for test in tests:
        if len(sys.argv) > 1 and sys.argv[1] not in test.__name__:
            continue
        print(test.__name__)
        mine = shop(shift, os.environ.get("SHOP_BROKERS"))
        try:
            test(mine)
            problems = mine.failed
        except AssertionError as problem:
            problems = [str(problem)]
        finally:
            mine.close()
        for problem in problems:
            print("  FAILED:", problem)
        passed, failed = passed + (not problems), failed + bool(problems)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)
