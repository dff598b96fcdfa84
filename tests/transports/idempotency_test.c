/* Idempotency keys over REST, gRPC, Kafka, and through a gateway's proxy: one effect, the same answer. */
#include "test.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/weir.h>

#include "broker.h"
#include "call/call.h"
#include "caller.h"
#include "ledger_service.h"
#include "process.h"
#include "raw_client.h"
#include "shard.h"
#include "wait.h"

/* ---- The service, in a process of its own where it is killed ---- */

struct bookkeeper {
    struct weir_app *app;
    struct ledger ledger;
    struct weir_rest_server *rest;
    struct weir_grpc_server *grpc;
    pthread_t thread;
    int exit_status;
};

/* Up to `more_count` flags of the caller's. */
static void build(struct bookkeeper *keeper, const char *folder, char *const *more, int more_count)
{
    char url[256], *argv[16] = {"ledger", "--app.report=none", "--log.level=error",
                                "--rest.listen=127.0.0.1:0", "--grpc.listen=127.0.0.1:0"};
    int argc = 5;
    snprintf(url, sizeof url, "--db.url=sqlite:%s/ledger.db", folder);
    argv[argc++] = url;
    for (int i = 0; i < more_count; i++)
        argv[argc++] = more[i];
    keeper->app = weir_app_new("ledger", argc, argv);
    struct weir_sql *db =
        weir_sql_add(keeper->app, "db", &(struct weir_sql_options){.migrations = ledger_schema});
    ledger_init(&keeper->ledger, db);
    struct weir_service *service = ledger_service_add(
        keeper->app,
        &(struct ledger_service_options){
            .handlers = &ledger_handlers, .self = &keeper->ledger, .idempotency = db, .needs = {db}});
    keeper->rest = weir_rest_server_add(keeper->app, "rest", service, NULL);
    keeper->grpc = weir_grpc_server_add(keeper->app, "grpc", service, NULL);
    if (more_count > 0)
        weir_consumer_add(keeper->app, "entries", service, NULL);
}

static void *run(void *self)
{
    struct bookkeeper *keeper = self;
    keeper->exit_status = weir_app_run(keeper->app);
    return NULL;
}

static void begin(struct bookkeeper *keeper)
{
    assert_int_equal(pthread_create(&keeper->thread, NULL, run, keeper), 0);
    kit_wait(kit_app_is_ready, keeper->app);
}

static void end(struct bookkeeper *keeper)
{
    weir_app_stop(keeper->app, "test");
    pthread_join(keeper->thread, NULL);
    assert_int_equal(keeper->exit_status, 0);
    ledger_clean_up(&keeper->ledger);
}

/* What the child of a test does: says its port, and serves until it is killed. */
static int serve(const char *folder, int crash)
{
    struct bookkeeper keeper = {0};
    build(&keeper, folder, NULL, 0);
    keeper.ledger.crash = (enum ledger_crash)crash;
    begin(&keeper);
    printf("port %d.\n", weir_rest_server_port(keeper.rest));
    fflush(stdout);
    pthread_join(keeper.thread, NULL);
    return keeper.exit_status;
}

/* ---- A test's own ---- */

struct fixture {
    char folder[64];
    struct bookkeeper keeper;
    struct kit_broker *broker; /* NULL: none */
    struct rpc_client *client;
    struct weir_app *gateway;
    struct weir_rest_server *gateway_rest;
    pthread_t gateway_thread;
    int gateway_exit;
};

static void make_folder(char *folder)
{
    strcpy(folder, "/tmp/weir-idempotency-XXXXXX");
    assert_non_null(mkdtemp(folder));
}

static void remove_folder(const char *path)
{
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    rmdir(path);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    make_folder(f->folder);
    build(&f->keeper, f->folder, NULL, 0);
    begin(&f->keeper);
    f->client = caller_new_client(weir_grpc_server_port(f->keeper.grpc));
    *state = f;
    return 0;
}

static int set_up_with_kafka(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    make_folder(f->folder);
    f->broker = kit_broker_new();
    char brokers[128], group[64];
    snprintf(brokers, sizeof brokers, "--entries.brokers=%s", kit_broker_address(f->broker));
    snprintf(group, sizeof group, "--entries.group=ledger-%d", (int)getpid());
    char *more[] = {brokers, group, "--entries.session_timeout_ms=4000"};
    build(&f->keeper, f->folder, more, 3);
    begin(&f->keeper);
    f->client = caller_new_client(weir_grpc_server_port(f->keeper.grpc));
    *state = f;
    return 0;
}

