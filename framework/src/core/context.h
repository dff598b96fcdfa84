/* A context from the inside: for those who make, limit and cancel one. See <weir/context.h>. */
#ifndef WEIR_CORE_CONTEXT_H
#define WEIR_CORE_CONTEXT_H

#include <pthread.h>
#include <stdatomic.h>

#include <weir/context.h>

#define TRACEPARENT_SIZE 56 /* "00-" 32 "-" 16 "-" 2 and the terminator */

/* Deadlines are passive: nobody is woken by the clock alone, except in context_sleep. Who watches for a
 * deadline (a transport, a channel) keeps a timer and calls context_end(). */
struct weir_context {
    _Atomic int64_t deadline_ns;
    _Atomic int ended;    /* enum weir_status; 0 while it goes on */
    pthread_mutex_t lock; /* watches, and the end */
    pthread_cond_t over;  /* on the monotonic clock; made with the first sleeper */
    bool has_condition;
    struct weir_context_watch *watches;
    struct weir_context_watch *telling; /* whose `over` runs now, on `teller` */
    pthread_t teller;
    bool *gone; /* on the teller's stack, while it tells: set when what it tells has cleaned the context up */
    struct weir_context *parent;
    struct weir_context_watch parent_watch;
    const char *principal; /* borrows; NULL */
    bool handover;
    char traceparent[TRACEPARENT_SIZE];
};

/* `parent` may be NULL: then there is no trace and no principal. It must outlive the child. The deadline is
 * the earlier of the parent's and `deadline_ns`; trace id and principal are the parent's, with a span id of
 * its own. */
void context_init(struct weir_context *context, struct weir_context *parent, int64_t deadline_ns);
/* Nobody watches or sleeps any more. May be called by a watch that is told of the end. */
void context_clean_up(struct weir_context *context);

/* The first end counts: CANCELLED or DEADLINE_EXCEEDED. Tells the watches. Any thread. */
void context_end(struct weir_context *context, enum weir_status status);

/* Moves the deadline to the earlier one and wakes sleepers. Any thread. */
void context_limit(struct weir_context *context, int64_t deadline_ns);
/* The same before anybody else has the context: no lock. */
void context_limit_new(struct weir_context *context, int64_t deadline_ns);

/* Takes over what a client sent, when it is valid (W3C Trace Context, 3.2), with a new span id; else starts a
 * trace. */
void context_set_trace(struct weir_context *context, const char *traceparent);

#endif
