/* weir-protocheck: each rule, broken once. */
#include "test.h"

#include <stdio.h>

#include "core/memory.h"
#include "protoc.h"

static void make_set(const char *dir, const char *folder, const char *text, const char *more)
{
    struct weir_buffer output = {0};
    protoc_run(&output, "mkdir -p %s/%s/t/v1", dir, folder);
    char *path = memory_printf("%s/t/v1/a.proto", folder);
    protoc_write(dir, path, text);
    int status = protoc_run(&output,
                            WEIR_PROTOC " -I%s/%s -I" WEIR_PROTO_DIR " -I/usr/include --include_imports %s"
                                        " --descriptor_set_out=%s/%s.pb t/v1/a.proto",
                            dir, folder, more, dir, folder);
    if (status != 0)
        fail_msg("%s\n%s", text, weir_buffer_text(&output));
    weir_buffer_free(&output);
    free(path);
}

/* ---- compare ---- */

static const char head[] =
    "syntax = \"proto3\"; package t.v1; import \"google/api/annotations.proto\"; "
    "import \"weir/options.proto\"; message A { string x = 1; } message B { string x = 1; }\n";

struct change {
    const char *name;
    const char *old, *new; /* follow the head: their first line is the second */
    const char *found;     /* after the file's name */
};

#define HTTP(TEXT) "service S {\nrpc M(A) returns (B) { option (google.api.http) = {" TEXT "}; } }\n"

