"""Processes whose CPU time is read, statistics, and the table."""

import atexit
import os
import random
import statistics
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BENCH_BUILD", os.path.join(ROOT, "build", "release"))
BIN = os.path.join(BUILD, "tests", "bench")
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]


def cpu_seconds(pid):
    """User and system time of all threads of a process, exact to the nanosecond: the clock of clock_getcpuclockid(3)."""
    return time.clock_gettime((~pid << 3) | 2)


class Child:
    """A process on one core that talks in lines: "ready ...", "done"."""

    def __init__(self, core, *command, environment=None):
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=dict(os.environ, **(environment or {})), text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(os.path.join(ROOT, "build", "bench", "log"), "a"),
            preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        self.pid = self.process.pid
        atexit.register(self.process.kill)

    def wait_line(self, word):
        for line in self.process.stdout:
            if line.split() and line.split()[0] == word:
                return line.split()[1:]
        raise SystemExit(f"bench: {self.process.args[0]} ended with {self.process.wait()}; see build/bench/log")

    def say(self, line):
        self.process.stdin.write(line + "\n")

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        self.process.terminate()
        self.process.wait()


class Series:
    """What was measured of one thing, a value a round."""

    def __init__(self, name):
        self.name = name
        self.values = {}

    def add(self, **values):
        for key, value in values.items():
            self.values.setdefault(key, []).append(value)

    def of(self, key):
        return self.values.get(key, [])


def spread(values, digits):
    """Median (least-most)."""
    if not values:
        return "-"
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def ratios(series, floor, key):
    return [value / base for value, base in zip(series.of(key), floor.of(key))]


class Table:
    def __init__(self, file):
        self.file = file

    def print(self, line=""):
        print(line, flush=True)
        self.file.write(line + "\n")

    def row(self, *cells):
        widths = (54, 24, 32)
        self.print("".join(cell.ljust(width) for cell, width in zip(cells, widths)) + (cells[3] if len(cells) > 3 else ""))

    def head(self, title, *columns):
        self.print()
        self.row(title, *columns)

    def group(self, title, floor, others, unit="call"):
        """Rows of one kind: the floor first, what stands on it after it, by CPU time per operation."""
        self.head(title, f"CPU us a {unit}", f"{unit}s a second, one core", "ratio to the floor")
        for series in [floor] + others:
            ratio = "1" if series is floor else spread(ratios(series, floor, "cpu_us"), 2)
            self.row("  " + series.name, spread(series.of("cpu_us"), 2), spread(series.of("per_second"), 0), ratio)


def shuffled(things):
    return random.sample(things, len(things))
