/* How the gRPC engine starts and stops. */
#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/clock.h>

#include "core/listener.h"
#include "core/memory.h"
#include "engines/grpc_core/server.h"
#include "raw_client.h"
#include "raw_http2.h"
#include "rpc_kit.h"
#include "wait.h"

static int port_of(const struct fixture *fixture)
{
    return rpc_server_port(fixture->server);
}

static void start_again(struct fixture *fixture)
{
    struct weir_error err = {0};
    fixture->server = new_server(fixture, fixture->target);
    assert_int_equal(rpc_server_start(fixture->server, &err), WEIR_OK);
}

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

static int64_t ms_of_a_stop(struct fixture *fixture)
{
    int64_t began = weir_now_ns();
    stop_gently(fixture->server);
    return (weir_now_ns() - began) / WEIR_NS_PER_MS;
}

/* ---- Start ---- */

static void a_taken_port_is_an_error_that_names_it(void **state)
{
    struct fixture *fixture = *state;
    struct rpc_server *second = new_server(fixture, fixture->target);
    struct weir_error err = {0};
    assert_int_equal(rpc_server_start(second, &err), WEIR_UNAVAILABLE);
    char wanted[256];
    snprintf(
        wanted, sizeof wanted,
        "cannot listen on %s: port %d is taken by process %d (rpc_stop_test); stop it, or set `listen` to "
        "another port",
        fixture->target, port_of(fixture), (int)getpid());
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

static int listen_at(const char *target)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)atoi(strchr(target, ':') + 1))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static void a_restarted_server_is_reached_again_soon(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    assert_int_equal(caller_call(&caller, fixture->client, &unary, weir_bytes_of_text("before")), WEIR_OK);
    rpc_server_destroy(fixture->server);
    int nobody = listen_at(fixture->target);
    caller_start(&caller, fixture->client, &unary, weir_bytes_of_text("after"), CALLER_PATIENCE_MS);
    for (int attempts = 0; attempts < 3; attempts++)
        close(accept(nobody, NULL, NULL));
    close(nobody);
    start_again(fixture);
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

/* ---- Connections ---- */

struct counting {
    struct rpc_server *server;
    int64_t wanted;
};

static bool has_connections(void *arg)
{
    const struct counting *counting = arg;
    return rpc_server_connections(counting->server) == counting->wanted;
}

static void await_connections(struct fixture *fixture, int64_t wanted)
{
    kit_wait(has_connections, &(struct counting){fixture->server, wanted});
}

static void connections_are_counted_while_they_are_open(void **state)
{
    struct fixture *fixture = *state;
    struct caller caller;
    assert_int_equal(rpc_server_connections(fixture->server), 0);
    assert_int_equal(caller_call(&caller, fixture->client, &unary, weir_bytes_of_text("hello")), WEIR_OK);
    assert_int_equal(rpc_server_connections(fixture->server), 1);
    int silent = raw_connect(port_of(fixture)), speaks = raw_connect(port_of(fixture));
    assert_true(http2_ask(speaks, "/test.Test/Unary", "hello"));
    assert_int_equal(http2_answer(speaks), WEIR_OK);
    await_connections(fixture, 3);
    close(silent);
    await_connections(fixture, 2);
    close(speaks);
    await_connections(fixture, 1);
    rpc_client_destroy(fixture->client);
    fixture->client = NULL;
    await_connections(fixture, 0);
}

static void a_connection_is_open_until_its_last_call_has_ended(void **state)
{
    struct fixture *fixture = *state;
    int fd = raw_connect(port_of(fixture));
    assert_true(http2_ask(fd, "/test.Test/Unary", "hold"));
    await_count(&fixture->begun, 1);
    assert_int_equal(rpc_server_connections(fixture->server), 1);
    close(fd);
    await_count(&fixture->gone, 1);
    await_connections(fixture, 0);
}

static void what_is_no_http2_is_closed(void **state)
{
    struct fixture *fixture = *state;
    int fd = raw_connect(port_of(fixture));
    assert_true(raw_send(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_true(raw_closed(fd));
    close(fd);
    await_connections(fixture, 0);
}

static void more_connections_than_it_accepts_are_refused(void **state)
{
    struct fixture *fixture = *state;
    rpc_server_destroy(fixture->server);
    fixture->server = new_server_with(fixture, fixture->target, 2);
    struct weir_error err = {0};
    assert_int_equal(rpc_server_start(fixture->server, &err), WEIR_OK);
    int taken[2];
    for (int i = 0; i < 2; i++) {
        taken[i] = raw_connect(port_of(fixture));
        assert_true(http2_ask(taken[i], "/test.Test/Unary", "hello"));
        assert_int_equal(http2_answer(taken[i]), WEIR_OK);
    }
    int refused = raw_connect(port_of(fixture));
    assert_true(raw_closed(refused));
    close(refused);
    assert_int_equal(atomic_load(&fixture->begun), 2);

    close(taken[0]);
    await_connections(fixture, 1);
    int next = raw_connect(port_of(fixture));
    assert_true(http2_ask(next, "/test.Test/Unary", "hello"));
    assert_int_equal(http2_answer(next), WEIR_OK);
    close(next);
    close(taken[1]);
}

static bool was_refused(void *arg)
{
    return atomic_load(&((struct fixture *)arg)->server->intake.refused) > 0;
}

static void a_client_that_was_refused_tries_again_until_there_is_room(void **state)
{
    struct fixture *fixture = *state;
    rpc_server_destroy(fixture->server);
    fixture->server = new_server_with(fixture, fixture->target, 1);
    struct weir_error err = {0};
    assert_int_equal(rpc_server_start(fixture->server, &err), WEIR_OK);
    int taken = raw_connect(port_of(fixture));
    assert_true(http2_ask(taken, "/test.Test/Unary", "hello"));
    assert_int_equal(http2_answer(taken), WEIR_OK);

    struct caller caller;
    caller_start(&caller, fixture->client, &unary, weir_bytes_of_text("hello"), CALLER_PATIENCE_MS);
    kit_wait(was_refused, fixture);
    assert_false(caller.done);
    close(taken);
    assert_int_equal(caller_end(&caller), WEIR_OK);
}

/* ---- Stop ---- */

static void a_stop_without_connections_waits_for_nothing(void **state)
{
    struct fixture *fixture = *state;
    int64_t least = INT64_MAX;
    for (int round = 0; round < 5; round++) {
        int64_t took = ms_of_a_stop(fixture);
        least = took < least ? took : least;
        rpc_server_destroy(fixture->server);
        start_again(fixture);
    }
    assert_in_range(least, 0, 40);
}

static void a_stop_with_quiet_clients_waits_until_they_have_left_and_no_longer(void **state)
{
    struct fixture *fixture = *state;
    int64_t least = INT64_MAX;
    for (int round = 0; round < 5; round++) {
        struct caller caller;
        assert_int_equal(caller_call(&caller, fixture->client, &unary, weir_bytes_of_text("hello")), WEIR_OK);
        int64_t took = ms_of_a_stop(fixture);
        least = took < least ? took : least;
        rpc_server_destroy(fixture->server);
        start_again(fixture);
    }
    assert_in_range(least, LISTENER_SETTLE_MS, LISTENER_SETTLE_MS + 40);
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

static void a_stream_whose_end_its_client_did_not_take_is_told_apart(void **state)
{
    struct fixture *fixture = *state;
    struct caller read, unread;
    caller_start(&read, fixture->client, &chat, (struct weir_bytes){0}, CALLER_PATIENCE_MS);
    caller_send(&read, "end");
    rpc_client_read(&read.outgoing);
    assert_int_equal(caller_end(&read), WEIR_ABORTED);
    await_count(&fixture->gone, 1);
    assert_int_equal(atomic_load(&fixture->dropped), 0);

    char kilobyte[1025] = {0};
    memset(kilobyte, 'x', sizeof kilobyte - 1);
    caller_start(&unread, fixture->client, &chat, (struct weir_bytes){0}, CALLER_PATIENCE_MS);
    for (int i = 0; i < 200; i++) /* more than the window takes */
        caller_send(&unread, kilobyte);
    caller_send(&unread, "end");
    await_count(&fixture->taken, 1 + 201);
    rpc_server_quiesce(fixture->server);
    rpc_server_close(fixture->server);
    rpc_server_abort(fixture->server);
    await_count(&fixture->gone, 2);
    assert_int_equal(atomic_load(&fixture->dropped), 1);
    rpc_client_read(&unread.outgoing);
    assert_int_not_equal(caller_end(&unread), WEIR_ABORTED);
}

static void a_peer_that_does_not_answer_does_not_hold_the_stop(void **state)
{
    struct fixture *fixture = *state;
    int fd = raw_connect(port_of(fixture));
    assert_true(raw_send_bytes(fd, http2_hello, HTTP2_HELLO_SIZE)); /* and then silence */
    char answer[64];
    assert_true(read(fd, answer, sizeof answer) > 0);
    assert_in_range(ms_of_a_stop(fixture), 0, 3000);
    close(fd);
}

/* ---- Under load ---- */

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
        start_again(fixture);
    }
    atomic_store(&load.stop, true);
    pthread_join(caller, NULL);
    for (int status = 1; status <= 16; status++)
        assert_int_equal(load.statuses[status], 0);
    assert_int_equal(load.statuses[WEIR_OK], atomic_load(&fixture->begun)); /* each was served exactly once */
}

/* Who has a connection, and asked on it, has its answer; nobody else has one. */
struct newcomers {
    int port;
    atomic_int answered, lost;
};

static void *keep_connecting(void *arg)
{
    struct newcomers *newcomers = arg;
    for (;;) {
        int fd = raw_connect(newcomers->port);
        if (fd < 0)
            return NULL; /* refused: it has stopped */
        bool answered = http2_ask(fd, "/test.Test/Unary", "hello") && http2_answer(fd) == WEIR_OK;
        atomic_fetch_add(answered ? &newcomers->answered : &newcomers->lost, 1);
        close(fd);
    }
}

static void stop_while_clients_open_new_connections(struct fixture *fixture)
{
    enum { THREADS = 8, ROUNDS = 3 };
    for (int round = 0; round < ROUNDS; round++) {
        struct newcomers newcomers = {.port = port_of(fixture)};
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, keep_connecting, &newcomers), 0);
        await_count_at_least(&newcomers.answered, 200);
        stop_gently(fixture->server);
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(atomic_load(&newcomers.lost), 0);
        rpc_server_destroy(fixture->server);
        start_again(fixture);
    }
}

