/* A connection is the core's once its client has sent the preface of HTTP/2 (RFC 9113, 3.4): who says nothing,
 * or something else, is cut here and costs the core nothing. The core has no such limit for descriptors that it
 * is given. */
#include "engines/grpc_core/intake.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "core/memory.h"

#define ACCEPT_PAUSE_MS 100 /* out of descriptors */
#define TELL_EVERY_MS 10000
#define USER_TIMEOUT_MS 20000 /* until what was sent is acknowledged, as the core's own listener has it */
#define EVENTS_MAX 64
#define ACCEPT_MAX 64 /* per turn */

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
#define PREFACE_SIZE ((ssize_t)sizeof preface - 1)

/* A client that has connected and said nothing whole yet. */
struct newcomer {
    struct link link;
    int fd;
    int64_t deadline_ns;
};

/* ---- One connection ---- */

static void forget(struct intake *intake, struct newcomer *newcomer)
{
    link_remove(&newcomer->link);
    atomic_fetch_sub(&intake->newcomer_count, 1);
    free(newcomer);
}

static void drop(struct intake *intake, struct newcomer *newcomer)
{
    close(newcomer->fd);
    forget(intake, newcomer);
}

static void hand_over(struct intake *intake, struct newcomer *newcomer)
{
    int fd = newcomer->fd;
    epoll_ctl(intake->epoll, EPOLL_CTL_DEL, fd, NULL);
    connections_add(&intake->taken, fd);
    forget(intake, newcomer);
    intake->options.take(intake->options.arg, fd);
}

static void look_at(struct intake *intake, struct newcomer *newcomer, bool says_no_more)
{
    char said[PREFACE_SIZE];
    ssize_t size = recv(newcomer->fd, said, sizeof said, MSG_PEEK);
    bool is_http2 = size > 0 && memcmp(said, preface, (size_t)size) == 0;
    if (is_http2 && size == PREFACE_SIZE)
        hand_over(intake, newcomer);
    else if (!(is_http2 && !says_no_more) && !(size < 0 && errno == EAGAIN))
        drop(intake, newcomer);
}

static void add(struct intake *intake, int fd)
{
    struct newcomer *newcomer = NEW(struct newcomer);
    newcomer->fd = fd;
    newcomer->deadline_ns = weir_deadline_in_ms(intake->options.preface_ms);
    link_append(&intake->newcomers, &newcomer->link);
    atomic_fetch_add(&intake->newcomer_count, 1);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = newcomer};
    if (epoll_ctl(intake->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        drop(intake, newcomer);
}

/* Without a word: a client that had SETTINGS and a GOAWAY takes it for a connection that was good, and comes again
 * at once; one that could not connect waits, each time longer. */
static void refuse(struct intake *intake, int fd)
{
    close(fd);
    int64_t refused = atomic_fetch_add(&intake->refused, 1) + 1, now = weir_now_ns();
    if (now < intake->tell_again_ns)
        return;
    weir_log_warn("gRPC has as many connections as it accepts; more are refused",
                  weir_field_int("connections_max", intake->options.connections_max),
                  weir_field_int("refused", refused));
    intake->tell_again_ns = now + TELL_EVERY_MS * WEIR_NS_PER_MS;
}

static bool is_full(struct intake *intake)
{
    size_t most = (size_t)intake->options.connections_max;
    size_t newcomers = atomic_load(&intake->newcomer_count);
    return most > 0 && newcomers + connections_at_most(&intake->taken) >= most &&
           newcomers + connections_count(&intake->taken) >= most;
}

static void set_options(const struct intake *intake, int fd)
{
    int on = 1;
    unsigned user_timeout_ms = USER_TIMEOUT_MS;
    if (intake->listener.family == AF_UNIX)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms);
}

/* ---- Accepting ---- */

static void listen_on(struct intake *intake)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &intake->listener};
    intake->listening = epoll_ctl(intake->epoll, EPOLL_CTL_ADD, intake->listener.fd, &event) == 0;
}

static void listen_off(struct intake *intake)
{
    if (intake->listening)
        epoll_ctl(intake->epoll, EPOLL_CTL_DEL, intake->listener.fd, NULL);
    intake->listening = false;
}

static void accept_queued(struct intake *intake, int most)
{
    for (int i = 0; i < most; i++) {
        int fd = listener_accept(&intake->listener, NULL, NULL);
        if (fd >= 0 && is_full(intake)) {
            refuse(intake, fd);
        } else if (fd >= 0) {
            set_options(intake, fd);
            add(intake, fd);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            listen_off(intake);
            intake->listen_again_ns = weir_deadline_in_ms(ACCEPT_PAUSE_MS);
            return;
        } /* else: that client is gone already */
    }
}

/* ---- The thread ---- */

static int wait_ms(const struct intake *intake)
{
    int64_t next = intake->listen_again_ns > 0 ? intake->listen_again_ns : WEIR_NEVER;
    if (!link_is_empty(&intake->newcomers)) {
        int64_t first = CONTAINER_OF(intake->newcomers.next, struct newcomer, link)->deadline_ns;
        next = first < next ? first : next;
    }
    int64_t left_ns = next - weir_now_ns();
    return next == WEIR_NEVER ? -1 : left_ns > 0 ? (int)(left_ns / WEIR_NS_PER_MS) + 1 : 0;
}

