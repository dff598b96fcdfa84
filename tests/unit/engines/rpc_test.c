/* The gRPC engine by itself: server and client of engines/rpc.h over a real loopback connection, without the
 * call layer. What the server does is in the request's text. */
#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/clock.h>

#include "caller.h"
#include "core/memory.h"
#include "engines/rpc.h"

#define MESSAGE_MAX 65536

struct fixture {
    struct rpc_server *server;
    struct rpc_client *client;
    char target[64];
    atomic_int begun, gone, over, draining, taken;
    atomic_int over_status;
    bool is_down;
};

/* What one rpc of the server's remembers. */
struct served {
    struct fixture *fixture;
    struct rpc *rpc;
    pthread_t thread;
    bool has_thread;
    int left; /* to send */
    char text[1024];
};

static struct fixture *fixture_of(struct rpc *rpc)
{
    return rpc_server_user(rpc);
}

static void finish_text(struct rpc *rpc, const char *text)
{
    struct weir_bytes reply = weir_bytes_of_text(text);
    rpc_finish(rpc, WEIR_OK, "", &reply);
}

static void *answer_later(void *arg)
{
    struct served *served = arg;
    finish_text(served->rpc, "later");
    return NULL;
}

static const char *find_metadata(struct rpc *rpc, const char *wanted, char *ret_value, size_t size)
{
    for (size_t i = 0; i < rpc_metadata_count(rpc); i++) {
        struct weir_bytes name, value;
        rpc_metadata_at(rpc, i, &name, &value);
        if (weir_bytes_equal_text(name, wanted)) {
            snprintf(ret_value, size, "%.*s", (int)value.size, (const char *)value.data);
            return ret_value;
        }
    }
    return "none";
}

static void begin_unary(struct served *served)
{
    struct rpc *rpc = served->rpc;
    if (strcmp(served->text, "fail") == 0)
        rpc_finish(rpc, WEIR_NOT_FOUND, "no caf\xc3\xa9 of that name", NULL);
    else if (strcmp(served->text, "later") == 0)
        served->has_thread = pthread_create(&served->thread, NULL, answer_later, served) == 0;
    else if (strcmp(served->text, "trace") == 0)
        finish_text(rpc, find_metadata(rpc, "traceparent", served->text, sizeof served->text));
    else if (strcmp(served->text, "key") == 0)
        finish_text(rpc, find_metadata(rpc, "idempotency-key", served->text, sizeof served->text));
    else if (strcmp(served->text, "deadline") == 0)
        finish_text(rpc, rpc_deadline_ns(rpc) - weir_now_ns() > 4 * WEIR_NS_PER_S ? "about 5 s" : "less");
    else if (strcmp(served->text, "hold") != 0)
        finish_text(rpc, served->text);
}

static void send_more(struct served *served)
{
    static const char kilobyte[1024];
    while (served->left > 0) {
        enum weir_status status = rpc_send(served->rpc, served, weir_bytes(kilobyte, sizeof kilobyte));
        if (status != WEIR_OK && status != WEIR_PENDING)
            return;
        served->left--;
        atomic_fetch_add(&served->fixture->taken, 1);
        if (status == WEIR_PENDING)
            return;
    }
    rpc_finish(served->rpc, WEIR_OK, "", NULL);
}

static void begin(struct rpc *rpc)
{
    struct fixture *fixture = fixture_of(rpc);
    atomic_fetch_add(&fixture->begun, 1);
    struct served *served = NEW(struct served);
    served->fixture = fixture;
    served->rpc = rpc;
    rpc_set_user(rpc, served);
    struct weir_bytes request = rpc_request(rpc);
    snprintf(served->text, sizeof served->text, "%.*s", (int)request.size, (const char *)request.data);
    switch (rpc_method(rpc)->kind) {
    case WEIR_UNARY:
        begin_unary(served);
        break;
    case WEIR_SERVER_STREAM:
        served->left = atoi(served->text);
        send_more(served);
        break;
    case WEIR_CLIENT_STREAM:
    case WEIR_BIDI_STREAM:
        rpc_read(rpc, served);
        break;
    }
}

