"""The customers: place orders at their planned times, whatever became of those before, and write down what they were told."""

import asyncio
import json
import random
import threading
import time

ANSWER_WITHIN = 15  # seconds; then the customer thinks that nothing came
UNDER_WAY = -1  # another request with its Idempotency-Key is not answered yet: ask again


class Client:
    """Runs in a thread of its own. `history` has an entry per request: what was sent, and what was answered."""

    def __init__(self, seed, orders, addresses, history_path):
        self.seed, self.orders, self.addresses = seed, orders, addresses
        self.history = []
        self.file = open(history_path, "w", encoding="utf-8")
        self.began = None
        self.placed = 0
        self.last_call = None  # the shop is healthy again: give it at most until then
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.failure = None
        self.ids = {}  # of orders with a key, as they were answered

    def start(self):
        self.thread.start()

    def finish(self, within):
        """The faults are over: everybody hears a last word within so many seconds. True when all did."""
        self.last_call = time.monotonic() + within
        self.thread.join(within + 2 * ANSWER_WITHIN)
        if self.failure:
            raise self.failure
        self.file.close()
        return not self.thread.is_alive() and not self.unanswered

    async def _run(self):
        try:
            self.unanswered = []
            self.began = time.monotonic()
            tasks = set()
            for order in self.orders:
                await asyncio.sleep(max(0, self.began + order.at - time.monotonic()))
                self.placed += 1
                task = asyncio.ensure_future(self._live(order))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            if tasks:
                await asyncio.gather(*tasks)
        except Exception as problem:  # pylint: disable=broad-except
            self.failure = problem

    # ---- One customer ----

    async def _live(self, order):
        ways = [order.way] + (["order-2" if order.way != "order-2" else "order"] if order.twice else [])
        statuses = await asyncio.gather(*(self._place(order, way) for way in ways))
        if 200 not in statuses:
            return
        if order.cancel_after >= 0:
            await asyncio.sleep(order.cancel_after)
            for _ in range(2 if order.keyed else 1):
                await self._until_known(order, "cancel", order.way, "POST", f"/v1/orders/{self.id_of(order)}:cancel",
                                        {"reason": "torture"})
        if order.again_after >= 0:
            await asyncio.sleep(order.again_after)
            await self._place(order, "order" if order.way == "order-2" else "order-2", "again")
        if order.other_content:
            await self._until_known(order, "other", order.way, "POST", "/v1/orders",
                                    {**body_of(order), "customerId": order.customer + "-other"})
        await self._until_known(order, "get", order.way, "GET", f"/v1/orders/{self.id_of(order)}", None)

    def id_of(self, order):
        return self.ids.get(order.order_id, order.order_id)

    async def _place(self, order, way, what="place"):
        return await self._until_known(order, what, way, "POST", "/v1/orders", body_of(order))

    async def _until_known(self, order, what, way, method, path, body):
        """Asks again until the answer settles the question. What status it had; None when the customer gave up."""
        rng = random.Random(f"pauses {self.seed} {order.number} {what} {way}")
        pause = 0.2
        while True:
            status = await self._ask(order, what, way, method, path, body)
            if status is not None and status < 500 and status not in (429, UNDER_WAY):
                return status
            if what == "place" and order.gives_up and not order.twice:
                return None
            if self.last_call and time.monotonic() > self.last_call:
                self.unanswered.append((order.order_id, what))
                return None
            await asyncio.sleep(pause * rng.uniform(0.5, 1.5))
            pause = min(pause * 1.7, 3)

    async def _ask(self, order, what, way, method, path, body):
        entry = {"order": order.order_id, "what": what, "way": way, "sent": self._now()}
        headers = {}
        if order.keyed and method == "POST":
            entry["trace"] = f"{random.getrandbits(128):032x}"
            entry["key"] = order.order_id + ("-cancel" if what == "cancel" else "")
            headers = {"Idempotency-Key": f'"{entry["key"]}"', "traceparent": f"00-{entry['trace']}-00f067aa0ba902b7-00"}
        try:
            entry["status"], told, entry["body"] = await asyncio.wait_for(
                self._request(way, method, path, body, headers), ANSWER_WITHIN)
            entry["replayed"], entry["under_way"] = told.get("idempotent-replayed") == "true", (
                bool(headers) and entry["status"] == 409 and "retry-after" in told)
        except (OSError, EOFError, ValueError, asyncio.TimeoutError) as problem:
            entry["status"], entry["error"] = None, f"{type(problem).__name__} {problem}".strip()
        entry["answered"] = self._now()
        self.history.append(entry)
        self.file.write(json.dumps(entry) + "\n")
        self.file.flush()
        if headers and entry["status"] == 200 and what in ("place", "again"):
            self.ids.setdefault(order.order_id, entry["body"]["orderId"])
        return UNDER_WAY if entry.get("under_way") else entry["status"]

    def _now(self):
        return round(time.monotonic() - self.began, 4)

    async def _request(self, way, method, path, body, headers):
        """Status, headers by their names in small letters, content."""
        host, port = self.addresses[way].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            content = b"" if body is None else json.dumps(body).encode()
            lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", "Content-Type: application/json",
                     f"Content-Length: {len(content)}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
            writer.write("\r\n".join(lines).encode() + content)
            answer = await reader.read(-1)
        finally:
            writer.close()
        head, _, rest = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 "):
            raise EOFError("the connection ended without an answer")
        told = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head.decode().split("\r\n")[1:])}
        if len(rest) != int(told.get("content-length", -1)):
            raise EOFError("the answer is not whole")
        return int(head[9:12]), told, json.loads(rest) if rest else {}


def body_of(order):
    return {**({} if order.keyed else {"orderId": order.order_id}), "customerId": order.customer,
            "items": [{"sku": sku, "quantity": quantity} for sku, quantity in order.items]}
