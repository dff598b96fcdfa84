#include "core/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/listener_parts.h"
#include "core/memory.h"

#define TCP_FLAGS_AT 13
#define SYN_ACK 0x12
#define SYN 0x02
#define TTL_MAX 255

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct listener *all; /* the open ones, latest first */
static bool holding;         /* the predecessor is the service still */

/* ---- Addresses ---- */

static int port_of(const union listener_address *address)
{
    return address->any.sa_family == AF_INET6  ? ntohs(address->v6.sin6_port)
           : address->any.sa_family == AF_INET ? ntohs(address->v4.sin_port)
                                               : 0;
}

static enum weir_status resolve_host(const char *text, const char *host, bool bracketed, const char *port,
                                     union listener_address *ret_address, socklen_t *ret_size,
                                     struct weir_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *info = NULL;
    /* Of a name such as localhost the IPv4 address, where there is one: with most systems its first is ::1,
     * which who asks for 127.0.0.1 does not reach. */
    hints.ai_family = bracketed ? AF_INET6 : AF_INET;
    int error = getaddrinfo(host, port, &hints, &info);
    if (error && !bracketed) {
        hints.ai_family = AF_INET6;
        error = getaddrinfo(host, port, &hints, &info);
    }
    if (error)
        return weir_fail(err, WEIR_UNAVAILABLE, "cannot listen on %s: %s", text, gai_strerror(error));
    memcpy(ret_address, info->ai_addr, info->ai_addrlen);
    *ret_size = info->ai_addrlen;
    freeaddrinfo(info);
    return WEIR_OK;
}

static enum weir_status resolve_tcp(const char *text, union listener_address *ret_address,
                                    socklen_t *ret_size, struct weir_error *err)
{
    char *host = memory_strdup(text);
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
    enum weir_status status;
    if (!colon || port_end == colon + 1 || *port_end || port < 0 || port > 65535 || !*name ||
        (!bracketed && strchr(name, ':')))
        status = weir_fail(err, WEIR_INVALID_ARGUMENT,
                           "listen: \"%s\" is not HOST:PORT, [IPV6]:PORT or unix:PATH", text);
    else
        status = resolve_host(text, name, bracketed, colon + 1, ret_address, ret_size, err);
    free(host);
    return status;
}

static enum weir_status resolve(const char *text, union listener_address *ret_address, socklen_t *ret_size,
                                struct weir_error *err)
{
    static const char prefix[] = "unix:";
    *ret_address = (union listener_address){0};
    if (strncmp(text, prefix, sizeof prefix - 1) != 0)
        return resolve_tcp(text, ret_address, ret_size, err);
    const char *path = text + sizeof prefix - 1;
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof ret_address->local.sun_path)
        return weir_fail(err, WEIR_INVALID_ARGUMENT, "listen: the path in \"%s\" must have 1 to %zu bytes",
                         text, sizeof ret_address->local.sun_path - 1);
    ret_address->local.sun_family = AF_UNIX;
    memcpy(ret_address->local.sun_path, path, length + 1);
    *ret_size = sizeof ret_address->local;
    return WEIR_OK;
}

/* ---- Opening ---- */

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

static void prepare(int fd, const union listener_address *address, unsigned mode)
{
    int on = 1, off = 0;
    if (address->any.sa_family == AF_UNIX) {
        if (mode != 0)
            fchmod(fd, (mode_t)mode); /* bind() makes the file with it: there is no moment without */
        if (is_abandoned(&address->local))
            unlink(address->local.sun_path);
        return;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off); /* [::] serves IPv4, too */
}

static enum weir_status fail_bind(const char *text, int port, int error, struct weir_error *err)
{
    if (error != EADDRINUSE || port == 0)
        return weir_fail_errno(err, WEIR_UNAVAILABLE, error, "cannot listen on %s", text);
    char holder[128];
    listener_describe_holder(port, holder, sizeof holder);
    return weir_fail(err, WEIR_UNAVAILABLE,
                     "cannot listen on %s: port %d is taken by %s; stop it, or set `listen` to another port",
                     text, port, holder);
}