static void message(struct rpc *rpc, struct weir_bytes message)
{
    struct served *served = rpc_user(rpc);
    atomic_fetch_add(&served->fixture->taken, 1);
    if (rpc_method(rpc)->kind == WEIR_BIDI_STREAM) {
        if (weir_bytes_equal_text(message, "end")) {
            rpc_finish(rpc, WEIR_ABORTED, "as you said", NULL);
            return;
        }
        rpc_send(rpc, served, message);
    } else {
        strncat(served->text, (const char *)message.data, message.size);
    }
    rpc_read(rpc, served);
}

static void half_close(struct rpc *rpc)
{
    struct served *served = rpc_user(rpc);
    if (rpc_method(rpc)->kind == WEIR_CLIENT_STREAM)
        finish_text(rpc, served->text);
    else
        rpc_finish(rpc, WEIR_OK, "", NULL);
}

static void writable(struct rpc *rpc)
{
    struct served *served = rpc_user(rpc);
    if (rpc_method(rpc)->kind == WEIR_SERVER_STREAM)
        send_more(served);
}

static void over(struct rpc *rpc, enum weir_status status)
{
    struct served *served = rpc_user(rpc);
    struct fixture *fixture = served->fixture;
    atomic_store(&fixture->over_status, (int)status);
    atomic_fetch_add(&fixture->over, 1);
    bool unfinished = rpc_method(rpc)->kind == WEIR_UNARY ? strcmp(served->text, "hold") == 0 : true;
    if (unfinished)
        rpc_finish(rpc, status, "told to stop", NULL);
}

static void draining(struct rpc *rpc, int64_t left_ms)
{
    atomic_store(&fixture_of(rpc)->draining, left_ms > 0);
    rpc_finish(rpc, WEIR_UNAVAILABLE, "draining", NULL);
}

static void gone(struct rpc *rpc)
{
    struct served *served = rpc_user(rpc);
    struct fixture *fixture = served->fixture;
    if (served->has_thread)
        pthread_join(served->thread, NULL);
    free(served);
    atomic_fetch_add(&fixture->gone, 1);
}

static const struct rpc_user_ops user_ops = {begin, message, half_close, writable, over, draining, gone};

static const struct rpc_method methods[] = {
    {.path = "/test.Test/Unary", .kind = WEIR_UNARY},
    {.path = "/test.Test/Collect", .kind = WEIR_CLIENT_STREAM},
    {.path = "/test.Test/Count", .kind = WEIR_SERVER_STREAM},
    {.path = "/test.Test/Chat", .kind = WEIR_BIDI_STREAM},
};

/* The caller's tables: only names and kinds matter here. */
static const struct weir_method unary = {.full_name = "test.Test/Unary", .kind = WEIR_UNARY};
static const struct weir_method collect = {.full_name = "test.Test/Collect", .kind = WEIR_CLIENT_STREAM};
static const struct weir_method count = {.full_name = "test.Test/Count", .kind = WEIR_SERVER_STREAM};
static const struct weir_method chat = {.full_name = "test.Test/Chat", .kind = WEIR_BIDI_STREAM};
static const struct weir_method unknown = {.full_name = "test.Test/Nothing", .kind = WEIR_UNARY};

static void await_count_at_least(atomic_int *counter, int wanted)
{
    int64_t until = weir_deadline_in_ms(CALLER_PATIENCE_MS);
    while (atomic_load(counter) < wanted && weir_now_ns() < until)
        usleep(1000);
    assert_true(atomic_load(counter) >= wanted);
}

