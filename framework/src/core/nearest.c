#include "core/nearest.h"

#include <string.h>

#define LONGEST 64

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours, each counted 1. */
static size_t distance(const char *left, size_t left_size, const char *right, size_t right_size)
{
    size_t rows[3][LONGEST + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= right_size; j++)
        above[j] = before[j] = j;

    for (size_t i = 1; i <= left_size; i++) {
        row[0] = i;
        for (size_t j = 1; j <= right_size; j++) {
            size_t cost = left[i - 1] == right[j - 1] ? 0 : 1;
            row[j] = least(least(above[j] + 1, row[j - 1] + 1), above[j - 1] + cost);
            if (i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *free_row = before;
        before = above;
        above = row;
        row = free_row;
    }
    return above[right_size];
}

void nearest_consider(struct nearest *nearest, const char *candidate)
{
    size_t size = strlen(nearest->word), candidate_size = strlen(candidate);
    if (size > LONGEST || candidate_size > LONGEST)
        return;

    /* More than a third of the word wrong is another word. */
    size_t far = size / 3 > 0 ? size / 3 : 1;
    size_t d = distance(nearest->word, size, candidate, candidate_size);
    if (d <= far && (!nearest->best || d < nearest->distance)) {
        nearest->best = candidate;
        nearest->distance = d;
    }
}
