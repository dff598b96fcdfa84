/* The page and its parts. All append to `out`. */
#ifndef REPORT_PAGE_H
#define REPORT_PAGE_H

#include <weir/bytes.h>

#include "view.h"

void page_write(const struct reports *reports, struct weir_buffer *out);

/* The Gantt chart with its axis, legend and marks. */
void chart_write(const struct view *view, struct weir_buffer *out);
/* Hatches that all charts share. */
void chart_write_patterns(struct weir_buffer *out);
/* The critical path as one bar and as a list. */
void path_write(const struct view *view, struct weir_buffer *out);

/* A table that scrolls where it is too wide. Columns whose name begins with '#' are numbers. */
void tables_begin(const char *caption, const char *const *columns, size_t count, struct weir_buffer *out);
void tables_end(struct weir_buffer *out);
void tables_write_steps(const struct view *view, struct weir_buffer *out);
void tables_write_work(const struct view *view, struct weir_buffer *out);
void tables_write_plan(const struct view *view, struct weir_buffer *out);

#endif
