/* Asks one server on this machine as fast as it answers, always `in_flight` at a time, and says what that
 * cost the server. One thread, no library: what it costs itself should not decide the result. It never
 * sleeps: waking it would be the server's cost, and one that a fast server never has. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TEXT_OF_NOTE "a text of some seventy bytes, as one finds it in messages of services"

struct load {
    int port;
    pid_t server;       /* whose CPU time is read */
    int in_flight;      /* connections of HTTP/1.1, streams of the one connection of gRPC */
    int64_t warm_up_ns; /* before anything is counted */
    int64_t measure_ns;

    int64_t done, failed; /* while it is measured */
    int64_t began_ns, ended_ns, give_up_ns, server_began_ns, server_ended_ns;
    bool measuring, over;
};

int64_t load_now_ns(void);
int load_connect(const struct load *load);
/* Called now and then, by the clock: begins and ends the measurement. */
void load_tick(struct load *load, int64_t now_ns);
/* One answer. */
void load_count(struct load *load, bool ok);
void load_die(const char *what) __attribute__((noreturn));

void load_http(struct load *load, bool post);
void load_grpc(struct load *load);

#endif
