/* One line of the log as text: escaped, bounded, always well-formed, however hostile the values are. */
#ifndef WEIR_OBSERVE_LOG_LINE_H
#define WEIR_OBSERVE_LOG_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/log.h>

/* A pipe takes a write of 4,096 bytes whole (PIPE_BUF): lines of several processes do not mix. */
#define LOG_LINE_MAX 4096
#define LOG_FIELDS_MAX 16

enum log_style { LOG_STYLE_JSON = 1, LOG_STYLE_TEXT, LOG_STYLE_COLOUR };

struct log_line {
    char text[LOG_LINE_MAX]; /* ends with a newline; not terminated */
    size_t size;
    bool cut; /* something did not fit */
};

struct log_record {
    int64_t unix_ns;
    enum weir_log_level level;
    const char *service; /* NULL: none */
    const char *message;
    const struct weir_log_field *fields;
    size_t field_count;
};

void log_line_render(struct log_line *ret_line, enum log_style style, const struct log_record *record);

#endif
