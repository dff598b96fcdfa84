/* From a message to a call, and from the call's end to what becomes of the message. */
#include "transports/kafka/consumer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "call/call.h"
#include "core/memory.h"
#include "core/random.h"
#include "transports/kafka/record.h"
#include "transports/kafka/transaction.h"

#define HEADERS_MAX 64
#define LOG_EVERY 16 /* attempts of one message */

/* ---- items ---- */

static size_t header_room(rd_kafka_headers_t *headers, size_t *ret_count)
{
    const char *name;
    const void *value;
    size_t size, room = 0, count = 0;
    while (count < HEADERS_MAX && rd_kafka_header_get_all(headers, count, &name, &value, &size) == 0) {
        room += strlen(name) + 1 + size;
        count++;
    }
    *ret_count = count;
    return room;
}

static struct weir_bytes copy(uint8_t **room, const void *data, size_t size)
{
    uint8_t *begin = *room;
    if (data && size > 0)
        memcpy(begin, data, size);
    *room += size;
    return weir_bytes(begin, size);
}

static void copy_headers(struct item *item, rd_kafka_headers_t *headers, uint8_t **room)
{
    for (size_t i = 0; i < item->header_count; i++) {
        const char *name = "";
        const void *value = NULL;
        size_t size = 0;
        rd_kafka_header_get_all(headers, i, &name, &value, &size);
        item->headers[i].name = (const char *)copy(room, name, strlen(name) + 1).data;
        item->headers[i].value = copy(room, value, value ? size : 0);
    }
}

struct item *item_new(struct partition *partition, rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers = NULL;
    size_t count = 0, room = message->key_len + message->len;
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR)
        room += header_room(headers, &count);
    struct item *item = memory_alloc(sizeof *item + count * sizeof *item->headers + room);
    memset(item, 0, sizeof *item);
    item->partition = partition;
    item->offset = message->offset;
    item->headers = (struct item_header *)(void *)(item + 1);
    item->header_count = count;
    uint8_t *next = (uint8_t *)(item->headers + count);
    item->has_key = message->key != NULL;
    item->key = copy(&next, message->key, message->key_len);
    item->value = copy(&next, message->payload, message->len);
    copy_headers(item, headers, &next);
    return item;
}

void item_free(struct item *item)
{
    outputs_free(item);
    free(item->rejected);
    free(item->reason);
    free(item);
}

void item_list_add(struct item **list, struct item *item)
{
    item->list_next = *list;
    if (*list)
        (*list)->list_link = &item->list_next;
    item->list_link = list;
    *list = item;
}

void item_list_remove(struct item *item)
{
    if (!item->list_link)
        return;
    *item->list_link = item->list_next;
    if (item->list_next)
        item->list_next->list_link = item->list_link;
    item->list_next = NULL;
    item->list_link = NULL;
}

/* ---- what becomes of it ---- */

/* Holds: lock. It runs no more. */
static void leave_running(struct item *item)
{
    struct partition *partition = item->partition;
    item_list_remove(item);
    partition->running--;
    partition->consumer->running_count--;
    pthread_cond_broadcast(&partition->consumer->idle);
    if (partition->consumer->stopping) /* the last one lets the workers go */
        pthread_cond_broadcast(&partition->consumer->work);
}

/* Holds: lock. */
static void end_done(struct item *item)
{
    struct partition *partition = item->partition;
    struct weir_consumer *consumer = partition->consumer;
    leave_running(item);
    consumer->counts.done++;
    if (consumer->stopping && !item->stuck) /* which is what the stop has said of it already */
        consumer->ended.completed++;
    if (!partition->gone && item->generation == partition->generation) {
        offsets_done(&partition->offsets, item->offset);
        if (!partition->closing)
            partition_catch_up(partition);
        item->kept = item->outputs != NULL;
        if (consumer->transaction)
            transaction_has_more(consumer);
    }
    lane_pop(item->lane);
}

/* Holds: lock. Not done: whoever has the partition next gets it again. */
static void end_dropped(struct item *item)
{
    struct weir_consumer *consumer = item->partition->consumer;
    leave_running(item);
    consumer->counts.dropped++;
    item->lane->stopped = item->lane->stopped || consumer->stopping;
    if (consumer->stopping && !item->stuck)
        (*(item->cancelled ? &consumer->ended.cancelled : &consumer->ended.kept))++;
    lane_pop(item->lane);
}

static int64_t backoff_ms(int32_t attempts)
{
    int64_t ms = CONSUMER_BACKOFF_FIRST_MS;
    for (int32_t i = 1; i < attempts && ms < CONSUMER_BACKOFF_MAX_MS; i++)
        ms *= 2;
    if (ms > CONSUMER_BACKOFF_MAX_MS)
        ms = CONSUMER_BACKOFF_MAX_MS;
    uint16_t chance;
    random_bytes(&chance, sizeof chance);
    return ms * 3 / 4 + ms / 2 * chance / UINT16_MAX; /* 75 to 125 % */
}