static enum weir_status open_socket(const struct listener_options *options,
                                    const union listener_address *address, socklen_t size, int *ret_fd,
                                    struct weir_error *err)
{
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return weir_fail_errno(err, WEIR_UNAVAILABLE, errno, "cannot make a socket for %s", options->address);
    prepare(fd, address, options->mode);
    if (bind(fd, &address->any, size) < 0 || listen(fd, SOMAXCONN) < 0) {
        int error = errno;
        close(fd);
        return fail_bind(options->address, port_of(address), error, err);
    }
    *ret_fd = fd;
    return WEIR_OK;
}

enum weir_status listener_open(struct listener *listener, const struct listener_options *options,
                               struct weir_error *err)
{
    union listener_address address;
    socklen_t size = 0;
    struct listener_inherited taken = {.fd = -1};
    enum weir_status status = resolve(options->address, &address, &size, err);
    if (status == WEIR_OK && !listener_take_inherited(options->name, &address, size, &taken))
        status = open_socket(options, &address, size, &taken.fd, err);
    if (status != WEIR_OK)
        return status;

    size = sizeof address;
    getsockname(taken.fd, &address.any, &size);
    *listener = (struct listener){
        .open = true,
        .fd = taken.fd,
        .family = address.any.sa_family,
        .port = port_of(&address),
        .origin = taken.origin,
        .transient = options->transient,
        .accept = options->accept,
        .self = options->self,
        .name = memory_strdup(options->name),
        .given_name = taken.name,
        .path = address.any.sa_family == AF_UNIX ? memory_strdup(address.local.sun_path) : NULL,
    };
    pthread_mutex_lock(&lock);
    listener->held = listener->waits = holding && options->accept;
    listener->next = all;
    all = listener;
    pthread_mutex_unlock(&lock);
    return WEIR_OK;
}

/* ---- Closing ---- */

/* Holds: lock. */
static bool is_shared(const struct listener *listener)
{
    return listener->handed_on || listener->origin == LISTENER_GIVEN || listener->origin == LISTENER_STORED ||
           (listener->origin == LISTENER_HANDED && holding);
}

bool listener_is_shared(const struct listener *listener)
{
    pthread_mutex_lock(&lock);
    bool shared = listener->open && is_shared(listener);
    pthread_mutex_unlock(&lock);
    return shared;
}

/* Linux from 5d39580f68e6 (2026) on wants CAP_NET_ADMIN for it. */
static bool attach_filter(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS,
                 TCP_FLAGS_AT), /* the filter sees the segment from its TCP header on */
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SYN_ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

/* What comes with less is dropped: by the listening socket, to which SYNs go. The rest of a handshake that is under way
 * goes to its request and is not looked at (tcp_v4_rcv()); but the connection that it makes inherits the limit. Of
 * IPv4 on a socket of IPv6 the first counts. Each may fail where the family is another. */
static void set_least_ttl(int fd, int ttl)
{
    setsockopt(fd, IPPROTO_IP, IP_MINTTL, &ttl, sizeof ttl);
    setsockopt(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, &ttl, sizeof ttl);
}

atomic_bool listener_may_filter = true;

static void drop_syn(struct listener *listener)
{
    if (atomic_load(&listener_may_filter) && attach_filter(listener->fd))
        return;
    /* Everybody needs no right for this. Systems begin with 64 or 128; of the few that begin with 255, a neighbour's
     * handshake still passes. */
    atomic_store(&listener->deaf, true);
    set_least_ttl(listener->fd, TTL_MAX);
}

