/* One compiled handler, asked the same over REST, gRPC and Kafka: the same effect, the same status. */
#include "test.h"

#include <stdio.h>
#include <unistd.h>

#include <weir/weir.h>

#include "broker.h"
#include "call/call.h"
#include "caller.h"
#include "echo_service.h"
#include "raw_client.h"
#include "shard.h"
#include "wait.h"

struct fixture {
    struct kit_broker *broker;
    struct weir_app *app;
    struct weir_rest_server *rest;
    struct weir_grpc_server *grpc;
    struct rpc_client *client;
    struct echo_service echo;
    pthread_t thread;
    int exit_status;
    int records;
};

static void *run(void *arg)
{
    struct fixture *f = arg;
    f->exit_status = weir_app_run(f->app);
    return NULL;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->broker = kit_broker_new();
    char brokers[128], group[64];
    snprintf(brokers, sizeof brokers, "--orders.brokers=%s", kit_broker_address(f->broker));
    snprintf(group, sizeof group, "--orders.group=one-handler-%d", (int)getpid());
    char *argv[] = {"test",
                    "--app.report=none",
                    "--log.level=error",
                    "--rest.listen=127.0.0.1:0",
                    brokers,
                    "--grpc.listen=127.0.0.1:0",
                    "--orders.session_timeout_ms=4000",
                    group,
                    NULL};
    f->app = weir_app_new("test", 8, argv);
    struct weir_service *service = echo_service_start_with(f->app, &f->echo, false);
    f->rest = weir_rest_server_add(f->app, "rest", service, NULL);
    f->grpc = weir_grpc_server_add(f->app, "grpc", service, NULL);
    weir_consumer_add(f->app, "orders", service, NULL);
    assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
    kit_wait(kit_app_is_ready, f->app);
    f->client = caller_new_client(weir_grpc_server_port(f->grpc));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    rpc_client_destroy(f->client);
    weir_app_stop(f->app, "test");
    pthread_join(f->thread, NULL);
    assert_int_equal(f->exit_status, 0);
    echo_service_clean_up(&f->echo);
    kit_broker_destroy(f->broker);
    free(f);
    return 0;
}

/* ---- Asking ---- */

struct verdict {
    enum weir_status status;
    char text[256];
};

/* What a problem+json says. */
static struct verdict over_rest(struct fixture *f, const char *json)
{
    char request[1024];
    snprintf(request, sizeof request,
             "POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
             "Connection: close\r\n\r\n%s",
             strlen(json), json);
    struct raw_answer *answer = raw_ask(weir_rest_server_port(f->rest), request);
    struct verdict verdict = {.status = WEIR_OK};
    char name[64] = "";
    const char *code = strstr(answer->body, "\"code\":\""), *detail = strstr(answer->body, "\"detail\":\"");
    if (answer->status != 200) {
        assert_non_null(code);
        assert_int_equal(sscanf(code, "\"code\":\"%63[A-Z_]", name), 1);
        assert_true(weir_status_parse(name, &verdict.status));
        assert_int_equal(weir_status_to_http(verdict.status), answer->status);
        sscanf(detail, "\"detail\":\"%255[^\"]", verdict.text);
    }
    free(answer);
    return verdict;
}

static struct verdict over_grpc(struct fixture *f, struct weir_bytes wire)
{
    const struct weir_method *method = &echo_service_type.methods[0];
    struct caller caller;
    struct verdict verdict = {.status = caller_call(&caller, f->client, method, wire)};
    snprintf(verdict.text, sizeof verdict.text, "%.255s", caller.text);
    return verdict;
}

struct awaited {
    struct fixture *f;
    int64_t echoed;
    size_t set_aside;
};

static size_t count_set_aside(struct fixture *f, struct verdict *ret_last)
{
    struct kit_stored *stored;
    size_t count = kit_read_all(f->broker, "user.echo.dlt", &stored);
    if (count > 0 && ret_last) {
        /* The newest one: all have the same key, so they are of one partition, in order. */
        char name[64] = "";
        const char *headers = stored[count - 1].headers;
        sscanf(strstr(headers, "weir-origin-status="), "weir-origin-status=%63[A-Z_]", name);
        assert_true(weir_status_parse(name, &ret_last->status));
        sscanf(strstr(headers, "weir-origin-error="), "weir-origin-error=%255[^;]", ret_last->text);
    }
    kit_stored_free(stored, count);
    return count;
}

