/* Statements as written for any engine, as PostgreSQL reads them. Pure. */
#ifndef WEIR_DATA_POSTGRES_TEXT_H
#define WEIR_DATA_POSTGRES_TEXT_H

#include <stdbool.h>

/* `?` and `?1` become `$1`: a `?` has the number after the greatest so far, as in SQLite. INTEGER becomes BIGINT, BLOB
 * BYTEA, REAL DOUBLE PRECISION (these are what SQLite means by them), and WITHOUT ROWID goes. Not within texts, quoted
 * names and comments. `ret_parameters` is the greatest number. Caller owns the result. */
char *postgres_text(const char *sql, int *ret_parameters);

/* One of its statements begins or ends a transaction. */
bool postgres_text_controls(const char *sql);
/* Nothing but spaces, comments and semicolons. */
bool postgres_text_is_empty(const char *sql);

#endif
