/* What the process hears and says: signals, and the service manager. */
#ifndef WEIR_LIFECYCLE_PROCESS_H
#define WEIR_LIFECYCLE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/* Blocks SIGTERM, SIGINT, SIGHUP, SIGUSR1, and SIGCHLD where this process adopts, in this thread and all that it
 * makes, so call it before any is made; ignores SIGPIPE, and SIGXFSZ (a file that may not grow is an error of
 * the write, not the process's end). A process that is forked from then on does not block them. */
void process_block_signals(void);

/* Called when an author's function has returned. In a process that it has forked (fork(2)) and that returned from it,
 * says so and ends that: it has none of the threads that should go on, and its parent's sockets. Any thread. */
void process_end_fork(void);

/* A descriptor that is readable when a signal is there; -1 on failure. */
int process_signal_descriptor(void);
/* The next one (SIGTERM); 0 when there is none. */
int process_read_signal(int descriptor);
/* Instead of SIGHUP, which somebody sends: its terminal is gone, as the kernel says. */
#define PROCESS_HANGUP (-1)
/* Somebody wants it to outlive its terminal (nohup(1)). */
bool process_ignores_hangup(void);

/* Orphans become this process's children: it is PID 1 of its namespace, or a subreaper (prctl(2)). */
bool process_adopts(void);
/* Where it adopts: waits for every child that has ended, so that none stays a zombie. Returns how many. */
int process_reap(void);

/* A signal within 300 ms of the one before it is the same one: terminals and parents send two. Zero is the
 * begin. */
struct signal_filter {
    bool heard;
    int64_t last_ns;
};
bool signal_counts(struct signal_filter *filter, int64_t now_ns);

/* Gives the service manager a descriptor to keep for the next start of this service, under a name (FDSTORE of
 * sd_notify(3)). False: it has no store, by NOTIFY_SOCKET and FDSTORE, the number it keeps at most. */
bool process_has_store(void);
bool process_store(int descriptor, const char *name);

/* Tells the service manager ("READY=1"), where NOTIFY_SOCKET names one (sd_notify(3)). */
void process_notify(const char *text);

/* How often at least the service manager wants to hear "WATCHDOG=1" from this process, in ns: WATCHDOG_USEC and
 * WATCHDOG_PID of sd_watchdog_enabled(3). 0: it does not watch. */
int64_t process_watchdog_ns(void);

#endif
