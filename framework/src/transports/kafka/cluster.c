#include "transports/kafka/cluster.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "core/condition.h"
#include "core/memory.h"

#define ASK_EVERY_MS 1000
#define ANSWER_MS 250

struct cluster {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* stopping, or a first listener */
    pthread_t thread;
    rd_kafka_t *client;
    bool running, stopping;
    char id[128];
    struct {
        producer_cluster_fn *fn;
        void *arg;
        bool told; /* the id as it is */
    } listeners[CLUSTER_LISTENERS_MAX];
};

struct cluster *cluster_new(void)
{
    struct cluster *cluster = NEW(struct cluster);
    pthread_mutex_init(&cluster->lock, NULL);
    condition_init(&cluster->changed);
    return cluster;
}

void cluster_destroy(struct cluster *cluster)
{
    if (!cluster)
        return;
    pthread_cond_destroy(&cluster->changed);
    pthread_mutex_destroy(&cluster->lock);
    free(cluster);
}

void cluster_listen(struct cluster *cluster, producer_cluster_fn *fn, void *arg)
{
    pthread_mutex_lock(&cluster->lock);
    for (int i = 0; i < CLUSTER_LISTENERS_MAX; i++) {
        if (!cluster->listeners[i].fn) {
            cluster->listeners[i].fn = fn;
            cluster->listeners[i].arg = arg;
            cluster->listeners[i].told = false;
            break;
        }
    }
    pthread_cond_signal(&cluster->changed);
    pthread_mutex_unlock(&cluster->lock);
}

void cluster_unlisten(struct cluster *cluster, void *arg)
{
    pthread_mutex_lock(&cluster->lock);
    for (int i = 0; i < CLUSTER_LISTENERS_MAX; i++)
        if (cluster->listeners[i].arg == arg)
            cluster->listeners[i].fn = NULL;
    pthread_mutex_unlock(&cluster->lock);
}

const char *cluster_id(struct cluster *cluster, char *ret_id, size_t size)
{
    pthread_mutex_lock(&cluster->lock);
    snprintf(ret_id, size, "%s", cluster->id);
    pthread_mutex_unlock(&cluster->lock);
    return ret_id;
}

/* Holds: lock. */
static bool anybody_listens(const struct cluster *cluster)
{
    for (int i = 0; i < CLUSTER_LISTENERS_MAX; i++)
        if (cluster->listeners[i].fn)
            return true;
    return false;
}

/* Holds: lock. */
static void remember(struct cluster *cluster, const char *id)
{
    if (strcmp(cluster->id, id) != 0) {
        if (cluster->id[0])
            weir_log_warn("another Kafka cluster than before: what that one was sent may be gone",
                          weir_field_text("before", cluster->id), weir_field_text("now", id));
        snprintf(cluster->id, sizeof cluster->id, "%s", id);
        for (int i = 0; i < CLUSTER_LISTENERS_MAX; i++)
            cluster->listeners[i].told = false;
    }
    for (int i = 0; i < CLUSTER_LISTENERS_MAX; i++) {
        if (cluster->listeners[i].fn && !cluster->listeners[i].told) {
            cluster->listeners[i].told = true;
            cluster->listeners[i].fn(cluster->listeners[i].arg, cluster->id);
        }
    }
}

/* rd_kafka_clusterid() alone gives what was known once; a metadata answer brings it up to date. Holds
 * nothing: it takes up to ANSWER_MS. Caller frees the result; NULL when nobody answered. */
static char *ask(rd_kafka_t *client)
{
    const struct rd_kafka_metadata *metadata = NULL;
    if (rd_kafka_metadata(client, 0, NULL, &metadata, ANSWER_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return NULL;
    rd_kafka_metadata_destroy(metadata);
    return rd_kafka_clusterid(client, 0);
}

static void *watch(void *arg)
{
    struct cluster *cluster = arg;
    pthread_mutex_lock(&cluster->lock);
    while (!cluster->stopping) {
        if (anybody_listens(cluster)) {
            pthread_mutex_unlock(&cluster->lock);
            char *id = ask(cluster->client);
            pthread_mutex_lock(&cluster->lock);
            if (id && *id && !cluster->stopping)
                remember(cluster, id);
            if (id)
                rd_kafka_mem_free(cluster->client, id);
        }
        if (cluster->stopping)
            break;
        int64_t until_ns = weir_deadline_in_ms(ASK_EVERY_MS);
        condition_wait(&cluster->changed, &cluster->lock, until_ns);
    }
    pthread_mutex_unlock(&cluster->lock);
    return NULL;
}

void cluster_start(struct cluster *cluster, rd_kafka_t *client)
{
    cluster->client = client;
    cluster->stopping = false;
    pthread_mutex_lock(&cluster->lock);
    for (int i = 0; i < CLUSTER_LISTENERS_MAX; i++)
        cluster->listeners[i].told = false; /* before there is a thread: it may tell at once */
    pthread_mutex_unlock(&cluster->lock);
    cluster->running = pthread_create(&cluster->thread, NULL, watch, cluster) == 0;
}

void cluster_begin_stop(struct cluster *cluster)
{
    pthread_mutex_lock(&cluster->lock);
    cluster->stopping = true;
    pthread_cond_signal(&cluster->changed);
    pthread_mutex_unlock(&cluster->lock);
}

void cluster_stop(struct cluster *cluster)
{
    if (!cluster->running)
        return;
    cluster_begin_stop(cluster);
    pthread_join(cluster->thread, NULL);
    cluster->running = false;
}
