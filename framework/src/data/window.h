/* Rows of the outbox between being read and being known on the broker, in the order of their ids.
 *
 * Rows of one key are a chain: only its first is handed over, the next when that one is done; so no row
 * overtakes a predecessor of its key, whatever fails. Rows without a key are free.
 *
 *     WAITING (for its predecessor) -> READY -> SENT -> DONE, and popped when all before it are done
 *                                        ^        v
 *                                        +---- FAILED (until window_retry)
 *
 * No locks: its owner has one. */
#ifndef WEIR_DATA_WINDOW_H
#define WEIR_DATA_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/kafka.h>

struct row {
    int64_t id;
    int64_t created_ms;
    struct weir_record record; /* its texts are in the same block of memory */
    size_t bytes;
    void *owner;

    enum row_state { ROW_WAITING, ROW_READY, ROW_SENT, ROW_FAILED, ROW_DONE } state;
    bool rejected;     /* failed for ever */
    uint64_t key_hash; /* 0: no key */
    struct row *next_of_key;
    struct row *next_in_bucket; /* the last rows of the keys */
    struct row *next_in_list;   /* ready, failed */
};

struct row_list {
    struct row *first, **last;
};

struct window {
    struct row **ring;
    int64_t capacity, head, count;
    struct row **buckets;
    uint64_t bucket_mask;
    struct row_list ready, failed;
    int64_t sent; /* rows in state SENT */
    size_t bytes;
};

/* One block: the row, with copies of what the record points to. Caller owns the result. */
struct row *row_new(int64_t id, const struct weir_record *record);

void window_init(struct window *window, int64_t capacity);
void window_clean_up(struct window *window); /* nothing is sent any more */

/* How many rows may be added now. */
int64_t window_room(const struct window *window);
/* Takes the row, whose id is greater than any before. */
void window_add(struct window *window, struct row *row);

/* The next to hand over, now SENT; NULL: none. */
struct row *window_take(struct window *window);
/* It could not be handed over: READY again, as the next one. */
void window_put_back(struct window *window, struct row *row);
void window_done(struct window *window, struct row *row);
void window_failed(struct window *window, struct row *row);
/* All FAILED are READY again, but those that are rejected. */
void window_retry(struct window *window);
/* One that was rejected; window_done() or window_failed() follows. NULL: none. */
struct row *window_take_rejected(struct window *window);

/* Frees the rows that are done up to the first that is not; the last one's id, 0: none. */
int64_t window_pop(struct window *window);
const struct row *window_oldest(const struct window *window); /* NULL: empty */
/* Forgets everything. Nothing is SENT. */
void window_clear(struct window *window);

#endif
