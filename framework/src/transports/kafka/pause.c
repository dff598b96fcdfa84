/* While what the service needs is away (a database that is locked, full or not reached), messages are not to blame: handlers
 * begin one at a time, with back-off, to look whether it is back, and no attempt counts. Everything else waits where it is. */
#include <weir/clock.h>

#include "call/call.h"
#include "transports/kafka/consumer.h"

static bool is_away(const struct weir_consumer *consumer)
{
    return component_is_away(&consumer->component) || component_is_away(&consumer->service->component);
}

static bool was_away(const struct weir_consumer *consumer, int64_t since_ns)
{
    return component_was_away(&consumer->component, since_ns) ||
           component_was_away(&consumer->service->component, since_ns);
}

bool pause_holds(struct weir_consumer *consumer)
{
    bool away = is_away(consumer);
    if (away != consumer->paused) {
        consumer->paused = away;
        consumer->pause_backoff_ms = 0;
        consumer->pause_look_ns = 0;
        pthread_cond_broadcast(&consumer->work);
        pthread_cond_broadcast(&consumer->idle); /* a stop waits for gaps no more, which nobody closes */
    }
    return away && (consumer->running_count > 0 || weir_now_ns() < consumer->pause_look_ns);
}

void pause_tick(struct weir_consumer *consumer)
{
    pthread_mutex_lock(&consumer->lock);
    if ((consumer->paused || is_away(consumer)) && !pause_holds(consumer))
        pthread_cond_broadcast(&consumer->work);
    pthread_mutex_unlock(&consumer->lock);
}

/* A handler that did without what is away says nothing about it, and the next one need not wait. */
static void look_again(struct weir_consumer *consumer, bool in_vain)
{
    int64_t ms = consumer->pause_backoff_ms * 2;
    if (ms < CONSUMER_BACKOFF_FIRST_MS)
        ms = CONSUMER_BACKOFF_FIRST_MS;
    pthread_mutex_lock(&consumer->lock);
    consumer->pause_backoff_ms = !in_vain ? 0 : ms < CONSUMER_BACKOFF_MAX_MS ? ms : CONSUMER_BACKOFF_MAX_MS;
    consumer->pause_look_ns = in_vain ? weir_deadline_in_ms(consumer->pause_backoff_ms) : 0;
    pthread_mutex_unlock(&consumer->lock);
}

bool pause_excuses(struct weir_consumer *consumer, enum weir_status status, int64_t begun_ns)
{
    bool passes = weir_status_is_transient(status) || status == WEIR_DATA_LOSS || status == WEIR_INTERNAL;
    if (status != WEIR_OK && !passes)
        return false;
    bool excused = passes && was_away(consumer, begun_ns);
    if (excused || is_away(consumer))
        look_again(consumer, excused);
    return excused;
}
