/* The REST channel against the REST server: every kind of field by every kind of binding, errors, deadlines,
 * the server away. */
#include "test.h"

#include <pthread.h>
#include <stdio.h>

#include <weir/weir.h>

#include "core/context.h"
#include "echo_service.h"
#include "raw_client.h"
#include "transports/rest/outbound.h"
#include "wait.h"

struct side {
    struct weir_app *app;
    pthread_t thread;
    int exit_status;
};

struct fixture {
    struct side server, client;
    struct weir_rest_server *rest;
    struct echo_service echo;
    struct weir_channel *channel;
    struct weir_call *call;
};

static void *run(void *arg)
{
    struct side *side = arg;
    side->exit_status = weir_app_run(side->app);
    return NULL;
}

static void begin(struct side *side)
{
    assert_int_equal(pthread_create(&side->thread, NULL, run, side), 0);
    kit_wait(kit_app_is_ready, side->app);
}

static int end(struct side *side)
{
    weir_app_stop(side->app, "test");
    pthread_join(side->thread, NULL);
    return side->exit_status;
}

static void begin_server(struct fixture *f, int port)
{
    char listen[64];
    snprintf(listen, sizeof listen, "--rest.listen=127.0.0.1:%d", port);
    char *argv[] = {"server", "--app.report=none", "--log.level=error", "--admin.listen=127.0.0.1:0", listen,
                    NULL};
    f->server.app = weir_app_new("server", 5, argv);
    f->rest = weir_rest_server_add(f->server.app, "rest",
                                   echo_service_start_with(f->server.app, &f->echo, false), NULL);
    begin(&f->server);
}

static void begin_client(struct fixture *f, int port)
{
    char target[64];
    snprintf(target, sizeof target, "--echo.target=127.0.0.1:%d", port);
    char *argv[] = {"client", "--app.report=none", "--log.level=error", "--admin.listen=127.0.0.1:0", target,
                    NULL};
    f->client.app = weir_app_new("client", 5, argv);
    f->channel = weir_rest_channel_add(f->client.app, "echo", NULL);
    begin(&f->client);
    f->call = weir_call_background(f->channel, NULL, 10000);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    begin_server(f, 0);
    begin_client(f, weir_rest_server_port(f->rest));
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    weir_call_background_end(f->call);
    assert_int_equal(end(&f->client), 0);
    assert_int_equal(end(&f->server), 0);
    echo_service_clean_up(&f->echo);
    free(f);
    return 0;
}

static void a_call_goes_there_and_back(void **state)
{
    struct fixture *f = *state;
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    Echo__Item item = ECHO__ITEM__INIT;
    char *tags[] = {"a", "b & c"};
    int32_t numbers[] = {1, -2};
    request.text = "tea \"green\" / \xe2\x82\xac";
    item.sku = "x";
    item.quantity = 3;
    request.item = &item;
    request.tags = tags;
    request.n_tags = 2;
    request.numbers = numbers;
    request.n_numbers = 2;
    request.colour = ECHO__COLOUR__COLOUR_BLUE;
    for (int i = 0; i < 20; i++) {
        Echo__EchoReply *reply = NULL;
        enum weir_status status = echo_echo(f->call, f->channel, &request, &reply);
        if (status != WEIR_OK)
            fail_msg("%s", weir_call_error(f->call)->text);
        assert_string_equal(reply->request->text, request.text);
        assert_string_equal(reply->request->item->sku, "x");
        assert_int_equal(reply->request->n_tags, 2);
        assert_string_equal(reply->request->tags[1], "b & c");
        assert_int_equal(reply->request->numbers[1], -2);
        assert_int_equal(reply->request->colour, ECHO__COLOUR__COLOUR_BLUE);
        assert_string_equal(reply->transport, "rest");
    }
}

static void an_error_comes_back_as_it_was(void **state)
{
    struct fixture *f = *state;
    Echo__FailRequest request = ECHO__FAIL_REQUEST__INIT;
    Echo__FailReply *reply = NULL;
    request.text = "order \"7\"";
    for (int i = WEIR_CANCELLED; i <= WEIR_UNAUTHENTICATED; i++) {
        request.status = i;
        assert_int_equal(echo_fail(f->call, f->channel, &request, &reply), i);
        bool ours = i == WEIR_UNKNOWN || i == WEIR_INTERNAL || i == WEIR_DATA_LOSS;
        assert_string_equal(weir_call_error(f->call)->text, ours ? "internal error" : "order \"7\"");
    }
}

static void a_deadline_cuts_the_call_on_both_sides(void **state)
{
    struct fixture *f = *state;
    struct weir_call *call = weir_call_background(f->channel, NULL, 100);
    Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
    Echo__WaitReply *reply = NULL;
    request.block_ms = 8000;
    int64_t begun_ns = weir_now_ns();
    assert_int_equal(echo_wait(call, f->channel, &request, &reply), WEIR_DEADLINE_EXCEEDED);
    assert_in_range((weir_now_ns() - begun_ns) / WEIR_NS_PER_MS, 90, 3000);
    assert_true(echo_service_wait(&f->echo, &f->echo.waited, 1));
    weir_call_background_end(call);
}

struct canceller {
    struct fixture *f;
    struct weir_call *call;
};

static void *cancel_once_it_waits(void *arg)
{
    struct canceller *canceller = arg;
    echo_service_wait(&canceller->f->echo, &canceller->f->echo.waiting, 1);
    context_end(weir_call_context(canceller->call), WEIR_CANCELLED);
    return NULL;
}

