#!/usr/bin/env python3
"""Orders are neither lost nor doubled, whatever is stopped, killed or away while they flow."""

import os

from shop import SERVICES, run

ORDERS = int(os.environ.get("SHOP_ORDERS", "2000"))
RATE = int(os.environ.get("SHOP_RATE", "100"))
WITHIN = 240  # seconds for all orders to be settled and delivered


def each_service_is_restarted_while_orders_flow(shop):
    shop.start_all()
    shop.load(RATE, ORDERS)
    for i, service in enumerate(SERVICES):
        shop.wait_placed((i + 1) * ORDERS // 10)
        shop.stop(service)
        shop.start(service)
    shop.finish_load(WITHIN)
    shop.check_sums()
    shop.stop_all()
    shop.check_exits()


def each_service_is_killed_while_orders_flow(shop):
    shop.start_all()
    shop.load(RATE, ORDERS)
    for i, service in enumerate(["order", "logistics", "inventory", "points", "payment", "recommendation", "gateway", "order"]):
        shop.wait_placed((i + 1) * ORDERS // 10)
        shop.kill(service)
        shop.start(service)
    shop.finish_load(WITHIN)
    shop.check_sums()
    shop.stop_all()


def events_wait_for_a_consumer_that_is_down(shop):
    shop.start_all()
    shop.load(RATE, ORDERS // 4)
    shop.wait_placed(ORDERS // 16)
    shop.stop("points")
    shop.wait_value("logistics", "SELECT count(*) FROM shipments", ORDERS // 4)
    shop.start("points")
    shop.finish_load(WITHIN)
    shop.check_sums()
    shop.stop_all()
    shop.check_exits()


def the_development_broker_forgets_but_the_shop_does_not(shop):
    if not shop.own_broker:
        return
    shop.start_all()
    shop.load(RATE, ORDERS // 2)
    shop.wait_placed(ORDERS // 8)
    shop.kill("logistics")
    shop.wait_placed(ORDERS // 4)
    shop.kill("broker")
    shop.start("broker")
    shop.start("logistics")
    shop.finish_load(WITHIN)
    shop.check_sums()
    shop.stop_all()


run(
    each_service_is_restarted_while_orders_flow,
    each_service_is_killed_while_orders_flow,
    events_wait_for_a_consumer_that_is_down,
    the_development_broker_forgets_but_the_shop_does_not,
)
