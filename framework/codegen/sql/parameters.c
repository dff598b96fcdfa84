/* A parameter has the type of the column that it is compared with or assigned to, or says it: CAST(@n AS
 * BIGINT). What is compared or assigned must fit. */
#include <string.h>
#include <strings.h>

#include "scope.h"

static const struct token *token_at(const struct scope *scope, size_t at)
{
    return scope_token(scope, at);
}

static bool word_at(const struct scope *scope, size_t at, const char *words)
{
    return token_is_any(token_at(scope, at), words);
}

static size_t offset_of(const struct scope *scope, const struct operand *operand)
{
    return token_at(scope, operand->span.begin)->offset;
}

static const char *describe(const struct scope *scope, const struct operand *operand)
{
    const char *text = operand->kind == OPERAND_COLUMN ? scope_column_text(scope, operand)
                                                       : scope_text(scope, operand->span);
    return weir_arena_printf(scope->schema->arena, "%s (%s)", text, type_name(operand->type));
}

/* What two operands are to each other. */
enum relation {
    COMPARED,
    COMPARED_WITH_NULL, /* IS DISTINCT FROM */
    ASSIGNED            /* the left is given the right */
};

/* `by` may have a type. */
static void give_type(struct scope *scope, const struct operand *to, const struct operand *by,
                      enum relation relation)
{
    struct parameter *parameter = to->parameter;
    bool nullable = relation != COMPARED && by->nullable;
    if (by->type == TYPE_UNKNOWN)
        return;
    if (parameter->type == TYPE_UNKNOWN) {
        parameter->type = by->type;
        parameter->typed_by = describe(scope, by);
        parameter->nullable = nullable;
    } else if (parameter->type != by->type) {
        report_add(scope->report, scope->query->source, offset_of(scope, to), scope->query->name,
                   "@%s goes with %s, and with %s: take two parameters", parameter->name, parameter->typed_by,
                   describe(scope, by));
    }
    parameter->nullable = parameter->nullable && nullable;
}

static bool is_number(enum type type)
{
    return type == TYPE_BIGINT || type == TYPE_DOUBLE;
}

static void check_fit(struct scope *scope, const struct operand *left, const struct operand *right,
                      enum relation relation)
{
    bool assigned = relation == ASSIGNED;
    if (assigned && right->kind == OPERAND_NULL && left->kind == OPERAND_COLUMN && !left->column->nullable)
        report_add(scope->report, scope->query->source, offset_of(scope, right), scope->query->name,
                   "%s is NOT NULL: give it a value", scope_column_text(scope, left));
    if (left->type == TYPE_UNKNOWN || right->type == TYPE_UNKNOWN || left->type == right->type)
        return;
    if (assigned ? left->type == TYPE_DOUBLE && right->type == TYPE_BIGINT
                 : is_number(left->type) && is_number(right->type))
        return;
    report_add(scope->report, scope->query->source, offset_of(scope, left), scope->query->name,
               assigned ? "%s cannot be given %s: take the same type on both sides"
                        : "%s cannot be compared with %s: take the same type on both sides",
               describe(scope, left), describe(scope, right));
}

/* What is given a value is a column of the statement's table, whatever else has its name. */
static struct operand target_column(const struct scope *scope, struct span span)
{
    const struct column *column =
        scope->target ? table_column(scope->target, token_at(scope, span.begin)->text) : NULL;
    if (!column || span.end != span.begin + 1)
        return (struct operand){.span = span};
    return (struct operand){.kind = OPERAND_COLUMN,
                            .span = span,
                            .type = column->type,
                            .nullable = column->nullable,
                            .table = scope->target,
                            .column = column};
}

static void relate(struct scope *scope, struct span left_span, struct span right_span, enum relation relation)
{
    struct operand left =
        relation == ASSIGNED ? target_column(scope, left_span) : scope_operand(scope, left_span);
    struct operand right = scope_operand(scope, right_span);
    if (left.kind == OPERAND_PARAMETER && right.kind == OPERAND_PARAMETER)
        return;
    if (right.kind == OPERAND_PARAMETER)
        give_type(scope, &right, &left, relation);
    else if (left.kind == OPERAND_PARAMETER)
        give_type(scope, &left, &right, COMPARED);
    else
        check_fit(scope, &left, &right, relation);
}

/* ---- Where an operand begins and ends ---- */

#define BEFORE_OPERAND                                                                                       \
    "WHERE AND OR NOT ON WHEN HAVING SET THEN ELSE CASE SELECT BY RETURNING DISTINCT VALUES ,"
