/* What weir-sqlgen knows of a schema and its named queries. Everything lives in one arena, made by the program;
 * texts of files are borrowed from it. */
#ifndef CODEGEN_SQLGEN_H
#define CODEGEN_SQLGEN_H

#include <stdbool.h>
#include <stddef.h>

#include <sqlite3.h>

#include <weir/arena.h>
#include <weir/bytes.h>

#include "lexer.h"

/* The types that SQLite and PostgreSQL have both, and that mean the same in both. */
enum type { TYPE_UNKNOWN, TYPE_BIGINT, TYPE_BOOLEAN, TYPE_DOUBLE, TYPE_TEXT, TYPE_BYTEA };

struct source {
    const char *path; /* as it was given, for errors */
    const char *name; /* its last part */
    const char *text; /* terminated */
    size_t size;
};

/* ---- Mistakes ---- */

/* What was found, a line each: "FILE:LINE:COLUMN: SUBJECT: text". */
struct report {
    struct weir_buffer text;
    size_t count;
};

/* `subject` may be NULL. */
void report_add(struct report *report, const struct source *source, size_t offset, const char *subject,
                const char *format, ...) WEIR_PRINTF(5, 6);
size_t line_of(const struct source *source, size_t offset);

/* ---- Types ---- */

/* "BIGINT" as declared, in any case. UNKNOWN: not one of ours; type_advice() says which to take instead. */
enum type type_of_declaration(struct weir_bytes declared);
const char *type_advice(const char *declared);
const char *type_name(enum type type); /* "BIGINT" */

/* ---- The schema ---- */

struct column {
    const char *name;
    enum type type;
    bool nullable;
    bool optional; /* an INSERT may leave it out: has a default, may be NULL, or is generated */
};

struct table {
    const char *name;
    struct column *columns;
    size_t column_count;
    bool view;
};

struct schema {
    struct weir_arena *arena;
    sqlite3 *db; /* in memory, all migrations applied */
    const struct source *migrations;
    size_t migration_count;
    struct table *tables;
    size_t table_count;
};

/* Applies the migrations to a database in memory and reads what came of it. False: `report` says why. The
 * database is the caller's, to close, in any case. */
bool schema_load(struct schema *schema, struct report *report);
const struct table *schema_table(const struct schema *schema, struct weir_bytes name);
const struct column *table_column(const struct table *table, struct weir_bytes name);
/* "sku, on_hand, reserved" */
const char *table_columns_text(struct weir_arena *arena, const struct table *table);
const char *schema_tables_text(struct weir_arena *arena, const struct schema *schema);

/* ---- Queries ---- */

enum query_kind { QUERY_ONE, QUERY_MANY, QUERY_EXEC };

struct parameter {
    const char *name; /* without its @ */
    size_t offset;    /* of its first place */
    enum type type;
    const char *typed_by; /* what has given it its type, for errors */
    bool asked;           /* whether it is NULL: by IS NULL, or COALESCE */
    bool nullable;
};

struct result {
    const char *name;
    enum type type;
    bool nullable;
};

struct query {
    const char *name;
    const char *row;              /* its rows are struct ROW_row; its own name where it says no other */
    const struct query *same_row; /* an earlier one with that row; NULL: none */
    enum query_kind kind;
    const char *comment; /* lines, each ends with a newline; "" none */
    const struct source *source;
    size_t offset;        /* of its header */
    struct token *tokens; /* of its statement, without comments and its semicolon */
    size_t token_count;
    const char **lines; /* with ?1 for the parameters */
    size_t line_count;
    bool read_only;
    struct parameter *parameters;
    size_t parameter_count;
    struct result *results;
    size_t result_count;
};

struct queries {
    struct query *list;
    size_t count;
};

/* Splits a file into named statements. */
bool queries_parse(struct weir_arena *arena, const struct source *source, struct queries *ret_queries,
                   struct report *report);
/* Of queries that are checked: those that share a row have the same columns. */
void queries_share_rows(const struct schema *schema, struct queries *queries, struct report *report);
/* Prepares a statement against the schema and finds the types of its parameters and results. */
void query_check(const struct schema *schema, struct query *query, struct report *report);

/* ---- Output ---- */

void emit_header(struct weir_buffer *out, const char *name, const struct schema *schema,
                 const struct queries *queries);
void emit_source(struct weir_buffer *out, const char *name, const struct schema *schema,
                 const struct queries *queries);

#endif
