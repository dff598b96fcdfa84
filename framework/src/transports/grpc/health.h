/* grpc.health.v1: whether this server, and each of its services, serves. It does while the app is ready, so
 * it says NOT_SERVING from the announcement of a stop on. Works below the gate: asking is no work that a stop
 * waits for. */
#ifndef WEIR_TRANSPORTS_GRPC_HEALTH_H
#define WEIR_TRANSPORTS_GRPC_HEALTH_H

#include <weir/app.h>

#include "engines/rpc.h"

struct health;

/* Borrows the names. */
struct health *health_new(struct weir_app *app, const char *const *services, size_t count);
enum weir_status health_start(struct health *health, struct weir_error *err);
/* Tells who watches that this server does not serve, and ends their streams. Later ones end at once. */
void health_stop(struct health *health);
void health_destroy(struct health *health); /* no rpc of its is left; NULL is fine */

#define HEALTH_CHECK "/grpc.health.v1.Health/Check"
#define HEALTH_WATCH "/grpc.health.v1.Health/Watch"

/* As struct rpc_user_ops has them, for rpcs of these two methods. */
void health_begin(struct health *health, struct rpc *rpc);
void health_over(struct health *health, struct rpc *rpc);
void health_gone(struct health *health, struct rpc *rpc);

#endif
