/* The consumer from the inside. See <weir/kafka.h> for what it promises.
 *
 *     partition queue -> item -> lane (by key) -> handler -> done: its offset may be committed
 *                                 ^      |
 *                                 |      +-> transient failure: waits in its lane, tried again; or moves to a
 *                                 |          retry topic, done when it is there
 *                                 |      +-> permanent failure: to the dead letters; done when that is on the
 * broker
 *                                 +-- one item of a lane at a time; other lanes go on
 *
 * Threads: one polls (rebalances, commits, what is due again), `workers` fetch from partition queues and run
 * handlers. Locks: one for all below it in struct weir_consumer. librdkafka calls back with locks of its own
 * held (an event of a queue), so none of its functions is called while ours is held. */
#ifndef WEIR_KAFKA_CONSUMER_H
#define WEIR_KAFKA_CONSUMER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include <weir/kafka.h>

#include "lifecycle/component.h"
#include "transports/kafka/numbers.h"
#include "transports/kafka/offsets.h"

#define CONSUMER_LANES 256     /* of a partition; keys that share one wait for each other */
#define CONSUMER_WINDOW 65536  /* offsets that a partition may run ahead of one that is not done */
#define CONSUMER_BATCH 32      /* messages fetched from a queue at a time */
#define CONSUMER_DEFECTS_MAX 3 /* attempts of a message whose handler answers INTERNAL */
#define CONSUMER_BACKOFF_FIRST_MS 100
#define CONSUMER_BACKOFF_MAX_MS 5000
#define RETRY_LEVELS_MAX 8

struct partition;
struct lane;
struct output;
struct transaction;

struct item_header {
    const char *name;
    struct weir_bytes value;
};

/* One message, copied: whoever holds it holds nothing of librdkafka's. */
struct item {
    struct partition *partition;
    struct lane *lane;
    struct item *next;                   /* in its lane */
    struct item *list_next, **list_link; /* in consumer->running or consumer->waiting */
    struct weir_call *call;              /* while its handler runs */
    int64_t offset;
    int64_t due_ns;      /* waiting: when it is tried again */
    uint32_t generation; /* of the partition's log */
    int32_t attempts;
    bool blameless; /* its last attempt failed because what the service needs was away: not counted */
    bool cancelled; /* its handler was told to end: the drain's time is over */
    bool stuck;     /* ... and it ran on: the stop has said so */
    bool overdue;   /* its handler was told to end: its deadline passed */
    enum weir_status verdict;              /* not OK: it goes to the dead letters, or moves on, for this */
    bool moves_on;                         /* to the next retry topic */
    char *reason;                          /* of the verdict */
    struct output *outputs, **last_output; /* of a transactional consumer: what it emitted */
    int64_t output_count, output_bytes;
    bool kept;      /* done, and waits for its transaction */
    char *rejected; /* why the broker will never take an output of it; the transaction's thread only */
    bool has_key;
    struct weir_bytes key, value;
    struct item_header *headers;
    size_t header_count;
};

/* Items of keys with the same hash, in order. */
struct lane {
    enum { LANE_IDLE, LANE_READY, LANE_BUSY, LANE_WAITING } state;
    struct partition *partition;
    struct item *first, **last;
    struct lane *ready_next;
    bool stopped; /* a message was dropped at the stop: none of its keys goes on before it comes again */
};

struct consumer_topic {
    const char *name;
    const char *origin; /* the contract's; the name itself but for a retry topic */
    int level;          /* 0; a retry topic's number */
    const struct weir_method *method;
};

/* One assigned partition. */
struct partition {
    struct partition *next;
    struct weir_consumer *consumer;
    const struct consumer_topic *topic;
    int32_t number;
    rd_kafka_queue_t *queue;
    atomic_bool has_events; /* the queue may have something */
    bool fetching;          /* a worker takes from the queue */
    bool closing;           /* revoked: no handler begins any more */
    bool gone;              /* no longer ours: what ends now ends for nobody */
    int references;         /* the assignment, each item, each worker that fetches */
    int64_t held;           /* items */
    int64_t running;        /* items in a handler, or on their way to the dead letters */
    uint32_t generation;    /* one more when offsets went back: the broker has another log */
    struct offsets offsets;
    int64_t furthest;                 /* begun: what stands before it is finished by a stop */
    int64_t committed;                /* as the broker confirmed, or where we began; -1: nothing yet */
    struct item *ahead, **ahead_last; /* fetched, but the window was full */
    struct item *kept;                /* done, and wait for their transaction */
    int64_t kept_count, kept_bytes;
    struct lane lanes[CONSUMER_LANES];
};

