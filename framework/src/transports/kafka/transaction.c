/* The thread that commits, and its producer. */
#include "transports/kafka/transaction.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/id.h>
#include <weir/log.h>

#include "core/condition.h"
#include "core/memory.h"
#include "transports/kafka/client.h"

#define ASK_MS 3000   /* at start: which broker it is */
#define SLICE_MS 1000 /* of a call to the producer; a stop waits for one at most */
#define LOOK_MS 1000  /* while there is nothing to do: for errors of the client */
#define LOG_EVERY 16
#define DEVELOPMENT "mockCluster" /* how the cluster id of librdkafka's mock cluster begins */

enum answer {
    ANSWER_DONE,
    ANSWER_ABORT,    /* this transaction can only be aborted */
    ANSWER_FATAL,    /* this producer can do nothing any more */
    ANSWER_GIVEN_UP, /* the stop's time is over */
};

/* ---- membership ---- */

void membership_release(struct membership *membership)
{
    if (!membership || --membership->references > 0)
        return;
    rd_kafka_consumer_group_metadata_destroy(membership->metadata);
    free(membership);
}

/* A member that was thrown out has no id, and with none the broker lets everything pass: then there is no membership. */
static struct membership *membership_now(rd_kafka_t *client)
{
    rd_kafka_consumer_group_metadata_t *metadata = rd_kafka_consumer_group_metadata(client);
    char *member = rd_kafka_memberid(client); /* after the metadata: it was one then, too */
    bool is_member = member && *member;
    if (member)
        rd_kafka_mem_free(client, member);
    if (metadata && !is_member)
        rd_kafka_consumer_group_metadata_destroy(metadata);
    if (!metadata || !is_member)
        return NULL;
    struct membership *membership = NEW(struct membership);
    membership->metadata = metadata;
    membership->references = 1;
    return membership;
}

static void set_membership(struct weir_consumer *consumer, struct membership *membership)
{
    if (!consumer->transaction)
        return;
    pthread_mutex_lock(&consumer->lock);
    membership_release(consumer->transaction->membership);
    consumer->transaction->membership = membership;
    pthread_mutex_unlock(&consumer->lock);
}

void transaction_joined(struct weir_consumer *consumer)
{
    if (consumer->transaction)
        set_membership(consumer, membership_now(consumer->client));
}

void transaction_left(struct weir_consumer *consumer)
{
    set_membership(consumer, NULL);
}

/* ---- asking the producer ---- */

static int slice_ms(struct transaction *transaction)
{
    int left_ms = client_left_ms(atomic_load(&transaction->give_up_ns), SLICE_MS);
    return left_ms > 0 ? left_ms : 1;
}

static bool is_given_up(struct transaction *transaction)
{
    return weir_now_ns() >= atomic_load(&transaction->give_up_ns);
}

/* True: the same again. Takes error. */
static bool judge(struct transaction *transaction, rd_kafka_error_t *error, enum answer *ret_answer,
                  struct weir_error *err)
{
    *ret_answer = ANSWER_DONE;
    if (!error)
        return false;
    weir_fail(err, WEIR_UNAVAILABLE, "%s", rd_kafka_error_string(error));
    bool again =
        rd_kafka_error_is_retriable(error) || rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR__TIMED_OUT;
    bool requires_abort = rd_kafka_error_txn_requires_abort(error);
    bool timed_out = rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR__TIMED_OUT;
    bool fatal = rd_kafka_error_is_fatal(error);
    rd_kafka_error_destroy(error);
    *ret_answer = fatal ? ANSWER_FATAL : requires_abort || !again ? ANSWER_ABORT : ANSWER_GIVEN_UP;
    if (*ret_answer != ANSWER_GIVEN_UP || is_given_up(transaction))
        return false;
    if (!timed_out)
        rd_kafka_poll(transaction->client, 50); /* a refusal that comes at once is not repeated at once */
    return true;
}

static enum answer abort_it(struct transaction *transaction, struct weir_error *err)
{
    enum answer answer;
    while (judge(transaction, rd_kafka_abort_transaction(transaction->client, slice_ms(transaction)), &answer,
                 err))
        continue;
    transaction->open = answer != ANSWER_DONE;
    return answer == ANSWER_ABORT ? ANSWER_FATAL : answer; /* what cannot be aborted cannot go on */
}

/* ---- one transaction ---- */

