/* A path template of google.api.http, taken apart:
 *
 *     "/v1/{name=shelves/ *}/books/{book}:print"  (without the space)
 *
 * Template = "/" Segments [":" LITERAL]; Segment = "*" | "**" | LITERAL | "{" field ["=" Segments] "}". `**`
 * matches any number of segments, none too, and comes last. */
#ifndef WEIR_REST_TEMPLATE_H
#define WEIR_REST_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/bytes.h>
#include <weir/error.h>

#define TEMPLATE_SEGMENTS_MAX 32
#define TEMPLATE_VARIABLES_MAX 8

enum segment_kind { SEGMENT_LITERAL, SEGMENT_ONE, SEGMENT_MANY };

struct template_segment {
    enum segment_kind kind;
    struct weir_bytes literal;
};

struct template_variable {
    char *field;     /* "item.sku" */
    size_t from, to; /* its segments; to is behind the last */
    bool many;       /* may span segments: then "%2F" in it stays as it is */
};

struct path_template {
    char *text; /* what the literals point into */
    struct template_segment segments[TEMPLATE_SEGMENTS_MAX];
    size_t segment_count;
    struct template_variable variables[TEMPLATE_VARIABLES_MAX];
    size_t variable_count;
    struct weir_bytes verb; /* without the colon; empty */
};

enum weir_status template_parse(const char *text, struct path_template *ret_template, struct weir_error *err);
void template_clean_up(struct path_template *parsed);

#endif
