/* The REST server over a socket: what a request becomes, what each bad one is told, deadlines, clients that
 * leave, the stop. */
#include "test.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <weir/weir.h>

#include "echo_service.h"
#include "observe/metrics.h"
#include "raw_client.h"
#include "wait.h"

struct fixture {
    struct weir_app *app;
    struct weir_rest_server *rest;
    struct echo_service echo;
    pthread_t thread;
    int port;
    int exit_status;
    bool stopped;
};

static void *run(void *arg)
{
    struct fixture *f = arg;
    f->exit_status = weir_app_run(f->app);
    return NULL;
}

/* With up to two more flags. */
static struct fixture *begin_with(bool inline_, const char *flag, const char *other)
{
    struct fixture *f = calloc(1, sizeof *f);
    char *argv[] = {"test",
                    "--app.report=none",
                    "--log.level=error",
                    "--admin.listen=127.0.0.1:0",
                    "--rest.listen=127.0.0.1:0",
                    "--rest.body_bytes_max=10000",
                    (char *)flag,
                    (char *)other,
                    NULL};
    f->app = weir_app_new("test", 6 + (flag != NULL) + (other != NULL), argv);
    f->rest = weir_rest_server_add(f->app, "rest", echo_service_start_with(f->app, &f->echo, inline_), NULL);
    assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
    kit_wait(kit_app_is_ready, f->app);
    f->port = weir_rest_server_port(f->rest);
    return f;
}

static struct fixture *begin(bool inline_, const char *flag)
{
    return begin_with(inline_, flag, NULL);
}

static void stop(struct fixture *f)
{
    f->stopped = true;
    weir_app_stop(f->app, "test");
}

static int end(struct fixture *f)
{
    if (!f->stopped)
        stop(f);
    pthread_join(f->thread, NULL);
    echo_service_clean_up(&f->echo);
    int exit_status = f->exit_status;
    free(f);
    return exit_status;
}

static int set_up(void **state)
{
    *state = begin(false, NULL);
    return 0;
}

static int set_up_inline(void **state)
{
    *state = begin(true, NULL);
    return 0;
}

static int tear_down(void **state)
{
    assert_int_equal(end(*state), 0);
    return 0;
}

static struct raw_answer *ask(struct fixture *f, const char *verb, const char *path, const char *headers,
                              const char *body)
{
    struct weir_buffer request = {0};
    weir_buffer_printf(&request, "%s %s HTTP/1.1\r\nHost: h\r\n%s", verb, path, headers);
    if (body)
        weir_buffer_printf(&request, "Content-Length: %zu\r\n", strlen(body));
    weir_buffer_printf(&request, "\r\n%s", body ? body : "");
    struct raw_answer *answer = raw_ask(f->port, weir_buffer_text(&request));
    weir_buffer_free(&request);
    return answer;
}

#define JSON "Content-Type: application/json\r\n"

static const struct {
    const char *verb, *path, *body;
    int status;
    const char *has; /* in the body */
} right[] = {
    {"POST", "/v1/echo", "{\"text\":\"tea\",\"scalars\":{\"anInt32\":7}}", 200, "\"anInt32\":7"},
    {"POST", "/v1/echo", "{\"text\":\"tea\"}", 200, "\"transport\":\"rest\""},
    {"POST", "/v1/echo", "{}", 200, "\"text\":\"\""},
    {"POST", "/v1/echo", NULL, 200, "\"text\":\"\""},
    {"GET", "/v1/echo/a%2Fb%20c", NULL, 200, "\"text\":\"a/b c\""},
    {"GET", "/v1/echo/tea?key=k&tags=a&tags=b+c&item.sku=x&item.quantity=3", NULL, 200,
     "\"tags\":[\"a\",\"b c\"]"},
    {"GET", "/v1/echo/tea?item.sku=x&item.quantity=3", NULL, 200, "\"sku\":\"x\",\"quantity\":3"},
    {"GET", "/v1/echo/tea?text=coffee", NULL, 200, "\"text\":\"tea\""},
    {"GET", "/v1/echo/tea?colour=COLOUR_BLUE", NULL, 200, "\"colour\":\"COLOUR_BLUE\""},
    {"GET", "/v1/echo/tea?oddName=1&&", NULL, 400, "EchoRequest has no field oddName"},
    {"GET", "/v1/echo/tea?odd_name=1&", NULL, 200, "\"@odd\":\"1\""},
    {"PUT", "/v1/echo/tea/scalars", "{\"aString\":\"s\"}", 200, "{\"text\":\"tea\""},
    {"PUT", "/v1/echo/tea/scalars?key=k", "{\"aString\":\"s\"}", 200, "\"key\":\"k\""},
    {"GET", "/v1/items/tea/12", NULL, 200, "\"sku\":\"tea\",\"quantity\":12"},
    {"GET", "/v1/files/a/b%2Fc:read", NULL, 200, "\"text\":\"a/b%2Fc\""},
    {"OPTIONS", "/v1/echo", NULL, 204, ""},
    {"GET", "/healthz", NULL, 200, "{\"status\":\"ok\"}"},
    {"GET", "/ready", NULL, 200, "{\"status\":\"ok\"}"},
};

