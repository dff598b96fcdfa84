/* Answers by idempotency key: a row of weir_idempotency in the transaction of the effect.
 *
 *     no row -> claimed (status -1, until lease_ms) -> answered
 *            -> answered, where one transaction is all
 *
 * Within a process the calls under way are a table in memory, so that a duplicate is told at once. Between processes the row
 * decides: who commits it first has had the effect, the other's transaction fails, and its call gets the first one's answer.
 * `holder` fences: an execution whose claim ran out and was taken over commits nothing more. */
#include "data/idempotency.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <weir/clock.h>
#include <weir/idempotency.h>
#include <weir/log.h>

#include "call/call.h"
#include "call/idempotency.h"
#include "core/random.h"
#include "core/sabotage.h"
#include "core/sha256.h"
#include "data/sql.h"

#define CLAIMED (-1)
#define ANY_STATUS 1000
/* A claim outlives its call's deadline by this: its last commit may be under way. */
#define LEASE_SPARE_MS 1000
#define LEASE_MAX_MS 60000
#define OWN_TRANSACTION_MS 2000
#define DAY_MS (INT64_C(24) * 3600 * 1000)
#define MESSAGE_KEEP_MS (7 * DAY_MS) /* as the inbox */
#define BUCKETS 256

enum wish { IS_THE_ANSWER, IS_NOT, IS_A_REFUSAL };

struct answer {
    int64_t status; /* CLAIMED: there is none yet */
    const char *text, *trace;
    struct weir_bytes reply;
};

struct idempotency {
    struct weir_sql *db;
    uint8_t id[SHA256_SIZE];          /* of method, principal and key */
    uint8_t fingerprint[SHA256_SIZE]; /* of the request */
    char holder[WEIR_ID_SIZE];        /* this execution */
    const char *gone_holder;          /* whose claim has run out; NULL: none has */
    struct idempotency *next;         /* in its bucket */

    struct weir_tx *tx; /* the last one that was begun */
    enum wish wish;     /* of it */
    struct weir_error refusal;
    bool chosen; /* the author says which one is the answer */
    bool begun;
    bool claimed; /* the row is ours */
    bool kept;    /* the row has `answer` */
    bool lost;    /* somebody else was first */
    struct answer answer;
};

/* ---- Under way in this process ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct idempotency *buckets[BUCKETS];

static bool is_same_key(const struct idempotency *a, const struct idempotency *b)
{
    return a->db == b->db && memcmp(a->id, b->id, sizeof a->id) == 0;
}

static void take_off(struct idempotency *own)
{
    pthread_mutex_lock(&lock);
    struct idempotency **at = &buckets[own->id[0]];
    while (*at != own)
        at = &(*at)->next;
    *at = own->next;
    pthread_mutex_unlock(&lock);
}

/* False: a call with the same key is under way. */
static bool put_on(struct idempotency *own, bool *ret_same_content)
{
    pthread_mutex_lock(&lock);
    struct idempotency *other = buckets[own->id[0]];
    while (other && !is_same_key(own, other))
        other = other->next;
    if (other) {
        *ret_same_content = memcmp(own->fingerprint, other->fingerprint, sizeof own->fingerprint) == 0;
    } else {
        own->next = buckets[own->id[0]];
        buckets[own->id[0]] = own;
    }
    pthread_mutex_unlock(&lock);
    return !other;
}

/* ---- Refusals and replays ---- */

static enum weir_status refuse_concurrent(struct weir_call *call)
{
    weir_call_set_reply_metadata(call, "retry-after", "1");
    return weir_call_fail(call, WEIR_ABORTED, "Idempotency-Key: a call with it is under way, try again");
}

static enum weir_status refuse_reused(struct weir_call *call)
{
    weir_call_set_reply_metadata(call, REASON_METADATA, REASON_KEY_REUSED);
    return weir_call_fail(call, WEIR_INVALID_ARGUMENT,
                          "Idempotency-Key: it was used for a request with other content");
}

static enum weir_status replay(struct weir_call *call, const struct answer *answer)
{
    enum weir_status status = (enum weir_status)answer->status;
    weir_call_set_reply_metadata(call, IDEMPOTENT_REPLAYED, "true");
    call->answer_trace = answer->trace;
    weir_buffer_clear(&call->reply);
    if (status != WEIR_OK)
        return weir_call_fail(call, status, "%s", answer->text);
    weir_buffer_append(&call->reply, answer->reply.data, answer->reply.size);
    return WEIR_OK;
}

