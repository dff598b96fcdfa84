#include "consumer_kit.h"

#include <time.h>

#include <weir/clock.h>
#include <weir/id.h>

#include "core/condition.h"
#include "core/memory.h"

/* ---- the handler ---- */

static int index_of(const Echo__EchoRequest *request)
{
    return request->n_numbers > 0 ? request->numbers[0] : 0;
}

/* Holds: lock. */
static void note_handled(struct kit *kit, const Echo__EchoRequest *request)
{
    int index = index_of(request), number = atoi(request->text), key = atoi(request->key + 1);
    kit->handled++;
    if (kit->times[index]++ > 0)
        return;
    if (number <= kit->last[key])
        kit->out_of_order++;
    else
        kit->last[key] = number;
}

/* Holds: lock. True when the call was over before. */
static bool wait_unblocked(struct kit *kit, struct weir_call *call)
{
    while (kit->blocked && !weir_call_over(call))
        condition_wait(&kit->changed, &kit->lock, weir_deadline_in_ms(2));
    return kit->blocked;
}

static enum weir_status decide(struct kit *kit, struct weir_call *call, const Echo__EchoRequest *request)
{
    bool waits = kit->block_index < 0 || kit->block_index == index_of(request);
    if (waits && wait_unblocked(kit, call)) {
        kit->told_to_end++;
        return weir_call_fail(call, WEIR_CANCELLED, "told to end");
    }
    if ((kit->fail_index == KIT_ANY || index_of(request) == kit->fail_index) && kit->fail_times > 0) {
        kit->fail_times--;
        return weir_call_fail(call, kit->fail_status, "told to fail");
    }
    if (kit->defer && kit->deferred_count < 1024) {
        kit->deferred[kit->deferred_count++] = weir_call_acquire(call);
        return WEIR_PENDING;
    }
    note_handled(kit, request);
    return WEIR_OK;
}

static enum weir_status handle(struct weir_call *call, const Echo__EchoRequest *request,
                               Echo__EchoReply *reply)
{
    struct kit *kit = weir_call_self(call);
    (void)reply;
    pthread_mutex_lock(&kit->lock);
    kit->runs++;
    kit->in_handler++;
    if (kit->in_handler > kit->in_handler_most)
        kit->in_handler_most = kit->in_handler;
    snprintf(kit->message_id, sizeof kit->message_id, "%s", weir_call_message_id(call));
    const char *principal = weir_context_principal(weir_call_context(call));
    snprintf(kit->principal, sizeof kit->principal, "%s", principal ? principal : "nobody");
    int sleep_us = kit->sleep_us;
    pthread_cond_broadcast(&kit->changed);
    pthread_mutex_unlock(&kit->lock);
    if (sleep_us > 0)
        nanosleep(&(struct timespec){.tv_nsec = sleep_us * 1000L}, NULL);

    enum weir_status status = kit->out.name ? weir_topic_emit(call, &kit->out, &request->base) : WEIR_OK;
    pthread_mutex_lock(&kit->lock);
    if (status == WEIR_OK)
        status = decide(kit, call, request);
    kit->in_handler--;
    pthread_cond_broadcast(&kit->changed);
    pthread_mutex_unlock(&kit->lock);
    return status;
}

/* ---- the kit ---- */

/* The method Echo, bound to a topic of this test's own. Tables live as long as the process: metrics refer to
 * them. */
static void make_service(struct kit *kit)
{
    static struct weir_topic topics[64];
    static struct weir_method methods[64];
    static struct weir_service_type types[64];
    static int count;
    assert_true(count < 64);
    int n = count++;
    for (size_t i = 0; i < echo_service_type.method_count; i++)
        if (echo_service_type.methods[i].topic)
            methods[n] = echo_service_type.methods[i];
    topics[n] = *methods[n].topic;
    topics[n].name = kit->topic;
    methods[n].topic = &topics[n];
    types[n].full_name = memory_printf("weir.test.v1.EchoService%d", n);
    types[n].methods = &methods[n];
    types[n].method_count = 1;
    kit->handlers.echo.fn = handle;
    kit->service = (struct weir_service){.type = &types[n], .handlers = &kit->handlers, .self = kit};
}

