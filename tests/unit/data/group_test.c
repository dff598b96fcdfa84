/* Many writers: turns, groups that share a commit, and what a failure of one does to the others. */
#include "kit.h"
#include "wait.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/sqlite/backend.h"

static int set_up(void **state)
{
    static struct kit kit;
    kit_open(&kit, NULL);
    assert_int_equal(kit_start(&kit), WEIR_OK);
    sqlite_of(kit.db)->writer.group_age_max_ns = WEIR_NEVER; /* however slow the machine is */
    *state = &kit;
    return 0;
}

static int tear_down(void **state)
{
    kit_close(*state);
    return 0;
}

/* One transaction on a thread of its own. */
struct unit {
    struct kit *kit;
    const char *sql;
    int64_t timeout_ms;
    bool roll_back;
    pthread_t thread;
    enum weir_status status;
    char text[256];
};

static void *run_unit(void *self)
{
    struct unit *unit = self;
    struct weir_call *call = kit_call(unit->timeout_ms ? unit->timeout_ms : 20000);
    struct weir_tx *tx = weir_sql_begin(call, unit->kit->db);
    weir_sql_exec(tx, unit->sql);
    if (unit->roll_back) {
        weir_sql_rollback(tx);
    } else {
        unit->status = weir_sql_commit(tx);
        memcpy(unit->text, weir_call_error(call)->text, sizeof unit->text - 1);
    }
    weir_call_background_end(call);
    return NULL;
}

static int64_t waiting(struct kit *kit)
{
    pthread_mutex_lock(&sqlite_of(kit->db)->writer.lock);
    int64_t count = sqlite_of(kit->db)->writer.waiting;
    pthread_mutex_unlock(&sqlite_of(kit->db)->writer.lock);
    return count;
}

struct queued {
    struct kit *kit;
    int64_t count;
};

static bool so_many_wait(void *arg)
{
    const struct queued *queued = arg;
    return waiting(queued->kit) == queued->count;
}

/* Starts it and returns when it waits for the turn. */
static void queue_unit(struct kit *kit, struct unit *unit)
{
    int64_t before = waiting(kit);
    unit->kit = kit;
    pthread_create(&unit->thread, NULL, run_unit, unit);
    kit_wait(so_many_wait, &(struct queued){kit, before + 1});
}

static void join(struct unit *units, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pthread_join(units[i].thread, NULL);
}

static void those_who_wait_share_one_commit_and_a_rollback_takes_only_its_own(void **state)
{
    struct kit *kit = *state;
    struct unit units[] = {
        {.sql = "INSERT INTO items (id, n) VALUES (2, 2)"},
        {.sql = "UPDATE items SET n = 1000", .roll_back = true},
        {.sql = "INSERT INTO items (id, n) VALUES (2, 7)"}, /* a broken constraint */
        {.sql = "INSERT INTO items (id, n) VALUES (4, 4)"},
    };
    struct weir_call *call = kit_call(20000);
    struct weir_tx *first = weir_sql_begin(call, kit->db);
    weir_sql_exec(first, "INSERT INTO items (id, n) VALUES (1, 1)");
    for (size_t i = 0; i < 4; i++)
        queue_unit(kit, &units[i]);
    struct sql_counts before = sql_counts(kit->db);

    assert_int_equal(weir_sql_commit(first), WEIR_OK);
    join(units, 4);

    assert_int_equal(units[0].status, WEIR_OK);
    assert_int_equal(units[2].status, WEIR_ALREADY_EXISTS);
    assert_int_equal(units[3].status, WEIR_OK);
    assert_int_equal(kit_number(kit, "SELECT group_concat(id, '') || sum(n) FROM items"), 1247);
    struct sql_counts after = sql_counts(kit->db);
    assert_int_equal(after.transactions - before.transactions, 3);
    assert_int_equal(after.commits - before.commits, 1);
    weir_call_background_end(call);
}

