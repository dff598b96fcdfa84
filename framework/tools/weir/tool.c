#include "tool.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* Columns of a JSON line that are shown around a mistake. */
#define SHOWN_BEFORE 60
#define SHOWN_AFTER 20

int tool_fail(int exit_status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("weir: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return exit_status;
}

/* Where the character at a column begins; columns count from 1. */
static size_t offset_of(struct weir_bytes line, size_t column)
{
    size_t at = 0;
    for (; at < line.size && column > 1; column--) {
        at++;
        while (at < line.size && (line.data[at] & 0xc0) == 0x80)
            at++;
    }
    return at;
}

static struct weir_bytes line_of(struct weir_bytes text, size_t number)
{
    for (; number > 1; number--) {
        const uint8_t *end = memchr(text.data, '\n', text.size);
        if (!end)
            return text;
        size_t used = (size_t)(end - text.data) + 1;
        text = weir_bytes(end + 1, text.size - used);
    }
    const uint8_t *end = text.size > 0 ? memchr(text.data, '\n', text.size) : NULL;
    return end ? weir_bytes(text.data, (size_t)(end - text.data)) : text;
}

int tool_fail_json(struct weir_bytes json, const struct weir_error *err)
{
    static const char line_text[] = "line ", column_text[] = ", column ";
    tool_fail(EX_DATAERR, "%s", err->text);
    char *at;
    if (strncmp(err->text, line_text, sizeof line_text - 1) != 0)
        return EX_DATAERR;
    size_t number = strtoul(err->text + sizeof line_text - 1, &at, 10);
    if (strncmp(at, column_text, sizeof column_text - 1) != 0)
        return EX_DATAERR;
    size_t column = strtoul(at + sizeof column_text - 1, &at, 10);
    struct weir_bytes line = line_of(json, number);
    size_t first = column > SHOWN_BEFORE ? column - SHOWN_BEFORE : 1;
    size_t begin = offset_of(line, first), end = offset_of(line, column + SHOWN_AFTER);
    if (end > begin)
        fprintf(stderr, "  %.*s\n  %*s^\n", (int)(end - begin), (const char *)line.data + begin,
                (int)(column - first), "");
    return EX_DATAERR;
}

static bool read_file(const char *path, struct weir_buffer *content)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    for (size_t size = 1; size > 0; content->size += size)
        size = fread(weir_buffer_reserve(content, 65536), 1, 65536, file);
    bool right = !ferror(file);
    fclose(file);
    return right;
}

struct weir_schema *tool_load(const char *file)
{
    static const char *const defaults[] = {WEIR_BUILT_DESCRIPTORS, WEIR_INSTALLED_DESCRIPTORS};
    struct weir_buffer content = {0};
    const char *path = file ? file : getenv("WEIR_DESCRIPTORS");
    bool found = false;
    if (path && path[0]) {
        found = read_file(path, &content);
        if (!found)
            tool_fail(EX_NOINPUT, "cannot read the contracts in %s: %s", path, strerror(errno));
    } else {
        for (size_t i = 0; i < sizeof defaults / sizeof defaults[0] && !found; i++) {
            path = defaults[i];
            found = path[0] && read_file(path, &content);
        }
        if (!found)
            tool_fail(EX_NOINPUT, "no contracts: give --descriptors FILE or set WEIR_DESCRIPTORS (protoc "
                                  "--descriptor_set_out=FILE --include_imports writes one)");
    }
    struct weir_error err = {0};
    struct weir_schema *schema = found ? weir_schema_new(weir_buffer_bytes(&content), &err) : NULL;
    if (found && !schema)
        tool_fail(EX_DATAERR, "%s: %s", path, err.text);
    weir_buffer_free(&content);
    return schema;
}

static const struct weir_message *find_message(const void *schema, const char *full_name)
{
    return weir_schema_message(schema, full_name);
}

struct weir_json_options tool_json(const struct weir_schema *schema)
{
    return (struct weir_json_options){.find_message = find_message, .types = schema};
}
