#include "broker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "test.h"

#include <weir/bytes.h>
#include <weir/clock.h>
#include <weir/id.h>

#include "core/memory.h"

#define PATIENCE_MS 15000

struct kit_broker {
    char *address;
    rd_kafka_t *host; /* of the mock cluster */
    rd_kafka_mock_cluster_t *cluster;
    rd_kafka_t *producer;
};

static rd_kafka_t *new_client(rd_kafka_type_t type, const char *address, const char *group)
{
    char text[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", address, text, sizeof text), 0);
    assert_int_equal(rd_kafka_conf_set(conf, "socket.nagle.disable", "true", text, sizeof text), 0);
    if (type == RD_KAFKA_PRODUCER)
        assert_int_equal(rd_kafka_conf_set(conf, "linger.ms", "0", text, sizeof text), 0);
    if (group)
        assert_int_equal(rd_kafka_conf_set(conf, "group.id", group, text, sizeof text), 0);
    if (type == RD_KAFKA_CONSUMER)
        assert_int_equal(rd_kafka_conf_set(conf, "enable.auto.commit", "false", text, sizeof text), 0);
    if (type == RD_KAFKA_CONSUMER)
        assert_int_equal(rd_kafka_conf_set(conf, "enable.partition.eof", "true", text, sizeof text), 0);
    rd_kafka_t *client = rd_kafka_new(type, conf, text, sizeof text);
    assert_non_null(client);
    return client;
}

/* The mock cluster lives in a client that has no brokers of its own, and would say so. */
static rd_kafka_conf_t *quiet_conf(void)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "3", NULL, 0);
    return conf;
}

bool kit_broker_is_real(void)
{
    const char *brokers = getenv("WEIR_TEST_BROKERS");
    return brokers && *brokers;
}

struct kit_broker *kit_broker_at(const char *address)
{
    struct kit_broker *broker = NEW(struct kit_broker);
    broker->address = memory_strdup(address);
    broker->producer = new_client(RD_KAFKA_PRODUCER, broker->address, NULL);
    return broker;
}

struct kit_broker *kit_broker_new(void)
{
    char text[512];
    if (kit_broker_is_real())
        return kit_broker_at(getenv("WEIR_TEST_BROKERS"));
    rd_kafka_t *host = rd_kafka_new(RD_KAFKA_PRODUCER, quiet_conf(), text, sizeof text);
    assert_non_null(host);
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(host, 1);
    assert_non_null(cluster);
    struct kit_broker *broker = kit_broker_at(rd_kafka_mock_cluster_bootstraps(cluster));
    broker->host = host;
    broker->cluster = cluster;
    return broker;
}

void kit_broker_destroy(struct kit_broker *broker)
{
    rd_kafka_destroy(broker->producer);
    if (broker->cluster)
        rd_kafka_mock_cluster_destroy(broker->cluster);
    if (broker->host)
        rd_kafka_destroy(broker->host);
    free(broker->address);
    free(broker);
}

const char *kit_broker_address(const struct kit_broker *broker)
{
    return broker->address;
}

void kit_broker_down(struct kit_broker *broker)
{
    assert_int_equal(rd_kafka_mock_broker_set_down(broker->cluster, 1), 0);
}

void kit_broker_up(struct kit_broker *broker)
{
    assert_int_equal(rd_kafka_mock_broker_set_up(broker->cluster, 1), 0);
}

void kit_broker_delay(struct kit_broker *broker, int ms)
{
    assert_int_equal(rd_kafka_mock_broker_set_rtt(broker->cluster, 1, ms), 0);
}

void kit_broker_fail(struct kit_broker *broker, int16_t api_key, int times, int error)
{
    rd_kafka_resp_err_t errors[64];
    assert_true(times <= 64);
    for (int i = 0; i < times; i++)
        errors[i] = (rd_kafka_resp_err_t)error;
    rd_kafka_mock_push_request_errors_array(broker->cluster, api_key, (size_t)times, errors);
}

/* ---- topics ---- */

static void create_really(struct kit_broker *broker, const char *name, int partitions)
{
    char text[512];
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, -1, text, sizeof text);
    assert_non_null(topic);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(broker->producer);
    rd_kafka_CreateTopics(broker->producer, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, PATIENCE_MS);
    assert_non_null(event);
    assert_int_equal(rd_kafka_event_error(event), 0);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
}

char *kit_topic_new(struct kit_broker *broker, const char *stem, int partitions, char *ret_name, size_t size)
{
    char id[WEIR_ID_SIZE];
    snprintf(ret_name, size, "%s-%s", stem, weir_id_new(id));
    if (broker->cluster)
        assert_int_equal(rd_kafka_mock_topic_create(broker->cluster, ret_name, partitions, 1), 0);
    else
        create_really(broker, ret_name, partitions);
    return ret_name;
}

void kit_topic_limited(struct kit_broker *broker, const char *topic, int bytes)
{
    char number[16];
    snprintf(number, sizeof number, "%d", bytes);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_ConfigResource_set_config(resource, "max.message.bytes", number);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(broker->producer);
    rd_kafka_AlterConfigs(broker->producer, &resource, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, PATIENCE_MS);
    assert_non_null(event);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy(resource);
}