static const struct change changes[] = {
    {"nothing", "message M { string a = 1; }", "message M { string a = 1; }", ""},
    {"what is added", "message M { string a = 1; } enum E { E_X = 0; } service S {}",
     "message M { string a = 1; int32 b = 2; } message N {} enum E { E_X = 0; E_Y = 1; } "
     "service S { rpc M(A) returns (B); } service T {}",
     ""},
    {"a removed field", "message M { string a = 1; string b = 2; }",
     "message M { string a = 1; reserved 2; }",
     ":2:1: t.v1.M.b: FIELD_KEPT: number 2 was removed: keep it, deprecated"},
    {"a renumbered field", "message M { string a = 1; }", "message M { string a = 2; }",
     ":2:13: t.v1.M.a: FIELD_SAME_NUMBER: 1 became 2"},
    {"a renamed field", "message M { string a = 1; }", "message M { string b = 1; }",
     ":2:13: t.v1.M.a: FIELD_SAME_NAME: became b"},
    {"a retyped field", "message M { int32 a = 1; }", "message M { string a = 1; }",
     ":2:13: t.v1.M.a: FIELD_SAME_TYPE: int32 became string"},
    {"another message as a type", "message M { A a = 1; }", "message M { B a = 1; }",
     ":2:13: t.v1.M.a: FIELD_SAME_TYPE: t.v1.A became t.v1.B"},
    {"another value of a map", "message M { map<string, A> a = 1; }", "message M { map<string, B> a = 1; }",
     ":2:13: t.v1.M.a: FIELD_SAME_TYPE: map<string, t.v1.A> became map<string, t.v1.B>"},
    {"a field that becomes repeated", "message M { string a = 1; }", "message M { repeated string a = 1; }",
     ":2:13: t.v1.M.a: FIELD_SAME_LABEL: singular became repeated"},
    {"a field that becomes optional", "message M { string a = 1; }", "message M { optional string a = 1; }",
     ":2:13: t.v1.M.a: FIELD_SAME_LABEL: singular became optional"},
    {"another JSON name", "message M { string a = 1; }", "message M { string a = 1 [json_name = \"b\"]; }",
     ":2:13: t.v1.M.a: FIELD_SAME_JSON_NAME: \"a\" became \"b\""},
    {"a field that moves into a oneof", "message M { string a = 1; }",
     "message M { oneof o { string a = 1; } }", ":2:23: t.v1.M.a: FIELD_SAME_ONEOF: none became o"},
    {"a field of a nested message", "message M { message N { string a = 1; } }", "message M { message N {} }",
     ":2:13: t.v1.M.N.a: FIELD_KEPT: number 1 was removed: keep it, deprecated"},
    {"a removed message", "message M {}", "", ": t.v1.M: MESSAGE_KEPT: was removed"},
    {"a removed enum", "enum E { E_X = 0; }", "", ": t.v1.E: ENUM_KEPT: was removed"},
    {"a removed value", "enum E { E_X = 0; E_Y = 1; }", "enum E { E_X = 0; }",
     ":2:1: t.v1.E.E_Y: ENUM_VALUE_KEPT: number 1 was removed: keep it, deprecated"},
    {"a renamed value", "enum E { E_X = 0; }", "enum E { E_Z = 0; }",
     ":2:10: t.v1.E.E_X: ENUM_VALUE_SAME_NAME: became E_Z"},
    {"a renumbered value", "enum E { E_X = 0; E_Y = 1; }", "enum E { E_X = 0; E_Y = 2; }",
     ":2:19: t.v1.E.E_Y: ENUM_VALUE_SAME_NUMBER: 1 became 2"},
    {"an alias of a value", "enum E { E_X = 0; }", "enum E { option allow_alias = true; E_Z = 0; E_X = 0; }",
     ""},
    {"a removed service", "service S {}", "", ": t.v1.S: SERVICE_KEPT: was removed"},
    {"a removed method", "service S { rpc M(A) returns (B); }", "service S {}",
     ":2:1: t.v1.S/M: RPC_KEPT: was removed"},
    {"another request", "service S { rpc M(A) returns (B); }", "service S { rpc M(B) returns (B); }",
     ":2:13: t.v1.S/M: RPC_SAME_REQUEST: t.v1.A became t.v1.B"},
    {"another reply", "service S { rpc M(A) returns (B); }", "service S { rpc M(A) returns (A); }",
     ":2:13: t.v1.S/M: RPC_SAME_REPLY: t.v1.B became t.v1.A"},
    {"a method that streams", "service S { rpc M(A) returns (B); }",
     "service S { rpc M(stream A) returns (stream B); }",
     ":2:13: t.v1.S/M: RPC_SAME_STREAMING: no stream became a stream both ways"},
    {"a method that is not idempotent any more",
     "service S { rpc M(A) returns (B) { option (weir.idempotent) = true; } }",
     "service S { rpc M(A) returns (B); }",
     ":2:13: t.v1.S/M: RPC_IDEMPOTENT: is idempotent no more, but old clients retry it"},
    {"a method that takes no idempotency key any more",
     "service S { rpc M(A) returns (B) { option (weir.idempotency_key) = IDEMPOTENCY_KEY_OPTIONAL; } }",
     "service S { rpc M(A) returns (B); }",
     ":2:13: t.v1.S/M: RPC_IDEMPOTENCY_KEY: takes no Idempotency-Key any more, but old clients retry with "
     "theirs"},
    {"a method that requires an idempotency key",
     "service S { rpc M(A) returns (B) { option (weir.idempotency_key) = IDEMPOTENCY_KEY_OPTIONAL; } }",
     "service S { rpc M(A) returns (B) { option (weir.idempotency_key) = IDEMPOTENCY_KEY_REQUIRED; } }",
     ":2:13: t.v1.S/M: RPC_IDEMPOTENCY_KEY: requires an Idempotency-Key now, which old clients do not send"},
    {"a method that takes an idempotency key", "service S { rpc M(A) returns (B); }",
     "service S { rpc M(A) returns (B) { option (weir.idempotency_key) = IDEMPOTENCY_KEY_OPTIONAL; } }", ""},
    {"another path", HTTP("get: '/v1/a'"), HTTP("get: '/v1/b'"),
     ":3:24: t.v1.S/M: RPC_HTTP_KEPT: GET /v1/a was removed"},
    {"another verb", HTTP("put: '/v1/a'"), HTTP("patch: '/v1/a'"),
     ":3:24: t.v1.S/M: RPC_HTTP_KEPT: PUT /v1/a was removed"},
    {"another body", HTTP("post: '/v1/a' body: '*'"), HTTP("post: '/v1/a' body: 'x'"),
     ":3:24: t.v1.S/M: RPC_SAME_HTTP_BODY: POST /v1/a: body \"*\" and response_body \"\" became \"x\" and "
     "\"\""},
    {"an old path that becomes an additional binding", HTTP("get: '/v1/a'"),
     HTTP("get: '/v2/a' additional_bindings {get: '/v1/a'}"), ""},
    {"another topic", "message E { option (weir.topic) = {name: 'order.a' key: 'k'}; string k = 1; }",
     "message E { option (weir.topic) = {name: 'order.b' key: 'k'}; string k = 1; }",
     ":2:13: t.v1.E: MESSAGE_SAME_TOPIC: order.a became order.b"},
    {"a topic that is none any more",
     "message E { option (weir.topic) = {name: 'order.a' key: 'k'}; string k = 1; }",
     "message E { string k = 1; }", ":2:1: t.v1.E: MESSAGE_SAME_TOPIC: order.a was removed"},
    {"another key",
     "message E { option (weir.topic) = {name: 'order.a' key: 'k'}; string k = 1; string l = 2; }",
     "message E { option (weir.topic) = {name: 'order.a' key: 'l'}; string k = 1; string l = 2; }",
     ":2:13: t.v1.E: TOPIC_SAME_KEY: k became l: records of one key would lose their order"},
    {"another topic that is consumed",
     "service S { rpc M(A) returns (B) { option (weir.consume) = {topic: 'order.a'}; } }",
     "service S { rpc M(A) returns (B); }", ":2:13: t.v1.S/M: RPC_SAME_TOPIC: order.a became none"},
};

