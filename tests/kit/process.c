#include "test.h"

#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/clock.h>

/* Above all that they will be first: none takes another one's place. */
static void give_fds(const int *fds, int count)
{
    int copies[8];
    char pid[32];
    for (int i = 0; i < count; i++)
        copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 100);
    for (int i = 0; i < count; i++)
        dup2(copies[i], 3 + i);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("LISTEN_PID", pid, 1);
}

void process_start(struct process *process, const char *const *argv, const char *const *environment)
{
    process_start_with(process, argv, environment, NULL, 0);
}

void process_start_with(struct process *process, const char *const *argv, const char *const *environment,
                        const int *fds, int fd_count)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    *process = (struct process){.output = ends[0], .pid = fork()};
    assert_true(process->pid >= 0);
    if (process->pid == 0) {
        for (; environment && *environment; environment++)
            putenv((char *)*environment);
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        if (fd_count > 0)
            give_fds(fds, fd_count);
        execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    close(ends[1]);
}

/* False when nothing came in time. */
static bool read_some(struct process *process, int wait_ms)
{
    struct pollfd output = {.fd = process->output, .events = POLLIN};
    if (process->output < 0 || poll(&output, 1, wait_ms) <= 0)
        return false;
    ssize_t size = read(process->output, weir_buffer_reserve(&process->said, 4096), 4096);
    if (size > 0) {
        process->said.size += (size_t)size;
        return true;
    }
    close(process->output);
    process->output = -1;
    return false;
}

size_t process_await(struct process *process, size_t from, const char *text)
{
    int64_t until = weir_deadline_in_ms(PROCESS_PATIENCE_MS);
    for (;;) {
        const char *said = weir_buffer_text(&process->said);
        const char *at = strstr(said + from, text);
        if (at)
            return (size_t)(at - said);
        int64_t left = (until - weir_now_ns()) / WEIR_NS_PER_MS;
        if (left <= 0 || (!read_some(process, (int)left) && process->output < 0))
            fail_msg("\"%s\" was not said; what was:\n%s", text, weir_buffer_text(&process->said));
    }
}

int process_end(struct process *process)
{
    int status = 0;
    int64_t until = weir_deadline_in_ms(PROCESS_PATIENCE_MS);
    while (waitpid(process->pid, &status, WNOHANG) == 0) {
        read_some(process, 5);
        if (weir_now_ns() > until) {
            kill(process->pid, SIGKILL);
            fail_msg("process %d did not end; it said:\n%s", (int)process->pid,
                     weir_buffer_text(&process->said));
        }
    }
    while (read_some(process, 0))
        continue;
    process->pid = 0;
    return status;
}

void process_free(struct process *process)
{
    if (process->pid > 0) {
        kill(process->pid, SIGKILL);
        waitpid(process->pid, NULL, 0);
    }
    if (process->output >= 0)
        close(process->output);
    weir_buffer_free(&process->said);
}
