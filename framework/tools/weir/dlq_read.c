/* Reading a dead letter topic, and the marks of what is resolved in it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <weir/clock.h>

#include "core/memory.h"
#include "dlq.h"

#define TIMEOUT_MS 10000
/* Who has more has another problem than one that is solved letter by letter. */
#define LETTERS_MAX 100000

static int read_marks(struct dlq *dlq, const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_topic_partition_list_t *stored = rd_kafka_topic_partition_list_copy(list);
    rd_kafka_resp_err_t error = rd_kafka_committed(dlq->reader, stored, TIMEOUT_MS);
    int status = 0;
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        status = tool_fail(EX_UNAVAILABLE, "cannot read what is resolved in %s: %s", dlq->topic,
                           rd_kafka_err2str(error));
    dlq->partitions = memory_zalloc((size_t)list->cnt * sizeof *dlq->partitions);
    dlq->partition_count = (size_t)list->cnt;
    for (int i = 0; i < stored->cnt && status == 0; i++) {
        const rd_kafka_topic_partition_t *at = &stored->elems[i];
        struct dlq_partition *partition = &dlq->partitions[i];
        partition->number = at->partition;
        char *text = memory_printf("%.*s", (int)at->metadata_size, (const char *)at->metadata);
        if (!marks_read(&partition->marks, at->offset, text))
            status = tool_fail(EX_DATAERR,
                               "group " DLQ_GROUP ", %s, partition %" PRId32
                               ": \"%s\" is no note of weir's about resolved letters; delete the group's "
                               "offsets to begin anew",
                               dlq->topic, at->partition, text);
        free(text);
    }
    rd_kafka_topic_partition_list_destroy(stored);
    return status;
}

static struct dlq_partition *partition_of(struct dlq *dlq, int32_t number)
{
    for (size_t i = 0; i < dlq->partition_count; i++)
        if (dlq->partitions[i].number == number)
            return &dlq->partitions[i];
    return NULL;
}

/* Takes the message. */
static int add_letter(struct dlq *dlq, rd_kafka_message_t *message)
{
    struct dlq_partition *partition = partition_of(dlq, message->partition);
    if (dlq->letter_count == LETTERS_MAX) {
        rd_kafka_message_destroy(message);
        return tool_fail(EX_DATAERR, "%s holds more than %d letters", dlq->topic, LETTERS_MAX);
    }
    if ((dlq->letter_count & (dlq->letter_count - 1)) == 0)
        dlq->letters = memory_realloc(dlq->letters, (dlq->letter_count * 2 + 1) * sizeof *dlq->letters);
    dlq->letters[dlq->letter_count++] =
        (struct letter){.message = message, .resolved = marks_has(&partition->marks, message->offset)};
    partition->end = message->offset + 1;
    return 0;
}

static int read_letters(struct dlq *dlq)
{
    size_t open = dlq->partition_count;
    int64_t give_up_ns = weir_deadline_in_ms(TIMEOUT_MS);
    while (open > 0) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(dlq->reader, EVENT_POLL_MS);
        int status = 0;
        if (!message) {
            if (weir_now_ns() < give_up_ns)
                continue;
            return tool_fail(EX_UNAVAILABLE, "%s: the broker sent nothing for %d s", dlq->topic,
                             TIMEOUT_MS / 1000);
        }
        give_up_ns = weir_deadline_in_ms(TIMEOUT_MS);
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            status = add_letter(dlq, message);
            message = NULL;
        } else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            open--;
        } else {
            status = tool_fail(EX_UNAVAILABLE, "%s: %s", dlq->topic, rd_kafka_message_errstr(message));
        }
        if (message)
            rd_kafka_message_destroy(message);
        if (status != 0)
            return status;
    }
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const rd_kafka_message_t *one = ((const struct letter *)a)->message,
                             *other = ((const struct letter *)b)->message;
    if (one->partition != other->partition)
        return one->partition < other->partition ? -1 : 1;
    return one->offset < other->offset ? -1 : one->offset > other->offset;
}

