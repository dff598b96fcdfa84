/* Calls that a test makes: a transport without a wire. */
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/codec.h>

#include "core/memory.h"
#include "testing/kit.h"

#define TIMEOUT_MS 30000

struct piece {
    struct piece *next;
    struct weir_buffer wire; /* to the service */
    const char *json;        /* from it */
};

struct pieces {
    struct piece *first, **last;
};

struct weir_test_call {
    struct weir_test_call *next;
    struct stand_in *door;
    struct weir_call *call; /* NULL: it was refused at the door */
    struct weir_buffer request;
    struct deadline {
        struct test_timer timer; /* first */
        struct weir_test_call *call;
    } deadline;
    bool is_message;

    pthread_mutex_t lock; /* below */
    bool over;
    struct weir_test_reply reply;
    struct pieces in, out;
    bool wants, half_closed, end_told;
};

/* ---- Words ---- */

const char *test_text(struct weir_test *test, const char *text)
{
    pthread_mutex_lock(&test->lock);
    const char *copy = weir_arena_strdup(test->arena, text ? text : "");
    pthread_mutex_unlock(&test->lock);
    return copy;
}

const char *test_json(struct weir_test *test, const struct weir_message *message, struct weir_bytes wire)
{
    const struct weir_json_options options = {.with_defaults = true};
    struct weir_buffer json = {0};
    struct weir_error err = {0};
    if (weir_wire_to_json(message, wire, &options, &json, &err) != WEIR_OK)
        test_die("these bytes are no %s: %s", message->full_name, err.text);
    const char *text = test_text(test, weir_buffer_text(&json));
    weir_buffer_free(&json);
    return text;
}

struct weir_buffer test_wire(const struct weir_message *message, const char *json)
{
    struct weir_buffer wire = {0};
    struct weir_error err = {0};
    if (weir_json_to_wire(message, weir_bytes_of_text(json ? json : "{}"), NULL, &wire, &err) != WEIR_OK)
        test_die("this is no %s: %s: %s", message->full_name, err.text, json);
    return wire;
}

/* ---- What a call says. Any thread ---- */

static struct weir_test_call *call_of(const struct weir_call *call)
{
    return call->transport;
}

static bool may_succeed_later(enum weir_status status)
{
    return status == WEIR_CANCELLED || weir_status_is_transient(status);
}

static void on_finish(struct weir_call *inner)
{
    struct weir_test_call *call = call_of(inner);
    struct weir_test *test = call->door->test;
    uint8_t kind = inner->method->kind;
    enum weir_status status = inner->status;
    if (status == WEIR_CANCELLED && atomic_load(&call->door->cutting))
        status = WEIR_UNAVAILABLE; /* cut by the stop, not by the client: as the servers have it */
    struct weir_test_reply reply = {.status = status, .error = "", .json = ""};
    if (status != WEIR_OK)
        reply.error = test_text(test, call_error_text(inner));
    else if (kind == WEIR_UNARY || kind == WEIR_CLIENT_STREAM)
        reply.json = test_json(test, inner->method->reply, weir_buffer_bytes(&inner->reply));
    if (call->is_message && may_succeed_later(status) && !atomic_load(&call->door->listens))
        atomic_fetch_add(&call->door->retries, 1);

    test_timer_end(&call->deadline.timer);
    pthread_mutex_lock(&call->lock);
    call->reply = reply;
    call->over = true;
    pthread_mutex_unlock(&call->lock);
}

static void append(struct pieces *pieces, struct piece *piece)
{
    *pieces->last = piece;
    pieces->last = &piece->next;
}

static struct piece *take(struct pieces *pieces)
{
    struct piece *piece = pieces->first;
    if (!piece)
        return NULL;
    pieces->first = piece->next;
    if (!pieces->first)
        pieces->last = &pieces->first;
    return piece;
}

static enum weir_status on_send(struct weir_call *inner, struct weir_bytes message)
{
    struct weir_test_call *call = call_of(inner);
    struct piece *piece = NEW(struct piece);
    piece->json = test_json(call->door->test, inner->method->reply, message);
    pthread_mutex_lock(&call->lock);
    append(&call->out, piece);
    pthread_mutex_unlock(&call->lock);
    return WEIR_OK;
}

