/* The classic sequence, in one process: ingress closes, RPC streams drain, Kafka offsets are committed, the
 * producer is flushed. The streams feed on the consumer: each hands on what its topic brings. So the gRPC server
 * needs the consumer, and the consumer goes on until the last stream has ended. */
#include "test.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <weir/weir.h>

#include "broker.h"
#include "call/call.h"
#include "caller.h"
#include "echo.weir.h"
#include "raw_client.h"
#include "wait.h"

#define STREAMS 3
#define ORDERS 20
#define FLAG_SIZE 160

struct service {
    struct weir_producer *events;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    struct weir_call *streams[STREAMS]; /* held */
    int stream_count;
    int32_t consumed;
    int draining; /* streams that were told */
    int waiting;  /* REST calls in their handler */
    bool may_answer;
};

static void broadcast(struct service *service, int *counter)
{
    pthread_mutex_lock(&service->lock);
    ++*counter;
    pthread_cond_broadcast(&service->changed);
    pthread_mutex_unlock(&service->lock);
}

/* ---- Handlers ---- */

/* Runs on: a stream. The number of messages that the consumer has had; the last one ends it. */
static void hand_on(struct weir_call *call, void *last)
{
    struct service *service = weir_call_self(call);
    Echo__CountReply message = ECHO__COUNT_REPLY__INIT;
    pthread_mutex_lock(&service->lock);
    message.i = service->consumed;
    pthread_mutex_unlock(&service->lock);
    echo_count_send(call, &message);
    if (last)
        weir_stream_end(call, WEIR_OK);
}

/* Kafka: every message goes to every stream. */
static enum weir_status consume(struct weir_call *call, const Echo__EchoRequest *request,
                                Echo__EchoReply *reply)
{
    static char is_last;
    struct service *service = weir_call_self(call);
    (void)reply;
    pthread_mutex_lock(&service->lock);
    service->consumed++;
    int count = service->stream_count;
    pthread_cond_broadcast(&service->changed);
    pthread_mutex_unlock(&service->lock);
    for (int i = 0; i < count; i++)
        weir_stream_post(service->streams[i], hand_on, strcmp(request->text, "last") ? NULL : &is_last);
    return WEIR_OK;
}

/* REST: an order is placed when it is on the broker. */
static enum weir_status place(struct weir_call *call, const Echo__FailRequest *request,
                              Echo__FailReply *reply)
{
    (void)reply;
    Echo__EchoRequest event = ECHO__ECHO_REQUEST__INIT;
    event.text = request->text;
    event.key = request->text;
    struct service *service = weir_call_self(call);
    return echo_echo_request_send(call, service->events, &event);
}

static enum weir_status wait_for_test(struct weir_call *call, const Echo__WaitRequest *request,
                                      Echo__WaitReply *reply)
{
    (void)request, (void)reply;
    struct service *service = weir_call_self(call);
    broadcast(service, &service->waiting);
    pthread_mutex_lock(&service->lock);
    while (!service->may_answer)
        pthread_cond_wait(&service->changed, &service->lock);
    pthread_mutex_unlock(&service->lock);
    return WEIR_OK;
}

static enum weir_status open_stream(struct weir_call *call, const Echo__CountRequest *request)
{
    (void)request;
    struct service *service = weir_call_self(call);
    pthread_mutex_lock(&service->lock);
    service->streams[service->stream_count++] = weir_call_acquire(call);
    pthread_cond_broadcast(&service->changed);
    pthread_mutex_unlock(&service->lock);
    return WEIR_PENDING;
}

/* It may still hand on what comes: the consumer is there as long as it is. */
static void told_draining(struct weir_call *call, int64_t left_ms)
{
    struct service *service = weir_call_self(call);
    if (left_ms > 0)
        broadcast(service, &service->draining);
}

static const struct echo_handlers handlers = {
    .echo = {.fn = consume},
    .fail = {.fn = place},
    .wait = {.fn = wait_for_test},
    .count = {.open = open_stream, .draining = told_draining},
};

/* ---- The process ---- */

struct fixture {
    struct kit_broker *broker;
    struct weir_app *app;
    struct weir_rest_server *rest;
    struct weir_grpc_server *grpc;
    struct service service;
    pthread_t thread;
    int exit_status;
    char group[FLAG_SIZE], report[FLAG_SIZE];
};

