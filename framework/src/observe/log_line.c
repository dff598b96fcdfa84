#include "observe/log_line.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weir/clock.h>

/* Longest escaped forms, so that time, service and message always fit, and one value does not push all others
 * out. */
#define NAME_MAX_BYTES 128
#define MESSAGE_MAX_BYTES 1024
#define VALUE_MAX_BYTES 2048
#define TAIL_MAX 16 /* ,"cut":true} and the newline */
#define REPLACEMENT 0xfffd

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const level_marks[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};
static const char *const level_colours[] = {"\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[31m"};

/* ---- Bounded appending ---- */

/* All or nothing; what does not fit marks the line. */
static void append(struct log_line *line, const char *text, size_t size)
{
    if (line->size + size > LOG_LINE_MAX - TAIL_MAX) {
        line->cut = true;
        return;
    }
    memcpy(line->text + line->size, text, size);
    line->size += size;
}

static void append_text(struct log_line *line, const char *text)
{
    append(line, text, strlen(text));
}

/* Into the room that is kept for it. */
static void append_tail(struct log_line *line, const char *text)
{
    memcpy(line->text + line->size, text, strlen(text));
    line->size += strlen(text);
}

/* ---- Escaping ---- */

/* The code point that begins at *next, which moves behind it; REPLACEMENT for a byte that begins none (RFC
 * 3629). */
static uint32_t decode(const unsigned char **next)
{
    static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    const unsigned char *at = *next;
    uint32_t point = *at++;
    *next = at;
    if (point < 0x80)
        return point;
    int more = point >= 0xc2 && point < 0xe0   ? 1
               : point >= 0xe0 && point < 0xf0 ? 2
               : point >= 0xf0 && point < 0xf5 ? 3
                                               : 0;
    if (more == 0)
        return REPLACEMENT;
    point &= 0x3fU >> more;
    for (int i = 0; i < more; i++, at++) {
        if ((*at & 0xc0) != 0x80)
            return REPLACEMENT;
        point = point << 6 | (*at & 0x3fU);
    }
    if (point < smallest[more] || (point >= 0xd800 && point < 0xe000) || point > 0x10ffff)
        return REPLACEMENT;
    *next = at;
    return point;
}

/* Would do something to a terminal or a reader rather than show something: C0, DEL, C1, line separators,
 * changes of the writing direction. */
static bool is_hostile(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || (point >= 0x2028 && point <= 0x202e) ||
           (point >= 0x2066 && point <= 0x2069) || point == REPLACEMENT;
}

/* How much of the text's begin stands for itself. */
static size_t plain_run(const unsigned char *text, size_t most)
{
    size_t size = 0;
    while (size < most && text[size] >= ' ' && text[size] < 0x7f && text[size] != '"' && text[size] != '\\')
        size++;
    return size;
}

static void append_escape(struct log_line *line, uint32_t point)
{
    char escape[8];
    if (point == '"' || point == '\\')
        snprintf(escape, sizeof escape, "\\%c", (char)point);
    else if (point == '\n')
        snprintf(escape, sizeof escape, "\\n");
    else if (point == '\t')
        snprintf(escape, sizeof escape, "\\t");
    else
        snprintf(escape, sizeof escape, "\\u%04x", (unsigned)point & 0xffff);
    append_text(line, escape);
}

/* At most about `most` bytes, then dots. */
static void append_escaped(struct log_line *line, const char *text, size_t most)
{
    const unsigned char *next = (const unsigned char *)text;
    size_t begin = line->size;
    while (*next && !line->cut) {
        size_t used = line->size - begin;
        if (used >= most) {
            append_text(line, "...");
            return;
        }
        const unsigned char *at = next;
        size_t plain = plain_run(at, most - used);
        if (plain > 0) {
            next += plain;
            append(line, (const char *)at, plain);
            continue;
        }
        uint32_t point = decode(&next);
        if (point == '"' || point == '\\' || is_hostile(point))
            append_escape(line, point);
        else
            append(line, (const char *)at, (size_t)(next - at));
    }
}

static void append_quoted(struct log_line *line, const char *text, size_t most)
{
    append_text(line, "\"");
    append_escaped(line, text, most);
    append_text(line, "\"");
}

/* ---- Values ---- */

static void append_double(struct log_line *line, double number)
{
    char text[32];
    if (!isfinite(number)) {
        append_text(line, "null");
        return;
    }
    snprintf(text, sizeof text, "%.15g", number);
    if (strtod(text, NULL) != number)
        snprintf(text, sizeof text, "%.17g", number);
    append_text(line, text);
}

/* The text of a field that is text, NULL of others. */
static const char *text_of(const struct weir_log_field *field, char ret_trace[33])
{
    if (field->type == WEIR_LOG_TEXT)
        return field->as.text;
    if (field->type != WEIR_LOG_CONTEXT || !field->as.context)
        return NULL;
    const char *traceparent = weir_context_traceparent(field->as.context);
    if (strlen(traceparent) < 35)
        return NULL;
    memcpy(ret_trace, traceparent + 3, 32);
    ret_trace[32] = 0;
    return ret_trace;
}

static bool is_plain(const char *text)
{
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f || *c == '"' || *c == '=' || *c == '\\')
            return false;
    return *text != 0;
}

