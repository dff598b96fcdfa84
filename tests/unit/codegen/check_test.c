/* Contracts that cannot be served, each with what protoc then prints. */
#include "test.h"

#include <stdio.h>

#include "core/memory.h"
#include "protoc.h"

/* Stands before each contract, on one line, so that the contract's own begins with line 2. */
static const char head[] = "syntax = \"proto3\"; package t; import \"google/api/annotations.proto\"; "
                           "import \"google/protobuf/timestamp.proto\"; import \"weir/options.proto\"; ";
static const char messages[] =
    "service Used { rpc Use(Request) returns (Reply) { option (google.api.http) = {get: '/used'}; } } "
    "message Reply { string text = 1 [(weir.sensitive) = true]; } enum Kind { NONE = 0; } "
    "message Request { string id = 1; repeated string tags = 2; Reply reply = 3; "
    "google.protobuf.Timestamp at = 4; map<string, string> labels = 5; Kind kind = 6; Request next = 7; }\n";

struct bad {
    const char *name;
    const char *contract;
    const char *error; /* without the file's name; NULL: none */
};

/* A service with one unary method that has this HTTP rule. */
#define RULE(TEXT) "service S { rpc M(Request) returns (Reply) { option (google.api.http) = {" TEXT "}; } }\n"
#define RULE_AT "2:46: "