static void produce_one(rd_kafka_t *client, const struct kit_record *record)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(1);
    if (record->message_id)
        rd_kafka_header_add(headers, "ce_id", -1, record->message_id, -1);
    if (record->principal)
        rd_kafka_header_add(headers, "weir-principal", -1, record->principal, -1);
    rd_kafka_resp_err_t error = rd_kafka_producev(
        client, RD_KAFKA_V_TOPIC(record->topic), RD_KAFKA_V_PARTITION(record->partition),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY((void *)(uintptr_t)record->key, record->key ? strlen(record->key) : 0),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)(record->value ? record->value : ""), record->size),
        RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
    assert_int_equal(error, 0);
}

void kit_produce(struct kit_broker *broker, const struct kit_record *records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        produce_one(broker->producer, &records[i]);
        if (i % 1000 == 999)
            assert_int_equal(rd_kafka_flush(broker->producer, PATIENCE_MS), 0);
    }
    assert_int_equal(rd_kafka_flush(broker->producer, PATIENCE_MS), 0);
}

/* ---- looking ---- */

static char *headers_text(rd_kafka_message_t *message)
{
    struct weir_buffer text = {0};
    rd_kafka_headers_t *headers = NULL;
    if (rd_kafka_message_headers(message, &headers) == 0) {
        const char *name;
        const void *value;
        size_t size;
        for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == 0; i++)
            weir_buffer_printf(&text, "%s=%.*s;", name, (int)size, (const char *)value);
    }
    char *copy = memory_strdup(weir_buffer_text(&text));
    weir_buffer_free(&text);
    return copy;
}

static void store(struct kit_stored *stored, rd_kafka_message_t *message)
{
    *stored = (struct kit_stored){.partition = message->partition, .offset = message->offset};
    stored->headers = headers_text(message);
    stored->size = message->len;
    stored->value = memory_zalloc(message->len + 1);
    memcpy(stored->value, message->len ? message->payload : "", message->len);
    if (message->key)
        stored->key = memory_printf("%.*s", (int)message->key_len, (const char *)message->key);
}

static int partition_count(rd_kafka_t *client, const char *topic)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    assert_int_equal(rd_kafka_metadata(client, 0, handle, &metadata, PATIENCE_MS), 0);
    int count = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    return count;
}

size_t kit_read_all(struct kit_broker *broker, const char *topic, struct kit_stored **ret_stored)
{
    rd_kafka_t *client = new_client(RD_KAFKA_CONSUMER, broker->address, "kit-reader");
    size_t count = 0;
    *ret_stored = NULL;
    int partitions = partition_count(client, topic);
    for (int32_t partition = 0; partition < partitions; partition++) {
        int64_t low = 0, high = 0;
        assert_int_equal(rd_kafka_query_watermark_offsets(client, topic, partition, &low, &high, PATIENCE_MS),
                         0);
        rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_list_add(list, topic, partition)->offset = low;
        assert_int_equal(rd_kafka_assign(client, list), 0);
        rd_kafka_topic_partition_list_destroy(list);
        while (low < high) {
            rd_kafka_message_t *message = rd_kafka_consumer_poll(client, PATIENCE_MS);
            assert_non_null(message);
            if (message->err ==
                RD_KAFKA_RESP_ERR__PARTITION_EOF) { /* the last is the marker of a transaction */
                rd_kafka_message_destroy(message);
                break;
            }
            assert_int_equal(message->err, 0);
            *ret_stored = memory_realloc(*ret_stored, (count + 1) * sizeof **ret_stored);
            store(&(*ret_stored)[count++], message);
            low = message->offset + 1;
            rd_kafka_message_destroy(message);
        }
    }
    rd_kafka_consumer_close(client);
    rd_kafka_destroy(client);
    return count;
}

void kit_stored_free(struct kit_stored *stored, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(stored[i].key);
        free(stored[i].headers);
        free(stored[i].value);
    }
    free(stored);
}

int64_t kit_committed(struct kit_broker *broker, const char *group, const char *topic, int32_t partition)
{
    rd_kafka_t *client = new_client(RD_KAFKA_CONSUMER, broker->address, group);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition);
    assert_int_equal(rd_kafka_committed(client, list, PATIENCE_MS), 0);
    int64_t offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return offset < 0 ? -1 : offset;
}

/* ---- the child ---- */

void kit_child_start(struct kit_child *child, const char *listen)
{
#ifdef __SANITIZE_THREAD__
    skip(); /* librdkafka's own threads, see c11_threads.c */
#endif
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    child->pid = fork();
    assert_true(child->pid >= 0);
    if (child->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when a test is killed */
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl(WEIR_DEVBROKER, "weir-devbroker", "--quiet", "--listen", listen, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    FILE *out = fdopen(ends[0], "r");
    char line[256] = "";
    assert_non_null(fgets(line, sizeof line, out));
    assert_int_equal(sscanf(line, "weir-devbroker listens on %63[^,], incarnation %63s", child->address,
                            child->incarnation),
                     2);
    fclose(out);
}

static int wait_child(struct kit_child *child)
{
    int status = 0;
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        ;
    child->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int kit_child_stop(struct kit_child *child)
{
    kill(child->pid, SIGTERM);
    return wait_child(child);
}

void kit_child_kill(struct kit_child *child)
{
    kill(child->pid, SIGKILL);
    wait_child(child);
}

void kit_child_freeze(struct kit_child *child)
{
    kill(child->pid, SIGSTOP);
    int status;
    waitpid(child->pid, &status, WUNTRACED);
}
