/* weir-sqlgen: its output, and each mistake, made once. */
#include "test.h"

#include <stdio.h>

#include "core/memory.h"
#include "protoc.h"

/* ---- Output ---- */

static void output_is_as_it_was(void **state)
{
    (void)state;
    char *dir = protoc_new_dir();
    struct weir_buffer output = {0};
    int status = protoc_run(
        &output,
        "cd " HERE " && " WEIR_SQLGEN
        " --out %s --name goods_sql --queries queries.sql 001_products.sql 002_stock.sql && "
        "diff -u golden/goods_sql.h.txt %s/goods_sql.h && diff -u golden/goods_sql.c.txt %s/goods_sql.c",
        dir, dir, dir);
    if (status != 0)
        fail_msg("%s\nwhere that is meant, copy it to " HERE "/golden", weir_buffer_text(&output));
    weir_buffer_free(&output);
    protoc_remove_dir(dir);
}

/* ---- Mistakes ---- */

struct mistake {
    const char *name;
    const char *text;
    const char *found; /* "": none */
};

static size_t check(const struct mistake *mistake, const char *migration, const char *queries)
{
    char *dir = protoc_new_dir();
    bool found = mistake->found[0] != '\0';
    char *expected = memory_printf("%s%s", mistake->found, found ? "\n" : "");
    protoc_write(dir, "001_a.sql", migration);
    protoc_write(dir, "queries.sql", queries);
    struct weir_buffer output = {0};
    int status = protoc_run(
        &output, "cd %s && " WEIR_SQLGEN " --out . --name a_sql --queries queries.sql 001_a.sql", dir);
    bool wrong = strcmp(weir_buffer_text(&output), expected) != 0 || status != found;
    if (wrong)
        print_error("%s: status %d, expected\n%sgot\n%s\n", mistake->name, status, expected,
                    weir_buffer_text(&output));
    weir_buffer_free(&output);
    free(expected);
    protoc_remove_dir(dir);
    return wrong;
}

static const struct mistake migrations[] = {
    {"rows that refer to nothing",
     "CREATE TABLE a (id BIGINT NOT NULL PRIMARY KEY, up BIGINT REFERENCES a); INSERT INTO a (id, up) VALUES "
     "(1, 2);",
     "001_a.sql:1:1: 1 rows would refer to nothing"},
    {"a schema in order",
     "CREATE TABLE a (id BIGINT NOT NULL PRIMARY KEY, x TEXT, y BYTEA, z DOUBLE PRECISION, w BOOLEAN);", ""},
    {"what SQLite does not understand",
     "CREATE TABLE a (id BIGINT NOT NULL PRIMARY KEY);\nCREATE TABEL b (id BIGINT);",
     "001_a.sql:2:8: near \"TABEL\": syntax error"},
    {"a table that there is not",
     "CREATE TABLE a (id BIGINT NOT NULL PRIMARY KEY);\n\nINSERT INTO b (id) VALUES (1);",
     "001_a.sql:3:1: no such table: b"},
    {"rows that break a rule",
     "CREATE TABLE a (id BIGINT NOT NULL CHECK (id > 0));\nINSERT INTO a (id)\nVALUES (0);",
     "001_a.sql:2:1: CHECK constraint failed: id > 0"},
    {"INTEGER", "CREATE TABLE a (\n  id INTEGER NOT NULL);",
     "001_a.sql:2:3: a.id: INTEGER is no type that is the same in every database: it has 32 bits in "
     "PostgreSQL and 64 in SQLite: declare BIGINT"},
    {"VARCHAR", "CREATE TABLE a (id VARCHAR(20) NOT NULL);",
     "001_a.sql:1:17: a.id: VARCHAR(20) is no type that is the same in every database: declare TEXT, with "
     "CHECK (length(column) <= ...) where it matters"},
    {"BLOB", "CREATE TABLE a (id BLOB);",
     "001_a.sql:1:17: a.id: BLOB is no type that is the same in every database: declare BYTEA"},
    {"TIMESTAMP", "CREATE TABLE a (id TIMESTAMP);",
     "001_a.sql:1:17: a.id: TIMESTAMP is no type that is the same in every database: declare BIGINT: "
     "milliseconds since 1970"},
    {"no type", "CREATE TABLE a (id);",
     "001_a.sql:1:17: a.id: has no type: declare BIGINT, BOOLEAN, DOUBLE PRECISION, TEXT or BYTEA"},
    {"a type of nobody's", "CREATE TABLE a (id MONEY);",
     "001_a.sql:1:17: a.id: MONEY is no type that is the same in every database: declare BIGINT, BOOLEAN, "
     "DOUBLE PRECISION, TEXT or BYTEA"},
    {"a column that is added", "CREATE TABLE a (id BIGINT);\nALTER TABLE a ADD COLUMN x REAL;",
     "001_a.sql:2:26: a.x: REAL is no type that is the same in every database: declare DOUBLE PRECISION"},
    {"a key that may be NULL", "CREATE TABLE a (id TEXT PRIMARY KEY);",
     "001_a.sql:1:17: a.id: SQLite allows NULL in a PRIMARY KEY, PostgreSQL does not: declare it NOT NULL"},
    {"a transaction", "BEGIN;\nCREATE TABLE a (id BIGINT);",
     "001_a.sql:1:1: BEGIN: a migration runs in a transaction of its own, with tables and rows only: take it "
     "out"},
    {"a pragma", "CREATE TABLE a (id BIGINT);\nPRAGMA foreign_keys = OFF;",
     "001_a.sql:2:1: PRAGMA: a migration runs in a transaction of its own, with tables and rows only: take "
     "it out"},
    {"nothing", "-- later\n",
     "001_a.sql:1:1: the migration is empty: write its statements, or delete the file"},
};

