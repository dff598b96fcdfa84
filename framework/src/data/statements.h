/* Generated statements, checked against the database itself when it is opened. */
#ifndef WEIR_DATA_STATEMENTS_H
#define WEIR_DATA_STATEMENTS_H

#include "data/sql.h"

/* Prepares each, after the migrations. FAILED_PRECONDITION: the first that does not fit, with its name and the
 * reason. NULL: there is none. */
enum weir_status statements_check(struct weir_sql *db, struct sql_session *session,
                                  const struct weir_sql_statement *statements, struct weir_error *err);

/* sqlite/check.c, postgres/check.c: the backends' function `check`. */
enum weir_status sqlite_check(struct sql_session *session, const struct weir_sql_statement *statement,
                              struct weir_error *err);
enum weir_status postgres_check(struct sql_session *session, const struct weir_sql_statement *statement,
                                struct weir_error *err);

#endif
