#include "transports/kafka/numbers.h"

#include <weir/clock.h>

#include "transports/kafka/consumer.h"
#include "transports/kafka/producer.h"
#include "transports/kafka/transaction.h"

#define LAG_EVERY_MS 1000

/* ---- consumer ---- */

static double read_done(void *consumer)
{
    return (double)consumer_counts(consumer).done;
}

static double read_retried(void *consumer)
{
    return (double)consumer_counts(consumer).retried;
}

static double read_moved(void *consumer)
{
    return (double)consumer_counts(consumer).moved;
}

static double read_set_aside(void *consumer)
{
    return (double)consumer_counts(consumer).set_aside;
}

static double read_dropped(void *consumer)
{
    return (double)consumer_counts(consumer).dropped;
}

static int64_t transactions(struct weir_consumer *consumer, bool committed)
{
    if (!consumer->transaction)
        return 0;
    pthread_mutex_lock(&consumer->lock);
    int64_t count = committed ? consumer->transaction->committed : consumer->transaction->aborted;
    pthread_mutex_unlock(&consumer->lock);
    return count;
}

static double read_committed(void *consumer)
{
    return (double)transactions(consumer, true);
}

static double read_aborted(void *consumer)
{
    return (double)transactions(consumer, false);
}

static double read_held(void *consumer)
{
    return (double)consumer_held(consumer);
}

static double read_partitions(void *consumer)
{
    return (double)consumer_partitions(consumer);
}

static double read_lag(void *arg)
{
    const struct weir_consumer *consumer = arg;
    return (double)atomic_load(&consumer->lag);
}

/* ---- producer ---- */

static double read_delivered(void *producer)
{
    return (double)producer_counts(producer).delivered;
}

static double read_failed(void *producer)
{
    return (double)producer_counts(producer).failed;
}

static double read_unsent(void *producer)
{
    struct producer_counts counts = producer_counts(producer);
    return (double)(counts.sent - counts.delivered - counts.failed);
}

/* ---- making them ---- */

struct number {
    enum metric_kind kind;
    const char *name, *help, *result; /* result: a label; NULL: none */
    metric_read_fn *read;
};

static void add(struct numbers *numbers, const struct number *table, int count, const char *label,
                const char *name, void *arg)
{
    if (numbers->count > 0)
        return;
    for (int i = 0; i < count; i++) {
        struct metric_options options = {.name = table[i].name, .help = table[i].help};
        options.labels[0] = (struct metric_label){label, name};
        if (table[i].result)
            options.labels[1] = (struct metric_label){"result", table[i].result};
        numbers->sources[numbers->count++] = metrics_source(table[i].kind, &options, table[i].read, arg);
    }
}

void numbers_of_consumer(struct numbers *numbers, struct weir_consumer *consumer, const char *name)
{
    static const char messages[] = "weir_consumer_messages_total";
    static const char what[] = "Messages by what became of them: retried ones come again";
    static const struct number table[] = {
        {METRIC_COUNTER, messages, what, "done", read_done},
        {METRIC_COUNTER, messages, what, "retried", read_retried},
        {METRIC_COUNTER, messages, what, "moved", read_moved},
        {METRIC_COUNTER, messages, what, "set_aside", read_set_aside},
        {METRIC_COUNTER, messages, what, "dropped", read_dropped},
        {METRIC_GAUGE, "weir_consumer_in_flight", "Messages fetched and not done", NULL, read_held},
        {METRIC_GAUGE, "weir_consumer_partitions", "Partitions assigned", NULL, read_partitions},
        {METRIC_COUNTER, "weir_consumer_transactions_total", "Transactions, and how they ended", "committed",
         read_committed},
        {METRIC_COUNTER, "weir_consumer_transactions_total", "Transactions, and how they ended", "aborted",
         read_aborted},
        {METRIC_GAUGE, "weir_consumer_lag", "Messages on the broker and not done, as last seen", NULL,
         read_lag},
    };
    add(numbers, table, sizeof table / sizeof *table, "consumer", name, consumer);
}

void numbers_of_producer(struct numbers *numbers, struct weir_producer *producer, const char *name)
{
    static const char messages[] = "weir_producer_messages_total";
    static const char what[] = "Messages by their delivery report";
    static const struct number table[] = {
        {METRIC_COUNTER, messages, what, "delivered", read_delivered},
        {METRIC_COUNTER, messages, what, "failed", read_failed},
        {METRIC_GAUGE, "weir_producer_in_flight", "Messages taken and not reported", NULL, read_unsent},
    };
    add(numbers, table, sizeof table / sizeof *table, "producer", name, producer);
}

void numbers_remove(struct numbers *numbers)
{
    while (numbers->count > 0)
        metrics_source_remove(numbers->sources[--numbers->count]);
}

/* ---- lag ---- */

/* From what the last fetches said: a cached number, and no request (the statistics' own is -1 until a first
 * commit). */
void numbers_tick(struct weir_consumer *consumer)
{
    int64_t now = weir_now_ns(), lag = 0;
    if (now < consumer->lag_due_ns)
        return;
    consumer->lag_due_ns = weir_deadline_in_ms(LAG_EVERY_MS);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    pthread_mutex_lock(&consumer->lock);
    for (struct partition *partition = consumer->partitions; partition; partition = partition->next)
        if (partition->offsets.base >= 0)
            rd_kafka_topic_partition_list_add(list, partition->topic->name, partition->number)->offset =
                partition->offsets.base;
    pthread_mutex_unlock(&consumer->lock);
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *at = &list->elems[i];
        int64_t low = 0, high = 0;
        if (rd_kafka_get_watermark_offsets(consumer->client, at->topic, at->partition, &low, &high) ==
                RD_KAFKA_RESP_ERR_NO_ERROR &&
            high > at->offset)
            lag += high - at->offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    atomic_store(&consumer->lag, lag);
}
