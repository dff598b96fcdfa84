/* Behaviours of a whole process with real servers, a real Kafka client and real threads. */
#include "test.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <weir/weir.h>

#include "broker.h"
#include "call/call.h"
#include "caller.h"
#include "echo_service.h"
#include "edge/admin.h"
#include "lifecycle/app.h"
#include "raw_client.h"
#include "wait.h"

#define FLAG_SIZE 160

/* ---- An app with servers ---- */

struct fixture {
    struct weir_app *app;
    const struct weir_component *admin;
    struct weir_rest_server *rest;
    struct weir_grpc_server *grpc;
    struct echo_service echo;
    pthread_t thread;
    int exit_status;
};

static void *run(void *arg)
{
    struct fixture *f = arg;
    f->exit_status = weir_app_run(f->app);
    return NULL;
}

static void new_app(struct fixture *f, char *flag, char *flag2, char *flag3)
{
    char *argv[] = {"shelf",
                    "--app.report=none",
                    "--log.level=error",
                    "--admin.listen=127.0.0.1:0",
                    "--rest.listen=127.0.0.1:0",
                    "--grpc.listen=127.0.0.1:0",
                    flag,
                    flag2,
                    flag3,
                    NULL};
    int argc = 0;
    while (argv[argc])
        argc++;
    f->app = weir_app_new("shelf", argc, argv);
    f->admin = f->app->parts[0]->component;
}

static void run_app(struct fixture *f, struct weir_service *service)
{
    f->rest = weir_rest_server_add(f->app, "rest", service, NULL);
    f->grpc = weir_grpc_server_add(f->app, "grpc", service, NULL);
    assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
    kit_wait(kit_app_is_ready, f->app);
}

static void begin_echo(struct fixture *f, char *flag)
{
    *f = (struct fixture){0};
    new_app(f, flag, NULL, NULL);
    run_app(f, echo_service_start_with(f->app, &f->echo, false));
}

static int await_exit(struct fixture *f)
{
    pthread_join(f->thread, NULL);
    return f->exit_status;
}

static int status_of(int port, const char *path)
{
    char request[128];
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", path);
    struct raw_answer *answer = raw_ask(port, request);
    int status = answer->status;
    free(answer);
    return status;
}

static bool is_not_ready(void *app)
{
    return !kit_app_is_ready(app);
}

