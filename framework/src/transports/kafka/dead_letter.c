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
#include "transports/kafka/transaction.h"

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

static void add_header(rd_kafka_headers_t *headers, const struct item_header *header)
{
    rd_kafka_header_add(headers, header->name, -1, header->value.data, (ssize_t)header->value.size);
}

/* Where it was published; what came by a retry topic says so itself. */
static void add_place(rd_kafka_headers_t *headers, const struct item *item)
{
    static const char *const names[] = {HEADER_ORIGIN "topic", HEADER_ORIGIN "partition",
                                        HEADER_ORIGIN "offset"};
    const struct partition *partition = item->partition;
    for (size_t i = 0; partition->topic->level > 0 && i < sizeof names / sizeof names[0]; i++) {
        const struct item_header *known = item_header(item, names[i]);
        if (known)
            add_header(headers, known);
    }
    if (partition->topic->level > 0)
        return;
    rd_kafka_header_add(headers, names[0], -1, partition->topic->name, -1);
    add_number(headers, names[1], partition->number);
    add_number(headers, names[2], item->offset);
    if (!item_header(item, "ce_id")) { /* its place is its id, also where it goes */
        char id[320];
        snprintf(id, sizeof id, "%s/%" PRId32 "/%" PRId64, partition->topic->name, partition->number,
                 item->offset);
        rd_kafka_header_add(headers, "ce_id", -1, id, -1);
    }
}

rd_kafka_headers_t *aside_headers(const struct item *item)
{
    const struct partition *partition = item->partition;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(item->header_count + 10);
    for (size_t i = 0; i < item->header_count; i++) {
        const char *name = item->headers[i].name;
        if (strncmp(name, HEADER_ORIGIN, strlen(HEADER_ORIGIN)) != 0 &&
            strcmp(name, HEADER_REPLAY_GROUP) != 0 && strcmp(name, HEADER_RETRY_AT) != 0)
            add_header(headers, &item->headers[i]);
    }
    add_place(headers, item);
    rd_kafka_header_add(headers, HEADER_ORIGIN "group", -1, partition->consumer->options.group, -1);
    rd_kafka_header_add(headers, HEADER_ORIGIN "status", -1, weir_status_name(item->verdict), -1);
    rd_kafka_header_add(headers, HEADER_ORIGIN "error", -1, item->reason, -1);
    add_number(headers, HEADER_ORIGIN "attempts", item->attempts);
    return headers;
}

void item_send_aside(struct item *item, const char *topic, rd_kafka_headers_t *headers)
{
    struct weir_consumer *consumer = item->partition->consumer;
    struct weir_error err = {0};
    if (consumer->transaction) { /* in its transaction, with its offset */
        outputs_free(item);
        output_add(item, topic, item->has_key, item->key, item->value, headers);
        item_is_aside(item, WEIR_OK, "");
        return;
    }
    struct weir_producer *producer = the_producer(consumer, &err);
    if (!producer) {
        rd_kafka_headers_destroy(headers);
        item_is_aside(item, err.status, err.text);
        return;
    }
    struct weir_record record = {.topic = topic, .key = item->key, .value = item->value};
    enum weir_status status = producer_send_headers(producer, &record, headers, on_delivered, item, &err);
    if (status != WEIR_OK)
        item_is_aside(item, status, err.text);
}

static char *dead_letters_of(const struct item *item)
{
    return memory_printf("%s%s", item->partition->topic->origin,
                         item->partition->consumer->options.dead_letter_suffix);
}

void item_set_aside(struct item *item)
{
    char *topic = dead_letters_of(item);
    item_send_aside(item, topic, aside_headers(item));
    free(topic);
}

void item_emit_aside(struct item *item)
{
    char *topic = dead_letters_of(item);
    outputs_free(item);
    output_add(item, topic, item->has_key, item->key, item->value, aside_headers(item));
    free(topic);
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
