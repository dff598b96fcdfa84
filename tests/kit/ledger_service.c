#include "ledger_service.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/idempotency.h>

#include "core/condition.h"

const char *const ledger_schema[] = {
    "CREATE TABLE entries (id TEXT PRIMARY KEY, account TEXT NOT NULL, amount BIGINT NOT NULL, "
    "confirmed BIGINT NOT NULL)",
    NULL,
};

static void crash(const struct weir_call *call, enum ledger_crash here)
{
    const struct ledger *ledger = weir_call_self(call);
    if (ledger->crash == here)
        kill(getpid(), SIGKILL);
}

static void count_run(struct ledger *ledger)
{
    pthread_mutex_lock(&ledger->lock);
    ledger->runs++;
    pthread_cond_broadcast(&ledger->changed);
    pthread_mutex_unlock(&ledger->lock);
}

static void wait_until_open(struct ledger *ledger)
{
    int64_t until = weir_deadline_in_ms(10000);
    pthread_mutex_lock(&ledger->lock);
    ledger->waiting++;
    pthread_cond_broadcast(&ledger->changed);
    while (!ledger->open && condition_wait(&ledger->changed, &ledger->lock, until))
        ;
    ledger->waiting--;
    pthread_mutex_unlock(&ledger->lock);
}

static enum weir_status hold(struct ledger *ledger, struct weir_call *call, enum weir_status status)
{
    pthread_mutex_lock(&ledger->lock);
    ledger->held = weir_call_acquire(call);
    ledger->held_status = status;
    pthread_cond_broadcast(&ledger->changed);
    pthread_mutex_unlock(&ledger->lock);
    return WEIR_PENDING;
}

static enum weir_status fail_by(struct weir_call *call, int32_t status)
{
    return weir_call_fail(call, (enum weir_status)status, "told to fail with %d", (int)status);
}

static int64_t total_of(struct weir_tx *tx, const char *account)
{
    struct weir_rows *rows = weir_sql_query(
        tx, "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM entries WHERE account = ?", account);
    int64_t total = weir_rows_next(rows) ? weir_rows_int(rows, 0) : -1;
    weir_rows_end(rows);
    return total;
}

static enum weir_status first_step(struct weir_call *call, const Ledger__Entry *entry, const char *id)
{
    struct weir_tx *tx = weir_sql_begin(call, ((struct ledger *)weir_call_self(call))->db);
    weir_sql_exec(tx,
                  "INSERT INTO entries (id, account, amount, confirmed) VALUES (?, ?, ?, 0) "
                  "ON CONFLICT (id) DO NOTHING",
                  id, entry->account, entry->amount);
    if (!entry->forget && !entry->choose)
        weir_idempotency_later(tx);
    enum weir_status status = weir_sql_commit(tx);
    if (status != WEIR_OK)
        return status;
    crash(call, LEDGER_CRASH_BETWEEN);
    return entry->fail_between ? fail_by(call, entry->fail_between) : WEIR_OK;
}

static enum weir_status last_step(struct weir_call *call, const Ledger__Entry *entry, const char *id,
                                  Ledger__Booking *reply)
{
    struct weir_tx *tx = weir_sql_begin(call, ((struct ledger *)weir_call_self(call))->db);
    if (entry->two_steps)
        weir_sql_exec(tx, "UPDATE entries SET confirmed = confirmed + 1 WHERE id = ?", id);
    else
        weir_sql_exec(tx, "INSERT INTO entries (id, account, amount, confirmed) VALUES (?, ?, ?, 1)", id,
                      entry->account, entry->amount);
    reply->entry_id = weir_call_strdup(call, id);
    reply->total = total_of(tx, entry->account);
    enum weir_status refusal = WEIR_OK;
    if (entry->choose)
        weir_idempotency_keep(tx);
    if (entry->fail_inside)
        weir_sql_fail(tx, (enum weir_status)entry->fail_inside, "told to fail with %d",
                      (int)entry->fail_inside);
    if (entry->refuse)
        refusal = weir_idempotency_refuse(tx, (enum weir_status)entry->refuse, "told to refuse with %d",
                                          (int)entry->refuse);
    enum weir_status status = weir_sql_commit(tx);
    if (status == WEIR_OK && entry->choose) {
        tx = weir_sql_begin(call, ((struct ledger *)weir_call_self(call))->db);
        weir_sql_exec(tx, "UPDATE entries SET confirmed = confirmed + 10 WHERE id = ?", id);
        status = weir_sql_commit(tx);
    }
    return status != WEIR_OK ? status : refusal;
}

static enum weir_status add(struct weir_call *call, const Ledger__Entry *entry, Ledger__Booking *reply)
{
    char made[WEIR_ID_SIZE];
    count_run(weir_call_self(call));
    if (entry->fail_before)
        return fail_by(call, entry->fail_before);
    if (!weir_idempotency_id(call, made))
        weir_id_new(made);
    if (entry->choose)
        weir_idempotency_choose(call);
    enum weir_status status = entry->two_steps ? first_step(call, entry, made) : WEIR_OK;
    if (status == WEIR_OK && entry->wait)
        wait_until_open(weir_call_self(call));
    if (status == WEIR_OK)
        status = last_step(call, entry, made, reply);
    if (status == WEIR_OK)
        crash(call, LEDGER_CRASH_AFTER);
    if (status == WEIR_OK && entry->fail_after)
        status = fail_by(call, entry->fail_after);
    return entry->defer ? hold(weir_call_self(call), call, status) : status;
}

const struct ledger_handlers ledger_handlers = {.add = {.fn = add}, .pay = {.fn = add}};

void ledger_init(struct ledger *ledger, struct weir_sql *db)
{
    memset(ledger, 0, sizeof *ledger);
    ledger->db = db;
    pthread_mutex_init(&ledger->lock, NULL);
    condition_init(&ledger->changed);
}

void ledger_clean_up(struct ledger *ledger)
{
    pthread_cond_destroy(&ledger->changed);
    pthread_mutex_destroy(&ledger->lock);
}

static bool await(struct ledger *ledger, const int64_t *number, int64_t count)
{
    int64_t until = weir_deadline_in_ms(10000);
    pthread_mutex_lock(&ledger->lock);
    while (*number < count && condition_wait(&ledger->changed, &ledger->lock, until))
        ;
    bool reached = *number >= count;
    pthread_mutex_unlock(&ledger->lock);
    return reached;
}

bool ledger_await_waiting(struct ledger *ledger, int64_t count)
{
    return await(ledger, &ledger->waiting, count);
}

bool ledger_await_runs(struct ledger *ledger, int64_t count)
{
    return await(ledger, &ledger->runs, count);
}

void ledger_let_go(struct ledger *ledger)
{
    pthread_mutex_lock(&ledger->lock);
    ledger->open = true;
    pthread_cond_broadcast(&ledger->changed);
    pthread_mutex_unlock(&ledger->lock);
}

int64_t ledger_runs(struct ledger *ledger)
{
    pthread_mutex_lock(&ledger->lock);
    int64_t runs = ledger->runs;
    pthread_mutex_unlock(&ledger->lock);
    return runs;
}
