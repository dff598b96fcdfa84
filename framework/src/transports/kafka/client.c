#include "transports/kafka/client.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "core/condition.h"
#include "core/memory.h"

/* Runs on: any thread of librdkafka's, also while the client is destroyed: uses nothing of ours. */
static void log_line(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    enum weir_log_level ours = level <= 2 ? WEIR_LOG_ERROR : level <= 4 ? WEIR_LOG_WARN : WEIR_LOG_DEBUG;
    weir_log_at(ours, "kafka client", weir_field_text("client", client ? rd_kafka_name(client) : NULL),
                weir_field_text("facility", facility), weir_field_text("text", text));
}

enum weir_status client_conf_set(rd_kafka_conf_t *conf, const struct client_setting *settings,
                                 struct weir_error *err)
{
    char number[32], text[512];
    for (; settings->key; settings++) {
        const char *value = settings->value;
        if (!value) {
            snprintf(number, sizeof number, "%lld", (long long)settings->number);
            value = number;
        }
        if (rd_kafka_conf_set(conf, settings->key, value, text, sizeof text) != RD_KAFKA_CONF_OK)
            return weir_fail(err, WEIR_INVALID_ARGUMENT, "librdkafka refuses %s=%s: %s", settings->key, value,
                             text);
    }
    return WEIR_OK;
}

rd_kafka_conf_t *client_conf_new(const char *client_id, const char *brokers, void *opaque,
                                 struct weir_error *err)
{
    const struct client_setting settings[] = {
        {"bootstrap.servers", brokers ? brokers : "", 0},
        {"client.id", client_id && *client_id ? client_id : "weir", 0},
        {"socket.nagle.disable", "true", 0},
        {"socket.keepalive.enable", "true", 0},
        {"reconnect.backoff.ms", NULL, 50},
        {"reconnect.backoff.max.ms", NULL, 1000},
        {"log.connection.close", "false", 0},
        {NULL, NULL, 0},
    };
    if (!brokers || !*brokers) {
        weir_fail(err, WEIR_INVALID_ARGUMENT, "no brokers: set the key `brokers`, as in 127.0.0.1:9092");
        return NULL;
    }
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_opaque(conf, opaque);
    rd_kafka_conf_set_log_cb(conf, log_line);
    /* Of 2.5 and later: to end the pushing of metrics (KIP-714) costs each stop up to a second
     * (librdkafka's pull request 4382), also where no broker asked for them. */
    if (rd_kafka_version() >= 0x02050000)
        rd_kafka_conf_set(conf, "enable.metrics.push", "false", NULL, 0);
    if (client_conf_set(conf, settings, err) == WEIR_OK)
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

rd_kafka_t *client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct weir_error *err)
{
    char text[512];
    rd_kafka_t *client = rd_kafka_new(type, conf, text, sizeof text);
    if (!client) {
        rd_kafka_conf_destroy(conf);
        weir_fail(err, WEIR_UNAVAILABLE, "cannot make a Kafka client: %s", text);
    }
    return client;
}

/* ---- the end of a client ---- */

/* Shared by the thread that destroys and the one that waits for it; the last one frees it. */
struct reaper {
    rd_kafka_t *client;
    int flags;
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool done, left; /* the client is gone; nobody waits any more */
};

static void reaper_free(struct reaper *reaper)
{
    pthread_cond_destroy(&reaper->over);
    pthread_mutex_destroy(&reaper->lock);
    free(reaper);
}

static void *reap(void *arg)
{
    struct reaper *reaper = arg;
    rd_kafka_destroy_flags(reaper->client, reaper->flags);
    pthread_mutex_lock(&reaper->lock);
    reaper->done = true;
    bool last = reaper->left;
    pthread_cond_signal(&reaper->over);
    pthread_mutex_unlock(&reaper->lock);
    if (last)
        reaper_free(reaper);
    return NULL;
}

int64_t client_share(int64_t deadline_ns, int tenths)
{
    int64_t now = weir_now_ns();
    if (deadline_ns == WEIR_NEVER)
        return weir_deadline_in_ms(10000);
    return deadline_ns > now ? now + (deadline_ns - now) / 10 * tenths : now;
}

bool client_destroy(rd_kafka_t *client, int flags, int64_t deadline_ns)
{
    struct reaper *reaper = NEW(struct reaper);
    pthread_t thread;
    reaper->client = client;
    reaper->flags = flags;
    pthread_mutex_init(&reaper->lock, NULL);
    condition_init(&reaper->over);
    if (pthread_create(&thread, NULL, reap, reaper) != 0) {
        reaper_free(reaper);
        return false; /* it leaks; the process is at its end or out of threads */
    }
    pthread_detach(thread);

    bool in_time = true;
    pthread_mutex_lock(&reaper->lock);
    while (!reaper->done && in_time)
        in_time = condition_wait(&reaper->over, &reaper->lock, deadline_ns);
    bool done = reaper->done;
    reaper->left = true;
    pthread_mutex_unlock(&reaper->lock);
    if (done)
        reaper_free(reaper);
    return done;
}

enum weir_status client_status(rd_kafka_resp_err_t error)
{
    switch (error) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return WEIR_OK;
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        return WEIR_RESOURCE_EXHAUSTED;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
        return WEIR_INVALID_ARGUMENT;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        return WEIR_PERMISSION_DENIED;
    default:
        return WEIR_UNAVAILABLE;
    }
}

int client_left_ms(int64_t deadline_ns, int most)
{
    int64_t left = (deadline_ns - weir_now_ns()) / WEIR_NS_PER_MS;
    return left <= 0 ? 0 : left < most ? (int)left : most;
}
