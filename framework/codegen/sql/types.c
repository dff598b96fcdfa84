/* The portable types, and where a mistake is. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "sqlgen.h"

size_t line_of(const struct source *source, size_t offset)
{
    size_t line = 1;
    for (size_t i = 0; i < offset && i < source->size; i++)
        line += source->text[i] == '\n';
    return line;
}

void report_add(struct report *report, const struct source *source, size_t offset, const char *subject,
                const char *format, ...)
{
    size_t column = 1;
    for (size_t i = offset; i > 0 && source->text[i - 1] != '\n'; i--)
        column++;
    weir_buffer_printf(&report->text, "%s:%zu:%zu: ", source->path, line_of(source, offset), column);
    if (subject)
        weir_buffer_printf(&report->text, "%s: ", subject);
    va_list args;
    va_start(args, format);
    weir_buffer_vprintf(&report->text, format, args);
    va_end(args);
    weir_buffer_append_byte(&report->text, '\n');
    report->count++;
}

static const char *const names[] = {
    [TYPE_UNKNOWN] = "unknown",         [TYPE_BIGINT] = "BIGINT", [TYPE_BOOLEAN] = "BOOLEAN",
    [TYPE_DOUBLE] = "DOUBLE PRECISION", [TYPE_TEXT] = "TEXT",     [TYPE_BYTEA] = "BYTEA",
};

const char *type_name(enum type type)
{
    return names[type];
}

/* Case and the number of spaces do not matter. */
static bool same_words(struct weir_bytes text, const char *words)
{
    const char *at = (const char *)text.data, *end = at + text.size;
    for (; *words; words++) {
        if (*words == ' ') {
            if (at == end || !isspace((unsigned char)*at))
                return false;
            while (at < end && isspace((unsigned char)*at))
                at++;
        } else if (at == end || toupper((unsigned char)*at++) != *words) {
            return false;
        }
    }
    return at == end;
}

enum type type_of_declaration(struct weir_bytes declared)
{
    for (enum type type = TYPE_BIGINT; type <= TYPE_BYTEA; type++)
        if (same_words(declared, names[type]))
            return type;
    return TYPE_UNKNOWN;
}

const char *type_advice(const char *declared)
{
    static const struct {
        const char *prefix, *advice;
    } advices[] = {
        {"INT", "it has 32 bits in PostgreSQL and 64 in SQLite: declare BIGINT"},
        {"SMALLINT", "declare BIGINT"},
        {"BIGSERIAL", "make the key yourself: weir_id_new() and TEXT"},
        {"SERIAL", "make the key yourself: weir_id_new() and TEXT"},
        {"BOOL", "declare BOOLEAN"},
        {"VARCHAR", "declare TEXT, with CHECK (length(column) <= ...) where it matters"},
        {"CHAR", "declare TEXT"},
        {"CLOB", "declare TEXT"},
        {"JSON", "declare TEXT"},
        {"UUID", "declare TEXT"},
        {"BLOB", "declare BYTEA"},
        {"REAL", "declare DOUBLE PRECISION"},
        {"FLOAT", "declare DOUBLE PRECISION"},
        {"DOUBLE", "declare DOUBLE PRECISION"},
        {"NUMERIC", "declare BIGINT, in the smallest unit: cents"},
        {"DECIMAL", "declare BIGINT, in the smallest unit: cents"},
        {"TIMESTAMP", "declare BIGINT: milliseconds since 1970"},
        {"DATE", "declare BIGINT: milliseconds since 1970"},
        {"TIME", "declare BIGINT: milliseconds"},
    };
    for (size_t i = 0; i < sizeof advices / sizeof advices[0]; i++)
        if (strncasecmp(declared, advices[i].prefix, strlen(advices[i].prefix)) == 0)
            return advices[i].advice;
    return "declare BIGINT, BOOLEAN, DOUBLE PRECISION, TEXT or BYTEA";
}
