/* Pieces of text that the plan and the report share. */
#ifndef WEIR_LIFECYCLE_TEXT_H
#define WEIR_LIFECYCLE_TEXT_H

#include <stdint.h>

#include <weir/bytes.h>

/* A JSON string with its quotes, always valid: what is no UTF-8 becomes U+FFFD. NULL is null. */
void text_json(struct weir_buffer *out, const char *text);

/* "5.431" */
struct seconds {
    char text[32];
};
struct seconds text_seconds(int64_t ms);

/* Columns: cells are appended row by row; the first column is set left, the others right, as wide as they
 * need. A row may end with a note, which is behind all columns and does not widen them. */
#define TABLE_COLUMNS_MAX 16
struct table {
    char **cells; /* rows x columns */
    char **notes;
    uint32_t columns, rows;
    uint32_t left; /* bits: columns that are set left */
};
void table_begin(struct table *table, uint32_t columns, uint32_t left);
/* Copies; missing cells are "-". */
void table_row(struct table *table, const char *const *cells, const char *note);
/* Writes and frees. */
void table_end(struct table *table, struct weir_buffer *out);

#endif
