"""The whole shop: release build, development broker, SQLite with synchronous=full, everything on the same cores."""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

from measure import BUILD, ROOT, Series, cpu_seconds, spread

os.environ["SHOP_BUILD"] = BUILD
sys.path.insert(0, os.path.join(ROOT, "tests", "shop"))
import shop as shop_of_tests  # noqa: E402

SHIFT = 30000 - 9092  # of the ports
AT_ONCE = 64
RATE = 300


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


def place(shop, *flags):
    """Runs shop-load to its end; the orders, seconds and percentiles that it prints, and its own CPU seconds."""
    began = time.monotonic()
    command = [f"{BUILD}/services/shop-load", "--app.report=none", "--admin.listen=127.0.0.1:0", *flags]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               env=dict(shop.environment, WEIR_GATEWAY_TARGET=shop.address("gateway", "rest")))
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    settled = re.search(r"settled (\d+) orders in ([\d.]+) s", text)
    if process.returncode != 0 or not settled:
        raise SystemExit(f"bench: shop-load ended with {process.returncode} after {time.monotonic() - began:.0f} s:\n{text[-500:]}")
    found = {"orders": int(settled[1]), "seconds": float(settled[2]), "load_cpu": usage.ru_utime + usage.ru_stime}
    for since, values in re.findall(r"since (\w+), ms: (.*)", text):
        found[since] = {name: float(value) for name, value in re.findall(r"(\S+) ([\d.]+)", values)}
    refused = [int(n) for n in re.findall(r"refused (\d+)", text)][-1]
    repeated = [int(n) for n in re.findall(r"repeated (\d+)", text)][-1]
    if refused or repeated:
        print(f"  (refused {refused}, repeated {repeated})")
    return found


def measured(shop, *flags):
    """The same, and the CPU seconds of each service until nothing is left to do for any order."""
    used = {name: cpu_seconds(process.pid) for name, process in shop.processes.items()}
    found = place(shop, *flags)
    shop.wait_value("order", "SELECT count(*) FROM orders WHERE owes <> 0 OR state = 1", 0)
    found["cpu"] = {name: cpu_seconds(process.pid) - used[name] for name, process in shop.processes.items()}
    return found


def percentiles(values):
    return f"{values['p50']:.1f} / {values['p99']:.1f}"


def report(table, title, latency, runs, flushes):
    orders = Series("orders")
    for run in runs:
        services = {name: cpu for name, cpu in run["cpu"].items() if name != "broker"}
        orders.add(rate=run["orders"] / run["seconds"], cpu=sum(services.values()) / run["orders"] * 1000,
                   broker=run["cpu"]["broker"] / run["orders"] * 1000, load=run["load_cpu"] / run["orders"] * 1000,
                   p50=run[latency]["p50"], p99=run[latency]["p99"],
                   **{f"of {name}": cpu / run["orders"] * 1000 for name, cpu in services.items()})
    table.head(title, "median (min-max)", "ratio")
    flushed = [rate / flushes for rate in orders.of("rate")]
    table.row("  orders a second", spread(orders.of("rate"), 0), f"{spread(flushed, 2)} of the disk's flushes a second")
    table.row("  p50 ms", spread(orders.of("p50"), 1))
    table.row("  p99 ms", spread(orders.of("p99"), 1))
    table.row("  CPU s a 1,000 orders, all services", spread(orders.of("cpu"), 3), "1")
    total = statistics.median(orders.of("cpu"))
    for name in shop_of_tests.SERVICES:
        values = orders.of(f"of {name}")
        table.row(f"    {name}", spread(values, 3), f"{statistics.median(values) / total:.2f}")
    table.row("    (the broker)", spread(orders.of("broker"), 3), f"{statistics.median(orders.of('broker')) / total:.2f}")
    table.row("    (the load)", spread(orders.of("load"), 3), f"{statistics.median(orders.of('load')) / total:.2f}")


def run(table, rounds, quick):
    tempfile.tempdir = os.path.join(ROOT, "build", "bench")  # a file system that really flushes
    flushes = flushes_a_second(tempfile.tempdir)
    shop = shop_of_tests.Shop(SHIFT)
    shop.environment.update(WEIR_LOG_LEVEL="warn")
    try:
        shop.start_all()
        place(shop, "--load.closed=true", f"--load.in_flight_max={AT_ONCE}", "--load.count=500")  # warm
        count, seconds = (1500, 4) if quick else (4000, 8)
        closed = [measured(shop, "--load.closed=true", f"--load.in_flight_max={AT_ONCE}", f"--load.count={count}")
                  for _ in range(rounds)]
        fixed = [measured(shop, f"--load.rate={RATE}", f"--load.count={RATE * seconds}") for _ in range(1 if quick else 2)]
        table.print(f"\n(the disk here: {flushes:.0f} times append 4 KiB and flush a second)")
        report(table, f"Shop, {AT_ONCE} orders under way", "sent", closed, flushes)
        report(table, f"Shop, {RATE} orders a second, open loop", "due", fixed, flushes)
        shop.stop_all()
    finally:
        shop.close()