static void requests_become_calls_and_replies_become_json(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        struct raw_answer *answer =
            ask(f, right[i].verb, right[i].path, right[i].body ? JSON : "", right[i].body);
        if (answer->status != right[i].status || !strstr(answer->body, right[i].has))
            fail_msg("%s %s: %d %s", right[i].verb, right[i].path, answer->status, answer->body);
        free(answer);
    }
}

#define PROBLEM(title, status, detail, code)                                                                 \
    "{\"type\":\"about:blank\",\"title\":\"" title "\",\"status\":" #status ",\"detail\":\"" detail          \
    "\",\"code\":\"" code "\"}"

static const struct {
    const char *verb, *path, *headers, *body;
    int status;
    const char *problem;
} wrong[] = {
    {"GET", "/v2/echo", "", NULL, 404,
     PROBLEM("Not Found", 404, "there is nothing at this path", "NOT_FOUND")},
    {"DELETE", "/v1/echo", "", NULL, 405,
     PROBLEM("Method Not Allowed", 405, "this path has other methods", "UNIMPLEMENTED")},
    {"POST", "/healthz", "", NULL, 405,
     PROBLEM("Method Not Allowed", 405, "only GET and HEAD", "UNIMPLEMENTED")},
    {"POST", "/v1/echo", "", "{}", 415,
     PROBLEM("Unsupported Media Type", 415, "the body must be application/json in UTF-8",
             "INVALID_ARGUMENT")},
    {"POST", "/v1/echo", "Content-Type: text/plain\r\n", "{}", 415,
     PROBLEM("Unsupported Media Type", 415, "the body must be application/json in UTF-8",
             "INVALID_ARGUMENT")},
    {"POST", "/v1/echo", "Content-Type: application/json; charset=latin1\r\n", "{}", 415,
     PROBLEM("Unsupported Media Type", 415, "the body must be application/json in UTF-8",
             "INVALID_ARGUMENT")},
    {"POST", "/v1/echo", JSON "Content-Encoding: gzip\r\n", "{}", 415,
     PROBLEM("Unsupported Media Type", 415, "Content-Encoding is not supported", "INVALID_ARGUMENT")},
    {"GET", "/v1/echo/a", "Accept: text/html\r\n", NULL, 406,
     PROBLEM("Not Acceptable", 406, "answers are application/json", "INVALID_ARGUMENT")},
    {"GET", "/v1/echo/a", "grpc-timeout: soon\r\n", NULL, 400,
     PROBLEM("Bad Request", 400, "grpc-timeout must be up to 8 digits and a unit of H, M, S, m, u, n",
             "INVALID_ARGUMENT")},
    {"POST", "/v1/echo?text=a", JSON, "{}", 400,
     PROBLEM("Bad Request", 400, "this path takes no query parameters: all fields are in the body",
             "INVALID_ARGUMENT")},
    {"GET", "/v1/echo/%zz", "", NULL, 400,
     PROBLEM("Bad Request", 400, "text: a \\\"%\\\" in the path is not followed by two hex digits",
             "INVALID_ARGUMENT")},
    {"POST", "/v1/fail", JSON, "{\"status\":5,\"text\":\"order 7\"}", 404,
     PROBLEM("Not Found", 404, "order 7", "NOT_FOUND")},
    {"POST", "/v1/fail", JSON, "{\"status\":3,\"text\":\"no\"}", 400,
     PROBLEM("Bad Request", 400, "no", "INVALID_ARGUMENT")},
    {"POST", "/v1/fail", JSON, "{\"status\":9,\"text\":\"no\"}", 409,
     PROBLEM("Conflict", 409, "no", "FAILED_PRECONDITION")},
    {"POST", "/v1/fail", JSON, "{\"status\":6,\"text\":\"no\"}", 409,
     PROBLEM("Conflict", 409, "no", "ALREADY_EXISTS")},
    {"POST", "/v1/fail", JSON, "{\"status\":7,\"text\":\"no\"}", 403,
     PROBLEM("Forbidden", 403, "no", "PERMISSION_DENIED")},
    {"POST", "/v1/fail", JSON, "{\"status\":16,\"text\":\"no\"}", 401,
     PROBLEM("Unauthorized", 401, "no", "UNAUTHENTICATED")},
    {"POST", "/v1/fail", JSON, "{\"status\":8,\"text\":\"no\"}", 429,
     PROBLEM("Too Many Requests", 429, "no", "RESOURCE_EXHAUSTED")},
    {"POST", "/v1/fail", JSON, "{\"status\":1,\"text\":\"no\"}", 503, /* this client has not left */
     PROBLEM("Service Unavailable", 503, "no", "CANCELLED")},
    {"POST", "/v1/fail", JSON, "{\"status\":14,\"text\":\"no\"}", 503,
     PROBLEM("Service Unavailable", 503, "no", "UNAVAILABLE")},
    {"GET", "/v1/missing", "", NULL, 501,
     PROBLEM("Not Implemented", 501, "weir.test.v1.EchoService/Missing is not implemented", "UNIMPLEMENTED")},
};

