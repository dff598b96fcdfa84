#include "core/context.h"

#include <assert.h>
#include <string.h>

#include <weir/clock.h>

#include "core/condition.h"
#include "core/random.h"

static void parent_is_over(struct weir_context_watch *watch, enum weir_status status)
{
    struct weir_context *child =
        (struct weir_context *)((char *)watch - offsetof(struct weir_context, parent_watch));
    context_end(child, status);
}

static void new_span(struct weir_context *context)
{
    uint8_t span[8];
    random_bytes(span, sizeof span);
    char hex[17];
    hex_of_bytes(span, sizeof span, hex);
    memcpy(context->traceparent + 36, hex, 16);
}

static int64_t earlier(int64_t left, int64_t right)
{
    return left < right ? left : right;
}

void context_init(struct weir_context *context, struct weir_context *parent, int64_t deadline_ns)
{
    memset(context, 0, sizeof *context);
    pthread_mutex_init(&context->lock, NULL);
    atomic_init(&context->deadline_ns, deadline_ns);
    if (!parent)
        return;

    context->parent = parent;
    atomic_init(&context->deadline_ns, earlier(deadline_ns, weir_context_deadline_ns(parent)));
    context->principal = parent->principal;
    context->handover = parent->handover;
    if (parent->traceparent[0]) {
        memcpy(context->traceparent, parent->traceparent, TRACEPARENT_SIZE);
        new_span(context);
    }
    context->parent_watch.over = parent_is_over;
    weir_context_watch(parent, &context->parent_watch);
}

/* Who is told of the end may clean the context up by that: a call that was cancelled is answered at once. */
static void tell_the_teller(struct weir_context *context)
{
    if (atomic_load(&context->ended) == WEIR_OK)
        return;
    pthread_mutex_lock(&context->lock);
    if (context->gone && pthread_equal(context->teller, pthread_self()))
        *context->gone = true;
    pthread_mutex_unlock(&context->lock);
}

void context_clean_up(struct weir_context *context)
{
    if (context->parent)
        weir_context_unwatch(&context->parent_watch);
    tell_the_teller(context);
    assert(!context->watches);
    if (context->has_condition)
        pthread_cond_destroy(&context->over);
    pthread_mutex_destroy(&context->lock);
}

/* A watch is taken off the list before it is told, so it may be freed by what it is told. `telling` lets
 * weir_context_unwatch() wait for one that is being told on another thread. */
void context_end(struct weir_context *context, enum weir_status status)
{
    pthread_mutex_lock(&context->lock);
    if (atomic_load(&context->ended) != WEIR_OK) {
        pthread_mutex_unlock(&context->lock);
        return;
    }
    atomic_store(&context->ended, (int)status);
    if (context->has_condition)
        pthread_cond_broadcast(&context->over);
    bool gone = false;
    context->gone = &gone;
    context->teller = pthread_self();
    while (context->watches) {
        struct weir_context_watch *watch = context->watches;
        context->watches = watch->next;
        if (watch->next)
            watch->next->link = &context->watches;
        watch->link = NULL;
        context->telling = watch;
        pthread_mutex_unlock(&context->lock);
        watch->over(watch, status);
        if (gone)
            return;
        pthread_mutex_lock(&context->lock);
        context->telling = NULL;
        if (context->has_condition)
            pthread_cond_broadcast(&context->over);
    }
    context->gone = NULL;
    pthread_mutex_unlock(&context->lock);
}

/* Holds: lock. */
static void need_condition(struct weir_context *context)
{
    if (context->has_condition)
        return;
    condition_init(&context->over);
    context->has_condition = true;
}

void context_limit(struct weir_context *context, int64_t deadline_ns)
{
    pthread_mutex_lock(&context->lock);
    if (deadline_ns < atomic_load(&context->deadline_ns)) {
        atomic_store(&context->deadline_ns, deadline_ns);
        if (context->has_condition)
            pthread_cond_broadcast(&context->over);
    }
    pthread_mutex_unlock(&context->lock);
}

void context_limit_new(struct weir_context *context, int64_t deadline_ns)
{
    if (deadline_ns < atomic_load_explicit(&context->deadline_ns, memory_order_relaxed))
        atomic_store_explicit(&context->deadline_ns, deadline_ns, memory_order_relaxed);
}

int64_t weir_context_deadline_ns(const struct weir_context *context)
{
    return atomic_load(&context->deadline_ns);
}

