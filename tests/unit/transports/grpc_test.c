/* The gRPC server and channel, as components of a whole app, over a real loopback connection. */
#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/weir.h>

#include "caller.h"
#include "core/memory.h"
#include "echo_service.h"
#include "lifecycle/component.h"
#include "wait.h"

/* A channel that is no component, so that it lives through a stop of the app. */
struct outside {
    struct weir_channel channel; /* first */
    struct rpc_client *client;
};

static void outside_start(struct weir_channel *channel, struct outgoing *outgoing)
{
    rpc_client_call(((struct outside *)channel)->client, outgoing);
}

static const struct channel_ops outside_ops = {"grpc", outside_start, rpc_client_send, rpc_client_half_close,
                                               rpc_client_read};

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

/* ---- An app that runs ---- */

static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static struct weir_app *new_app(const char *more)
{
    char *argv[] = {(char *)"grpc-test", (char *)"--app.report=none", (char *)"--log.level=error",
                    (char *)(uintptr_t)more, NULL};
    return weir_app_new("grpc-test", more ? 4 : 3, argv);
}

static void *run(void *arg)
{
    struct running *running = arg;
    running->exit_status = weir_app_run(running->app);
    return NULL;
}

static void run_app(struct running *running, struct weir_app *app)
{
    running->app = app;
    running->runs = true;
    assert_int_equal(pthread_create(&running->thread, NULL, run, running), 0);
    kit_wait(kit_app_is_ready, app);
}

static bool is_not_ready(void *app)
{
    return !kit_app_is_ready(app);
}

static int await_exit(struct running *running)
{
    pthread_join(running->thread, NULL);
    running->runs = false;
    return running->exit_status;
}

static int stop(struct running *running)
{
    weir_app_stop(running->app, "the test's end");
    return await_exit(running);
}

static void serve_echo(struct fixture *f, bool inline_, const char *more,
                       const struct weir_grpc_options *options)
{
    struct weir_grpc_options filled = options ? *options : (struct weir_grpc_options){0};
    filled.listen = f->listen;
    struct weir_app *app = new_app(more);
    struct weir_service *service = echo_service_start_with(app, &f->echo, inline_);
    weir_grpc_server_add(app, "grpc", service, &filled);
    run_app(&f->running, app);
}

/* ---- Fixture ---- */

static void new_call(struct fixture *f, int64_t timeout_ms)
{
    weir_call_background_end(f->call);
    f->call = weir_call_background(&f->out.channel, NULL, timeout_ms);
}

static int set_up(void **state)
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

static int tear_down(void **state)
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

static enum weir_status echo(struct fixture *f, const char *text, Echo__EchoReply **ret_reply)
{
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    request.text = (char *)(uintptr_t)text;
    return echo_echo(f->call, &f->out.channel, &request, ret_reply);
}

static struct weir_bytes packed(struct fixture *f, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = weir_call_alloc(f->call, size + 1);
    protobuf_c_message_pack(message, bytes);
    return weir_bytes(bytes, size);
}

/* ---- Unary ---- */

static void a_handler_on_the_executor_answers(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    Echo__EchoReply *reply;
    assert_int_equal(echo(f, "tea", &reply), WEIR_OK);
    assert_string_equal(reply->request->text, "tea");
    assert_string_equal(reply->transport, "grpc");
}

static void an_inline_handler_answers(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, true, NULL, NULL);
    Echo__EchoReply *reply;
    assert_int_equal(echo(f, "tea", &reply), WEIR_OK);
    assert_string_equal(reply->request->text, "tea");
}

static void a_handlers_words_reach_the_client(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    Echo__FailRequest request = ECHO__FAIL_REQUEST__INIT;
    Echo__FailReply *reply;
    request.status = WEIR_FAILED_PRECONDITION;
    request.text = (char *)"caf\xc3\xa9: 3 wanted, 2 left";
    assert_int_equal(echo_fail(f->call, &f->out.channel, &request, &reply), WEIR_FAILED_PRECONDITION);
    assert_string_equal(weir_call_error(f->call)->text, "caf\xc3\xa9: 3 wanted, 2 left");
}

