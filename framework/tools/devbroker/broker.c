#include "broker.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "core/memory.h"
#include "core/random.h"
#include "listen.h"

struct broker {
    rd_kafka_t *host; /* the mock cluster runs inside a client */
    rd_kafka_mock_cluster_t *cluster;
    char incarnation[64];
};

static void log_line(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    if (level <= 4)
        fprintf(stderr, "weir-devbroker: %s: %s\n", facility, text);
}

/* The mock cluster's id is made of its address, which may be the same at every start (without address
 * randomisation, or under a sanitizer). It is a text in the cluster's own memory, and we know what it says:
 * where it is found, it is given a random end. Clients see it in every metadata answer. */
static void set_incarnation(struct broker *broker)
{
    char *expected = broker->incarnation;
    snprintf(expected, sizeof broker->incarnation, "mockCluster%lx",
             (unsigned long)((intptr_t)broker->cluster >> 2));
    size_t length = strlen(expected);
    char *memory = memmem(broker->cluster, malloc_usable_size(broker->cluster), expected, length + 1);
    if (!memory)
        return;
    uint8_t bytes[sizeof broker->incarnation / 2];
    char digits[sizeof broker->incarnation + 1];
    random_bytes(bytes, sizeof bytes);
    hex_of_bytes(bytes, sizeof bytes, digits);
    size_t prefix = strlen("mockCluster");
    snprintf(expected + prefix, length + 1 - prefix, "%.*s", (int)(length - prefix), digits);
    memcpy(memory, expected, length + 1);
}

static rd_kafka_t *new_host(struct weir_error *err)
{
    char text[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, log_line);
    rd_kafka_conf_set(conf, "client.id", "weir-devbroker", NULL, 0);
    rd_kafka_t *host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!host) {
        rd_kafka_conf_destroy(conf);
        weir_fail(err, WEIR_UNAVAILABLE, "cannot start librdkafka: %s", text);
    }
    return host;
}

struct broker *broker_new(const struct broker_options *options, struct weir_error *err)
{
    /* librdkafka 2.0 crashes when its broker cannot listen, so we look first. */
    if (listen_probe(&options->listen, err) != WEIR_OK)
        return NULL;
    rd_kafka_t *host = new_host(err);
    if (!host)
        return NULL;

    struct broker *broker = NEW(struct broker);
    broker->host = host;
    listen_capture(&options->listen, &options->advertise);
    broker->cluster = rd_kafka_mock_cluster_new(host, 1);
    listen_release();
    if (!broker->cluster) {
        weir_fail(err, WEIR_UNAVAILABLE, "cannot start the mock cluster");
        broker_destroy(broker);
        return NULL;
    }
    set_incarnation(broker);
#if RD_KAFKA_VERSION >= 0x020600ff
    rd_kafka_mock_group_initial_rebalance_delay_ms(broker->cluster, 100);
#endif
    return broker;
}

void broker_destroy(struct broker *broker)
{
    if (!broker)
        return;
    if (broker->cluster)
        rd_kafka_mock_cluster_destroy(broker->cluster);
    rd_kafka_destroy(broker->host);
    free(broker);
}

enum weir_status broker_create_topic(struct broker *broker, const char *name, int partitions,
                                     struct weir_error *err)
{
    rd_kafka_resp_err_t error = rd_kafka_mock_topic_create(broker->cluster, name, partitions, 1);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR || error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return WEIR_OK;
    return weir_fail(err, WEIR_INVALID_ARGUMENT, "cannot create topic %s: %s", name, rd_kafka_err2str(error));
}

const char *broker_address(const struct broker *broker)
{
    return rd_kafka_mock_cluster_bootstraps(broker->cluster);
}

const char *broker_incarnation(const struct broker *broker)
{
    return broker->incarnation;
}