struct consumer_counts {
    int64_t done, retried, moved, set_aside, dropped;
};

struct weir_consumer {
    struct weir_component component; /* first: a handle */
    struct weir_consumer_options options;
    struct weir_service *service;
    struct consumer_topic *topics;
    size_t topic_count;
    int64_t retry_delays_ms[RETRY_LEVELS_MAX];
    struct weir_error retry_mistake;
    int retry_levels; /* 0: messages are tried again in their place */

    rd_kafka_t *client;
    rd_kafka_queue_t *events; /* of the poll thread */
    pthread_t poller;
    atomic_bool poller_stops;
    pthread_t *workers;
    int64_t worker_count;

    pthread_mutex_t lock;
    pthread_cond_t work; /* a lane is ready, a partition has events, or it stops */
    pthread_cond_t idle; /* a handler has ended */
    bool stopping;       /* no handler begins any more, but for what closes gaps: worker.c */
    bool cutting;        /* handlers were told to end */
    struct partition *partitions;
    int64_t partition_count;
    struct lane *ready, **ready_last;
    struct item *running, *waiting;
    int64_t held, running_count;
    bool paused;              /* what the service needs is away: pause.c */
    int64_t pause_backoff_ms; /* between two messages that look whether it is back */
    int64_t pause_look_ns;    /* when the next one may */
    struct consumer_counts counts;
    struct weir_work ended; /* since stopping: completed, cancelled, kept */
    struct weir_work told;  /* of these, what the drain has reported */
    int64_t aside;          /* neither ended nor stuck then */

    bool commit_under_way, commit_fails; /* all four: poll thread only */
    int64_t commit_asked_ns;
    int64_t commit_due_ns;

    struct transaction *transaction; /* NULL: offsets are committed by themselves */

    struct cluster *cluster;     /* which one it is */
    char cluster_id[128];        /* the one before; cluster's thread only */
    atomic_bool cluster_changed; /* since the poll thread looked */
    int64_t anew_until_ns;       /* poll thread only: until then an assignment begins at the beginning */

    struct numbers numbers;
    int64_t lag_due_ns; /* poll thread only */
    _Atomic int64_t lag;

    pthread_mutex_t dead_letters_lock; /* makes the producer once, when it is needed */
    struct weir_producer *dead_letters;
};

/* ---- consumer.c ---- */

/* Without an app: weir_consumer_add() adds it, a test drives consumer_ops itself. Copies texts. */
struct weir_consumer *consumer_new(struct weir_service *service, const struct weir_consumer_options *given);
extern const struct weir_component_ops consumer_ops;

struct consumer_counts consumer_counts(struct weir_consumer *consumer);
int64_t consumer_held(struct weir_consumer *consumer);
int64_t consumer_partitions(struct weir_consumer *consumer);

/* ---- worker.c ---- */

void *consumer_work(void *arg); /* the consumer */
/* Holds: lock. Something may still begin though it stops. */
bool consumer_has_gaps(const struct weir_consumer *consumer);
/* Holds: lock. The lane's first item may run, unless another one does. */
void lane_make_ready(struct lane *lane);
/* Holds: lock. The lane's first item is over; frees it. */
void lane_pop(struct lane *lane);

/* ---- partition.c ---- */

/* Runs on: poll thread. */
void partitions_assign(struct weir_consumer *consumer, const rd_kafka_topic_partition_list_t *list);
/* Waits for handlers that run, up to wait_ms, or less when the consumer stops; commits what is done, unless
 * `lost`; then forgets the partitions. NULL: all. Runs on: poll thread, or the one that stops. */
void partitions_revoke(struct weir_consumer *consumer, const rd_kafka_topic_partition_list_t *list, bool lost,
                       int wait_ms);
/* Holds: lock. The log is another one: nothing of the old one counts any more. */
void partition_begin_anew(struct partition *partition);
/* Takes a batch from the partition's queue. Holds: lock, lets go of it meanwhile. */
void partition_fetch(struct partition *partition);
/* Holds: lock. One that has events and room for them; NULL: none. */
struct partition *partition_hungry(struct weir_consumer *consumer);
/* Holds: lock. Takes what was ahead of the window, as far as there is room now. */
void partition_catch_up(struct partition *partition);
/* Holds: lock. */
void partition_release(struct partition *partition);

/* ---- dispatch.c ---- */