static void words_about_defects_stay_inside(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, "--log.level=error", NULL);
    Echo__FailRequest request = ECHO__FAIL_REQUEST__INIT;
    Echo__FailReply *reply;
    request.status = WEIR_INTERNAL;
    request.text = (char *)"the password is swordfish";
    assert_int_equal(echo_fail(f->call, &f->out.channel, &request, &reply), WEIR_INTERNAL);
    assert_string_equal(weir_call_error(f->call)->text, "internal error");
}

static void what_has_no_handler_is_unimplemented(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    Echo__FailRequest request = ECHO__FAIL_REQUEST__INIT;
    Echo__FailReply *reply;
    assert_int_equal(echo_missing(f->call, &f->out.channel, &request, &reply), WEIR_UNIMPLEMENTED);
    struct weir_method nowhere = echo_methods[0];
    nowhere.full_name = "weir.test.v1.EchoService/Nowhere";
    struct caller caller;
    assert_int_equal(caller_call(&caller, f->out.client, &nowhere, weir_bytes("", 0)), WEIR_UNIMPLEMENTED);
}

static void bytes_that_are_no_message_are_an_invalid_argument(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    struct caller caller;
    assert_int_equal(caller_call(&caller, f->out.client, &echo_methods[0], weir_bytes("\x0a\x05tea", 5)),
                     WEIR_INVALID_ARGUMENT);
}

static void a_passed_deadline_wakes_the_handler(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    new_call(f, 100);
    Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
    Echo__WaitReply *reply;
    request.block_ms = 60000;
    assert_int_equal(echo_wait(f->call, &f->out.channel, &request, &reply), WEIR_DEADLINE_EXCEEDED);
    assert_true(echo_service_wait(&f->echo, &f->echo.waited, 1));
}

static void a_cancelled_call_wakes_the_handler(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
    request.block_ms = 60000;
    struct caller caller;
    caller_start(&caller, f->out.client, &echo_methods[2], packed(f, &request.base), CALLER_PATIENCE_MS);
    assert_true(echo_service_wait(&f->echo, &f->echo.waiting, 1));
    context_end(&caller.outgoing.context, WEIR_CANCELLED);
    assert_int_equal(caller_end(&caller), WEIR_CANCELLED);
    assert_true(echo_service_wait(&f->echo, &f->echo.waited, 1));
}

static void without_the_clients_deadline_the_servers_counts(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, &(struct weir_grpc_options){.timeout_ms = 100});
    Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
    request.block_ms = 60000;
    struct caller caller;
    caller_start(&caller, f->out.client, &echo_methods[2], packed(f, &request.base), -1);
    assert_int_equal(caller_end(&caller), WEIR_DEADLINE_EXCEEDED);
    assert_string_equal(caller.text, "the wait was cut short");
}

static void a_deferred_call_is_answered_when_its_author_says(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
    request.defer = true;
    struct caller caller;
    caller_start(&caller, f->out.client, &echo_methods[2], packed(f, &request.base), CALLER_PATIENCE_MS);
    assert_true(echo_service_wait(&f->echo, &f->echo.deferred, 1));
    assert_false(caller.done);
    echo_service_release(&f->echo, WEIR_OK);
    assert_int_equal(caller_end(&caller), WEIR_OK);
}

static void who_asks_is_not_taken_from_metadata(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    weir_call_context(f->call)->principal = "mallory";
    Echo__EchoReply *reply;
    assert_int_equal(echo(f, "tea", &reply), WEIR_OK);
    assert_string_equal(reply->principal, "");
}

static void who_asks_is_believed_of_callers_that_are_trusted(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, &(struct weir_grpc_options){.trust_principal = true});
    weir_call_context(f->call)->principal = "ada";
    Echo__EchoReply *reply;
    assert_int_equal(echo(f, "tea", &reply), WEIR_OK);
    assert_string_equal(reply->principal, "ada");
}

