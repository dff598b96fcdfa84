#include "test.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <weir/clock.h>

#include "core/memory.h"
#include "rpc_kit.h"
#include "wait.h"

/* What one rpc of the server's remembers. */
struct served {
    struct fixture *fixture;
    struct rpc *rpc;
    pthread_t thread;
    bool has_thread;
    bool ended; /* a chat */
    int left;   /* to send */
    char text[1024];
};

static struct fixture *fixture_of(struct rpc *rpc)
{
    return rpc_server_user(rpc);
}

static void finish_text(struct rpc *rpc, const char *text)
{
    struct weir_bytes reply = weir_bytes_of_text(text);
    rpc_finish(rpc, WEIR_OK, "", &reply);
}

static void *answer_later(void *arg)
{
    struct served *served = arg;
    finish_text(served->rpc, "later");
    return NULL;
}

static const char *find_metadata(struct rpc *rpc, const char *wanted, char *ret_value, size_t size)
{
    for (size_t i = 0; i < rpc_metadata_count(rpc); i++) {
        struct weir_bytes name, value;
        rpc_metadata_at(rpc, i, &name, &value);
        if (weir_bytes_equal_text(name, wanted)) {
            snprintf(ret_value, size, "%.*s", (int)value.size, (const char *)value.data);
            return ret_value;
        }
    }
    return "none";
}

static void begin_unary(struct served *served)
{
    struct rpc *rpc = served->rpc;
    if (strcmp(served->text, "fail") == 0)
        rpc_finish(rpc, WEIR_NOT_FOUND, "no caf\xc3\xa9 of that name", NULL);
    else if (strcmp(served->text, "later") == 0)
        served->has_thread = pthread_create(&served->thread, NULL, answer_later, served) == 0;
    else if (strcmp(served->text, "trace") == 0)
        finish_text(rpc, find_metadata(rpc, "traceparent", served->text, sizeof served->text));
    else if (strcmp(served->text, "key") == 0)
        finish_text(rpc, find_metadata(rpc, "idempotency-key", served->text, sizeof served->text));
    else if (strcmp(served->text, "deadline") == 0)
        finish_text(rpc, rpc_deadline_ns(rpc) - weir_now_ns() > 4 * WEIR_NS_PER_S ? "about 5 s" : "less");
    else if (strcmp(served->text, "hold") != 0)
        finish_text(rpc, served->text);
}

static void send_more(struct served *served)
{
    static const char kilobyte[1024];
    while (served->left > 0) {
        enum weir_status status = rpc_send(served->rpc, served, weir_bytes(kilobyte, sizeof kilobyte));
        if (status != WEIR_OK && status != WEIR_PENDING)
            return;
        served->left--;
        atomic_fetch_add(&served->fixture->taken, 1);
        if (status == WEIR_PENDING)
            return;
    }
    rpc_finish(served->rpc, WEIR_OK, "", NULL);
}

static void begin(struct rpc *rpc)
{
    struct fixture *fixture = fixture_of(rpc);
    atomic_fetch_add(&fixture->begun, 1);
    struct served *served = NEW(struct served);
    served->fixture = fixture;
    served->rpc = rpc;
    rpc_set_user(rpc, served);
    struct weir_bytes request = rpc_request(rpc);
    snprintf(served->text, sizeof served->text, "%.*s", (int)request.size, (const char *)request.data);
    switch (rpc_method(rpc)->kind) {
    case WEIR_UNARY:
        begin_unary(served);
        break;
    case WEIR_SERVER_STREAM:
        served->left = atoi(served->text);
        send_more(served);
        break;
    case WEIR_CLIENT_STREAM:
    case WEIR_BIDI_STREAM:
        rpc_read(rpc, served);
        break;
    }
}

static void message(struct rpc *rpc, struct weir_bytes message)
{
    struct served *served = rpc_user(rpc);
    atomic_fetch_add(&served->fixture->taken, 1);
    if (rpc_method(rpc)->kind == WEIR_BIDI_STREAM) {
        if (weir_bytes_equal_text(message, "end")) {
            served->ended = true;
            rpc_finish(rpc, WEIR_ABORTED, "as you said", NULL);
            return;
        }
        rpc_send(rpc, served, message);
    } else {
        strncat(served->text, (const char *)message.data, message.size);
    }
    rpc_read(rpc, served);
}

static void half_close(struct rpc *rpc)
{
    struct served *served = rpc_user(rpc);
    if (rpc_method(rpc)->kind == WEIR_CLIENT_STREAM)
        finish_text(rpc, served->text);
    else
        rpc_finish(rpc, WEIR_OK, "", NULL);
}

