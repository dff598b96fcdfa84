/* Ends its process at one call of those that change something outside: before it, in the middle of its bytes, or after
 * it. Preloaded (LD_PRELOAD); told by a file that it shares with the test (CRASH_CONTROL), see crash.py.
 *
 * A point is known by its class, "thread/call/file" or "call/peer", and its number in it: threads run side by side, and a
 * number over all of them would mean another call each time. Which thread sends is chance with gRPC, so it is no part of
 * a peer's class.
 *
 * With CRASH_LOG it records what happens to the files of CRASH_FOLDER. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record.h"

#define NAME_SIZE 96
#define CLASSES_MAX 256

enum how {
    COUNT,
    BEFORE,
    HALF,
    AFTER,
};

/* crash.py knows this layout. */
struct control {
    _Atomic uint32_t armed; /* 0: not; else for which time */
    uint32_t how;
    uint32_t number; /* from 1 */
    uint32_t hit;
    char target[NAME_SIZE];
    uint32_t class_count;
    struct class
    {
        char name[NAME_SIZE];
        uint32_t calls;
        uint32_t writes; /* 1: its calls have bytes and can be halved */
    } classes[CLASSES_MAX];
};

static struct control *control;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *ports; /* "8082=inventory,9092=broker" */

__attribute__((constructor)) static void attach(void)
{
    const char *path = getenv("CRASH_CONTROL");
    int fd = path ? openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *memory = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    ports = getenv("CRASH_PORTS");
    control = memory == MAP_FAILED ? NULL : memory;
    if (control && getenv("CRASH_LOG"))
        record_begin(getenv("CRASH_LOG"), getenv("CRASH_FOLDER"));
}

/* ---- Classes ---- */

static bool named_port(unsigned port, const char *prefix, char *name, size_t size)
{
    char wanted[16];
    snprintf(wanted, sizeof wanted, "%u=", port);
    for (const char *at = ports; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, wanted, strlen(wanted)) == 0) {
            at += strlen(wanted);
            snprintf(name, size, "%s%.*s", prefix, (int)strcspn(at, ","), at);
            return true;
        }
    }
    return false;
}

static void name_socket(int fd, char *name, size_t size)
{
    struct sockaddr_in6 address = {0}; /* its port is where IPv4's is */
    socklen_t length = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &length) == 0 && address.sin6_family != AF_UNIX &&
        named_port(ntohs(address.sin6_port), "client of ", name, size))
        return;
    length = sizeof address;
    if (getpeername(fd, (struct sockaddr *)&address, &length) == 0 && address.sin6_family != AF_UNIX &&
        named_port(ntohs(address.sin6_port), "", name, size))
        return;
    snprintf(name, size, "%s", address.sin6_family == AF_UNIX ? "unix" : "socket");
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), wanted = strlen(end);
    return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

static const char *name_of_file(const char *path)
{
    static const struct {
        const char *end, *name;
    } names[] = {{".db", "database"},     {"-wal", "wal"},          {"-shm", "shm"},
                 {"-journal", "journal"}, {".relay", "relay lock"}, {0}};
    for (int i = 0; names[i].end; i++)
        if (ends_with(path, names[i].end))
            return names[i].name;
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode) ? "folder" : "file";
}

/* False: what it goes to is the process itself, or its log. */
static bool name_descriptor(int fd, char *name, size_t size, bool *ret_socket)
{
    char link[32], path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (fd == STDOUT_FILENO || fd == STDERR_FILENO || length < 0)
        return false;
    path[length] = 0;
    *ret_socket = strncmp(path, "socket:", 7) == 0;
    if (*ret_socket)
        name_socket(fd, name, size);
    else if (path[0] != '/')
        return false; /* a pipe, an eventfd */
    else
        snprintf(name, size, "%s", name_of_file(path));
    return true;
}

static bool name_class(const struct call *call, char name[NAME_SIZE])
{
    char what[48];
    bool socket = false;
    if (call->fd < 0)
        snprintf(what, sizeof what, "%s", name_of_file(call->path));
    else if (!name_descriptor(call->fd, what, sizeof what, &socket))
        return false;
    char thread[17] = "";
    prctl(PR_GET_NAME, thread);
    for (size_t end = strlen(thread); end > 0 && strchr("0123456789-_", thread[end - 1]); end--)
        thread[end - 1] = 0;
    if (socket)
        snprintf(name, NAME_SIZE, "%s/%s", call->name, what);
    else
        snprintf(name, NAME_SIZE, "%s/%s/%s", thread, call->name, what);
    return true;
}

/* Holds: lock. */
static struct class *find(const char *name)
{
    for (uint32_t i = 0; i < control->class_count; i++)
        if (strcmp(control->classes[i].name, name) == 0)
            return &control->classes[i];
    if (control->class_count == CLASSES_MAX)
        return NULL;
    struct class *class = &control->classes[control->class_count++];
    memcpy(class->name, name, NAME_SIZE);
    class->calls = class->writes = 0;
    return class;
}

/* ---- The end ---- */

static _Thread_local uint32_t ends; /* with this call, if it is still armed as it was */

static void end_here(void)
{
    if (atomic_load(&control->armed) != ends)
        return;
    control->hit = 1;
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Is it the point? Then the time for which it is. */
static uint32_t is_here(const struct call *call)
{
    char name[NAME_SIZE];
    uint32_t armed = control ? atomic_load(&control->armed) : 0;
    if (!armed || !name_class(call, name))
        return 0;
    pthread_mutex_lock(&lock);
    struct class *class = find(name);
    bool here = class && strcmp(name, control->target) == 0 && class->calls + 1 == control->number;
    if (class) {
        class->calls++;
        class->writes = call->kind == CALL_WRITE;
    }
    pthread_mutex_unlock(&lock);
    return here && control->how != COUNT ? armed : 0;
}

enum verdict calls_before(struct call *call, int *ret_errno)
{
    (void)ret_errno;
    ends = is_here(call);
    if (ends && control->how == BEFORE)
        end_here();
    if (record_concerns(call))
        record_before(call);
    return ends && control->how == HALF ? CALL_HALF : CALL_DO;
}

void calls_after(struct call *call, ssize_t result)
{
    record_after(call, result);
    if (ends)
        end_here();
    ends = 0;
}
