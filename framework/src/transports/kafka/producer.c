#include "transports/kafka/producer.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include <weir/clock.h>
#include <weir/config.h>
#include <weir/log.h>

#include "core/memory.h"
#include "lifecycle/component.h"
#include "transports/kafka/client.h"
#include "transports/kafka/cluster.h"
#include "transports/kafka/numbers.h"
#include "transports/kafka/record.h"

#define FINISH_MIN_MS 2000
#define CUT_MIN_MS 100

struct weir_producer {
    struct weir_component component; /* first: a handle */
    struct weir_producer_options options;

    pthread_rwlock_t lock; /* client and open: senders share it */
    rd_kafka_t *client;
    bool open;
    producer_sink_fn *sink_fn; /* NULL but in the test kit */
    void *sink;

    pthread_t poller;
    rd_kafka_queue_t *events;
    atomic_bool poller_stops;
    struct cluster *cluster;

    _Atomic int64_t sent, delivered, failed;
    struct numbers numbers;
};

/* One message under way: who is told of its end. */
struct delivery {
    weir_delivered_fn *told;
    void *state;
};

/* ---- sending ---- */

static const char *report_text(rd_kafka_resp_err_t error)
{
    switch (error) {
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
        return "not sent: the producer stopped";
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
        return "sent, but the producer stopped before the broker answered: it may be there";
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
        return "not acknowledged in its time: it may be there";
    default:
        return rd_kafka_err2str(error);
    }
}

/* Runs on: poll thread, or the one that finishes. */
static void on_report(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client;
    struct weir_producer *producer = opaque;
    struct delivery *delivery = message->_private;
    enum weir_status status = client_status(message->err);
    const char *text = status == WEIR_OK ? "" : report_text(message->err);

    atomic_fetch_add(status == WEIR_OK ? &producer->delivered : &producer->failed, 1);
    if (delivery->told)
        delivery->told(delivery->state, status, message->partition, message->offset, text);
    else if (status != WEIR_OK)
        weir_log_warn("posted message lost", weir_field_text("topic", rd_kafka_topic_name(message->rkt)),
                      weir_field_text("error", text));
    free(delivery);
}

/* Holds: lock, shared. */
static enum weir_status produce(struct weir_producer *producer, const struct weir_record *record,
                                rd_kafka_headers_t *headers, struct delivery *delivery,
                                struct weir_error *err)
{
    if (!producer->open)
        return weir_fail(err, WEIR_UNAVAILABLE, "topic %s: the producer is stopping", record->topic);
    /* A NULL value would be a tombstone; a message whose fields all have their defaults is empty, and none.
     */
    const void *value = record->value.size ? (const void *)record->value.data : "";
    const void *key = record->key.size ? record->key.data : NULL;
    rd_kafka_vu_t arguments[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = record->topic},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)key, record->key.size}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)value, record->value.size}},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = delivery},
    };
    atomic_fetch_add(&producer->sent, 1); /* before the report can come */
    rd_kafka_error_t *error =
        rd_kafka_produceva(producer->client, arguments, sizeof arguments / sizeof *arguments);
    if (!error)
        return WEIR_OK;
    atomic_fetch_sub(&producer->sent, 1);
    enum weir_status status = client_status(rd_kafka_error_code(error));
    weir_fail(err, status, "topic %s: %s", record->topic, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return status;
}

enum weir_status producer_send_headers(struct weir_producer *producer, const struct weir_record *record,
                                       rd_kafka_headers_t *headers, weir_delivered_fn *delivered, void *state,
                                       struct weir_error *err)
{
    struct delivery *delivery = NEW(struct delivery);
    delivery->told = delivered;
    delivery->state = state;

    pthread_rwlock_rdlock(&producer->lock);
    enum weir_status status = produce(producer, record, headers, delivery, err);
    pthread_rwlock_unlock(&producer->lock);

    if (status != WEIR_OK) {
        rd_kafka_headers_destroy(headers);
        free(delivery);
    }
    return status;
}

enum weir_status weir_producer_send(struct weir_producer *producer, const struct weir_record *record,
                                    weir_delivered_fn *delivered, void *state, struct weir_error *err)
{
    if (!record->topic || !record->message_id)
        return weir_fail(err, WEIR_INTERNAL, "a record needs a topic and a message id");
    if (producer->sink_fn)
        return producer->sink_fn(producer->sink, producer, record, delivered, state, err);
    return producer_send_headers(producer, record, record_headers(record, producer->component.app), delivered,
                                 state, err);
}

void producer_set_sink(struct weir_producer *producer, producer_sink_fn *fn, void *sink)
{
    producer->sink_fn = fn;
    producer->sink = sink;
}

