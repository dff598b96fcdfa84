/* A service in a process of its own, which tests start, upgrade and end: handover_child.c. */
#ifndef SHELF_H
#define SHELF_H

#include <stdbool.h>
#include <sys/types.h>

#include "process.h"

#define ARGUMENTS_MAX 24
#define ENVIRONMENT_MAX 6

struct shelf {
    char folder[64], program[128], control[128], mode[128], config[128], mode_variable[160];
    char flags[ARGUMENTS_MAX][160];
    const char *argv[ARGUMENTS_MAX + 2];
    int argc;
    const char *environment[ENVIRONMENT_MAX + 1];
    int fds[4], fd_count; /* that it is started with */
    struct process service;
    pid_t pid; /* of the latest that was up */
    int rest, grpc, admin;
    size_t heard; /* of what it said, by then */
};

void shelf_write(const char *path, const char *text);
/* The program as a file of its own, which takes the place of what is there. */
void shelf_copy_program(const char *to);

/* Not started yet: flags can be added. A format with one %s. */
void shelf_prepare(struct shelf *f);
void shelf_flag(struct shelf *f, const char *format, const char *value);
void shelf_environment(struct shelf *f, const char *variable); /* borrowed */
/* Until it is ready. */
void shelf_start(struct shelf *f);
/* Until the next process is up; pid and ports are its own then. */
void shelf_await_up(struct shelf *f);
/* The command. Fails unless it ends with this status and has said this. */
void shelf_upgrade(struct shelf *f, int expected, const char *text);
/* Of one that is not the test's child; false after a while. */
bool shelf_is_over(pid_t pid);
void shelf_end(struct shelf *f);

/* The status of GET. */
int shelf_ask(int port, const char *path);
void shelf_assert_serves(struct shelf *f);

#endif
