/* Values on their way to PostgreSQL and back. */
#ifndef WEIR_DATA_POSTGRES_VALUES_H
#define WEIR_DATA_POSTGRES_VALUES_H

#include <stdbool.h>

#include <libpq-fe.h>

#include <weir/error.h>
#include <weir/sql.h>

#include "data/postgres/connection.h"

struct pg_values {
    const char *values[PG_PARAMETERS_MAX];
    int lengths[PG_PARAMETERS_MAX], formats[PG_PARAMETERS_MAX];
    char numbers[PG_PARAMETERS_MAX][32];
};

/* As parameters of these types. Borrows texts and bytes. INTERNAL: a value does not fit its type. */
enum weir_status pg_values_encode(const char *name, const char *sql, const Oid *types,
                                  const struct weir_value *values, int count, struct pg_values *ret_encoded,
                                  struct weir_error *err);
/* 64 bits where the server inferred fewer for an int; 0 elsewhere. False: nowhere. */
bool pg_values_widen(const Oid *types, const struct weir_value *values, int count, Oid *ret_types);

/* i BIGINT, d DOUBLE PRECISION, t TEXT, b BYTEA, o BOOLEAN, as in struct weir_sql_statement. 0: let the server say. */
Oid pg_type_of_letter(char letter);
bool pg_type_fits_letter(Oid type, char letter);

/* A value of a row as `type`. Texts and bytes are the result's, or in `decoded`, which is freed and filled anew with
 * PQfreemem()'s memory. */
enum weir_status pg_values_decode(const char *name, const PGresult *result, int row, int column, int type,
                                  unsigned char **decoded, struct weir_value *ret_value,
                                  struct weir_error *err);

#endif
