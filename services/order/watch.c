#include "order/watch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "order/order.h"

/* One stream that watches one order: in the list from open to its end. */
struct watcher {
    struct watcher *next;
    struct weir_call *call; /* acquired */
    char order_id[64];
};

static bool is_final(Order__OrderState state)
{
    return state == REJECTED || state == COMPLETED || state == CANCELLED;
}

static void forget(struct weir_call *call)
{
    struct order_service *service = weir_call_self(call);
    struct watchers *watchers = &service->watchers;
    pthread_mutex_lock(&watchers->lock);
    struct watcher **link = &watchers->first;
    while (*link && (*link)->call != call)
        link = &(*link)->next;
    struct watcher *watcher = *link;
    if (watcher)
        *link = watcher->next;
    pthread_mutex_unlock(&watchers->lock);
    if (watcher) {
        free(watcher);
        weir_call_release(call);
    }
}

static void end(struct weir_call *call, enum weir_status status)
{
    forget(call);
    weir_stream_end(call, status);
}

/* Sends the order as it is now; `lines_deducted` is newer than what is stored, or -1. */
static void send_order(struct weir_call *call, const char *order_id, int32_t lines_deducted)
{
    struct order_service *service = weir_call_self(call);
    Order__Order order = ORDER__ORDER__INIT;
    enum weir_status status = order_get(call, service->db, order_id, &order);
    if (status == WEIR_OK) {
        if (lines_deducted >= 0)
            order.lines_deducted = lines_deducted;
        status = order_watch_order_send(call, &order);
    }
    if (status != WEIR_OK && status != WEIR_PENDING)
        end(call, status);
    else if (is_final(order.state))
        end(call, WEIR_OK);
}

struct news {
    struct news *next;
    struct weir_call *call; /* acquired until it is posted */
    char order_id[64];
    int32_t lines_deducted;
};

static void take_news(struct weir_call *call, void *arg)
{
    struct news *news = arg;
    if (!weir_stream_ended(call))
        send_order(call, news->order_id, news->lines_deducted);
    free(news);
}

static struct news *news_for(const struct watcher *watcher, int32_t lines_deducted, struct news *next)
{
    struct news *news = calloc(1, sizeof *news);
    if (!news)
        abort();
    news->next = next;
    news->call = weir_call_acquire(watcher->call);
    memcpy(news->order_id, watcher->order_id, sizeof news->order_id);
    news->lines_deducted = lines_deducted;
    return news;
}

/* Not under the lock: what is posted may run at once, and end the stream, which takes the lock. */
static void post_all(struct news *news)
{
    while (news) {
        struct news *next = news->next;
        struct weir_call *call = news->call;
        if (!weir_stream_post(call, take_news, news))
            free(news);
        weir_call_release(call);
        news = next;
    }
}

void watchers_tell(struct watchers *watchers, const char *order_id, int32_t lines_deducted)
{
    struct news *all = NULL;
    pthread_mutex_lock(&watchers->lock);
    for (struct watcher *watcher = watchers->first; watcher; watcher = watcher->next)
        if (strcmp(watcher->order_id, order_id) == 0)
            all = news_for(watcher, lines_deducted, all);
    pthread_mutex_unlock(&watchers->lock);
    post_all(all);
}

enum weir_status watch_open(struct weir_call *call, const Order__WatchOrderRequest *request)
{
    struct order_service *service = weir_call_self(call);
    Order__Order order = ORDER__ORDER__INIT;
    enum weir_status status = order_get(call, service->db, request->order_id, &order);
    if (status != WEIR_OK)
        return status;

    struct watcher *watcher = calloc(1, sizeof *watcher);
    if (!watcher)
        abort();
    watcher->call = weir_call_acquire(call);
    strncpy(watcher->order_id, order.order_id, sizeof watcher->order_id - 1);
    pthread_mutex_lock(&service->watchers.lock);
    watcher->next = service->watchers.first;
    service->watchers.first = watcher;
    pthread_mutex_unlock(&service->watchers.lock);

    send_order(call, request->order_id, -1); /* read again: it may have changed before we were in the list */
    return WEIR_PENDING;
}

void watch_cancel(struct weir_call *call)
{
    forget(call);
}

void watch_draining(struct weir_call *call, int64_t left_ms)
{
    (void)left_ms;
    weir_call_fail(call, WEIR_UNAVAILABLE, "the order service is stopping; watch again");
    end(call, WEIR_UNAVAILABLE);
}