static void *run_gateway(void *self)
{
    struct fixture *f = self;
    f->gateway_exit = weir_app_run(f->gateway);
    return NULL;
}

static void begin_gateway(struct fixture *f, bool over_rest)
{
    char target[64];
    snprintf(target, sizeof target, "--ledger.target=127.0.0.1:%d",
             over_rest ? weir_rest_server_port(f->keeper.rest) : weir_grpc_server_port(f->keeper.grpc));
    char *argv[] = {"gateway", "--app.report=none", "--log.level=error", "--rest.listen=127.0.0.1:0", target,
                    NULL};
    f->gateway = weir_app_new("gateway", 5, argv);
    struct weir_channel *channel = over_rest ? weir_rest_channel_add(f->gateway, "ledger", NULL)
                                             : weir_grpc_channel_add(f->gateway, "ledger", NULL);
    struct weir_service *proxy = weir_proxy_add(f->gateway, &ledger_service_type, channel);
    f->gateway_rest = weir_rest_server_add(f->gateway, "rest", proxy, NULL);
    assert_int_equal(pthread_create(&f->gateway_thread, NULL, run_gateway, f), 0);
    kit_wait(kit_app_is_ready, f->gateway);
}

static int set_up_with_gateway(void **state)
{
    set_up(state);
    begin_gateway(*state, false);
    return 0;
}

static int set_up_with_rest_gateway(void **state)
{
    set_up(state);
    begin_gateway(*state, true);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->gateway) {
        weir_app_stop(f->gateway, "test");
        pthread_join(f->gateway_thread, NULL);
        assert_int_equal(f->gateway_exit, 0);
    }
    rpc_client_destroy(f->client);
    end(&f->keeper);
    if (f->broker)
        kit_broker_destroy(f->broker);
    remove_folder(f->folder);
    free(f);
    return 0;
}

/* Caller frees. */
static struct raw_answer *post_with(int port, const char *path, const char *headers, const char *json)
{
    struct weir_buffer request = {0};
    weir_buffer_printf(
        &request,
        "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
        "Connection: close\r\n%s\r\n%s",
        path, strlen(json), headers, json);
    struct raw_answer *answer = raw_ask(port, weir_buffer_text(&request));
    weir_buffer_free(&request);
    return answer;
}

/* `key`: as the header has it; NULL: none. */
static struct raw_answer *post(int port, const char *path, const char *key, const char *json)
{
    char header[512] = "";
    if (key)
        snprintf(header, sizeof header, "Idempotency-Key: %s\r\n", key);
    return post_with(port, path, header, json);
}

/* Expects a status and, where it is given, a header's value; "" none. Returns the body; caller frees. */
static char *expect(struct raw_answer *answer, int status, const char *header, const char *value)
{
    const char *found = raw_header(answer, header);
    if (answer->status != status || strcmp(found ? found : "", value) != 0)
        fail_msg("%d, %s: %s, %s\n%s", answer->status, header, found ? found : "", answer->head,
                 answer->body);
    char *body = strdup(answer->body);
    free(answer);
    return body;
}

static void expect_same_answer(int port, const char *path, const char *json, int status)
{
    char *first = expect(post(port, path, "\"k1\"", json), status, "Idempotent-Replayed", "");
    char *quoted = expect(post(port, path, "\"k1\"", json), status, "Idempotent-Replayed", "true");
    char *bare = expect(post(port, path, "k1", json), status, "Idempotent-Replayed", "true");
    assert_string_equal(quoted, first);
    assert_string_equal(bare, first);
    free(first);
    free(quoted);
    free(bare);
}

#define REUSED                                                                                               \
    "{\"type\":\"about:blank\",\"title\":\"Unprocessable "                                                   \
    "Content\",\"status\":422,\"detail\":\"Idempotency-Key: "                                                \
    "it was used for a request with other content\",\"code\":\"INVALID_ARGUMENT\"}"

