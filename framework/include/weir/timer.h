/* Work that nobody calls: done every so often, and at once when woken. A component: at a stop the step that
 * runs is waited for, cancelled when its time is over, and none begins any more. */
#ifndef WEIR_TIMER_H
#define WEIR_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/call.h>
#include <weir/component.h>
#include <weir/export.h>

/* One step, on the timer's own thread; may block. weir_call_self(call) is the timer's `self`. True: there is
 * more to do, so come again at once. What it fails at it logs itself, and tries again the next time. */
typedef bool weir_timer_step_fn(struct weir_call *call);

struct weir_timer_options {
    int64_t every_ms;   /* from the end of one step to the begin of the next. Required. Key every_ms */
    int64_t timeout_ms; /* a step's deadline. Default 30,000. Key timeout_ms */
    void *self;         /* Borrows until the app is destroyed */
    const void *needs[WEIR_NEEDS_MAX];
};

struct weir_timer;
WEIR_API struct weir_timer *weir_timer_add(struct weir_app *app, const char *name, weir_timer_step_fn *step,
                                           const struct weir_timer_options *options);

/* A step begins as soon as the running one, if any, has ended. Never blocks. Any thread. */
WEIR_API void weir_timer_wake(struct weir_timer *timer);

#endif
