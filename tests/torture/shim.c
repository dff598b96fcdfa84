/* Preloaded into the services by tests/torture: a wall clock that can be wrong, and connections that go by way
 * of torture-links.
 *
 *   TORTURE_CLOCK  a file of 8 bytes, nanoseconds by which CLOCK_REALTIME is wrong; may change at any time
 *   TORTURE_LINKS  "9083=41001,9092=41002": who connects to the first port reaches the second
 *
 * What waits for a point in time on CLOCK_REALTIME gives the kernel a time that it read here, so that is put right
 * again. Timestamps of files and SQL functions of another process are not wrong. */
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#define SHOWN __attribute__((visibility("default")))
#define NS_PER_S INT64_C(1000000000)
#define LINKS_MAX 32

static const volatile int64_t *wrong_by_ns;
static struct {
    uint16_t from, to;
} links[LINKS_MAX];
static int link_count;

static void *next_of(const char *name)
{
    void *found =
        dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2"); /* x86-64: an older one of the name would be found */
    return found ? found : dlsym(RTLD_NEXT, name);
}

/* The function of that name behind this one, looked up once. A race finds the same twice. */
#define NEXT(name)                                                                                           \
    static __typeof__(&(name)) next;                                                                         \
    if (!next)                                                                                               \
    *(void **)&next = next_of(#name)

__attribute__((constructor)) static void read_environment(void)
{
    const char *path = getenv("TORTURE_CLOCK"), *text = getenv("TORTURE_LINKS");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        void *map = mmap(NULL, sizeof *wrong_by_ns, PROT_READ, MAP_SHARED, file, 0);
        wrong_by_ns = map == MAP_FAILED ? NULL : map;
        close(file);
    }
    unsigned from, to;
    int used;
    while (text && link_count < LINKS_MAX && sscanf(text, "%u=%u%n", &from, &to, &used) == 2) {
        links[link_count].from = (uint16_t)from;
        links[link_count++].to = (uint16_t)to;
        text += used;
        text += *text == ',';
    }
}

static struct timespec shift(const struct timespec *time, int direction)
{
    int64_t by = wrong_by_ns ? *wrong_by_ns * direction : 0;
    int64_t ns = time->tv_nsec + by % NS_PER_S;
    struct timespec shifted = {.tv_sec = time->tv_sec + by / NS_PER_S};
    if (ns < 0 || ns >= NS_PER_S)
        shifted.tv_sec += ns < 0 ? -1 : 1;
    shifted.tv_nsec = ns < 0 ? ns + NS_PER_S : ns >= NS_PER_S ? ns - NS_PER_S : ns;
    return shifted;
}

/* A deadline on the wall clock, not one since boot. */
static struct timespec put_right(const struct timespec *deadline)
{
    return deadline->tv_sec > 1000000000 ? shift(deadline, -1) : *deadline;
}

/* ---- The clock ---- */

SHOWN int clock_gettime(clockid_t clock, struct timespec *time)
{
    NEXT(clock_gettime);
    int failed = next(clock, time);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        *time = shift(time, 1);
    return failed;
}

SHOWN int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    (void)zone;
    if (!failed)
        *time = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return failed;
}

SHOWN time_t time(time_t *ret_time)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    if (ret_time)
        *ret_time = now.tv_sec;
    return now.tv_sec;
}

SHOWN int timespec_get(struct timespec *time, int base)
{
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, time) == 0 ? base : 0;
}

/* ---- Waits ---- */

SHOWN int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                                 const struct timespec *restrict deadline)
{
    NEXT(pthread_cond_timedwait);
    struct timespec right = put_right(deadline);
    return next(condition, mutex, &right);
}

SHOWN int pthread_cond_clockwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                                 clockid_t clock, const struct timespec *restrict deadline)
{
    NEXT(pthread_cond_clockwait);
    struct timespec right = put_right(deadline);
    return next(condition, mutex, clock, &right);
}

SHOWN int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict deadline)
{
    NEXT(pthread_mutex_timedlock);
    struct timespec right = put_right(deadline);
    return next(mutex, &right);
}

SHOWN int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex,
                        const struct timespec *restrict deadline)
{
    NEXT(cnd_timedwait);
    struct timespec right = put_right(deadline);
    return next(condition, mutex, &right);
}

/* Abseil, and so gRPC, waits by futex. */
SHOWN long syscall(long number, ...)
{
    NEXT(syscall);
    va_list list;
    va_start(list, number);
    long arguments[6];
    for (int i = 0; i < 6; i++)
        arguments[i] = va_arg(list, long);
    va_end(list);

    struct timespec right;
    bool waits = number == SYS_futex && arguments[1] & FUTEX_CLOCK_REALTIME && arguments[3];
    if (waits) {
        right = put_right((const struct timespec *)arguments[3]);
        arguments[3] = (long)&right;
    }
    return next(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

/* ---- Connections ---- */

static uint16_t way_to(uint16_t port)
{
    for (int i = 0; i < link_count; i++)
        if (links[i].from == port)
            return links[i].to;
    return port;
}

SHOWN int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    NEXT(connect);
    union {
        struct sockaddr_storage any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } other;
    if (length > sizeof other || (address->sa_family != AF_INET && address->sa_family != AF_INET6))
        return next(fd, address, length);
    memcpy(&other, address, length);
    if (other.any.ss_family == AF_INET)
        other.v4.sin_port = htons(way_to(ntohs(other.v4.sin_port)));
    else
        other.v6.sin6_port = htons(way_to(ntohs(other.v6.sin6_port)));
    return next(fd, (const struct sockaddr *)&other, length);
}
