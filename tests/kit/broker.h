/* A Kafka broker for tests: librdkafka's mock cluster in this process, weir-devbroker as a child, or, where
 * the environment says WEIR_TEST_BROKERS=HOST:PORT, a real one. Failures end the test. */
#ifndef KIT_BROKER_H
#define KIT_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct kit_broker;

/* The mock cluster of this process, or the real broker. */
struct kit_broker *kit_broker_new(void);
/* One that runs elsewhere, a child for example. */
struct kit_broker *kit_broker_at(const char *address);
void kit_broker_destroy(struct kit_broker *broker);
const char *kit_broker_address(const struct kit_broker *broker);
bool kit_broker_is_real(void);
/* The mock cluster only: connections are closed and refused, until it is up again. */
void kit_broker_down(struct kit_broker *broker);
void kit_broker_up(struct kit_broker *broker);
/* The mock cluster only: every answer takes so long. */
void kit_broker_delay(struct kit_broker *broker, int ms);
/* The mock cluster only: the next requests of this kind are answered with this error (librdkafka's numbers).
 */
void kit_broker_fail(struct kit_broker *broker, int16_t api_key, int times, int error);

/* Creates a topic and writes its name, unique in the broker's life. Returns `ret_name`. */
char *kit_topic_new(struct kit_broker *broker, const char *stem, int partitions, char *ret_name, size_t size);

/* A real broker only: a topic's max.message.bytes, which bounds what of a partition travels together, too. */
void kit_topic_limited(struct kit_broker *broker, const char *topic, int bytes);

/* One header "ce_id" where message_id is not NULL. Acknowledged when it returns. */
struct kit_record {
    const char *topic;
    int32_t partition;                        /* -1: by key */
    const char *key, *message_id, *principal; /* NULL: no such header */
    const void *value;
    size_t size;
};
void kit_produce(struct kit_broker *broker, const struct kit_record *records, size_t count);

/* All that a topic holds and that is committed, partition by partition in the order of offsets. Caller frees by kit_records_free().
 */
struct kit_stored {
    int32_t partition;
    int64_t offset;
    char *key;     /* NULL: none */
    char *headers; /* "name=value;name=value;" */
    uint8_t *value;
    size_t size;
};
size_t kit_read_all(struct kit_broker *broker, const char *topic, struct kit_stored **ret_stored);
void kit_stored_free(struct kit_stored *stored, size_t count);

/* -1: nothing. */
int64_t kit_committed(struct kit_broker *broker, const char *group, const char *topic, int32_t partition);

/* ---- weir-devbroker as a child ---- */

struct kit_child {
    pid_t pid;
    char address[64];
    char incarnation[64];
};
/* `listen`: "127.0.0.1:0", or the address of one that has ended. */
void kit_child_start(struct kit_child *child, const char *listen);
/* SIGTERM; returns its exit status. */
int kit_child_stop(struct kit_child *child);
void kit_child_kill(struct kit_child *child);
/* SIGSTOP: connections stay open, and nothing answers. */
void kit_child_freeze(struct kit_child *child);

#endif
