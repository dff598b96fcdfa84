/* Takes the server's connections: accepts them on a thread of its own, and hands those who speak HTTP/2 to the
 * core. The core never has the listening socket, so that it can be handed over to another process, and closed
 * without losing what the kernel has queued on it. */
#ifndef WEIR_ENGINES_GRPC_CORE_INTAKE_H
#define WEIR_ENGINES_GRPC_CORE_INTAKE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/error.h>

#include "core/listener.h"
#include "engines/grpc_core/connections.h"
#include "engines/grpc_core/link.h"

struct intake_options {
    const char *name, *listen; /* borrowed: must outlive the intake */
    int64_t connections_max;   /* 0: no limit */
    int64_t preface_ms;        /* until a client has sent its preface */
    /* Takes the descriptor. Runs on: the intake's thread. */
    void (*take)(void *arg, int fd);
    void *arg;
};

enum intake_accepting {
    INTAKE_HELD, /* a successor before its turn */
    INTAKE_ON,
    INTAKE_ENDS, /* the thread shall accept what is queued, and end it */
    INTAKE_OVER, /* its own successor accepts, or nobody any more */
};

struct intake {
    struct intake_options options;
    struct listener listener;
    struct connections taken; /* those that the core was given */
    int epoll, wake;
    pthread_t thread;
    bool has_thread;
    atomic_int accepting; /* enum intake_accepting */
    atomic_bool leave;
    atomic_size_t newcomer_count;
    _Atomic int64_t refused; /* so far */

    /* The thread's own. */
    struct link newcomers;   /* the first is late first */
    bool listening;          /* the socket is in the epoll */
    int64_t listen_again_ns; /* out of descriptors until then; 0: it is not */
    int64_t tell_again_ns;   /* of refusals */
};

void intake_init(struct intake *intake, const struct intake_options *options);
enum weir_status intake_listen(struct intake *intake, struct weir_error *err);
enum weir_status intake_start(struct intake *intake, struct weir_error *err);
int intake_port(const struct intake *intake);

/* How many connections there are. Any thread. */
size_t intake_connections(struct intake *intake);
/* Closes the listening socket so that no connection is lost: all that were made are with the core then. */
void intake_stop(struct intake *intake);
/* After intake_stop(): the core has let go of every connection. */
bool intake_is_over(struct intake *intake);
/* Does of the above what was not done. */
void intake_clean_up(struct intake *intake);

#endif