#define BEHIND_OPERAND                                                                                       \
    "AND OR THEN WHEN ELSE END ORDER GROUP LIMIT OFFSET HAVING RETURNING WHERE FROM JOIN LEFT INNER CROSS "  \
    "RIGHT FULL NATURAL UNION EXCEPT INTERSECT AS ON USING DO ESCAPE ,"

static struct span left_of(const struct scope *scope, size_t operator)
{
    int depth = token_at(scope, operator)->depth;
    size_t begin = operator;
    while (begin > 0) {
        const struct token *token = token_at(scope, begin - 1);
        if (token->depth < depth || (token->depth == depth && token_is_any(token, BEFORE_OPERAND)))
            break;
        begin--;
    }
    return (struct span){.begin = begin, .end = operator};
}

static struct span right_of(const struct scope *scope, size_t operator, size_t begin)
{
    int depth = token_at(scope, operator)->depth;
    size_t end = begin;
    while (end < scope->query->token_count) {
        const struct token *token = token_at(scope, end);
        if (token->depth < depth || (token->depth == depth && token_is_any(token, BEHIND_OPERAND)))
            break;
        end++;
    }
    return (struct span){.begin = begin, .end = end};
}

/* ( a, b ) of both sides, one by one: row values. */
static bool relate_rows(struct scope *scope, struct span left, struct span right)
{
    if (!word_at(scope, left.begin, "(") || !word_at(scope, right.begin, "(") ||
        scope_close(scope, left.begin) != left.end || scope_close(scope, right.begin) != right.end)
        return false;
    struct span left_list = {.begin = left.begin + 1, .end = left.end - 1}, left_part;
    struct span right_list = {.begin = right.begin + 1, .end = right.end - 1}, right_part;
    while (scope_next_part(scope, &left_list, &left_part) && scope_next_part(scope, &right_list, &right_part))
        relate(scope, left_part, right_part, COMPARED);
    return true;
}

/* ---- Places where types come from ---- */

/* The SET list of an UPDATE, or of DO UPDATE. */
static bool is_assignment(const struct scope *scope, size_t operator, struct span left)
{
    if (!word_at(scope, operator, "=") || token_at(scope, operator)->depth != 0 || left.begin == 0 ||
        !word_at(scope, left.begin - 1, "SET ,"))
        return false;
    for (size_t i = left.begin; i > 0; i--)
        if (token_at(scope, i - 1)->depth == 0 && word_at(scope, i - 1, "SET WHERE FROM SELECT RETURNING BY"))
            return word_at(scope, i - 1, "SET");
    return false;
}

static void at_comparison(struct scope *scope, size_t operator)
{
    struct span left = left_of(scope, operator), right = right_of(scope, operator, operator+ 1);
    if (!relate_rows(scope, left, right))
        relate(scope, left, right, is_assignment(scope, operator, left) ? ASSIGNED : COMPARED);
}

/* IS [NOT] DISTINCT FROM */
static void at_distinct(struct scope *scope, size_t from)
{
    size_t is = word_at(scope, from - 2, "NOT") ? from - 3 : from - 2;
    if (word_at(scope, is, "IS"))
        relate(scope, left_of(scope, is), right_of(scope, from, from + 1), COMPARED_WITH_NULL);
}

static size_t without_not(const struct scope *scope, size_t operator)
{
    return operator> 0 && word_at(scope, operator- 1, "NOT") ? operator- 1 : operator;
}

static void at_in(struct scope *scope, size_t operator)
{
    if (!word_at(scope, operator+ 1, "(") || word_at(scope, operator+ 2, "SELECT WITH VALUES"))
        return;
    struct span left = left_of(scope, without_not(scope, operator));
    struct span list = {.begin = operator+ 2, .end = scope_close(scope, operator+ 1) - 1}, part;
    while (scope_next_part(scope, &list, &part))
        relate(scope, left, part, COMPARED);
}

static void at_between(struct scope *scope, size_t operator)
{
    struct span left = left_of(scope, without_not(scope, operator));
    struct span low = right_of(scope, operator, operator+ 1);
    relate(scope, left, low, COMPARED);
    if (word_at(scope, low.end, "AND"))
        relate(scope, left, right_of(scope, operator, low.end + 1), COMPARED);
}

