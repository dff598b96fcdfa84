#include "raw_load.h"

#include "test.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/memory.h"
#include "raw_client.h"
#include "wait.h"

struct client {
    struct raw_load *load;
    pthread_t thread;
    bool fresh; /* a new connection for each request */
    struct raw_load_sum sum;
};

struct raw_load {
    int port;
    const char *const *requests;
    atomic_int total;
    int wanted;
    int count;
    struct client clients[];
};

enum answer { LOST, WHOLE, WHOLE_AND_CLOSES };

static enum answer read_answer(int fd)
{
    char text[8192];
    size_t size = 0, wanted = 0;
    const char *end = NULL;
    while (!end || size < wanted) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        ssize_t got = poll(&wait, 1, 10000) == 1 ? recv(fd, text + size, sizeof text - 1 - size, 0) : -1;
        if (got <= 0)
            return LOST;
        size += (size_t)got;
        text[size] = 0;
        end = strstr(text, "\r\n\r\n");
        const char *length = strstr(text, "Content-Length: ");
        if (end && length)
            wanted = (size_t)(end + 4 - text) + strtoul(length + 16, NULL, 10);
    }
    if (strncmp(text, "HTTP/1.1 200 ", 13) != 0)
        return LOST;
    return strstr(text, "Connection: close") ? WHOLE_AND_CLOSES : WHOLE;
}

static void *run(void *arg)
{
    struct client *client = arg;
    const char *const *request = client->load->requests;
    int fd = -1;
    for (;;) {
        if (fd < 0)
            fd = raw_connect(client->load->port);
        if (fd < 0)
            return NULL; /* refused: it has stopped */
        enum answer answer = raw_send(fd, *request) ? read_answer(fd) : LOST;
        client->sum.lost += answer == LOST;
        client->sum.answered += answer != LOST;
        atomic_fetch_add(&client->load->total, 1);
        if (answer != WHOLE || client->fresh) {
            close(fd);
            fd = -1;
        }
        if (!*++request)
            request = client->load->requests;
    }
}

struct raw_load *raw_load_begin(int port, int clients, const char *const *requests)
{
    struct raw_load *load = memory_zalloc(sizeof *load + (size_t)clients * sizeof load->clients[0]);
    load->port = port;
    load->requests = requests;
    load->count = clients;
    for (int i = 0; i < clients; i++) {
        load->clients[i].load = load;
        load->clients[i].fresh = i % 4 == 0;
        assert_int_equal(pthread_create(&load->clients[i].thread, NULL, run, &load->clients[i]), 0);
    }
    return load;
}

static bool is_enough(void *arg)
{
    struct raw_load *load = arg;
    return atomic_load(&load->total) >= load->wanted;
}

void raw_load_wait(struct raw_load *load, int least)
{
    load->wanted = least;
    kit_wait(is_enough, load);
}

struct raw_load_sum raw_load_end(struct raw_load *load)
{
    struct raw_load_sum sum = {0};
    for (int i = 0; i < load->count; i++) {
        pthread_join(load->clients[i].thread, NULL);
        sum.answered += load->clients[i].sum.answered;
        sum.lost += load->clients[i].sum.lost;
    }
    free(load);
    return sum;
}