static void a_cancelled_call_ends_at_once(void **state)
{
    struct fixture *f = *state;
    struct canceller canceller = {f, weir_call_background(f->channel, NULL, 9000)};
    pthread_t thread;
    pthread_create(&thread, NULL, cancel_once_it_waits, &canceller);
    Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
    Echo__WaitReply *reply = NULL;
    request.block_ms = 8000;
    int64_t begun_ns = weir_now_ns();
    assert_int_equal(echo_wait(canceller.call, f->channel, &request, &reply), WEIR_CANCELLED);
    assert_in_range((weir_now_ns() - begun_ns) / WEIR_NS_PER_MS, 0, 4000);
    pthread_join(thread, NULL);
    assert_int_equal(echo_wait(canceller.call, f->channel, &request, &reply), WEIR_CANCELLED);
    assert_true(echo_service_wait(&f->echo, &f->echo.waited, 1));
    weir_call_background_end(canceller.call);
}

static void without_a_server_a_call_waits_for_one_within_its_deadline(void **state)
{
    (void)state;
    struct fixture *f = calloc(1, sizeof *f);
    begin_server(f, 0);
    int port = weir_rest_server_port(f->rest);
    begin_client(f, port);
    assert_int_equal(end(&f->server), 0);
    echo_service_clean_up(&f->echo);

    Echo__FailRequest request = ECHO__FAIL_REQUEST__INIT;
    Echo__FailReply *reply = NULL;
    struct weir_call *call = weir_call_background(f->channel, NULL, 200);
    assert_int_equal(echo_fail(call, f->channel, &request, &reply), WEIR_UNAVAILABLE);
    assert_non_null(strstr(weir_call_error(call)->text, "127.0.0.1"));
    weir_call_background_end(call);

    f->echo = (struct echo_service){0};
    begin_server(f, port);
    assert_int_equal(echo_fail(f->call, f->channel, &request, &reply), WEIR_OK);
    void *both = f;
    tear_down(&both);
}

/* ---- What a request looks like ---- */

static struct weir_buffer pack(const ProtobufCMessage *message)
{
    struct weir_buffer wire = {0};
    size_t size = protobuf_c_message_get_packed_size(message);
    protobuf_c_message_pack(message, weir_buffer_reserve(&wire, size));
    wire.size = size;
    return wire;
}

static void expect_outbound(size_t binding, const Echo__EchoRequest *request, const char *target,
                            const char *body)
{
    const struct weir_method *method = &echo_service_type.methods[0];
    struct weir_buffer wire = pack(&request->base), out = {0}, json = {0};
    struct weir_error err = {0};
    if (outbound_request(method, &method->http[binding], weir_buffer_bytes(&wire), &out, &json, &err) !=
        WEIR_OK) {
        weir_buffer_clear(&out);
        weir_buffer_append_text(&out, err.text);
    }
    assert_string_equal(weir_buffer_text(&out), target);
    assert_string_equal(weir_buffer_text(&json), body);
    weir_buffer_free(&wire);
    weir_buffer_free(&out);
    weir_buffer_free(&json);
}

static void a_request_is_written_as_its_binding_says(void **state)
{
    (void)state;
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    expect_outbound(1, &request, "text must be set: it is part of the path /v1/echo/{text}", "");
    request.text = "a/b c";
    expect_outbound(0, &request, "/v1/echo", "{\"text\":\"a/b c\"}");
    expect_outbound(1, &request, "/v1/echo/a%2Fb%20c", "");
    expect_outbound(4, &request, "/v1/files/a/b%20c:read", "");
    expect_outbound(2, &request, "/v1/echo/a%2Fb%20c/scalars", "{}");

    Echo__Item item = ECHO__ITEM__INIT;
    Echo__Scalars scalars = ECHO__SCALARS__INIT;
    char *tags[] = {"a", "b&c"};
    int32_t numbers[] = {1, -2};
    Echo__Colour colours[] = {ECHO__COLOUR__COLOUR_RED, ECHO__COLOUR__COLOUR_BLUE};
    item.sku = "x";
    scalars.an_int64 = 12345678901;
    scalars.a_bool = 1;
    request.item = &item;
    request.scalars = &scalars;
    request.tags = tags;
    request.n_tags = 2;
    request.numbers = numbers;
    request.n_numbers = 2;
    request.colours = colours;
    request.n_colours = 2;
    expect_outbound(
        1, &request,
        "/v1/echo/a%2Fb%20c?scalars.an_int64=12345678901&scalars.a_bool=true&item.sku=x&tags=a&tags=b%26c"
        "&numbers=1&numbers=-2&colours=COLOUR_RED&colours=COLOUR_BLUE",
        "");
    request.n_tags = request.n_numbers = request.n_colours = 0;
    expect_outbound(2, &request, "/v1/echo/a%2Fb%20c/scalars?item.sku=x",
                    "{\"anInt64\":\"12345678901\",\"aBool\":true}");
    request.scalars = NULL;
    expect_outbound(3, &request, "/v1/items/x/0?text=a%2Fb%20c", "");

    Echo__Item *items[] = {&item};
    request.items = items;
    request.n_items = 1;
    expect_outbound(1, &request, "items cannot be sent as a query parameter of GET /v1/echo/{text}", "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_written_as_its_binding_says),
        TEST(a_call_goes_there_and_back),
        TEST(an_error_comes_back_as_it_was),
        TEST(a_deadline_cuts_the_call_on_both_sides),
        TEST(a_cancelled_call_ends_at_once),
        cmocka_unit_test(without_a_server_a_call_waits_for_one_within_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
