/* The log from the inside: for the app, which configures, starts and stops it. See <weir/log.h>. Any thread.
 */
#ifndef WEIR_OBSERVE_LOG_H
#define WEIR_OBSERVE_LOG_H

#include <stdint.h>

#include <weir/config.h>
#include <weir/log.h>

enum log_format { LOG_AUTO, LOG_TEXT, LOG_JSON };

/* The section "log" of the configuration. */
struct log_options {
    int level;  /* enum weir_log_level */
    int format; /* enum log_format. LOG_AUTO: text for a terminal, else JSON lines */
};
extern const struct weir_config_key log_config_keys[];

/* Until it is called: info, auto. */
void log_configure(const struct log_options *options);

/* From now on lines go through the ring and a thread of its own. Before it, and after log_stop(), a line is
 * written by the thread that logs it. Copies `service`, which is in each JSON line; NULL: none. */
void log_start(const char *service);

/* Writes what is in the ring, for at most `within_ms` while nobody reads it, and ends the thread. Does
 * nothing when not started. Called at exit() too. */
void log_stop(int64_t within_ms);

/* Lines lost because nobody read fast enough, since the process began. */
int64_t log_dropped(void);

/* For tests: lines go there instead of to standard error. Before log_start(). */
void log_set_descriptor(int descriptor);

#endif
