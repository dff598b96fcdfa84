/* What a stop cost, from the engine that has exited: for people and for programs. Times are from the stop's
 * begin. */
#ifndef WEIR_LIFECYCLE_REPORT_H
#define WEIR_LIFECYCLE_REPORT_H

#include <weir/bytes.h>

#include "lifecycle/engine.h"

/* Seconds, one line for each component in the order of their turns. */
void report_text(const struct engine *engine, const char *app_name, struct weir_buffer *out);
/* One document, in ms; its shape is in docs/lifecycle.md. */
void report_json(const struct engine *engine, const char *app_name, struct weir_buffer *out);
/* The same, and when the stop began: milliseconds since 1970; 0: unknown. */
void report_json_begun(const struct engine *engine, const char *app_name, int64_t unix_ms,
                       struct weir_buffer *out);

/* Components in the order of their turns; those that had none last. Caller frees. */
uint32_t *report_order(const struct engine *engine);

/* One line while a stop waits: what is open, and for whom the others wait. */
void report_progress(const struct engine *engine, int64_t now, struct weir_buffer *out);

/* What each component does now, since when, until when at most, and for whom it waits. */
void report_state(const struct engine *engine, const char *app_name, int64_t now, struct weir_buffer *out);

#endif
