"""The whole shop: release build, SQLite with synchronous=full, services, broker and load on the same cores."""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid

from measure import BUILD, ROOT, Series, cpu_seconds, shuffled, spread

os.environ["SHOP_BUILD"] = BUILD
sys.path.insert(0, os.path.join(ROOT, "tests", "shop"))
import shop as shop_of_tests  # noqa: E402

SHIFT = int(os.environ.get("BENCH_SHIFT", 30000 - 9092))  # of the ports
AT_ONCE = 64
RATE = 300
FOLDER = os.path.join(ROOT, "build", "bench")
SERVICES = shop_of_tests.SERVICES

# What is measured: its name, on a real Kafka or on the development broker, and flags of services.
FORMS = {
    "placing": ("an order is placed, on Kafka (steps 1 to 4 of an order, no deduction, no capture)", True,
                {"order": ["--order.complete=false"]}),
    "all": ("all that an order's life has, on Kafka", True, {}),
    "embedded": ("all that an order's life has, on the development broker", False, {}),
}


# ---- What the kernel and the services know ----

def flushes_a_second(folder, seconds=0.5):
    """What the disk gives one who appends and flushes, over and over."""
    path = os.path.join(folder, "flush")
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    count, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        os.write(file, bytes(4096))
        os.fdatasync(file)
        count += 1
    rate = count / (time.monotonic() - began)
    os.close(file)
    os.unlink(path)
    return rate


def switches(pid):
    """Voluntary context switches of all threads that live."""
    found = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/status") as status:
                found += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status.read(), re.M)[1])
        except FileNotFoundError:
            pass  # it has just ended
    return found


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])


def proportional_kib(pid):
    """A page that n processes share counts as a n-th of one."""
    with open(f"/proc/{pid}/smaps_rollup") as maps:
        return int(re.search(r"^Pss:\s+(\d+)", maps.read(), re.M)[1])


def memory(processes):
    return {name: {"resident": resident_kib(process.pid), "proportional": proportional_kib(process.pid)}
            for name, process in processes.items()}


def commits(shop):
    """Commits of all databases, each a flush of its log."""
    found = 0
    for name in SERVICES:
        with urllib.request.urlopen(f"http://{shop.address(name, 'admin')}/metrics", timeout=5) as answer:
            found += sum(float(n) for n in re.findall(r"^weir_sql_commits_total\S* (\S+)", answer.read().decode(), re.M))
    return int(found)


# ---- One shop ----

