/* librdkafka by itself, with the settings that weir gives it.
 *
 *     floor-kafka consume BROKERS COUNT    a queue per partition, one thread, nothing done with a message;
 * commits every 500 ms; prints "done" after each COUNT messages floor-kafka produce BROKERS LINGER   for each
 * line with a number from stdin: sends so many messages, with the headers that weir gives them; prints "done"
 * when all are acknowledged */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

#define TOPIC "user.note"
#define PARTITIONS_MAX 64
#define COMMIT_EVERY_MS 500

static void die(const char *what)
{
    fprintf(stderr, "floor-kafka: %s\n", what);
    exit(1);
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char text[512];
    if (rd_kafka_conf_set(conf, key, value, text, sizeof text) != RD_KAFKA_CONF_OK)
        die(text);
}

static rd_kafka_conf_t *new_conf(const char *brokers)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", brokers);
    set(conf, "socket.nagle.disable", "true");
    return conf;
}

static rd_kafka_t *new_client(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char text[512];
    rd_kafka_t *client = rd_kafka_new(type, conf, text, sizeof text);
    if (!client)
        die(text);
    return client;
}

static void say(const char *word)
{
    puts(word);
    fflush(stdout);
}

/* ---- Consuming ---- */

static rd_kafka_queue_t *queues[PARTITIONS_MAX];
static int64_t next_offsets[PARTITIONS_MAX];
static int queue_count, bell;

static void on_rebalance(rd_kafka_t *client, rd_kafka_resp_err_t kind, rd_kafka_topic_partition_list_t *list,
                         void *opaque)
{
    (void)opaque;
    if (kind != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        rd_kafka_assign(client, NULL);
        return;
    }
    for (int i = 0; i < list->cnt && i < PARTITIONS_MAX; i++) {
        queues[i] = rd_kafka_queue_get_partition(client, list->elems[i].topic, list->elems[i].partition);
        rd_kafka_queue_forward(queues[i], NULL);
        rd_kafka_queue_io_event_enable(queues[i], bell, &(uint64_t){1}, sizeof(uint64_t));
    }
    queue_count = list->cnt;
    rd_kafka_assign(client, list);
}

static void commit(rd_kafka_t *client)
{
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(PARTITIONS_MAX);
    for (int i = 0; i < PARTITIONS_MAX; i++)
        if (next_offsets[i] > 0)
            rd_kafka_topic_partition_list_add(offsets, TOPIC, i)->offset = next_offsets[i];
    if (offsets->cnt > 0)
        rd_kafka_commit(client, offsets, 1);
    rd_kafka_topic_partition_list_destroy(offsets);
}

/* What there is, at once. */
static int64_t take_all(rd_kafka_queue_t *queue)
{
    int64_t taken = 0;
    rd_kafka_message_t *message;
    while ((message = rd_kafka_consume_queue(queue, 0))) {
        if (!message->err) {
            next_offsets[message->partition % PARTITIONS_MAX] = message->offset + 1;
            taken++;
        }
        rd_kafka_message_destroy(message);
    }
    return taken;
}

