/* Listening sockets that come from outside and go on to others. lifecycle/activation_test.c has whole processes. */
#include "test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/listener.h"

#define FIRST_FD 3

static void open_at(struct listener *listener, const char *name, const char *address)
{
    struct weir_error err = {0};
    const struct listener_options options = {.name = name, .address = address};
    if (listener_open(listener, &options, &err) != WEIR_OK)
        fail_msg("%s", err.text);
}

/* ---- What a process is started with ---- */

static int new_socket(const char *host, int *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    assert_int_equal(inet_pton(AF_INET, host, &address.sin_addr), 1);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* Puts them where sd_listen_fds(3) wants them, which is free in a test. */
static void give(const int *fds, int count, const char *names)
{
    char text[32];
    int copies[4];
    for (int i = 0; i < count; i++) {
        copies[i] = fcntl(fds[i], F_DUPFD, 50);
        close(fds[i]);
    }
    for (int i = 0; i < count; i++) {
        assert_int_equal(fcntl(FIRST_FD + i, F_GETFD), -1);
        assert_int_equal(dup2(copies[i], FIRST_FD + i), FIRST_FD + i);
        close(copies[i]);
    }
    snprintf(text, sizeof text, "%d", (int)getpid());
    setenv("LISTEN_PID", text, 1);
    snprintf(text, sizeof text, "%d", count);
    setenv("LISTEN_FDS", text, 1);
    setenv("LISTEN_FDNAMES", names, 1);
    struct weir_error err = {0};
    if (!listeners_inherit(&err))
        fail_msg("%s", err.text);
    assert_null(getenv("LISTEN_PID"));
    assert_null(getenv("LISTEN_FDS"));
    assert_null(getenv("LISTEN_FDNAMES"));
}

static void expect_port(const char *name, const char *address, int port)
{
    struct listener listener = {0};
    open_at(&listener, name, address);
    assert_int_equal(listener.port, port);
    assert_true(fcntl(listener.fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(listener.fd, F_GETFL) & O_NONBLOCK);
    listener_close(&listener);
}

static void drop_rest(const char *expected)
{
    struct weir_buffer text = {0};
    listeners_drop_rest(&text);
    assert_string_equal(weir_buffer_text(&text), expected);
    weir_buffer_free(&text);
}

static void the_service_managers_name_stands_whatever_the_address_is(void **state)
{
    (void)state;
    int port, fd = new_socket("127.0.0.1", &port);
    give(&fd, 1, "rest");
    expect_port("rest", "127.0.0.1:1", port);
    drop_rest("");
}

static void of_two_with_the_same_name_the_one_with_the_address_is_taken(void **state)
{
    (void)state;
    int ports[2], fds[2] = {new_socket("127.0.0.1", &ports[0]), new_socket("127.0.0.1", &ports[1])};
    char address[40], left[80];
    give(fds, 2, "rest:rest");
    snprintf(address, sizeof address, "127.0.0.1:%d", ports[1]);
    expect_port("rest", address, ports[1]);
    snprintf(left, sizeof left, "\"rest\" (127.0.0.1:%d)", ports[0]);
    drop_rest(left);
}

static void one_without_a_name_of_ours_is_taken_by_its_address(void **state)
{
    (void)state;
    int port, fd = new_socket("127.0.0.1", &port);
    char address[40];
    give(&fd, 1, "shelf.socket");
    snprintf(address, sizeof address, "localhost:%d", port);
    expect_port("rest", address, port);
    drop_rest("");
}

/* It was another address then: its socket is not what is asked for now. */
static void what_was_handed_or_stored_must_have_the_address_too(void **state)
{
    (void)state;
    static const char *const names[] = {"rest.handed", "rest.stored"};
    for (int i = 0; i < 2; i++) {
        int port, fd = new_socket("127.0.0.2", &port);
        char left[80];
        give(&fd, 1, names[i]);
        struct listener listener = {0};
        open_at(&listener, "rest", "127.0.0.1:0");
        assert_int_not_equal(listener.port, port);
        listener_close(&listener);
        snprintf(left, sizeof left, "\"%s\" (127.0.0.2:%d)", names[i], port);
        drop_rest(left);
    }
}

static void a_port_of_0_takes_what_was_handed_under_its_name_only(void **state)
{
    (void)state;
    int ports[2], fds[2] = {new_socket("127.0.0.1", &ports[0]), new_socket("127.0.0.1", &ports[1])};
    give(fds, 2, "grpc.handed:rest.handed");
    expect_port("rest", "127.0.0.1:0", ports[1]);
    expect_port("grpc", "127.0.0.1:0", ports[0]);
    drop_rest("");
}

static void what_does_not_listen_is_not_taken(void **state)
{
    (void)state;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    give(&fd, 1, "rest");
    struct listener listener = {0};
    open_at(&listener, "rest", "127.0.0.1:0");
    assert_int_not_equal(listener.port, 0);
    listener_close(&listener);
    drop_rest("\"rest\" (0.0.0.0:0)");
}

static void a_bad_number_of_descriptors_is_an_error(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "x", "-1", "3x", "99999999999999999999", "2000"};
    char pid[32];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct weir_error err = {0};
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", bad[i], 1);
        assert_false(listeners_inherit(&err));
        assert_non_null(strstr(err.text, " is not a number up to 1024"));
    }
    drop_rest("");
}

/* ---- What goes on to others ---- */

