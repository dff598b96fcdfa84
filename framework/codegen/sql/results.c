/* The columns that a statement gives: those of tables have their types, expressions say theirs. */
#include <ctype.h>
#include <string.h>

#include "names.h"
#include "scope.h"

static bool word_at(const struct scope *scope, size_t at, const char *words)
{
    return token_is_any(scope_token(scope, at), words);
}

/* Between SELECT or RETURNING and what follows the list. */
static struct span result_list(const struct scope *scope)
{
    size_t begin = scope_find_word(scope, 0, "RETURNING");
    if (begin == scope->query->token_count)
        begin = scope_find_word(scope, 0, "SELECT");
    begin++;
    if (word_at(scope, begin, "DISTINCT ALL"))
        begin++;
    size_t end = begin;
    do
        end = scope_find_word(scope, end + 1, "FROM WHERE GROUP HAVING ORDER LIMIT WINDOW");
    while (word_at(scope, end, "FROM") && word_at(scope, end - 1, "DISTINCT"));
    return (struct span){.begin = begin, .end = end};
}

/* Takes "AS name" off. */
static const char *take_name(const struct scope *scope, struct span *item)
{
    size_t size = item->end - item->begin;
    if (size < 3 || !word_at(scope, item->end - 2, "AS"))
        return NULL;
    item->end -= 2;
    return weir_arena_text(scope->schema->arena, scope_token(scope, item->end + 1)->text);
}

/* The column of a table that SQLite finds behind a result: in the select itself, or through a subquery. */
static bool from_table(const struct scope *scope, sqlite3_stmt *statement, int index, struct operand *operand)
{
    const char *table_name = sqlite3_column_table_name(statement, index);
    const char *column_name = sqlite3_column_origin_name(statement, index);
    const struct table *table =
        table_name ? schema_table(scope->schema, weir_bytes_of_text(table_name)) : NULL;
    const struct column *column = table ? table_column(table, weir_bytes_of_text(column_name)) : NULL;
    if (!column)
        return false;
    const struct reference *reference = scope_reference(scope, table);
    operand->type = column->type;
    operand->nullable = column->nullable || scope->all_outer || !reference || reference->outer;
    return true;
}

/* An aggregate, not one of a subquery or a window. */
static bool is_aggregate(const struct scope *scope, size_t at)
{
    if (!word_at(scope, at, "count sum avg min max string_agg group_concat") || !word_at(scope, at + 1, "("))
        return false;
    size_t end = scope_close(scope, at + 1);
    if (word_at(scope, end, "FILTER"))
        end = scope_close(scope, end + 1);
    return !word_at(scope, end, "OVER");
}

/* Without GROUP BY there is one row, even of an empty table. */
static bool is_lone_aggregate(const struct scope *scope, struct span list)
{
    if (scope_find_word(scope, 0, "GROUP") < scope->query->token_count)
        return false;
    for (size_t i = list.begin; i < list.end; i++) {
        if (word_at(scope, i, "(") && word_at(scope, i + 1, "SELECT"))
            i = scope_close(scope, i) - 1;
        else if (is_aggregate(scope, i))
            return true;
    }
    return false;
}

static void find_type(struct scope *scope, sqlite3_stmt *statement, int index, struct span item,
                      struct result *result)
{
    struct operand operand = scope_operand(scope, item);
    bool is_name =
        scope_token(scope, item.begin)->kind == TOKEN_WORD &&
        (item.end == item.begin + 1 || (item.end == item.begin + 3 && word_at(scope, item.begin + 1, ".")));
    bool of_table = is_name && from_table(scope, statement, index, &operand);
    if (is_name && operand.kind == OPERAND_COLUMN)
        result->name = result->name ? result->name : operand.column->name;
    if (is_name && !result->name)
        result->name = weir_arena_text(scope->schema->arena, scope_token(scope, item.end - 1)->text);
    if (!of_table && is_name && scope_find_word(scope, 0, "RETURNING") == scope->query->token_count)
        operand.type = TYPE_UNKNOWN; /* a name that hides an expression */
    bool number =
        operand.kind == OPERAND_LITERAL && operand.type != TYPE_TEXT && operand.type != TYPE_BOOLEAN;
    result->type = number ? TYPE_UNKNOWN : operand.type; /* PostgreSQL's is the least that holds it */
    result->nullable = operand.nullable;
}

