/* What the lifecycle called, in its order; and components that do what a script says. */
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>

#include "core/condition.h"
#include "core/memory.h"
#include "testing/kit.h"

struct entry {
    struct entry *next;
    const char *text; /* in the arena: "1000 quiesce rest" */
};

struct weir_test_trace {
    struct weir_component component; /* first: a handle */
    struct weir_test_trace_options options;
};

void trace_note(const struct weir_app *app, uint32_t part, enum op op)
{
    struct weir_test *test = current_test;
    const struct app_part *called = app->parts[part];
    if (called->component == app->executor_component || called->component->kind == COMPONENT_ADMIN ||
        called->component->kind == COMPONENT_SERVICE)
        return;
    pthread_mutex_lock(&test->lock);
    struct entry *entry = weir_arena_zalloc(test->arena, sizeof *entry);
    entry->text =
        weir_arena_printf(test->arena, "%lld %s %s", (long long)test_clock_ms(), op_name(op), called->name);
    *test->last_entry = entry;
    test->last_entry = &entry->next;
    pthread_mutex_unlock(&test->lock);
}

/* ---- Taking time ---- */

static void hang(void)
{
    struct weir_test *test = current_test;
    pthread_mutex_lock(&test->lock);
    while (!test->let_go)
        pthread_cond_wait(&test->changed, &test->lock);
    pthread_mutex_unlock(&test->lock);
}

/* All of its time, whatever becomes of its context. */
static void sleep_deaf(int64_t ms)
{
    struct weir_context nobody;
    context_init(&nobody, NULL, WEIR_NEVER);
    weir_context_sleep(&nobody, ms);
    context_clean_up(&nobody);
}

/* False: its context was over before. */
static bool take_time(const struct weir_test_script *script, struct weir_context *context)
{
    if (current_test && script->hangs)
        hang();
    if (context && !script->ignores_cancel)
        return weir_context_sleep(context, script->takes_ms) == WEIR_OK;
    sleep_deaf(script->takes_ms);
    return true;
}

static enum weir_status end(const struct weir_test_script *script, struct weir_error *err)
{
    return script->fails ? weir_fail(err, script->fails, "as its script says") : WEIR_OK;
}

/* ---- The operations ---- */

static enum weir_status start(void *self, struct weir_context *context, struct weir_error *err)
{
    struct weir_test_trace *trace = self;
    if (!take_time(&trace->options.start, context))
        return weir_fail(err, WEIR_CANCELLED, "was told to stop starting");
    return end(&trace->options.start, err);
}

static enum weir_status quiesce(void *self, struct weir_error *err)
{
    struct weir_test_trace *trace = self;
    take_time(&trace->options.quiesce, NULL);
    return end(&trace->options.quiesce, err);
}

static enum weir_status drain(void *self, struct weir_context *context, struct weir_work *work,
                              struct weir_error *err)
{
    struct weir_test_trace *trace = self;
    int64_t left = trace->options.in_flight - trace->options.stuck;
    bool done = take_time(&trace->options.drain, context);
    work->in_flight += trace->options.in_flight;
    work->stuck += trace->options.stuck;
    *(done ? &work->completed : &work->cancelled) += left;
    return end(&trace->options.drain, err);
}

static enum weir_status finish(void *self, struct weir_context *context, struct weir_work *work,
                               struct weir_error *err)
{
    (void)work;
    struct weir_test_trace *trace = self;
    take_time(&trace->options.finish, context);
    return end(&trace->options.finish, err);
}

static void destroy(void *self)
{
    struct weir_test_trace *trace = self;
    take_time(&trace->options.destroy, NULL);
    free(trace);
}

struct weir_test_trace *weir_test_trace_add(struct weir_app *app, const char *name,
                                            const struct weir_test_trace_options *options)
{
    static const struct weir_component_ops ops = {start, quiesce, drain, finish, destroy};
    struct weir_test_trace *trace = NEW(struct weir_test_trace);
    if (options)
        trace->options = *options;
    if (trace->options.stuck > trace->options.in_flight)
        trace->options.in_flight = trace->options.stuck;
    component_add(app, &trace->component, name, &ops, trace, &trace->options.component);
    return trace;
}

/* ---- For the test ---- */

void trace_let_go(struct weir_test *test)
{
    pthread_mutex_lock(&test->lock);
    test->let_go = true;
    pthread_cond_broadcast(&test->changed);
    pthread_mutex_unlock(&test->lock);
}

const char *weir_test_trace(struct weir_test *test)
{
    struct weir_buffer text = {0};
    pthread_mutex_lock(&test->lock);
    for (const struct entry *entry = test->entries; entry; entry = entry->next)
        weir_buffer_printf(&text, "%s%s", text.size ? ", " : "", entry->text);
    pthread_mutex_unlock(&test->lock);
    const char *copy = test_text(test, weir_buffer_text(&text));
    weir_buffer_free(&text);
    return copy;
}
