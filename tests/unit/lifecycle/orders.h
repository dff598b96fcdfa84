/* The example of docs/lifecycle.md: a service with every kind of component. */
#ifndef ORDERS_H
#define ORDERS_H

#include "graph.h"

static const struct plan_options orders_options = {
    .deadline_ms = 25000, .pre_drain_ms = 5000, .report_ms = 200, .destroy_max_ms = 1000};

static const struct graph_line orders[] = {
    {"telemetry", NULL, 100, 1000, .kind = BASE, .has = "sfx"},
    {"admin", "telemetry", 100, .kind = BASE, .has = "sqdx"},
    {"db", NULL, 100, 1000, .has = "sfx"},
    {"producer", NULL, 100, 2000, .has = "sfx"},
    {"inventory", NULL, .has = "sqdx"},
    {"executor", NULL, .has = "sqdx"},
    {"relay", "db, producer", 250, 500, 5000},
    {"rest", "executor, db, relay, inventory", .kind = INGRESS, .has = "sqdx"},
    {"grpc", "executor, db, relay, inventory", .kind = INGRESS, .has = "sqdx"},
    {"consumer", "db, relay, inventory, producer", 250, 2000, .kind = INGRESS},
    {"saga", "db, relay, inventory", .has = "sqdx"},
    {"registry", "rest, grpc", .drain_max = 2000, .kind = ANNOUNCER, .has = "sqdx"},
    {0},
};

#endif
