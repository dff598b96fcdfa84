/* What this process was started with: LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES (sd_listen_fds(3)). */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/listener_parts.h"
#include "core/memory.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */
#define FDS_MAX 1024

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct listener_inherited *inherited; /* fd -1: taken */
static size_t inherited_count;

static enum listener_origin origin_of(const char *name)
{
    const char *ending = strrchr(name, '.');
    if (ending && strcmp(ending, ".handed") == 0)
        return LISTENER_HANDED;
    return ending && strcmp(ending, ".stored") == 0 ? LISTENER_STORED : LISTENER_GIVEN;
}

/* 0 to FDS_MAX; -1: not a number. */
static long number_in(const char *text, long max)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    return end != text && *end == 0 && errno == 0 && number >= 0 && number <= max ? number : -1;
}

static void add(int fd, const char *names, size_t index)
{
    const char *at = names;
    for (; at && index > 0; index--) {
        at = strchr(at, ':');
        at = at ? at + 1 : NULL;
    }
    char *name = at ? memory_printf("%.*s", (int)strcspn(at, ":"), at) : memory_strdup("");
    inherited = memory_realloc(inherited, (inherited_count + 1) * sizeof *inherited);
    inherited[inherited_count++] =
        (struct listener_inherited){.fd = fd, .origin = origin_of(name), .name = name};
}

static enum weir_status inherit(const char *fds, const char *names, struct weir_error *err)
{
    long count = number_in(fds, FDS_MAX);
    if (count < 0)
        return weir_fail(err, WEIR_INVALID_ARGUMENT, "LISTEN_FDS: \"%.40s\" is not a number up to %d", fds,
                         FDS_MAX);
    for (int i = 0; i < (int)count; i++) {
        int fd = FIRST_FD + i, flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
            return weir_fail(err, WEIR_INVALID_ARGUMENT,
                             "LISTEN_FDS is %ld, but descriptor %d is not open: who started this process "
                             "named more than it gave",
                             count, fd);
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        add(fd, names, (size_t)i);
    }
    return WEIR_OK;
}

bool listeners_inherit(struct weir_error *err)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS"), *names = getenv("LISTEN_FDNAMES");
    enum weir_status status = WEIR_OK;
    /* Another process's: they came down to this one by way of its environment. */
    if (pid && fds && number_in(pid, INT32_MAX) == (long)getpid()) {
        pthread_mutex_lock(&lock);
        status = inherit(fds, names, err);
        pthread_mutex_unlock(&lock);
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return status == WEIR_OK;
}

/* ---- Matching ---- */

static bool same_address(int fd, const union listener_address *wanted)
{
    union listener_address own = {0};
    socklen_t size = sizeof own;
    if (getsockname(fd, &own.any, &size) < 0 || own.any.sa_family != wanted->any.sa_family)
        return false;
    switch (own.any.sa_family) {
    case AF_UNIX:
        return strncmp(own.local.sun_path, wanted->local.sun_path, sizeof own.local.sun_path) == 0;
    case AF_INET:
        return own.v4.sin_addr.s_addr == wanted->v4.sin_addr.s_addr &&
               (wanted->v4.sin_port == 0 || own.v4.sin_port == wanted->v4.sin_port);
    case AF_INET6:
        return memcmp(&own.v6.sin6_addr, &wanted->v6.sin6_addr, sizeof own.v6.sin6_addr) == 0 &&
               (wanted->v6.sin6_port == 0 || own.v6.sin6_port == wanted->v6.sin6_port);
    default:
        return false;
    }
}

/* A listening stream socket: what a name promises may be anything. */
static bool listens(int fd)
{
    int value = 0;
    socklen_t size = sizeof value;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) < 0 || !value)
        return false;
    size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size) == 0 && value == SOCK_STREAM;
}

static bool has_name(const struct listener_inherited *one, const char *name)
{
    size_t length = strlen(name);
    if (one->origin == LISTENER_GIVEN)
        return strcmp(one->name, name) == 0;
    return strncmp(one->name, name, length) == 0 && strrchr(one->name, '.') == one->name + length;
}

/* How well it fits; 0: not at all. A port of 0 fits any, so there the name must, too. */
static int fit(const struct listener_inherited *one, const char *name, const union listener_address *address,
               bool any_port)
{
    if (one->fd < 0 || !listens(one->fd))
        return 0;
    bool named = has_name(one, name), at_address = same_address(one->fd, address);
    if (one->origin == LISTENER_GIVEN && named)
        return at_address ? 4 : 2;
    if (at_address && named)
        return 3;
    return at_address && !any_port ? 1 : 0;
}

bool listener_take_inherited(const char *name, const union listener_address *address, socklen_t size,
                             struct listener_inherited *ret_taken)
{
    (void)size;
    bool any_port = (address->any.sa_family == AF_INET && address->v4.sin_port == 0) ||
                    (address->any.sa_family == AF_INET6 && address->v6.sin6_port == 0);
    struct listener_inherited *best = NULL;
    int best_fit = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < inherited_count; i++) {
        int found = fit(&inherited[i], name, address, any_port);
        if (found > best_fit) {
            best_fit = found;
            best = &inherited[i];
        }
    }
    if (best) {
        *ret_taken = *best;
        *best = (struct listener_inherited){.fd = -1};
    }
    pthread_mutex_unlock(&lock);
    return best != NULL;
}

int listeners_take(const char *name)
{
    int fd = -1;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < inherited_count && fd < 0; i++)
        if (inherited[i].fd >= 0 && strcmp(inherited[i].name, name) == 0) {
            fd = inherited[i].fd;
            free(inherited[i].name);
            inherited[i] = (struct listener_inherited){.fd = -1};
        }
    pthread_mutex_unlock(&lock);
    return fd;
}

/* ---- What is left ---- */

static void describe(const struct listener_inherited *one, struct weir_buffer *text)
{
    union listener_address own = {0};
    socklen_t size = sizeof own;
    char host[INET6_ADDRSTRLEN] = "";
    weir_buffer_printf(text, "%s\"%s\" (", text->size ? ", " : "", one->name);
    if (getsockname(one->fd, &own.any, &size) < 0)
        weir_buffer_printf(text, "no socket)");
    else if (own.any.sa_family == AF_INET)
        weir_buffer_printf(text, "%s:%d)", inet_ntop(AF_INET, &own.v4.sin_addr, host, sizeof host),
                           ntohs(own.v4.sin_port));
    else if (own.any.sa_family == AF_INET6)
        weir_buffer_printf(text, "[%s]:%d)", inet_ntop(AF_INET6, &own.v6.sin6_addr, host, sizeof host),
                           ntohs(own.v6.sin6_port));
    else
        weir_buffer_printf(text, "unix:%.*s)", (int)sizeof own.local.sun_path, own.local.sun_path);
}

size_t listeners_drop_rest(struct weir_buffer *ret_text)
{
    size_t left = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < inherited_count; i++) {
        if (inherited[i].fd < 0)
            continue;
        describe(&inherited[i], ret_text);
        close(inherited[i].fd);
        free(inherited[i].name);
        left++;
    }
    free(inherited);
    inherited = NULL;
    inherited_count = 0;
    pthread_mutex_unlock(&lock);
    return left;
}