static void await_count(atomic_int *counter, int wanted)
{
    int64_t until = weir_deadline_in_ms(CALLER_PATIENCE_MS);
    while (atomic_load(counter) < wanted && weir_now_ns() < until)
        usleep(1000);
    assert_int_equal(atomic_load(counter), wanted);
}

/* ---- Fixture ---- */

static struct rpc_server *new_server(struct fixture *fixture, const char *listen)
{
    struct rpc_server_options options = {.listen = listen,
                                         .threads = 2,
                                         .message_bytes_max = MESSAGE_MAX,
                                         .metadata_bytes_max = 8192,
                                         .streams_max = 100,
                                         .timeout_ms = 5000};
    return rpc_server_new(&options, methods, sizeof methods / sizeof methods[0], &user_ops, fixture);
}

static int set_up(void **state)
{
    struct fixture *fixture = NEW(struct fixture);
    struct weir_error err = {0};
    fixture->server = new_server(fixture, "127.0.0.1:0");
    assert_int_equal(rpc_server_start(fixture->server, &err), WEIR_OK);
    snprintf(fixture->target, sizeof fixture->target, "127.0.0.1:%d", rpc_server_port(fixture->server));
    fixture->client = caller_new_client(rpc_server_port(fixture->server));
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    rpc_client_destroy(fixture->client);
    rpc_server_destroy(fixture->server);
    assert_int_equal(atomic_load(&fixture->begun), atomic_load(&fixture->gone));
    free(fixture);
    return 0;
}

/* ---- Unary ---- */

static void a_unary_call_is_answered(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    assert_int_equal(caller_call(&caller, fixture->client, &unary, weir_bytes_of_text("hello")), WEIR_OK);
    assert_string_equal(caller.reply, "hello");
}

static void an_empty_message_is_a_message(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    assert_int_equal(caller_call(&caller, fixture->client, &unary, weir_bytes_of_text("")), WEIR_OK);
    assert_string_equal(caller.reply, "");
}

static void a_failure_comes_with_its_words(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    assert_int_equal(caller_call(&caller, fixture->client, &unary, weir_bytes_of_text("fail")),
                     WEIR_NOT_FOUND);
    assert_string_equal(caller.text, "no caf\xc3\xa9 of that name");
}

static void an_answer_may_come_later_from_another_thread(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    assert_int_equal(caller_call(&caller, fixture->client, &unary, weir_bytes_of_text("later")), WEIR_OK);
    assert_string_equal(caller.reply, "later");
}

static void many_calls_at_once_are_all_answered(void **state)
{
    struct fixture *fixture = *state;
    enum { MANY = 200 };
    struct caller *callers = memory_zalloc(MANY * sizeof *callers);
    for (int i = 0; i < MANY; i++)
        caller_start(&callers[i], fixture->client, &unary, weir_bytes_of_text(i % 2 ? "later" : "now"),
                     CALLER_PATIENCE_MS);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(caller_end(&callers[i]), WEIR_OK);
        assert_string_equal(callers[i].reply, i % 2 ? "later" : "now");
    }
    free(callers);
}

static void an_unknown_method_is_unimplemented(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    assert_int_equal(caller_call(&caller, fixture->client, &unknown, weir_bytes_of_text("")),
                     WEIR_UNIMPLEMENTED);
    assert_string_equal(caller.text, "no method /test.Test/Nothing here");
}

static void a_request_over_the_limit_is_resource_exhausted(void **state)
{
    struct fixture *fixture = *state;
    char *large = memory_zalloc(MESSAGE_MAX + 2);
    memset(large, 'x', MESSAGE_MAX + 1);
    struct caller caller;
    assert_int_equal(caller_call(&caller, fixture->client, &unary, weir_bytes_of_text(large)),
                     WEIR_RESOURCE_EXHAUSTED);
    assert_string_equal(caller.text, "a message of 65537 bytes is over the limit of 65536");
    assert_int_equal(atomic_load(&fixture->begun), 0);
    free(large);
}

