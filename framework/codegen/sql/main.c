/* weir-sqlgen: C of a schema and its named queries, every statement checked against the schema.
 *
 *     weir-sqlgen --out DIR --name NAME --queries QUERIES.sql MIGRATION.sql...
 *
 * Writes DIR/NAME.h and DIR/NAME.c. Prints a line per mistake. Exits with 0, 1 where there are mistakes, 2 where it
 * could not read or write. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weir/error.h>

#include "names.h"
#include "sqlgen.h"

struct arguments {
    const char *out, *name, *queries;
    const char *const *migrations;
    size_t migration_count;
};

static int fail(const struct weir_error *err)
{
    fprintf(stderr, "weir-sqlgen: %s\n", err->text);
    return 2;
}

static enum weir_status read_source(struct weir_arena *arena, const char *path, struct source *ret_source,
                                    struct weir_error *err)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return weir_fail_errno(err, WEIR_NOT_FOUND, errno, "cannot open %s", path);
    struct weir_buffer text = {0};
    for (;;) {
        size_t got = fread(weir_buffer_reserve(&text, 65536), 1, 65536, file);
        if (got == 0)
            break;
        text.size += got;
    }
    int errnum = ferror(file) ? errno : 0;
    fclose(file);
    const char *slash = strrchr(path, '/');
    *ret_source = (struct source){
        .path = path,
        .name = slash ? slash + 1 : path,
        .text = weir_arena_text(arena, weir_buffer_bytes(&text)),
        .size = text.size,
    };
    weir_buffer_free(&text);
    if (errnum)
        return weir_fail_errno(err, WEIR_UNKNOWN, errnum, "cannot read %s", path);
    if (strlen(ret_source->text) != ret_source->size)
        return weir_fail(err, WEIR_INVALID_ARGUMENT, "%s is no text: it has a byte 0", path);
    return WEIR_OK;
}

static enum weir_status write_file(struct weir_arena *arena, const struct arguments *arguments,
                                   const char *suffix, const struct weir_buffer *text, struct weir_error *err)
{
    const char *path = weir_arena_printf(arena, "%s/%s%s", arguments->out, arguments->name, suffix);
    FILE *file = fopen(path, "wb");
    if (!file)
        return weir_fail_errno(err, WEIR_UNKNOWN, errno, "cannot open %s", path);
    bool written = fwrite(text->data, 1, text->size, file) == text->size;
    if (fclose(file) != 0 || !written) {
        int errnum = errno;
        remove(path); /* half a file would look new */
        return weir_fail_errno(err, WEIR_UNKNOWN, errnum, "cannot write %s", path);
    }
    return WEIR_OK;
}

static int write_all(const struct arguments *arguments, const struct schema *schema,
                     const struct queries *queries)
{
    struct weir_error err = {0};
    struct weir_buffer header = {0}, source = {0};
    emit_header(&header, arguments->name, schema, queries);
    emit_source(&source, arguments->name, schema, queries);
    bool failed = write_file(schema->arena, arguments, ".h", &header, &err) != WEIR_OK ||
                  write_file(schema->arena, arguments, ".c", &source, &err) != WEIR_OK;
    weir_buffer_free(&header);
    weir_buffer_free(&source);
    return failed ? fail(&err) : 0;
}

static int generate(struct weir_arena *arena, const struct arguments *arguments)
{
    struct weir_error err = {0};
    struct source source,
        *migrations = weir_arena_alloc(arena, arguments->migration_count * sizeof *migrations);
    for (size_t i = 0; i < arguments->migration_count; i++)
        if (read_source(arena, arguments->migrations[i], &migrations[i], &err) != WEIR_OK)
            return fail(&err);
    if (read_source(arena, arguments->queries, &source, &err) != WEIR_OK)
        return fail(&err);

    struct schema schema = {
        .arena = arena, .migrations = migrations, .migration_count = arguments->migration_count};
    struct queries queries = {0};
    struct report report = {0};
    /* Mistakes of the queries are not worth reading while there is no schema. */
    if (schema_load(&schema, &report)) {
        queries_parse(arena, &source, &queries, &report);
        for (size_t i = 0; i < queries.count; i++)
            if (queries.list[i].token_count > 0)
                query_check(&schema, &queries.list[i], &report);
        if (report.count == 0)
            queries_share_rows(&schema, &queries, &report);
    }
    fputs(weir_buffer_text(&report.text), stderr);
    int result = report.count > 0 ? 1 : write_all(arguments, &schema, &queries);
    weir_buffer_free(&report.text);
    sqlite3_close(schema.db);
    return result;
}

/* Options first, then migrations. */
static bool read_arguments(int argc, char **argv, struct arguments *ret_arguments)
{
    int at = 1;
    for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
        if (strcmp(argv[at], "--out") == 0)
            ret_arguments->out = argv[at + 1];
        else if (strcmp(argv[at], "--name") == 0)
            ret_arguments->name = argv[at + 1];
        else if (strcmp(argv[at], "--queries") == 0)
            ret_arguments->queries = argv[at + 1];
        else
            return false;
    }
    ret_arguments->migrations = (const char *const *)argv + at;
    ret_arguments->migration_count = (size_t)(argc - at);
    return ret_arguments->out && ret_arguments->name && ret_arguments->queries && at < argc &&
           argv[at][0] != '-';
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    if (!read_arguments(argc, argv, &arguments)) {
        fputs("usage: weir-sqlgen --out DIR --name NAME --queries QUERIES.sql MIGRATION.sql...\n", stderr);
        return 2;
    }
    struct weir_arena *arena = weir_arena_new();
    int result = generate(arena, &arguments);
    weir_arena_destroy(arena);
    return result;
}
