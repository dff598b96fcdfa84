/* The numbers that consumers and producers show. */
#ifndef WEIR_KAFKA_NUMBERS_H
#define WEIR_KAFKA_NUMBERS_H

#include "observe/metrics.h"

#define NUMBERS_MAX 10

struct numbers {
    struct metric_source *sources[NUMBERS_MAX];
    int count;
};

struct weir_consumer;
struct weir_producer;

/* Once; later calls (a restart) do nothing. */
void numbers_of_consumer(struct numbers *numbers, struct weir_consumer *consumer, const char *name);
void numbers_of_producer(struct numbers *numbers, struct weir_producer *producer, const char *name);
void numbers_remove(struct numbers *numbers);

/* Looks how far behind the consumer is, every second. Runs on: poll thread. */
void numbers_tick(struct weir_consumer *consumer);

#endif
