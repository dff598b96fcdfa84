/* The header and the source of a schema with its queries. */
#include <ctype.h>
#include <string.h>

#include "names.h"
#include "sqlgen.h"

/* ---- Pieces ---- */

static const char *const in_c[] = {
    [TYPE_BIGINT] = "int64_t ",          [TYPE_BOOLEAN] = "bool ",
    [TYPE_DOUBLE] = "double ",           [TYPE_TEXT] = "char *",
    [TYPE_BYTEA] = "struct weir_bytes ",
};
static const char *const values_of[] = {
    [TYPE_BIGINT] = "weir_value_int", [TYPE_BOOLEAN] = "weir_value_int", [TYPE_DOUBLE] = "weir_value_double",
    [TYPE_TEXT] = "weir_value_text",  [TYPE_BYTEA] = "weir_value_bytes",
};
static const char *const rows_of[] = {
    [TYPE_BIGINT] = "int", [TYPE_BOOLEAN] = "int", [TYPE_DOUBLE] = "double",
    [TYPE_TEXT] = "text",  [TYPE_BYTEA] = "bytes",
};
static const char letters[] = {
    [TYPE_BIGINT] = 'i', [TYPE_BOOLEAN] = 'o', [TYPE_DOUBLE] = 'd', [TYPE_TEXT] = 't', [TYPE_BYTEA] = 'b',
};

static size_t line_size(const struct weir_buffer *out)
{
    size_t begin = out->size;
    while (begin > 0 && out->data[begin - 1] != '\n')
        begin--;
    return out->size - begin;
}

#define LINE_MAX 105

/* ", const char *sku, int64_t quantity", and what else comes last; on a line of its own what would be too long. */
static void put_argument(struct weir_buffer *out, const char *text)
{
    weir_buffer_append_text(out, line_size(out) + strlen(text) > LINE_MAX ? ",\n    " : ", ");
    weir_buffer_append_text(out, text);
}

static void put_parameters(struct weir_buffer *out, struct weir_arena *arena, const struct query *query)
{
    for (size_t i = 0; i < query->parameter_count; i++) {
        const struct parameter *parameter = &query->parameters[i];
        bool is_pointer = parameter->nullable && parameter->type != TYPE_TEXT;
        put_argument(out, weir_arena_printf(arena, "%s%s%s%s",
                                            is_pointer || parameter->type == TYPE_TEXT ? "const " : "",
                                            in_c[parameter->type], is_pointer ? "*" : "", parameter->name));
    }
}

/* A comment must not end early, nor seem to begin again. */
static void put_comment_text(struct weir_buffer *out, const char *text, const char *end)
{
    for (; text < end; text++) {
        weir_buffer_append_byte(out, (uint8_t)*text);
        if ((*text == '*' && text[1] == '/') || (*text == '/' && text[1] == '*'))
            weir_buffer_append_byte(out, ' ');
    }
}

/* The lines of the file, then which parameters may be NULL. */
static void put_comment(struct weir_buffer *out, const struct query *query)
{
    weir_buffer_printf(out, "/* %s:%zu\n", query->source->name, line_of(query->source, query->offset));
    for (const char *line = query->comment; *line;) {
        const char *end = line + strcspn(line, "\n");
        weir_buffer_append_text(out, end == line ? " *" : " * ");
        put_comment_text(out, line, end);
        weir_buffer_append_byte(out, '\n');
        line = end + (*end == '\n');
    }
    const char *before = " * May be NULL: ";
    for (size_t i = 0; i < query->parameter_count; i++)
        if (query->parameters[i].nullable) {
            weir_buffer_printf(out, "%s%s", before, query->parameters[i].name);
            before = ", ";
        }
    if (before[0] == ' ')
        out->size--; /* the line's end: nothing was added */
    weir_buffer_append_text(out, " */\n");
}

static void put_row(struct weir_buffer *out, const struct query *query)
{
    if (query->same_row)
        return;
    weir_buffer_printf(out, "struct %s_row {\n", query->row);
    for (size_t i = 0; i < query->result_count; i++) {
        const struct result *result = &query->results[i];
        bool has = result->nullable && result->type != TYPE_TEXT;
        if (has)
            weir_buffer_printf(out, "    bool has_%s;\n", result->name);
        weir_buffer_printf(out, "    %s%s;%s\n", in_c[result->type], result->name,
                           result->nullable && !has ? " /* or NULL */" : "");
    }
    weir_buffer_append_text(out, "};\n");
}

