/* Whether somebody listens at all, asked before a call, because gRPC waits for a server until the deadline
 * and then does not say what was wrong. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "tool.h"

#define PATIENCE_MS 3000

/* 0, or an errno. */
static int try_connect(int family, const struct sockaddr *address, socklen_t size)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int errnum = connect(fd, address, size) == 0 ? 0 : errno;
    if (errnum == EINPROGRESS) {
        struct pollfd waiting = {.fd = fd, .events = POLLOUT};
        socklen_t length = sizeof errnum;
        if (poll(&waiting, 1, PATIENCE_MS) <= 0)
            errnum = ETIMEDOUT;
        else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &length) != 0)
            errnum = errno;
    }
    close(fd);
    return errnum;
}

static int reach_unix(const char *target, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return tool_fail(EX_USAGE, "%s: the path is too long for a socket", target);
    memcpy(address.sun_path, path, strlen(path));
    int errnum = try_connect(AF_UNIX, (const struct sockaddr *)&address, sizeof address);
    return errnum == 0 ? 0 : tool_fail(EX_UNAVAILABLE, "nobody listens on %s: %s", target, strerror(errnum));
}

static int reach_host(const char *target, const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *addresses = NULL;
    int error = getaddrinfo(host, port, &hints, &addresses);
    if (error != 0)
        return tool_fail(EX_UNAVAILABLE, "cannot find %s: %s", target, gai_strerror(error));
    int errnum = ECONNREFUSED;
    for (struct addrinfo *at = addresses; at && errnum != 0; at = at->ai_next)
        errnum = try_connect(at->ai_family, at->ai_addr, at->ai_addrlen);
    freeaddrinfo(addresses);
    if (errnum == ECONNREFUSED)
        return tool_fail(EX_UNAVAILABLE, "nobody listens on %s: connection refused", target);
    return errnum == 0 ? 0 : tool_fail(EX_UNAVAILABLE, "cannot reach %s: %s", target, strerror(errnum));
}

int tool_reach(const char *target)
{
    if (strncmp(target, "unix:", 5) == 0)
        return reach_unix(target, target + 5);
    char host[256];
    const char *colon = strrchr(target, ':');
    if (!colon || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        (size_t)(colon - target) >= sizeof host)
        return tool_fail(EX_USAGE, "%s is no target: HOST:PORT or unix:PATH", target);
    size_t begin = target[0] == '[', end = (size_t)(colon - target);
    if (begin && end > 0 && target[end - 1] == ']')
        end--;
    memcpy(host, target + begin, end - begin);
    host[end - begin] = 0;
    return reach_host(target, host[0] ? host : "127.0.0.1", colon + 1);
}