static const struct bad bads[] = {
    {"a contract in order", RULE("post: '/v1/{id}' body: '*'"), NULL},
    {"wildcards and verbs", RULE("get: '/v1/{id=a/*/b/**}:read'"), NULL},
    {"a nested variable", RULE("get: '/v1/{reply.text}/{kind}/{at}'"), NULL},
    {"a literal of many characters", RULE("get: '/v1/a-b.c_d~e@f'"), NULL},
    {"as much as there may be",
     RULE("get: '/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2'"), NULL},

    {"no path", RULE("body: '*'"), RULE_AT "t.S/M: an HTTP binding without a path"},
    {"no slash", RULE("get: 'v1'"), RULE_AT "path \"v1\" does not begin with \"/\""},
    {"an empty segment", RULE("get: '/v1//x'"), RULE_AT "path \"/v1//x\": an empty segment at position 5"},
    {"a slash at the end", RULE("get: '/v1/'"), RULE_AT "path \"/v1/\": an empty segment at position 5"},
    {"an open variable", RULE("get: '/v1/{id'"),
     RULE_AT "path \"/v1/{id\": a variable without its \"}\" at position 8"},
    {"a variable without a name", RULE("get: '/v1/{}'"),
     RULE_AT "path \"/v1/{}\": a variable without a name at position 6"},
    {"a variable in a variable", RULE("get: '/v1/{id={kind}}'"),
     RULE_AT "path \"/v1/{id={kind}}\": a character that no segment may have at position 9"},
    {"a character of no path", RULE("get: '/v1/a b'"),
     RULE_AT "path \"/v1/a b\": a character that does not belong there at position 6"},
    {"percent-encoding", RULE("get: '/v1/a%20b'"),
     RULE_AT "path \"/v1/a%20b\": a character that does not belong there at position 6"},
    {"too many segments", RULE("get: '/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3'"),
     RULE_AT "path \"/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3\" has more than 32 "
             "segments or 8 variables"},
    {"more after **", RULE("get: '/v1/{id=**}/x'"),
     RULE_AT "path \"/v1/{id=**}/x\": nothing but a verb may follow ** at position 13"},
    {"an empty verb", RULE("get: '/v1/x:'"), RULE_AT "path \"/v1/x:\": an empty verb at position 7"},

    {"an unknown variable", RULE("get: '/v1/{ident}'"),
     RULE_AT "path \"/v1/{ident}\": {ident} is no field of t.Request"},
    {"an unknown nested variable", RULE("get: '/v1/{reply.id}'"),
     RULE_AT "path \"/v1/{reply.id}\": {reply.id} is no field of t.Request"},
    {"a field of a string", RULE("get: '/v1/{id.x}'"),
     RULE_AT "path \"/v1/{id.x}\": {id.x} is no field of t.Request"},
    {"a repeated variable", RULE("get: '/v1/{tags}'"),
     RULE_AT "path \"/v1/{tags}\": {tags} is repeated: a path has one value for it"},
    {"a map as a variable", RULE("get: '/v1/{labels}'"),
     RULE_AT "path \"/v1/{labels}\": {labels} is repeated: a path has one value for it"},
    {"a message as a variable", RULE("get: '/v1/{reply}'"),
     RULE_AT "path \"/v1/{reply}\": {reply} is a message: name one of its fields"},
    {"a variable twice", RULE("get: '/v1/{id}/{id}'"),
     RULE_AT "path \"/v1/{id}/{id}\": {id} stands there twice"},

    {"an unknown body", RULE("post: '/v1' body: 'reply.text'"),
     RULE_AT "t.S/M: body \"reply.text\" is no field of t.Request"},
    {"a body of GET", RULE("get: '/v1' body: '*'"), RULE_AT "t.S/M: GET has no body"},
    {"an unknown response body", RULE("get: '/v1' response_body: 'id'"),
     RULE_AT "t.S/M: response_body \"id\" is no field of t.Reply"},
    {"an unknown verb", RULE("custom: {kind: 'FETCH' path: '/v1'}"),
     RULE_AT "t.S/M: HTTP has no verb \"FETCH\": GET, PUT, POST, DELETE, PATCH, HEAD, OPTIONS"},
    {"bindings within bindings",
     RULE("get: '/v1' additional_bindings {get: '/v2' additional_bindings {get: '/v3'}}"),
     RULE_AT "t.S/M: an additional binding has additional bindings of its own"},
    {"REST of a client stream",
     "service S { rpc M(stream Request) returns (Reply) { option (google.api.http) = {get: '/v1'}; } }\n",
     "2:53: t.S/M streams its requests: it is not served over REST"},
    {"REST of a server stream",
     "service S { rpc M(Request) returns (stream Reply) { option (google.api.http) = {get: '/v1'}; } }\n",
     NULL},

    {"the same route twice", RULE("get: '/v1/{id}' additional_bindings {get: '/v1/*'}"),
     RULE_AT "GET /v1/* of t.S/M and /v1/{id} of t.S/M match the same requests"},
    {"a route within another",
     "service S {\nrpc A(Request) returns (Reply) { option (google.api.http) = {get: '/v1/{id=**}'}; }\n"
     "rpc B(Request) returns (Reply) { option (google.api.http) = {get: '/v1/a/b'}; }\n}\n",
     "4:34: GET /v1/a/b of t.S/B and /v1/{id=**} of t.S/A match the same requests"},
    {"the same route in two services",
     "service A { rpc M(Request) returns (Reply) { option (google.api.http) = {get: '/v1/{id}/x'}; } }\n"
     "service B { rpc M(Request) returns (Reply) { option (google.api.http) = {get: '/v1/x/{id}'}; } }\n",
     "3:46: GET /v1/x/{id} of t.B/M and /v1/{id}/x of t.A/M match the same requests"},
    {"routes that differ by verb, colon or length",
     RULE("get: '/v1/{id}' additional_bindings {delete: '/v1/{id}'} additional_bindings {get: '/v1/{id}:x'} "
          "additional_bindings {get: '/v1/{id}:y'} additional_bindings {get: '/v1/{id}/x'} "
          "additional_bindings {get: '/v1'}"),
     NULL},

    {"a topic in order",
     "message E { option (weir.topic) = {name: 'order.paid_late' key: 'k'}; string k = 1; }\n", NULL},
    {"a topic of parts",
     "message E { option (weir.topic).name = 'order.paid'; option (weir.topic).key = 'k'; string k = 1; }\n",
     NULL},
    {"a topic of no class",
     "message E { option (weir.topic) = {name: 'shop.low' key: 'k'}; string k = 1; }\n",
     "2:13: topic \"shop.low\" is not named CLASS.EVENT: CLASS is order, user, inventory or payment, EVENT "
     "is of a-z and _"},
    {"a topic of three parts",
     "message E { option (weir.topic) = {name: 'order.paid.v1' key: 'k'}; string k = 1; }\n",
     "2:13: topic \"order.paid.v1\" is not named CLASS.EVENT: CLASS is order, user, inventory or payment, "
     "EVENT is of a-z "
     "and _"},
    {"a topic without an event",
     "message E { option (weir.topic) = {name: 'order.' key: 'k'}; string k = 1; }\n",
     "2:13: topic \"order.\" is not named CLASS.EVENT: CLASS is order, user, inventory or payment, EVENT is "
     "of a-z and _"},
    {"a topic without a key", "message E { option (weir.topic) = {name: 'order.paid'}; string k = 1; }\n",
     "2:13: topic \"order.paid\" has no key: name the field by which its records are ordered"},
    {"an unknown key", "message E { option (weir.topic) = {name: 'order.paid' key: 'id'}; string k = 1; }\n",
     "2:13: topic \"order.paid\": its key \"id\" is no field of t.E"},
    {"a key that is no string",
     "message E { option (weir.topic) = {name: 'order.paid' key: 'k'}; int64 k = 1; }\n",
     "2:13: topic \"order.paid\": its key \"k\" must be a string that is neither repeated nor optional nor "
     "in a oneof"},
    {"a key that may be absent",
     "message E { option (weir.topic) = {name: 'order.paid' key: 'k'}; optional string k = 1; }\n",
     "2:13: topic \"order.paid\": its key \"k\" must be a string that is neither repeated nor optional nor "
     "in a oneof"},
    {"a topic of two messages",
     "message D { option (weir.topic) = {name: 'order.paid' key: 'k'}; string k = 1; }\n"
     "message E { option (weir.topic) = {name: 'order.paid' key: 'k'}; string k = 1; }\n",
     "3:13: topic \"order.paid\" is declared by t.D already"},

    {"a consumer of nothing",
     "service S { rpc M(Request) returns (Reply) { option (weir.consume) = {topic: 'order.x'}; } }\n",
     "2:46: t.S/M consumes topic \"order.x\", which no message declares: import the file that does"},
    {"a consumer of something else",
     "message E { option (weir.topic) = {name: 'order.x' key: 'k'}; string k = 1; }\n"
     "service S { rpc M(Request) returns (Reply) { option (weir.consume) = {topic: 'order.x'}; } }\n",
     "3:46: t.S/M consumes topic \"order.x\", which carries t.E; its request is t.Request"},
    {"a consumer that streams",
     "message E { option (weir.topic) = {name: 'order.x' key: 'k'}; string k = 1; }\n"
     "service S { rpc M(E) returns (stream Reply) { option (weir.consume) = {topic: 'order.x'}; } }\n",
     "3:47: t.S/M streams: only a unary method consumes a topic"},
    {"a stream with an idempotency key",
     "service S { rpc M(stream Request) returns (Reply) { option (weir.idempotency_key) = "
     "IDEMPOTENCY_KEY_OPTIONAL; } }\n",
     "2:53: t.S/M streams: only a unary method takes an idempotency key"},
    {"two consumers in a service",
     "message E { option (weir.topic) = {name: 'order.x' key: 'k'}; string k = 1; }\n"
     "service S { rpc M(E) returns (Reply) { option (weir.consume) = {topic: 'order.x'}; }\n"
     "rpc N(E) returns (Reply) { option (weir.consume) = {topic: 'order.x'}; } }\n",
     "4:28: topic \"order.x\" is consumed by t.S/M already"},

    {"a word of C's own", "message M {\nstring restrict = 1;\n}\n",
     "3:1: t.M: a field cannot be named restrict, which is a word of C's own"},
    {"the member that every message has", "message M {\nstring base = 1;\n}\n",
     "3:1: t.M: the field base needs the C member base, which the message itself has: rename one of them"},
    {"the count of another field", "message M {\nrepeated string items = 1;\nint32 n_items = 2;\n}\n",
     "4:1: t.M: the field n_items needs the C member n_items, which the field items has: rename one of them"},
    {"the case of a oneof", "message M {\nint32 kind_case = 1;\noneof kind {\nstring a = 2;\n}\n}\n",
     "5:1: t.M: the oneof kind needs the C member kind_case, which the field kind_case has: rename one of "
     "them"},

    {"two services of one prefix", "service Order {}\nservice OrderService {}\n",
     "3:1: the service t.OrderService needs the C name order_channel_add, which the service t.Order has: "
     "rename one of them"},
    {"two methods of one C name",
     "service S {\nrpc GetURL(Request) returns (Reply);\nrpc GetUrl(Request) returns (Reply);\n}\n",
     "4:1: the method t.S/GetUrl needs the C name s_get_url, which the method t.S/GetURL has: rename one of "
     "them"},
    {"a method that is named as what is made of another",
     "service S {\nrpc Get(Request) returns (Reply);\nrpc GetStart(Request) returns (Reply);\n}\n",
     "4:1: the method t.S/GetStart needs the C name s_get_start, which the method t.S/Get has: rename one of "
     "them"},
    {"a service that takes the framework's prefix", "service WeirService {}\n",
     "2:1: service WeirService: the C prefix weir_ is the framework's"},
    {"a service that takes the health service's prefix", "service HealthService {}\n",
     "2:1: service HealthService: the C prefix health_ is that of grpc.health.v1.Health"},
    {"methods that are keywords of C",
     "service S {\nrpc Void(Request) returns (Reply);\nrpc New(Request) returns (Reply);\n}\n", NULL},
};

