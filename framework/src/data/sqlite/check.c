/* A statement against a SQLite database: prepared, and its columns' declared types compared. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/memory.h"
#include "data/sqlite/connection.h"
#include "data/statements.h"

/* By SQLite's rules for affinity (https://www.sqlite.org/datatype3.html#determination_of_column_affinity), so
 * that older names of a type are right, too. 0: says nothing. */
static char letter_of(const char *declared)
{
    static const struct {
        const char *part;
        char letter;
    } parts[] = {{"INT", 'i'},  {"BOOL", 'o'},  {"CHAR", 't'}, {"TEXT", 't'}, {"CLOB", 't'},
                 {"BLOB", 'b'}, {"BYTEA", 'b'}, {"DOUB", 'd'}, {"REAL", 'd'}, {"FLOA", 'd'}};
    for (size_t i = 0; declared && i < sizeof parts / sizeof parts[0]; i++)
        if (strcasestr(declared, parts[i].part))
            return parts[i].letter;
    return 0;
}

static const char *name_of(char letter)
{
    switch (letter) {
    case 'i':
        return "BIGINT";
    case 'o':
        return "BOOLEAN";
    case 'd':
        return "DOUBLE PRECISION";
    case 't':
        return "TEXT";
    default:
        return "BYTEA";
    }
}

static enum weir_status check_columns(const struct connection *connection, sqlite3_stmt *handle,
                                      const char *columns, struct weir_error *err)
{
    int count = sqlite3_column_count(handle), wanted = (int)strlen(columns);
    if (count != wanted)
        return weir_fail(err, WEIR_FAILED_PRECONDITION, "%s: it gives %d columns, not %d", connection->name,
                         count, wanted);
    for (int i = 0; i < count; i++) {
        char letter = letter_of(sqlite3_column_decltype(handle, i));
        if (letter && letter != columns[i])
            return weir_fail(err, WEIR_FAILED_PRECONDITION, "%s: its column %s is %s, not %s",
                             connection->name, sqlite3_column_name(handle, i),
                             sqlite3_column_decltype(handle, i), name_of(columns[i]));
    }
    return WEIR_OK;
}

enum weir_status sqlite_check(struct sql_session *session, const struct weir_sql_statement *statement,
                              struct weir_error *err)
{
    struct connection *connection = (struct connection *)session;
    size_t count = strlen(statement->parameters);
    struct weir_value *nulls = memory_zalloc((count + 1) * sizeof *nulls);
    struct statement *prepared =
        connection_prepare(connection, statement->sql, nulls, (int)count, false, err);
    free(nulls);
    if (!prepared)
        return err->status;
    enum weir_status status = check_columns(connection, prepared->handle, statement->columns, err);
    connection_release(connection, prepared);
    return status;
}