static void the_idempotency_key_is_the_message_id(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    struct caller caller;
    assert_int_equal(caller_call(&caller, f->out.client, &echo_methods[0], weir_bytes("", 0)), WEIR_OK);
    assert_string_equal(f->echo.last_message_id, "key-1");
}

static void too_many_calls_are_refused_politely(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, &(struct weir_grpc_options){.in_flight_max = 1});
    Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
    request.defer = true;
    struct caller first;
    caller_start(&first, f->out.client, &echo_methods[2], packed(f, &request.base), CALLER_PATIENCE_MS);
    assert_true(echo_service_wait(&f->echo, &f->echo.deferred, 1));
    Echo__EchoReply *reply;
    assert_int_equal(echo(f, "one more", &reply), WEIR_RESOURCE_EXHAUSTED);
    assert_string_equal(weir_call_error(f->call)->text, "too many calls in flight");
    echo_service_release(&f->echo, WEIR_OK);
    assert_int_equal(caller_end(&first), WEIR_OK);
}

static void a_large_request_is_refused_politely(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, &(struct weir_grpc_options){.message_bytes_max = 1000});
    char text[1100];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    Echo__EchoReply *reply;
    assert_int_equal(echo(f, text, &reply), WEIR_RESOURCE_EXHAUSTED);
    assert_int_equal(f->echo.echoed, 0);
}

/* ---- Streams ---- */

static void a_client_stream_is_summed_up(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    struct weir_client_stream *stream = echo_sum_open(f->call, &f->out.channel);
    for (int64_t i = 1; i <= 100; i++) {
        Echo__SumRequest message = ECHO__SUM_REQUEST__INIT;
        message.value = i;
        assert_int_equal(echo_sum_write(stream, &message), WEIR_OK);
    }
    weir_client_stream_half_close(stream);
    Echo__SumReply *reply = echo_sum_read(stream);
    assert_non_null(reply);
    assert_int_equal(reply->sum, 5050);
    assert_int_equal(reply->messages, 100);
    assert_int_equal(weir_client_stream_finish(stream), WEIR_OK);
}

static void a_slow_reader_holds_a_server_stream_back(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    Echo__CountRequest request = ECHO__COUNT_REQUEST__INIT;
    request.n = 5000;
    request.padding_bytes = 1000;
    struct weir_client_stream *stream = echo_count_open(f->call, &f->out.channel, &request);
    Echo__CountReply *message = echo_count_read(stream);
    assert_non_null(message);
    usleep(200000); /* it has time to send all it may */
    pthread_mutex_lock(&f->echo.lock);
    assert_in_range(f->echo.sent, 1, 2500);
    pthread_mutex_unlock(&f->echo.lock);
    for (int32_t i = 1; message; i++) {
        assert_int_equal(message->i, i);
        message = echo_count_read(stream);
    }
    assert_int_equal(weir_client_stream_finish(stream), WEIR_OK);
    assert_int_equal(f->echo.sent, 5000);
    assert_true(f->echo.writable > 0);
}

static void say(struct weir_client_stream *stream, const char *text, bool later)
{
    Echo__ChatRequest message = ECHO__CHAT_REQUEST__INIT;
    message.text = (char *)(uintptr_t)text;
    message.later = later;
    assert_int_equal(echo_chat_write(stream, &message), WEIR_OK);
}

static void both_sides_chat(void **state, bool inline_)
{
    struct fixture *f = *state;
    serve_echo(f, inline_, NULL, NULL);
    struct weir_client_stream *stream = echo_chat_open(f->call, &f->out.channel);
    say(stream, "one", false);
    assert_string_equal(echo_chat_read(stream)->text, "you said one");
    say(stream, "two", true);
    say(stream, "three", false);
    assert_true(echo_service_wait(&f->echo, &f->echo.messages, 2));
    echo_service_release(&f->echo, WEIR_OK);
    assert_string_equal(echo_chat_read(stream)->text, "you said two");
    assert_string_equal(echo_chat_read(stream)->text, "you said three");
    weir_client_stream_half_close(stream);
    assert_null(echo_chat_read(stream));
    assert_int_equal(weir_client_stream_finish(stream), WEIR_OK);
}

