/* The outbox from the inside. See <weir/outbox.h> for its users' side.
 *
 * Two threads: the sender reads rows and hands them over, woken by a commit; the marker stores how far the
 * broker has them, and prunes, so that no fsync stands between a commit and its sending. One process has the
 * lock file and so the relay; another one, its successor during an upgrade, waits for it.
 *
 * Lock discipline: `lock` guards all below it; never held while SQLite or the producer is called. The
 * sender's connection and state belong to the sender. Delivery reports come on the producer's thread. */
#ifndef WEIR_DATA_OUTBOX_H
#define WEIR_DATA_OUTBOX_H

#include <pthread.h>
#include <stdatomic.h>

#include <weir/outbox.h>

#include "core/context.h"
#include "data/sql.h"
#include "data/window.h"

#define CLUSTER_SIZE 64 /* of a broker cluster's id */

/* Where rows go: the producer, or a test. As weir_producer_send(). */
struct relay_sink {
    enum weir_status (*send)(void *self, const struct weir_record *record, weir_delivered_fn *delivered,
                             void *state, struct weir_error *err);
    void *self;
};

struct outbox_settings {
    int64_t keep_ms;
    int64_t in_flight_max;
    int64_t rows_max;
};

struct weir_outbox {
    struct weir_component component; /* first: a handle */
    const char *name;
    struct weir_sql *db;
    struct relay_sink sink;
    struct outbox_settings settings;
    struct weir_producer *producer; /* NULL in tests, as is */
    void (*forget_producer)(struct weir_outbox *outbox);
    int64_t first_backoff_ms, longest_backoff_ms;

    struct metric_source *metrics[2];
    pthread_t sender, marker;
    bool sender_runs, marker_runs;
    struct weir_context send_context, mark_context; /* over when the thread shall hurry out */
    _Atomic int64_t ever;                           /* published at any time: what rows_max counts from */

    pthread_mutex_t lock;
    pthread_cond_t changed; /* for the sender and the stop */
    pthread_cond_t to_mark; /* for the marker */
    struct window window;
    bool tried_lock_file, has_lock_file;
    bool looked;               /* `known` was read since it has the lock file */
    int64_t known;             /* the highest id that is known to be committed */
    int64_t cursor;            /* read so far */
    bool lanes;                /* on PostgreSQL: `known` and `published` are counts, see postgres/relay.c */
    int64_t oldest_created_ms; /* there: of the rows that wait, as last counted */
    bool gathers;              /* the sender sleeps for a moment, to read what comes meanwhile together */
    int64_t published;         /* on the broker, without a gap */
    int64_t marked;            /* the same, as stored */
    int64_t mark_due_ns;
    int64_t backoff_ms;     /* 0: the last delivery was good */
    int64_t retry_at_ns;    /* of what failed */
    int64_t pause_until_ns; /* nothing is handed over: the producer took nothing more */
    int64_t complained_ns;
    bool complaining; /* said that it goes badly, and not yet that it goes well again */
    int64_t prune_due_ns;
    int lock_file;           /* -1: not open */
    bool marking, replaying; /* one of them at a time */
    char seen_cluster[CLUSTER_SIZE], stored_cluster[CLUSTER_SIZE];
    bool stop_sending, stop_marking, last_mark_tried;
    bool orphaned; /* destroyed while deliveries were not reported: the last report frees it */

    /* Of the stop: what was there at quiesce, at the end of the drain. */
    int64_t published_before, published_drained, sent_drained;
};

struct weir_outbox *outbox_new(const char *name, struct weir_sql *db, const struct relay_sink *sink,
                               const struct outbox_settings *settings);
extern const struct weir_component_ops outbox_ops;

/* Rows that are not known to be on the broker, as far as this process knows. */
int64_t outbox_unpublished(struct weir_outbox *outbox);
/* Milliseconds since the oldest of them was committed; 0: none. */
int64_t outbox_oldest_ms(struct weir_outbox *outbox);

/* Another broker is there than before, or it is known for the first time. Any thread; does not block. */
void outbox_cluster_is(void *self, const char *cluster);

/* ---- Within the outbox ---- */

/* relay.c */
#define RELAY_MARK_DELAY_NS (20 * WEIR_NS_PER_MS) /* deliveries of so long are marked together */
int64_t relay_prune_interval_ms(const struct weir_outbox *outbox);
/* Holds: lock. */
void relay_back_off(struct weir_outbox *outbox, const char *why);
void relay_set_published(struct weir_outbox *outbox, int64_t id);
void relay_move_published(struct weir_outbox *outbox);
bool relay_cluster_changed(const struct weir_outbox *outbox);
/* Runs on: the producer's thread. */
void relay_delivered(void *state, enum weir_status status, int32_t partition, int64_t offset,
                     const char *error);

/* postgres/relay.c */
void *postgres_relay(void *self); /* the only thread */
/* sqlite/relay.c */
void *relay_send(void *self); /* the sender thread */
void *relay_mark(void *self); /* the marker thread */
/* Holds: lock. */
int64_t relay_unpublished(const struct weir_outbox *outbox);
/* Frees it. Nothing runs, nothing is sent. */
void outbox_free(struct weir_outbox *outbox);

#endif