/* Hands over what there is for one that asked. */
static void feed(struct weir_test_call *call)
{
    pthread_mutex_lock(&call->lock);
    struct piece *piece = call->wants && !call->over ? take(&call->in) : NULL;
    bool end = call->wants && !call->over && !piece && call->half_closed && !call->end_told;
    call->wants = call->wants && !piece && !end;
    call->end_told = call->end_told || end;
    pthread_mutex_unlock(&call->lock);
    if (piece) {
        call_message(call->call, weir_buffer_bytes(&piece->wire));
        weir_buffer_free(&piece->wire);
        free(piece);
    } else if (end) {
        call_half_close(call->call);
    }
}

static void on_read(struct weir_call *inner)
{
    struct weir_test_call *call = call_of(inner);
    pthread_mutex_lock(&call->lock);
    call->wants = true;
    pthread_mutex_unlock(&call->lock);
    feed(call);
}

/* ---- Making one ---- */

static void time_is_over(struct test_timer *timer)
{
    call_cancel(((struct deadline *)timer)->call->call, WEIR_DEADLINE_EXCEEDED);
}

static void set_deadline(struct weir_test_call *call, int64_t timeout_ms)
{
    if (timeout_ms == 0)
        timeout_ms = call->call->method->kind == WEIR_UNARY ? TIMEOUT_MS : -1;
    if (timeout_ms < 0)
        return;
    call_set_deadline(call->call, weir_deadline_in_ms(timeout_ms));
    call->deadline.call = call;
    call->deadline.timer.fire = time_is_over;
    test_timer_begin(&call->deadline.timer, timeout_ms);
}

static void fill(struct weir_test *test, struct weir_test_call *call, const struct weir_test_request *request)
{
    struct weir_call *inner = call->call;
    uint8_t kind = inner->method->kind;
    if (kind == WEIR_UNARY || kind == WEIR_SERVER_STREAM)
        call->request = test_wire(inner->method->request, request->json);
    inner->request = weir_buffer_bytes(&call->request);
    if (request->message_id)
        inner->message_id = weir_arena_strdup(inner->arena, request->message_id);
    else if (call->is_message)
        inner->message_id = weir_arena_printf(inner->arena, "test-%lld", (long long)++test->message_ids);
    inner->comes_again = call->is_message;
    if (request->principal)
        call_set_principal(inner, weir_bytes_of_text(request->principal));
    set_deadline(call, request->timeout_ms);
}

struct weir_test_call *weir_test_call_start(struct weir_test *test, const struct weir_test_request *request)
{
    static const struct call_ops ops = {
        .name = "test", .finish = on_finish, .send = on_send, .read = on_read};
    struct weir_service *service;
    const struct weir_method *method;
    if (!test->begun)
        weir_test_ready(test);
    if (!test->app)
        test_die("the service does not run: its configuration is bad");
    struct stand_in *door = stand_in_find(test, request, &service, &method);
    struct weir_test_call *call = NEW(struct weir_test_call);
    pthread_mutex_init(&call->lock, NULL);
    call->door = door;
    call->is_message = request->topic;
    call->in.last = &call->in.first;
    call->out.last = &call->out.first;
    if (!atomic_load(&door->listens)) {
        call->reply = (struct weir_test_reply){.status = WEIR_UNAVAILABLE,
                                               .error = "connection refused: the server does not listen",
                                               .json = ""};
        call->over = true;
    } else {
        call->call = call_new(&ops, call, service, method, door->gate);
        fill(test, call, request);
    }
    pthread_mutex_lock(&test->lock);
    call->next = test->calls;
    test->calls = call;
    pthread_mutex_unlock(&test->lock);
    if (call->call)
        call_dispatch(call->call);
    weir_test_settle(test);
    return call;
}

/* ---- What becomes of it ---- */

static bool is_over(void *arg)
{
    struct weir_test_call *call = arg;
    pthread_mutex_lock(&call->lock);
    bool over = call->over;
    pthread_mutex_unlock(&call->lock);
    return over;
}

