#include "observe/metrics.h"

#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "core/memory.h"
#include "observe/cells.h"

/* Upper bounds of the buckets, in microseconds; one more bucket has none. */
static const int64_t bounds_us[] = {500,    1000,   2500,   5000,    10000,   25000,   50000,
                                    100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000};
#define BOUNDS (sizeof bounds_us / sizeof bounds_us[0])

/* What all kinds begin with. Held by lock, but for what never changes. */
struct metric {
    struct metric *next; /* of the family */
    char *labels;        /* as shown: method="Get",status="OK" */
};

struct counter {
    struct metric metric;
    size_t cell;
};

struct histogram {
    struct metric metric;
    size_t cell; /* the first of its buckets, each for itself and summed up when shown; behind them the sum */
};
#define SUM_NS (BOUNDS + 1)

struct metric_source {
    struct metric metric;
    struct family *family;
    metric_read_fn *read;
    void *arg;
};

/* All metrics of one name. */
struct family {
    struct family *next;
    char *name, *help;
    enum metric_kind kind;
    bool asked; /* its metrics are sources */
    struct metric *metrics;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct family *families, **families_end = &families;
static struct family hidden; /* for metrics that contradict an earlier one; never shown */

/* ---- Making ---- */

static bool valid_name(const char *name)
{
    if (!name || !*name || isdigit((unsigned char)*name))
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && *name != '_')
            return false;
    return true;
}

static void append_escaped(struct weir_buffer *buffer, const char *text, bool quotes)
{
    for (; *text; text++) {
        if (*text == '\n')
            weir_buffer_append_text(buffer, "\\n");
        else if (*text == '\\' || (quotes && *text == '"'))
            weir_buffer_printf(buffer, "\\%c", *text);
        else
            weir_buffer_append_byte(buffer, (uint8_t)*text);
    }
}

/* Caller owns the result; NULL when a label's name is none. */
static char *render_labels(const struct metric_options *options)
{
    struct weir_buffer buffer = {0};
    bool valid = true;
    for (size_t i = 0; i < METRIC_LABELS_MAX && options->labels[i].name; i++) {
        const struct metric_label *label = &options->labels[i];
        valid &= valid_name(label->name) && strcmp(label->name, "le") != 0;
        weir_buffer_printf(&buffer, "%s%s=\"", i > 0 ? "," : "", label->name);
        append_escaped(&buffer, label->value ? label->value : "", true);
        weir_buffer_append_text(&buffer, "\"");
    }
    char *labels = valid ? memory_strdup(weir_buffer_text(&buffer)) : NULL;
    weir_buffer_free(&buffer);
    return labels;
}

/* Holds: lock. NULL when the name means something else already. */
static struct family *family_of(enum metric_kind kind, bool asked, const struct metric_options *options)
{
    for (struct family *family = families; family; family = family->next)
        if (strcmp(family->name, options->name) == 0)
            return family->kind == kind && family->asked == asked ? family : NULL;

    struct family *family = NEW(struct family);
    family->name = memory_strdup(options->name);
    family->help = memory_strdup(options->help ? options->help : "");
    family->kind = kind;
    family->asked = asked;
    *families_end = family;
    families_end = &family->next;
    return family;
}

static struct metric *find(const struct family *family, const char *labels)
{
    for (struct metric *metric = family->metrics; metric; metric = metric->next)
        if (strcmp(metric->labels, labels) == 0)
            return metric;
    return NULL;
}

/* Holds: lock. Two of a kind in one process, each with numbers of its own (two apps of one name, two databases of
 * one section): the later ones get a label more. Takes `labels`. */
static char *distinguish(const struct family *family, char *labels)
{
    char *own = memory_strdup(labels);
    for (int copy = 2; find(family, own); copy++) {
        free(own);
        own = memory_printf("%s%scopy=\"%d\"", labels, *labels ? "," : "", copy);
    }
    free(labels);
    return own;
}

/* The metric of this name and these labels; a new one of `size` bytes when there is none, with `init` for what
 * is its kind's. */
static struct metric *metric_of(enum metric_kind kind, bool asked, const struct metric_options *options,
                                size_t size, void (*init)(struct metric *metric), struct family **ret_family)
{
    char *labels = render_labels(options);
    pthread_mutex_lock(&lock);
    struct family *family = labels && valid_name(options->name) ? family_of(kind, asked, options) : NULL;
    if (family && asked)
        labels = distinguish(family, labels);
    struct metric *metric = family ? find(family, labels) : NULL;
    bool wrong = !family;
    if (wrong) {
        family = &hidden;
        metric = NULL;
    }
    if (!metric) {
        metric = memory_zalloc(size);
        metric->labels = labels;
        labels = NULL;
        if (init)
            init(metric);
        struct metric **end = &family->metrics;
        while (*end)
            end = &(*end)->next;
        *end = metric;
    }
    pthread_mutex_unlock(&lock);

    free(labels);
    if (wrong)
        weir_log_error("metric contradicts another one of its name, or has a bad name or label",
                       weir_field_text("metric", options->name));
    *ret_family = family;
    return metric;
}

static void init_counter(struct metric *metric)
{
    ((struct counter *)metric)->cell = cells_take(1);
}