/* Of COALESCE, every parameter is like the first that has a type. */
static void at_coalesce(struct scope *scope, size_t name)
{
    if (!word_at(scope, name + 1, "("))
        return;
    struct span list = {.begin = name + 2, .end = scope_close(scope, name + 1) - 1}, part;
    struct span typed = {0}, again = list;
    size_t list_end = list.end;
    while (typed.end == 0 && scope_next_part(scope, &list, &part))
        if (scope_operand(scope, part).type != TYPE_UNKNOWN)
            typed = part;
    while (scope_next_part(scope, &again, &part)) {
        struct operand operand = scope_operand(scope, part);
        if (operand.kind != OPERAND_PARAMETER)
            continue;
        operand.parameter->asked = operand.parameter->asked || part.end < list_end;
        if (typed.end > 0)
            relate(scope, typed, part, COMPARED);
    }
}

static void at_cast(struct scope *scope, size_t name)
{
    if (!word_at(scope, name + 1, "("))
        return;
    struct span span = {.begin = name, .end = scope_close(scope, name + 1)};
    struct operand whole = scope_operand(scope, span);
    size_t as = name + 2;
    while (as < span.end &&
           !(word_at(scope, as, "AS") && token_at(scope, as)->depth <= token_at(scope, name + 2)->depth))
        as++;
    const char *declared = scope_text(scope, (struct span){.begin = as + 1, .end = span.end - 1});
    if (whole.type == TYPE_UNKNOWN)
        report_add(scope->report, scope->query->source, token_at(scope, as + 1)->offset, scope->query->name,
                   "%s is no type that is the same in every database: %s", declared, type_advice(declared));
    else if (whole.type == TYPE_BYTEA)
        report_add(scope->report, scope->query->source, token_at(scope, as + 1)->offset, scope->query->name,
                   "SQLite makes a number of CAST(... AS BYTEA): take a column of that type");
    if (as == name + 3 && token_at(scope, name + 2)->kind == TOKEN_PARAMETER) {
        struct operand to = scope_operand(scope, (struct span){.begin = name + 2, .end = name + 3});
        whole.nullable = false;
        give_type(scope, &to, &whole, COMPARED);
    }
}

static void at_limit(struct scope *scope, size_t name)
{
    struct operand to = scope_operand(scope, (struct span){.begin = name + 1, .end = name + 2});
    if (to.kind == OPERAND_PARAMETER)
        give_type(scope, &to,
                  &(struct operand){.span = {.begin = name, .end = name + 1}, .type = TYPE_BIGINT}, COMPARED);
}

/* A condition by itself. */
static void at_truth(struct scope *scope, size_t word)
{
    struct operand operand = scope_operand(scope, right_of(scope, word, word + 1));
    struct operand truth = {.span = {.begin = word, .end = word + 1}, .type = TYPE_BOOLEAN};
    if (operand.kind == OPERAND_PARAMETER)
        give_type(scope, &operand, &truth, COMPARED);
    else if (operand.kind != OPERAND_OTHER && operand.type != TYPE_UNKNOWN && operand.type != TYPE_BOOLEAN)
        report_add(scope->report, scope->query->source, offset_of(scope, &operand), scope->query->name,
                   "%s is no truth value in PostgreSQL: compare it", describe(scope, &operand));
}

/* What stands beside an arithmetic operator: a column, a number, or behind it a CAST. */
static struct operand neighbour(const struct scope *scope, size_t operator, bool before)
{
    struct span span = {.begin = operator+ 1, .end = operator+ 2 };
    if (before)
        span = (struct span){.begin = operator-(operator>= 3 && word_at(scope, operator- 2, ".") ? 3 : 1),
                             .end = operator};
    else if (word_at(scope, operator+ 2, "."))
        span.end = operator+ 4;
    else if (word_at(scope, operator+ 2, "("))
        span.end = scope_close(scope, operator+ 2);
    if (before && operator== 0)
        return (struct operand){.span = {.begin = 0, .end = 1}};
    return scope_operand(scope, span);
}

static void beside(struct scope *scope, const struct operand *to, size_t operator, bool before)
{
    struct operand other = neighbour(scope, operator, before);
    bool fits = word_at(scope, operator, "||") ? other.type == TYPE_TEXT : is_number(other.type);
    if (fits && word_at(scope, operator, "+ - * / % & | << >> ||"))
        give_type(scope, to, &other, COMPARED);
}

