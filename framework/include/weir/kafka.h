/* Kafka: a consumer serves methods that are bound to topics, a producer sends what a topic's contract
 * says. */
#ifndef WEIR_KAFKA_H
#define WEIR_KAFKA_H

#include <stdbool.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include <weir/call.h>
#include <weir/component.h>
#include <weir/export.h>
#include <weir/method.h>
#include <weir/service.h>

/* ---- Producer ---- */

/* Every member is a key of the same name in the configuration's section. Zero is the default. */
struct weir_producer_options {
    const char *brokers;         /* Required, here or there: "127.0.0.1:9092,..." */
    int64_t linger_ms;           /* Default 0: request-like; 5 for bulk. -1 is not allowed */
    int64_t queue_bytes_max;     /* unsent; more is RESOURCE_EXHAUSTED. Default 64 MiB */
    int64_t delivery_timeout_ms; /* Default 30,000 */
    bool without_idempotence;    /* what is sent again may be there twice; see docs/kafka.md */
    const void *needs[WEIR_NEEDS_MAX];
};

/* Idempotent unless told otherwise, acks=all. Starting does not wait for the broker. */
struct weir_producer;
WEIR_API struct weir_producer *weir_producer_add(struct weir_app *app, const char *name,
                                                 const struct weir_producer_options *options);

/* One message as bytes. Everything is copied before weir_producer_send() returns. */
struct weir_record {
    const char *topic;
    struct weir_bytes key; /* empty: no key */
    struct weir_bytes value;
    const char *message_id;   /* header ce_id. Required */
    const char *type;         /* header ce_type: the message's full name */
    const char *traceparent;  /* NULL or empty: none */
    const char *principal;    /* NULL: none */
    int64_t deadline_unix_ms; /* header weir-deadline; 0: none */
};

/* Told once, on the producer's thread: must not block. WEIR_OK: on the broker, at partition and offset.
 * UNAVAILABLE: not known to be there (a purge in flight, a timeout): it may be. */
typedef void weir_delivered_fn(void *state, enum weir_status status, int32_t partition, int64_t offset,
                               const char *error);

/* Returns at once. On failure `delivered` is not called. RESOURCE_EXHAUSTED when the queue is full;
 * UNAVAILABLE once quiesced. Any thread. */
WEIR_API enum weir_status weir_producer_send(struct weir_producer *producer, const struct weir_record *record,
                                             weir_delivered_fn *delivered, void *state,
                                             struct weir_error *err);

/* Sends a message on its topic, with the call's trace and principal, and waits for the delivery report: after
 * WEIR_OK it is on the broker. Users call the generated, typed form: user_activity_send(call, producer,
 * &message). */
WEIR_API enum weir_status weir_topic_send(struct weir_call *call, struct weir_producer *producer,
                                          const struct weir_topic *topic, const ProtobufCMessage *message);
/* The same without waiting: nobody will know whether it arrived, except the metrics and the log. */
WEIR_API enum weir_status weir_topic_post(struct weir_call *call, struct weir_producer *producer,
                                          const struct weir_topic *topic, const ProtobufCMessage *message);

/* In a handler that a transactional consumer has called: the message goes out when, and only if, the record that is handled
 * is done, in one transaction with its offset. Until then it is kept in memory: a handler that fails has sent nothing.
 * INVALID_ARGUMENT when it is too large for a record (1,000,000 bytes); INTERNAL in any other call. Copies. Users call the
 * generated, typed form: order_totals_emit(call, &message). */
WEIR_API enum weir_status weir_topic_emit(struct weir_call *call, const struct weir_topic *topic,
                                          const ProtobufCMessage *message);

/* ---- Consumer ---- */

/* Every member but needs is a key of the same name in the configuration's section. Zero is the default. */
struct weir_consumer_options {
    const char *brokers;   /* Required, here or there */
    const char *group;     /* Default: the app's name */
    int64_t workers;       /* threads that run handlers; one partition's order per key is kept. Default 2 */
    int64_t in_flight_max; /* messages handed out and not done, over all partitions. Default 1,024 */
    int64_t commit_interval_ms; /* Default 500 */
    int64_t timeout_ms;         /* one handler's deadline. Default 30,000 */
    int64_t session_timeout_ms; /* Default 6,000; 4,000 suits the development broker */
    int64_t attempts_max; /* of a message whose handler fails with a transient status. Default 0: for ever */
    int64_t
        retry_after; /* so many attempts in its place, then it moves to <topic>.retry.1 and its key goes on without
                          * it. Default 0: never, order is kept */
    const char *retry_delays_ms; /* of the retry topics, at most 8. Default "5000,60000,600000" */
    int64_t fetch_wait_ms;       /* how long a broker may hold a fetch while it has nothing. Default 20 */
    bool trust_principal; /* the producers are services of ours: believe the weir-principal of their records.
                            * Default false: nobody is known */
    /* Exactly once from Kafka to Kafka: what handlers emit (weir_topic_emit()) and how far was read are committed together,
     * in Kafka's transactions (KIP-98, KIP-447). For services that do nothing else: whatever else a handler does may happen
     * again, so a service that needs a database is refused. Not on the development broker. */
    bool transactional;
    int64_t transaction_interval_ms; /* from the first message that is done to the commit. Default 100 */
    int64_t transaction_outputs_max; /* so many records are committed without waiting. Default 2,000 */
    int64_t
        transaction_timeout_ms; /* then the broker aborts what a killed process left open. Default 10,000 */
    const char
        *transactional_id; /* of this instance alone, the same after a restart. Default: a new one a start */
    const char *dead_letter_suffix; /* Default ".dlt": a message that can never succeed goes to <topic>.dlt */
    const void *needs[WEIR_NEEDS_MAX];
};

/* Consumes the topics to which the service's methods are bound. An offset is done only when its handler
 * returned OK (or the message was set aside, durably). A transient failure is retried in its place with
 * back-off, or, where the author gave up the order, moves to a retry topic; the partition's other keys go on. */
struct weir_consumer;
WEIR_API struct weir_consumer *weir_consumer_add(struct weir_app *app, const char *name,
                                                 struct weir_service *service,
                                                 const struct weir_consumer_options *options);

#endif
