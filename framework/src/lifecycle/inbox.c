#include "lifecycle/inbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <weir/clock.h>

void inbox_init(struct inbox *inbox)
{
    *inbox = (struct inbox){.descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    inbox->last = &inbox->first;
    if (inbox->descriptor < 0) {
        perror("weir: eventfd");
        abort();
    }
    pthread_mutex_init(&inbox->lock, NULL);
}

void inbox_clean_up(struct inbox *inbox)
{
    close(inbox->descriptor);
    pthread_mutex_destroy(&inbox->lock);
}

/* Holds: lock. */
static void queue(struct inbox *inbox, struct message *message)
{
    message->queued = true;
    message->next = NULL;
    message->at_ns = weir_now_ns();
    *inbox->last = message;
    inbox->last = &message->next;
    eventfd_write(inbox->descriptor, 1);
}

void inbox_post(struct inbox *inbox, struct message *message)
{
    pthread_mutex_lock(&inbox->lock);
    if (!message->queued)
        queue(inbox, message);
    pthread_mutex_unlock(&inbox->lock);
}

void inbox_post_text(struct inbox *inbox, struct message *message, enum weir_status status, const char *text)
{
    pthread_mutex_lock(&inbox->lock);
    if (!message->queued) {
        message->status = status;
        snprintf(message->text, sizeof message->text, "%s", text ? text : "");
        queue(inbox, message);
    }
    pthread_mutex_unlock(&inbox->lock);
}

void inbox_wake(struct inbox *inbox)
{
    eventfd_write(inbox->descriptor, 1);
}

bool inbox_take(struct inbox *inbox, struct message *ret_message)
{
    pthread_mutex_lock(&inbox->lock);
    struct message *message = inbox->first;
    if (message) {
        *ret_message = *message;
        inbox->first = message->next;
        if (!inbox->first)
            inbox->last = &inbox->first;
        message->queued = false;
    } else {
        eventfd_t count;
        eventfd_read(inbox->descriptor, &count);
    }
    pthread_mutex_unlock(&inbox->lock);
    return message != NULL;
}