static bool is_settled(void *arg)
{
    struct awaited *awaited = arg;
    pthread_mutex_lock(&awaited->f->echo.lock);
    int64_t echoed = awaited->f->echo.echoed;
    pthread_mutex_unlock(&awaited->f->echo.lock);
    return echoed >= awaited->echoed && count_set_aside(awaited->f, NULL) >= awaited->set_aside;
}

/* A message that fails for good is set aside with its status; nothing set aside is WEIR_OK. */
static struct verdict over_kafka(struct fixture *f, struct weir_bytes wire, bool reaches_handler, bool fails)
{
    char id[64];
    snprintf(id, sizeof id, "record-%d", f->records++);
    size_t before = count_set_aside(f, NULL);
    struct awaited awaited = {
        .f = f, .echoed = f->echo.echoed + reaches_handler, .set_aside = before + (fails ? 1 : 0)};
    struct kit_record record = {.topic = "user.echo",
                                .partition = -1,
                                .key = "k",
                                .message_id = id,
                                .value = wire.data,
                                .size = wire.size};
    kit_produce(f->broker, &record, 1);
    kit_wait(is_settled, &awaited);
    struct verdict verdict = {.status = WEIR_OK};
    if (fails)
        count_set_aside(f, &verdict);
    return verdict;
}

/* ---- The same on all three ---- */

static void a_good_request_has_the_same_effect(void **state)
{
    struct fixture *f = *state;
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    request.text = "hello";
    request.key = "k";
    struct weir_buffer wire = {0};
    call_pack(&request.base, &wire);

    assert_int_equal(over_rest(f, "{\"text\": \"hello\", \"key\": \"k\"}").status, WEIR_OK);
    assert_int_equal(f->echo.echoed, 1);
    assert_string_equal(f->echo.last_key, "k");
    assert_int_equal(over_grpc(f, weir_buffer_bytes(&wire)).status, WEIR_OK);
    assert_int_equal(f->echo.echoed, 2);
    assert_string_equal(f->echo.last_key, "k");
    assert_int_equal(over_kafka(f, weir_buffer_bytes(&wire), true, false).status, WEIR_OK);
    assert_int_equal(f->echo.echoed, 3);
    assert_string_equal(f->echo.last_key, "k");
    weir_buffer_free(&wire);
}

static void a_refusal_has_the_same_status_and_words(void **state)
{
    static const enum weir_status refusals[] = {WEIR_FAILED_PRECONDITION, WEIR_NOT_FOUND, WEIR_ALREADY_EXISTS,
                                                WEIR_PERMISSION_DENIED};
    struct fixture *f = *state;
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    request.key = "k";
    struct weir_buffer wire = {0};
    call_pack(&request.base, &wire);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        f->echo.echo_status = refusals[i];
        f->echo.echo_failures = 3;

        struct verdict verdicts[] = {over_rest(f, "{\"key\": \"k\"}"), over_grpc(f, weir_buffer_bytes(&wire)),
                                     over_kafka(f, weir_buffer_bytes(&wire), true, true)};

        for (int transport = 0; transport < 3; transport++) {
            assert_int_equal(verdicts[transport].status, refusals[i]);
            assert_string_equal(verdicts[transport].text, "told to fail");
        }
    }
    weir_buffer_free(&wire);
}

static void what_is_not_a_message_is_refused_alike_and_reaches_no_handler(void **state)
{
    struct fixture *f = *state;
    struct weir_bytes not_utf8 = weir_bytes("\x0a\x02\xc3\x28", 4);

    struct verdict rest = over_rest(f, "{\"text\": \"\xc3\x28\"}");
    struct verdict grpc = over_grpc(f, not_utf8);
    struct verdict kafka = over_kafka(f, not_utf8, false, true);

    assert_int_equal(rest.status, WEIR_INVALID_ARGUMENT);
    assert_int_equal(grpc.status, WEIR_INVALID_ARGUMENT);
    assert_int_equal(kafka.status, WEIR_INVALID_ARGUMENT);
    assert_non_null(strstr(rest.text, "text"));
    assert_non_null(strstr(grpc.text, "text"));
    assert_string_equal(kafka.text, grpc.text);
    assert_int_equal(f->echo.echoed, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_good_request_has_the_same_effect),
        TEST(a_refusal_has_the_same_status_and_words),
        TEST(what_is_not_a_message_is_refused_alike_and_reaches_no_handler),
    };
    return kit_run_tests(tests, NULL, NULL);
}
