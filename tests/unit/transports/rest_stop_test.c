/* An app that serves REST is stopped under load, again and again: every request that was sent is answered,
 * and every call that ran is accounted for. */
#include "test.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/weir.h>

#include "echo_service.h"
#include "raw_client.h"

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

static bool is_ready(void *arg)
{
    const struct server *server = arg;
    return weir_app_ready(server->app);
}

static struct server *begin(bool inline_, const char *deadline)
{
    struct server *server = calloc(1, sizeof *server);
    char *argv[] = {"test",
                    "--app.report=none",
                    "--log.level=error",
                    "--admin.listen=127.0.0.1:0",
                    "--rest.listen=127.0.0.1:0",
                    "--rest.threads=2",
                    "--rest.body_bytes_max=8000000",
                    (char *)deadline,
                    NULL};
    server->app = weir_app_new("test", 8, argv);
    server->rest = weir_rest_server_add(server->app, "rest",
                                        echo_service_start_with(server->app, &server->echo, inline_), NULL);
    assert_int_equal(pthread_create(&server->thread, NULL, run, server), 0);
    assert_true(raw_eventually(is_ready, server));
    server->port = weir_rest_server_port(server->rest);
    return server;
}

struct client {
    pthread_t thread;
    int port;
    bool fresh; /* a new connection for each request */
    int answered, lost;
    atomic_int *total;
};

/* 1: a whole 200; 2: and the server closes behind it; 0: lost. */
static int read_answer(int fd)
{
    char text[8192];
    size_t size = 0, wanted = 0;
    const char *end = NULL;
    while (!end || size < wanted) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        ssize_t got = poll(&wait, 1, 10000) == 1 ? recv(fd, text + size, sizeof text - 1 - size, 0) : -1;
        if (got <= 0)
            return 0;
        size += (size_t)got;
        text[size] = 0;
        end = strstr(text, "\r\n\r\n");
        const char *length = strstr(text, "Content-Length: ");
        if (end && length)
            wanted = (size_t)(end + 4 - text) + strtoul(length + 16, NULL, 10);
    }
    return strncmp(text, "HTTP/1.1 200 ", 13) != 0 ? 0 : strstr(text, "Connection: close") ? 2 : 1;
}

static void *client_run(void *arg)
{
    struct client *client = arg;
    static const char *const requests[] = {
        "GET /v1/echo/tea HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /v1/echo HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n"
        "{\"text\":\"tea\"}",
    };
    int fd = -1;
    for (unsigned turn = 0;; turn++) {
        if (fd < 0)
            fd = raw_connect(client->port);
        if (fd < 0)
            return NULL; /* refused: it has stopped */
        int result = raw_send(fd, requests[turn % 2]) ? read_answer(fd) : 0;
        client->lost += result == 0;
        client->answered += result != 0;
        atomic_fetch_add(client->total, 1);
        if (result != 1 || client->fresh) {
            close(fd);
            fd = -1;
        }
    }
}

static bool enough(void *arg)
{
    return atomic_load((atomic_int *)arg) > 1500;
}

static void stop_under_load(bool inline_)
{
    for (int stop = 0; stop < STOPS; stop++) {
        struct server *server = begin(inline_, "--app.deadline_ms=25000");
        struct client clients[CLIENTS];
        atomic_int total = 0;
        for (int i = 0; i < CLIENTS; i++) {
            clients[i] = (struct client){.port = server->port, .fresh = i % 4 == 0, .total = &total};
            pthread_create(&clients[i].thread, NULL, client_run, &clients[i]);
        }
        assert_true(raw_eventually(enough, &total));
        weir_app_stop(server->app, "test");
        pthread_join(server->thread, NULL);

        int answered = 0, lost = 0;
        for (int i = 0; i < CLIENTS; i++) {
            pthread_join(clients[i].thread, NULL);
            answered += clients[i].answered;
            lost += clients[i].lost;
        }
        assert_int_equal(lost, 0);
        assert_int_equal(server->echo.echoed, answered);
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
    struct server *server = begin(false, "--app.deadline_ms=1500");
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