static void a_bad_request_is_told_its_status_and_its_problem(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct raw_answer *answer = ask(f, wrong[i].verb, wrong[i].path, wrong[i].headers, wrong[i].body);
        const char *type = raw_header(answer, "content-type");
        if (answer->status != wrong[i].status || strcmp(answer->body, wrong[i].problem) != 0)
            fail_msg("%s %s: %d %s", wrong[i].verb, wrong[i].path, answer->status, answer->body);
        assert_string_equal(type, "application/problem+json");
        free(answer);
    }
}

static void a_bad_body_is_told_its_place(void **state)
{
    struct fixture *f = *state;
    static const char *const bodies[][2] = {
        {"{\"text\":", "line 1, column 9"},
        {"{\"nope\":1}", "nope"},
        {"{\"item\":{\"quantity\":1.5}}", "item.quantity"},
        {"[]", "line 1, column 1"},
        {"{} {}", "line 1, column 4"},
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct raw_answer *answer = ask(f, "POST", "/v1/echo", JSON, bodies[i][0]);
        if (answer->status != 400 || !strstr(answer->body, bodies[i][1]) ||
            !strstr(answer->body, "\"code\":\"INVALID_ARGUMENT\""))
            fail_msg("%s: %d %s", bodies[i][0], answer->status, answer->body);
        free(answer);
    }
}

static void limits_have_their_statuses_and_headers(void **state)
{
    struct fixture *f = *state;
    char *large = malloc(20001);
    memset(large, ' ', 20000);
    large[20000] = 0;
    struct raw_answer *answer = ask(f, "POST", "/v1/echo", JSON, large);
    assert_int_equal(answer->status, 413);
    assert_non_null(strstr(answer->body, "\"code\":"));
    free(answer);
    free(large);

    answer = ask(f, "DELETE", "/v1/echo/tea", "", NULL);
    assert_string_equal(raw_header(answer, "allow"), "GET, HEAD");
    free(answer);
    answer = ask(f, "POST", "/v1/fail", JSON, "{\"status\":14}");
    assert_string_equal(raw_header(answer, "retry-after"), "1");
    free(answer);
    answer = ask(f, "POST", "/v1/fail", JSON, "{\"status\":16}");
    assert_string_equal(raw_header(answer, "www-authenticate"), "Bearer");
    free(answer);
}

static void the_text_of_an_internal_error_is_kept_from_the_client(void **state)
{
    struct fixture *f = *state;
    struct raw_answer *answer =
        ask(f, "POST", "/v1/fail",
            JSON "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
            "{\"status\":13,\"text\":\"secret\"}");
    assert_int_equal(answer->status, 500);
    assert_string_equal(answer->body,
                        "{\"type\":\"about:blank\",\"title\":\"Internal Server Error\",\"status\":500,"
                        "\"detail\":\"internal error\",\"code\":\"INTERNAL\","
                        "\"trace\":\"0af7651916cd43dd8448eb211c80319c\"}");
    free(answer);
}

