/* The engine on libmicrohttpd: exchanges, limits, half-closed clients, strictness. Its stop is in
 * microhttpd_stop_test.c. */
#include "test.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/clock.h>

#include "core/context.h"
#include "engines/exchange.h"
#include "raw_client.h"
#include "wait.h"

/* "/hold" is answered by the test, "/reject" in its head, everything else with its method, target and body.
 */
struct fixture {
    struct http_engine *engine;
    int port;
    pthread_mutex_t lock;
    struct exchange *held;
    atomic_int heads, gone, incomplete, left, expired;
};

struct request {
    struct weir_buffer text;
    bool hold;
};

static void answer_text(struct exchange *exchange, int status, const char *text)
{
    exchange_answer(exchange, &(struct http_answer){.status = status, .body = weir_bytes_of_text(text)});
}

static void on_head(struct exchange *exchange, const struct http_head *head)
{
    struct fixture *f = exchange_server(exchange);
    atomic_fetch_add(&f->heads, 1);
    if (weir_bytes_equal_text(head->path, "/reject")) {
        answer_text(exchange, 403, "no");
        return;
    }
    struct request *request = calloc(1, sizeof *request);
    request->hold =
        weir_bytes_equal_text(head->path, "/hold") || weir_bytes_equal_text(head->path, "/expire");
    if (weir_bytes_equal_text(head->path, "/expire"))
        exchange_set_deadline(exchange, weir_deadline_in_ms(20));
    weir_buffer_printf(&request->text, "%.*s %.*s|%.*s|", (int)head->method.size,
                       (const char *)head->method.data, (int)head->path.size, (const char *)head->path.data,
                       (int)head->query.size, (const char *)head->query.data);
    exchange_set_user(exchange, request);
}

static void on_body(struct exchange *exchange, struct weir_bytes piece)
{
    struct request *request = exchange_user(exchange);
    weir_buffer_append(&request->text, piece.data, piece.size);
}

static void on_end(struct exchange *exchange)
{
    struct fixture *f = exchange_server(exchange);
    struct request *request = exchange_user(exchange);
    if (!request->hold) {
        answer_text(exchange, 200, weir_buffer_text(&request->text));
        return;
    }
    exchange_hold(exchange);
    pthread_mutex_lock(&f->lock);
    f->held = exchange;
    pthread_mutex_unlock(&f->lock);
}

static void on_left(struct exchange *exchange)
{
    struct fixture *f = exchange_server(exchange);
    atomic_fetch_add(&f->left, 1);
}

static void on_expired(struct exchange *exchange)
{
    struct fixture *f = exchange_server(exchange);
    atomic_fetch_add(&f->expired, 1);
    answer_text(exchange, 504, "too late");
}

static void on_gone(struct exchange *exchange, bool complete)
{
    struct fixture *f = exchange_server(exchange);
    struct request *request = exchange_user(exchange);
    if (request) {
        weir_buffer_free(&request->text);
        free(request);
    }
    atomic_fetch_add(complete ? &f->gone : &f->incomplete, 1);
}

static const struct http_user_ops ops = {
    .head = on_head, .body = on_body, .end = on_end, .left = on_left, .expired = on_expired, .gone = on_gone};

static void write_problem(int status, const char *text, struct weir_buffer *ret_body)
{
    weir_buffer_printf(ret_body, "{\"status\":%d,\"detail\":\"%s\"}", status, text);
}

