/* Clients that mean no good: whatever they send, keep back or do not read, their connections end and others
 * are served. */
#include "test.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/clock.h>

#include "engines/exchange.h"
#include "raw_client.h"
#include "wait.h"

#define LARGE (8 << 20)
#define ROUNDS 200

struct server {
    struct http_engine *engine;
    int port;
    char *large;
    atomic_int heads, gone;
};

static void on_head(struct exchange *exchange, const struct http_head *head)
{
    struct server *server = exchange_server(exchange);
    static char is_large;
    atomic_fetch_add(&server->heads, 1);
    exchange_set_user(exchange, weir_bytes_equal_text(head->path, "/large") ? &is_large : NULL);
}

static void on_body(struct exchange *exchange, struct weir_bytes piece)
{
    (void)exchange;
    (void)piece;
}

static void keep(void *arg)
{
    (void)arg;
}

static void on_end(struct exchange *exchange)
{
    struct server *server = exchange_server(exchange);
    bool large = exchange_user(exchange) != NULL;
    exchange_answer(exchange, &(struct http_answer){.status = 200,
                                                    .body = weir_bytes(server->large, large ? LARGE : 4),
                                                    .body_free = keep});
}

static void on_gone(struct exchange *exchange, bool complete)
{
    (void)complete;
    struct server *server = exchange_server(exchange);
    atomic_fetch_add(&server->gone, 1);
}

static void write_problem(int status, const char *text, struct weir_buffer *ret_body)
{
    weir_buffer_printf(ret_body, "{\"status\":%d,\"detail\":\"%s\"}", status, text);
}

static int start(void **state)
{
    static const struct http_user_ops ops = {
        .head = on_head, .body = on_body, .end = on_end, .gone = on_gone};
    struct server *server = calloc(1, sizeof *server);
    struct weir_error err = {0};
    server->large = malloc(LARGE);
    memset(server->large, 'x', LARGE);
    server->engine = http_engine_new(&(struct http_engine_options){.listen = "127.0.0.1:0",
                                                                   .threads = 2,
                                                                   .head_timeout_ms = 150,
                                                                   .body_timeout_ms = 150,
                                                                   .idle_timeout_ms = 300,
                                                                   .body_bytes_max = 10000},
                                     &ops, write_problem, server);
    if (http_engine_start(server->engine, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    server->port = http_engine_port(server->engine);
    *state = server;
    return 0;
}

static int stop(void **state)
{
    struct server *server = *state;
    http_engine_destroy(server->engine);
    assert_int_equal(atomic_load(&server->heads), atomic_load(&server->gone));
    free(server->large);
    free(server);
    return 0;
}

static bool nothing_open(void *arg)
{
    const struct server *server = arg;
    return http_engine_connections(server->engine) == 0;
}

static void expect_served(struct server *server)
{
    struct raw_answer *answer = raw_ask(server->port, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_int_equal(answer->status, 200);
    assert_string_equal(answer->body, "xxxx");
    free(answer);
}

/* ---- Broken requests ---- */

static uint64_t seed;

static unsigned pick(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

static const char *const sound[] = {
    "GET /a?b=c HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789",
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nT: "
    "u\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20000\r\nExpect: 100-continue\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\nPOST / HTTP/1.1\r\nHost: "
    "h\r\nContent-Length: 1\r\n\r\nx",
};

/* A sound request with some bytes changed, left out, doubled or cut off. */
static size_t break_request(char *text, size_t room)
{
    const char *from = sound[pick(sizeof sound / sizeof sound[0])];
    static const char spite[] = "\r\n \t:\0;=%\x80\xff/0fG\x0b,";
    size_t size = strlen(from);
    assert_true(size + 64 < room);
    memcpy(text, from, size);
    for (unsigned change = pick(4); change > 0 && size > 1; change--) {
        size_t at = pick((unsigned)size);
        switch (pick(4)) {
        case 0:
            text[at] = spite[pick(sizeof spite - 1)];
            break;
        case 1:
            memmove(text + at, text + at + 1, --size - at);
            break;
        case 2:
            memmove(text + at + 1, text + at, size++ - at);
            break;
        default:
            size = at + 1;
        }
    }
    return size;
}

static void send_in_pieces(int fd, const char *text, size_t size)
{
    while (size > 0) {
        size_t piece = 1 + pick((unsigned)size);
        if (!raw_send_bytes(fd, text, piece))
            return;
        text += piece;
        size -= piece;
    }
}

static void leave(int fd)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    switch (pick(4)) {
    case 0:
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        break;
    case 1:
        shutdown(fd, SHUT_WR);
        assert_true(raw_closed(fd)); /* the server's turn to end it */
        break;
    case 2:
        assert_true(raw_closed(fd)); /* at one of its limits */
        break;
    default:
        break;
    }
    close(fd);
}

static void whatever_a_client_sends_its_connection_ends_and_others_are_served(void **state)
{
    struct server *server = *state;
    seed = 7;
    for (int round = 0; round < ROUNDS; round++) {
        char text[1024];
        size_t size = break_request(text, sizeof text);
        int fd = raw_connect(server->port);
        assert_true(fd >= 0);
        send_in_pieces(fd, text, size);
        leave(fd);
        if (round % 50 == 0)
            expect_served(server);
    }
    kit_wait(nothing_open, server);
    expect_served(server);
}

/* ---- Clients that do not read, and too many of them ---- */

static bool head_came(void *arg)
{
    struct server *server = arg;
    return atomic_load(&server->heads) > 0;
}

static void a_client_that_does_not_read_its_answer_is_cut(void **state)
{
    struct server *server = *state;
    int fd = raw_connect(server->port);
    int small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    raw_send(fd, "GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    kit_wait(head_came, server);
    kit_wait(nothing_open, server);
    close(fd);
}

static void out_of_descriptors_it_waits_and_goes_on(void **state)
{
    struct server *server = *state;
    expect_served(server);
    struct rlimit before, few;
    getrlimit(RLIMIT_NOFILE, &before);
    int highest = dup(0);
    close(highest);
    few = (struct rlimit){.rlim_cur = (rlim_t)highest + 6, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &few);
    int fds[16], count = 0; /* the clients are of this process, too: together they use up what there is */
    while (count < 16 && (fds[count] = raw_connect(server->port)) >= 0)
        count++;
    assert_in_range(count, 1, 15);
    setrlimit(RLIMIT_NOFILE, &before);
    for (int i = 0; i < count; i++) {
        raw_send(fds[i], "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        struct raw_answer *answer = raw_read(fds[i], false);
        assert_int_equal(answer->status, 200);
        free(answer);
        close(fds[i]);
    }
    kit_wait(nothing_open, server);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(whatever_a_client_sends_its_connection_ends_and_others_are_served),
        TEST(a_client_that_does_not_read_its_answer_is_cut),
        TEST(out_of_descriptors_it_waits_and_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