static void what_protoc_prints_is_the_error(void **state)
{
    (void)state;
    char *dir = protoc_new_dir();
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof bads / sizeof bads[0]; i++) {
        char *text = memory_printf("%s%s%s", head, messages, bads[i].contract);
        char *expected = bads[i].error
                             ? memory_printf("--weir_out: these contracts cannot be served:\nbad.proto:%s\n",
                                             bads[i].error)
                             : memory_strdup("");
        struct weir_buffer output = {0};
        protoc_write(dir, "bad.proto", text);
        int status = protoc_run(&output,
                                WEIR_PROTOC " --plugin=" PROTOC_GEN_WEIR " -I%s -I" WEIR_PROTO_DIR
                                            " -I/usr/include --weir_opt=check --weir_out=%s bad.proto",
                                dir, dir);
        if (strcmp(weir_buffer_text(&output), expected) != 0 || (status == 0) != (bads[i].error == NULL)) {
            print_error("%s: status %d, expected\n%sgot\n%s\n", bads[i].name, status, expected,
                        weir_buffer_text(&output));
            wrong++;
        }
        weir_buffer_free(&output);
        free(text);
        free(expected);
    }
    protoc_remove_dir(dir);
    assert_int_equal(wrong, 0);
}

static void all_errors_are_told_at_once(void **state)
{
    (void)state;
    char *dir = protoc_new_dir();
    struct weir_buffer output = {0};
    char *text = memory_printf(
        "%s%sservice S {\nrpc A(Request) returns (Reply) { option (google.api.http) = {get: 'x'}; }\n"
        "rpc B(Request) returns (Reply) { option (google.api.http) = {get: '/v/{y}'}; }\n}\n",
        head, messages);
    protoc_write(dir, "bad.proto", text);
    protoc_run(&output,
               WEIR_PROTOC " --plugin=" PROTOC_GEN_WEIR " -I%s -I" WEIR_PROTO_DIR
                           " -I/usr/include --weir_out=%s bad.proto",
               dir, dir);
    assert_string_equal(weir_buffer_text(&output),
                        "--weir_out: these contracts cannot be served:\n"
                        "bad.proto:3:34: path \"x\" does not begin with \"/\"\n"
                        "bad.proto:4:34: path \"/v/{y}\": {y} is no field of t.Request\n");
    weir_buffer_free(&output);
    free(text);
    protoc_remove_dir(dir);
}

