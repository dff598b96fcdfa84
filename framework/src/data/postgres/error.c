#include "data/postgres/error.h"

#include <stdio.h>
#include <string.h>

enum weir_status pg_status_of(const char *sqlstate)
{
    static const struct {
        const char *prefix; /* the first that fits */
        enum weir_status status;
    } known[] = {
        {"23505", WEIR_ALREADY_EXISTS},   /* unique_violation */
        {"23", WEIR_FAILED_PRECONDITION}, /* another constraint */
        {"40001", WEIR_ABORTED},          /* serialization_failure */
        {"40P01", WEIR_ABORTED},          /* deadlock_detected */
        {"0A000", WEIR_INTERNAL},
        {"26000", WEIR_ABORTED},            /* a prepared statement that is gone */
        {"57014", WEIR_CANCELLED},          /* somebody has cancelled the query */
        {"57", WEIR_UNAVAILABLE},           /* shutdown, starting up, crash */
        {"53200", WEIR_RESOURCE_EXHAUSTED}, /* memory */
        {"53", WEIR_UNAVAILABLE},           /* disk full, too many connections */
        {"54", WEIR_RESOURCE_EXHAUSTED},
        {"55P03", WEIR_UNAVAILABLE}, /* lock_not_available */
        {"58", WEIR_UNAVAILABLE},    /* an I/O error */
        {"25P03", WEIR_UNAVAILABLE}, /* idle in transaction for too long */
        {"08", WEIR_UNAVAILABLE},    /* the connection */
        {"XX001", WEIR_DATA_LOSS},
        {"XX002", WEIR_DATA_LOSS},
    };
    if (!sqlstate)
        return WEIR_UNAVAILABLE;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strncmp(sqlstate, known[i].prefix, strlen(known[i].prefix)) == 0)
            return known[i].status;
    return WEIR_INTERNAL;
}

const char *pg_one_line(const char *text, char *buffer, size_t size)
{
    snprintf(buffer, size, "%s", text ? text : "");
    size_t length = strlen(buffer);
    while (length > 0 && (buffer[length - 1] == '\n' || buffer[length - 1] == ' '))
        buffer[--length] = 0;
    for (char *at = buffer; *at; at++)
        if (*at == '\n' || *at == '\t')
            *at = ' ';
    return buffer;
}

bool pg_is_out_of_date(const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    return sqlstate && (strcmp(sqlstate, "26000") == 0 ||
                        (strcmp(sqlstate, "0A000") == 0 && text && strstr(text, "cached plan")));
}

enum weir_status pg_fail(const char *name, const PGresult *result, const char *sql, struct weir_error *err)
{
    char text[400], more[300];
    enum weir_status status =
        pg_is_out_of_date(result) ? WEIR_ABORTED : pg_status_of(PQresultErrorField(result, PG_DIAG_SQLSTATE));
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    pg_one_line(primary ? primary : PQresultErrorMessage(result), text,
                sizeof text); /* else it is libpq's own */
    pg_one_line(PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL), more, sizeof more);
    if (status == WEIR_INTERNAL)
        return weir_fail(err, status, "%s: %s: %.160s", name, text, sql ? sql : "");
    if (status == WEIR_ALREADY_EXISTS || status == WEIR_FAILED_PRECONDITION)
        return weir_fail(err, status, "%s: %s", name,
                         text); /* the details are a client's values, or another's */
    return weir_fail(err, status, "%s: %s%s%s", name, text, more[0] ? ": " : "", more);
}
