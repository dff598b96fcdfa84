/* A typed message becomes a record of its topic. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/clock.h>
#include <weir/id.h>
#include <weir/kafka.h>

#include "core/condition.h"
#include "core/memory.h"

/* Shared by the call that waits and the report that may come after it gave up; the last one frees it. */
struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t over;
    atomic_int references;
    bool reported;
    enum weir_status status;
    char text[256];
};

static struct waiter *waiter_new(void)
{
    struct waiter *waiter = NEW(struct waiter);
    pthread_mutex_init(&waiter->lock, NULL);
    condition_init(&waiter->over);
    atomic_init(&waiter->references, 1);
    return waiter;
}

static void waiter_release(struct waiter *waiter)
{
    if (atomic_fetch_sub(&waiter->references, 1) != 1)
        return;
    pthread_cond_destroy(&waiter->over);
    pthread_mutex_destroy(&waiter->lock);
    free(waiter);
}

/* Runs on: the producer's thread. */
static void on_delivered(void *state, enum weir_status status, int32_t partition, int64_t offset,
                         const char *error)
{
    struct waiter *waiter = state;
    (void)partition;
    (void)offset;
    pthread_mutex_lock(&waiter->lock);
    waiter->reported = true;
    waiter->status = status;
    snprintf(waiter->text, sizeof waiter->text, "%s", error ? error : "");
    pthread_cond_signal(&waiter->over);
    pthread_mutex_unlock(&waiter->lock);
    waiter_release(waiter);
}

/* Until the report, or the end of the call: then its status. */
static enum weir_status wait_for_report(struct waiter *waiter, struct weir_context *context)
{
    struct condition_watch watch;
    condition_watch(&watch, context, &waiter->lock, &waiter->over);
    pthread_mutex_lock(&waiter->lock);
    enum weir_status ended = WEIR_OK;
    while (!waiter->reported && (ended = weir_context_status(context)) == WEIR_OK)
        condition_wait(&waiter->over, &waiter->lock, weir_context_deadline_ns(context));
    enum weir_status status = waiter->reported ? waiter->status : ended;
    pthread_mutex_unlock(&waiter->lock);
    condition_unwatch(&watch);
    return status;
}

static enum weir_status send_message(struct weir_call *call, struct weir_producer *producer,
                                     const struct weir_topic *topic, const ProtobufCMessage *message,
                                     weir_delivered_fn *delivered, void *state)
{
    char id[WEIR_ID_SIZE];
    struct weir_error err = {0};
    struct weir_buffer value = {0};
    struct weir_context *context = weir_call_context(call);
    value.size = protobuf_c_message_pack(
        message, weir_buffer_reserve(&value, protobuf_c_message_get_packed_size(message) + 1));

    struct weir_record record = {
        .topic = topic->name,
        .key = weir_bytes_of_text(topic->key ? topic->key(message) : NULL),
        .value = weir_buffer_bytes(&value),
        .message_id = weir_id_new(id),
        .type = topic->message->full_name,
        .traceparent = weir_context_traceparent(context),
        .principal = weir_context_principal(context),
    };
    enum weir_status status = weir_producer_send(producer, &record, delivered, state, &err);
    weir_buffer_free(&value);
    return status == WEIR_OK ? WEIR_OK : weir_call_set_error(call, &err);
}

enum weir_status weir_topic_post(struct weir_call *call, struct weir_producer *producer,
                                 const struct weir_topic *topic, const ProtobufCMessage *message)
{
    return send_message(call, producer, topic, message, NULL, NULL);
}

enum weir_status weir_topic_send(struct weir_call *call, struct weir_producer *producer,
                                 const struct weir_topic *topic, const ProtobufCMessage *message)
{
    struct waiter *waiter = waiter_new();
    atomic_fetch_add(&waiter->references, 1); /* the report's */
    enum weir_status status = send_message(call, producer, topic, message, on_delivered, waiter);
    if (status != WEIR_OK) {
        atomic_store(&waiter->references, 1); /* no report will come */
        waiter_release(waiter);
        return status;
    }
    status = wait_for_report(waiter, weir_call_context(call));
    if (status != WEIR_OK) {
        struct weir_error err = {0};
        pthread_mutex_lock(&waiter->lock);
        weir_fail(&err, status, "topic %s: %s", topic->name,
                  waiter->reported ? waiter->text
                                   : "no acknowledgement before the call was over: it may be there");
        pthread_mutex_unlock(&waiter->lock);
        weir_call_set_error(call, &err);
    }
    waiter_release(waiter);
    return status;
}
