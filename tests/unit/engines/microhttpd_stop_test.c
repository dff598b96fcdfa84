/* Stopping the engine on libmicrohttpd loses nothing: what was accepted is answered. */
#include "test.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/clock.h>

#include "core/context.h"
#include "core/listener.h"
#include "engines/exchange.h"
#include "raw_client.h"
#include "raw_load.h"
#include "wait.h"

#define CLIENTS 64
#define STOPS 6

/* Answers "/later" on a thread of its own, "/hold" never, everything else at once. */
struct server {
    struct http_engine *engine;
    int port;
    pthread_t worker;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct exchange *queue[CLIENTS * 2];
    int queued;
    bool leave;
    atomic_int complete, incomplete, held;
};

static void answer(struct exchange *exchange)
{
    exchange_answer(exchange, &(struct http_answer){.status = 200, .body = weir_bytes_of_text("done")});
}

static void on_head(struct exchange *exchange, const struct http_head *head)
{
    struct server *server = exchange_server(exchange);
    if (weir_bytes_equal_text(head->path, "/hold"))
        atomic_fetch_add(&server->held, 1);
}

static void on_body(struct exchange *exchange, struct weir_bytes piece)
{
    (void)exchange;
    (void)piece;
}

static bool path_is(const struct exchange *exchange, const char *path)
{
    return weir_bytes_equal_text(exchange_header(exchange, "x-path"), path);
}

static void on_end(struct exchange *exchange)
{
    struct server *server = exchange_server(exchange);
    if (path_is(exchange, "later")) {
        exchange_hold(exchange);
        pthread_mutex_lock(&server->lock);
        server->queue[server->queued++] = exchange;
        pthread_cond_signal(&server->more);
        pthread_mutex_unlock(&server->lock);
    } else if (!path_is(exchange, "hold")) {
        answer(exchange);
    }
}

static void on_gone(struct exchange *exchange, bool complete)
{
    struct server *server = exchange_server(exchange);
    atomic_fetch_add(complete ? &server->complete : &server->incomplete, 1);
}

