#include "data/postgres/values.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* pg_type.dat: these never change. */
enum {
    TYPE_BOOL = 16,
    TYPE_BYTEA = 17,
    TYPE_INT8 = 20,
    TYPE_INT2 = 21,
    TYPE_INT4 = 23,
    TYPE_TEXT = 25,
    TYPE_OID = 26,
    TYPE_FLOAT4 = 700,
    TYPE_FLOAT8 = 701,
    TYPE_UNKNOWN = 705,
    TYPE_BPCHAR = 1042,
    TYPE_VARCHAR = 1043,
    TYPE_NUMERIC = 1700,
};

const char *pg_type_name(Oid type)
{
    switch (type) {
    case TYPE_BOOL:
        return "BOOLEAN";
    case TYPE_BYTEA:
        return "BYTEA";
    case TYPE_INT8:
        return "BIGINT";
    case TYPE_INT2:
        return "SMALLINT";
    case TYPE_INT4:
        return "INTEGER";
    case TYPE_FLOAT4:
        return "REAL";
    case TYPE_FLOAT8:
        return "DOUBLE PRECISION";
    case TYPE_NUMERIC:
        return "NUMERIC";
    case TYPE_TEXT:
    case TYPE_BPCHAR:
    case TYPE_VARCHAR:
    case TYPE_UNKNOWN:
        return "TEXT";
    default:
        return "of another type";
    }
}

static bool is_text(Oid type)
{
    return type == TYPE_TEXT || type == TYPE_VARCHAR || type == TYPE_BPCHAR || type == TYPE_UNKNOWN;
}

static bool is_integer(Oid type)
{
    return type == TYPE_INT8 || type == TYPE_INT4 || type == TYPE_INT2 || type == TYPE_OID;
}

static bool is_fractional(Oid type)
{
    return type == TYPE_FLOAT8 || type == TYPE_FLOAT4 || type == TYPE_NUMERIC;
}

Oid pg_type_of_letter(char letter)
{
    switch (letter) {
    case 'i':
        return TYPE_INT8;
    case 'd':
        return TYPE_FLOAT8;
    case 't':
        return TYPE_TEXT;
    case 'b':
        return TYPE_BYTEA;
    case 'o':
        return TYPE_BOOL;
    default:
        return 0;
    }
}

bool pg_type_fits_letter(Oid type, char letter)
{
    switch (letter) {
    case 'i':
        return is_integer(type) || type == TYPE_BOOL;
    case 'd':
        return type == TYPE_FLOAT8 || type == TYPE_FLOAT4;
    case 't':
        return is_text(type);
    default:
        return type == pg_type_of_letter(letter);
    }
}

/* Does a value of weir's kind fit a parameter of this type? */
static bool fits(Oid type, const struct weir_value *value)
{
    switch (value->type) {
    case WEIR_VALUE_INT:
        if (type == TYPE_BOOL)
            return value->as.integer == 0 || value->as.integer == 1;
        return is_integer(type) || is_fractional(type) || is_text(type);
    case WEIR_VALUE_DOUBLE:
        return is_fractional(type) || is_text(type);
    case WEIR_VALUE_TEXT:
        return !is_integer(type) && type != TYPE_FLOAT8 && type != TYPE_FLOAT4 && type != TYPE_BOOL &&
               type != TYPE_BYTEA;
    case WEIR_VALUE_BYTES:
        return type == TYPE_BYTEA;
    case WEIR_VALUE_NULL:
        break;
    }
    return true;
}

static const char *number_text(Oid type, const struct weir_value *value, char *text)
{
    double number = value->as.number;
    if (value->type == WEIR_VALUE_INT && type == TYPE_BOOL)
        snprintf(text, 32, "%s", value->as.integer ? "t" : "f");
    else if (value->type == WEIR_VALUE_INT)
        snprintf(text, 32, "%" PRId64, value->as.integer);
    else if (isnan(number))
        snprintf(text, 32, "NaN");
    else if (isinf(number))
        snprintf(text, 32, "%sInfinity", number < 0 ? "-" : "");
    else
        snprintf(text, 32, "%.17g", number);
    return text;
}

