/* Events that are neither lost nor invented: an event's row is in the transaction of its cause, and a relay
 * publishes it. The inbox makes a redelivered message harmless. */
#ifndef WEIR_OUTBOX_H
#define WEIR_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include <weir/component.h>
#include <weir/export.h>
#include <weir/kafka.h>
#include <weir/method.h>
#include <weir/sql.h>

/* Every member but needs is a key of the same name in the configuration's section. */
struct weir_outbox_options {
    int64_t keep_ms;       /* published rows stay as long. Default 24 h */
    int64_t in_flight_max; /* rows handed to the producer and not yet reported. Default 1,000 */
    int64_t rows_max;      /* unpublished; more is RESOURCE_EXHAUSTED at publish. Default 1,000,000 */
    const void *needs[WEIR_NEEDS_MAX];
};

/* The relay: publishes rows of `db` through `producer`, in order per key, woken by the commit. One per
 * database. Those who publish need it. Its tables (weir_outbox, weir_inbox) are made when `db` starts. A row
 * that can never be sent (too large) is logged and set aside in weir_outbox_rejected. Where the broker is
 * another one than before, all rows that are kept are published again, with the same message ids. */
struct weir_outbox;
WEIR_API struct weir_outbox *weir_outbox_add(struct weir_app *app, const char *name, struct weir_sql *db,
                                             struct weir_producer *producer,
                                             const struct weir_outbox_options *options);

/* Adds an event to the transaction. Users call the generated, typed form: order_paid_publish(tx, &event). */
WEIR_API enum weir_status weir_outbox_publish(struct weir_tx *tx, const struct weir_topic *topic,
                                              const ProtobufCMessage *message);

/* True the first time that this call's message is seen by its method in this database; false when its effect
 * is there already, and the handler should return what weir_sql_commit() returns: WEIR_OK only if that effect
 * is durable, too. A call without a message id fails the transaction. Messages are remembered for 7 days. */
WEIR_API bool weir_inbox_first(struct weir_tx *tx);

#endif
