/* Where an engine listens, and what it says when it cannot. */
#include "test.h"

#include <stdio.h>
#include <unistd.h>

#include "engines/exchange.h"
#include "raw_client.h"

static void on_head(struct exchange *exchange, const struct http_head *head)
{
    (void)exchange;
    (void)head;
}

static void on_end(struct exchange *exchange)
{
    exchange_answer(exchange, &(struct http_answer){.status = 200, .body = weir_bytes_of_text("here")});
}

static void on_gone(struct exchange *exchange, bool complete)
{
    (void)exchange;
    (void)complete;
}

static void write_problem(int status, const char *text, struct weir_buffer *ret_body)
{
    weir_buffer_printf(ret_body, "%d %s", status, text);
}

static struct http_engine *new_engine(const char *listen)
{
    static const struct http_user_ops ops = {.head = on_head, .end = on_end, .gone = on_gone};
    return http_engine_new(&(struct http_engine_options){.listen = listen}, &ops, write_problem, NULL);
}

static struct http_engine *start(const char *listen)
{
    struct weir_error err = {0};
    struct http_engine *engine = new_engine(listen);
    if (http_engine_start(engine, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return engine;
}

static void expect_served(int fd)
{
    raw_send(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    struct raw_answer *answer = raw_read(fd, false);
    assert_int_equal(answer->status, 200);
    assert_string_equal(answer->body, "here");
    free(answer);
    close(fd);
}

static void a_port_is_chosen_and_told(void **state)
{
    (void)state;
    static const char *const addresses[] = {"127.0.0.1:0", "localhost:0", "0.0.0.0:0", "[::]:0"};
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        struct http_engine *engine = start(addresses[i]);
        assert_in_range(http_engine_port(engine), 1, 65535);
        expect_served(raw_connect(http_engine_port(engine))); /* over IPv4 in every case */
        http_engine_destroy(engine);
    }
}

static void a_taken_port_is_an_error_that_names_its_holder(void **state)
{
    (void)state;
    struct http_engine *first = start("127.0.0.1:0");
    char listen[64], expected[200];
    snprintf(listen, sizeof listen, "127.0.0.1:%d", http_engine_port(first));
    struct weir_error err = {0};
    struct http_engine *second = new_engine(listen);
    assert_int_equal(http_engine_start(second, &err), WEIR_UNAVAILABLE);
    snprintf(expected, sizeof expected,
             "cannot listen on %s: port %d is taken by process %d (listen_test); stop it, or "
             "set `listen` to another port",
             listen, http_engine_port(first), getpid());
    assert_string_equal(err.text, expected);
    http_engine_destroy(second);
    http_engine_destroy(first);
}

static void a_bad_address_is_an_error(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000",
                                      ":80", "::1:80",    "unix:"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct weir_error err = {0};
        struct http_engine *engine = new_engine(bad[i]);
        assert_int_equal(http_engine_start(engine, &err), WEIR_INVALID_ARGUMENT);
        assert_non_null(strstr(err.text, "listen: "));
        http_engine_destroy(engine);
    }
}

static void a_unix_socket_is_served_and_removed(void **state)
{
    (void)state;
    char path[64], listen[80];
    snprintf(path, sizeof path, "/tmp/weir-test-%d.sock", getpid());
    snprintf(listen, sizeof listen, "unix:%s", path);
    struct http_engine *engine = start(listen);
    expect_served(raw_connect_unix(path));
    assert_int_equal(http_engine_quiesce(engine, NULL), WEIR_OK);
    assert_int_equal(access(path, F_OK), -1);
    http_engine_destroy(engine);
}

static void a_unix_socket_left_by_a_dead_process_is_taken_over_and_a_served_one_is_not(void **state)
{
    (void)state;
    char path[64], listen[80];
    snprintf(path, sizeof path, "/tmp/weir-test-%d.left", getpid());
    snprintf(listen, sizeof listen, "unix:%s", path);
    struct http_engine *first = start(listen);

    struct weir_error err = {0};
    struct http_engine *second = new_engine(listen);
    assert_int_equal(http_engine_start(second, &err), WEIR_UNAVAILABLE);
    http_engine_destroy(second);
    expect_served(raw_connect_unix(path));

    char kept[80];
    snprintf(kept, sizeof kept, "%s.kept", path);
    assert_int_equal(rename(path, kept), 0); /* so that it is not removed */
    http_engine_destroy(first);
    assert_int_equal(rename(kept, path), 0);
    struct http_engine *third = start(listen);
    expect_served(raw_connect_unix(path));
    http_engine_destroy(third);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_port_is_chosen_and_told),
        cmocka_unit_test(a_taken_port_is_an_error_that_names_its_holder),
        cmocka_unit_test(a_bad_address_is_an_error),
        cmocka_unit_test(a_unix_socket_is_served_and_removed),
        cmocka_unit_test(a_unix_socket_left_by_a_dead_process_is_taken_over_and_a_served_one_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
