/* A record of a topic as JSON, one line; and the client that reads records for the commands. */
#ifndef EVENT_H
#define EVENT_H

#include <librdkafka/rdkafka.h>

#include "tool.h"

/* How values are read. */
struct event_format {
    const struct weir_schema *schema;
    const char *topic; /* whose contract counts where a record has no ce_type */
    bool show_sensitive;
};

/* Borrows from the message; size 0: there is none. */
struct weir_bytes event_header(const rd_kafka_message_t *message, const char *name);
bool event_is_printable(struct weir_bytes text);

/* `"name":"text",`; what is not text is shown as base64. */
void event_add_text(struct weir_buffer *line, const char *name, struct weir_bytes text, bool is_text);
/* `"partition":0,"offset":7,` and so on up to the type. */
void event_add_head(struct weir_buffer *line, const rd_kafka_message_t *message);
/* `"value":{...}`, or what is wrong with it. */
void event_add_value(const struct event_format *format, struct weir_buffer *line,
                     const rd_kafka_message_t *message);

/* A client that logs nothing. Takes conf; `settings` end with NULL. NULL: said why. */
rd_kafka_t *event_client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, const char *const settings[][2]);
/* A consumer that has joined no group and commits nothing of itself; `group`: whose committed offsets it
 * knows. NULL: said why. */
rd_kafka_t *event_reader_new(const char *brokers, const char *group);
/* Leaves without a word to the group. */
void event_reader_destroy(rd_kafka_t *reader);
/* All partitions of a topic, with RD_KAFKA_OFFSET_BEGINNING. Caller owns the result. NULL: said why;
 * `hint` is added where there is no such topic. */
rd_kafka_topic_partition_list_t *event_partitions(rd_kafka_t *reader, const char *brokers, const char *topic,
                                                  const char *hint);

#define EVENT_METADATA_TIMEOUT_MS 5000
#define EVENT_POLL_MS 200

#endif
