/* Partitions as they are assigned, fetched from and revoked. */
#include "core/condition.h"
#include "transports/kafka/consumer.h"
#include "transports/kafka/transaction.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "core/memory.h"

#define REVOKE_COMMIT_MS 3000

/* ---- assigned ---- */

/* Runs on: a thread of librdkafka's, which holds the queue's lock. */
static void on_events(rd_kafka_t *client, void *opaque)
{
    struct partition *partition = opaque;
    (void)client;
    atomic_store(&partition->has_events, true);
    pthread_mutex_lock(&partition->consumer->lock);
    pthread_cond_signal(&partition->consumer->work);
    pthread_mutex_unlock(&partition->consumer->lock);
}

static const struct consumer_topic *find_topic(const struct weir_consumer *consumer, const char *name)
{
    for (size_t i = 0; i < consumer->topic_count; i++)
        if (strcmp(consumer->topics[i].name, name) == 0)
            return &consumer->topics[i];
    return NULL;
}

static struct partition *partition_new(struct weir_consumer *consumer, const struct consumer_topic *topic,
                                       int32_t number)
{
    struct partition *partition = NEW(struct partition);
    partition->consumer = consumer;
    partition->topic = topic;
    partition->number = number;
    partition->references = 1;
    partition->committed = partition->furthest = -1;
    partition->ahead_last = &partition->ahead;
    offsets_init(&partition->offsets, CONSUMER_WINDOW);
    for (int i = 0; i < CONSUMER_LANES; i++) {
        partition->lanes[i].partition = partition;
        partition->lanes[i].last = &partition->lanes[i].first;
    }
    return partition;
}

/* The queue is taken out of the consumer's common one before the assignment, so that no message slips
 * through. */
void partitions_assign(struct weir_consumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        const char *name = list->elems[i].topic;
        const struct consumer_topic *topic = find_topic(consumer, name);
        if (!topic)
            continue;
        struct partition *partition = partition_new(consumer, topic, list->elems[i].partition);
        partition->queue = rd_kafka_queue_get_partition(consumer->client, name, partition->number);
        rd_kafka_queue_forward(partition->queue, NULL);

        pthread_mutex_lock(&consumer->lock);
        partition->next = consumer->partitions;
        consumer->partitions = partition;
        consumer->partition_count++;
        pthread_mutex_unlock(&consumer->lock);
        rd_kafka_queue_cb_event_enable(partition->queue, on_events, partition);
        /* The event comes when an empty queue gets its first message: there may have been one before. */
        on_events(consumer->client, partition);
    }
}

/* ---- fetched from ---- */

/* Holds: lock. So many that no partition can take all the room. */
static int64_t share(const struct weir_consumer *consumer)
{
    int64_t each = consumer->options.in_flight_max / consumer->partition_count;
    return each > 0 ? each : 1;
}

struct partition *partition_hungry(struct weir_consumer *consumer)
{
    if (consumer->held >= consumer->options.in_flight_max)
        return NULL;
    for (struct partition **link = &consumer->partitions; *link; link = &(*link)->next) {
        struct partition *partition = *link;
        if (!atomic_load(&partition->has_events) || partition->fetching || partition->closing ||
            partition->ahead || partition->held >= share(consumer) || kept_is_full(partition))
            continue;
        /* To the end of the list: the others have their turn before it. */
        *link = partition->next;
        partition->next = NULL;
        while (*link)
            link = &(*link)->next;
        *link = partition;
        return partition;
    }
    return NULL;
}

/* FNV-1a. */
static uint32_t hash(struct weir_bytes key)
{
    uint32_t hash = UINT32_C(2166136261);
    for (size_t i = 0; i < key.size; i++)
        hash = (hash ^ key.data[i]) * UINT32_C(16777619);
    return hash ^ hash >> 16;
}

void partition_begin_anew(struct partition *partition)
{
    offsets_clean_up(&partition->offsets);
    offsets_init(&partition->offsets, CONSUMER_WINDOW);
    kept_drop(partition);
    partition->generation++;
    partition->committed = partition->furthest = -1;
}

