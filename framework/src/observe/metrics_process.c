/* The process's own numbers, from /proc and the C library. */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <weir/clock.h>

#include "observe/log.h"
#include "observe/metrics.h"

static double cpu_seconds(void *arg)
{
    (void)arg;
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* The second number of statm: pages in RAM (proc(5)). */
static double resident_bytes(void *arg)
{
    (void)arg;
    char text[128] = "";
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    const char *line = fgets(text, sizeof text, file);
    fclose(file);
    const char *second = line ? strchr(line, ' ') : NULL;
    return second ? (double)strtol(second, NULL, 10) * (double)sysconf(_SC_PAGESIZE) : 0;
}

static double open_descriptors(void *arg)
{
    (void)arg;
    DIR *directory = opendir("/proc/self/fd");
    if (!directory)
        return 0;
    int count = -3; /* ".", ".." and the one that looks */
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static double descriptors_max(void *arg)
{
    (void)arg;
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (double)limit.rlim_cur : 0;
}

static double start_time(void *arg)
{
    return (double)*(int64_t *)arg / WEIR_NS_PER_S;
}

static double log_lines_dropped(void *arg)
{
    (void)arg;
    return (double)log_dropped();
}

static void add_once(void)
{
    static int64_t begun_unix_ns;
    begun_unix_ns = weir_unix_ns();
    static const struct {
        enum metric_kind kind;
        const char *name, *help;
        metric_read_fn *read;
        void *arg;
    } sources[] = {
        {METRIC_COUNTER, "process_cpu_seconds_total", "CPU time used, user and system", cpu_seconds, NULL},
        {METRIC_GAUGE, "process_resident_memory_bytes", "Memory in RAM", resident_bytes, NULL},
        {METRIC_GAUGE, "process_open_fds", "Open file descriptors", open_descriptors, NULL},
        {METRIC_GAUGE, "process_max_fds", "The most file descriptors that may be open", descriptors_max,
         NULL},
        {METRIC_GAUGE, "process_start_time_seconds", "Start, since 1970-01-01 UTC", start_time,
         &begun_unix_ns},
        {METRIC_COUNTER, "weir_log_lines_dropped_total", "Log lines that nobody read fast enough",
         log_lines_dropped, NULL},
    };
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++)
        metrics_source(sources[i].kind,
                       &(struct metric_options){.name = sources[i].name, .help = sources[i].help},
                       sources[i].read, sources[i].arg);
}

void metrics_add_process(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, add_once);
}
