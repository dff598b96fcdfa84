/* Memory that cannot fail: out of memory for small objects ends the process with a message. What is sized by
 * input is limited first and refused politely. */
#ifndef WEIR_CORE_MEMORY_H
#define WEIR_CORE_MEMORY_H

#include <stddef.h>

void *memory_alloc(size_t size);  /* not cleared */
void *memory_zalloc(size_t size); /* cleared */
void *memory_realloc(void *memory, size_t size);
char *memory_strdup(const char *text); /* NULL gives NULL */
char *memory_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* `type *x = NEW(type)`: cleared. */
#define NEW(type) ((type *)memory_zalloc(sizeof(type)))

#endif
