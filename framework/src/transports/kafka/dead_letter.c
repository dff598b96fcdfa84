/* Messages that can never succeed go to a topic of their own, with what is known about them, before their
 * offset is done: they are never lost, and never block. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/app.h>
#include <weir/log.h>

#include "core/context.h"
#include "core/memory.h"
#include "transports/kafka/consumer.h"
#include "transports/kafka/producer.h"
#include "transports/kafka/record.h"

/* Runs on: the producer's thread. */
static void on_delivered(void *state, enum weir_status status, int32_t partition, int64_t offset,
                         const char *error)
{
    (void)partition;
    (void)offset;
    item_is_aside(state, status, error);
}

/* Made when the first one is needed: most consumers never need it. NULL on failure. */
static struct weir_producer *the_producer(struct weir_consumer *consumer, struct weir_error *err)
{
    pthread_mutex_lock(&consumer->dead_letters_lock);
    if (!consumer->dead_letters) {
        struct weir_producer *producer =
            producer_new(&(struct weir_producer_options){.brokers = consumer->options.brokers});
        if (producer_ops.start(producer, NULL, err) == WEIR_OK)
            consumer->dead_letters = producer;
        else
            producer_ops.destroy(producer);
    }
    struct weir_producer *producer = consumer->dead_letters;
    pthread_mutex_unlock(&consumer->dead_letters_lock);
    return producer;
}

static void add_number(rd_kafka_headers_t *headers, const char *name, int64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, number);
    rd_kafka_header_add(headers, name, -1, text, -1);
}

/* The message's own headers, and where it comes from, and why it is here. */
static rd_kafka_headers_t *dead_letter_headers(const struct item *item)
{
    const struct partition *partition = item->partition;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(item->header_count + 8);
    for (size_t i = 0; i < item->header_count; i++)
        if (strncmp(item->headers[i].name, "weir-origin-", 12) != 0)
            rd_kafka_header_add(headers, item->headers[i].name, -1, item->headers[i].value.data,
                                (ssize_t)item->headers[i].value.size);
    rd_kafka_header_add(headers, "weir-origin-topic", -1, partition->topic->name, -1);
    add_number(headers, "weir-origin-partition", partition->number);
    add_number(headers, "weir-origin-offset", item->offset);
    rd_kafka_header_add(headers, "weir-origin-group", -1, partition->consumer->options.group, -1);
    rd_kafka_header_add(headers, "weir-origin-status", -1, weir_status_name(item->verdict), -1);
    rd_kafka_header_add(headers, "weir-origin-error", -1, item->reason, -1);
    add_number(headers, "weir-origin-attempts", item->attempts);
    return headers;
}

void item_set_aside(struct item *item)
{
    struct weir_consumer *consumer = item->partition->consumer;
    struct weir_error err = {0};
    struct weir_producer *producer = the_producer(consumer, &err);
    if (!producer) {
        item_is_aside(item, err.status, err.text);
        return;
    }
    char *topic = memory_printf("%s%s", item->partition->topic->name, consumer->options.dead_letter_suffix);
    struct weir_record record = {.topic = topic, .key = item->key, .value = item->value};
    enum weir_status status =
        producer_send_headers(producer, &record, dead_letter_headers(item), on_delivered, item, &err);
    free(topic);
    if (status != WEIR_OK)
        item_is_aside(item, status, err.text);
}

void dead_letters_finish(struct weir_consumer *consumer, struct weir_context *context)
{
    pthread_mutex_lock(&consumer->dead_letters_lock);
    struct weir_producer *producer = consumer->dead_letters;
    consumer->dead_letters = NULL;
    pthread_mutex_unlock(&consumer->dead_letters_lock);
    if (!producer)
        return;
    struct weir_work work = {0}; /* what was not set aside is not done, and is counted as that */
    producer_ops.quiesce(producer, NULL);
    producer_ops.finish(producer, context, &work, NULL);
    producer_ops.destroy(producer);
}
