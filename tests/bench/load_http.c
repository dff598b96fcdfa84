/* HTTP/1.1 over keep-alive connections, one request under way on each. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MAX 8192

struct connection {
    int fd;
    size_t size;
    char answer[ANSWER_MAX + 1];
};

struct http {
    struct load *load;
    char request[1024];
    size_t request_size;
    size_t usual; /* an answer's size, as it was the last time */
};

static void ask(const struct http *http, struct connection *connection)
{
    connection->size = 0;
    if (send(connection->fd, http->request, http->request_size, MSG_NOSIGNAL) != (ssize_t)http->request_size)
        load_die("bench-load: send");
}

/* 0: more is to come. */
static size_t answer_size(struct connection *connection)
{
    connection->answer[connection->size] = 0;
    char *end = strstr(connection->answer, "\r\n\r\n");
    char *length = strcasestr(connection->answer, "\r\nContent-Length:");
    if (!end)
        return 0;
    size_t size = (size_t)(end + 4 - connection->answer);
    if (length && length < end)
        size += strtoul(length + 17, NULL, 10);
    return connection->size >= size ? size : 0;
}

static void on_readable(struct http *http, struct connection *connection)
{
    ssize_t got =
        recv(connection->fd, connection->answer + connection->size, ANSWER_MAX - connection->size, 0);
    if (got <= 0)
        load_die("bench-load: the server closed a connection");
    connection->size += (size_t)got;
    if (connection->size != http->usual) {
        size_t size = answer_size(connection);
        if (size == 0)
            return;
        http->usual = size;
    }
    load_count(http->load, strncmp(connection->answer, "HTTP/1.1 200", 12) == 0);
    if (!http->load->over)
        ask(http, connection);
}

static void make_request(struct http *http, bool post)
{
    static const char body[] =
        "{\"key\":\"note-000000000001\",\"text\":\"" TEXT_OF_NOTE "\",\"number\":\"12345\"}";
    int size = post ? snprintf(http->request, sizeof http->request,
                               "POST /v1/notes HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\n"
                               "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                               sizeof body - 1, body)
                    : snprintf(http->request, sizeof http->request,
                               "GET /v1/notes/note-000000000001 HTTP/1.1\r\nHost: localhost\r\n"
                               "User-Agent: bench\r\nAccept: application/json\r\n\r\n");
    http->request_size = (size_t)size;
}

void load_http(struct load *load, bool post)
{
    struct http http = {.load = load};
    struct connection *connections = calloc((size_t)load->in_flight, sizeof *connections);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0 || !connections)
        load_die("bench-load: epoll");
    make_request(&http, post);
    for (int i = 0; i < load->in_flight; i++) {
        connections[i].fd = load_connect(load);
        struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = &connections[i]};
        epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].fd, &wanted);
        ask(&http, &connections[i]);
    }
    while (!load->over) {
        struct epoll_event events[64];
        int count = epoll_wait(epoll, events, 64, 0);
        if (count < 0 && errno != EINTR)
            load_die("bench-load: epoll_wait");
        for (int i = 0; i < count; i++)
            on_readable(&http, events[i].data.ptr);
        load_tick(load, load_now_ns());
    }
    for (int i = 0; i < load->in_flight; i++)
        close(connections[i].fd);
    free(connections);
    close(epoll);
}