static void what_breaks_is_found(void **state)
{
    (void)state;
    char *dir = protoc_new_dir();
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        const struct change *change = &changes[i];
        char *old = memory_printf("%s%s", head, change->old), *new = memory_printf("%s%s", head, change->new);
        bool breaks = change->found[0] != '\0';
        char *expected =
            memory_printf("%s%s%s", breaks ? "t/v1/a.proto" : "", change->found, breaks ? "\n" : "");
        make_set(dir, "old", old, "");
        make_set(dir, "new", new, "--include_source_info");
        struct weir_buffer output = {0};
        int status = protoc_run(&output, WEIR_PROTOCHECK " compare %s/old.pb %s/new.pb", dir, dir);
        if (strcmp(weir_buffer_text(&output), expected) != 0 || status != breaks) {
            print_error("%s: status %d, expected\n%sgot\n%s\n", change->name, status, expected,
                        weir_buffer_text(&output));
            wrong++;
        }
        weir_buffer_free(&output);
        free(old);
        free(new);
        free(expected);
    }
    protoc_remove_dir(dir);
    assert_int_equal(wrong, 0);
}

/* ---- lint ---- */

struct slip {
    const char *name;
    const char *text;
    const char *found;
};

#define HEAD                                                                                                 \
    "// A.\nsyntax = \"proto3\"; package t.v1; import \"protobuf-c/protobuf-c.proto\"; option "              \
    "(pb_c_file).c_package = \"t\";\n"

