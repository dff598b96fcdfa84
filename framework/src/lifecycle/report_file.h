/* The last report, kept for the next start. While the service runs the file says so; a process that was killed
 * leaves it like that. */
#ifndef WEIR_LIFECYCLE_REPORT_FILE_H
#define WEIR_LIFECYCLE_REPORT_FILE_H

#include "lifecycle/engine.h"

/* Logs a warning when the last run did not exit with 0, or left no report; moves what is there to PATH.last. A file
 * that cannot be written is a warning, too: nobody is refused a service for it. Returns what was there; NULL: nothing.
 * Caller frees. */
char *report_file_begin(const char *path, const char *app_name);
/* The process before this one hands over and will write PATH.last: only says who runs. */
void report_file_take_over(const char *path, const char *app_name);
/* Replaces it as a whole. `unix_ms`: when the stop began. Says on standard error when it cannot: the log has
 * ended by then. */
void report_file_write(const char *path, const struct engine *engine, const char *app_name, int64_t unix_ms);

#endif