struct producer_counts producer_counts(const struct weir_producer *producer)
{
    return (struct producer_counts){
        .sent = atomic_load(&producer->sent),
        .delivered = atomic_load(&producer->delivered),
        .failed = atomic_load(&producer->failed),
    };
}

/* ---- start ---- */

/* Runs on: poll thread. */
static void on_error(rd_kafka_t *client, int error, const char *reason, void *opaque)
{
    struct weir_producer *producer = opaque;
    if (error != RD_KAFKA_RESP_ERR__FATAL) {
        weir_log_debug("producer", weir_field_text("error", reason));
        return;
    }
    char text[512];
    struct weir_error err = {0};
    rd_kafka_fatal_error(client, text, sizeof text);
    weir_fail(&err, WEIR_UNAVAILABLE, "the Kafka client cannot go on: %s", text);
    weir_component_failed(producer, &err);
}

static void *poll_events(void *arg)
{
    struct weir_producer *producer = arg;
    while (!atomic_load(&producer->poller_stops))
        rd_kafka_poll(producer->client, 1000);
    return NULL;
}

static rd_kafka_conf_t *new_conf(struct weir_producer *producer, struct weir_error *err)
{
    const struct weir_producer_options *options = &producer->options;
    const struct client_setting settings[] = {
        {"enable.idempotence", options->without_idempotence ? "false" : "true", 0},
        {"acks", "all", 0},
        {"partitioner", "murmur2_random",
         0}, /* as Java clients choose, so that a key has one partition for all */
        {"linger.ms", NULL, options->linger_ms},
        {"message.timeout.ms", NULL, options->delivery_timeout_ms},
        {"queue.buffering.max.kbytes", NULL, options->queue_bytes_max / 1024},
        {"queue.buffering.max.messages", NULL, 10000000},
        {NULL, NULL, 0},
    };
    rd_kafka_conf_t *conf = client_conf_new(producer->component.name, options->brokers, producer, err);
    if (!conf)
        return NULL;
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    rd_kafka_conf_set_error_cb(conf, on_error);
    if (client_conf_set(conf, settings, err) == WEIR_OK)
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

static enum weir_status start(void *self, struct weir_context *context, struct weir_error *err)
{
    (void)context;
    struct weir_producer *producer = self;
    rd_kafka_conf_t *conf = new_conf(producer, err);
    rd_kafka_t *client = conf ? client_new(RD_KAFKA_PRODUCER, conf, err) : NULL;
    if (!client)
        return err ? err->status : WEIR_UNAVAILABLE;

    pthread_rwlock_wrlock(&producer->lock);
    producer->client = client;
    producer->open = true;
    pthread_rwlock_unlock(&producer->lock);

    producer->events = rd_kafka_queue_get_main(client);
    atomic_store(&producer->poller_stops, false);
    if (pthread_create(&producer->poller, NULL, poll_events, producer) != 0)
        abort(); /* without threads nothing of a process works */
    cluster_start(producer->cluster, client);
    if (producer->component.name) /* not that of the dead letters: its consumer counts them */
        numbers_of_producer(&producer->numbers, producer, producer->component.name);
    return WEIR_OK;
}

/* ---- stop ---- */

static enum weir_status quiesce(void *self, struct weir_error *err)
{
    (void)err;
    struct weir_producer *producer = self;
    pthread_rwlock_wrlock(&producer->lock);
    producer->open = false;
    pthread_rwlock_unlock(&producer->lock);
    return WEIR_OK;
}

static void stop_poller(struct weir_producer *producer)
{
    atomic_store(&producer->poller_stops, true);
    rd_kafka_queue_yield(producer->events);
    pthread_join(producer->poller, NULL);
    rd_kafka_queue_destroy(producer->events);
    producer->events = NULL;
}

/* The limit may move earlier meanwhile, so it is asked for again and again. */
static void flush(rd_kafka_t *client, struct weir_context *context)
{
    int64_t begun = weir_now_ns();
    for (;;) {
        int64_t deadline = weir_context_deadline_ns(context), now = weir_now_ns();
        int64_t until = deadline == WEIR_NEVER ? WEIR_NEVER : begun + (deadline - begun) / 10 * 8;
        if (now >= until || weir_context_status(context) != WEIR_OK)
            return;
        if (rd_kafka_flush(client, client_left_ms(until, 20)) == RD_KAFKA_RESP_ERR_NO_ERROR)
            return;
    }
}

/* Without the purge what is left would vanish without a report when the client is destroyed. */
static void purge(rd_kafka_t *client, struct weir_context *context)
{
    if (rd_kafka_outq_len(client) == 0)
        return;
    rd_kafka_purge(client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    int left = client_left_ms(weir_context_deadline_ns(context), 1000);
    rd_kafka_flush(client, left / 2 > 20 ? left / 2 : 20);
}

static enum weir_status finish(void *self, struct weir_context *context, struct weir_work *work,
                               struct weir_error *err)
{
    struct weir_producer *producer = self;
    int64_t failed_before = atomic_load(&producer->failed);
    (void)err;

    cluster_begin_stop(producer->cluster);
    stop_poller(producer);
    flush(producer->client, context);
    purge(producer->client, context);
    int64_t silent = rd_kafka_outq_len(producer->client);
    int64_t undelivered = atomic_load(&producer->failed) - failed_before + silent;
    work->undelivered += undelivered;
    if (undelivered > 0)
        weir_log_warn("messages without an acknowledgement at the producer's stop; some may be on the broker",
                      weir_field_text("producer", producer->component.name),
                      weir_field_int("undelivered", undelivered));

    cluster_stop(producer->cluster);
    rd_kafka_t *client = producer->client;
    pthread_rwlock_wrlock(&producer->lock);
    producer->client = NULL;
    pthread_rwlock_unlock(&producer->lock);
    /* Not to the end: a finish that returns at its limit counts as given up, with all that it has counted. */
    if (!client_destroy(client, 0, client_share(weir_context_deadline_ns(context), 8)))
        weir_log_warn("the Kafka client was left behind: it did not end in its time",
                      weir_field_text("producer", producer->component.name));
    return WEIR_OK;
}

static void destroy(void *self)
{
    struct weir_producer *producer = self;
    numbers_remove(&producer->numbers);
    cluster_destroy(producer->cluster);
    pthread_rwlock_destroy(&producer->lock);
    free((char *)producer->options.brokers);
    free(producer);
}

const struct weir_component_ops producer_ops = {
    .start = start, .quiesce = quiesce, .finish = finish, .destroy = destroy};

/* ---- making one ---- */

struct weir_producer *producer_new(const struct weir_producer_options *options)
{
    struct weir_producer *producer = NEW(struct weir_producer);
    producer->options = *options;
    producer->options.brokers = memory_strdup(options->brokers);
    if (producer->options.queue_bytes_max == 0)
        producer->options.queue_bytes_max = INT64_C(64) << 20;
    if (producer->options.delivery_timeout_ms == 0)
        producer->options.delivery_timeout_ms = 30000;
    producer->cluster = cluster_new();
    pthread_rwlock_init(&producer->lock, NULL);
    return producer;
}

static const struct weir_config_key keys[] = {
    {"brokers", WEIR_CONFIG_TEXT, offsetof(struct weir_producer_options, brokers), NULL,
     "brokers to begin with: HOST:PORT,...", .required = true},
    {"linger_ms", WEIR_CONFIG_INT, offsetof(struct weir_producer_options, linger_ms), "0",
     "ms to wait for more messages of a batch; 5 for bulk", 0, 900000, .required = false},
    {"queue_bytes_max", WEIR_CONFIG_INT, offsetof(struct weir_producer_options, queue_bytes_max), "67108864",
     "bytes that may wait to be sent; more is refused", INT64_C(1) << 20, INT64_C(1) << 40,
     .required = false},
    {"delivery_timeout_ms", WEIR_CONFIG_INT, offsetof(struct weir_producer_options, delivery_timeout_ms),
     "30000", "ms until a message that the broker has not acknowledged is given up", 1000, 3600000,
     .required = false},
    {"without_idempotence", WEIR_CONFIG_BOOL, offsetof(struct weir_producer_options, without_idempotence),
     "false",
     "a message whose acknowledgement was lost may be there twice, with the same id: for an outbox and "
     "inboxes",
     .required = false},
    {0},
};

struct weir_producer *weir_producer_add(struct weir_app *app, const char *name,
                                        const struct weir_producer_options *options)
{
    struct weir_producer_options filled = options ? *options : (struct weir_producer_options){0};
    struct weir_component_options lifetime = {
        .finish_min_ms = FINISH_MIN_MS,
        .cut_min_ms = CUT_MIN_MS,
        .restart = {.most = 3},
    };
    for (int i = 0; i < WEIR_NEEDS_MAX; i++)
        lifetime.needs[i] = filled.needs[i];
    weir_config_section(app, name, keys, &filled);
    struct weir_producer *producer = producer_new(&filled);
    component_add(app, &producer->component, name, &producer_ops, producer, &lifetime);
    component_is(&producer->component, COMPONENT_PRODUCER);
    return producer;
}

void producer_on_new_cluster(struct weir_producer *producer, producer_cluster_fn *fn, void *arg)
{
    cluster_listen(producer->cluster, fn, arg);
}

void producer_off_new_cluster(struct weir_producer *producer, void *arg)
{
    cluster_unlisten(producer->cluster, arg);
}

const char *producer_cluster(struct weir_producer *producer, char *ret_id, size_t size)
{
    return cluster_id(producer->cluster, ret_id, size);
}
