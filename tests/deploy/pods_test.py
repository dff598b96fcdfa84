#!/usr/bin/env python3
"""Runs each pod of deploy/kubernetes as a container of Docker, as its manifest says: environment, command, user, capabilities, root
file system, memory, volumes; Services are names of a network. No kubelet: what it would do is done here: probes, SIGTERM, grace."""

import json
import os
import subprocess
import sys
import time

import yaml  # python3-yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
IMAGE = os.environ.get("WEIR_IMAGE", "weir-shop")
ORDER = ["broker", "payment", "inventory", "logistics", "order", "points", "recommendation", "gateway"]
NAME = f"weir-pods-{os.getpid()}"
failed = []


def docker(*words, check=True):
    done = subprocess.run(["docker", *words], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"docker {' '.join(words)}: {done.stdout}")
    return done.stdout.strip()


def expect(what, found, expected):
    print(f"  {what}: {found}" + ("" if found == expected else f"  BUT {expected}"))
    if found != expected:
        failed.append(what)


def load():
    objects = {}
    with open(f"{ROOT}/deploy/kubernetes/kustomization.yaml") as file:
        resources = yaml.safe_load(file)["resources"]
    for name in resources:
        with open(f"{ROOT}/deploy/kubernetes/{name}") as file:
            for each in yaml.safe_load_all(file):
                objects[each["kind"], each["metadata"]["name"]] = each
    return objects


def start(objects, name):
    pod = objects["Deployment", name]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    who = f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    command = ["run", "--detach", "--name", f"{NAME}-{name}", "--network", NAME, "--network-alias", name, "--user", who,
               "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
               "--memory", container["resources"]["limits"]["memory"].replace("Mi", "m")]
    for mount in container.get("volumeMounts", []):
        command += ["--tmpfs", f"{mount['mountPath']}:uid={pod['securityContext']['runAsUser']},mode=0700"]
    environment = {}
    for source in container.get("envFrom", []):
        environment.update(objects["ConfigMap", source["configMapRef"]["name"]]["data"])
    environment.update({each["name"]: each["value"] for each in container["env"] if "value" in each})
    for key, value in environment.items():
        command += ["--env", f"{key}={value}"]
    program, *arguments = container["command"]
    address = ""
    if any("valueFrom" in each for each in container["env"]):  # the pod's address: known once it runs
        address = "exec " + " ".join([program, *arguments]).replace("$(POD_IP)", '"$(hostname -i)"')
    docker(*command, IMAGE, *(["sh", "-c", address] if address else [program, *arguments]))


def fetch(name, port, path, *more):
    """The status and the body."""
    address = json.loads(docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", f"{NAME}-{name}"))[NAME]["IPAddress"]
    answer = subprocess.run(["curl", "--silent", "--max-time", "5", "--write-out", "\n%{http_code}", *more, f"http://{address}:{port}{path}"],
                            text=True, stdout=subprocess.PIPE, check=False).stdout
    text, _, status = answer.rpartition("\n")
    return int(status or 0), text


def probe(objects, name, which):
    (container,) = objects["Deployment", name]["spec"]["template"]["spec"]["containers"]
    get = container[which]["httpGet"]
    return fetch(name, get["port"], get["path"])[0]


def wait_for(what, condition, within=60):
    end = time.monotonic() + within
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {within} s")
        time.sleep(0.1)  # a poll with a deadline


def run(objects):
    services = [name for name in ORDER if name != "broker"]
    docker("network", "create", NAME)
    for name in ORDER:
        start(objects, name)
    for name in services:
        wait_for(f"{name} is ready", lambda: probe(objects, name, "startupProbe") == 200)
        expect(f"{name} is alive", probe(objects, name, "livenessProbe"), 200)
    order = json.dumps({"customer_id": "pods", "items": [{"sku": "tea-assam", "quantity": 1}]})
    status, text = fetch("gateway", 8080, "/v1/orders", "--header", "Content-Type: application/json", "--data", order)
    expect("an order through the gateway", (status, "CONFIRMED" in text), (200, True))
    wait_for("its points come over Kafka", lambda: '"orders":"1"' in fetch("gateway", 8080, "/v1/points:count")[1])
    for name in reversed(services):
        grace = objects["Deployment", name]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        begin = time.monotonic()
        stop = subprocess.Popen(["docker", "stop", "--time", str(grace), f"{NAME}-{name}"], stdout=subprocess.DEVNULL)
        wait_for(f"readiness of {name} is off", lambda: probe(objects, name, "readinessProbe") == 503, 5)
        expect(f"{name} is alive while it stops", probe(objects, name, "livenessProbe"), 200)
        stop.wait()
        took = time.monotonic() - begin
        expect(f"{name} served on for 5 s and was gone long before {grace}", 5 <= took < 15, True)
        expect(f"exit of {name}", docker("inspect", "--format", "{{.State.ExitCode}}", f"{NAME}-{name}"), "0")
        expect(f"out of memory in {name}", docker("inspect", "--format", "{{.State.OOMKilled}}", f"{NAME}-{name}"), "false")


def main():
    try:
        run(load())
    except AssertionError as problem:
        print("  FAILED:", problem)
        failed.append(str(problem))
        for name in ORDER:
            print(f"--- {name}\n" + "\n".join(docker("logs", "--tail", "5", f"{NAME}-{name}", check=False).splitlines()))
    finally:
        docker("rm", "--force", *(f"{NAME}-{name}" for name in ORDER), check=False)
        docker("network", "rm", NAME, check=False)
    print(f"{len(failed)} failed")
    sys.exit(1 if failed else 0)


main()
