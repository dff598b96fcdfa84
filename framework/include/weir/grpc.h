/* The gRPC server: unary and streaming methods, deadlines, metadata, grpc.health.v1. */
#ifndef WEIR_GRPC_H
#define WEIR_GRPC_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/component.h>
#include <weir/export.h>
#include <weir/service.h>

/* Every member is a key of the same name in the configuration's section. Zero is the default. */
struct weir_grpc_options {
    const char *listen;         /* Required, here or there: "127.0.0.1:9082", "unix:PATH" */
    int64_t threads;            /* completion queues. Default 1 */
    int64_t message_bytes_max;  /* of a request. Default 4 MiB: more is RESOURCE_EXHAUSTED */
    int64_t metadata_bytes_max; /* Default 8,192 */
    int64_t connections_max;    /* more are refused. Default 10,000 */
    int64_t streams_max;        /* concurrent on one connection. Default 1,024 */
    int64_t in_flight_max;      /* calls; more are refused with RESOURCE_EXHAUSTED. Default 4,096 */
    int64_t timeout_ms;         /* a unary call's deadline where the client set none. Default 30,000 */
    bool trust_principal; /* the callers are services of ours: believe the weir-principal that they send.
                           * Default false: nobody is known */
    const void *needs[WEIR_NEEDS_MAX];
};

struct weir_grpc_server;
WEIR_API struct weir_grpc_server *weir_grpc_server_add(struct weir_app *app, const char *name,
                                                       struct weir_service *service,
                                                       const struct weir_grpc_options *options);
WEIR_API void weir_grpc_server_serve(struct weir_grpc_server *server, struct weir_service *service);
WEIR_API int weir_grpc_server_port(const struct weir_grpc_server *server);

#endif