static void a_group_of_one_shares_nothing(void **state)
{
    struct kit *kit = *state;
    sqlite_of(kit->db)->writer.group_max = 1;
    struct unit units[] = {{.sql = "INSERT INTO items (id, n) VALUES (2, 2)"},
                           {.sql = "INSERT INTO items (id, n) VALUES (3, 3)"}};
    struct weir_call *call = kit_call(20000);
    struct weir_tx *first = weir_sql_begin(call, kit->db);
    weir_sql_exec(first, "INSERT INTO items (id, n) VALUES (1, 1)");
    queue_unit(kit, &units[0]);
    queue_unit(kit, &units[1]);
    assert_int_equal(weir_sql_commit(first), WEIR_OK);
    join(units, 2);
    assert_int_equal(sql_counts(kit->db).commits, 3);
    weir_call_background_end(call);
}

static void when_sqlite_rolls_everything_back_all_of_the_group_are_told(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_run(kit, "INSERT INTO items (id, n) VALUES (1, 1)"), WEIR_OK);
    struct unit units[] = {
        {.sql = "INSERT OR ROLLBACK INTO items (id, n) VALUES (1, 7)"},
        {.sql = "INSERT INTO items (id, n) VALUES (3, 3)"},
    };
    struct weir_call *call = kit_call(20000);
    struct weir_tx *first = weir_sql_begin(call, kit->db);
    weir_sql_exec(first, "INSERT INTO items (id, n) VALUES (2, 2)");
    queue_unit(kit, &units[0]);
    queue_unit(kit, &units[1]);

    assert_int_equal(weir_sql_commit(first), WEIR_ABORTED);
    assert_string_equal(weir_call_error(call)->text,
                        "db: a transaction that shared this one's commit failed, and all "
                        "of them were rolled back");
    join(units, 2);
    assert_int_equal(units[0].status, WEIR_ALREADY_EXISTS);
    assert_int_equal(units[1].status, WEIR_OK);
    assert_int_equal(kit_number(kit, "SELECT group_concat(id, '') FROM items"), 13);
    weir_call_background_end(call);
}

static void an_interrupted_write_fails_its_group_and_says_so(void **state)
{
    struct kit *kit = *state;
    struct unit endless = {
        .sql = "INSERT INTO items (n) WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) "
               "SELECT n FROM c",
        .timeout_ms = 200,
    };
    struct weir_call *call = kit_call(20000);
    struct weir_tx *first = weir_sql_begin(call, kit->db);
    weir_sql_exec(first, "INSERT INTO items (id, n) VALUES (1, 1)");
    queue_unit(kit, &endless);
    assert_int_equal(weir_sql_commit(first), WEIR_ABORTED);
    join(&endless, 1);
    assert_int_equal(endless.status, WEIR_DEADLINE_EXCEEDED);
    assert_int_equal(kit_number(kit, "SELECT count(*) FROM items"), 0);
    assert_int_equal(kit_run(kit, "INSERT INTO items (id, n) VALUES (1, 1)"), WEIR_OK);
    weir_call_background_end(call);
}

static int refuse(void *self)
{
    (void)self;
    return 1;
}

static void a_commit_that_fails_fails_for_all_who_share_it(void **state)
{
    struct kit *kit = *state;
    sqlite3 *handle = sqlite_of(kit->db)->writer.connection.handle;
    struct unit other = {.sql = "INSERT INTO items (id, n) VALUES (2, 2)"};
    struct weir_call *call = kit_call(20000);
    struct weir_tx *first = weir_sql_begin(call, kit->db);
    weir_sql_exec(first, "INSERT INTO items (id, n) VALUES (1, 1)");
    queue_unit(kit, &other);
    sqlite3_commit_hook(handle, refuse, NULL);

    assert_int_equal(weir_sql_commit(first), WEIR_FAILED_PRECONDITION);
    join(&other, 1);
    assert_int_equal(other.status, WEIR_FAILED_PRECONDITION);
    assert_string_equal(other.text, "commit failed: db: constraint failed");
    sqlite3_commit_hook(handle, NULL, NULL);
    assert_int_equal(kit_number(kit, "SELECT count(*) FROM items"), 0);
    assert_int_equal(kit_run(kit, "INSERT INTO items (id, n) VALUES (1, 1)"), WEIR_OK);
    weir_call_background_end(call);
}

