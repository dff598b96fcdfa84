/* Who may work on a saga: the process whose number is in its row, as long as that one lives.
 *
 * All sagas of a process share one lease, so it costs a write in a while however many there are. A process that lives
 * makes it longer; SQLite's file is on this machine, so there a lock in a file beside it, which the kernel lets go of with
 * the process, tells at once that it is gone. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/clock.h>
#include <weir/log.h>

#include "core/memory.h"
#include "core/random.h"
#include "data/saga/saga.h"
#include "data/sqlite/backend.h"

#define CLAIM_MOST 256
#define OWNERS_MOST 16

/* Numbers are random, and offsets are 63 bits: each has a byte of its own in the file. */
static struct flock byte_of(int64_t owner)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = owner, .l_len = 1};
}

enum weir_status saga_lease_open(struct weir_saga_runner *runner, struct weir_error *err)
{
    uint64_t number = 0;
    while (!runner->owner) {
        random_bytes(&number, sizeof number);
        runner->owner = (int64_t)(number >> 2);
    }
    if (runner->db->backend != &sqlite_backend)
        return WEIR_OK;
    char *path = memory_printf("%s.sagas", sqlite_of(runner->db)->path);
    runner->lock_file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    struct flock lock = byte_of(runner->owner);
    enum weir_status status = WEIR_OK;
    if (runner->lock_file < 0 || fcntl(runner->lock_file, F_OFD_SETLK, &lock) != 0)
        status = weir_fail_errno(err, WEIR_UNAVAILABLE, errno, "%s: cannot lock %s", runner->name, path);
    free(path);
    return status;
}

void saga_lease_close(struct weir_saga_runner *runner)
{
    if (runner->lock_file >= 0)
        close(runner->lock_file);
    runner->lock_file = -1;
}

bool saga_lease_is_short(const struct weir_saga_runner *runner)
{
    return atomic_load(&runner->lease_until_ms) - saga_unix_ms() < runner->settings.lease_ms / 2;
}

struct renewal {
    struct weir_saga_runner *runner;
    int64_t until_ms;
};

static void renewed(void *arg)
{
    const struct renewal *renewal = arg;
    atomic_store(&renewal->runner->lease_until_ms, renewal->until_ms);
}

void saga_lease_renew(struct weir_tx *tx, struct weir_saga_runner *runner)
{
    if (!saga_lease_is_short(runner) || weir_sql_status(tx) != WEIR_OK)
        return;
    struct renewal *renewal = sql_tx_alloc(tx, sizeof *renewal);
    *renewal = (struct renewal){runner, saga_unix_ms() + runner->settings.lease_ms};
    weir_sql_exec(tx,
                  "INSERT INTO weir_saga_owner (owner, until_ms) VALUES (?, ?)"
                  " ON CONFLICT (owner) DO UPDATE SET until_ms = excluded.until_ms",
                  runner->owner, renewal->until_ms);
    weir_sql_on_commit(tx, renewed, renewal);
}

/* ---- Taking over ---- */

