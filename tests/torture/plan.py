"""What a seed means: which orders are placed when, and what is done to the shop when. Pure: the same seed, the same plan."""

import dataclasses
import random
import uuid

SERVICES = ["payment", "inventory", "logistics", "order", "order-2", "points", "recommendation", "gateway"]
WITH_DATABASE = ["payment", "inventory", "logistics", "order", "points", "recommendation"]

# Who connects to whom; "broker" is each of the brokers, "database" the server where there is one.
LINKS = [("gateway", "order"), ("gateway", "inventory"), ("gateway", "broker"), ("order", "inventory"), ("order", "payment"),
         ("order", "logistics"), ("order", "broker"), ("order-2", "inventory"), ("order-2", "payment"),
         ("order-2", "logistics"), ("order-2", "broker"), ("inventory", "broker"), ("payment", "broker"),
         ("logistics", "broker"), ("points", "broker"), ("recommendation", "broker")]
DATABASE_LINKS = [(service, "database") for service in WITH_DATABASE + ["order-2"]]

# Kind of fault, how often (relative), and from how many seconds to how many it lasts.
FAULTS = [
    ("kill", 10, 0.0, 4.0),       # kill -9, started again after so long
    ("kill-twice", 3, 0.0, 1.5),  # and killed again so long after it was started
    ("stop", 4, 0.0, 4.0),        # SIGTERM, started again after so long
    ("upgrade", 4, 0.0, 0.0),     # SERVICE --upgrade
    ("upgrade-kill", 2, 0.0, 2.0),  # and the old or the new process is killed so long after it was begun
    ("freeze", 5, 0.3, 8.0),      # SIGSTOP, SIGCONT
    ("link", 10, 0.3, 8.0),       # a link goes silent, one way or both, or is cut
    ("clock", 4, 2.0, 20.0),      # a service's wall clock is wrong
    ("disk-full", 2, 0.5, 4.0),   # no byte is left for the databases
    ("lock", 4, 0.3, 6.0),        # somebody else writes to a service's database and does not end
    ("lock-kill", 3, 0.3, 2.5),   # and the service is killed meanwhile
    ("broker-kill", 2, 0.0, 4.0),
    ("broker-stop", 1, 0.0, 4.0),
    ("broker-freeze", 3, 0.3, 6.0),
    ("database-kill", 2, 0.0, 3.0),   # a database server, where there is one
    ("database-stop", 2, 0.0, 3.0),
    ("database-freeze", 2, 0.3, 5.0),
]
MODES = ["silence", "deaf", "mute", "cut"]


@dataclasses.dataclass(frozen=True)
class Fault:
    at: float  # seconds after the load began
    kind: str
    target: str
    lasts: float
    detail: str = ""

    def __str__(self):
        return f"{self.at:7.2f} s  {self.kind} {self.target}" + (f" {self.detail}" if self.detail else "") + \
            (f" for {self.lasts:.2f} s" if self.lasts else "")


@dataclasses.dataclass(frozen=True)
class Order:
    number: int
    at: float
    order_id: str
    customer: str
    items: tuple  # (sku, quantity)
    way: str             # which service it is sent to
    twice: bool          # sent a second time at once, by another way
    gives_up: bool       # the client does not come back after an answer that says nothing
    cancel_after: float  # seconds after it was accepted; -1: never
    again_after: float   # likewise: sent again
    other_content: bool  # after it was accepted: sent with other content, which must be refused
    keyed: bool          # sent without an id of its own: `order_id` is its Idempotency-Key, and it has a customer of its own


def _target(rng, kind, parts):
    if kind in ("lock", "lock-kill"):
        return rng.choice(WITH_DATABASE)
    if kind.startswith("broker"):
        return f"broker-{rng.randrange(parts.brokers) + 1}" if parts.brokers > 1 else "broker"
    if kind.startswith("database") or kind == "disk-full":
        return "database"
    if kind == "link":
        a, b = rng.choice(LINKS + (DATABASE_LINKS if parts.database_server else []))
        return f"{a}-{b}"
    return rng.choice(SERVICES)


def _detail(rng, kind):
    if kind == "link":
        return rng.choice(MODES)
    if kind == "clock":
        return f"{rng.choice([-1, 1]) * rng.choice([0.5, 5, 60, 600]):+g}s"
    if kind == "upgrade-kill":
        return rng.choice(["old", "new"])
    return ""


@dataclasses.dataclass(frozen=True)
class Parts:
    brokers: int = 1
    database_server: bool = False


def faults(seed, seconds, parts=Parts(), only=None):
    """In the order of their begin. Every fault draws from a generator of its own, so one kind more changes no other."""
    rng = random.Random(f"when {seed}")
    kinds = [fault for fault in FAULTS if not only or fault[0] in only]
    at, number, planned = 3.0, 0, []
    while at < seconds:
        own = random.Random(f"fault {seed} {number}")
        kind, _, least, most = own.choices(kinds, [weight for _, weight, _, _ in kinds])[0]
        target = _target(own, kind, parts)
        planned.append(Fault(round(at, 3), kind, target, round(own.uniform(least, most), 3), _detail(own, kind)))
        at += rng.uniform(0.3, 4.5)
        number += 1
    return planned


def orders(seed, seconds, rate, skus):
    """`skus`: what the shop sells, sorted."""
    for number in range(int(seconds * rate)):
        rng = random.Random(f"order {seed} {number}")
        items = tuple((sku, rng.randint(1, 4)) for sku in rng.sample(skus, rng.choice([1, 2, 2, 3, 5])))
        fate = rng.random()
        order_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        customer = "mallory" if rng.random() < 0.02 else f"customer-{rng.randrange(200):03d}"
        keyed = number % 2 == 1 and customer != "mallory"  # whose payments are declined by that name
        yield Order(
            number=number, at=number / rate, order_id=order_id, customer=f"{customer}-{number}" if keyed else customer, items=items,
            way=rng.choice(["gateway", "gateway", "gateway", "order", "order-2"]), twice=rng.random() < 0.05,
            gives_up=rng.random() < 0.05, cancel_after=round(rng.choice([0, 0.05, 0.5, 3, 10]), 3) if fate < 0.15 else -1,
            again_after=round(rng.uniform(0, 5), 3) if 0.15 <= fate < 0.22 else -1, other_content=0.22 <= fate < 0.24,
            keyed=keyed)