static void expect_refusals(int port)
{
    free(expect(post(port, "/v1/entries", "k1", "{\"account\":\"a\",\"amount\":\"5\"}"), 200,
                "Idempotent-Replayed", ""));
    char *body = expect(post(port, "/v1/entries", "k1", "{\"account\":\"a\",\"amount\":\"6\"}"), 422,
                        "Idempotent-Replayed", "");
    assert_string_equal(body, REUSED);
    free(body);
    body = expect(post(port, "/v1/payments", NULL, "{}"), 400, "Retry-After", "");
    assert_non_null(strstr(body, "requires an Idempotency-Key"));
    free(body);
    body = expect(post(port, "/v1/entries", "\"k", "{}"), 400, "Retry-After", "");
    assert_non_null(strstr(body, "must end with one"));
    free(body);
    body = expect(post(port, "/v1/entries", "k\xc3\xa9", "{}"), 400, "Retry-After", "");
    assert_non_null(strstr(body, "printable ASCII"));
    free(body);
}

/* ---- REST ---- */

static void rest_gives_the_first_status_and_body_again(void **state)
{
    struct fixture *f = *state;
    int port = weir_rest_server_port(f->keeper.rest);
    expect_same_answer(port, "/v1/entries", "{\"account\":\"a\",\"amount\":\"5\"}", 200);
    expect_same_answer(port, "/v1/payments", "{\"account\":\"a\",\"refuse\":9}", 409);
    assert_int_equal(ledger_runs(&f->keeper.ledger), 2);
}

static void rest_gives_a_500_again_with_the_trace_of_the_first(void **state)
{
    struct fixture *f = *state;
    expect_same_answer(weir_rest_server_port(f->keeper.rest), "/v1/entries", "{\"failInside\":13}", 500);
    assert_int_equal(ledger_runs(&f->keeper.ledger), 1);
}

static void rest_refuses_other_content_and_what_is_no_key(void **state)
{
    struct fixture *f = *state;
    expect_refusals(weir_rest_server_port(f->keeper.rest));
    assert_int_equal(ledger_runs(&f->keeper.ledger), 1);
}

struct slow {
    int port;
    struct raw_answer *answer;
};

static void *ask_slowly(void *arg)
{
    struct slow *slow = arg;
    slow->answer = post(slow->port, "/v1/entries", "k", "{\"wait\":true}");
    return NULL;
}

static void expect_conflict(struct fixture *f, int port)
{
    struct slow slow = {.port = port};
    pthread_t thread;
    int64_t runs = ledger_runs(&f->keeper.ledger);
    assert_int_equal(pthread_create(&thread, NULL, ask_slowly, &slow), 0);
    assert_true(ledger_await_waiting(&f->keeper.ledger, 1));
    char *body = expect(post(port, "/v1/entries", "k", "{\"wait\":true}"), 409, "Retry-After", "1");
    assert_non_null(strstr(body, "a call with it is under way"));
    free(body);
    ledger_let_go(&f->keeper.ledger);
    pthread_join(thread, NULL);
    char *first = expect(slow.answer, 200, "Idempotent-Replayed", "");
    char *again =
        expect(post(port, "/v1/entries", "k", "{\"wait\":true}"), 200, "Idempotent-Replayed", "true");
    assert_string_equal(again, first);
    free(first);
    free(again);
    assert_int_equal(ledger_runs(&f->keeper.ledger) - runs, 1);
}

static void rest_refuses_a_duplicate_while_the_first_one_runs(void **state)
{
    struct fixture *f = *state;
    expect_conflict(f, weir_rest_server_port(f->keeper.rest));
}

/* ---- Through a gateway ---- */

static void a_gateway_passes_keys_and_answers_on(void **state)
{
    struct fixture *f = *state;
    int port = weir_rest_server_port(f->gateway_rest);
    expect_same_answer(port, "/v1/payments", "{\"account\":\"a\",\"amount\":\"5\"}", 200);
    expect_refusals(port);
    expect_conflict(f, port);
}

/* ---- gRPC ---- */

static const struct weir_method *const add_method = &ledger_methods[0];

static struct weir_buffer entry_of(const char *account, int64_t amount)
{
    Ledger__Entry entry = LEDGER__ENTRY__INIT;
    struct weir_buffer wire = {0};
    entry.account = (char *)(uintptr_t)account;
    entry.amount = amount;
    call_pack(&entry.base, &wire);
    return wire;
}