/* A call that is held until echo_service_release(). */
static int hold_a_call(struct fixture *f)
{
    int fd = raw_connect(weir_rest_server_port(f->rest));
    assert_true(raw_send(fd, "POST /v1/wait HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                             "Content-Length: 15\r\n\r\n{\"defer\": true}"));
    assert_true(echo_service_wait(&f->echo, &f->echo.deferred, 1));
    return fd;
}

static void let_it_go(struct fixture *f, int fd)
{
    echo_service_release(&f->echo, WEIR_OK);
    struct raw_answer *answer = raw_read(fd, false);
    assert_int_equal(answer->status, 200);
    free(answer);
    close(fd);
}

/* ---- Announcement and drain ---- */

static bool is_refused(void *arg)
{
    int fd = raw_connect(weir_rest_server_port(((struct fixture *)arg)->rest));
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

static void requests_succeed_while_the_stop_is_announced(void **state)
{
    (void)state;
    struct fixture f;
    begin_echo(&f, "--app.pre_drain_ms=1500");
    weir_app_stop(f.app, "the test says so");
    kit_wait(is_not_ready, f.app);
    int64_t until = weir_deadline_in_ms(500);
    int asked = 0;
    for (; weir_now_ns() < until; asked++)
        assert_int_equal(status_of(weir_rest_server_port(f.rest), "/v1/echo/tea"), 200);
    assert_int_equal(status_of(weir_rest_server_port(f.rest), "/ready"), 503);
    assert_int_equal(await_exit(&f), 0);
    assert_int_equal(f.echo.echoed, asked);
    echo_service_clean_up(&f.echo);
}

static void while_it_drains_readiness_is_503_and_liveness_200_and_both_can_be_reached(void **state)
{
    (void)state;
    struct fixture f;
    begin_echo(&f, NULL);
    assert_int_equal(status_of(admin_port(f.admin), "/ready"), 200);
    int fd = hold_a_call(&f);
    weir_app_stop(f.app, "the test says so");
    kit_wait(is_refused, &f); /* so it drains */
    assert_int_equal(status_of(admin_port(f.admin), "/ready"), 503);
    assert_int_equal(status_of(admin_port(f.admin), "/healthz"), 200);
    let_it_go(&f, fd);
    assert_int_equal(await_exit(&f), 0);
    echo_service_clean_up(&f.echo);
}

/* ---- Streams ---- */

static int told_left_ms;

static enum weir_status stay_open(struct weir_call *call, const Echo__CountRequest *request)
{
    (void)call, (void)request;
    return WEIR_PENDING;
}

static void end_in_its_own_way(struct weir_call *call, int64_t left_ms)
{
    told_left_ms = (int)left_ms;
    weir_stream_end(call, weir_call_fail(call, WEIR_ABORTED, "come back in a minute"));
}

static enum weir_status stay_open_too(struct weir_call *call)
{
    (void)call;
    return WEIR_OK;
}

static enum weir_status ignore(struct weir_call *call, const Echo__ChatRequest *message)
{
    (void)call, (void)message;
    return WEIR_OK;
}

static int told_to_end;

static void note_the_cancel(struct weir_call *call)
{
    (void)call;
    told_to_end++;
}

static void a_stream_learns_of_the_drain_at_once_and_one_that_stays_is_cancelled_at_its_time(void **state)
{
    (void)state;
    static const struct echo_handlers handlers = {
        .count = {.open = stay_open, .draining = end_in_its_own_way},
        .chat = {.open = stay_open_too, .message = ignore, .cancel = note_the_cancel},
    };
    struct fixture f = {0};
    new_app(&f, "--grpc.drain_max_ms=1000", NULL, NULL);
    run_app(&f, echo_service_add(f.app, &(struct echo_service_options){.handlers = &handlers}));
    struct rpc_client *client = caller_new_client(weir_grpc_server_port(f.grpc));
    struct caller heeds, stays;
    caller_start(&heeds, client, &echo_service_type.methods[3], weir_bytes("", 0), 60000);
    caller_start(&stays, client, &echo_service_type.methods[5], weir_bytes("", 0), 60000);
    caller_send(&stays, ""); /* both have arrived when the server has taken a message of the second one */
    struct caller after;
    assert_int_equal(caller_call(&after, client, &echo_service_type.methods[6], weir_bytes("", 0)),
                     WEIR_UNIMPLEMENTED);

    int64_t began_ns = weir_now_ns();
    weir_app_stop(f.app, "the test says so");
    assert_int_equal(caller_end(&heeds), WEIR_ABORTED);
    int64_t heeded_ms = (weir_now_ns() - began_ns) / WEIR_NS_PER_MS;
    assert_int_not_equal(caller_end(&stays), WEIR_OK);
    int64_t stayed_ms = (weir_now_ns() - began_ns) / WEIR_NS_PER_MS;
    assert_int_equal(await_exit(&f), EX_TEMPFAIL);

    assert_string_equal(heeds.text, "come back in a minute");
    assert_in_range(told_left_ms, 500, 1000);
    assert_in_range(heeded_ms, 0, 700);
    assert_in_range(stayed_ms, 900, 3000);
    assert_int_equal(told_to_end, 1);
    rpc_client_destroy(client);
}

/* ---- GOAWAY ---- */

/* The type of the next HTTP/2 frame (RFC 9113, section 4.1); -1 when none comes within 2 s. */
static int next_frame(int fd)
{
    uint8_t head[9], payload[16384];
    size_t size = 0, wanted = sizeof head;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (size < wanted) {
        uint8_t *at = size < sizeof head ? head + size : payload + (size - sizeof head);
        size_t most = (size < sizeof head ? sizeof head : wanted) - size;
        ssize_t got = poll(&wait, 1, 2000) == 1 ? recv(fd, at, most, 0) : -1;
        if (got <= 0)
            return -1;
        size += (size_t)got;
        if (size == sizeof head) {
            wanted += (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
            assert_true(wanted - sizeof head <= sizeof payload);
        }
    }
    return head[3];
}

static void goaway_reaches_a_quiet_connection_when_the_drain_begins(void **state)
{
    enum { SETTINGS = 4, GOAWAY = 7 };
    (void)state;
    struct fixture f;
    begin_echo(&f, NULL);
    int busy = hold_a_call(&f), quiet = raw_connect(weir_grpc_server_port(f.grpc));
    static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                                "\0\0\0\4\0\0\0\0\0"  /* SETTINGS */
                                "\0\0\0\4\1\0\0\0\0"; /* its acknowledgement */
    assert_true(raw_send_bytes(quiet, hello, sizeof hello - 1));
    assert_int_equal(next_frame(quiet), SETTINGS);

    weir_app_stop(f.app, "the test says so");
    int type;
    while ((type = next_frame(quiet)) >= 0 && type != GOAWAY)
        continue;
    assert_int_equal(type, GOAWAY);
    assert_int_equal(f.echo.held_count, 1); /* the stop goes on */
    close(quiet);
    let_it_go(&f, busy);
    assert_int_equal(await_exit(&f), 0);
    echo_service_clean_up(&f.echo);
}

/* ---- A handler that ignores everything ---- */

static int in_handler[2], is_destroyed[2];

static enum weir_status ignore_everything(struct weir_call *call, const Echo__WaitRequest *request,
                                          Echo__WaitReply *reply)
{
    (void)call, (void)request, (void)reply;
    if (write(in_handler[1], "", 1) != 1)
        abort();
    for (;;)
        pause();
}

static void tell_destroyed(void *self)
{
    (void)self;
    if (write(is_destroyed[1], "", 1) != 1)
        abort();
}

static void *ask(void *arg)
{
    const struct fixture *f = arg;
    if (kit_wait_in_time(kit_app_is_ready, f->app))
        free(raw_ask(weir_rest_server_port(f->rest),
                     "POST /v1/wait HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                     "Content-Length: 2\r\n\r\n{}"));
    return NULL;
}

static int serve_with_a_deaf_handler(void)
{
    static const struct weir_component_ops db_ops = {.destroy = tell_destroyed};
    static const struct echo_handlers handlers = {.wait = {.fn = ignore_everything}};
    static struct fixture f;
    new_app(&f, NULL, NULL, NULL);
    struct weir_component *db = weir_component_add(f.app, "db", &db_ops, NULL, NULL);
    struct weir_service *service =
        echo_service_add(f.app, &(struct echo_service_options){.handlers = &handlers, .needs = {db}});
    f.rest = weir_rest_server_add(f.app, "rest", service, NULL);
    weir_grpc_server_add(f.app, "grpc", service, NULL);
    pthread_t asking;
    if (pthread_create(&asking, NULL, ask, &f) != 0)
        return 1;
    return weir_app_run(f.app);
}

/* Of a deadline of 25 s. Comes first: it forks, and so must have no threads. */
static void force_works_while_grace_waits_for_a_deaf_handler_and_what_it_uses_is_not_freed(void **state)
{
    (void)state;
    assert_int_equal(pipe(in_handler), 0);
    assert_int_equal(pipe(is_destroyed), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(serve_with_a_deaf_handler());
    close(is_destroyed[1]);
    char byte;
    assert_int_equal(read(in_handler[0], &byte, 1), 1);

    int64_t began_ns = weir_now_ns();
    kill(child, SIGTERM);
    while (weir_now_ns() - began_ns < 700 * WEIR_NS_PER_MS) /* sooner it would be the same signal */
        poll(NULL, 0, 50);
    assert_int_equal(waitpid(child, NULL, WNOHANG), 0);
    kill(child, SIGTERM);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(weir_now_ns() - began_ns < 10 * WEIR_NS_PER_S);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EX_TEMPFAIL);
    assert_int_equal(read(is_destroyed[0], &byte, 1), 0); /* the end: nothing was said */
}

/* ---- The end ---- */

static int count_threads(void)
{
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (const struct dirent *entry; (entry = readdir(tasks));)
        count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

static bool has_as_many_threads(void *expected)
{
    return count_threads() <= *(int *)expected;
}

/* From the stop to the end, in ms. */
static int64_t live_idly(struct kit_broker *broker)
{
    char brokers[2][FLAG_SIZE], session[] = "--orders.session_timeout_ms=4000";
    snprintf(brokers[0], FLAG_SIZE, "--orders.brokers=%s", kit_broker_address(broker));
    snprintf(brokers[1], FLAG_SIZE, "--events.brokers=%s", kit_broker_address(broker));
    struct fixture f = {0};
    new_app(&f, brokers[0], brokers[1], session);
    struct weir_service *service = echo_service_start_with(f.app, &f.echo, false);
    weir_producer_add(f.app, "events", NULL);
    weir_consumer_add(f.app, "orders", service, NULL);
    run_app(&f, service);
    assert_int_equal(status_of(weir_rest_server_port(f.rest), "/v1/echo/tea"), 200);
    int64_t began_ns = weir_now_ns();
    weir_app_stop(f.app, "the test says so");
    assert_int_equal(await_exit(&f), 0);
    int64_t took_ms = (weir_now_ns() - began_ns) / WEIR_NS_PER_MS;
    echo_service_clean_up(&f.echo);
    return took_ms;
}

/* With a consumer and a producer: the broker answers in its own time. */
static void an_idle_process_stops_in_milliseconds_and_leaves_no_thread(void **state)
{
    (void)state;
    struct kit_broker *broker = kit_broker_new();
    live_idly(broker); /* libraries make threads of their own once */
    int threads = count_threads();
    int64_t took_ms = live_idly(broker);
    print_message("an idle process stopped in %lld ms\n", (long long)took_ms);
    assert_in_range(took_ms, 0, 700);
    kit_wait(has_as_many_threads, &threads);
    kit_broker_destroy(broker);
}

/* The least of a few: a wait of a fixed length would be in all of them. */
static void without_connections_no_time_is_waited_for(void **state)
{
    (void)state;
    char folder[] = "/tmp/weir-idle-XXXXXX", url[64], file[64];
    assert_non_null(mkdtemp(folder));
    snprintf(url, sizeof url, "sqlite:%s/idle.db", folder);
    static const char *const migrations[] = {"CREATE TABLE t (id INTEGER PRIMARY KEY)", NULL};
    int64_t least_ms = INT64_MAX;
    for (int round = 0; round < 5; round++) {
        struct fixture f = {0};
        new_app(&f, NULL, NULL, NULL);
        weir_sql_add(f.app, "db", &(struct weir_sql_options){.url = url, .migrations = migrations});
        run_app(&f, echo_service_start_with(f.app, &f.echo, false));
        int64_t began_ns = weir_now_ns();
        weir_app_stop(f.app, "the test says so");
        assert_int_equal(await_exit(&f), 0);
        int64_t took_ms = (weir_now_ns() - began_ns) / WEIR_NS_PER_MS;
        least_ms = took_ms < least_ms ? took_ms : least_ms;
        echo_service_clean_up(&f.echo);
    }
    print_message("a process without connections stopped in %lld ms\n", (long long)least_ms);
    assert_in_range(least_ms, 0, 45);
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "%s/idle.db%s", folder, suffixes[i]);
        unlink(file);
    }
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(force_works_while_grace_waits_for_a_deaf_handler_and_what_it_uses_is_not_freed),
        cmocka_unit_test(requests_succeed_while_the_stop_is_announced),
        cmocka_unit_test(while_it_drains_readiness_is_503_and_liveness_200_and_both_can_be_reached),
        cmocka_unit_test(a_stream_learns_of_the_drain_at_once_and_one_that_stays_is_cancelled_at_its_time),
        cmocka_unit_test(goaway_reaches_a_quiet_connection_when_the_drain_begins),
        cmocka_unit_test(an_idle_process_stops_in_milliseconds_and_leaves_no_thread),
        cmocka_unit_test(without_connections_no_time_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
