/* Time. All deadlines in weir are on the monotonic clock, in nanoseconds; WEIR_NEVER means none. Any
 * thread. */
#ifndef WEIR_CLOCK_H
#define WEIR_CLOCK_H

#include <stdint.h>

#include <weir/export.h>

#define WEIR_NEVER INT64_MAX
#define WEIR_NS_PER_MS INT64_C(1000000)
#define WEIR_NS_PER_S INT64_C(1000000000)

WEIR_API int64_t weir_now_ns(void);  /* monotonic */
WEIR_API int64_t weir_unix_ns(void); /* since 1970-01-01, UTC */

/* now + ms; WEIR_NEVER when ms is negative or the sum would overflow. */
WEIR_API int64_t weir_deadline_in_ms(int64_t ms);

/* For tests: both clocks are asked of `source` instead. NULL puts the system's back. Set before threads
 * run. */
struct weir_clock_source {
    int64_t (*now_ns)(void *self);
    int64_t (*unix_ns)(void *self);
    void *self;
};
WEIR_API void weir_clock_set_source(const struct weir_clock_source *source); /* Borrows until replaced */

#endif
