/* Sortable unique ids: UUID version 7 (RFC 9562, 5.7), strictly increasing within a process. Any thread. */
#ifndef WEIR_ID_H
#define WEIR_ID_H

#include <stdbool.h>

#include <weir/export.h>

#define WEIR_ID_SIZE 37 /* 36 characters and the terminator */

/* Writes "018f6a0e-...". Returns `ret_id`. */
WEIR_API char *weir_id_new(char ret_id[WEIR_ID_SIZE]);

/* 36 characters, lower or upper case hexadecimal with dashes in place; any version. */
WEIR_API bool weir_id_valid(const char *text);

#endif
