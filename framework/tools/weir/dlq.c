/* weir dlq: the command. What is selected, and what is shown of it. */
#include "dlq.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "core/memory.h"
#include "transports/kafka/record.h"

#define PLACES_MAX 1000

struct place {
    int32_t partition;
    int64_t offset;
    bool found;
};

struct selection {
    struct place places[PLACES_MAX];
    size_t place_count;
    const char *key, *group, *status, *error;
    int64_t since_ms, until_ms; /* since 1970 UTC; 0: no limit */
    bool all, resolved;
};

struct command {
    const char *brokers, *suffix, *descriptors, *topic;
    bool show_sensitive, dry_run, force;
    struct selection selection;
};

/* ---- Selecting ---- */

static bool is_text(struct weir_bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

static bool contains(struct weir_bytes bytes, const char *text)
{
    return bytes.size > 0 && memmem(bytes.data, bytes.size, text, strlen(text)) != NULL;
}

static bool is_at_a_place(struct selection *selection, const rd_kafka_message_t *message)
{
    for (size_t i = 0; i < selection->place_count; i++) {
        struct place *place = &selection->places[i];
        if (place->partition == message->partition && place->offset == message->offset)
            return place->found = true;
    }
    return selection->place_count == 0;
}

static bool is_selected(struct selection *selection, const struct letter *letter)
{
    const rd_kafka_message_t *message = letter->message;
    int64_t ms = rd_kafka_message_timestamp(message, NULL);
    if (!is_at_a_place(selection, message))
        return false;
    if (letter->resolved && !selection->resolved && selection->place_count == 0)
        return false;
    if (selection->key && !is_text(weir_bytes(message->key, message->key_len), selection->key))
        return false;
    if (selection->group && !is_text(event_header(message, HEADER_ORIGIN "group"), selection->group))
        return false;
    if (selection->status && !is_text(event_header(message, HEADER_ORIGIN "status"), selection->status))
        return false;
    if (selection->error && !contains(event_header(message, HEADER_ORIGIN "error"), selection->error))
        return false;
    return ms >= selection->since_ms && (selection->until_ms == 0 || ms < selection->until_ms);
}

/* How many; -1: a place that was named is not there, and said so. */
static int64_t select_letters(struct dlq *dlq, struct selection *selection)
{
    int64_t count = 0;
    for (size_t i = 0; i < dlq->letter_count; i++) {
        dlq->letters[i].selected = is_selected(selection, &dlq->letters[i]);
        count += dlq->letters[i].selected;
    }
    for (size_t i = 0; i < selection->place_count; i++)
        if (!selection->places[i].found) {
            tool_fail(0, "%s has no letter at %" PRId32 ":%" PRId64, dlq->topic,
                      selection->places[i].partition, selection->places[i].offset);
            return -1;
        }
    return count;
}

/* ---- Showing ---- */

static void format_time(int64_t ms, char ret_text[32])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    if (ms < 0 || !gmtime_r(&seconds, &utc) || strftime(ret_text, 32, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        memcpy(ret_text, "-", 2);
}

/* On one line of a terminal: what cannot be printed is a dot. */
static char *for_table(struct weir_bytes text, size_t most)
{
    char *copy = memory_zalloc(most + 1);
    for (size_t i = 0; i < text.size && i < most; i++)
        copy[i] = (char)(text.data[i] >= 0x20 && text.data[i] < 0x7f ? text.data[i] : '.');
    if (text.size == 0)
        memcpy(copy, "-", 2);
    return copy;
}

static void list_letter(const struct letter *letter)
{
    const rd_kafka_message_t *message = letter->message;
    char time[32], place[40];
    format_time(rd_kafka_message_timestamp(message, NULL), time);
    snprintf(place, sizeof place, "%" PRId32 ":%" PRId64, message->partition, message->offset);
    char *key = for_table(weir_bytes(message->key, message->key_len), 36);
    char *group = for_table(event_header(message, HEADER_ORIGIN "group"), 20);
    char *attempts = for_table(event_header(message, HEADER_ORIGIN "attempts"), 8);
    char *status = for_table(event_header(message, HEADER_ORIGIN "status"), 20);
    char *error = for_table(event_header(message, HEADER_ORIGIN "error"), 200);
    printf("%-9s %-20s  %-36s  %-14s  %8s  %-19s  %s%s\n", place, time, key, group, attempts, status, error,
           letter->resolved ? "  (resolved)" : "");
    free(key);
    free(group);
    free(attempts);
    free(status);
    free(error);
}

static int list_letters(struct dlq *dlq, int64_t count)
{
    if (count == 0) {
        printf("%s: no letter%s\n", dlq->topic, dlq->letter_count > 0 ? " is open and fits" : "s");
        return 0;
    }
    printf("%-9s %-20s  %-36s  %-14s  %8s  %-19s  %s\n", "place", "time", "key", "group", "attempts",
           "status", "error");
    for (size_t i = 0; i < dlq->letter_count; i++)
        if (dlq->letters[i].selected)
            list_letter(&dlq->letters[i]);
    return 0;
}

static int list_topics(const struct command *command)
{
    char **names;
    size_t count;
    int status = dlq_topics(command->brokers, command->suffix, &names, &count);
    if (status == 0 && count == 0)
        printf("no topic ends with %s: nothing was set aside\n", command->suffix);
    if (status == 0 && count > 0)
        printf("%-32s %6s  %-20s  %s\n", "topic", "open", "oldest", "newest");
    for (size_t i = 0; i < count; i++) {
        struct dlq dlq = {0};
        if (status == 0)
            status = dlq_open(&dlq, command->brokers, names[i]);
        int64_t open = 0, oldest = -1, newest = -1;
        for (size_t j = 0; j < dlq.letter_count; j++) {
            if (dlq.letters[j].resolved)
                continue;
            int64_t ms = rd_kafka_message_timestamp(dlq.letters[j].message, NULL);
            oldest = open == 0 || ms < oldest ? ms : oldest;
            newest = ms > newest ? ms : newest;
            open++;
        }
        char first[32], last[32];
        format_time(oldest, first);
        format_time(newest, last);
        if (status == 0)
            printf("%-32s %6" PRId64 "  %-20s  %s\n", names[i], open, first, last);
        dlq_close(&dlq);
        free(names[i]);
    }
    free(names);
    return status;
}

static void show_letter(const struct event_format *format, const struct letter *letter)
{
    static const char *const origins[] = {"topic",  "partition", "offset",  "group",
                                          "status", "error",     "attempts"};
    struct weir_buffer line = {0};
    weir_buffer_append_byte(&line, '{');
    event_add_head(&line, letter->message);
    weir_buffer_append_text(&line, "\"origin\":{");
    for (size_t i = 0; i < sizeof origins / sizeof origins[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, HEADER_ORIGIN "%s", origins[i]);
        struct weir_bytes value = event_header(letter->message, name);
        if (value.size > 0)
            event_add_text(&line, origins[i], value, true);
    }
    if (line.data[line.size - 1] == ',')
        line.size--;
    weir_buffer_append_text(&line, "},");
    struct weir_bytes replays = event_header(letter->message, HEADER_REPLAYS);
    if (replays.size > 0)
        event_add_text(&line, "replays", replays, event_is_printable(replays));
    if (letter->resolved)
        weir_buffer_append_text(&line, "\"resolved\":true,");
    event_add_value(format, &line, letter->message);
    weir_buffer_append_byte(&line, '}');
    puts(weir_buffer_text(&line));
    weir_buffer_free(&line);
}

static int show_letters(const struct command *command, struct dlq *dlq)
{
    struct weir_schema *schema = tool_load(command->descriptors);
    if (!schema)
        return EX_NOINPUT;
    char *origin = memory_strdup(dlq->topic);
    origin[strlen(origin) - strlen(command->suffix)] = 0;
    struct event_format format = {
        .schema = schema, .topic = origin, .show_sensitive = command->show_sensitive};
    for (size_t i = 0; i < dlq->letter_count; i++)
        if (dlq->letters[i].selected)
            show_letter(&format, &dlq->letters[i]);
    free(origin);
    weir_schema_destroy(schema);
    return 0;
}

/* ---- Resolving ---- */

static int64_t count_resolved(const struct dlq *dlq)
{
    int64_t count = 0;
    for (size_t i = 0; i < dlq->letter_count; i++)
        count += dlq->letters[i].selected && dlq->letters[i].resolved;
    return count;
}

static int resolve(const struct command *command, struct dlq *dlq, bool replay)
{
    const char *done = replay ? "replayed" : "dropped";
    for (size_t i = 0; i < dlq->letter_count; i++) /* what is resolved already need not be again */
        if (dlq->letters[i].resolved && !command->force)
            dlq->letters[i].selected = false;
    int64_t selected = 0;
    for (size_t i = 0; i < dlq->letter_count; i++)
        selected += dlq->letters[i].selected;
    if (command->dry_run) {
        printf("%" PRId64 " would be %s\n", selected, done);
        return list_letters(dlq, selected);
    }
    int status = 0;
    for (size_t i = 0; i < dlq->letter_count; i++)
        if (dlq->letters[i].selected)
            dlq->letters[i].resolved = !replay;
    if (replay && selected > 0)
        status = dlq_replay(dlq, DLQ_REPLAYS_MAX, command->force);
    int64_t resolved = count_resolved(dlq);
    int noted = resolved > 0 ? dlq_store_marks(dlq) : 0;
    printf("%" PRId64 " %s\n", resolved, done);
    return noted != 0 ? noted : status;
}

/* ---- Arguments ---- */

/* "2026-11-22T10:00:00Z", or how long ago: "90s", "15m", "2h", "3d". */
static bool read_time(const char *text, int64_t *ret_ms)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    struct tm utc = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    if (end && !*end) {
        *ret_ms = (int64_t)timegm(&utc) * 1000;
        return true;
    }
    char *unit;
    errno = 0;
    int64_t count = strtoll(text, &unit, 10);
    if (errno || unit == text || count < 0 || count > 100000000 || strlen(unit) != 1)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (*unit == units[i].unit) {
            *ret_ms = ((int64_t)time(NULL) - count * units[i].seconds) * 1000;
            return true;
        }
    return false;
}

static int read_place(struct selection *selection, const char *text)
{
    char *end, *last = NULL;
    errno = 0;
    long long partition = strtoll(text, &end, 10);
    long long offset = *end == ':' ? strtoll(end + 1, &last, 10) : -1;
    if (errno || !last || last == end + 1 || *last || partition < 0 || partition > INT32_MAX || offset < 0)
        return tool_fail(EX_USAGE, "%s is no place: PARTITION:OFFSET, as weir dlq ls shows it", text);
    if (selection->place_count == PLACES_MAX)
        return tool_fail(EX_USAGE, "more than %d places; select by key, time or error", PLACES_MAX);
    selection->places[selection->place_count++] =
        (struct place){.partition = (int32_t)partition, .offset = offset};
    return 0;
}

static int read_time_option(const char *name, const char *text, int64_t *ret_ms)
{
    return read_time(text, ret_ms)
               ? 0
               : tool_fail(EX_USAGE,
                           "--%s %s is no time: 2026-11-22T10:00:00Z, or how long ago: 90s, "
                           "15m, 2h, 3d",
                           name, text);
}

static int parse(int argc, char **argv, struct command *command)
{
    static const struct option options[] = {
        {"brokers", required_argument, NULL, 'b'},
        {"suffix", required_argument, NULL, 'x'},
        {"descriptors", required_argument, NULL, 'd'},
        {"show-sensitive", no_argument, NULL, 'S'},
        {"key", required_argument, NULL, 'k'},
        {"group", required_argument, NULL, 'g'},
        {"status", required_argument, NULL, 's'},
        {"error", required_argument, NULL, 'e'},
        {"since", required_argument, NULL, 'f'},
        {"until", required_argument, NULL, 't'},
        {"all", no_argument, NULL, 'a'},
        {"resolved", no_argument, NULL, 'r'},
        {"dry-run", no_argument, NULL, 'n'},
        {"force", no_argument, NULL, 'F'},
        {0},
    };
    struct selection *selection = &command->selection;
    int status = 0;
    for (int option; status == 0 && (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        const char **text = option == 'b'   ? &command->brokers
                            : option == 'x' ? &command->suffix
                            : option == 'd' ? &command->descriptors
                            : option == 'k' ? &selection->key
                            : option == 'g' ? &selection->group
                            : option == 's' ? &selection->status
                            : option == 'e' ? &selection->error
                                            : NULL;
        bool *flag = option == 'S'   ? &command->show_sensitive
                     : option == 'a' ? &selection->all
                     : option == 'r' ? &selection->resolved
                     : option == 'n' ? &command->dry_run
                     : option == 'F' ? &command->force
                                     : NULL;
        if (text)
            *text = optarg;
        else if (flag)
            *flag = true;
        else if (option == 'f')
            status = read_time_option("since", optarg, &selection->since_ms);
        else if (option == 't')
            status = read_time_option("until", optarg, &selection->until_ms);
        else
            return EX_USAGE; /* getopt has said why */
    }
    if (status == 0 && optind < argc)
        command->topic = argv[optind++];
    for (; status == 0 && optind < argc; optind++)
        status = read_place(selection, argv[optind]);
    return status;
}

static char *letters_topic(const struct command *command)
{
    size_t length = strlen(command->topic), tail = strlen(command->suffix);
    bool has = length > tail && strcmp(command->topic + length - tail, command->suffix) == 0;
    return memory_printf("%s%s", command->topic, has ? "" : command->suffix);
}

static bool selects_something(const struct selection *selection)
{
    return selection->place_count > 0 || selection->key || selection->group || selection->status ||
           selection->error || selection->since_ms || selection->until_ms || selection->all;
}

static int run(struct command *command, const char *verb)
{
    char *topic = letters_topic(command);
    struct dlq dlq;
    int status = dlq_open(&dlq, command->brokers, topic);
    int64_t count = status == 0 ? select_letters(&dlq, &command->selection) : 0;
    if (status != 0 || count < 0)
        status = status != 0 ? status : EX_DATAERR;
    else if (strcmp(verb, "ls") == 0)
        status = list_letters(&dlq, count);
    else if (strcmp(verb, "show") == 0)
        status = show_letters(command, &dlq);
    else
        status = resolve(command, &dlq, strcmp(verb, "replay") == 0);
    dlq_close(&dlq);
    free(topic);
    return status;
}

int dlq_command(int argc, char **argv)
{
    static const char usage[] =
        "usage: weir dlq ls [TOPIC] | show|replay|drop TOPIC [PARTITION:OFFSET...] [--key K] "
        "[--group G] [--status S] [--error TEXT] [--since T] [--until T] [--all]";
    struct command command = {.brokers = "127.0.0.1:9092", .suffix = ".dlt"};
    const char *verb = argc > 1 ? argv[1] : "";
    bool lists = strcmp(verb, "ls") == 0, shows = strcmp(verb, "show") == 0;
    if (!lists && !shows && strcmp(verb, "replay") != 0 && strcmp(verb, "drop") != 0)
        return tool_fail(EX_USAGE, "%s", usage);
    int status = parse(argc - 1, argv + 1, &command);
    if (status != 0)
        return status;
    if (!command.topic && !lists)
        return tool_fail(EX_USAGE, "%s", usage);
    if (!lists && !shows && !selects_something(&command.selection))
        return tool_fail(EX_USAGE,
                         "which letters? Name them as weir dlq ls shows them, select them by key, group, "
                         "status, error or time, or say --all");
    bool one = !strchr(command.brokers, ',') && strchr(command.brokers, ':');
    status = one ? tool_reach(command.brokers) : 0;
    if (status != 0)
        return status;
    return command.topic ? run(&command, verb) : list_topics(&command);
}
