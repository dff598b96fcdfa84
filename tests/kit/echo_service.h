/* The handlers of echo.proto, which the transports' tests share, and what they saw. Fields are read under
 * `lock`, or when nothing runs any more. */
#ifndef ECHO_SERVICE_H
#define ECHO_SERVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/app.h>

#include "echo.weir.h"

#define ECHO_HELD_MAX 64

struct echo_service {
    pthread_mutex_t lock;
    pthread_cond_t changed;

    int64_t echoed;   /* Echo: handler runs */
    int64_t failed;   /* Fail */
    int64_t waiting;  /* Wait: blocked in their handler now */
    int64_t waited;   /* Wait: left their handler */
    int64_t deferred; /* Wait: answered PENDING, all in all */
    int64_t opened;   /* streams */
    int64_t messages; /* taken by Sum and Chat */
    int64_t sent;     /* by Count and Chat, those of PENDING too */
    int64_t half_closed;
    int64_t cancelled;    /* streams that were told */
    int64_t draining;     /* streams that were told */
    int64_t writable;     /* times that a stream was told */
    int64_t last_left_ms; /* what the last draining callback was given */
    char last_key[64];    /* of the last Echo */
    char last_message_id[128];

    /* Echo fails with this status so many times, then works: for retries. */
    enum weir_status echo_status;
    int64_t echo_failures;

    /* Calls that wait for echo_service_release(): deferred Waits, Chats that answer later. Held. */
    struct weir_call *held[ECHO_HELD_MAX];
    int held_count;
};

/* `inline_`: handlers run on the transport's own threads; Wait does not. The service's memory is the caller's
 * and must outlive the app. */
struct weir_service *echo_service_start_with(struct weir_app *app, struct echo_service *echo, bool inline_);

/* For the call layer's tests: without an app. */
void echo_service_init(struct echo_service *echo);
void echo_service_clean_up(struct echo_service *echo);
extern const struct echo_handlers echo_service_handlers, echo_service_inline_handlers;

/* Until `*counter` is at least `least`; false after 10 s. */
bool echo_service_wait(struct echo_service *echo, const int64_t *counter, int64_t least);

/* Answers the calls that are held: a Wait ends with `status`, a Chat sends its answer and goes on. */
void echo_service_release(struct echo_service *echo, enum weir_status status);

#endif
