/* weir tail: the events of a topic, one JSON object a line. Reads the partitions itself: no group, no
 * commits. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include <librdkafka/rdkafka.h>

#include "codec/scalar.h"
#include "tool.h"

#define METADATA_TIMEOUT_MS 5000
#define POLL_MS 200

struct tail {
    const struct weir_schema *schema;
    const char *topic, *brokers;
    bool from_beginning, to_end, show_sensitive;
    int64_t most; /* 0: no limit */
    int64_t printed;
    int open_partitions; /* whose end was not reached, for --to-end */
    rd_kafka_t *consumer;
};

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* ---- One event ---- */

static struct weir_bytes header(const rd_kafka_headers_t *headers, const char *name)
{
    const void *value = NULL;
    size_t size = 0;
    if (!headers || rd_kafka_header_get_last(headers, name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return weir_bytes(NULL, 0);
    return weir_bytes(value, size);
}

/* Text of others may be anything: what is not UTF-8 is shown as base64. */
static void add_text(struct weir_buffer *line, const char *name, struct weir_bytes text, bool is_text)
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

static bool is_printable(struct weir_bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < 0x20 || text.data[i] >= 0x7f)
            return false;
    }
    return true;
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

/* The message that the header ce_type names, else the one that declares the topic. */
static const struct weir_message *type_of(const struct tail *tail, struct weir_bytes type)
{
    char name[256];
    const struct weir_message *message = NULL;
    if (type.size > 0 && type.size < sizeof name) {
        memcpy(name, type.data, type.size);
        name[type.size] = 0;
        message = weir_schema_message(tail->schema, name);
    }
    return message ? message : weir_schema_topic(tail->schema, tail->topic);
}

static void add_value(const struct tail *tail, struct weir_buffer *line, const rd_kafka_message_t *message,
                      struct weir_bytes type)
{
    struct weir_bytes value = weir_bytes(message->payload, message->len);
    const struct weir_message *table = type_of(tail, type);
    struct weir_error err = {0};
    struct weir_json_options options = tool_json(tail->schema);
    options.mask = !tail->show_sensitive;
    size_t before = line->size;
    if (!message->payload) {
        weir_buffer_append_text(line, "\"value\":null}");
        return;
    }
    weir_buffer_append_text(line, "\"value\":");
    if (table && weir_wire_to_json(table, value, &options, line, &err) == WEIR_OK) {
        weir_buffer_append_byte(line, '}');
        return;
    }
    line->size = before;
    if (table)
        add_text(line, "problem", weir_bytes_of_text(err.text), true);
    add_text(line, "bytes", value, false);
    line->data[line->size - 1] = '}';
}

static void print_event(struct tail *tail, const rd_kafka_message_t *message)
{
    struct weir_buffer line = {0};
    rd_kafka_headers_t *headers = NULL;
    rd_kafka_message_headers(message, &headers);
    struct weir_bytes key = weir_bytes(message->key, message->key_len), type = header(headers, "ce_type");
    struct weir_bytes id = header(headers, "ce_id");
    weir_buffer_printf(&line, "{\"partition\":%" PRId32 ",\"offset\":%" PRId64 ",", message->partition,
                       message->offset);
    add_time(&line, message);
    if (message->key)
        add_text(&line, "key", key, is_printable(key));
    if (id.size > 0)
        add_text(&line, "id", id, is_printable(id));
    if (type.size > 0)
        add_text(&line, "type", type, is_printable(type));
    add_value(tail, &line, message, type);
    puts(weir_buffer_text(&line));
    fflush(stdout);
    weir_buffer_free(&line);
    tail->printed++;
}

/* ---- The topic ---- */

/* The partitions to read, with where each begins; NULL: said why. */
static rd_kafka_topic_partition_list_t *find_partitions(struct tail *tail)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(tail->consumer, tail->topic, NULL);
    rd_kafka_resp_err_t error = rd_kafka_metadata(tail->consumer, 0, topic, &metadata, METADATA_TIMEOUT_MS);
    rd_kafka_topic_destroy(topic);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        tool_fail(EX_UNAVAILABLE, "cannot reach a broker at %s: %s", tail->brokers, rd_kafka_err2str(error));
        return NULL;
    }
    rd_kafka_topic_partition_list_t *list = NULL;
    const struct rd_kafka_metadata_topic *found = metadata->topic_cnt == 1 ? &metadata->topics[0] : NULL;
    if (!found || found->err || found->partition_cnt == 0) {
        tool_fail(EX_DATAERR, "%s has no topic %s%s", tail->brokers, tail->topic,
                  weir_schema_topic(tail->schema, tail->topic) ? " yet" : ", and no contract declares it");
    } else {
        list = rd_kafka_topic_partition_list_new(found->partition_cnt);
        for (int i = 0; i < found->partition_cnt; i++)
            rd_kafka_topic_partition_list_add(list, tail->topic, found->partitions[i].id)->offset =
                tail->from_beginning ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END;
        tail->open_partitions = found->partition_cnt;
    }
    rd_kafka_metadata_destroy(metadata);
    return list;
}