int dlq_open(struct dlq *dlq, const char *brokers, const char *topic)
{
    *dlq = (struct dlq){.brokers = brokers, .topic = memory_strdup(topic)};
    dlq->reader = event_reader_new(brokers, DLQ_GROUP);
    if (!dlq->reader)
        return EX_CONFIG;
    rd_kafka_topic_partition_list_t *list = event_partitions(
        dlq->reader, brokers, topic, ": nothing was set aside, or it is called by another suffix");
    if (!list)
        return EX_DATAERR;
    int status = read_marks(dlq, list);
    if (status == 0) {
        rd_kafka_assign(dlq->reader, list);
        status = read_letters(dlq);
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (dlq->letter_count > 0)
        qsort(dlq->letters, dlq->letter_count, sizeof *dlq->letters, by_place);
    return status;
}

void dlq_close(struct dlq *dlq)
{
    for (size_t i = 0; i < dlq->letter_count; i++)
        rd_kafka_message_destroy(dlq->letters[i].message);
    for (size_t i = 0; i < dlq->partition_count; i++)
        marks_clean_up(&dlq->partitions[i].marks);
    free(dlq->letters);
    free(dlq->partitions);
    if (dlq->reader)
        event_reader_destroy(dlq->reader);
    free(dlq->topic);
    *dlq = (struct dlq){0};
}

/* ---- Topics ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool ends_with(const char *text, const char *suffix)
{
    size_t length = strlen(text), tail = strlen(suffix);
    return length > tail && strcmp(text + length - tail, suffix) == 0;
}

int dlq_topics(const char *brokers, const char *suffix, char ***ret_names, size_t *ret_count)
{
    *ret_names = NULL;
    *ret_count = 0;
    rd_kafka_t *reader = event_reader_new(brokers, DLQ_GROUP);
    if (!reader)
        return EX_CONFIG;
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t error = rd_kafka_metadata(reader, 1, NULL, &metadata, EVENT_METADATA_TIMEOUT_MS);
    int status = 0;
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        status =
            tool_fail(EX_UNAVAILABLE, "cannot reach a broker at %s: %s", brokers, rd_kafka_err2str(error));
    } else {
        *ret_names = memory_zalloc(((size_t)metadata->topic_cnt + 1) * sizeof **ret_names);
        for (int i = 0; i < metadata->topic_cnt; i++)
            if (ends_with(metadata->topics[i].topic, suffix))
                (*ret_names)[(*ret_count)++] = memory_strdup(metadata->topics[i].topic);
        qsort(*ret_names, *ret_count, sizeof **ret_names, by_name);
        rd_kafka_metadata_destroy(metadata);
    }
    event_reader_destroy(reader);
    return status;
}

/* ---- Marks ---- */

/* What is resolved now: the first letter that is open, and those behind it that are not. */
static void mark(struct dlq *dlq, struct dlq_partition *partition)
{
    int64_t first_open = partition->end;
    for (size_t i = dlq->letter_count; i > 0; i--) {
        const struct letter *letter = &dlq->letters[i - 1];
        if (letter->message->partition != partition->number)
            continue;
        if (letter->resolved)
            marks_add(&partition->marks, letter->message->offset);
        else
            first_open = letter->message->offset;
    }
    marks_advance(&partition->marks, first_open);
}

static int add_marks(struct dlq *dlq, rd_kafka_topic_partition_list_t *list)
{
    for (size_t i = 0; i < dlq->partition_count; i++) {
        struct dlq_partition *partition = &dlq->partitions[i];
        struct weir_buffer text = {0};
        mark(dlq, partition);
        marks_write(&partition->marks, &text);
        if (text.size > MARKS_TEXT_MAX) {
            weir_buffer_free(&text);
            return tool_fail(EX_DATAERR,
                             "%s, partition %" PRId32
                             ": what is resolved is too scattered to be noted; resolve "
                             "the oldest letters first",
                             dlq->topic, partition->number);
        }
        rd_kafka_topic_partition_t *at =
            rd_kafka_topic_partition_list_add(list, dlq->topic, partition->number);
        at->offset = partition->marks.base;
        at->metadata_size = text.size;
        at->metadata = text.size > 0 ? memory_strdup(weir_buffer_text(&text)) : NULL; /* the list frees it */
        weir_buffer_free(&text);
    }
    return 0;
}

int dlq_store_marks(struct dlq *dlq)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)dlq->partition_count);
    int status = add_marks(dlq, list);
    if (status == 0) {
        rd_kafka_queue_t *answers = rd_kafka_queue_new(dlq->reader);
        rd_kafka_resp_err_t error = rd_kafka_commit_queue(dlq->reader, list, answers, NULL, NULL);
        rd_kafka_event_t *event = error ? NULL : rd_kafka_queue_poll(answers, TIMEOUT_MS);
        if (!error)
            error = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
        rd_kafka_event_destroy(event);
        rd_kafka_queue_destroy(answers);
        if (error)
            status = tool_fail(EX_UNAVAILABLE,
                               "%s: what was resolved could not be noted, so it is still shown as open: %s",
                               dlq->topic, rd_kafka_err2str(error));
    }
    rd_kafka_topic_partition_list_destroy(list);
    return status;
}
