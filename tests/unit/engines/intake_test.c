/* The gRPC server's accepting by itself: what it is given is kept in a list instead of the core. */
#include "test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engines/grpc_core/intake.h"
#include "raw_client.h"
#include "raw_http2.h"
#include "wait.h"

#define TAKEN_MAX 64

struct fixture {
    struct intake intake;
    int taken[TAKEN_MAX];
    atomic_int count;
};

static void take(void *arg, int fd)
{
    struct fixture *f = arg;
    int at = atomic_load(&f->count);
    assert_true(at < TAKEN_MAX);
    f->taken[at] = fd;
    atomic_store(&f->count, at + 1);
}

static void begin(struct fixture *f, int64_t preface_ms)
{
    struct weir_error err;
    *f = (struct fixture){0};
    intake_init(
        &f->intake,
        &(struct intake_options){
            .name = "grpc", .listen = "127.0.0.1:0", .preface_ms = preface_ms, .take = take, .arg = f});
    assert_int_equal(intake_listen(&f->intake, &err), WEIR_OK);
    assert_int_equal(intake_start(&f->intake, &err), WEIR_OK);
}

static void end(struct fixture *f)
{
    intake_clean_up(&f->intake);
    for (int i = 0; i < atomic_load(&f->count); i++)
        close(f->taken[i]);
}

static bool took_one(void *arg)
{
    return atomic_load(&((struct fixture *)arg)->count) == 1;
}

static bool has_none(void *arg)
{
    struct fixture *f = arg;
    return intake_connections(&f->intake) == 0;
}

static bool has_one(void *arg)
{
    return intake_connections(&((struct fixture *)arg)->intake) == 1;
}

static bool accepts_no_more(void *arg)
{
    return atomic_load(&((struct fixture *)arg)->intake.accepting) == INTAKE_OVER;
}

static bool took_two(void *arg)
{
    return atomic_load(&((struct fixture *)arg)->count) == 2;
}

static int connect_to(struct fixture *f)
{
    int fd = raw_connect(intake_port(&f->intake));
    assert_true(fd >= 0);
    return fd;
}

static void a_connection_is_handed_over_once_its_preface_is_whole(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 10000);
    int fd = connect_to(&f);
    for (size_t i = 0; i < sizeof HTTP2_PREFACE - 2; i++)
        assert_true(raw_send_bytes(fd, &http2_hello[i], 1));
    kit_wait(has_one, &f);
    assert_int_equal(atomic_load(&f.count), 0);
    assert_true(raw_send_bytes(fd, &http2_hello[sizeof HTTP2_PREFACE - 2], 1));
    kit_wait(took_one, &f);
    char said[64];
    assert_int_equal(read(f.taken[0], said, sizeof said),
                     sizeof HTTP2_PREFACE - 1); /* all of it is the core's */
    close(fd);
    end(&f);
}

static void who_says_nothing_is_cut_in_time(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 100);
    int silent = connect_to(&f), half = connect_to(&f);
    assert_true(raw_send_bytes(half, http2_hello, 10));
    assert_true(raw_closed(silent));
    assert_true(raw_closed(half));
    assert_int_equal(atomic_load(&f.count), 0);
    kit_wait(has_none, &f);
    close(silent);
    close(half);
    end(&f);
}

static void who_leaves_before_it_spoke_is_forgotten(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 10000);
    int fd = connect_to(&f);
    assert_true(raw_send_bytes(fd, http2_hello, 10));
    kit_wait(has_one, &f);
    close(fd);
    fd = connect_to(&f);
    assert_true(raw_send_bytes(fd, http2_hello, HTTP2_HELLO_SIZE));
    kit_wait(took_one, &f);
    assert_int_equal(intake_connections(&f.intake), 1);
    close(fd);
    end(&f);
}

static void a_stop_hands_over_all_that_has_connected(void **state)
{
    (void)state;
    struct fixture f;
    int fds[10];
    begin(&f, 10000);
    for (int i = 0; i < 10; i++)
        fds[i] = connect_to(&f);
    intake_stop(&f.intake);
    assert_int_equal(atomic_load(&f.count), 10);
    assert_false(intake_is_over(&f.intake));
    for (int i = 0; i < 10; i++)
        close(f.taken[i]);
    assert_true(intake_is_over(&f.intake));
    f.count = 0;
    for (int i = 0; i < 10; i++)
        close(fds[i]);
    end(&f);
}

/* As a handover has it: the process before accepts until this one is ready. */
static void who_is_held_accepts_when_it_is_told(void **state)
{
    (void)state;
    struct fixture f;
    listeners_hold();
    begin(&f, 10000);
    int fd = connect_to(&f);
    assert_true(raw_send_bytes(fd, http2_hello, HTTP2_HELLO_SIZE));
    intake_stop(&f.intake);
    assert_int_equal(atomic_load(&f.count), 0); /* it was never its turn */
    end(&f);
    close(fd);

    begin(&f, 10000);
    fd = connect_to(&f);
    assert_true(raw_send_bytes(fd, http2_hello, HTTP2_HELLO_SIZE));
    assert_int_equal(intake_connections(&f.intake), 0);
    listeners_release();
    kit_wait(took_one, &f);
    end(&f);
    close(fd);
}

static void who_has_handed_on_accepts_what_is_queued_and_no_more(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 10000);
    int successor = fcntl(f.intake.listener.fd, F_DUPFD_CLOEXEC, 0);
    int first = connect_to(&f);
    assert_true(raw_send_bytes(first, http2_hello, HTTP2_HELLO_SIZE));
    listeners_handed_on();
    kit_wait(took_one, &f);
    kit_wait(accepts_no_more, &f);

    int second = connect_to(&f);
    assert_true(raw_send_bytes(second, http2_hello, HTTP2_HELLO_SIZE));
    intake_stop(&f.intake);
    assert_int_equal(atomic_load(&f.count), 1);
    int its = accept(successor, NULL, NULL);
    assert_true(its >= 0);
    close(its);
    close(second);
    close(first);
    close(successor);
    end(&f);
}

static void out_of_descriptors_it_tries_again(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 10000);
    int fd = connect_to(&f), held[1024], count = 0;
    kit_wait(has_one, &f);
    int next = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 256;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    while (count < 1024 && (held[count] = dup(0)) >= 0)
        count++;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)intake_port(&f.intake)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(next, (struct sockaddr *)&address, sizeof address), 0);
    assert_true(raw_send_bytes(next, http2_hello, HTTP2_HELLO_SIZE));
    /* The silent one is served meanwhile. */
    assert_true(raw_send_bytes(fd, http2_hello, HTTP2_HELLO_SIZE));
    kit_wait(took_one, &f);
    while (count > 0)
        close(held[--count]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    kit_wait(took_two, &f);
    close(fd);
    close(next);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_is_handed_over_once_its_preface_is_whole),
        cmocka_unit_test(who_says_nothing_is_cut_in_time),
        cmocka_unit_test(who_leaves_before_it_spoke_is_forgotten),
        cmocka_unit_test(a_stop_hands_over_all_that_has_connected),
        cmocka_unit_test(who_is_held_accepts_when_it_is_told),
        cmocka_unit_test(who_has_handed_on_accepts_what_is_queued_and_no_more),
        cmocka_unit_test(out_of_descriptors_it_tries_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