/* The broker will never take this record: its message is set aside, in a transaction as all others. */
static void reject(struct item *item, const char *text)
{
    if (item->verdict == WEIR_OK && !item->rejected)
        item->rejected = memory_strdup(text);
}

static bool is_hopeless(rd_kafka_resp_err_t error)
{
    return client_status(error) == WEIR_INVALID_ARGUMENT;
}

/* Runs on: the transaction's thread. */
static void on_report(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client, (void)opaque;
    struct output *output = message->_private;
    if (is_hopeless(message->err))
        reject(output->item, rd_kafka_err2str(message->err));
}

static rd_kafka_error_t *produce_one(struct transaction *transaction, struct output *output)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_copy(output->headers);
    const void *key = output->has_key ? (const void *)output->key.data : NULL;
    const void *value = output->value.size ? (const void *)output->value.data : "";
    rd_kafka_vu_t arguments[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = output->topic},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)(uintptr_t)key, output->key.size}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)(uintptr_t)value, output->value.size}},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = output},
    };
    rd_kafka_error_t *error =
        rd_kafka_produceva(transaction->client, arguments, sizeof arguments / sizeof *arguments);
    if (error)
        rd_kafka_headers_destroy(headers);
    return error;
}

static enum answer produce(struct transaction *transaction, struct output *output, struct weir_error *err)
{
    for (;;) {
        rd_kafka_error_t *error = produce_one(transaction, output);
        if (!error)
            return ANSWER_DONE;
        rd_kafka_resp_err_t code = rd_kafka_error_code(error);
        weir_fail(err, client_status(code), "topic %s: %s", output->topic, rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
        if (is_hopeless(code))
            reject(output->item, err->text);
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            return ANSWER_ABORT;
        if (is_given_up(transaction))
            return ANSWER_GIVEN_UP;
        rd_kafka_poll(transaction->client, 10);
    }
}

static enum answer produce_all(struct transaction *transaction, const struct batch *batch,
                               struct weir_error *err)
{
    for (size_t i = 0; i < batch->count; i++)
        for (struct item *item = batch->shares[i].items; item; item = item->next)
            for (struct output *output = item->outputs; output; output = output->next) {
                enum answer answer = produce(transaction, output, err);
                if (answer != ANSWER_DONE)
                    return answer;
            }
    return ANSWER_DONE;
}

static enum answer send_offsets(struct transaction *transaction, const struct batch *batch,
                                struct weir_error *err)
{
    rd_kafka_topic_partition_list_t *offsets = batch_offsets(batch);
    enum answer answer;
    while (judge(transaction,
                 rd_kafka_send_offsets_to_transaction(transaction->client, offsets,
                                                      batch->membership->metadata, slice_ms(transaction)),
                 &answer, err))
        continue;
    rd_kafka_topic_partition_list_destroy(offsets);
    return answer;
}

static enum answer commit_it(struct transaction *transaction, struct weir_error *err)
{
    enum answer answer;
    transaction->committing = true;
    while (judge(transaction, rd_kafka_commit_transaction(transaction->client, slice_ms(transaction)),
                 &answer, err))
        continue;
    transaction->committing = answer == ANSWER_GIVEN_UP;
    return answer;
}

static enum answer run(struct transaction *transaction, const struct batch *batch, struct weir_error *err)
{
    enum answer answer;
    judge(transaction, rd_kafka_begin_transaction(transaction->client), &answer, err);
    if (answer != ANSWER_DONE)
        return answer;
    transaction->open = true;
    answer = produce_all(transaction, batch, err);
    if (answer == ANSWER_DONE)
        answer = send_offsets(transaction, batch, err);
    if (answer == ANSWER_DONE)
        answer = commit_it(transaction, err);
    if (answer == ANSWER_DONE)
        transaction->open = false;
    return answer;
}

/* ---- and what becomes of it ---- */

static void fail(struct transaction *transaction, struct weir_error *err)
{
    struct weir_consumer *consumer = transaction->consumer;
    weir_error_prefix(err, "the transactional producer cannot go on");
    pthread_mutex_lock(&consumer->lock);
    transaction->failed = true;
    pthread_cond_broadcast(&transaction->flushed);
    pthread_mutex_unlock(&consumer->lock);
    if (consumer->component.app)
        weir_component_failed(consumer, err);
}

/* Of these nothing has been seen by anybody. The broker refuses records that travel together for one that is too large: then
 * each message goes alone, to find it. */
static void set_rejected_aside(struct transaction *transaction, const struct batch *batch)
{
    struct weir_consumer *consumer = transaction->consumer;
    for (size_t i = 0; i < batch->count; i++)
        for (struct item *item = batch->shares[i].items; item; item = item->next) {
            char *reason = item->rejected;
            item->rejected = NULL;
            if (!reason)
                continue;
            if (batch->kept > 1) {
                transaction->singles = batch->kept;
                free(reason);
                continue;
            }
            item->verdict = WEIR_INVALID_ARGUMENT;
            item->reason = reason;
            item_emit_aside(item);
            pthread_mutex_lock(&consumer->lock);
            consumer->counts.set_aside++;
            pthread_mutex_unlock(&consumer->lock);
        }
}

static void committed(struct transaction *transaction, struct batch *batch)
{
    struct weir_consumer *consumer = transaction->consumer;
    transaction->singles -= transaction->singles > 0 ? batch->kept : 0;
    batch_is_committed(consumer, batch);
    if (transaction->failures > 0)
        weir_log_info("transactions are committed again",
                      weir_field_text("consumer", consumer->component.name));
    transaction->failures = 0;
    pthread_mutex_lock(&consumer->lock);
    transaction->committed++;
    transaction->due_ns = weir_deadline_in_ms(consumer->options.transaction_interval_ms);
    pthread_cond_broadcast(&transaction->flushed);
    pthread_mutex_unlock(&consumer->lock);
}

static int64_t backoff_ms(int32_t failures)
{
    int64_t ms = CONSUMER_BACKOFF_FIRST_MS << (failures < 6 ? failures : 6);
    return ms < CONSUMER_BACKOFF_MAX_MS ? ms : CONSUMER_BACKOFF_MAX_MS;
}

static void aborted(struct transaction *transaction, struct batch *batch, const struct weir_error *err)
{
    struct weir_consumer *consumer = transaction->consumer;
    if (transaction->failures % LOG_EVERY == 0)
        weir_log_warn("a transaction was aborted and is begun again",
                      weir_field_text("consumer", consumer->component.name), weir_field_error(err));
    set_rejected_aside(transaction, batch);
    batch_give_back(consumer, batch);
    transaction->retry_at_ns = weir_deadline_in_ms(backoff_ms(transaction->failures++));
    pthread_mutex_lock(&consumer->lock);
    transaction->aborted++;
    pthread_mutex_unlock(&consumer->lock);
}

static void commit_batch(struct transaction *transaction, struct batch *batch)
{
    struct weir_error err = {0}, late = {0};
    enum answer answer = run(transaction, batch, &err);
    if (answer == ANSWER_DONE) {
        committed(transaction, batch);
        return;
    }
    if (answer == ANSWER_ABORT) {
        answer = abort_it(transaction, &late);
        if (answer == ANSWER_DONE) {
            aborted(transaction, batch, &err);
            return;
        }
    }
    batch_give_back(transaction->consumer, batch);
    if (answer == ANSWER_FATAL)
        fail(transaction, late.status != WEIR_OK ? &late : &err);
}

/* ---- the thread ---- */

/* Which broker it is; NULL when none answers. Caller frees it by rd_kafka_mem_free(). */
static char *ask_cluster(rd_kafka_t *client, int timeout_ms)
{
    const struct rd_kafka_metadata *metadata = NULL;
    if (rd_kafka_metadata(client, 0, NULL, &metadata, timeout_ms) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return NULL;
    rd_kafka_metadata_destroy(metadata);
    return rd_kafka_clusterid(client, 0);
}

/* Its transactions "succeed", and are none: what was aborted is read, too. */
static enum weir_status check_broker(struct transaction *transaction, int timeout_ms, struct weir_error *err)
{
    char *id = ask_cluster(transaction->client, timeout_ms);
    if (!id)
        return WEIR_OK;
    transaction->known = true;
    bool development = strncmp(id, DEVELOPMENT, strlen(DEVELOPMENT)) == 0;
    rd_kafka_mem_free(transaction->client, id);
    if (!development)
        return WEIR_OK;
    return weir_fail(
        err, WEIR_FAILED_PRECONDITION,
        "a transactional consumer needs a real Kafka, and %s is a development broker, which has no "
        "transactions: ./dev kafka start runs a real one",
        transaction->consumer->options.brokers);
}

static bool initialise(struct transaction *transaction)
{
    struct weir_error err = {0};
    if (!transaction->known && check_broker(transaction, slice_ms(transaction), &err) != WEIR_OK) {
        fail(transaction, &err);
        return false;
    }
    if (!transaction->known)
        return false;
    rd_kafka_error_t *error = rd_kafka_init_transactions(transaction->client, slice_ms(transaction));
    if (!error)
        return transaction->initialised = true;
    enum answer answer;
    if (!judge(transaction, error, &answer, &err) && answer != ANSWER_GIVEN_UP)
        fail(transaction, &err);
    return false;
}

/* Holds: lock. Done, under a membership that holds, and not committed. */
static bool has_uncommitted(const struct weir_consumer *consumer)
{
    if (!consumer->transaction->membership)
        return false;
    for (const struct partition *partition = consumer->partitions; partition; partition = partition->next)
        if (partition->committed >= 0 && partition->offsets.base > partition->committed)
            return true;
    return false;
}

/* Waits, at most LOOK_MS. True: there is something to commit. */
static bool wait_for_work(struct transaction *transaction)
{
    struct weir_consumer *consumer = transaction->consumer;
    pthread_mutex_lock(&consumer->lock);
    int64_t now = weir_now_ns(), until_ns = weir_deadline_in_ms(LOOK_MS);
    int64_t due_ns =
        transaction->flush || transaction->kept_outputs >= consumer->options.transaction_outputs_max ? now
        : transaction->pending ? transaction->due_ns
                               : WEIR_NEVER;
    if (due_ns < transaction->retry_at_ns)
        due_ns = transaction->retry_at_ns;
    bool works = (transaction->pending || transaction->flush) && !transaction->failed;
    if (!works)
        due_ns = WEIR_NEVER;
    if (due_ns > now && !atomic_load(&transaction->ends))
        condition_wait(&transaction->changed, &consumer->lock, due_ns < until_ns ? due_ns : until_ns);
    pthread_mutex_unlock(&consumer->lock);
    return due_ns <= now;
}

static void nothing_is_left(struct transaction *transaction)
{
    struct weir_consumer *consumer = transaction->consumer;
    pthread_mutex_lock(&consumer->lock);
    transaction->flush = false;
    transaction->pending = has_uncommitted(consumer);
    pthread_cond_broadcast(&transaction->flushed);
    pthread_mutex_unlock(&consumer->lock);
}

static int64_t outputs_max(const struct transaction *transaction)
{
    return transaction->singles > 0 ? 1 : transaction->consumer->options.transaction_outputs_max;
}

static void *work(void *arg)
{
    struct transaction *transaction = arg;
    pthread_setname_np(pthread_self(), "consumer-tx");
    while (!atomic_load(&transaction->ends)) {
        bool due = transaction->initialised ? wait_for_work(transaction) : !transaction->failed;
        rd_kafka_poll(transaction->client, 0);
        if (!transaction->initialised) {
            if (transaction->failed)
                wait_for_work(transaction);
            else
                initialise(transaction);
            continue;
        }
        struct batch batch;
        if (due && batch_take(transaction->consumer, outputs_max(transaction), &batch))
            commit_batch(transaction, &batch);
        else if (due)
            nothing_is_left(transaction);
    }
    struct weir_error err = {0};
    if (transaction->open && !transaction->committing && !transaction->failed && !is_given_up(transaction))
        abort_it(transaction, &err);
    return NULL;
}

void transaction_has_more(struct weir_consumer *consumer)
{
    struct transaction *transaction = consumer->transaction;
    bool first = !transaction->pending;
    if (first)
        transaction->due_ns = weir_deadline_in_ms(consumer->options.transaction_interval_ms);
    transaction->pending = true;
    if (first || transaction->kept_outputs >= consumer->options.transaction_outputs_max)
        pthread_cond_signal(&transaction->changed);
}

bool transaction_flush(struct weir_consumer *consumer, const atomic_bool *given_up, int64_t deadline_ns)
{
    struct transaction *transaction = consumer->transaction;
    pthread_mutex_lock(&consumer->lock);
    while (has_uncommitted(consumer) && !transaction->failed && weir_now_ns() < deadline_ns &&
           !(given_up && atomic_load(given_up))) {
        transaction->flush = true;
        pthread_cond_signal(&transaction->changed);
        condition_wait(&transaction->flushed, &consumer->lock, weir_deadline_in_ms(20));
    }
    bool flushed = !has_uncommitted(consumer);
    pthread_mutex_unlock(&consumer->lock);
    if (!flushed)
        weir_log_warn("not all that is done is committed: the rest comes again, and nothing of it was seen",
                      weir_field_text("consumer", consumer->component.name));
    return flushed;
}

/* ---- start and stop ---- */

/* One of its own for each start: nobody is fenced by mistake, neither a second instance nor, in an upgrade, the process
 * that still drains. The group's generation fences who must be. */
static char *new_id(const struct weir_consumer *consumer)
{
    const struct weir_consumer_options *options = &consumer->options;
    char id[WEIR_ID_SIZE];
    if (options->transactional_id && *options->transactional_id)
        return memory_strdup(options->transactional_id);
    return memory_printf("%s-%s-%s", options->group,
                         consumer->component.name ? consumer->component.name : "consumer", weir_id_new(id));
}

static rd_kafka_conf_t *new_conf(struct transaction *transaction, struct weir_error *err)
{
    const struct weir_consumer *consumer = transaction->consumer;
    char *id = new_id(consumer);
    const struct client_setting settings[] = {
        {"transactional.id", id, 0},
        {"transaction.timeout.ms", NULL, consumer->options.transaction_timeout_ms},
        {"message.timeout.ms", NULL, consumer->options.transaction_timeout_ms},
        {"partitioner", "murmur2_random", 0}, /* as Java clients choose */
        {"linger.ms", NULL, 5},               /* a batch is produced at once */
        {"queue.buffering.max.messages", NULL, 10000000},
        {NULL, NULL, 0},
    };
    rd_kafka_conf_t *conf =
        client_conf_new(consumer->component.name, consumer->options.brokers, transaction, err);
    if (conf)
        rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    if (conf && client_conf_set(conf, settings, err) != WEIR_OK) {
        rd_kafka_conf_destroy(conf);
        conf = NULL;
    }
    free(id);
    return conf;
}

enum weir_status transaction_start(struct weir_consumer *consumer, struct weir_error *err)
{
    struct transaction *transaction = consumer->transaction;
    atomic_store(&transaction->give_up_ns, WEIR_NEVER);
    atomic_store(&transaction->ends, false);
    transaction->pending = transaction->flush = transaction->failed = false;
    transaction->known = transaction->initialised = transaction->open = transaction->committing = false;
    transaction->failures = 0;
    transaction->retry_at_ns = transaction->singles = 0;
    rd_kafka_conf_t *conf = new_conf(transaction, err);
    transaction->client = conf ? client_new(RD_KAFKA_PRODUCER, conf, err) : NULL;
    if (!transaction->client)
        return err->status;
    if (check_broker(transaction, ASK_MS, err) != WEIR_OK) {
        rd_kafka_destroy(transaction->client);
        transaction->client = NULL;
        return err->status;
    }
    if (pthread_create(&transaction->thread, NULL, work, transaction) != 0)
        abort(); /* without threads nothing of a process works */
    transaction->runs = true;
    return WEIR_OK;
}

void transaction_stop(struct weir_consumer *consumer, int64_t deadline_ns)
{
    struct transaction *transaction = consumer->transaction;
    if (!transaction || !transaction->runs)
        return;
    atomic_store(&transaction->give_up_ns, deadline_ns);
    pthread_mutex_lock(&consumer->lock);
    atomic_store(&transaction->ends, true);
    pthread_cond_broadcast(&transaction->changed);
    pthread_mutex_unlock(&consumer->lock);
    pthread_join(transaction->thread, NULL);
    transaction->runs = false;
    if (!client_destroy(transaction->client, 0, deadline_ns))
        weir_log_warn("the transactional Kafka client was left behind: it did not end in its time",
                      weir_field_text("consumer", consumer->component.name));
    transaction->client = NULL;
}

struct transaction *transaction_new(struct weir_consumer *consumer)
{
    struct transaction *transaction = NEW(struct transaction);
    transaction->consumer = consumer;
    condition_init(&transaction->changed);
    condition_init(&transaction->flushed);
    return transaction;
}

void transaction_destroy(struct transaction *transaction)
{
    if (!transaction)
        return;
    pthread_cond_destroy(&transaction->changed);
    pthread_cond_destroy(&transaction->flushed);
    free(transaction);
}
