"""Does to the shop what the plan says, when it says so, and writes down when it really happened."""

import os
import sqlite3
import threading
import time


class Nemesis:
    """A thread a fault: one that takes longer does not delay the next, unless both are about the same process."""

    def __init__(self, parts, faults, log_path, disk):
        self.parts, self.faults, self.disk = parts, faults, disk
        self.log = open(log_path, "w", encoding="utf-8")
        self.log_lock = threading.Lock()
        self.threads, self.done, self.left_out = [], {}, {}
        self.began = None
        self.failure = None

    def run(self):
        """Until the last fault has begun."""
        self.began = time.monotonic()
        for fault in self.faults:
            time.sleep(max(0, self.began + fault.at - time.monotonic()))
            thread = threading.Thread(target=self._inflict, args=(fault,), daemon=True)
            thread.start()
            self.threads.append(thread)

    def wait(self, within):
        """Until all is put right again. True when it is."""
        end = time.monotonic() + within
        for thread in self.threads:
            thread.join(max(0, end - time.monotonic()))
        if self.failure:
            raise self.failure
        self.log.close()
        return not any(thread.is_alive() for thread in self.threads)

    def _inflict(self, fault):
        handler = getattr(self, "_" + fault.kind.replace("-", "_"))
        begun = time.monotonic() - self.began
        try:
            outcome = handler(fault)
        except Exception as problem:  # pylint: disable=broad-except
            outcome, self.failure = f"failed: {problem!r}", problem
        with self.log_lock:
            self.log.write(f"{fault}: from {begun:.3f} to {time.monotonic() - self.began:.3f} s"
                           f"{': ' + outcome if outcome else ''}\n")
            self.log.flush()
            counts = self.left_out if (outcome or "").startswith("left out") else self.done
            counts[fault.kind] = counts.get(fault.kind, 0) + 1

    # ---- Processes ----

    def _kill(self, fault):
        with self.parts.services[fault.target].lock:
            self.parts.kill(fault.target)
            time.sleep(fault.lasts)
            self.parts.start(fault.target)

    def _kill_twice(self, fault):
        with self.parts.services[fault.target].lock:
            self.parts.kill(fault.target)
            self.parts.start(fault.target)
            time.sleep(fault.lasts)
            self.parts.kill(fault.target)
            self.parts.start(fault.target)

    def _stop(self, fault):
        with self.parts.services[fault.target].lock:
            status = self.parts.stop(fault.target)
            time.sleep(fault.lasts)
            self.parts.start(fault.target)
            return f"exit status {status}"

    def _upgrade(self, fault):
        return self.parts.upgrade(fault.target)

    def _upgrade_kill(self, fault):
        return self.parts.upgrade(fault.target, fault.detail, fault.lasts)

    def _freeze(self, fault):
        with self.parts.services[fault.target].lock:
            self.parts.freeze(fault.target, True)
            time.sleep(fault.lasts)
            self.parts.freeze(fault.target, False)

    _broker_kill, _broker_stop, _broker_freeze = _kill, _stop, _freeze

    # ---- What they stand on ----

    def _link(self, fault):
        self.parts.set_link(fault.target, fault.detail)
        time.sleep(fault.lasts)
        self.parts.set_link(fault.target, "pass")

    def _clock(self, fault):
        self.parts.set_clock(fault.target, float(fault.detail.removesuffix("s")))
        time.sleep(fault.lasts)
        self.parts.set_clock(fault.target, 0)

    def _disk_full(self, fault):
        if not self.disk:
            return "left out: needs root, for a file system of its own"
        ballast = os.path.join(self.parts.data, "ballast")
        end = time.monotonic() + fault.lasts
        try:
            with open(ballast, "wb", buffering=0) as file:
                size = 1 << 20
                while time.monotonic() < end:
                    try:
                        file.write(b"\0" * size)
                    except OSError:  # it is full; who gives room back loses it at once
                        size = max(size // 4, 512)
                        time.sleep(0.01 if size == 512 else 0)
        finally:
            os.unlink(ballast)
        return None

    def _hold(self, fault):
        """The write lock of SQLite; None when it cannot be had."""
        connection = sqlite3.connect(f"{self.parts.data}/{fault.target}.db", timeout=5, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            return connection
        except sqlite3.Error:
            connection.close()
            return None

    def _lock(self, fault):
        connection = self._hold(fault)
        if not connection:
            return "it was locked, or full"
        time.sleep(fault.lasts)
        connection.rollback()
        connection.close()
        return None

    def _lock_kill(self, fault):
        connection = self._hold(fault)
        if not connection:
            return "it was locked, or full"
        time.sleep(fault.lasts)
        with self.parts.services[fault.target].lock:
            self.parts.kill(fault.target)
            connection.rollback()
            connection.close()
            self.parts.start(fault.target)
        return None

    # ---- A database server: other parts have none ----

    def _database_kill(self, _):
        return "left out: there is no database server"

    _database_stop = _database_freeze = _database_kill
