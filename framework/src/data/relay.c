/* What the relays on SQLite and on PostgreSQL share. See outbox.h. */
#include <string.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "data/outbox.h"

#define COMPLAIN_NS (10 * WEIR_NS_PER_S)

int64_t relay_unpublished(const struct weir_outbox *outbox)
{
    return outbox->known > outbox->published ? outbox->known - outbox->published : 0;
}

/* A hundredth of the time that rows are kept, so that none is kept much longer. */
int64_t relay_prune_interval_ms(const struct weir_outbox *outbox)
{
    int64_t ms = outbox->settings.keep_ms / 100;
    return ms < 1000 ? 1000 : ms > 60000 ? 60000 : ms;
}

/* Holds: lock. A burst of failures is one. */
void relay_back_off(struct weir_outbox *outbox, const char *why)
{
    int64_t now = weir_now_ns();
    if (now < outbox->retry_at_ns)
        return;
    int64_t next = outbox->backoff_ms ? outbox->backoff_ms * 2 : outbox->first_backoff_ms;
    outbox->backoff_ms = next < outbox->longest_backoff_ms ? next : outbox->longest_backoff_ms;
    outbox->retry_at_ns = now + outbox->backoff_ms * WEIR_NS_PER_MS;
    if (outbox->complained_ns && now - outbox->complained_ns < COMPLAIN_NS)
        return;
    outbox->complained_ns = now;
    outbox->complaining = true;
    weir_log_warn("events wait in the outbox", weir_field_text("component", outbox->name),
                  weir_field_text("error", why), weir_field_int("unpublished", relay_unpublished(outbox)));
}

/* Holds: lock. */
static void good_again(struct weir_outbox *outbox)
{
    if (outbox->backoff_ms == 0 || outbox->window.failed.first)
        return;
    outbox->backoff_ms = 0;
    if (!outbox->complaining)
        return;
    outbox->complaining = false;
    weir_log_info("events leave the outbox again", weir_field_text("component", outbox->name));
}

/* Holds: lock. */
void relay_set_published(struct weir_outbox *outbox, int64_t id)
{
    if (outbox->published == outbox->marked) {
        outbox->mark_due_ns = weir_now_ns() + RELAY_MARK_DELAY_NS;
        pthread_cond_signal(&outbox->to_mark);
    }
    outbox->published = id;
}

/* Holds: lock. */
void relay_move_published(struct weir_outbox *outbox)
{
    int64_t id = window_pop(&outbox->window);
    if (id > 0)
        relay_set_published(outbox, id);
}

bool relay_cluster_changed(const struct weir_outbox *outbox)
{
    return outbox->seen_cluster[0] && strcmp(outbox->seen_cluster, outbox->stored_cluster) != 0;
}

/* Holds: lock. A report has something to do for the sender, or the stop; most have not, and wake nobody. */
static bool somebody_waits(const struct weir_outbox *outbox)
{
    const struct window *window = &outbox->window;
    return window->ready.first || window->failed.first || window->sent == 0 ||
           (outbox->cursor < outbox->known && !outbox->gathers) || relay_cluster_changed(outbox);
}

/* Runs on: the producer's thread. */
void relay_delivered(void *state, enum weir_status status, int32_t partition, int64_t offset,
                     const char *error)
{
    (void)partition, (void)offset;
    struct row *row = state;
    struct weir_outbox *outbox = row->owner;
    pthread_mutex_lock(&outbox->lock);
    if (status == WEIR_OK) {
        window_done(&outbox->window, row);
        if (!outbox->lanes) /* else its round marks it */
            relay_move_published(outbox);
        good_again(outbox);
    } else {
        row->rejected = status == WEIR_INVALID_ARGUMENT;
        window_failed(&outbox->window, row);
        if (!row->rejected)
            relay_back_off(outbox, error);
    }
    bool last = outbox->orphaned && outbox->window.sent == 0;
    if (somebody_waits(outbox))
        pthread_cond_broadcast(&outbox->changed);
    pthread_mutex_unlock(&outbox->lock);
    if (last)
        outbox_free(outbox);
}
