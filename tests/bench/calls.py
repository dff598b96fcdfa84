"""One unary method, about 100 bytes there and back: on weir, and on the libraries by themselves."""

import json
import os
import signal
import subprocess
import time

from measure import BIN, BUILD, LOAD_CORE, SERVER_CORE, Child, Series, cpu_seconds, shuffled

IN_FLIGHT = 64
CONSUMED = 100000  # messages a round: what the development broker keeps of them all
PRODUCED = 100000
PARTITIONS = 24


def weir(mode, handlers, *flags, **environment):
    return Child(SERVER_CORE, f"{BIN}/bench-server", mode, handlers, "--admin.listen=127.0.0.1:0", "--app.report=none",
                 "--log.level=warn", *flags, environment=environment)


# ---- REST and gRPC ----


def ask(kind, port, server, seconds):
    """Seconds of load; what the server gave and took."""
    command = [f"{BIN}/bench-load", kind, str(port), str(server.pid), str(IN_FLIGHT), str(seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True,
                          preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CORE}))
    answer = json.loads(done.stdout) if done.stdout else {}
    if done.returncode != 0:
        raise SystemExit(f"bench: {' '.join(command)} failed: {answer}")
    return {"cpu_us": answer["server_cpu"] / answer["done"] * 1e6, "per_second": answer["done"] / answer["seconds"]}


def serve_all():
    servers = {"floor http": Child(SERVER_CORE, f"{BIN}/floor-http"), "floor grpc": Child(SERVER_CORE, f"{BIN}/floor-grpc")}
    for handlers in ("inline", "executor"):
        servers[handlers] = weir("serve", handlers, "--rest.listen=127.0.0.1:0", "--grpc.listen=127.0.0.1:0")
    return servers


def calls(table, rounds, seconds, kinds):
    servers = serve_all()
    ports = {name: server.wait_line("ready") for name, server in servers.items()}
    runs = []
    for kind in kinds:
        wire = 1 if kind == "grpc" else 0
        floor = "floor grpc" if kind == "grpc" else "floor http"
        name = "the gRPC core by itself" if kind == "grpc" else "a bare epoll loop"
        runs.append((kind, servers[floor], ports[floor][0], Series(name)))
        for handlers in ("inline", "executor"):
            name = "weir, inline" if handlers == "inline" else "weir, on the executor"
            runs.append((kind, servers[handlers], ports[handlers][wire], Series(name)))
    for _ in range(rounds):
        for kind, server, port, series in shuffled(runs):
            series.add(**ask(kind, port, server, seconds))
    titles = {"get": "REST, GET", "post": "REST, POST of JSON", "grpc": "gRPC, unary"}
    for kind in kinds:
        floor, *others = [series for each, _, _, series in runs if each == kind]
        table.group(titles[kind], floor, others)
    for server in servers.values():
        server.end()


# ---- Kafka ----


class Broker:
    """The development broker, on the load's core."""

    def __init__(self):
        self.child = Child(LOAD_CORE, f"{BUILD}/framework/tools/devbroker/weir-devbroker", "--listen", "127.0.0.1:0", "--quiet",
                           "--topics", f"user.note:{PARTITIONS}")
        self.address = self.child.wait_line("weir-devbroker")[2].rstrip(",")

    def end(self):
        self.child.end()


def produce(producer, count):
    """How long, and what it cost the producer."""
    began, used = time.monotonic(), cpu_seconds(producer.pid)
    producer.say(str(count))
    producer.wait_line("done")
    took, used = time.monotonic() - began, cpu_seconds(producer.pid) - used
    return {"cpu_us": used / count * 1e6, "per_second": count / took}


def consume(consumer):
    """Lets it go on until it has consumed a round's messages; then it is frozen again."""
    began, used = time.monotonic(), cpu_seconds(consumer.pid)
    consumer.signal(signal.SIGCONT)
    consumer.wait_line("done")
    took, used = time.monotonic() - began, cpu_seconds(consumer.pid) - used
    consumer.signal(signal.SIGSTOP)
    return {"cpu_us": used / CONSUMED * 1e6, "per_second": CONSUMED / took}


def new_consumers(broker):
    common = [f"--notes.brokers={broker.address}", "--notes.session_timeout_ms=30000"]
    consumers = {"librdkafka by itself": Child(SERVER_CORE, f"{BIN}/floor-kafka", "consume", broker.address, str(CONSUMED))}
    # Handlers run on the consumer's own threads, whether inline or not.
    consumers["weir"] = weir("consume", "inline", *common, BENCH_COUNT=str(CONSUMED))
    return consumers


def kafka_consume(table, rounds):
    broker = Broker()
    source = Child(LOAD_CORE, f"{BIN}/floor-kafka", "produce", broker.address, "5")
    source.wait_line("ready")
    consumers = new_consumers(broker)
    produce(source, CONSUMED)
    for consumer in consumers.values():  # all have joined their groups, and are warm
        consumer.wait_line("done")
        consumer.signal(signal.SIGSTOP)
    series = {name: Series(name) for name in consumers}
    for _ in range(rounds):
        produce(source, CONSUMED)
        for name in shuffled(list(consumers)):
            series[name].add(**consume(consumers[name]))
    floor, *others = series.values()
    table.group("Kafka, consume: ordered, tracked, committed", floor, others, "message")
    for consumer in consumers.values():
        consumer.signal(signal.SIGCONT)
        consumer.end()
    source.end()
    broker.end()


def kafka_produce(table, rounds):
    broker = Broker()
    for linger in ("0", "5"):
        bare = Child(SERVER_CORE, f"{BIN}/floor-kafka", "produce", broker.address, linger)
        ours = weir("produce", "-", f"--events.brokers={broker.address}", f"--events.linger_ms={linger}")
        floor, weirs = Series("librdkafka by itself"), Series("weir")
        pairs = [(bare, floor), (ours, weirs)]
        for producer, _ in pairs:
            producer.wait_line("ready")
            produce(producer, PRODUCED // 10)
        for _ in range(rounds):
            for producer, series in shuffled(pairs):
                series.add(**produce(producer, PRODUCED))
        table.group(f"Kafka, produce: idempotent, acks=all, linger.ms={linger}", floor, [weirs], "message")
        bare.end()
        ours.end()
    broker.end()
