/* Applies migrations as a service would, and reads the tables that come of them. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "sqlgen.h"

static const struct token *next_code(struct lexer *lexer, struct token *token)
{
    do
        *token = lexer_next(lexer);
    while (token->kind == TOKEN_COMMENT);
    return token;
}

/* Where a mistake is that SQLite has no offset for: the statement's first token. */
static size_t first_token(const struct source *source, size_t from)
{
    struct lexer lexer = {.text = source->text, .at = from};
    struct token token;
    return next_code(&lexer, &token)->offset;
}

static bool refuse(struct report *report, const struct source *source, sqlite3 *db, size_t from)
{
    int inside = sqlite3_error_offset(db);
    report_add(report, source, inside >= 0 ? from + (size_t)inside : first_token(source, from), NULL, "%s",
               sqlite3_errmsg(db));
    return false;
}

static bool runs_in_transaction(const struct source *source, size_t from, struct report *report)
{
    struct lexer lexer = {.text = source->text, .at = from};
    struct token token;
    if (!token_is_any(next_code(&lexer, &token),
                      "BEGIN COMMIT END ROLLBACK SAVEPOINT RELEASE PRAGMA VACUUM ATTACH DETACH"))
        return true;
    report_add(report, source, token.offset, NULL,
               "%.*s: a migration runs in a transaction of its own, with tables and rows only: take it out",
               (int)token.text.size, (const char *)token.text.data);
    return false;
}

static bool apply(sqlite3 *db, const struct source *source, struct report *report)
{
    bool any = false;
    for (const char *at = source->text; *at;) {
        size_t from = (size_t)(at - source->text);
        sqlite3_stmt *statement = NULL;
        if (!runs_in_transaction(source, from, report))
            return false;
        if (sqlite3_prepare_v2(db, at, -1, &statement, &at) != SQLITE_OK)
            return refuse(report, source, db, from);
        if (!statement)
            continue;
        any = true;
        int code;
        do
            code = sqlite3_step(statement);
        while (code == SQLITE_ROW);
        bool failed = code != SQLITE_DONE && refuse(report, source, db, from);
        sqlite3_finalize(statement);
        if (failed || code != SQLITE_DONE)
            return false;
    }
    if (!any)
        report_add(report, source, 0, NULL,
                   "the migration is empty: write its statements, or delete the file");
    return any;
}

/* ---- What there is ---- */

static sqlite3_stmt *list(sqlite3 *db, const char *sql, const char *name)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        abort(); /* our own statement */
    if (name)
        sqlite3_bind_text(statement, 1, name, -1, SQLITE_TRANSIENT);
    return statement;
}

static const char *text_at(struct weir_arena *arena, sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return weir_arena_strdup(arena, text ? text : "");
}

static size_t count_of(sqlite3 *db, const char *sql, const char *name)
{
    sqlite3_stmt *statement = list(db, sql, name);
    size_t count = sqlite3_step(statement) == SQLITE_ROW ? (size_t)sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return count;
}

/* Where a column is declared: its name with the type behind it; else the begin of the file. */
static size_t declaration(const struct source *source, const char *name, const char *declared)
{
    struct lexer lexer = {.text = source->text};
    struct token token, before = {0};
    while (next_code(&lexer, &token)->kind != TOKEN_END) {
        bool same_type = token.kind == TOKEN_WORD &&
                         strncmp(declared, (const char *)token.text.data, token.text.size) == 0;
        if (before.kind == TOKEN_WORD && name_equal(before.text, name) && (same_type || !declared[0]))
            return before.offset;
        before = token;
    }
    return 0;
}

struct place {
    struct schema *schema;
    const struct source *source; /* the migration that was applied last */
    struct report *report;
};

/* A key that may be NULL is an old mistake of SQLite's that PostgreSQL has not. */
static void check_column(const struct place *place, const struct table *table, const struct column *column,
                         const char *declared, bool key)
{
    size_t offset = declaration(place->source, column->name, declared);
    if (!declared[0])
        report_add(place->report, place->source, offset, NULL, "%s.%s: has no type: %s", table->name,
                   column->name, type_advice(declared));
    else if (column->type == TYPE_UNKNOWN)
        report_add(place->report, place->source, offset, NULL,
                   "%s.%s: %s is no type that is the same in every database: %s", table->name, column->name,
                   declared, type_advice(declared));
    else if (key && column->nullable)
        report_add(place->report, place->source, offset, NULL,
                   "%s.%s: SQLite allows NULL in a PRIMARY KEY, PostgreSQL does not: declare it NOT NULL",
                   table->name, column->name);
}