static void expect_copies(enum listener_use use, const char *expected)
{
    struct listener_copy *copies;
    struct weir_buffer names = {0};
    size_t count = listeners_copy(use, &copies);
    for (size_t i = 0; i < count; i++) {
        assert_true(fcntl(copies[i].fd, F_GETFD) & FD_CLOEXEC);
        weir_buffer_printf(&names, "%s%s", i ? " " : "", copies[i].name);
    }
    assert_string_equal(weir_buffer_text(&names), expected);
    weir_buffer_free(&names);
    listener_copies_free(copies, count);
}

static void all_go_to_a_successor_and_to_the_store_what_it_does_not_have(void **state)
{
    (void)state;
    struct listener rest = {0}, given = {0}, control = {0};
    int port, fd = new_socket("127.0.0.1", &port);
    const struct listener_options private = {.name = "control", .address = "127.0.0.1:0", .transient = true};
    give(&fd, 1, "admin");
    open_at(&given, "admin", "127.0.0.1:0");
    open_at(&rest, "rest:1", "127.0.0.1:0"); /* a colon separates names in the list */
    assert_int_equal(listener_open(&control, &private, NULL), WEIR_OK);
    expect_copies(LISTENER_FOR_SUCCESSOR, "control.handed rest_1.handed admin");
    expect_copies(LISTENER_FOR_STORE, "rest_1.stored");
    assert_true(listener_is_shared(&given));
    assert_false(listener_is_shared(&rest));
    listeners_stored();
    assert_true(listener_is_shared(&rest));
    assert_false(listener_is_shared(&control));
    expect_copies(LISTENER_FOR_STORE, "");
    expect_copies(LISTENER_FOR_SUCCESSOR, "control.handed rest_1.stored admin");
    listener_close(&rest);
    listener_close(&control);
    listener_close(&given);
    expect_copies(LISTENER_FOR_SUCCESSOR, "");
}

struct told {
    char text[64];
};

static void note_order(void *self, bool on)
{
    struct told *told = self;
    strncat(told->text, on ? "begin " : "end ", sizeof told->text - strlen(told->text) - 1);
}

static void a_successor_holds_until_it_is_released_and_ends_when_it_hands_on(void **state)
{
    (void)state;
    struct told told = {""};
    struct listener rest = {0}, plain = {0};
    const struct listener_options options = {
        .name = "rest", .address = "127.0.0.1:0", .accept = note_order, .self = &told};
    listeners_hold();
    assert_int_equal(listener_open(&rest, &options, NULL), WEIR_OK);
    open_at(&plain, "plain", "127.0.0.1:0"); /* nobody to tell: it accepts as it likes */
    assert_true(rest.held);
    assert_false(plain.held);
    assert_string_equal(told.text, "");
    listeners_release();
    assert_string_equal(told.text, "begin ");
    listeners_release();
    assert_string_equal(told.text, "begin ");
    listeners_handed_on();
    assert_string_equal(told.text, "begin end ");
    assert_true(listener_is_shared(&rest));
    listener_mute(&rest);
    listeners_handed_on();
    assert_string_equal(told.text, "begin end ");
    listener_close(&rest);
    listener_close(&plain);
}

static void what_was_handed_is_the_predecessors_until_the_release(void **state)
{
    (void)state;
    struct listener rest = {0};
    int port, fd = new_socket("127.0.0.1", &port);
    give(&fd, 1, "rest.handed");
    listeners_hold();
    open_at(&rest, "rest", "127.0.0.1:0");
    assert_int_equal(rest.port, port);
    assert_true(listener_is_shared(&rest));
    assert_false(listener_quiesce(&rest)); /* nothing is done to it */
    listeners_release();
    assert_false(listener_is_shared(&rest));
    assert_true(listener_quiesce(&rest));
    listener_close(&rest);
}

static void a_socket_file_has_its_mode_and_stays_where_another_process_serves_it(void **state)
{
    (void)state;
    struct listener control = {0};
    char path[64], address[80];
    struct stat file;
    snprintf(path, sizeof path, "/tmp/weir-listener-%d", (int)getpid());
    snprintf(address, sizeof address, "unix:%s", path);
    const struct listener_options options = {.name = "control", .address = address, .mode = 0600};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(listener_open(&control, &options, NULL), WEIR_OK);
        assert_int_equal(stat(path, &file), 0);
        assert_int_equal(file.st_mode & 07777, 0600);
        if (i == 0)
            listeners_handed_on();
        listener_close(&control);
        assert_int_equal(access(path, F_OK), i == 0 ? 0 : -1);
    }
}

int main(void)
{
    close_range(FIRST_FD, 40, 0); /* what whoever runs the tests has left open */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_service_managers_name_stands_whatever_the_address_is),
        cmocka_unit_test(of_two_with_the_same_name_the_one_with_the_address_is_taken),
        cmocka_unit_test(one_without_a_name_of_ours_is_taken_by_its_address),
        cmocka_unit_test(what_was_handed_or_stored_must_have_the_address_too),
        cmocka_unit_test(a_port_of_0_takes_what_was_handed_under_its_name_only),
        cmocka_unit_test(what_does_not_listen_is_not_taken),
        cmocka_unit_test(a_bad_number_of_descriptors_is_an_error),
        cmocka_unit_test(all_go_to_a_successor_and_to_the_store_what_it_does_not_have),
        cmocka_unit_test(a_successor_holds_until_it_is_released_and_ends_when_it_hands_on),
        cmocka_unit_test(what_was_handed_is_the_predecessors_until_the_release),
        cmocka_unit_test(a_socket_file_has_its_mode_and_stays_where_another_process_serves_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
