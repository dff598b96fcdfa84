/* A strict JSON tokenizer (RFC 8259) over bytes in memory: no tree, nothing is copied except strings with
 * escapes.
 *
 * Functions that return bool set `fault` and `fault_at` when they return false. */
#ifndef WEIR_CODEC_JSON_SCAN_H
#define WEIR_CODEC_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/bytes.h>

enum json_kind {
    JSON_OBJECT,
    JSON_ARRAY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
    JSON_NOTHING, /* the end, or a byte with which no value begins */
};

struct json_scan {
    const uint8_t *begin, *at, *end;
    const char *fault; /* what is wrong at fault_at */
    const uint8_t *fault_at;
    bool too_deep; /* the fault is the nesting */
    struct weir_buffer unescaped;
};

void json_scan_init(struct json_scan *scan, struct weir_bytes json);
void json_scan_clean_up(struct json_scan *scan);

static inline void json_pass_space(struct json_scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
}

/* What begins at `at`, behind white space. Moves there. */
static inline enum json_kind json_peek(struct json_scan *scan)
{
    json_pass_space(scan);
    if (scan->at == scan->end)
        return JSON_NOTHING;
    switch (*scan->at) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    case '-':
        return JSON_NUMBER;
    default:
        return *scan->at >= '0' && *scan->at <= '9' ? JSON_NUMBER : JSON_NOTHING;
    }
}

/* The string at `at`, decoded: UTF-8, may hold NUL. Valid until the next one. */
bool json_string(struct json_scan *scan, struct weir_bytes *ret_text);
/* The number at `at`, as written. */
bool json_number(struct json_scan *scan, struct weir_bytes *ret_text);
/* true, false, null. */
bool json_literal(struct json_scan *scan);

/* White space, then this byte; says "expected ',' or '}'" and the like by `what` otherwise. */
bool json_expect(struct json_scan *scan, char byte, const char *what);
/* White space, then whether this byte follows; moves behind it if so. */
static inline bool json_take(struct json_scan *scan, char byte)
{
    json_pass_space(scan);
    if (scan->at == scan->end || *scan->at != (uint8_t)byte)
        return false;
    scan->at++;
    return true;
}

/* Passes over one value, checking all of it. */
bool json_skip(struct json_scan *scan, size_t depth);

/* Nothing but white space is left. */
bool json_finished(struct json_scan *scan);

/* From 1; columns count characters. */
void json_position(const struct json_scan *scan, const uint8_t *at, size_t *ret_line, size_t *ret_column);

#endif
