/* A consumer whose handlers only produce: what they send and how far it has read become visible together, in Kafka's
 * transactions (KIP-98, KIP-447).
 *
 *     handler: emits -> outputs of its item -> done, and everything before it in its partition, too
 *              -> a batch: outputs, in the order of offsets, and the offset behind them
 *              -> begin, produce, offsets, commit -> the item is forgotten
 *                                            \--> aborted: the batch goes back, and is part of the next one
 *
 * Nothing is produced before it can be committed: offsets are a line that has no gaps, so what is done behind a message that
 * is tried again waits for it. So an attempt that failed has left nothing behind, an abort costs no handler its work, and a
 * transaction is open for the milliseconds of its commit.
 *
 * Who may commit is decided by the group: a batch goes with the membership that its partitions were assigned with (member and
 * generation). Once the group has gone on, the broker refuses it; whoever has the partitions by then asks for their offsets
 * and waits for those that a transaction has not decided yet.
 *
 * Threads: one of its own talks to the producer, reports included. Lock: the consumer's. */
#ifndef WEIR_KAFKA_TRANSACTION_H
#define WEIR_KAFKA_TRANSACTION_H

#include "transports/kafka/consumer.h"

#define TRANSACTION_KEPT_MAX 16384 /* items of a partition that wait for a commit; more wait at the broker */
#define TRANSACTION_KEPT_BYTES_MAX (8 << 20) /* and their outputs */

/* One record that goes out with its item. */
struct output {
    struct output *next;
    struct item *item;
    char *topic;
    bool has_key;
    struct weir_bytes key, value; /* behind it, in the same memory */
    rd_kafka_headers_t *headers;
    size_t size;
};

/* Under what the partitions are ours. Counted, by the consumer's lock. */
struct membership {
    rd_kafka_consumer_group_metadata_t *metadata;
    int references;
};

struct transaction {
    struct weir_consumer *consumer;
    rd_kafka_t *client;
    pthread_t thread;
    bool runs;
    atomic_bool ends;
    _Atomic int64_t give_up_ns; /* WEIR_NEVER; then no call to the producer begins any more */

    /* Consumer's lock: */
    pthread_cond_t changed; /* something is done, a flush is asked for, it ends */
    pthread_cond_t flushed;
    struct membership *membership; /* NULL: no partitions are ours */
    bool pending;                  /* something is done since the last commit ... */
    int64_t due_ns;                /* ... and is committed then */
    int64_t kept_outputs;
    bool flush;                 /* at once */
    bool failed;                /* for good */
    int64_t committed, aborted; /* transactions */

    /* Its thread's: */
    bool known, initialised, open, committing; /* the broker is known ... */
    int32_t failures;                          /* in a row */
    int64_t retry_at_ns;
    int64_t
        singles; /* so many items go alone: the broker refused a record of theirs, or of their neighbour */
};

/* ---- transaction.c ---- */

struct transaction *transaction_new(struct weir_consumer *consumer);
void transaction_destroy(struct transaction *transaction);

/* Makes the producer, and refuses a broker that has no transactions, if it is there to be asked. */
enum weir_status transaction_start(struct weir_consumer *consumer, struct weir_error *err);
/* Ends its thread and its producer. What is not committed is aborted, so that nobody waits for it. */
void transaction_stop(struct weir_consumer *consumer, int64_t deadline_ns);
/* Until all that is done is committed. Holds nothing. False: not by then. */
bool transaction_flush(struct weir_consumer *consumer, const atomic_bool *given_up, int64_t deadline_ns);
/* Partitions are assigned, and about to be revoked. Runs on: poll thread. */
void transaction_joined(struct weir_consumer *consumer);
void transaction_left(struct weir_consumer *consumer);
/* Holds: lock. Something is done. */
void transaction_has_more(struct weir_consumer *consumer);
/* Holds: lock. */
void membership_release(struct membership *membership);

/* ---- output.c ---- */

/* Copies; takes headers. */
void output_add(struct item *item, const char *topic, bool has_key, struct weir_bytes key,
                struct weir_bytes value, rd_kafka_headers_t *headers);
void outputs_free(struct item *item);
/* Holds: lock. It is done: what it emitted waits for the commit, and so does the item. */
void item_keep(struct item *item);
/* Holds: lock. Those of a partition that is gone. */
void kept_drop(struct partition *partition);
/* Holds: lock. So much waits that no more is fetched. */
bool kept_is_full(const struct partition *partition);

/* ---- batch.c ---- */

struct batch {
    struct {
        struct partition *partition; /* holds a reference */
        uint32_t generation;
        int64_t offset;     /* behind its items */
        struct item *items; /* by offset */
    } * shares;
    size_t count;
    int64_t outputs, kept;         /* and the items that have them */
    struct membership *membership; /* holds a reference */
};

/* What may be committed; at most about `outputs_max` records. False: nothing. */
bool batch_take(struct weir_consumer *consumer, int64_t outputs_max, struct batch *ret_batch);
/* Caller owns the result. */
rd_kafka_topic_partition_list_t *batch_offsets(const struct batch *batch);
void batch_is_committed(struct weir_consumer *consumer, struct batch *batch);
/* It was aborted: all goes back, but for partitions that are gone. */
void batch_give_back(struct weir_consumer *consumer, struct batch *batch);

#endif
