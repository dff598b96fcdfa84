/* How the gRPC server starts and stops, and what health says meanwhile. */
#include "test.h"

#include "core/memory.h"
#include "grpc_kit.h"
#include "wait.h"

/* ---- Health ---- */

static const struct weir_method health_check = {.full_name = "grpc.health.v1.Health/Check",
                                                .kind = WEIR_UNARY};
static const struct weir_method health_watch = {.full_name = "grpc.health.v1.Health/Watch",
                                                .kind = WEIR_SERVER_STREAM};
#define IS_SERVING "\x08\x01"
#define IS_NOT_SERVING "\x08\x02"
#define IS_UNKNOWN "\x08\x03"
static const char echo_name[] = "\x0a\x18weir.test.v1.EchoService";

static void health_knows_the_server_and_its_services(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    struct caller caller;
    assert_int_equal(caller_call(&caller, f->out.client, &health_check, weir_bytes("", 0)), WEIR_OK);
    assert_string_equal(caller.reply, IS_SERVING);
    assert_int_equal(caller_call(&caller, f->out.client, &health_check, weir_bytes_of_text(echo_name)),
                     WEIR_OK);
    assert_string_equal(caller.reply, IS_SERVING);
    assert_int_equal(caller_call(&caller, f->out.client, &health_check, weir_bytes_of_text("\x0a\x03tea")),
                     WEIR_NOT_FOUND);
    assert_int_equal(caller_call(&caller, f->out.client, &health_check, weir_bytes_of_text("\x0a\x09tea")),
                     WEIR_INVALID_ARGUMENT);
}

static void a_watch_is_told_of_the_announcement_and_ended(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, "--app.pre_drain_ms=400", NULL);
    struct caller watch, unknown, check;
    caller_start(&watch, f->out.client, &health_watch, weir_bytes_of_text(echo_name), CALLER_PATIENCE_MS);
    caller_read(&watch);
    assert_string_equal(watch.reply, IS_SERVING);
    caller_start(&unknown, f->out.client, &health_watch, weir_bytes_of_text("\x0a\x03tea"),
                 CALLER_PATIENCE_MS);
    caller_read(&unknown);
    assert_string_equal(unknown.reply, IS_UNKNOWN);

    weir_app_stop(f->running.app, "the test says so");
    caller_read(&watch);
    assert_string_equal(watch.reply, IS_NOT_SERVING);
    /* Announced, and still serving. */
    assert_int_equal(caller_call(&check, f->out.client, &health_check, weir_bytes("", 0)), WEIR_OK);
    assert_string_equal(check.reply, IS_NOT_SERVING);
    Echo__EchoReply *reply;
    assert_int_equal(echo(f, "still here", &reply), WEIR_OK);

    assert_int_equal(caller_end(&watch), WEIR_UNAVAILABLE);
    assert_int_equal(caller_end(&unknown), WEIR_UNAVAILABLE);
    assert_int_equal(await_exit(&f->running), 0);
}

/* ---- Stop ---- */

static void a_stop_waits_for_the_call_in_flight(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
    request.block_ms = 500;
    struct caller caller;
    caller_start(&caller, f->out.client, &echo_methods[2], packed(f, &request.base), CALLER_PATIENCE_MS);
    assert_true(echo_service_wait(&f->echo, &f->echo.waiting, 1));
    assert_int_equal(stop(&f->running), 0);
    assert_int_equal(caller_end(&caller), WEIR_OK);
}

static void a_client_that_cancels_while_the_server_drains_leaves_the_stop_clean(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
    request.block_ms = 60000;
    struct caller caller;
    caller_start(&caller, f->out.client, &echo_methods[2], packed(f, &request.base), CALLER_PATIENCE_MS);
    struct weir_client_stream *stream = echo_chat_open(f->call, &f->out.channel);
    assert_true(echo_service_wait(&f->echo, &f->echo.waiting, 1));
    assert_true(echo_service_wait(&f->echo, &f->echo.opened, 1));
    weir_app_stop(f->running.app, "the test says so");
    assert_true(echo_service_wait(&f->echo, &f->echo.draining, 1)); /* so it drains */
    weir_client_stream_finish(stream);
    context_end(&caller.outgoing.context, WEIR_CANCELLED);
    assert_int_equal(caller_end(&caller), WEIR_CANCELLED);
    assert_int_equal(await_exit(&f->running), 0);
}

static void a_stream_ends_itself_when_the_server_drains(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    struct weir_client_stream *stream = echo_chat_open(f->call, &f->out.channel);
    say(stream, "one", false);
    assert_string_equal(echo_chat_read(stream)->text, "you said one");
    assert_int_equal(stop(&f->running), 0);
    assert_null(echo_chat_read(stream));
    assert_int_equal(weir_client_stream_finish(stream), WEIR_OK);
    assert_int_equal(f->echo.draining, 1);
    assert_in_range(f->echo.last_left_ms, 1000, 25000);
}

