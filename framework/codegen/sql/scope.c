#include "scope.h"

#include <string.h>
#include <strings.h>

static const struct token none = {.kind = TOKEN_END};

const struct token *scope_token(const struct scope *scope, size_t at)
{
    return at < scope->query->token_count ? &scope->query->tokens[at] : &none;
}

static bool word_at(const struct scope *scope, size_t at, const char *words)
{
    return token_is_any(scope_token(scope, at), words);
}

size_t scope_close(const struct scope *scope, size_t open)
{
    size_t at = open + 1;
    while (at < scope->query->token_count &&
           !(word_at(scope, at, ")") && scope_token(scope, at)->depth == scope_token(scope, open)->depth))
        at++;
    return at + 1;
}

bool scope_next_part(const struct scope *scope, struct span *span, struct span *ret_part)
{
    if (span->begin >= span->end)
        return false;
    int depth = scope_token(scope, span->begin)->depth;
    size_t at = span->begin;
    while (at < span->end && !(word_at(scope, at, ",") && scope_token(scope, at)->depth <= depth))
        at++;
    *ret_part = (struct span){.begin = span->begin, .end = at};
    span->begin = at + 1;
    return true;
}

const char *scope_text(const struct scope *scope, struct span span)
{
    if (span.begin >= span.end)
        return "";
    const struct token *first = scope_token(scope, span.begin), *last = scope_token(scope, span.end - 1);
    const char *text = scope->query->source->text + first->offset;
    return weir_arena_text(scope->schema->arena, weir_bytes(text, last->offset + last->size - first->offset));
}

const char *scope_column_text(const struct scope *scope, const struct operand *operand)
{
    return weir_arena_printf(scope->schema->arena, "%s.%s", operand->table->name, operand->column->name);
}

size_t scope_find_word(const struct scope *scope, size_t at, const char *words)
{
    while (at < scope->query->token_count &&
           !(scope_token(scope, at)->depth == 0 && word_at(scope, at, words)))
        at++;
    return at;
}

/* ---- Tables ---- */

static const struct table *table_at(const struct scope *scope, size_t at)
{
    const struct token *token = scope_token(scope, at);
    return token->kind == TOKEN_WORD ? schema_table(scope->schema, token->text) : NULL;
}

/* Words that may follow a table where an alias could stand. */
#define AFTER_TABLE                                                                                          \
    "ON USING WHERE SET JOIN LEFT RIGHT FULL INNER CROSS NATURAL OUTER GROUP ORDER HAVING LIMIT OFFSET "     \
    "VALUES "                                                                                                \
    "SELECT RETURNING DEFAULT UNION EXCEPT INTERSECT WINDOW FROM AND OR NOT AS"

static struct weir_bytes alias_behind(const struct scope *scope, size_t at)
{
    if (word_at(scope, at, "AS"))
        at++;
    const struct token *token = scope_token(scope, at);
    bool is_alias = token->kind == TOKEN_WORD && !token_is_any(token, AFTER_TABLE);
    return is_alias ? token->text : weir_bytes(NULL, 0);
}

/* A LEFT JOIN before the table. */
static bool is_outer(const struct scope *scope, size_t at)
{
    return at >= 2 && word_at(scope, at - 1, "JOIN") &&
           (word_at(scope, at - 2, "LEFT") ||
            (word_at(scope, at - 2, "OUTER") && word_at(scope, at - 3, "LEFT")));
}

static void find_target(struct scope *scope)
{
    size_t verb = scope_find_word(scope, 0, "INSERT UPDATE DELETE");
    size_t at = word_at(scope, verb, "UPDATE") ? verb + 1 : scope_find_word(scope, verb, "INTO FROM") + 1;
    scope->target = verb < scope->query->token_count ? table_at(scope, at) : NULL;
    scope->target_at = at;
}

void scope_find(struct scope *scope, const struct schema *schema, struct query *query, struct report *report)
{
    *scope = (struct scope){.schema = schema, .query = query, .report = report};
    scope->references = weir_arena_alloc(schema->arena, (query->token_count + 1) * sizeof *scope->references);
    for (size_t i = 0; i < query->token_count; i++) {
        if (word_at(scope, i, "RIGHT FULL") || (word_at(scope, i, "JOIN") && !table_at(scope, i + 1) &&
                                                i > 0 && word_at(scope, i - 1, "LEFT OUTER")))
            scope->all_outer = true;
        const struct table *table = table_at(scope, i);
        if (!table || word_at(scope, i + 1, ".") || (i > 0 && word_at(scope, i - 1, ".")))
            continue;
        scope->all_outer = scope->all_outer || table->view;
        scope->references[scope->reference_count++] = (struct reference){
            .table = table,
            .alias = alias_behind(scope, i + 1),
            .outer = is_outer(scope, i),
        };
    }
    find_target(scope);
}