static void drop_late(struct intake *intake)
{
    int64_t now = weir_now_ns();
    while (!link_is_empty(&intake->newcomers)) {
        struct newcomer *first = CONTAINER_OF(intake->newcomers.next, struct newcomer, link);
        if (first->deadline_ns > now)
            return;
        drop(intake, first);
    }
}

static void take_event(struct intake *intake, const struct epoll_event *event)
{
    if (event->data.ptr == &intake->listener) {
        accept_queued(intake, ACCEPT_MAX);
    } else if (event->data.ptr == intake) {
        uint64_t count;
        while (read(intake->wake, &count, sizeof count) < 0 && errno == EINTR)
            continue;
    } else {
        look_at(intake, event->data.ptr, (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
    }
}

/* Its end: what has woken this process woke no other one, so what is queued now is accepted here. */
static void follow_accepting(struct intake *intake)
{
    int accepting = atomic_load(&intake->accepting);
    if (accepting == INTAKE_ON && !intake->listening && intake->listen_again_ns <= weir_now_ns()) {
        intake->listen_again_ns = 0;
        listen_on(intake);
    }
    if (accepting == INTAKE_ENDS) {
        listen_off(intake);
        accept_queued(intake, SOMAXCONN);
        intake->listen_again_ns = 0;
        atomic_store(&intake->accepting, INTAKE_OVER);
    }
}

/* Who has connected and said nothing yet may be about to: the core tells it to go elsewhere. */
static void leave(struct intake *intake)
{
    follow_accepting(intake);
    while (!link_is_empty(&intake->newcomers))
        hand_over(intake, CONTAINER_OF(intake->newcomers.next, struct newcomer, link));
}

static void *run(void *arg)
{
    struct intake *intake = arg;
    struct epoll_event events[EVENTS_MAX];
    follow_accepting(intake);
    while (!atomic_load(&intake->leave)) {
        int count = epoll_wait(intake->epoll, events, EVENTS_MAX, wait_ms(intake));
        for (int i = 0; i < count; i++)
            take_event(intake, &events[i]);
        drop_late(intake);
        follow_accepting(intake);
    }
    leave(intake);
    return NULL;
}

/* ---- Life ---- */

void intake_init(struct intake *intake, const struct intake_options *options)
{
    *intake = (struct intake){.options = *options, .epoll = -1, .wake = -1};
    connections_init(&intake->taken);
    link_init(&intake->newcomers);
}

static void wake(struct intake *intake)
{
    uint64_t one = 1;
    while (write(intake->wake, &one, sizeof one) < 0 && errno == EINTR)
        continue;
}

/* Runs on: any thread. */
static void order_accept(void *self, bool on)
{
    struct intake *intake = self;
    int was_held = INTAKE_HELD, was_on = INTAKE_ON;
    if (on || !atomic_compare_exchange_strong(&intake->accepting, &was_on, INTAKE_ENDS))
        atomic_compare_exchange_strong(&intake->accepting, &was_held, on ? INTAKE_ON : INTAKE_OVER);
    wake(intake);
}

enum weir_status intake_listen(struct intake *intake, struct weir_error *err)
{
    struct epoll_event bell = {.events = EPOLLIN, .data.ptr = intake};
    intake->epoll = epoll_create1(EPOLL_CLOEXEC);
    intake->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (intake->epoll < 0 || intake->wake < 0 ||
        epoll_ctl(intake->epoll, EPOLL_CTL_ADD, intake->wake, &bell) != 0)
        return weir_fail_errno(err, WEIR_UNAVAILABLE, errno, "cannot watch connections of gRPC");
    struct listener_options options = {.name = intake->options.name,
                                       .address = intake->options.listen,
                                       .accept = order_accept,
                                       .self = intake};
    enum weir_status status = listener_open(&intake->listener, &options, err);
    if (status == WEIR_OK && !intake->listener.held)
        order_accept(intake, true);
    return status;
}

enum weir_status intake_start(struct intake *intake, struct weir_error *err)
{
    int errnum = pthread_create(&intake->thread, NULL, run, intake);
    if (errnum != 0)
        return weir_fail_errno(err, WEIR_UNAVAILABLE, errnum, "cannot start a thread for gRPC");
    intake->has_thread = true;
    pthread_setname_np(intake->thread, "weir-grpc-in");
    return WEIR_OK;
}

int intake_port(const struct intake *intake)
{
    return intake->listener.port;
}

size_t intake_connections(struct intake *intake)
{
    return atomic_load(&intake->newcomer_count) + connections_count(&intake->taken);
}

static void pass_ms(int64_t ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * WEIR_NS_PER_MS};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        continue;
}

void intake_stop(struct intake *intake)
{
    if (!intake->has_thread)
        return;
    intake->has_thread = false;
    if (listener_quiesce(&intake->listener) && intake_connections(intake) > 0)
        pass_ms(LISTENER_SETTLE_MS);
    order_accept(intake, false);
    atomic_store(&intake->leave, true);
    wake(intake);
    pthread_join(intake->thread, NULL);
    listener_mute(&intake->listener);
    listener_close(&intake->listener);
}

bool intake_is_over(struct intake *intake)
{
    return connections_are_gone(&intake->taken);
}

void intake_clean_up(struct intake *intake)
{
    intake_stop(intake);
    listener_mute(&intake->listener);
    listener_close(&intake->listener);
    if (intake->epoll >= 0)
        close(intake->epoll);
    if (intake->wake >= 0)
        close(intake->wake);
    connections_clean_up(&intake->taken);
}
