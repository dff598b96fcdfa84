/* The consumer's workers: they run what is ready, and fetch when nothing is. */
#include "transports/kafka/consumer.h"
#include "transports/kafka/transaction.h"

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

/* A message that stands before one of its partition that has begun. Keys run side by side, so a stop finds such gaps; left
 * open, all that is done behind them would come again. */
static bool closes_gap(const struct lane *lane)
{
    return !lane->stopped && lane->first->offset < lane->partition->furthest;
}

/* Holds: lock. The first that may begin; once the consumer stops, the first that closes a gap. */
static struct lane *take_ready(struct weir_consumer *consumer)
{
    struct lane **link = &consumer->ready;
    while (*link && consumer->stopping && (consumer->cutting || !closes_gap(*link)))
        link = &(*link)->ready_next;
    struct lane *lane = *link;
    if (!lane)
        return NULL;
    *link = lane->ready_next;
    if (!*link)
        consumer->ready_last = link;
    return lane;
}

bool consumer_has_gaps(const struct weir_consumer *consumer)
{
    for (const struct lane *lane = consumer->paused ? NULL : consumer->ready; lane; lane = lane->ready_next)
        if (closes_gap(lane))
            return true;
    return false;
}

void lane_pop(struct lane *lane)
{
    struct partition *partition = lane->partition;
    struct item *item = lane->first;
    lane->first = item->next;
    if (!lane->first)
        lane->last = &lane->first;
    partition->held--;
    partition->consumer->held--;

    lane->state = LANE_IDLE;
    if (lane->first && !partition->closing)
        lane_make_ready(lane);
    pthread_cond_signal(&partition->consumer->work); /* there is room again */
    if (item->kept) {
        item_keep(item);
        return;
    }
    item_free(item);
    partition_release(partition);
}

/* Holds: lock, lets go of it meanwhile. */
static void run_first(struct weir_consumer *consumer, struct lane *lane)
{
    struct item *item = lane->first;
    lane->state = LANE_BUSY;
    lane->partition->running++;
    consumer->running_count++;
    if (consumer->stopping)
        consumer->ended.in_flight++;
    else if (item->offset > lane->partition->furthest)
        lane->partition->furthest = item->offset;
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
    for (;;) {
        struct lane *lane = pause_holds(consumer) ? NULL : take_ready(consumer);
        struct partition *partition = lane || consumer->stopping ? NULL : partition_hungry(consumer);
        if (lane)
            run_first(consumer, lane);
        else if (partition)
            partition_fetch(partition);
        else if (consumer->stopping && (consumer->cutting || consumer->running_count == 0))
            break;
        else
            pthread_cond_wait(&consumer->work, &consumer->lock);
    }
    pthread_mutex_unlock(&consumer->lock);
    return NULL;
}