static void at_parameter(struct scope *scope, size_t at)
{
    struct operand to = scope_operand(scope, (struct span){.begin = at, .end = at + 1});
    if (at > 0)
        beside(scope, &to, at - 1, true);
    beside(scope, &to, at + 1, false);

    size_t is = at + 1; /* also behind CAST(@name AS type) */
    if (at >= 2 && word_at(scope, at - 1, "(") && word_at(scope, at - 2, "CAST"))
        is = scope_close(scope, at - 1);
    bool asked =
        word_at(scope, is, "IS") && word_at(scope, is + (word_at(scope, is + 1, "NOT") ? 2 : 1), "NULL");
    to.parameter->asked = to.parameter->asked || asked;
}

/* ---- INSERT ---- */

static void relate_list(struct scope *scope, struct span columns, struct span values)
{
    struct span column, value;
    while (scope_next_part(scope, &columns, &column) && scope_next_part(scope, &values, &value))
        relate(scope, column, value, ASSIGNED);
}

static bool lists(const struct scope *scope, struct span columns, const char *name)
{
    struct span part;
    while (scope_next_part(scope, &columns, &part))
        if (name_equal(token_at(scope, part.begin)->text, name))
            return true;
    return false;
}

static void check_left_out(struct scope *scope, struct span columns)
{
    const struct table *table = scope->target;
    for (size_t i = 0; i < table->column_count; i++)
        if (!table->columns[i].optional && !lists(scope, columns, table->columns[i].name))
            report_add(scope->report, scope->query->source, token_at(scope, scope->target_at)->offset,
                       scope->query->name, "%s.%s is NOT NULL and has no default: give it a value",
                       table->name, table->columns[i].name);
}

/* False: it does not say which columns. */
static bool at_insert(struct scope *scope)
{
    size_t open = scope->target_at + 1;
    if (word_at(scope, open, "AS"))
        open += 2;
    if (!word_at(scope, open, "(")) {
        report_add(scope->report, scope->query->source, token_at(scope, scope->target_at)->offset,
                   scope->query->name, "name the columns: INSERT INTO %s (%s) ...", scope->target->name,
                   table_columns_text(scope->schema->arena, scope->target));
        return false;
    }
    size_t at = scope_close(scope, open);
    struct span columns = {.begin = open + 1, .end = at - 1};
    check_left_out(scope, columns);
    if (word_at(scope, at, "SELECT")) {
        size_t end = scope_find_word(scope, at, "FROM WHERE GROUP ORDER LIMIT ON RETURNING");
        relate_list(scope, columns, (struct span){.begin = at + 1, .end = end});
    }
    for (at++; word_at(scope, at - 1, "VALUES ,") && word_at(scope, at, "("); at++) {
        size_t end = scope_close(scope, at);
        relate_list(scope, columns, (struct span){.begin = at + 1, .end = end - 1});
        at = end;
    }
    return true;
}

static void look_at(struct scope *scope, size_t at)
{
    if (word_at(scope, at, "= == <> != < <= > >= LIKE"))
        at_comparison(scope, at);
    else if (word_at(scope, at, "FROM") && at >= 2 && word_at(scope, at - 1, "DISTINCT"))
        at_distinct(scope, at);
    else if (word_at(scope, at, "IN"))
        at_in(scope, at);
    else if (word_at(scope, at, "BETWEEN"))
        at_between(scope, at);
    else if (word_at(scope, at, "COALESCE"))
        at_coalesce(scope, at);
    else if (word_at(scope, at, "CAST"))
        at_cast(scope, at);
    else if (word_at(scope, at, "LIMIT OFFSET"))
        at_limit(scope, at);
    else if (word_at(scope, at, "WHERE HAVING OR"))
        at_truth(scope, at);
    else if (token_at(scope, at)->kind == TOKEN_PARAMETER)
        at_parameter(scope, at);
}

void parameters_find(struct scope *scope)
{
    struct query *query = scope->query;
    if (scope->target && scope_find_word(scope, 0, "INSERT") < query->token_count && !at_insert(scope))
        return;
    for (size_t i = 0; i < query->token_count; i++)
        look_at(scope, i);
    for (size_t i = 0; i < query->parameter_count; i++) {
        struct parameter *parameter = &query->parameters[i];
        parameter->nullable = parameter->nullable || parameter->asked;
        if (parameter->type == TYPE_UNKNOWN)
            report_add(scope->report, query->source, parameter->offset, query->name,
                       "@%s: nothing says its type: write CAST(@%s AS BIGINT), or TEXT, or what it is",
                       parameter->name, parameter->name);
    }
}
