/* Which method a path is for, what its variables are, and what is no template. */
#include "test.h"

#include <stdio.h>

#include "transports/rest/percent.h"
#include "transports/rest/problem.h"
#include "transports/rest/router.h"

static const struct weir_field item_fields[] = {
    {.name = "sku", .json_name = "sku", .number = 1, .type = WEIR_TYPE_STRING, .oneof = -1},
};
static const struct weir_message item = {.full_name = "test.Item", .fields = item_fields, .field_count = 1};
static const struct weir_field fields[] = {
    {.name = "id", .json_name = "id", .number = 1, .type = WEIR_TYPE_STRING, .oneof = -1},
    {.name = "name", .json_name = "name", .number = 2, .type = WEIR_TYPE_STRING, .oneof = -1},
    {.name = "item",
     .json_name = "item",
     .number = 3,
     .type = WEIR_TYPE_MESSAGE,
     .oneof = -1,
     .message = &item},
    {.name = "tags",
     .json_name = "tags",
     .number = 4,
     .type = WEIR_TYPE_STRING,
     .repeated = true,
     .oneof = -1},
};
static const struct weir_message message = {.full_name = "test.Message", .fields = fields, .field_count = 4};

/* A method for each binding, named by it. */
struct fixture {
    struct router *router;
    struct weir_method methods[2000];
    struct weir_http_binding bindings[2000];
    char names[2000][96];
    size_t count;
};

static enum weir_status add(struct fixture *f, const char *verb, const char *path, struct weir_error *err)
{
    size_t i = f->count++;
    snprintf(f->names[i], sizeof f->names[i], "%s %s", verb, path);
    f->bindings[i] = (struct weir_http_binding){.verb = verb, .path = path, .body = "", .response_body = ""};
    f->methods[i] = (struct weir_method){.full_name = f->names[i], .request = &message, .reply = &message};
    return router_add(f->router, NULL, &f->methods[i], &f->bindings[i], err);
}

static int start(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->router = router_new();
    *state = f;
    return 0;
}

static int stop(void **state)
{
    struct fixture *f = *state;
    router_destroy(f->router);
    free(f);
    return 0;
}

/* "GET /v1/a/{id}: id=7", "404" or "405". */
static void describe(const struct fixture *f, const char *verb, const char *path, char *ret_text, size_t size)
{
    struct route_match match;
    router_find(f->router, weir_bytes_of_text(verb), weir_bytes_of_text(path), &match);
    if (!match.route) {
        snprintf(ret_text, size, "%s", match.path_known ? "405" : "404");
        return;
    }
    int length = snprintf(ret_text, size, "%s", match.route->method->full_name);
    for (size_t i = 0; i < match.value_count; i++)
        length += snprintf(ret_text + length, size - (size_t)length, " %s=%.*s%s", match.values[i].field,
                           (int)match.values[i].raw.size, (const char *)match.values[i].raw.data,
                           match.values[i].many ? "*" : "");
}

static const char *const routes[][2] = {
    {"GET", "/v1/orders"},
    {"POST", "/v1/orders"},
    {"GET", "/v1/orders/{id}"},
    {"DELETE", "/v1/orders/{id}"},
    {"GET", "/v1/orders/count"},
    {"POST", "/v1/orders/{id}:cancel"},
    {"POST", "/v1/orders:batch"},
    {"GET", "/v1/orders/{id}/items/{item.sku}"},
    {"GET", "/v1/{name=shelves/*}/books/{id}"},
    {"GET", "/v1/files/{name=**}"},
    {"GET", "/v1/files/{name=**}:read"},
    {"GET", "/v1/files/{name=docs/**}"},
    {"GET", "/v1/any/*/x"},
    {"GET", "/v1/any/{id}/y"},
    {"HEAD", "/v1/own-head"},
    {"GET", "/v1/own-head"},
};

