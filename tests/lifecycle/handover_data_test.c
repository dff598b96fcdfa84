/* Two processes at one database during an upgrade: both write, one publishes at a time. */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <weir/clock.h>

#include "broker.h"
#include "echo.weir.h"
#include "raw_client.h"
#include "shelf.h"
#include "wait.h"

#define CLIENTS 6
#define UPGRADES 3

struct client {
    int port, number, answered;
    int64_t longest_ns;
    char failure[100];
    atomic_bool *over;
    pthread_t thread;
};

/* Each with a key of its own and the next number. */
static void *ask(void *arg)
{
    struct client *client = arg;
    int fd = -1;
    while (!atomic_load(client->over) && !client->failure[0]) {
        char request[160];
        snprintf(request, sizeof request, "GET /v1/echo/%d-%d?key=%d HTTP/1.1\r\nHost: h\r\n\r\n",
                 client->number, client->answered, client->number);
        if (fd < 0 && (fd = raw_connect(client->port)) < 0)
            snprintf(client->failure, sizeof client->failure, "refused");
        int64_t began = weir_now_ns();
        raw_send(fd, request);
        struct raw_answer *answer = raw_read(fd, false);
        int64_t took = weir_now_ns() - began;
        client->longest_ns = took > client->longest_ns ? took : client->longest_ns;
        if (answer->status == 200)
            client->answered++;
        else
            snprintf(client->failure, sizeof client->failure, "%d %.80s", answer->status, answer->body);
        const char *connection = raw_header(answer, "Connection");
        if (connection && strcasecmp(connection, "close") == 0) {
            close(fd);
            fd = -1;
        }
        free(answer);
    }
    if (fd >= 0)
        close(fd);
    return NULL;
}

/* Every event of every client, once, in its order. */
static void assert_published(struct kit_broker *broker, const struct client *clients)
{
    struct kit_stored *stored;
    size_t count = kit_read_all(broker, "user.echo", &stored), expected = 0;
    int next[CLIENTS] = {0};
    for (size_t i = 0; i < count; i++) {
        Echo__EchoRequest *event = echo__echo_request__unpack(NULL, stored[i].size, stored[i].value);
        int client, number;
        assert_int_equal(sscanf(event->text, "%d-%d", &client, &number), 2);
        assert_in_range(client, 0, CLIENTS - 1);
        assert_int_equal(number, next[client]);
        next[client]++;
        echo__echo_request__free_unpacked(event, NULL);
    }
    kit_stored_free(stored, count);
    for (int i = 0; i < CLIENTS; i++)
        expected += (size_t)clients[i].answered;
    assert_int_equal(count, expected);
}

static void two_processes_write_and_every_event_is_published_once_and_in_order(void **state)
{
    (void)state;
    struct shelf f;
    char url[128], child_said[64];
    struct kit_broker *broker = kit_broker_new();
    shelf_prepare(&f);
    snprintf(url, sizeof url, "--db.url=sqlite:%s/db", f.folder);
    shelf_flag(&f, "%s", url);
    shelf_flag(&f, "--events.brokers=%s", kit_broker_address(broker));
    shelf_start(&f);

    atomic_bool over = false;
    struct client clients[CLIENTS] = {0};
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.port = f.rest, .number = i, .over = &over};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, ask, &clients[i]), 0);
    }
    for (int i = 0; i < UPGRADES; i++) {
        shelf_upgrade(&f, 0, "is ready and serves");
        shelf_await_up(&f);
    }
    atomic_store(&over, true);
    int64_t longest = 0, answered = 0;
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
        longest = clients[i].longest_ns > longest ? clients[i].longest_ns : longest;
        answered += clients[i].answered;
        assert_string_equal(clients[i].failure, "");
    }
    print_message("%d upgrades: %lld stored and published, the longest answer took %lld ms\n", UPGRADES,
                  (long long)answered, (long long)(longest / WEIR_NS_PER_MS));
    snprintf(child_said, sizeof child_said, "another process publishes this outbox, this one waits");
    process_await(&f.service, 0, child_said);
    shelf_end(&f);
    assert_published(broker, clients);
    kit_broker_destroy(broker);
}

int main(void)
{
    if (kit_broker_is_real())
        return 0; /* its topic is not this test's alone */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_processes_write_and_every_event_is_published_once_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