static void a_head_request_is_a_get_without_its_body(void **state)
{
    struct fixture *f = *state;
    struct raw_answer *get = ask(f, "GET", "/v1/echo/tea", "", NULL);
    struct raw_answer *head = ask(f, "HEAD", "/v1/echo/tea", "", NULL);
    char length[32];
    snprintf(length, sizeof length, "%zu", get->body_size);
    assert_int_equal(head->status, 200);
    assert_string_equal(raw_header(head, "content-length"), length);
    assert_int_equal(head->body_size, 0);
    free(get);
    free(head);
}

static void headers_are_metadata(void **state)
{
    struct fixture *f = *state;
    struct raw_answer *answer =
        ask(f, "POST", "/v1/echo", JSON "Idempotency-Key: k7\r\nX-Principal: mallory\r\n", "{}");
    assert_int_equal(answer->status, 200);
    assert_non_null(strstr(answer->body, "\"principal\":\"\""));
    assert_string_equal(f->echo.last_message_id, "k7");
    free(answer);
}

/* The handler of Wait looks at its context, so it ends in time; the client is told at once either way. */
static void a_deadline_ends_the_call_and_is_told(void **state)
{
    struct fixture *f = *state;
    int64_t begun_ns = weir_now_ns();
    struct raw_answer *answer =
        ask(f, "POST", "/v1/wait", JSON "grpc-timeout: 50m\r\n", "{\"blockMs\":5000}");
    assert_int_equal(answer->status, 504);
    assert_non_null(strstr(answer->body, "\"code\":\"DEADLINE_EXCEEDED\""));
    assert_in_range((weir_now_ns() - begun_ns) / WEIR_NS_PER_MS, 45, 2000);
    free(answer);
    assert_true(echo_service_wait(&f->echo, &f->echo.waited, 1));
}

static void a_deferred_call_past_its_deadline_finishes_later_for_nobody(void **state)
{
    struct fixture *f = *state;
    struct raw_answer *answer = ask(f, "POST", "/v1/wait", JSON "grpc-timeout: 30m\r\n", "{\"defer\":true}");
    assert_int_equal(answer->status, 504);
    free(answer);
    echo_service_release(&f->echo, WEIR_OK);
}

static void a_deferred_call_is_answered_when_it_finishes(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f->port);
    raw_send(fd, "POST /v1/wait HTTP/1.1\r\nHost: h\r\n" JSON "Content-Length: 14\r\n\r\n{\"defer\":true}");
    assert_true(echo_service_wait(&f->echo, &f->echo.deferred, 1));
    echo_service_release(&f->echo, WEIR_OK);
    struct raw_answer *answer = raw_read(fd, false);
    assert_int_equal(answer->status, 200);
    assert_string_equal(answer->body, "{\"over\":false}");
    free(answer);
    close(fd);
}

static void a_client_that_leaves_cancels_its_call(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f->port);
    raw_send(fd,
             "POST /v1/wait HTTP/1.1\r\nHost: h\r\n" JSON "Content-Length: 17\r\n\r\n{\"blockMs\":20000}");
    assert_true(echo_service_wait(&f->echo, &f->echo.waiting, 1));
    int64_t begun_ns = weir_now_ns();
    close(fd);
    assert_true(echo_service_wait(&f->echo, &f->echo.waited, 1));
    assert_in_range((weir_now_ns() - begun_ns) / WEIR_NS_PER_MS, 0, 2000);
}

static void more_calls_than_may_be_in_flight_are_refused_with_503(void **state)
{
    (void)state;
    struct fixture *f = begin(false, "--rest.in_flight_max=1");
    int fd = raw_connect(f->port);
    raw_send(fd, "POST /v1/wait HTTP/1.1\r\nHost: h\r\n" JSON "Content-Length: 14\r\n\r\n{\"defer\":true}");
    assert_true(echo_service_wait(&f->echo, &f->echo.deferred, 1));
    struct raw_answer *answer = ask(f, "GET", "/v1/echo/tea", "", NULL);
    assert_int_equal(answer->status, 503);
    assert_string_equal(raw_header(answer, "retry-after"), "1");
    free(answer);
    echo_service_release(&f->echo, WEIR_OK);
    answer = raw_read(fd, false);
    assert_int_equal(answer->status, 200);
    free(answer);
    close(fd);
    assert_int_equal(end(f), 0);
}

static bool one_waits(void *arg)
{
    (void)arg;
    struct weir_buffer text = {0};
    metrics_write(&text);
    bool found =
        strstr(weir_buffer_text(&text),
               "weir_executor_waiting{service=\"weir.test.v1.EchoService\",method=\"Wait\"} 1\n") != NULL;
    weir_buffer_free(&text);
    return found;
}