const struct reference *scope_reference(const struct scope *scope, const struct table *table)
{
    const struct reference *found = NULL;
    for (size_t i = 0; i < scope->reference_count; i++)
        if (scope->references[i].table == table && (!found || scope->references[i].outer))
            found = &scope->references[i];
    return found;
}

/* ---- Columns ---- */

static bool names_reference(const struct scope *scope, const struct reference *reference,
                            struct weir_bytes qualifier)
{
    if (qualifier.size == 0)
        return true;
    if (reference->table == scope->target && name_equal(qualifier, "excluded"))
        return true;
    if (name_equal(qualifier, reference->table->name))
        return true;
    return reference->alias.size == qualifier.size &&
           strncmp((const char *)reference->alias.data, (const char *)qualifier.data, qualifier.size) == 0;
}

/* A name given by AS may be meant instead: in a subquery, or WITH. */
static bool is_given_name(const struct scope *scope, struct weir_bytes name)
{
    for (size_t i = 1; i < scope->query->token_count; i++) {
        const struct token *token = scope_token(scope, i);
        if (token->kind == TOKEN_WORD && word_at(scope, i - 1, "AS") && token->text.size == name.size &&
            strncasecmp((const char *)token->text.data, (const char *)name.data, name.size) == 0)
            return true;
    }
    return false;
}

/* OTHER where tables disagree, or none has it. */
static struct operand column_operand(const struct scope *scope, struct span span, struct weir_bytes qualifier,
                                     struct weir_bytes name)
{
    struct operand operand = {.span = span, .nullable = true};
    if (qualifier.size == 0 && is_given_name(scope, name))
        return operand;
    for (size_t i = 0; i < scope->reference_count; i++) {
        const struct reference *reference = &scope->references[i];
        const struct column *column =
            names_reference(scope, reference, qualifier) ? table_column(reference->table, name) : NULL;
        if (!column)
            continue;
        bool nullable = column->nullable || reference->outer || scope->all_outer;
        if (operand.column && operand.type != column->type)
            return (struct operand){.span = span, .nullable = true};
        nullable = nullable || (operand.column && operand.nullable);
        operand = (struct operand){
            .kind = OPERAND_COLUMN,
            .span = span,
            .type = column->type,
            .nullable = nullable,
            .table = reference->table,
            .column = column,
        };
    }
    return operand;
}

/* ---- Operands ---- */

static struct parameter *parameter_of(const struct scope *scope, const struct token *token)
{
    struct weir_bytes name = weir_bytes(token->text.data + 1, token->text.size - 1);
    for (size_t i = 0; i < scope->query->parameter_count; i++)
        if (weir_bytes_equal_text(name, scope->query->parameters[i].name))
            return &scope->query->parameters[i];
    return NULL;
}

static enum type type_of_number(const struct token *token)
{
    for (size_t i = 0; i < token->text.size; i++)
        if (strchr(".eE", (char)token->text.data[i]))
            return TYPE_DOUBLE;
    return TYPE_BIGINT;
}

static struct operand single(const struct scope *scope, struct span span)
{
    const struct token *token = scope_token(scope, span.begin);
    struct operand literal = {.kind = OPERAND_LITERAL, .span = span};
    switch (token->kind) {
    case TOKEN_PARAMETER:
        literal.kind = OPERAND_PARAMETER;
        literal.parameter = parameter_of(scope, token);
        literal.nullable = literal.parameter->nullable || literal.parameter->asked;
        return literal;
    case TOKEN_STRING:
        literal.type = token->text.data[0] == '\'' ? TYPE_TEXT : TYPE_BYTEA;
        return literal;
    case TOKEN_NUMBER:
        literal.type = type_of_number(token);
        return literal;
    case TOKEN_WORD:
        break;
    default:
        return (struct operand){.span = span, .nullable = true};
    }
    literal.type = TYPE_BOOLEAN;
    if (token_is_any(token, "TRUE FALSE"))
        return literal;
    if (token_is(token, "NULL"))
        return (struct operand){.kind = OPERAND_NULL, .span = span, .nullable = true};
    return column_operand(scope, span, weir_bytes(NULL, 0), token->text);
}

/* The tokens are NAME (...). */
static bool is_call(const struct scope *scope, struct span span, const char *name)
{
    return word_at(scope, span.begin, name) && word_at(scope, span.begin + 1, "(") &&
           scope_close(scope, span.begin + 1) == span.end;
}

static struct span inside(struct span call)
{
    return (struct span){.begin = call.begin + 2, .end = call.end - 1};
}

/* CAST (expression AS type) */
static struct operand cast(const struct scope *scope, struct span span)
{
    struct span expression = inside(span);
    size_t as = expression.end;
    int depth = scope_token(scope, expression.begin)->depth;
    for (size_t i = expression.begin; i < expression.end; i++)
        if (word_at(scope, i, "AS") && scope_token(scope, i)->depth <= depth)
            as = i;
    const char *declared = scope_text(scope, (struct span){.begin = as + 1, .end = expression.end});
    expression.end = as;
    return (struct operand){
        .span = span,
        .type = type_of_declaration(weir_bytes_of_text(declared)),
        .nullable = scope_nullable(scope, expression),
    };
}

