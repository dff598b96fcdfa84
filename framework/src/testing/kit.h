/* The test kit from the inside. One test at a time; unless it says so, functions run on the test's thread. */
#ifndef WEIR_TESTING_KIT_H
#define WEIR_TESTING_KIT_H

#include <pthread.h>
#include <stdatomic.h>

#include <weir/arena.h>
#include <weir/bytes.h>
#include <weir/kafka.h>
#include <weir/test.h>

#include "call/call.h"
#include "call/channel.h"
#include "lifecycle/app.h"
#include "testing/clock.h"

/* What stands in for one component: `ops` and `self` are its own, for destroy. */
struct stand_in {
    struct stand_in *next;
    struct weir_test *test;
    const char *name;
    enum component_kind kind;
    const struct weir_component_ops *ops;
    void *self;

    /* Servers and consumers: */
    struct weir_service **services;
    size_t service_count;
    struct gate *gate;    /* servers, consumers, channels */
    atomic_bool listens;  /* new calls come in */
    atomic_bool cutting;  /* the drain's time is over */
    atomic_llong retries; /* messages that would come again */

    /* Channels: */
    struct asked *under_way; /* test->lock */
};

struct weir_test {
    struct weir_app *app; /* NULL once it is gone, or where its configuration is bad */
    struct weir_arena *arena;
    char folder[32];
    const char **argv;

    bool begun, joined;
    pthread_t thread; /* the lifecycle's */
    int signals[2];   /* a pipe in place of a signalfd */
    struct sent_signal *sent;
    atomic_bool over;
    int exit;
    struct weir_test_report report;
    bool has_report;

    struct stand_in *stand_ins;
    struct weir_test_call *calls; /* lock; the newest first */
    int64_t message_ids;

    pthread_mutex_t lock;   /* below */
    pthread_cond_t changed; /* let_go, and the broker's */
    bool let_go;            /* what hangs returns */
    struct entry *entries;  /* of the trace */
    struct entry **last_entry;
    struct answer *answers; /* the newest first */
    struct question *questions, **last_question;

    /* The broker. */
    pthread_t broker;
    bool broker_runs, broker_ends, broker_is_gone;
    struct record *records, **last_record; /* all, in order */
    struct record *undelivered;            /* the first one without a report */
    int64_t offset;
};

extern struct weir_test *current_test;

/* kit.c */
/* Starts it if need be, and lets time pass until `done(arg)`; false when time has nowhere to go. */
bool test_pass_until(struct weir_test *test, bool (*done)(void *arg), void *arg);

/* stand_in.c */
void stand_in_all(struct weir_test *test);
void stand_in_free(struct weir_test *test);
/* The one that a call or a message comes in by. */
struct stand_in *stand_in_find(struct weir_test *test, const struct weir_test_request *request,
                               struct weir_service **ret_service, const struct weir_method **ret_method);

/* calls.c */
/* A drain: tells those that came in by `door`, or cancels them. Any thread. */
void calls_draining(struct stand_in *door, int64_t left_ms);
void calls_cancel(struct stand_in *door);
bool calls_all_over(struct weir_test *test);
void calls_free(struct weir_test *test);
/* The JSON of wire bytes; lives as long as the test. Any thread. Holds: not lock. */
const char *test_json(struct weir_test *test, const struct weir_message *message, struct weir_bytes wire);
struct weir_buffer test_wire(const struct weir_message *message, const char *json);
/* Lives as long as the test. Any thread. Holds: not lock. */
const char *test_text(struct weir_test *test, const char *text);

/* answers.c */
const struct channel_ops *answers_channel_ops(void);
extern const struct weir_component_ops answers_ops;
void answers_free(struct weir_test *test);

/* broker.c */
extern const struct weir_component_ops broker_ops;
enum weir_status broker_take(void *sink, const struct weir_producer *producer,
                             const struct weir_record *given, weir_delivered_fn *delivered, void *state,
                             struct weir_error *err);
void broker_begin(struct weir_test *test);
void broker_end(struct weir_test *test);

/* trace.c */
/* Runs on: the lifecycle's thread. The component may be gone when its destroy was called. */
void trace_note(const struct weir_app *app, uint32_t part, enum op op);
void trace_let_go(struct weir_test *test);

/* report.c */
void report_make(struct weir_test *test);

#endif
