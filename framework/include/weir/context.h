/* How long something may take, whether anybody still wants it, and on whose behalf it runs.
 *
 * A context flows from the edge to every downstream call. A child's deadline is never later than its
 * parent's, and a parent's cancellation reaches its children. Any thread. */
#ifndef WEIR_CONTEXT_H
#define WEIR_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/export.h>
#include <weir/status.h>

struct weir_context;

/* On weir_now_ns()'s clock; WEIR_NEVER when there is none. May move earlier, never later. */
WEIR_API int64_t weir_context_deadline_ns(const struct weir_context *context);

/* 0 once it is over; INT64_MAX when there is no deadline. */
WEIR_API int64_t weir_context_left_ms(const struct weir_context *context);

/* OK while the work is wanted; then CANCELLED or DEADLINE_EXCEEDED, and that stays. */
WEIR_API enum weir_status weir_context_status(const struct weir_context *context);

/* Blocks for `ms`, or until the context is over. OK when the time passed; else as weir_context_status(). */
WEIR_API enum weir_status weir_context_sleep(struct weir_context *context, int64_t ms);

/* W3C traceparent ("00-<32 hex>-<16 hex>-<2 hex>") of this piece of work. Never NULL; may be empty. */
WEIR_API const char *weir_context_traceparent(const struct weir_context *context);

/* Who asks, as authentication found; NULL when nobody is known. Lives as long as the context. */
WEIR_API const char *weir_context_principal(const struct weir_context *context);

/* A drain or finish whose stop is a handover: a successor serves already. Leave it what is shared with it: an
 * announcer its entry in a registry, which is the successor's by now. */
WEIR_API bool weir_context_handover(const struct weir_context *context);

/* Told once, when the context is over, on the thread that ended it: must not block. Zero it first. */
struct weir_context_watch {
    void (*over)(struct weir_context_watch *watch, enum weir_status status);
    struct weir_context *context;            /* weir's */
    struct weir_context_watch *next, **link; /* weir's */
};

/* Borrows `watch` until it was told or removed. When the context is over already, `over` is called at
 * once. */
WEIR_API void weir_context_watch(struct weir_context *context, struct weir_context_watch *watch);

/* After this returns `over` is neither running on another thread nor will be called. */
WEIR_API void weir_context_unwatch(struct weir_context_watch *watch);

#endif
