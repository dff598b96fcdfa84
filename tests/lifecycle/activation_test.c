/* A service manager that gives sockets, keeps them, and is told: sd_listen_fds(3), sd_notify(3), from its side. */
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "raw_client.h"
#include "shelf.h"

/* ---- The manager ---- */

static int new_socket(int *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void give(struct shelf *f, int fd)
{
    f->fds[f->fd_count++] = fd;
}

struct manager {
    int socket;
    char path[128], variable[160];
};

static void begin_manager(struct manager *manager, struct shelf *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(manager->path, sizeof manager->path, "%s/notify", f->folder);
    snprintf(manager->variable, sizeof manager->variable, "NOTIFY_SOCKET=%s", manager->path);
    snprintf(address.sun_path, sizeof address.sun_path, "%.100s", manager->path);
    manager->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(manager->socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    assert_int_equal(bind(manager->socket, (struct sockaddr *)&address, sizeof address), 0);
    shelf_environment(f, manager->variable);
}

static void end_manager(struct manager *manager)
{
    close(manager->socket);
}

struct notice {
    char text[256];
    pid_t from;
    int fd; /* -1: none */
};

/* The next one that is no ping. */
static void hear(struct manager *manager, struct notice *notice)
{
    struct pollfd readable = {.fd = manager->socket, .events = POLLIN};
    char control[256];
    struct iovec data = {.iov_base = notice->text, .iov_len = sizeof notice->text - 1};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    assert_int_equal(poll(&readable, 1, PROCESS_PATIENCE_MS), 1);
    ssize_t size = recvmsg(manager->socket, &message, MSG_CMSG_CLOEXEC);
    assert_true(size > 0);
    notice->text[size] = 0;
    notice->fd = -1;
    notice->from = 0;
    for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at; at = CMSG_NXTHDR(&message, at)) {
        struct ucred sender;
        if (at->cmsg_type == SCM_RIGHTS)
            memcpy(&notice->fd, CMSG_DATA(at), sizeof notice->fd);
        if (at->cmsg_type == SCM_CREDENTIALS) {
            memcpy(&sender, CMSG_DATA(at), sizeof sender);
            notice->from = sender.pid;
        }
    }
}

static void expect_notice(struct manager *manager, const char *text, pid_t from)
{
    struct notice notice;
    hear(manager, &notice);
    assert_string_equal(notice.text, text);
    assert_int_equal(notice.from, from);
}

/* Its answer, once somebody accepts. */
static int ask_later(int port)
{
    int fd = raw_connect(port);
    assert_true(fd >= 0);
    assert_true(raw_send(fd, "GET /v1/echo/tea HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    return fd;
}

static void assert_answered(int fd)
{
    struct raw_answer *answer = raw_read(fd, false);
    assert_int_equal(answer->status, 200);
    free(answer);
    close(fd);
}

static void stop(struct shelf *f, int signal)
{
    kill(f->service.pid, signal);
    int status = process_end(&f->service);
    assert_int_equal(signal == SIGKILL ? WTERMSIG(status) : WEXITSTATUS(status),
                     signal == SIGKILL ? SIGKILL : 0);
    process_free(&f->service);
    f->heard = 0;
}

/* ---- Sockets that it gives ---- */

static void a_socket_with_the_name_of_the_component_is_taken_and_stays_usable_after_a_stop(void **state)
{
    (void)state;
    struct shelf f;
    int port;
    shelf_prepare(&f);
    give(&f, new_socket(&port));
    shelf_environment(&f, "LISTEN_FDS=1");
    shelf_environment(&f, "LISTEN_FDNAMES=rest");
    int early = ask_later(port);
    shelf_start(&f);
    assert_int_equal(f.rest, port);
    assert_answered(early);
    stop(&f, SIGTERM);
    int between = ask_later(port); /* nothing was done to the socket: it waits in the backlog */
    shelf_start(&f);
    assert_answered(between);
    shelf_end(&f);
    close(f.fds[0]);
}

static void a_socket_is_taken_by_its_address_whatever_its_name(void **state)
{
    (void)state;
    struct shelf f;
    int port;
    char listen[64];
    shelf_prepare(&f);
    give(&f, new_socket(&port));
    snprintf(listen, sizeof listen, "--rest.listen=127.0.0.1:%d", port);
    f.argv[3] = listen;
    shelf_environment(&f, "LISTEN_FDS=1");
    shelf_environment(&f, "LISTEN_FDNAMES=shelf.socket");
    shelf_start(&f); /* it could not bind: the port is taken */
    assert_int_equal(f.rest, port);
    shelf_assert_serves(&f);
    shelf_end(&f);
    close(f.fds[0]);
}

static void a_socket_that_belongs_to_nobody_is_closed_with_a_warning_that_names_it(void **state)
{
    (void)state;
    struct shelf f;
    int port, other;
    char expected[100];
    shelf_prepare(&f);
    give(&f, new_socket(&other));
    give(&f, new_socket(&port));
    shelf_environment(&f, "LISTEN_FDS=2");
    shelf_environment(&f, "LISTEN_FDNAMES=rset:admin");
    shelf_start(&f);
    assert_int_equal(f.admin, port);
    snprintf(expected, sizeof expected, "\"sockets\":\"\\\"rset\\\" (127.0.0.1:%d)\"", other);
    process_await(&f.service, 0, "belong to no component and are closed");
    process_await(&f.service, 0, expected);
    shelf_end(&f);
    close(f.fds[0]);
    close(f.fds[1]);
}

static void a_socket_for_another_process_is_left_alone(void **state)
{
    (void)state;
    struct shelf f;
    shelf_prepare(&f);
    shelf_environment(&f, "LISTEN_PID=1");
    shelf_environment(&f, "LISTEN_FDS=1");
    shelf_start(&f);
    shelf_assert_serves(&f);
    shelf_end(&f);
}

static void descriptors_that_are_not_there_are_an_error(void **state)
{
    (void)state;
    struct shelf f;
    int port;
    shelf_prepare(&f);
    give(&f, new_socket(&port));
    shelf_environment(&f, "LISTEN_FDS=200");
    process_start_with(&f.service, f.argv, f.environment, f.fds, f.fd_count);
    assert_int_equal(WEXITSTATUS(process_end(&f.service)), EX_UNAVAILABLE);
    process_await(&f.service, 0, "is not open: who started this process named more than it gave\n");
    f.pid = f.service.pid;
    shelf_end(&f);
    close(f.fds[0]);
}

/* ---- Sockets that it keeps ---- */

static void what_is_queued_when_a_service_crashes_is_answered_by_the_next_start(void **state)
{
    (void)state;
    struct shelf f;
    struct manager manager;
    struct notice notice;
    char names[600] = "LISTEN_FDNAMES=";
    shelf_prepare(&f);
    begin_manager(&manager, &f);
    shelf_environment(&f, "FDSTORE=8");
    shelf_start(&f);
    for (int i = 0; i < 2; i++) {
        hear(&manager, &notice);
        assert_true(notice.fd >= 0);
        assert_int_equal(strncmp(notice.text, "FDSTORE=1\nFDNAME=", 17), 0);
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ":" : "", notice.text + 17);
        give(&f, notice.fd);
    }
    expect_notice(&manager, "READY=1", f.pid);
    assert_non_null(strstr(names, "rest.stored"));
    assert_non_null(strstr(names, "admin.stored"));
    int rest = f.rest;

    stop(&f, SIGKILL);
    int between = ask_later(rest);
    shelf_environment(&f, "LISTEN_FDS=2");
    shelf_environment(&f, names);
    shelf_start(&f);
    assert_int_equal(f.rest, rest); /* by name, as `listen` says port 0 */
    assert_answered(between);
    expect_notice(&manager, "READY=1", f.pid); /* they are in the store already */
    shelf_end(&f);
    expect_notice(&manager, "STOPPING=1", f.pid);
    for (int i = 0; i < 2; i++)
        close(f.fds[i]);
    end_manager(&manager);
}

/* ---- What it is told ---- */

static void it_is_told_of_the_successor_who_then_is_ready_and_of_no_stop(void **state)
{
    (void)state;
    struct shelf f;
    struct manager manager;
    char expected[32];
    shelf_prepare(&f);
    begin_manager(&manager, &f);
    shelf_start(&f);
    expect_notice(&manager, "READY=1", f.pid);
    for (int i = 0; i < 2; i++) {
        pid_t before = f.pid;
        shelf_upgrade(&f, 0, "is ready and serves");
        shelf_await_up(&f);
        snprintf(expected, sizeof expected, "MAINPID=%d", (int)f.pid);
        expect_notice(&manager, expected, before);
        expect_notice(&manager, "READY=1", f.pid);
    }
    shelf_write(f.mode, "fail\n");
    shelf_upgrade(&f, EX_UNAVAILABLE, "it was told to fail");
    pid_t last = f.pid;
    shelf_end(&f);
    expect_notice(&manager, "STOPPING=1", last); /* nothing before it: a failed successor says nothing */
    end_manager(&manager);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_socket_with_the_name_of_the_component_is_taken_and_stays_usable_after_a_stop),
        cmocka_unit_test(a_socket_is_taken_by_its_address_whatever_its_name),
        cmocka_unit_test(a_socket_that_belongs_to_nobody_is_closed_with_a_warning_that_names_it),
        cmocka_unit_test(a_socket_for_another_process_is_left_alone),
        cmocka_unit_test(descriptors_that_are_not_there_are_an_error),
        cmocka_unit_test(what_is_queued_when_a_service_crashes_is_answered_by_the_next_start),
        cmocka_unit_test(it_is_told_of_the_successor_who_then_is_ready_and_of_no_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