static void writable(struct rpc *rpc)
{
    struct served *served = rpc_user(rpc);
    if (rpc_method(rpc)->kind == WEIR_SERVER_STREAM)
        send_more(served);
}

static void over(struct rpc *rpc, enum weir_status status)
{
    struct served *served = rpc_user(rpc);
    struct fixture *fixture = served->fixture;
    atomic_store(&fixture->over_status, (int)status);
    atomic_fetch_add(&fixture->over, 1);
    bool unfinished =
        rpc_method(rpc)->kind == WEIR_UNARY ? strcmp(served->text, "hold") == 0 : !served->ended;
    if (unfinished)
        rpc_finish(rpc, status, "told to stop", NULL);
}

static void draining(struct rpc *rpc, int64_t left_ms)
{
    atomic_store(&fixture_of(rpc)->draining, left_ms > 0);
    rpc_finish(rpc, WEIR_UNAVAILABLE, "draining", NULL);
}

static void gone(struct rpc *rpc, bool complete)
{
    struct served *served = rpc_user(rpc);
    struct fixture *fixture = served->fixture;
    if (served->has_thread)
        pthread_join(served->thread, NULL);
    free(served);
    atomic_fetch_add(&fixture->dropped, !complete);
    atomic_fetch_add(&fixture->gone, 1);
}

static const struct rpc_user_ops user_ops = {begin, message, half_close, writable, over, draining, gone};

static const struct rpc_method methods[] = {
    {.path = "/test.Test/Unary", .kind = WEIR_UNARY},
    {.path = "/test.Test/Collect", .kind = WEIR_CLIENT_STREAM},
    {.path = "/test.Test/Count", .kind = WEIR_SERVER_STREAM},
    {.path = "/test.Test/Chat", .kind = WEIR_BIDI_STREAM},
};

const struct weir_method unary = {.full_name = "test.Test/Unary", .kind = WEIR_UNARY};
const struct weir_method collect = {.full_name = "test.Test/Collect", .kind = WEIR_CLIENT_STREAM};
const struct weir_method count = {.full_name = "test.Test/Count", .kind = WEIR_SERVER_STREAM};
const struct weir_method chat = {.full_name = "test.Test/Chat", .kind = WEIR_BIDI_STREAM};
const struct weir_method unknown = {.full_name = "test.Test/Nothing", .kind = WEIR_UNARY};

struct goal {
    atomic_int *counter;
    int wanted;
};

static bool is_reached(void *arg)
{
    const struct goal *goal = arg;
    return atomic_load(goal->counter) >= goal->wanted;
}

void await_count_at_least(atomic_int *counter, int wanted)
{
    kit_wait(is_reached, &(struct goal){counter, wanted});
}

void await_count(atomic_int *counter, int wanted)
{
    await_count_at_least(counter, wanted);
    assert_int_equal(atomic_load(counter), wanted);
}

/* ---- Fixture ---- */

struct rpc_server *new_server_with(struct fixture *fixture, const char *listen, int64_t connections_max)
{
    struct rpc_server_options options = {.listen = listen,
                                         .connections_max = connections_max,
                                         .threads = 2,
                                         .message_bytes_max = MESSAGE_MAX,
                                         .metadata_bytes_max = 8192,
                                         .streams_max = 100,
                                         .timeout_ms = 5000};
    return rpc_server_new(&options, methods, sizeof methods / sizeof methods[0], &user_ops, fixture);
}

struct rpc_server *new_server(struct fixture *fixture, const char *listen)
{
    return new_server_with(fixture, listen, 0);
}

int set_up(void **state)
{
    struct fixture *fixture = NEW(struct fixture);
    struct weir_error err = {0};
    fixture->server = new_server(fixture, "127.0.0.1:0");
    assert_int_equal(rpc_server_start(fixture->server, &err), WEIR_OK);
    snprintf(fixture->target, sizeof fixture->target, "127.0.0.1:%d", rpc_server_port(fixture->server));
    fixture->client = caller_new_client(rpc_server_port(fixture->server));
    *state = fixture;
    return 0;
}

int tear_down(void **state)
{
    struct fixture *fixture = *state;
    rpc_client_destroy(fixture->client);
    rpc_server_destroy(fixture->server);
    assert_int_equal(atomic_load(&fixture->begun), atomic_load(&fixture->gone));
    free(fixture);
    return 0;
}