static const struct slip slips[] = {
    {"a file in order",
     HEAD
     "message OrderItem { string order_id = 1; map<string, int32> counts = 2; optional string note2 = 3; } "
     "enum OrderState { ORDER_STATE_UNSPECIFIED = 0; ORDER_STATE_NEW = 1; } service OrderService { rpc "
     "Get(OrderItem) "
     "returns (OrderItem); }",
     ""},
    {"a file without a comment", "syntax = \"proto3\"; package t.v1;",
     ":1:1: t/v1/a.proto: FILE_COMMENT: no comment above its syntax says what it is for"},
    {"a file of proto2", "// A.\nsyntax = \"proto2\"; package t.v1;",
     ":2:1: t/v1/a.proto: FILE_SYNTAX: is not proto3"},
    {"a package without a version", "// A.\nsyntax = \"proto3\"; package t.v1.x;",
     ":2:20: t.v1.x: PACKAGE_VERSION: does not end in a version: .v1\n"
     "t/v1/a.proto:2:20: t.v1.x: PACKAGE_FOLDER: stands in the folder t/v1/, not in t/v1/x/"},
    {"a package in another folder", "// A.\nsyntax = \"proto3\"; package u.v1;",
     ":2:20: u.v1: PACKAGE_FOLDER: stands in the folder t/v1/, not in u/v1/"},
    {"no short C name", "// A.\nsyntax = \"proto3\"; package t.v1; message Order {}",
     ":2:20: t/v1/a.proto: C_PACKAGE: no option (pb_c_file).c_package: its C types would be named "
     "T__V1__Order"},
    {"a message's name", HEAD "message order_item {}",
     ":3:1: t.v1.order_item: MESSAGE_NAME: is not in PascalCase"},
    {"a field's name", HEAD "message M { string orderId = 1; }",
     ":3:13: t.v1.M.orderId: FIELD_NAME: is not in lower_snake_case"},
    {"two underscores", HEAD "message M { string order__id = 1; }",
     ":3:13: t.v1.M.order__id: FIELD_NAME: is not in lower_snake_case"},
    {"a oneof's name", HEAD "message M { oneof Choice { string a = 1; } }",
     ":3:28: t.v1.M.a: ONEOF_NAME: its oneof Choice is not in lower_snake_case"},
    {"an enum's name", HEAD "enum state { STATE_UNSPECIFIED = 0; }",
     ":3:1: t.v1.state: ENUM_NAME: is not in PascalCase"},
    {"a value's name", HEAD "enum State { State_UNSPECIFIED = 0; }",
     ":3:14: t.v1.State.State_UNSPECIFIED: ENUM_VALUE_NAME: is not in UPPER_SNAKE_CASE"},
    {"a value's prefix", HEAD "enum OrderState { STATE_UNSPECIFIED = 0; }",
     ":3:19: t.v1.OrderState.STATE_UNSPECIFIED: ENUM_VALUE_PREFIX: does not begin with ORDER_STATE_"},
    {"the zero value", HEAD "enum State { STATE_NEW = 0; }",
     ":3:14: t.v1.State.STATE_NEW: ENUM_ZERO_VALUE: 0 is what was not given: name it STATE_UNSPECIFIED"},
    {"a service's name", HEAD "service order_Service {}",
     ":3:1: t.v1.order_Service: SERVICE_NAME: is not in PascalCase"},
    {"a service's suffix", HEAD "service Orders {}",
     ":3:1: t.v1.Orders: SERVICE_SUFFIX: does not end in Service"},
    {"a method's name", HEAD "message M {} service S1Service { rpc get(M) returns (M); }",
     ":3:34: t.v1.S1Service/get: RPC_NAME: is not in PascalCase"},
};

static void what_is_named_wrongly_is_found(void **state)
{
    (void)state;
    char *dir = protoc_new_dir();
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof slips / sizeof slips[0]; i++) {
        bool found = slips[i].found[0] != '\0';
        char *expected =
            memory_printf("%s%s%s", found ? "t/v1/a.proto" : "", slips[i].found, found ? "\n" : "");
        make_set(dir, "new", slips[i].text, "--include_source_info");
        struct weir_buffer output = {0};
        int status = protoc_run(&output, WEIR_PROTOCHECK " lint %s/new.pb t/", dir);
        if (strcmp(weir_buffer_text(&output), expected) != 0 || status != found) {
            print_error("%s: status %d, expected\n%sgot\n%s\n", slips[i].name, status, expected,
                        weir_buffer_text(&output));
            wrong++;
        }
        weir_buffer_free(&output);
        free(expected);
    }
    protoc_remove_dir(dir);
    assert_int_equal(wrong, 0);
}

static void what_it_cannot_read_it_names(void **state)
{
    (void)state;
    char *dir = protoc_new_dir();
    struct weir_buffer output = {0};
    protoc_write(dir, "text.pb", "this is text");
    assert_int_equal(protoc_run(&output, "cd %s && " WEIR_PROTOCHECK " lint none.pb t/", dir), 2);
    assert_int_equal(protoc_run(&output, "cd %s && " WEIR_PROTOCHECK " lint text.pb t/", dir), 2);
    assert_string_equal(
        weir_buffer_text(&output),
        "weir-protocheck: cannot open none.pb: No such file or directory\n"
        "weir-protocheck: text.pb is no FileDescriptorSet: make one with protoc --descriptor_set_out\n");
    weir_buffer_free(&output);
    protoc_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_breaks_is_found),
        cmocka_unit_test(what_is_named_wrongly_is_found),
        cmocka_unit_test(what_it_cannot_read_it_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