int64_t weir_context_left_ms(const struct weir_context *context)
{
    if (weir_context_status(context) != WEIR_OK)
        return 0;
    int64_t deadline = weir_context_deadline_ns(context);
    if (deadline == WEIR_NEVER)
        return INT64_MAX;
    int64_t left = deadline - weir_now_ns();
    return left > 0 ? (left + WEIR_NS_PER_MS - 1) / WEIR_NS_PER_MS : 0;
}

enum weir_status weir_context_status(const struct weir_context *context)
{
    int ended = atomic_load(&context->ended);
    if (ended != WEIR_OK)
        return (enum weir_status)ended;
    int64_t deadline = weir_context_deadline_ns(context);
    if (deadline != WEIR_NEVER && weir_now_ns() >= deadline)
        return WEIR_DEADLINE_EXCEEDED;
    return WEIR_OK;
}

enum weir_status weir_context_sleep(struct weir_context *context, int64_t ms)
{
    int64_t wake_at = weir_deadline_in_ms(ms);
    pthread_mutex_lock(&context->lock);
    need_condition(context);
    enum weir_status status;
    while ((status = weir_context_status(context)) == WEIR_OK && weir_now_ns() < wake_at) {
        int64_t until = earlier(wake_at, weir_context_deadline_ns(context));
        condition_wait(&context->over, &context->lock, until);
    }
    pthread_mutex_unlock(&context->lock);
    return status;
}

const char *weir_context_traceparent(const struct weir_context *context)
{
    return context->traceparent;
}

bool weir_context_handover(const struct weir_context *context)
{
    return context->handover;
}

const char *weir_context_principal(const struct weir_context *context)
{
    return context->principal;
}

void weir_context_watch(struct weir_context *context, struct weir_context_watch *watch)
{
    pthread_mutex_lock(&context->lock);
    watch->context = context;
    int ended = atomic_load(&context->ended);
    if (ended == WEIR_OK) {
        watch->next = context->watches;
        if (watch->next)
            watch->next->link = &watch->next;
        watch->link = &context->watches;
        context->watches = watch;
    }
    pthread_mutex_unlock(&context->lock);
    if (ended != WEIR_OK)
        watch->over(watch, (enum weir_status)ended);
}

void weir_context_unwatch(struct weir_context_watch *watch)
{
    struct weir_context *context = watch->context;
    if (!context)
        return;
    pthread_mutex_lock(&context->lock);
    if (watch->link) {
        *watch->link = watch->next;
        if (watch->next)
            watch->next->link = watch->link;
        watch->link = NULL;
    }
    while (context->telling == watch && !pthread_equal(context->teller, pthread_self())) {
        need_condition(context);
        pthread_cond_wait(&context->over, &context->lock);
    }
    pthread_mutex_unlock(&context->lock);
    watch->context = NULL;
}

static bool is_lower_hex(const char *text, size_t size)
{
    bool all_zero = true;
    for (size_t i = 0; i < size; i++) {
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
        all_zero = all_zero && text[i] == '0';
    }
    return size == 2 || !all_zero;
}

/* W3C Trace Context, 3.2.2: version 00; a later version may be longer, its first four fields are read the
 * same. */
static bool valid_traceparent(const char *text)
{
    size_t length = strlen(text);
    return length >= 55 && text[2] == '-' && text[35] == '-' && text[52] == '-' && is_lower_hex(text, 2) &&
           strncmp(text, "ff", 2) != 0 && is_lower_hex(text + 3, 32) && is_lower_hex(text + 36, 16) &&
           is_lower_hex(text + 53, 2) && (length == 55 || (strncmp(text, "00", 2) != 0 && text[55] == '-'));
}

void context_set_trace(struct weir_context *context, const char *traceparent)
{
    if (traceparent && valid_traceparent(traceparent)) {
        memcpy(context->traceparent, traceparent, TRACEPARENT_SIZE - 1);
        context->traceparent[TRACEPARENT_SIZE - 1] = 0;
        memcpy(context->traceparent, "00", 2);
    } else {
        uint8_t trace[16];
        random_bytes(trace, sizeof trace);
        char hex[33];
        hex_of_bytes(trace, sizeof trace, hex);
        memcpy(context->traceparent, "00-", 3);
        memcpy(context->traceparent + 3, hex, 32);
        memcpy(context->traceparent + 35, "-0000000000000000-01", 21);
    }
    new_span(context);
}
