/* Sends dead letters back to where they came from: for the group that set them aside, under the id that they
 * had, so that who had their effect already does not have it twice. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <weir/clock.h>

#include "core/memory.h"
#include "dlq.h"
#include "transports/kafka/record.h"

#define FLUSH_MS 30000
#define HEADERS_MAX 128

struct replay {
    struct dlq *dlq;
    rd_kafka_t *producer;
    int failed;
};

/* Text of a header, at most 255 characters; false: there is none. */
static bool header_text(const rd_kafka_message_t *message, const char *name, char ret_text[256])
{
    struct weir_bytes value = event_header(message, name);
    if (value.size == 0 || value.size >= 256)
        return false;
    memcpy(ret_text, value.data, value.size);
    ret_text[value.size] = 0;
    return true;
}

static int64_t replays_of(const rd_kafka_message_t *message)
{
    char text[256];
    return header_text(message, HEADER_REPLAYS, text) ? strtoll(text, NULL, 10) : 0;
}

static void fail_letter(struct replay *replay, const struct letter *letter, const char *why)
{
    replay->failed++;
    tool_fail(0, "%s, %" PRId32 ":%" PRId64 " was not replayed: %s", replay->dlq->topic,
              letter->message->partition, letter->message->offset, why);
}

/* Runs in: rd_kafka_poll(), rd_kafka_flush(). */
static void on_delivered(rd_kafka_t *producer, const rd_kafka_message_t *report, void *opaque)
{
    (void)producer;
    struct letter *letter = report->_private;
    if (report->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        letter->resolved = true;
    else
        fail_letter(opaque, letter, rd_kafka_err2str(report->err));
}

static bool is_ours(const char *name)
{
    return strncmp(name, HEADER_ORIGIN, strlen(HEADER_ORIGIN)) == 0 ||
           strcmp(name, HEADER_REPLAY_GROUP) == 0 || strcmp(name, HEADER_REPLAYS) == 0 ||
           strcmp(name, HEADER_DEADLINE) == 0;
}

/* Its own, without what the dead letter added, and without a deadline: whoever replays it wants it done. */
static rd_kafka_headers_t *headers_of(const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *own = NULL, *headers = rd_kafka_headers_new(16);
    char text[256];
    const char *name;
    const void *value;
    size_t size;
    if (rd_kafka_message_headers(message, &own) == RD_KAFKA_RESP_ERR_NO_ERROR)
        for (size_t i = 0; i < HEADERS_MAX && rd_kafka_header_get_all(own, i, &name, &value, &size) == 0; i++)
            if (!is_ours(name))
                rd_kafka_header_add(headers, name, -1, value, (ssize_t)size);
    if (header_text(message, HEADER_ORIGIN "group", text))
        rd_kafka_header_add(headers, HEADER_REPLAY_GROUP, -1, text, -1);
    snprintf(text, sizeof text, "%" PRId64, replays_of(message) + 1);
    rd_kafka_header_add(headers, HEADER_REPLAYS, -1, text, -1);
    return headers;
}

static void replay_letter(struct replay *replay, struct letter *letter)
{
    rd_kafka_message_t *message = letter->message;
    char topic[256];
    if (!header_text(message, HEADER_ORIGIN "topic", topic)) {
        fail_letter(replay, letter, "it does not say which topic it came from (" HEADER_ORIGIN "topic)");
        return;
    }
    rd_kafka_headers_t *headers = headers_of(message);
    rd_kafka_resp_err_t error;
    int64_t give_up_ns = weir_deadline_in_ms(FLUSH_MS);
    do {
        error = rd_kafka_producev(
            replay->producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(message->key, message->key_len),
            RD_KAFKA_V_VALUE(message->payload, message->len), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(letter), RD_KAFKA_V_END);
        rd_kafka_poll(replay->producer, error == RD_KAFKA_RESP_ERR__QUEUE_FULL ? EVENT_POLL_MS : 0);
    } while (error == RD_KAFKA_RESP_ERR__QUEUE_FULL && weir_now_ns() < give_up_ns);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    rd_kafka_headers_destroy(headers);
    fail_letter(replay, letter, rd_kafka_err2str(error));
}

static rd_kafka_t *new_producer(struct replay *replay)
{
    const char *const settings[][2] = {
        {"bootstrap.servers", replay->dlq->brokers},
        {"enable.idempotence", "true"},
        {"partitioner", "murmur2_random"}, /* as weir's producers and Java's */
        {"message.timeout.ms", "25000"},
        {"client.id", "weir-cli"},
        {NULL, NULL},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
    rd_kafka_conf_set_opaque(conf, replay);
    return event_client_new(RD_KAFKA_PRODUCER, conf, settings);
}

int dlq_replay(struct dlq *dlq, int64_t replays_max, bool force)
{
    struct replay replay = {.dlq = dlq};
    replay.producer = new_producer(&replay);
    if (!replay.producer)
        return EX_CONFIG;
    for (size_t i = 0; i < dlq->letter_count; i++) {
        struct letter *letter = &dlq->letters[i];
        if (!letter->selected)
            continue;
        if (!force && replays_of(letter->message) >= replays_max)
            fail_letter(&replay, letter,
                        "it has failed after every replay so far; --force replays it once more");
        else
            replay_letter(&replay, letter);
    }
    rd_kafka_flush(replay.producer, FLUSH_MS);
    rd_kafka_purge(replay.producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(replay.producer, EVENT_POLL_MS);
    rd_kafka_destroy(replay.producer);
    return replay.failed > 0 ? 1 : 0;
}
