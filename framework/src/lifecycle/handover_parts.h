/* Shared by the files of handover.h. */
#ifndef WEIR_LIFECYCLE_HANDOVER_PARTS_H
#define WEIR_LIFECYCLE_HANDOVER_PARTS_H

#include <stddef.h>
#include <sys/types.h>

#include "core/listener.h"
#include "lifecycle/handover.h"

#define TALK_SIZE 1024

/* What this process was started as. */
struct program {
    char *path; /* by which a file that took its place is found; absolute */
    char **argv;
};
void program_init(struct program *program, int argc, char **argv);
void program_clean_up(struct program *program);

struct successor {
    pid_t pid;
    int process; /* pidfd_open(2) */
    int talk;
};
/* Starts the program anew with all listening sockets. */
enum weir_status successor_start(const struct program *program, struct successor *ret_successor,
                                 struct weir_error *err);

/* One message; false: the other side is gone. */
bool talk_send(int talk, const char *kind, const char *text);
/* Over several; ends them all with 0. Returns 1, 0 when there is none, -1 when the other side is gone. */
int talk_receive(int talk, char text[TALK_SIZE]);

enum upgrade { UPGRADE_NONE, UPGRADE_STARTING, UPGRADE_ENDING, UPGRADE_DONE };

struct handover {
    struct program program;
    struct handover_options options;
    struct weir_error inherit_error;
    struct listener control;
    char *control_address;

    /* As a successor: */
    int predecessor; /* -1: there is none, or it is gone */
    bool waits;      /* for its "go" */
    bool ready;

    /* As a predecessor: */
    enum upgrade upgrade;
    struct successor successor;
    int64_t limit_ns; /* of STARTING, of ENDING */
    bool killed;
    char reason[TALK_SIZE];
    char text[64];

    int visitor; /* on the control socket, has not said what it wants */
    int64_t visitor_limit_ns;
    int client; /* who asked for the upgrade that runs */
};

/* handover_control.c: true when somebody asks for an upgrade, who is `client` from then on. */
bool control_hear(struct handover *handover, const char *obstacle);
/* Also to nobody. */
void control_say(struct handover *handover, const char *kind, const char *text);
void control_end_client(struct handover *handover);

#endif
