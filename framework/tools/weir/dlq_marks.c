#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "dlq.h"

#define PREFIX "resolved "

/* A number from 0 on; false: there is none. */
static bool read_number(const char **at, int64_t *ret_number)
{
    char *end;
    if (**at < '0' || **at > '9')
        return false;
    errno = 0;
    *ret_number = strtoll(*at, &end, 10);
    *at = end;
    return errno == 0;
}

static void append(struct marks *marks, struct marks_range range)
{
    marks->ranges = memory_realloc(marks->ranges, (marks->count + 1) * sizeof *marks->ranges);
    marks->ranges[marks->count++] = range;
}

bool marks_read(struct marks *ret_marks, int64_t base, const char *text)
{
    *ret_marks = (struct marks){.base = base > 0 ? base : 0};
    if (!text[0])
        return true;
    if (strncmp(text, PREFIX, strlen(PREFIX)) != 0)
        return false;
    const char *at = text + strlen(PREFIX);
    int64_t least = ret_marks->base;
    do {
        struct marks_range range;
        if (!read_number(&at, &range.first))
            return false;
        range.last = range.first;
        if (*at == '-' && (at++, !read_number(&at, &range.last)))
            return false;
        if (range.first < least || range.last < range.first || range.last == INT64_MAX)
            return false;
        least = range.last + 1;
        append(ret_marks, range);
    } while (*at == ',' && at++);
    return *at == 0;
}

bool marks_has(const struct marks *marks, int64_t offset)
{
    if (offset < marks->base)
        return true;
    for (size_t i = 0; i < marks->count; i++)
        if (offset >= marks->ranges[i].first && offset <= marks->ranges[i].last)
            return true;
    return false;
}

void marks_add(struct marks *marks, int64_t offset)
{
    if (marks_has(marks, offset))
        return;
    size_t at = 0;
    while (at < marks->count && marks->ranges[at].last + 1 < offset)
        at++;
    bool extends = at < marks->count && marks->ranges[at].last + 1 == offset;
    bool before_next = at < marks->count && marks->ranges[at].first == offset + 1;
    if (extends) {
        marks->ranges[at].last = offset;
        if (at + 1 < marks->count && marks->ranges[at + 1].first == offset + 1) {
            marks->ranges[at].last = marks->ranges[at + 1].last;
            memmove(&marks->ranges[at + 1], &marks->ranges[at + 2],
                    (marks->count - at - 2) * sizeof *marks->ranges);
            marks->count--;
        }
    } else if (before_next) {
        marks->ranges[at].first = offset;
    } else {
        append(marks, (struct marks_range){offset, offset});
        memmove(&marks->ranges[at + 1], &marks->ranges[at], (marks->count - 1 - at) * sizeof *marks->ranges);
        marks->ranges[at] = (struct marks_range){offset, offset};
    }
}

void marks_advance(struct marks *marks, int64_t offset)
{
    if (offset <= marks->base)
        return;
    marks->base = offset;
    size_t below = 0;
    while (below < marks->count && marks->ranges[below].last < offset)
        below++;
    memmove(marks->ranges, marks->ranges + below, (marks->count - below) * sizeof *marks->ranges);
    marks->count -= below;
    if (marks->count > 0 && marks->ranges[0].first < offset)
        marks->ranges[0].first = offset;
}

void marks_write(const struct marks *marks, struct weir_buffer *ret_text)
{
    for (size_t i = 0; i < marks->count; i++) {
        weir_buffer_append_text(ret_text, i == 0 ? PREFIX : ",");
        weir_buffer_printf(ret_text, "%" PRId64, marks->ranges[i].first);
        if (marks->ranges[i].last > marks->ranges[i].first)
            weir_buffer_printf(ret_text, "-%" PRId64, marks->ranges[i].last);
    }
}

void marks_clean_up(struct marks *marks)
{
    free(marks->ranges);
    *marks = (struct marks){0};
}
