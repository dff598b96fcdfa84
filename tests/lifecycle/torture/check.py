"""Compares what the clients saw, what the service noted, what stands in its database and at the broker, and what the
report of the stop says: accepted = answered + reported."""

import collections
import os
import sqlite3
import struct

JOURNAL = struct.Struct("=QII")
ACCOUNT = struct.Struct("=QqIi")
DID_BEGIN, DID_SERVE, DID_FAIL = 1, 2, 3
STORE_ROW, STORE_SENT, STORE_POSTED = 1, 2, 3
ANSWERED, ERROR, REFUSED, BROKEN, ENDED, UNREAD, RECORD, COMMITTED, EVENT = range(1, 10)
OF_REST, OF_UNARY, OF_MESSAGE, OF_RECORD, OF_STREAM = range(1, 6)
ABORTED = 10  # what an abrupt stream ends with
LATE_MS = 500  # a machine that is busy wakes threads late
ACCOUNTING = ("rest", "grpc", "consumer", "relay", "events", "db")
ANY = float("inf")  # a component that could not say how many


def records(path, layout):
    if not os.path.exists(path):
        return []
    with open(path, "rb") as file:
        data = file.read()
    return layout.iter_unpack(data[: len(data) - len(data) % layout.size])


class Ledger:
    """All accounts of one stop."""

    def __init__(self, stop):
        self.begun, self.served, self.failed = set(), set(), set()
        self.stores = {}
        for id, did, store in records(stop.journal, JOURNAL):
            (self.begun if did == DID_BEGIN else self.served if did == DID_SERVE else self.failed).add(id)
            self.stores[id] = store
        self.begun |= self.served
        self.became = collections.defaultdict(dict)  # [protocol][became]: {id: (detail, where)}
        self.offsets, self.committed, self.events = {}, {}, set()
        for id, detail, became, where in records(stop.account, ACCOUNT):
            if became == RECORD:
                self.offsets[id] = (where, detail)
            elif became == COMMITTED:
                self.committed[where] = detail
            elif became == EVENT:
                self.events.add(id)
            else:
                self.became[id >> 56].setdefault(became, {})[id] = (detail, where)
        again = stop.path("account.again")
        self.events_again = None  # at the broker, once the next run has ended
        if os.path.exists(again):
            self.events_again = {id for id, _, became, _ in records(again, ACCOUNT) if became == EVENT}
        self.report = stop.report()
        self.components = {part["name"]: part for part in self.report["components"]} if self.report else {}

    def what(self, protocol, *became):
        ids = set()
        for one in became:
            ids |= self.became[protocol].get(one, {}).keys()
        return ids

    def reported(self, name, *counts):
        """How many the report says; any number where the component could not end its account."""
        part = self.components.get(name)
        if part is None:
            return ANY if self.report is None else 0
        steps = part["steps"]
        if any(steps.get(step, {}).get("outcome") in ("abandoned", "skipped") for step in ("quiesce", "drain", "finish")):
            return ANY
        return sum(part["work"][count] for count in counts)

    def counts(self):
        total = collections.Counter()
        for protocol in (OF_REST, OF_UNARY, OF_MESSAGE):
            for became, name in ((ANSWERED, "answered"), (ERROR, "errors"), (REFUSED, "refused"), (BROKEN, "broken"),
                                 (ENDED, "ended"), (UNREAD, "unread")):
                total[name] += len(self.what(protocol, became))
        total["consumed"] = len([id for id in self.served if id >> 56 == OF_RECORD])
        for part in self.components.values():
            for name, count in part["work"].items():
                total[name] += count
        for name in ACCOUNTING:
            total[f"without {name}'s account"] = int(name in self.components and self.reported(name) == ANY)
        return total


def sample(ids):
    return f"{len(ids)} ({', '.join(f'{id >> 56}/{id >> 32 & 0xffffff}/{id & 0xffffffff}' for id in sorted(ids)[:3])})"


