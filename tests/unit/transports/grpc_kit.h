/* The gRPC server and channel, as components of a whole app, over a real loopback connection. */
#ifndef GRPC_KIT_H
#define GRPC_KIT_H

#include <pthread.h>

#include <weir/weir.h>

#include "caller.h"
#include "echo_service.h"
#include "lifecycle/component.h"

/* A channel that is no component, so that it lives through a stop of the app. */
struct outside {
    struct weir_channel channel; /* first */
    struct rpc_client *client;
};

/* One app on a thread of its own. */
struct running {
    struct weir_app *app;
    pthread_t thread;
    int exit_status;
    bool runs;
};

struct fixture {
    struct running running;
    struct echo_service echo;
    struct outside out;
    struct weir_call *call;
    int port;
    char listen[64];
};

int free_port(void);
/* `more`: one more flag, or NULL. */
struct weir_app *new_app(const char *more);
void run_app(struct running *running, struct weir_app *app);
int await_exit(struct running *running);
int stop(struct running *running);
void serve_echo(struct fixture *f, bool inline_, const char *more, const struct weir_grpc_options *options);
void new_call(struct fixture *f, int64_t timeout_ms);
int set_up(void **state);
int tear_down(void **state);
enum weir_status echo(struct fixture *f, const char *text, Echo__EchoReply **ret_reply);
struct weir_bytes packed(struct fixture *f, const ProtobufCMessage *message);
void say(struct weir_client_stream *stream, const char *text, bool later);

#endif