/* Holds: lock. It waits in its lane until due_ns, and its lane with it. */
static void end_postponed(struct item *item)
{
    struct partition *partition = item->partition;
    struct weir_consumer *consumer = partition->consumer;
    if (consumer->stopping || partition->closing) {
        end_dropped(item);
        return;
    }
    leave_running(item);
    item->overdue = false;
    item->lane->state = LANE_WAITING;
    item_list_add(&consumer->waiting, item);
}

/* Holds: lock. */
static void end_retried(struct item *item)
{
    struct weir_consumer *consumer = item->partition->consumer;
    if (!consumer->stopping && !item->partition->closing)
        consumer->counts.retried++;
    item->due_ns = item->blameless ? 0 : weir_deadline_in_ms(backoff_ms(item->attempts));
    end_postponed(item);
}

void items_wake(struct weir_consumer *consumer)
{
    int64_t now = weir_now_ns();
    pthread_mutex_lock(&consumer->lock);
    for (struct item *item = consumer->waiting, *next; item; item = next) {
        next = item->list_next;
        if (item->due_ns > now || item->partition->closing)
            continue;
        item_list_remove(item);
        lane_make_ready(item->lane);
    }
    pthread_mutex_unlock(&consumer->lock);
}

static void log_item(const struct item *item, const char *message, enum weir_status status, const char *text)
{
    weir_log_warn(message, weir_field_text("topic", item->partition->topic->name),
                  weir_field_int("partition", item->partition->number),
                  weir_field_int("offset", item->offset), weir_field_int("attempts", item->attempts),
                  weir_field_text("status", weir_status_name(status)), weir_field_text("error", text));
}

/* A defect may be of the moment; a few attempts tell. DATA_LOSS is of our own store: the message is as good as it was, and
 * setting one after the other aside would empty the topic. */
static bool try_again(const struct item *item, enum weir_status status)
{
    int64_t most = item->partition->consumer->options.attempts_max;
    if (status == WEIR_INTERNAL)
        return item->attempts < CONSUMER_DEFECTS_MAX && (most == 0 || item->attempts < most);
    bool passes = weir_status_is_transient(status) || status == WEIR_DATA_LOSS;
    return passes && !retry_is_used_up(item) && (most == 0 || item->attempts < most);
}

/* To the dead letters, or to a retry topic. Holds nothing. */
static void send_aside(struct item *item)
{
    if (item->moves_on) {
        item_move_on(item);
        return;
    }
    log_item(item, "message is set aside", item->verdict, item->reason);
    item_set_aside(item);
}

/* Holds nothing. `begun_ns`: of its handler. */
static void settle(struct item *item, enum weir_status status, const char *text, int64_t begun_ns)
{
    struct weir_consumer *consumer = item->partition->consumer;
    item->blameless = pause_excuses(consumer, status, begun_ns);
    item->attempts += !item->blameless;
    if (status != WEIR_OK)
        outputs_free(item);
    bool again = item->blameless || (status != WEIR_OK && try_again(item, status));

    pthread_mutex_lock(&consumer->lock);
    bool ours = !item->partition->gone;
    bool waits = ours && !consumer->stopping && !item->partition->closing;
    if (status == WEIR_OK)
        end_done(item);
    else if (!ours)
        end_dropped(item);
    pthread_mutex_unlock(&consumer->lock);
    if (status == WEIR_OK || !ours)
        return;

    item->moves_on = again && !item->blameless && status != WEIR_INTERNAL && retry_moves_on(item);
    if (!again || item->moves_on) {
        item->verdict = status;
        item->reason = memory_strdup(text);
        send_aside(item);
        return;
    }
    if (waits && !item->blameless && item->attempts % LOG_EVERY == 1)
        log_item(item, "message is tried again", status, text);
    pthread_mutex_lock(&consumer->lock);
    end_retried(item);
    pthread_mutex_unlock(&consumer->lock);
}

void item_is_aside(struct item *item, enum weir_status status, const char *error)
{
    struct weir_consumer *consumer = item->partition->consumer;
    if (status != WEIR_OK && item->attempts++ % LOG_EVERY == 1)
        log_item(item, "message cannot be set aside", status, error);
    pthread_mutex_lock(&consumer->lock);
    if (status == WEIR_OK) {
        item->moves_on ? consumer->counts.moved++ : consumer->counts.set_aside++;
        end_done(item);
    } else {
        end_retried(item);
    }
    pthread_mutex_unlock(&consumer->lock);
}

/* ---- the call ---- */

