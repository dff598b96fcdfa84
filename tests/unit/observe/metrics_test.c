/* Metrics and the text that Prometheus reads. The registry is the process's: each test uses names of its own
 * and looks only at their lines. */
#include "test.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>

#include "observe/metrics.h"

/* All lines about this name (a prefix). Caller owns the result. */
static char *lines_about(const char *name)
{
    struct weir_buffer text = {0}, found = {0};
    metrics_write(&text);
    char *copy = strdup(weir_buffer_text(&text));
    for (char *line = strtok(copy, "\n"); line; line = strtok(NULL, "\n")) {
        const char *subject = line[0] == '#' ? line + strlen("# HELP ") : line;
        if (strncmp(subject, name, strlen(name)) == 0)
            weir_buffer_printf(&found, "%s\n", line);
    }
    free(copy);
    weir_buffer_free(&text);
    char *lines = strdup(weir_buffer_text(&found));
    weir_buffer_free(&found);
    return lines;
}

#define assert_lines(name, expected)                                                                         \
    do {                                                                                                     \
        char *lines_ = lines_about(name);                                                                    \
        assert_string_equal(lines_, expected);                                                               \
        free(lines_);                                                                                        \
    } while (0)

static void counters_of_one_name_stand_together(void **state)
{
    (void)state;
    struct counter *get = metrics_counter(&(struct metric_options){
        .name = "a_calls_total", .help = "Calls", .labels = {{"method", "Get"}, {"status", "OK"}}});
    metrics_counter(&(struct metric_options){.name = "a_else_total", .help = "Else"});
    struct counter *put = metrics_counter(&(struct metric_options){
        .name = "a_calls_total", .help = "Calls", .labels = {{"method", "Put"}, {"status", "OK"}}});
    counter_add(get, 2);
    counter_add(put, 1);
    counter_add(get, 1);

    assert_lines("a_", "# HELP a_calls_total Calls\n"
                       "# TYPE a_calls_total counter\n"
                       "a_calls_total{method=\"Get\",status=\"OK\"} 3\n"
                       "a_calls_total{method=\"Put\",status=\"OK\"} 1\n"
                       "# HELP a_else_total Else\n"
                       "# TYPE a_else_total counter\n"
                       "a_else_total 0\n");
}

static void the_same_name_and_labels_are_the_same_counter(void **state)
{
    (void)state;
    const struct metric_options options = {.name = "b_total", .help = "B", .labels = {{"x", "1"}}};
    struct counter *first = metrics_counter(&options);
    counter_add(first, 1);
    counter_add(metrics_counter(&options), 1);
    assert_int_equal(counter_value(first), 2);
}

static void help_and_labels_are_escaped(void **state)
{
    (void)state;
    metrics_counter(&(struct metric_options){.name = "c_total",
                                             .help = "A \"line\" \\ and\nanother",
                                             .labels = {{"path", "C:\\\"x\"\n"}, {"none", NULL}}});
    assert_lines("c_", "# HELP c_total A \"line\" \\\\ and\\nanother\n"
                       "# TYPE c_total counter\n"
                       "c_total{path=\"C:\\\\\\\"x\\\"\\n\",none=\"\"} 0\n");
}

static void a_histogram_counts_up_to_each_bound(void **state)
{
    (void)state;
    struct histogram *histogram =
        metrics_histogram(&(struct metric_options){.name = "d_seconds", .help = "D", .labels = {{"m", "x"}}});
    static const int64_t observed_ns[] = {0, 500000, 500001, 10000000000, 10000000001, -5};
    for (size_t i = 0; i < sizeof observed_ns / sizeof observed_ns[0]; i++)
        histogram_observe_ns(histogram, observed_ns[i]);

    assert_int_equal(histogram_count(histogram), 6);
    assert_lines("d_", "# HELP d_seconds D\n"
                       "# TYPE d_seconds histogram\n"
                       "d_seconds_bucket{m=\"x\",le=\"0.0005\"} 3\n"
                       "d_seconds_bucket{m=\"x\",le=\"0.001\"} 4\n"
                       "d_seconds_bucket{m=\"x\",le=\"0.0025\"} 4\n"
                       "d_seconds_bucket{m=\"x\",le=\"0.005\"} 4\n"
                       "d_seconds_bucket{m=\"x\",le=\"0.01\"} 4\n"
                       "d_seconds_bucket{m=\"x\",le=\"0.025\"} 4\n"
                       "d_seconds_bucket{m=\"x\",le=\"0.05\"} 4\n"
                       "d_seconds_bucket{m=\"x\",le=\"0.1\"} 4\n"
                       "d_seconds_bucket{m=\"x\",le=\"0.25\"} 4\n"
                       "d_seconds_bucket{m=\"x\",le=\"0.5\"} 4\n"
                       "d_seconds_bucket{m=\"x\",le=\"1\"} 4\n"
                       "d_seconds_bucket{m=\"x\",le=\"2.5\"} 4\n"
                       "d_seconds_bucket{m=\"x\",le=\"5\"} 4\n"
                       "d_seconds_bucket{m=\"x\",le=\"10\"} 5\n"
                       "d_seconds_bucket{m=\"x\",le=\"+Inf\"} 6\n"
                       "d_seconds_sum{m=\"x\"} 20.001000002\n"
                       "d_seconds_count{m=\"x\"} 6\n");
}

static double read_double(void *arg)
{
    return *(double *)arg;
}

