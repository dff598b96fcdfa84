/* "did you mean ...?": the known word that is nearest to a misspelt one. */
#ifndef WEIR_CORE_NEAREST_H
#define WEIR_CORE_NEAREST_H

#include <stddef.h>

/* Start with {.word = ...}, consider each candidate, read `best`. Borrows both. */
struct nearest {
    const char *word;
    const char *best; /* NULL: none is near enough to be a slip of the hand */
    size_t distance;
};

void nearest_consider(struct nearest *nearest, const char *candidate);

#endif
