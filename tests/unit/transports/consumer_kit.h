/* A consumer of one topic, and a handler that remembers all it was given: for the consumer's tests. */
#ifndef CONSUMER_KIT_H
#define CONSUMER_KIT_H

#include "test.h"

#include <pthread.h>
#include <stdio.h>

#include <weir/clock.h>
#include <weir/weir.h>

#include "broker.h"
#include "call/call.h"
#include "core/context.h"
#include "echo.weir.h"
#include "transports/kafka/consumer.h"

#define KIT_MESSAGES_MAX 40000
#define KIT_KEYS_MAX 512
#define KIT_ANY (-2)

struct kit {
    struct kit_broker *broker;
    char topic[80], group[80], dead_letters[96];
    int partitions;
    struct echo_handlers handlers;
    struct weir_service service;
    const char *name; /* of the consumers; NULL: none, and no metrics */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    int handled;                     /* runs of the handler that answered OK */
    int runs;                        /* all runs */
    uint8_t times[KIT_MESSAGES_MAX]; /* that a message was handled */
    int last[KIT_KEYS_MAX];          /* number within its key of the last one handled; first times only */
    int out_of_order;                /* first times that came before an earlier one of their key */
    int in_handler, in_handler_most;
    char message_id[128];       /* of the last one */
    const char *send_principal; /* what records claim; NULL: nobody */
    char principal[64];         /* who asked, as the last handler was told */
    bool blocked;               /* handlers wait until it is false, or their call is over */
    int block_index;            /* only this message's; -1: all */
    int told_to_end;            /* blocked handlers whose call was over */
    int fail_index, fail_times; /* this message (KIT_ANY: each) fails so many times */
    enum weir_status fail_status;
    int sleep_us; /* each run */
    struct weir_topic
        out; /* name: what is handled goes there by weir_topic_emit(), also before it fails; NULL: nowhere */
    char out_name[96];
    bool defer; /* answers later: kit_answer_deferred() */
    struct weir_call *deferred[1024];
    int deferred_count;
};

/* `broker` may be NULL: then the kit has one of its own. */
struct kit *kit_new(struct kit_broker *broker, int partitions);
void kit_destroy(struct kit *kit);

/* Messages first..first+count-1, spread over `keys` keys; a key has one partition. */
void kit_send(struct kit *kit, int first, int count, int keys);
/* One whose value is not a message. */
void kit_send_raw(struct kit *kit, int32_t partition, const void *value, size_t size);

struct weir_consumer *kit_start(struct kit *kit, const char *brokers,
                                const struct weir_consumer_options *options);

/* From now on. The topic is made. */
void kit_emit(struct kit *kit);

/* All steps of a stop. The drain has drain_ms, the finish finish_ms. */
struct kit_stop {
    struct weir_work work;
    int64_t drain_took_ms, finish_took_ms;
};
struct kit_stop kit_stop(struct weir_consumer *consumer, int64_t drain_ms, int64_t finish_ms);

void kit_wait_handled(struct kit *kit, int least);
int kit_handled(struct kit *kit);
int kit_runs(struct kit *kit);
/* How many of the first `count` messages were handled never, and how many times too often. */
int kit_missing(struct kit *kit, int count);
int kit_extra(struct kit *kit, int count);
void kit_unblock(struct kit *kit);
void kit_answer_deferred(struct kit *kit, enum weir_status status);
/* Sum of the committed offsets over the topic's partitions. */
int64_t kit_committed_sum(struct kit *kit);

#endif
