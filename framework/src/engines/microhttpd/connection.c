/* Our own registry of connections: libmicrohttpd's count misses those just handed over, its timeouts are of
 * inactivity only, a suspended connection has none, and it can miss that a client closed its side. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/memory.h"
#include "engines/microhttpd/internal.h"

/* ---- Lists ---- */

static void unlink_connection(struct connection *connection)
{
    struct connection_list *list = &connection->loop->connections[connection->state];
    *(connection->previous ? &connection->previous->next : &list->first) = connection->next;
    *(connection->next ? &connection->next->previous : &list->last) = connection->previous;
    connection->next = connection->previous = NULL;
}

static void append_connection(struct connection *connection)
{
    struct connection_list *list = &connection->loop->connections[connection->state];
    connection->previous = list->last;
    connection->next = NULL;
    *(list->last ? &list->last->next : &list->first) = connection;
    list->last = connection;
}

static int64_t earlier(int64_t left, int64_t right)
{
    return left < right ? left : right;
}

static int64_t limit_ms(const struct loop *loop, enum connection_state state)
{
    const struct http_engine_options *options = &loop->engine->options;
    int64_t most_ms = loop->draining ? HURRY_MS : INT64_MAX;
    switch (state) {
    case CONNECTION_IDLE:
        return options->idle_timeout_ms;
    case CONNECTION_HEAD:
        return earlier(options->head_timeout_ms, most_ms);
    case CONNECTION_BODY:
        return earlier(options->body_timeout_ms, most_ms);
    case CONNECTION_SENDING:
        return options->body_timeout_ms;
    default:
        return -1;
    }
}

/* Each state's limit is a constant, so the order of entering it is the order of its deadlines. */
void connection_set_state(struct connection *connection, enum connection_state state)
{
    unlink_connection(connection);
    connection->state = state;
    int64_t ms = limit_ms(connection->loop, state);
    connection->deadline_ns = ms < 0 ? WEIR_NEVER : connection->loop->now_ns + ms * WEIR_NS_PER_MS;
    append_connection(connection);
}

struct connection *connection_add(struct loop *loop, int fd)
{
    if ((size_t)fd >= loop->by_fd_size) {
        size_t size = (size_t)fd + 64;
        loop->by_fd = memory_realloc(loop->by_fd, size * sizeof(struct connection *));
        for (size_t i = loop->by_fd_size; i < size; i++)
            loop->by_fd[i] = NULL;
        loop->by_fd_size = size;
    }
    struct connection *connection = NEW(struct connection);
    connection->watch = (struct watch){WATCH_CONNECTION, fd};
    connection->loop = loop;
    connection->state = CONNECTION_IDLE;
    connection->deadline_ns = loop->now_ns + loop->engine->options.idle_timeout_ms * WEIR_NS_PER_MS;
    append_connection(connection);
    loop->by_fd[fd] = connection;
    return connection;
}

void connection_remove(struct connection *connection)
{
    struct loop *loop = connection->loop;
    if (connection->on_half_closed)
        for (struct connection **at = &loop->half_closed; *at; at = &(*at)->next_half_closed)
            if (*at == connection) {
                *at = connection->next_half_closed;
                break;
            }
    unlink_connection(connection);
    loop->by_fd[connection->watch.fd] = NULL;
    atomic_fetch_sub(&loop->engine->connections, 1);
    loop->progress++;
    free(connection);
}

struct connection *connection_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

void connection_notify(void *arg, struct MHD_Connection *mhd, void **context,
                       enum MHD_ConnectionNotificationCode code)
{
    struct loop *loop = arg;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        struct connection *connection = loop->by_fd[info->connect_fd];
        connection->mhd = mhd;
        *context = connection;
        return;
    }
    struct connection *connection = *context;
    *context = NULL;
    if (!connection)
        return;
    if (connection->exchange)
        exchange_lost(connection->exchange);
    /* Its descriptor is open still, and closed right after this; a copy would stay in our epoll. */
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, connection->watch.fd, NULL);
    if (connection->linger && !connection->half_closed)
        linger(loop, connection->watch.fd, false);
    connection_remove(connection);
}

/* ---- Closing ---- */

void connection_cut(struct connection *connection)
{
    shutdown(connection->watch.fd, SHUT_RDWR);
    if (connection->state != CONNECTION_CLOSING)
        connection_set_state(connection, CONNECTION_CLOSING);
    if (connection->exchange)
        exchange_abandon(connection->exchange);
}

static void time_is_over(struct connection *connection)
{
    switch (connection->state) {
    case CONNECTION_HEAD:
        refuse_connection(connection, 408, "the head did not come in time");
        break;
    case CONNECTION_BODY:
        refuse_connection(connection, 408, "the body did not come in time");
        break;
    case CONNECTION_IDLE:
        /* A request that is in the socket already is still served. */
        shutdown(connection->watch.fd, SHUT_RD);
        connection_set_state(connection, CONNECTION_IDLE);
        return;
    default:
        break;
    }
    connection->linger = false; /* both directions are shut: there is nothing to read */
    connection_cut(connection);
}