static void both_sides_of_a_stream_talk(void **state)
{
    both_sides_chat(state, false);
}

static void both_sides_of_an_inline_stream_talk(void **state)
{
    both_sides_chat(state, true);
}

static void a_stream_may_end_with_an_error(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    struct weir_client_stream *stream = echo_chat_open(f->call, &f->out.channel);
    Echo__ChatRequest message = ECHO__CHAT_REQUEST__INIT;
    message.text = (char *)"enough";
    message.status = WEIR_ABORTED;
    assert_int_equal(echo_chat_write(stream, &message), WEIR_OK);
    assert_null(echo_chat_read(stream));
    assert_int_equal(weir_client_stream_finish(stream), WEIR_ABORTED);
    assert_string_equal(weir_call_error(f->call)->text, "enough");
}

static void a_stream_is_told_when_its_client_leaves(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    Echo__CountRequest request = ECHO__COUNT_REQUEST__INIT;
    request.n = 1;
    request.stay = true;
    struct weir_client_stream *stream = echo_count_open(f->call, &f->out.channel, &request);
    assert_non_null(echo_count_read(stream));
    assert_int_equal(weir_client_stream_finish(stream), WEIR_CANCELLED);
    assert_true(echo_service_wait(&f->echo, &f->echo.cancelled, 1));
}

static void a_stream_is_told_when_its_clients_process_vanishes(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    struct caller caller;
    caller_start(&caller, f->out.client, &echo_methods[5], weir_bytes("", 0), CALLER_PATIENCE_MS);
    assert_true(echo_service_wait(&f->echo, &f->echo.opened, 1));
    rpc_client_destroy(f->out.client);
    f->out.client = NULL;
    assert_int_equal(caller_end(&caller), WEIR_CANCELLED);
    assert_true(echo_service_wait(&f->echo, &f->echo.cancelled, 1));
}

/* ---- Two hops ---- */

static char front_trace[64], back_trace[64];
static int64_t front_left_ms, back_left_ms;

static enum weir_status answer_back(struct weir_call *call, const Echo__EchoRequest *request,
                                    Echo__EchoReply *reply)
{
    (void)request;
    snprintf(back_trace, sizeof back_trace, "%s", weir_context_traceparent(weir_call_context(call)));
    back_left_ms = weir_call_left_ms(call);
    reply->transport = weir_call_strdup(call, "from the back");
    return WEIR_OK;
}

static enum weir_status answer_front(struct weir_call *call, const Echo__EchoRequest *request,
                                     Echo__EchoReply *reply)
{
    snprintf(front_trace, sizeof front_trace, "%s", weir_context_traceparent(weir_call_context(call)));
    front_left_ms = weir_call_left_ms(call);
    Echo__EchoReply *answer;
    enum weir_status status = echo_echo(call, weir_call_self(call), request, &answer);
    if (status == WEIR_OK)
        reply->transport = answer->transport;
    return status;
}

static const struct echo_handlers back_handlers = {.echo = {.fn = answer_back}};
static const struct echo_handlers front_handlers = {.echo = {.fn = answer_front}};

