#include "call/call.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/clock.h>
#include <weir/codec.h>
#include <weir/log.h>

#include "call/call_metrics.h"
#include "call/idempotency.h"
#include "core/memory.h"
#include "lifecycle/process.h"

/* A handler may return WEIR_PENDING before or after somebody else called weir_call_finish(): whichever of the
 * two comes second finishes the call. */
enum call_phase {
    PHASE_NEW,
    PHASE_RUNNING,  /* in its handler */
    PHASE_DEFERRED, /* the handler returned PENDING */
    PHASE_FINISHED, /* weir_call_finish() was called */
};

#define INTERCEPTORS_MAX 16
static const struct interceptor *interceptors[INTERCEPTORS_MAX];
static uint16_t interceptor_count;

void call_add_interceptor(const struct interceptor *interceptor)
{
    assert(interceptor_count < INTERCEPTORS_MAX);
    interceptors[interceptor_count++] = interceptor;
}

/* ---- Life ---- */

struct weir_call *call_new(const struct call_ops *ops, void *transport, struct weir_service *service,
                           const struct weir_method *method, struct gate *gate)
{
    struct weir_arena *arena = weir_arena_new();
    struct weir_call *call = weir_arena_zalloc(arena, sizeof *call);
    context_init(&call->context, NULL, WEIR_NEVER);
    call->arena = arena;
    atomic_init(&call->references, 1);
    call->ops = ops;
    call->transport = transport;
    call->service = service;
    call->method = method;
    call->gate = gate;
    call->self = service ? service->self : NULL;
    return call;
}

struct weir_call *weir_call_acquire(struct weir_call *call)
{
    atomic_fetch_add(&call->references, 1);
    return call;
}

void weir_call_release(struct weir_call *call)
{
    if (atomic_fetch_sub(&call->references, 1) != 1)
        return;
    channel_calls_destroy(call->downstream);
    stream_destroy(call->stream);
    context_clean_up(&call->context);
    weir_buffer_free(&call->reply);
    weir_arena_destroy(call->arena);
}

