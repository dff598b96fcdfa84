/* A statement is prepared against the schema, as it would be against the database. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "names.h"
#include "scope.h"

static void refuse(struct scope *scope, size_t at, const char *text)
{
    report_add(scope->report, scope->query->source, scope_token(scope, at)->offset, scope->query->name, "%s",
               text);
}

/* ---- What is the same in both databases ---- */

struct foreign {
    const char *word, *next, *text; /* next: what must follow it; NULL: anything */
};

static const struct foreign foreigners[] = {
    {"UNION", NULL,
     "UNION: types of its parts are not compared: make it two queries, or use weir_sql_query()"},
    {"EXCEPT", NULL, "EXCEPT is not understood: write NOT EXISTS (SELECT ...)"},
    {"INTERSECT", NULL, "INTERSECT is not understood: write EXISTS (SELECT ...)"},
    {"INSERT", "OR", "INSERT OR ... is SQLite's alone: write INSERT ... ON CONFLICT (...) DO ..."},
    {"UPDATE", "OR", "UPDATE OR ... is SQLite's alone: take it out"},
    {"::", NULL, ":: is PostgreSQL's alone: write CAST(... AS ...)"},
    {"==", NULL, "== is SQLite's alone: write ="},
    {"total", "(", "total() is SQLite's alone: write COALESCE(sum(...), 0)"},
    {"rowid", NULL, "rowid is SQLite's alone: take the table's key"},
};

/* In DO UPDATE, a column by itself is of two tables for PostgreSQL: the row that is there, and the new one. */
static void check_conflict(struct scope *scope)
{
    size_t at = scope_find_word(scope, 0, "DO");
    if (!scope->target || !token_is(scope_token(scope, at + 1), "UPDATE"))
        return;
    for (at += 3; at < scope->query->token_count && !token_is(scope_token(scope, at), "RETURNING"); at++) {
        const struct token *token = scope_token(scope, at);
        bool assigned = token_is(scope_token(scope, at + 1), "=") &&
                        token_is_any(scope_token(scope, at - 1), "SET ,") && token->depth == 0;
        bool qualified =
            token_is(scope_token(scope, at - 1), ".") || token_is_any(scope_token(scope, at + 1), ". (");
        if (token->kind == TOKEN_WORD && !assigned && !qualified && table_column(scope->target, token->text))
            report_add(scope->report, scope->query->source, token->offset, scope->query->name,
                       "PostgreSQL asks whose %.*s is meant: write %s.%.*s, or excluded.%.*s for the new one",
                       (int)token->text.size, (const char *)token->text.data, scope->target->name,
                       (int)token->text.size, (const char *)token->text.data, (int)token->text.size,
                       (const char *)token->text.data);
    }
}

static bool check_portable(struct scope *scope)
{
    size_t before = scope->report->count;
    for (size_t i = 0; i < scope->query->token_count; i++) {
        for (size_t j = 0; j < sizeof foreigners / sizeof foreigners[0]; j++)
            if (token_is(scope_token(scope, i), foreigners[j].word) &&
                (!foreigners[j].next || token_is(scope_token(scope, i + 1), foreigners[j].next)))
                refuse(scope, i, foreigners[j].text);
        if (scope_token(scope, i)->kind == TOKEN_STRING && scope_token(scope, i)->text.data[0] != '\'')
            refuse(scope, i, "x'...' is bits in PostgreSQL: give bytes as a parameter");
        if (token_is(scope_token(scope, i), "IS") && scope_token(scope, i + 1)->kind == TOKEN_PARAMETER)
            refuse(scope, i, "IS with a parameter is SQLite's alone: write IS NOT DISTINCT FROM");
    }
    if (!token_is_any(scope_token(scope, 0), "SELECT WITH INSERT UPDATE DELETE"))
        refuse(
            scope, 0,
            "only SELECT, INSERT, UPDATE and DELETE: tables belong into a migration, transactions into the "
            "code");
    check_conflict(scope);
    return scope->report->count == before;
}

/* ---- Parameters, by name ---- */

static bool is_c_name(const char *name)
{
    for (const char *c = name; *c; c++)
        if (!(islower((unsigned char)*c) || *c == '_' || (c > name && isdigit((unsigned char)*c))))
            return false;
    return name[0] && !names_is_keyword(name);
}

/* Names that generated functions use. */
static bool is_taken(const char *name)
{
    static const char *const taken[] = {"tx",     "call",  "db",    "ret_row",    "rows",
                                        "values", "found", "ended", "statements", "migrations"};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (strcmp(name, taken[i]) == 0)
            return true;
    return false;
}

static void add_parameter(struct scope *scope, const struct token *token)
{
    struct query *query = scope->query;
    const char *text = weir_arena_text(scope->schema->arena, token->text);
    for (size_t i = 0; i < query->parameter_count; i++)
        if (strcmp(query->parameters[i].name, text + 1) == 0)
            return;
    if (text[0] != '@')
        report_add(scope->report, query->source, token->offset, query->name,
                   "%s: parameters have names: write @%s", text,
                   text[0] == '?' || isdigit((unsigned char)text[1]) ? "name" : text + 1);
    else if (!is_c_name(text + 1) || is_taken(text + 1))
        report_add(scope->report, query->source, token->offset, query->name,
                   "%s cannot be an argument's name in C%s: take another", text,
                   is_taken(text + 1) ? " here" : "");
    query->parameters[query->parameter_count++] =
        (struct parameter){.name = text + 1, .offset = token->offset};
}

