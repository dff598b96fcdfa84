#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/memory.h"
#include "grpc_kit.h"
#include "wait.h"

static void outside_start(struct weir_channel *channel, struct outgoing *outgoing)
{
    rpc_client_call(((struct outside *)channel)->client, outgoing);
}

static const struct channel_ops outside_ops = {"grpc", outside_start, rpc_client_send, rpc_client_half_close,
                                               rpc_client_read};

/* ---- An app that runs ---- */

int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

struct weir_app *new_app(const char *more)
{
    /* What is left behind a drain that is cut at its limit: a busy machine needs more than the default. */
    char *argv[] = {(char *)"grpc-test",         (char *)"--app.report=none",
                    (char *)"--log.level=error", (char *)"--app.report_ms=2500",
                    (char *)(uintptr_t)more,     NULL};
    return weir_app_new("grpc-test", more ? 5 : 4, argv);
}

static void *run(void *arg)
{
    struct running *running = arg;
    running->exit_status = weir_app_run(running->app);
    return NULL;
}

void run_app(struct running *running, struct weir_app *app)
{
    running->app = app;
    running->runs = true;
    assert_int_equal(pthread_create(&running->thread, NULL, run, running), 0);
    kit_wait(kit_app_is_ready, app);
}

int await_exit(struct running *running)
{
    pthread_join(running->thread, NULL);
    running->runs = false;
    return running->exit_status;
}

int stop(struct running *running)
{
    weir_app_stop(running->app, "the test's end");
    return await_exit(running);
}

void serve_echo(struct fixture *f, bool inline_, const char *more, const struct weir_grpc_options *options)
{
    struct weir_grpc_options filled = options ? *options : (struct weir_grpc_options){0};
    filled.listen = f->listen;
    struct weir_app *app = new_app(more);
    struct weir_service *service = echo_service_start_with(app, &f->echo, inline_);
    weir_grpc_server_add(app, "grpc", service, &filled);
    run_app(&f->running, app);
}

/* ---- Fixture ---- */

void new_call(struct fixture *f, int64_t timeout_ms)
{
    weir_call_background_end(f->call);
    f->call = weir_call_background(&f->out.channel, NULL, timeout_ms);
}

int set_up(void **state)
{
    struct fixture *f = NEW(struct fixture);
    f->port = free_port();
    snprintf(f->listen, sizeof f->listen, "127.0.0.1:%d", f->port);
    f->out.client = caller_new_client(f->port);
    f->out.channel.ops = &outside_ops;
    f->out.channel.timeout_ms = CALLER_PATIENCE_MS;
    new_call(f, CALLER_PATIENCE_MS);
    *state = f;
    return 0;
}

int tear_down(void **state)
{
    struct fixture *f = *state;
    weir_call_background_end(f->call);
    rpc_client_destroy(f->out.client);
    if (f->running.runs)
        assert_int_equal(stop(&f->running), 0);
    echo_service_clean_up(&f->echo);
    free(f);
    return 0;
}

enum weir_status echo(struct fixture *f, const char *text, Echo__EchoReply **ret_reply)
{
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    request.text = (char *)(uintptr_t)text;
    return echo_echo(f->call, &f->out.channel, &request, ret_reply);
}

struct weir_bytes packed(struct fixture *f, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = weir_call_alloc(f->call, size + 1);
    protobuf_c_message_pack(message, bytes);
    return weir_bytes(bytes, size);
}

void say(struct weir_client_stream *stream, const char *text, bool later)
{
    Echo__ChatRequest message = ECHO__CHAT_REQUEST__INIT;
    message.text = (char *)(uintptr_t)text;
    message.later = later;
    assert_int_equal(echo_chat_write(stream, &message), WEIR_OK);
}