/* "bool find_stock(struct weir_tx *tx, const char *sku, struct find_stock_row *ret_row)" */
static void put_function(struct weir_buffer *out, struct weir_arena *arena, const char *returns,
                         const struct query *query, bool outside)
{
    weir_buffer_printf(out, "%s%s%s", returns, query->name,
                       outside ? "_read(struct weir_call *call, struct weir_sql *db" : "(struct weir_tx *tx");
    put_parameters(out, arena, query);
    if (query->kind == QUERY_ONE)
        put_argument(out, weir_arena_printf(arena, "struct %s_row *ret_row", query->row));
    weir_buffer_append_byte(out, ')');
}

static const char *rows_type(struct weir_arena *arena, const struct query *query)
{
    return weir_arena_printf(arena, "struct %s_rows ", query->name);
}

/* ---- Header ---- */

static void put_guard(struct weir_buffer *out, const char *name)
{
    weir_buffer_append_text(out, "WEIR_GENERATED_");
    for (; *name; name++)
        weir_buffer_append_byte(
            out, (uint8_t)(isalnum((unsigned char)*name) ? toupper((unsigned char)*name) : '_'));
    weir_buffer_append_text(out, "_H\n");
}

static void declare_functions(struct weir_buffer *out, struct weir_arena *arena, const struct query *query,
                              const char *returns, const char *read_returns)
{
    put_function(out, arena, returns, query, false);
    weir_buffer_append_text(out, ";\n");
    if (query->kind == QUERY_EXEC || !query->read_only)
        return;
    put_function(out, arena, read_returns, query, true);
    weir_buffer_append_text(out, ";\n");
}

static void declare_one(struct weir_buffer *out, struct weir_arena *arena, const struct query *query)
{
    put_row(out, query);
    declare_functions(out, arena, query, "bool ", "enum weir_status ");
}

static void declare_many(struct weir_buffer *out, struct weir_arena *arena, const struct query *query)
{
    put_row(out, query);
    weir_buffer_printf(out, "struct %s_rows {\n    struct weir_rows *rows;\n};\n", query->name);
    declare_functions(out, arena, query, rows_type(arena, query), rows_type(arena, query));
    weir_buffer_printf(out,
                       "bool %s_next(struct %s_rows *rows, struct %s_row *ret_row);\n"
                       "enum weir_status %s_end(struct %s_rows *rows);\n",
                       query->name, query->name, query->row, query->name, query->name);
}

static const char rules[] =
    " *\n"
    " * :one   bool NAME(tx, ..., &row): false when there is no row, or the transaction has failed.\n"
    " *        NAME_read(call, db, ..., &row), outside of a transaction: OK, NOT_FOUND without a row, or "
    "what failed.\n"
    " * :many  rows = NAME(tx, ...) or NAME_read(call, db, ...); while (NAME_next(&rows, &row)) ...; "
    "NAME_end(&rows).\n"
    " * :exec  int64_t NAME(tx, ...): rows changed, -1 when the transaction has failed.\n"
    " *\n"
    " * A row's texts and bytes live as long as the call; `ret_row` is written only when there is a row.\n"
    " * What may be NULL is a text that is NULL, or has a has_ before it; as a parameter it is a pointer. "
    "*/\n";