static void consume(const char *brokers, int64_t count)
{
    rd_kafka_conf_t *conf = new_conf(brokers);
    set(conf, "group.id", "floor");
    set(conf, "enable.auto.commit", "false");
    set(conf, "enable.auto.offset.store", "false");
    set(conf, "auto.offset.reset", "earliest");
    set(conf, "session.timeout.ms", "30000");
    set(conf, "fetch.wait.max.ms", "20");
    set(conf, "queued.max.messages.kbytes", "16384");
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_t *client = new_client(RD_KAFKA_CONSUMER, conf);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, TOPIC, RD_KAFKA_PARTITION_UA);
    rd_kafka_poll_set_consumer(client);
    rd_kafka_subscribe(client, topics);
    bell = eventfd(0, EFD_NONBLOCK);
    rd_kafka_queue_t *events = rd_kafka_queue_get_consumer(client);
    rd_kafka_queue_io_event_enable(events, bell, &(uint64_t){1}, sizeof(uint64_t));

    struct timespec now;
    int64_t total = 0, said = 0, commit_due_ms = 0;
    for (;;) {
        uint64_t rings;
        poll(&(struct pollfd){.fd = bell, .events = POLLIN}, 1, 50);
        if (read(bell, &rings, sizeof rings) < 0)
            rings = 0;
        rd_kafka_message_t *event = rd_kafka_consumer_poll(client, 0);
        if (event)
            rd_kafka_message_destroy(event);
        for (int i = 0; i < queue_count; i++)
            total += take_all(queues[i]);
        for (; total - said >= count; said += count)
            say("done");
        clock_gettime(CLOCK_MONOTONIC, &now);
        int64_t now_ms = now.tv_sec * 1000 + now.tv_nsec / 1000000;
        if (now_ms >= commit_due_ms) {
            commit(client);
            commit_due_ms = now_ms + COMMIT_EVERY_MS;
        }
    }
}

/* ---- Producing ---- */

static int64_t acknowledged;

static void on_report(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client;
    (void)opaque;
    if (message->err)
        die(rd_kafka_err2str(message->err));
    acknowledged++;
}

static void add(rd_kafka_headers_t *headers, const char *name, const char *value)
{
    rd_kafka_header_add(headers, name, -1, value, -1);
}

static void send_one(rd_kafka_t *client, int64_t number)
{
    /* The message Note{key, text, number} of bench.proto. */
    static const char text[] = "\x12\x46"
                               "a text of some seventy bytes, as one finds it in messages of services."
                               "\x18\xb9\x60";
    char value[128], key[32];
    int key_size = snprintf(key, sizeof key, "note-%012lld", (long long)(number % 1000000));
    value[0] = 0x0a;
    value[1] = (char)key_size;
    memcpy(value + 2, key, (size_t)key_size);
    memcpy(value + 2 + key_size, text, sizeof text - 1);
    rd_kafka_headers_t *headers = rd_kafka_headers_new(12);
    add(headers, "ce_specversion", "1.0");
    add(headers, "ce_id", "0192f0c5-7b1a-7000-8000-000000000001");
    add(headers, "ce_type", "weir.bench.v1.Note");
    add(headers, "ce_source", "bench");
    add(headers, "ce_time", "2026-01-31T12:00:00.123Z");
    add(headers, "content-type", "application/protobuf");
    rd_kafka_resp_err_t error = rd_kafka_producev(
        client, RD_KAFKA_V_TOPIC(TOPIC), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY(key, (size_t)key_size), RD_KAFKA_V_VALUE(value, (size_t)key_size + 1 + sizeof text),
        RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
    if (error)
        die(rd_kafka_err2str(error));
}

static void produce(const char *brokers, const char *linger)
{
    rd_kafka_conf_t *conf = new_conf(brokers);
    set(conf, "enable.idempotence", "true");
    set(conf, "partitioner", "murmur2_random");
    set(conf, "linger.ms", linger);
    set(conf, "queue.buffering.max.messages", "10000000");
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    rd_kafka_t *client = new_client(RD_KAFKA_PRODUCER, conf);
    say("ready");
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        int64_t count = strtoll(line, NULL, 10);
        acknowledged = 0;
        for (int64_t i = 0; i < count; i++) {
            send_one(client, i);
            if (i % 64 == 0)
                rd_kafka_poll(client, 0);
        }
        while (acknowledged < count)
            rd_kafka_poll(client, 100);
        say("done");
    }
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "consume") == 0)
        consume(argv[2], strtoll(argv[3], NULL, 10));
    else if (argc == 4 && strcmp(argv[1], "produce") == 0)
        produce(argv[2], argv[3]);
    else
        die("consume BROKERS COUNT | produce BROKERS LINGER");
    return 0;
}