static void trace_and_deadline_go_through_two_hops(void **state)
{
    struct fixture *f = *state;
    char back_listen[64];
    snprintf(back_listen, sizeof back_listen, "127.0.0.1:%d", free_port());
    static struct weir_service_type back_type;
    back_type = echo_service_type;
    back_type.full_name = "back";
    struct weir_app *app = new_app(NULL);
    struct weir_service *back =
        weir_service_add(app, &back_type, &(struct weir_service_options){.handlers = &back_handlers});
    struct weir_grpc_server *back_server =
        weir_grpc_server_add(app, "back-server", back, &(struct weir_grpc_options){.listen = back_listen});
    struct weir_channel *channel = weir_grpc_channel_add(
        app, "to-back", &(struct weir_channel_options){.target = back_listen, .needs = {back_server}});
    struct weir_service *front = echo_service_add(
        app,
        &(struct echo_service_options){.handlers = &front_handlers, .self = channel, .needs = {channel}});
    weir_grpc_server_add(app, "front-server", front, &(struct weir_grpc_options){.listen = f->listen});
    run_app(&f->running, app);

    new_call(f, 3000);
    Echo__EchoReply *reply;
    assert_int_equal(echo(f, "tea", &reply), WEIR_OK);
    assert_string_equal(reply->transport, "from the back");
    const char *own_trace = weir_context_traceparent(weir_call_context(f->call));
    assert_memory_equal(front_trace, own_trace, 36); /* version and trace id; the span is another */
    assert_memory_equal(back_trace, own_trace, 36);
    assert_string_not_equal(back_trace, front_trace);
    /* The core rounds grpc-timeout up, to three digits. */
    assert_in_range(front_left_ms, 2000, 3100);
    assert_in_range(back_left_ms, 2000, 3100);
}

/* ---- Health ---- */

static const struct weir_method health_check = {.full_name = "grpc.health.v1.Health/Check",
                                                .kind = WEIR_UNARY};
static const struct weir_method health_watch = {.full_name = "grpc.health.v1.Health/Watch",
                                                .kind = WEIR_SERVER_STREAM};
#define IS_SERVING "\x08\x01"
#define IS_NOT_SERVING "\x08\x02"
#define IS_UNKNOWN "\x08\x03"
static const char echo_name[] = "\x0a\x18weir.test.v1.EchoService";

static void health_knows_the_server_and_its_services(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    struct caller caller;
    assert_int_equal(caller_call(&caller, f->out.client, &health_check, weir_bytes("", 0)), WEIR_OK);
    assert_string_equal(caller.reply, IS_SERVING);
    assert_int_equal(caller_call(&caller, f->out.client, &health_check, weir_bytes_of_text(echo_name)),
                     WEIR_OK);
    assert_string_equal(caller.reply, IS_SERVING);
    assert_int_equal(caller_call(&caller, f->out.client, &health_check, weir_bytes_of_text("\x0a\x03tea")),
                     WEIR_NOT_FOUND);
    assert_int_equal(caller_call(&caller, f->out.client, &health_check, weir_bytes_of_text("\x0a\x09tea")),
                     WEIR_INVALID_ARGUMENT);
}

static void a_watch_is_told_of_the_announcement_and_ended(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, "--app.pre_drain_ms=400", NULL);
    struct caller watch, unknown, check;
    caller_start(&watch, f->out.client, &health_watch, weir_bytes_of_text(echo_name), CALLER_PATIENCE_MS);
    caller_read(&watch);
    assert_string_equal(watch.reply, IS_SERVING);
    caller_start(&unknown, f->out.client, &health_watch, weir_bytes_of_text("\x0a\x03tea"),
                 CALLER_PATIENCE_MS);
    caller_read(&unknown);
    assert_string_equal(unknown.reply, IS_UNKNOWN);

    weir_app_stop(f->running.app, "the test says so");
    caller_read(&watch);
    assert_string_equal(watch.reply, IS_NOT_SERVING);
    /* Announced, and still serving. */
    assert_int_equal(caller_call(&check, f->out.client, &health_check, weir_bytes("", 0)), WEIR_OK);
    assert_string_equal(check.reply, IS_NOT_SERVING);
    Echo__EchoReply *reply;
    assert_int_equal(echo(f, "still here", &reply), WEIR_OK);

    assert_int_equal(caller_end(&watch), WEIR_UNAVAILABLE);
    assert_int_equal(caller_end(&unknown), WEIR_UNAVAILABLE);
    assert_int_equal(await_exit(&f->running), 0);
}

/* ---- Stop ---- */