/* ---- The row ---- */

static const char find[] = "SELECT fingerprint, holder, lease_ms, status, error, trace, reply "
                           "FROM weir_idempotency WHERE id = ?";
static const char insert[] =
    "INSERT INTO weir_idempotency (id, method, principal, key, fingerprint, holder, lease_ms, status, error, "
    "trace, reply, expires_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING";
static const char update[] =
    "UPDATE weir_idempotency SET holder = ?, lease_ms = ?, status = ?, error = ?, "
    "trace = ?, reply = ?, expires_ms = ? WHERE id = ? AND holder = ? AND status < ?";

static int64_t unix_ms(void)
{
    return weir_unix_ns() / WEIR_NS_PER_MS;
}

static struct weir_bytes digest(const uint8_t bytes[SHA256_SIZE])
{
    return weir_bytes(bytes, SHA256_SIZE);
}

/* OK, and *ret_answered: the call has its answer; or it may run. Else it is refused. */
static enum weir_status look_up(struct weir_call *call, struct idempotency *own, bool *ret_answered)
{
    *ret_answered = false;
    struct weir_rows *rows = weir_sql_read(call, own->db, find, digest(own->id));
    bool found = weir_rows_next(rows), same = false;
    int64_t lease_ms = 0;
    struct answer answer = {0};
    if (found) {
        same = weir_bytes_equal(weir_rows_bytes(rows, 0), digest(own->fingerprint));
        own->gone_holder = weir_rows_text(rows, 1);
        lease_ms = weir_rows_int(rows, 2);
        answer = (struct answer){.status = weir_rows_int(rows, 3),
                                 .text = weir_rows_text(rows, 4),
                                 .trace = weir_rows_text(rows, 5),
                                 .reply = weir_rows_bytes(rows, 6)};
    }
    enum weir_status status = weir_rows_end(rows);
    if (status != WEIR_OK || !found)
        return status;
    if (!same)
        return refuse_reused(call);
    if (answer.status == CLAIMED)
        return lease_ms > unix_ms() ? refuse_concurrent(call) : WEIR_OK;
    *ret_answered = true;
    return replay(call, &answer);
}

static int64_t lease_until_ms(const struct weir_call *call)
{
    int64_t left_ms = weir_call_left_ms(call);
    return unix_ms() + (left_ms < LEASE_MAX_MS ? left_ms : LEASE_MAX_MS) + LEASE_SPARE_MS;
}

static int64_t keep_ms(const struct weir_call *call, const struct weir_sql *db)
{
    int64_t ms = db->settings.idempotency_keep_ms > DAY_MS ? db->settings.idempotency_keep_ms : DAY_MS;
    return call->comes_again && ms < MESSAGE_KEEP_MS ? MESSAGE_KEEP_MS : ms;
}

/* False: the row is another one's, or the statement failed. */
static bool write_row(struct weir_tx *tx, struct weir_call *call, const struct idempotency *own,
                      const struct answer *answer, int64_t lease_ms)
{
    const char *from = own->claimed ? own->holder : own->gone_holder;
    int64_t expires_ms = unix_ms() + keep_ms(call, own->db);
    if (from)
        return weir_sql_exec(tx, update, own->holder, lease_ms, answer->status, answer->text, answer->trace,
                             answer->reply, expires_ms, digest(own->id), from,
                             own->kept ? ANY_STATUS : 0) == 1;
    return weir_sql_exec(tx, insert, digest(own->id), call->method->full_name,
                         call->principal ? call->principal : "", call->message_id, digest(own->fingerprint),
                         own->holder, lease_ms, answer->status, answer->text, answer->trace, answer->reply,
                         expires_ms) == 1;
}

/* ---- The author's transactions ---- */

static struct idempotency *of(const struct weir_tx *tx)
{
    const struct weir_call *call = weir_sql_call(tx);
    struct idempotency *own = call ? call->idempotency : NULL;
    return own && own->tx == tx ? own : NULL;
}

