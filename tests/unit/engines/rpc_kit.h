/* The gRPC engine by itself: server and client of engines/rpc.h over a real loopback connection, without the
 * call layer. What the server does is in the request's text. */
#ifndef RPC_KIT_H
#define RPC_KIT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "caller.h"
#include "engines/rpc.h"

#define MESSAGE_MAX 65536

struct fixture {
    struct rpc_server *server;
    struct rpc_client *client;
    char target[64];
    atomic_int begun, gone, over, draining, taken;
    atomic_int dropped; /* of those that are gone: not all of it was sent */
    atomic_int over_status;
};

/* The caller's tables: only names and kinds matter here. */
extern const struct weir_method unary, collect, count, chat, unknown;

/* At once, or when it has come. */
void await_count(atomic_int *counter, int wanted);
void await_count_at_least(atomic_int *counter, int wanted);

struct rpc_server *new_server(struct fixture *fixture, const char *listen);
struct rpc_server *new_server_with(struct fixture *fixture, const char *listen, int64_t connections_max);
int set_up(void **state);
int tear_down(void **state);

#endif
