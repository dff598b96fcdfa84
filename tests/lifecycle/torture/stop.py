"""One stop of one real process: starts it, loads it, stops it at a random moment, and gathers all accounts of it."""

import json
import os
import random
import re
import select
import signal
import subprocess
import tempfile
import threading
import time

from check import read_database

READY_WITHIN = 60  # seconds; the machine may be busy
MARGIN = 2  # seconds beyond the deadline until a process that has not ended is hung: destroys, a busy machine
RUN_AGAIN = 0.3  # of the stops that may keep something
NOT_BEYOND_US = ["setpriv", "--pdeathsig", "KILL"]  # no process outlives the driver


class Broken(Exception):
    """The driver itself could not do what it should."""


def read_line(process, what):
    """The next line of its output, within READY_WITHIN."""
    readable, _, _ = select.select([process.stdout], [], [], READY_WITHIN)
    line = process.stdout.readline() if readable else b""
    if not line:
        raise Broken(f"{what} did not start (exit {process.poll()})")
    return line.decode()


class Stop:
    """`sabotage`: what the service shall do wrong."""

    def __init__(self, scenario, seed, build, sabotage=None):
        self.scenario = scenario
        self.seed = seed
        self.random = random.Random(f"{scenario.name}:{seed}")
        scenario.plan(self.random)
        self.build = build
        self.program = f"{build}/tests/lifecycle/torture/torture-service{'-sabotaged' if sabotage else ''}"
        self.environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=0", TORTURE_SABOTAGE=sabotage or "")
        self.folder = tempfile.TemporaryDirectory(prefix="weir-torture-")
        self.journal = self.path("journal")
        self.account = self.path("account")
        self.report_file = self.path("report.json")
        self.database = self.path("torture.db")
        self.broker = self.service = self.load = self.again = self.load_again = None
        self.stored = None  # after the stop: rows, events that wait
        self.brokers = None
        self.hung = False
        self.exit_status = None
        self.took = None  # seconds from the signal to the end of the process
        self.timers = []

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def log(self):
        with open(self.path("service.log"), errors="replace") as log:
            return log.read()

    # ---- processes ----

    def spawn(self, command, **more):
        return subprocess.Popen([*NOT_BEYOND_US, *command], env=self.environment, stdout=subprocess.PIPE,
                                start_new_session=True, bufsize=0, **more)

    def start_broker(self):
        program = f"{self.build}/framework/tools/devbroker/weir-devbroker"
        self.broker = self.spawn([program, "--quiet", "--listen", "127.0.0.1:0", "--topics", "user.work,user.done:4"],
                                 stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.brokers = re.search(r"[\d.]+:\d+", read_line(self.broker, "the broker")).group()

    def flags(self, serve, journal, report_file, deadline_ms):
        flags = [f"--torture.journal={journal}", "--app.report=none", f"--app.report_file={report_file}",
                 f"--app.deadline_ms={deadline_ms}", "--log.level=warn", "--admin.listen=127.0.0.1:0"]
        parts = {
            "rest": ["--rest.listen=127.0.0.1:0", "--rest.threads=2"],
            "grpc": ["--grpc.listen=127.0.0.1:0", "--grpc.threads=2"],
            "consumer": [f"--consumer.brokers={self.brokers}", "--consumer.session_timeout_ms=4000",
                         "--consumer.finish_min_ms=700", "--consumer.workers=4"],
            "store": [f"--events.brokers={self.brokers}", "--events.finish_min_ms=700",
                      f"--db.url=sqlite:{self.database}"],
        }
        for part in serve:
            flags += [f"--torture.{part}=true", *parts[part]]
        return flags

    def start_service(self):
        flags = self.flags(self.scenario.serve, self.journal, self.report_file, self.scenario.deadline_ms)
        with open(self.path("service.log"), "wb") as log:
            self.service = self.spawn([self.program, *flags, *self.scenario.flags], stdin=subprocess.DEVNULL, stderr=log)

    def spawn_load(self, account, wishes):
        command = [f"{self.build}/tests/lifecycle/torture/torture-load", account]
        command += [f"{key}={value}" for key, value in {"partitions": 4, **wishes}.items()]
        if self.brokers:
            command.append(f"brokers={self.brokers}")
        with open(self.path("load.log"), "wb") as log:
            return self.spawn(command, stdin=subprocess.PIPE, stderr=log)

    def end_load(self, load, words):
        load.stdin.write(words)
        if load.wait(READY_WITHIN) != 0:
            with open(self.path("load.log")) as log:
                raise Broken(f"the clients failed: {log.read().strip()}")

    def start_load(self, ports):
        self.load = self.spawn_load(self.account, {
            **self.scenario.load, "rest_port": ports[0], "grpc_port": ports[1], "seed": self.seed,
            "sleep_ms": self.random.choice(self.scenario.sleeps or (0,))})

    def wait_for_records(self):
        until = time.monotonic() + READY_WITHIN
        while not (os.path.exists(self.journal) and os.path.getsize(self.journal) > 0):
            if time.monotonic() > until or self.service.poll() is not None or self.load.poll() is not None:
                raise Broken("the consumer consumes nothing")
            time.sleep(0.01)

    # ---- the stop ----

    def signal(self, number):
        if self.service.poll() is None:
            self.service.send_signal(number)

    def signal_in(self, seconds, number):
        timer = threading.Timer(seconds, self.signal, (number,))
        self.timers.append(timer)
        timer.start()

    def wait_for_end(self, began):
        limit = self.scenario.deadline_ms / 1000 + MARGIN
        try:
            self.exit_status = self.service.wait(limit - (time.monotonic() - began))
        except subprocess.TimeoutExpired:
            self.hung = True
            self.service.kill()
            self.exit_status = self.service.wait()
        self.took = time.monotonic() - began

    def prepare_load(self):
        ports = [int(port) for port in read_line(self.service, "the service").split()[1:]]
        if self.scenario.load:
            self.start_load(ports)
            if "consumer" in self.scenario.serve:
                self.wait_for_records()

    def begin_stop(self):
        """Under load, at a random moment; returns when."""
        if self.load:
            self.load.stdin.write(b"go\n")
        time.sleep(self.random.uniform(*self.scenario.delay))
        self.scenario.prepare(self)
        began = time.monotonic()
        self.scenario.signals(self)
        return began

    def stop_under_load(self, busy):
        self.prepare_load()
        with busy:
            began = self.begin_stop()
            if self.scenario.strict:
                self.wait_for_end(began)
        if not self.scenario.strict:
            self.wait_for_end(began)
        self.scenario.recover(self)
        if self.load:
            self.end_load(self.load, b"gone lost\n" if self.scenario.broker_lost else b"gone\n")
        if "store" in self.scenario.serve and not self.scenario.broker_lost:
            self.stored = read_database(self.database)
            if self.random.random() < RUN_AGAIN:
                self.run_again()

    def run_again(self):
        """What was kept: a next run, of the database and the relay only, publishes it."""
        flags = self.flags(("store",), self.path("journal.again"), self.path("report.again"), 10_000)
        with open(self.path("service.log"), "ab") as log:
            self.again = self.spawn([self.program, *flags], stdin=subprocess.DEVNULL, stderr=log)
        read_line(self.again, "the next run")
        self.again.send_signal(signal.SIGTERM)
        if self.again.wait(READY_WITHIN) != 0:
            raise Broken(f"the next run: exit {self.again.returncode}")
        self.load_again = self.spawn_load(self.path("account.again"), {})
        self.end_load(self.load_again, b"gone\n")

    def stop_during_start(self):
        until = time.monotonic() + READY_WITHIN
        if self.random.random() < 0.9:  # else whenever it comes, before main() perhaps
            while not os.path.exists(self.report_file) and time.monotonic() < until:
                time.sleep(0.002)
        time.sleep(self.random.uniform(*self.scenario.delay))
        began = time.monotonic()
        self.scenario.signals(self)
        self.wait_for_end(began)

    def run(self, busy):
        """Loads the machine only while it holds `busy`. Processes are gone afterwards, files stay until close()."""
        try:
            if "consumer" in self.scenario.serve or "store" in self.scenario.serve:
                self.start_broker()
            self.start_service()
            if self.scenario.during_start:
                self.stop_during_start()
            else:
                self.stop_under_load(busy)
        finally:
            self.end_all()

    def end_all(self):
        for timer in self.timers:
            timer.cancel()
        for process in (self.service, self.load, self.again, self.load_again, self.broker):
            if process and process.poll() is None:
                process.kill()
                process.wait()
            if process:
                for pipe in (process.stdin, process.stdout):
                    if pipe:
                        pipe.close()

    def report(self):
        """None: the process left none."""
        try:
            with open(self.report_file) as file:
                report = json.load(file)
        except FileNotFoundError:
            return None
        return report if report.get("outcome") != "running" else None

    def close(self):
        self.folder.cleanup()
