#!/usr/bin/env python3
"""The shop under faults; see scripts/torture for how to run it, docs/reliability.md for what it shows."""

import argparse
import collections
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import checker
import client
import collect
import nemesis
import parts
import plan

SCARCE = 120  # pieces of every tenth product: orders are refused, and give back what they hold
LAST_CALL = 45  # seconds after the faults in which every customer hears something
QUIET_WITHIN = 90  # seconds after that for everything to be settled
SABOTAGED_WITHIN = 25  # the same where something is meant to be missing
STUCK_AFTER = 20  # of those: then the stacks of who could be waiting are written down
FLAGS = {"logistics": ["--logistics.send_after_ms=4000"], "payment": ["--acquirer.fails_permille=20"]}
SHOWN = 5  # of a rule's violations


def say(text):
    print(text, flush=True)


class Disk:
    """A small file system of its own, where this may be made."""

    def __init__(self, folder, orders):
        self.folder = folder
        size = 96 + orders // 64
        self.mounted = os.geteuid() == 0 and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=755", "torture", folder], stderr=subprocess.DEVNULL,
            check=False).returncode == 0

    def close(self):
        if self.mounted:
            subprocess.run(["umount", "-l", self.folder], check=False)


class Torture:
    def __init__(self, options):
        self.options = options
        self.seconds = options.minutes * 60
        self.dir = options.dir or tempfile.mkdtemp(prefix="weir-torture-")
        os.makedirs(os.path.join(self.dir, "data"), exist_ok=True)
        self.disk = Disk(os.path.join(self.dir, "data"), int(self.seconds * options.rate))
        brokers = 3 if options.parts == "kafka" else 0
        self.parts = parts.Parts(options.build, options.shift, self.dir, FLAGS, brokers)
        self.database = collect.Sqlite(self.parts.data)
        addresses = [self.parts.address(name, "kafka").split(":") for name in self.parts.brokers]
        self.recorder = collect.Recorder([(host, int(port)) for host, port in addresses])
        if not brokers:
            self.parts.broker_ended = self.recorder.forget
        self.faults = plan.faults(options.seed, self.seconds, plan.Parts(brokers or 1), only=options.only)
        self.found = {}
        self.figures = {}

    def note(self, rule, text):
        self.found.setdefault(rule, []).append(text)

    # ---- The run ----

    def run(self):
        begun = time.monotonic()
        self.parts.start_all()
        self.recorder.start()
        before = self.make_scarce()
        orders = list(plan.orders(self.options.seed, self.seconds, self.options.rate, sorted(before["prices"])))
        self.write_plan(orders)
        customers = client.Client(self.options.seed, orders, {way: self.parts.address(way, "rest") for way in
                                                              ("gateway", "order", "order-2")}, f"{self.dir}/history.jsonl")
        attacker = nemesis.Nemesis(self.parts, self.faults, f"{self.dir}/faults.log", self.disk.mounted)
        say(f"{len(orders)} orders and {len(self.faults)} faults in {self.seconds:.0f} s; files are in {self.dir}")
        customers.start()
        attacker.run()
        time.sleep(max(0, attacker.began + self.seconds - time.monotonic()))
        if not attacker.wait(150):
            self.note("the torture itself", "a fault was not over in time")
        self.settle(customers)
        self.again(customers, orders)
        self.end()
        sent = {order.order_id: {"customer": order.customer, "items": order.items, "keyed": order.keyed} for order in orders[:customers.placed]}
        # Kafka's own; the development broker takes the producer's word, and begins anew with what waits (docs/reliability.md).
        clock_is_right = self.options.parts == "kafka"
        given = collect.world(self.database, self.recorder, customers.history, sent, before, clock_is_right)
        for rule, texts in checker.check(given).items():
            self.found.setdefault(rule, []).extend(texts)
        self.figures = self.count(given, attacker, time.monotonic() - begun)

    def make_scarce(self):
        """What is there before the first order; every tenth product will be sold out."""
        import sqlite3
        connection = sqlite3.connect(f"{self.parts.data}/inventory.db", timeout=10)
        with connection:
            skus = sorted(sku for (sku,) in connection.execute("SELECT sku FROM stock"))[::10]
            for sku in skus:
                connection.execute("UPDATE stock SET on_hand = ?1, initial = ?1 WHERE sku = ?2", (SCARCE, sku))
        connection.close()
        return collect.before(self.database)

    def settle(self, customers):
        """All are healthy, all customers hear something, and then everything comes to rest."""
        late = self.parts.wait_ready()
        if late:
            self.note("every service is healthy again", f"{', '.join(sorted(late))}: not ready {parts.READY_WITHIN} s after the faults")
        if not customers.finish(LAST_CALL):
            for order, what in customers.unanswered:
                self.note("every customer is answered", f"order {order}: {what} had no answer that says anything, {LAST_CALL} s"
                          " after the faults")
        begun, stacks = time.monotonic(), False
        within = SABOTAGED_WITHIN if self.options.sabotage else QUIET_WITHIN
        while (left := collect.quiet(self.database, self.recorder)) and time.monotonic() < begun + within:
            if not stacks and not self.options.sabotage and time.monotonic() > begun + STUCK_AFTER:
                stacks = True
                self.write_stacks(left)
            time.sleep(0.5)  # a poll with a deadline
        self.quiet_after = time.monotonic() - begun
        for text in left:
            self.note("all comes to rest", f"{text}, {within} s after the last customer was answered")

    def write_stacks(self, left):
        say(f"not at rest {STUCK_AFTER} s after the last answer; stacks are in {self.dir}/stacks.txt: {left[0]}")
        with open(f"{self.dir}/stacks.txt", "w", encoding="utf-8") as file:
            file.write("\n".join(left) + "\n")
            for name, service in self.parts.services.items():
                if shutil.which("gdb") and service.process and service.process.poll() is None:
                    done = subprocess.run(["gdb", "-p", str(service.process.pid), "-batch", "-ex", "thread apply all bt"],
                                          capture_output=True, text=True, check=False)
                    file.write(f"==== {name}\n{done.stdout}\n")

    def again(self, customers, orders):
        """Every accepted order is sent once more, up to 200: it is the same order, and no other comes of it."""
        import asyncio
        accepted = {entry["order"] for entry in customers.history if entry["what"] == "place" and entry["status"] == 200}
        chosen = [order for order in orders if order.order_id in accepted][-200:]
        customers.file = open(os.devnull, "w", encoding="utf-8")

        async def ask_all():
            for order in chosen:
                await customers._ask(order, "again", "gateway", "POST", "/v1/orders", client.body_of(order))

        asyncio.run(ask_all())
        for entry in customers.history[-len(chosen):] if chosen else []:
            if entry["status"] != 200:
                self.note("an order that is sent again is the same", f"order {entry['order']}: {entry.get('error') or entry['body']}")

    def end(self):
        self.parts.stop_all()
        self.recorder.stop()
        if not self.recorder.read():
            self.note("the torture itself", "the broker did not give its last records")
        for service, status, asked in self.parts.exits:
            if asked and status not in (0, 75) or isinstance(status, int) and status < 0 and status != -9:
                self.note("no service crashes, and each stops", f"{service} ended with {status}")
        for path in glob.glob(f"{self.dir}/*.log"):
            with open(path, errors="replace", encoding="utf-8") as log:
                for line in log:
                    if re.search("AddressSanitizer|runtime error:|stack smashing|Assertion", line):
                        self.note("no service crashes, and each stops", f"{os.path.basename(path)}: {line.strip()}")
        self.last_stops = [(service, status) for service, status, asked in self.parts.exits[-8:] if asked and status]

    # ---- What is said ----

    def write_plan(self, orders):
        with open(f"{self.dir}/plan.txt", "w", encoding="utf-8") as file:
            file.write(f"# {self.replay()}\n# Seconds after the first order.\n")
            file.writelines(f"{fault}\n" for fault in self.faults)
        with open(f"{self.dir}/orders.jsonl", "w", encoding="utf-8") as file:
            file.writelines(json.dumps(order.__dict__) + "\n" for order in orders)

    def replay(self):
        options = self.options
        return (f"./dev torture --seed {options.seed} --minutes {options.minutes:g} --rate {options.rate:g} --parts {options.parts}"
                + (f" --only {','.join(options.only)}" if options.only else "")
                + (f" --sabotage {options.sabotage}" if options.sabotage else ""))

    def count(self, given, attacker, seconds):
        states = collections.Counter(row["state"] for row in given["tables"]["order.orders"])
        statuses = collections.Counter(str(entry["status"]) for entry in given["history"])
        sendings = collections.Counter(record["message_id"] for record in given["records"])
        return {
            "seed": self.options.seed, "minutes": self.options.minutes, "parts": self.options.parts,
            "seconds in all": round(seconds, 1), "quiet after": round(self.quiet_after, 1), "orders sent": len(given["sent"]),
            "orders stored": {checker.STATE[state]: count for state, count in sorted(states.items())},
            "answers": dict(sorted(statuses.items())), "faults": dict(sorted(attacker.done.items())),
            "left out": attacker.left_out, "ended by themselves": sum(not asked for _, _, asked in self.parts.exits),
            "stops with 75": sum(status == 75 for _, status, _ in self.parts.exits),
            "records": len(given["records"]), "of them sent again": len(given["records"]) - len(sendings),
            "runs of the broker": self.recorder.topics.run + 1, "violations": {rule: len(texts) for rule, texts in self.found.items()},
        }

    def report(self):
        for name, figure in self.figures.items():
            say(f"  {name}: {figure}")
        with open(f"{self.dir}/figures.json", "w", encoding="utf-8") as file:
            json.dump(self.figures, file, indent=1)
        for rule, texts in self.found.items():
            say(f"VIOLATED {rule}: {len(texts)} times")
            for text in texts[:SHOWN]:
                say(f"    {text}")
        with open(f"{self.dir}/violations.txt", "w", encoding="utf-8") as file:
            file.writelines(f"{rule}: {text}\n" for rule, texts in self.found.items() for text in texts)
        if self.found:
            say(f"Files are kept in {self.dir}. Again: {self.replay()}")

    def close(self):
        self.parts.close()
        if self.found or self.options.keep:
            if self.disk.mounted:  # what was in memory is kept on disk
                shutil.copytree(self.parts.data, self.dir + "/databases", dirs_exist_ok=True)
        self.disk.close()
        if not self.found and not self.options.keep:
            shutil.rmtree(self.dir, ignore_errors=True)


