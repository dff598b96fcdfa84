"""See scripts/bench, which builds what this runs."""

import os
import signal
import subprocess
import sys
import time

from measure import BIN, CORES, LOAD_CORE, ROOT, SERVER_CORE, Table
import calls
import shop_bench


def program(table, name, *arguments):
    """A program that prints figures of its own."""
    path = os.path.join(BIN, name)
    if not os.path.exists(path):
        return
    table.print(f"\n{name}")
    done = subprocess.run([path, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    for line in done.stdout.splitlines():
        table.print("  " + line)
    if done.returncode != 0:
        raise SystemExit(f"bench: {name} ended with {done.returncode}")


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    quick = "--quick" in sys.argv
    wanted = [name for name in sys.argv[1:] if not name.startswith("-")]
    rounds, seconds = (3, 0.3) if quick else (7, 0.6)
    folder = os.path.join(ROOT, "build", "bench")
    groups = {
        "rest": lambda: calls.calls(table, rounds, seconds, ["get", "post"]),
        "grpc": lambda: calls.calls(table, rounds, seconds, ["grpc"]),
        "consume": lambda: calls.kafka_consume(table, rounds),
        "produce": lambda: calls.kafka_produce(table, rounds),
        "shop": lambda: shop_bench.run(table, 1 if quick else 3, quick),
        **{f"shop:{form}": lambda form=form: shop_bench.run(table, 1 if quick else 3, quick, [form]) for form in shop_bench.FORMS},
        "lifecycle": lambda: program(table, "lifecycle_bench"),
        "codec": lambda: program(table, "codec_bench"),
        "sql": lambda: program(table, "sql_bench", folder, "1"),
    }
    for name in wanted:
        if name not in groups:
            raise SystemExit(f"bench: there is no \"{name}\"; there are: {' '.join(groups)}")
    os.makedirs(folder, exist_ok=True)
    open(os.path.join(folder, "log"), "w").close()
    began = time.monotonic()
    with open(os.path.join(folder, "latest.txt"), "w") as file:
        table = Table(file)
        table.print(f"{len(CORES)} cores: servers on {SERVER_CORE}, load and broker on {LOAD_CORE}, the shop on all; "
                    f"{rounds} rounds in random order, median (min-max); load average {os.getloadavg()[0]:.1f} at the start")
        for name in wanted or [name for name in groups if ":" not in name]:
            groups[name]()
        table.print(f"\n{time.monotonic() - began:.0f} s; load average {os.getloadavg()[0]:.1f} at the end")


main()
