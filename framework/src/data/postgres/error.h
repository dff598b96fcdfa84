/* PostgreSQL's errors as statuses. */
#ifndef WEIR_DATA_POSTGRES_ERROR_H
#define WEIR_DATA_POSTGRES_ERROR_H

#include <libpq-fe.h>

#include <weir/error.h>

/* https://www.postgresql.org/docs/current/errcodes-appendix.html; NULL is UNAVAILABLE. */
enum weir_status pg_status_of(const char *sqlstate);
/* Of a failed result. `sql` is told where the error is the author's. */
enum weir_status pg_fail(const char *name, const PGresult *result, const char *sql, struct weir_error *err);
/* libpq's text on one line. */
const char *pg_one_line(const char *text, char *buffer, size_t size);
/* What is prepared does not fit the tables any more. */
bool pg_is_out_of_date(const PGresult *result);

#endif