struct kit *kit_new(struct kit_broker *broker, int partitions)
{
    char id[WEIR_ID_SIZE];
    struct kit *kit = NEW(struct kit);
    kit->broker = broker;
    kit->partitions = partitions;
    kit->fail_index = kit->block_index = -1;
    pthread_mutex_init(&kit->lock, NULL);
    condition_init(&kit->changed);
    if (broker)
        kit_topic_new(broker, "consumer", partitions, kit->topic, sizeof kit->topic);
    else
        snprintf(kit->topic, sizeof kit->topic, "consumer-%s", weir_id_new(id));
    snprintf(kit->dead_letters, sizeof kit->dead_letters, "%s.dlt", kit->topic);
    snprintf(kit->group, sizeof kit->group, "group-%s", weir_id_new(id));
    make_service(kit);
    return kit;
}

void kit_destroy(struct kit *kit)
{
    pthread_cond_destroy(&kit->changed);
    pthread_mutex_destroy(&kit->lock);
    free(kit);
}

void kit_emit(struct kit *kit)
{
    if (!kit->out_name[0] && kit->broker)
        kit_topic_new(kit->broker, "out", kit->partitions, kit->out_name, sizeof kit->out_name);
    kit->out = *kit->service.type->methods[0].topic;
    kit->out.name = kit->out_name;
}

static struct weir_bytes pack(int32_t index, int number, char *key)
{
    char text[16];
    snprintf(text, sizeof text, "%d", number);
    Echo__EchoRequest request = ECHO__ECHO_REQUEST__INIT;
    request.text = text;
    request.key = key;
    request.n_numbers = 1;
    request.numbers = &index;
    uint8_t *wire = memory_alloc(echo__echo_request__get_packed_size(&request));
    return weir_bytes(wire, echo__echo_request__pack(&request, wire));
}

void kit_send(struct kit *kit, int first, int count, int keys)
{
    struct kit_record *records = memory_zalloc((size_t)count * sizeof *records);
    char(*names)[2][40] = memory_zalloc((size_t)count * sizeof *names);
    for (int i = 0; i < count; i++) {
        int index = first + i, key = index % keys;
        snprintf(names[i][0], sizeof names[i][0], "k%d", key);
        snprintf(names[i][1], sizeof names[i][1], "message-%d", index);
        struct weir_bytes wire = pack(index, index / keys + 1, names[i][0]);
        records[i] = (struct kit_record){
            .topic = kit->topic,
            .partition = key % kit->partitions,
            .key = names[i][0],
            .message_id = names[i][1],
            .principal = kit->send_principal,
            .value = wire.data,
            .size = wire.size,
        };
    }
    kit_produce(kit->broker, records, (size_t)count);
    for (int i = 0; i < count; i++)
        free((void *)(uintptr_t)records[i].value);
    free(names);
    free(records);
}

void kit_send_raw(struct kit *kit, int32_t partition, const void *value, size_t size)
{
    kit_produce(kit->broker,
                &(struct kit_record){.topic = kit->topic,
                                     .partition = partition,
                                     .key = "raw",
                                     .message_id = "raw-1",
                                     .value = value,
                                     .size = size},
                1);
}

struct weir_consumer *kit_start(struct kit *kit, const char *brokers,
                                const struct weir_consumer_options *options)
{
    struct weir_error err = {0};
    struct weir_consumer_options filled = options ? *options : (struct weir_consumer_options){0};
    filled.brokers = brokers ? brokers : kit_broker_address(kit->broker);
    filled.group = kit->group;
    if (filled.session_timeout_ms == 0)
        filled.session_timeout_ms = kit_broker_is_real() ? 6000 : 3000;
    if (filled.commit_interval_ms == 0)
        filled.commit_interval_ms = 50;
    struct weir_consumer *consumer = consumer_new(&kit->service, &filled);
    consumer->component.name = kit->name;
    assert_int_equal(consumer_ops.start(consumer, NULL, &err), WEIR_OK);
    return consumer;
}

