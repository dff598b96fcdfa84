/* A loop's thread: waits, accepts, resumes what was answered, lets libmicrohttpd run, looks after limits. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/memory.h"
#include "engines/microhttpd/internal.h"

#define EVENTS_MAX 256
#define ACCEPT_MAX 64   /* per turn, so that other loops get some, too */
#define SPIN_MAX 512    /* turns without progress */
#define POOL_SLACK 4096 /* beside the head: libmicrohttpd's records of its fields, and the answer's head */
#define ACCEPT_PAUSE_MS 100 /* out of descriptors */

void loop_wake(struct loop *loop)
{
    uint64_t one = 1;
    ssize_t written = write(loop->wake.fd, &one, sizeof one);
    (void)written; /* only fails when it is set already */
}

/* ---- Accepting ---- */

static void listen_on(struct loop *loop)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = &loop->listen};
    loop->listening = epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->listen.fd, &event) == 0;
}

static void listen_off(struct loop *loop)
{
    if (loop->listening)
        epoll_ctl(loop->epoll, EPOLL_CTL_DEL, loop->listen.fd, NULL);
    loop->listening = false;
}

static void take_connection(struct loop *loop, int fd, const struct sockaddr *address, socklen_t size)
{
    struct http_engine *engine = loop->engine;
    loop->progress++;
    if (atomic_fetch_add(&engine->connections, 1) >= engine->options.connections_max) {
        atomic_fetch_sub(&engine->connections, 1);
        refuse_socket(loop, fd, 503, "the server has as many connections as it accepts");
        linger(loop, fd, true);
        return;
    }
    struct connection *connection = connection_add(loop, fd);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = &connection->watch};
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        close(fd);
        connection_remove(connection);
        return;
    }
    if (MHD_add_connection(loop->daemon, fd, address, size) != MHD_YES)
        connection_remove(connection); /* it has closed the socket */
}

/* True when nothing is queued any more. */
static bool accept_some(struct loop *loop, int most)
{
    for (int i = 0; i < most; i++) {
        struct sockaddr_storage address;
        socklen_t size = sizeof address;
        int fd = listener_accept(&loop->engine->listener, (struct sockaddr *)&address, &size);
        if (fd >= 0) {
            take_connection(loop, fd, (struct sockaddr *)&address, size);
        } else if (errno == EAGAIN) {
            return true;
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            listen_off(loop);
            loop->listen_again_ns = loop->now_ns + ACCEPT_PAUSE_MS * WEIR_NS_PER_MS;
            return true;
        } /* else: that client is gone already */
    }
    return false;
}

static void accept_the_rest(struct loop *loop)
{
    /* First off: a connection that woke this loop wakes no other one, and with a shared socket no other process
     * either, so what is queued now is this loop's to accept. */
    listen_off(loop);
    while (!accept_some(loop, ACCEPT_MAX))
        continue;
    loop->listen_again_ns = 0;
}

static void follow_accepting(struct loop *loop)
{
    bool stop = atomic_load(&loop->stop_accepting); /* set after `accepting` */
    bool accepts = atomic_load(&loop->engine->accepting) == ACCEPTING_ON;
    if (accepts && !loop->accepts)
        listen_on(loop);
    else if (!accepts && loop->accepts)
        accept_the_rest(loop);
    loop->accepts = accepts;
    if (stop) {
        atomic_store(&loop->stop_accepting, false);
        sem_post(&loop->engine->stopped_accepting);
    }
}

/* ---- A turn ---- */

static void close_everything(struct loop *loop)
{
    for (int state = 0; state < CONNECTION_CLOSING; state++)
        while (loop->connections[state].first)
            connection_cut(loop->connections[state].first);
}

static void answer_everything(struct loop *loop)
{
    for (struct connection *at = loop->connections[CONNECTION_ANSWERING].first; at; at = at->next)
        if (at->exchange)
            exchange_unavailable(at->exchange);
}

