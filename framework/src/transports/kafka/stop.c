/* The consumer's stop: every step is bounded, because a broker that does not answer would hold
 * rd_kafka_commit() for minutes, rd_kafka_consumer_close() for longer, and rd_kafka_destroy() for ever. */
#include "core/condition.h"
#include "transports/kafka/consumer.h"

#include <stdlib.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "call/call.h"
#include "transports/kafka/client.h"
#include "transports/kafka/cluster.h"
#include "transports/kafka/transaction.h"

#define CUT_WAIT_MS 200 /* of the cut_min of 250 */
#define CANCEL_BATCH 64

/* ---- handlers that shall end ---- */

/* Which of the running ones, and what they are told. */
static enum weir_status sentence(const struct weir_consumer *consumer, struct item *item, int64_t now)
{
    if (!item->call)
        return WEIR_OK;
    if (consumer->cutting && !item->cancelled) {
        item->cancelled = true;
        return WEIR_CANCELLED;
    }
    if (!item->overdue && weir_context_deadline_ns(&item->call->context) <= now) {
        item->overdue = true;
        return WEIR_DEADLINE_EXCEEDED;
    }
    return WEIR_OK;
}

/* Who is told may end at once, and then wants our lock: so they are told without it. */
void consumer_cancel_overdue(struct weir_consumer *consumer)
{
    struct {
        struct weir_call *call;
        enum weir_status status;
    } told[CANCEL_BATCH];
    int count;
    do {
        count = 0;
        int64_t now = weir_now_ns();
        pthread_mutex_lock(&consumer->lock);
        for (struct item *item = consumer->running; item && count < CANCEL_BATCH; item = item->list_next) {
            told[count].status = sentence(consumer, item, now);
            if (told[count].status != WEIR_OK)
                told[count++].call = weir_call_acquire(item->call);
        }
        pthread_mutex_unlock(&consumer->lock);
        for (int i = 0; i < count; i++) {
            call_cancel(told[i].call, told[i].status);
            weir_call_release(told[i].call);
        }
    } while (count == CANCEL_BATCH);
}

void consumer_cancel_all(struct weir_consumer *consumer)
{
    pthread_mutex_lock(&consumer->lock);
    consumer->cutting = true;
    pthread_cond_broadcast(&consumer->work);
    pthread_mutex_unlock(&consumer->lock);
    consumer_cancel_overdue(consumer);
}

/* ---- quiesce ---- */

static void pause_all(struct weir_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    pthread_mutex_lock(&consumer->lock);
    for (struct partition *partition = consumer->partitions; partition; partition = partition->next)
        rd_kafka_topic_partition_list_add(list, partition->topic->name, partition->number);
    pthread_mutex_unlock(&consumer->lock);
    rd_kafka_pause_partitions(consumer->client, list);
    rd_kafka_topic_partition_list_destroy(list);
}

enum weir_status consumer_quiesce(void *self, struct weir_error *err)
{
    struct weir_consumer *consumer = self;
    (void)err;
    pthread_mutex_lock(&consumer->lock);
    consumer->stopping = true;
    consumer->ended = (struct weir_work){.in_flight = consumer->running_count};
    pthread_cond_broadcast(&consumer->work);
    pthread_cond_broadcast(&consumer->idle);
    pthread_mutex_unlock(&consumer->lock);
    cluster_begin_stop(consumer->cluster);
    pause_all(consumer);
    return WEIR_OK;
}

/* ---- drain ---- */

/* Holds: lock, lets go of it meanwhile. */
static void wait_until_idle(struct weir_consumer *consumer, struct weir_context *context)
{
    while ((consumer->running_count > 0 || consumer_has_gaps(consumer)) &&
           weir_context_status(context) == WEIR_OK)
        condition_wait(&consumer->idle, &consumer->lock, weir_context_deadline_ns(context));
}

/* Holds: lock. Handlers that run; what is on its way to the dead letters is nobody's thread. */
static int64_t count_handlers(const struct weir_consumer *consumer)
{
    int64_t count = 0;
    for (const struct item *item = consumer->running; item; item = item->list_next)
        count += item->call != NULL;
    return count;
}

/* Holds: lock, lets go of it meanwhile. */
static void wait_for_cancelled(struct weir_consumer *consumer)
{
    int64_t until_ns = weir_deadline_in_ms(CUT_WAIT_MS);
    while (count_handlers(consumer) > 0 && weir_now_ns() < until_ns)
        condition_wait(&consumer->idle, &consumer->lock, until_ns);
}

/* Holds: lock. A drain and a finish each give an account that adds up: who reads only the first, because the finish was given
 * up, reads no less than the truth. What is on its way to the dead letters is finish's to tell. */