void emit_header(struct weir_buffer *out, const char *name, const struct schema *schema,
                 const struct queries *queries)
{
    weir_buffer_printf(out, "/* Generated by weir-sqlgen from %s; the schema is of %s.\n%s#ifndef ",
                       queries->list[0].source->name, schema->migrations[schema->migration_count - 1].name,
                       rules);
    put_guard(out, name);
    weir_buffer_append_text(out, "#define ");
    put_guard(out, name);
    weir_buffer_printf(out,
                       "\n#include <stdbool.h>\n#include <stdint.h>\n\n#include <weir/sql.h>\n\n"
                       "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n"
                       "/* The migrations and the statements, for weir_sql_add(): `.schema = &%s`. */\n"
                       "extern const struct weir_sql_schema %s;\n",
                       name, name);
    for (size_t i = 0; i < queries->count; i++) {
        const struct query *query = &queries->list[i];
        weir_buffer_append_byte(out, '\n');
        put_comment(out, query);
        if (query->kind == QUERY_ONE) {
            declare_one(out, schema->arena, query);
        } else if (query->kind == QUERY_MANY) {
            declare_many(out, schema->arena, query);
        } else {
            declare_functions(out, schema->arena, query, "int64_t ", NULL);
        }
    }
    weir_buffer_append_text(out, "\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
}

/* ---- Source ---- */

/* A literal a line. */
static void put_text(struct weir_buffer *out, struct weir_arena *arena, const char *text, const char *indent)
{
    do {
        const char *end = strchr(text, '\n');
        end = end ? end + 1 : text + strlen(text);
        const char *line = weir_arena_text(arena, weir_bytes(text, (size_t)(end - text)));
        bool ends = end[-1] == '\n';
        if (ends)
            ((char *)line)[end - text - 1] = 0;
        weir_buffer_printf(out, "\n%s\"%s%s\"", indent, names_literal(arena, line), ends ? "\\n" : "");
        text = end;
    } while (*text);
}

static void put_migrations(struct weir_buffer *out, const struct schema *schema)
{
    weir_buffer_append_text(out, "static const char *const migrations[] = {\n");
    for (size_t i = 0; i < schema->migration_count; i++) {
        weir_buffer_printf(out, "    /* %s */", schema->migrations[i].name);
        put_text(out, schema->arena, schema->migrations[i].text, "    ");
        weir_buffer_append_text(out, ",\n");
    }
    weir_buffer_append_text(out, "    NULL,\n};\n\n");
}

static void put_statements(struct weir_buffer *out, const struct schema *schema,
                           const struct queries *queries)
{
    weir_buffer_append_text(out, "static const struct weir_sql_statement statements[] = {\n");
    for (size_t i = 0; i < queries->count; i++) {
        const struct query *query = &queries->list[i];
        weir_buffer_printf(out, "    {.name = \"%s\",\n     .place = \"%s:%zu\",\n     .parameters = \"",
                           query->name, names_literal(schema->arena, query->source->name),
                           line_of(query->source, query->offset));
        for (size_t j = 0; j < query->parameter_count; j++)
            weir_buffer_append_byte(out, (uint8_t)letters[query->parameters[j].type]);
        weir_buffer_append_text(out, "\",\n     .columns = \"");
        for (size_t j = 0; j < query->result_count; j++)
            weir_buffer_append_byte(out, (uint8_t)letters[query->results[j].type]);
        weir_buffer_append_text(out, "\",\n     .sql =");
        for (size_t j = 0; j < query->line_count; j++)
            weir_buffer_printf(out, "\n         \"%s\"", names_literal(schema->arena, query->lines[j]));
        weir_buffer_append_text(out, "},\n");
    }
    weir_buffer_append_text(out, "    {0},\n};\n\n");
}

static void put_values(struct weir_buffer *out, const struct query *query)
{
    if (query->parameter_count == 0)
        return;
    weir_buffer_append_text(out, "    const struct weir_value values[] = {\n");
    for (size_t i = 0; i < query->parameter_count; i++) {
        const struct parameter *parameter = &query->parameters[i];
        const char *value = values_of[parameter->type];
        if (parameter->nullable && parameter->type != TYPE_TEXT)
            weir_buffer_printf(out, "        %s ? %s(*%s) : weir_value_text(NULL),\n", parameter->name, value,
                               parameter->name);
        else
            weir_buffer_printf(out, "        %s(%s),\n", value, parameter->name);
    }
    weir_buffer_append_text(out, "    };\n");
}

/* "weir_sql_query_values(tx, statements[3].sql, values, 2)" */
static const char *call_text(struct weir_arena *arena, const char *function, size_t index,
                             const struct query *query)
{
    return weir_arena_printf(arena, "%s, statements[%zu].sql, %s, %zu)", function, index,
                             query->parameter_count ? "values" : "NULL", query->parameter_count);
}

static void define_fill(struct weir_buffer *out, const struct query *query)
{
    if (query->same_row)
        return;
    weir_buffer_printf(out, "static void %s_fill(const struct weir_rows *rows, struct %s_row *ret_row)\n{\n",
                       query->row, query->row);
    for (size_t i = 0; i < query->result_count; i++) {
        const struct result *result = &query->results[i];
        const char *not_zero = result->type == TYPE_BOOLEAN ? " != 0" : "";
        if (result->nullable && result->type == TYPE_TEXT) {
            weir_buffer_printf(
                out, "    ret_row->%s = weir_rows_null(rows, %zu) ? NULL : weir_rows_text(rows, %zu);\n",
                result->name, i, i);
            continue;
        }
        if (result->nullable)
            weir_buffer_printf(out, "    ret_row->has_%s = !weir_rows_null(rows, %zu);\n", result->name, i);
        weir_buffer_printf(out, "    ret_row->%s = weir_rows_%s(rows, %zu)%s;\n", result->name,
                           rows_of[result->type], i, not_zero);
    }
    weir_buffer_append_text(out, "}\n\n");
}

static void define_one(struct weir_buffer *out, struct weir_arena *arena, size_t index,
                       const struct query *query)
{
    put_function(out, arena, "bool ", query, false);
    weir_buffer_append_text(out, "\n{\n");
    put_values(out, query);
    weir_buffer_printf(
        out,
        "    struct weir_rows *rows = %s;\n    bool found = weir_rows_next(rows);\n    if (found)\n"
        "        %s_fill(rows, ret_row);\n    return weir_rows_end(rows) == WEIR_OK && found;\n}\n\n",
        call_text(arena, "weir_sql_query_values(tx", index, query), query->row);
    if (!query->read_only)
        return;
    put_function(out, arena, "enum weir_status ", query, true);
    weir_buffer_append_text(out, "\n{\n");
    put_values(out, query);
    weir_buffer_printf(
        out,
        "    struct weir_rows *rows = %s;\n    bool found = weir_rows_next(rows);\n    if (found)\n"
        "        %s_fill(rows, ret_row);\n    enum weir_status ended = weir_rows_end(rows);\n"
        "    return ended == WEIR_OK && !found ? WEIR_NOT_FOUND : ended;\n}\n\n",
        call_text(arena, "weir_sql_read_values(call, db", index, query), query->row);
}

static void define_many(struct weir_buffer *out, struct weir_arena *arena, size_t index,
                        const struct query *query)
{
    const char *type = rows_type(arena, query);
    put_function(out, arena, type, query, false);
    weir_buffer_append_text(out, "\n{\n");
    put_values(out, query);
    weir_buffer_printf(out, "    return (%.*s){%s};\n}\n\n", (int)strlen(type) - 1, type,
                       call_text(arena, "weir_sql_query_values(tx", index, query));
    if (query->read_only) {
        put_function(out, arena, type, query, true);
        weir_buffer_append_text(out, "\n{\n");
        put_values(out, query);
        weir_buffer_printf(out, "    return (%.*s){%s};\n}\n\n", (int)strlen(type) - 1, type,
                           call_text(arena, "weir_sql_read_values(call, db", index, query));
    }
    weir_buffer_printf(
        out,
        "bool %s_next(struct %s_rows *rows, struct %s_row *ret_row)\n{\n"
        "    if (!weir_rows_next(rows->rows))\n        return false;\n"
        "    %s_fill(rows->rows, ret_row);\n    return true;\n}\n\n"
        "enum weir_status %s_end(struct %s_rows *rows)\n{\n    return weir_rows_end(rows->rows);\n}\n\n",
        query->name, query->name, query->row, query->row, query->name, query->name);
}

static void define_exec(struct weir_buffer *out, struct weir_arena *arena, size_t index,
                        const struct query *query)
{
    put_function(out, arena, "int64_t ", query, false);
    weir_buffer_append_text(out, "\n{\n");
    put_values(out, query);
    weir_buffer_printf(out, "    return %s;\n}\n\n",
                       call_text(arena, "weir_sql_exec_values(tx", index, query));
}

void emit_source(struct weir_buffer *out, const char *name, const struct schema *schema,
                 const struct queries *queries)
{
    weir_buffer_printf(out,
                       "/* Generated by weir-sqlgen from %s; the schema is of %s. */\n#include \"%s.h\"\n\n"
                       "#include <stddef.h>\n\n"
                       "/* Migrations are as long as they are. */\n"
                       "#pragma GCC diagnostic ignored \"-Woverlength-strings\"\n\n",
                       queries->list[0].source->name, schema->migrations[schema->migration_count - 1].name,
                       name);
    put_migrations(out, schema);
    put_statements(out, schema, queries);
    weir_buffer_printf(
        out, "const struct weir_sql_schema %s = {.migrations = migrations, .statements = statements};\n\n",
        name);
    for (size_t i = 0; i < queries->count; i++) {
        const struct query *query = &queries->list[i];
        if (query->kind != QUERY_EXEC)
            define_fill(out, query);
        if (query->kind == QUERY_ONE)
            define_one(out, schema->arena, i, query);
        else if (query->kind == QUERY_MANY)
            define_many(out, schema->arena, i, query);
        else
            define_exec(out, schema->arena, i, query);
    }
    out->size--; /* no empty line at the end */
}
