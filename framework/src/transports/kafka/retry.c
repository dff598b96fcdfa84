/* Retry topics: a message that keeps failing for the moment moves to <topic>.retry.1, then .2 and so on, each with a
 * longer wait, and its key and its partition go on without it. A record there says which group it is for, so that
 * groups share them, and when it is due. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>

#include "core/memory.h"
#include "transports/kafka/consumer.h"
#include "transports/kafka/record.h"

#define DELAY_MAX_MS (7LL * 24 * 3600 * 1000)

int retry_parse(const char *text, int64_t ret_delays_ms[RETRY_LEVELS_MAX], struct weir_error *err)
{
    for (int count = 0;; count++) {
        char *end;
        errno = 0;
        long long ms = strtoll(text, &end, 10);
        if (errno || end == text || (*end && *end != ',') || ms < 1 || ms > DELAY_MAX_MS) {
            weir_fail(err, WEIR_INVALID_ARGUMENT,
                      "retry_delays_ms: \"%s\" does not begin with milliseconds from 1 to %lld, as in "
                      "\"5000,60000\"",
                      text, DELAY_MAX_MS);
            return -1;
        }
        if (count == RETRY_LEVELS_MAX) {
            weir_fail(err, WEIR_INVALID_ARGUMENT, "retry_delays_ms: there are more than %d",
                      RETRY_LEVELS_MAX);
            return -1;
        }
        ret_delays_ms[count] = ms;
        if (!*end)
            return count + 1;
        text = end + 1;
    }
}

/* 0: it does not say, or says nonsense. */
static int64_t number_of(const struct item *item, const char *name)
{
    int64_t number;
    return item_header_number(item, name, &number) && number > 0 ? number : 0;
}

void retry_arrived(struct item *item)
{
    int64_t attempts = number_of(item, HEADER_ORIGIN "attempts");
    item->attempts = attempts < INT32_MAX / 2 ? (int32_t)attempts : INT32_MAX / 2;
    int64_t wait_ms = number_of(item, HEADER_RETRY_AT) - weir_unix_ns() / WEIR_NS_PER_MS;
    int64_t most_ms = item->partition->consumer->retry_delays_ms[item->partition->topic->level - 1];
    if (wait_ms > 0) /* never longer than its topic's: clocks differ */
        item->due_ns = weir_deadline_in_ms(wait_ms < most_ms ? wait_ms : most_ms);
}

bool retry_moves_on(const struct item *item)
{
    const struct weir_consumer *consumer = item->partition->consumer;
    int level = item->partition->topic->level;
    return level < consumer->retry_levels && (level > 0 || item->attempts >= consumer->options.retry_after);
}

bool retry_is_used_up(const struct item *item)
{
    const struct weir_consumer *consumer = item->partition->consumer;
    return consumer->retry_levels > 0 && item->partition->topic->level == consumer->retry_levels;
}

void item_move_on(struct item *item)
{
    const struct weir_consumer *consumer = item->partition->consumer;
    const struct consumer_topic *topic = item->partition->topic;
    char *next = memory_printf("%s.retry.%d", topic->origin, topic->level + 1);
    rd_kafka_headers_t *headers = aside_headers(item);
    char due[24];
    snprintf(due, sizeof due, "%" PRId64,
             weir_unix_ns() / WEIR_NS_PER_MS + consumer->retry_delays_ms[topic->level]);
    rd_kafka_header_add(headers, HEADER_RETRY_AT, -1, due, -1);
    rd_kafka_header_add(headers, HEADER_REPLAY_GROUP, -1, consumer->options.group, -1);
    item_send_aside(item, next, headers);
    free(next);
}
