/* The gRPC channel: a client's connection as a component. */
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/config.h>

#include "call/channel.h"
#include "core/memory.h"
#include "engines/rpc.h"

#define CUT_MIN_MS 100

struct grpc_channel_component {
    struct weir_channel channel; /* first: a handle */
    struct weir_channel_options options;
    struct rpc_client *client; /* made by start */
};

static void begin(struct weir_channel *channel, struct outgoing *outgoing)
{
    struct grpc_channel_component *self = (struct grpc_channel_component *)channel;
    if (self->client)
        rpc_client_call(self->client, outgoing);
    else /* who calls does not need it, as he should */
        outgoing->done(outgoing, WEIR_UNAVAILABLE, "the channel is not up", (struct weir_bytes){0});
}

static const struct channel_ops channel_ops = {.name = "grpc",
                                               .start = begin,
                                               .send = rpc_client_send,
                                               .half_close = rpc_client_half_close,
                                               .read = rpc_client_read};

static enum weir_status start(void *self, struct weir_context *context, struct weir_error *err)
{
    (void)context;
    struct grpc_channel_component *component = self;
    rpc_client_destroy(component->client); /* this may be a restart */
    struct rpc_client_options options = {.target = component->options.target,
                                         .connect_backoff_ms = component->options.connect_backoff_ms};
    component->client = rpc_client_new(&options);
    return rpc_client_start(component->client, err);
}

/* All who call by it have ended by now; what is left is nobody's any more, or of those who were given up. */
static enum weir_status drain(void *self, struct weir_context *context, struct weir_work *work,
                              struct weir_error *err)
{
    (void)err;
    struct grpc_channel_component *component = self;
    int64_t before = rpc_client_in_flight(component->client);
    bool done = rpc_client_wait(component->client, context);
    int64_t left = done ? 0 : rpc_client_in_flight(component->client);
    if (!done) {
        struct weir_context moment;
        context_init(&moment, NULL, weir_deadline_in_ms(CUT_MIN_MS / 2));
        rpc_client_cancel(component->client);
        rpc_client_wait(component->client, &moment);
        context_clean_up(&moment);
    }
    int64_t stuck = rpc_client_in_flight(component->client);
    before = before > left ? before : left;
    work->in_flight += before;
    work->completed += before - left;
    work->cancelled += left > stuck ? left - stuck : 0;
    work->stuck += stuck;
    return WEIR_OK;
}

static void destroy(void *self)
{
    struct grpc_channel_component *component = self;
    rpc_client_destroy(component->client);
    free(component);
}

static const struct weir_component_ops component_ops = {.start = start, .drain = drain, .destroy = destroy};

static const struct weir_config_key keys[] = {
    {"target", WEIR_CONFIG_TEXT, offsetof(struct weir_channel_options, target), NULL,
     "the server: HOST:PORT or unix:PATH", .required = true},
    {"connect_backoff_ms", WEIR_CONFIG_INT, offsetof(struct weir_channel_options, connect_backoff_ms), "200",
     "ms between attempts to connect, at most", 100, 3600000, .required = false},
    {0},
};

struct weir_channel *weir_grpc_channel_add(struct weir_app *app, const char *name,
                                           const struct weir_channel_options *options)
{
    struct grpc_channel_component *component = NEW(struct grpc_channel_component);
    if (options)
        component->options = *options;
    weir_config_section(app, name, keys, &component->options);
    component->channel.ops = &channel_ops;
    channel_configure_timeout(&component->channel, app, name, component->options.timeout_ms);
    struct weir_component_options lifetime = {.cut_min_ms = CUT_MIN_MS};
    memcpy(lifetime.needs, component->options.needs, sizeof lifetime.needs);
    component_add(app, &component->channel.component, name, &component_ops, component, &lifetime);
    component_is(&component->channel.component, COMPONENT_CHANNEL);
    return &component->channel;
}