void idempotency_begun(struct weir_tx *tx)
{
    struct idempotency *own = weir_sql_call(tx)->idempotency;
    if (!own || own->db != weir_sql_db(tx))
        return;
    own->tx = tx;
    own->wish = own->chosen ? IS_NOT : IS_THE_ANSWER;
    if (weir_sql_status(tx) == WEIR_OK)
        own->begun = true;
    if (own->lost)
        weir_sql_fail(tx, WEIR_ABORTED, "another call with this Idempotency-Key was first");
    else if (own->kept && !own->chosen)
        weir_sql_fail(
            tx, WEIR_INTERNAL,
            "the transaction before has kept the call's answer: say weir_idempotency_later() in it");
}

static struct answer answer_of(struct weir_call *call, const struct idempotency *own)
{
    struct answer answer = {.status = CLAIMED, .text = "", .trace = weir_context_traceparent(&call->context)};
    if (own->wish == IS_A_REFUSAL) {
        answer.status = own->refusal.status;
        answer.text = own->refusal.text;
    } else if (own->wish == IS_THE_ANSWER) {
        size_t size = protobuf_c_message_get_packed_size(call->reply_message);
        uint8_t *room = weir_arena_alloc(call->arena, size);
        answer.status = WEIR_OK;
        answer.reply = weir_bytes(room, protobuf_c_message_pack(call->reply_message, room));
    }
    return answer;
}

void idempotency_keep(struct weir_tx *tx)
{
    struct idempotency *own = of(tx);
    if (!own || own->kept || weir_sql_status(tx) != WEIR_OK)
        return;
    struct weir_call *call = weir_sql_call(tx);
    own->answer = answer_of(call, own);
    bool claims = own->answer.status == CLAIMED;
    if (write_row(tx, call, own, &own->answer, claims ? lease_until_ms(call) : 0) ||
        weir_sql_status(tx) != WEIR_OK)
        return;
    own->lost = true;
    weir_sql_fail(tx, WEIR_ABORTED, "another call with this Idempotency-Key was first");
}

void idempotency_committed(struct weir_tx *tx)
{
    struct idempotency *own = of(tx);
    if (!own)
        return;
    own->claimed = true;
    own->kept = own->answer.status != CLAIMED;
}

void weir_idempotency_later(struct weir_tx *tx)
{
    struct idempotency *own = of(tx);
    if (own)
        own->wish = IS_NOT;
}

void weir_idempotency_choose(struct weir_call *call)
{
    if (call->idempotency)
        call->idempotency->chosen = true;
}

void weir_idempotency_keep(struct weir_tx *tx)
{
    struct idempotency *own = of(tx);
    if (own)
        own->wish = IS_THE_ANSWER;
}

enum weir_status weir_idempotency_refuse(struct weir_tx *tx, enum weir_status status, const char *format, ...)
{
    struct weir_call *call = weir_sql_call(tx);
    struct idempotency *own = of(tx);
    struct weir_error err = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(err.text, sizeof err.text, format, args);
    va_end(args);
    weir_call_fail(call, status, "%s", err.text);
    if (own) {
        own->refusal = *weir_call_error(call);
        own->wish = weir_status_is_transient(status) ? IS_NOT : IS_A_REFUSAL;
    }
    return status;
}

bool weir_idempotency_id(const struct weir_call *call, char ret_id[WEIR_ID_SIZE])
{
    if (!call->idempotency)
        return false;
    uint8_t bytes[16];
    memcpy(bytes, call->idempotency->id, sizeof bytes);
    bytes[6] = (uint8_t)(0x80 | (bytes[6] & 0x0f));
    bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3f));
    char hex[33];
    hex_of_bytes(bytes, sizeof bytes, hex);
    snprintf(ret_id, WEIR_ID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    return true;
}

/* ---- Before and after the handler ---- */

static void identify(struct weir_call *call, struct idempotency *own)
{
    struct sha256 sha256;
    const char *principal = call->principal ? call->principal : "";
    sha256_init(&sha256);
    sha256_add(&sha256, call->method->full_name, strlen(call->method->full_name) + 1);
    sha256_add(&sha256, principal, strlen(principal) + 1);
    sha256_add(&sha256, call->message_id, strlen(call->message_id));
    sha256_end(&sha256, own->id);

    struct weir_buffer wire = {0}; /* the same for JSON and for any order of fields */
    call_pack(call->request_message, &wire);
    sha256_init(&sha256);
    sha256_add(&sha256, wire.data, wire.size);
    sha256_end(&sha256, own->fingerprint);
    weir_buffer_free(&wire);
}

