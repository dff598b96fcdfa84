/* A channel straight into a service of this process. Unary methods; the callee runs on its executor or inline
 * as ever, under the caller's deadline, which nobody enforces but the handler. */
#include <stdlib.h>

#include "call/call.h"
#include "call/channel.h"
#include "core/memory.h"

struct local_channel {
    struct weir_channel channel; /* first */
    struct weir_service *service;
};

struct carried {
    struct outgoing *outgoing;
    struct weir_call *call;
    struct weir_context_watch watch;
};

static void caller_is_over(struct weir_context_watch *watch, enum weir_status status)
{
    struct carried *carried = (struct carried *)((char *)watch - offsetof(struct carried, watch));
    struct weir_call *call = weir_call_acquire(carried->call); /* who is told may finish it at once */
    call_cancel(call, status);
    weir_call_release(call);
}

static void finish(struct weir_call *call)
{
    struct carried *carried = call->transport;
    struct outgoing *outgoing = carried->outgoing;
    weir_context_unwatch(&carried->watch);
    for (const struct metadata *m = call->reply_metadata; outgoing->metadata && m; m = m->next)
        outgoing->metadata(outgoing, weir_bytes_of_text(m->name), weir_bytes_of_text(m->value));
    outgoing->done(outgoing, call->status, call_error_text(call), weir_buffer_bytes(&call->reply));
    weir_call_release(call);
}

static void refuse(struct outgoing *outgoing, enum weir_status status, const char *text)
{
    outgoing->done(outgoing, status, text, (struct weir_bytes){0});
}

static void start(struct weir_channel *channel, struct outgoing *outgoing)
{
    static const struct call_ops ops = {.name = "local", .finish = finish};
    enum weir_status over = weir_context_status(&outgoing->context);
    if (over != WEIR_OK) {
        refuse(outgoing, over, over == WEIR_CANCELLED ? "cancelled" : "the deadline passed");
        return;
    }
    if (outgoing->method->kind != WEIR_UNARY) {
        refuse(outgoing, WEIR_UNIMPLEMENTED, "streams are not served by a local channel yet");
        return;
    }

    struct weir_call *call =
        call_new(&ops, NULL, ((struct local_channel *)channel)->service, outgoing->method, NULL);
    struct carried *carried = weir_arena_zalloc(call->arena, sizeof *carried);
    *carried = (struct carried){.outgoing = outgoing, .call = call, .watch.over = caller_is_over};
    call->transport = carried;
    call->request = outgoing->request;
    call->message_id = outgoing->message_id;
    context_set_trace(&call->context, weir_context_traceparent(&outgoing->context));
    call_set_deadline(call, weir_context_deadline_ns(&outgoing->context));
    const char *principal = weir_context_principal(&outgoing->context);
    if (principal)
        call_set_principal(call, weir_bytes_of_text(principal));
    weir_context_watch(&outgoing->context, &carried->watch);
    call_dispatch(call);
}

const struct channel_ops *local_channel_ops(void)
{
    static const struct channel_ops ops = {.name = "local", .start = start};
    return &ops;
}

static void destroy(void *self)
{
    free(self);
}

struct weir_channel *weir_local_channel_add(struct weir_app *app, const char *name,
                                            struct weir_service *service)
{
    static const struct weir_component_ops ops = {.destroy = destroy};
    struct local_channel *local = NEW(struct local_channel);
    local->channel.ops = local_channel_ops();
    local->channel.timeout_ms = -1;
    local->service = service;
    component_add(app, &local->channel.component, name, &ops, local, NULL);
    component_needs(&local->channel.component, service);
    return &local->channel;
}