static void finish(struct weir_call *call)
{
    struct item *item = call->transport;
    struct weir_consumer *consumer = item->partition->consumer;
    enum weir_status status = call->status;
    char text[sizeof call->error.text];
    text[0] = 0;
    if (status != WEIR_OK)
        snprintf(text, sizeof text, "%s",
                 call->error.status == status && call->error.text[0] ? call->error.text
                                                                     : call_error_text(call));

    pthread_mutex_lock(&consumer->lock);
    item->call = NULL;
    pthread_mutex_unlock(&consumer->lock);
    int64_t begun_ns = call->begun_ns;
    weir_call_release(call);
    settle(item, status, text, begun_ns);
}

static const struct call_ops ops = {.name = "kafka", .finish = finish};

struct item *item_of_call(struct weir_call *call)
{
    return call->ops == &ops ? call->transport : NULL;
}

const struct item_header *item_header(const struct item *item, const char *name)
{
    for (size_t i = 0; i < item->header_count; i++)
        if (strcmp(item->headers[i].name, name) == 0)
            return &item->headers[i];
    return NULL;
}

bool item_header_number(const struct item *item, const char *name, int64_t *ret_number)
{
    const struct item_header *header = item_header(item, name);
    char text[24];
    if (!header || header->value.size == 0 || header->value.size >= sizeof text)
        return false;
    snprintf(text, sizeof text, "%.*s", (int)header->value.size, (const char *)header->value.data);
    *ret_number = strtoll(text, NULL, 10);
    return true;
}

/* On the monotonic clock; WEIR_NEVER when the record does not say. */
static int64_t record_deadline(const struct item *item)
{
    int64_t unix_ms;
    if (!item_header_number(item, HEADER_DEADLINE, &unix_ms))
        return WEIR_NEVER;
    int64_t left_ms = unix_ms - weir_unix_ns() / WEIR_NS_PER_MS;
    return weir_deadline_in_ms(left_ms > 0 ? left_ms : 0);
}

/* It came from a retry topic too early; the poll thread lets it run when it is due. */
static bool waits_for_its_time(struct item *item)
{
    struct weir_consumer *consumer = item->partition->consumer;
    if (item->partition->topic->level == 0 || item->due_ns != 0)
        return false;
    retry_arrived(item);
    if (item->due_ns == 0)
        return false;
    pthread_mutex_lock(&consumer->lock);
    end_postponed(item);
    pthread_mutex_unlock(&consumer->lock);
    return true;
}

/* A dead letter was sent back to the group that had set it aside; this one has had its effect long since. */
static bool is_for_another_group(const struct item *item)
{
    const struct item_header *header = item_header(item, HEADER_REPLAY_GROUP);
    const char *group = item->partition->consumer->options.group;
    return header && (header->value.size != strlen(group) ||
                      memcmp(header->value.data, group, header->value.size) != 0);
}

static struct weir_call *new_call(struct item *item, int64_t deadline_ns)
{
    struct partition *partition = item->partition;
    struct weir_consumer *consumer = partition->consumer;
    struct weir_call *call = call_new(&ops, item, consumer->service, partition->topic->method, NULL);
    call->runs_here = true; /* on a worker */
    call->comes_again = true;
    for (size_t i = 0; i < item->header_count; i++)
        call_add_metadata(call, weir_bytes_of_text(item->headers[i].name), item->headers[i].value);
    if (!call->message_id) /* of a foreign producer: its place is what stays the same */
        call->message_id = weir_arena_printf(call->arena, "%s/%d/%" PRId64, partition->topic->name,
                                             (int)partition->number, item->offset);
    if (consumer->options.trust_principal)
        call_believe_principal(call);
    call->request = item->value;
    call_set_deadline(call, deadline_ns);
    return call;
}

void item_run(struct item *item)
{
    struct weir_consumer *consumer = item->partition->consumer;
    if (item->verdict != WEIR_OK) {
        item->moves_on ? item_move_on(item) : item_set_aside(item);
        return;
    }
    if (is_for_another_group(item)) {
        settle(item, WEIR_OK, "", WEIR_NEVER);
        return;
    }
    if (waits_for_its_time(item))
        return;
    int64_t deadline_ns = weir_deadline_in_ms(consumer->options.timeout_ms), asked_ns = record_deadline(item);
    if (asked_ns <= weir_now_ns()) {
        item->verdict = WEIR_DEADLINE_EXCEEDED;
        item->reason = memory_strdup("its deadline had passed before it was handled");
        send_aside(item);
        return;
    }
    struct weir_call *call = new_call(item, asked_ns < deadline_ns ? asked_ns : deadline_ns);
    pthread_mutex_lock(&consumer->lock);
    item->call = call;
    item->cancelled = consumer->cutting;
    pthread_mutex_unlock(&consumer->lock);
    if (item->cancelled)
        call_cancel(call, WEIR_CANCELLED);
    call_dispatch(call);
}