static enum weir_status before(struct weir_call *call, bool *ret_answered)
{
    if (SABOTAGED(idempotency))
        return WEIR_OK;
    struct idempotency *own = weir_arena_zalloc(call->arena, sizeof *own);
    own->db = call->service->idempotency;
    weir_id_new(own->holder);
    identify(call, own);
    *ret_answered = true;
    bool same_content = false;
    if (!put_on(own, &same_content))
        return same_content ? refuse_concurrent(call) : refuse_reused(call);

    enum weir_status status = look_up(call, own, ret_answered);
    *ret_answered = *ret_answered || status != WEIR_OK;
    if (*ret_answered)
        take_off(own);
    else
        call->idempotency = own;
    return status;
}

/* A transaction of our own, which does not end with the call's time. OK, though *ret_ours is false: another one's row is there. */
static enum weir_status write_alone(struct weir_call *call, struct idempotency *own,
                                    const struct answer *answer, bool *ret_ours)
{
    struct weir_context context;
    context_init(&context, NULL, weir_deadline_in_ms(OWN_TRANSACTION_MS));
    struct weir_tx *tx = sql_begin(own->db, NULL, &context, call->arena);
    *ret_ours = write_row(tx, call, own, answer, 0);
    enum weir_status status = weir_sql_commit(tx);
    if (status != WEIR_OK)
        weir_log_warn("an answer could not be kept", weir_field_text("method", call->method->full_name),
                      weir_field_error(sql_error(tx)), weir_field_context(&call->context));
    context_clean_up(&context);
    return status;
}

static enum weir_status answer_of_the_first(struct weir_call *call, struct idempotency *own)
{
    bool answered;
    enum weir_status status = look_up(call, own, &answered);
    return status == WEIR_OK && !answered ? refuse_concurrent(call) : status;
}

static struct answer answer_now(struct weir_call *call, enum weir_status status)
{
    return (struct answer){
        .status = status,
        .text = status != WEIR_OK && call->error.status == status ? call->error.text : "",
        .trace = weir_context_traceparent(&call->context),
        .reply = status == WEIR_OK ? weir_buffer_bytes(&call->reply) : weir_bytes(NULL, 0),
    };
}

static enum weir_status keep_now(struct weir_call *call, struct idempotency *own, enum weir_status status)
{
    struct answer answer = answer_now(call, status);
    bool ours;
    if (write_alone(call, own, &answer, &ours) == WEIR_OK && !ours)
        return answer_of_the_first(call, own);
    return status;
}

/* What was kept and what is answered must be the same; where a handler goes on after its commit, they may not be. */
static void check_kept(struct weir_call *call, struct idempotency *own, enum weir_status status)
{
    struct answer answer = answer_now(call, status);
    if (answer.status == own->answer.status && strcmp(answer.text, own->answer.text) == 0 &&
        weir_bytes_equal(answer.reply, own->answer.reply))
        return;
    weir_log_error(
        "the answer is not what the transaction has kept: fill the reply before the commit, and refuse by "
        "weir_idempotency_refuse()",
        weir_field_text("method", call->method->full_name), weir_field_context(&call->context));
    bool ours;
    write_alone(call, own, &answer, &ours);
}

/* A transaction that lost against another one may have lost against the same call. */
static enum weir_status after_a_race(struct weir_call *call, struct idempotency *own, enum weir_status status)
{
    bool answered;
    enum weir_status found = look_up(call, own, &answered);
    return answered ? found : status;
}

static enum weir_status after(struct weir_call *call, enum weir_status status)
{
    struct idempotency *own = call->idempotency;
    bool is_answer = status == WEIR_OK || (!weir_status_is_transient(status) && !call->comes_again);
    call->idempotency = NULL; /* what is written from here on is no transaction of the author's */
    if (own->lost) {
        status = answer_of_the_first(call, own);
    } else if (own->kept) {
        if (is_answer)
            check_kept(call, own, status);
    } else if (own->begun && is_answer) {
        status = keep_now(call, own, status);
    } else if (own->begun && !own->claimed && status == WEIR_ABORTED) {
        status = after_a_race(call, own, status);
    } else if (own->claimed) { /* the next one need not wait for the lease */
        struct answer none = {.status = CLAIMED, .text = "", .trace = ""};
        bool ours;
        write_alone(call, own, &none, &ours);
    }
    take_off(own);
    return status;
}

void idempotency_init(void)
{
    static const struct idempotency_ops ops = {.before = before, .after = after};
    idempotency_set_ops(&ops);
}