/* In PostgreSQL a literal has the least type that holds it. */
static bool is_number(const struct operand *operand)
{
    return operand->kind == OPERAND_LITERAL && (operand->type == TYPE_BIGINT || operand->type == TYPE_DOUBLE);
}

/* All that have a type have the same; the last decides whether it may be NULL. A number says nothing: it takes the type
 * of the others. */
static struct operand coalesce(const struct scope *scope, struct span span)
{
    struct operand result = {.span = span};
    bool disagree = false;
    struct span rest = inside(span), part;
    while (scope_next_part(scope, &rest, &part)) {
        struct operand operand = scope_operand(scope, part);
        result.nullable = operand.nullable;
        if (operand.kind == OPERAND_NULL || operand.kind == OPERAND_PARAMETER || is_number(&operand))
            continue;
        disagree = disagree || operand.type == TYPE_UNKNOWN ||
                   (result.type != TYPE_UNKNOWN && result.type != operand.type);
        result.type = operand.type;
    }
    rest = inside(span);
    while (scope_next_part(scope, &rest, &part)) {
        struct operand operand = scope_operand(scope, part);
        disagree = disagree || (is_number(&operand) && operand.type != result.type);
    }
    if (disagree)
        result.type = TYPE_UNKNOWN;
    return result;
}

struct operand scope_operand(const struct scope *scope, struct span span)
{
    size_t size = span.end - span.begin;
    if (span.begin < span.end && size == 1)
        return single(scope, span);
    if (size == 2 && word_at(scope, span.begin, "- +") &&
        scope_token(scope, span.begin + 1)->kind == TOKEN_NUMBER)
        return (struct operand){.kind = OPERAND_LITERAL,
                                .span = span,
                                .type = type_of_number(scope_token(scope, span.begin + 1))};
    const struct token *first = scope_token(scope, span.begin), *third = scope_token(scope, span.begin + 2);
    if (size == 3 && word_at(scope, span.begin + 1, ".") && first->kind == TOKEN_WORD &&
        third->kind == TOKEN_WORD)
        return column_operand(scope, span, first->text, third->text);
    if (is_call(scope, span, "CAST"))
        return cast(scope, span);
    if (is_call(scope, span, "COALESCE"))
        return coalesce(scope, span);
    /* count(*), also with FILTER (...) behind it */
    bool counts = is_call(scope, span, "count");
    if (word_at(scope, span.begin, "count") && word_at(scope, span.begin + 1, "(")) {
        size_t filter = scope_close(scope, span.begin + 1);
        counts = counts || (word_at(scope, filter, "FILTER") && word_at(scope, filter + 1, "(") &&
                            scope_close(scope, filter + 1) == span.end);
    }
    if (counts)
        return (struct operand){.span = span, .type = TYPE_BIGINT};
    return (struct operand){.span = span, .nullable = true};
}

/* ---- NULL ---- */

/* CASE ... ELSE ... END: what stands behind THEN and ELSE. Parts of a CASE within it are looked at as if they
 * were its own, which errs to NULL. */
static bool case_nullable(const struct scope *scope, struct span span)
{
    bool has_else = false;
    for (size_t i = span.begin + 1; i + 1 < span.end; i++) {
        if (word_at(scope, i, "CASE"))
            return true;
        if (!word_at(scope, i, "THEN ELSE") ||
            scope_token(scope, i)->depth != scope_token(scope, span.begin)->depth)
            continue;
        has_else = has_else || word_at(scope, i, "ELSE");
        size_t end = i + 1;
        while (end + 1 < span.end && !word_at(scope, end, "WHEN ELSE"))
            end++;
        if (scope_nullable(scope, (struct span){.begin = i + 1, .end = end}))
            return true;
    }
    return !has_else;
}

/* Division by zero is NULL in SQLite; a subquery may have no row. */
bool scope_nullable(const struct scope *scope, struct span span)
{
    struct operand whole = scope_operand(scope, span);
    if (whole.kind != OPERAND_OTHER || whole.type != TYPE_UNKNOWN)
        return whole.nullable;
    if (is_call(scope, span, "COALESCE"))
        return whole.nullable;
    if (word_at(scope, span.begin, "CASE") && word_at(scope, span.end - 1, "END"))
        return case_nullable(scope, span);
    if (span.begin >= span.end)
        return true;
    for (size_t i = span.begin; i < span.end; i++) {
        if (word_at(scope, i, "+ - * || ( ) AND OR NOT = <> < > <= >="))
            continue;
        bool qualified = word_at(scope, i + 1, ".");
        struct span atom = {.begin = i, .end = i + (qualified ? 3 : 1)};
        if (word_at(scope, i + 1, "(") || atom.end > span.end || scope_operand(scope, atom).nullable)
            return true;
        i = atom.end - 1;
    }
    return false;
}
