/* What other threads tell the lifecycle's thread: an operation returned, a component failed, stop. Every
 * message has its own place beforehand, so telling never allocates and never fails. Any thread. */
#ifndef WEIR_LIFECYCLE_INBOX_H
#define WEIR_LIFECYCLE_INBOX_H

#include <pthread.h>
#include <stdbool.h>

#include "lifecycle/engine.h"

struct message {
    enum event_kind kind; /* EVENT_RETURNED, EVENT_FAILED, EVENT_STOP */
    uint32_t part;
    enum op op;
    enum weir_status status;
    struct weir_work work;
    int64_t at_ns;
    char text[1024];

    struct message *next;
    bool queued;
};

struct inbox {
    pthread_mutex_t lock; /* all below, and what is queued */
    struct message *first, **last;
    int descriptor; /* an eventfd: readable while something is queued */
};

void inbox_init(struct inbox *inbox);
void inbox_clean_up(struct inbox *inbox);

/* Borrows `message` until it was taken, stamped with the time. One that is queued already stays as it is. */
void inbox_post(struct inbox *inbox, struct message *message);
/* The same; fills in status and text under the lock, so several threads may post one message. */
void inbox_post_text(struct inbox *inbox, struct message *message, enum weir_status status, const char *text);

/* Makes the descriptor readable once, with nothing to take. */
void inbox_wake(struct inbox *inbox);

/* Copies the oldest one and frees its place; false when there is none. */
bool inbox_take(struct inbox *inbox, struct message *ret_message);

#endif
