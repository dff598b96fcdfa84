"""What is stopped, under which load, and what goes wrong meanwhile."""

import os
import resource
import signal
import sqlite3
import time

REST = {"rest": 46, "rest_fresh": 8, "rest_thinking": 6, "rest_slow": 4}
SOME_REST = {"rest": 9, "rest_fresh": 4, "rest_thinking": 2, "rest_slow": 1}
FULL_RATE = 1_000_000  # records: more than any run consumes


class Scenario:
    """Everything runs well unless a scenario says otherwise."""

    serve = ()  # of rest, grpc, consumer, store
    load = {}
    flags = ()
    deadline_ms = 10_000
    exits = {0}
    strict = True  # every request is answered, and nothing at all is cut
    broker_lost = False
    during_start = False
    delay = (0.02, 0.25)  # seconds under load before the stop
    sleeps = ()  # one of these, in ms, is the longest that a handler sleeps

    def __init__(self, name):
        self.name = name

    def plan(self, random):
        """Before anything starts."""

    def prepare(self, stop):
        """Before the first signal."""

    def signals(self, stop):
        """The stop begins."""
        stop.signal(signal.SIGTERM)

    def recover(self, stop):
        """The service has ended."""


class Rest(Scenario):
    serve = ("rest",)
    load = REST
    sleeps = (0, 0, 5, 50)


class Connections(Scenario):
    """A new connection for each request."""

    serve = ("rest",)
    load = {"rest_fresh": 64}


class Unary(Scenario):
    serve = ("grpc",)
    load = {"unary": 64}
    sleeps = (0, 0, 5, 50)


class Streams(Scenario):
    serve = ("grpc",)
    load = {"streams": 32}


class Kafka(Scenario):
    serve = ("consumer",)
    load = {"feed": FULL_RATE}
    sleeps = (0, 0, 2, 50)


class All(Scenario):
    serve = ("rest", "grpc", "consumer", "store")
    load = {**SOME_REST, "unary": 16, "streams": 8, "feed": FULL_RATE, "rows": 10, "sent": 5, "posted": 5}
    sleeps = (0, 3, 30)


class Faulty(All):
    strict = False
    exits = {0, 75}
    deadline_ms = 4_000


class FrozenBroker(Faulty):
    def prepare(self, stop):
        stop.broker.send_signal(signal.SIGSTOP)
        time.sleep(stop.random.choice((0, stop.random.uniform(0, 0.3))))

    def recover(self, stop):
        stop.broker.send_signal(signal.SIGCONT)


class KilledBroker(Faulty):
    broker_lost = True

    def prepare(self, stop):
        stop.broker.kill()
        time.sleep(stop.random.choice((0, stop.random.uniform(0, 0.3))))


class LockedDatabase(Faulty):
    """Another process has the database, from before the stop to its end."""

    flags = ("--db.busy_timeout_ms=500",)
    load = {**All.load, "rows": 50}

    def prepare(self, stop):
        self_lock = sqlite3.connect(stop.database, timeout=10, isolation_level=None, check_same_thread=False)
        self_lock.execute("BEGIN IMMEDIATE")
        stop.locked = self_lock

    def recover(self, stop):
        stop.locked.execute("ROLLBACK")
        stop.locked.close()


class FullDisk(Faulty):
    """No file may grow any more. What is noted of calls stands in a file, too, which is smaller than the database's log."""

    load = {**All.load, "rows": 50}

    def prepare(self, stop):
        log = os.path.getsize(stop.database + "-wal")
        most = max(log, os.path.getsize(stop.journal) + (64 << 10)) + stop.random.randrange(32 << 10)
        resource.prlimit(stop.service.pid, resource.RLIMIT_FSIZE, (most, most))


class UnreadAnswer(Scenario):
    """Clients that never read their answers, among others that do."""

    serve = ("rest",)
    load = {**SOME_REST, "rest_unread": 4}
    deadline_ms = 2_500
    exits = {0, 75}  # 0: none had come yet
    strict = False


class UnreadStream(Scenario):
    serve = ("grpc",)
    load = {"unary": 16, "stream_unread": 4}
    deadline_ms = 2_500
    exits = {0, 75}  # 0: none had come yet
    strict = False


class DeafHandler(Scenario):
    """Some handlers sleep on, whatever they are told, to beyond the deadline."""

    serve = ("rest", "grpc")
    load = {**SOME_REST, "unary": 16, "deaf": 1, "deaf_ms": 20_000}
    sleeps = (0, 5)
    flags = ("--executor.threads=64",)
    deadline_ms = 2_500
    exits = {0, 75}  # 0: none had come yet
    strict = False


class SecondSignal(Scenario):
    serve = ("rest", "grpc", "consumer", "store")
    load = All.load
    sleeps = (100, 1500)
    flags = ("--executor.threads=64",)
    exits = {0, 75}
    strict = False

    def signals(self, stop):
        stop.signal(signal.SIGTERM)
        stop.signal_in(stop.random.uniform(0, 1.2), stop.random.choice((signal.SIGTERM, signal.SIGINT)))


class DuringStart(Scenario):
    serve = ("rest", "grpc", "consumer", "store")
    during_start = True
    exits = {0, -signal.SIGTERM}  # the latter before main() is there to hear it
    strict = False
    delay = (0, 0.15)


class Storm(Scenario):
    """Signals that come one upon the other are one."""

    serve = ("rest", "grpc")
    load = {**SOME_REST, "unary": 16, "streams": 4}

    def signals(self, stop):
        for _ in range(stop.random.randint(5, 30)):
            stop.signal(stop.random.choice((signal.SIGTERM, signal.SIGINT)))
            time.sleep(stop.random.uniform(0, 0.01))


class Chaos(Faulty):
    """Several things go wrong at once."""

    exits = {0, 75}

    def plan(self, random):
        self.faults = [make(name) for name in random.sample(
            ("frozen_broker", "killed_broker", "locked_database", "full_disk"), random.randint(0, 2))]
        self.broker_lost = any(fault.broker_lost for fault in self.faults)
        self.load = {**All.load, "rows": 30, "rest_unread": random.randint(0, 1), "stream_unread": random.randint(0, 1),
                     "deaf": random.randint(0, 1), "deaf_ms": 20_000}
        self.flags = ("--executor.threads=64", "--db.busy_timeout_ms=500")

    def prepare(self, stop):
        for fault in self.faults:
            fault.prepare(stop)

    def signals(self, stop):
        stop.signal(signal.SIGTERM)
        at = 0
        for _ in range(stop.random.choice((0, 0, 1, 2))):
            at += stop.random.uniform(0.2, 1.5)
            stop.signal_in(at, signal.SIGTERM)

    def recover(self, stop):
        for fault in self.faults:
            fault.recover(stop)


SCENARIOS = {
    "rest": Rest,
    "connections": Connections,
    "unary": Unary,
    "streams": Streams,
    "kafka": Kafka,
    "all": All,
    "frozen_broker": FrozenBroker,
    "killed_broker": KilledBroker,
    "locked_database": LockedDatabase,
    "full_disk": FullDisk,
    "unread_answer": UnreadAnswer,
    "unread_stream": UnreadStream,
    "deaf_handler": DeafHandler,
    "second_signal": SecondSignal,
    "during_start": DuringStart,
    "storm": Storm,
    "chaos": Chaos,
}


def make(name):
    return SCENARIOS[name](name)
