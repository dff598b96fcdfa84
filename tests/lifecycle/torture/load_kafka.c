/* Records for the consumer, and what stands at the broker afterwards. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

#include "load.h"

#define FIRST 3000 /* at once; then, once the clients have begun, */
#define BURST 100  /* in every */
#define BURST_US 2000
#define PATIENCE_MS 15000

static struct {
    pthread_t thread;
    bool runs;
    atomic_bool goes_on, ends;
    rd_kafka_t *producer;
    struct load load; /* the thread's own: its randomness has no lock */
} feed;

static void on_report(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client, (void)opaque;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        account((uint64_t)(uintptr_t)message->_private, BECAME_RECORD, message->offset, message->partition);
}

static rd_kafka_t *new_client(const struct load *load, rd_kafka_type_t type)
{
    static const char *const settings[][2] = {{"socket.nagle.disable", "true"}, {"log_level", "0"}};
    static const char *const producers[][2] = {{"linger.ms", "0"}, {"enable.idempotence", "true"}};
    static const char *const consumers[][2] = {
        {"group.id", "torture"}, {"enable.partition.eof", "true"}, {"fetch.wait.max.ms", "10"}};
    char text[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", load->brokers, text, sizeof text);
    for (int i = 0; i < 2; i++)
        rd_kafka_conf_set(conf, settings[i][0], settings[i][1], text, sizeof text);
    for (int i = 0; type == RD_KAFKA_PRODUCER && i < 2; i++)
        rd_kafka_conf_set(conf, producers[i][0], producers[i][1], text, sizeof text);
    for (int i = 0; type == RD_KAFKA_CONSUMER && i < 3; i++)
        rd_kafka_conf_set(conf, consumers[i][0], consumers[i][1], text, sizeof text);
    if (type == RD_KAFKA_PRODUCER)
        rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    return rd_kafka_new(type, conf, text, sizeof text);
}

/* ---- Feeding ---- */

static size_t pack_varint(uint8_t *to, uint8_t tag, uint64_t value)
{
    size_t size = 0;
    to[size++] = tag;
    for (; value > 127; value >>= 7)
        to[size++] = (uint8_t)(value | 0x80);
    to[size++] = (uint8_t)value;
    return size;
}

static void feed_one(uint32_t count)
{
    uint8_t value[64];
    char key[16];
    uint64_t id = NOTE_ID(OF_RECORD, 0, count);
    struct wish wish = load_wish(&feed.load);
    size_t size = pack_varint(value, 0x10, id);
    if (wish.sleep_ms)
        size += pack_varint(value + size, 0x18, (uint64_t)wish.sleep_ms);
    if (wish.deaf)
        size += pack_varint(value + size, 0x20, 1);
    if (wish.store)
        size += pack_varint(value + size, 0x28, (uint64_t)wish.store);
    int key_size = snprintf(key, sizeof key, "k%u", (unsigned)load_random(&feed.load, 64));
    rd_kafka_producev(feed.producer, RD_KAFKA_V_TOPIC("user.work"),
                      RD_KAFKA_V_PARTITION((int32_t)(count % (uint32_t)feed.load.partitions)),
                      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key, (size_t)key_size),
                      RD_KAFKA_V_VALUE(value, size), RD_KAFKA_V_OPAQUE((void *)(uintptr_t)id),
                      RD_KAFKA_V_END);
}

static void *feed_on(void *arg)
{
    (void)arg;
    for (uint32_t count = 0; !atomic_load(&feed.ends); rd_kafka_poll(feed.producer, 0)) {
        bool more = count < FIRST || (atomic_load(&feed.goes_on) && count < (uint32_t)feed.load.feed);
        if (more)
            feed_one(++count);
        if (!more || (count > FIRST && count % BURST == 0))
            usleep(BURST_US);
    }
    return NULL;
}

void kafka_begin(struct load *load)
{
    if (load->feed == 0)
        return;
    feed.load = *load;
    feed.producer = new_client(load, RD_KAFKA_PRODUCER);
    feed.runs = feed.producer && pthread_create(&feed.thread, NULL, feed_on, NULL) == 0;
    if (!feed.runs)
        load_die("torture-load: feeding");
}

void kafka_go_on(void)
{
    atomic_store(&feed.goes_on, true);
}

/* ---- What stands at the broker ---- */

static void tell_committed(const struct load *load, rd_kafka_t *client)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (int32_t i = 0; i < load->partitions; i++)
        rd_kafka_topic_partition_list_add(list, "user.work", i);
    if (rd_kafka_committed(client, list, PATIENCE_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fprintf(stderr, "torture-load: the broker does not say what is committed\n");
        exit(1);
    }
    for (int i = 0; i < list->cnt; i++)
        account(0, BECAME_COMMITTED, list->elems[i].offset < 0 ? 0 : list->elems[i].offset,
                list->elems[i].partition);
    rd_kafka_topic_partition_list_destroy(list);
}

/* The id in a Done: behind its key, field 2. */
static uint64_t id_of(const uint8_t *data, size_t size)
{
    size_t at = size >= 2 && data[0] == 0x0a ? (size_t)2 + data[1] : 0;
    uint64_t id = 0;
    if (at < size && data[at] == 0x10)
        for (int shift = 0; ++at < size; shift += 7) {
            id |= (uint64_t)(data[at] & 0x7f) << shift;
            if (!(data[at] & 0x80))
                break;
        }
    return id;
}

static void tell_events(const struct load *load, rd_kafka_t *client)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (int32_t i = 0; i < load->partitions; i++)
        rd_kafka_topic_partition_list_add(list, "user.done", i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(client, list);
    rd_kafka_topic_partition_list_destroy(list);
    for (long left = load->partitions; left > 0;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client, PATIENCE_MS);
        if (!message) {
            fprintf(stderr, "torture-load: the broker does not say which events it has\n");
            exit(1);
        }
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            left--;
        else if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            account(id_of(message->payload, message->len), BECAME_EVENT, message->offset, message->partition);
        rd_kafka_message_destroy(message);
    }
}

void kafka_end(struct load *load, bool lost)
{
    if (feed.runs) {
        atomic_store(&feed.ends, true);
        pthread_join(feed.thread, NULL);
        if (!lost)
            rd_kafka_flush(feed.producer, PATIENCE_MS);
        rd_kafka_purge(feed.producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(feed.producer, 100);
        rd_kafka_destroy(feed.producer);
    }
    if (!load->brokers || lost)
        return;
    rd_kafka_t *client = new_client(load, RD_KAFKA_CONSUMER);
    if (!client)
        load_die("torture-load: the broker");
    if (load->feed > 0)
        tell_committed(load, client);
    tell_events(load, client);
    rd_kafka_destroy(client);
}
