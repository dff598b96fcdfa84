/* The gRPC core by itself, driven as sparely as it lets itself be: one queue, one thread, two events a call;
 * the request's bytes are the reply's. Prints "ready PORT". */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#define ASKED 16

void grpc_core_quiet_mutex(void);

/* One at a time is what its tag says: arrived, then finished. */
struct rpc {
    grpc_call *call;
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    grpc_byte_buffer *payload;
    int cancelled;
    bool arrived;
};

static grpc_server *server;
static grpc_completion_queue *queue;
static void *method;

static void ask(struct rpc *rpc)
{
    rpc->arrived = false;
    rpc->metadata.count = 0;
    grpc_server_request_registered_call(server, method, &rpc->call, &rpc->deadline, &rpc->metadata,
                                        &rpc->payload, queue, queue, rpc);
}

static void answer(struct rpc *rpc)
{
    grpc_op ops[4];
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[2].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
    ops[2].data.recv_close_on_server.cancelled = &rpc->cancelled;
    ops[3].op = GRPC_OP_SEND_MESSAGE;
    ops[3].data.send_message.send_message = rpc->payload;
    rpc->arrived = true;
    size_t count = rpc->payload ? 4 : 3; /* none: the client has gone meanwhile */
    if (grpc_call_start_batch(rpc->call, ops, count, rpc, NULL) != GRPC_CALL_OK)
        abort();
}

static void add(grpc_channel_args *args, grpc_arg *list, const char *key, int value)
{
    list[args->num_args].type = GRPC_ARG_INTEGER;
    list[args->num_args].key = (char *)(uintptr_t)key;
    list[args->num_args++].value.integer = value;
}

int main(void)
{
    grpc_arg list[8];
    grpc_channel_args args = {.args = list};
    grpc_core_quiet_mutex();
    grpc_init();
    add(&args, list, GRPC_ARG_MINIMAL_STACK, 1);
    add(&args, list, GRPC_ARG_ENABLE_CHANNELZ, 0);
    add(&args, list, GRPC_ARG_HTTP2_BDP_PROBE, 0);
    server = grpc_server_create(&args, NULL);
    queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(server, queue, NULL);
    method = grpc_server_register_method(server, "/weir.bench.v1.NoteService/Take", NULL,
                                         GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
    grpc_server_credentials *insecure = grpc_insecure_server_credentials_create();
    int port = grpc_server_add_http2_port(server, "127.0.0.1:0", insecure);
    grpc_server_start(server);
    struct rpc *rpcs = calloc(128, sizeof *rpcs);
    struct rpc *unused[128];
    int unused_count = 0;
    for (int i = 0; i < 128; i++) {
        grpc_metadata_array_init(&rpcs[i].metadata);
        unused[unused_count++] = &rpcs[i];
    }
    for (int i = 0; i < ASKED; i++)
        ask(unused[--unused_count]);
    printf("ready %d\n", port);
    fflush(stdout);
    for (;;) {
        grpc_event event = grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        struct rpc *rpc = event.tag;
        if (event.type != GRPC_OP_COMPLETE || (!rpc->arrived && !event.success))
            return 1;
        if (rpc->arrived) {
            grpc_byte_buffer_destroy(rpc->payload);
            grpc_call_unref(rpc->call);
            unused[unused_count++] = rpc;
        } else {
            if (unused_count > 0)
                ask(unused[--unused_count]);
            answer(rpc);
        }
    }
}