static void *run(void *arg)
{
    struct fixture *f = arg;
    f->exit_status = weir_app_run(f->app);
    return NULL;
}

static void build(struct fixture *f)
{
    char brokers[2][FLAG_SIZE], group[FLAG_SIZE], report[FLAG_SIZE];
    snprintf(f->group, sizeof f->group, "classic-%d", (int)getpid());
    snprintf(f->report, sizeof f->report, "/tmp/weir-classic-%d.json", (int)getpid());
    snprintf(brokers[0], FLAG_SIZE, "--orders.brokers=%s", kit_broker_address(f->broker));
    snprintf(brokers[1], FLAG_SIZE, "--events.brokers=%s", kit_broker_address(f->broker));
    snprintf(group, sizeof group, "--orders.group=%.120s", f->group);
    snprintf(report, sizeof report, "--app.report_file=%.120s", f->report);
    char *argv[] = {"classic",
                    brokers[0],
                    brokers[1],
                    group,
                    report,
                    "--app.report=none",
                    "--log.level=error",
                    "--rest.listen=127.0.0.1:0",
                    "--grpc.listen=127.0.0.1:0",
                    "--orders.session_timeout_ms=4000",
                    "--orders.commit_interval_ms=60000", /* so that only the stop commits */
                    "--orders.finish_min_ms=2000",
                    "--events.finish_min_ms=2000",
                    NULL};
    f->app = weir_app_new("classic", (int)(sizeof argv / sizeof argv[0]) - 1, argv);
    f->service.events = weir_producer_add(f->app, "events", NULL);
    struct weir_service *service = echo_service_add(
        f->app, &(struct echo_service_options){
                    .handlers = &handlers, .self = &f->service, .needs = {f->service.events}});
    struct weir_consumer *orders = weir_consumer_add(f->app, "orders", service, NULL);
    f->rest = weir_rest_server_add(f->app, "rest", service, NULL);
    f->grpc = weir_grpc_server_add(f->app, "grpc", service, &(struct weir_grpc_options){.needs = {orders}});
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    pthread_mutex_init(&f->service.lock, NULL);
    pthread_cond_init(&f->service.changed, NULL);
    f->broker = kit_broker_new();
    build(f);
    assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
    kit_wait(kit_app_is_ready, f->app);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < f->service.stream_count; i++)
        weir_call_release(f->service.streams[i]);
    unlink(f->report);
    kit_broker_destroy(f->broker);
    pthread_cond_destroy(&f->service.changed);
    pthread_mutex_destroy(&f->service.lock);
    free(f);
    return 0;
}

/* ---- What the test does and sees ---- */