static void an_unknown_parameter_is_refused(void **state)
{
    (void)state;
    char *dir = protoc_new_dir();
    struct weir_buffer output = {0};
    protoc_write(dir, "a.proto", "syntax = \"proto3\";\n");
    assert_int_not_equal(protoc_run(&output,
                                    WEIR_PROTOC " --plugin=" PROTOC_GEN_WEIR
                                                " -I%s --weir_opt=chekc --weir_out=%s a.proto",
                                    dir, dir),
                         0);
    assert_string_equal(weir_buffer_text(&output),
                        "--weir_out: unknown parameter \"chekc\": protoc_gen_c=PATH, check\n");
    weir_buffer_free(&output);
    protoc_remove_dir(dir);
}

static void without_protobuf_c_it_says_what_to_install(void **state)
{
    (void)state;
    char *dir = protoc_new_dir();
    struct weir_buffer output = {0};
    protoc_write(dir, "a.proto", "syntax = \"proto3\";\n");
    protoc_run(&output,
               WEIR_PROTOC " --plugin=" PROTOC_GEN_WEIR
                           " -I%s --weir_opt=protoc_gen_c=/nowhere/gen --weir_out=%s a.proto",
               dir, dir);
    assert_string_equal(
        weir_buffer_text(&output),
        "--weir_out: cannot run /nowhere/gen (install protobuf-c's compiler, or give its path as the "
        "parameter protoc_gen_c): No such file or directory\n");
    weir_buffer_free(&output);
    protoc_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_protoc_prints_is_the_error),
        cmocka_unit_test(all_errors_are_told_at_once),
        cmocka_unit_test(an_unknown_parameter_is_refused),
        cmocka_unit_test(without_protobuf_c_it_says_what_to_install),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
