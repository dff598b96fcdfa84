/* The power goes at any moment: what was acknowledged is there afterwards, and every transaction is whole or absent.
 *
 * Threads write through the data layer while record.c writes down what reaches the files; then disk.c makes thousands of
 * disks as a cut may have left them, and a new database is opened on each. CRASH_CUTS: how many (default 400). What a
 * cut broke is kept and can be seen again: power_cut_test LOG RECORD SEED. */
#include "kit.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <weir/log.h>

#include "call/call.h"
#include "data/outbox.h"
#include "disk.h"
#include "echo.weir.h"
#include "wait.h"

#define THREADS 6
#define UNITS 40 /* of each thread and life */
#define SUM 8000

static const char *const schema[] = {
    "CREATE TABLE accounts (id INTEGER PRIMARY KEY, n INTEGER NOT NULL);"
    "INSERT INTO accounts VALUES (0, 1000), (1, 1000), (2, 1000), (3, 1000), (4, 1000), (5, 1000), (6, "
    "1000), (7, 1000);"
    "CREATE TABLE units (id INTEGER, part INTEGER, filler BLOB, PRIMARY KEY (id, part));"
    "CREATE TABLE churn (id INTEGER PRIMARY KEY, filler BLOB)",
    NULL,
};

/* ---- Every call that changes a file ---- */

/* The `at`-th call of a kind from now on fails, `count` of them. */
static struct fault {
    enum call_kind kind;
    int error;
    int at; /* 0: none */
    int count;
    bool half; /* and writes its first half before that */
    int failed;
} fault;
static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;

static void set_fault(const struct fault *next)
{
    pthread_mutex_lock(&fault_lock);
    fault = *next;
    pthread_mutex_unlock(&fault_lock);
}

static enum verdict verdict_on(const struct call *call)
{
    enum verdict verdict = CALL_DO;
    pthread_mutex_lock(&fault_lock);
    if (fault.at > 0 && call->kind == fault.kind && --fault.at == 0) {
        verdict = fault.half ? CALL_HALF : CALL_REFUSE;
        fault.failed += !fault.half;
        fault.at = fault.half || --fault.count > 0;
        fault.half = false;
    }
    pthread_mutex_unlock(&fault_lock);
    return verdict;
}

/* Nothing is really synced: the disk is ours. */
enum verdict calls_before(struct call *call, int *ret_errno)
{
    bool concerned = record_concerns(call);
    if (concerned)
        record_before(call);
    enum verdict verdict = concerned ? verdict_on(call) : CALL_DO;
    if (verdict == CALL_REFUSE) {
        *ret_errno = fault.error;
        if (call->kind == CALL_SYNC)
            record_after(call, -1);
        return CALL_REFUSE;
    }
    return call->kind == CALL_SYNC ? CALL_REFUSE : verdict;
}

void calls_after(struct call *call, ssize_t result)
{
    record_after(call, result);
}

/* ---- A history ---- */

struct history {
    struct kit kit;
    char log[128];
    char url[192];
    struct weir_outbox *outbox;
    int life;            /* of the service: from start to stop */
    int attempts;        /* to go on */
    atomic_int failures; /* commits that did not say OK */
    atomic_int unknown;  /* those of them that did not know */
};

#define FAILED (UINT64_C(1) << 32) /* in a note: the commit said so */

static enum weir_status take(void *self, const struct weir_record *record, weir_delivered_fn *delivered,
                             void *state, struct weir_error *err)
{
    (void)self, (void)record, (void)err;
    delivered(state, WEIR_OK, 0, 0, NULL);
    return WEIR_OK;
}

static void write_unit(struct weir_tx *tx, int id, uint64_t chance)
{
    static const uint8_t filler[8192];
    weir_sql_exec(tx, "UPDATE accounts SET n = n - 1 WHERE id = ?", (int)(chance % 8));
    for (int part = 0; part <= id % 3; part++)
        weir_sql_exec(tx, "INSERT INTO units (id, part, filler) VALUES (?, ?, ?)", id, part,
                      weir_bytes(filler, chance >> 8 & 0x7ff));
    weir_sql_exec(tx,
                  "INSERT INTO churn (id, filler) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET filler = "
                  "excluded.filler",
                  id % 16, weir_bytes(filler, chance >> 24 & 0x1fff));
    weir_inbox_first(tx);
    char key[16];
    snprintf(key, sizeof key, "%d", id);
    Echo__EchoRequest event = ECHO__ECHO_REQUEST__INIT;
    event.key = event.text = key;
    echo_echo_request_publish(tx, &event);
    weir_sql_exec(tx, "UPDATE accounts SET n = n + 1 WHERE id = ?", (int)(chance >> 4 & 7));
}

