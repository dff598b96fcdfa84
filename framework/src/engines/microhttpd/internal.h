/* The engine on libmicrohttpd, inside: N loops, a thread each, with an epoll of our own and a daemon of
 * libmicrohttpd's that has neither threads nor a listening socket.
 *
 * A loop's epoll holds the shared listening socket (EPOLLEXCLUSIVE), libmicrohttpd's own epoll descriptor,
 * one eventfd, and every connection (edge-triggered: the first byte of a request, and the client's closing,
 * which libmicrohttpd can miss).
 *
 * Everything of a loop, its connections and their exchanges belongs to its thread. Other threads do two
 * things: push an answered exchange on `answered`, and set one of the atomic flags and wake the loop. */
#ifndef WEIR_ENGINES_MICROHTTPD_INTERNAL_H
#define WEIR_ENGINES_MICROHTTPD_INTERNAL_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include <microhttpd.h>

#include <weir/clock.h>

#include "core/listener.h"
#include "engines/exchange.h"

#define IDLE_GRACE_MS 1000 /* for a client's next request once the drain has begun */
#define HURRY_MS 5000 /* for the rest of a request then, which would else hold the stop as long as it likes */
#define HALF_CLOSE_MS 50 /* a FIN this soon behind an HTTP/1.0 request: the client waits for its answer */
#define LINGER_MS 2000   /* reads on after a refusal, so that it is not lost to a reset */
#define LINGER_BYTES_MAX (16 << 20)
#define LINGERERS_MAX 256 /* per loop */
/* A refused request's body up to this size is read, and the connection kept. */
#define SWALLOW_MAX (64 << 10)
#define HEADERS_MAX 100
#define CUT_FLUSH_MS 100

/* What an epoll event points at. */
enum watch_kind { WATCH_LISTEN, WATCH_WAKE, WATCH_DAEMON, WATCH_CONNECTION, WATCH_LINGER };
struct watch {
    enum watch_kind kind;
    int fd;
};

/* Where a connection is; each has an absolute limit of its own, except ANSWERING, which is the user's. */
enum connection_state {
    CONNECTION_IDLE, /* between requests, or before the first */
    CONNECTION_HEAD, /* the first byte of a request came */
    CONNECTION_BODY,
    CONNECTION_ANSWERING, /* the request is complete */
    CONNECTION_SENDING,
    CONNECTION_CLOSING, /* refused or cut: libmicrohttpd is about to let it go */
    CONNECTION_STATES,
};

struct connection {
    struct watch watch;
    struct loop *loop;
    struct MHD_Connection *mhd; /* NULL until libmicrohttpd has taken it */
    struct exchange *exchange;  /* the current one */
    enum connection_state state;
    int64_t deadline_ns;
    struct connection *next, *previous; /* within its state: in the order of deadlines */
    struct connection *next_half_closed;
    bool half_closed;    /* the client closed its side */
    bool on_half_closed; /* it is in the loop's list */
    uint8_t quiet_runs;  /* in a row with nothing to read and nothing to do */
    bool linger;         /* read on after the close */
};

struct connection_list {
    struct connection *first, *last;
};

/* A refused connection whose client may still be sending: its socket only, read and thrown away until it
 * closes. */
struct lingerer {
    struct watch watch;
    int64_t deadline_ns;
    size_t bytes;
    struct lingerer *next, *previous;
};

struct loop {
    struct http_engine *engine;
    pthread_t thread; /* for the join */
    pthread_t self;   /* set by the thread itself */
    bool has_thread;
    int epoll;
    struct watch listen, wake, nested;
    bool listening;          /* the listening socket is in our epoll */
    bool accepts;            /* what it follows of the engine's */
    int64_t listen_again_ns; /* out of descriptors: accepts again at this time; 0: it does accept */
    struct MHD_Daemon *daemon;

    struct connection_list connections[CONNECTION_STATES];
    struct connection **by_fd;
    size_t by_fd_size;
    struct connection *half_closed;
    struct lingerer *lingerers;
    int lingerer_count;
    struct exchange *free_exchanges;
    struct exchange **timers; /* a heap: earliest first */
    size_t timer_count, timer_capacity;

    _Atomic(struct exchange *) answered; /* pushed by any thread */
    atomic_bool stop_accepting, cancel, cut, leave;
    int64_t now_ns; /* of this turn */
    bool draining;
    int64_t idle_close_ns; /* idle connections are closed from here on; 0: not yet */
    int64_t cut_ns;        /* everything is closed from here on; 0: not yet */
    unsigned progress;     /* callbacks of libmicrohttpd; to notice a loop that only spins */
    unsigned idle_turns;
};

enum accepting {
    ACCEPTING_HELD, /* a successor before its turn */
    ACCEPTING_ON,
    ACCEPTING_OVER, /* handed on, or quiesced */
};

