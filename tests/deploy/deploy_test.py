#!/usr/bin/env python3
"""What deploy/ says of the shop is what the services themselves say: every time, every port, every name."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SHOP_BUILD", os.path.join(ROOT, "build", "dev"))
SERVICES = ["payment", "inventory", "logistics", "order", "points", "recommendation", "gateway"]
INGRESS = ["rest", "grpc"]
EXPOSURE_MAX = 1.3  # of 10; systemd-analyze security


def say(service, *flags, environment=None):
    """What SERVICE prints with FLAGS, configured as it is deployed."""
    command = [f"{BUILD}/services/shop-{service}", "--config", f"{ROOT}/services/{service}/{service}.yaml", *flags]
    done = subprocess.run(command, env={**os.environ, **(environment or {})}, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def read(path):
    with open(path) as file:
        return file.read()


def expect(wrong, what, found, expected):
    if found != expected:
        wrong.append(f"{what}: {found!r}, but must be {expected!r}")


# ---- Units; each returns what is wrong ----


def times_of_units(deploy):
    wrong = []
    for service in SERVICES:
        path = f"systemd/shop@{service}.service.d/plan.conf"
        expect(wrong, path, read(f"{deploy}/{path}"), say(service, "--plan=systemd"))
    return wrong


def sockets_of_units(deploy):
    """One for each listener of REST and gRPC, named as the component, at its address."""
    wrong, wanted = [], {}
    for service in SERVICES:
        config = yaml.safe_load(say(service, "--print-config"))
        for name in INGRESS:
            if name in config:
                wanted[f"shop-{service}-{name}.socket"] = [config[name]["listen"], name, f"shop@{service}.service"]
        sockets = sorted(socket for socket in wanted if socket.startswith(f"shop-{service}-"))
        named = re.findall(r"^Sockets=(.*)$", read(f"{deploy}/systemd/shop@{service}.service.d/shop.conf"), re.M)
        expect(wrong, f"Sockets= of {service}", sorted(" ".join(named).split()), sockets)
    found = {}
    for file in os.listdir(f"{deploy}/systemd"):
        if file.endswith(".socket"):
            words = dict(re.findall(r"^(ListenStream|FileDescriptorName|Service)=(.*)$", read(f"{deploy}/systemd/{file}"), re.M))
            found[file] = [words[key] for key in ("ListenStream", "FileDescriptorName", "Service")]
    expect(wrong, "the sockets", found, wanted)
    return wrong


def order_of_units(deploy):
    """After= names the broker and those that the service calls: it stops before them."""
    wrong = []
    for service in SERVICES:
        config = yaml.safe_load(say(service, "--print-config"))
        calls = [f"shop@{name}.service" for name, section in config.items() if isinstance(section, dict) and "target" in section]
        after = re.findall(r"^After=(.*)$", read(f"{deploy}/systemd/shop@{service}.service.d/shop.conf"), re.M)
        expect(wrong, f"After= of {service}", sorted(" ".join(after).split()), sorted(calls + ["shop-broker.service"]))
    return wrong


def objections_of_systemd(deploy):
    """systemd-analyze verify, with the programs of the build: any output is an objection."""
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(f"{deploy}/systemd", f"{folder}/units")
        for file, programs in [("shop@.service", f"{BUILD}/services/shop-%i"),
                               ("shop-broker.service", f"{BUILD}/framework/tools/devbroker/weir-devbroker")]:
            text = re.sub(r"^(Exec\w+=)(shop-%i|weir-devbroker)", lambda match: match[1] + programs, read(f"{folder}/units/{file}"), flags=re.M)
            with open(f"{folder}/units/{file}", "w") as unit:
                unit.write(text)
        names = [f"shop@{service}.service" for service in SERVICES]
        names += [file for file in os.listdir(f"{folder}/units") if "@" not in file]
        environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}/units:", "SYSTEMD_LOG_LEVEL": "notice"}
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", *sorted(names)], env=environment, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        expect(wrong, "systemd-analyze verify", (done.returncode, done.stdout), (0, ""))
        for name in ["shop@order.service", "shop-broker.service"]:
            done = subprocess.run(["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX * 10:.0f}", "--no-pager", name],
                                  env=environment, text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            level = re.search(r"Overall exposure level for .*: ([\d.]+)", done.stdout)
            if done.returncode != 0 or not level:
                wrong.append(f"exposure of {name} is {level and level[1]}, above {EXPOSURE_MAX}:\n{done.stdout}")
    return wrong


# ---- Manifests ----


class Manifests:
    def __init__(self, deploy):
        folder = f"{deploy}/kubernetes"
        self.objects, self.wrong = {}, []
        for file in yaml.safe_load(read(f"{folder}/kustomization.yaml"))["resources"]:
            for each in yaml.safe_load_all(read(f"{folder}/{file}")):
                self.objects[each["kind"], each["metadata"]["name"]] = each

    def get(self, kind, name):
        return self.objects[kind, name]

    def pod(self, service):
        return self.get("Deployment", service)["spec"]["template"]["spec"]

    def environment(self, service):
        container = self.pod(service)["containers"][0]
        result = {}
        for source in container["envFrom"]:
            result.update(self.get("ConfigMap", source["configMapRef"]["name"])["data"])
        result.update({each["name"]: each["value"] for each in container["env"]})
        return result


def times_of_pods(deploy):
    """Grace, preStop and probes are those of the plan, and there are no others."""
    wrong, manifests = [], Manifests(deploy)
    for service in SERVICES:
        environment = manifests.environment(service)
        plan = yaml.safe_load(say(service, "--plan=kubernetes", environment=environment))["spec"]
        pod, (planned,) = manifests.pod(service), plan["containers"]
        (container,) = pod["containers"]
        expect(wrong, f"grace of {service}", pod.get("terminationGracePeriodSeconds"), plan["terminationGracePeriodSeconds"])
        for each in planned["env"]:
            expect(wrong, f"{each['name']} of {service}", environment.get(each["name"]), each["value"])
        for key in ["name", "lifecycle", "startupProbe", "readinessProbe", "livenessProbe"]:
            expect(wrong, f"{key} of {service}", container.get(key), planned.get(key))
        patience = manifests.get("Deployment", service)["spec"].get("progressDeadlineSeconds", 600)
        if patience <= planned["startupProbe"]["failureThreshold"]:
            wrong.append(f"progressDeadlineSeconds of {service}: {patience} is less than a start may take")
    return wrong


def ports_of_pods(deploy):
    """Listeners, ports of containers and of Services agree, and whom a service calls is there. It starts with what it is given."""
    wrong, manifests = [], Manifests(deploy)
    for service in SERVICES:
        environment = manifests.environment(service)
        expect(wrong, f"what {service} says to its configuration", say(service, "--check-config", environment=environment),
               "configuration is good\n")
        config = yaml.safe_load(say(service, "--print-config", environment=environment))
        listens = {name: int(config[name]["listen"].rpartition(":")[2]) for name in [*INGRESS, "admin"] if name in config}
        container = manifests.pod(service)["containers"][0]
        expect(wrong, f"ports of the container of {service}", {port["name"]: port["containerPort"] for port in container["ports"]}, listens)
        ports = manifests.get("Service", service)["spec"]["ports"]
        expect(wrong, f"ports of the Service {service}", {port["targetPort"]: port["port"] for port in ports},
               {name: number for name, number in listens.items() if name != "admin"})
        expect(wrong, f"command of {service}", container["command"], [f"shop-{service}", "--config", f"/etc/shop/{service}.yaml"])
        for section in config.values():
            for address in [section[key] for key in ("target", "brokers") if isinstance(section, dict) and key in section]:
                host, _, port = address.rpartition(":")
                there = [each["port"] for each in manifests.objects.get(("Service", host), {"spec": {"ports": []}})["spec"]["ports"]]
                if int(port) not in there:
                    wrong.append(f"{service} calls {address}, which no Service has")
        labels = manifests.get("Deployment", service)["spec"]["template"]["metadata"]["labels"]
        for what in [manifests.get("Service", service)["spec"]["selector"],
                     manifests.get("Deployment", service)["spec"]["selector"]["matchLabels"]]:
            expect(wrong, f"a selector of {service}", {key: labels.get(key) for key in what}, what)
    return wrong


def grace_of_compose(deploy):
    wrong = []
    compose = yaml.safe_load(read(f"{deploy}/../docker-compose.yml"))
    for service in SERVICES:
        grace = int(compose["services"][service]["stop_grace_period"].rstrip("s"))
        needed = int(re.search(r"^TimeoutStopSec=(\d+)", say(service, "--plan=systemd"), re.M)[1])
        if grace < needed:
            wrong.append(f"stop_grace_period of {service} in docker-compose.yml: {grace} s, but its stop may take {needed}")
    return wrong


# ---- The checks find what is broken ----

BREAKS = [
    (times_of_units, "systemd/shop@order.service.d/plan.conf", "TimeoutStopSec=27", "TimeoutStopSec=25"),
    (times_of_units, "systemd/shop@points.service.d/plan.conf", "GRACE_MS=27000", "GRACE_MS=28000"),
    (times_of_units, "systemd/shop@gateway.service.d/plan.conf", "WatchdogSec=", "WatchdogSec=1"),
    (sockets_of_units, "systemd/shop-order-grpc.socket", "9081", "9082"),
    (sockets_of_units, "systemd/shop-order-grpc.socket", "Name=grpc", "Name=rest"),
    (order_of_units, "systemd/shop@gateway.service.d/shop.conf", " shop@order.service", ""),
    (objections_of_systemd, "systemd/shop@.service", "Restart=on-failure", "Restart=on-failures"),
    (objections_of_systemd, "systemd/shop@.service", "CapabilityBoundingSet=\n", ""),
    (times_of_pods, "kubernetes/order.yaml", "terminationGracePeriodSeconds: 27", "terminationGracePeriodSeconds: 26"),
    (times_of_pods, "kubernetes/points.yaml", "failureThreshold: 1\n", "failureThreshold: 3\n"),
    (times_of_pods, "kubernetes/gateway.yaml", "periodSeconds: 10", "periodSeconds: 5"),
    (times_of_pods, "kubernetes/shop.yaml", 'PRE_DRAIN_MS: "5000"', 'PRE_DRAIN_MS: "4000"'),
    (ports_of_pods, "kubernetes/payment.yaml", "containerPort: 9083", "containerPort: 9082"),
    (ports_of_pods, "kubernetes/payment.yaml", "port: 9083", "port: 9082"),
    (ports_of_pods, "kubernetes/gateway.yaml", '"order:9081"', '"order:9091"'),
]

CHECKS = [times_of_units, sockets_of_units, order_of_units, objections_of_systemd, times_of_pods, ports_of_pods, grace_of_compose]


def found(check, file, old, new):
    """Whether CHECK finds OLD replaced by NEW."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(f"{ROOT}/deploy", f"{folder}/deploy")
        shutil.copy(f"{ROOT}/docker-compose.yml", folder)
        path = f"{folder}/deploy/{file}"
        text = read(path)
        assert old in text, f"{file} has no {old!r} to break"
        with open(path, "w") as broken:
            broken.write(text.replace(old, new, 1))
        return bool(check(f"{folder}/deploy"))


def main():
    failed = 0
    for check in CHECKS:
        wrong = check(f"{ROOT}/deploy")
        print(f"{check.__name__}: {'FAILED' if wrong else 'passed'}")
        for each in wrong:
            print("  " + each)
        failed += bool(wrong)
    for each in BREAKS:
        if not found(*each):
            print(f"NOT FOUND by {each[0].__name__}: {each[1]}: {each[3]!r} for {each[2]!r}")
            failed += 1
    print(f"{len(CHECKS)} checks, {len(BREAKS)} breaks; {failed} failed")
    sys.exit(1 if failed else 0)


main()