static void what_does_not_end_in_time_is_cut_and_told(void **state)
{
    enum { CALLERS = 8 };
    static struct caller callers[CALLERS];
    struct fixture *f = *state;
    serve_echo(f, false, "--app.deadline_ms=4000", NULL);
    Echo__WaitRequest request = ECHO__WAIT_REQUEST__INIT;
    request.block_ms = 60000;
    for (int i = 0; i < CALLERS; i++)
        caller_start(&callers[i], f->out.client, &echo_methods[2], packed(f, &request.base),
                     CALLER_PATIENCE_MS);
    assert_true(echo_service_wait(&f->echo, &f->echo.waiting, CALLERS));
    assert_int_equal(stop(&f->running), 75);
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(caller_end(&callers[i]),
                         WEIR_UNAVAILABLE); /* CANCELLED is what its client asks for */
        assert_string_equal(callers[i].text, "the wait was cut short");
    }
    assert_int_equal(f->echo.waited, CALLERS);
}

struct load {
    struct fixture *fixture;
    struct weir_bytes request;
    atomic_bool over;
    int statuses[17];
};

#define AT_ONCE 64

static void *keep_calling(void *arg)
{
    struct load *load = arg;
    struct rpc_client *client = load->fixture->out.client;
    struct caller *callers = memory_zalloc(AT_ONCE * sizeof *callers);
    for (int i = 0; i < AT_ONCE; i++)
        caller_start(&callers[i], client, &echo_methods[0], load->request, CALLER_PATIENCE_MS);
    int left = AT_ONCE;
    for (int i = 0; left > 0; i = (i + 1) % AT_ONCE) {
        load->statuses[caller_end(&callers[i])]++;
        if (atomic_load(&load->over))
            left--;
        else
            caller_start(&callers[i], client, &echo_methods[0], load->request, CALLER_PATIENCE_MS);
    }
    free(callers);
    return NULL;
}

static void stops_under_load_lose_no_call(void **state)
{
    struct fixture *f = *state;
    struct load load = {.fixture = f};
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    request.text = (char *)"load";
    load.request = packed(f, &request.base);
    serve_echo(f, false, NULL, NULL);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, keep_calling, &load), 0);
    int64_t served = 0;
    for (int round = 0; round < 5; round++) {
        assert_true(echo_service_wait(&f->echo, &f->echo.echoed, 200));
        assert_int_equal(stop(&f->running), 0);
        served += f->echo.echoed;
        echo_service_clean_up(&f->echo);
        serve_echo(f, round % 2 == 0, NULL, NULL);
    }
    atomic_store(&load.over, true);
    pthread_join(thread, NULL);
    served += f->echo.echoed;
    for (int status = 1; status <= 16; status++)
        assert_int_equal(load.statuses[status], 0);
    assert_int_equal(load.statuses[WEIR_OK], served); /* each was served exactly once */
}

static bool is_not_ready(void *app)
{
    return !kit_app_is_ready(app);
}

static void a_server_that_failed_is_started_again_in_its_place(void **state)
{
    struct fixture *f = *state;
    struct weir_app *app = new_app("--grpc.restart_most=1");
    struct weir_service *service = echo_service_start_with(app, &f->echo, false);
    struct weir_grpc_server *server =
        weir_grpc_server_add(app, "grpc", service, &(struct weir_grpc_options){.listen = f->listen});
    run_app(&f->running, app);
    Echo__EchoReply *reply;
    assert_int_equal(echo(f, "before", &reply), WEIR_OK);
    struct weir_error err = {.status = WEIR_UNAVAILABLE, .text = "the test says so"};
    weir_component_failed(server, &err);
    kit_wait(is_not_ready, app);
    kit_wait(kit_app_is_ready, app);
    assert_int_equal(echo(f, "after", &reply), WEIR_OK);
    assert_int_equal(stop(&f->running), 0);
}

static void a_channel_that_is_not_up_says_so(void **state)
{
    struct fixture *f = *state;
    struct weir_app *app = new_app(NULL);
    struct weir_channel *channel =
        weir_grpc_channel_add(app, "out", &(struct weir_channel_options){.target = f->listen});
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    Echo__EchoReply *reply;
    assert_int_equal(echo_echo(f->call, channel, &request, &reply), WEIR_UNAVAILABLE);
    assert_string_equal(weir_call_error(f->call)->text, "the channel is not up");
    run_app(&f->running, app);
    echo_service_init(&f->echo);
}

/* ---- Everything at once ---- */