static void append_value(struct log_line *line, const struct weir_log_field *field, bool json)
{
    char number[32], trace[33];
    const char *text = text_of(field, trace);
    if (text && !json && is_plain(text)) {
        append_escaped(line, text, VALUE_MAX_BYTES);
    } else if (text) {
        append_quoted(line, text, VALUE_MAX_BYTES);
    } else if (field->type == WEIR_LOG_INT) {
        snprintf(number, sizeof number, "%lld", (long long)field->as.integer);
        append_text(line, number);
    } else if (field->type == WEIR_LOG_BOOL) {
        append_text(line, field->as.integer ? "true" : "false");
    } else if (field->type == WEIR_LOG_DOUBLE) {
        append_double(line, field->as.number);
    } else {
        append_text(line, "null");
    }
}

/* Work that nobody traces has no field "trace". */
static bool is_shown(const struct weir_log_field *field)
{
    char trace[33];
    return field->name && (field->type != WEIR_LOG_CONTEXT || text_of(field, trace));
}

/* ---- Lines ---- */

/* Digits with leading zeros. */
static void put_digits(char *text, int64_t number, int count)
{
    while (count-- > 0) {
        text[count] = (char)('0' + number % 10);
        number /= 10;
    }
}

/* RFC 3339 in UTC: with milliseconds to read, with microseconds to sort. */
static void append_time(struct log_line *line, int64_t unix_ns, bool micros)
{
    /* The calendar is the dearest part of a line, and most lines share a second with the one before. */
    static _Thread_local int64_t known_second = -1;
    static _Thread_local char known_text[] = "0000-00-00T00:00:00.";
    int64_t second = unix_ns / WEIR_NS_PER_S;
    if (second != known_second) {
        time_t seconds = (time_t)second;
        struct tm utc;
        gmtime_r(&seconds, &utc);
        put_digits(known_text, utc.tm_year + 1900, 4);
        put_digits(known_text + 5, utc.tm_mon + 1, 2);
        put_digits(known_text + 8, utc.tm_mday, 2);
        put_digits(known_text + 11, utc.tm_hour, 2);
        put_digits(known_text + 14, utc.tm_min, 2);
        put_digits(known_text + 17, utc.tm_sec, 2);
        known_second = second;
    }
    append(line, known_text, sizeof known_text - 1);
    char fraction[] = "000000Z";
    put_digits(fraction, unix_ns % WEIR_NS_PER_S / 1000, 6);
    if (!micros)
        fraction[3] = 'Z';
    append(line, fraction, micros ? 7 : 4);
}

static void append_field(struct log_line *line, enum log_style style, const struct weir_log_field *field)
{
    if (style == LOG_STYLE_JSON) {
        append_text(line, ",");
        append_quoted(line, field->name, NAME_MAX_BYTES);
        append_text(line, ":");
    } else {
        append_text(line, style == LOG_STYLE_COLOUR ? " \x1b[2m" : " ");
        append_escaped(line, field->name, NAME_MAX_BYTES);
        append_text(line, style == LOG_STYLE_COLOUR ? "=\x1b[0m" : "=");
    }
    append_value(line, field, style == LOG_STYLE_JSON);
}

/* Each whole, as many as fit. */
static void append_fields(struct log_line *line, enum log_style style, const struct log_record *record)
{
    for (size_t i = 0; i < record->field_count && !line->cut; i++) {
        size_t before = line->size;
        if (is_shown(&record->fields[i]))
            append_field(line, style, &record->fields[i]);
        if (line->cut)
            line->size = before;
    }
}

static void render_json(struct log_line *line, const struct log_record *record)
{
    append_text(line, "{\"time\":\"");
    append_time(line, record->unix_ns, true);
    append_text(line, "\",\"level\":\"");
    append_text(line, level_names[record->level]);
    append_text(line, "\"");
    if (record->service) {
        append_text(line, ",\"service\":");
        append_quoted(line, record->service, NAME_MAX_BYTES);
    }
    append_text(line, ",\"message\":");
    append_quoted(line, record->message, MESSAGE_MAX_BYTES);
    append_fields(line, LOG_STYLE_JSON, record);
    append_tail(line, line->cut ? ",\"cut\":true}\n" : "}\n");
}

static void render_text(struct log_line *line, enum log_style style, const struct log_record *record)
{
    append_time(line, record->unix_ns, false);
    append_text(line, " ");
    if (style == LOG_STYLE_COLOUR)
        append_text(line, level_colours[record->level]);
    append_text(line, level_marks[record->level]);
    append_text(line, style == LOG_STYLE_COLOUR ? "\x1b[0m " : " ");
    append_escaped(line, record->message, MESSAGE_MAX_BYTES);
    append_fields(line, style, record);
    append_tail(line, line->cut ? " ...\n" : "\n");
}

void log_line_render(struct log_line *ret_line, enum log_style style, const struct log_record *record)
{
    ret_line->size = 0;
    ret_line->cut = false;
    struct log_record safe = *record;
    if (safe.field_count > LOG_FIELDS_MAX)
        safe.field_count = LOG_FIELDS_MAX;
    if ((unsigned)safe.level > WEIR_LOG_ERROR)
        safe.level = WEIR_LOG_ERROR;
    if (!safe.message)
        safe.message = "";
    if (style == LOG_STYLE_JSON)
        render_json(ret_line, &safe);
    else
        render_text(ret_line, style, &safe);
}
