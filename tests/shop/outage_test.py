#!/usr/bin/env python3
"""Kafka or a database is away while orders flow: nothing is lost, nothing is doubled, and nobody has to be restarted."""

import os
import resource
import signal
import sqlite3
import time

from shop import ROOT, SERVICES, run

ORDERS = int(os.environ.get("SHOP_ORDERS", "1000"))
RATE = int(os.environ.get("SHOP_RATE", "50"))
WITHIN = 240  # seconds for all orders to be settled and delivered
AWAY = 8  # seconds


def broker_process(shop):
    """The development broker's, or that of ./dev kafka; None: somebody else's."""
    if shop.own_broker:
        return shop.processes["broker"].pid
    folder = os.environ.get("KAFKA_DIR")
    return int(open(os.path.join(ROOT, folder, "pid")).read()) if folder else None


def finish(shop):
    shop.finish_load(WITHIN)
    shop.check_sums()
    for service in SERVICES:
        with open(f"{shop.dir}/{service}.log", errors="replace") as log:
            shop.expect(f"messages that {service} has set aside", sum("set aside" in line for line in log), 0)
    shop.stop_all()
    shop.check_exits()


def orders_are_accepted_while_kafka_is_gone(shop):
    if not shop.own_broker:
        return
    shop.start_all()
    shop.load(RATE, ORDERS)
    shop.wait_placed(ORDERS // 8)
    shop.kill("broker")
    shop.wait_placed(ORDERS // 2)
    shop.start("broker")
    finish(shop)


def orders_are_accepted_while_kafka_is_frozen(shop):
    pid = None
    shop.start_all()
    pid = broker_process(shop)
    if not pid:
        return
    shop.load(RATE, ORDERS)
    shop.wait_placed(ORDERS // 8)
    os.kill(pid, signal.SIGSTOP)
    try:
        shop.wait_placed(ORDERS // 2)
    finally:
        os.kill(pid, signal.SIGCONT)
    finish(shop)


def services_start_and_accept_orders_before_kafka_is_there(shop):
    if not shop.own_broker:
        return
    shop.start(*SERVICES)
    shop.load(RATE, ORDERS // 2)
    shop.wait_placed(ORDERS // 4)
    shop.start("broker")
    finish(shop)


def expect_one_outage(shop, service):
    with open(f"{shop.dir}/{service}.log", errors="replace") as log:
        lines = log.readlines()
    away = sum('"message":"away: ' in line for line in lines)
    back = sum('"message":"back"' in line for line in lines)
    shop.expect(f"outages that {service} told, and their ends", (away, back), (1, 1))


def a_database_that_is_locked_for_long_costs_no_message_and_no_restart(shop):
    shop.start_all()
    shop.load(RATE, ORDERS)
    shop.wait_placed(ORDERS // 8)
    other = sqlite3.connect(f"{shop.dir}/points.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        time.sleep(AWAY)  # the outage, not a wait for something
    finally:
        other.execute("ROLLBACK")
        other.close()
    shop.finish_load(WITHIN)
    shop.check_sums()
    expect_one_outage(shop, "points")
    shop.stop_all()
    shop.check_exits()


def no_room_on_the_disk_costs_no_message_and_no_restart(shop):
    shop.start_all()
    shop.load(RATE, ORDERS)
    shop.wait_placed(ORDERS // 8)
    pid = shop.processes["logistics"].pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    try:
        time.sleep(AWAY)  # the outage, not a wait for something
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    shop.finish_load(WITHIN)
    shop.check_sums()
    shop.stop_all()
    shop.check_exits()


run(
    orders_are_accepted_while_kafka_is_gone,
    orders_are_accepted_while_kafka_is_frozen,
    services_start_and_accept_orders_before_kafka_is_there,
    a_database_that_is_locked_for_long_costs_no_message_and_no_restart,
    no_room_on_the_disk_costs_no_message_and_no_restart,
)