static void a_full_disk_is_told_and_passes(void **state)
{
    struct kit *kit = *state;
    struct weir_error err = {0};
    assert_int_equal(
        connection_script(&sqlite_of(kit->db)->writer.connection, "PRAGMA max_page_count = 1", &err),
        WEIR_OK);
    struct unit big = {.sql = "INSERT INTO items (id, n, name) VALUES (2, 2, hex(zeroblob(50000)))"};
    struct weir_call *call = kit_call(20000);
    struct weir_tx *first = weir_sql_begin(call, kit->db);
    weir_sql_exec(first, "INSERT INTO items (id, n) VALUES (1, 1)");
    queue_unit(kit, &big);
    enum weir_status status = weir_sql_commit(first);
    join(&big, 1);

    assert_int_equal(big.status, WEIR_UNAVAILABLE);
    assert_string_equal(big.text, "db: database or disk is full");
    assert_true(status == WEIR_OK || status == WEIR_ABORTED);
    assert_int_equal(kit_number(kit, "SELECT count(*) FROM items"), status == WEIR_OK);
    assert_int_equal(
        connection_script(&sqlite_of(kit->db)->writer.connection, "PRAGMA max_page_count = 1000000", &err),
        WEIR_OK);
    assert_int_equal(kit_run(kit, big.sql), WEIR_OK);
    weir_call_background_end(call);
}

static void waiting_for_the_turn_ends_at_the_deadline_the_cancel_and_the_timeout(void **state)
{
    struct kit *kit = *state;
    struct weir_call *holder = kit_call(20000);
    struct weir_tx *first = weir_sql_begin(holder, kit->db);

    struct weir_call *call = kit_call(20);
    struct weir_tx *tx = weir_sql_begin(call, kit->db);
    assert_int_equal(weir_sql_commit(tx), WEIR_DEADLINE_EXCEEDED);
    assert_string_equal(weir_call_error(call)->text, "db: the writer's turn did not come in time");
    weir_call_background_end(call);

    sqlite_of(kit->db)->writer.busy_timeout_ms = 20;
    call = kit_call(20000);
    tx = weir_sql_begin(call, kit->db);
    assert_int_equal(weir_sql_commit(tx), WEIR_UNAVAILABLE);
    assert_string_equal(weir_call_error(call)->text, "db: the writer's turn did not come within 20 ms");
    weir_call_background_end(call);

    sqlite_of(kit->db)->writer.busy_timeout_ms = 20000;
    call = kit_call(20000);
    context_end(weir_call_context(call), WEIR_CANCELLED);
    tx = weir_sql_begin(call, kit->db);
    assert_int_equal(weir_sql_commit(tx), WEIR_CANCELLED);
    weir_call_background_end(call);

    assert_int_equal(waiting(kit), 0);
    assert_int_equal(weir_sql_commit(first), WEIR_OK);
    weir_call_background_end(holder);
    assert_int_equal(kit_run(kit, "INSERT INTO items (id, n) VALUES (1, 1)"), WEIR_OK);
}

static void another_process_that_writes_is_waited_for_within_the_timeout(void **state)
{
    struct kit *kit = *state;
    struct kit other = *kit;
    assert_int_equal(kit_start(&other), WEIR_OK);
    struct weir_call *theirs = kit_call(20000);
    struct weir_tx *open = weir_sql_begin(theirs, other.db);
    weir_sql_exec(open, "INSERT INTO items (id, n) VALUES (1, 1)");

    sqlite_of(kit->db)->writer.busy_timeout_ms = 30;
    struct unit ours = {.kit = kit, .sql = "INSERT INTO items (id, n) VALUES (2, 2)"};
    run_unit(&ours);
    assert_int_equal(ours.status, WEIR_UNAVAILABLE);
    assert_string_equal(ours.text, "db: database is locked");

    sqlite_of(kit->db)->writer.busy_timeout_ms = 10000;
    pthread_create(&ours.thread, NULL, run_unit, &ours);
    assert_int_equal(weir_sql_commit(open), WEIR_OK);
    join(&ours, 1);
    assert_int_equal(ours.status, WEIR_OK);
    assert_int_equal(kit_number(kit, "SELECT sum(n) FROM items"), 3);
    weir_call_background_end(theirs);
    kit_stop(&other);
}

#define WRITERS 8
#define UNITS 60