struct chaos {
    struct fixture *fixture;
    unsigned seed;
    int calls;
};

static void one_call(struct fixture *f, unsigned *seed)
{
    struct weir_call *call = weir_call_background(&f->out.channel, NULL, 1 + rand_r(seed) % 20);
    Echo__WaitRequest wait = ECHO__WAIT_REQUEST__INIT;
    Echo__WaitReply *waited;
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    Echo__EchoReply *echoed;
    Echo__CountRequest counted = ECHO__COUNT_REQUEST__INIT;
    struct weir_client_stream *stream;
    switch (rand_r(seed) % 4) {
    case 0:
        echo_echo(call, &f->out.channel, &request, &echoed);
        break;
    case 1:
        wait.block_ms = rand_r(seed) % 20;
        echo_wait(call, &f->out.channel, &wait, &waited);
        break;
    case 2:
        counted.n = rand_r(seed) % 200;
        counted.padding_bytes = rand_r(seed) % 2000;
        counted.stay = rand_r(seed) % 2;
        stream = echo_count_open(call, &f->out.channel, &counted);
        for (int i = rand_r(seed) % 100; i > 0 && echo_count_read(stream);)
            i--;
        weir_client_stream_finish(stream);
        break;
    case 3:
        stream = echo_chat_open(call, &f->out.channel);
        for (int i = rand_r(seed) % 10; i > 0; i--) {
            Echo__ChatRequest message = ECHO__CHAT_REQUEST__INIT;
            message.text = (char *)"chaos";
            echo_chat_write(stream, &message);
            if (i % 2)
                echo_chat_read(stream);
        }
        weir_client_stream_finish(stream);
        break;
    }
    weir_call_background_end(call);
}

static void *make_chaos(void *arg)
{
    struct chaos *chaos = arg;
    for (int i = 0; i < chaos->calls; i++)
        one_call(chaos->fixture, &chaos->seed);
    return NULL;
}

/* Deadlines and cancels at every moment, through a stop and a new start: nothing hangs, and nothing is left.
 */
static void chaos_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    enum { THREADS = 6 };
    struct chaos chaos[THREADS];
    pthread_t threads[THREADS];
    serve_echo(f, false, NULL, NULL);
    for (unsigned i = 0; i < THREADS; i++) {
        chaos[i] = (struct chaos){.fixture = f, .seed = i + 1, .calls = 150};
        assert_int_equal(pthread_create(&threads[i], NULL, make_chaos, &chaos[i]), 0);
    }
    assert_true(echo_service_wait(&f->echo, &f->echo.opened, 50));
    assert_int_equal(stop(&f->running), 0);
    echo_service_clean_up(&f->echo);
    serve_echo(f, true, NULL, NULL);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(rpc_client_in_flight(f->out.client), 0);
    assert_int_equal(stop(&f->running), 0);
}

/* ---- Start ---- */

static void a_taken_port_fails_the_start(void **state)
{
    struct fixture *f = *state;
    serve_echo(f, false, NULL, NULL);
    struct echo_service other;
    struct weir_app *app = new_app(NULL);
    struct weir_service *service = echo_service_start_with(app, &other, false);
    weir_grpc_server_add(app, "grpc", service, &(struct weir_grpc_options){.listen = f->listen});
    assert_int_equal(weir_app_run(app), 69);
    echo_service_clean_up(&other);
    Echo__EchoReply *reply;
    assert_int_equal(echo(f, "the first one goes on", &reply), WEIR_OK);
}

static void a_service_served_twice_is_a_mistake(void **state)
{
    struct fixture *f = *state;
    struct weir_app *app = new_app(NULL);
    struct weir_service *service = echo_service_start_with(app, &f->echo, false);
    struct weir_grpc_server *server =
        weir_grpc_server_add(app, "grpc", service, &(struct weir_grpc_options){.listen = f->listen});
    weir_grpc_server_serve(server, service);
    assert_int_equal(weir_app_run(app), 78);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(health_knows_the_server_and_its_services),
        TEST(a_watch_is_told_of_the_announcement_and_ended),
        TEST(a_stop_waits_for_the_call_in_flight),
        TEST(a_client_that_cancels_while_the_server_drains_leaves_the_stop_clean),
        TEST(a_stream_ends_itself_when_the_server_drains),
        TEST(what_does_not_end_in_time_is_cut_and_told),
        TEST(stops_under_load_lose_no_call),
        TEST(a_server_that_failed_is_started_again_in_its_place),
        TEST(a_channel_that_is_not_up_says_so),
        TEST(chaos_leaves_nothing_behind),
        TEST(a_taken_port_fails_the_start),
        TEST(a_service_served_twice_is_a_mistake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
