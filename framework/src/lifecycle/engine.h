/* The lifecycle as a pure state machine: events in, actions out. No clock, no threads, no memory after
 * engine_new().
 *
 *     IDLE -> STARTING -> RUNNING -> STOPPING -> EXITED
 *
 * A component: NEW -> STARTING -> UP -> QUIESCE -> DRAIN -> FINISH -> ENDED, and after FINISH of a restart
 * BACKOFF -> STARTING. One that is given up is ENDED while its operation still runs. `destroy` comes after
 * ENDED, when nothing can use it any more. After each event the engine applies it, expires timers, then
 * advances until nothing changes.
 *
 * Times are absolute milliseconds on any clock that does not go back. */
#ifndef WEIR_LIFECYCLE_ENGINE_H
#define WEIR_LIFECYCLE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/component.h>

#include "lifecycle/plan.h"

#define ENGINE_NEVER INT64_MAX
#define ENGINE_SIGNALS_MAX 3
#define ENGINE_TEXT_SIZE 256

enum engine_phase { PHASE_IDLE, PHASE_STARTING, PHASE_RUNNING, PHASE_STOPPING, PHASE_EXITED };

enum part_state {
    PART_NEW,
    PART_STARTING,
    PART_UP,
    PART_QUIESCE,
    PART_DRAIN,
    PART_FINISH,
    PART_BACKOFF,
    PART_ENDED,
};

enum destroy_state { DESTROY_NO, DESTROY_RUNNING, DESTROY_DONE, DESTROY_ABANDONED };

enum outcome { OUTCOME_NONE, OUTCOME_CLEAN, OUTCOME_CUT, OUTCOME_FAILED, OUTCOME_ABANDONED, OUTCOME_SKIPPED };
const char *outcome_name(enum outcome outcome); /* "clean"; static */

enum skip_why {
    SKIP_NONE,
    SKIP_NOT_STARTED,
    SKIP_START_FAILED,
    SKIP_WAS_DOWN,      /* between two starts of a restart */
    SKIP_OWN_ABANDONED, /* an earlier step of its own did not return */
    SKIP_DEADLINE,
    SKIP_SIGNAL, /* the third signal */
    /* of destroy: */
    SKIP_RUNS,        /* an operation of its own still runs */
    SKIP_STUCK,       /* its drain left work that still runs */
    SKIP_NOT_DRAINED, /* its drain never returned */
    SKIP_HELD,        /* somebody who needs it was not destroyed: held_by */
};

struct engine_step {
    enum outcome outcome;
    enum skip_why why;
    enum weir_status status;
    bool called;
    int64_t at;                  /* when it was called */
    int64_t used;                /* how long it took */
    int64_t done;                /* when its outcome was known */
    char text[ENGINE_TEXT_SIZE]; /* of its error */
};

enum wait_kind { WAIT_NONE, WAIT_PRE_DRAIN, WAIT_START, WAIT_PART };

struct engine_part {
    enum part_state state;
    enum op running; /* also when it was given up */
    enum destroy_state destroy;
    uint32_t held_by;
    struct engine_step steps[OP_COUNT]; /* of the present cycle */
    struct weir_work work;

    bool was_up;  /* its start returned ok, in this cycle */
    bool drained; /* its drain returned, in this cycle */
    bool stuck;
    bool failed; /* it said so */
    bool has_turn;
    int64_t up_at, turn, ended_at;
    int64_t until;   /* its drain is told */
    int64_t give_up; /* of quiesce and drain together */
    int64_t end;     /* latest end; NEVER before a stop */
    int64_t limit;   /* what the running operation was told last */
    int64_t timer;   /* NEVER: none */

    enum wait_kind waited_for;
    uint32_t waited_for_part;
    uint32_t dependants_left, dependants_kept; /* not ended; not destroyed. Without what base implies */
    uint32_t last_dependant;                   /* to end */
    int64_t last_dependant_at;

    int64_t *restarts; /* those within the policy's time, at most `most`; the oldest first */
    uint32_t restart_count, restart_total;
    char failure[ENGINE_TEXT_SIZE]; /* the first one of this restart */
};

enum cause_kind { CAUSE_NONE, CAUSE_SIGNAL, CAUSE_STOP, CAUSE_START, CAUSE_COMPONENT, CAUSE_HANDOVER };

struct engine_cause {
    enum cause_kind kind;
    uint32_t part;
    char text[ENGINE_TEXT_SIZE]; /* "SIGTERM", the reason, or the error */
};

struct engine_signal {
    int64_t at;
    char name[16];
};

enum event_kind {
    EVENT_RUN,
    EVENT_RETURNED,
    EVENT_FAILED,
    EVENT_STOP,
    EVENT_HANDOVER, /* a successor serves: a stop without announcement. Of use while RUNNING only */
    EVENT_SIGNAL,
    EVENT_TICK,
};

struct engine_event {
    enum event_kind kind;
    uint32_t part;                /* returned, failed */
    enum op op;                   /* returned */
    enum weir_status status;      /* returned */
    const struct weir_work *work; /* returned from drain or finish; NULL: nothing */
    const char *text;             /* the error, the reason, the signal's name; copied. NULL is "" */
};

enum action_kind {
    ACTION_ANNOUNCE, /* a stop has begun: readiness, the service manager */
    ACTION_LIMIT,    /* the running operation's limit moves earlier */
    ACTION_STACKS,   /* given up: say where it stands */
    ACTION_READY,
    ACTION_CALL,
    ACTION_EXIT,
};

struct engine_action {
    enum action_kind kind;
    uint32_t part;
    enum op op;
    int64_t limit;
    int status; /* exit */
    bool forced;
};

/* To be read by anybody, written by the engine alone. */
struct engine {
    const struct plan *plan;
    enum engine_phase phase;
    int64_t now;
    struct engine_part *parts;
    uint32_t up_count;
    bool was_ready;
    int64_t start_end; /* when the whole start is over; NEVER: no limit */

    struct engine_cause cause;
    int64_t t0;                      /* when the stop began */
    int64_t announce_until;          /* when the announcement is over */
    int64_t work_end;                /* when all is over; NEVER before a stop */
    uint32_t left_count;             /* not ended */
    uint32_t plain_left, plain_kept; /* not base, and not ended; not destroyed */
    uint32_t last_plain;
    int64_t last_plain_at;
    struct engine_signal signals[ENGINE_SIGNALS_MAX];
    uint32_t signal_count;
    int exit_status;
    bool forced;
    int64_t exited_at;

    struct engine_action *actions, *calls; /* of this event */
    uint32_t action_count, call_count;
    uint32_t odd_count; /* events that cannot be: a second return, an unknown component */
};

/* Borrows the plan, which has no errors. */
struct engine *engine_new(const struct plan *plan);
void engine_destroy(struct engine *engine); /* NULL is fine */

/* What is to be done now, in this order; valid until the next event. After ACTION_EXIT there is nothing more.
 */
const struct engine_action *engine_handle(struct engine *engine, const struct engine_event *event,
                                          int64_t now, uint32_t *ret_count);

/* When the engine wants a tick; NEVER: at no time. */
int64_t engine_next_timer(const struct engine *engine);

/* All are up and no stop has begun. */
bool engine_ready(const struct engine *engine);

/* Every quiesce, drain and finish was clean, or not due as its component never was up; nothing runs or is
 * stuck. */
bool engine_clean(const struct engine *engine);

/* Anything of it is running, or may be. */
bool engine_runs(const struct engine *engine, uint32_t part);

#endif
