/* A broker for the app's producers: keeps what it is given, and acknowledges it on a thread of its own. */
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>

#include "core/condition.h"
#include "core/memory.h"
#include "testing/kit.h"
#include "transports/kafka/producer.h"

struct record {
    struct record *next;
    const struct weir_producer *producer;
    const char *topic;
    struct weir_test_record told;
    struct weir_bytes wire; /* in the arena, as all of it */
    weir_delivered_fn *delivered;
    void *state;
    enum { UNDER_WAY, THERE, LOST } fate;
};

static struct weir_bytes copy(struct weir_arena *arena, struct weir_bytes bytes)
{
    uint8_t *room = weir_arena_alloc(arena, bytes.size + 1);
    if (bytes.size)
        memcpy(room, bytes.data, bytes.size);
    return weir_bytes(room, bytes.size);
}

enum weir_status broker_take(void *sink, const struct weir_producer *producer,
                             const struct weir_record *given, weir_delivered_fn *delivered, void *state,
                             struct weir_error *err)
{
    struct weir_test *test = sink;
    const struct weir_component *component = (const struct weir_component *)producer;
    struct stand_in *stand_in = test->app->parts[component->index]->self;
    if (!atomic_load(&stand_in->listens))
        return weir_fail(err, WEIR_UNAVAILABLE, "topic %s: the producer is stopping", given->topic);
    pthread_mutex_lock(&test->lock);
    struct record *record = weir_arena_zalloc(test->arena, sizeof *record);
    record->producer = producer;
    record->topic = weir_arena_strdup(test->arena, given->topic);
    record->told.key = weir_arena_text(test->arena, given->key);
    record->told.message_id = weir_arena_strdup(test->arena, given->message_id);
    record->wire = copy(test->arena, given->value);
    record->delivered = delivered;
    record->state = state;
    *test->last_record = record;
    test->last_record = &record->next;
    if (!test->undelivered)
        test->undelivered = record;
    pthread_cond_broadcast(&test->changed);
    pthread_mutex_unlock(&test->lock);
    return WEIR_OK;
}

/* Holds: lock, and gives it up while it tells. */
static void report(struct weir_test *test, struct record *record, bool there)
{
    record->fate = there ? THERE : LOST;
    int64_t offset = there ? test->offset++ : -1;
    weir_delivered_fn *delivered = record->delivered;
    pthread_mutex_unlock(&test->lock);
    if (delivered)
        delivered(record->state, there ? WEIR_OK : WEIR_UNAVAILABLE, 0, offset,
                  there ? "" : "not acknowledged: the producer stopped");
    pthread_mutex_lock(&test->lock);
}

/* Holds: lock. */
static struct record *next_undelivered(struct weir_test *test)
{
    while (test->undelivered && test->undelivered->fate != UNDER_WAY)
        test->undelivered = test->undelivered->next;
    return test->undelivered;
}

static void *serve(void *arg)
{
    struct weir_test *test = arg;
    pthread_setname_np(pthread_self(), "test-broker");
    pthread_mutex_lock(&test->lock);
    while (!test->broker_ends) {
        struct record *record = test->broker_is_gone ? NULL : next_undelivered(test);
        if (record)
            report(test, record, true);
        else
            pthread_cond_wait(&test->changed, &test->lock);
        pthread_cond_broadcast(&test->changed); /* a producer may wait for it */
    }
    pthread_mutex_unlock(&test->lock);
    return NULL;
}

void broker_begin(struct weir_test *test)
{
    if (pthread_create(&test->broker, NULL, serve, test) != 0)
        test_die("no thread can be made");
    test->broker_runs = true;
}

void broker_end(struct weir_test *test)
{
    if (!test->broker_runs)
        return;
    pthread_mutex_lock(&test->lock);
    test->broker_ends = true;
    pthread_cond_broadcast(&test->changed);
    pthread_mutex_unlock(&test->lock);
    pthread_join(test->broker, NULL);
    test->broker_runs = false;
}

/* ---- A producer's component ---- */

static enum weir_status start(void *self, struct weir_context *context, struct weir_error *err)
{
    (void)context, (void)err;
    atomic_store(&((struct stand_in *)self)->listens, true);
    return WEIR_OK;
}

static enum weir_status quiesce(void *self, struct weir_error *err)
{
    (void)err;
    atomic_store(&((struct stand_in *)self)->listens, false);
    return WEIR_OK;
}

/* Holds: lock. */
static struct record *under_way(const struct stand_in *producer)
{
    struct record *record = producer->test->undelivered;
    while (record && (record->fate != UNDER_WAY || (void *)record->producer != producer->self))
        record = record->next;
    return record;
}

/* As the real one: most of its time for the broker, then all that is left is told that it is lost. */
static enum weir_status finish(void *self, struct weir_context *context, struct weir_work *work,
                               struct weir_error *err)
{
    (void)err;
    struct stand_in *producer = self;
    struct weir_test *test = producer->test;
    int64_t begun = weir_now_ns(), deadline = weir_context_deadline_ns(context);
    int64_t until = deadline == WEIR_NEVER ? WEIR_NEVER : begun + (deadline - begun) / 10 * 8;
    struct condition_watch watch;
    condition_watch(&watch, context, &test->lock, &test->changed);
    pthread_mutex_lock(&test->lock);
    while (under_way(producer) && weir_now_ns() < until && weir_context_status(context) == WEIR_OK)
        condition_wait(&test->changed, &test->lock, until);
    for (struct record *record; (record = under_way(producer)); work->undelivered++)
        report(test, record, false);
    pthread_mutex_unlock(&test->lock);
    condition_unwatch(&watch);
    return WEIR_OK;
}

static void destroy(void *self)
{
    struct stand_in *producer = self;
    producer->ops->destroy(producer->self);
}

const struct weir_component_ops broker_ops = {
    .start = start, .quiesce = quiesce, .finish = finish, .destroy = destroy};

/* ---- What the test says and asks ---- */

void weir_test_broker(struct weir_test *test, bool there)
{
    pthread_mutex_lock(&test->lock);
    test->broker_is_gone = !there;
    pthread_cond_broadcast(&test->changed);
    pthread_mutex_unlock(&test->lock);
}

const struct weir_test_record *weir_test_published(struct weir_test *test, const struct weir_topic *topic,
                                                   size_t index)
{
    weir_test_settle(test);
    pthread_mutex_lock(&test->lock);
    struct record *record = test->records;
    while (record && (record->fate != THERE || strcmp(record->topic, topic->name) != 0 || index-- > 0))
        record = record->next;
    pthread_mutex_unlock(&test->lock);
    if (record && !record->told.json)
        record->told.json = test_json(test, topic->message, record->wire);
    return record ? &record->told : NULL;
}
