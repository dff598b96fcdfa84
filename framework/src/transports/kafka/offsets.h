/* Which messages of a partition are done, so that the offset that is committed never passes one that is not.
 *
 *     base                                  next
 *      |  1 1 0 1 1 1 0 0 1 0 ...            |
 *      first that is not done                 the one to take now
 *
 * Everything below `base` is done and may be committed. The window between is a ring of bits; its size bounds
 * how far work may run ahead of one message that is being retried. Not thread-safe. */
#ifndef WEIR_KAFKA_OFFSETS_H
#define WEIR_KAFKA_OFFSETS_H

#include <stdbool.h>
#include <stdint.h>

struct offsets {
    int64_t base, next; /* -1 until the first message */
    int64_t open;       /* taken, and not done */
    int64_t window;     /* a power of two */
    uint64_t *done;
};

/* `window`: a power of two, at least 64. */
void offsets_init(struct offsets *offsets, int64_t window);
void offsets_clean_up(struct offsets *offsets);

enum offsets_answer {
    OFFSETS_TAKEN,
    OFFSETS_KNOWN, /* taken before: a fetch came twice */
    OFFSETS_FULL,  /* too far ahead of what is not done: later */
};
/* In rising order. Offsets that are left out (compacted, or markers of transactions) count as done. */
enum offsets_answer offsets_take(struct offsets *offsets, int64_t offset);

/* Once for each that was taken. */
void offsets_done(struct offsets *offsets, int64_t offset);

/* Messages at `committed` or above that are done: they would come again. -1: nothing was committed. */
int64_t offsets_done_beyond(const struct offsets *offsets, int64_t committed);

#endif