static void a_method_that_hangs_is_refused_with_503_and_leaves_threads_to_others(void **state)
{
    (void)state;
    struct fixture *f = begin_with(false, "--executor.threads=2", "--executor.method_queue=1");
    static const char wait[] =
        "POST /v1/wait HTTP/1.1\r\nHost: h\r\n" JSON "Content-Length: 17\r\n\r\n{\"blockMs\":20000}";
    int hanging = raw_connect(f->port), waiting = raw_connect(f->port);
    raw_send(hanging, wait);
    assert_true(echo_service_wait(&f->echo, &f->echo.waiting, 1));
    raw_send(waiting, wait);
    kit_wait(one_waits, NULL);

    struct raw_answer *answer = raw_ask(f->port, wait);
    assert_int_equal(answer->status, 503);
    assert_string_equal(raw_header(answer, "retry-after"), "1");
    assert_string_equal(answer->body,
                        "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,"
                        "\"detail\":\"too many calls of Wait wait already, try again later\","
                        "\"code\":\"UNAVAILABLE\"}");
    free(answer);
    answer = ask(f, "GET", "/v1/echo/tea", "", NULL);
    assert_int_equal(answer->status, 200);
    free(answer);

    close(waiting);
    close(hanging);
    assert_int_equal(end(f), 0);
}

static bool refuses(void *arg)
{
    struct fixture *f = arg;
    int fd = raw_connect(f->port);
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

static void a_stop_answers_what_was_accepted(void **state)
{
    (void)state;
    struct fixture *f = begin(false, NULL);
    int fd = raw_connect(f->port);
    raw_send(fd, "POST /v1/wait HTTP/1.1\r\nHost: h\r\n" JSON "Content-Length: 14\r\n\r\n{\"defer\":true}");
    assert_true(echo_service_wait(&f->echo, &f->echo.deferred, 1));
    stop(f);
    kit_wait(refuses, f);
    echo_service_release(&f->echo, WEIR_OK);
    struct raw_answer *answer = raw_read(fd, false);
    assert_int_equal(answer->status, 200);
    assert_string_equal(raw_header(answer, "connection"), "close");
    free(answer);
    close(fd);
    assert_int_equal(end(f), 0);
}

static void a_stop_whose_time_is_over_answers_503_and_says_so(void **state)
{
    (void)state;
    struct fixture *f =
        begin_with(false, "--app.deadline_ms=4000", "--app.report_ms=2500"); /* time to say so */
    int fd = raw_connect(f->port);
    raw_send(fd,
             "POST /v1/wait HTTP/1.1\r\nHost: h\r\n" JSON "Content-Length: 17\r\n\r\n{\"blockMs\":20000}");
    assert_true(echo_service_wait(&f->echo, &f->echo.waiting, 1));
    stop(f);
    struct raw_answer *answer = raw_read(fd, false);
    assert_int_equal(answer->status, 503);
    assert_string_equal(raw_header(answer, "connection"), "close");
    free(answer);
    close(fd);
    assert_int_equal(end(f), 75);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_INLINE(name) cmocka_unit_test_setup_teardown(name, set_up_inline, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_become_calls_and_replies_become_json),
        TEST_INLINE(requests_become_calls_and_replies_become_json),
        TEST(a_bad_request_is_told_its_status_and_its_problem),
        TEST_INLINE(a_bad_request_is_told_its_status_and_its_problem),
        TEST(a_bad_body_is_told_its_place),
        TEST(limits_have_their_statuses_and_headers),
        TEST(the_text_of_an_internal_error_is_kept_from_the_client),
        TEST(a_head_request_is_a_get_without_its_body),
        TEST(headers_are_metadata),
        TEST(a_deadline_ends_the_call_and_is_told),
        TEST(a_deferred_call_past_its_deadline_finishes_later_for_nobody),
        TEST(a_deferred_call_is_answered_when_it_finishes),
        TEST(a_client_that_leaves_cancels_its_call),
        cmocka_unit_test(more_calls_than_may_be_in_flight_are_refused_with_503),
        cmocka_unit_test(a_method_that_hangs_is_refused_with_503_and_leaves_threads_to_others),
        cmocka_unit_test(a_stop_answers_what_was_accepted),
        cmocka_unit_test(a_stop_whose_time_is_over_answers_503_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