static void a_stop_waits_for_the_call_in_flight(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
    request.block_ms = 500;
    struct caller caller;
    caller_start(&caller, f->out.client, &echo_methods[2], packed(f, &request.base), CALLER_PATIENCE_MS);
    assert_true(echo_service_wait(&f->echo, &f->echo.waiting, 1));
    assert_int_equal(stop(&f->running), 0);
    assert_int_equal(caller_end(&caller), WEIR_OK);
}

static void a_client_that_cancels_while_the_server_drains_leaves_the_stop_clean(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
    request.block_ms = 60000;
    struct caller caller;
    caller_start(&caller, f->out.client, &echo_methods[2], packed(f, &request.base), CALLER_PATIENCE_MS);
    struct weir_client_stream *stream = echo_chat_open(f->call, &f->out.channel);
    assert_true(echo_service_wait(&f->echo, &f->echo.waiting, 1));
    assert_true(echo_service_wait(&f->echo, &f->echo.opened, 1));
    weir_app_stop(f->running.app, "the test says so");
    assert_true(echo_service_wait(&f->echo, &f->echo.draining, 1)); /* so it drains */
    weir_client_stream_finish(stream);
    context_end(&caller.outgoing.context, WEIR_CANCELLED);
    assert_int_equal(caller_end(&caller), WEIR_CANCELLED);
    assert_int_equal(await_exit(&f->running), 0);
}

static void a_stream_ends_itself_when_the_server_drains(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    struct weir_client_stream *stream = echo_chat_open(f->call, &f->out.channel);
    say(stream, "one", false);
    assert_string_equal(echo_chat_read(stream)->text, "you said one");
    assert_int_equal(stop(&f->running), 0);
    assert_null(echo_chat_read(stream));
    assert_int_equal(weir_client_stream_finish(stream), WEIR_OK);
    assert_int_equal(f->echo.draining, 1);
    assert_in_range(f->echo.last_left_ms, 1000, 25000);
}

static void what_does_not_end_in_time_is_cut_and_told(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, "--app.deadline_ms=1500", NULL);
    Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
    request.block_ms = 60000;
    struct caller caller;
    caller_start(&caller, f->out.client, &echo_methods[2], packed(f, &request.base), CALLER_PATIENCE_MS);
    assert_true(echo_service_wait(&f->echo, &f->echo.waiting, 1));
    assert_int_equal(stop(&f->running), 75);
    assert_int_equal(caller_end(&caller), WEIR_UNAVAILABLE); /* CANCELLED is what its client asks for */
    assert_string_equal(caller.text, "the wait was cut short");
    assert_int_equal(f->echo.waited, 1);
}

struct load {
    struct fixture *fixture;
    struct weir_bytes request;
    atomic_bool over;
    int statuses[17];
};

#define AT_ONCE 64

static void *keep_calling(void *arg)
{
    struct load *load = arg;
    struct rpc_client *client = load->fixture->out.client;
    struct caller *callers = memory_zalloc(AT_ONCE * sizeof *callers);
    for (int i = 0; i < AT_ONCE; i++)
        caller_start(&callers[i], client, &echo_methods[0], load->request, CALLER_PATIENCE_MS);
    int left = AT_ONCE;
    for (int i = 0; left > 0; i = (i + 1) % AT_ONCE) {
        load->statuses[caller_end(&callers[i])]++;
        if (atomic_load(&load->over))
            left--;
        else
            caller_start(&callers[i], client, &echo_methods[0], load->request, CALLER_PATIENCE_MS);
    }
    free(callers);
    return NULL;
}

static void stops_under_load_lose_no_call(void **state)
{
    struct fixture *f = *state;
    struct load load = {.fixture = f};
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    request.text = (char *)"load";
    load.request = packed(f, &request.base);
    serve_echo(f, false, NULL, NULL);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, keep_calling, &load), 0);
    int64_t served = 0;
    for (int round = 0; round < 5; round++) {
        assert_true(echo_service_wait(&f->echo, &f->echo.echoed, 200));
        assert_int_equal(stop(&f->running), 0);
        served += f->echo.echoed;
        echo_service_clean_up(&f->echo);
        serve_echo(f, round % 2 == 0, NULL, NULL);
    }
    atomic_store(&load.over, true);
    pthread_join(thread, NULL);
    served += f->echo.echoed;
    for (int status = 1; status <= 16; status++)
        assert_int_equal(load.statuses[status], 0);
    assert_int_equal(load.statuses[WEIR_OK], served); /* each was served exactly once */
}