static void grpc_gives_the_first_answer_again_and_rest_the_same(void **state)
{
    struct fixture *f = *state;
    struct weir_buffer entry = entry_of("a", 5), other = entry_of("a", 6);
    struct caller first, again, changed;

    assert_int_equal(caller_call_with_key(&first, f->client, add_method, weir_buffer_bytes(&entry), "k"),
                     WEIR_OK);
    assert_int_equal(caller_call_with_key(&again, f->client, add_method, weir_buffer_bytes(&entry), "k"),
                     WEIR_OK);
    assert_int_equal(caller_call_with_key(&changed, f->client, add_method, weir_buffer_bytes(&other), "k"),
                     WEIR_INVALID_ARGUMENT);

    assert_null(caller_metadata(&first, "idempotent-replayed"));
    assert_string_equal(caller_metadata(&again, "idempotent-replayed"), "true");
    assert_int_equal(again.reply_size, first.reply_size);
    assert_memory_equal(again.reply, first.reply, first.reply_size);
    assert_string_equal(caller_metadata(&changed, "weir-reason"), "idempotency-key-reused");

    free(expect(post(weir_rest_server_port(f->keeper.rest), "/v1/entries", "k",
                     "{\"amount\": 5, \"account\": \"a\"}"),
                200, "Idempotent-Replayed", "true"));
    assert_int_equal(ledger_runs(&f->keeper.ledger), 1);
    weir_buffer_free(&entry);
    weir_buffer_free(&other);
}

static void grpc_gives_a_refusal_again(void **state)
{
    struct fixture *f = *state;
    Ledger__Entry entry = LEDGER__ENTRY__INIT;
    struct weir_buffer wire = {0};
    entry.fail_inside = WEIR_FAILED_PRECONDITION;
    call_pack(&entry.base, &wire);
    struct caller first, again;

    assert_int_equal(caller_call_with_key(&first, f->client, add_method, weir_buffer_bytes(&wire), "k"),
                     WEIR_FAILED_PRECONDITION);
    assert_int_equal(caller_call_with_key(&again, f->client, add_method, weir_buffer_bytes(&wire), "k"),
                     WEIR_FAILED_PRECONDITION);

    assert_string_equal(again.text, first.text);
    assert_string_equal(caller_metadata(&again, "idempotent-replayed"), "true");
    assert_int_equal(ledger_runs(&f->keeper.ledger), 1);
    weir_buffer_free(&wire);
}

/* ---- Kafka ---- */

struct committed {
    struct fixture *f;
    int64_t offset;
};

static bool is_committed(void *arg)
{
    struct committed *committed = arg;
    char group[64];
    int64_t sum = 0;
    snprintf(group, sizeof group, "ledger-%d", (int)getpid());
    for (int32_t partition = 0; partition < 4; partition++) {
        int64_t offset = kit_committed(committed->f->broker, group, "payment.entry", partition);
        sum += offset > 0 ? offset : 0;
    }
    return sum >= committed->offset;
}

static void kafka_has_the_effect_of_a_message_once(void **state)
{
    struct fixture *f = *state;
    struct weir_buffer entry = entry_of("a", 5);
    struct kit_record records[6];
    for (int i = 0; i < 6; i++)
        records[i] = (struct kit_record){.topic = "payment.entry",
                                         .partition = -1,
                                         .key = "a",
                                         .message_id = i < 5 ? "m1" : "m2",
                                         .value = entry.data,
                                         .size = entry.size};
    kit_produce(f->broker, records, 6);
    kit_wait(is_committed, &(struct committed){f, 6});

    assert_int_equal(ledger_runs(&f->keeper.ledger), 2);
    weir_buffer_free(&entry);
}

/* ---- Crashes ---- */

static const char *self_path;

/* `crash`: "0", or a number of enum ledger_crash. Its REST port. */
static int start_child(struct process *child, const char *folder, const char *crash)
{
    int port = 0;
    process_start(child, (const char *const[]){self_path, "serve", folder, crash, NULL}, NULL);
    size_t at = process_await(child, 0, "port ");
    process_await(child, at, ".\n");
    assert_int_equal(sscanf(weir_buffer_text(&child->said) + at, "port %d", &port), 1);
    return port;
}

static int set_up_folder(void **state)
{
    *state = calloc(1, 64);
    make_folder(*state);
    return 0;
}

