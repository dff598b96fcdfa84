/* Listening sockets: opened from an address, or taken over from who had them before. Servers of every
 * transport get theirs here, so that all of a process can be handed to its successor, or kept by the service
 * manager, at once.
 *
 * A socket that this process was started with (LISTEN_FDS of sd_listen_fds(3)) is taken instead of a new one
 *   - when its name is that of the listener: the service manager's word stands, whatever the address is;
 *   - else when its address is the one that is asked for.
 * Two endings of a name say where it comes from, and that its address must fit, too (port 0 fits any):
 *   NAME.handed  from the process before this one;
 *   NAME.stored  from the service manager's store (FDSTORE of sd_notify(3)).
 *
 * The list of what is open is the process's, like the descriptors themselves. Any thread. */
#ifndef WEIR_CORE_LISTENER_H
#define WEIR_CORE_LISTENER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <weir/bytes.h>
#include <weir/error.h>

struct listener_options {
    const char *name;    /* Required: the component's. Borrowed during the call */
    const char *address; /* Required: "127.0.0.1:8082", "[::]:8082", "localhost:0", "unix:PATH" */
    unsigned mode;       /* of a socket file, such as 0600; 0: as umask says */
    bool transient;      /* not for the service manager's store */
    /* During a handover two processes have the socket and one accepts. `accept` is told when this one shall
     * begin, where listener_open() left `held` true (it is the successor, and not everything is ready yet), and
     * when it shall end (its successor accepts from now on). It only notes that and wakes somebody: it must not
     * call back. Who ends takes the socket out of its epoll first and then accepts until EAGAIN: a connection
     * wakes one waiter of all processes. NULL: it accepts from its opening to its quiesce. */
    void (*accept)(void *self, bool on);
    void *self; /* Borrowed until listener_close() */
};

enum listener_origin {
    LISTENER_OPENED, /* by this process */
    LISTENER_HANDED, /* by the process before */
    LISTENER_STORED, /* it is in the service manager's store */
    LISTENER_GIVEN,  /* by the service manager, which keeps it */
};

/* Zero is closed, as listener_close() leaves it. At its address until then: it is in the list. */
struct listener {
    bool open;
    int fd;     /* non-blocking, close-on-exec */
    int family; /* AF_INET, AF_INET6, AF_UNIX */
    int port;   /* 0 for a unix socket */
    bool held;  /* as it was opened: do not accept before `accept` says so */
    /* The rest is listener.c's. */
    enum listener_origin origin;
    bool waits, transient, handed_on;
    atomic_bool deaf; /* to new handshakes, by their TTL */
    void (*accept)(void *self, bool on);
    void *self;
    char *name, *path, *given_name;
    struct listener *next;
};

/* WEIR_INVALID_ARGUMENT: no address. WEIR_UNAVAILABLE: a port that is taken (the text says by whom), a host that
 * is not known. */
enum weir_status listener_open(struct listener *listener, const struct listener_options *options,
                               struct weir_error *err);

/* As accept4(2): a connection that is non-blocking and close-on-exec, or -1 with errno. The address may be NULL. */
int listener_accept(struct listener *listener, struct sockaddr *ret_address, socklen_t *size);

/* Who closes a listening socket resets the connections that the kernel has queued on it, and those whose
 * handshake is under way. So: this one; when it says true, LISTENER_SETTLE_MS for those under way; accept until
 * EAGAIN; listener_close().
 *
 * It stops new handshakes (TCP: pure SYNs are dropped, by a filter or, where this process has not the right to one, by
 * their TTL; the client sends another one and is then refused by the closed port; unix: the path goes). A socket that somebody else serves, too, is left as it is: what is
 * queued is theirs. */
bool listener_quiesce(struct listener *listener);
#define LISTENER_SETTLE_MS 50
/* For tests: false is as on a system that does not permit a filter. */
extern atomic_bool listener_may_filter;

/* `accept` is not told any more, nor running: who it is for may go. */
void listener_mute(struct listener *listener);

/* Closes it, and removes a socket file, unless it is somebody else's by then. Fine when it is closed. */
void listener_close(struct listener *listener);

/* Another process has it, too. */
bool listener_is_shared(const struct listener *listener);

/* ---- For the lifecycle ---- */

/* Takes the descriptors that LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES name, and removes these variables. Runs
 * before any thread is made. False, with what is wrong with them. */
bool listeners_inherit(struct weir_error *err);
/* Of those the one of that exact name, which is then the caller's to close; -1: none. */
int listeners_take(const char *name);
/* Of those all that nobody took: their names and addresses, for a person; and closes them. How many. */
size_t listeners_drop_rest(struct weir_buffer *ret_text);

enum listener_use { LISTENER_FOR_SUCCESSOR, LISTENER_FOR_STORE };
struct listener_copy {
    int fd;     /* close-on-exec */
    char *name; /* for LISTEN_FDNAMES, or FDNAME */
};
/* Duplicates of all that are open; for the store, of those that the service manager does not have yet. Caller
 * owns the result: listener_copies_free(). */
size_t listeners_copy(enum listener_use use, struct listener_copy **ret_copies);
void listener_copies_free(struct listener_copy *copies, size_t count);

/* This process is a successor: what is opened from now on is held, and what was handed is its predecessor's,
 * until listeners_release(). */
void listeners_hold(void);
void listeners_release(void);
/* The successor accepts from now on: tells those that are open to end. */
void listeners_handed_on(void);
/* All that are open are in the store. */
void listeners_stored(void);

#endif