static void a_server_that_failed_is_started_again_in_its_place(void **state)
{
    struct fixture *f = *state;
    struct weir_app *app = new_app("--grpc.restart_most=1");
    struct weir_service *service = echo_service_start_with(app, &f->echo, false);
    struct weir_grpc_server *server =
        weir_grpc_server_add(app, "grpc", service, &(struct weir_grpc_options){.listen = f->listen});
    run_app(&f->running, app);
    Echo__EchoReply *reply;
    assert_int_equal(echo(f, "before", &reply), WEIR_OK);
    struct weir_error err = {.status = WEIR_UNAVAILABLE, .text = "the test says so"};
    weir_component_failed(server, &err);
    kit_wait(is_not_ready, app);
    kit_wait(kit_app_is_ready, app);
    assert_int_equal(echo(f, "after", &reply), WEIR_OK);
    assert_int_equal(stop(&f->running), 0);
}

static void a_channel_that_is_not_up_says_so(void **state)
{
    struct fixture *f = *state;
    struct weir_app *app = new_app(NULL);
    struct weir_channel *channel =
        weir_grpc_channel_add(app, "out", &(struct weir_channel_options){.target = f->listen});
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    Echo__EchoReply *reply;
    assert_int_equal(echo_echo(f->call, channel, &request, &reply), WEIR_UNAVAILABLE);
    assert_string_equal(weir_call_error(f->call)->text, "the channel is not up");
    run_app(&f->running, app);
    echo_service_init(&f->echo);
}

/* ---- Everything at once ---- */

struct chaos {
    struct fixture *fixture;
    unsigned seed;
    int calls;
};

static void one_call(struct fixture *f, unsigned *seed)
{
    struct weir_call *call = weir_call_background(&f->out.channel, NULL, 1 + rand_r(seed) % 20);
    Echo__WaitRequest wait = ECHO__WAIT_REQUEST__INIT;
    Echo__WaitReply *waited;
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    Echo__EchoReply *echoed;
    Echo__CountRequest counted = ECHO__COUNT_REQUEST__INIT;
    struct weir_client_stream *stream;
    switch (rand_r(seed) % 4) {
    case 0:
        echo_echo(call, &f->out.channel, &request, &echoed);
        break;
    case 1:
        wait.block_ms = rand_r(seed) % 20;
        echo_wait(call, &f->out.channel, &wait, &waited);
        break;
    case 2:
        counted.n = rand_r(seed) % 200;
        counted.padding_bytes = rand_r(seed) % 2000;
        counted.stay = rand_r(seed) % 2;
        stream = echo_count_open(call, &f->out.channel, &counted);
        for (int i = rand_r(seed) % 100; i > 0 && echo_count_read(stream);)
            i--;
        weir_client_stream_finish(stream);
        break;
    case 3:
        stream = echo_chat_open(call, &f->out.channel);
        for (int i = rand_r(seed) % 10; i > 0; i--) {
            Echo__ChatRequest message = ECHO__CHAT_REQUEST__INIT;
            message.text = (char *)"chaos";
            echo_chat_write(stream, &message);
            if (i % 2)
                echo_chat_read(stream);
        }
        weir_client_stream_finish(stream);
        break;
    }
    weir_call_background_end(call);
}

static void *make_chaos(void *arg)
{
    struct chaos *chaos = arg;
    for (int i = 0; i < chaos->calls; i++)
        one_call(chaos->fixture, &chaos->seed);
    return NULL;
}

