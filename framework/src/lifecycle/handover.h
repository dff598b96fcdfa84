/* Restart without a gap: the running process starts its successor, gives it the listening sockets, and drains
 * when the successor is ready; if that fails, it goes on as if nothing had been.
 *
 * Three parties: the command (SERVICE --upgrade), on the control socket `app.control`; the running process; its
 * successor, which has one end of a socket pair besides the listening sockets (LISTEN_FDS, its name is
 * "handover.talk"). All of it runs on the lifecycle's thread, and nothing blocks.
 *
 *     command -> process     "upgrade"
 *     process -> command     "progress TEXT" ..., then "done TEXT", "failed TEXT" or "refused TEXT"; after
 *                            "done" the connection ends with the process
 *     successor -> process   "ready", or "failed TEXT"; "exec ERRNO" before it is one
 *     process -> successor   "go": accept, you are the service now
 *
 * A successor accepts nothing before "go", so one that fails has lost nothing. A predecessor that vanishes is
 * as good as "go". */
#ifndef WEIR_LIFECYCLE_HANDOVER_H
#define WEIR_LIFECYCLE_HANDOVER_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/error.h>

#define HANDOVER_TALK "handover.talk"
#define HANDOVER_SOURCES 7

struct handover;

struct handover_options {
    const char *control; /* a path; NULL: no upgrades */
    int64_t timeout_ms;  /* for the successor to become ready */
    int64_t deadline_ms; /* for a failed one to end */
};

/* Takes the descriptors that this process was started with, so it runs before any thread is made. Copies argv. */
struct handover *handover_new(int argc, char **argv);
void handover_free(struct handover *handover); /* a successor that is not ready is killed */

/* This process is a successor that is not the service yet. */
bool handover_is_waiting(const struct handover *handover);
/* It was the service, and its successor is now. */
bool handover_is_done(const struct handover *handover);

/* Opens the control socket. Borrows the options' texts. Also what was wrong with LISTEN_FDS. */
enum weir_status handover_begin(struct handover *handover, const struct handover_options *options,
                                struct weir_error *err);
/* It will not become ready, for this reason. */
void handover_failed(struct handover *handover, const char *reason);
/* Everything is up. */
void handover_ready(struct handover *handover);
/* A stop begins, maybe because of a handover: an upgrade under way is called off. */
void handover_stopping(struct handover *handover);

enum handover_event {
    HANDOVER_NOTHING,
    HANDOVER_TAKEN, /* this process is the service from now on */
    HANDOVER_GIVEN, /* its successor is: it drains. handover_text() says to whom */
};
/* What to poll for; at most HANDOVER_SOURCES. And until when; WEIR_NEVER. */
nfds_t handover_sources(const struct handover *handover, struct pollfd *ret_sources);
int64_t handover_next_limit(const struct handover *handover);
/* Does what is to be done now. `obstacle`: why there can be no upgrade; NULL: it can. */
enum handover_event handover_hear(struct handover *handover, const char *obstacle);
const char *handover_text(const struct handover *handover);

/* The command. Returns the exit status. handover_command.c */
int handover_command(const char *app_name, const char *control);

#endif