/* Holds: lock. False when the window is full. */
static bool take(struct partition *partition, struct item *item)
{
    enum offsets_answer answer = offsets_take(&partition->offsets, item->offset);
    if (answer == OFFSETS_FULL)
        return false;
    if (answer == OFFSETS_KNOWN) {
        /* Offsets went back: the log begins anew (a broker that forgot it), and what we know of the old one
         * is void. */
        weir_log_warn(
            "offsets went back: the log of the partition is another one",
            weir_field_text("topic", partition->topic->name), weir_field_int("partition", partition->number),
            weir_field_int("expected", partition->offsets.next), weir_field_int("got", item->offset));
        partition_begin_anew(partition);
        offsets_take(&partition->offsets, item->offset);
    }
    if (partition->committed < 0)
        partition->committed = item->offset;
    item->generation = partition->generation;

    uint32_t number = item->has_key ? hash(item->key) : (uint32_t)item->offset;
    struct lane *lane = &partition->lanes[number % CONSUMER_LANES];
    item->lane = lane;
    *lane->last = item;
    lane->last = &item->next;
    if (lane->state == LANE_IDLE)
        lane_make_ready(lane);
    return true;
}

/* Holds: lock. */
static void discard(struct partition *partition, struct item *item)
{
    assert(partition->references > 1); /* whoever discards holds one, too */
    item_free(item);
    partition->held--;
    partition->consumer->held--;
    partition_release(partition);
}

void partition_catch_up(struct partition *partition)
{
    while (partition->ahead) {
        struct item *item = partition->ahead;
        struct item *next = item->next;
        item->next = NULL;
        if (!take(partition, item)) {
            item->next = next;
            return;
        }
        partition->ahead = next;
    }
    partition->ahead_last = &partition->ahead;
}

/* Holds: lock. */
static void sort_in(struct partition *partition, struct item *item)
{
    if (partition->closing || partition->consumer->stopping) {
        discard(partition, item);
        return;
    }
    if (!partition->ahead && take(partition, item))
        return;
    *partition->ahead_last = item;
    partition->ahead_last = &item->next;
}

static void log_event(const struct partition *partition, const rd_kafka_message_t *message)
{
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
        return;
    weir_log_warn("partition", weir_field_text("topic", partition->topic->name),
                  weir_field_int("partition", partition->number),
                  weir_field_text("error", rd_kafka_message_errstr(message)));
}

/* Holds nothing. Returns the items, `*ret_empty`: the queue has no more. */
static struct item *fetch(struct partition *partition, int64_t most, int64_t *ret_count, bool *ret_empty)
{
    struct item *first = NULL, **last = &first;
    *ret_count = 0;
    *ret_empty = false;
    while (*ret_count < most) {
        rd_kafka_message_t *message = rd_kafka_consume_queue(partition->queue, 0);
        if (!message) {
            *ret_empty = true;
            break;
        }
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            *last = item_new(partition, message);
            last = &(*last)->next;
            (*ret_count)++;
        } else {
            log_event(partition, message);
        }
        rd_kafka_message_destroy(message);
    }
    return first;
}

static int64_t least(int64_t left, int64_t right)
{
    return left < right ? left : right;
}

void partition_fetch(struct partition *partition)
{
    struct weir_consumer *consumer = partition->consumer;
    int64_t room = least(share(consumer) - partition->held, consumer->options.in_flight_max - consumer->held);
    int64_t most = least(room, CONSUMER_BATCH), count;
    bool empty;
    partition->fetching = true;
    partition->references++;
    consumer->held += most;                      /* reserved */
    atomic_store(&partition->has_events, false); /* before the look: what comes now sets it again */
    pthread_mutex_unlock(&consumer->lock);
    struct item *item = fetch(partition, most, &count, &empty);
    pthread_mutex_lock(&consumer->lock);

    consumer->held += count - most;
    partition->held += count;
    partition->references += (int)count;
    partition->fetching = false;
    if (!empty)
        atomic_store(&partition->has_events, true);
    while (item) {
        struct item *next = item->next;
        item->next = NULL;
        sort_in(partition, item);
        item = next;
    }
    pthread_cond_broadcast(&consumer->idle); /* who revokes waits for the fetch, too */
    partition_release(partition);
}

/* ---- revoked ---- */

void partition_release(struct partition *partition)
{
    if (--partition->references > 0)
        return;
    offsets_clean_up(&partition->offsets);
    free(partition);
}

