/* The data layer's own tables, made in every database when it starts. */
#ifndef WEIR_DATA_TABLES_H
#define WEIR_DATA_TABLES_H

struct sql_backend;

/* As migrations, NULL at the end. */
const char *const *tables_of(const struct sql_backend *backend);

#endif
