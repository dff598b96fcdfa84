/* Ends the process when a stop does not: the last resort behind the engine, on a thread of its own. */
#ifndef WEIR_LIFECYCLE_WATCHDOG_H
#define WEIR_LIFECYCLE_WATCHDOG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct runner;

struct watchdog {
    pthread_t thread;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    int64_t deadline_ns;
    bool ended;
    struct runner *runner;
};

/* Sleeps until it is armed. `runner` says what still runs. */
void watchdog_init(struct watchdog *watchdog, struct runner *runner);
/* At `deadline_ns` says what runs and calls _exit(75), unless it was cleaned up by then. Does nothing to one that was
 * not made: the test kit has none. */
void watchdog_arm(struct watchdog *watchdog, int64_t deadline_ns);
void watchdog_clean_up(struct watchdog *watchdog);
/* Before weir_app_run() returns: from the moment when exit() is called it has until the deadline, and 5 s at least.
 * Runs on: main thread. */
void watchdog_watch_exit(const struct watchdog *watchdog);

#endif
