/* Whether the process's other threads sleep, and in what, from /proc/self/task (proc_pid_status(5),
 * proc_pid_syscall(5)). */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "core/memory.h"

#define GIVE_UP_AFTER 4 /* times that somebody was waited for in vain */

#include "testing/clock.h"

struct look {
    char state;
    unsigned long long runs; /* how often it has given up the processor, or lost it */
};

struct thread {
    pid_t id;
    int status;  /* /proc/self/task/ID/status */
    int syscall; /* /proc/self/task/ID/syscall; -1: not to be had */
    int in_vain; /* how often its real waits were waited for and did not end */
    bool waits;  /* for something outside, when it was last looked at */
    char name[32];
    struct look look;
};

static struct thread *list;
static size_t count, capacity;
static pid_t *old; /* were there before */
static size_t old_count;
static char awake[32];

static bool is_old(pid_t id)
{
    for (size_t i = 0; i < old_count; i++)
        if (old[i] == id)
            return true;
    return id == gettid();
}

static bool is_listed(pid_t id)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].id == id)
            return true;
    return false;
}

static int open_of(pid_t id, const char *file)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/%s", (int)id, file);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static void add(pid_t id)
{
    int status = open_of(id, "status");
    if (status < 0)
        return;
    if (count == capacity) {
        capacity = capacity ? capacity * 2 : 64;
        list = memory_realloc(list, capacity * sizeof *list);
    }
    list[count++] = (struct thread){.id = id, .status = status, .syscall = open_of(id, "syscall")};
}

static void close_files(struct thread *thread)
{
    close(thread->status);
    if (thread->syscall >= 0)
        close(thread->syscall);
}

static void list_all(void (*found)(pid_t id))
{
    DIR *folder = opendir("/proc/self/task");
    if (!folder)
        test_die("/proc is not there: whether threads sleep cannot be known");
    for (struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            found((pid_t)strtol(entry->d_name, NULL, 10));
    closedir(folder);
}

static void remember_old(pid_t id)
{
    old = memory_realloc(old, (old_count + 1) * sizeof *old);
    old[old_count++] = id;
}

static void add_new(pid_t id)
{
    if (!is_old(id) && !is_listed(id))
        add(id);
}

void threads_begin(void)
{
    list_all(remember_old);
}

void threads_end(void)
{
    for (size_t i = 0; i < count; i++)
        close_files(&list[i]);
    free(list);
    free(old);
    list = NULL;
    old = NULL;
    count = capacity = old_count = 0;
}

static unsigned long long number_of(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* False: it is gone. */
static bool look_at(struct thread *thread, struct look *ret_look)
{
    char text[4096];
    ssize_t size = pread(thread->status, text, sizeof text - 1, 0);
    if (size <= 0)
        return false;
    text[size] = 0;
    const char *state = strstr(text, "\nState:\t");
    ret_look->state = '?';
    if (state)
        ret_look->state = state[8];
    ret_look->runs =
        number_of(text, "\nvoluntary_ctxt_switches:") + number_of(text, "\nnonvoluntary_ctxt_switches:");
    sscanf(text, "Name:\t%31[^\n]", thread->name);
    return ret_look->state != 'X' && ret_look->state != 'Z';
}

static bool sleeps(const struct thread *thread, const struct look *look)
{
    if (look->state == 'S')
        return true;
    snprintf(awake, sizeof awake, "%s", thread->name);
    return false;
}

/* It sleeps in a call of the kernel that may end without any other thread of this process. */
static bool waits_for_the_world(const struct thread *thread)
{
    char text[256];
    ssize_t size = thread->syscall >= 0 ? pread(thread->syscall, text, sizeof text - 1, 0) : 0;
    if (size <= 0)
        return false;
    text[size] = 0;
    char *at = text;
    long number = strtol(text, &at, 10);
    if (at == text) /* "running": it has just been woken */
        return false;
    unsigned long arguments[4];
    for (int i = 0; i < 4; i++)
        arguments[i] = strtoul(at, &at, 16);
    switch (number) {
    case SYS_futex:
        return arguments[3] != 0; /* a timeout: of a clock that is not the test's */
#ifdef SYS_poll
    case SYS_poll:
        return (int)arguments[2] >= 0;
#endif
    case SYS_ppoll:
        return arguments[2] != 0;
#ifdef SYS_epoll_wait
    case SYS_epoll_wait:
#endif
    case SYS_epoll_pwait:
        return (int)arguments[3] >= 0;
    default:
        return true;
    }
}

/* All sleep: does one of them wait for what may come by itself? */
static bool somebody_waits(void)
{
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        list[i].waits = list[i].in_vain < GIVE_UP_AFTER && waits_for_the_world(&list[i]);
        if (list[i].waits && !found)
            snprintf(awake, sizeof awake, "%s", list[i].name);
        found = found || list[i].waits;
    }
    return found;
}

void threads_waited_in_vain(void)
{
    for (size_t i = 0; i < count; i++)
        list[i].in_vain += list[i].waits;
}

enum threads_state threads_look(void)
{
    list_all(add_new);
    for (size_t i = 0; i < count;) {
        if (look_at(&list[i], &list[i].look)) {
            if (!sleeps(&list[i], &list[i].look))
                return THREADS_RUN;
            i++;
            continue;
        }
        close_files(&list[i]);
        list[i] = list[--count];
    }
    for (size_t i = 0; i < count; i++) {
        struct look again;
        if (!look_at(&list[i], &again) || again.runs != list[i].look.runs || !sleeps(&list[i], &again)) {
            snprintf(awake, sizeof awake, "%s", list[i].name);
            return THREADS_RUN;
        }
    }
    bool waits = somebody_waits();
    size_t before = count;
    list_all(add_new); /* who was made while the first were looked at */
    if (count != before)
        return THREADS_RUN;
    return waits ? THREADS_WAIT : THREADS_SLEEP;
}

const char *threads_awake(void)
{
    return awake;
}
