/* What no HTTP framework can go below: an epoll loop that finds where a request ends and writes a fixed
 * answer of the size that the others give. It parses no header but Content-Length and no JSON. Prints "ready
 * PORT". */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MAX 4096

struct connection {
    int fd;
    size_t size;
    char request[REQUEST_MAX + 1];
};

static const char answer[] = "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                             "Content-Type: application/json\r\nContent-Length: 121\r\n\r\n"
                             "{\"key\":\"note-000000000001\",\"text\":\"a text of some seventy bytes, as one "
                             "finds it in messages of services\",\"number\":\"12345\"}";

static bool is_complete(struct connection *connection)
{
    connection->request[connection->size] = 0;
    const char *end = strstr(connection->request, "\r\n\r\n");
    if (!end)
        return false;
    size_t size = (size_t)(end + 4 - connection->request);
    const char *length = strcasestr(connection->request, "\r\nContent-Length:");
    if (length && length < end)
        size += strtoul(length + 17, NULL, 10);
    return connection->size >= size;
}

static void serve(struct connection *connection)
{
    ssize_t got =
        recv(connection->fd, connection->request + connection->size, REQUEST_MAX - connection->size, 0);
    if (got <= 0) {
        close(connection->fd);
        free(connection);
        return;
    }
    connection->size += (size_t)got;
    if (!is_complete(connection))
        return;
    connection->size = 0;
    if (send(connection->fd, answer, sizeof answer - 1, MSG_NOSIGNAL) < 0)
        perror("floor-http: send");
}

static void take(int listener, int epoll)
{
    struct connection *connection = calloc(1, sizeof *connection);
    int on = 1;
    connection->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = connection};
    epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &wanted);
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), epoll = epoll_create1(EPOLL_CLOEXEC);
    if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 1024) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
        perror("floor-http");
        return 1;
    }
    struct epoll_event wanted = {.events = EPOLLIN};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &wanted);
    printf("ready %d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        struct epoll_event events[64];
        int count = epoll_wait(epoll, events, 64, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                serve(events[i].data.ptr);
            else
                take(listener, epoll);
        }
    }
}
