/* weir tail: the events of a topic, one JSON object a line. Reads the partitions itself: no group, no
 * commits. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "event.h"

struct tail {
    struct event_format format;
    const char *brokers;
    bool from_beginning, to_end;
    int64_t most; /* 0: no limit */
    int64_t printed;
    int open_partitions; /* whose end was not reached, for --to-end */
    rd_kafka_t *reader;
};

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

static void print_event(struct tail *tail, const rd_kafka_message_t *message)
{
    struct weir_buffer line = {0};
    weir_buffer_append_byte(&line, '{');
    event_add_head(&line, message);
    event_add_value(&tail->format, &line, message);
    weir_buffer_append_byte(&line, '}');
    puts(weir_buffer_text(&line));
    fflush(stdout);
    weir_buffer_free(&line);
    tail->printed++;
}

static int follow(struct tail *tail)
{
    int status = 0;
    while (!interrupted && status == 0 && (tail->most == 0 || tail->printed < tail->most) &&
           !(tail->to_end && tail->open_partitions <= 0)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(tail->reader, EVENT_POLL_MS);
        if (!message)
            continue;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            print_event(tail, message);
        else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            tail->open_partitions--;
        else if (message->err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
            tool_fail(0, "no broker answers; still trying");
        else
            status =
                tool_fail(EX_UNAVAILABLE, "%s: %s", tail->format.topic, rd_kafka_message_errstr(message));
        rd_kafka_message_destroy(message);
    }
    return status;
}

static int run(struct tail *tail)
{
    tail->reader = event_reader_new(tail->brokers, "weir-tail");
    if (!tail->reader)
        return EX_CONFIG;
    const char *topic = tail->format.topic;
    int status = EX_UNAVAILABLE;
    rd_kafka_topic_partition_list_t *list = event_partitions(
        tail->reader, tail->brokers, topic,
        weir_schema_topic(tail->format.schema, topic) ? " yet" : ", and no contract declares it");
    if (list) {
        for (int i = 0; i < list->cnt && !tail->from_beginning; i++)
            list->elems[i].offset = RD_KAFKA_OFFSET_END;
        tail->open_partitions = list->cnt;
        rd_kafka_assign(tail->reader, list);
        rd_kafka_topic_partition_list_destroy(list);
        status = follow(tail);
    }
    event_reader_destroy(tail->reader);
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
            tail->format.show_sensitive = true;
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
    tail->format.topic = argv[optind];
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
    tail.format.schema = schema;
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
