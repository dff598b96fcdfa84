/* A statement against a PostgreSQL database: prepared with its parameters' types, and its columns' types compared. */
#include <string.h>

#include "data/postgres/values.h"
#include "data/statements.h"

enum weir_status postgres_check(struct sql_session *session, const struct weir_sql_statement *statement,
                                struct weir_error *err)
{
    struct pg_connection *connection = (struct pg_connection *)session;
    Oid types[PG_PARAMETERS_MAX] = {0};
    size_t count = strlen(statement->parameters);
    if (count > PG_PARAMETERS_MAX)
        return weir_fail(err, WEIR_FAILED_PRECONDITION, "%s: it has %zu parameters, at most %d can be given",
                         connection->name, count, PG_PARAMETERS_MAX);
    for (size_t i = 0; i < count; i++)
        types[i] = pg_type_of_letter(statement->parameters[i]);

    PGresult *described = NULL;
    if (pg_describe(connection, statement->sql, types, (int)count, &described, err) != WEIR_OK)
        return err->status;
    int columns = PQnfields(described), wanted = (int)strlen(statement->columns);
    if (columns != wanted)
        weir_fail(err, WEIR_FAILED_PRECONDITION, "%s: it gives %d columns, not %d", connection->name, columns,
                  wanted);
    for (int i = 0; i < columns && err->status == WEIR_OK; i++)
        if (!pg_type_fits_letter(PQftype(described, i), statement->columns[i]))
            weir_fail(err, WEIR_FAILED_PRECONDITION, "%s: its column %s is %s, not %s", connection->name,
                      PQfname(described, i), pg_type_name(PQftype(described, i)),
                      pg_type_name(pg_type_of_letter(statement->columns[i])));
    PQclear(described);
    return err->status;
}
