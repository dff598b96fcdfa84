/* The REST server: methods with a google.api.http annotation, transcoded between JSON and protobuf. Errors
 * are RFC 9457 application/problem+json. Answers /healthz and /ready by itself. */
#ifndef WEIR_REST_H
#define WEIR_REST_H

#include <stdint.h>

#include <weir/component.h>
#include <weir/export.h>
#include <weir/service.h>

#define WEIR_SERVICES_MAX 16

/* Every member is a key of the same name in the configuration's section. Zero is the default. */
struct weir_rest_options {
    const char *listen;      /* Required, here or there: "127.0.0.1:8082", "[::1]:8082", "unix:PATH" */
    int64_t threads;         /* Default 1 */
    int64_t connections_max; /* more are refused with 503. Default 10,000 */
    int64_t head_bytes_max;  /* request line and headers. Default 8,192: more is 431, a longer target 414 */
    int64_t body_bytes_max;  /* Default 1 MiB: more is 413 */
    int64_t head_timeout_ms; /* absolute, from the first byte of a request. Default 10,000 */
    int64_t body_timeout_ms; /* absolute: for a body (then 408), and for taking the answer. Default 30,000 */
    int64_t idle_timeout_ms; /* between requests. Default 60,000 */
    int64_t timeout_ms;      /* a call's deadline, unless the request says less. Default 30,000 */
    int64_t in_flight_max;   /* calls; more are refused with 503. Default 1,024 */
    const void *needs[WEIR_NEEDS_MAX];
};

/* Serves `service`; more may be given by weir_rest_server_serve(). The server needs its services. */
struct weir_rest_server;
WEIR_API struct weir_rest_server *weir_rest_server_add(struct weir_app *app, const char *name,
                                                       struct weir_service *service,
                                                       const struct weir_rest_options *options);
WEIR_API void weir_rest_server_serve(struct weir_rest_server *server, struct weir_service *service);

/* The port that it listens on, once it is up (for listen "127.0.0.1:0"). */
WEIR_API int weir_rest_server_port(const struct weir_rest_server *server);

#endif
