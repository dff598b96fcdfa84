/* The consumer as a component: configuration, start, poll thread, end. */
#include "transports/kafka/consumer.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/app.h>
#include <weir/clock.h>
#include <weir/config.h>
#include <weir/log.h>

#include "call/call.h"
#include "core/condition.h"
#include "core/memory.h"
#include "transports/kafka/client.h"
#include "transports/kafka/cluster.h"
#include "transports/kafka/transaction.h"

#define FINISH_MIN_MS 2000
#define FINISH_TRANSACTIONAL_MS 4000 /* a call to its producer takes up to a second */
#define CUT_MIN_MS 250
#define POLL_MS 50 /* the longest time between two looks at what is due */
#define REVOKE_WAIT_MAX_MS 10000
#define RETRY_DELAYS_MS "5000,60000,600000"

/* ---- poll thread ---- */

/* Runs on: poll thread. */
static void on_rebalance(rd_kafka_t *client, rd_kafka_resp_err_t kind, rd_kafka_topic_partition_list_t *list,
                         void *opaque)
{
    struct weir_consumer *consumer = opaque;
    if (kind == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        weir_log_info("partitions assigned", weir_field_text("consumer", consumer->component.name),
                      weir_field_int("count", list->cnt));
        forget_committed(consumer, list);
        transaction_joined(consumer);
        partitions_assign(consumer, list);
        rd_kafka_assign(client, list);
        return;
    }
    bool lost = rd_kafka_assignment_lost(client);
    weir_log_info(lost ? "partitions lost" : "partitions revoked",
                  weir_field_text("consumer", consumer->component.name), weir_field_int("count", list->cnt));
    int64_t wait_ms = consumer->options.timeout_ms;
    partitions_revoke(consumer, list, lost,
                      (int)(wait_ms < REVOKE_WAIT_MAX_MS ? wait_ms : REVOKE_WAIT_MAX_MS));
    rd_kafka_assign(client, NULL);
}

/* Runs on: poll thread. */
static void on_error(rd_kafka_t *client, int error, const char *reason, void *opaque)
{
    struct weir_consumer *consumer = opaque;
    if (error != RD_KAFKA_RESP_ERR__FATAL) {
        weir_log_debug("consumer", weir_field_text("error", reason));
        return;
    }
    char text[512];
    struct weir_error err = {0};
    rd_kafka_fatal_error(client, text, sizeof text);
    weir_fail(&err, WEIR_UNAVAILABLE, "the Kafka client cannot go on: %s", text);
    weir_component_failed(consumer, &err);
}

/* No message comes here, since each partition has a queue of its own; what does is an error. */
static void serve(struct weir_consumer *consumer)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer->client, POLL_MS);
    if (!message)
        return;
    if (message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
        weir_log_warn("consumer", weir_field_text("consumer", consumer->component.name),
                      weir_field_text("error", rd_kafka_message_errstr(message)));
    rd_kafka_message_destroy(message);
}

static void *poll_events(void *arg)
{
    struct weir_consumer *consumer = arg;
    pthread_setname_np(pthread_self(), "consumer-poll");
    while (!atomic_load(&consumer->poller_stops)) {
        serve(consumer);
        forget_tick(consumer);
        items_wake(consumer);
        pause_tick(consumer);
        consumer_cancel_overdue(consumer);
        commit_tick(consumer);
        numbers_tick(consumer);
    }
    return NULL;
}

/* ---- start ---- */

