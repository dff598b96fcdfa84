#include "transports/kafka/offsets.h"

#include <assert.h>
#include <stdlib.h>

#include "core/memory.h"

void offsets_init(struct offsets *offsets, int64_t window)
{
    assert(window >= 64 && (window & (window - 1)) == 0);
    *offsets = (struct offsets){.base = -1, .next = -1, .window = window};
    offsets->done = memory_zalloc((size_t)window / 8);
}

void offsets_clean_up(struct offsets *offsets)
{
    free(offsets->done);
    offsets->done = NULL;
}

static uint64_t *word(const struct offsets *offsets, int64_t offset)
{
    return &offsets->done[(offset & (offsets->window - 1)) / 64];
}

static uint64_t bit(int64_t offset)
{
    return UINT64_C(1) << (offset % 64);
}

/* Takes finished ones off the window's begin; a word at a time where it can. */
static void advance(struct offsets *offsets)
{
    while (offsets->base < offsets->next) {
        uint64_t *here = word(offsets, offsets->base);
        if (offsets->base % 64 == 0 && *here == UINT64_MAX && offsets->base + 64 <= offsets->next) {
            *here = 0;
            offsets->base += 64;
            continue;
        }
        if (!(*here & bit(offsets->base)))
            return;
        *here &= ~bit(offsets->base);
        offsets->base++;
    }
}

enum offsets_answer offsets_take(struct offsets *offsets, int64_t offset)
{
    if (offset < offsets->next)
        return OFFSETS_KNOWN;
    if (offsets->open == 0) {
        offsets->base = offset; /* all before is done, and the window is clear */
    } else {
        if (offset - offsets->base >= offsets->window)
            return OFFSETS_FULL;
        for (int64_t gap = offsets->next; gap < offset; gap++)
            *word(offsets, gap) |= bit(gap);
    }
    offsets->next = offset + 1;
    offsets->open++;
    return OFFSETS_TAKEN;
}

void offsets_done(struct offsets *offsets, int64_t offset)
{
    assert(offset >= offsets->base && offset < offsets->next);
    assert(!(*word(offsets, offset) & bit(offset)));
    *word(offsets, offset) |= bit(offset);
    offsets->open--;
    if (offset == offsets->base)
        advance(offsets);
}

int64_t offsets_done_beyond(const struct offsets *offsets, int64_t committed)
{
    if (offsets->base < 0)
        return 0;
    int64_t count = committed >= 0 && committed < offsets->base ? offsets->base - committed : 0;
    for (int64_t offset = offsets->base; offset < offsets->next; offset++)
        count += (*word(offsets, offset) & bit(offset)) != 0;
    return count;
}