static int64_t check_list(struct loop *loop, enum connection_state state)
{
    struct connection_list *list = &loop->connections[state];
    struct connection *last = list->last; /* an idle one goes to the end again */
    while (list->first && list->first->deadline_ns <= loop->now_ns) {
        struct connection *connection = list->first;
        time_is_over(connection);
        if (connection == last)
            break;
    }
    return list->first ? list->first->deadline_ns : WEIR_NEVER;
}

/* The order of deadlines stays as it is. */
void connections_hurry(struct loop *loop)
{
    static const enum connection_state states[] = {CONNECTION_HEAD, CONNECTION_BODY};
    int64_t latest_ns = loop->now_ns + HURRY_MS * WEIR_NS_PER_MS;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        for (struct connection *at = loop->connections[states[i]].first; at; at = at->next)
            at->deadline_ns = earlier(at->deadline_ns, latest_ns);
}

int64_t connections_check_deadlines(struct loop *loop)
{
    if (loop->idle_close_ns > 0 && loop->idle_close_ns <= loop->now_ns) {
        for (struct connection *at = loop->connections[CONNECTION_IDLE].first; at; at = at->next)
            shutdown(at->watch.fd, SHUT_RD);
        loop->idle_close_ns = loop->now_ns + IDLE_GRACE_MS * WEIR_NS_PER_MS;
    }
    int64_t next = loop->idle_close_ns > 0 ? loop->idle_close_ns : WEIR_NEVER;
    next = earlier(next, check_list(loop, CONNECTION_IDLE));
    next = earlier(next, check_list(loop, CONNECTION_HEAD));
    next = earlier(next, check_list(loop, CONNECTION_BODY));
    return earlier(next, check_list(loop, CONNECTION_SENDING));
}

/* ---- Clients that closed their side ---- */

/* Who has closed only its sending side waits for the answer, who has closed altogether does not; both sent
 * the same FIN. But the second one resets the connection when something is sent to it. "100 Continue" is what
 * may be sent at any time (RFC 9110, 15.2), except to HTTP/1.0: there, a FIN right behind the request is a
 * half-close, a later one is not. */
void connection_probe(struct connection *connection)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct exchange *exchange = connection->exchange;
    struct loop *loop = connection->loop;
    if (!connection->half_closed || !exchange || !exchange->suspended || exchange->probed ||
        atomic_load(&exchange->phase) != EXCHANGE_OPEN)
        return;
    exchange->probed = true;
    if (!exchange->head.http_1_0) {
        ssize_t sent = send(connection->watch.fd, interim, sizeof interim - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN)
            connection_cut(connection);
    } else if (loop->engine->ops->left &&
               loop->now_ns - exchange->complete_ns > HALF_CLOSE_MS * WEIR_NS_PER_MS) {
        loop->engine->ops->left(exchange);
    }
}

static void client_closed(struct connection *connection)
{
    struct loop *loop = connection->loop;
    connection->half_closed = true;
    if (!connection->on_half_closed) {
        connection->on_half_closed = true;
        connection->next_half_closed = loop->half_closed;
        loop->half_closed = connection;
    }
    connection_probe(connection);
}

void connection_event(struct connection *connection, uint32_t events)
{
    if (connection->state == CONNECTION_IDLE && (events & EPOLLIN))
        connection_set_state(connection, CONNECTION_HEAD);
    if ((events & EPOLLRDHUP) && !connection->half_closed)
        client_closed(connection);
    /* Reset, or closed in both directions: nobody can be answered. */
    if ((events & (EPOLLERR | EPOLLHUP)) && connection->exchange && connection->exchange->suspended)
        connection_cut(connection);
}

/* The FIN that arrives together with data causes no new edge, so libmicrohttpd can wait for ever. Four runs,
 * because pipelined requests wait in its own buffer, where we cannot see them. */
bool connections_check_half_closed(struct loop *loop)
{
    bool again = false;
    for (struct connection *at = loop->half_closed, *after; at; at = after) {
        after = at->next_half_closed;
        int unread = 0;
        bool busy = at->state == CONNECTION_ANSWERING || at->state == CONNECTION_SENDING;
        if (busy || (ioctl(at->watch.fd, FIONREAD, &unread) == 0 && unread > 0))
            at->quiet_runs = 0;
        else if (at->state != CONNECTION_CLOSING && ++at->quiet_runs >= 4)
            connection_cut(at);
        again = again || (!busy && at->state != CONNECTION_CLOSING);
    }
    return again;
}

void connections_check_spinning(struct loop *loop)
{
    static const enum connection_state states[] = {CONNECTION_BODY, CONNECTION_HEAD};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        for (struct connection *at = loop->connections[states[i]].first, *after; at; at = after) {
            after = at->next;
            int unread = 0;
            if (ioctl(at->watch.fd, FIONREAD, &unread) == 0 && unread > 0) {
                refuse_connection(at, 400, "the request cannot be read on: a line of it is too long");
                at->linger = false;
                connection_cut(at);
            }
        }
}
