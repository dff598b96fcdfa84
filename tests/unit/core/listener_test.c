/* The quiet end of listening: who has connected is served, who has not is kept out; with the right to a filter, and
 * without. */
#include "test.h"

#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include "core/listener.h"
#include "raw_client.h"

/* A handshake that nobody answers: a client of its own kind, because connect(2) would wait for long. */
static int begin_to_connect(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(connect(fd, (struct sockaddr *)&address, sizeof address) < 0);
    return fd;
}

static bool is_connected_within(int fd, int ms)
{
    struct pollfd out = {.fd = fd, .events = POLLOUT};
    return poll(&out, 1, ms) == 1;
}

static int least_ttl(int fd)
{
    int ttl = -1;
    socklen_t size = sizeof ttl;
    assert_int_equal(getsockopt(fd, IPPROTO_IP, IP_MINTTL, &ttl, &size), 0);
    return ttl;
}

static void who_has_connected_is_served_and_newcomers_are_not(const char *address)
{
    struct listener listener = {0};
    struct weir_error err = {0};
    struct listener_options options = {.name = "rest", .address = address};
    assert_int_equal(listener_open(&listener, &options, &err), WEIR_OK);
    int ttl = 64; /* stands for a connection whose handshake ends after the quiesce: it inherits */
    assert_int_equal(setsockopt(listener.fd, IPPROTO_IP, IP_MINTTL, &ttl, sizeof ttl), 0);
    int early = raw_connect(listener.port);
    assert_true(early >= 0);

    assert_true(listener_quiesce(&listener));
    int late = begin_to_connect(listener.port);
    assert_false(is_connected_within(late, LISTENER_SETTLE_MS));

    int accepted = listener_accept(&listener, NULL, NULL);
    assert_true(accepted >= 0);
    assert_true(raw_send(early, "x"));
    assert_true(poll(&(struct pollfd){.fd = accepted, .events = POLLIN}, 1, 5000) == 1);
    if (!atomic_load(&listener_may_filter))
        assert_int_equal(least_ttl(accepted), 0);
    assert_int_equal(listener_accept(&listener, NULL, NULL), -1);
    listener_close(&listener);
    close(accepted);
    close(early);
    close(late);
}

static void a_quiet_listener_answers_no_new_handshake(void **state)
{
    (void)state;
    who_has_connected_is_served_and_newcomers_are_not("127.0.0.1:0");
    who_has_connected_is_served_and_newcomers_are_not("[::]:0");
}

static void nor_does_it_without_the_right_to_filter(void **state)
{
    (void)state;
    atomic_store(&listener_may_filter, false);
    who_has_connected_is_served_and_newcomers_are_not("127.0.0.1:0");
    who_has_connected_is_served_and_newcomers_are_not("[::]:0");
    atomic_store(&listener_may_filter, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quiet_listener_answers_no_new_handshake),
        cmocka_unit_test(nor_does_it_without_the_right_to_filter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
