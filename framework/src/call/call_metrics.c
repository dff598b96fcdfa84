#include "call/call_metrics.h"

#include <pthread.h>
#include <stdatomic.h>

#include <weir/clock.h>

#include "call/call.h"
#include "core/memory.h"
#include "observe/cells.h"
#include "observe/metrics.h"

#define STATUSES (WEIR_UNAUTHENTICATED + 1)
#define SLOTS 4096 /* methods times transports of one process; what finds no place is not counted */

/* The metrics of one method on one transport; lives as long as the process, like its metrics. */
struct call_metrics {
    const struct weir_method *method;
    const struct call_ops *ops;
    _Atomic(struct counter *) totals[STATUSES]; /* NULL until the status occurs */
    struct histogram *seconds;
    size_t in_flight; /* a cell */
};

static _Atomic(struct call_metrics *) slots[SLOTS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* who fills a slot */

static struct metric_options options_of(const struct weir_call *call, const char *name, const char *help)
{
    return (struct metric_options){.name = name,
                                   .help = help,
                                   .labels = {{"service", call->service->type->full_name},
                                              {"method", call->method->name},
                                              {"transport", call->ops->name}}};
}

static double read_in_flight(void *arg)
{
    const struct call_metrics *record = arg;
    return (double)cells_sum(record->in_flight);
}

static struct call_metrics *record_new(const struct weir_call *call)
{
    struct call_metrics *record = NEW(struct call_metrics);
    record->method = call->method;
    record->ops = call->ops;
    struct metric_options seconds =
        options_of(call, "weir_call_seconds", "Time from a call's begin to its end");
    record->seconds = metrics_histogram(&seconds);
    record->in_flight = cells_take(1);
    struct metric_options in_flight =
        options_of(call, "weir_calls_in_flight", "Calls that have begun and not ended");
    metrics_source(METRIC_GAUGE, &in_flight, read_in_flight, record);
    return record;
}

static bool is_of(const struct call_metrics *record, const struct weir_call *call)
{
    return record->method == call->method && record->ops == call->ops;
}

/* Slots fill up and are never emptied, so a look needs no lock. */
static struct call_metrics *record_of(const struct weir_call *call)
{
    if (!call->method || !call->service)
        return NULL;
    size_t first = ((uintptr_t)call->method / 64 + (uintptr_t)call->ops / 16) % SLOTS;
    for (size_t i = 0; i < SLOTS; i++) {
        _Atomic(struct call_metrics *) *slot = &slots[(first + i) % SLOTS];
        struct call_metrics *record = atomic_load_explicit(slot, memory_order_acquire);
        if (!record) {
            pthread_mutex_lock(&lock);
            record = *slot;
            if (!record)
                atomic_store_explicit(slot, record = record_new(call), memory_order_release);
            pthread_mutex_unlock(&lock);
        }
        if (is_of(record, call))
            return record;
    }
    return NULL;
}

void call_metrics_begin(struct weir_call *call)
{
    struct call_metrics *record = call->metrics = record_of(call);
    if (record)
        cells_add(record->in_flight, 1);
}

void call_metrics_end(const struct weir_call *call)
{
    struct call_metrics *record = call->metrics;
    if (!record || (unsigned)call->status >= STATUSES)
        return;
    _Atomic(struct counter *) *slot = &record->totals[call->status];
    struct counter *total = atomic_load_explicit(slot, memory_order_acquire);
    if (!total) {
        struct metric_options options =
            options_of(call, "weir_calls_total", "Calls that have ended, by status");
        options.labels[3] = (struct metric_label){"status", weir_status_name(call->status)};
        total = metrics_counter(&options);
        atomic_store_explicit(slot, total, memory_order_release);
    }
    counter_add(total, 1);
    histogram_observe_ns(record->seconds, weir_now_ns() - call->begun_ns);
    cells_add(record->in_flight, -1);
}
