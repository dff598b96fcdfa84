/* Restart without a gap: a service that is upgraded under load, again and again.
 *
 *     handover_load_test [UPGRADES]    so many in a row; 3 */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <weir/clock.h>

#include "caller.h"
#include "echo.weir.h"
#include "raw_client.h"
#include "shelf.h"

static int upgrades = 3;

/* gRPC's library is not instrumented: ThreadSanitizer sees races in it that are none. */
#ifdef __SANITIZE_THREAD__
#define WITH_GRPC 0
#else
#define WITH_GRPC 1
#endif

struct load {
    int rest, grpc, admin; /* ports, which stay */
    atomic_bool over;
    atomic_int_fast64_t asked, calls, failed, refused, connections;
    char failure[256]; /* the first one */
    pthread_mutex_t lock;
};

static void note(struct load *load, const char *who, int status)
{
    atomic_fetch_add(&load->asked, 1);
    if (status == 200)
        return;
    pthread_mutex_lock(&load->lock);
    if (atomic_fetch_add(&load->failed, 1) == 0)
        snprintf(load->failure, sizeof load->failure, "%.200s: %d", who, status);
    pthread_mutex_unlock(&load->lock);
}

static int connect_rest(struct load *load)
{
    int fd = raw_connect(load->rest);
    atomic_fetch_add(fd < 0 ? &load->refused : &load->connections, 1);
    return fd;
}

/* One connection as long as the server keeps it. */
static void *ask_and_keep(void *arg)
{
    struct load *load = arg;
    int fd = -1;
    while (!atomic_load(&load->over)) {
        if (fd < 0 && (fd = connect_rest(load)) < 0)
            continue;
        raw_send(fd, "GET /v1/echo/tea HTTP/1.1\r\nHost: h\r\n\r\n");
        struct raw_answer *answer = raw_read(fd, false);
        note(load, "kept connection", answer->status);
        const char *connection = raw_header(answer, "Connection");
        if (answer->status != 200 || (connection && strcasecmp(connection, "close") == 0)) {
            close(fd);
            fd = -1;
        }
        free(answer);
    }
    if (fd >= 0)
        close(fd);
    return NULL;
}

static void *ask_anew(void *arg)
{
    struct load *load = arg;
    while (!atomic_load(&load->over)) {
        int fd = connect_rest(load);
        if (fd < 0)
            continue;
        raw_send(fd, "GET /v1/echo/tea HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        struct raw_answer *answer = raw_read(fd, false);
        note(load, "new connection", answer->status);
        free(answer);
        close(fd);
    }
    return NULL;
}

#define IN_FLIGHT 16 /* calls of one connection */

static void *call(void *arg)
{
    struct load *load = arg;
    struct weir_bytes tea = weir_bytes("\x0a\x03tea", 5);
    struct rpc_client *client = caller_new_client(load->grpc);
    while (!atomic_load(&load->over)) {
        struct caller callers[IN_FLIGHT];
        for (int i = 0; i < IN_FLIGHT; i++)
            caller_start(&callers[i], client, &echo_methods[0], tea, CALLER_PATIENCE_MS);
        for (int i = 0; i < IN_FLIGHT; i++) {
            enum weir_status status = caller_end(&callers[i]);
            atomic_fetch_add(&load->calls, 1);
            note(load, callers[i].text[0] ? callers[i].text : "rpc", status == WEIR_OK ? 200 : (int)status);
        }
    }
    rpc_client_destroy(client);
    return NULL;
}

static void *probe(void *arg)
{
    struct load *load = arg;
    while (!atomic_load(&load->over)) {
        note(load, "readiness", shelf_ask(load->admin, "/ready"));
        usleep(1000);
    }
    return NULL;
}

#define LOADERS_MAX 16
#define CALLERS 2 /* the last of them */

static void upgrades_in_a_row_lose_no_request_and_refuse_no_connection(void **state)
{
    (void)state;
    struct shelf f;
    shelf_prepare(&f);
    if (WITH_GRPC)
        shelf_flag(&f, "%s", "--grpc.listen=127.0.0.1:0");
    shelf_start(&f);
    struct load load = {.rest = f.rest, .grpc = f.grpc, .admin = f.admin, .lock = PTHREAD_MUTEX_INITIALIZER};
    void *(*const work[])(void *) = {ask_and_keep, ask_and_keep, ask_and_keep, ask_and_keep, ask_anew,
                                     ask_anew,     probe,        call,         call};
    size_t count = sizeof work / sizeof work[0] - (WITH_GRPC ? 0 : CALLERS);
    pthread_t threads[LOADERS_MAX];
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work[i], &load), 0);

    int64_t began = weir_now_ns();
    for (int i = 0; i < upgrades; i++) {
        pid_t before = f.pid;
        shelf_upgrade(&f, 0, "is ready and serves");
        shelf_await_up(&f);
        assert_int_not_equal(f.pid, before);
    }
    int64_t took_ms = (weir_now_ns() - began) / WEIR_NS_PER_MS;
    atomic_store(&load.over, true);
    for (size_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    print_message(
        "%d upgrades in %lld ms: %lld requests on %lld connections of HTTP/1.1, %lld calls of gRPC; %lld "
        "failed, %lld connections refused\n",
        upgrades, (long long)took_ms, (long long)(load.asked - load.calls), (long long)load.connections,
        (long long)load.calls, (long long)load.failed, (long long)load.refused);
    if (load.failed > 0)
        fail_msg("%lld of %lld failed, the first: %s", (long long)load.failed, (long long)load.asked,
                 load.failure);
    assert_int_equal(load.refused, 0);
    shelf_end(&f);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        upgrades = (int)strtol(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(upgrades_in_a_row_lose_no_request_and_refuse_no_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