static const struct mistake queries[] = {
    {"a query in order", "-- name: q :one\nSELECT id FROM t WHERE name = @name;", ""},
    {"no query", "-- nothing yet\n",
     "queries.sql:1:1: there is no query: write -- name: NAME :one and a statement"},
    {"no name", "SELECT 1;\n-- name: q :one\nSELECT id FROM t;",
     "queries.sql:1:1: a statement without a name: write -- name: NAME :one, :many or :exec above it"},
    {"a second statement", "-- name: q :exec\nDELETE FROM t;\nDELETE FROM u;",
     "queries.sql:3:1: a statement without a name: write -- name: NAME :one, :many or :exec above it"},
    {"a name of none", "-- name: FindIt :one\nSELECT id FROM t;",
     "queries.sql:1:1: \"FindIt\" is no name of a query: take lower case letters, digits and _"},
    {"a keyword as a name", "-- name: default :one\nSELECT id FROM t;",
     "queries.sql:1:1: default: is a word of C's or of the generated code: take another name"},
    {"no kind", "-- name: q\nSELECT id FROM t;",
     "queries.sql:1:1: q: say what it gives: -- name: q :one, :many or :exec"},
    {"another kind", "-- name: q :first\nSELECT id FROM t;",
     "queries.sql:1:1: q: say what it gives: -- name: q :one, :many or :exec"},
    {"a name twice", "-- name: q :one\nSELECT id FROM t;\n-- name: q :exec\nDELETE FROM t;",
     "queries.sql:3:1: q: there is the query \"q\" in line 1 already: take another name"},
    {"a name that another makes", "-- name: q :one\nSELECT id FROM t;\n-- name: q_read :exec\nDELETE FROM t;",
     "queries.sql:3:1: q_read: there is the query \"q\" in line 1 already: take another name"},
    {"no statement", "-- name: q :one\n-- name: r :one\nSELECT id FROM t;",
     "queries.sql:1:1: q: has no statement: write it below"},
    {"no semicolon", "-- name: q :one\nSELECT id FROM t\n-- name: r :one\nSELECT id FROM t;",
     "queries.sql:1:1: q: its statement does not end: put a semicolon behind it"},
    {"no semicolon at the end", "-- name: q :one\nSELECT id FROM t",
     "queries.sql:1:1: q: its statement does not end: put a semicolon behind it"},
    {"a quote that does not end", "-- name: q :one\nSELECT id FROM t WHERE name = 'x;",
     "queries.sql:2:31: q: what begins here does not end"},
    {"an odd character", "-- name: q :one\nSELECT id # FROM t;",
     "queries.sql:2:11: q: a character that SQL does not have"},
    {"a wrong table", "-- name: q :one\nSELECT id FROM s;",
     "queries.sql:2:16: q: no such table: s: the schema has t, u, v"},
    {"a wrong column", "-- name: q :one\nSELECT id,\n       nam FROM t;",
     "queries.sql:3:8: q: no such column: nam: t has id, name, note, at, ratio, open, data"},
    {"a wrong column of an alias", "-- name: q :one\nSELECT a.id FROM t a WHERE a.idd = @id;",
     "queries.sql:2:28: q: no such column: a.idd: t has id, name, note, at, ratio, open, data"},
    {"a wrong column of INSERT", "-- name: q :exec\nINSERT INTO u (id, t_id, nam) VALUES (@a, @b, @c);",
     "queries.sql:2:26: q: table u has no column named nam: u has id, t_id, name"},
    {"a wrong column of UPDATE", "-- name: q :exec\nUPDATE t SET nam = @name;",
     "queries.sql:2:14: q: no such column: nam: t has id, name, note, at, ratio, open, data"},
    {"what SQLite does not understand", "-- name: q :one\nSELECT id FORM t;",
     "queries.sql:2:16: q: near \"t\": syntax error"},
    {"a function that there is not", "-- name: q :one\nSELECT CAST(nextval(id) AS BIGINT) AS id FROM t;",
     "queries.sql:2:13: q: no such function: nextval"},
    {"values too few", "-- name: q :exec\nINSERT INTO u (id, t_id, name) VALUES (@a, @b);",
     "queries.sql:2:1: q: 2 values for 3 columns"},
    {"rows of :exec", "-- name: q :exec\nSELECT id FROM t;",
     "queries.sql:1:1: q: it gives rows: make it :one or :many"},
    {"no rows of :one", "-- name: q :one\nDELETE FROM t;",
     "queries.sql:1:1: q: it gives no rows: make it :exec, or add RETURNING"},
    {"a transaction", "-- name: q :exec\nBEGIN;",
     "queries.sql:2:1: q: only SELECT, INSERT, UPDATE and DELETE: tables belong into a migration, "
     "transactions into the code"},
    {"a table made", "-- name: q :exec\nCREATE TABLE x (id BIGINT);",
     "queries.sql:2:1: q: only SELECT, INSERT, UPDATE and DELETE: tables belong into a migration, "
     "transactions into the code"},
    {"*", "-- name: q :one\nSELECT * FROM t;",
     "queries.sql:2:8: q: name the columns instead of *: one that is added later would change the struct"},
    {"* of a table", "-- name: q :one\nSELECT u.id, t.* FROM t JOIN u ON u.t_id = t.id;",
     "queries.sql:2:14: q: name the columns instead of *: one that is added later would change the struct"},
    {"* of RETURNING", "-- name: q :many\nDELETE FROM t RETURNING *;",
     "queries.sql:2:25: q: name the columns instead of *: one that is added later would change the struct"},
    {"an expression without a type", "-- name: q :one\nSELECT sum(at) AS at FROM t;",
     "queries.sql:2:8: q: sum(at): an expression says its type: CAST(sum(at) AS BIGINT) AS at, or TEXT, or "
     "what it is"},
    {"an expression without a name", "-- name: q :one\nSELECT CAST(sum(at) AS BIGINT) FROM t;",
     "queries.sql:2:8: q: CAST(sum(at) AS BIGINT): give it a name: AS name"},
    {"a subquery without a type", "-- name: q :one\nSELECT (SELECT max(id) FROM u) AS n FROM t;",
     "queries.sql:2:8: q: (SELECT max(id) FROM u): an expression says its type: CAST((SELECT max(id) FROM u) "
     "AS BIGINT) AS n, or TEXT, or what it is"},
    {"a name that hides an expression", "-- name: q :one\nSELECT n FROM (SELECT max(at) AS n FROM t);",
     "queries.sql:2:8: q: n: an expression says its type: CAST(n AS BIGINT) AS n, or TEXT, or what it is"},
    {"a type of none", "-- name: q :one\nSELECT CAST(sum(at) AS INTEGER) AS at FROM t;",
     "queries.sql:2:24: q: INTEGER is no type that is the same in every database: it has 32 bits in "
     "PostgreSQL and 64 in SQLite: declare BIGINT"},
    {"a cast to bytes", "-- name: q :one\nSELECT CAST(name AS BYTEA) AS at FROM t;",
     "queries.sql:2:21: q: SQLite makes a number of CAST(... AS BYTEA): take a column of that type"},
    {"two columns of a name", "-- name: q :one\nSELECT t.id, u.id FROM t JOIN u ON u.t_id = t.id;",
     "queries.sql:2:14: q: there are two columns \"id\": name one otherwise with AS"},
    {"a column with a name of C's", "-- name: q :one\nSELECT id AS int FROM t;",
     "queries.sql:2:8: q: \"int\" cannot be a member's name in C: name it otherwise with AS"},
    {"a parameter that nothing types", "-- name: q :one\nSELECT id FROM t WHERE @x IS NULL;",
     "queries.sql:2:24: q: @x: nothing says its type: write CAST(@x AS BIGINT), or TEXT, or what it is"},
    {"a parameter of a function", "-- name: q :one\nSELECT id FROM t WHERE name = lower(@x);",
     "queries.sql:2:37: q: @x: nothing says its type: write CAST(@x AS BIGINT), or TEXT, or what it is"},
    {"a parameter of an expression", "-- name: q :one\nSELECT id FROM t WHERE id + at = @x;",
     "queries.sql:2:34: q: @x: nothing says its type: write CAST(@x AS BIGINT), or TEXT, or what it is"},
    {"a parameter of a given name",
     "-- name: q :one\nSELECT CAST(at AS BIGINT) AS name FROM t WHERE name = @x;",
     "queries.sql:2:55: q: @x: nothing says its type: write CAST(@x AS BIGINT), or TEXT, or what it is"},
    {"a parameter that two tables type",
     "-- name: q :one\nSELECT t.id FROM t JOIN u ON u.t_id = t.id WHERE name = @x;",
     "queries.sql:2:50: q: ambiguous column name: name"},
    {"a parameter of two types", "-- name: q :one\nSELECT id FROM t WHERE name = @x OR at = @x;",
     "queries.sql:2:42: q: @x goes with t.name (TEXT), and with t.at (BIGINT): take two parameters"},
    {"a parameter without a name", "-- name: q :one\nSELECT id FROM t WHERE id = ?;",
     "queries.sql:2:29: q: ?: parameters have names: write @name"},
    {"a parameter with a number", "-- name: q :one\nSELECT id FROM t WHERE id = $1;",
     "queries.sql:2:29: q: $1: parameters have names: write @name"},
    {"a parameter with a colon", "-- name: q :one\nSELECT id FROM t WHERE id = :id;",
     "queries.sql:2:29: q: :id: parameters have names: write @id"},
    {"a parameter with a name of C's", "-- name: q :one\nSELECT id FROM t WHERE id = @int;",
     "queries.sql:2:29: q: @int cannot be an argument's name in C: take another"},
    {"a parameter with a name of ours", "-- name: q :one\nSELECT id FROM t WHERE id = @tx;",
     "queries.sql:2:29: q: @tx cannot be an argument's name in C here: take another"},
    {"a parameter in capitals", "-- name: q :one\nSELECT id FROM t WHERE id = @Id;",
     "queries.sql:2:29: q: @Id cannot be an argument's name in C: take another"},
    {"PostgreSQL's cast", "-- name: q :one\nSELECT id FROM t WHERE id = @x::bigint;",
     "queries.sql:2:31: q: :: is PostgreSQL's alone: write CAST(... AS ...)"},
    {"SQLite's equality", "-- name: q :one\nSELECT id FROM t WHERE id == @x;",
     "queries.sql:2:27: q: == is SQLite's alone: write ="},
    {"INSERT OR REPLACE", "-- name: q :exec\nINSERT OR REPLACE INTO u (id, t_id, name) VALUES (@a, @b, @c);",
     "queries.sql:2:1: q: INSERT OR ... is SQLite's alone: write INSERT ... ON CONFLICT (...) DO ..."},
    {"UNION", "-- name: q :many\nSELECT id FROM t UNION SELECT id FROM u;",
     "queries.sql:2:18: q: UNION: types of its parts are not compared: make it two queries, or use "
     "weir_sql_query()"},
    {"INSERT without columns", "-- name: q :exec\nINSERT INTO u VALUES (@a, @b, @c);",
     "queries.sql:2:13: q: name the columns: INSERT INTO u (id, t_id, name) ..."},
    {"a NOT NULL column left out", "-- name: q :exec\nINSERT INTO u (id, t_id) VALUES (@a, @b);",
     "queries.sql:2:13: q: u.name is NOT NULL and has no default: give it a value"},
    {"NULL for a NOT NULL column", "-- name: q :exec\nINSERT INTO u (id, t_id, name) VALUES (@a, NULL, @c);",
     "queries.sql:2:44: q: u.t_id is NOT NULL: give it a value"},
    {"NOT NULL set to NULL", "-- name: q :exec\nUPDATE t SET note = NULL, name = NULL;",
     "queries.sql:2:34: q: t.name is NOT NULL: give it a value"},
    {"a text for a number", "-- name: q :exec\nUPDATE t SET at = 'soon' WHERE id = @id;",
     "queries.sql:2:14: q: t.at (BIGINT) cannot be given 'soon' (TEXT): take the same type on both sides"},
    {"a number for a text",
     "-- name: q :exec\nINSERT INTO u (id, t_id, name) SELECT t.id, t.name, t.at FROM t;",
     "queries.sql:2:20: q: u.t_id (BIGINT) cannot be given t.name (TEXT): take the same type on both sides"},
    {"a text compared with a number", "-- name: q :one\nSELECT id FROM t WHERE name = 5;",
     "queries.sql:2:24: q: t.name (TEXT) cannot be compared with 5 (BIGINT): take the same type on both "
     "sides"},
    {"columns of two types compared", "-- name: q :one\nSELECT t.id FROM t JOIN u ON u.name = t.name;",
     "queries.sql:2:30: q: u.name (BIGINT) cannot be compared with t.name (TEXT): take the same type on both "
     "sides"},
    {"a boolean compared with a number", "-- name: q :one\nSELECT id FROM t WHERE open = 1;",
     "queries.sql:2:24: q: t.open (BOOLEAN) cannot be compared with 1 (BIGINT): take the same type on both "
     "sides"},
    {"a fraction for a BIGINT", "-- name: q :exec\nUPDATE t SET at = 1.5;",
     "queries.sql:2:14: q: t.at (BIGINT) cannot be given 1.5 (DOUBLE PRECISION): take the same type on both "
     "sides"},
    {"a list of texts for a number", "-- name: q :one\nSELECT id FROM t WHERE id IN (1, 'two');",
     "queries.sql:2:24: q: t.id (BIGINT) cannot be compared with 'two' (TEXT): take the same type on both "
     "sides"},
    {"two mistakes", "-- name: q :one\nSELECT id FROM t WHERE name = 1 OR at = 'x';",
     "queries.sql:2:24: q: t.name (TEXT) cannot be compared with 1 (BIGINT): take the same type on both "
     "sides\n"
     "queries.sql:2:36: q: t.at (BIGINT) cannot be compared with 'x' (TEXT): take the same type on both "
     "sides"},
    {"a text in double quotes", "-- name: q :one\nSELECT id FROM t WHERE name = \"x\";",
     "queries.sql:2:31: q: no such column: x: t has id, name, note, at, ratio, open, data"},
    {"IS with a parameter", "-- name: q :one\nSELECT id FROM t WHERE note IS @note;",
     "queries.sql:2:29: q: IS with a parameter is SQLite's alone: write IS NOT DISTINCT FROM"},
    {"total()", "-- name: q :one\nSELECT CAST(total(at) AS BIGINT) AS at FROM t;",
     "queries.sql:2:13: q: total() is SQLite's alone: write COALESCE(sum(...), 0)"},
    {"a column of nobody's in DO UPDATE",
     "-- name: q :exec\nINSERT INTO u (id, t_id, name) VALUES (@a, @b, 1) ON CONFLICT (id) DO UPDATE SET "
     "name = name + 1 WHERE u.t_id = t_id;",
     "queries.sql:2:89: q: PostgreSQL asks whose name is meant: write u.name, or excluded.name for the new "
     "one\n"
     "queries.sql:2:113: q: PostgreSQL asks whose t_id is meant: write u.t_id, or excluded.t_id for the new "
     "one"},
    {"a row of two queries",
     "-- name: q :one pair\nSELECT id, name FROM t;\n-- name: r :many pair\nSELECT id, name FROM t;", ""},
    {"a row whose columns differ",
     "-- name: q :one pair\nSELECT id, name FROM t;\n-- name: r :many pair\nSELECT id, note AS name FROM t;",
     "queries.sql:3:1: r: its row pair has other columns (id BIGINT, name TEXT or NULL) than in line 1 (id "
     "BIGINT, name TEXT): make them the same, or give it another row"},
    {"a row of :exec", "-- name: q :exec pair\nDELETE FROM t;",
     "queries.sql:1:1: q: behind :one and :many may stand the name of its row, in lower case letters, digits "
     "and _; no more"},
    {"a row that is not named as in C", "-- name: q :one Pair\nSELECT id FROM t;",
     "queries.sql:1:1: q: behind :one and :many may stand the name of its row, in lower case letters, digits "
     "and _; no more"},
    {"too much in a header", "-- name: q :one pair more\nSELECT id FROM t;",
     "queries.sql:1:1: q: behind :one and :many may stand the name of its row, in lower case letters, digits "
     "and _; no more"},
    {"a column of the other side of a LEFT JOIN",
     "-- name: q :one t\nSELECT u.id FROM t LEFT JOIN u ON u.t_id = t.id;\n-- name: r :one t\nSELECT id FROM "
     "u;",
     "queries.sql:3:1: r: its row t has other columns (id BIGINT) than in line 1 (id BIGINT or NULL): make "
     "them the same, or give it another row"},
    {"a column beside an aggregate", "-- name: q :one\nSELECT id, count(*) AS n FROM t;",
     "queries.sql:2:8: q: id stands beside an aggregate: PostgreSQL wants it in GROUP BY"},
    {"a column beside an aggregate within",
     "-- name: q :one\nSELECT id, COALESCE(CAST(sum(at) AS BIGINT), 0) AS n FROM t;",
     "queries.sql:2:8: q: id stands beside an aggregate: PostgreSQL wants it in GROUP BY"},
    {"a column beside an aggregate of a subquery",
     "-- name: q :many\nSELECT id, CAST((SELECT count(*) FROM u WHERE t_id = t.id) AS BIGINT) AS n FROM t;",
     ""},
    {"a name of the generated code", "-- name: statements :one\nSELECT id FROM t;",
     "queries.sql:1:1: statements: is a word of C's or of the generated code: take another name"},
    {"a parameter of the generated code", "-- name: q :one\nSELECT id FROM t WHERE id = @statements;",
     "queries.sql:2:29: q: @statements cannot be an argument's name in C here: take another"},
    {"a parameter that may be NULL, and one that is asked for NULL without a type",
     "-- name: q :many\nSELECT id FROM t WHERE at = @at OR @at IS NULL OR CAST(@b AS BOOLEAN) IS NOT NULL OR "
     "@c IS NULL;",
     "queries.sql:2:86: q: @c: nothing says its type: write CAST(@c AS BIGINT), or TEXT, or what it is"},
    {"a parameter of a name that two tables have",
     "-- name: q :many\nSELECT id FROM t WHERE id IN (SELECT t_id FROM u WHERE name = @x);",
     "queries.sql:2:63: q: @x: nothing says its type: write CAST(@x AS BIGINT), or TEXT, or what it is"},
    {"a text with a quote for a number", "-- name: q :one\nSELECT id FROM t WHERE at = 'it''s';",
     "queries.sql:2:24: q: t.at (BIGINT) cannot be compared with 'it''s' (TEXT): take the same type on both "
     "sides"},
    {"a CASE without ELSE",
     "-- name: q :one r\nSELECT id AS n FROM t;\n-- name: r :one\nSELECT CAST(CASE WHEN at > 5 THEN 1 END AS "
     "BIGINT) AS n FROM t;",
     "queries.sql:3:1: r: its row r has other columns (n BIGINT or NULL) than in line 1 (n BIGINT): make "
     "them the same, or give it another row"},
    {"a FULL JOIN",
     "-- name: q :one r\nSELECT id FROM t;\n-- name: r :one\nSELECT t.id FROM t FULL JOIN u ON u.t_id = "
     "t.id;",
     "queries.sql:3:1: r: its row r has other columns (id BIGINT or NULL) than in line 1 (id BIGINT): make "
     "them the same, or give it another row"},
    {"a view", "-- name: q :one r\nSELECT id FROM t;\n-- name: r :one\nSELECT id FROM v;",
     "queries.sql:3:1: r: its row r has other columns (id BIGINT or NULL) than in line 1 (id BIGINT): make "
     "them the same, or give it another row"},
    {"an expression of columns that cannot be NULL",
     "-- name: q :one r\nSELECT id AS n FROM t;\n-- name: r :one\nSELECT CAST(id * (at + 1) AS BIGINT) AS n "
     "FROM t;",
     ""},
    {"an expression of a column that can",
     "-- name: q :one r\nSELECT id AS n FROM t;\n-- name: r :one\nSELECT CAST(id / at AS BIGINT) AS n FROM "
     "t;",
     "queries.sql:3:1: r: its row r has other columns (n BIGINT or NULL) than in line 1 (n BIGINT): make "
     "them the same, or give it another row"},
    {"has_ that is a column's, too", "-- name: q :one\nSELECT note AS n, ratio AS r, id AS has_r FROM t;",
     "queries.sql:2:31: q: there are two columns \"has_r\": name one otherwise with AS"},
    {"a view's column beside its table's",
     "-- name: q :one r\nSELECT id FROM t;\n-- name: r :one\nSELECT v.id FROM v JOIN u ON u.id = v.id;",
     "queries.sql:3:1: r: its row r has other columns (id BIGINT or NULL) than in line 1 (id BIGINT): make "
     "them the same, or give it another row"},
    {"a parameter beside the new row of a conflict",
     "-- name: q :exec\nINSERT INTO u (id, t_id, name) VALUES (1, 1, 1)\nON CONFLICT (id) DO UPDATE SET name "
     "= excluded.name WHERE excluded.t_id > @least;",
     ""},
    {"bytes as a text", "-- name: q :one\nSELECT id FROM t WHERE data = x'00';",
     "queries.sql:2:31: q: x'...' is bits in PostgreSQL: give bytes as a parameter"},
    {"a number as a truth value", "-- name: q :one\nSELECT id FROM t WHERE at OR note;",
     "queries.sql:2:24: q: t.at (BIGINT) is no truth value in PostgreSQL: compare it\n"
     "queries.sql:2:30: q: t.note (TEXT) is no truth value in PostgreSQL: compare it"},
    {"a parameter that is a truth value",
     "-- name: q :one\nSELECT id FROM t WHERE @all OR open OR (@late AND at > 5) OR @late;", ""},
    {"a number by itself", "-- name: q :one\nSELECT 1 AS one, 'x' AS x, TRUE AS yes FROM t;",
     "queries.sql:2:8: q: 1: an expression says its type: CAST(1 AS BIGINT) AS one, or TEXT, or what it is\n"
     "queries.sql:2:28: q: TRUE: an expression says its type: CAST(TRUE AS BIGINT) AS yes, or TEXT, or what "
     "it is"},
    {"numbers of COALESCE",
     "-- name: q :one\nSELECT COALESCE(at, 0) AS a, COALESCE(ratio, 0.5) AS b, COALESCE(1, 2) AS c, "
     "COALESCE(at, 0.5) AS d FROM t;",
     "queries.sql:2:57: q: COALESCE(1, 2): an expression says its type: CAST(COALESCE(1, 2) AS BIGINT) AS c, "
     "or TEXT, or what it is\n"
     "queries.sql:2:78: q: COALESCE(at, 0.5): an expression says its type: CAST(COALESCE(at, 0.5) AS BIGINT) "
     "AS d, or TEXT, or what it is"},
    {"a parameter before a CAST",
     "-- name: q :one\nSELECT id FROM t WHERE at = id + id OR name = @x OR at > @x - CAST(note AS BIGINT);",
     "queries.sql:2:58: q: @x goes with t.name (TEXT), and with CAST(note AS BIGINT) (BIGINT): take two "
     "parameters"},
    {"comparisons that fit",
     "-- name: q :one\nSELECT id FROM t WHERE ratio > 1 AND at < 1.5 AND open = TRUE AND data = @data AND "
     "name <> 'x';",
     ""},
    {"parameters of lists and ranges",
     "-- name: q :one\nSELECT id FROM t WHERE id IN (@a, @b) AND at NOT BETWEEN @c AND @d AND name NOT IN "
     "(@e);",
     ""},
    {"parameters of row values", "-- name: q :one\nSELECT id FROM t WHERE (at, name) < (@at, @name);", ""},
    {"a parameter on the left", "-- name: q :one\nSELECT id FROM t WHERE @at <= at;", ""},
    {"a parameter that says its type",
     "-- name: q :one\nSELECT id FROM t WHERE CAST(@all AS BOOLEAN) OR name = @name;", ""},
    {"a parameter beside a number", "-- name: q :one\nSELECT id FROM t WHERE id + at = @x + 1;", ""},
    {"a subquery's parameter",
     "-- name: q :many\nSELECT id FROM t WHERE id IN (SELECT t_id FROM u WHERE u.name = @n ORDER BY u.id "
     "LIMIT @most);",
     ""},
    {"DISTINCT FROM", "-- name: q :one\nSELECT id FROM t WHERE note IS NOT DISTINCT FROM @note;", ""},
    {"a CASE", "-- name: q :one\nSELECT CAST(CASE WHEN at > 5 THEN 1 ELSE 0 END AS BIGINT) AS late FROM t;",
     ""},
    {"WITH", "-- name: q :many\nWITH late AS (SELECT id, at FROM t WHERE at > @at) SELECT id FROM late;", ""},
};

static void each_mistake_of_a_migration_is_said_where_it_is(void **state)
{
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof migrations / sizeof migrations[0]; i++)
        wrong += check(&migrations[i], migrations[i].text, "-- name: q :one\nSELECT count(*) AS n FROM a;");
    assert_int_equal(wrong, 0);
}

static void each_mistake_of_a_query_is_said_where_it_is(void **state)
{
    (void)state;
    static const char schema[] =
        "CREATE TABLE t (id BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, note TEXT, at BIGINT NOT NULL,"
        " ratio DOUBLE PRECISION, open BOOLEAN NOT NULL DEFAULT FALSE, data BYTEA);"
        "CREATE TABLE u (id BIGINT NOT NULL PRIMARY KEY, t_id BIGINT NOT NULL, name BIGINT NOT NULL);"
        "CREATE VIEW v AS SELECT u.id AS id FROM t LEFT JOIN u ON u.t_id = t.id;";
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++)
        wrong += check(&queries[i], schema, queries[i].text);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_is_as_it_was),
        cmocka_unit_test(each_mistake_of_a_migration_is_said_where_it_is),
        cmocka_unit_test(each_mistake_of_a_query_is_said_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
