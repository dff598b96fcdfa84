/* What one transaction takes: per partition the items that are done, without a gap, and the offset behind them. */
#include <stdlib.h>

#include "core/memory.h"
#include "transports/kafka/transaction.h"

static int by_offset(const void *left, const void *right)
{
    int64_t a = (*(struct item *const *)left)->offset, b = (*(struct item *const *)right)->offset;
    return (a > b) - (a < b);
}

/* Holds: lock. Takes out of the partition what is done without a gap, by offset. Caller frees the result. */
static struct item **take_done(struct partition *partition, size_t *ret_count)
{
    struct item **items = memory_alloc(((size_t)partition->kept_count + 1) * sizeof *items);
    size_t count = 0;
    for (struct item **link = &partition->kept, *item; (item = *link);) {
        if (item->offset >= partition->offsets.base) {
            link = &item->next;
            continue;
        }
        *link = item->next;
        items[count++] = item;
    }
    qsort(items, count, sizeof *items, by_offset);
    *ret_count = count;
    return items;
}

/* Holds: lock. */
static void leaves_kept(struct item *item)
{
    struct partition *partition = item->partition;
    partition->kept_count--;
    partition->kept_bytes -= item->output_bytes + (int64_t)(item->key.size + item->value.size);
    partition->consumer->transaction->kept_outputs -= item->output_count;
}

/* Holds: lock. */
static void add_share(struct batch *batch, struct partition *partition, int64_t outputs_max)
{
    size_t count, i = 0;
    struct item **items = take_done(partition, &count), *first = NULL, **last = &first;
    for (; i < count && (batch->outputs == 0 || batch->outputs + items[i]->output_count <= outputs_max);
         i++) {
        leaves_kept(items[i]);
        batch->outputs += items[i]->output_count;
        batch->kept++;
        items[i]->next = NULL;
        *last = items[i];
        last = &items[i]->next;
    }
    int64_t offset = i < count ? items[i]->offset : partition->offsets.base;
    for (; i < count; i++) { /* for the next transaction */
        items[i]->next = partition->kept;
        partition->kept = items[i];
    }
    free(items);
    if (offset <= partition->committed)
        return; /* no room for its first one: nothing was taken */
    batch->shares = memory_realloc(batch->shares, (batch->count + 1) * sizeof *batch->shares);
    partition->references++;
    batch->shares[batch->count].partition = partition;
    batch->shares[batch->count].generation = partition->generation;
    batch->shares[batch->count].offset = offset;
    batch->shares[batch->count].items = first;
    batch->count++;
}

bool batch_take(struct weir_consumer *consumer, int64_t outputs_max, struct batch *ret_batch)
{
    struct transaction *transaction = consumer->transaction;
    *ret_batch = (struct batch){0};
    pthread_mutex_lock(&consumer->lock);
    /* What a partition has got done while it was ours is committed under what made it ours. */
    for (struct partition *partition = transaction->membership ? consumer->partitions : NULL; partition;
         partition = partition->next)
        if (partition->committed >= 0 && partition->offsets.base > partition->committed)
            add_share(ret_batch, partition, outputs_max);
    if (ret_batch->count > 0) {
        ret_batch->membership = transaction->membership;
        ret_batch->membership->references++;
    }
    pthread_mutex_unlock(&consumer->lock);
    return ret_batch->count > 0;
}

rd_kafka_topic_partition_list_t *batch_offsets(const struct batch *batch)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)batch->count);
    for (size_t i = 0; i < batch->count; i++)
        rd_kafka_topic_partition_list_add(list, batch->shares[i].partition->topic->name,
                                          batch->shares[i].partition->number)
            ->offset = batch->shares[i].offset;
    return list;
}

/* Holds: lock. */
static void free_items(struct partition *partition, struct item *item)
{
    while (item) {
        struct item *next = item->next;
        item_free(item);
        partition_release(partition);
        item = next;
    }
}

/* Holds: lock. */
static void put_back(struct item *item)
{
    while (item) {
        struct item *next = item->next;
        item_keep(item);
        item = next;
    }
}

static void end(struct weir_consumer *consumer, struct batch *batch, bool committed)
{
    pthread_mutex_lock(&consumer->lock);
    for (size_t i = 0; i < batch->count; i++) {
        struct partition *partition = batch->shares[i].partition;
        bool ours = !partition->gone && partition->generation == batch->shares[i].generation;
        if (committed && ours)
            partition->committed = batch->shares[i].offset;
        if (committed || !ours)
            free_items(partition, batch->shares[i].items);
        else
            put_back(batch->shares[i].items);
        partition_release(partition);
    }
    membership_release(batch->membership);
    pthread_cond_broadcast(&consumer->work); /* there is room again */
    pthread_mutex_unlock(&consumer->lock);
    free(batch->shares);
    *batch = (struct batch){0};
}

void batch_is_committed(struct weir_consumer *consumer, struct batch *batch)
{
    end(consumer, batch, true);
}

void batch_give_back(struct weir_consumer *consumer, struct batch *batch)
{
    end(consumer, batch, false);
}