/* Deadlines and cancels at every moment, through a stop and a new start: nothing hangs, and nothing is left.
 */
static void chaos_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    enum { THREADS = 6 };
    struct chaos chaos[THREADS];
    pthread_t threads[THREADS];
    serve_echo(f, false, NULL, NULL);
    for (unsigned i = 0; i < THREADS; i++) {
        chaos[i] = (struct chaos){.fixture = f, .seed = i + 1, .calls = 150};
        assert_int_equal(pthread_create(&threads[i], NULL, make_chaos, &chaos[i]), 0);
    }
    assert_true(echo_service_wait(&f->echo, &f->echo.opened, 50));
    assert_int_equal(stop(&f->running), 0);
    echo_service_clean_up(&f->echo);
    serve_echo(f, true, NULL, NULL);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(rpc_client_in_flight(f->out.client), 0);
    assert_int_equal(stop(&f->running), 0);
}

/* ---- Start ---- */

static void a_taken_port_fails_the_start(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    struct echo_service other;
    struct weir_app *app = new_app(NULL);
    struct weir_service *service = echo_service_start_with(app, &other, false);
    weir_grpc_server_add(app, "grpc", service, &(struct weir_grpc_options){.listen = f->listen});
    assert_int_equal(weir_app_run(app), 69);
    echo_service_clean_up(&other);
    Echo__EchoReply *reply;
    assert_int_equal(echo(f, "the first one goes on", &reply), WEIR_OK);
}

static void a_service_served_twice_is_a_mistake(void **state)
{
    struct fixture *f = *state;
    struct weir_app *app = new_app(NULL);
    struct weir_service *service = echo_service_start_with(app, &f->echo, false);
    struct weir_grpc_server *server =
        weir_grpc_server_add(app, "grpc", service, &(struct weir_grpc_options){.listen = f->listen});
    weir_grpc_server_serve(server, service);
    assert_int_equal(weir_app_run(app), 78);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_handler_on_the_executor_answers),
        TEST(an_inline_handler_answers),
        TEST(a_handlers_words_reach_the_client),
        TEST(words_about_defects_stay_inside),
        TEST(what_has_no_handler_is_unimplemented),
        TEST(bytes_that_are_no_message_are_an_invalid_argument),
        TEST(a_passed_deadline_wakes_the_handler),
        TEST(a_cancelled_call_wakes_the_handler),
        TEST(without_the_clients_deadline_the_servers_counts),
        TEST(a_deferred_call_is_answered_when_its_author_says),
        TEST(who_asks_is_not_taken_from_metadata),
        TEST(who_asks_is_believed_of_callers_that_are_trusted),
        TEST(the_idempotency_key_is_the_message_id),
        TEST(too_many_calls_are_refused_politely),
        TEST(a_large_request_is_refused_politely),
        TEST(a_client_stream_is_summed_up),
        TEST(a_slow_reader_holds_a_server_stream_back),
        TEST(both_sides_of_a_stream_talk),
        TEST(both_sides_of_an_inline_stream_talk),
        TEST(a_stream_may_end_with_an_error),
        TEST(a_stream_is_told_when_its_client_leaves),
        TEST(a_stream_is_told_when_its_clients_process_vanishes),
        TEST(trace_and_deadline_go_through_two_hops),
        TEST(health_knows_the_server_and_its_services),
        TEST(a_watch_is_told_of_the_announcement_and_ended),
        TEST(a_stop_waits_for_the_call_in_flight),
        TEST(a_client_that_cancels_while_the_server_drains_leaves_the_stop_clean),
        TEST(a_stream_ends_itself_when_the_server_drains),
        TEST(what_does_not_end_in_time_is_cut_and_told),
        TEST(stops_under_load_lose_no_call),
        TEST(a_server_that_failed_is_started_again_in_its_place),
        TEST(a_channel_that_is_not_up_says_so),
        TEST(chaos_leaves_nothing_behind),
        TEST(a_taken_port_fails_the_start),
        TEST(a_service_served_twice_is_a_mistake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
