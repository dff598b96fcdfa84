/* The producer from the inside: for tests, the consumer's dead letters and the outbox's relay. See
 * <weir/kafka.h>. */
#ifndef WEIR_KAFKA_PRODUCER_H
#define WEIR_KAFKA_PRODUCER_H

#include <stddef.h>
#include <stdint.h>

#include <weir/component.h>
#include <weir/kafka.h>

/* Without an app: weir_producer_add() adds it, a test drives producer_ops itself. Copies texts. */
struct weir_producer *producer_new(const struct weir_producer_options *options);
extern const struct weir_component_ops producer_ops;

/* Since it was made. sent = delivered + failed + what is under way. Any thread. */
struct producer_counts {
    int64_t sent;
    int64_t delivered;
    int64_t failed; /* reported as not, or perhaps not, on the broker */
};
struct producer_counts producer_counts(const struct weir_producer *producer);

/* For the test kit: takes every record in place of a broker, as weir_producer_send() does. Before the start; none
 * of producer_ops but destroy is called then. */
typedef enum weir_status producer_sink_fn(void *sink, const struct weir_producer *producer,
                                          const struct weir_record *record, weir_delivered_fn *delivered,
                                          void *state, struct weir_error *err);
void producer_set_sink(struct weir_producer *producer, producer_sink_fn *fn, void *sink);

/* ---- Which broker is behind it ----
 *
 * A cluster id is for the life of a Kafka cluster's data. The development broker has another one at each
 * start: what it was told before is forgotten, and who keeps it (the outbox) may send it again. */

/* Told when the cluster id becomes known, the first time after each start too (so that one who stores it can
 * compare over restarts), and when it has changed: within 2 s of the reconnection. On a thread of the
 * producer's; must not block, nor call producer_on_new_cluster(). */
typedef void producer_cluster_fn(void *arg, const char *cluster_id);
/* Before the start, or any time: any thread. At most 8. */
void producer_on_new_cluster(struct weir_producer *producer, producer_cluster_fn *fn, void *arg);
/* After this returns, what was given with `arg` is neither running nor will be called. */
void producer_off_new_cluster(struct weir_producer *producer, void *arg);

/* The id as last seen; "" while it is not known. Returns `ret_id`. Any thread. */
const char *producer_cluster(struct weir_producer *producer, char *ret_id, size_t size);

#endif