enum weir_status pg_values_encode(const char *name, const char *sql, const Oid *types,
                                  const struct weir_value *values, int count, struct pg_values *ret_encoded,
                                  struct weir_error *err)
{
    static const char *const kinds[] = {"NULL", "an int", "a double", "a text", "bytes"};
    for (int i = 0; i < count; i++) {
        const struct weir_value *value = &values[i];
        if (!fits(types[i], value))
            return weir_fail(err, WEIR_INTERNAL, "%s: parameter %d is %s, %s was given: %.160s", name, i + 1,
                             pg_type_name(types[i]), kinds[value->type], sql);
        ret_encoded->values[i] = NULL;
        ret_encoded->lengths[i] = ret_encoded->formats[i] = 0;
        switch (value->type) {
        case WEIR_VALUE_INT:
        case WEIR_VALUE_DOUBLE:
            ret_encoded->values[i] = number_text(types[i], value, ret_encoded->numbers[i]);
            break;
        case WEIR_VALUE_TEXT:
            ret_encoded->values[i] = value->as.text;
            break;
        case WEIR_VALUE_BYTES:
            ret_encoded->values[i] = value->as.bytes.size ? (const char *)value->as.bytes.data : "";
            ret_encoded->lengths[i] = (int)value->as.bytes.size;
            ret_encoded->formats[i] = 1;
            break;
        case WEIR_VALUE_NULL:
            break;
        }
    }
    return WEIR_OK;
}

bool pg_values_widen(const Oid *types, const struct weir_value *values, int count, Oid *ret_types)
{
    bool any = false;
    for (int i = 0; i < count; i++) {
        bool wide = values[i].type == WEIR_VALUE_INT && (types[i] == TYPE_INT4 || types[i] == TYPE_INT2);
        ret_types[i] = wide ? TYPE_INT8 : types[i];
        any |= wide;
    }
    return any;
}

/* ---- Back ---- */

static enum weir_status wrong(const char *name, const PGresult *result, int row, int column,
                              const char *wanted, struct weir_error *err)
{
    return weir_fail(err, WEIR_INTERNAL, "%s: column %d (%s) is %s \"%.40s\", %s was asked for", name, column,
                     PQfname(result, column), pg_type_name(PQftype(result, column)),
                     PQgetvalue(result, row, column), wanted);
}

static const char *text_of(const PGresult *result, int row, int column)
{
    const char *text = PQgetvalue(result, row, column);
    if (PQftype(result, column) == TYPE_BOOL)
        return text[0] == 't' ? "1" : "0";
    return text;
}

static enum weir_status decode_bytes(const PGresult *result, int row, int column, unsigned char **decoded,
                                     struct weir_value *ret_value, struct weir_error *err)
{
    size_t size = 0;
    PQfreemem(*decoded);
    *decoded = PQunescapeBytea((const unsigned char *)PQgetvalue(result, row, column), &size);
    if (!*decoded)
        return weir_fail(err, WEIR_RESOURCE_EXHAUSTED, "out of memory");
    *ret_value = weir_value_bytes(weir_bytes(*decoded, size));
    return WEIR_OK;
}

enum weir_status pg_values_decode(const char *name, const PGresult *result, int row, int column, int type,
                                  unsigned char **decoded, struct weir_value *ret_value,
                                  struct weir_error *err)
{
    *ret_value = (struct weir_value){.type = WEIR_VALUE_NULL};
    if (PQgetisnull(result, row, column))
        return WEIR_OK;
    const char *text = text_of(result, row, column);
    char *end = NULL;
    bool bytes = PQftype(result, column) == TYPE_BYTEA;
    switch (type) {
    case WEIR_VALUE_INT:
        errno = 0;
        *ret_value = weir_value_int(strtoll(text, &end, 10));
        return bytes || end == text || *end || errno ? wrong(name, result, row, column, "an int", err)
                                                     : WEIR_OK;
    case WEIR_VALUE_DOUBLE:
        *ret_value = weir_value_double(strtod(text, &end));
        return bytes || end == text || *end ? wrong(name, result, row, column, "a double", err) : WEIR_OK;
    default:
        if (bytes)
            return decode_bytes(result, row, column, decoded, ret_value, err);
        *ret_value = weir_value_bytes(weir_bytes(text, strlen(text)));
        return WEIR_OK;
    }
}
