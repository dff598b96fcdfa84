/* Programs that a test starts, and what they say. Every wait is bounded: the test fails where it takes longer. */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <weir/bytes.h>

#define PROCESS_PATIENCE_MS 30000

struct process {
    pid_t pid;
    int output; /* standard output and error, of its successors, too; -1: at its end */
    struct weir_buffer said;
};

/* `environment`: "NAME=VALUE" each, besides the own one; NULL-terminated, or NULL. */
void process_start(struct process *process, const char *const *argv, const char *const *environment);
/* The same, with these descriptors from 3 on, and LISTEN_PID as sd_listen_fds(3) wants it. */
void process_start_with(struct process *process, const char *const *argv, const char *const *environment,
                        const int *fds, int fd_count);
/* Until `text` stands behind what was there `from` on; where it begins. */
size_t process_await(struct process *process, size_t from, const char *text);
/* Until it has ended; its wait status. What it said is read as far as it is there. */
int process_end(struct process *process);
void process_free(struct process *process);

#endif
