#include "test.h"

#include <stdio.h>

#include <weir/clock.h>

#include "caller.h"
#include "core/condition.h"

static void on_done(struct outgoing *outgoing, enum weir_status status, const char *text,
                    struct weir_bytes reply)
{
    struct caller *caller = (struct caller *)outgoing;
    pthread_mutex_lock(&caller->lock);
    caller->done = true;
    caller->status = status;
    snprintf(caller->text, sizeof caller->text, "%s", text);
    if (status == WEIR_OK && reply.size > 0) {
        caller->reply_size = reply.size < sizeof caller->reply ? reply.size : sizeof caller->reply - 1;
        memcpy(caller->reply, reply.data, caller->reply_size);
    }
    pthread_cond_broadcast(&caller->changed);
    pthread_mutex_unlock(&caller->lock);
}

static void on_message(struct outgoing *outgoing, struct weir_bytes message)
{
    struct caller *caller = (struct caller *)outgoing;
    pthread_mutex_lock(&caller->lock);
    caller->got = true;
    caller->received++;
    caller->reply_size = message.size < sizeof caller->reply ? message.size : sizeof caller->reply - 1;
    memcpy(caller->reply, message.data, caller->reply_size);
    caller->reply[caller->reply_size] = 0;
    pthread_cond_broadcast(&caller->changed);
    pthread_mutex_unlock(&caller->lock);
}

static void on_metadata(struct outgoing *outgoing, struct weir_bytes name, struct weir_bytes value)
{
    struct caller *caller = (struct caller *)outgoing;
    pthread_mutex_lock(&caller->lock);
    if (caller->metadata_count < sizeof caller->metadata / sizeof caller->metadata[0]) {
        struct caller_metadata *metadata = &caller->metadata[caller->metadata_count++];
        snprintf(metadata->name, sizeof metadata->name, "%.*s", (int)name.size, (const char *)name.data);
        snprintf(metadata->value, sizeof metadata->value, "%.*s", (int)value.size, (const char *)value.data);
    }
    pthread_mutex_unlock(&caller->lock);
}

static void on_sent(struct outgoing *outgoing)
{
    struct caller *caller = (struct caller *)outgoing;
    pthread_mutex_lock(&caller->lock);
    caller->sent = true;
    pthread_cond_broadcast(&caller->changed);
    pthread_mutex_unlock(&caller->lock);
}

static void start(struct caller *caller, struct rpc_client *client, const struct weir_method *method,
                  struct weir_bytes request, int64_t timeout_ms, const char *key)
{
    *caller = (struct caller){.lock = PTHREAD_MUTEX_INITIALIZER};
    condition_init(&caller->changed);
    caller->outgoing.method = method;
    caller->outgoing.request = request;
    caller->outgoing.message_id = key;
    caller->outgoing.done = on_done;
    caller->outgoing.message = on_message;
    caller->outgoing.metadata = on_metadata;
    caller->outgoing.sent = on_sent;
    context_init(&caller->outgoing.context, NULL, weir_deadline_in_ms(timeout_ms));
    context_set_trace(&caller->outgoing.context, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    rpc_client_call(client, &caller->outgoing);
}

void caller_start(struct caller *caller, struct rpc_client *client, const struct weir_method *method,
                  struct weir_bytes request, int64_t timeout_ms)
{
    start(caller, client, method, request, timeout_ms, "key-1");
}

void caller_start_with_key(struct caller *caller, struct rpc_client *client, const struct weir_method *method,
                           const char *key)
{
    start(caller, client, method, (struct weir_bytes){0}, CALLER_PATIENCE_MS, key);
}

static void await(struct caller *caller, bool *flag)
{
    int64_t until = weir_deadline_in_ms(CALLER_PATIENCE_MS + 2000);
    pthread_mutex_lock(&caller->lock);
    while (!*flag && !caller->done)
        assert_true(condition_wait(&caller->changed, &caller->lock, until));
    *flag = false;
    pthread_mutex_unlock(&caller->lock);
}

enum weir_status caller_end(struct caller *caller)
{
    bool never = false;
    await(caller, &never);
    context_clean_up(&caller->outgoing.context);
    return caller->status;
}

enum weir_status caller_call(struct caller *caller, struct rpc_client *client,
                             const struct weir_method *method, struct weir_bytes request)
{
    caller_start(caller, client, method, request, CALLER_PATIENCE_MS);
    return caller_end(caller);
}

enum weir_status caller_call_with_key(struct caller *caller, struct rpc_client *client,
                                      const struct weir_method *method, struct weir_bytes request,
                                      const char *key)
{
    start(caller, client, method, request, CALLER_PATIENCE_MS, key);
    return caller_end(caller);
}

const char *caller_metadata(const struct caller *caller, const char *name)
{
    for (size_t i = 0; i < caller->metadata_count; i++)
        if (strcmp(caller->metadata[i].name, name) == 0)
            return caller->metadata[i].value;
    return NULL;
}

void caller_send(struct caller *caller, const char *message)
{
    rpc_client_send(&caller->outgoing, weir_bytes_of_text(message));
    await(caller, &caller->sent);
}

void caller_read(struct caller *caller)
{
    rpc_client_read(&caller->outgoing);
    await(caller, &caller->got);
}

struct rpc_client *caller_new_client(int port)
{
    char target[64];
    snprintf(target, sizeof target, "127.0.0.1:%d", port);
    struct weir_error err = {0};
    struct rpc_client *client =
        rpc_client_new(&(struct rpc_client_options){.target = target, .connect_backoff_ms = 200});
    assert_int_equal(rpc_client_start(client, &err), WEIR_OK);
    return client;
}