def check_process(stop, ledger, problems):
    scenario, report = stop.scenario, ledger.report
    if stop.hung:
        problems.append(f"did not end within the deadline and {stop.took:.1f} s: killed")
        return
    if stop.exit_status not in scenario.exits:
        problems.append(f"exit {stop.exit_status}, expected {sorted(scenario.exits)}")
    if "Sanitizer" in stop.log() or "runtime error" in stop.log():
        problems.append("a sanitizer has complained")
    if report is None:
        if stop.exit_status >= 0:
            problems.append("there is no report")
        return
    if report["exit"] != stop.exit_status:
        problems.append(f"the report says exit {report['exit']}, the process said {stop.exit_status}")
    if report["elapsed"] > report["total"] + LATE_MS:
        problems.append(f"took {report['elapsed']} of {report['total']} ms")
    for name, part in ledger.components.items():
        work = part["work"]
        if work["in_flight"] != work["completed"] + work["cancelled"] + work["stuck"] + work["kept"]:
            problems.append(f"{name}: in flight is not completed + cancelled + stuck + kept: {work}")
        lost = {key: count for key, count in work.items() if count and key not in ("in_flight", "completed")}
        if lost and report["exit"] == 0:
            problems.append(f"{name}: exit 0, and {lost}")


def check_calls(ledger, protocol, component, strict, problems):
    """REST and unary calls of gRPC."""
    answered, errors = ledger.what(protocol, ANSWERED), ledger.what(protocol, ERROR)
    refused, broken = ledger.what(protocol, REFUSED), ledger.what(protocol, BROKEN)
    unread = ledger.what(protocol, UNREAD)
    if answered - ledger.served:
        problems.append(f"{component}: answered, and never served: {sample(answered - ledger.served)}")
    if refused & ledger.begun:
        problems.append(f"{component}: refused, and begun: {sample(refused & ledger.begun)}")
    lost = (broken & ledger.begun) | (errors & ledger.served) | (unread & ledger.served)
    allowed = ledger.reported(component, "cancelled", "stuck")
    if len(lost) > allowed:
        problems.append(f"{component}: LOST {sample(lost)}, of which the report says {allowed}")
    if strict and errors:
        statuses = collections.Counter(detail for detail, _ in ledger.became[protocol][ERROR].values())
        problems.append(f"{component}: errors {dict(statuses)}: {sample(errors)}")
    if strict and broken:
        details = collections.Counter(detail for detail, _ in ledger.became[protocol][BROKEN].values())
        problems.append(f"{component}: sent and not answered {dict(details)}: {sample(broken)}, "
                        f"begun {len(broken & ledger.begun)}")


def check_streams(ledger, strict, problems):
    streams = ledger.became[OF_STREAM]
    broken = ledger.what(OF_STREAM, BROKEN, UNREAD)
    begun = {id for id in broken if any(where == id & 0xffffffff and message in ledger.begun
                                        for became in (BROKEN, UNREAD, ANSWERED)
                                        for message, (_, where) in ledger.became[OF_MESSAGE].get(became, {}).items())}
    allowed = ledger.reported("grpc", "cancelled", "stuck")
    if len(begun) > allowed:
        problems.append(f"grpc: LOST streams {sample(begun)}, of which the report says {allowed}")
    ended = {id: detail for became in (ANSWERED, ERROR) for id, (detail, _) in streams.get(became, {}).items()}
    orderly = {id & 0xffffffff for id, detail in ended.items() if detail in (0, ABORTED)}
    unanswered = {id for id, (_, where) in ledger.became[OF_MESSAGE].get(ENDED, {}).items() if where in orderly}
    if unanswered & ledger.served:
        problems.append(f"grpc: LOST messages, served in a stream that ended well: {sample(unanswered & ledger.served)}")
    if strict:
        polite = {id & 0xffffffff for id, detail in ended.items() if detail == 0}
        waiting = {id for id, (_, where) in ledger.became[OF_MESSAGE].get(ENDED, {}).items() if where in polite}
        bad = {id for id, detail in ended.items() if detail not in (0, ABORTED)}
        if waiting:
            problems.append(f"grpc: messages without an answer in streams that ended with OK: {sample(waiting)}")
        if bad or broken:
            problems.append(f"grpc: streams that did not end well: {sample(bad | broken)}")


