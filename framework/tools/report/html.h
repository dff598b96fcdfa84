/* HTML by format: everything that is put in by %s is escaped, so no name of a report can become markup. */
#ifndef REPORT_HTML_H
#define REPORT_HTML_H

#include <stdint.h>

#include <weir/bytes.h>

/* Knows %s (escaped; NULL is empty), %d, %zu, %lld, %.Nf and %%. The format itself is markup. */
void html(struct weir_buffer *out, const char *format, ...) WEIR_PRINTF(2, 3);
void html_text(struct weir_buffer *out, const char *text);

/* "15.75 s", "431 ms", "0"; static per slot: up to 8 at once. */
const char *time_text(int64_t ms);
/* "15.750" */
const char *seconds_text(int64_t ms);

#endif