int listener_accept(struct listener *listener, struct sockaddr *ret_address, socklen_t *size)
{
    int fd = accept4(listener->fd, ret_address, size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0 && atomic_load_explicit(&listener->deaf, memory_order_relaxed))
        set_least_ttl(fd, 0);
    return fd;
}

bool listener_quiesce(struct listener *listener)
{
    if (!listener->open || listener_is_shared(listener))
        return false;
    if (listener->path) {
        unlink(listener->path);
        free(listener->path);
        listener->path = NULL;
        return false;
    }
    drop_syn(listener);
    return true;
}

void listener_mute(struct listener *listener)
{
    pthread_mutex_lock(&lock);
    listener->accept = NULL;
    pthread_mutex_unlock(&lock);
}

void listener_close(struct listener *listener)
{
    if (!listener->open)
        return;
    pthread_mutex_lock(&lock);
    for (struct listener **link = &all; *link; link = &(*link)->next)
        if (*link == listener) {
            *link = listener->next;
            break;
        }
    bool shared = is_shared(listener);
    close(listener->fd); /* under the lock: listeners_copy() duplicates what is in the list */
    pthread_mutex_unlock(&lock);
    if (listener->path && !shared)
        unlink(listener->path);
    free(listener->path);
    free(listener->name);
    free(listener->given_name);
    *listener = (struct listener){.fd = -1, .port = listener->port, .family = listener->family};
}

/* ---- For the lifecycle ---- */

static char *name_for(const struct listener *listener, enum listener_use use)
{
    if (listener->origin == LISTENER_GIVEN)
        return memory_strdup(listener->given_name);
    const char *ending =
        use == LISTENER_FOR_STORE || listener->origin == LISTENER_STORED ? "stored" : "handed";
    char *name = memory_printf("%s.%s", listener->name, ending);
    for (char *at = name; *at; at++)
        if (*at == ':' || *at < ' ') /* the list of names is separated by colons */
            *at = '_';
    return name;
}

static bool is_storable(const struct listener *listener)
{
    return !listener->transient && listener->origin != LISTENER_GIVEN && listener->origin != LISTENER_STORED;
}

size_t listeners_copy(enum listener_use use, struct listener_copy **ret_copies)
{
    size_t count = 0;
    struct listener_copy *copies = NULL;
    pthread_mutex_lock(&lock);
    for (const struct listener *at = all; at; at = at->next) {
        if (use == LISTENER_FOR_STORE && !is_storable(at))
            continue;
        int fd = fcntl(at->fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            continue; /* out of descriptors: the other side opens one of its own, or says that it cannot */
        copies = memory_realloc(copies, (count + 1) * sizeof *copies);
        copies[count++] = (struct listener_copy){.fd = fd, .name = name_for(at, use)};
    }
    pthread_mutex_unlock(&lock);
    *ret_copies = copies;
    return count;
}

void listener_copies_free(struct listener_copy *copies, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        close(copies[i].fd);
        free(copies[i].name);
    }
    free(copies);
}

void listeners_hold(void)
{
    pthread_mutex_lock(&lock);
    holding = true;
    pthread_mutex_unlock(&lock);
}

void listeners_release(void)
{
    pthread_mutex_lock(&lock); /* held while they are told: none is closed meanwhile */
    holding = false;
    for (struct listener *at = all; at; at = at->next) {
        if (at->waits && at->accept)
            at->accept(at->self, true);
        at->waits = false;
    }
    pthread_mutex_unlock(&lock);
}

void listeners_handed_on(void)
{
    pthread_mutex_lock(&lock);
    for (struct listener *at = all; at; at = at->next) {
        at->handed_on = true;
        if (at->accept)
            at->accept(at->self, false);
    }
    pthread_mutex_unlock(&lock);
}

void listeners_stored(void)
{
    pthread_mutex_lock(&lock);
    for (struct listener *at = all; at; at = at->next)
        if (is_storable(at))
            at->origin = LISTENER_STORED;
    pthread_mutex_unlock(&lock);
}
