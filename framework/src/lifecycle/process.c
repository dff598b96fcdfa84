#include "lifecycle/process.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <weir/clock.h>

#define SAME_SIGNAL_NS (300 * WEIR_NS_PER_MS)

bool process_adopts(void)
{
    int subreaper = 0;
    return getpid() == 1 || (prctl(PR_GET_CHILD_SUBREAPER, &subreaper) == 0 && subreaper);
}

int process_reap(void)
{
    int count = 0;
    if (process_adopts())
        while (waitpid(-1, NULL, WNOHANG) > 0)
            count++;
    return count;
}

static sigset_t heard_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGHUP);
    if (process_adopts())
        sigaddset(&set, SIGCHLD);
    return set;
}

static bool forked;
static sigset_t blocked; /* by us */

/* What it runs must be ended by a signal as ever. */
static void begin_fork(void)
{
    forked = true;
    pthread_sigmask(SIG_UNBLOCK, &blocked, NULL);
}

static void heed_forks(void)
{
    sigemptyset(&blocked);
    pthread_atfork(NULL, NULL, begin_fork);
}

void process_block_signals(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    sigset_t set = heard_signals(), before;
    pthread_once(&once, heed_forks);
    pthread_sigmask(SIG_BLOCK, &set, &before);
    for (int signal = 1; signal < NSIG; signal++)
        if (sigismember(&set, signal) == 1 && sigismember(&before, signal) == 0)
            sigaddset(&blocked, signal);
    if (forked) /* and runs an app of its own */
        forked = false;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

void process_end_fork(void)
{
    if (!forked)
        return;
    dprintf(STDERR_FILENO,
            "weir: process %d was forked and came back from what had forked it: it ends here\n",
            (int)getpid());
    _exit(EX_SOFTWARE);
}

int process_signal_descriptor(void)
{
    sigset_t set = heard_signals();
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int process_read_signal(int descriptor)
{
    struct signalfd_siginfo info;
    if (read(descriptor, &info, sizeof info) != sizeof info)
        return 0;
    if (info.ssi_signo == SIGHUP && info.ssi_code == SI_KERNEL)
        return PROCESS_HANGUP;
    return (int)info.ssi_signo;
}

bool process_ignores_hangup(void)
{
    struct sigaction action;
    return sigaction(SIGHUP, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

bool signal_counts(struct signal_filter *filter, int64_t now_ns)
{
    bool same = filter->heard && now_ns - filter->last_ns < SAME_SIGNAL_NS;
    filter->heard = true;
    filter->last_ns = now_ns;
    return !same;
}

int64_t process_watchdog_ns(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (!getenv("NOTIFY_SOCKET") || !usec || (pid && strtoll(pid, NULL, 10) != getpid()))
        return 0;
    int64_t value = strtoll(usec, NULL, 10);
    return value > 0 && value < WEIR_NEVER / 1000 ? value * 1000 : 0;
}

/* -1: there is none. */
static int connect_manager(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = path ? strlen(path) : 0;
    if (length == 0 || length >= sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = 0;
    int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (manager >= 0 && connect(manager, (struct sockaddr *)&address, size) == 0)
        return manager;
    if (manager >= 0)
        close(manager);
    return -1;
}

void process_notify(const char *text)
{
    int manager = connect_manager();
    if (manager < 0)
        return;
    send(manager, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    close(manager);
}

bool process_has_store(void)
{
    const char *most = getenv("FDSTORE");
    return getenv("NOTIFY_SOCKET") && most && strtol(most, NULL, 10) > 0;
}

bool process_store(int descriptor, const char *name)
{
    int manager = connect_manager();
    if (manager < 0)
        return false;
    char text[320];
    snprintf(text, sizeof text, "FDSTORE=1\nFDNAME=%.255s", name);
    struct iovec data = {.iov_base = text, .iov_len = strlen(text)};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof descriptor)];
    } control = {0};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof descriptor);
    memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    bool sent = sendmsg(manager, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)data.iov_len;
    close(manager);
    return sent;
}