static bool find_parameters(struct scope *scope)
{
    size_t before = scope->report->count;
    struct query *query = scope->query;
    query->parameters =
        weir_arena_zalloc(scope->schema->arena, (query->token_count + 1) * sizeof *query->parameters);
    for (size_t i = 0; i < query->token_count; i++)
        if (query->tokens[i].kind == TOKEN_PARAMETER)
            add_parameter(scope, &query->tokens[i]);
    return scope->report->count == before;
}

/* ---- The statement ---- */

static size_t number_of(const struct query *query, const struct token *token)
{
    size_t number = 0;
    while (!weir_bytes_equal_text(weir_bytes(token->text.data + 1, token->text.size - 1),
                                  query->parameters[number].name))
        number++;
    return number + 1;
}

/* As in the file, line by line, without comments; ?1 for @name. Put together, the lines are one. */
static void find_lines(const struct scope *scope)
{
    struct query *query = scope->query;
    struct weir_buffer line = {0};
    query->lines = weir_arena_alloc(scope->schema->arena, query->token_count * sizeof *query->lines);
    for (size_t i = 0; i < query->token_count; i++) {
        const struct token *token = &query->tokens[i];
        if (token->kind == TOKEN_PARAMETER)
            weir_buffer_printf(&line, "?%zu", number_of(query, token));
        else
            weir_buffer_append(&line, query->source->text + token->offset, token->size);
        bool last = i + 1 == query->token_count, new_line = last;
        size_t at = token->offset + token->size;
        if (!last && at < query->tokens[i + 1].offset)
            weir_buffer_append_byte(&line, ' ');
        for (; !last && at < query->tokens[i + 1].offset; at++)
            new_line = new_line || query->source->text[at] == '\n';
        if (new_line) {
            query->lines[query->line_count++] =
                weir_arena_strdup(scope->schema->arena, weir_buffer_text(&line));
            weir_buffer_clear(&line);
        }
    }
    weir_buffer_free(&line);
}

/* What the tables have that the statement names. */
static const char *known_columns(const struct scope *scope)
{
    struct weir_arena *arena = scope->schema->arena;
    const char *text = "";
    for (size_t i = 0; i < scope->reference_count; i++)
        if (scope_reference(scope, scope->references[i].table) == &scope->references[i])
            text = weir_arena_printf(arena, "%s%s%s has %s", text, text[0] ? "; " : "",
                                     scope->references[i].table->name,
                                     table_columns_text(arena, scope->references[i].table));
    return text;
}

/* SQLite does not say where a table or column is that there is not, but its name is the last word. */
static size_t place_of(const struct scope *scope, const char *said)
{
    const char *name = strrchr(said, ' ') + 1, *dot = strrchr(name, '.');
    for (size_t i = 0; i < scope->query->token_count; i++)
        if (scope_token(scope, i)->kind == TOKEN_WORD &&
            name_equal(scope_token(scope, i)->text, dot ? dot + 1 : name))
            return scope_token(scope, i)->offset;
    return scope_token(scope, 0)->offset;
}

/* SQLite's words, with what there is instead. */
static void refuse_statement(struct scope *scope, size_t begin)
{
    struct weir_arena *arena = scope->schema->arena;
    const char *said = sqlite3_errmsg(scope->schema->db);
    int inside = sqlite3_error_offset(scope->schema->db);
    const char *more = "";
    if (strncmp(said, "no such table", 13) == 0)
        more = weir_arena_printf(arena, ": the schema has %s", schema_tables_text(arena, scope->schema));
    else if (strstr(said, "no such column") || strstr(said, "has no column"))
        more = weir_arena_printf(arena, ": %s", known_columns(scope));
    size_t offset = inside >= 0 ? begin + (size_t)inside : more[0] ? place_of(scope, said) : begin;
    report_add(scope->report, scope->query->source, offset, scope->query->name, "%s%s", said, more);
}

static sqlite3_stmt *prepare(struct scope *scope)
{
    const struct query *query = scope->query;
    const struct token *last = &query->tokens[query->token_count - 1];
    size_t begin = query->tokens[0].offset, end = last->offset + last->size;
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(scope->schema->db, query->source->text + begin, (int)(end - begin), &statement,
                           NULL) != SQLITE_OK)
        refuse_statement(scope, begin);
    return statement;
}

static bool check_kind(struct scope *scope, sqlite3_stmt *statement)
{
    struct query *query = scope->query;
    query->read_only = sqlite3_stmt_readonly(statement) != 0;
    bool gives_rows = sqlite3_column_count(statement) > 0;
    if (gives_rows == (query->kind != QUERY_EXEC))
        return true;
    report_add(scope->report, query->source, query->offset, query->name,
               gives_rows ? "it gives rows: make it :one or :many"
                          : "it gives no rows: make it :exec, or add RETURNING");
    return false;
}

void query_check(const struct schema *schema, struct query *query, struct report *report)
{
    struct scope scope;
    scope_find(&scope, schema, query, report);
    if (!check_portable(&scope) || !find_parameters(&scope))
        return;
    find_lines(&scope);
    sqlite3_stmt *statement = prepare(&scope);
    if (!statement)
        return;
    parameters_find(&scope);
    if (check_kind(&scope, statement) && query->kind != QUERY_EXEC)
        results_find(&scope, statement);
    sqlite3_finalize(statement);
}
