/* Lines are rendered by the thread that logs, put into a ring of bytes under a short lock, and written by one
 * thread that never holds the lock while it writes. So nobody waits for a slow reader of our standard error:
 * when the ring is full, lines are dropped, counted, and the count is itself a line. */
#include "observe/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/clock.h>

#include "core/memory.h"
#include "observe/log_line.h"

#define RING_BYTES ((size_t)1024 * 1024)
#define RING_RESERVE                                                                                         \
    (RING_BYTES / 4)   /* kept for warnings and errors, so that a flood of chatter does not hide them */
#define SLICE_MS 50    /* how often a writer that waits for its reader looks around */
#define DIRECT_MS 1000 /* how long a line waits when there is no thread to wait for it */

static const char *const level_names[] = {"debug", "info", "warn", "error", NULL};
static const char *const format_names[] = {"auto", "text", "json", NULL};

const struct weir_config_key log_config_keys[] = {
    {"level", WEIR_CONFIG_CHOICE, offsetof(struct log_options, level), .fallback = "info",
     .help = "the least that is logged", .choices = level_names},
    {"format", WEIR_CONFIG_CHOICE, offsetof(struct log_options, format), .fallback = "auto",
     .help = "of a line; auto is text on a terminal, else JSON", .choices = format_names},
    {0},
};

static _Atomic int least_level = WEIR_LOG_INFO;
static _Atomic int chosen_style; /* enum log_style; 0: not known yet */
static _Atomic int descriptor = STDERR_FILENO;
static _Atomic int64_t dropped; /* ever */

/* Read by those who log without the lock, so former names stay. */
struct service {
    struct service *former;
    char name[];
};
static _Atomic(struct service *) service;

/* Below: held by lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER; /* the writer waits for it */
static char *ring;                                     /* NULL: not started */
static size_t ring_begin, ring_size;
static bool writer_waits, stopping;
static int64_t left_ms;   /* once stopping: the patience with a reader that does not read */
static bool reader_stuck; /* without a thread: it has kept a line waiting once */
static pthread_t writer;
static pid_t writer_process;

/* ---- Configuration ---- */

static enum log_style style_for(int format)
{
    if (format == LOG_JSON)
        return LOG_STYLE_JSON;
    bool terminal = isatty(descriptor);
    if (format == LOG_AUTO && !terminal)
        return LOG_STYLE_JSON;
    const char *no_colour = getenv("NO_COLOR"); /* https://no-color.org */
    const char *kind = getenv("TERM");
    if (!terminal || (no_colour && *no_colour) || (kind && strcmp(kind, "dumb") == 0))
        return LOG_STYLE_TEXT;
    return LOG_STYLE_COLOUR;
}

void log_configure(const struct log_options *options)
{
    least_level = options->level;
    chosen_style = (int)style_for(options->format);
}

void log_set_descriptor(int new_descriptor)
{
    descriptor = new_descriptor;
    chosen_style = 0;
}

static enum log_style style(void)
{
    int known = atomic_load_explicit(&chosen_style, memory_order_relaxed);
    if (known == 0)
        chosen_style = known = (int)style_for(LOG_AUTO);
    return (enum log_style)known;
}

int weir_log_enabled(enum weir_log_level level)
{
    return (int)level >= atomic_load_explicit(&least_level, memory_order_relaxed);
}

int64_t log_dropped(void)
{
    return dropped;
}

/* ---- Writing ---- */

/* True when the descriptor takes a write of LOG_LINE_MAX bytes without blocking: a pipe that is writable has
 * room for PIPE_BUF (pipe(7)). Errors count as ready: the write reports them. */
static bool wait_writable(int ms)
{
    struct pollfd poll_one = {.fd = descriptor, .events = POLLOUT};
    return poll(&poll_one, 1, ms) != 0;
}

/* Counts the lines as dropped. */
static void lose(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        dropped += text[i] == '\n';
}

/* At most LOG_LINE_MAX bytes, after wait_writable(). Nobody can be told of a failure here. */
static void write_ready(const char *text, size_t size)
{
    while (size > 0) {
        ssize_t wrote = write(descriptor, text, size);
        if (wrote > 0) {
            text += wrote;
            size -= (size_t)wrote;
        } else if (wrote == 0 || (errno != EINTR && (errno != EAGAIN || !wait_writable(SLICE_MS)))) {
            lose(text, size);
            return;
        }
    }
}

/* Holds: lock. */
static void write_directly(const struct log_line *line)
{
    if (wait_writable(reader_stuck ? 0 : DIRECT_MS)) {
        reader_stuck = false;
        write_ready(line->text, line->size);
    } else {
        reader_stuck = true;
        dropped++;
    }
}

/* ---- The ring ---- */

/* Holds: lock. */
static bool ring_put(const struct log_line *line, enum weir_log_level level)
{
    size_t room = RING_BYTES - ring_size;
    size_t kept = level >= WEIR_LOG_WARN ? 0 : RING_RESERVE;
    if (line->size + kept > room)
        return false;
    size_t at = (ring_begin + ring_size) % RING_BYTES;
    size_t first = line->size < RING_BYTES - at ? line->size : RING_BYTES - at;
    memcpy(ring + at, line->text, first);
    memcpy(ring, line->text + first, line->size - first);
    ring_size += line->size;
    return true;
}

