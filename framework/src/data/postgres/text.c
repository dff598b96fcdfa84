#include "data/postgres/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <weir/bytes.h>

#include "core/memory.h"

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

/* Behind the closing quote; the end where there is none. Two are one within. */
static const char *after_quoted(const char *at, char quote, bool backslashes)
{
    for (at++; *at; at++) {
        if (backslashes && *at == '\\' && at[1])
            at++;
        else if (*at == quote && at[1] == quote)
            at++;
        else if (*at == quote)
            return at + 1;
    }
    return at;
}

/* C's, but they nest. */
static const char *after_comment(const char *at)
{
    int depth = 0;
    do {
        if (at[0] == '/' && at[1] == '*') {
            depth++;
            at++;
        } else if (at[0] == '*' && at[1] == '/') {
            depth--;
            at++;
        }
        at++;
    } while (*at && depth > 0);
    return at;
}

/* $$...$$ and $tag$...$tag$; `at` itself when this is none. */
static const char *after_dollar_quoted(const char *at)
{
    const char *tag_end = at + 1;
    while (isalnum((unsigned char)*tag_end) || *tag_end == '_')
        tag_end++;
    if (*tag_end != '$' || isdigit((unsigned char)at[1]))
        return at;
    size_t size = (size_t)(tag_end - at) + 1;
    for (const char *end = tag_end + 1; (end = strchr(end, '$')); end++)
        if (strncmp(end, at, size) == 0)
            return end + size;
    return at + strlen(at);
}

/* Behind what is to be taken as it is: a text, a quoted name, a comment; `at` itself when there is none. */
static const char *after_opaque(const char *at)
{
    if (*at == '\'' || *at == '"')
        return after_quoted(at, *at, false);
    if ((*at == 'E' || *at == 'e') && at[1] == '\'')
        return after_quoted(at + 1, '\'', true);
    if (at[0] == '-' && at[1] == '-')
        return at + strcspn(at, "\n");
    if (at[0] == '/' && at[1] == '*')
        return after_comment(at);
    if (*at == '$')
        return after_dollar_quoted(at);
    return at;
}

static bool is_word(const char *at, size_t size, const char *word)
{
    return size == strlen(word) && strncasecmp(at, word, size) == 0;
}

static const char *after_without_rowid(const char *at)
{
    const char *second = at + strlen("WITHOUT");
    second += strspn(second, " \t\r\n");
    bool found = strncasecmp(second, "ROWID", 5) == 0 && !is_name(second[5]);
    return found ? second + 5 : at;
}

/* One word, as PostgreSQL has it. Returns what follows. */
static const char *put_word(const char *at, struct weir_buffer *out)
{
    static const struct {
        const char *word, *is;
    } words[] = {{"INTEGER", "BIGINT"}, {"BLOB", "BYTEA"}, {"REAL", "DOUBLE PRECISION"}};
    size_t size = 0;
    while (is_name(at[size]))
        size++;
    if (is_word(at, size, "WITHOUT") && after_without_rowid(at) != at)
        return after_without_rowid(at);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (is_word(at, size, words[i].word)) {
            weir_buffer_append_text(out, words[i].is);
            return at + size;
        }
    }
    weir_buffer_append(out, at, size);
    return at + size;
}

static const char *put_parameter(const char *at, int *greatest, struct weir_buffer *out)
{
    char *end = (char *)at + 1;
    long number = isdigit((unsigned char)at[1]) ? strtol(at + 1, &end, 10) : *greatest + 1;
    if (number > 65535)
        number = 65535;
    if (number > *greatest)
        *greatest = (int)number;
    char text[24];
    snprintf(text, sizeof text, "$%ld", number);
    weir_buffer_append_text(out, text);
    return end;
}

char *postgres_text(const char *sql, int *ret_parameters)
{
    struct weir_buffer out = {0};
    *ret_parameters = 0;
    while (*sql) {
        const char *end = after_opaque(sql);
        if (end != sql) {
            weir_buffer_append(&out, sql, (size_t)(end - sql));
            sql = end;
        } else if (*sql == '?') {
            sql = put_parameter(sql, ret_parameters, &out);
        } else if (is_name(*sql)) {
            sql = put_word(sql, &out);
        } else {
            weir_buffer_append(&out, sql++, 1);
        }
    }
    char *text = memory_strdup(weir_buffer_text(&out));
    weir_buffer_free(&out);
    return text;
}

/* The beginning of a statement: behind spaces, comments and semicolons. */
static const char *to_statement(const char *at)
{
    for (;;) {
        if (isspace((unsigned char)*at) || *at == ';')
            at++;
        else if ((at[0] == '-' && at[1] == '-') || (at[0] == '/' && at[1] == '*'))
            at = after_opaque(at);
        else
            return at;
    }
}

bool postgres_text_is_empty(const char *sql)
{
    return !*to_statement(sql);
}

bool postgres_text_controls(const char *sql)
{
    static const char *const words[] = {"BEGIN",     "START",   "COMMIT",  "END",     "ROLLBACK",
                                        "SAVEPOINT", "RELEASE", "PREPARE", "ABORT",   "DEALLOCATE",
                                        "DISCARD",   "LISTEN",  "COPY",    "UNLISTEN"};
    for (sql = to_statement(sql); *sql; sql = to_statement(sql)) {
        size_t size = 0;
        while (is_name(sql[size]))
            size++;
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
            if (is_word(sql, size, words[i]))
                return true;
        while (*sql && *sql != ';') {
            const char *end = after_opaque(sql);
            sql = end != sql ? end : sql + 1;
        }
    }
    return false;
}
