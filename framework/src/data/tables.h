/* The data layer's own tables, made in every database when it starts. */
#ifndef WEIR_DATA_TABLES_H
#define WEIR_DATA_TABLES_H

extern const char *const tables_migrations[];

#endif
