/* Offsets that are done become committed: now and then while it runs, and with a limit when partitions leave.
 */
#include "transports/kafka/consumer.h"

#include <string.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "core/sabotage.h"
#include "transports/kafka/client.h"
#include "transports/kafka/transaction.h"

#define ANSWER_LOST_MS 15000 /* then it is asked again */

static bool is_in(const rd_kafka_topic_partition_list_t *list, const struct partition *partition)
{
    return !list || rd_kafka_topic_partition_list_find((rd_kafka_topic_partition_list_t *)list,
                                                       partition->topic->name, partition->number) != NULL;
}

/* All before it is done. */
static int64_t done_before(const struct partition *partition)
{
    return SABOTAGED(offsets) ? partition->offsets.next : partition->offsets.base;
}

/* What may be committed and is not. Caller owns the result; NULL: nothing. */
static rd_kafka_topic_partition_list_t *collect(struct weir_consumer *consumer,
                                                const rd_kafka_topic_partition_list_t *only)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    pthread_mutex_lock(&consumer->lock);
    for (struct partition *partition = consumer->partitions; partition; partition = partition->next)
        if (is_in(only, partition) && partition->committed >= 0 &&
            done_before(partition) > partition->committed)
            rd_kafka_topic_partition_list_add(list, partition->topic->name, partition->number)->offset =
                done_before(partition);
    pthread_mutex_unlock(&consumer->lock);
    if (list->cnt > 0)
        return list;
    rd_kafka_topic_partition_list_destroy(list);
    return NULL;
}

static void remember(struct weir_consumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
    pthread_mutex_lock(&consumer->lock);
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *answered = &list->elems[i];
        if (answered->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            continue;
        for (struct partition *partition = consumer->partitions; partition; partition = partition->next)
            if (partition->number == answered->partition &&
                strcmp(partition->topic->name, answered->topic) == 0 &&
                answered->offset > partition->committed && answered->offset <= done_before(partition))
                partition->committed = answered->offset;
    }
    pthread_mutex_unlock(&consumer->lock);
}

void commit_answered(rd_kafka_t *client, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t *offsets,
                     void *opaque)
{
    struct weir_consumer *consumer = opaque;
    (void)client;
    consumer->commit_under_way = false;
    if (offsets)
        remember(consumer, offsets);
    bool fails = error != RD_KAFKA_RESP_ERR_NO_ERROR && error != RD_KAFKA_RESP_ERR__NO_OFFSET &&
                 error != RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS;
    if (fails && !consumer->commit_fails)
        weir_log_warn("offsets are not committed, and will be asked for again",
                      weir_field_text("consumer", consumer->component.name),
                      weir_field_text("error", rd_kafka_err2str(error)));
    consumer->commit_fails = fails;
}

void commit_tick(struct weir_consumer *consumer)
{
    int64_t now = weir_now_ns();
    bool lost = now - consumer->commit_asked_ns > ANSWER_LOST_MS * WEIR_NS_PER_MS;
    if (consumer->transaction || now < consumer->commit_due_ns || (consumer->commit_under_way && !lost))
        return;
    consumer->commit_due_ns = weir_deadline_in_ms(consumer->options.commit_interval_ms);
    rd_kafka_topic_partition_list_t *list = collect(consumer, NULL);
    if (!list)
        return;
    consumer->commit_asked_ns = now;
    consumer->commit_under_way =
        rd_kafka_commit(consumer->client, list, 1 /* asynchronous */) == RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_topic_partition_list_destroy(list);
}

/* In slices, because who stops must not wait for it. NULL: no answer. */
static rd_kafka_event_t *wait_for_answer(rd_kafka_queue_t *answers, const atomic_bool *given_up,
                                         int64_t deadline_ns)
{
    rd_kafka_event_t *event = NULL;
    while (!event && !(given_up && atomic_load(given_up))) {
        int left_ms = client_left_ms(deadline_ns, 20);
        event = rd_kafka_queue_poll(answers, left_ms);
        if (left_ms == 0)
            break;
    }
    return event;
}

/* rd_kafka_commit() that waits knows no limit: over 100 s with a frozen broker. */
bool commit_now(struct weir_consumer *consumer, const rd_kafka_topic_partition_list_t *only,
                const atomic_bool *given_up, int64_t deadline_ns)
{
    if (consumer->transaction)
        return transaction_flush(consumer, given_up, deadline_ns);
    rd_kafka_topic_partition_list_t *list = collect(consumer, only);
    if (!list)
        return true;
    rd_kafka_queue_t *answers = rd_kafka_queue_new(consumer->client);
    rd_kafka_resp_err_t error = rd_kafka_commit_queue(consumer->client, list, answers, NULL, NULL);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_event_t *event = wait_for_answer(answers, given_up, deadline_ns);
        error = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
        if (event && rd_kafka_event_type(event) == RD_KAFKA_EVENT_OFFSET_COMMIT)
            remember(consumer, rd_kafka_event_topic_partition_list(event));
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(answers);
    rd_kafka_topic_partition_list_destroy(list);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        weir_log_warn("offsets are not committed: the messages come again",
                      weir_field_text("consumer", consumer->component.name),
                      weir_field_text("error", rd_kafka_err2str(error)));
    return error == RD_KAFKA_RESP_ERR_NO_ERROR;
}

int64_t commit_missing(const struct weir_consumer *consumer)
{
    int64_t missing = 0;
    for (const struct partition *partition = consumer->partitions; partition; partition = partition->next)
        missing += offsets_done_beyond(&partition->offsets, partition->committed);
    return missing;
}
