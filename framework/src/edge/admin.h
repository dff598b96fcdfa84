/* The admin listener: how the platform around a service looks at it. On a port of its own, up before
 * everything else and down after it, so that it answers while the service starts and stops.
 *
 *     GET /healthz   200 "ok": the process runs (liveness)
 *     GET /ready     200 "ready", or 503 "not ready" while it starts and from the moment it is told to stop
 *     GET /metrics   Prometheus
 */
#ifndef WEIR_EDGE_ADMIN_H
#define WEIR_EDGE_ADMIN_H

#include <weir/app.h>

/* Adds the base component "admin". Its section has the key `listen`; without it nothing listens. */
struct weir_component *admin_add(struct weir_app *app);

/* The port that it listens on, once it is up; 0 when nothing listens or on a unix socket. Any thread. */
int admin_port(const struct weir_component *component);

#endif