struct kit_stop kit_stop(struct weir_consumer *consumer, int64_t drain_ms, int64_t finish_ms)
{
    struct kit_stop stop = {0};
    struct weir_error err = {0};
    struct weir_context context;
    int64_t begun = weir_now_ns();
    assert_int_equal(consumer_ops.quiesce(consumer, &err), WEIR_OK);
    context_init(&context, NULL, weir_deadline_in_ms(drain_ms));
    assert_int_equal(consumer_ops.drain(consumer, &context, &stop.work, &err), WEIR_OK);
    context_clean_up(&context);
    int64_t drained = weir_now_ns();
    context_init(&context, NULL, weir_deadline_in_ms(finish_ms));
    assert_int_equal(consumer_ops.finish(consumer, &context, &stop.work, &err), WEIR_OK);
    context_clean_up(&context);
    stop.drain_took_ms = (drained - begun) / WEIR_NS_PER_MS;
    stop.finish_took_ms = (weir_now_ns() - drained) / WEIR_NS_PER_MS;
    consumer_ops.destroy(consumer);
    return stop;
}

/* ---- looking ---- */

void kit_wait_handled(struct kit *kit, int least)
{
    int64_t until = weir_deadline_in_ms(30000);
    pthread_mutex_lock(&kit->lock);
    bool in_time = true;
    while (kit->handled < least && in_time)
        in_time = condition_wait(&kit->changed, &kit->lock, until);
    int handled = kit->handled;
    pthread_mutex_unlock(&kit->lock);
    if (handled < least)
        fail_msg("%d of %d messages were handled", handled, least);
}

int kit_handled(struct kit *kit)
{
    pthread_mutex_lock(&kit->lock);
    int handled = kit->handled;
    pthread_mutex_unlock(&kit->lock);
    return handled;
}

int kit_runs(struct kit *kit)
{
    pthread_mutex_lock(&kit->lock);
    int runs = kit->runs;
    pthread_mutex_unlock(&kit->lock);
    return runs;
}

int kit_missing(struct kit *kit, int count)
{
    int missing = 0;
    pthread_mutex_lock(&kit->lock);
    for (int i = 0; i < count; i++)
        missing += kit->times[i] == 0;
    pthread_mutex_unlock(&kit->lock);
    return missing;
}

int kit_extra(struct kit *kit, int count)
{
    int extra = 0;
    pthread_mutex_lock(&kit->lock);
    for (int i = 0; i < count; i++)
        extra += kit->times[i] > 1 ? kit->times[i] - 1 : 0;
    pthread_mutex_unlock(&kit->lock);
    return extra;
}

void kit_unblock(struct kit *kit)
{
    pthread_mutex_lock(&kit->lock);
    kit->blocked = false;
    pthread_cond_broadcast(&kit->changed);
    pthread_mutex_unlock(&kit->lock);
}

void kit_answer_deferred(struct kit *kit, enum weir_status status)
{
    struct weir_call *calls[1024];
    pthread_mutex_lock(&kit->lock);
    int count = kit->deferred_count;
    memcpy(calls, kit->deferred, sizeof calls);
    kit->deferred_count = 0;
    for (int i = 0; i < count && status == WEIR_OK; i++)
        note_handled(kit, calls[i]->request_message);
    pthread_cond_broadcast(&kit->changed);
    pthread_mutex_unlock(&kit->lock);
    for (int i = 0; i < count; i++) {
        weir_call_finish(calls[i], status);
        weir_call_release(calls[i]);
    }
}

int64_t kit_committed_sum(struct kit *kit)
{
    int64_t sum = 0;
    for (int32_t partition = 0; partition < kit->partitions; partition++) {
        int64_t offset = kit_committed(kit->broker, kit->group, kit->topic, partition);
        sum += offset > 0 ? offset : 0;
    }
    return sum;
}
