/* A proxied call: bytes in, bytes out, over a channel. */
#include "call/call.h"
#include "call/channel.h"

#include <weir/clock.h>

struct passed_on {
    struct outgoing outgoing;
    struct weir_call *call;
};

static void done(struct outgoing *outgoing, enum weir_status status, const char *text,
                 struct weir_bytes reply)
{
    struct passed_on *passed_on = (struct passed_on *)outgoing;
    struct weir_call *call = passed_on->call;
    context_clean_up(&outgoing->context);
    if (status == WEIR_OK)
        weir_buffer_append(&call->reply, reply.data, reply.size);
    else
        weir_call_fail(call, status, "%s", text);
    call_finish(call, status);
}

static void take_metadata(struct outgoing *outgoing, struct weir_bytes name, struct weir_bytes value)
{
    call_add_reply_metadata(((struct passed_on *)outgoing)->call, name, value);
}

void proxy_dispatch(struct weir_call *call)
{
    if (call->method->kind != WEIR_UNARY) {
        weir_call_fail(call, WEIR_UNIMPLEMENTED, "%s: streams are not passed on yet",
                       call->method->full_name);
        call_finish(call, WEIR_UNIMPLEMENTED);
        return;
    }

    struct weir_channel *channel = call->service->proxy_to;
    struct passed_on *passed_on = weir_arena_zalloc(call->arena, sizeof *passed_on);
    passed_on->call = call;
    passed_on->outgoing = (struct outgoing){
        .channel = channel,
        .method = call->method,
        .request = call->request,
        .message_id = call->message_id,
        .done = done,
        .metadata = take_metadata,
    };
    context_init(&passed_on->outgoing.context, &call->context, weir_deadline_in_ms(channel->timeout_ms));
    channel->ops->start(channel, &passed_on->outgoing);
}
