/* How long things took, in buckets 3 % wide: for percentiles. Any thread. */
#ifndef LOAD_LATENCY_H
#define LOAD_LATENCY_H

#include <stdatomic.h>
#include <stdint.h>

#define LATENCY_BUCKETS (32 * 36)

/* Zero is empty. */
struct latency {
    atomic_int_fast64_t buckets[LATENCY_BUCKETS];
    atomic_int_fast64_t longest_us;
};

void latency_add(struct latency *latency, int64_t took_ns);
/* In ms; of all that were added, this percentage took at most so long. 0 when nothing was added. */
double latency_ms(const struct latency *latency, double percent);

#endif