static int tear_down_folder(void **state)
{
    remove_folder(*state);
    free(*state);
    return 0;
}

#define LEASE_HEADERS "Idempotency-Key: k\r\ngrpc-timeout: 1S\r\n"

/* The process kills itself before it answers. */
static void ask_and_crash(const char *folder, const char *crash, const char *json)
{
    struct process child = {0};
    struct raw_answer *answer =
        post_with(start_child(&child, folder, crash), "/v1/payments", LEASE_HEADERS, json);
    assert_int_equal(answer->status, 0);
    free(answer);
    int status = process_end(&child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    process_free(&child);
}

/* The sum of the account's entries, by one of nothing. */
static void expect_total(int port, int64_t total)
{
    char text[64];
    char *body =
        expect(post(port, "/v1/entries", NULL, "{\"account\":\"a\"}"), 200, "Idempotent-Replayed", "");
    snprintf(text, sizeof text, "\"total\":\"%lld\"", (long long)total);
    if (!strstr(body, text))
        fail_msg("%s is not in %s", text, body);
    free(body);
}

static void after_a_crash_between_effect_and_answer_the_first_answer_is_there(void **state)
{
    const char *folder = *state, *json = "{\"account\":\"a\",\"amount\":\"5\"}";
    ask_and_crash(folder, "2", json);

    struct process child = {0};
    int port = start_child(&child, folder, "0");
    char *body = expect(post(port, "/v1/payments", "k", json), 200, "Idempotent-Replayed", "true");
    assert_non_null(strstr(body, "\"total\":\"5\""));
    free(body);
    expect_total(port, 5);
    process_free(&child);
}

struct repeated {
    int port;
    const char *json;
    char *body;
};

static bool is_answered(void *arg)
{
    struct repeated *repeated = arg;
    struct raw_answer *answer = post(repeated->port, "/v1/payments", "k", repeated->json);
    if (answer->status != 409)
        repeated->body = expect(answer, 200, "Idempotent-Replayed", "");
    else
        free(expect(answer, 409, "Retry-After", "1"));
    return repeated->body != NULL;
}

static void after_a_crash_between_two_transactions_the_call_goes_on_once_the_claim_is_over(void **state)
{
    const char *folder = *state, *json = "{\"account\":\"a\",\"amount\":\"5\",\"twoSteps\":true}";
    ask_and_crash(folder, "1", json);

    struct process child = {0};
    struct repeated repeated = {.port = start_child(&child, folder, "0"), .json = json};
    kit_wait(is_answered, &repeated);
    assert_non_null(strstr(repeated.body, "\"total\":\"5\""));
    expect_total(repeated.port, 5);
    char *again = expect(post(repeated.port, "/v1/payments", "k", json), 200, "Idempotent-Replayed", "true");
    assert_string_equal(again, repeated.body);
    free(again);
    free(repeated.body);
    process_free(&child);
}

#define TEST(function, begin) cmocka_unit_test_setup_teardown(function, begin, tear_down)

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "serve") == 0)
        return serve(argv[2], atoi(argv[3]));
    self_path = argv[0];
    const struct CMUnitTest tests[] = {
        TEST(rest_gives_the_first_status_and_body_again, set_up),
        TEST(rest_gives_a_500_again_with_the_trace_of_the_first, set_up),
        TEST(rest_refuses_other_content_and_what_is_no_key, set_up),
        TEST(rest_refuses_a_duplicate_while_the_first_one_runs, set_up),
        TEST(a_gateway_passes_keys_and_answers_on, set_up_with_gateway),
        TEST(a_gateway_passes_keys_and_answers_on, set_up_with_rest_gateway),
        TEST(grpc_gives_the_first_answer_again_and_rest_the_same, set_up),
        TEST(grpc_gives_a_refusal_again, set_up),
        TEST(kafka_has_the_effect_of_a_message_once, set_up_with_kafka),
        cmocka_unit_test_setup_teardown(after_a_crash_between_effect_and_answer_the_first_answer_is_there,
                                        set_up_folder, tear_down_folder),
        cmocka_unit_test_setup_teardown(
            after_a_crash_between_two_transactions_the_call_goes_on_once_the_claim_is_over, set_up_folder,
            tear_down_folder),
    };
    return kit_run_tests(tests, NULL, NULL);
}