static bool is_in(const struct partition *partition, const rd_kafka_topic_partition_list_t *list)
{
    if (!list)
        return true;
    for (int i = 0; i < list->cnt; i++)
        if (list->elems[i].partition == partition->number &&
            strcmp(list->elems[i].topic, partition->topic->name) == 0)
            return true;
    return false;
}

/* Holds: lock. Lanes of closing partitions are ready no more. */
static void filter_ready(struct weir_consumer *consumer)
{
    struct lane *lane = consumer->ready;
    consumer->ready = NULL;
    consumer->ready_last = &consumer->ready;
    while (lane) {
        struct lane *next = lane->ready_next;
        if (lane->partition->closing)
            lane->state = LANE_IDLE;
        else
            lane_make_ready(lane);
        lane = next;
    }
}

/* Holds: lock. */
static bool is_quiet(const struct weir_consumer *consumer, const rd_kafka_topic_partition_list_t *list)
{
    for (const struct partition *partition = consumer->partitions; partition; partition = partition->next)
        if (is_in(partition, list) && (partition->running > 0 || partition->fetching))
            return false;
    return true;
}

/* Holds: lock, lets go of it meanwhile. */
static void wait_until_quiet(struct weir_consumer *consumer, const rd_kafka_topic_partition_list_t *list,
                             int wait_ms)
{
    int64_t until_ns = weir_deadline_in_ms(wait_ms);
    bool in_time = true;
    while (!is_quiet(consumer, list) && !consumer->stopping && in_time)
        in_time = condition_wait(&consumer->idle, &consumer->lock, until_ns);
}

/* Holds: lock. What is not in a handler is dropped; the next owner gets it. */
static void drop_items(struct partition *partition)
{
    for (int i = 0; i < CONSUMER_LANES; i++) {
        struct lane *lane = &partition->lanes[i];
        struct item *item = lane->first;
        struct item *running = lane->state == LANE_BUSY ? item : NULL;
        if (running) {
            item = running->next;
            running->next = NULL;
            lane->last = &running->next;
        } else {
            lane->first = NULL;
            lane->last = &lane->first;
            lane->state = LANE_IDLE;
        }
        while (item) {
            struct item *next = item->next;
            item_list_remove(item);
            discard(partition, item);
            item = next;
        }
    }
    while (partition->ahead) {
        struct item *item = partition->ahead;
        partition->ahead = item->next;
        discard(partition, item);
    }
}

/* Holds: lock. Takes the first partition of the list out; NULL when there is none left. */
static struct partition *remove_first(struct weir_consumer *consumer,
                                      const rd_kafka_topic_partition_list_t *list)
{
    for (struct partition **link = &consumer->partitions; *link; link = &(*link)->next) {
        struct partition *partition = *link;
        if (!is_in(partition, list))
            continue;
        *link = partition->next;
        partition->next = NULL;
        consumer->partition_count--;
        partition->gone = true;
        return partition;
    }
    return NULL;
}

void partitions_revoke(struct weir_consumer *consumer, const rd_kafka_topic_partition_list_t *list, bool lost,
                       int wait_ms)
{
    if (lost) /* somebody else has them by now */
        transaction_left(consumer);
    pthread_mutex_lock(&consumer->lock);
    for (struct partition *partition = consumer->partitions; partition; partition = partition->next)
        if (is_in(partition, list))
            partition->closing = true;
    filter_ready(consumer);
    if (!lost)
        wait_until_quiet(consumer, list, wait_ms);
    pthread_mutex_unlock(&consumer->lock);

    if (!lost && wait_ms > 0)
        commit_now(consumer, list, &consumer->poller_stops, weir_deadline_in_ms(REVOKE_COMMIT_MS));
    transaction_left(consumer);

    pthread_mutex_lock(&consumer->lock);
    struct partition *partition;
    while ((partition = remove_first(consumer, list)) != NULL) {
        while (partition->fetching)
            pthread_cond_wait(&consumer->idle, &consumer->lock);
        pthread_mutex_unlock(&consumer->lock);
        rd_kafka_queue_cb_event_enable(partition->queue, NULL, NULL);
        rd_kafka_queue_destroy(partition->queue);
        pthread_mutex_lock(&consumer->lock);
        partition->queue = NULL;
        drop_items(partition);
        kept_drop(partition);
        partition_release(partition);
    }
    pthread_mutex_unlock(&consumer->lock);
}
