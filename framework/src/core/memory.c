#include "core/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *or_die(void *memory, size_t size)
{
    if (!memory && size > 0) {
        fprintf(stderr, "weir: out of memory (%zu bytes)\n", size);
        abort();
    }
    return memory;
}

void *memory_alloc(size_t size)
{
    return or_die(malloc(size), size);
}

void *memory_zalloc(size_t size)
{
    return or_die(calloc(1, size), size);
}

void *memory_realloc(void *memory, size_t size)
{
    return or_die(realloc(memory, size), size);
}

char *memory_strdup(const char *text)
{
    return text ? or_die(strdup(text), strlen(text) + 1) : NULL;
}

char *memory_printf(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    return or_die(length < 0 ? NULL : text, 1);
}
