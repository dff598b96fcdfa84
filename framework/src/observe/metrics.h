/* Numbers for Prometheus. A metric is made once, with all its labels; afterwards it costs an addition to a cell
 * that only this thread writes (cells.h).
 *
 * Names follow Prometheus: weir_SUBJECT_UNIT, base units (seconds, bytes), "_total" for counters. Labels have
 * few values: methods and statuses, never ids or paths of clients. Any thread. */
#ifndef WEIR_OBSERVE_METRICS_H
#define WEIR_OBSERVE_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include <weir/bytes.h>

#define METRIC_LABELS_MAX 5

struct metric_label {
    const char *name, *value;
};

struct metric_options {
    const char *name;                              /* Required: [a-zA-Z_][a-zA-Z0-9_]* */
    const char *help;                              /* Required: one sentence without a full stop */
    struct metric_label labels[METRIC_LABELS_MAX]; /* ends with the first name that is NULL */
};

/* Counters and histograms live as long as the process: the same name and labels give the same one again.
 * Copies. Never NULL; a name that is used for another kind already is logged, and the metric is not shown. */
struct counter;
struct counter *metrics_counter(const struct metric_options *options);
void counter_add(struct counter *counter, int64_t more);
int64_t counter_value(const struct counter *counter);

/* Of durations, in fixed buckets from 0.5 ms to 10 s. */
struct histogram;
struct histogram *metrics_histogram(const struct metric_options *options);
void histogram_observe_ns(struct histogram *histogram, int64_t ns);
int64_t histogram_count(const struct histogram *histogram);

/* A number that is asked for when somebody looks. `read` must not block, and makes and removes no metric. */
enum metric_kind { METRIC_COUNTER = 1, METRIC_GAUGE, METRIC_HISTOGRAM };
typedef double metric_read_fn(void *arg);
struct metric_source;
/* METRIC_GAUGE, or METRIC_COUNTER for what never falls. With the name and labels of another source it is a second
 * series, with copy="2" added. Borrows arg until metrics_source_remove(). */
struct metric_source *metrics_source(enum metric_kind kind, const struct metric_options *options,
                                     metric_read_fn *read, void *arg);
/* After it returned `read` is not running and will not be called. NULL is fine. */
void metrics_source_remove(struct metric_source *source);

/* Appends all in the text format 0.0.4. */
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
void metrics_write(struct weir_buffer *ret_text);

/* The usual numbers of the process itself (process_..., as Prometheus' own clients name them), and the
 * log's dropped lines. Once; later calls do nothing. */
void metrics_add_process(void);

#endif