static void cancel_everything(struct loop *loop)
{
    for (struct connection *at = loop->connections[CONNECTION_ANSWERING].first; at; at = at->next)
        if (at->exchange && loop->engine->ops->left && atomic_load(&at->exchange->phase) == EXCHANGE_OPEN)
            loop->engine->ops->left(at->exchange);
}

static void follow_orders(struct loop *loop)
{
    follow_accepting(loop);
    int64_t drain_ns = atomic_load(&loop->engine->drain_ns);
    if (drain_ns > 0 && !loop->draining) {
        loop->draining = true;
        loop->idle_close_ns = drain_ns + IDLE_GRACE_MS * WEIR_NS_PER_MS;
        connections_hurry(loop);
    }
    if (atomic_exchange(&loop->cancel, false))
        cancel_everything(loop);
    if (atomic_exchange(&loop->cut, false)) {
        answer_everything(loop);
        loop->cut_ns = loop->now_ns + CUT_FLUSH_MS * WEIR_NS_PER_MS;
    }
    if (loop->cut_ns > 0 && loop->cut_ns <= loop->now_ns) {
        close_everything(loop);
        lingerers_close(loop);
    }
    if (loop->listen_again_ns > 0 && loop->listen_again_ns <= loop->now_ns) {
        loop->listen_again_ns = 0;
        listen_on(loop);
    }
}

static void take_event(struct loop *loop, const struct epoll_event *event)
{
    struct watch *watch = event->data.ptr;
    uint64_t count;
    switch (watch->kind) {
    case WATCH_LISTEN:
        accept_some(loop, ACCEPT_MAX);
        break;
    case WATCH_WAKE:
        if (read(watch->fd, &count, sizeof count) < 0)
            break; /* nothing was set */
        break;
    case WATCH_DAEMON:
        break; /* it runs anyway */
    case WATCH_CONNECTION:
        connection_event((struct connection *)watch, event->events);
        break;
    case WATCH_LINGER:
        linger_event(loop, (struct lingerer *)watch);
        break;
    }
}

static bool daemon_is_due(struct loop *loop)
{
    MHD_UNSIGNED_LONG_LONG ms;
    return MHD_get_timeout(loop->daemon, &ms) == MHD_YES && ms == 0;
}

static int64_t earlier(int64_t left, int64_t right)
{
    return left < right ? left : right;
}

static int wait_ms(struct loop *loop, bool soon)
{
    int64_t next = connections_check_deadlines(loop);
    next = earlier(next, lingerers_check_deadlines(loop));
    next = earlier(next, timers_next(loop));
    if (loop->listen_again_ns > 0)
        next = earlier(next, loop->listen_again_ns);
    if (loop->cut_ns > 0)
        next = earlier(next, loop->cut_ns > loop->now_ns ? loop->cut_ns : loop->now_ns + WEIR_NS_PER_MS);
    if (soon)
        next = earlier(next, loop->now_ns + WEIR_NS_PER_MS);
    if (daemon_is_due(loop))
        return 0;
    if (next == WEIR_NEVER)
        return -1;
    int64_t ns = next - loop->now_ns;
    return ns <= 0 ? 0 : (int)earlier((ns + WEIR_NS_PER_MS - 1) / WEIR_NS_PER_MS, 60000);
}

static void notice_spinning(struct loop *loop, int timeout_ms, unsigned progress)
{
    if (timeout_ms != 0 || progress != loop->progress) {
        loop->idle_turns = 0;
    } else if (++loop->idle_turns >= SPIN_MAX) {
        loop->idle_turns = 0;
        connections_check_spinning(loop);
    }
}

static void *run(void *arg)
{
    struct loop *loop = arg;
    struct epoll_event events[EVENTS_MAX];
    bool soon = false;
    loop->self = pthread_self();
    while (!atomic_load_explicit(&loop->leave, memory_order_relaxed)) {
        loop->now_ns = weir_now_ns();
        int timeout_ms = wait_ms(loop, soon);
        int count = epoll_wait(loop->epoll, events, EVENTS_MAX, timeout_ms);
        loop->now_ns = weir_now_ns();
        unsigned progress = loop->progress;
        for (int i = 0; i < count; i++)
            take_event(loop, &events[i]);
        follow_orders(loop);
        timers_fire(loop);
        exchanges_resume(loop);
        MHD_run(loop->daemon);
        soon = connections_check_half_closed(loop);
        notice_spinning(loop, timeout_ms, progress);
    }
    exchanges_resume(loop);
    return NULL;
}