const struct weir_test_reply *weir_test_call_reply(struct weir_test_call *call)
{
    weir_test_settle(call->door->test);
    return is_over(call) ? &call->reply : NULL;
}

const struct weir_test_reply *weir_test_call_wait(struct weir_test_call *call)
{
    if (!test_pass_until(call->door->test, is_over, call))
        test_die("%s is not answered within a day, or waits for something that never comes",
                 call->call->method->full_name);
    return &call->reply;
}

const struct weir_test_reply *weir_test_call(struct weir_test *test, const char *method, const char *json)
{
    return weir_test_call_wait(
        weir_test_call_start(test, &(struct weir_test_request){.method = method, .json = json}));
}

const struct weir_test_reply *weir_test_deliver(struct weir_test *test, const char *topic, const char *json)
{
    return weir_test_call_wait(
        weir_test_call_start(test, &(struct weir_test_request){.topic = topic, .json = json}));
}

void weir_test_call_cancel(struct weir_test_call *call)
{
    if (!is_over(call))
        call_cancel(call->call, WEIR_CANCELLED);
    weir_test_settle(call->door->test);
}

void weir_test_call_send(struct weir_test_call *call, const char *json)
{
    if (is_over(call))
        return;
    struct piece *piece = NEW(struct piece);
    piece->wire = test_wire(call->call->method->request, json);
    pthread_mutex_lock(&call->lock);
    append(&call->in, piece);
    pthread_mutex_unlock(&call->lock);
    feed(call);
    weir_test_settle(call->door->test);
}

void weir_test_call_half_close(struct weir_test_call *call)
{
    pthread_mutex_lock(&call->lock);
    call->half_closed = true;
    pthread_mutex_unlock(&call->lock);
    feed(call);
    weir_test_settle(call->door->test);
}

const char *weir_test_call_receive(struct weir_test_call *call)
{
    weir_test_settle(call->door->test);
    pthread_mutex_lock(&call->lock);
    struct piece *piece = take(&call->out);
    pthread_mutex_unlock(&call->lock);
    const char *json = piece ? piece->json : NULL;
    free(piece);
    return json;
}

/* ---- For a door's drain, and the end ---- */

/* Those that came in by it and are not over, held. Caller frees. */
static struct weir_call **open_calls(struct stand_in *door, size_t *ret_count)
{
    struct weir_call **open = NULL;
    size_t count = 0;
    pthread_mutex_lock(&door->test->lock);
    for (struct weir_test_call *call = door->test->calls; call; call = call->next) {
        if (call->door != door || is_over(call))
            continue;
        open = memory_realloc(open, (count + 1) * sizeof(struct weir_call *));
        open[count++] = weir_call_acquire(call->call);
    }
    pthread_mutex_unlock(&door->test->lock);
    *ret_count = count;
    return open;
}

void calls_draining(struct stand_in *door, int64_t left_ms)
{
    size_t count;
    struct weir_call **open = open_calls(door, &count);
    for (size_t i = 0; i < count; i++) {
        call_draining(open[i], left_ms);
        weir_call_release(open[i]);
    }
    free(open);
}

void calls_cancel(struct stand_in *door)
{
    size_t count;
    struct weir_call **open = open_calls(door, &count);
    for (size_t i = 0; i < count; i++) {
        call_cancel(open[i], WEIR_CANCELLED);
        weir_call_release(open[i]);
    }
    free(open);
}

bool calls_all_over(struct weir_test *test)
{
    bool over = true;
    for (struct weir_test_call *call = test->calls; call; call = call->next)
        over = over && is_over(call);
    return over;
}

static void free_pieces(struct pieces *pieces)
{
    for (struct piece *piece; (piece = take(pieces));) {
        weir_buffer_free(&piece->wire);
        free(piece);
    }
}

void calls_free(struct weir_test *test)
{
    while (test->calls) {
        struct weir_test_call *call = test->calls;
        test->calls = call->next;
        if (call->call)
            weir_call_release(call->call);
        weir_buffer_free(&call->request);
        free_pieces(&call->in);
        free_pieces(&call->out);
        pthread_mutex_destroy(&call->lock);
        free(call);
    }
}
