/* torture-load ACCOUNT KEY=NUMBER...: feeds Kafka at once; on the line "go" its clients begin; on "gone", or "gone lost" (the
 * broker, too), it takes what is still to be read, and writes its account. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LAST_WORDS_NS INT64_C(2000000000)
#define TICK_MS 5

static FILE *account_file;

void load_die(const char *what)
{
    perror(what);
    exit(1);
}

int64_t load_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* xorshift64*: what matters is that the seed decides. */
uint32_t load_random(struct load *load, uint32_t most)
{
    load->random ^= load->random >> 12;
    load->random ^= load->random << 25;
    load->random ^= load->random >> 27;
    return most ? (uint32_t)((load->random * UINT64_C(2685821657736338717)) >> 33) % most : 0;
}

void account(uint64_t id, enum became became, int64_t detail, int32_t where)
{
    struct account_note note = {.id = id, .detail = detail, .became = (uint32_t)became, .where = where};
    if (fwrite(&note, sizeof note, 1, account_file) != 1)
        load_die("torture-load: the account");
}

/* ---- Sockets ---- */

void load_watch(struct load *load, struct watched *watched, uint32_t events)
{
    struct epoll_event wanted = {.events = events, .data.ptr = watched};
    if (epoll_ctl(load->epoll, EPOLL_CTL_MOD, watched->fd, &wanted) != 0)
        load_die("torture-load: epoll_ctl");
}

int load_connect(struct load *load, long port, struct watched *watched)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    watched->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (watched->fd < 0)
        load_die("torture-load: socket");
    setsockopt(watched->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(watched->fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS) {
        int error = errno;
        close(watched->fd);
        watched->fd = -1;
        return error;
    }
    struct epoll_event wanted = {.events = EPOLLOUT, .data.ptr = watched};
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, watched->fd, &wanted) != 0)
        load_die("torture-load: epoll_ctl");
    load->open++;
    return 0;
}

int load_connect_error(const struct watched *watched)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(watched->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
}

void load_close(struct load *load, struct watched *watched)
{
    if (watched->fd < 0)
        return;
    close(watched->fd);
    watched->fd = -1;
    load->open--;
}

struct wish load_wish(struct load *load)
{
    const struct mix *mix = &load->mix;
    long chance = (long)load_random(load, 100);
    struct wish wish = {.sleep_ms = (int)load_random(load, (uint32_t)mix->sleep_ms + 1)};
    if (chance < mix->rows)
        wish.store = 1;
    else if (chance < mix->rows + mix->sent)
        wish.store = 2;
    else if (chance < mix->rows + mix->sent + mix->posted)
        wish.store = 3;
    wish.deaf = (long)load_random(load, 100) < mix->deaf;
    if (wish.deaf)
        wish.sleep_ms = (int)mix->deaf_ms;
    return wish;
}

/* ---- Orders, one line each ---- */

struct orders {
    struct watched watched;
    bool go, gone, lost;
};

static void on_orders(struct watched *watched, uint32_t events)
{
    struct orders *orders = (struct orders *)watched;
    char text[256];
    (void)events;
    ssize_t size = read(watched->fd, text, sizeof text - 1);
    if (size <= 0)
        exit(1); /* who drives has ended */
    text[size] = 0;
    orders->go = orders->go || strstr(text, "go\n");
    orders->gone = orders->gone || strstr(text, "gone");
    orders->lost = orders->lost || strstr(text, "gone lost");
}

static void parse(struct load *load, int count, char **arguments)
{
    const struct {
        const char *name;
        long *value;
    } keys[] = {
        {"rest_port", &load->rest_port},
        {"grpc_port", &load->grpc_port},
        {"rest", &load->rest},
        {"rest_fresh", &load->rest_fresh},
        {"rest_thinking", &load->rest_thinking},
        {"rest_slow", &load->rest_slow},
        {"rest_unread", &load->rest_unread},
        {"unary", &load->unary},
        {"streams", &load->streams},
        {"stream_unread", &load->stream_unread},
        {"feed", &load->feed},
        {"partitions", &load->partitions},
        {"rows", &load->mix.rows},
        {"sent", &load->mix.sent},
        {"posted", &load->mix.posted},
        {"sleep_ms", &load->mix.sleep_ms},
        {"deaf", &load->mix.deaf},
        {"deaf_ms", &load->mix.deaf_ms},
        {"seed", (long *)&load->random},
    };
    for (int i = 0; i < count; i++) {
        size_t length = strcspn(arguments[i], "="), k = 0;
        if (strncmp(arguments[i], "brokers=", 8) == 0) {
            load->brokers = arguments[i] + 8;
            continue;
        }
        while (k < sizeof keys / sizeof *keys &&
               (strlen(keys[k].name) != length || strncmp(keys[k].name, arguments[i], length) != 0))
            k++;
        if (k == sizeof keys / sizeof *keys || !arguments[i][length]) {
            fprintf(stderr, "torture-load: what is \"%s\"?\n", arguments[i]);
            exit(64);
        }
        *keys[k].value = strtol(arguments[i] + length + 1, NULL, 10);
    }
    load->random = load->random * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

static void serve(struct load *load, struct orders *orders)
{
    bool begun = false;
    int64_t until = INT64_MAX;
    while (load_now_ns() < until && !(load->gone && load->open == 0)) {
        struct epoll_event events[256];
        int count = epoll_wait(load->epoll, events, 256, TICK_MS);
        if (count < 0 && errno != EINTR)
            load_die("torture-load: epoll_wait");
        for (int i = 0; i < count; i++) {
            struct watched *watched = events[i].data.ptr;
            if (watched->fd >= 0)
                watched->ready(watched, events[i].events);
        }
        if (orders->go && !begun) {
            begun = true;
            http_begin(load);
            h2_begin(load);
            kafka_go_on();
        }
        if (orders->gone && !load->gone) {
            load->gone = true;
            until = load_now_ns() + LAST_WORDS_NS;
        }
        http_tick(load, load_now_ns());
    }
}

int main(int argc, char **argv)
{
    static struct load load = {.random = 1};
    static struct orders orders = {.watched = {.ready = on_orders, .fd = STDIN_FILENO}};
    if (argc < 2) {
        fprintf(stderr, "Usage: torture-load ACCOUNT KEY=NUMBER...\n");
        return 64;
    }
    account_file = fopen(argv[1], "we");
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!account_file || load.epoll < 0)
        load_die("torture-load");
    parse(&load, argc - 2, argv + 2);
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = &orders.watched};
    if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &wanted) != 0)
        load_die("torture-load: orders come through a pipe");
    kafka_begin(&load);
    serve(&load, &orders);
    http_end(&load);
    h2_end(&load);
    kafka_end(&load, orders.lost);
    if (fclose(account_file) != 0)
        load_die("torture-load: the account");
    return 0;
}