/* ---- Lifetime ---- */

/* The path is routed as it came: "%2F" is not "/". */
static size_t leave_escaped(void *arg, struct MHD_Connection *mhd, char *text)
{
    (void)arg;
    (void)mhd;
    return strlen(text);
}

static struct MHD_Daemon *new_daemon(struct loop *loop)
{
    const struct http_engine_options *options = &loop->engine->options;
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, exchange_access,
        loop, MHD_OPTION_URI_LOG_CALLBACK, exchange_begin, loop, MHD_OPTION_NOTIFY_COMPLETED,
        exchange_completed, loop, MHD_OPTION_NOTIFY_CONNECTION, connection_notify, loop,
        MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)(options->head_bytes_max + POOL_SLACK), MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)options->connections_max + 1024, MHD_OPTION_CONNECTION_TIMEOUT, 0U,
#if MHD_VERSION >= 0x00097701
        MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1,
#else
        /* -1: a request without Host reaches the guard, which answers well. */
        MHD_OPTION_STRICT_FOR_CLIENT, -1,
#endif
        MHD_OPTION_END);
}

enum weir_status loop_init(struct loop *loop, struct http_engine *engine, struct weir_error *err)
{
    loop->engine = engine;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->listen = (struct watch){WATCH_LISTEN, engine->listener.fd};
    loop->wake = (struct watch){WATCH_WAKE, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    loop->nested = (struct watch){WATCH_DAEMON, -1};
    if (loop->epoll < 0 || loop->wake.fd < 0)
        return weir_fail_errno(err, WEIR_UNAVAILABLE, errno, "cannot make an event loop");
    loop->daemon = new_daemon(loop);
    if (!loop->daemon)
        return weir_fail(err, WEIR_UNAVAILABLE, "cannot start libmicrohttpd: out of descriptors or memory");

    loop->nested.fd = MHD_get_daemon_info(loop->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    struct epoll_event nested = {.events = EPOLLIN, .data.ptr = &loop->nested};
    struct epoll_event wake = {.events = EPOLLIN, .data.ptr = &loop->wake};
    loop->accepts = atomic_load(&engine->accepting) == ACCEPTING_ON;
    if (loop->accepts)
        listen_on(loop);
    if (loop->accepts != loop->listening ||
        epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->nested.fd, &nested) < 0 ||
        epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake.fd, &wake) < 0)
        return weir_fail_errno(err, WEIR_UNAVAILABLE, errno, "cannot watch a socket");
    return WEIR_OK;
}

enum weir_status loop_start(struct loop *loop, struct weir_error *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
    int error = pthread_create(&loop->thread, NULL, run, loop);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        return weir_fail_errno(err, WEIR_UNAVAILABLE, error, "cannot start a thread");
    loop->has_thread = true;
    return WEIR_OK;
}

void loop_clean_up(struct loop *loop)
{
    if (loop->has_thread) {
        atomic_store(&loop->leave, true);
        loop_wake(loop);
        pthread_join(loop->thread, NULL);
    }
    lingerers_close(loop);
    bool empty = true;
    for (int state = 0; state < CONNECTION_STATES; state++)
        empty = empty && !loop->connections[state].first;
    if (loop->daemon && empty)
        MHD_stop_daemon(
            loop->daemon); /* it aborts with suspended connections: then it is left to the process's end */
    while (loop->free_exchanges) {
        struct exchange *exchange = loop->free_exchanges;
        loop->free_exchanges = exchange->next_free;
        weir_buffer_free(&exchange->target);
        free(exchange);
    }
    if (loop->epoll >= 0)
        close(loop->epoll);
    if (loop->wake.fd >= 0)
        close(loop->wake.fd);
    free(loop->timers);
    free(loop->by_fd);
}
