/* A record's headers: CloudEvents 1.0 in the binary mode of its Kafka protocol binding, and what a call
 * carries. */
#ifndef WEIR_KAFKA_RECORD_H
#define WEIR_KAFKA_RECORD_H

#include <librdkafka/rdkafka.h>

#include <weir/app.h>
#include <weir/kafka.h>

#include "transports/kafka/producer.h"

#define HEADER_DEADLINE "weir-deadline" /* ms since 1970 UTC, decimal */
/* A dead letter that was sent back, or a message in a retry topic: for this group alone. How often it was sent back. When
 * it is due, in ms since 1970 UTC. */
#define HEADER_REPLAY_GROUP "weir-replay-group"
#define HEADER_REPLAYS "weir-replays"
#define HEADER_RETRY_AT "weir-retry-at"
/* Of both: where it came from, and why it is here. */
#define HEADER_ORIGIN "weir-origin-"
#define HEADER_PRINCIPAL                                                                                     \
    "weir-principal" /* metadata to the handler: who may be believed is for authentication */

/* `source` may be NULL (tests). Caller owns the result. */
rd_kafka_headers_t *record_headers(const struct weir_record *record, const struct weir_app *source);

/* As weir_producer_send(), with headers of the caller's instead of the record's. Takes `headers`, also on
 * failure. */
enum weir_status producer_send_headers(struct weir_producer *producer, const struct weir_record *record,
                                       rd_kafka_headers_t *headers, weir_delivered_fn *delivered, void *state,
                                       struct weir_error *err);

#endif