static int start(void **state)
{
    const struct http_engine_options options = {.listen = "127.0.0.1:0",
                                                .threads = 2,
                                                .head_timeout_ms = 200,
                                                .body_timeout_ms = 300,
                                                .idle_timeout_ms = 400,
                                                .body_bytes_max = 100000,
                                                .connections_max = 20};
    struct fixture *f = calloc(1, sizeof *f);
    struct weir_error err = {0};
    pthread_mutex_init(&f->lock, NULL);
    f->engine = http_engine_new(&options, &ops, write_problem, f);
    if (http_engine_start(f->engine, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    f->port = http_engine_port(f->engine);
    *state = f;
    return 0;
}

static int stop(void **state)
{
    struct fixture *f = *state;
    if (f->held)
        exchange_drop(f->held);
    http_engine_destroy(f->engine);
    assert_int_equal(atomic_load(&f->heads), atomic_load(&f->gone) + atomic_load(&f->incomplete));
    pthread_mutex_destroy(&f->lock);
    free(f);
    return 0;
}

static bool has_held(void *arg)
{
    struct fixture *f = arg;
    pthread_mutex_lock(&f->lock);
    bool held = f->held != NULL;
    pthread_mutex_unlock(&f->lock);
    return held;
}

static bool nothing_open(void *arg)
{
    struct fixture *f = arg;
    return http_engine_connections(f->engine) == 0;
}

static void expect_body(struct raw_answer *answer, int status, const char *body)
{
    assert_int_equal(answer->status, status);
    assert_string_equal(answer->body, body);
    free(answer);
}

static void expect_status(struct raw_answer *answer, int status)
{
    if (answer->status != status)
        fail_msg("status %d, not %d: %s%s", answer->status, status, answer->head, answer->body);
    free(answer);
}

static void requests_follow_each_other_on_a_connection(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f->port);

    raw_send(fd, "GET /a?x=1 HTTP/1.1\r\nHost: h\r\n\r\n");
    struct raw_answer *answer = raw_read(fd, false);
    assert_non_null(raw_header(answer, "date"));
    assert_null(raw_header(answer, "connection"));
    expect_body(answer, 200, "GET /a|x=1|");

    raw_send(fd, "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    expect_body(raw_read(fd, false), 200, "POST /b||hello");
    raw_send(
        fd,
        "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n");
    expect_body(raw_read(fd, false), 200, "POST /c||hello");
    raw_send(fd, "HEAD /d HTTP/1.1\r\nHost: h\r\n\r\n");
    answer = raw_read(fd, true);
    assert_string_equal(raw_header(answer, "content-length"), "9");
    expect_body(answer, 200, "");
    raw_send(fd, "GET /e%2Ff%00 HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_body(raw_read(fd, false), 200, "GET /e%2Ff%00||");
    close(fd);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f->port);
    struct weir_buffer all = {0};
    for (int i = 0; i < 50; i++)
        weir_buffer_printf(&all, "GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i);
    raw_send_bytes(fd, all.data, all.size);
    for (int i = 0; i < 50; i++) {
        char expected[32];
        snprintf(expected, sizeof expected, "GET /%d||", i);
        expect_body(raw_read(fd, false), 200, expected);
    }
    weir_buffer_free(&all);
    close(fd);
}

static void an_answer_may_come_from_another_thread(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f->port);
    raw_send(fd, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    kit_wait(has_held, f);
    assert_true(
        exchange_answer(f->held, &(struct http_answer){.status = 202, .body = weir_bytes_of_text("later")}));
    assert_false(exchange_answer(f->held, &(struct http_answer){.status = 200}));
    expect_body(raw_read(fd, false), 202, "later");
    raw_send(fd, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_body(raw_read(fd, false), 200, "GET /next||");
    close(fd);
}

static void a_deadline_is_told_and_may_answer(void **state)
{
    struct fixture *f = *state;
    expect_body(raw_ask(f->port, "GET /expire HTTP/1.1\r\nHost: h\r\n\r\n"), 504, "too late");
    assert_int_equal(atomic_load(&f->expired), 1);
    assert_false(exchange_answer(f->held, &(struct http_answer){.status = 200}));
}

/* What breaks a rule, and its answer. */
static const struct {
    const char *request;
    int status;
} refusals[] = {
    {"GET / HTTP/1.1\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 400},
    {"GET / HTTP/1.1\nHost: h\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: h\r\nX: y\r\n folded\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: h\r\n: y\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400},
    {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
     "chunked\r\n\r\n0\r\n\r\n",
     400},
    {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100001\r\n\r\n", 413},
    {"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
    {"GET a HTTP/1.1\r\nHost: h\r\n\r\n", 400},
    {"GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
    {"G(T / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: h\r\nExpect: tea\r\n\r\n", 417},
    {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
};

static void a_request_that_breaks_a_rule_is_refused_with_a_status_and_a_problem(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        int fd = raw_connect(f->port);
        raw_send(fd, refusals[i].request);
        struct raw_answer *answer = raw_read(fd, false);
        if (answer->status != refusals[i].status)
            fail_msg("%s: %d, not %d: %s", refusals[i].request, answer->status, refusals[i].status,
                     answer->body);
        assert_true(raw_closed(fd));
        close(fd);
        free(answer);
    }
    assert_int_equal(atomic_load(&f->heads), 0);
}

static void a_zero_in_a_header_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char request[] = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\0 0\r\n\r\nhello";
    int fd = raw_connect(f->port);
    raw_send_bytes(fd, request, sizeof request - 1);
    expect_status(raw_read(fd, false), 400);
    close(fd);
}

static void old_and_unusual_but_right_requests_are_served(void **state)
{
    struct fixture *f = *state;
    expect_body(raw_ask(f->port, "GET /a HTTP/1.0\r\n\r\n"), 200, "GET /a||");
    expect_body(raw_ask(f->port, "GET http://h:1/a?b HTTP/1.1\r\nHost: h\r\n\r\n"), 200, "GET /a|b|");
    expect_body(raw_ask(f->port, "GET http://h HTTP/1.1\r\nHost: h\r\n\r\n"), 200, "GET /||");
    expect_body(raw_ask(f->port, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"), 200, "OPTIONS *||");
    expect_body(raw_ask(f->port, "GET /?a=1&b=%3D&c HTTP/1.1\r\nHost:h\r\nX:\r\nY: \t z \r\n\r\n"), 200,
                "GET /|a=1&b=%3D&c|");
    int fd = raw_connect(f->port);
    raw_send(fd, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    expect_status(raw_read(fd, false), 100);
    raw_send(fd, "ok");
    expect_body(raw_read(fd, false), 200, "POST /||ok");
    close(fd);
}

static char *large_request(size_t target, size_t header)
{
    char *text = malloc(target + header + 100);
    char *at = text + sprintf(text, "GET /");
    memset(at, 'a', target);
    at += target;
    at += sprintf(at, " HTTP/1.1\r\nHost: h\r\nX: ");
    memset(at, 'b', header);
    at += header;
    strcpy(at, "\r\n\r\n");
    return text;
}

static void heads_have_limits(void **state)
{
    struct fixture *f = *state;
    static const struct {
        size_t target, header;
        int status;
    } cases[] = {{7000, 10, 200},  {10, 8000, 200},  {8300, 10, 414},  {10, 8300, 431},
                 {30000, 10, 414}, {10, 30000, 431}, {5000, 5000, 431}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *request = large_request(cases[i].target, cases[i].header);
        expect_status(raw_ask(f->port, request), cases[i].status);
        free(request);
    }
}

static void a_body_that_grows_past_its_limit_is_refused_and_the_answer_is_not_lost(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f->port);
    raw_send(fd, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    char chunk[10010];
    memset(chunk, 'x', sizeof chunk);
    memcpy(chunk, "2710\r\n", 6); /* 10,000 */
    memcpy(chunk + 10006, "\r\n", 2);
    for (int i = 0; i < 100; i++)
        assert_true(raw_send_bytes(fd, chunk, 10008));
    expect_status(raw_read(fd, false), 413);
    close(fd);
}

static void a_rejection_of_a_large_upload_is_not_lost(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f->port);
    char *body = calloc(1, 99000);
    raw_send(fd, "POST /reject HTTP/1.1\r\nHost: h\r\nContent-Length: 99000\r\n\r\n");
    assert_true(raw_send_bytes(fd, body, 99000));
    expect_body(raw_read(fd, false), 403, "no");
    assert_true(raw_closed(fd));
    free(body);
    close(fd);
}

static void a_rejection_keeps_the_connection_where_the_body_is_small(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f->port);
    raw_send(fd, "POST /reject HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET /reject "
                 "HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_body(raw_read(fd, false), 403, "no");
    expect_body(raw_read(fd, false), 403, "no");
    raw_send(fd, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_body(raw_read(fd, false), 200, "GET /a||");
    close(fd);
}

static void a_head_that_drips_is_cut_at_its_deadline(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f->port);
    int64_t begun_ns = weir_now_ns();
    static const char head[] = "GET / HTTP/1.1\r\nHost: h\r\nX: this will never be complete";
    size_t at = 0;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (at < sizeof head - 1 && poll(&wait, 1, 10) == 0)
        raw_send_bytes(fd, head + at++, 1);
    expect_status(raw_read(fd, false), 408);
    assert_in_range((weir_now_ns() - begun_ns) / WEIR_NS_PER_MS, 190, 2000);
    close(fd);
}

static void a_body_that_drips_is_cut_at_its_deadline(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f->port);
    raw_send(fd, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    for (int i = 0; i < 900 && poll(&wait, 1, 10) == 0; i++)
        raw_send(fd, "x");
    expect_status(raw_read(fd, false), 408);
    close(fd);
}

static void an_idle_connection_is_closed_without_a_word(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f->port);
    expect_status(raw_read(fd, false), 0);
    close(fd);
    kit_wait(nothing_open, f);
}

static bool has_head(void *arg)
{
    struct fixture *f = arg;
    return atomic_load(&f->heads) > 0;
}

static void a_megabyte_of_chunk_extension_does_not_keep_a_loop_busy(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f->port);
    raw_send(fd, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;x=");
    char *extension = malloc(1 << 20);
    memset(extension, 'x', 1 << 20);
    raw_send_bytes(fd, extension, 1 << 20); /* may be cut short by the close */
    free(extension);
    kit_wait(has_head, f); /* the kernel takes all of it before anybody accepts */
    kit_wait(nothing_open, f);
    close(fd);
}

static void a_half_closed_client_gets_its_answers(void **state)
{
    struct fixture *f = *state;
    static const char *const requests[] = {
        "GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    };
    static const int answers[] = {1, 2, 1};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        int fd = raw_connect(f->port);
        raw_send(fd, requests[i]);
        shutdown(fd, SHUT_WR);
        for (int n = 0; n < answers[i]; n++)
            expect_status(raw_read(fd, false), 200);
        assert_true(raw_closed(fd));
        close(fd);
    }
    kit_wait(nothing_open, f);
}

static void a_half_closed_client_without_a_whole_request_is_closed(void **state)
{
    struct fixture *f = *state;
    static const char *const requests[] = {
        "", "GET /a HT", "GET /a HTTP/1.1\r\nHost: h\r\n",
        "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel",
        "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        int fd = raw_connect(f->port);
        raw_send(fd, requests[i]);
        shutdown(fd, SHUT_WR);
        int64_t begun_ns = weir_now_ns();
        assert_true(raw_closed(fd));
        assert_in_range((weir_now_ns() - begun_ns) / WEIR_NS_PER_MS, 0, 150); /* not by a time limit */
        close(fd);
    }
    kit_wait(nothing_open, f);
}

static bool has_incomplete(void *arg)
{
    struct fixture *f = arg;
    return atomic_load(&f->incomplete) == 1;
}

static void a_client_that_leaves_while_it_waits_is_noticed(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f->port);
    raw_send(fd, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    kit_wait(has_held, f);
    close(fd);
    kit_wait(has_incomplete, f);
    assert_false(exchange_answer(f->held, &(struct http_answer){.status = 200}));
    kit_wait(nothing_open, f);
}

static void a_client_that_half_closes_while_it_waits_gets_its_answer(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f->port);
    raw_send(fd, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    shutdown(fd, SHUT_WR);
    kit_wait(has_held, f);
    expect_status(raw_read(fd, false), 100); /* the server asks whether anybody is there */
    assert_true(exchange_answer(f->held, &(struct http_answer){.status = 202}));
    expect_status(raw_read(fd, false), 202);
    assert_true(raw_closed(fd));
    assert_int_equal(atomic_load(&f->left), 0);
    close(fd);
}

static void a_reset_ends_a_waiting_exchange(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f->port);
    raw_send(fd, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    kit_wait(has_held, f);
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    kit_wait(has_incomplete, f);
    assert_false(exchange_answer(f->held, &(struct http_answer){.status = 200}));
}

static void a_connection_too_many_is_refused_politely(void **state)
{
    struct fixture *f = *state;
    int fds[20];
    for (int i = 0; i < 20; i++) {
        fds[i] = raw_connect(f->port);
        raw_send(fds[i], "GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
        expect_status(raw_read(fds[i], false), 200);
    }
    struct raw_answer *answer = raw_ask(f->port, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_string_equal(raw_header(answer, "retry-after"), "1");
    expect_status(answer, 503);
    for (int i = 0; i < 20; i++)
        close(fds[i]);
    kit_wait(nothing_open, f);
    expect_status(raw_ask(f->port, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"), 200);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_follow_each_other_on_a_connection),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(an_answer_may_come_from_another_thread),
        TEST(a_deadline_is_told_and_may_answer),
        TEST(a_request_that_breaks_a_rule_is_refused_with_a_status_and_a_problem),
        TEST(a_zero_in_a_header_is_refused),
        TEST(old_and_unusual_but_right_requests_are_served),
        TEST(heads_have_limits),
        TEST(a_body_that_grows_past_its_limit_is_refused_and_the_answer_is_not_lost),
        TEST(a_rejection_of_a_large_upload_is_not_lost),
        TEST(a_rejection_keeps_the_connection_where_the_body_is_small),
        TEST(a_head_that_drips_is_cut_at_its_deadline),
        TEST(a_body_that_drips_is_cut_at_its_deadline),
        TEST(an_idle_connection_is_closed_without_a_word),
        TEST(a_megabyte_of_chunk_extension_does_not_keep_a_loop_busy),
        TEST(a_half_closed_client_gets_its_answers),
        TEST(a_half_closed_client_without_a_whole_request_is_closed),
        TEST(a_client_that_leaves_while_it_waits_is_noticed),
        TEST(a_client_that_half_closes_while_it_waits_gets_its_answer),
        TEST(a_reset_ends_a_waiting_exchange),
        TEST(a_connection_too_many_is_refused_politely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