static void post(int fd, const char *path, const char *body)
{
    char request[512];
    snprintf(request, sizeof request,
             "POST %s HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             path, strlen(body), body);
    assert_true(raw_send(fd, request));
}

static void assert_answered(int fd)
{
    struct raw_answer *answer = raw_read(fd, false);
    assert_int_equal(answer->status, 200);
    free(answer);
}

struct counted {
    struct service *service;
    int32_t consumed;
    int streams, draining, waiting;
};

static bool has_counted(void *arg)
{
    const struct counted *least = arg;
    struct service *service = least->service;
    pthread_mutex_lock(&service->lock);
    bool enough = service->consumed >= least->consumed && service->stream_count >= least->streams &&
                  service->draining >= least->draining && service->waiting >= least->waiting;
    pthread_mutex_unlock(&service->lock);
    return enough;
}

/* One component's part of the report. */
struct excerpt {
    char text[2048];
};

static struct excerpt report_of(const struct fixture *f, const char *component)
{
    static char report[65536];
    FILE *file = fopen(f->report, "r");
    assert_non_null(file);
    report[fread(report, 1, sizeof report - 1, file)] = 0;
    fclose(file);
    char name[64];
    snprintf(name, sizeof name, "{\"name\": \"%s\"", component);
    const char *begin = strstr(report, name);
    assert_non_null(begin);
    const char *end = strstr(begin + 1, "{\"name\": ");
    struct excerpt excerpt;
    snprintf(excerpt.text, sizeof excerpt.text, "%.*s", (int)(end ? end - begin : (long)strlen(begin)),
             begin);
    return excerpt;
}

static void assert_reported(const struct fixture *f, const char *component, const char *what)
{
    struct excerpt excerpt = report_of(f, component);
    if (!strstr(excerpt.text, what))
        fail_msg("expected %s in: %s", what, excerpt.text);
}

static int64_t committed(struct fixture *f)
{
    int64_t sum = 0;
    for (int32_t partition = 0; partition < 8; partition++) {
        int64_t offset = kit_committed(f->broker, f->group, "user.echo", partition);
        sum += offset > 0 ? offset : 0;
    }
    return sum;
}

/* ---- The sequence ---- */

static void produce_last_order(struct fixture *f)
{
    Echo__EchoRequest last = ECHO__ECHO_REQUEST__INIT;
    last.text = last.key = (char *)"last";
    struct weir_buffer wire = {0};
    call_pack(&last.base, &wire);
    kit_produce(f->broker,
                &(struct kit_record){.topic = "user.echo",
                                     .partition = -1,
                                     .key = "last",
                                     .message_id = "last",
                                     .value = wire.data,
                                     .size = wire.size},
                1);
    weir_buffer_free(&wire);
}

static void assert_ends_with_all_orders(struct caller *stream)
{
    while (!stream->done && stream->received < ORDERS + 1)
        caller_read(stream);
    caller_read(stream);
    assert_int_equal(caller_end(stream), WEIR_OK);
    assert_int_equal(stream->received, ORDERS + 1);
}

static void let_wait_answer(struct service *service)
{
    pthread_mutex_lock(&service->lock);
    service->may_answer = true;
    pthread_cond_broadcast(&service->changed);
    pthread_mutex_unlock(&service->lock);
}

static void ingress_closes_streams_drain_offsets_are_committed_and_the_producer_is_flushed(void **state)
{
    struct fixture *f = *state;
    struct rpc_client *client = caller_new_client(weir_grpc_server_port(f->grpc));
    struct caller streams[STREAMS];
    for (int i = 0; i < STREAMS; i++)
        caller_start(&streams[i], client, &echo_service_type.methods[3], weir_bytes("", 0), 60000);
    kit_wait(has_counted, &(struct counted){&f->service, .streams = STREAMS});
    int port = weir_rest_server_port(f->rest);
    int busy = raw_connect(port), orders = raw_connect(port);
    post(busy, "/v1/wait", "{}");
    for (int i = 0; i < ORDERS; i++) {
        char body[64];
        snprintf(body, sizeof body, "{\"text\": \"order-%d\"}", i);
        post(orders, "/v1/fail", body);
        assert_answered(orders);
    }
    kit_wait(has_counted, &(struct counted){&f->service, .consumed = ORDERS, .waiting = 1});
    assert_int_equal(committed(f), 0);

    weir_app_stop(f->app, "the test says so");

    /* Streams are told at once, while a REST call is still busy; and nobody new gets in. */
    kit_wait(has_counted, &(struct counted){&f->service, .draining = STREAMS});
    assert_int_equal(raw_connect(port), -1);
    /* An order of another process: the consumer still serves the streams, that end with it. */
    produce_last_order(f);
    for (int i = 0; i < STREAMS; i++)
        assert_ends_with_all_orders(&streams[i]);
    assert_int_equal(f->service.waiting, 1);
    let_wait_answer(&f->service);
    assert_answered(busy);
    pthread_join(f->thread, NULL);

    assert_int_equal(f->exit_status, 0);
    assert_int_equal(f->service.consumed, ORDERS + 1);
    assert_int_equal(committed(f), ORDERS + 1);
    assert_reported(f, "rest", "\"waited\": 0,");
    assert_reported(f, "rest", "\"work\": {\"in_flight\": 1, \"completed\": 1, \"cancelled\": 0,");
    assert_reported(f, "grpc", "\"waited\": 0,");
    assert_reported(f, "grpc", "\"work\": {\"in_flight\": 3, \"completed\": 3, \"cancelled\": 0,");
    assert_reported(f, "orders", "\"waited_for\": \"grpc\"");
    assert_reported(f, "orders", "\"finish\": {\"at\": ");
    assert_reported(f, "orders", "\"uncommitted\": 0");
    assert_reported(f, "events", "\"undelivered\": 0");
    rpc_client_destroy(client);
    close(busy);
    close(orders);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            ingress_closes_streams_drain_offsets_are_committed_and_the_producer_is_flushed, set_up,
            tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
