/* The clients: they ask as fast as they are answered, and keep an account of what became of every request. One thread and one
 * epoll for the sockets; no library between them and the wire, so that what is told is what was seen there. */
#ifndef TORTURE_LOAD_H
#define TORTURE_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "notes.h"

/* What an epoll event points at. */
struct watched {
    void (*ready)(struct watched *watched, uint32_t events);
    int fd;
};

/* What is asked of the service, in parts of 100. */
struct mix {
    long rows, sent, posted; /* what a call stores */
    long sleep_ms;           /* a call sleeps up to so long */
    long deaf, deaf_ms;      /* and these do not hear that they are cancelled */
};

struct load {
    int epoll;
    uint64_t random;
    struct mix mix;
    long rest_port, grpc_port;
    /* Clients: with a new connection for each request, with pauses between requests, with pauses within them, and
     * those that never read. */
    long rest, rest_fresh, rest_thinking, rest_slow, rest_unread;
    long unary, streams, stream_unread;
    long feed, partitions; /* records; 0: no Kafka */
    const char *brokers;
    bool gone; /* the service has ended */
    int open;  /* sockets from which something may still come */
};

void load_die(const char *what) __attribute__((noreturn));
int64_t load_now_ns(void);
/* Below `most`. */
uint32_t load_random(struct load *load, uint32_t most);

/* Any thread. */
void account(uint64_t id, enum became became, int64_t detail, int32_t where);

/* A connection that is being made: EPOLLOUT tells how it went. */
int load_connect(struct load *load, long port, struct watched *watched);
void load_watch(struct load *load, struct watched *watched, uint32_t events);
void load_close(struct load *load, struct watched *watched);
/* 0: it stands. */
int load_connect_error(const struct watched *watched);

/* One call's wishes, by the mix. */
struct wish {
    int store, sleep_ms;
    bool deaf;
};
struct wish load_wish(struct load *load);

void http_begin(struct load *load);
void http_tick(struct load *load, int64_t now_ns);
/* What is still open is broken. */
void http_end(struct load *load);

void h2_begin(struct load *load);
void h2_end(struct load *load);

void kafka_begin(struct load *load);
void kafka_go_on(void);
/* Ends the feeding; then, unless the broker is lost, writes down what stands there. */
void kafka_end(struct load *load, bool lost);

#endif