static void a_source_is_asked_each_time_until_it_is_removed(void **state)
{
    (void)state;
    double value = 1.5;
    const struct metric_options options = {.name = "e_bytes", .help = "E"};
    struct metric_source *source = metrics_source(METRIC_GAUGE, &options, read_double, &value);
    assert_lines("e_", "# HELP e_bytes E\n# TYPE e_bytes gauge\ne_bytes 1.5\n");
    value = 1048576;
    assert_lines("e_bytes 1", "e_bytes 1048576\n");
    value = NAN;
    assert_lines("e_bytes N", "e_bytes NaN\n");
    value = -INFINITY;
    assert_lines("e_bytes -", "e_bytes -Inf\n");
    metrics_source_remove(source);
    assert_lines("e_", "");

    source = metrics_source(METRIC_GAUGE, &options, read_double, &value);
    assert_lines("e_bytes -", "e_bytes -Inf\n");
    metrics_source_remove(source);
    metrics_source_remove(NULL);
}

/* Two apps of one name in a process, two databases of one section. */
static void sources_of_one_name_and_labels_are_series_of_their_own(void **state)
{
    (void)state;
    double values[] = {1, 2, 3};
    const struct metric_options options = {.name = "h_ready", .help = "H", .labels = {{"app", "a"}}};
    const struct metric_options bare = {.name = "i_ready", .help = "I"};
    struct metric_source *sources[5];
    for (int i = 0; i < 3; i++)
        sources[i] = metrics_source(METRIC_GAUGE, &options, read_double, &values[i]);
    for (int i = 0; i < 2; i++)
        sources[3 + i] = metrics_source(METRIC_GAUGE, &bare, read_double, &values[i]);
    assert_lines("h_ready{", "h_ready{app=\"a\"} 1\nh_ready{app=\"a\",copy=\"2\"} 2\n"
                             "h_ready{app=\"a\",copy=\"3\"} 3\n");
    assert_lines("i_ready", "# HELP i_ready I\n# TYPE i_ready gauge\ni_ready 1\ni_ready{copy=\"2\"} 2\n");
    metrics_source_remove(sources[1]);
    sources[1] = metrics_source(METRIC_GAUGE, &options, read_double, &values[0]);
    assert_lines("h_ready{", "h_ready{app=\"a\"} 1\nh_ready{app=\"a\",copy=\"3\"} 3\n"
                             "h_ready{app=\"a\",copy=\"2\"} 1\n");
    for (int i = 0; i < 5; i++)
        metrics_source_remove(sources[i]);
}

static void a_contradiction_is_usable_but_not_shown(void **state)
{
    (void)state;
    double value = 7;
    struct counter *counter = metrics_counter(&(struct metric_options){.name = "f_total", .help = "F"});
    struct metric_source *source = metrics_source(
        METRIC_COUNTER, &(struct metric_options){.name = "f_total", .help = "F"}, read_double, &value);
    histogram_observe_ns(metrics_histogram(&(struct metric_options){.name = "f_total", .help = "F"}), 1);
    counter_add(metrics_counter(&(struct metric_options){.name = "f total", .help = "F"}), 1);
    counter_add(
        metrics_counter(&(struct metric_options){.name = "f_x", .help = "F", .labels = {{"le", "1"}}}), 1);
    counter_add(counter, 3);

    assert_lines("f", "# HELP f_total F\n# TYPE f_total counter\nf_total 3\n");
    metrics_source_remove(source);
}

static void *count_to_10000(void *arg)
{
    for (int i = 0; i < 10000; i++) {
        counter_add(metrics_counter(&(struct metric_options){.name = "g_total", .help = "G"}), 1);
        histogram_observe_ns(arg, 1000000);
    }
    return NULL;
}

static void nothing_is_lost_among_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    struct histogram *histogram =
        metrics_histogram(&(struct metric_options){.name = "g_seconds", .help = "G"});
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_to_10000, histogram), 0);
    for (int i = 0; i < 20; i++)
        free(lines_about("g_"));
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_lines("g_total ", "# HELP g_total G\n# TYPE g_total counter\ng_total 40000\n");
    assert_lines("g_seconds_sum", "g_seconds_sum 40\n");
}

static void the_process_shows_itself(void **state)
{
    (void)state;
    metrics_add_process();
    metrics_add_process();
    char *lines = lines_about("process_");
    double cpu, memory, open, most, start;
    assert_int_equal(sscanf(strstr(lines, "\nprocess_cpu_seconds_total"), " %*s %lf", &cpu), 1);
    assert_int_equal(sscanf(strstr(lines, "\nprocess_resident_memory_bytes"), " %*s %lf", &memory), 1);
    assert_int_equal(sscanf(strstr(lines, "\nprocess_open_fds"), " %*s %lf", &open), 1);
    assert_int_equal(sscanf(strstr(lines, "\nprocess_max_fds"), " %*s %lf", &most), 1);
    assert_int_equal(sscanf(strstr(lines, "\nprocess_start_time_seconds"), " %*s %lf", &start), 1);
    assert_true(cpu >= 0 && memory > 100000 && open >= 3 && most > open && start > 1.7e9);
    free(lines);
    assert_lines("weir_log_lines_dropped_total 0", "weir_log_lines_dropped_total 0\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_of_one_name_stand_together),
        cmocka_unit_test(the_same_name_and_labels_are_the_same_counter),
        cmocka_unit_test(help_and_labels_are_escaped),
        cmocka_unit_test(a_histogram_counts_up_to_each_bound),
        cmocka_unit_test(a_source_is_asked_each_time_until_it_is_removed),
        cmocka_unit_test(sources_of_one_name_and_labels_are_series_of_their_own),
        cmocka_unit_test(a_contradiction_is_usable_but_not_shown),
        cmocka_unit_test(nothing_is_lost_among_threads),
        cmocka_unit_test(the_process_shows_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
