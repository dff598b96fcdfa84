/* The command line `weir`, as a process, against an app that serves the echo service over gRPC and REST. */
#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/weir.h>

#include "broker.h"
#include "core/memory.h"
#include "echo_service.h"
#include "wait.h"

#define PATIENCE_MS 15000

struct fixture {
    struct weir_app *app;
    struct echo_service echo;
    pthread_t thread;
    char grpc[64], rest[64], nobody[64];
    char *out; /* of the last weir(): stdout, behind it stderr */
};

static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void *run(void *arg)
{
    struct fixture *f = arg;
    weir_app_run(f->app);
    return NULL;
}

static int set_up(void **state)
{
    struct fixture *f = NEW(struct fixture);
    snprintf(f->grpc, sizeof f->grpc, "127.0.0.1:%d", free_port());
    snprintf(f->rest, sizeof f->rest, "127.0.0.1:%d", free_port());
    snprintf(f->nobody, sizeof f->nobody, "127.0.0.1:%d", free_port());
    char *argv[] = {(char *)"cli-test", (char *)"--app.report=none", (char *)"--log.level=error", NULL};
    f->app = weir_app_new("cli-test", 3, argv);
    struct weir_service *service = echo_service_start_with(f->app, &f->echo, false);
    weir_grpc_server_add(f->app, "grpc", service, &(struct weir_grpc_options){.listen = f->grpc});
    weir_rest_server_add(f->app, "rest", service, &(struct weir_rest_options){.listen = f->rest});
    assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
    kit_wait(kit_app_is_ready, f->app);
    setenv("WEIR_DESCRIPTORS", ECHO_DESCRIPTORS, 1);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    weir_app_stop(f->app, "the test's end");
    pthread_join(f->thread, NULL);
    echo_service_clean_up(&f->echo);
    free(f->out);
    free(f);
    return 0;
}

/* A shell command in which $W is weir, $G and $R are where gRPC and REST are served, $N is where nobody
 * listens. Returns its exit status. */