void call_add_metadata(struct weir_call *call, struct weir_bytes name, struct weir_bytes value)
{
    struct metadata *metadata = weir_arena_zalloc(call->arena, sizeof *metadata);
    char *lower = weir_arena_text(call->arena, name);
    for (char *c = lower; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    metadata->name = lower;
    metadata->value = weir_arena_text(call->arena, value);
    struct metadata **last = &call->metadata;
    while (*last)
        last = &(*last)->next;
    *last = metadata;

    if (strcmp(lower, "traceparent") == 0)
        context_set_trace(&call->context, metadata->value);
    else if (!call->message_id && (strcmp(lower, "idempotency-key") == 0 || strcmp(lower, "ce_id") == 0))
        call->message_id = metadata->value;
}

static bool is_reply_name(struct weir_bytes name)
{
    static const char *const wires[] = {"grpc-",      "content-", "connection", "transfer-encoding",
                                        "keep-alive", "trailer",  "upgrade",    "date",
                                        "server"};
    for (size_t i = 0; i < sizeof wires / sizeof wires[0]; i++)
        if (name.size >= strlen(wires[i]) && memcmp(name.data, wires[i], strlen(wires[i])) == 0)
            return false;
    for (size_t i = 0; i < name.size; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.", name.data[i]) || name.data[i] == 0)
            return false;
    return name.size > 0 && (name.size < 4 || memcmp(name.data + name.size - 4, "-bin", 4) != 0);
}

void call_add_reply_metadata(struct weir_call *call, struct weir_bytes name, struct weir_bytes value)
{
    if (!is_reply_name(name))
        return;
    for (size_t i = 0; i < value.size; i++)
        if (value.data[i] < 0x20 || value.data[i] > 0x7e)
            return;
    struct metadata **at = &call->reply_metadata;
    while (*at && !weir_bytes_equal_text(name, (*at)->name))
        at = &(*at)->next;
    if (!*at) {
        *at = weir_arena_zalloc(call->arena, sizeof **at);
        (*at)->name = weir_arena_text(call->arena, name);
    }
    (*at)->value = weir_arena_text(call->arena, value);
}

void weir_call_set_reply_metadata(struct weir_call *call, const char *name, const char *value)
{
    call_add_reply_metadata(call, weir_bytes_of_text(name), weir_bytes_of_text(value));
}

const char *call_reply_metadata(const struct weir_call *call, const char *name)
{
    for (const struct metadata *metadata = call->reply_metadata; metadata; metadata = metadata->next)
        if (strcmp(metadata->name, name) == 0)
            return metadata->value;
    return NULL;
}

void call_set_deadline(struct weir_call *call, int64_t deadline_ns)
{
    context_limit_new(&call->context, deadline_ns);
}

void call_set_principal(struct weir_call *call, struct weir_bytes principal)
{
    call->principal = weir_arena_text(call->arena, principal);
    call->context.principal = call->principal;
}

void call_believe_principal(struct weir_call *call)
{
    const char *principal = weir_call_metadata(call, CALL_PRINCIPAL_METADATA);
    if (principal && principal[0])
        call_set_principal(call, weir_bytes_of_text(principal));
}

/* ---- Dispatch ---- */

/* protobuf-c's allocator over an arena: nothing is freed one by one. */
static void *arena_allocate(void *arena, size_t size)
{
    return weir_arena_alloc(arena, size);
}

static void arena_free(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}

void *call_unpack_checked(struct weir_arena *arena, const ProtobufCMessageDescriptor *descriptor,
                          struct weir_bytes wire)
{
    ProtobufCAllocator allocator = {.alloc = arena_allocate, .free = arena_free, .allocator_data = arena};
    return protobuf_c_message_unpack(descriptor, &allocator, wire.size, wire.data);
}

void *call_unpack(struct weir_call *call, struct weir_arena *arena, const struct weir_message *table,
                  const ProtobufCMessageDescriptor *descriptor, struct weir_bytes wire,
                  enum weir_status *ret_status)
{
    *ret_status = weir_wire_check(table, wire, NULL, &call->error);
    if (*ret_status != WEIR_OK)
        return NULL;
    void *message = call_unpack_checked(arena, descriptor, wire);
    if (!message)
        *ret_status = weir_call_fail(call, WEIR_INVALID_ARGUMENT, "not a valid %s", descriptor->name);
    return message;
}

void *call_new_message(struct weir_call *call, const ProtobufCMessageDescriptor *descriptor)
{
    ProtobufCMessage *message = weir_arena_zalloc(call->arena, descriptor->sizeof_message);
    protobuf_c_message_init(descriptor, message);
    return message;
}

void call_pack(const ProtobufCMessage *message, struct weir_buffer *ret_wire)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *room = weir_buffer_reserve(ret_wire, size);
    ret_wire->size += protobuf_c_message_pack(message, room);
}

/* INTERNAL and its like are defects or secrets of ours: logged here, once, and not told. */
static bool is_ours(enum weir_status status)
{
    return status == WEIR_INTERNAL || status == WEIR_UNKNOWN || status == WEIR_DATA_LOSS;
}

static const char *default_text(enum weir_status status)
{
    switch (status) {
    case WEIR_CANCELLED:
        return "cancelled";
    case WEIR_DEADLINE_EXCEEDED:
        return "the deadline passed";
    case WEIR_UNIMPLEMENTED:
        return "not implemented";
    case WEIR_UNAVAILABLE:
        return "unavailable, try again";
    default:
        return weir_status_name(status);
    }
}

const char *call_error_text(const struct weir_call *call)
{
    if (call->status == WEIR_OK)
        return "";
    if (is_ours(call->status))
        return "internal error";
    if (call->error.status == call->status && call->error.text[0])
        return call->error.text;
    return default_text(call->status);
}

void call_finish(struct weir_call *call, enum weir_status status)
{
    if (status == WEIR_PENDING || (int)status < 0 || (int)status > WEIR_UNAUTHENTICATED)
        status =
            weir_call_fail(call, WEIR_INTERNAL, "the handler returned %d, which is no status", (int)status);
    call->status = status;
    if (is_ours(status) && !call->answer_trace)
        weir_log_error("call failed",
                       weir_field_text("method", call->method ? call->method->full_name : NULL),
                       weir_field_text("status", weir_status_name(status)),
                       weir_field_text("error", call->error.status == status ? call->error.text : ""),
                       weir_field_context(&call->context));
    while (call->intercepted > 0) {
        const struct interceptor *interceptor = interceptors[--call->intercepted];
        if (interceptor->after)
            interceptor->after(call);
    }

    call_metrics_end(call);

    struct gate *gate = call->entered ? call->gate : NULL;
    uint8_t place = call->place;
    bool cancelled = weir_context_status(&call->context) == WEIR_CANCELLED && status != WEIR_OK;
    call->ops->finish(call);
    if (gate)
        gate_leave_from(gate, place, cancelled);
    weir_call_release(call); /* the execution's reference */
}

static enum weir_status reply_in(struct weir_call *call, enum weir_status status)
{
    if (status == WEIR_OK)
        call_pack(call->reply_message, &call->reply);
    return status;
}

/* The handler's status, or that of the answer which is kept. May block where the call has a key. */
static void end_unary(struct weir_call *call, enum weir_status status)
{
    status = reply_in(call, status);
    if (call->idempotency)
        status = idempotency_ops()->after(call, status);
    call_finish(call, status);
}

static void end_deferred(struct executor_task *task)
{
    struct weir_call *call = (struct weir_call *)((char *)task - offsetof(struct weir_call, task));
    end_unary(call, call->status);
}

/* True: the call is over. */
static bool answer_by_key(struct weir_call *call)
{
    bool answered = false;
    if (!call->message_id || !call->service->idempotency ||
        call->method->idempotency_key == WEIR_IDEMPOTENCY_KEY_NONE)
        return false;
    enum weir_status status = idempotency_ops()->before(call, &answered);
    if (answered)
        call_finish(call, status);
    return answered;
}

static void run_unary(struct executor_task *task)
{
    struct weir_call *call = (struct weir_call *)((char *)task - offsetof(struct weir_call, task));
    const struct weir_method *method = call->method;

    enum weir_status status = weir_context_status(&call->context);
    if (status == WEIR_OK)
        call->request_message = call_unpack(call, call->arena, method->request, method->request_descriptor,
                                            call->request, &status);
    if (status != WEIR_OK) {
        call_finish(call, status);
        return;
    }

    if (answer_by_key(call))
        return;
    call->reply_message = call_new_message(call, method->reply_descriptor);
    atomic_store(&call->phase, PHASE_RUNNING);
    status = method->unary(call, call->service->handlers, call->request_message, call->reply_message);
    process_end_fork();
    if (status == WEIR_PENDING) {
        int running = PHASE_RUNNING;
        if (atomic_compare_exchange_strong(&call->phase, &running, PHASE_DEFERRED))
            return;
        status = call->status; /* weir_call_finish() was first */
    }
    end_unary(call, status);
}

void weir_call_finish(struct weir_call *call, enum weir_status status)
{
    call->status = status;
    int before = atomic_exchange(&call->phase, PHASE_FINISHED);
    assert(before == PHASE_RUNNING || before == PHASE_DEFERRED);
    if (before != PHASE_DEFERRED)
        return;
    if (call->idempotency) { /* which may block */
        call->task.run = end_deferred;
        call_continue(call, &call->task);
    } else {
        end_unary(call, status);
    }
}

bool call_is_deferred(const struct weir_call *call)
{
    return atomic_load(&call->phase) == PHASE_DEFERRED;
}

static enum weir_status enter(struct weir_call *call)
{
    if (call->gate) {
        enum weir_status status = gate_enter_here(call->gate, &call->place);
        if (status == WEIR_UNAVAILABLE)
            return weir_call_fail(call, status, "the server is stopping");
        if (status != WEIR_OK)
            return weir_call_fail(call, status, "too many calls in flight");
        call->entered = true;
    }
    for (; call->intercepted < interceptor_count; call->intercepted++) {
        const struct interceptor *interceptor = interceptors[call->intercepted];
        enum weir_status status = interceptor->before ? interceptor->before(call) : WEIR_OK;
        if (status != WEIR_OK)
            return status;
    }
    return WEIR_OK;
}

static struct executor_lane *lane_of(const struct weir_call *call)
{
    return call->service->lanes ? call->service->lanes[call->method->index] : NULL;
}

enum weir_status call_submit(struct weir_call *call, struct executor_task *task)
{
    switch (executor_submit(call->service->executor, lane_of(call), task)) {
    case EXECUTOR_TAKEN:
        return WEIR_OK;
    case EXECUTOR_LANE_FULL:
        return weir_call_fail(call, WEIR_UNAVAILABLE, "too many calls of %s wait already, try again later",
                              call->method->name);
    case EXECUTOR_FULL:
        break;
    }
    return weir_call_fail(call, WEIR_UNAVAILABLE, "too many calls wait for a thread, try again later");
}

void call_continue(struct weir_call *call, struct executor_task *task)
{
    executor_continue(call->service->executor, lane_of(call), task);
}

static enum weir_status begin(struct weir_call *call)
{
    enum weir_status status = enter(call);
    if (status == WEIR_OK && call->method->idempotency_key)
        status = idempotency_take_key(call);
    if (status != WEIR_OK)
        return status;
    if (call->service->proxy_to) {
        proxy_dispatch(call);
        return WEIR_OK;
    }

    const struct weir_method *method = call->method;
    const void *handlers = call->service->handlers;
    if (!method->is_present(handlers))
        return weir_call_fail(call, WEIR_UNIMPLEMENTED, "%s is not implemented", method->full_name);
    if (method->kind != WEIR_UNARY)
        return stream_open(call);

    call->task.run = run_unary;
    if (!call->runs_here && !method->is_inline(handlers))
        return call_submit(call, &call->task);
    run_unary(&call->task);
    return WEIR_OK;
}

void call_dispatch(struct weir_call *call)
{
    weir_call_acquire(call); /* the execution's; dropped by call_finish() */
    if (!call->context.traceparent[0])
        context_set_trace(&call->context, NULL);
    if (call->begun_ns == 0)
        call->begun_ns = weir_now_ns();
    call_metrics_begin(call);
    enum weir_status status = begin(call);
    if (status != WEIR_OK)
        call_finish(call, status);
}

void call_cancel(struct weir_call *call, enum weir_status status)
{
    context_end(&call->context, status);
    if (call->stream)
        stream_cancel(call);
}

/* ---- What the author sees ---- */

void *weir_call_self(const struct weir_call *call)
{
    return call->self;
}

struct weir_context *weir_call_context(struct weir_call *call)
{
    return &call->context;
}

struct weir_arena *weir_call_arena(struct weir_call *call)
{
    return call->arena;
}

const struct weir_method *weir_call_method(const struct weir_call *call)
{
    return call->method;
}

void *weir_call_alloc(struct weir_call *call, size_t size)
{
    return weir_arena_zalloc(call->arena, size);
}

char *weir_call_strdup(struct weir_call *call, const char *text)
{
    return weir_arena_strdup(call->arena, text);
}

char *weir_call_printf(struct weir_call *call, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = weir_arena_vprintf(call->arena, format, args);
    va_end(args);
    return text;
}

enum weir_status weir_call_fail(struct weir_call *call, enum weir_status status, const char *format, ...)
{
    char text[sizeof call->error.text]; /* the old one may be among the arguments */
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    if (length >= (int)sizeof text)
        memcpy(text + sizeof text - 4, "...", 4);
    va_end(args);
    call->error.status = status;
    memcpy(call->error.text, text, strlen(text) + 1);
    return status;
}

const struct weir_error *weir_call_error(const struct weir_call *call)
{
    return &call->error;
}

enum weir_status weir_call_set_error(struct weir_call *call, const struct weir_error *err)
{
    call->error = *err;
    return err->status;
}

const char *weir_call_metadata(const struct weir_call *call, const char *name)
{
    for (const struct metadata *metadata = call->metadata; metadata; metadata = metadata->next)
        if (strcmp(metadata->name, name) == 0)
            return metadata->value;
    return NULL;
}

const char *weir_call_message_id(const struct weir_call *call)
{
    return call->message_id;
}

int64_t weir_call_left_ms(const struct weir_call *call)
{
    return weir_context_left_ms(&call->context);
}

bool weir_call_over(const struct weir_call *call)
{
    return weir_context_status(&call->context) != WEIR_OK;
}

void weir_call_set_state(struct weir_call *call, void *state)
{
    call->state = state;
}

void *weir_call_state(const struct weir_call *call)
{
    return call->state;
}

/* ---- Background calls: never dispatched, so their ops are never used ---- */

struct weir_call *weir_call_background(const void *component, void *self, int64_t timeout_ms)
{
    (void)component; /* for metrics and the test kit: which app it belongs to */
    static const struct call_ops ops = {.name = "background"};
    struct weir_call *call = call_new(&ops, NULL, NULL, NULL, NULL);
    call->self = self;
    context_set_trace(&call->context, NULL);
    context_limit(&call->context, weir_deadline_in_ms(timeout_ms));
    return call;
}

void weir_call_background_end(struct weir_call *call)
{
    if (!call)
        return;
    context_end(&call->context, WEIR_CANCELLED);
    weir_call_release(call);
}
