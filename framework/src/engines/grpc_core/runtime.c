#include "engines/grpc_core/core.h"

#include <assert.h>
#include <limits.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/support/log.h>
#include <grpc/support/time.h>

#include <weir/clock.h>
#include <weir/log.h>

void grpc_core_quiet_mutex(void);

/* ---- Log ---- */

/* The core logs a line for each bad input that it is sent: a few a second are enough. */
#define LINES_PER_SECOND 5

static struct {
    pthread_mutex_t lock;
    int64_t second_began_ns;
    int lines;
    int64_t suppressed;
} limit = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* `*ret_suppressed`: how many were not shown since the last one. */
static bool may_log(int64_t *ret_suppressed)
{
    int64_t now = weir_now_ns();
    pthread_mutex_lock(&limit.lock);
    if (now - limit.second_began_ns >= WEIR_NS_PER_S) {
        limit.second_began_ns = now;
        limit.lines = 0;
    }
    bool may = limit.lines < LINES_PER_SECOND;
    limit.lines += may;
    limit.suppressed += !may;
    *ret_suppressed = may ? limit.suppressed : 0;
    if (may)
        limit.suppressed = 0;
    pthread_mutex_unlock(&limit.lock);
    return may;
}

static void log_line(gpr_log_func_args *line)
{
    /* Its errors are about peers and input, none of them the program's end. */
    enum weir_log_level level = line->severity == GPR_LOG_SEVERITY_ERROR ? WEIR_LOG_WARN : WEIR_LOG_DEBUG;
    int64_t suppressed;
    if (weir_log_enabled(level) && may_log(&suppressed))
        weir_log_at(level, "grpc core", weir_field_text("text", line->message),
                    weir_field_int("suppressed", suppressed));
}

/* ---- Life ---- */

static void prepare(void)
{
    grpc_core_quiet_mutex();
    gpr_set_log_function(log_line);
}

void core_acquire(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare);
    grpc_init();
}

void core_release(void)
{
    grpc_shutdown();
}

void core_start(grpc_call *call, const grpc_op *ops, size_t count, struct event *event)
{
    grpc_call_error error = grpc_call_start_batch(call, ops, count, event, NULL);
    if (error == GRPC_CALL_OK)
        return;
    fprintf(stderr, "weir: the gRPC core refused a batch: %s\n", grpc_call_error_to_string(error));
    abort();
}

/* ---- Inside the core ---- */

/* grpc_core::Server's own method: exported, but not promised. It must run on a thread of the core's. */
void server_send_goaways(grpc_server *server) __asm__("_ZN9grpc_core6Server11SendGoawaysEv")
    __attribute__((weak));

struct inside {
    grpc_completion_queue_functor functor; /* first: the core hands it back */
    grpc_server *server;
    sem_t done;
};

static void run_inside(grpc_completion_queue_functor *functor, int ok)
{
    (void)ok;
    struct inside *inside = (struct inside *)(void *)functor;
    server_send_goaways(inside->server);
    sem_post(&inside->done);
}

/* The functor of a callback queue that is shut down runs on the core's executor. */
bool core_send_goaways(grpc_server *server)
{
    if (!server_send_goaways)
        return false;
    struct inside inside = {.functor = {.functor_run = run_inside}, .server = server};
    sem_init(&inside.done, 0, 0);
    grpc_completion_queue *queue = grpc_completion_queue_create_for_callback(&inside.functor, NULL);
    grpc_completion_queue_shutdown(queue);
    while (sem_wait(&inside.done) < 0)
        continue;
    grpc_completion_queue_destroy(queue);
    sem_destroy(&inside.done);
    return true;
}

/* ---- Bytes ---- */

grpc_slice core_slice(struct weir_bytes bytes)
{
    grpc_slice slice = grpc_slice_malloc(bytes.size);
    if (bytes.size > 0)
        memcpy(GRPC_SLICE_START_PTR(slice), bytes.data, bytes.size);
    return slice;
}

struct weir_bytes core_message(grpc_byte_buffer *buffer, grpc_slice *ret_slice)
{
    *ret_slice = grpc_empty_slice();
    if (!buffer)
        return core_bytes(ret_slice);
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, buffer))
        return core_bytes(ret_slice);
    if (buffer->data.raw.slice_buffer.count == 1)
        grpc_byte_buffer_reader_next(&reader, ret_slice);
    else
        *ret_slice = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    return core_bytes(ret_slice);
}

void core_buffer_init(grpc_byte_buffer *buffer)
{
    memset(buffer, 0, sizeof *buffer);
    buffer->type = GRPC_BB_RAW;
    buffer->data.raw.compression = GRPC_COMPRESS_NONE;
    grpc_slice_buffer_init(&buffer->data.raw.slice_buffer);
}

void core_buffer_set(grpc_byte_buffer *buffer, grpc_slice slice)
{
    grpc_slice_buffer_reset_and_unref(&buffer->data.raw.slice_buffer);
    grpc_slice_buffer_add(&buffer->data.raw.slice_buffer, slice);
}

void core_buffer_clear(grpc_byte_buffer *buffer)
{
    grpc_slice_buffer_destroy(&buffer->data.raw.slice_buffer);
}

/* ---- Time ---- */

/* The core's monotonic clock and ours are both CLOCK_MONOTONIC: nobody has to look at it. */
gpr_timespec core_time_of(int64_t deadline_ns)
{
    if (deadline_ns == WEIR_NEVER)
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    return (gpr_timespec){.tv_sec = deadline_ns / WEIR_NS_PER_S,
                          .tv_nsec = (int32_t)(deadline_ns % WEIR_NS_PER_S),
                          .clock_type = GPR_CLOCK_MONOTONIC};
}

int64_t core_time_to_ns(gpr_timespec time)
{
    int64_t ns;
    assert(time.clock_type == GPR_CLOCK_MONOTONIC);
    if (__builtin_mul_overflow(time.tv_sec, WEIR_NS_PER_S, &ns) ||
        __builtin_add_overflow(ns, time.tv_nsec, &ns))
        return WEIR_NEVER; /* which infinity is, too */
    return ns;
}

/* ---- Arguments ---- */

void core_args_add(struct core_args *args, const char *key, int64_t value)
{
    assert(args->count < CORE_ARGS_MAX);
    grpc_arg *arg = &args->list[args->count++];
    arg->type = GRPC_ARG_INTEGER;
    arg->key = (char *)key; /* the core copies it */
    arg->value.integer = value > INT_MAX ? INT_MAX : (int)value;
}
