/* Path templates of google.api.http: "/v1/books/{book}:read" (the grammar stands in that
 * contract's comments). */
#ifndef CODEGEN_TEMPLATE_H
#define CODEGEN_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/arena.h>
#include <weir/error.h>

/* What the REST server takes. */
#define TEMPLATE_SEGMENTS_MAX 32
#define TEMPLATE_VARIABLES_MAX 8

enum segment_kind {
    SEGMENT_LITERAL,
    SEGMENT_ONE, /* "*": one segment, whatever it is */
    SEGMENT_REST /* "**": what is left, perhaps nothing; the last segment */
};

struct segment {
    enum segment_kind kind;
    const char *literal;
};

struct template
{
    struct segment *segments;
    size_t segment_count;
    const char **variables; /* field paths: "item.sku" */
    size_t variable_count;
    const char *verb; /* "read"; "" none */
};

/* Everything lives in the arena. INVALID_ARGUMENT says what is wrong, and where. */
enum weir_status template_parse(struct weir_arena *arena, const char *path, struct template *ret_template,
                                struct weir_error *err);

/* Some path matches both. The verb behind the colon is taken off before anything is matched. */
bool template_overlap(const struct template *left, const struct template *right);

#endif