static void *work(void *arg)
{
    struct server *server = arg;
    pthread_mutex_lock(&server->lock);
    for (;;) {
        while (server->queued == 0 && !server->leave)
            pthread_cond_wait(&server->more, &server->lock);
        if (server->queued == 0)
            break;
        struct exchange *exchange = server->queue[--server->queued];
        pthread_mutex_unlock(&server->lock);
        answer(exchange);
        exchange_drop(exchange);
        pthread_mutex_lock(&server->lock);
    }
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

static void write_problem(int status, const char *text, struct weir_buffer *ret_body)
{
    weir_buffer_printf(ret_body, "{\"status\":%d,\"detail\":\"%s\"}", status, text);
}

static struct server *server_start(void)
{
    static const struct http_user_ops ops = {
        .head = on_head, .body = on_body, .end = on_end, .gone = on_gone};
    struct server *server = calloc(1, sizeof *server);
    struct weir_error err = {0};
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->more, NULL);
    server->engine = http_engine_new(&(struct http_engine_options){.listen = "127.0.0.1:0", .threads = 2},
                                     &ops, write_problem, server);
    if (http_engine_start(server->engine, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    server->port = http_engine_port(server->engine);
    pthread_create(&server->worker, NULL, work, server);
    return server;
}

static bool server_drain(struct server *server, int64_t ms)
{
    struct weir_context context;
    context_init(&context, NULL, weir_deadline_in_ms(ms));
    bool drained = http_engine_drain(server->engine, &context);
    context_clean_up(&context);
    return drained;
}

static void server_destroy(struct server *server)
{
    http_engine_destroy(server->engine);
    pthread_mutex_lock(&server->lock);
    server->leave = true;
    pthread_cond_signal(&server->more);
    pthread_mutex_unlock(&server->lock);
    pthread_join(server->worker, NULL);
    pthread_mutex_destroy(&server->lock);
    pthread_cond_destroy(&server->more);
    free(server);
}

/* ---- Under load ---- */

static const char *const requests[] = {
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /later HTTP/1.1\r\nHost: h\r\nX-Path: later\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    NULL,
};

static void stop_under_load(void)
{
    for (int stop = 0; stop < STOPS; stop++) {
        struct server *server = server_start();
        struct raw_load *load = raw_load_begin(server->port, CLIENTS, requests);
        raw_load_wait(load, 2000);

        http_engine_announce(server->engine);
        assert_int_equal(http_engine_quiesce(server->engine, NULL), WEIR_OK);
        assert_true(server_drain(server, 10000));

        struct raw_load_sum sum = raw_load_end(load);
        assert_int_equal(sum.lost, 0);
        assert_int_equal(atomic_load(&server->complete), sum.answered);
        assert_int_equal(atomic_load(&server->incomplete), 0);
        server_destroy(server);
    }
}

static void a_stop_under_load_loses_nothing(void **state)
{
    (void)state;
    stop_under_load();
}

static void without_the_right_to_filter_a_stop_under_load_loses_nothing(void **state)
{
    (void)state;
    atomic_store(&listener_may_filter, false);
    stop_under_load();
    atomic_store(&listener_may_filter, true);
}

/* ---- Single steps ---- */

static void answers_close_their_connection_once_it_is_announced(void **state)
{
    (void)state;
    struct server *server = server_start();
    int fd = raw_connect(server->port);
    raw_send(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    struct raw_answer *before = raw_read(fd, false);
    http_engine_announce(server->engine);
    raw_send(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    struct raw_answer *after = raw_read(fd, false);

    assert_int_equal(before->status, 200);
    assert_null(raw_header(before, "connection"));
    assert_int_equal(after->status, 200);
    assert_string_equal(raw_header(after, "connection"), "close");
    assert_true(raw_closed(fd));
    free(before);
    free(after);
    close(fd);
    server_destroy(server);
}

static void new_connections_are_served_during_the_announcement_and_refused_after_it(void **state)
{
    (void)state;
    struct server *server = server_start();
    http_engine_announce(server->engine);
    struct raw_answer *during = raw_ask(server->port, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(during->status, 200);
    free(during);
    http_engine_quiesce(server->engine, NULL);
    assert_int_equal(raw_connect(server->port), -1);
    server_destroy(server);
}

static bool one_open(void *arg)
{
    return http_engine_connections(((struct server *)arg)->engine) == 1;
}

static void an_idle_connection_may_still_ask_within_the_grace_and_is_then_closed(void **state)
{
    (void)state;
    struct server *server = server_start();
    int asks = raw_connect(server->port);
    http_engine_quiesce(server->engine, NULL);
    kit_wait(one_open, server);
    assert_false(server_drain(server, 50));
    raw_send(asks, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    struct raw_answer *answered = raw_read(asks, false);
    assert_int_equal(answered->status, 200);
    assert_string_equal(raw_header(answered, "connection"), "close");
    free(answered);
    close(asks);
    server_destroy(server);

    server = server_start();
    int idle = raw_connect(server->port);
    kit_wait(one_open, server);
    http_engine_quiesce(server->engine, NULL);
    int64_t begun_ns = weir_now_ns();
    assert_true(server_drain(server, 5000));
    assert_in_range((weir_now_ns() - begun_ns) / WEIR_NS_PER_MS, 900, 2000);
    assert_true(raw_closed(idle));
    close(idle);
    server_destroy(server);
}

static void a_client_that_drips_its_request_does_not_hold_the_stop(void **state)
{
    (void)state;
    struct server *server = server_start();
    const char *const begun[] = {"GET / HTTP/1.1\r\nHo",
                                 "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe"};
    int clients[] = {raw_connect(server->port), raw_connect(server->port)};
    for (int i = 0; i < 2; i++)
        raw_send(clients[i], begun[i]);
    http_engine_quiesce(server->engine, NULL);
    int64_t begun_ns = weir_now_ns();
    assert_true(server_drain(server, 20000));
    assert_in_range((weir_now_ns() - begun_ns) / WEIR_NS_PER_MS, 4000, 8000);
    for (int i = 0; i < 2; i++) {
        struct raw_answer *refused = raw_read(clients[i], false);
        assert_int_equal(refused->status, 408);
        free(refused);
        close(clients[i]);
    }
    server_destroy(server);
}

static void without_a_connection_it_stops_at_once(void **state)
{
    (void)state;
    struct server *server = server_start();
    int64_t begun_ns = weir_now_ns();
    http_engine_quiesce(server->engine, NULL);
    assert_true(server_drain(server, 5000));
    server_destroy(server);
    assert_in_range((weir_now_ns() - begun_ns) / WEIR_NS_PER_MS, 0, 40);
}

static bool one_held(void *arg)
{
    return atomic_load(&((struct server *)arg)->held) == 1;
}

static void what_is_unanswered_when_it_is_cut_gets_503(void **state)
{
    (void)state;
    struct server *server = server_start();
    int fd = raw_connect(server->port);
    raw_send(fd, "GET /hold HTTP/1.1\r\nHost: h\r\nX-Path: hold\r\n\r\n");
    kit_wait(one_held, server);
    http_engine_quiesce(server->engine, NULL);
    assert_false(server_drain(server, 20));
    http_engine_cut(server->engine);

    assert_int_equal(http_engine_connections(server->engine), 0);
    struct raw_answer *cut = raw_read(fd, false);
    assert_int_equal(cut->status, 503);
    assert_string_equal(raw_header(cut, "connection"), "close");
    assert_true(raw_closed(fd));
    free(cut);
    close(fd);
    server_destroy(server);
}

static void what_does_not_even_ask_is_closed_by_the_cut(void **state)
{
    (void)state;
    struct server *server = server_start();
    int idle = raw_connect(server->port), half = raw_connect(server->port);
    raw_send(half, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe");
    http_engine_quiesce(server->engine, NULL);
    http_engine_cut(server->engine);
    assert_int_equal(http_engine_connections(server->engine), 0);
    assert_true(raw_closed(idle));
    assert_true(raw_closed(half));
    close(idle);
    close(half);
    server_destroy(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_under_load_loses_nothing),
        cmocka_unit_test(without_the_right_to_filter_a_stop_under_load_loses_nothing),
        cmocka_unit_test(answers_close_their_connection_once_it_is_announced),
        cmocka_unit_test(new_connections_are_served_during_the_announcement_and_refused_after_it),
        cmocka_unit_test(an_idle_connection_may_still_ask_within_the_grace_and_is_then_closed),
        cmocka_unit_test(a_client_that_drips_its_request_does_not_hold_the_stop),
        cmocka_unit_test(without_a_connection_it_stops_at_once),
        cmocka_unit_test(what_is_unanswered_when_it_is_cut_gets_503),
        cmocka_unit_test(what_does_not_even_ask_is_closed_by_the_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
