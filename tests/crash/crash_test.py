#!/usr/bin/env python3
"""Ends a service of the shop at every call of one order that changes something outside of it, starts it again, and looks
whether the order came to its right end.

  crash_test.py [--victim order|inventory|payment] [--cases N] [--seed S] [--lanes N] [--point CLASS NUMBER HOW]

Without --cases all points; with it a part, chosen by the seed, which a failure prints. A point is a class of calls
("executor/pwrite64/wal") and a number in it; `before` the call, `half` of its bytes written, or `after` it."""

import argparse
import collections
import os
import queue
import random
import sys
import threading
import time

from crash import HOWS, Consumers, Lane, Mode

STORED = ("executor/fdatasync/wal", 1, "after")
CONFIRMED = ("executor/fdatasync/wal", 2, "after")
MODES = {
    "the client sends it again": Mode(True, "order"),
    "the client gives up": Mode(False, "order"),
    "the client sends it again, by gRPC": Mode(True, "gateway"),
    "in the start after a crash, the order stored": Mode(False, "order", STORED),
    "in the start after a crash, the order confirmed": Mode(False, "order", CONFIRMED),
    "the client cancels": Mode(True, "order", cancel=True),
    "the client cancels and gives up": Mode(False, "order", cancel=True),
}
CLEAN_RUNS = 3
TRIES = 3  # threads run side by side: a point may not come in one run, and come in the next


class Lanes:
    """Several shops side by side: most of an order's time is waiting."""

    def __init__(self, options):
        shift = int(os.environ.get("SHOP_TEST_SHIFT", "20000"))
        self.lock = threading.Lock()
        self.verbose = options.verbose
        self.failed = []
        self.hit = collections.Counter()
        self.missed = collections.Counter()
        self.consumers = Consumers(shift)
        self.lanes = []
        try:
            for i in range(options.lanes):
                self.lanes.append([self.lane(options, shift + 20 + 40 * i + 20 * patient, patient)
                                   for patient in (False, True)])
        except BaseException:
            self.close()
            raise

    def lane(self, options, shift, patient):
        """Who gives up leaves the order to the service's patience; who sends it again must not be outrun by it."""
        flags = collections.defaultdict(list, order=[f"--order.patience_ms={30000 if patient else 1000}"])
        flags[options.victim] += options.flag
        return Lane(shift, self.consumers, options.victim, flags, options.power_cut)

    def each(self):
        return [lane for pair in self.lanes for lane in pair]

    def close(self):
        for lane in self.each():
            lane.close()
        self.consumers.close()

    def count(self, mode):
        """{class: (calls, halves)}: the most that any clean run has had."""
        lane = self.lanes[0][MODES[mode].retry]
        most = {}
        for _ in range(CLEAN_RUNS):
            lane.start_fresh()
            _, problems = lane.run(None, MODES[mode])
            if problems:
                raise AssertionError(f"without a point: {problems}")
            for name, (calls, writes) in lane.control.classes().items():
                most[name] = (max(calls, most.get(name, (0,))[0]), writes)
        return most

    def work(self, pair, cases):
        while True:
            try:
                mode, point, chance = cases.get_nowait()
            except queue.Empty:
                return
            lane = pair[MODES[mode].retry]
            hit, problems = False, []
            for attempt in range(TRIES):
                begun = time.monotonic()
                try:
                    if attempt:
                        lane.start_fresh()
                    lane.chance = chance
                    hit, problems = lane.run(point, MODES[mode])
                except Exception as problem:  # of the test itself: the lane cannot go on
                    hit, problems = True, [f"the test failed: {problem!r}"]
                if self.verbose:
                    print(f"    {time.monotonic() - begun:5.2f} s {'' if hit else 'not '}reached: "
                          f"{' '.join(map(str, point))}, {mode}", flush=True)
                if hit or problems:
                    break
            with self.lock:
                (self.hit if hit else self.missed)[point[0], point[2]] += 1
                for problem in problems:
                    self.failed.append(f"{' '.join(map(str, point))}, {mode}, chance {chance}: {problem}")
                    print("  FAILED:", self.failed[-1], flush=True)

    def run(self, cases):
        for lane in self.each():
            lane.start_fresh()
        todo = queue.Queue()
        for case in cases:
            todo.put(case)
        workers = [threading.Thread(target=self.work, args=(pair, todo)) for pair in self.lanes]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def report(self):
        names = sorted({name for name, _ in self.hit + self.missed})
        print(f"  {'point':44} {'before':>7} {'half':>7} {'after':>7}  not reached")
        for name in names:
            counts = " ".join(f"{self.hit[name, how]:7}" for how in HOWS)
            print(f"  {name:44} {counts}  {sum(self.missed[name, how] for how in HOWS)}")


def cases_of(lanes, options):
    modes = [mode for mode in MODES if options.mode in mode]
    if options.point:
        name, number, how = options.point
        return [(mode, (name, int(number), how), options.chance) for mode in modes]
    cases = []
    chance = random.Random(options.seed)
    for mode in modes:
        classes = lanes.count(mode)
        print(f"  {mode}: {sum(calls for calls, _ in classes.values())} calls in {len(classes)} classes")
        if options.verbose:
            print("".join(f"    {calls:4} {name}\n" for name, (calls, _) in sorted(classes.items())), end="")
        cases += [(mode, (name, number, how), chance.getrandbits(32)) for name, (calls, writes) in sorted(classes.items())
                  for number in range(1, calls + 1) for how in HOWS if writes or how != "half"]
    chance.shuffle(cases)
    return cases[:options.cases] if options.cases else cases


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--victim", default="order", choices=["order", "inventory", "payment"])
    parser.add_argument("--cases", type=int, default=0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--lanes", type=int, default=3)
    parser.add_argument("--mode", default="", help="part of the name of one")
    parser.add_argument("--verbose", action="store_true", help="lists the classes, and times each case")
    parser.add_argument("--power-cut", action="store_true", help="what was not synced may be gone or torn")
    parser.add_argument("--chance", type=int, default=1, help="of a power cut at --point")
    parser.add_argument("--flag", action="append", default=[], help="of the victim: --flag=--db.synchronous=normal")
    parser.add_argument("--point", nargs=3, metavar=("CLASS", "NUMBER", "HOW"))
    options = parser.parse_args()
    begun = time.monotonic()
    print(f"{options.victim} is ended{' by a power cut' * options.power_cut} at calls of one order, seed {options.seed}",
          flush=True)
    lanes = Lanes(options)
    try:
        cases = cases_of(lanes, options)
        print(f"  {len(cases)} cases", flush=True)
        lanes.run(cases)
        for lane in lanes.each():
            lane.check_sums()
            lanes.failed += lane.failed
        lanes.report()
    finally:
        lanes.close()
    print(f"  {sum(lanes.hit.values())} ended, {sum(lanes.missed.values())} not reached, {len(lanes.failed)} failed, "
          f"{time.monotonic() - begun:.0f} s")
    sys.exit(1 if lanes.failed or not lanes.hit else 0)


if __name__ == "__main__":
    main()