static void load_columns(const struct place *place, struct table *table, const struct table *known)
{
    struct weir_arena *arena = place->schema->arena;
    sqlite3 *db = place->schema->db;
    table->columns = weir_arena_alloc(
        arena, sizeof *table->columns *
                   (1 + count_of(db, "SELECT count(*) FROM pragma_table_xinfo(?1)", table->name)));
    sqlite3_stmt *statement = list(
        db, "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk, hidden FROM pragma_table_xinfo(?1)",
        table->name);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        struct column *column = &table->columns[table->column_count++];
        const char *declared = text_at(arena, statement, 1);
        bool not_null = sqlite3_column_int(statement, 2) != 0;
        *column = (struct column){
            .name = text_at(arena, statement, 0),
            .type = type_of_declaration(weir_bytes_of_text(declared)),
            .nullable = !not_null,
            .optional = !not_null || sqlite3_column_int(statement, 3) || sqlite3_column_int(statement, 5),
        };
        bool is_new = !known || !table_column(known, weir_bytes_of_text(column->name));
        if (!table->view && is_new)
            check_column(place, table, column, declared, sqlite3_column_int(statement, 4) != 0);
    }
    sqlite3_finalize(statement);
}

#define TABLES "FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"

/* All over again: a migration may have dropped and renamed. */
static void load_tables(const struct place *place)
{
    struct schema *schema = place->schema;
    struct schema before = *schema;
    size_t count = count_of(schema->db, "SELECT count(*) " TABLES, NULL);
    schema->tables = weir_arena_alloc(schema->arena, (count + 1) * sizeof *schema->tables);
    schema->table_count = 0;
    sqlite3_stmt *statement = list(schema->db, "SELECT name, type = 'view' " TABLES " ORDER BY rowid", NULL);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        struct table *table = &schema->tables[schema->table_count++];
        *table = (struct table){.name = text_at(schema->arena, statement, 0),
                                .view = sqlite3_column_int(statement, 1) != 0};
        load_columns(place, table, schema_table(&before, weir_bytes_of_text(table->name)));
    }
    sqlite3_finalize(statement);
}

/* "003_returns.sql" is the third. */
static void check_number(const struct source *source, size_t number, struct report *report)
{
    char *end = NULL;
    unsigned long said = isdigit((unsigned char)source->name[0]) ? strtoul(source->name, &end, 10) : 0;
    if (said != number)
        report_add(report, source, 0, NULL,
                   "is migration %zu of SCHEMA: its name must begin with %03zu_, and the oldest stands first",
                   number, number);
}

bool schema_load(struct schema *schema, struct report *report)
{
    size_t before = report->count;
    if (sqlite3_open(":memory:", &schema->db) != SQLITE_OK)
        abort(); /* out of memory */
    /* A text in double quotes is a name, as in PostgreSQL. */
    sqlite3_db_config(schema->db, SQLITE_DBCONFIG_DQS_DML, 0, (int *)NULL);
    sqlite3_db_config(schema->db, SQLITE_DBCONFIG_DQS_DDL, 0, (int *)NULL);
    for (size_t i = 0; i < schema->migration_count && report->count == before; i++) {
        const struct source *source = &schema->migrations[i];
        check_number(source, i + 1, report);
        if (apply(schema->db, source, report))
            load_tables(&(struct place){.schema = schema, .source = source, .report = report});
        size_t broken = count_of(schema->db, "SELECT count(*) FROM pragma_foreign_key_check", NULL);
        if (broken > 0)
            report_add(report, source, 0, NULL, "%zu rows would refer to nothing", broken);
    }
    return report->count == before;
}

/* ---- Names ---- */

const struct table *schema_table(const struct schema *schema, struct weir_bytes name)
{
    for (size_t i = 0; i < schema->table_count; i++)
        if (name_equal(name, schema->tables[i].name))
            return &schema->tables[i];
    return NULL;
}

const struct column *table_column(const struct table *table, struct weir_bytes name)
{
    for (size_t i = 0; i < table->column_count; i++)
        if (name_equal(name, table->columns[i].name))
            return &table->columns[i];
    return NULL;
}

const char *table_columns_text(struct weir_arena *arena, const struct table *table)
{
    const char *text = "";
    for (size_t i = 0; i < table->column_count; i++)
        text = weir_arena_printf(arena, "%s%s%s", text, i ? ", " : "", table->columns[i].name);
    return text;
}

const char *schema_tables_text(struct weir_arena *arena, const struct schema *schema)
{
    const char *text = "";
    for (size_t i = 0; i < schema->table_count; i++)
        text = weir_arena_printf(arena, "%s%s%s", text, i ? ", " : "", schema->tables[i].name);
    return text;
}