static void metadata_over_the_limit_is_resource_exhausted(void **state)
{
    struct fixture *fixture = *state;
    char *large = memory_zalloc(16384);
    memset(large, 'k', 16383);
    struct caller caller;
    caller_start_with_key(&caller, fixture->client, &unary, large);
    assert_int_equal(caller_end(&caller), WEIR_RESOURCE_EXHAUSTED);
    assert_int_equal(atomic_load(&fixture->begun), 0);
    free(large);
}

static void metadata_of_the_call_arrives(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    assert_int_equal(caller_call(&caller, fixture->client, &unary, weir_bytes_of_text("trace")), WEIR_OK);
    assert_memory_equal(caller.reply, "00-4bf92f3577b34da6a3ce929d0e0e4736-", 36);
    assert_int_equal(caller_call(&caller, fixture->client, &unary, weir_bytes_of_text("key")), WEIR_OK);
    assert_string_equal(caller.reply, "key-1");
}

static void the_deadline_arrives_and_without_one_the_default_counts(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    caller_start(&caller, fixture->client, &unary, weir_bytes_of_text("deadline"), 3000);
    assert_int_equal(caller_end(&caller), WEIR_OK);
    assert_string_equal(caller.reply, "less");
    caller_start(&caller, fixture->client, &unary, weir_bytes_of_text("deadline"), -1);
    assert_int_equal(caller_end(&caller), WEIR_OK);
    assert_string_equal(caller.reply, "about 5 s");
}

static void a_passed_deadline_is_told_on_both_sides(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    caller_start(&caller, fixture->client, &unary, weir_bytes_of_text("hold"), 100);
    assert_int_equal(caller_end(&caller), WEIR_DEADLINE_EXCEEDED);
    await_count(&fixture->over, 1);
    assert_int_equal(atomic_load(&fixture->over_status), WEIR_DEADLINE_EXCEEDED);
}

static void a_cancelled_call_is_told_to_its_handler(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    caller_start(&caller, fixture->client, &unary, weir_bytes_of_text("hold"), CALLER_PATIENCE_MS);
    await_count(&fixture->begun, 1);
    context_end(&caller.outgoing.context, WEIR_CANCELLED);
    assert_int_equal(caller_end(&caller), WEIR_CANCELLED);
    await_count(&fixture->over, 1);
    assert_int_equal(atomic_load(&fixture->over_status), WEIR_CANCELLED);
}

static void a_call_without_time_is_not_sent(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    caller_start(&caller, fixture->client, &unary, weir_bytes_of_text("hello"), 0);
    assert_true(caller.done);
    assert_int_equal(caller_end(&caller), WEIR_DEADLINE_EXCEEDED);
    assert_int_equal(atomic_load(&fixture->begun), 0);
}

static void a_client_that_vanishes_cancels_its_calls(void **state)
{
    struct fixture *fixture = *state;
    struct rpc_client *other = caller_new_client(rpc_server_port(fixture->server));
    struct caller caller;
    caller_start(&caller, other, &unary, weir_bytes_of_text("hold"), CALLER_PATIENCE_MS);
    await_count(&fixture->begun, 1);
    rpc_client_destroy(other);
    assert_int_equal(caller_end(&caller), WEIR_CANCELLED);
    await_count(&fixture->over, 1);
    await_count(&fixture->gone, 1);
}

/* ---- Streams ---- */

static void a_client_stream_is_answered_at_its_end(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    caller_start(&caller, fixture->client, &collect, (struct weir_bytes){0}, CALLER_PATIENCE_MS);
    caller_send(&caller, "one ");
    caller_send(&caller, "two ");
    caller_send(&caller, "three");
    rpc_client_half_close(&caller.outgoing);
    assert_int_equal(caller_end(&caller), WEIR_OK);
    assert_string_equal(caller.reply, "one two three");
}

