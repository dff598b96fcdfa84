/* The app from the inside: for what puts one together (edge/app.c) and for the lifecycle's own files.
 *
 * States: BUILDING (components are added) -> RUNNING (weir_app_run()) -> gone. */
#ifndef WEIR_LIFECYCLE_APP_H
#define WEIR_LIFECYCLE_APP_H

#include <stdatomic.h>

#include <weir/app.h>

#include "core/config.h"
#include "lifecycle/component.h"
#include "lifecycle/engine.h"
#include "lifecycle/handover.h"
#include "lifecycle/inbox.h"
#include "lifecycle/process.h"
#include "lifecycle/runner.h"
#include "lifecycle/watchdog.h"

/* The section "app". */
struct app_options {
    int64_t deadline_ms, pre_drain_ms, report_ms, destroy_max_ms, start_total_ms;
    int report;              /* enum app_report */
    const char *report_file; /* NULL: none */
    const char *control;     /* a socket's path; NULL: no upgrades */
    int64_t upgrade_timeout_ms;
};
enum app_report { APP_REPORT_TEXT, APP_REPORT_JSON, APP_REPORT_NONE };

struct app_part {
    struct weir_component *component; /* may be gone once it was destroyed */
    struct weir_component *owned;     /* made by weir_component_add(); freed with the app */
    char *name;
    const struct weir_component_ops *ops;
    component_migrate_fn *migrate; /* NULL: has nothing to migrate */
    void *self;
    struct weir_component_options options;
    const void **needs;
    size_t need_count;
    struct message failed;    /* its place in the inbox */
    _Atomic int64_t start_ms; /* what its last start took */
};

struct late {
    struct weir_component component; /* first: a handle */
    struct late *next;
};

struct weir_app {
    char *name;
    struct config *config;
    struct app_options options;
    int64_t platform_grace_ms;
    struct app_part **parts; /* each on its own: other threads hold their messages */
    uint32_t count;
    char **mistakes;
    size_t mistake_count;
    struct weir_component *executor_component;
    struct executor *executor;
    bool running;
    atomic_int outages;        /* that any component has had */
    struct late *_Atomic late; /* handles of components that were added while it ran */

    struct inbox inbox;
    struct message stop; /* its place in the inbox */
    atomic_bool ready;
    _Atomic int64_t stop_begun_ns; /* 0: no stop has begun */
    _Atomic uint32_t stop_open;    /* components that have not ended in it */
    char *last_report;             /* what report_file had; NULL: nothing */
    struct handover *handover;
    const char *no_upgrade; /* why there can be none; NULL: it can */

    /* While it runs: */
    struct plan *plan;
    struct engine *engine;
    struct runner *runner;
    struct watchdog watchdog;
    struct signal_filter signals;
    bool reload_asked; /* SIGHUP */
    int64_t base_ns;   /* the engine's 0 */
    int64_t next_progress_ns;
    int64_t state_asked, next_state_ns;  /* SIGUSR1: how often since the last answer; none before */
    int64_t ping_every_ns, next_ping_ns; /* the service manager's watchdog; 0: none */
    /* The test kit's; NULL: none. Before each call, in the order of the calls, on the lifecycle's thread. */
    void (*called)(const struct weir_app *app, uint32_t part, enum op op);
};

/* Blocks signals, reads configuration and command line, declares the sections `app`, `platform` and `log`.
 * Never NULL. */
struct weir_app *app_create(const char *name, int argc, char **argv);
void app_set_executor(struct weir_app *app, struct executor *executor, struct weir_component *component);
/* Nothing runs. Frees all but what components destroy themselves. */
void app_free(struct weir_app *app);

/* From the components as they were added; adds a mistake for each need that is none. Caller destroys. */
struct plan *app_plan(struct weir_app *app);

/* The modes that end the process themselves, and all that is wrong. True when there is nothing to run; then
 * `ret_status` is the exit status. app_modes.c */
bool app_only_says(struct weir_app *app, int *ret_status);

/* --migrate. Returns the exit status; of a dry run APP_MIGRATIONS_DUE when there are some. app_migrate.c */
#define APP_MIGRATIONS_DUE 2
int app_migrate(struct weir_app *app, bool dry);

/* Once everything is up. app_reload.c */
void app_reload_if_asked(struct weir_app *app);

/* When the stop began: milliseconds since 1970. app_run.c */
int64_t app_stop_unix_ms(const struct weir_app *app);

/* What a handover means for the rest. app_upgrade.c */
bool app_cannot_upgrade(struct weir_app *app, int *ret_status); /* the control socket cannot be had: said */
void app_upgrade_ready(struct weir_app *app);                   /* everything is up: tells who waits for it */
void app_upgrade_stopping(struct weir_app *app);
/* True when a successor has taken over, and the stop for `ret_text` is due. */
bool app_upgrade_hear(struct weir_app *app, const char **ret_text);
void app_upgrade_keep_report(struct weir_app *app);

/* ---- Running it: for weir_app_run() and the test kit ---- */

/* Plans it. False when there is nothing to run: then the app is gone, and `ret_status` is the exit status. */
bool app_begin(struct weir_app *app, int *ret_status);
/* Starts everything, serves, and stops everything. `signals` is read as a signalfd(2). */
void app_serve(struct weir_app *app, int signals);
/* To standard error and to the file, as configured. */
void app_report(struct weir_app *app);
/* Nothing runs any more: frees the app and all that running it made. */
void app_end(struct weir_app *app);

/* Destroys what was added and never started, in stop order. */
void app_destroy_parts(struct weir_app *app);

#endif
