/* librdkafka's mock cluster, hosted for other processes. One thread. */
#ifndef DEVBROKER_BROKER_H
#define DEVBROKER_BROKER_H

#include <netinet/in.h>

#include <weir/error.h>

struct broker;

struct broker_options {
    struct sockaddr_in listen;    /* port 0: the kernel chooses */
    struct sockaddr_in advertise; /* what clients are told; port 0: the one that is listened on */
};

/* Listens when it returns. NULL on failure. Caller owns the result. */
struct broker *broker_new(const struct broker_options *options, struct weir_error *err);
void broker_destroy(struct broker *broker);

enum weir_status broker_create_topic(struct broker *broker, const char *name, int partitions,
                                     struct weir_error *err);

/* "127.0.0.1:9092" */
const char *broker_address(const struct broker *broker);

/* The cluster id that clients see: another one at every start, so that they learn that what they had sent is
 * gone. */
const char *broker_incarnation(const struct broker *broker);

#endif