static void check_name(const struct scope *scope, size_t index, size_t offset)
{
    const struct query *query = scope->query;
    const char *name = query->results[index].name;
    bool is_name = (isalpha((unsigned char)name[0]) || name[0] == '_') && !names_is_keyword(name);
    for (const char *c = name; *c; c++)
        is_name = is_name && (isalnum((unsigned char)*c) || *c == '_');
    if (!is_name)
        report_add(scope->report, query->source, offset, query->name,
                   "\"%s\" cannot be a member's name in C: name it otherwise with AS", name);
    for (size_t i = 0; i < index; i++) {
        const struct result *other = &query->results[i];
        bool has = other->nullable && strncmp(name, "has_", 4) == 0 && strcmp(name + 4, other->name) == 0;
        if (strcmp(other->name, name) == 0 || has)
            report_add(scope->report, query->source, offset, query->name,
                       "there are two columns \"%s\": name one otherwise with AS", name);
    }
}

static bool find_result(struct scope *scope, sqlite3_stmt *statement, size_t index, struct span item)
{
    struct query *query = scope->query;
    struct result *result = &query->results[index];
    struct span expression = item;
    result->name = take_name(scope, &expression);
    find_type(scope, statement, (int)index, expression, result);
    size_t offset = scope_token(scope, item.begin)->offset;
    const char *text = scope_text(scope, expression);
    if (result->type == TYPE_UNKNOWN && word_at(scope, item.begin, "CAST"))
        return result->name != NULL; /* its type is no type of ours: reported already */
    if (result->type == TYPE_UNKNOWN)
        report_add(scope->report, query->source, offset, query->name,
                   "%s: an expression says its type: CAST(%s AS BIGINT) AS %s, or TEXT, or what it is", text,
                   text, result->name ? result->name : "name");
    else if (!result->name)
        report_add(scope->report, query->source, offset, query->name, "%s: give it a name: AS name", text);
    else
        check_name(scope, index, offset);
    return result->name != NULL;
}

void results_find(struct scope *scope, sqlite3_stmt *statement)
{
    struct query *query = scope->query;
    size_t count = (size_t)sqlite3_column_count(statement);
    query->results = weir_arena_zalloc(scope->schema->arena, (count + 1) * sizeof *query->results);
    struct span list = result_list(scope), rest = list, item;
    bool lone = is_lone_aggregate(scope, list);
    while (scope_next_part(scope, &rest, &item)) {
        size_t offset = scope_token(scope, item.begin)->offset;
        if (item.begin == item.end || word_at(scope, item.end - 1, "*")) {
            report_add(scope->report, query->source, offset, query->name,
                       "name the columns instead of *: one that is added later would change the struct");
            return;
        }
        if (query->result_count == count) {
            report_add(scope->report, query->source, offset, query->name,
                       "its columns cannot be told apart: write it more simply");
            return;
        }
        if (!find_result(scope, statement, query->result_count, item))
            return;
        query->result_count++;
        struct span expression = item;
        (void)take_name(scope, &expression);
        if (lone && scope_operand(scope, expression).kind == OPERAND_COLUMN)
            report_add(scope->report, query->source, offset, query->name,
                       "%s stands beside an aggregate: PostgreSQL wants it in GROUP BY",
                       scope_text(scope, expression));
    }
    if (query->result_count < count)
        report_add(scope->report, query->source, scope_token(scope, list.begin)->offset, query->name,
                   "its columns cannot be told apart: write it more simply");
}

/* ---- Rows that several queries share ---- */

static bool same_columns(const struct query *left, const struct query *right)
{
    bool same = left->result_count == right->result_count;
    for (size_t i = 0; same && i < left->result_count; i++)
        same = strcmp(left->results[i].name, right->results[i].name) == 0 &&
               left->results[i].type == right->results[i].type &&
               left->results[i].nullable == right->results[i].nullable;
    return same;
}

static const char *row_text(struct weir_arena *arena, const struct query *query)
{
    const char *text = "";
    for (size_t i = 0; i < query->result_count; i++)
        text = weir_arena_printf(arena, "%s%s%s %s%s", text, i ? ", " : "", query->results[i].name,
                                 type_name(query->results[i].type),
                                 query->results[i].nullable ? " or NULL" : "");
    return text;
}

void queries_share_rows(const struct schema *schema, struct queries *queries, struct report *report)
{
    for (size_t i = 0; i < queries->count; i++) {
        struct query *query = &queries->list[i];
        for (size_t j = 0; j < i && query->kind != QUERY_EXEC && !query->same_row; j++)
            if (queries->list[j].kind != QUERY_EXEC && strcmp(queries->list[j].row, query->row) == 0)
                query->same_row = &queries->list[j];
        if (query->same_row && !same_columns(query->same_row, query))
            report_add(
                report, query->source, query->offset, query->name,
                "its row %s has other columns (%s) than in line %zu (%s): make them the same, or give it "
                "another row",
                query->row, row_text(schema->arena, query), line_of(query->source, query->same_row->offset),
                row_text(schema->arena, query->same_row));
    }
}
