/* The engine as a whole: options, start, and the steps of its stop. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/context.h>

#include "core/memory.h"
#include "engines/microhttpd/internal.h"

#define POLL_MS 2

static int64_t or_default(int64_t value, int64_t fallback)
{
    return value > 0 ? value : fallback;
}

struct http_engine *http_engine_new(const struct http_engine_options *options,
                                    const struct http_user_ops *ops, http_problem_fn *problem, void *server)
{
    struct http_engine *engine = NEW(struct http_engine);
    engine->options = (struct http_engine_options){
        .threads = or_default(options->threads, 1),
        .connections_max = or_default(options->connections_max, 10000),
        .head_bytes_max = or_default(options->head_bytes_max, 8192),
        .body_bytes_max = or_default(options->body_bytes_max, 1 << 20),
        .head_timeout_ms = or_default(options->head_timeout_ms, 10000),
        .body_timeout_ms = or_default(options->body_timeout_ms, 30000),
        .idle_timeout_ms = or_default(options->idle_timeout_ms, 60000),
    };
    engine->listen_text = memory_strdup(options->listen ? options->listen : "");
    engine->name = memory_strdup(options->name ? options->name : "http");
    engine->options.listen = engine->listen_text;
    engine->options.name = engine->name;
    engine->ops = ops;
    engine->problem = problem;
    engine->server = server;
    sem_init(&engine->stopped_accepting, 0, 0);
    return engine;
}

static void stop_loops(struct http_engine *engine)
{
    listener_mute(&engine->listener);
    for (int i = 0; i < engine->loop_count; i++)
        loop_clean_up(&engine->loops[i]);
    free(engine->loops);
    engine->loops = NULL;
    engine->loop_count = 0;
    listener_close(&engine->listener);
}

static void wake_loops(struct http_engine *engine)
{
    for (int i = 0; i < engine->loop_count; i++)
        loop_wake(&engine->loops[i]);
}

/* Runs on: any thread, maybe before there are loops. */
static void order_accept(void *self, bool on)
{
    struct http_engine *engine = self;
    int held = ACCEPTING_HELD;
    if (!on)
        atomic_store(&engine->accepting, ACCEPTING_OVER);
    else
        atomic_compare_exchange_strong(&engine->accepting, &held, ACCEPTING_ON);
    if (atomic_load(&engine->has_loops))
        wake_loops(engine);
}

enum weir_status http_engine_start(struct http_engine *engine, struct weir_error *err)
{
    const struct listener_options listen = {
        .name = engine->name, .address = engine->listen_text, .accept = order_accept, .self = engine};
    enum weir_status status = listener_open(&engine->listener, &listen, err);
    if (status != WEIR_OK)
        return status;

    if (!engine->listener.held)
        order_accept(engine, true);
    int count = (int)engine->options.threads;
    engine->loops = memory_zalloc((size_t)count * sizeof *engine->loops);
    while (engine->loop_count < count && status == WEIR_OK)
        status = loop_init(&engine->loops[engine->loop_count++], engine, err);
    for (int i = 0; i < count && status == WEIR_OK; i++)
        status = loop_start(&engine->loops[i], err);
    atomic_store(&engine->has_loops, true);
    wake_loops(engine); /* an order may have come before there was a loop to tell */
    if (status != WEIR_OK)
        stop_loops(engine);
    return status;
}

int http_engine_port(const struct http_engine *engine)
{
    return engine->listener.port;
}

int64_t http_engine_connections(const struct http_engine *engine)
{
    return atomic_load(&engine->connections);
}

void http_engine_announce(struct http_engine *engine)
{
    atomic_store(&engine->announced, true);
}

bool http_engine_drain(struct http_engine *engine, struct weir_context *context)
{
    atomic_store(&engine->drain_ns, weir_now_ns());
    wake_loops(engine);
    while (http_engine_connections(engine) > 0)
        if (weir_context_sleep(context, POLL_MS) != WEIR_OK)
            return http_engine_connections(engine) == 0;
    return true;
}

void http_engine_cancel(struct http_engine *engine)
{
    for (int i = 0; i < engine->loop_count; i++) {
        atomic_store(&engine->loops[i].cancel, true);
        loop_wake(&engine->loops[i]);
    }
}

void http_engine_cut(struct http_engine *engine)
{
    for (int i = 0; i < engine->loop_count; i++) {
        atomic_store(&engine->loops[i].cut, true);
        loop_wake(&engine->loops[i]);
    }
    int64_t limit_ns = weir_now_ns() + CUT_FLUSH_MS * WEIR_NS_PER_MS * 3;
    while (http_engine_connections(engine) > 0 && weir_now_ns() < limit_ns)
        usleep(POLL_MS * 1000);
}

void http_engine_destroy(struct http_engine *engine)
{
    if (!engine)
        return;
    if (http_engine_connections(engine) > 0)
        http_engine_cut(engine);
    stop_loops(engine);
    sem_destroy(&engine->stopped_accepting);
    free(engine->name);
    free(engine->listen_text);
    free(engine);
}
