/* Starting the successor: which file, with what, and between fork and exec nothing but system calls. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/memory.h"
#include "lifecycle/handover_parts.h"

#define FIRST_FD 3
#define PID_DIGITS 10

/* ---- The program ---- */

static bool is_this_program(const char *path)
{
    struct stat own, other;
    return stat("/proc/self/exe", &own) == 0 && stat(path, &other) == 0 && own.st_dev == other.st_dev &&
           own.st_ino == other.st_ino;
}

static char *absolute(const char *path)
{
    if (path[0] == '/')
        return memory_strdup(path);
    char *folder = getcwd(NULL, 0);
    char *whole = memory_printf("%s/%s", folder ? folder : "", path);
    free(folder);
    return whole;
}

/* By its name, so that a symbolic link or a file that is replaced leads to the new one. */
static char *path_by_name(const char *name)
{
    if (strchr(name, '/'))
        return absolute(name);
    const char *at = getenv("PATH");
    while (at && *at) {
        size_t length = strcspn(at, ":");
        char *beside = memory_printf("%.*s/%s", (int)length, at, name);
        char *path = absolute(beside);
        free(beside);
        if (is_this_program(path))
            return path;
        free(path);
        at += length + (at[length] == ':');
    }
    return NULL;
}

void program_init(struct program *program, int argc, char **argv)
{
    program->argv = memory_zalloc(((size_t)argc + 1) * sizeof(char *));
    for (int i = 0; i < argc; i++)
        program->argv[i] = memory_strdup(argv[i]);
    program->path = argc > 0 ? path_by_name(argv[0]) : NULL;
    if (program->path && is_this_program(program->path))
        return;
    free(program->path); /* whoever started it gave it another name */
    char link[4096];
    ssize_t size = readlink("/proc/self/exe", link, sizeof link - 1);
    link[size > 0 ? size : 0] = 0;
    program->path = memory_strdup(link);
}

void program_clean_up(struct program *program)
{
    for (char **at = program->argv; at && *at; at++)
        free(*at);
    free(program->argv);
    free(program->path);
}

/* ---- Its environment ---- */

static bool is_about_this_process(const char *variable)
{
    static const char *const names[] = {"LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES=", "WATCHDOG_PID="};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(variable, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

struct environment {
    char **variables;
    char *own[3];   /* freed with it */
    char *pid_text; /* where the child writes its own */
};

static void make_environment(struct environment *environment, const struct listener_copy *copies,
                             size_t count)
{
    size_t size = 0, kept = 0;
    while (environ[size])
        size++;
    environment->variables = memory_zalloc((size + 4) * sizeof(char *));
    for (size_t i = 0; i < size; i++)
        if (!is_about_this_process(environ[i]))
            environment->variables[kept++] = environ[i];

    struct weir_buffer names = {0};
    for (size_t i = 0; i < count; i++)
        weir_buffer_printf(&names, "%s:", copies[i].name);
    weir_buffer_append_text(&names, HANDOVER_TALK);
    environment->own[0] = memory_printf("LISTEN_FDS=%zu", count + 1);
    environment->own[1] = memory_printf("LISTEN_FDNAMES=%s", weir_buffer_text(&names));
    environment->own[2] = memory_printf("LISTEN_PID=%0*d", PID_DIGITS, 0);
    environment->pid_text = strchr(environment->own[2], '=') + 1;
    for (int i = 0; i < 3; i++)
        environment->variables[kept++] = environment->own[i];
    weir_buffer_free(&names);
}

static void free_environment(struct environment *environment)
{
    for (int i = 0; i < 3; i++)
        free(environment->own[i]);
    free(environment->variables);
}

/* ---- The child ---- */

static void write_number(char *ret_text, unsigned number)
{
    int digits = 1;
    for (unsigned rest = number / 10; rest > 0; rest /= 10)
        digits++;
    ret_text[digits] = 0;
    for (; digits-- > 0; number /= 10)
        ret_text[digits] = (char)('0' + number % 10);
}

/* Runs in the child: other threads of its parent may have held any lock. */
static void become(const struct program *program, const struct environment *environment, const int *fds,
                   int count)
{
    for (int i = 0; i < count; i++)
        if (dup2(fds[i], FIRST_FD + i) < 0)
            _exit(127);
    /* Libraries have descriptors of theirs that they did not mark. */
    close_range((unsigned)(FIRST_FD + count), ~0U, CLOSE_RANGE_CLOEXEC);
    write_number(environment->pid_text, (unsigned)getpid());
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(program->path, program->argv, environment->variables);
    char failure[32] = "exec ";
    write_number(failure + 5, (unsigned)errno);
    send(FIRST_FD + count - 1, failure, strlen(failure), MSG_NOSIGNAL);
    _exit(127);
}

static pid_t fork_successor(const struct program *program, const struct listener_copy *copies, size_t count,
                            int talk)
{
    struct environment environment;
    make_environment(&environment, copies, count);
    int total = (int)count + 1;
    int *fds = memory_alloc((size_t)total * sizeof *fds);
    bool good = true;
    /* Above where they will be: none is overwritten before it was moved. */
    for (int i = 0; i < total; i++) {
        fds[i] = fcntl(i < (int)count ? copies[i].fd : talk, F_DUPFD_CLOEXEC, FIRST_FD + total);
        good = good && fds[i] >= 0;
    }
    pid_t pid = good ? fork() : -1;
    if (pid == 0)
        become(program, &environment, fds, total);
    int error = errno;
    for (int i = 0; i < total; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(fds);
    free_environment(&environment);
    errno = error;
    return pid;
}

enum weir_status successor_start(const struct program *program, struct successor *ret_successor,
                                 struct weir_error *err)
{
    int talk[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, talk) < 0)
        return weir_fail_errno(err, WEIR_UNAVAILABLE, errno, "cannot make a socket for the successor");
    struct listener_copy *copies;
    size_t count = listeners_copy(LISTENER_FOR_SUCCESSOR, &copies);
    pid_t pid = fork_successor(program, copies, count, talk[1]);
    int error = errno;
    listener_copies_free(copies, count);
    close(talk[1]);
    int process = pid > 0 ? pidfd_open(pid, 0) : -1;
    if (process >= 0) {
        *ret_successor = (struct successor){.pid = pid, .process = process, .talk = talk[0]};
        return WEIR_OK;
    }
    error = pid > 0 ? errno : error;
    if (pid > 0)
        kill(pid, SIGKILL);
    close(talk[0]);
    return weir_fail_errno(err, WEIR_UNAVAILABLE, error, "cannot start %s", program->path);
}

/* ---- Talking ---- */

bool talk_send(int talk, const char *kind, const char *text)
{
    char message[TALK_SIZE];
    int size = snprintf(message, sizeof message, "%s%s%s", kind, *text ? " " : "", text);
    size_t length = size < (int)sizeof message ? (size_t)size : sizeof message - 1;
    return send(talk, message, length, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)length;
}

int talk_receive(int talk, char text[TALK_SIZE])
{
    ssize_t size = recv(talk, text, TALK_SIZE - 1, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    text[size > 0 ? size : 0] = 0;
    return size > 0 ? 1 : -1;
}
