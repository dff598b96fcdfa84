/* What names in a statement mean. Not a parser of SQL, which SQLite has: every table that a statement names is
 * taken for a possible meaning everywhere in it, so an answer is right or there is none. */
#ifndef CODEGEN_SQL_SCOPE_H
#define CODEGEN_SQL_SCOPE_H

#include "sqlgen.h"

struct reference {
    const struct table *table;
    struct weir_bytes alias; /* empty: none */
    bool outer;              /* the other side of an outer join: NULL where there is no row */
};

struct scope {
    const struct schema *schema;
    struct query *query;
    struct report *report;
    struct reference *references;
    size_t reference_count;
    const struct table *target; /* of INSERT, UPDATE, DELETE; NULL: none */
    size_t target_at;           /* its token */
    bool all_outer;             /* an outer join whose sides cannot be told apart */
};

/* Tokens [begin, end) of the statement. */
struct span {
    size_t begin, end;
};

enum operand_kind {
    OPERAND_OTHER, /* an expression; its type is unknown unless it says it */
    OPERAND_COLUMN,
    OPERAND_PARAMETER,
    OPERAND_LITERAL,
    OPERAND_NULL
};

struct operand {
    enum operand_kind kind;
    struct span span;
    enum type type;
    bool nullable;
    const struct table *table; /* of a COLUMN */
    const struct column *column;
    struct parameter *parameter;
};

void scope_find(struct scope *scope, const struct schema *schema, struct query *query, struct report *report);

/* What the tokens are, as a whole. */
struct operand scope_operand(const struct scope *scope, struct span span);
/* An expression's value may be NULL. */
bool scope_nullable(const struct scope *scope, struct span span);
const struct reference *scope_reference(const struct scope *scope, const struct table *table);

const struct token *scope_token(const struct scope *scope, size_t at); /* an END behind the last */
/* Behind the last parenthesis of the one at `open`. */
size_t scope_close(const struct scope *scope, size_t open);
/* The next part of a list in [span.begin, span.end), separated by commas; moves span.begin behind it. False:
 * there is none. */
bool scope_next_part(const struct scope *scope, struct span *span, struct span *ret_part);
/* As it is written. */
const char *scope_text(const struct scope *scope, struct span span);
/* "stock.on_hand" */
const char *scope_column_text(const struct scope *scope, const struct operand *operand);
/* The first token of depth 0 from `at` on that is any of the words; token_count: none is. */
size_t scope_find_word(const struct scope *scope, size_t at, const char *words);

/* parameters.c: types of parameters, and whether what is compared and assigned fits. */
void parameters_find(struct scope *scope);
/* results.c: names and types of the columns that come back; `statement` is prepared. */
void results_find(struct scope *scope, sqlite3_stmt *statement);

#endif
