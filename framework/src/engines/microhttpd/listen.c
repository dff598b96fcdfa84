/* Listening: "127.0.0.1:8082", "[::]:8082", "localhost:0", "unix:PATH". A taken port is an error that names
 * who has it. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/memory.h"
#include "engines/microhttpd/internal.h"

/* ---- Who has the port ---- */

/* The inode of the socket that listens on `port`; 0: not found. */
static uint64_t listener_inode(const char *table, int port)
{
    FILE *file = fopen(table, "re");
    if (!file)
        return 0;
    char line[512];
    uint64_t found = 0;
    while (!found && fgets(line, sizeof line, file)) {
        unsigned local_port, state;
        uint64_t inode;
        /* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers fit */
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*u %*u %" SCNu64, &local_port, &state,
                   &inode) == 3 &&
            (int)local_port == port && state == 0x0A /* TCP_LISTEN */)
            found = inode;
    }
    fclose(file);
    return found;
}

static bool process_has(const char *pid, uint64_t inode)
{
    char path[300], link[300], wanted[64], target[128];
    snprintf(wanted, sizeof wanted, "socket:[%" PRIu64 "]", inode);
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    DIR *folder = opendir(path);
    if (!folder)
        return false;
    bool found = false;
    for (struct dirent *entry; !found && (entry = readdir(folder));) {
        if (snprintf(link, sizeof link, "/proc/%s/fd/%s", pid, entry->d_name) >= (int)sizeof link)
            continue;
        ssize_t size = readlink(link, target, sizeof target - 1);
        if (size > 0) {
            target[size] = 0;
            found = strcmp(target, wanted) == 0;
        }
    }
    closedir(folder);
    return found;
}

static void read_name(const char *pid, char *ret_name, size_t size)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/%s/comm", pid);
    snprintf(ret_name, size, "?");
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    if (fgets(ret_name, (int)size, file))
        ret_name[strcspn(ret_name, "\n")] = 0;
    fclose(file);
}

/* "process 1234 (inventory)", or "another process". */
static void describe_holder(int port, char *ret_text, size_t size)
{
    snprintf(ret_text, size, "another process");
    uint64_t inode = listener_inode("/proc/net/tcp", port);
    if (!inode)
        inode = listener_inode("/proc/net/tcp6", port);
    DIR *processes = inode ? opendir("/proc") : NULL;
    if (!processes)
        return;
    for (struct dirent *entry; (entry = readdir(processes));) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || !process_has(entry->d_name, inode))
            continue;
        char name[64];
        read_name(entry->d_name, name, sizeof name);
        snprintf(ret_text, size, "process %.16s (%s)", entry->d_name, name);
        break;
    }
    closedir(processes);
}

/* ---- Sockets ---- */

static enum weir_status fail_bind(const struct http_engine *engine, int port, int error,
                                  struct weir_error *err)
{
    if (error != EADDRINUSE)
        return weir_fail_errno(err, WEIR_UNAVAILABLE, error, "cannot listen on %s", engine->listen_text);
    char holder[128];
    describe_holder(port, holder, sizeof holder);
    return weir_fail(err, WEIR_UNAVAILABLE,
                     "cannot listen on %s: port %d is taken by %s; stop it, or set `listen` to another port",
                     engine->listen_text, port, holder);
}

static int address_port(const struct sockaddr_storage *address)
{
    return ntohs(address->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)address)->sin6_port
                                                : ((const struct sockaddr_in *)address)->sin_port);
}

static enum weir_status open_tcp(struct http_engine *engine, const struct addrinfo *info,
                                 struct weir_error *err)
{
    struct sockaddr_storage address = {0};
    memcpy(&address, info->ai_addr, info->ai_addrlen);
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return weir_fail_errno(err, WEIR_UNAVAILABLE, errno, "cannot make a socket for %s",
                               engine->listen_text);

    int on = 1, off = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (info->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off); /* [::] serves IPv4, too */
    if (bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0) {
        int error = errno;
        close(fd);
        return fail_bind(engine, address_port(&address), error, err);
    }
    socklen_t size = sizeof address;
    getsockname(fd, (struct sockaddr *)&address, &size);
    engine->port = address_port(&address);
    engine->family = info->ai_family;
    engine->listen_fd = fd;
    return WEIR_OK;
}

static enum weir_status listen_tcp(struct http_engine *engine, struct weir_error *err)
{
    char *host = memory_strdup(engine->listen_text);
    char *colon = strrchr(host, ':');
    char *name = host;
    size_t length = colon ? (size_t)(colon - host) : 0;
    bool bracketed = length >= 2 && host[0] == '[' && host[length - 1] == ']';
    if (colon) {
        *colon = 0;
        if (bracketed) {
            host[length - 1] = 0;
            name++;
        }
    }
    char *port_end = NULL;
    long port = colon ? strtol(colon + 1, &port_end, 10) : -1;
    if (!colon || port_end == colon + 1 || *port_end || port < 0 || port > 65535 || !*name ||
        (!bracketed && strchr(name, ':'))) {
        free(host);
        return weir_fail(err, WEIR_INVALID_ARGUMENT,
                         "listen: \"%s\" is not HOST:PORT, [IPV6]:PORT or unix:PATH", engine->listen_text);
    }

    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *info = NULL;
    /* Of a name such as localhost the IPv4 address, where there is one: with most systems its first is ::1,
     * which who asks for 127.0.0.1 does not reach. */
    hints.ai_family = bracketed ? AF_INET6 : AF_INET;
    int error = getaddrinfo(name, colon + 1, &hints, &info);
    if (error && !bracketed) {
        hints.ai_family = AF_INET6;
        error = getaddrinfo(name, colon + 1, &hints, &info);
    }
    enum weir_status status;
    if (error)
        status = weir_fail(err, WEIR_UNAVAILABLE, "cannot listen on %s: %s", engine->listen_text,
                           gai_strerror(error));
    else
        status = open_tcp(engine, info, err);
    if (info)
        freeaddrinfo(info);
    free(host);
    return status;
}

/* A socket file that nobody serves is left from a process that died. */
static bool is_abandoned(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool refused =
        connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static enum weir_status listen_unix(struct http_engine *engine, const char *path, struct weir_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) == 0 || strlen(path) >= sizeof address.sun_path)
        return weir_fail(err, WEIR_INVALID_ARGUMENT, "listen: the path in \"%s\" must have 1 to %zu bytes",
                         engine->listen_text, sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return weir_fail_errno(err, WEIR_UNAVAILABLE, errno, "cannot make a socket for %s",
                               engine->listen_text);
    if (is_abandoned(&address))
        unlink(path);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, SOMAXCONN) < 0) {
        int error = errno;
        close(fd);
        return weir_fail_errno(err, WEIR_UNAVAILABLE, error, "cannot listen on %s", engine->listen_text);
    }
    engine->unix_path = memory_strdup(path);
    engine->family = AF_UNIX;
    engine->listen_fd = fd;
    return WEIR_OK;
}

enum weir_status listen_open(struct http_engine *engine, struct weir_error *err)
{
    static const char prefix[] = "unix:";
    if (strncmp(engine->listen_text, prefix, sizeof prefix - 1) == 0)
        return listen_unix(engine, engine->listen_text + sizeof prefix - 1, err);
    return listen_tcp(engine, err);
}