static void a_server_stream_gives_every_message(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    caller_start(&caller, fixture->client, &count, weir_bytes_of_text("100"), CALLER_PATIENCE_MS);
    while (!caller.done) {
        caller_read(&caller);
    }
    assert_int_equal(caller_end(&caller), WEIR_OK);
    assert_int_equal(caller.received, 100);
}

static void a_slow_reader_holds_the_sender_back(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    caller_start(&caller, fixture->client, &count, weir_bytes_of_text("4000"), CALLER_PATIENCE_MS);
    caller_read(&caller);
    usleep(200000); /* it has time to send all it may */
    int taken = atomic_load(&fixture->taken);
    assert_in_range(taken, 1, 1500);
    while (!caller.done) {
        caller_read(&caller);
    }
    assert_int_equal(caller_end(&caller), WEIR_OK);
    assert_int_equal(caller.received, 4000);
}

static void both_sides_talk_until_one_ends_it(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    caller_start(&caller, fixture->client, &chat, (struct weir_bytes){0}, CALLER_PATIENCE_MS);
    for (int i = 0; i < 20; i++) {
        caller_send(&caller, "ping");
        caller_read(&caller);
        assert_string_equal(caller.reply, "ping");
    }
    caller_send(&caller, "end");
    rpc_client_read(&caller.outgoing);
    assert_int_equal(caller_end(&caller), WEIR_ABORTED);
    assert_string_equal(caller.text, "as you said");
}

static void what_is_asked_of_a_stream_that_is_done_does_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    caller_start(&caller, fixture->client, &chat, (struct weir_bytes){0}, CALLER_PATIENCE_MS);
    rpc_client_half_close(&caller.outgoing);
    rpc_client_read(&caller.outgoing);
    assert_int_equal(caller_end(&caller), WEIR_OK);
    rpc_client_read(&caller.outgoing);
    rpc_client_send(&caller.outgoing, weir_bytes_of_text("late"));
    rpc_client_half_close(&caller.outgoing);
}

static void a_message_over_the_limit_ends_the_stream(void **state)
{
    struct fixture *fixture = *state;
    char *large = memory_zalloc(MESSAGE_MAX + 2);
    memset(large, 'x', MESSAGE_MAX + 1);
    struct caller caller;
    caller_start(&caller, fixture->client, &chat, (struct weir_bytes){0}, CALLER_PATIENCE_MS);
    caller_send(&caller, large);
    rpc_client_read(&caller.outgoing);
    assert_int_equal(caller_end(&caller), WEIR_RESOURCE_EXHAUSTED);
    assert_string_equal(caller.text, "a message of 65537 bytes is over the limit of 65536");
    assert_int_equal(atomic_load(&fixture->taken), 0);
    free(large);
}

static void a_stream_is_told_that_the_server_drains(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    caller_start(&caller, fixture->client, &chat, (struct weir_bytes){0}, CALLER_PATIENCE_MS);
    await_count(&fixture->begun, 1);
    rpc_server_draining(fixture->server, 1000);
    assert_int_equal(caller_end(&caller), WEIR_UNAVAILABLE);
    assert_string_equal(caller.text, "draining");
    assert_int_equal(atomic_load(&fixture->draining), 1);
}

/* ---- Start and stop ---- */

static void a_taken_port_is_an_error_that_names_it(void **state)
{
    struct fixture *fixture = *state;
    struct rpc_server *second = new_server(fixture, fixture->target);
    struct weir_error err = {0};
    assert_int_equal(rpc_server_start(second, &err), WEIR_UNAVAILABLE);
    char wanted[128];
    snprintf(wanted, sizeof wanted, "cannot listen on %s: Address already in use", fixture->target);
    assert_string_equal(err.text, wanted);
    rpc_server_destroy(second);
}