static const struct {
    const char *verb, *path, *expected;
} cases[] = {
    {"GET", "/v1/orders", "GET /v1/orders"},
    {"POST", "/v1/orders", "POST /v1/orders"},
    {"HEAD", "/v1/orders", "GET /v1/orders"},
    {"HEAD", "/v1/own-head", "HEAD /v1/own-head"},
    {"PUT", "/v1/orders", "405"},
    {"GET", "/v1/order", "404"},
    {"GET", "/v1/orders/", "404"},
    {"GET", "/v1//orders", "404"},
    {"GET", "/V1/orders", "404"},
    {"GET", "/", "404"},
    {"GET", "*", "404"},
    {"GET", "", "404"},
    {"GET", "/v1/orders/7", "GET /v1/orders/{id} id=7"},
    {"GET", "/v1/orders/count", "GET /v1/orders/count"},
    {"DELETE", "/v1/orders/count", "DELETE /v1/orders/{id} id=count"},
    {"GET", "/v1/orders/a%2Fb", "GET /v1/orders/{id} id=a%2Fb"},
    {"GET", "/v1/orders/%63ount", "GET /v1/orders/{id} id=%63ount"},
    {"POST", "/v1/orders/7:cancel", "POST /v1/orders/{id}:cancel id=7"},
    {"POST", "/v1/orders/a:b:cancel", "POST /v1/orders/{id}:cancel id=a:b"},
    {"GET", "/v1/orders/7:cancel", "GET /v1/orders/{id} id=7:cancel"},
    {"GET", "/v1/orders/a:b", "GET /v1/orders/{id} id=a:b"},
    {"POST", "/v1/orders/:cancel", "405"},
    {"POST", "/v1/orders/7:refund", "405"},
    {"POST", "/v1/orders:batch", "POST /v1/orders:batch"},
    {"GET", "/v1/orders/7/items/tea", "GET /v1/orders/{id}/items/{item.sku} id=7 item.sku=tea"},
    {"GET", "/v1/orders/7/items", "404"},
    {"GET", "/v1/shelves/3/books/9", "GET /v1/{name=shelves/*}/books/{id} name=shelves/3* id=9"},
    {"GET", "/v1/shelves/3/book/9", "404"},
    {"GET", "/v1/files/a/b/c", "GET /v1/files/{name=**} name=a/b/c*"},
    {"GET", "/v1/files", "GET /v1/files/{name=**} name=*"},
    {"GET", "/v1/files/a//b/", "GET /v1/files/{name=**} name=a//b/*"},
    {"GET", "/v1/files/a/b:read", "GET /v1/files/{name=**}:read name=a/b*"},
    {"GET", "/v1/files/docs/a/b", "GET /v1/files/{name=docs/**} name=docs/a/b*"},
    {"GET", "/v1/any/1/x", "GET /v1/any/*/x"},
    {"GET", "/v1/any/1/y", "GET /v1/any/{id}/y id=1"},
};

static void a_path_leads_to_its_method_with_its_variables(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        struct weir_error err = {0};
        if (add(f, routes[i][0], routes[i][1], &err) != WEIR_OK)
            fail_msg("%s", err.text);
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[300];
        describe(f, cases[i].verb, cases[i].path, text, sizeof text);
        if (strcmp(text, cases[i].expected) != 0)
            fail_msg("%s %s: \"%s\", not \"%s\"", cases[i].verb, cases[i].path, text, cases[i].expected);
    }
}

static void a_path_knows_its_verbs(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        add(f, routes[i][0], routes[i][1], NULL);
    struct weir_buffer allow = {0};
    router_allow(f->router, weir_bytes_of_text("/v1/orders/count"), &allow);
    assert_string_equal(weir_buffer_text(&allow), "GET, HEAD, DELETE");
    weir_buffer_clear(&allow);
    router_allow(f->router, weir_bytes_of_text("/v1/nothing"), &allow);
    assert_int_equal(allow.size, 0);
    weir_buffer_free(&allow);
}

static void the_same_verb_and_path_twice_is_an_error_that_names_both(void **state)
{
    struct fixture *f = *state;
    struct weir_error err = {0};
    assert_int_equal(add(f, "GET", "/v1/orders/{id}", &err), WEIR_OK);
    assert_int_equal(add(f, "GET", "/v1/orders/{name}", &err), WEIR_ALREADY_EXISTS);
    assert_string_equal(err.text,
                        "GET /v1/orders/{name} is both GET /v1/orders/{id} and GET /v1/orders/{name}");
    char text[100];
    describe(f, "GET", "/v1/orders/7", text, sizeof text);
    assert_string_equal(text, "GET /v1/orders/{id} id=7");
}

