/* An app that serves REST is stopped under load, again and again: every request that was sent is answered,
 * and every call that ran is accounted for. */
#include "test.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/weir.h>

#include "echo_service.h"
#include "raw_client.h"
#include "raw_load.h"
#include "wait.h"

#define CLIENTS 64
#define STOPS 4

struct server {
    struct weir_app *app;
    struct weir_rest_server *rest;
    struct echo_service echo;
    pthread_t thread;
    int port;
    int exit_status;
};

static void *run(void *arg)
{
    struct server *server = arg;
    server->exit_status = weir_app_run(server->app);
    return NULL;
}

static struct server *begin(bool inline_, const char *deadline)
{
    struct server *server = calloc(1, sizeof *server);
    char *argv[] = {
        "test",
        "--app.report=none",
        "--log.level=error",
        "--admin.listen=127.0.0.1:0",
        "--rest.listen=127.0.0.1:0",
        "--rest.threads=2",
        "--rest.body_bytes_max=8000000",
        "--app.report_ms=2500", /* a busy machine needs more behind a drain that is cut at its limit */
        (char *)deadline,
        NULL};
    server->app = weir_app_new("test", 9, argv);
    server->rest = weir_rest_server_add(server->app, "rest",
                                        echo_service_start_with(server->app, &server->echo, inline_), NULL);
    assert_int_equal(pthread_create(&server->thread, NULL, run, server), 0);
    kit_wait(kit_app_is_ready, server->app);
    server->port = weir_rest_server_port(server->rest);
    return server;
}

static const char *const requests[] = {
    "GET /v1/echo/tea HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST /v1/echo HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n"
    "{\"text\":\"tea\"}",
    NULL,
};

static void stop_under_load(bool inline_)
{
    for (int stop = 0; stop < STOPS; stop++) {
        struct server *server = begin(inline_, "--app.deadline_ms=25000");
        struct raw_load *load = raw_load_begin(server->port, CLIENTS, requests);
        raw_load_wait(load, 1500);
        weir_app_stop(server->app, "test");
        pthread_join(server->thread, NULL);

        struct raw_load_sum sum = raw_load_end(load);
        assert_int_equal(sum.lost, 0);
        assert_int_equal(server->echo.echoed, sum.answered);
        assert_int_equal(server->exit_status, 0);
        echo_service_clean_up(&server->echo);
        free(server);
    }
}

static void a_stop_under_load_loses_no_call_of_the_executor(void **state)
{
    (void)state;
    stop_under_load(false);
}

static void a_stop_under_load_loses_no_inline_call(void **state)
{
    (void)state;
    stop_under_load(true);
}

static void an_answer_that_its_client_does_not_take_is_cut_and_the_stop_not_clean(void **state)
{
    enum { TEXT = 7000000 }; /* more than the sockets take */
    (void)state;
    struct server *server = begin(false, "--app.deadline_ms=4000");
    int fd = raw_connect(server->port), small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    char *request = malloc(TEXT + 256);
    int size = snprintf(request, 256,
                        "POST /v1/echo HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                        "Content-Length: %d\r\n\r\n{\"text\":\"",
                        TEXT + 11);
    memset(request + size, 'x', TEXT);
    memcpy(request + size + TEXT, "\"}", 3);
    assert_true(raw_send(fd, request));
    free(request);
    assert_true(echo_service_wait(&server->echo, &server->echo.echoed, 1));

    weir_app_stop(server->app, "test");
    pthread_join(server->thread, NULL);

    assert_int_equal(server->exit_status, 75);
    close(fd);
    echo_service_clean_up(&server->echo);
    free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_under_load_loses_no_call_of_the_executor),
        cmocka_unit_test(a_stop_under_load_loses_no_inline_call),
        cmocka_unit_test(an_answer_that_its_client_does_not_take_is_cut_and_the_stop_not_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
