#include "load.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

int64_t load_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void load_die(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t cpu_ns(clockid_t clock)
{
    struct timespec used;
    if (clock_gettime(clock, &used) != 0)
        load_die("bench-load: the server's CPU clock");
    return used.tv_sec * INT64_C(1000000000) + used.tv_nsec;
}

static int64_t server_cpu_ns(const struct load *load)
{
    clockid_t clock;
    if (clock_getcpuclockid(load->server, &clock) != 0)
        load_die("bench-load: the server");
    return cpu_ns(clock);
}

int load_connect(const struct load *load)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)load->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        load_die("bench-load: connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

void load_tick(struct load *load, int64_t now_ns)
{
    if (now_ns > load->give_up_ns) {
        fprintf(stderr, "bench-load: no answer\n");
        exit(1);
    }
    if (!load->measuring && now_ns - load->began_ns >= load->warm_up_ns) {
        load->measuring = true;
        load->server_began_ns = server_cpu_ns(load);
        load->began_ns = load_now_ns();
    } else if (load->measuring && !load->over && now_ns - load->began_ns >= load->measure_ns) {
        load->server_ended_ns = server_cpu_ns(load);
        load->ended_ns = load_now_ns();
        load->over = true;
    }
}

void load_count(struct load *load, bool ok)
{
    if (load->measuring && !load->over) {
        load->done += ok;
        load->failed += !ok;
    }
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "Usage: bench-load get|post|grpc PORT SERVER_PID IN_FLIGHT SECONDS\n");
        return 64;
    }
    double seconds = strtod(argv[5], NULL);
    struct load load = {
        .port = (int)strtol(argv[2], NULL, 10),
        .server = (pid_t)strtol(argv[3], NULL, 10),
        .in_flight = (int)strtol(argv[4], NULL, 10),
        .warm_up_ns = 200000000,
        .measure_ns = (int64_t)(seconds * 1e9),
    };
    load.began_ns = load_now_ns();
    load.give_up_ns = load.began_ns + INT64_C(30000000000);
    if (strcmp(argv[1], "grpc") == 0)
        load_grpc(&load);
    else
        load_http(&load, strcmp(argv[1], "post") == 0);

    double took = (double)(load.ended_ns - load.began_ns) / 1e9;
    printf("{\"done\": %lld, \"failed\": %lld, \"seconds\": %.6f, \"server_cpu\": %.6f, \"own_cpu\": %.6f}\n",
           (long long)load.done, (long long)load.failed, took,
           (double)(load.server_ended_ns - load.server_began_ns) / 1e9,
           (double)cpu_ns(CLOCK_PROCESS_CPUTIME_ID) / 1e9);
    return load.done > 0 && load.failed == 0 ? 0 : 1;
}