static int weir(struct fixture *f, const char *command)
{
    struct weir_buffer line = {0}, out = {0};
    weir_buffer_printf(&line, "W=%s G=%s R=%s N=%s; exec 2>&1; %s", WEIR_CLI, f->grpc, f->rest, f->nobody,
                       command);
    FILE *pipe = popen(weir_buffer_text(&line), "r");
    assert_non_null(pipe);
    for (size_t size = 1; size > 0; out.size += size)
        size = fread(weir_buffer_reserve(&out, 4096), 1, 4096, pipe);
    int status = pclose(pipe);
    free(f->out);
    f->out = memory_strdup(weir_buffer_text(&out));
    weir_buffer_free(&line);
    weir_buffer_free(&out);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_unary_call_prints_its_reply(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(weir(f, "$W call --compact $G Echo '{\"text\": \"tea\", \"item\": {\"quantity\": 2}}'"),
                     0);
    assert_string_equal(
        f->out, "{\"request\":{\"text\":\"tea\",\"item\":{\"quantity\":2}},\"transport\":\"grpc\"}\n");
    assert_int_equal(weir(f, "echo '{\"text\":\n\"tea\"}' | $W call $G weir.test.v1.EchoService/Echo -"), 0);
    assert_string_equal(f->out,
                        "{\n  \"request\": {\n    \"text\": \"tea\"\n  },\n  \"transport\": \"grpc\"\n}\n");
}

static void the_same_call_goes_over_rest(void **state)
{
    struct fixture *f = *state;
    const char *expected = "{\"request\":{\"text\":\"tea\"},\"transport\":\"rest\"}\n";
    assert_int_equal(weir(f, "$W call --rest --compact $R Echo '{\"text\": \"tea\"}'"), 0);
    assert_string_equal(f->out, expected);
    assert_int_equal(weir(f, "$W call --compact http://$R EchoService.Echo '{\"text\": \"tea\"}'"), 0);
    assert_string_equal(f->out, expected);
}

static void streams_print_line_by_line(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(weir(f, "$W call $G Count '{\"n\": 3}'"), 0);
    assert_string_equal(f->out, "{\"i\":1}\n{\"i\":2}\n{\"i\":3}\n");
    assert_int_equal(weir(f, "$W call $G Sum '{\"value\": 3}' '{\"value\": 4}'"), 0);
    assert_string_equal(f->out, "{\"sum\":\"7\",\"messages\":2}\n");
    assert_int_equal(weir(f, "printf '{\"text\":\"a\"}\\n\\n{\"text\":\"b\"}\\n' | $W call $G Chat -"), 0);
    assert_string_equal(f->out, "{\"text\":\"you said a\"}\n{\"text\":\"you said b\"}\n");
}

static void the_servers_no_is_said_in_its_words(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(weir(f, "$W call $G Fail '{\"status\": 5, \"text\": \"no order 7\"}'"), 1);
    assert_string_equal(f->out, "weir: NOT_FOUND: no order 7\n");
    assert_int_equal(weir(f, "$W call --rest $R Fail '{\"status\": 5, \"text\": \"no order 7\"}'"), 1);
    assert_string_equal(f->out, "weir: NOT_FOUND: no order 7\n");
    assert_int_equal(weir(f, "$W call --timeout 0.2 $G Wait '{\"blockMs\": 60000}'"), 1);
    assert_memory_equal(f->out, "weir: DEADLINE_EXCEEDED: ", 25);
}

static void mistakes_are_explained(void **state)
{
    struct fixture *f = *state;
    char expected[256];
    assert_int_equal(weir(f, "$W call $N Echo"), 69);
    snprintf(expected, sizeof expected, "weir: nobody listens on %s: connection refused\n", f->nobody);
    assert_string_equal(f->out, expected);
    assert_int_equal(weir(f, "$W call $G Ecko"), 64);
    assert_string_equal(f->out,
                        "weir: there is no method Ecko; did you mean weir.test.v1.EchoService/Echo?\n");
    assert_int_equal(weir(f, "$W call $G Echo '{\"item\": {\"quantity\": 1.5}}'"), 65);
    assert_string_equal(f->out, "weir: line 1, column 23: item.quantity: 1.5 is not an integer\n"
                                "  {\"item\": {\"quantity\": 1.5}}\n"
                                "                        ^\n");
    assert_int_equal(weir(f, "$W call $G Sum '{\"value\": 1}' '{\"value\": true}'"), 65);
    assert_int_equal(weir(f, "$W call --rest $R Count"), 64);
    assert_string_equal(f->out, "weir: weir.test.v1.EchoService/Count is not served over REST: it streams\n");
    assert_int_equal(weir(f, "$W call nowhere Echo"), 64);
    assert_string_equal(f->out, "weir: nowhere is no target: HOST:PORT or unix:PATH\n");
    assert_int_equal(weir(f, "$W ls --descriptors /no/such/file"), 66);
    assert_string_equal(f->out,
                        "weir: cannot read the contracts in /no/such/file: No such file or directory\n");
    assert_int_equal(weir(f, "$W ls --descriptors $W"), 66);
    assert_non_null(strstr(f->out, ": not a FileDescriptorSet\n"));
    assert_int_equal(weir(f, "$W cal"), 64);
    assert_string_equal(f->out, "weir: there is no command \"cal\"; weir --help lists them\n");
}

static void contracts_are_shown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(weir(f, "$W ls"), 0);
    assert_string_equal(f->out, "weir.test.v1.EchoService\n"
                                "  Echo                      POST /v1/echo\n"
                                "  Fail                      POST /v1/fail\n"
                                "  Wait                      POST /v1/wait\n"
                                "  Count                     stream of replies\n"
                                "  Sum                       stream of requests\n"
                                "  Chat                      streams both ways\n"
                                "  Missing                   GET /v1/missing\n"
                                "topics\n"
                                "  user.echo                 weir.test.v1.EchoRequest, by key\n");
    assert_int_equal(weir(f, "$W describe Item; $W describe Colour"), 0);
    assert_string_equal(f->out, "message weir.test.v1.Item {\n"
                                "  string sku = 1;\n"
                                "  int32 quantity = 2;\n"
                                "  repeated weir.test.v1.Item parts = 3;\n"
                                "}\n"
                                "enum weir.test.v1.Colour {\n"
                                "  COLOUR_UNSPECIFIED = 0;\n"
                                "  COLOUR_RED = 1;\n"
                                "  COLOUR_BLUE = 2;\n"
                                "  COLOUR_NEGATIVE = -1;\n"
                                "}\n");
    assert_int_equal(weir(f, "$W describe EchoRequest"), 0);
    assert_non_null(strstr(f->out, "  map<int32, weir.test.v1.Item> items_by_id = 10;\n"));
    assert_non_null(strstr(f->out, "  oneof {\n    string name = 13;\n    int64 id = 14;\n"));
    assert_non_null(strstr(f->out, "  }\n  optional string note = 16;\n"));
    assert_non_null(strstr(f->out, "  string password = 23;  // sensitive\n"));
    assert_int_equal(weir(f, "$W describe EchoService/Count"), 0);
    assert_memory_equal(
        f->out, "rpc Count(weir.test.v1.CountRequest) returns (stream weir.test.v1.CountReply);\n", 79);
    assert_int_equal(weir(f, "$W describe Itm"), 64);
    assert_string_equal(
        f->out, "weir: there is no message, enum, service or method Itm; did you mean weir.test.v1.Item?\n");
}

