/* Watches which cluster a client talks to. */
#ifndef WEIR_KAFKA_CLUSTER_H
#define WEIR_KAFKA_CLUSTER_H

#include <librdkafka/rdkafka.h>

#include "transports/kafka/producer.h"

#define CLUSTER_LISTENERS_MAX 8

struct cluster;

struct cluster *cluster_new(void);
void cluster_destroy(struct cluster *cluster); /* after cluster_stop() */

void cluster_listen(struct cluster *cluster, producer_cluster_fn *fn, void *arg);
void cluster_unlisten(struct cluster *cluster, void *arg);
const char *cluster_id(struct cluster *cluster, char *ret_id, size_t size);

/* Asks every second, as long as somebody listens. Until cluster_stop(), which takes up to 250 ms, less when
 * it was begun before. Borrows the client. */
void cluster_start(struct cluster *cluster, rd_kafka_t *client);
void cluster_begin_stop(struct cluster *cluster);
void cluster_stop(struct cluster *cluster);

#endif