static void a_unix_socket_serves_and_is_not_taken_from_its_server(void **state)
{
    struct fixture *fixture = *state;
    char listen[64];
    snprintf(listen, sizeof listen, "unix:/tmp/weir-rpc-test-%d", (int)getpid());
    struct weir_error err = {0};
    struct rpc_server *first = new_server(fixture, listen), *second = new_server(fixture, listen);
    assert_int_equal(rpc_server_start(first, &err), WEIR_OK);
    assert_int_equal(rpc_server_start(second, &err), WEIR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "Address already in use"));

    struct rpc_client *client =
        rpc_client_new(&(struct rpc_client_options){.target = listen, .connect_backoff_ms = 200});
    assert_int_equal(rpc_client_start(client, &err), WEIR_OK);
    struct caller caller;
    assert_int_equal(caller_call(&caller, client, &unary, weir_bytes_of_text("hello")), WEIR_OK);
    rpc_client_destroy(client);
    rpc_server_destroy(second);
    rpc_server_destroy(first);
    assert_int_not_equal(access(listen + 5, F_OK), 0);
}

static void a_cut_tells_every_handler_and_its_answer_still_arrives(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    caller_start(&caller, fixture->client, &unary, weir_bytes_of_text("hold"), CALLER_PATIENCE_MS);
    await_count(&fixture->begun, 1);
    rpc_server_quiesce(fixture->server);
    rpc_server_close(fixture->server);
    rpc_server_cancel(fixture->server);
    assert_int_equal(caller_end(&caller), WEIR_CANCELLED);
    assert_string_equal(caller.text, "told to stop");
    struct weir_context context;
    context_init(&context, NULL, weir_deadline_in_ms(CALLER_PATIENCE_MS));
    assert_true(rpc_server_wait(fixture->server, &context));
    context_clean_up(&context);
}

static void a_restarted_server_is_reached_again_soon(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    assert_int_equal(caller_call(&caller, fixture->client, &unary, weir_bytes_of_text("before")), WEIR_OK);
    rpc_server_destroy(fixture->server);
    caller_start(&caller, fixture->client, &unary, weir_bytes_of_text("after"), CALLER_PATIENCE_MS);
    usleep(300000); /* it finds nobody a few times */
    struct weir_error err = {0};
    fixture->server = new_server(fixture, fixture->target);
    assert_int_equal(rpc_server_start(fixture->server, &err), WEIR_OK);
    int64_t up = weir_now_ns();
    assert_int_equal(caller_end(&caller), WEIR_OK);
    int64_t took_ms = (weir_now_ns() - up) / WEIR_NS_PER_MS;
    assert_in_range(took_ms, 0, 600);
}

static void without_a_server_the_deadline_says_what_is_missing(void **state)
{
    struct fixture *fixture = *state;
    rpc_server_destroy(fixture->server);
    fixture->server = NULL;
    struct caller caller;
    caller_start(&caller, fixture->client, &unary, weir_bytes_of_text("anybody?"), 150);
    assert_int_equal(caller_end(&caller), WEIR_DEADLINE_EXCEEDED);
    char wanted[128];
    snprintf(wanted, sizeof wanted, "no connection to %s within the deadline", fixture->target);
    assert_string_equal(caller.text, wanted);
}

/* ---- A stop under load ---- */

static void stop_gently(struct rpc_server *server)
{
    struct weir_context context;
    context_init(&context, NULL, weir_deadline_in_ms(CALLER_PATIENCE_MS));
    rpc_server_quiesce(server);
    rpc_server_settle(server, &context);
    rpc_server_close(server);
    assert_true(rpc_server_wait(server, &context));
    context_clean_up(&context);
}

static void a_peer_that_does_not_answer_does_not_hold_the_stop(void **state)
{
    struct fixture *fixture = *state;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)rpc_server_port(fixture->server))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    /* RFC 9113, 3.4: the preface with its empty SETTINGS; then silence. */
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    assert_int_equal(write(fd, preface, sizeof preface - 1), sizeof preface - 1);
    char answer[64];
    assert_true(read(fd, answer, sizeof answer) > 0);
    int64_t began = weir_now_ns();
    stop_gently(fixture->server);
    assert_in_range((weir_now_ns() - began) / WEIR_NS_PER_MS, 0, 3000);
    close(fd);
}