class Bench(shop_of_tests.Shop):
    def __init__(self, brokers, flags):
        super().__init__(SHIFT, brokers)
        self.environment.update(WEIR_LOG_LEVEL="warn")
        self.flags.update(flags)
        self.at_once = False  # nobody waits for anybody to be ready
        self.addresses = {(name, protocol): super(Bench, self).address(name, protocol)
                          for name, protocol in [(name, "admin") for name in SERVICES] +
                          [("gateway", "rest"), ("broker", "kafka")]}

    def address(self, service, protocol):
        return self.addresses.get((service, protocol)) or super().address(service, protocol)

    def services(self):
        return {name: self.processes[name] for name in SERVICES}

    def _wait_ready(self, name):
        if not self.at_once:
            super()._wait_ready(name)

    def start_at_once(self):
        """All services together; seconds until the first order is placed."""
        if self.own_broker:
            self.start("broker")
        self.at_once = True
        environment = {name: self._ask(f"service_environment {name}") for name in SERVICES}
        ask, self._ask = self._ask, lambda command: environment[command.split()[-1]]
        began = time.monotonic()
        self.start(*SERVICES)
        self._ask, self.at_once = ask, False
        order = {"order_id": str(uuid.uuid4()), "customer_id": "first", "items": [{"sku": "tea-assam", "quantity": 1}]}
        request = urllib.request.Request(f"http://{self.address('gateway', 'rest')}/v1/orders", json.dumps(order).encode(),
                                         {"Content-Type": "application/json"})
        while True:
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    answer.read()
                    break
            except OSError:
                if time.monotonic() - began > 30:
                    raise SystemExit("bench: no order within 30 s of the start:\n" + self.log("gateway") + self.log("order"))
                time.sleep(0.002)  # a poll with a deadline
        seconds = time.monotonic() - began
        for name in SERVICES:
            self._wait_ready(name)
        return seconds

    def place(self, *flags):
        """Runs shop-load to its end; the orders, seconds and percentiles that it prints, and its own CPU seconds."""
        began = time.monotonic()
        command = [f"{BUILD}/services/shop-load", "--app.report=none", "--admin.listen=127.0.0.1:0", *flags]
        process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   env=dict(self.environment, WEIR_GATEWAY_TARGET=self.address("gateway", "rest")))
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        settled = re.search(r"settled (\d+) orders in ([\d.]+) s", text)
        if process.returncode != 0 or not settled:
            raise SystemExit(f"bench: shop-load ended with {process.returncode} after {time.monotonic() - began:.0f} s:\n"
                             f"{text[-500:]}")
        found = {"orders": int(settled[1]), "seconds": float(settled[2]), "load_cpu": usage.ru_utime + usage.ru_stime}
        for since, values in re.findall(r"since (\w+), ms: (.*)", text):
            found[since] = {name: float(value) for name, value in re.findall(r"(\S+) ([\d.]+)", values)}
        refused = [int(n) for n in re.findall(r"refused (\d+)", text)][-1]
        repeated = [int(n) for n in re.findall(r"repeated (\d+)", text)][-1]
        if refused or repeated:
            print(f"  (refused {refused}, repeated {repeated})")
        return found

    def measured(self, *flags):
        """The same, and what it cost each service until nothing is left to do for any order."""
        processes = dict(self.processes, **({"broker": KAFKA} if KAFKA and not self.own_broker else {}))
        before = {name: (cpu_seconds(process.pid), switches(process.pid)) for name, process in processes.items()}
        flushed = commits(self)
        found = self.place(*flags)
        self.wait_value("order", "SELECT count(*) FROM weir_saga WHERE state < 3", 0)
        found["cpu"] = {name: cpu_seconds(process.pid) - before[name][0] for name, process in processes.items()}
        found["switches"] = {name: switches(process.pid) - before[name][1] for name, process in processes.items()}
        found["commits"] = commits(self) - flushed
        return found


    def ways(self, since_ms):
        """Milliseconds from an event's row in the outbox of order to logistics' row in its inbox, both before their commits."""
        written = dict(self.rows("order", f"SELECT message_id, created_ms FROM weir_outbox WHERE created_ms >= {since_ms}"))
        seen = self.rows("logistics", f"SELECT message_id, at_ms FROM weir_inbox WHERE at_ms >= {since_ms}")
        return sorted(at_ms - written[message] for message, at_ms in seen if message in written)


# ---- Kafka ----

KAFKA = None


class Kafka:
    """A real one, started for the benchmark on a port of its own; its process is not ours to wait for."""

    def __init__(self):
        port = 9092 + SHIFT + 40
        self.address = f"127.0.0.1:{port}"
        self.environment = dict(os.environ, KAFKA_PORT=str(port), KAFKA_DIR=os.path.join(FOLDER, "kafka"))
        subprocess.run(["scripts/kafka", "start"], cwd=ROOT, env=self.environment, check=True, stdout=sys.stderr)
        with open(os.path.join(FOLDER, "kafka", "pid")) as file:
            self.pid = int(file.read())

    def stop(self):
        subprocess.run(["scripts/kafka", "clean"], cwd=ROOT, env=self.environment, check=False, stdout=sys.stderr)


# ---- Figures ----

def add(series, run, latency):
    services = {name: cpu for name, cpu in run["cpu"].items() if name != "broker"}
    a_thousand = 1000 / run["orders"]
    series.add(rate=run["orders"] / run["seconds"], cpu=sum(services.values()) * a_thousand,
               broker=run["cpu"]["broker"] * a_thousand, load=run["load_cpu"] * a_thousand,
               p50=run[latency]["p50"], p99=run[latency]["p99"], commits=run["commits"] / run["orders"],
               switches=sum(count for name, count in run["switches"].items() if name != "broker") / run["orders"],
               **{f"of {name}": cpu * a_thousand for name, cpu in services.items()},
               **{f"switches of {name}": run["switches"][name] / run["orders"] for name in services})


