#!/usr/bin/env python3
"""The shop as units of a real systemd, which runs this, too: see scripts/test-systemd."""

import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "shop"))
from shop import ROOT, SERVICES, Shop, run  # noqa: E402

ORDERS = int(os.environ.get("SHOP_ORDERS", "1500"))
RATE = int(os.environ.get("SHOP_RATE", "100"))
WITHIN = 120
# A short stop, for tests that use all of it.
DEADLINE_S = 6


def systemctl(*words, check=True):
    done = subprocess.run(["systemctl", *words], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if check and done.returncode != 0:
        raise AssertionError(f"systemctl {' '.join(words)}: {done.stdout}")
    return done.stdout.strip()


def unit(service):
    return f"shop@{service}.service"


def show(service, name):
    return systemctl("show", "--value", "--property", name, unit(service))


def journal(*words):
    subprocess.run(["journalctl", "--sync"], check=True)
    return subprocess.run(["journalctl", "--no-pager", "--output=cat", *words], text=True, stdout=subprocess.PIPE,
                          check=True).stdout


def wait_for(what, condition, within=30):
    end = time.monotonic() + within
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {within} s\n" + journal("-n", "40"))
        time.sleep(0.05)  # a poll with a deadline
    return found


class Units(Shop):
    """The installed shop; its processes are systemd's."""

    def __init__(self, shift, brokers=None):
        super().__init__(shift, brokers)
        self.since = f"@{time.time():.6f}"
        self.drop_ins = set()

    def start_all(self):
        steps("Run")

    def rows(self, service, query):
        link = f"{self.dir}/{service}.db"
        if not os.path.lexists(link):
            os.symlink(f"/var/lib/private/shop/{service}/var/{service}.db", link)
        return super().rows(service, query)

    def log(self, name, lines=40):
        if name == "load":
            return super().log(name, lines)
        return journal("-u", unit(name), "-n", str(lines))

    def said(self, service):
        """What systemd and the service said in this test."""
        return journal("-u", unit(service), "--since", self.since)

    def change(self, service, text):
        """A drop-in for this test."""
        folder = f"/run/systemd/system/{unit(service)}.d"
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/zz-test.conf", "w") as file:
            file.write(text)
        self.drop_ins.add(file.name)
        systemctl("daemon-reload")

    def shorten(self, service):
        """A deadline of DEADLINE_S, and what the plan then asks of systemd."""
        plan = subprocess.run([f"shop-{service}", "--config", f"/etc/shop/{service}.yaml", "--plan=systemd",
                               f"--app.deadline_ms={DEADLINE_S}000"], text=True, stdout=subprocess.PIPE, check=True).stdout
        self.change(service, plan + f"Environment=WEIR_APP_DEADLINE_MS={DEADLINE_S}000\n")

    def repeated(self):
        return int(re.findall(r"repeated (\d+)", self.log("load"))[-1])

    def check_units(self, restarts=None):
        for service in SERVICES:
            self.expect(f"{service} is", show(service, "ActiveState"), "active")
            self.expect(f"automatic restarts of {service}", int(show(service, "NRestarts")), (restarts or {}).get(service, 0))

    def close(self):
        for process in self.processes.values():
            process.kill()
            process.wait()
        for file in self.drop_ins:
            os.unlink(file)
        systemctl("kill", "--signal=KILL", *map(unit, SERVICES), check=False)
        systemctl("daemon-reload")
        systemctl("stop", "shop.target", "shop-broker.service", "shop-*.socket", *map(unit, SERVICES))
        systemctl("reset-failed")
        shutil.rmtree("/var/lib/private/shop", ignore_errors=True)
        super().close()


def steps(section):
    """What docs/deploying.md tells to do."""
    script = subprocess.run([f"{ROOT}/tests/deploy/steps", section], text=True, stdout=subprocess.PIPE, check=True).stdout
    done = subprocess.run(["bash", "-eux"], input=script, text=True, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise AssertionError(f"docs/deploying.md, {section}:\n{done.stdout}\n" + journal("-n", "60"))
    return done.stdout


def call_that_waits(shop):
    """An order that is being placed: with inventory frozen it waits for that, and the drain of order for it."""
    os.kill(int(show("inventory", "MainPID")), signal.SIGSTOP)
    connection = socket.create_connection(("127.0.0.1", 8081))
    order = b'{"customer_id": "deploy", "items": [{"sku": "tea-assam", "quantity": 1}]}'
    connection.sendall(b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                       b"Content-Length: %d\r\n\r\n%s" % (len(order), order))
    wait_for("the order is pending", lambda: shop.value("order", "SELECT count(*) FROM orders") == 1)
    return connection


def systemd_has_no_objection_to_a_unit(shop):
    units = [unit(service) for service in SERVICES] + ["shop.target", "shop-broker.service"]
    units += [os.path.basename(path) for path in glob.glob("/usr/local/lib/systemd/system/shop-*.socket")]
    done = subprocess.run(["systemd-analyze", "verify", *units], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    shop.expect("what systemd-analyze verify says", done.stdout, "")
    shop.expect("its status", done.returncode, 0)


def the_page_is_followed_and_each_service_is_ready(shop):
    shop.start_all()
    shop.check_units()
    for service in SERVICES:
        shop.expect(f"state of {service} as systemd has it", show(service, "SubState"), "running")
    steps("Look")
    steps("A new release")
    shop.check_units()


def each_service_is_restarted_while_orders_flow(shop):
    shop.start_all()
    shop.load(RATE, ORDERS)
    for i, service in enumerate(SERVICES):
        shop.wait_placed((i + 1) * ORDERS // 10)
        before = show(service, "MainPID")
        systemctl("restart", unit(service))
        shop.expect(f"{service} is another process", show(service, "MainPID") != before, True)
        shop.expect(f"clean stops of {service}", len(re.findall(r"^stop clean:.*exit 0", shop.said(service), re.M)), 1)
    shop.finish_load(WITHIN)
    shop.expect("orders that had to be sent again", shop.repeated(), 0)
    shop.check_sums()
    shop.check_units()


def each_service_is_reloaded_while_orders_flow(shop):
    for service in SERVICES:
        shop.change(service, "[Service]\nWatchdogSec=6\n")  # it hears the successor, or restarts it
    shop.start_all()
    shop.load(RATE, ORDERS)
    for i, service in enumerate(SERVICES):
        shop.wait_placed((i + 1) * ORDERS // 10)
        before = show(service, "MainPID")
        program = f"/usr/local/bin/shop-{service}"
        shutil.copy(program, f"{program}.new")
        os.rename(f"{program}.new", program)
        systemctl("reload", unit(service))
        shop.expect(f"{service} is another process", show(service, "MainPID") != before, True)
        shop.expect("of what is installed now", os.readlink(f"/proc/{show(service, 'MainPID')}/exe"), program)
        wait_for("the one before is gone", lambda: not os.path.exists(f"/proc/{before}"))
        said = shop.said(service)
        shop.expect(f"stops of {service}", len(re.findall(r"^stop (clean|UNCLEAN):.*cause handover", said, re.M)), 1)
        # What a consumer had not committed when its successor joined comes again.
        unclean = re.findall(r"^(?!rest|admin|stop).* (?:cut|FAILED|ABANDONED) .*", said, re.M)
        shop.expect(f"what was cut in {service} but offsets", [line for line in unclean if "uncommitted" not in line], [])
    shop.finish_load(WITHIN)
    shop.expect("orders that had to be sent again", shop.repeated(), 0)
    shop.check_sums()
    shop.check_units()


def a_reload_that_fails_leaves_the_service_as_it_was(shop):
    shop.start_all()
    before = show("points", "MainPID")
    shop.change("points", "[Service]\nExecReload=\nExecReload=shop-%i --config %E/shop/nobody.yaml --upgrade\n")
    systemctl("reload", unit("points"), check=False)
    shop.expect("state", (show("points", "ActiveState"), show("points", "MainPID")), ("active", before))


def a_stop_while_the_process_before_still_drains_waits_for_its_report(shop):
    shop.start_all()
    connection = call_that_waits(shop)
    before = show("order", "MainPID")
    systemctl("reload", "--no-block", unit("order"))
    wait_for("the successor serves", lambda: show("order", "MainPID") != before)
    systemctl("stop", unit("order"))
    connection.close()
    said = shop.said("order")
    shop.expect("reports", sorted(re.findall(r"^stop (?:clean|UNCLEAN):.*cause (\w+)", said, re.M)), ["SIGTERM", "handover"])
    shop.expect("result", show("order", "Result"), "success")


def all_stop_in_order_and_cleanly(shop):
    shop.start_all()
    shop.load(RATE, ORDERS // 10)
    shop.finish_load(WITHIN)
    said = steps("Stop")
    shop.expect("the page shows the report", "stop clean" in said, True)
    ended = {}
    for service in SERVICES:
        shop.expect(f"state of {service}", show(service, "ActiveState"), "inactive")
        shop.expect(f"result and status of {service}", (show(service, "Result"), show(service, "ExecMainStatus")), ("success", "0"))
        ended[service] = int(show(service, "InactiveEnterTimestampMonotonic"))
    shop.expect("the gateway ended before order", ended["gateway"] < ended["order"], True)
    for callee in ["payment", "inventory", "logistics"]:
        shop.expect(f"order ended before {callee}", ended["order"] < ended[callee], True)


def a_stop_that_uses_all_its_time_is_reported_before_systemd_would_kill(shop):
    shop.shorten("order")
    shop.start_all()
    connection = call_that_waits(shop)
    begin = time.monotonic()
    systemctl("stop", unit("order"))
    took = time.monotonic() - begin
    connection.close()
    said = shop.said("order")
    shop.expect(f"the stop took {took:.1f} s: less than TimeoutStopSec", took < DEADLINE_S + 2, True)
    shop.expect("and all that the drain had", took > 1, True)
    shop.expect("result", (show("order", "Result"), show("order", "ExecMainStatus")), ("exit-code", "75"))
    shop.expect("reports", len(re.findall(r"^stop UNCLEAN:.*exit 75", said, re.M)), 1)
    shop.expect("it was killed", "SIGKILL" in said, False)
    shop.expect("it does not come back", show("order", "ActiveState"), "failed")


def a_process_that_freezes_in_its_stop_is_killed_after_timeout_stop_sec(shop):
    shop.shorten("order")
    shop.start_all()
    pid = int(show("order", "MainPID"))
    connection = call_that_waits(shop)
    begin = time.monotonic()
    systemctl("stop", "--no-block", unit("order"))
    wait_for("the stop begins", lambda: '"message":"stopping"' in shop.said("order"))
    os.kill(pid, signal.SIGSTOP)
    wait_for("the end", lambda: show("order", "ActiveState") == "failed")
    took = time.monotonic() - begin
    connection.close()
    shop.expect(f"the end came after {took:.1f} s: TimeoutStopSec", DEADLINE_S + 2 <= took < DEADLINE_S + 5, True)
    shop.expect("result", show("order", "Result"), "timeout")
    systemctl("start", unit("order"))
    shop.expect("the next start tells of it", "the last run ended without a report" in shop.said("order"), True)


def a_frozen_service_is_restarted_by_the_watchdog_and_loses_no_order(shop):
    for service in ["inventory", "gateway"]:
        shop.change(service, "[Service]\nWatchdogSec=3\n")
    shop.start_all()
    shop.load(RATE, ORDERS // 2)
    for i, service in enumerate(["inventory", "gateway"]):
        shop.wait_placed((i + 1) * ORDERS // 10)
        pid = int(show(service, "MainPID"))
        os.kill(pid, signal.SIGSTOP)
        wait_for(f"{service} is started again",
                 lambda: show(service, "NRestarts") == "1" and show(service, "SubState") == "running")
        shop.expect(f"{service} is another process", int(show(service, "MainPID")) != pid, True)
        shop.expect("systemd's reason", len(re.findall("Watchdog timeout", shop.said(service))), 1)
    shop.finish_load(WITHIN)
    shop.check_sums()
    shop.check_units({"inventory": 1, "gateway": 1})


def a_service_that_is_killed_comes_back_and_one_that_cannot_run_does_not(shop):
    shop.start_all()
    os.kill(int(show("points", "MainPID")), signal.SIGKILL)
    wait_for("points comes back", lambda: show("points", "NRestarts") == "1" and show("points", "SubState") == "running")
    shop.change("points", "[Service]\nEnvironment=WEIR_REST_THREADS=many\n")
    systemctl("restart", unit("points"), check=False)
    shop.expect("state", (show("points", "ActiveState"), show("points", "ExecMainStatus")), ("failed", "78"))
    shop.change("points", "[Service]\nEnvironment=WEIR_APP_DEADLINE_MS=60000\n")
    systemctl("reset-failed")
    systemctl("restart", unit("points"), check=False)
    shop.expect("state with a deadline beyond TimeoutStopSec", (show("points", "ActiveState"), show("points", "ExecMainStatus")),
                ("failed", "78"))
    shop.expect("it says why", "27000" in shop.said("points"), True)


run(
    systemd_has_no_objection_to_a_unit,
    the_page_is_followed_and_each_service_is_ready,
    each_service_is_restarted_while_orders_flow,
    each_service_is_reloaded_while_orders_flow,
    a_reload_that_fails_leaves_the_service_as_it_was,
    a_stop_while_the_process_before_still_drains_waits_for_its_report,
    all_stop_in_order_and_cleanly,
    a_stop_that_uses_all_its_time_is_reported_before_systemd_would_kill,
    a_process_that_freezes_in_its_stop_is_killed_after_timeout_stop_sec,
    a_frozen_service_is_restarted_by_the_watchdog_and_loses_no_order,
    a_service_that_is_killed_comes_back_and_one_that_cannot_run_does_not,
    shop=Units,
)