struct http_engine {
    struct http_engine_options options;
    char *listen_text, *name;
    const struct http_user_ops *ops;
    http_problem_fn *problem;
    void *server;

    struct listener listener;
    atomic_int accepting; /* enum accepting */
    atomic_bool has_loops;
    struct loop *loops;
    int loop_count;
    _Atomic int64_t connections; /* accepted and not yet closed */
    sem_t stopped_accepting;     /* posted by each loop, after it accepted what was queued */
    bool quiesced;
    atomic_bool announced;    /* every answer closes its connection */
    _Atomic int64_t drain_ns; /* when the drain began; 0: not yet */
};

enum exchange_phase { EXCHANGE_OPEN, EXCHANGE_ANSWERED };

struct exchange {
    struct connection *connection;
    struct loop *loop;
    void *user;
    atomic_int references; /* libmicrohttpd's request, each hold, the list of answered ones */
    atomic_int phase;
    struct MHD_Response *response; /* set by whom phase lets */
    int status;
    struct exchange *next_answered, *next_free;

    bool head_seen, head_told, in_callback, suspended, swallow, gone, queued, probed;
    bool ready;          /* the answer is here, on the loop's thread */
    bool closes;         /* end the connection after the answer; set with the response */
    int64_t complete_ns; /* when the request was complete; 0: it is not */
    int64_t body_bytes;
    int64_t deadline_ns;
    size_t timer_index; /* in the loop's heap, plus one; 0: none */

    struct http_head head;
    const char
        *raw; /* the head's bytes in libmicrohttpd's buffer, as its parser has cut them; only for the guard */
    size_t raw_size;
    struct weir_buffer target;
    struct http_header headers[HEADERS_MAX]; /* last: not cleared for each request */
};

/* loop.c */
enum weir_status loop_init(struct loop *loop, struct http_engine *engine, struct weir_error *err);
enum weir_status loop_start(struct loop *loop, struct weir_error *err);
void loop_wake(struct loop *loop);
void loop_clean_up(struct loop *loop); /* joins its thread */

/* connection.c. Runs on: the loop's thread. */
struct connection *connection_add(struct loop *loop, int fd);
void connection_remove(struct connection *connection);
void connection_set_state(struct connection *connection, enum connection_state state);
void connection_event(struct connection *connection, uint32_t events);
/* Its client closed its side and its answer is being made: finds out whether anybody still waits. */
void connection_probe(struct connection *connection);
/* The drain begins: who is sending a request has less time for the rest of it. */
void connections_hurry(struct loop *loop);
/* Cuts those whose time is over; the time of the next. */
int64_t connections_check_deadlines(struct loop *loop);
/* True when it wants to look again soon. */
bool connections_check_half_closed(struct loop *loop);
/* The loop turns without progress: closes those that have data which nobody takes. */
void connections_check_spinning(struct loop *loop);
/* shutdown() of both directions, which libmicrohttpd does notice. */
void connection_cut(struct connection *connection);
struct connection *connection_of(struct MHD_Connection *mhd);
void connection_notify(void *arg, struct MHD_Connection *mhd, void **context,
                       enum MHD_ConnectionNotificationCode code);

/* exchange.c. Runs on: the loop's thread. */
void *exchange_begin(void *arg, const char *target, struct MHD_Connection *mhd);
enum MHD_Result exchange_access(void *arg, struct MHD_Connection *mhd, const char *url, const char *method,
                                const char *version, const char *data, size_t *size, void **context);
void exchange_completed(void *arg, struct MHD_Connection *mhd, void **context,
                        enum MHD_RequestTerminationCode code);
/* Its connection is closed, and exchange_completed() was not called: 1.0.1 forgets it for a broken chunk. */
void exchange_lost(struct exchange *exchange);
void exchanges_resume(struct loop *loop);
/* A suspended one whose connection is to be closed: libmicrohttpd must run it to see that. */
void exchange_abandon(struct exchange *exchange);
void exchange_unavailable(struct exchange *exchange);

/* timers.c. Runs on: the loop's thread. */
void timer_set(struct exchange *exchange, int64_t deadline_ns);
void timers_fire(struct loop *loop);
int64_t timers_next(const struct loop *loop);

/* guard.c: 0, or the status of the refusal and its text. */
int guard_check(struct exchange *exchange, const char *version, const char **ret_text);

/* refuse.c: an answer past libmicrohttpd, and reading on after it. Runs on: the loop's thread. */
void refuse_socket(struct loop *loop, int fd, int status, const char *text);
/* On a connection of ours, at a moment when nothing else is being sent on it. */
void refuse_connection(struct connection *connection, int status, const char *text);
void linger(struct loop *loop, int fd, bool closes_fd);
void linger_event(struct loop *loop, struct lingerer *lingerer);
int64_t lingerers_check_deadlines(struct loop *loop);
void lingerers_close(struct loop *loop);

#endif