/* Takes as many whole lines as fit. Holds: lock. */
static size_t ring_take(char ret_text[LOG_LINE_MAX])
{
    size_t size = ring_size < LOG_LINE_MAX ? ring_size : LOG_LINE_MAX;
    size_t first = size < RING_BYTES - ring_begin ? size : RING_BYTES - ring_begin;
    memcpy(ret_text, ring + ring_begin, first);
    memcpy(ret_text + first, ring, size - first);
    while (size > 0 && ret_text[size - 1] != '\n')
        size--;
    ring_begin = (ring_begin + size) % RING_BYTES;
    ring_size -= size;
    return size;
}

/* ---- The writer ---- */

/* Runs on: writer. False when the stop's patience ended. */
static bool wait_for_reader(void)
{
    while (!wait_writable(SLICE_MS)) {
        pthread_mutex_lock(&lock);
        bool give_up = stopping && (left_ms -= SLICE_MS) <= 0;
        pthread_mutex_unlock(&lock);
        if (give_up)
            return false;
    }
    return true;
}

static void render(struct log_line *ret_line, enum weir_log_level level, const char *message,
                   const struct weir_log_field *fields, size_t count)
{
    const struct service *of = service;
    log_line_render(ret_line, style(),
                    &(struct log_record){.unix_ns = weir_unix_ns(),
                                         .level = level,
                                         .service = of ? of->name : NULL,
                                         .message = message,
                                         .fields = fields,
                                         .field_count = count});
}

/* Runs on: writer. */
static void report_dropped(void)
{
    static int64_t reported;
    int64_t now = dropped;
    if (now == reported || !wait_writable(0))
        return;
    struct weir_log_field count = weir_field_int("count", now - reported);
    struct log_line line;
    render(&line, WEIR_LOG_WARN, "log lines dropped", &count, 1);
    reported = now;
    write_ready(line.text, line.size);
}

/* The next lines; 0 at the end. Runs on: writer. */
static size_t next_lines(char ret_text[LOG_LINE_MAX])
{
    pthread_mutex_lock(&lock);
    while (ring_size == 0 && !stopping) {
        writer_waits = true;
        pthread_cond_wait(&more, &lock);
        writer_waits = false;
    }
    size_t size = ring_take(ret_text);
    pthread_mutex_unlock(&lock);
    return size;
}

static void *write_lines(void *arg)
{
    (void)arg;
    char text[LOG_LINE_MAX];
    size_t size;
    while ((size = next_lines(text)) > 0) {
        if (!wait_for_reader()) {
            lose(text, size);
            return NULL;
        }
        write_ready(text, size);
        report_dropped();
    }
    report_dropped();
    return NULL;
}

static void name_service(const char *name)
{
    struct service *former = service;
    if (!name || (former && strcmp(former->name, name) == 0))
        return;
    size_t size = strlen(name) + 1;
    struct service *next = memory_alloc(sizeof *next + size);
    next->former = former;
    memcpy(next->name, name, size);
    service = next;
}

static void stop_at_exit(void)
{
    if (writer_process != getpid()) /* forked: another thread may have held the lock */
        return;
    log_stop(DIRECT_MS);
}

void log_start(const char *service_name)
{
    static bool registered;
    pthread_mutex_lock(&lock);
    if (!ring) {
        name_service(service_name);
        ring = memory_alloc(RING_BYTES);
        ring_begin = ring_size = 0;
        stopping = false;
        writer_process = getpid();

        /* A reader that went away is no reason to die: the write fails with EPIPE. */
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        int failed = pthread_create(&writer, NULL, write_lines, NULL);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (failed) { /* goes on without a thread */
            free(ring);
            ring = NULL;
        }
        if (!registered)
            registered = atexit(stop_at_exit) == 0;
    }
    pthread_mutex_unlock(&lock);
}

void log_stop(int64_t within_ms)
{
    pthread_mutex_lock(&lock);
    bool running = ring && !stopping && writer_process == getpid(); /* a forked child has no writer */
    if (running) {
        stopping = true;
        left_ms = within_ms;
        pthread_cond_signal(&more);
    }
    pthread_mutex_unlock(&lock);
    if (!running)
        return;

    pthread_join(writer, NULL);
    pthread_mutex_lock(&lock);
    char text[LOG_LINE_MAX];
    size_t size;
    while ((size = ring_take(text)) > 0) { /* what came after the writer's last look */
        if (wait_writable(0))
            write_ready(text, size);
        else
            lose(text, size);
    }
    free(ring);
    ring = NULL;
    pthread_mutex_unlock(&lock);
}

/* ---- Logging ---- */

void weir_log(enum weir_log_level level, const char *message, const struct weir_log_field *fields,
              size_t count)
{
    if (!weir_log_enabled(level))
        return;
    struct log_line line;
    render(&line, level, message, fields, count);
    pthread_mutex_lock(&lock);
    if (!ring)
        write_directly(&line);
    else if (!ring_put(&line, level))
        dropped++;
    else if (writer_waits)
        pthread_cond_signal(&more);
    pthread_mutex_unlock(&lock);
}