static void account_for_drain(struct weir_consumer *consumer, struct weir_work *work)
{
    const struct weir_work *ended = &consumer->ended;
    int64_t stuck = 0;
    for (struct item *item = consumer->running; item; item = item->list_next) {
        item->stuck = item->call != NULL;
        stuck += item->stuck;
    }
    consumer->told = *ended;
    consumer->aside = consumer->running_count - stuck;
    work->in_flight += ended->in_flight - consumer->aside;
    work->completed += ended->completed;
    work->cancelled += ended->cancelled;
    work->kept += ended->kept;
    work->stuck += stuck;
}

/* Holds: lock. */
static void account_for_finish(struct weir_consumer *consumer, struct weir_work *work)
{
    int64_t completed = consumer->ended.completed - consumer->told.completed;
    int64_t cancelled = consumer->ended.cancelled - consumer->told.cancelled;
    work->in_flight += consumer->aside;
    work->completed += completed;
    work->cancelled += cancelled;
    work->kept += consumer->aside - completed - cancelled; /* set aside or not, it comes again */
}

enum weir_status consumer_drain(void *self, struct weir_context *context, struct weir_work *work,
                                struct weir_error *err)
{
    struct weir_consumer *consumer = self;
    struct condition_watch watch;
    (void)err;
    condition_watch(&watch, context, &consumer->lock, &consumer->idle);
    pthread_mutex_lock(&consumer->lock);
    wait_until_idle(consumer, context);
    pthread_mutex_unlock(&consumer->lock);
    condition_unwatch(&watch);

    consumer_cancel_all(consumer);
    pthread_mutex_lock(&consumer->lock);
    wait_for_cancelled(consumer);
    account_for_drain(consumer, work);
    pthread_mutex_unlock(&consumer->lock);
    return WEIR_OK;
}

/* ---- finish ---- */

static void stop_threads(struct weir_consumer *consumer, bool stuck)
{
    atomic_store(&consumer->poller_stops, true);
    rd_kafka_queue_yield(consumer->events);
    pthread_join(consumer->poller, NULL);
    rd_kafka_queue_destroy(consumer->events);
    consumer->events = NULL;
    for (int64_t i = 0; i < consumer->worker_count && !stuck; i++)
        pthread_join(consumer->workers[i], NULL);
}

/* Leaves the group; answers the rebalance that comes of it. */
static bool close_group(struct weir_consumer *consumer, int64_t deadline_ns)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(consumer->client);
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(consumer->client, queue);
    bool begun = error == NULL;
    if (error)
        rd_kafka_error_destroy(error);
    while (begun && !rd_kafka_consumer_closed(consumer->client)) {
        int left_ms = client_left_ms(deadline_ns, 20);
        if (left_ms == 0)
            break;
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, left_ms);
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE)
            rd_kafka_assign(consumer->client, NULL);
        rd_kafka_event_destroy(event);
    }
    bool closed = begun && rd_kafka_consumer_closed(consumer->client);
    rd_kafka_queue_destroy(queue);
    return closed;
}

enum weir_status consumer_finish(void *self, struct weir_context *context, struct weir_work *work,
                                 struct weir_error *err)
{
    struct weir_consumer *consumer = self;
    (void)err;
    pthread_mutex_lock(&consumer->lock);
    bool stuck = count_handlers(consumer) > 0;
    pthread_mutex_unlock(&consumer->lock);
    stop_threads(consumer, stuck);
    dead_letters_finish(consumer, context);
    bool committed = commit_now(consumer, NULL, NULL, client_share(weir_context_deadline_ns(context), 5));
    transaction_stop(consumer, client_share(weir_context_deadline_ns(context), 5));
    pthread_mutex_lock(&consumer->lock);
    int64_t missing = commit_missing(consumer);
    pthread_mutex_unlock(&consumer->lock);
    bool closed = committed && close_group(consumer, client_share(weir_context_deadline_ns(context), 8));

    cluster_stop(consumer->cluster);
    partitions_revoke(consumer, NULL, true /* nothing is committed any more */, 0);
    rd_kafka_t *client = consumer->client;
    consumer->client = NULL;
    int flags = closed ? 0 : RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE;
    /* Not to the end: a finish that returns at its limit counts as given up, with all that it has counted. */
    if (!client_destroy(client, flags, client_share(weir_context_deadline_ns(context), 8)))
        weir_log_warn("the Kafka client was left behind: it did not end in its time",
                      weir_field_text("consumer", consumer->component.name));

    pthread_mutex_lock(&consumer->lock);
    account_for_finish(consumer, work);
    work->uncommitted += missing;
    pthread_mutex_unlock(&consumer->lock);
    return WEIR_OK;
}