static void *add_up(void *self)
{
    struct kit *kit = self;
    for (int i = 0; i < UNITS; i++) {
        struct weir_call *call = kit_call(20000);
        struct weir_tx *tx = weir_sql_begin(call, kit->db);
        struct weir_rows *rows = weir_sql_query(tx, "SELECT n FROM items WHERE id = 1");
        int64_t n = weir_rows_next(rows) ? weir_rows_int(rows, 0) : -1;
        weir_rows_end(rows);
        weir_sql_exec(tx, "UPDATE items SET n = ? WHERE id = 1", n + 1);
        if (i % 3 == 2)
            weir_sql_rollback(tx);
        else
            assert_int_equal(weir_sql_commit(tx), WEIR_OK);
        weir_call_background_end(call);
    }
    return NULL;
}

static void concurrent_writers_lose_nothing_and_commit_less_often_than_they_write(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_run(kit, "INSERT INTO items (id, n) VALUES (1, 0)"), WEIR_OK);
    pthread_t threads[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        pthread_create(&threads[i], NULL, add_up, kit);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);

    assert_int_equal(kit_number(kit, "SELECT n FROM items"), WRITERS * UNITS * 2 / 3);
    struct sql_counts counts = sql_counts(kit->db);
    assert_int_equal(counts.transactions, WRITERS * UNITS * 2 / 3 + 1);
    assert_true(counts.commits < counts.transactions);
}

/* ---- kill -9 ---- */

struct child {
    struct kit *kit;
    int acknowledged;
    int first;
};

static void *insert_for_ever(void *self)
{
    struct child *child = self;
    for (int id = child->first;; id += WRITERS) {
        struct weir_call *call = kit_call(20000);
        struct weir_tx *tx = weir_sql_begin(call, child->kit->db);
        weir_sql_exec(tx, "INSERT INTO items (id, n) VALUES (?, ?)", id, id);
        if (weir_sql_commit(tx) == WEIR_OK && write(child->acknowledged, &id, sizeof id) != sizeof id)
            _exit(1);
        weir_call_background_end(call);
    }
    return NULL;
}

static void child_main(struct kit *kit, int acknowledged)
{
    if (kit_start(kit) != WEIR_OK)
        _exit(1);
    static struct child children[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        children[i] = (struct child){.kit = kit, .acknowledged = acknowledged, .first = i + 1};
        pthread_t thread;
        pthread_create(&thread, NULL, insert_for_ever, &children[i]);
    }
    for (;;)
        pause();
}

static void what_was_acknowledged_is_there_after_a_kill(void **state)
{
    (void)state;
    struct kit kit;
    kit_open(&kit, NULL);
    for (int round = 0; round < 5; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0)
            child_main(&kit, ends[1]);
        close(ends[1]);

        enum { WANTED = 300 };
        int ids[WANTED + 4096], got = 0;
        while (got < WANTED && read(ends[0], &ids[got], sizeof ids[0]) == sizeof ids[0])
            got++;
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        while (got < WANTED + 4096 && read(ends[0], &ids[got], sizeof ids[0]) == sizeof ids[0])
            got++;
        close(ends[0]);
        assert_true(got >= WANTED);

        assert_int_equal(kit_start(&kit), WEIR_OK);
        for (int i = 0; i < got; i++) {
            char sql[64];
            snprintf(sql, sizeof sql, "SELECT n FROM items WHERE id = %d", ids[i]);
            assert_int_equal(kit_number(&kit, sql), ids[i]);
        }
        assert_int_equal(kit_run(&kit, "DELETE FROM items"), WEIR_OK);
        kit_stop(&kit);
    }
    kit_close(&kit);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_acknowledged_is_there_after_a_kill),
        TEST(those_who_wait_share_one_commit_and_a_rollback_takes_only_its_own),
        TEST(a_group_of_one_shares_nothing),
        TEST(when_sqlite_rolls_everything_back_all_of_the_group_are_told),
        TEST(an_interrupted_write_fails_its_group_and_says_so),
        TEST(a_commit_that_fails_fails_for_all_who_share_it),
        TEST(a_full_disk_is_told_and_passes),
        TEST(waiting_for_the_turn_ends_at_the_deadline_the_cancel_and_the_timeout),
        TEST(another_process_that_writes_is_waited_for_within_the_timeout),
        TEST(concurrent_writers_lose_nothing_and_commit_less_often_than_they_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