def report(table, title, series, flushes):
    table.head("  " + title, "median (min-max)", "")
    share = [rate / flushes for rate in series.of("rate")]
    table.row("    orders a second", spread(series.of("rate"), 0), f"{spread(share, 2)} of the disk's flushes a second")
    table.row("    p50 ms", spread(series.of("p50"), 1))
    table.row("    p99 ms", spread(series.of("p99"), 1))
    if series.of("way50"):
        table.row("    event to its consumer's effect, p50 / p99 ms", spread(series.of("way50"), 0), spread(series.of("way99"), 0))
    table.row("    commits an order, all databases", spread(series.of("commits"), 2))
    table.row("    CPU s a 1,000 orders, all services", spread(series.of("cpu"), 3), "context switches an order",
              spread(series.of("switches"), 1))
    for name in SERVICES:
        table.row(f"      {name}", spread(series.of(f"of {name}"), 3), "", spread(series.of(f"switches of {name}"), 1))
    table.row("      (the broker)", spread(series.of("broker"), 3))
    table.row("      (the load)", spread(series.of("load"), 3))


def megabytes(series, key):
    return spread([kib * 1024 / 1e6 for kib in series.of(key)], 1)


def report_life(table, series):
    table.row("  start to the first order, s", spread(series.of("start"), 3))
    for when in ("idle", "loaded"):
        table.row(f"  memory {when}, MB: resident, added up", megabytes(series, f"{when} resident"),
                  "shared pages counted once:", megabytes(series, f"{when} proportional"))
        table.row("    " + ", ".join(f"{name} {statistics.median(series.of(f'{when} {name}')) * 1024 / 1e6:.1f}"
                                     for name in SERVICES))


def remember(series, shop, when):
    found = memory(shop.services())
    for kind in ("resident", "proportional"):
        series.add(**{f"{when} {kind}": sum(kib[kind] for kib in found.values())})
    series.add(**{f"{when} {name}": kib["resident"] for name, kib in found.items()})


def one_round(form, series, quick):
    _, real, flags = FORMS[form]
    shop = Bench(KAFKA.address if real else None, {name: list(of) for name, of in flags.items()})
    count, seconds = (1500, 4) if quick else (6000, 8)
    closed = ("--load.closed=true", f"--load.in_flight_max={AT_ONCE}")
    try:
        series["life"].add(start=shop.start_at_once())
        remember(series["life"], shop, "idle")
        shop.place(*closed, "--load.count=1000")  # warm
        add(series["closed"], shop.measured(*closed, f"--load.count={count}"), "sent")
        began_ms = time.time() * 1000
        add(series["open"], shop.measured(f"--load.rate={RATE}", f"--load.count={RATE * seconds}"), "due")
        ways = shop.ways(began_ms)
        series["open"].add(way50=ways[len(ways) // 2], way99=ways[len(ways) * 99 // 100])
        remember(series["life"], shop, "loaded")
        shop.stop_all()
    finally:
        shop.close()


def run(table, rounds, quick, forms=None):
    global KAFKA
    tempfile.tempdir = FOLDER  # a file system that really flushes
    flushes = flushes_a_second(FOLDER)
    forms = forms or list(FORMS)
    found = {form: {kind: Series(kind) for kind in ("closed", "open", "life")} for form in forms}
    try:
        KAFKA = Kafka() if any(FORMS[form][1] for form in forms) else None
        for _ in range(rounds):
            for form in shuffled(forms):
                one_round(form, found[form], quick)
    finally:
        if KAFKA:
            KAFKA.stop()
    table.print(f"\n(the disk here: {flushes:.0f} times append 4 KiB and flush a second)")
    for form in forms:
        table.print(f"\nShop: {FORMS[form][0]}")
        report(table, f"{AT_ONCE} orders under way", found[form]["closed"], flushes)
        report(table, f"{RATE} orders a second, open loop", found[form]["open"], flushes)
        report_life(table, found[form]["life"])
