"""The shop's processes as a supervisor runs them: what ends is started again, unless it is meant to be down."""

import collections
import contextlib
import ctypes
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.request

import plan

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PORT_OF = {"order": "order grpc", "inventory": "inventory grpc", "payment": "payment grpc", "logistics": "logistics rest"}
SECOND = {"rest": 20, "grpc": 20, "admin": 20}  # what order-2 listens on: so much above order's
READY_WITHIN = 60
STOPPED_WITHIN = 40
PR_SET_CHILD_SUBREAPER = 36


def start_time(pid):
    """Tells a process from a later one with its number; None when there is none, or it is a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            words = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if words[0] in "ZX" else words[19]


class Process:
    """A child, or what a child of ours started and left to us."""

    def __init__(self, pid):
        self.pid, self.born, self.status = pid, start_time(pid), None

    def poll(self):
        """None while it runs; else its exit status as Popen gives it, "?" when somebody else was told."""
        if self.status is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.status = os.waitstatus_to_exitcode(status)
            except ChildProcessError:
                if start_time(self.pid) != self.born:
                    self.status = "?"
        return self.status

    def send(self, number):
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, within):
        end = time.monotonic() + within
        while self.poll() is None and time.monotonic() < end:
            time.sleep(0.02)  # a poll with a deadline
        return self.poll()


class Service:
    def __init__(self, name):
        self.name, self.process, self.wanted = name, None, False
        self.lock = threading.RLock()  # held by whoever does something to it
        self.down_until = 0  # it ended by itself: not started again before


class Parts:
    """`brokers`: how many nodes of Apache Kafka; 0: the development broker."""

    def __init__(self, build, shift, folder, flags, brokers=0):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.build, self.dir, self.flags = build, folder, flags
        self.data = os.path.join(folder, "data")
        os.makedirs(self.data, exist_ok=True)
        self.environment = dict(os.environ, SHOP_PORT_SHIFT=str(shift), WEIR_LOG_FORMAT="text",
                                ASAN_OPTIONS="detect_leaks=0:verify_asan_link_order=0")
        self.brokers = [f"broker-{i + 1}" for i in range(brokers)] or ["broker"]
        self.first_port = int(os.environ.get("KAFKA_PORT", 9092 + shift)) if brokers else None
        if brokers:
            self.environment.update(KAFKA_PORT=str(self.first_port), KAFKA_DIR=os.path.join(folder, "kafka"), SHOP_BROKERS=",".join(
                self.address(name, "kafka") for name in self.brokers))
        self.services = {name: Service(name) for name in [*self.brokers, *plan.SERVICES]}
        self.exits = []  # (service, status, asked for)
        self.answers = {}
        self.notes = collections.Counter()
        self.broker_ended = lambda: None
        self.closing = False
        self.links = None
        self.keeper = threading.Thread(target=self._keep, daemon=True)

    # ---- Addresses and commands ----

    def _ask(self, command):
        if command not in self.answers:
            self.answers[command] = subprocess.run(
                ["bash", "-c", f". scripts/ports; {command}"], cwd=ROOT, env=self.environment, check=True, text=True,
                stdout=subprocess.PIPE).stdout.strip()
        return self.answers[command]

    def address(self, service, protocol):
        if service.startswith("broker-"):
            return f"127.0.0.1:{self.first_port + 2 * (int(service[7:]) - 1)}"
        host, port = self._ask(f"address {service.removesuffix('-2')} {protocol}").split(":")
        return f"{host}:{int(port) + (SECOND[protocol] if service.endswith('-2') else 0)}"

    def port(self, service, protocol):
        return int(self.address(service, protocol).split(":")[1])

    def ways(self, who=None):
        """Every link, or those of `who`, as its name and the port behind it; one to "broker" is one to each of them."""
        for a, b in plan.LINKS:
            for name in self.brokers if b == "broker" else [b]:
                if who in (None, a):
                    yield f"{a}-{name}", self.port(*(PORT_OF[b].split() if b != "broker" else (name, "kafka")))

    def start_links(self):
        """One for each pair of who asks and who is asked; what services connect to is replaced in torture-shim."""
        for name in self.services:  # somebody else's shop would be taken for ours
            if self.is_ready(name):
                raise AssertionError(f"{name}: something listens already where it would; SHOP_PORT_SHIFT chooses other ports")
        pairs = [f"{name}={port}" for name, port in self.ways()]
        self.links = subprocess.Popen([f"{self.build}/tests/torture/torture-links", *pairs], text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.link_ports = {name: int(port) for name, port in (self.links.stdout.readline().split() for _ in pairs)}

    def set_link(self, name, mode):
        for way in self.link_ports:
            if way == name or re.fullmatch(re.escape(name) + r"-\d", way) and name.endswith("broker"):
                self.links.stdin.write(f"{way} {mode}\n")
        self.links.stdin.flush()

    def _database(self, name):
        return f"sqlite:{self.data}/{name.removesuffix('-2')}.db"

    def control(self, name):
        return f"{self.dir}/{name}.control"

    def command(self, name):
        if name.startswith("broker-"):
            return ["scripts/kafka", "run", name[7:]]
        if name == "broker":
            return [f"{self.build}/framework/tools/devbroker/weir-devbroker", "--listen", self.address("broker", "kafka"),
                    "--topics", self._ask("shop_topics")]
        kind = name.removesuffix("-2")
        command = [f"{self.build}/services/shop-{kind}", "--config", f"services/{kind}/{kind}.yaml",
                   f"--app.control={self.control(name)}", *self.flags.get(kind, [])]
        return command if kind == "gateway" else command + [f"--db.url={self._database(name)}"]

    def _environment(self, name):
        if name in self.brokers:
            return self.environment
        clock = f"{self.dir}/{name}.clock"
        if not os.path.exists(clock):
            self.set_clock(name, 0)
        ways = [f"{port}={self.link_ports[way]}" for way, port in self.ways(name)]
        pairs = dict(line.split("=", 1) for line in self._ask(f"service_environment {name.removesuffix('-2')}").splitlines())
        for protocol in ("rest", "grpc", "admin"):
            if name.endswith("-2"):
                pairs[f"WEIR_{protocol.upper()}_LISTEN"] = self.address(name, protocol)
        return dict(self.environment, **pairs, LD_PRELOAD=f"{self.build}/tests/torture/torture-shim.so", TORTURE_CLOCK=clock,
                    TORTURE_LINKS=",".join(ways))

    def set_clock(self, name, seconds):
        with open(f"{self.dir}/{name}.clock", "r+b" if os.path.exists(f"{self.dir}/{name}.clock") else "wb") as file:
            file.write(struct.pack("<q", int(seconds * 1e9)))

    # ---- Starting and ending ----

    def start(self, name):
        """Does not wait until it is ready."""
        service = self.services[name]
        with service.lock:
            with open(f"{self.dir}/{name}.log", "ab") as log:
                popen = subprocess.Popen(self.command(name), cwd=ROOT, env=self._environment(name), stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=log, start_new_session=True)
            popen.returncode = 0  # it is waited for here, not by Popen
            service.process, service.wanted = Process(popen.pid), True

    def is_ready(self, name):
        host, port = self.address(name, "kafka" if name in self.brokers else "admin").split(":")
        try:
            if name in self.brokers:
                socket.create_connection((host, int(port)), 1).close()
                return True
            with urllib.request.urlopen(f"http://{host}:{port}/ready", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False

    def wait_ready(self, *names, within=READY_WITHIN):
        """Those that are not ready in time."""
        end = time.monotonic() + within
        left = set(names or self.services)
        while left and time.monotonic() < end:
            left = {name for name in left if not self.is_ready(name)}
            if left:
                time.sleep(0.05)  # a poll with a deadline
        return left

    def start_all(self):
        self.start_links()
        if self.first_port:
            subprocess.run(["scripts/kafka", "prepare", "--brokers", str(len(self.brokers))], cwd=ROOT, env=self.environment,
                           check=True)
        for name in self.brokers:
            self.start(name)
        self.keeper.start()
        self.wait_ready(*self.brokers)
        for name in plan.SERVICES:
            self.start(name)
        late = self.wait_ready()
        if late:
            raise AssertionError(f"not ready within {READY_WITHIN} s: {', '.join(late)}; logs are in {self.dir}")

    def kill(self, name):
        service = self.services[name]
        with service.lock:
            service.wanted = False
            if service.process:
                service.process.send(signal.SIGKILL)
                service.process.wait(10)
        if name == "broker":
            self.broker_ended()

    def stop(self, name, within=STOPPED_WITHIN):
        """SIGTERM. Its exit status; "killed" when it did not end in time."""
        service = self.services[name]
        with service.lock:
            service.wanted = False
            if not service.process or service.process.poll() is not None:
                return None
            service.process.send(signal.SIGTERM)
            status = service.process.wait(within)
            if status is None:
                self.kill(name)
                status = "killed"
            self.exits.append((name, status, True))
        if name == "broker":
            self.broker_ended()
        return status

    def freeze(self, name, frozen):
        process = self.services[name].process
        if process:
            process.send(signal.SIGSTOP if frozen else signal.SIGCONT)

    def upgrade(self, name, kill=None, after=0.0):
        """SERVICE --upgrade; `kill`: "old" or "new" is killed so long after it was begun. What became of it, in words."""
        service = self.services[name]
        with service.lock:
            old = service.process
            command = subprocess.Popen([*self.command(name), "--upgrade"], cwd=ROOT, env=self._environment(name), text=True,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            lines, new = [], []

            def read():
                for line in command.stdout:
                    lines.append(line.strip())
                    found = re.search(r"process (\d+) (starts|is ready)", line)
                    if found and not new:
                        new.append(Process(int(found.group(1))))

            reader = threading.Thread(target=read, daemon=True)
            reader.start()
            if kill:
                time.sleep(after)
                victim = old if kill == "old" else new[0] if new else None
                if victim:
                    victim.send(signal.SIGKILL)
            try:
                status = command.wait(READY_WITHIN + STOPPED_WITHIN)
            except subprocess.TimeoutExpired:
                command.kill()
                status = "killed"
            reader.join(5)
            old_lives = old.poll() is None
            if new and new[0].poll() is None and (status == 0 or not old_lives):
                service.process = new[0]
            return f"{status}: {lines[-1] if lines else 'it said nothing'}"

    def _keep(self):
        while not self.closing:
            for service in self.services.values():
                if service.lock.acquire(blocking=False):
                    try:
                        self._keep_one(service)
                    finally:
                        service.lock.release()
            time.sleep(0.2)  # a supervisor's look

    def _keep_one(self, service):
        if not service.wanted or not service.process or service.process.poll() is None:
            return
        if service.down_until == 0:
            self.exits.append((service.name, service.process.status, False))
            service.down_until = time.monotonic() + 0.5
        elif time.monotonic() >= service.down_until:
            service.down_until = 0
            if service.name == "broker":
                self.broker_ended()
            self.start(service.name)

    def stop_all(self):
        """In order, as one who upgrades nothing would: those who ask before those who are asked. Not the broker."""
        self.closing = True
        if self.keeper.is_alive():
            self.keeper.join()
        for name in ["gateway", "recommendation", "points", "order-2", "order", "logistics", "inventory", "payment"]:
            self.stop(name)

    def close(self):
        self.closing = True
        for service in self.services.values():
            if service.process:
                service.process.send(signal.SIGKILL)
                service.process.wait(5)
        if self.links:
            self.links.stdin.close()
            self.links.wait(5)