def check_consumer(stop, ledger, problems):
    served = {ledger.offsets[id] for id in ledger.served if id in ledger.offsets}
    begun = {id for id in ledger.begun - ledger.served - ledger.failed if id >> 56 == OF_RECORD}
    allowed = ledger.reported("consumer", "cancelled", "stuck", "kept")
    if len(begun) > allowed:
        problems.append(f"consumer: begun and not ended {sample(begun)}, of which the report says {allowed}")
    if stop.scenario.broker_lost:
        return
    early = [(partition, offset) for partition, offset in ledger.offsets.values()
             if offset < ledger.committed.get(partition, 0) and (partition, offset) not in served]
    beyond = [partition for partition, offset in ledger.committed.items()
              if offset > 1 + max((o for p, o in ledger.offsets.values() if p == partition), default=-1)]
    if early or beyond:
        problems.append(f"consumer: LOST, committed and never handled: {sorted(early)[:3]} ({len(early)}) {beyond}")
    again = sum(offset >= ledger.committed.get(partition, 0) for partition, offset in served)
    said = ledger.reported("consumer", "uncommitted")
    if again > said:
        problems.append(f"consumer: {again} handled and not committed, the report says {said}")
    if stop.scenario.strict and again:
        problems.append(f"consumer: {again} come again after a clean stop")


def read_database(path):
    """Rows, and events that are not known to be at the broker: their ids."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        rows = {id for (id,) in database.execute("SELECT id FROM work")}
        waiting = [payload for (payload,) in database.execute(
            "SELECT payload FROM weir_outbox WHERE id > (SELECT published FROM weir_outbox_state)")]
    finally:
        database.close()
    return {id & (1 << 64) - 1 for id in rows}, {id_of(payload) for payload in waiting}


def id_of(payload):
    """Of a Done: field 2, behind its key."""
    at, id, shift = 2 + payload[1], 0, 0
    for byte in payload[at + 1:]:
        id |= (byte & 0x7f) << shift
        shift += 7
    return id


def check_store(stop, ledger, problems):
    rows, waiting = stop.stored or read_database(stop.database)
    done = {store: {id for id in ledger.served if ledger.stores[id] == store}
            for store in (STORE_ROW, STORE_SENT, STORE_POSTED)}
    if done[STORE_ROW] - rows:
        problems.append(f"db: LOST rows: {sample(done[STORE_ROW] - rows)}")
    if stop.scenario.broker_lost:
        return
    kept = waiting - ledger.events
    if rows - ledger.events - waiting:
        problems.append(f"relay: LOST events: {sample(rows - ledger.events - waiting)}")
    if ledger.events_again is not None and rows - ledger.events_again:
        problems.append(f"relay: LOST events, after the next run: {sample(rows - ledger.events_again)}")
    if len(kept) > ledger.reported("relay", "kept"):
        problems.append(f"relay: events not at the broker {sample(kept)}, the report says "
                        f"{ledger.reported('relay', 'kept')} are kept")
    if done[STORE_SENT] - ledger.events:
        problems.append(f"events: LOST, acknowledged and not at the broker: {sample(done[STORE_SENT] - ledger.events)}")
    posted = done[STORE_POSTED] - ledger.events
    if len(posted) > ledger.reported("events", "undelivered"):
        problems.append(f"events: posted and not at the broker {sample(posted)}, the report says "
                        f"{ledger.reported('events', 'undelivered')}")
    if stop.scenario.strict and (kept or posted):
        problems.append(f"events that did not go out in a clean stop: {sample(kept | posted)}")


def check(stop):
    """(problems, counts)."""
    problems = []
    ledger = Ledger(stop)
    check_process(stop, ledger, problems)
    serve, strict = stop.scenario.serve, stop.scenario.strict
    if "rest" in serve:
        check_calls(ledger, OF_REST, "rest", strict, problems)
    if "grpc" in serve:
        check_calls(ledger, OF_UNARY, "grpc", strict, problems)
        check_streams(ledger, strict, problems)
    if "consumer" in serve and not stop.scenario.during_start:
        check_consumer(stop, ledger, problems)
    if "store" in serve and not stop.scenario.during_start:
        check_store(stop, ledger, problems)
    return problems, ledger