struct counter *metrics_counter(const struct metric_options *options)
{
    struct family *family;
    return (struct counter *)metric_of(METRIC_COUNTER, false, options, sizeof(struct counter), init_counter,
                                       &family);
}

static void init_histogram(struct metric *metric)
{
    ((struct histogram *)metric)->cell = cells_take(SUM_NS + 1);
}

struct histogram *metrics_histogram(const struct metric_options *options)
{
    struct family *family;
    return (struct histogram *)metric_of(METRIC_HISTOGRAM, false, options, sizeof(struct histogram),
                                         init_histogram, &family);
}

struct metric_source *metrics_source(enum metric_kind kind, const struct metric_options *options,
                                     metric_read_fn *read, void *arg)
{
    struct family *family;
    struct metric_source *source =
        (struct metric_source *)metric_of(kind, true, options, sizeof(struct metric_source), NULL, &family);
    pthread_mutex_lock(&lock);
    source->family = family;
    source->arg = arg;
    source->read = read;
    pthread_mutex_unlock(&lock);
    return source;
}

void metrics_source_remove(struct metric_source *source)
{
    if (!source)
        return;
    pthread_mutex_lock(&lock);
    struct metric **link = &source->family->metrics;
    while (*link != &source->metric)
        link = &(*link)->next;
    *link = source->metric.next;
    pthread_mutex_unlock(&lock);
    free(source->metric.labels);
    free(source);
}

/* ---- Counting ---- */

void counter_add(struct counter *counter, int64_t more)
{
    cells_add(counter->cell, more);
}

int64_t counter_value(const struct counter *counter)
{
    return cells_sum(counter->cell);
}

void histogram_observe_ns(struct histogram *histogram, int64_t ns)
{
    size_t bucket = 0;
    while (bucket < BOUNDS && ns > bounds_us[bucket] * 1000)
        bucket++;
    cells_add(histogram->cell + bucket, 1);
    cells_add(histogram->cell + SUM_NS, ns > 0 ? ns : 0);
}

int64_t histogram_count(const struct histogram *histogram)
{
    int64_t count = 0;
    for (size_t i = 0; i <= BOUNDS; i++)
        count += cells_sum(histogram->cell + i);
    return count;
}

/* ---- Showing ---- */

/* NAME+suffix{labels,more} and a space. */
static void append_name(struct weir_buffer *text, const struct family *family, const char *suffix,
                        const struct metric *metric, const char *more)
{
    weir_buffer_printf(text, "%s%s", family->name, suffix);
    if (*metric->labels || *more)
        weir_buffer_printf(text, "{%s%s%s}", metric->labels, *metric->labels && *more ? "," : "", more);
    weir_buffer_append_text(text, " ");
}

static void append_double(struct weir_buffer *text, double number)
{
    char shown[32];
    if (isnan(number))
        snprintf(shown, sizeof shown, "NaN");
    else if (isinf(number))
        snprintf(shown, sizeof shown, number > 0 ? "+Inf" : "-Inf");
    else
        snprintf(shown, sizeof shown, "%.15g", number);
    weir_buffer_printf(text, "%s\n", shown);
}

static void append_histogram(struct weir_buffer *text, const struct family *family,
                             const struct histogram *histogram)
{
    int64_t count = 0;
    for (size_t i = 0; i <= BOUNDS; i++) {
        char bound[32] = "le=\"+Inf\"";
        if (i < BOUNDS)
            snprintf(bound, sizeof bound, "le=\"%g\"", (double)bounds_us[i] / 1e6);
        count += cells_sum(histogram->cell + i);
        append_name(text, family, "_bucket", &histogram->metric, bound);
        weir_buffer_printf(text, "%lld\n", (long long)count);
    }
    append_name(text, family, "_sum", &histogram->metric, "");
    append_double(text, (double)cells_sum(histogram->cell + SUM_NS) / WEIR_NS_PER_S);
    append_name(text, family, "_count", &histogram->metric, "");
    weir_buffer_printf(text, "%lld\n", (long long)count);
}

static void append_metric(struct weir_buffer *text, const struct family *family, const struct metric *metric)
{
    if (family->kind == METRIC_HISTOGRAM) {
        append_histogram(text, family, (const struct histogram *)metric);
        return;
    }
    append_name(text, family, "", metric, "");
    if (family->asked) {
        const struct metric_source *source = (const struct metric_source *)metric;
        append_double(text, source->read ? source->read(source->arg) : 0);
    } else {
        weir_buffer_printf(text, "%lld\n", (long long)counter_value((const struct counter *)metric));
    }
}

void metrics_write(struct weir_buffer *ret_text)
{
    static const char *const kinds[] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
    pthread_mutex_lock(&lock);
    for (const struct family *family = families; family; family = family->next) {
        if (!family->metrics)
            continue;
        weir_buffer_printf(ret_text, "# HELP %s ", family->name);
        append_escaped(ret_text, family->help, false);
        weir_buffer_printf(ret_text, "\n# TYPE %s %s\n", family->name, kinds[family->kind]);
        for (const struct metric *metric = family->metrics; metric; metric = metric->next)
            append_metric(ret_text, family, metric);
    }
    pthread_mutex_unlock(&lock);
}
