#include "raw_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <weir/clock.h>

#define WAIT_MS 5000

int raw_connect(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int raw_connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

bool raw_send_bytes(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent < 0)
            return false;
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

bool raw_send(int fd, const char *text)
{
    return raw_send_bytes(fd, text, strlen(text));
}

/* 1: a byte; 0: closed; -1: nothing in time. */
static int read_some(int fd, void *data, size_t size, size_t *ret_size)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (poll(&wait, 1, WAIT_MS) <= 0)
        return -1;
    ssize_t got = recv(fd, data, size, 0);
    *ret_size = got > 0 ? (size_t)got : 0;
    return got > 0;
}

const char *raw_header(const struct raw_answer *answer, const char *name)
{
    static _Thread_local char value[1024];
    size_t size = strlen(name);
    for (const char *line = answer->head; (line = strstr(line, "\r\n")) != NULL;) {
        line += 2;
        if (strncasecmp(line, name, size) == 0 && line[size] == ':') {
            const char *from = line + size + 1 + strspn(line + size + 1, " ");
            snprintf(value, sizeof value, "%.*s", (int)strcspn(from, "\r"), from);
            return value;
        }
    }
    return NULL;
}

static int read_head(int fd, struct raw_answer *answer)
{
    size_t size = 0;
    while (size < sizeof answer->head - 1) {
        size_t got;
        int result =
            read_some(fd, answer->head + size, 1, &got); /* by bytes: what follows stays in the socket */
        if (result <= 0)
            return size > 0 && result == 0 ? -2 : result;
        answer->head[++size] = 0;
        if (size >= 4 && strcmp(answer->head + size - 4, "\r\n\r\n") == 0)
            return 1;
    }
    return -2;
}

struct raw_answer *raw_read(int fd, bool head_only)
{
    struct raw_answer *answer = calloc(1, sizeof *answer);
    int result = read_head(fd, answer);
    if (result <= 0) {
        answer->status = result;
        return answer;
    }
    if (sscanf(answer->head, "HTTP/1.1 %d ", &answer->status) != 1)
        answer->status = -2;
    const char *length = raw_header(answer, "content-length");
    size_t wanted = length && !head_only ? (size_t)strtoul(length, NULL, 10) : 0;
    if (wanted > sizeof answer->body - 1)
        wanted = sizeof answer->body - 1;
    while (answer->body_size < wanted) {
        size_t got;
        if (read_some(fd, answer->body + answer->body_size, wanted - answer->body_size, &got) <= 0) {
            answer->status = -2;
            break;
        }
        answer->body_size += got;
    }
    return answer;
}

struct raw_answer *raw_ask(int port, const char *request)
{
    int fd = raw_connect(port);
    if (fd < 0)
        return calloc(1, sizeof(struct raw_answer));
    raw_send(fd, request);
    struct raw_answer *answer = raw_read(fd, strncmp(request, "HEAD ", 5) == 0);
    close(fd);
    return answer;
}

bool raw_closed(int fd)
{
    char scratch[4096];
    size_t got;
    int64_t limit_ns = weir_now_ns() + WAIT_MS * WEIR_NS_PER_MS;
    while (weir_now_ns() < limit_ns) {
        int result = read_some(fd, scratch, sizeof scratch, &got);
        if (result <= 0)
            return result == 0;
    }
    return false;
}