static void a_stop_answers_clients_that_keep_opening_new_connections(void **state)
{
    stop_while_clients_open_new_connections(*state);
}

static void without_the_right_to_filter_a_stop_answers_them_too(void **state)
{
    atomic_store(&listener_may_filter, false);
    stop_while_clients_open_new_connections(*state);
    atomic_store(&listener_may_filter, true);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_taken_port_is_an_error_that_names_it),
        TEST(a_unix_socket_serves_and_is_not_taken_from_its_server),
        TEST(a_restarted_server_is_reached_again_soon),
        TEST(without_a_server_the_deadline_says_what_is_missing),
        TEST(connections_are_counted_while_they_are_open),
        TEST(a_connection_is_open_until_its_last_call_has_ended),
        TEST(what_is_no_http2_is_closed),
        TEST(more_connections_than_it_accepts_are_refused),
        TEST(a_client_that_was_refused_tries_again_until_there_is_room),
        TEST(a_stop_without_connections_waits_for_nothing),
        TEST(a_stop_with_quiet_clients_waits_until_they_have_left_and_no_longer),
        TEST(a_cut_tells_every_handler_and_its_answer_still_arrives),
        TEST(a_stream_whose_end_its_client_did_not_take_is_told_apart),
        TEST(a_peer_that_does_not_answer_does_not_hold_the_stop),
        TEST(a_stop_under_load_loses_no_call),
        TEST(a_stop_answers_clients_that_keep_opening_new_connections),
        TEST(without_the_right_to_filter_a_stop_answers_them_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
