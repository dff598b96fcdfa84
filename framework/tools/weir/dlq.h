/* weir dlq: dead letters, and what became of them.
 *
 * A topic keeps its records, so a letter that was replayed or dropped is still there: it is marked as resolved.
 * The marks are the committed offset of the group "weir-dlq", below which all is resolved, and its metadata,
 * which names what is resolved above it. A broker forgets them when the group was silent for its
 * offsets.retention (7 days); then letters that are still kept are open again. */
#ifndef DLQ_H
#define DLQ_H

#include "event.h"

#define DLQ_GROUP "weir-dlq"

/* ---- Marks: the offsets of one partition that are resolved ---- */

/* What a broker takes as an offset's metadata (offset.metadata.max.bytes). */
#define MARKS_TEXT_MAX 4096

struct marks {
    int64_t base; /* all below are resolved */
    struct marks_range {
        int64_t first, last;
    } * ranges; /* above; ascending, apart from each other */
    size_t count;
};

/* False: `text` was not written by marks_write(). Caller frees by marks_clean_up() in any case. */
bool marks_read(struct marks *ret_marks, int64_t base, const char *text);
bool marks_has(const struct marks *marks, int64_t offset);
void marks_add(struct marks *marks, int64_t offset);
/* Nothing is open below `offset`. */
void marks_advance(struct marks *marks, int64_t offset);
void marks_write(const struct marks *marks, struct weir_buffer *ret_text);
void marks_clean_up(struct marks *marks);

/* ---- Letters ---- */

struct letter {
    rd_kafka_message_t *message;
    bool resolved;
    bool selected;
};

struct dlq_partition {
    int32_t number;
    int64_t end; /* one behind the last letter that was read */
    struct marks marks;
};

/* One dead letter topic as it was when it was read. */
struct dlq {
    rd_kafka_t *reader;
    const char *brokers;
    char *topic;
    struct letter *letters; /* by partition and offset */
    size_t letter_count;
    struct dlq_partition *partitions;
    size_t partition_count;
};

/* Reads all that is kept, up to the ends as they are now. 0, or an exit status: said why. Caller frees by
 * dlq_close() in any case. */
int dlq_open(struct dlq *dlq, const char *brokers, const char *topic);
void dlq_close(struct dlq *dlq);
/* Names of all topics that end with `suffix`, sorted; caller frees each and the array. 0, or said why. */
int dlq_topics(const char *brokers, const char *suffix, char ***ret_names, size_t *ret_count);

/* Stores that the selected letters which are resolved are that. 0, or said why. */
int dlq_store_marks(struct dlq *dlq);

/* Sends the selected letters to where they came from, and resolves those that arrived. 0, or said why. */
int dlq_replay(struct dlq *dlq, int64_t replays_max, bool force);

#define DLQ_REPLAYS_MAX 3

#endif
