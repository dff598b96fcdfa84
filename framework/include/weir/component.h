/* A component is anything with a lifetime: server, consumer, producer, channel, database, relay.
 *
 * Components declare what they need. The lifecycle starts them along those edges and stops them against
 * them, under one deadline. All operations of one component run one at a time, on a runner thread of its own.
 * Unless it says "Any thread", call a function from the thread that made the app, before weir_app_run(). */
#ifndef WEIR_COMPONENT_H
#define WEIR_COMPONENT_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/context.h>
#include <weir/error.h>
#include <weir/export.h>

struct weir_app;
struct weir_component;

/* What was in flight when the ingress had closed, and what became of it:
 * in_flight = completed + cancelled + stuck + kept. A drain and a finish add to it. */
struct weir_work {
    int64_t in_flight; /* at the return of quiesce, later arrivals on open connections included */
    int64_t completed;
    int64_t cancelled;   /* told to stop, and did */
    int64_t stuck;       /* told to stop, and still runs: nothing it may use will be destroyed */
    int64_t kept;        /* not done, but safe: rows that stay in the outbox */
    int64_t undelivered; /* messages without a delivery report */
    int64_t uncommitted; /* messages processed whose offset is not committed: they come again */
};

/* One static table per kind of component; `self` is what weir_component_add() was given.
 * A NULL member does nothing and succeeds. */
struct weir_component_ops {
    /* Returns once ready to serve. On failure leaves nothing running: only destroy is called. */
    enum weir_status (*start)(void *self, struct weir_context *context, struct weir_error *err);
    /* Takes no new work from outside. Should not block. */
    enum weir_status (*quiesce)(void *self, struct weir_error *err);
    /* Waits for accepted work. When the context is over, cancels what is left and returns within
     * cut_min_ms. */
    enum weir_status (*drain)(void *self, struct weir_context *context, struct weir_work *work,
                              struct weir_error *err);
    /* Makes results durable: commits offsets, flushes, checkpoints. Has finish_min_ms at least. */
    enum weir_status (*finish)(void *self, struct weir_context *context, struct weir_work *work,
                               struct weir_error *err);
    /* Frees everything, `self` too where it was allocated; whether or not it ever started. Should not
     * block. */
    void (*destroy)(void *self);
};

#define WEIR_NEEDS_MAX 32

/* Zero is the default everywhere. The configuration's section of the component's name overrides the times. */
struct weir_component_options {
    /* Handles of components that must be up before it, and outlive it: what any weir_*_add() returned.
     * NULL entries are passed over, so that a failed add is reported once. */
    const void *needs[WEIR_NEEDS_MAX];
    int64_t cut_min_ms;           /* from being told to cut until drain returns. Default 250, at least 10 */
    int64_t finish_min_ms;        /* reserved for finish. Default 0 */
    int64_t drain_max_ms;         /* more would not help it. Default: no limit of its own */
    int64_t start_timeout_ms;     /* Default 30,000 */
    bool ingress;                 /* takes work from outside; for the plan's warnings and the report */
    bool announcer;               /* tells others that we are here: has its turn at once when a stop begins */
    bool base;                    /* needed by every component that is not base (admin listener, telemetry) */
    struct {                      /* in place, after weir_component_failed(); dependants are untouched */
        int32_t most;             /* restarts within `within_ms`; one more becomes an orderly stop. 0: none */
        int64_t within_ms;        /* Default 60,000 */
        int64_t first_backoff_ms; /* Default 100; doubles up to */
        int64_t longest_backoff_ms; /* Default 5,000 */
    } restart;
};

/* Adds a component of one's own. Copies name and options; borrows ops and self until destroy.
 * Never NULL: mistakes (a name twice, a bad number) are reported by weir_app_run(), all at once. */
WEIR_API struct weir_component *weir_component_add(struct weir_app *app, const char *name,
                                                   const struct weir_component_ops *ops, void *self,
                                                   const struct weir_component_options *options);

/* The component died at run time: begins its restart where that is declared, else an orderly stop with
 * this as its cause. `component` is any handle. Copies err. Any thread, callbacks included. */
WEIR_API void weir_component_failed(const void *component, const struct weir_error *err);

WEIR_API const char *weir_component_name(const void *component);

/* While this component has its turn to start..finish. Any thread. */
WEIR_API struct weir_app *weir_component_app(const void *component);

#endif
