/* Whatever a file of queries has in it: it is refused with words, or made to C whose statements SQLite takes. */
#include "common.h"

#include "sqlgen.h"

static const char migration[] =
    "CREATE TABLE t (id BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, note TEXT, at BIGINT NOT NULL,"
    " ratio DOUBLE PRECISION, open BOOLEAN NOT NULL DEFAULT FALSE, data BYTEA);"
    "CREATE TABLE u (id BIGINT NOT NULL PRIMARY KEY, t_id BIGINT NOT NULL REFERENCES t, name BIGINT);";

static struct source source_of(const char *name, const char *text)
{
    return (struct source){.path = name, .name = name, .text = text, .size = strlen(text)};
}

static void check_statement(const struct schema *schema, const struct query *query)
{
    struct weir_buffer sql = {0};
    for (size_t i = 0; i < query->line_count; i++)
        weir_buffer_append_text(&sql, query->lines[i]);
    sqlite3_stmt *statement = NULL;
    FUZZ_MUST(sqlite3_prepare_v2(schema->db, weir_buffer_text(&sql), -1, &statement, NULL) == SQLITE_OK,
              "%s: %s", sqlite3_errmsg(schema->db), weir_buffer_text(&sql));
    FUZZ_MUST((size_t)sqlite3_bind_parameter_count(statement) == query->parameter_count, "%zu parameters: %s",
              query->parameter_count, weir_buffer_text(&sql));
    FUZZ_MUST((size_t)sqlite3_column_count(statement) == query->result_count, "%zu columns: %s",
              query->result_count, weir_buffer_text(&sql));
    sqlite3_finalize(statement);
    weir_buffer_free(&sql);
}

static void emit(const struct schema *schema, const struct queries *queries)
{
    struct weir_buffer header = {0}, source = {0};
    emit_header(&header, "t_sql", schema, queries);
    emit_source(&source, "t_sql", schema, queries);
    for (size_t i = 0; i < queries->count; i++)
        check_statement(schema, &queries->list[i]);
    weir_buffer_free(&header);
    weir_buffer_free(&source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 65536 || memchr(data, 0, size))
        return 0;
    struct weir_arena *arena = weir_arena_new();
    struct source first = source_of("001_t.sql", migration);
    struct source input = source_of("queries.sql", weir_arena_text(arena, weir_bytes(data, size)));
    struct schema schema = {.arena = arena, .migrations = &first, .migration_count = 1};
    struct queries queries = {0};
    struct report report = {0};
    FUZZ_MUST(schema_load(&schema, &report), "%s", weir_buffer_text(&report.text));
    bool parsed = queries_parse(arena, &input, &queries, &report);
    for (size_t i = 0; i < queries.count; i++)
        if (queries.list[i].token_count > 0)
            query_check(&schema, &queries.list[i], &report);
    if (report.count == 0)
        queries_share_rows(&schema, &queries, &report);
    FUZZ_MUST(parsed || report.count > 0, "refused without a word");
    if (report.count == 0)
        emit(&schema, &queries);
    weir_buffer_free(&report.text);
    sqlite3_close(schema.db);
    weir_arena_destroy(arena);
    return 0;
}
