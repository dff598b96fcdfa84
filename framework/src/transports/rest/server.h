/* The REST server from the inside: server.c is its life, request.c what becomes of one request. */
#ifndef WEIR_REST_SERVER_H
#define WEIR_REST_SERVER_H

#include <stdatomic.h>

#include <weir/rest.h>

#include "call/call.h"
#include "engines/exchange.h"
#include "transports/rest/router.h"

struct weir_rest_server {
    struct weir_component component; /* first: a handle */
    struct weir_app *app;
    struct weir_rest_options options;
    struct router *router;
    struct gate *gate;
    struct http_engine *engine;
    _Atomic int64_t timeout_ms; /* that a call gets; SIGHUP may change it */
    atomic_bool was_ready;      /* so that "not ready" means: the stop has begun */
    atomic_bool cutting;        /* the drain's time is over */
    /* Calls that finished well and whose answer is on its way: those that finished before the drain, and since. */
    _Atomic int64_t unsent[2];
};

/* The exchanges' side, for http_engine_new(); its server is a struct weir_rest_server. */
extern const struct http_user_ops rest_user_ops;

#endif