static void note_outcome(struct history *history, int id, enum weir_status status)
{
    if (status == WEIR_OK)
        record_note((uint64_t)id);
    else if (status == WEIR_UNKNOWN)
        atomic_fetch_add(&history->unknown, 1);
    else
        record_note((uint64_t)id | FAILED);
    if (status != WEIR_OK)
        atomic_fetch_add(&history->failures, 1);
}

static enum weir_status run_unit(struct history *history, int id, uint64_t chance)
{
    static const struct weir_method method = {.full_name = "test/Unit"};
    char message_id[16];
    snprintf(message_id, sizeof message_id, "%d", id);
    struct weir_call *call = kit_call(20000);
    call->method = &method;
    call->message_id = message_id;
    struct weir_tx *tx = weir_sql_begin(call, history->kit.db);
    write_unit(tx, id, chance);
    enum weir_status status = WEIR_OK;
    if (chance >> 40 & 1 && id % 7 == 0) {
        weir_sql_rollback(tx);
    } else {
        status = weir_sql_commit(tx);
        note_outcome(history, id, status);
    }
    weir_call_background_end(call);
    return status;
}

struct work {
    struct history *history;
    int thread;
    int units;
    pthread_t handle;
};

static void *run_units(void *arg)
{
    struct work *work = arg;
    uint64_t chance = (uint64_t)work->thread * 77 + (uint64_t)work->history->life;
    for (int i = 0; i < work->units; i++) {
        chance = chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        run_unit(work->history, (work->history->life * THREADS + work->thread) * 1000 + i, chance >> 8);
    }
    return NULL;
}

static enum weir_status begin_life(struct history *history)
{
    static const struct outbox_settings settings = {
        .keep_ms = 86400000, .in_flight_max = 100, .rows_max = 1000000};
    if (kit_start(&history->kit) != WEIR_OK)
        return history->kit.error.status;
    struct relay_sink sink = {.send = take};
    history->outbox = outbox_new("outbox", history->kit.db, &sink, &settings);
    assert_int_equal(outbox_ops.start(history->outbox, &history->kit.context, &history->kit.error), WEIR_OK);
    return WEIR_OK;
}

static void end_life(struct history *history)
{
    struct weir_work work = {0};
    struct kit *kit = &history->kit;
    struct weir_context context;
    context_init(&context, NULL, weir_deadline_in_ms(10000));
    assert_int_equal(outbox_ops.quiesce(history->outbox, &kit->error), WEIR_OK);
    assert_int_equal(outbox_ops.drain(history->outbox, &context, &work, &kit->error), WEIR_OK);
    assert_int_equal(outbox_ops.finish(history->outbox, &context, &work, &kit->error), WEIR_OK);
    outbox_ops.destroy(history->outbox);
    kit->db->outbox = NULL;
    context_clean_up(&context);
    kit_stop(kit);
    history->life++;
}

static void run_threads(struct history *history, int threads, int units)
{
    struct work works[THREADS];
    for (int i = 0; i < threads; i++) {
        works[i] = (struct work){.history = history, .thread = i, .units = units};
        assert_int_equal(pthread_create(&works[i].handle, NULL, run_units, &works[i]), 0);
    }
    for (int i = 0; i < threads; i++)
        pthread_join(works[i].handle, NULL);
}

static void open_history(struct history *history)
{
    *history = (struct history){0};
    kit_open(&history->kit, schema);
    snprintf(history->log, sizeof history->log, "%s.log", history->kit.folder);
    snprintf(history->url, sizeof history->url, "sqlite:%s/var/data/test.db", history->kit.folder);
    history->kit.settings.url = history->url;
    record_begin(history->log, history->kit.folder);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *at)
{
    (void)info, (void)type, (void)at;
    return remove(path);
}

static void empty(const char *folder)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void close_history(struct history *history)
{
    record_end();
    empty(history->kit.folder);
    unlink(history->log);
    context_clean_up(&history->kit.context);
}

/* ---- What a cut left ---- */

