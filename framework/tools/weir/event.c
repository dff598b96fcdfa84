#include "event.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "codec/scalar.h"

struct weir_bytes event_header(const rd_kafka_message_t *message, const char *name)
{
    rd_kafka_headers_t *headers = NULL;
    const void *value = NULL;
    size_t size = 0;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_get_last(headers, name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return weir_bytes(NULL, 0);
    return weir_bytes(value, size);
}

bool event_is_printable(struct weir_bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < 0x20 || text.data[i] >= 0x7f)
            return false;
    }
    return true;
}

/* Text of others may be anything: what is not UTF-8 is shown as base64. */
void event_add_text(struct weir_buffer *line, const char *name, struct weir_bytes text, bool is_text)
{
    weir_buffer_printf(line, "\"%s\":", name);
    if (is_text) {
        json_quote(text, line);
    } else {
        weir_buffer_append_byte(line, '"');
        base64_encode(text, line);
        weir_buffer_append_byte(line, '"');
    }
    weir_buffer_append_byte(line, ',');
}

static void add_time(struct weir_buffer *line, const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    int64_t ms = rd_kafka_message_timestamp(message, &type);
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    char text[32];
    if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || !gmtime_r(&seconds, &utc) ||
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc) == 0)
        return;
    weir_buffer_printf(line, "\"time\":\"%s.%03dZ\",", text, (int)(ms % 1000));
}

void event_add_head(struct weir_buffer *line, const rd_kafka_message_t *message)
{
    struct weir_bytes key = weir_bytes(message->key, message->key_len);
    struct weir_bytes id = event_header(message, "ce_id"), type = event_header(message, "ce_type");
    weir_buffer_printf(line, "\"partition\":%" PRId32 ",\"offset\":%" PRId64 ",", message->partition,
                       message->offset);
    add_time(line, message);
    if (message->key)
        event_add_text(line, "key", key, event_is_printable(key));
    if (id.size > 0)
        event_add_text(line, "id", id, event_is_printable(id));
    if (type.size > 0)
        event_add_text(line, "type", type, event_is_printable(type));
}

/* The message that the header ce_type names, else the one that declares the topic. */
static const struct weir_message *type_of(const struct event_format *format, struct weir_bytes type)
{
    char name[256];
    const struct weir_message *message = NULL;
    if (type.size > 0 && type.size < sizeof name) {
        memcpy(name, type.data, type.size);
        name[type.size] = 0;
        message = weir_schema_message(format->schema, name);
    }
    return message ? message : weir_schema_topic(format->schema, format->topic);
}

void event_add_value(const struct event_format *format, struct weir_buffer *line,
                     const rd_kafka_message_t *message)
{
    struct weir_bytes value = weir_bytes(message->payload, message->len);
    const struct weir_message *table = type_of(format, event_header(message, "ce_type"));
    struct weir_error err = {0};
    struct weir_json_options options = tool_json(format->schema);
    options.mask = !format->show_sensitive;
    if (!message->payload) {
        weir_buffer_append_text(line, "\"value\":null");
        return;
    }
    size_t before = line->size;
    weir_buffer_append_text(line, "\"value\":");
    if (table && weir_wire_to_json(table, value, &options, line, &err) == WEIR_OK)
        return;
    line->size = before;
    if (table)
        event_add_text(line, "problem", weir_bytes_of_text(err.text), true);
    event_add_text(line, "bytes", value, false);
    line->size--; /* the comma */
}

/* ---- The client ---- */

static void stay_silent(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    (void)client, (void)level, (void)facility, (void)text; /* errors come as messages and reports */
}

rd_kafka_t *event_client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, const char *const settings[][2])
{
    char error[512];
    rd_kafka_conf_set_log_cb(conf, stay_silent);
    bool right = true;
    for (size_t i = 0; settings[i][0] && right; i++)
        right =
            rd_kafka_conf_set(conf, settings[i][0], settings[i][1], error, sizeof error) == RD_KAFKA_CONF_OK;
    rd_kafka_t *client = right ? rd_kafka_new(type, conf, error, sizeof error) : NULL;
    if (!client) {
        rd_kafka_conf_destroy(conf);
        tool_fail(EX_CONFIG, "%s", error);
    }
    return client;
}

rd_kafka_t *event_reader_new(const char *brokers, const char *group)
{
    const char *const settings[][2] = {
        {"bootstrap.servers", brokers},
        {"group.id", group},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"enable.partition.eof", "true"},
        {"auto.offset.reset", "earliest"},
        {"client.id", "weir-cli"},
        {"allow.auto.create.topics", "false"},
        {NULL, NULL},
    };
    rd_kafka_t *reader = event_client_new(RD_KAFKA_CONSUMER, rd_kafka_conf_new(), settings);
    if (reader)
        rd_kafka_poll_set_consumer(reader);
    return reader;
}

void event_reader_destroy(rd_kafka_t *reader)
{
    rd_kafka_destroy_flags(reader, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

rd_kafka_topic_partition_list_t *event_partitions(rd_kafka_t *reader, const char *brokers, const char *topic,
                                                  const char *hint)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(reader, topic, NULL);
    rd_kafka_resp_err_t error = rd_kafka_metadata(reader, 0, handle, &metadata, EVENT_METADATA_TIMEOUT_MS);
    rd_kafka_topic_destroy(handle);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        tool_fail(EX_UNAVAILABLE, "cannot reach a broker at %s: %s", brokers, rd_kafka_err2str(error));
        return NULL;
    }
    rd_kafka_topic_partition_list_t *list = NULL;
    const struct rd_kafka_metadata_topic *found = metadata->topic_cnt == 1 ? &metadata->topics[0] : NULL;
    if (!found || found->err || found->partition_cnt == 0) {
        tool_fail(EX_DATAERR, "%s has no topic %s%s", brokers, topic, hint);
    } else {
        list = rd_kafka_topic_partition_list_new(found->partition_cnt);
        for (int i = 0; i < found->partition_cnt; i++)
            rd_kafka_topic_partition_list_add(list, topic, found->partitions[i].id)->offset =
                RD_KAFKA_OFFSET_BEGINNING;
    }
    rd_kafka_metadata_destroy(metadata);
    return list;
}