static int follow(struct tail *tail)
{
    int status = 0;
    while (!interrupted && status == 0 && (tail->most == 0 || tail->printed < tail->most) &&
           !(tail->to_end && tail->open_partitions <= 0)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(tail->consumer, POLL_MS);
        if (!message)
            continue;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            print_event(tail, message);
        else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            tail->open_partitions--;
        else if (message->err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
            tool_fail(0, "no broker answers; still trying");
        else
            status = tool_fail(EX_UNAVAILABLE, "%s: %s", tail->topic, rd_kafka_message_errstr(message));
        rd_kafka_message_destroy(message);
    }
    return status;
}

static void stay_silent(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    (void)client, (void)level, (void)facility, (void)text; /* errors come as messages */
}

static int run(struct tail *tail)
{
    static const char *const settings[][2] = {
        {"group.id", "weir-tail"},        /* asked for, but never joined */ {"enable.auto.commit", "false"},
        {"enable.partition.eof", "true"}, {"auto.offset.reset", "earliest"},
        {"client.id", "weir-tail"},       {"allow.auto.create.topics", "false"},
    };
    char error[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, stay_silent);
    bool right =
        rd_kafka_conf_set(conf, "bootstrap.servers", tail->brokers, error, sizeof error) == RD_KAFKA_CONF_OK;
    for (size_t i = 0; i < sizeof settings / sizeof settings[0] && right; i++)
        right =
            rd_kafka_conf_set(conf, settings[i][0], settings[i][1], error, sizeof error) == RD_KAFKA_CONF_OK;
    tail->consumer = right ? rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof error) : NULL;
    if (!tail->consumer) {
        rd_kafka_conf_destroy(conf);
        return tool_fail(EX_CONFIG, "%s", error);
    }
    rd_kafka_poll_set_consumer(tail->consumer);
    int status = EX_UNAVAILABLE;
    rd_kafka_topic_partition_list_t *list = find_partitions(tail);
    if (list) {
        rd_kafka_assign(tail->consumer, list);
        rd_kafka_topic_partition_list_destroy(list);
        status = follow(tail);
    }
    rd_kafka_destroy_flags(tail->consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return status;
}

static int parse(int argc, char **argv, struct tail *tail, const char **descriptors)
{
    static const struct option options[] = {
        {"brokers", required_argument, NULL, 'b'},
        {"from-beginning", no_argument, NULL, 'f'},
        {"to-end", no_argument, NULL, 'e'},
        {"descriptors", required_argument, NULL, 'd'},
        {"count", required_argument, NULL, 'n'},
        {"show-sensitive", no_argument, NULL, 's'},
        {0},
    };
    char *end;
    for (int option; (option = getopt_long(argc, argv, "n:", options, NULL)) != -1;) {
        switch (option) {
        case 'b':
            tail->brokers = optarg;
            break;
        case 'f':
            tail->from_beginning = true;
            break;
        case 'e':
            tail->to_end = true;
            break;
        case 's':
            tail->show_sensitive = true;
            break;
        case 'd':
            *descriptors = optarg;
            break;
        case 'n':
            errno = 0;
            tail->most = strtoll(optarg, &end, 10);
            if (*end || end == optarg || errno || tail->most <= 0)
                return tool_fail(EX_USAGE, "-n %s is no number of events", optarg);
            break;
        default:
            return EX_USAGE; /* getopt has said why */
        }
    }
    if (argc - optind != 1)
        return tool_fail(EX_USAGE,
                         "usage: weir tail TOPIC [--brokers HOST:PORT,...] [--from-beginning] [--to-end] "
                         "[-n COUNT]");
    tail->topic = argv[optind];
    return 0;
}

int tail_command(int argc, char **argv)
{
    struct tail tail = {.brokers = "127.0.0.1:9092"};
    const char *descriptors = NULL;
    int status = parse(argc, argv, &tail, &descriptors);
    if (status != 0)
        return status;
    struct weir_schema *schema = tool_load(descriptors);
    if (!schema)
        return EX_NOINPUT;
    tail.schema = schema;
    /* librdkafka would wait and then say less. */
    bool one = !strchr(tail.brokers, ',') && strchr(tail.brokers, ':');
    int unreachable = one ? tool_reach(tail.brokers) : 0;
    if (unreachable != 0) {
        weir_schema_destroy(schema);
        return unreachable;
    }
    struct sigaction action = {.sa_handler = interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    status = run(&tail);
    weir_schema_destroy(schema);
    return status;
}
