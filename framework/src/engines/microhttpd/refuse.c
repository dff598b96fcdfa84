/* Answers past libmicrohttpd, written straight to the socket, at moments when nothing else is being sent on
 * it: where it cannot answer (a time limit, an upload that grows too large), or would answer badly (0.9.75
 * sends the head of its own refusals twice). A client that is still sending would lose the answer to a reset
 * if the socket were closed at once, so a copy of it is read until the client closes, too. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "core/memory.h"
#include "engines/microhttpd/internal.h"

static const char *reason(int status)
{
    const char *phrase = MHD_get_reason_phrase_for((unsigned)status);
    return phrase ? phrase : "Error";
}

void refuse_socket(struct loop *loop, int fd, int status, const char *text)
{
    struct weir_buffer body = {0}, all = {0};
    char date[64];
    struct tm tm;
    time_t now = (time_t)(weir_unix_ns() / WEIR_NS_PER_S);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
    loop->engine->problem(status, text, &body);
    weir_buffer_printf(&all,
                       "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: close\r\n%s"
                       "Content-Type: application/problem+json\r\nContent-Length: %zu\r\n\r\n",
                       status, reason(status), date, status == 503 ? "Retry-After: 1\r\n" : "", body.size);
    weir_buffer_append(&all, body.data, body.size);
    /* A fresh or answered connection's send buffer has room for it; if not, the client does not read anyway.
     */
    ssize_t sent = send(fd, all.data, all.size, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent;
    weir_buffer_free(&all);
    weir_buffer_free(&body);
}

void refuse_connection(struct connection *connection, int status, const char *text)
{
    if (connection->state == CONNECTION_CLOSING)
        return;
    refuse_socket(connection->loop, connection->watch.fd, status, text);
    connection->linger = true;
    connection_set_state(connection, CONNECTION_CLOSING);
}

static void close_lingerer(struct loop *loop, struct lingerer *lingerer)
{
    *(lingerer == loop->lingerers ? &loop->lingerers : &lingerer->previous->next) = lingerer->next;
    if (lingerer->next)
        lingerer->next->previous = lingerer->previous;
    loop->lingerer_count--;
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, lingerer->watch.fd, NULL);
    close(lingerer->watch.fd);
    free(lingerer);
}

void linger(struct loop *loop, int fd, bool closes_fd)
{
    shutdown(fd, SHUT_WR);
    int own = closes_fd ? fd : -1;
    if (!closes_fd && loop->lingerer_count < LINGERERS_MAX)
        own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return;
    if (loop->lingerer_count >= LINGERERS_MAX) {
        close(own);
        return;
    }
    struct lingerer *lingerer = NEW(struct lingerer);
    lingerer->watch = (struct watch){WATCH_LINGER, own};
    lingerer->deadline_ns = loop->now_ns + LINGER_MS * WEIR_NS_PER_MS;
    lingerer->next = loop->lingerers;
    if (lingerer->next)
        lingerer->next->previous = lingerer;
    loop->lingerers = lingerer;
    loop->lingerer_count++;
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = &lingerer->watch};
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, own, &event) < 0)
        close_lingerer(loop, lingerer);
}

void linger_event(struct loop *loop, struct lingerer *lingerer)
{
    char scratch[16384];
    ssize_t size = recv(lingerer->watch.fd, scratch, sizeof scratch, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size > 0 && (lingerer->bytes += (size_t)size) <= LINGER_BYTES_MAX)
        return;
    close_lingerer(loop, lingerer);
}

int64_t lingerers_check_deadlines(struct loop *loop)
{
    int64_t next = WEIR_NEVER;
    for (struct lingerer *lingerer = loop->lingerers, *after; lingerer; lingerer = after) {
        after = lingerer->next;
        if (lingerer->deadline_ns <= loop->now_ns)
            close_lingerer(loop, lingerer);
        else if (lingerer->deadline_ns < next)
            next = lingerer->deadline_ns;
    }
    return next;
}

void lingerers_close(struct loop *loop)
{
    while (loop->lingerers)
        close_lingerer(loop, loop->lingerers);
}