static rd_kafka_conf_t *new_conf(struct weir_consumer *consumer, struct weir_error *err)
{
    const struct weir_consumer_options *options = &consumer->options;
    int64_t session_ms = options->session_timeout_ms;
    const struct client_setting settings[] = {
        {"group.id", options->group, 0},
        {"enable.auto.commit", "false", 0},
        {"enable.auto.offset.store", "false", 0},
        {"auto.offset.reset", "earliest", 0},
        {"isolation.level", "read_committed", 0}, /* of records, and of the offsets that it begins at */
        /* Not cooperative-sticky: before 2.10 a commit in a rebalance loses the assignment (librdkafka
           #4059). */
        {"partition.assignment.strategy", "range,roundrobin", 0},
        {"session.timeout.ms", NULL, session_ms},
        {"heartbeat.interval.ms", NULL, session_ms / 4 < 3000 ? session_ms / 4 : 3000},
        {"max.poll.interval.ms", NULL, session_ms > 300000 ? session_ms : 300000},
        {"fetch.wait.max.ms", NULL, options->fetch_wait_ms},
        {"fetch.error.backoff.ms", NULL, 100},
        {"queued.max.messages.kbytes", NULL, 16384},
        /* A retry topic is made by the first message that moves there, and waits to be found. */
        {"topic.metadata.refresh.interval.ms", NULL, consumer->retry_levels > 0 ? 1000 : 30000},
        {"allow.auto.create.topics", "true", 0}, /* who comes first makes them */
        {NULL, NULL, 0},
    };
    rd_kafka_conf_t *conf = client_conf_new(consumer->component.name, options->brokers, consumer, err);
    if (!conf)
        return NULL;
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_offset_commit_cb(conf, commit_answered);
    rd_kafka_conf_set_error_cb(conf, on_error);
    if (client_conf_set(conf, settings, err) == WEIR_OK)
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

static enum weir_status subscribe(struct weir_consumer *consumer, struct weir_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)consumer->topic_count);
    for (size_t i = 0; i < consumer->topic_count; i++)
        rd_kafka_topic_partition_list_add(list, consumer->topics[i].name, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t error = rd_kafka_subscribe(consumer->client, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
        return WEIR_OK;
    return weir_fail(err, WEIR_UNAVAILABLE, "cannot subscribe: %s", rd_kafka_err2str(error));
}

static void start_threads(struct weir_consumer *consumer)
{
    consumer->stopping = consumer->cutting = consumer->paused = false;
    consumer->commit_under_way = consumer->commit_fails = false;
    consumer->anew_until_ns = 0;
    consumer->commit_due_ns = weir_deadline_in_ms(consumer->options.commit_interval_ms);
    atomic_store(&consumer->poller_stops, false);
    consumer->worker_count = consumer->options.workers;
    free(consumer->workers);
    consumer->workers = memory_zalloc((size_t)consumer->worker_count * sizeof *consumer->workers);
    for (int64_t i = 0; i < consumer->worker_count; i++)
        if (pthread_create(&consumer->workers[i], NULL, consumer_work, consumer) != 0)
            abort(); /* without threads nothing of a process works */
    if (pthread_create(&consumer->poller, NULL, poll_events, consumer) != 0)
        abort();
}

static enum weir_status start(void *self, struct weir_context *context, struct weir_error *err)
{
    struct weir_consumer *consumer = self;
    (void)context;
    rd_kafka_conf_t *conf = new_conf(consumer, err);
    rd_kafka_t *client = conf ? client_new(RD_KAFKA_CONSUMER, conf, err) : NULL;
    if (!client)
        return err ? err->status : WEIR_UNAVAILABLE;
    consumer->client = client;
    rd_kafka_poll_set_consumer(client);
    if ((consumer->transaction && transaction_start(consumer, err) != WEIR_OK) ||
        subscribe(consumer, err) != WEIR_OK) {
        transaction_stop(consumer, weir_deadline_in_ms(1000));
        rd_kafka_destroy(client);
        return err ? err->status : WEIR_UNAVAILABLE;
    }
    consumer->events = rd_kafka_queue_get_consumer(client);
    if (consumer->component.name)
        numbers_of_consumer(&consumer->numbers, consumer, consumer->component.name);
    start_threads(consumer);
    cluster_start(consumer->cluster, client);
    return WEIR_OK;
}

static void destroy(void *self)
{
    struct weir_consumer *consumer = self;
    numbers_remove(&consumer->numbers);
    free((char *)consumer->options.brokers);
    free((char *)consumer->options.group);
    free((char *)consumer->options.dead_letter_suffix);
    free((char *)consumer->options.transactional_id);
    transaction_destroy(consumer->transaction);
    cluster_destroy(consumer->cluster);
    for (size_t i = 0; i < consumer->topic_count; i++)
        free((char *)consumer->topics[i].name);
    free(consumer->topics);
    free(consumer->workers);
    pthread_cond_destroy(&consumer->work);
    pthread_cond_destroy(&consumer->idle);
    pthread_mutex_destroy(&consumer->lock);
    pthread_mutex_destroy(&consumer->dead_letters_lock);
    free(consumer);
}

const struct weir_component_ops consumer_ops = {
    .start = start,
    .quiesce = consumer_quiesce,
    .drain = consumer_drain,
    .finish = consumer_finish,
    .destroy = destroy,
};

/* ---- making one ---- */

static void find_topics(struct weir_consumer *consumer)
{
    const struct weir_service_type *type = consumer->service->type;
    size_t most = type->method_count * (size_t)(1 + consumer->retry_levels);
    consumer->topics = memory_zalloc((most + 1) * sizeof *consumer->topics);
    for (size_t i = 0; i < type->method_count; i++) {
        const struct weir_method *method = &type->methods[i];
        if (method->topic && method->kind == WEIR_UNARY)
            for (int level = 0; level <= consumer->retry_levels; level++)
                consumer->topics[consumer->topic_count++] = (struct consumer_topic){
                    .name = level == 0 ? memory_strdup(method->topic->name)
                                       : memory_printf("%s.retry.%d", method->topic->name, level),
                    .origin = method->topic->name,
                    .level = level,
                    .method = method,
                };
    }
}

static int64_t or_default(int64_t value, int64_t fallback)
{
    return value != 0 ? value : fallback;
}

struct weir_consumer *consumer_new(struct weir_service *service, const struct weir_consumer_options *given)
{
    struct weir_consumer *consumer = NEW(struct weir_consumer);
    struct weir_consumer_options *options = &consumer->options;
    *options = *given;
    options->brokers = memory_strdup(given->brokers);
    options->group = memory_strdup(given->group ? given->group : "weir");
    options->dead_letter_suffix =
        memory_strdup(given->dead_letter_suffix ? given->dead_letter_suffix : ".dlt");
    options->transactional_id = given->transactional_id ? memory_strdup(given->transactional_id) : NULL;
    options->transaction_interval_ms = or_default(given->transaction_interval_ms, 100);
    options->transaction_outputs_max = or_default(given->transaction_outputs_max, 2000);
    options->transaction_timeout_ms = or_default(given->transaction_timeout_ms, 10000);
    if (options->transactional)
        consumer->transaction = transaction_new(consumer);
    options->workers = or_default(given->workers, 2);
    options->in_flight_max = or_default(given->in_flight_max, 1024);
    options->commit_interval_ms = or_default(given->commit_interval_ms, 500);
    options->timeout_ms = or_default(given->timeout_ms, 30000);
    options->session_timeout_ms = or_default(given->session_timeout_ms, 6000);
    options->fetch_wait_ms = or_default(given->fetch_wait_ms, 20);
    consumer->service = service;
    if (options->retry_after > 0)
        consumer->retry_levels =
            retry_parse(given->retry_delays_ms ? given->retry_delays_ms : RETRY_DELAYS_MS,
                        consumer->retry_delays_ms, &consumer->retry_mistake);
    if (consumer->retry_levels < 0)
        consumer->retry_levels = 0;
    consumer->ready_last = &consumer->ready;
    find_topics(consumer);
    consumer->cluster = cluster_new();
    cluster_listen(consumer->cluster, forget_when_new, consumer);

    condition_init(&consumer->work);
    condition_init(&consumer->idle);
    pthread_mutex_init(&consumer->lock, NULL);
    pthread_mutex_init(&consumer->dead_letters_lock, NULL);
    return consumer;
}

#define OPTION(member) offsetof(struct weir_consumer_options, member)

static const struct weir_config_key keys[] = {
    {.name = "brokers",
     .type = WEIR_CONFIG_TEXT,
     .offset = OPTION(brokers),
     .required = true,
     .help = "brokers to begin with: HOST:PORT,..."},
    {.name = "group",
     .type = WEIR_CONFIG_TEXT,
     .offset = OPTION(group),
     .help = "consumer group; its members share the partitions (default: the app's name)"},
    {.name = "workers",
     .type = WEIR_CONFIG_INT,
     .offset = OPTION(workers),
     .fallback = "2",
     .min = 1,
     .max = 1024,
     .help = "threads that run handlers"},
    {.name = "in_flight_max",
     .type = WEIR_CONFIG_INT,
     .offset = OPTION(in_flight_max),
     .fallback = "1024",
     .min = 1,
     .max = 1000000,
     .help = "messages fetched and not done, over all partitions"},
    {.name = "commit_interval_ms",
     .type = WEIR_CONFIG_INT,
     .offset = OPTION(commit_interval_ms),
     .fallback = "500",
     .min = 10,
     .max = 60000,
     .help = "ms between commits"},
    {.name = "timeout_ms",
     .type = WEIR_CONFIG_INT,
     .offset = OPTION(timeout_ms),
     .fallback = "30000",
     .min = 1,
     .max = 3600000,
     .help = "ms that one handler has"},
    {.name = "session_timeout_ms",
     .type = WEIR_CONFIG_INT,
     .offset = OPTION(session_timeout_ms),
     .fallback = "6000",
     .min = 3000,
     .max = 1800000,
     .help = "ms until a member that is silent loses its partitions; 4000 suits the development broker"},
    {.name = "attempts_max",
     .type = WEIR_CONFIG_INT,
     .offset = OPTION(attempts_max),
     .fallback = "0",
     .min = 0,
     .max = 1000000,
     .help = "attempts of a message that fails for the moment; 0: for ever"},
    {.name = "retry_after",
     .type = WEIR_CONFIG_INT,
     .offset = OPTION(retry_after),
     .fallback = "0",
     .min = 0,
     .max = 1000,
     .help = "attempts in its place before such a message moves to a retry topic, out of its key's order; 0: "
             "never"},
    {.name = "retry_delays_ms",
     .type = WEIR_CONFIG_TEXT,
     .offset = OPTION(retry_delays_ms),
     .fallback = RETRY_DELAYS_MS,
     .help = "ms that a message waits in each retry topic, at most 8; behind the last are the dead letters"},
    {.name = "fetch_wait_ms",
     .type = WEIR_CONFIG_INT,
     .offset = OPTION(fetch_wait_ms),
     .fallback = "20",
     .min = 1,
     .max = 30000,
     .help = "ms that a broker may hold a fetch while it has nothing; the development broker always does"},
    {.name = "trust_principal",
     .type = WEIR_CONFIG_BOOL,
     .offset = OPTION(trust_principal),
     .fallback = "false",
     .help = "the producers are services of ours: believe the weir-principal of their records"},
    {.name = "transactional",
     .type = WEIR_CONFIG_BOOL,
     .offset = OPTION(transactional),
     .fallback = "false",
     .help = "handlers only emit; what they emit and the offsets are committed together, in Kafka's "
             "transactions"},
    {.name = "transaction_interval_ms",
     .type = WEIR_CONFIG_INT,
     .offset = OPTION(transaction_interval_ms),
     .fallback = "100",
     .min = 1,
     .max = 60000,
     .help = "ms from the first message that is done to the commit of its transaction"},
    {.name = "transaction_outputs_max",
     .type = WEIR_CONFIG_INT,
     .offset = OPTION(transaction_outputs_max),
     .fallback = "2000",
     .min = 1,
     .max = 100000,
     .help = "records of one transaction; so many are committed without waiting"},
    {.name = "transaction_timeout_ms",
     .type = WEIR_CONFIG_INT,
     .offset = OPTION(transaction_timeout_ms),
     .fallback = "10000",
     .min = 1000,
     .max = 900000,
     .help = "ms after which the broker aborts what a killed process has left open"},
    {.name = "transactional_id",
     .type = WEIR_CONFIG_TEXT,
     .offset = OPTION(transactional_id),
     .help = "of this instance alone, the same after a restart; default: a new one for each start"},
    {.name = "dead_letter_suffix",
     .type = WEIR_CONFIG_TEXT,
     .offset = OPTION(dead_letter_suffix),
     .fallback = ".dlt",
     .help = "what is added to a topic's name for messages that can never succeed"},
    {0},
};

static void find_mistakes(struct weir_app *app, const char *name, const struct weir_consumer *consumer)
{
    if (consumer->topic_count == 0)
        app_mistake(app, "%s: no method of %s consumes a topic", name, consumer->service->type->full_name);
    const struct weir_component *db =
        consumer->options.transactional ? component_find_need(&consumer->component, COMPONENT_SQL) : NULL;
    if (db)
        app_mistake(app,
                    "%s is transactional, but what it serves needs the database %s: Kafka's transactions "
                    "have no part in "
                    "it; use the inbox and the outbox there",
                    name, db->name);
    if (consumer->retry_mistake.status != WEIR_OK)
        app_mistake(app, "%s: %s", name, consumer->retry_mistake.text);
    for (size_t i = 0; i < consumer->topic_count; i++) {
        const struct weir_method *method = consumer->topics[i].method;
        if (consumer->topics[i].level > 0)
            continue;
        if (consumer->service->handlers && !method->is_present(consumer->service->handlers))
            app_mistake(app, "%s: %s consumes %s, but has no handler", name, method->full_name,
                        consumer->topics[i].name);
        for (size_t j = 0; j < i; j++)
            if (strcmp(consumer->topics[i].name, consumer->topics[j].name) == 0)
                app_mistake(app, "%s: %s and %s consume the same topic", name, method->full_name,
                            consumer->topics[j].method->full_name);
    }
}

struct weir_consumer *weir_consumer_add(struct weir_app *app, const char *name, struct weir_service *service,
                                        const struct weir_consumer_options *options)
{
    struct weir_consumer_options filled = options ? *options : (struct weir_consumer_options){0};
    struct weir_component_options lifetime = {
        .ingress = true,
        .cut_min_ms = CUT_MIN_MS,
        .finish_min_ms = FINISH_MIN_MS,
        .restart = {.most = 3},
    };
    memcpy(lifetime.needs, filled.needs, sizeof lifetime.needs);
    weir_config_section(app, name, keys, &filled);
    if (filled.transactional)
        lifetime.finish_min_ms = FINISH_TRANSACTIONAL_MS;
    if (!filled.group)
        filled.group = weir_app_name(app);
    if (!service) {
        static const struct weir_service_type none = {.full_name = "no service"};
        static struct weir_service nobody = {.type = &none};
        app_mistake(app, "%s: no service was given", name);
        service = &nobody;
    }
    struct weir_consumer *consumer = consumer_new(service, &filled);
    component_add(app, &consumer->component, name, &consumer_ops, consumer, &lifetime);
    component_is(&consumer->component, COMPONENT_CONSUMER);
    if (service->component.app)
        component_needs(&consumer->component, service);
    find_mistakes(app, name, consumer);
    return consumer;
}

struct consumer_counts consumer_counts(struct weir_consumer *consumer)
{
    pthread_mutex_lock(&consumer->lock);
    struct consumer_counts counts = consumer->counts;
    pthread_mutex_unlock(&consumer->lock);
    return counts;
}

int64_t consumer_held(struct weir_consumer *consumer)
{
    pthread_mutex_lock(&consumer->lock);
    int64_t held = consumer->held;
    pthread_mutex_unlock(&consumer->lock);
    return held;
}

int64_t consumer_partitions(struct weir_consumer *consumer)
{
    pthread_mutex_lock(&consumer->lock);
    int64_t count = consumer->partition_count;
    pthread_mutex_unlock(&consumer->lock);
    return count;
}