def arguments():
    parser = argparse.ArgumentParser(prog="torture")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--rate", type=float, default=20, help="orders a second")
    parser.add_argument("--parts", choices=["embedded", "kafka"], default="embedded",
                        help="the development broker, or three nodes of Apache Kafka; databases are SQLite's")
    parser.add_argument("--only", type=lambda text: text.split(","), help="kinds of faults, separated by commas")
    parser.add_argument("--sabotage", help="what is switched off; needs a build with WEIR_SABOTAGE")
    parser.add_argument("--dir", help="where its files are; else a folder of its own in /tmp")
    parser.add_argument("--keep", action="store_true", help="the files, also when all is well")
    parser.add_argument("--plan", action="store_true", help="shows what would be done")
    options = parser.parse_args()
    kinds = [kind for kind, *_ in plan.FAULTS]
    if unknown := set(options.only or ()) - set(kinds):
        parser.error(f"--only: there is no fault {', '.join(unknown)}; there are {', '.join(kinds)}")
    options.build = os.environ.get("SHOP_BUILD", f"{parts.ROOT}/build/release")
    options.shift = int(os.environ.get("SHOP_TEST_SHIFT", "20000"))
    return options


def main():
    options = arguments()
    if options.plan:
        for fault in plan.faults(options.seed, options.minutes * 60, plan.Parts(3 if options.parts == "kafka" else 1), options.only):
            print(fault)
        return 0
    if options.sabotage:
        os.environ["TORTURE_SABOTAGE"] = options.sabotage
    torture = Torture(options)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # nobody else ends what was started
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        torture.run()
        torture.report()
    except BaseException:
        options.keep = True
        raise
    finally:
        torture.close()
    return 1 if torture.found else 0


if __name__ == "__main__":
    sys.exit(main())