static void what_is_no_template_is_an_error_that_says_why(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[][2] = {
        {"v1/x", "it must begin with \"/\""},
        {"", "it must begin with \"/\""},
        {"/", "a segment is empty"},
        {"/v1//x", "a segment is empty"},
        {"/v1/", "a segment is empty"},
        {"/v1/{id", "a variable does not end in \"}\""},
        {"/v1/{}", "a variable has no name"},
        {"/v1/{id={name}}", "a variable is inside another"},
        {"/v1/**/x", "\"**\" must be the last segment"},
        {"/v1/{name=**}/x", "\"**\" must be the last segment"},
        {"/v1/x:", "there is no verb behind the colon"},
        {"/v1/x:y/z", "there is something behind its end"},
        {"/v1/x?y", "there is something behind its end"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct weir_error err = {0};
        char expected[300];
        snprintf(expected, sizeof expected, "GET %s: the path \"%s\" is no template: %s", bad[i][0],
                 bad[i][0], bad[i][1]);
        assert_int_equal(add(f, "GET", bad[i][0], &err), WEIR_INVALID_ARGUMENT);
        assert_string_equal(err.text, expected);
    }
}

static void a_variable_must_be_a_single_field(void **state)
{
    struct fixture *f = *state;
    struct weir_error err = {0};
    assert_int_equal(add(f, "GET", "/v1/{colour}", &err), WEIR_INVALID_ARGUMENT);
    assert_string_equal(err.text,
                        "GET /v1/{colour}: the variable \"colour\" of its path /v1/{colour} is no single "
                        "field of test.Message");
    assert_int_equal(add(f, "GET", "/v1/{tags}", NULL), WEIR_INVALID_ARGUMENT);
    assert_int_equal(add(f, "GET", "/v1/{item.colour}", NULL), WEIR_INVALID_ARGUMENT);
    assert_int_equal(add(f, "GET", "/v1/{id.sku}", NULL), WEIR_INVALID_ARGUMENT);
}

static void a_thousand_routes_are_all_found(void **state)
{
    struct fixture *f = *state;
    static char paths[1000][40];
    for (int i = 0; i < 1000; i++) {
        snprintf(paths[i], sizeof paths[i], "/v1/things%d/{id}/parts", i * 7919 % 1000);
        assert_int_equal(add(f, "GET", paths[i], NULL), WEIR_OK);
    }
    for (int i = 0; i < 1000; i++) {
        char path[60], text[120], expected[120];
        snprintf(path, sizeof path, "/v1/things%d/x/parts", i);
        snprintf(expected, sizeof expected, "GET /v1/things%d/{id}/parts id=x", i);
        describe(f, "GET", path, text, sizeof text);
        assert_string_equal(text, expected);
    }
}

static void percent_decoding_keeps_the_slash_where_it_must(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool keep_slash, plus;
        const char *expected; /* NULL: an error */
    } texts[] = {
        {"a%20b", false, false, "a b"},
        {"a%2Fb", false, false, "a/b"},
        {"a%2fb%20", true, false, "a%2fb "},
        {"a+b", false, false, "a+b"},
        {"a+b%2B", false, true, "a b+"},
        {"%E2%82%AC", false, false, "\xe2\x82\xac"},
        {"%", false, false, NULL},
        {"%4", false, false, NULL},
        {"a%4g", false, false, NULL},
        {"%41", false, false, "A"},
        {"", false, false, ""},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct weir_buffer out = {0};
        bool right =
            percent_decode(weir_bytes_of_text(texts[i].text), texts[i].keep_slash, texts[i].plus, &out);
        assert_int_equal(right, texts[i].expected != NULL);
        if (right)
            assert_string_equal(weir_buffer_text(&out), texts[i].expected);
        weir_buffer_free(&out);
    }
}

static void a_problem_is_written_and_read_back(void **state)
{
    (void)state;
    struct weir_buffer json = {0};
    char detail[64];
    problem_write(404, WEIR_NOT_FOUND, "order \"7\"\n", NULL, &json);
    assert_string_equal(weir_buffer_text(&json),
                        "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,"
                        "\"detail\":\"order \\\"7\\\"\\u000a\",\"code\":\"NOT_FOUND\"}");
    weir_buffer_clear(&json);
    problem_write(400, WEIR_FAILED_PRECONDITION, "order \"7\" is paid", NULL, &json);
    assert_int_equal(problem_read(400, weir_buffer_bytes(&json), detail, sizeof detail),
                     WEIR_FAILED_PRECONDITION);
    assert_string_equal(detail, "order \"7\" is paid");
    weir_buffer_free(&json);

    static const char *const foreign[] = {
        "", "{", "[]", "{\"a\":{\"b\":[1,{}]},\"code\":\"NO\"}", "<html>", "{\"detail\":7}", "{\"code\":"};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        assert_int_equal(problem_read(503, weir_bytes_of_text(foreign[i]), detail, sizeof detail),
                         WEIR_UNAVAILABLE);
        assert_string_equal(detail, "");
    }
    static const char other[] =
        "{\"a\":{\"b\":[1,\"}\",{}]}, \"x\": null , \"detail\":\"d\",\"code\":\"ABORTED\"}";
    assert_int_equal(problem_read(503, weir_bytes_of_text(other), detail, sizeof detail), WEIR_ABORTED);
    assert_string_equal(detail, "d");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_path_leads_to_its_method_with_its_variables),
        TEST(a_path_knows_its_verbs),
        TEST(the_same_verb_and_path_twice_is_an_error_that_names_both),
        TEST(what_is_no_template_is_an_error_that_says_why),
        TEST(a_variable_must_be_a_single_field),
        TEST(a_thousand_routes_are_all_found),
        cmocka_unit_test(percent_decoding_keeps_the_slash_where_it_must),
        cmocka_unit_test(a_problem_is_written_and_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
