/* REST: one request under way on each connection. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "load.h"

#define ANSWER_MAX 8192
#define THINKS_MS 200 /* at most; a server that stops gives idle connections a second */
#define PART_MS 30    /* between the parts of a slow one's request */
#define UNREAD_BYTES (6 << 20)

enum state { OVER, CONNECTING, SENDING, WAITING, THINKING };
enum kind { BUSY, FRESH, THOUGHTFUL, SLOW, UNREADING };

struct client {
    struct watched watched; /* first */
    struct load *load;
    enum state state;
    enum kind kind;
    uint32_t number, count;
    uint64_t id; /* of the request under way */
    int64_t due_ns;
    char request[1024];
    size_t request_size, sent;
    size_t size;
    char answer[ANSWER_MAX + 1];
};

static struct client *clients;
static uint32_t client_count;

static void connect_again(struct client *client)
{
    client->state = CONNECTING;
    if (client->load->gone || load_connect(client->load, client->load->rest_port, &client->watched) != 0)
        client->state = OVER;
}

static void leave(struct client *client, bool again)
{
    load_close(client->load, &client->watched);
    client->state = OVER;
    if (again)
        connect_again(client);
}

static size_t write_request(struct client *client, char *text, size_t size)
{
    static const char *const stores[] = {"STORE_NOTHING", "STORE_ROW", "STORE_SENT", "STORE_POSTED"};
    struct wish wish = load_wish(client->load);
    int padding = client->kind == UNREADING ? UNREAD_BYTES : 0;
    if (wish.store == 0 && wish.sleep_ms == 0 && padding == 0 && client->kind != SLOW && client->count % 2)
        return (size_t)snprintf(text, size, "GET /v1/quick/%" PRIu64 " HTTP/1.1\r\nHost: h\r\n\r\n",
                                client->id);
    char body[256];
    int length =
        snprintf(body, sizeof body,
                 "{\"id\":\"%" PRIu64 "\",\"sleepMs\":%d,\"deaf\":%s,\"store\":\"%s\",\"paddingBytes\":%d}",
                 client->id, wish.sleep_ms, wish.deaf ? "true" : "false", stores[wish.store], padding);
    return (size_t)snprintf(text, size,
                            "POST /v1/work HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                            "Content-Length: %d\r\n\r\n%s",
                            length, body);
}

static void send_part(struct client *client, size_t size)
{
    /* Less than all of it would fit only if the socket were full, and there is never more than one in it. */
    const char *part = client->request + client->sent;
    if (send(client->watched.fd, part, size, MSG_NOSIGNAL) != (ssize_t)size) {
        leave(client, true); /* closed already: it was never sent */
        return;
    }
    client->sent += size;
    client->state = client->sent < client->request_size ? SENDING : WAITING;
    client->due_ns = load_now_ns() + PART_MS * INT64_C(1000000);
}

static void ask(struct client *client)
{
    client->id = NOTE_ID(OF_REST, client->number, ++client->count);
    client->request_size = write_request(client, client->request, sizeof client->request);
    client->size = client->sent = 0;
    send_part(client, client->kind == SLOW ? client->request_size / 3 : client->request_size);
}

static void ask_on(struct client *client)
{
    size_t left = client->request_size - client->sent, third = client->request_size / 3;
    send_part(client, left < 2 * third ? left : third);
}

static void broken(struct client *client, int error)
{
    /* Half a request that is cut was not accepted; but where nothing is cut it is answered, too. */
    if (client->state == WAITING || client->state == SENDING)
        account(client->id, client->kind == UNREADING ? BECAME_UNREAD : BECAME_BROKEN, error, 0);
    leave(client, true);
}

/* 0: more is to come. */
static size_t answer_size(struct client *client)
{
    client->answer[client->size] = 0;
    const char *end = strstr(client->answer, "\r\n\r\n");
    const char *length = strcasestr(client->answer, "\r\nContent-Length:");
    if (!end)
        return 0;
    size_t size = (size_t)(end + 4 - client->answer);
    if (length && length < end)
        size += strtoul(length + 17, NULL, 10);
    return client->size >= size ? size : 0;
}

static void answered(struct client *client)
{
    long status = strncmp(client->answer, "HTTP/1.1 ", 9) ? 0 : strtol(client->answer + 9, NULL, 10);
    account(client->id, status == 200 ? BECAME_ANSWERED : BECAME_ERROR, status, 0);
    if (client->kind == FRESH || strcasestr(client->answer, "\r\nConnection: close")) {
        leave(client, true);
    } else if (client->kind == THOUGHTFUL) {
        client->state = THINKING;
        client->due_ns = load_now_ns() + (int64_t)load_random(client->load, THINKS_MS) * 1000000;
    } else {
        ask(client);
    }
}

static void readable(struct client *client)
{
    ssize_t got =
        recv(client->watched.fd, client->answer + client->size, ANSWER_MAX - client->size, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        broken(client, got < 0 ? errno : 0);
        return;
    }
    client->size += (size_t)got;
    if (client->state == WAITING && answer_size(client) > 0)
        answered(client);
}

static void ready(struct watched *watched, uint32_t events)
{
    struct client *client = (struct client *)watched;
    if (client->state == CONNECTING) {
        int error = load_connect_error(watched);
        if (error != 0 || (events & EPOLLERR)) {
            leave(client, false);
            return;
        }
        /* Who never reads asks for nothing but the end. */
        load_watch(client->load, watched, client->kind == UNREADING ? 0 : EPOLLIN);
        ask(client);
    } else if (client->kind == UNREADING) {
        if (events & (EPOLLHUP | EPOLLERR))
            broken(client, 0);
    } else {
        readable(client);
    }
}

void http_begin(struct load *load)
{
    static const int small = 4096;
    const long counts[] = {load->rest, load->rest_fresh, load->rest_thinking, load->rest_slow,
                           load->rest_unread};
    for (size_t kind = 0; kind < sizeof counts / sizeof *counts; kind++)
        client_count += (uint32_t)counts[kind];
    clients = calloc(client_count + 1, sizeof *clients);
    uint32_t number = 0;
    for (int kind = BUSY; kind <= UNREADING; kind++)
        for (long i = 0; i < counts[kind]; i++, number++) {
            struct client *client = &clients[number];
            *client = (struct client){.watched = {.ready = ready, .fd = -1}, .load = load, .number = number};
            client->kind = (enum kind)kind;
            connect_again(client);
            if (kind == UNREADING && client->watched.fd >= 0)
                setsockopt(client->watched.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        }
}

void http_tick(struct load *load, int64_t now_ns)
{
    for (uint32_t i = 0; i < client_count; i++) {
        if (clients[i].state == THINKING && clients[i].due_ns <= now_ns)
            ask(&clients[i]);
        else if (clients[i].state == SENDING && clients[i].due_ns <= now_ns)
            ask_on(&clients[i]);
        else if (clients[i].state == CONNECTING && load->gone)
            leave(&clients[i], false);
    }
}

void http_end(struct load *load)
{
    (void)load;
    for (uint32_t i = 0; i < client_count; i++)
        if (clients[i].state != OVER)
            broken(&clients[i], ETIMEDOUT);
    free(clients);
}
