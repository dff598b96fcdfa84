/* What group commit gains, and how long an event takes from its commit to its sending. Not a test: prints
 * figures.
 *
 *     sql_bench [FOLDER [SECONDS]]      a file system that really syncs; default /var/tmp, 2 s each */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/call.h>
#include <weir/clock.h>

#include "core/context.h"
#include "data/outbox.h"
#include "echo.weir.h"

static const char *const migrations[] = {"CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, text TEXT)",
                                         NULL};

struct bench {
    struct weir_sql *db;
    int64_t until_ns;
    _Atomic int64_t done;
};

static void *write_rows(void *self)
{
    struct bench *bench = self;
    while (weir_now_ns() < bench->until_ns) {
        struct weir_call *call = weir_call_background(NULL, NULL, 10000);
        struct weir_tx *tx = weir_sql_begin(call, bench->db);
        weir_sql_exec(tx, "INSERT INTO t (n, text) VALUES (?, ?)", 1, "some text that an order might have");
        weir_sql_exec(tx, "UPDATE t SET n = n + 1 WHERE id = ?", 1);
        if (weir_sql_commit(tx) == WEIR_OK)
            bench->done++;
        weir_call_background_end(call);
    }
    return NULL;
}

static struct weir_sql *open_db(const char *folder, int64_t group)
{
    static char url[256];
    snprintf(url, sizeof url, "sqlite:%s/bench.db", folder);
    struct sql_settings settings = {.url = url,
                                    .migrations = migrations,
                                    .readers = 2,
                                    .commit_group_max = group,
                                    .busy_timeout_ms = 5000};
    struct weir_context context;
    struct weir_error err = {0};
    context_init(&context, NULL, WEIR_NEVER);
    struct weir_sql *db = sql_new("db", &settings);
    if (sql_ops.start(db, &context, &err) != WEIR_OK) {
        fprintf(stderr, "sql_bench: %s\n", err.text);
        exit(1);
    }
    context_clean_up(&context);
    return db;
}

static void close_db(struct weir_sql *db, const char *folder)
{
    struct weir_error err = {0};
    sql_ops.quiesce(db, &err);
    sql_ops.destroy(db);
    static const char *const suffixes[] = {"", "-wal", "-shm", ".relay"};
    for (int i = 0; i < 4; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/bench.db%s", folder, suffixes[i]);
        unlink(path);
    }
}

static double per_second(const char *folder, int threads, int64_t group, int seconds, double *ret_per_commit)
{
    struct bench bench = {.db = open_db(folder, group)};
    pthread_t thread[64];
    int64_t begun = weir_now_ns();
    bench.until_ns = begun + seconds * WEIR_NS_PER_S;
    for (int i = 0; i < threads; i++)
        pthread_create(&thread[i], NULL, write_rows, &bench);
    for (int i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    double rate = (double)bench.done * (double)WEIR_NS_PER_S / (double)(weir_now_ns() - begun);
    struct sql_counts counts = sql_counts(bench.db);
    *ret_per_commit = (double)counts.transactions / (double)counts.commits;
    close_db(bench.db, folder);
    return rate;
}

/* ---- From commit to sending ---- */

static _Atomic int64_t sent_at_ns;

static enum weir_status note_sending(void *self, const struct weir_record *record,
                                     weir_delivered_fn *delivered, void *state, struct weir_error *err)
{
    (void)self, (void)record, (void)err;
    atomic_store(&sent_at_ns, weir_now_ns());
    delivered(state, WEIR_OK, 0, 0, NULL);
    return WEIR_OK;
}

static void note_commit(void *at_ns)
{
    *(int64_t *)at_ns = weir_now_ns();
}

static int by_value(const void *left, const void *right)
{
    int64_t l = *(const int64_t *)left, r = *(const int64_t *)right;
    return (l > r) - (l < r);
}

static void measure_wake(const char *folder)
{
    enum { TIMES = 500 };
    static int64_t took_ns[TIMES];
    struct weir_sql *db = open_db(folder, 64);
    struct relay_sink sink = {.send = note_sending};
    struct outbox_settings settings = {.keep_ms = 86400000, .in_flight_max = 1000, .rows_max = 1000000};
    struct weir_outbox *outbox = outbox_new("outbox", db, &sink, &settings);
    struct weir_context context;
    struct weir_error err = {0};
    context_init(&context, NULL, WEIR_NEVER);
    outbox_ops.start(outbox, &context, &err);
    for (int i = 0; i < TIMES; i++) {
        struct weir_call *call = weir_call_background(NULL, NULL, 10000);
        struct weir_tx *tx = weir_sql_begin(call, db);
        int64_t committed = 0, sent;
        weir_sql_on_commit(tx, note_commit, &committed); /* told before the relay is */
        Echo__EchoRequest event = ECHO__ECHO_REQUEST__INIT;
        event.key = (char *)(uintptr_t) "key";
        echo_echo_request_publish(tx, &event);
        atomic_store(&sent_at_ns, 0);
        enum weir_status status = weir_sql_commit(tx);
        while ((sent = atomic_load(&sent_at_ns)) == 0 && status == WEIR_OK)
            usleep(20);
        took_ns[i] = sent - committed;
        weir_call_background_end(call);
    }
    qsort(took_ns, TIMES, sizeof took_ns[0], by_value);
    printf("commit to sending: p50 %.0f us, p99 %.0f us\n", (double)took_ns[TIMES / 2] / 1e3,
           (double)took_ns[TIMES * 99 / 100] / 1e3);

    enum { ROWS = 50000 };
    struct weir_call *call = weir_call_background(NULL, NULL, 60000);
    struct weir_tx *tx = weir_sql_begin(call, db);
    for (int i = 0; i < ROWS; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        Echo__EchoRequest event = ECHO__ECHO_REQUEST__INIT;
        event.key = key;
        echo_echo_request_publish(tx, &event);
    }
    int64_t begun = weir_now_ns();
    if (weir_sql_commit(tx) != WEIR_OK)
        return;
    while (outbox_unpublished(outbox) > 0)
        usleep(1000);
    printf("relay: %.0f rows/s\n", (double)ROWS * (double)WEIR_NS_PER_S / (double)(weir_now_ns() - begun));
    weir_call_background_end(call);

    struct weir_work work = {0};
    outbox_ops.quiesce(outbox, &err);
    outbox_ops.drain(outbox, &context, &work, &err);
    outbox_ops.finish(outbox, &context, &work, &err);
    outbox_ops.destroy(outbox);
    context_clean_up(&context);
    close_db(db, folder);
}

int main(int argc, char **argv)
{
    char folder[200];
    snprintf(folder, sizeof folder, "%s/weir-bench-XXXXXX", argc > 1 ? argv[1] : "/var/tmp");
    int seconds = argc > 2 ? atoi(argv[2]) : 2;
    if (!mkdtemp(folder)) {
        perror(folder);
        return 1;
    }
    static const int threads[] = {1, 8, 64};
    printf("threads   group 1 tx/s   group 64 tx/s   gain   tx per commit\n");
    for (int i = 0; i < 3; i++) {
        double ignored, shared;
        double alone = per_second(folder, threads[i], 1, seconds, &ignored);
        double together = per_second(folder, threads[i], 64, seconds, &shared);
        printf("%7d   %12.0f   %13.0f   %4.1fx   %13.1f\n", threads[i], alone, together, together / alone,
               shared);
    }
    measure_wake(folder);
    rmdir(folder);
    return 0;
}
