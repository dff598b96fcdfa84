/* The plan: in which order components start and stop, and the window in which each has its turn. Pure: no
 * clock, no threads; the same input gives the same plan. Times are milliseconds; those of a stop count from
 * its begin.
 *
 * Where A needs B, B's turn to stop comes when A has ended. Each component's reserve (to cut its work, and to
 * finish) is kept free at the end of the stop by one pass backwards over the graph; drains live from what is
 * left. */
#ifndef WEIR_LIFECYCLE_PLAN_H
#define WEIR_LIFECYCLE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/bytes.h>

enum op { OP_START, OP_QUIESCE, OP_DRAIN, OP_FINISH, OP_DESTROY, OP_NONE };
#define OP_COUNT OP_NONE

const char *op_name(enum op op); /* "start"; static */

#define PLAN_NONE UINT32_MAX
#define PLAN_MS_MAX INT64_C(10000000000) /* 115 days: no sum of such numbers overflows */
#define PLAN_RESTARTS_MAX 1000
#define PLAN_CUT_MIN_DEFAULT_MS 250
#define PLAN_CUT_MIN_FLOOR_MS 10 /* without it one whose turn comes last is given up as it is called */

struct plan_restart {
    int64_t most, within_ms, first_backoff_ms, longest_backoff_ms;
};

/* What an author says of a component. Zero is the default. */
struct plan_input {
    const char *name;
    const uint32_t *needs; /* indexes of inputs */
    size_t need_count;
    bool has[OP_COUNT]; /* the operations that it has */
    int64_t cut_min_ms, finish_min_ms, drain_max_ms, start_timeout_ms;
    bool ingress, announcer, base;
    struct plan_restart restart;
};

struct plan_options {
    int64_t deadline_ms;       /* from the begin of a stop to the end of the process */
    int64_t pre_drain_ms;      /* the announcement, when the app was ready */
    int64_t report_ms;         /* kept for the report: work ends at deadline - report */
    int64_t destroy_max_ms;    /* limit of one destroy */
    int64_t platform_grace_ms; /* after which the platform kills; 0: unknown */
    int64_t start_total_ms;    /* what the platform allows for the whole start; 0: unknown */
};
struct plan_options plan_defaults(void);

/* A component in the plan, with every default filled in. */
struct plan_part {
    char *name;
    uint32_t *needs, *dependants; /* without those that base implies; each once */
    uint32_t need_count, dependant_count;
    bool has[OP_COUNT];
    bool ingress, announcer, base;
    int64_t cut_min, finish_min, start_timeout;
    int64_t drain_max; /* -1: none */
    struct plan_restart restart;

    uint32_t rank;       /* its place in plan->order */
    int64_t reserve;     /* cut_min + finish_min */
    int64_t tail;        /* the longest chain of reserves strictly behind it */
    uint32_t tail_next;  /* the dependency that the chain follows; PLAN_NONE at its end */
    int64_t end;         /* latest end */
    int64_t turn_latest; /* latest begin of its turn, by which its drain is told to cut */
    int64_t turn_first;
};

struct plan {
    struct plan_options options;
    int64_t work; /* when all work has ended: deadline - report */
    struct plan_part *parts;
    uint32_t count, base_count;
    uint32_t *order;    /* to start in; stops go backwards */
    uint32_t longest;   /* the head of the longest chain; PLAN_NONE without components */
    int64_t longest_ms; /* with announcement and report */

    char **errors, **warnings;
    size_t error_count, warning_count;
};

/* Never NULL; with errors the order and the windows are not to be used. Copies. */
struct plan *plan_new(const struct plan_options *options, const struct plan_input *inputs, size_t count);
void plan_destroy(struct plan *plan); /* NULL is fine */

/* `part` needs `on`, also where base implies it. */
bool plan_needs(const struct plan *plan, uint32_t part, uint32_t on);

/* What --plan prints. */
void plan_text(const struct plan *plan, const char *app_name, struct weir_buffer *out);
void plan_json(const struct plan *plan, const char *app_name, struct weir_buffer *out);
void plan_dot(const struct plan *plan, const char *app_name, struct weir_buffer *out);
/* A pod's values that fit the plan. `admin_listen`: where health is served; NULL: nowhere. */
void plan_kubernetes(const struct plan *plan, const char *app_name, const char *admin_listen,
                     struct weir_buffer *out);
/* A drop-in for the service's unit that fits the plan. */
void plan_systemd(const struct plan *plan, const char *app_name, struct weir_buffer *out);

#endif
