#include "load/latency.h"

/* Below 32 us a bucket is 1 us wide; above, every power of two has 32 buckets. */
static int bucket_of(int64_t us)
{
    int shift = 0;
    while (us >> shift >= 64)
        shift++;
    int bucket = 32 * shift + (int)(us >> shift);
    return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

/* The greatest that falls into it. */
static int64_t bucket_us(int bucket)
{
    if (bucket < 64)
        return bucket;
    int shift = bucket / 32 - 1;
    return ((int64_t)(bucket - 32 * shift + 1) << shift) - 1;
}

void latency_add(struct latency *latency, int64_t took_ns)
{
    int64_t us = took_ns > 0 ? took_ns / 1000 : 0;
    atomic_fetch_add(&latency->buckets[bucket_of(us)], 1);
    int_fast64_t longest = atomic_load(&latency->longest_us);
    while (us > longest && !atomic_compare_exchange_weak(&latency->longest_us, &longest, us))
        ;
}

double latency_ms(const struct latency *latency, double percent)
{
    int64_t count = 0, seen = 0;
    for (int i = 0; i < LATENCY_BUCKETS; i++)
        count += atomic_load(&latency->buckets[i]);
    int64_t longest = atomic_load(&latency->longest_us);
    for (int i = 0; i < LATENCY_BUCKETS; i++) {
        seen += atomic_load(&latency->buckets[i]);
        if (seen > 0 && (double)seen >= (double)count * percent / 100) {
            int64_t us = bucket_us(i);
            return (double)(us < longest ? us : longest) / 1000;
        }
    }
    return 0;
}
