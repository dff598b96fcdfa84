#include "listen.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/export.h>

/* Of the thread that makes the cluster, while it does. */
static _Thread_local const struct sockaddr_in *wanted, *told;
static _Thread_local int captured = -1;

enum weir_status listen_parse(const char *text, struct sockaddr_in *ret_address, struct weir_error *err)
{
    char host[INET_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');
    struct sockaddr_in address = {.sin_family = AF_INET};
    char *end = NULL;
    long port = colon && colon[1] ? strtol(colon + 1, &end, 10) : -1;
    if (!colon || !end || *end || port < 0 || port > 65535 || (size_t)(colon - text) >= sizeof host)
        return weir_fail(err, WEIR_INVALID_ARGUMENT, "\"%s\" is not ADDRESS:PORT, as in 127.0.0.1:9092",
                         text);
    snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        return weir_fail(err, WEIR_INVALID_ARGUMENT, "\"%s\" is not an IPv4 address, as 127.0.0.1 is", host);
    address.sin_port = htons((uint16_t)port);
    *ret_address = address;
    return WEIR_OK;
}

enum weir_status listen_probe(const struct sockaddr_in *address, struct weir_error *err)
{
    char host[INET_ADDRSTRLEN] = "";
    inet_ntop(AF_INET, &address->sin_addr, host, sizeof host);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return weir_fail_errno(err, WEIR_UNAVAILABLE, errno, "cannot make a socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool fine = bind(fd, (const struct sockaddr *)address, sizeof *address) == 0 && listen(fd, 1) == 0;
    int error = errno;
    close(fd);
    if (fine)
        return WEIR_OK;
    return weir_fail_errno(err, WEIR_UNAVAILABLE, error, "cannot listen on %s:%u", host,
                           (unsigned)ntohs(address->sin_port));
}

void listen_capture(const struct sockaddr_in *address, const struct sockaddr_in *advertised)
{
    wanted = address;
    told = advertised;
}

void listen_release(void)
{
    wanted = told = NULL;
    captured = -1;
}

static bool is_any_loopback_port(const struct sockaddr *address, socklen_t size)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
    return size >= sizeof *in && in->sin_family == AF_INET && in->sin_port == 0 &&
           in->sin_addr.s_addr == htonl(INADDR_LOOPBACK);
}

typedef int bind_fn(int, const struct sockaddr *, socklen_t);
typedef int getsockname_fn(int, struct sockaddr *, socklen_t *);

/* A pointer to data cannot be cast to one of a function in ISO C. */
static void next_symbol(const char *name, void *ret_function)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    memcpy(ret_function, &symbol, sizeof symbol);
}

/* Under names of their own in C, because libc's declarations differ (they take unions of pointers). */
WEIR_API int bind_or_capture(int fd, const struct sockaddr *address, socklen_t size) __asm__("bind");
WEIR_API int getsockname_or_tell(int fd, struct sockaddr *address, socklen_t *size) __asm__("getsockname");

int bind_or_capture(int fd, const struct sockaddr *address, socklen_t size)
{
    bind_fn *real = NULL;
    next_symbol("bind", &real);
    if (!wanted || !is_any_loopback_port(address, size))
        return real(fd, address, size);
    captured = fd;
    return real(fd, (const struct sockaddr *)wanted, sizeof *wanted);
}

int getsockname_or_tell(int fd, struct sockaddr *address, socklen_t *size)
{
    getsockname_fn *real = NULL;
    next_symbol("getsockname", &real);
    int result = real(fd, address, size);
    if (result == 0 && told && fd == captured && *size >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in *in = (struct sockaddr_in *)(void *)address;
        in->sin_addr = told->sin_addr;
        if (told->sin_port != 0)
            in->sin_port = told->sin_port;
    }
    return result;
}
