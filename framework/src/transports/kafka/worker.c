/* The consumer's workers: they run what is ready, and fetch when nothing is. */
#include "transports/kafka/consumer.h"

#include <stdlib.h>

void lane_make_ready(struct lane *lane)
{
    struct weir_consumer *consumer = lane->partition->consumer;
    lane->state = LANE_READY;
    lane->ready_next = NULL;
    *consumer->ready_last = lane;
    consumer->ready_last = &lane->ready_next;
    pthread_cond_signal(&consumer->work);
}

/* Holds: lock. */
static struct lane *take_ready(struct weir_consumer *consumer)
{
    struct lane *lane = consumer->ready;
    if (!lane)
        return NULL;
    consumer->ready = lane->ready_next;
    if (!consumer->ready)
        consumer->ready_last = &consumer->ready;
    return lane;
}

void lane_pop(struct lane *lane)
{
    struct partition *partition = lane->partition;
    struct item *item = lane->first;
    lane->first = item->next;
    if (!lane->first)
        lane->last = &lane->first;
    item_free(item);
    partition->held--;
    partition->consumer->held--;

    lane->state = LANE_IDLE;
    if (lane->first && !partition->closing)
        lane_make_ready(lane);
    pthread_cond_signal(&partition->consumer->work); /* there is room again */
    partition_release(partition);
}

/* Holds: lock, lets go of it meanwhile. */
static void run_first(struct weir_consumer *consumer, struct lane *lane)
{
    struct item *item = lane->first;
    lane->state = LANE_BUSY;
    lane->partition->running++;
    consumer->running_count++;
    item_list_add(&consumer->running, item);
    pthread_mutex_unlock(&consumer->lock);
    item_run(item);
    pthread_mutex_lock(&consumer->lock);
}

void *consumer_work(void *arg)
{
    struct weir_consumer *consumer = arg;
    pthread_setname_np(pthread_self(), "consumer");
    pthread_mutex_lock(&consumer->lock);
    while (!consumer->stopping) {
        struct lane *lane = take_ready(consumer);
        struct partition *partition = lane ? NULL : partition_hungry(consumer);
        if (lane)
            run_first(consumer, lane);
        else if (partition)
            partition_fetch(partition);
        else
            pthread_cond_wait(&consumer->work, &consumer->lock);
    }
    pthread_mutex_unlock(&consumer->lock);
    return NULL;
}