/* Without what differs from run to run. */
static char *without_times(char *text)
{
    for (char *at = text; (at = strstr(at, "\"time\":\""));) {
        char *end = strchr(strchr(at + 8, '"') + 1, '"');
        memmove(at, end, strlen(end) + 1);
    }
    return text;
}

static void events_are_printed_one_a_line(void **state)
{
    struct fixture *f = *state;
    struct kit_child child;
    kit_child_start(&child, "127.0.0.1:0");
    struct kit_broker *broker = kit_broker_at(child.address);
    const struct kit_record records[] = {
        {.topic = "user.echo",
         .partition = 0,
         .key = "k",
         .message_id = "m1",
         .value = "\x0a\x03tea",
         .size = 5},
        {.topic = "user.echo", .partition = 0, .key = "k", .message_id = "m2", .value = "\xff", .size = 1},
        {.topic = "user.echo", .partition = 0, .value = "\x0a\x01x\xba\x01\x02pw", .size = 8},
        {.topic = "other.topic", .partition = 0, .value = "\x01\x02", .size = 2},
    };
    kit_produce(broker, records, sizeof records / sizeof records[0]);
    char command[256];
    snprintf(command, sizeof command, "$W tail user.echo --from-beginning -n 3 --brokers %s", child.address);
    assert_int_equal(weir(f, command), 0);
    assert_string_equal(
        without_times(f->out),
        "{\"partition\":0,\"offset\":0,\"key\":\"k\",\"id\":\"m1\",\"value\":{\"text\":\"tea\"}}\n"
        "{\"partition\":0,\"offset\":1,\"key\":\"k\",\"id\":\"m2\",\"problem\":\"a bad "
        "tag\",\"bytes\":\"/w==\"}\n"
        "{\"partition\":0,\"offset\":2,\"value\":{\"text\":\"x\",\"password\":\"***\"}}\n");
    snprintf(command, sizeof command, "$W tail user.echo --from-beginning -n 3 --show-sensitive --brokers %s",
             child.address);
    assert_int_equal(weir(f, command), 0);
    assert_non_null(strstr(f->out, "\"password\":\"pw\""));
    snprintf(command, sizeof command, "$W tail other.topic --from-beginning --to-end --brokers %s",
             child.address);
    assert_int_equal(weir(f, command), 0);
    assert_string_equal(without_times(f->out), "{\"partition\":0,\"offset\":0,\"bytes\":\"AQI=\"}\n");
    assert_int_equal(weir(f, "$W tail user.echo --brokers $N"), 69);
    assert_non_null(strstr(f->out, "connection refused"));
    kit_broker_destroy(broker);
    assert_int_equal(kit_child_stop(&child), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unary_call_prints_its_reply),
        cmocka_unit_test(the_same_call_goes_over_rest),
        cmocka_unit_test(streams_print_line_by_line),
        cmocka_unit_test(the_servers_no_is_said_in_its_words),
        cmocka_unit_test(mistakes_are_explained),
        cmocka_unit_test(contracts_are_shown),
        cmocka_unit_test(events_are_printed_one_a_line),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
