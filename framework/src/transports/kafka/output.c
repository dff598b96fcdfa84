/* What handlers of a transactional consumer emit, until it is committed. */
#include <stdlib.h>
#include <string.h>

#include <weir/id.h>

#include "call/call.h"
#include "core/memory.h"
#include "transports/kafka/record.h"
#include "transports/kafka/transaction.h"

#define RECORD_MAX 1000000 /* librdkafka's message.max.bytes, and about the broker's */

void output_add(struct item *item, const char *topic, bool has_key, struct weir_bytes key,
                struct weir_bytes value, rd_kafka_headers_t *headers)
{
    struct output *output = memory_alloc(sizeof *output + key.size + value.size + strlen(topic) + 1);
    uint8_t *room = (uint8_t *)(output + 1);
    *output = (struct output){
        .item = item,
        .has_key = has_key,
        .key = weir_bytes(room, key.size),
        .value = weir_bytes(room + key.size, value.size),
        .topic = (char *)room + key.size + value.size,
        .headers = headers,
        .size = key.size + value.size,
    };
    if (key.size)
        memcpy(room, key.data, key.size);
    if (value.size)
        memcpy(room + key.size, value.data, value.size);
    memcpy(output->topic, topic, strlen(topic) + 1);
    struct output **last = item->last_output ? item->last_output : &item->outputs;
    *last = output;
    item->last_output = &output->next;
    item->output_count++;
    item->output_bytes += (int64_t)output->size;
}

void outputs_free(struct item *item)
{
    while (item->outputs) {
        struct output *output = item->outputs;
        item->outputs = output->next;
        rd_kafka_headers_destroy(output->headers);
        free(output);
    }
    item->last_output = NULL;
    item->output_count = 0;
    item->output_bytes = 0;
}

/* ---- items that wait for their commit ---- */

void item_keep(struct item *item)
{
    struct partition *partition = item->partition;
    item->next = partition->kept;
    partition->kept = item;
    partition->kept_count++;
    partition->kept_bytes += item->output_bytes + (int64_t)(item->key.size + item->value.size);
    partition->consumer->transaction->kept_outputs += item->output_count;
}

void kept_drop(struct partition *partition)
{
    while (partition->kept) {
        struct item *item = partition->kept;
        partition->kept = item->next;
        partition->consumer->transaction->kept_outputs -= item->output_count;
        item_free(item);
        partition_release(partition);
    }
    partition->kept_count = partition->kept_bytes = 0;
}

bool kept_is_full(const struct partition *partition)
{
    return partition->kept_count >= TRANSACTION_KEPT_MAX ||
           partition->kept_bytes >= TRANSACTION_KEPT_BYTES_MAX;
}

/* ---- emitting ---- */

static enum weir_status refuse(struct weir_call *call, const struct weir_topic *topic)
{
    return weir_call_fail(call, WEIR_INTERNAL,
                          "%s can be emitted only by a handler that a transactional consumer has called: use "
                          "..._publish() with the outbox, or ..._send()",
                          topic->name);
}

enum weir_status weir_topic_emit(struct weir_call *call, const struct weir_topic *topic,
                                 const ProtobufCMessage *message)
{
    struct item *item = item_of_call(call);
    if (!item || !item->partition->consumer->transaction)
        return refuse(call, topic);
    struct weir_context *context = weir_call_context(call);
    char id[WEIR_ID_SIZE];
    struct weir_buffer value = {0};
    call_pack(message, &value);
    struct weir_bytes key = weir_bytes_of_text(topic->key ? topic->key(message) : NULL);
    if (value.size + key.size > RECORD_MAX) {
        size_t size = value.size + key.size;
        weir_buffer_free(&value);
        return weir_call_fail(call, WEIR_INVALID_ARGUMENT,
                              "%s: a message of %zu bytes is more than the %d that go", topic->name, size,
                              RECORD_MAX);
    }
    struct weir_record record = {
        .topic = topic->name,
        .message_id = weir_id_new(id),
        .type = topic->message->full_name,
        .traceparent = weir_context_traceparent(context),
        .principal = weir_context_principal(context),
    };
    output_add(item, topic->name, key.size > 0, key, weir_buffer_bytes(&value),
               record_headers(&record, item->partition->consumer->component.app));
    weir_buffer_free(&value);
    return WEIR_OK;
}
