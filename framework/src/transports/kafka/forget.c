/* A broker that keeps its logs in memory forgets them when it ends, offsets begin at 0 again, and a commit of
 * ours that is on its way may still name an offset of the old log. What was written since would be passed
 * over. A cluster id that changed tells it: then all is read from the beginning, for a while also where a
 * rebalance assigns it. A real cluster's id never changes. */
#include "transports/kafka/consumer.h"

#include <stdio.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/log.h>

#define DOUBT_MS 30000

void forget_when_new(void *arg, const char *cluster_id)
{
    struct weir_consumer *consumer = arg;
    if (consumer->cluster_id[0] && strcmp(consumer->cluster_id, cluster_id) != 0)
        atomic_store(&consumer->cluster_changed, true);
    snprintf(consumer->cluster_id, sizeof consumer->cluster_id, "%s", cluster_id);
}

void forget_tick(struct weir_consumer *consumer)
{
    if (!atomic_exchange(&consumer->cluster_changed, false))
        return;
    weir_log_warn("the broker has forgotten its logs: reading from the beginning",
                  weir_field_text("consumer", consumer->component.name));
    consumer->anew_until_ns = weir_deadline_in_ms(DOUBT_MS);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    pthread_mutex_lock(&consumer->lock);
    for (struct partition *partition = consumer->partitions; partition; partition = partition->next) {
        partition_begin_anew(partition);
        rd_kafka_topic_partition_list_add(list, partition->topic->name, partition->number)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
    }
    pthread_mutex_unlock(&consumer->lock);
    rd_kafka_error_t *error = list->cnt > 0 ? rd_kafka_seek_partitions(consumer->client, list, 0) : NULL;
    if (error)
        rd_kafka_error_destroy(error); /* then an assignment is on its way, and begins there */
    rd_kafka_topic_partition_list_destroy(list);
}

void forget_committed(struct weir_consumer *consumer, rd_kafka_topic_partition_list_t *list)
{
    if (weir_now_ns() >= consumer->anew_until_ns)
        return;
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = RD_KAFKA_OFFSET_BEGINNING;
}