struct load {
    struct fixture *fixture;
    atomic_bool stop;
    int statuses[17];
};

static void *keep_calling(void *arg)
{
    struct load *load = arg;
    struct caller *callers = memory_zalloc(64 * sizeof *callers);
    for (int i = 0; i < 64; i++)
        caller_start(&callers[i], load->fixture->client, &unary, weir_bytes_of_text("load"),
                     CALLER_PATIENCE_MS);
    for (int i = 0;; i = (i + 1) % 64) {
        load->statuses[caller_end(&callers[i])]++;
        callers[i].outgoing.method = NULL;
        if (atomic_load(&load->stop)) {
            for (int j = 0; j < 64; j++)
                if (callers[j].outgoing.method)
                    load->statuses[caller_end(&callers[j])]++;
            break;
        }
        caller_start(&callers[i], load->fixture->client, &unary, weir_bytes_of_text("load"),
                     CALLER_PATIENCE_MS);
    }
    free(callers);
    return NULL;
}

static void a_stop_under_load_loses_no_call(void **state)
{
    struct fixture *fixture = *state;
    struct load load = {.fixture = fixture};
    pthread_t caller;
    assert_int_equal(pthread_create(&caller, NULL, keep_calling, &load), 0);
    for (int round = 1; round <= 5; round++) {
        int before = atomic_load(&fixture->begun);
        await_count_at_least(&fixture->begun, before + 200);
        stop_gently(fixture->server);
        rpc_server_destroy(fixture->server);
        struct weir_error err = {0};
        fixture->server = new_server(fixture, fixture->target);
        assert_int_equal(rpc_server_start(fixture->server, &err), WEIR_OK);
    }
    atomic_store(&load.stop, true);
    pthread_join(caller, NULL);
    for (int status = 1; status <= 16; status++)
        assert_int_equal(load.statuses[status], 0);
    assert_int_equal(load.statuses[WEIR_OK], atomic_load(&fixture->begun)); /* each was served exactly once */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_unary_call_is_answered),
        TEST(an_empty_message_is_a_message),
        TEST(a_failure_comes_with_its_words),
        TEST(an_answer_may_come_later_from_another_thread),
        TEST(many_calls_at_once_are_all_answered),
        TEST(an_unknown_method_is_unimplemented),
        TEST(a_request_over_the_limit_is_resource_exhausted),
        TEST(metadata_over_the_limit_is_resource_exhausted),
        TEST(metadata_of_the_call_arrives),
        TEST(the_deadline_arrives_and_without_one_the_default_counts),
        TEST(a_passed_deadline_is_told_on_both_sides),
        TEST(a_cancelled_call_is_told_to_its_handler),
        TEST(a_call_without_time_is_not_sent),
        TEST(a_client_that_vanishes_cancels_its_calls),
        TEST(a_client_stream_is_answered_at_its_end),
        TEST(a_server_stream_gives_every_message),
        TEST(a_slow_reader_holds_the_sender_back),
        TEST(both_sides_talk_until_one_ends_it),
        TEST(what_is_asked_of_a_stream_that_is_done_does_nothing),
        TEST(a_message_over_the_limit_ends_the_stream),
        TEST(a_stream_is_told_that_the_server_drains),
        TEST(a_taken_port_is_an_error_that_names_it),
        TEST(a_unix_socket_serves_and_is_not_taken_from_its_server),
        TEST(a_cut_tells_every_handler_and_its_answer_still_arrives),
        TEST(a_restarted_server_is_reached_again_soon),
        TEST(without_a_server_the_deadline_says_what_is_missing),
        TEST(a_peer_that_does_not_answer_does_not_hold_the_stop),
        TEST(a_stop_under_load_loses_no_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