struct toll {
    int cuts;
    int unopened;    /* or SQLite's own check found something */
    int lost;        /* acknowledged, and not there */
    int half;        /* partly there */
    int resurrected; /* there, though its commit failed */
    char first[512]; /* what was wrong first */
};

static void blame(struct toll *toll, int *count, const struct history *history, size_t at, uint64_t seed,
                  const char *what)
{
    if (++*count > 1 || toll->first[0])
        return;
    snprintf(toll->first, sizeof toll->first, "%s; kept: power_cut_test %s.kept %zu %llu", what, history->log,
             at, (unsigned long long)seed);
}

static int number(sqlite3 *handle, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int value = -1;
    if (sqlite3_prepare_v2(handle, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

#define TRACES                                                                                               \
    "(SELECT id FROM units UNION SELECT CAST(CAST(key AS TEXT) AS INTEGER) FROM weir_outbox"                 \
    " UNION SELECT CAST(message_id AS INTEGER) FROM weir_inbox)"

/* Of a transaction that left any trace, all are there. */
static int halves(sqlite3 *handle)
{
    return number(handle,
                  "SELECT count(*) FROM " TRACES " AS trace WHERE"
                  " (SELECT count(*) FROM units WHERE units.id = trace.id) <> trace.id % 3 + 1"
                  " OR (SELECT count(*) FROM weir_outbox WHERE CAST(key AS TEXT) = trace.id) <> 1"
                  " OR (SELECT count(*) FROM weir_inbox WHERE message_id = CAST(trace.id AS TEXT)) <> 1");
}

static bool is_there(sqlite3 *handle, uint64_t id)
{
    char sql[96];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM units WHERE id = %llu",
             (unsigned long long)(id & ~FAILED));
    return number(handle, sql) > 0;
}

static bool is_sound(sqlite3 *handle)
{
    sqlite3_stmt *statement = NULL;
    bool sound = sqlite3_prepare_v2(handle, "PRAGMA integrity_check", -1, &statement, NULL) == SQLITE_OK &&
                 sqlite3_step(statement) == SQLITE_ROW &&
                 strcmp((const char *)sqlite3_column_text(statement, 0), "ok") == 0;
    sqlite3_finalize(statement);
    return sound && number(handle, "SELECT sum(n) FROM accounts") == SUM;
}

/* Opens it as the service would, and compares. */
static void judge(struct toll *toll, const struct history *history, const struct disk *disk, size_t at,
                  uint64_t seed, const char *folder)
{
    struct kit kit = history->kit;
    char url[PATH_MAX];
    snprintf(url, sizeof url, "sqlite:%s/var/data/test.db", folder);
    kit.settings.url = url;
    kit.settings.readers = 1;
    toll->cuts++;
    if (kit_start(&kit) != WEIR_OK) {
        blame(toll, &toll->unopened, history, at, seed, kit.error.text);
        return;
    }
    sqlite3 *handle = NULL;
    sqlite3_open(url + strlen("sqlite:"), &handle);
    if (!is_sound(handle))
        blame(toll, &toll->unopened, history, at, seed, "the database is not sound");
    if (halves(handle) != 0)
        blame(toll, &toll->half, history, at, seed, "a transaction is there in part");
    for (size_t i = 0; i < at; i++) {
        const struct record *record = disk_record(disk, i);
        if (record->type != RECORD_NOTE)
            continue;
        bool there = is_there(handle, record->at);
        if (record->at & FAILED && there)
            blame(toll, &toll->resurrected, history, at, seed, "what was refused is there");
        else if (!(record->at & FAILED) && !there)
            blame(toll, &toll->lost, history, at, seed, "what was acknowledged is lost");
    }
    sqlite3_close(handle);
    kit_stop(&kit);
}

static int by_number(const void *a, const void *b)
{
    size_t one = *(const size_t *)a, two = *(const size_t *)b;
    return (one > two) - (one < two);
}

static void cut_once(struct toll *toll, const struct history *history, struct disk *disk, size_t at,
                     uint64_t seed)
{
    char folder[64];
    strcpy(folder, access("/dev/shm", W_OK) == 0 ? "/dev/shm/weir-cut-XXXXXX" : "/tmp/weir-cut-XXXXXX");
    assert_non_null(mkdtemp(folder));
    disk_advance(disk, at);
    disk_cut(disk, seed, folder);
    judge(toll, history, disk, at, seed, folder);
    empty(folder);
}

/* At `count` moments by chance, or at every one. */
static void cut(struct toll *toll, const struct history *history, size_t count)
{
    record_end();
    struct disk *disk = disk_load(history->log, NULL);
    size_t records = disk_records(disk), *moments = calloc(count + 1, sizeof *moments);
    uint64_t seed = (uint64_t)time(NULL);
    srandom((unsigned)seed);
    for (size_t i = 0; i < count; i++)
        moments[i] = count >= records ? i * records / count + 1 : 1 + (size_t)(random() % (long)records);
    qsort(moments, count, sizeof *moments, by_number);
    for (size_t i = 0; i < count; i++)
        cut_once(toll, history, disk, moments[i], seed * 1000000 + i);
    free(moments);
    disk_free(disk);
    char kept[PATH_MAX];
    snprintf(kept, sizeof kept, "%s.kept", history->log);
    if (toll->first[0] && access(kept, F_OK) != 0 && rename(history->log, kept) != 0)
        fail_msg("%s: %s", kept, strerror(errno));
}

static size_t cuts_wanted(void)
{
    const char *text = getenv("CRASH_CUTS");
    return text ? strtoul(text, NULL, 10) : 400;
}

static void say(const char *name, const struct history *history, const struct toll *toll)
{
    printf("  %s: %d cuts; lost %d, in part %d, not sound %d; commits failed %d\n", name, toll->cuts,
           toll->lost, toll->half, toll->unopened, atomic_load(&history->failures));
}

static void nothing_acknowledged_is_lost_when_the_power_goes(void **state)
{
    (void)state;
    struct toll toll = {0};
    struct history history;
    open_history(&history);
    for (int life = 0; life < 2; life++) {
        assert_int_equal(begin_life(&history), WEIR_OK);
        run_threads(&history, THREADS, UNITS);
        end_life(&history);
    }
    cut(&toll, &history, cuts_wanted());
    say("full", &history, &toll);
    close_history(&history);
    assert_string_equal(toll.first, "");
}

/* The test notices: with synchronous: normal what a commit acknowledged is not synced. Still nothing is there in part. */
static void without_full_synchronisation_it_is_lost_but_nothing_is_there_in_part(void **state)
{
    (void)state;
    struct toll toll = {0};
    struct history history;
    open_history(&history);
    history.kit.settings.synchronous = 1;
    assert_int_equal(begin_life(&history), WEIR_OK);
    run_threads(&history, THREADS, UNITS);
    end_life(&history);
    cut(&toll, &history, 100);
    say("normal", &history, &toll);
    char kept[PATH_MAX];
    snprintf(kept, sizeof kept, "%s.kept", history.log);
    unlink(kept);
    close_history(&history);
    assert_true(toll.lost > 0);
    assert_int_equal(toll.half, 0);
    assert_int_equal(toll.unopened, 0);
}

/* ---- A disk that fails ---- */

static void add_toll(struct toll *sum, const struct toll *toll)
{
    sum->cuts += toll->cuts;
    sum->unopened += toll->unopened;
    sum->lost += toll->lost;
    sum->half += toll->half;
    sum->resurrected += toll->resurrected;
    if (!sum->first[0])
        memcpy(sum->first, toll->first, sizeof sum->first);
}

/* In the running database, before any cut, it is as the commits said. */
static void expect_what_was_said(const struct history *history)
{
    sqlite3 *handle = NULL;
    sqlite3_open(history->url + strlen("sqlite:"), &handle);
    assert_true(is_sound(handle));
    assert_int_equal(halves(handle), 0);
    struct disk *disk = disk_load(history->log, NULL);
    for (size_t i = 0; i < disk_records(disk); i++) {
        const struct record *record = disk_record(disk, i);
        if (record->type == RECORD_NOTE)
            assert_int_equal(is_there(handle, record->at), !(record->at & FAILED));
    }
    disk_free(disk);
    sqlite3_close(handle);
}

/* While the database is away, who does not come first is refused. */
static bool goes_on(void *arg)
{
    struct history *history = arg;
    return run_unit(history, (history->life * THREADS + THREADS - 1) * 1000 + history->attempts++, 0) ==
           WEIR_OK;
}

/* One life in which the disk fails as `wanted` says. Then it works again, and so does the service: as it is, or started anew.
 * False: the fault did not come. */
static bool live_with(const struct fault *wanted, bool restart, struct toll *sum, int counts[2])
{
    struct history history;
    open_history(&history);
    set_fault(wanted);
    if (begin_life(&history) != WEIR_OK) {
        assert_int_equal(history.kit.error.status, WEIR_UNAVAILABLE);
        set_fault(&(struct fault){.failed = 1});
        assert_int_equal(begin_life(&history), WEIR_OK);
    }
    run_threads(&history, 3, 6);
    bool came = fault.failed > 0;
    int failures = atomic_load(&history.failures);
    counts[0] += failures;
    counts[1] += atomic_load(&history.unknown);
    if (restart)
        end_life(&history);
    else
        history.life++;
    set_fault(&(struct fault){0});
    if (restart)
        assert_int_equal(begin_life(&history), WEIR_OK);
    kit_wait(goes_on, &history);
    failures = atomic_load(&history.failures);
    run_threads(&history, 1, 6);
    assert_int_equal(atomic_load(&history.failures), failures);
    expect_what_was_said(&history);
    end_life(&history);
    struct toll toll = {0};
    cut(&toll, &history, 6);
    add_toll(sum, &toll);
    close_history(&history);
    return came;
}

static void live_with_each(const char *name, struct fault wanted, bool restart, int step)
{
    struct toll toll = {0};
    int counts[2] = {0}, faults = 0;
    for (int at = 1; at < 2000; at += step, faults++) {
        wanted.at = at;
        if (!live_with(&wanted, restart, &toll, counts))
            break;
    }
    printf(
        "  %s: %d faults, %d commits failed, %d of them unknown; %d cuts; lost %d, in part %d, not sound %d, "
        "refused ones there %d\n",
        name, faults, counts[0], counts[1], toll.cuts, toll.lost, toll.half, toll.unopened, toll.resurrected);
    assert_true(faults > 5);
    assert_string_equal(toll.first, "");
}

#define EVER 1000000

static void a_sync_that_fails_fails_the_commit_and_costs_nothing_that_was_acknowledged(void **state)
{
    (void)state;
    struct fault once = {.kind = CALL_SYNC, .error = EIO, .count = 1};
    struct fault ever = {.kind = CALL_SYNC, .error = EIO, .count = EVER};
    live_with_each("a sync fails", once, false, 1);
    live_with_each("all syncs fail from then on", ever, false, 3);
    live_with_each("all syncs fail until the next start", ever, true, 1);
}

static void a_write_that_fails_fails_the_commit_and_costs_nothing_that_was_acknowledged(void **state)
{
    (void)state;
    struct fault once = {.kind = CALL_WRITE, .error = EIO, .count = 1};
    struct fault half = {.kind = CALL_WRITE, .error = EIO, .count = 1, .half = true};
    live_with_each("a write fails", once, false, 17);
    live_with_each("a write is half done and fails", half, false, 17);
}

static void a_full_disk_refuses_and_what_was_acknowledged_stays(void **state)
{
    (void)state;
    struct fault ever = {.kind = CALL_WRITE, .error = ENOSPC, .count = EVER};
    struct fault half = {.kind = CALL_WRITE, .error = ENOSPC, .count = EVER, .half = true};
    live_with_each("the disk is full from then on", ever, false, 13);
    live_with_each("it is full in the middle of a write", half, false, 17);
    live_with_each("it is full until the next start", half, true, 17);
}

static int show(char **argv)
{
    static struct history history;
    struct toll toll = {0};
    open_history(&history);
    record_end();
    struct disk *disk = disk_load(argv[1], NULL);
    if (!disk)
        return 1;
    cut_once(&toll, &history, disk, strtoul(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
    disk_free(disk);
    close_history(&history);
    puts(toll.first[0] ? toll.first : "nothing is wrong");
    return toll.first[0] != 0;
}

int main(int argc, char **argv)
{
    if (argc == 4)
        return show(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_acknowledged_is_lost_when_the_power_goes),
        cmocka_unit_test(without_full_synchronisation_it_is_lost_but_nothing_is_there_in_part),
        cmocka_unit_test(a_sync_that_fails_fails_the_commit_and_costs_nothing_that_was_acknowledged),
        cmocka_unit_test(a_write_that_fails_fails_the_commit_and_costs_nothing_that_was_acknowledged),
        cmocka_unit_test(a_full_disk_refuses_and_what_was_acknowledged_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