/* Copies. Does not yet belong to a partition's lanes. */
struct item *item_new(struct partition *partition, rd_kafka_message_t *message);
void item_free(struct item *item);
/* Runs its handler, or sends it to the dead letters. Holds nothing; the item is in consumer->running. */
void item_run(struct item *item);
/* Lets items whose time has come run again. Runs on: poll thread. */
void items_wake(struct weir_consumer *consumer);
/* Holds: lock. */
void item_list_add(struct item **list, struct item *item);
void item_list_remove(struct item *item);

/* NULL: the call is none of a consumer's. */
struct item *item_of_call(struct weir_call *call);

/* NULL: it has none. */
const struct item_header *item_header(const struct item *item, const char *name);
/* Its text as a decimal number; false: it has none, or one that is too long to be one. */
bool item_header_number(const struct item *item, const char *name, int64_t *ret_number);

/* ---- dead_letter.c ---- */

/* Sends it to `topic` with these headers; item_is_aside() is told. Takes headers. Holds nothing. */
void item_send_aside(struct item *item, const char *topic, rd_kafka_headers_t *headers);
/* Its own, and where it came from, and its verdict. Caller owns the result. */
rd_kafka_headers_t *aside_headers(const struct item *item);
/* To <topic><suffix>, durably: item_is_aside() is told. Holds nothing. */
void item_set_aside(struct item *item);
/* The dead letter becomes the only thing that it emits. */
void item_emit_aside(struct item *item);
/* Ends the producer, if there is one, so that all is reported. */
void dead_letters_finish(struct weir_consumer *consumer, struct weir_context *context);
/* Told by the producer, or by item_set_aside() itself. Any thread. Holds nothing. */
void item_is_aside(struct item *item, enum weir_status status, const char *error);

/* ---- pause.c ---- */

/* Holds: lock. What the service needs is away, and it is not yet time to look again: no handler begins. */
bool pause_holds(struct weir_consumer *consumer);
/* Lets workers look when that changed, or when it is time. Runs on: poll thread. */
void pause_tick(struct weir_consumer *consumer);
/* A handler that began at `begun_ns` ended with this. True: what the service needs was away, and it is no failure of the
 * message's. Holds nothing. */
bool pause_excuses(struct weir_consumer *consumer, enum weir_status status, int64_t begun_ns);

/* ---- retry.c ---- */

/* How many delays "5000,60000" has; -1: `err` says what is wrong. */
int retry_parse(const char *text, int64_t ret_delays_ms[RETRY_LEVELS_MAX], struct weir_error *err);
/* It came from a retry topic: its attempts so far, and when it is due. */
void retry_arrived(struct item *item);
/* It failed for the moment: it leaves its place now. */
bool retry_moves_on(const struct item *item);
/* It failed for the moment, in the last retry topic. */
bool retry_is_used_up(const struct item *item);
/* To the next retry topic, durably: item_is_aside() is told. Holds nothing. */
void item_move_on(struct item *item);

/* ---- forget.c ---- */

/* Told by the cluster's watcher. */
void forget_when_new(void *arg, const char *cluster_id);
/* Begins anew where the broker has forgotten its logs. Runs on: poll thread. */
void forget_tick(struct weir_consumer *consumer);
/* Offsets to begin at, for an assignment: as committed, unless what is committed may be of another log. */
void forget_committed(struct weir_consumer *consumer, rd_kafka_topic_partition_list_t *list);

/* ---- commit.c ---- */

/* Asks for a commit when it is time. Runs on: poll thread. */
void commit_tick(struct weir_consumer *consumer);
void commit_answered(rd_kafka_t *client, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t *offsets,
                     void *opaque);
/* Commits what is done, of some partitions or (NULL) of all, and waits for the answer until deadline_ns, or
 * until it is given up. True when there was nothing to commit, or it is committed. */
bool commit_now(struct weir_consumer *consumer, const rd_kafka_topic_partition_list_t *only,
                const atomic_bool *given_up, int64_t deadline_ns);
/* Holds: lock. Done, but not committed: comes again. */
int64_t commit_missing(const struct weir_consumer *consumer);

/* ---- stop.c ---- */

enum weir_status consumer_quiesce(void *self, struct weir_error *err);
enum weir_status consumer_drain(void *self, struct weir_context *context, struct weir_work *work,
                                struct weir_error *err);
enum weir_status consumer_finish(void *self, struct weir_context *context, struct weir_work *work,
                                 struct weir_error *err);
/* Tells handlers that run longer than their deadline, or all of them (CANCELLED). Holds nothing. */
void consumer_cancel_overdue(struct weir_consumer *consumer);
void consumer_cancel_all(struct weir_consumer *consumer);

#endif