static bool is_gone(struct weir_call *call, const struct weir_saga_runner *runner, int64_t owner)
{
    if (owner == 0)
        return true;
    struct flock lock = byte_of(owner);
    if (runner->lock_file >= 0 && fcntl(runner->lock_file, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK)
        return true;
    struct weir_rows *rows =
        weir_sql_read(call, runner->db, "SELECT until_ms FROM weir_saga_owner WHERE owner = ?", owner);
    int64_t until_ms = weir_rows_next(rows) ? weir_rows_int(rows, 0) : 0;
    return weir_rows_end(rows) == WEIR_OK && until_ms < saga_unix_ms();
}

struct claim {
    struct weir_saga_runner *runner;
    struct saga *sagas[CLAIM_MOST];
    int count;
};

/* Runs on: the committing thread. */
static void claimed(void *arg)
{
    struct claim *claim = arg;
    struct weir_saga_runner *runner = claim->runner;
    pthread_mutex_lock(&runner->lock);
    for (int i = 0; i < claim->count; i++) {
        struct saga *saga = claim->sagas[i];
        struct saga *known = saga_queue_find(&runner->queue, saga->type, saga->id);
        if (known) { /* it was lost meanwhile, and that was not noticed yet */
            atomic_store(&known->stale, true);
            saga_free(saga);
            continue;
        }
        saga_runner_add(runner, saga);
        saga_runner_ready(runner, saga);
    }
    claim->count = 0;
    pthread_mutex_unlock(&runner->lock);
}

static void find_orphans(struct weir_tx *tx, struct claim *claim, int64_t owner)
{
    struct weir_saga_runner *runner = claim->runner;
    for (int i = 0; i < runner->n_kinds && claim->count < CLAIM_MOST; i++) {
        const struct weir_saga_type *type = runner->kinds[i].type;
        struct weir_rows *rows = weir_sql_query(
            tx, "SELECT id FROM weir_saga WHERE state < 3 AND owner = ? AND name = ? LIMIT 256", owner,
            type->name);
        while (claim->count < CLAIM_MOST && weir_rows_next(rows)) {
            struct saga *saga = saga_new(type, weir_rows_text(rows, 0));
            atomic_store(&saga->stale, true);
            claim->sagas[claim->count++] = saga;
        }
        weir_rows_end(rows);
    }
}

static int claim_from(struct weir_call *call, struct weir_saga_runner *runner, int64_t owner)
{
    struct claim *claim = weir_call_alloc(call, sizeof *claim);
    claim->runner = runner;
    struct weir_tx *tx = weir_sql_begin(call, runner->db);
    find_orphans(tx, claim, owner);
    int kept = 0;
    for (int i = 0; i < claim->count; i++) { /* whom another one has taken meanwhile is his */
        struct saga *saga = claim->sagas[i];
        bool ours =
            weir_sql_exec(tx, "UPDATE weir_saga SET owner = ? WHERE name = ? AND id = ? AND owner = ?",
                          runner->owner, saga->type->name, saga->id, owner) == 1;
        if (ours)
            claim->sagas[kept++] = saga;
        else
            saga_free(saga);
    }
    claim->count = kept;
    if (kept < CLAIM_MOST && owner)
        weir_sql_exec(tx,
                      "DELETE FROM weir_saga_owner WHERE owner = ? AND NOT EXISTS"
                      " (SELECT 1 FROM weir_saga WHERE state < 3 AND owner = ?)",
                      owner, owner);
    saga_lease_renew(tx, runner);
    weir_sql_on_commit(tx, claimed, claim);
    if (weir_sql_commit(tx) == WEIR_OK) {
        if (kept > 0)
            weir_log_info("sagas of a process that is gone go on here", weir_field_int("sagas", kept));
        return kept;
    }
    for (int i = 0; i < claim->count; i++)
        saga_free(claim->sagas[i]);
    return 0;
}

int saga_lease_claim(struct weir_call *call, struct weir_saga_runner *runner)
{
    int64_t owners[OWNERS_MOST];
    int n_owners = 0, taken = 0;
    struct weir_rows *rows = weir_sql_read(
        call, runner->db,
        "SELECT owner FROM weir_saga WHERE state < 3 AND owner <> ? GROUP BY owner LIMIT 16", runner->owner);
    while (n_owners < OWNERS_MOST && weir_rows_next(rows))
        owners[n_owners++] = weir_rows_int(rows, 0);
    if (weir_rows_end(rows) != WEIR_OK)
        return 0;
    for (int i = 0; i < n_owners; i++)
        if (is_gone(call, runner, owners[i]))
            taken += claim_from(call, runner, owners[i]);
    return taken;
}

enum weir_status saga_lease_give_up(struct weir_call *call, struct weir_saga_runner *runner)
{
    struct weir_tx *tx = weir_sql_begin(call, runner->db);
    weir_sql_exec(tx, "UPDATE weir_saga SET owner = 0 WHERE state < 3 AND owner = ?", runner->owner);
    weir_sql_exec(tx, "DELETE FROM weir_saga_owner WHERE owner = ?", runner->owner);
    return weir_sql_commit(tx);
}
