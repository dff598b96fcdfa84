/* A call over gRPC, as bytes. */
#include <pthread.h>
#include <stdio.h>
#include <sysexits.h>

#include <weir/clock.h>

#include "call.h"
#include "engines/rpc.h"
#include "tool.h"

struct grpc_call {
    struct outgoing outgoing; /* first */
    struct call *call;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool sent, done;
    enum weir_status status;
    char text[1024];
};

/* Runs on: the client's thread, as the two below. */
static void on_done(struct outgoing *outgoing, enum weir_status status, const char *text,
                    struct weir_bytes reply)
{
    struct grpc_call *grpc = (struct grpc_call *)outgoing;
    uint8_t kind = grpc->call->method->kind;
    if (status == WEIR_OK && (kind == WEIR_UNARY || kind == WEIR_CLIENT_STREAM))
        call_print(grpc->call, reply);
    pthread_mutex_lock(&grpc->lock);
    grpc->done = true;
    grpc->status = status;
    snprintf(grpc->text, sizeof grpc->text, "%s", text);
    pthread_cond_signal(&grpc->changed);
    pthread_mutex_unlock(&grpc->lock);
}

static void on_message(struct outgoing *outgoing, struct weir_bytes message)
{
    struct grpc_call *grpc = (struct grpc_call *)outgoing;
    call_print(grpc->call, message);
    rpc_client_read(outgoing);
}

static void on_sent(struct outgoing *outgoing)
{
    struct grpc_call *grpc = (struct grpc_call *)outgoing;
    pthread_mutex_lock(&grpc->lock);
    grpc->sent = true;
    pthread_cond_signal(&grpc->changed);
    pthread_mutex_unlock(&grpc->lock);
}

/* True while the call goes on. */
static bool wait_for(struct grpc_call *grpc, const bool *what)
{
    pthread_mutex_lock(&grpc->lock);
    while (!*what && !grpc->done)
        pthread_cond_wait(&grpc->changed, &grpc->lock);
    bool done = grpc->done;
    pthread_mutex_unlock(&grpc->lock);
    return !done;
}

static void send_all(struct grpc_call *grpc)
{
    bool open = true;
    while (open && grpc->call->next(grpc->call)) {
        grpc->sent = false;
        rpc_client_send(&grpc->outgoing, weir_buffer_bytes(&grpc->call->request));
        open = wait_for(grpc, &grpc->sent);
    }
    if (grpc->call->exit_status != 0)
        context_end(&grpc->outgoing.context, WEIR_CANCELLED); /* bad JSON */
    else if (open)
        rpc_client_half_close(&grpc->outgoing);
}

static void carry_out(struct rpc_client *client, struct grpc_call *grpc)
{
    uint8_t kind = grpc->call->method->kind;
    grpc->outgoing.request = weir_buffer_bytes(&grpc->call->request);
    rpc_client_call(client, &grpc->outgoing);
    if (kind == WEIR_SERVER_STREAM || kind == WEIR_BIDI_STREAM)
        rpc_client_read(&grpc->outgoing);
    if (kind == WEIR_CLIENT_STREAM || kind == WEIR_BIDI_STREAM)
        send_all(grpc);
    wait_for(grpc, &grpc->done);
}

int call_grpc(struct call *call)
{
    struct weir_error err = {0};
    struct rpc_client *client = rpc_client_new(&(struct rpc_client_options){.target = call->target});
    if (rpc_client_start(client, &err) != WEIR_OK) {
        rpc_client_destroy(client);
        return tool_fail(EX_OSERR, "%s", err.text);
    }
    struct grpc_call grpc = {
        .outgoing = {.method = call->method, .done = on_done, .message = on_message, .sent = on_sent},
        .call = call,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .changed = PTHREAD_COND_INITIALIZER,
    };
    context_init(&grpc.outgoing.context, NULL, call->deadline_ns);
    carry_out(client, &grpc);
    rpc_client_destroy(client);
    context_clean_up(&grpc.outgoing.context);
    if (call->exit_status != 0)
        return call->exit_status;
    return grpc.status == WEIR_OK ? 0 : call_failed(grpc.status, grpc.text);
}
