/* PostgreSQL behind <weir/sql.h>: values, errors, races, deadlines, outages, on a real server. */
#include "kit.h"
#include "postgres_kit.h"

#include <libpq-fe.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "data/keeper.h"
#include "data/postgres/text.h"

static struct postgres server;
static bool there;

struct fixture {
    struct kit kit;
    struct weir_call *call;
    char url[160];
};

static const char *const items[] = {
    "CREATE TABLE items (id INTEGER PRIMARY KEY, n INTEGER NOT NULL CHECK (n >= 0), name TEXT UNIQUE, data "
    "BLOB,"
    " weight DOUBLE PRECISION, good BOOLEAN) WITHOUT ROWID;"
    "CREATE TABLE parts (id INTEGER PRIMARY KEY, late BIGINT REFERENCES items (id) DEFERRABLE INITIALLY "
    "DEFERRED)",
    NULL,
};

static int set_up(void **state)
{
    static struct fixture fixture;
    *state = &fixture;
    if (!there)
        return 0;
    kit_open(&fixture.kit, items);
    postgres_database(&server, "test", fixture.url, sizeof fixture.url);
    fixture.kit.settings.url = fixture.url;
    fixture.kit.settings.connections = 4;
    assert_int_equal(kit_start(&fixture.kit), WEIR_OK);
    fixture.call = kit_call(20000);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (!there)
        return 0;
    weir_call_background_end(f->call);
    kit_close(&f->kit);
    return 0;
}

#define NEEDS_SERVER                                                                                         \
    if (!there)                                                                                              \
    skip()

static const char *error_of(struct fixture *f)
{
    return weir_call_error(f->call)->text;
}

static void placeholders_become_numbers_outside_of_texts_names_and_comments(void **state)
{
    (void)state;
    static const struct {
        const char *sql, *is;
        int parameters;
    } cases[] = {
        {"SELECT ?, ?", "SELECT $1, $2", 2},
        {"SELECT ?2, ?, ?1", "SELECT $2, $3, $1", 3},
        {"SELECT '?', '?''?', \"?\", ?", "SELECT '?', '?''?', \"?\", $1", 1},
        {"SELECT E'\\'?', ? -- ?\n, ?", "SELECT E'\\'?', $1 -- ?\n, $2", 2},
        {"SELECT /* ? /* ? */ ? */ ?", "SELECT /* ? /* ? */ ? */ $1", 1},
        {"SELECT $$ ? $$, $a$ ? $$ ? $a$, ?", "SELECT $$ ? $$, $a$ ? $$ ? $a$, $1", 1},
        {"CREATE TABLE t (a INTEGER, b blob, integers REAL) WITHOUT  ROWID;",
         "CREATE TABLE t (a BIGINT, b BYTEA, integers DOUBLE PRECISION) ;", 0},
        {"SELECT 'an unfinished ? text", "SELECT 'an unfinished ? text", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int parameters = -1;
        char *text = postgres_text(cases[i].sql, &parameters);
        assert_string_equal(text, cases[i].is);
        assert_int_equal(parameters, cases[i].parameters);
        free(text);
    }
    assert_true(postgres_text_controls("SELECT 1; -- so\n commit"));
    assert_false(postgres_text_controls("SELECT 'x; COMMIT'; SELECT $a$; END; $a$"));
}

static void every_type_of_value_comes_back_as_it_was_bound(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    const uint8_t raw[] = {0, 1, 255};
    struct weir_tx *tx = weir_sql_begin(f->call, f->kit.db);
    assert_int_equal(weir_sql_exec(tx, "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?)", 1, INT64_MAX, "tea",
                                   weir_bytes(raw, sizeof raw), 2.5, true),
                     1);
    assert_int_equal(weir_sql_exec(tx, "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?)", 2, 0,
                                   (const char *)NULL, weir_bytes(NULL, 0), 0.1, false),
                     1);
    struct weir_rows *rows = weir_sql_query(tx, "SELECT * FROM items ORDER BY id");
    assert_true(weir_rows_next(rows));
    assert_int_equal(weir_rows_int(rows, 1), INT64_MAX);
    assert_string_equal(weir_rows_text(rows, 2), "tea");
    assert_true(weir_bytes_equal(weir_rows_bytes(rows, 3), weir_bytes(raw, sizeof raw)));
    assert_true(weir_rows_double(rows, 4) == 2.5);
    assert_int_equal(weir_rows_int(rows, 5), 1);
    assert_true(weir_rows_next(rows));
    assert_true(weir_rows_null(rows, 2));
    assert_string_equal(weir_rows_text(rows, 2), "");
    assert_false(weir_rows_null(rows, 3));
    assert_int_equal(weir_rows_bytes(rows, 3).size, 0);
    assert_true(weir_rows_double(rows, 4) == 0.1);
    assert_int_equal(weir_rows_int(rows, 5), 0);
    assert_false(weir_rows_next(rows));
    assert_int_equal(weir_rows_end(rows), WEIR_OK);
    assert_int_equal(weir_sql_commit(tx), WEIR_OK);
    assert_int_equal(kit_number(&f->kit, "SELECT n FROM items WHERE id = 1"), INT64_MAX);
}

static void an_int_has_64_bits_also_where_the_server_would_take_32(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    struct weir_rows *rows = weir_sql_read(f->call, f->kit.db, "SELECT ? * 2", INT64_C(5000000000));
    (void)weir_rows_next(rows);
    assert_int_equal(weir_rows_int(rows, 0), INT64_C(10000000000));
    assert_int_equal(weir_rows_end(rows), WEIR_OK);
    rows = weir_sql_read(f->call, f->kit.db, "SELECT substr('abcdef', ?)", 3); /* takes 32 bits only */
    (void)weir_rows_next(rows);
    assert_string_equal(weir_rows_text(rows, 0), "cdef");
    assert_int_equal(weir_rows_end(rows), WEIR_OK);
}

static void a_value_of_a_wrong_type_is_an_error_that_says_so(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    struct weir_tx *tx = weir_sql_begin(f->call, f->kit.db);
    assert_int_equal(weir_sql_exec(tx, "UPDATE items SET n = ?", "many"), -1);
    assert_int_equal(weir_sql_commit(tx), WEIR_INTERNAL);
    assert_string_equal(error_of(f), "db: parameter 1 is BIGINT, a text was given: UPDATE items SET n = ?");

    struct weir_rows *rows = weir_sql_read(f->call, f->kit.db, "SELECT 'abc' AS name");
    assert_true(weir_rows_next(rows));
    assert_int_equal(weir_rows_int(rows, 0), 0);
    assert_int_equal(weir_rows_end(rows), WEIR_INTERNAL);
    assert_string_equal(error_of(f), "db: column 0 (name) is TEXT \"abc\", an int was asked for");
}

static void a_broken_constraint_says_whose_fault_it_is(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    static const struct {
        const char *sql;
        enum weir_status status;
    } cases[] = {
        {"INSERT INTO items (id, n) VALUES (1, 1)", WEIR_ALREADY_EXISTS},
        {"INSERT INTO items (id, n, name) VALUES (2, 1, 'tea')", WEIR_ALREADY_EXISTS},
        {"INSERT INTO items (id, n) VALUES (2, -1)", WEIR_FAILED_PRECONDITION},
        {"INSERT INTO items (id) VALUES (2)", WEIR_FAILED_PRECONDITION},
        {"INSERT INTO parts (id, late) VALUES (1, 9)", WEIR_FAILED_PRECONDITION},
        {"INSERT INTO items (missing) VALUES (1)", WEIR_INTERNAL},
        {"DELETE FROM items; DELETE FROM parts", WEIR_INTERNAL},
        {"", WEIR_INTERNAL},
        {"COMMIT", WEIR_INTERNAL},
        {"UPDATE items SET n = ?", WEIR_INTERNAL},
    };
    assert_int_equal(kit_run(&f->kit, "INSERT INTO items (id, n, name) VALUES (1, 1, 'tea')"), WEIR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(kit_run(&f->kit, cases[i].sql), cases[i].status);
    assert_int_equal(kit_number(&f->kit, "SELECT count(*) FROM items"), 1);
}

static void a_commit_is_seen_by_others_and_a_rollback_is_not(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    struct weir_tx *tx = weir_sql_begin(f->call, f->kit.db);
    assert_int_equal(weir_sql_exec(tx, "INSERT INTO items (id, n) VALUES (1, 10), (2, 20)"), 2);
    assert_int_equal(kit_number(&f->kit, "SELECT count(*) FROM items"), 0);
    assert_int_equal(weir_sql_commit(tx), WEIR_OK);
    tx = weir_sql_begin(f->call, f->kit.db);
    assert_int_equal(weir_sql_exec(tx, "DELETE FROM items"), 2);
    weir_sql_rollback(tx);
    assert_int_equal(kit_number(&f->kit, "SELECT sum(n) FROM items"), 30);
}

static void a_read_cannot_write(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    struct weir_rows *rows = weir_sql_read(f->call, f->kit.db, "DELETE FROM items");
    assert_false(weir_rows_next(rows));
    assert_int_equal(weir_rows_end(rows), WEIR_INTERNAL);
    assert_non_null(strstr(error_of(f), "read-only transaction"));
}

static void more_statements_than_the_cache_holds_still_run(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    for (int i = 0; i < 150; i++) {
        char sql[32];
        snprintf(sql, sizeof sql, "SELECT %d", i);
        assert_int_equal(kit_number(&f->kit, sql), i);
    }
}

static void a_table_that_changed_does_not_break_what_was_prepared(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    static const char all[] = "SELECT * FROM parts";
    for (int turn = 0; turn < 2; turn++) {
        struct weir_tx *tx = NULL;
        while (weir_sql_attempt(f->call, f->kit.db, &tx))
            weir_rows_end(weir_sql_query(tx, all));
        assert_int_equal(weir_sql_outcome(tx), WEIR_OK);
        assert_int_equal(kit_run(&f->kit, turn ? "SELECT 1" : "ALTER TABLE parts ADD more TEXT"), WEIR_OK);
    }
}

static void a_statement_queued_for_later_fails_the_commit_with_its_own_error(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    struct weir_tx *tx = weir_sql_begin(f->call, f->kit.db);
    weir_sql_exec(tx, "INSERT INTO items (id, n) VALUES (1, 1)");
    assert_int_equal(sql_exec_later(tx, "INSERT INTO items (id, n) VALUES (2, 2)", NULL, 0), WEIR_OK);
    assert_int_equal(sql_exec_later(tx, "INSERT INTO items (id, n) VALUES (1, 2)", NULL, 0), WEIR_OK);
    assert_int_equal(weir_sql_commit(tx), WEIR_ALREADY_EXISTS);
    assert_int_equal(kit_number(&f->kit, "SELECT count(*) FROM items"), 0);
}

/* Each reads what the other writes: run one after the other, one of them would have seen it. */
static void of_two_that_read_what_the_other_writes_one_is_aborted(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    assert_int_equal(kit_run(&f->kit, "INSERT INTO items (id, n) VALUES (1, 1), (2, 1)"), WEIR_OK);
    struct weir_call *other = kit_call(20000);
    struct weir_tx *one = weir_sql_begin(f->call, f->kit.db), *two = weir_sql_begin(other, f->kit.db);
    weir_rows_end(weir_sql_query(one, "SELECT sum(n) FROM items"));
    weir_rows_end(weir_sql_query(two, "SELECT sum(n) FROM items"));
    weir_sql_exec(one, "UPDATE items SET n = 0 WHERE id = 1");
    weir_sql_exec(two, "UPDATE items SET n = 0 WHERE id = 2");
    assert_int_equal(weir_sql_commit(one), WEIR_OK);
    assert_int_equal(weir_sql_commit(two), WEIR_ABORTED);
    weir_call_background_end(other);
    assert_int_equal(kit_number(&f->kit, "SELECT sum(n) FROM items"), 1);
}

static void *count_up(void *self)
{
    struct kit *kit = self;
    for (int i = 0; i < 15; i++) {
        struct weir_call *call = kit_call(60000);
        struct weir_tx *tx = NULL;
        while (weir_sql_attempt(call, kit->db, &tx)) {
            struct weir_rows *rows = weir_sql_query(tx, "SELECT n FROM items WHERE id = 1");
            int64_t n = weir_rows_next(rows) ? weir_rows_int(rows, 0) : 0;
            weir_rows_end(rows);
            weir_sql_exec(tx, "UPDATE items SET n = ? WHERE id = 1", n + 1);
        }
        assert_int_equal(weir_sql_outcome(tx), WEIR_OK);
        weir_call_background_end(call);
    }
    return NULL;
}

static void those_who_lose_are_tried_again_until_all_have_had_their_effect(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    assert_int_equal(kit_run(&f->kit, "INSERT INTO items (id, n) VALUES (1, 0)"), WEIR_OK);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, count_up, &f->kit);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(kit_number(&f->kit, "SELECT n FROM items"), 60);
}

static void a_long_statement_ends_at_the_deadline_here_and_soon_after_on_the_server(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    struct weir_call *call = kit_call(100);
    struct weir_rows *rows = weir_sql_read(call, f->kit.db, "SELECT count(*) FROM pg_sleep(60)");
    assert_false(weir_rows_next(rows));
    assert_int_equal(weir_rows_end(rows), WEIR_DEADLINE_EXCEEDED);
    assert_string_equal(weir_call_error(call)->text, "db: a statement was interrupted: its time is over");
    weir_call_background_end(call);
    int64_t give_up_ns = weir_deadline_in_ms(20000);
    while (kit_number(&f->kit,
                      "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND state = "
                      "'active' AND pid <> pg_backend_pid()") > 0)
        assert_true(weir_now_ns() < give_up_ns);
}

static void a_full_pool_is_waited_for_until_the_deadline(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    struct weir_call *calls[4];
    struct weir_tx *open[4];
    for (int i = 0; i < 4; i++) {
        calls[i] = kit_call(20000);
        open[i] = weir_sql_begin(calls[i], f->kit.db);
        assert_int_equal(weir_sql_status(open[i]), WEIR_OK);
    }
    struct weir_call *late = kit_call(50);
    assert_int_equal(weir_sql_commit(weir_sql_begin(late, f->kit.db)), WEIR_DEADLINE_EXCEEDED);
    assert_string_equal(weir_call_error(late)->text, "db: no connection to the database was free in time");
    weir_call_background_end(late);
    assert_int_equal(weir_sql_commit(weir_sql_begin(calls[0], f->kit.db)), WEIR_INTERNAL);
    for (int i = 0; i < 4; i++) {
        weir_sql_rollback(open[i]);
        weir_call_background_end(calls[i]);
    }
    assert_int_equal(kit_number(&f->kit, "SELECT 1"), 1);
}

static void wait_until_it_serves(struct fixture *f)
{
    int64_t give_up_ns = weir_deadline_in_ms(30000);
    while (kit_run(&f->kit, "SELECT 1") != WEIR_OK) {
        assert_true(weir_now_ns() < give_up_ns);
        usleep(10000);
    }
}

static void a_server_that_was_killed_is_away_at_once_and_back_by_itself(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    assert_int_equal(kit_run(&f->kit, "INSERT INTO items (id, n) VALUES (1, 1)"), WEIR_OK);
    struct weir_tx *open = weir_sql_begin(f->call, f->kit.db);
    assert_int_equal(weir_sql_exec(open, "INSERT INTO items (id, n) VALUES (2, 2)"), 1);
    postgres_kill(&server);
    assert_int_equal(weir_sql_exec(open, "INSERT INTO items (id, n) VALUES (3, 3)"), -1);
    assert_int_equal(weir_sql_commit(open), WEIR_UNAVAILABLE);

    int64_t give_up_ns = weir_deadline_in_ms(10000);
    while (!component_is_away(&f->kit.db->component)) {
        assert_int_equal(kit_run(&f->kit, "SELECT 1"), WEIR_UNAVAILABLE);
        assert_true(weir_now_ns() < give_up_ns);
    }
    int64_t begun_ns = weir_now_ns();
    for (int i = 0; i < 100; i++)
        assert_int_equal(kit_run(&f->kit, "SELECT 1"), WEIR_UNAVAILABLE);
    assert_true(weir_now_ns() - begun_ns < WEIR_NS_PER_S);

    postgres_run(&server);
    wait_until_it_serves(f);
    assert_false(component_is_away(&f->kit.db->component));
    assert_int_equal(kit_number(&f->kit, "SELECT count(*) FROM items"), 1);
}

static void a_server_that_is_frozen_holds_nobody_past_the_deadline(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    wait_until_it_serves(f);
    struct weir_call *call = kit_call(300);
    struct weir_tx *tx = weir_sql_begin(call, f->kit.db);
    assert_int_equal(weir_sql_exec(tx, "INSERT INTO items (id, n) VALUES (1, 1)"), 1);
    postgres_freeze(&server, true);
    assert_int_equal(weir_sql_commit(tx), WEIR_UNKNOWN); /* it may come through once the server goes on */
    assert_string_equal(weir_call_error(call)->text,
                        "db: the time was over during the commit: outcome unknown");
    weir_call_background_end(call);

    int64_t give_up_ns = weir_deadline_in_ms(20000);
    while (!component_is_away(&f->kit.db->component)) {
        assert_true(weir_now_ns() < give_up_ns);
        usleep(10000);
    }
    assert_int_equal(kit_run(&f->kit, "SELECT 1"), WEIR_UNAVAILABLE);
    postgres_freeze(&server, false);
    wait_until_it_serves(f);
}

static void a_dry_run_says_what_is_due_waits_for_nobody_and_changes_nothing(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    static const char *list[] = {"", "CREATE TABLE more (id INTEGER)\nWITHOUT ROWID", NULL};
    list[0] = items[0];
    f->kit.settings.migrations = list;
    PGconn *other = PQconnectdb(f->url); /* migrates */
    PQclear(PQexec(other, "BEGIN; SELECT pg_advisory_xact_lock(2003134834)"));
    for (int i = 0; i < 2; i++)
        assert_string_equal(kit_migrate(&f->kit, true),
                            "db: would apply migration 2 (service): CREATE TABLE more (id INTEGER)\n");
    PQfinish(other);
    assert_string_equal(kit_migrate(&f->kit, false),
                        "db: applied migration 2 (service): CREATE TABLE more (id INTEGER)\n");
    assert_string_equal(kit_migrate(&f->kit, true), "");
    assert_int_equal(f->kit.error.status, WEIR_OK);

    char nowhere[160];
    snprintf(nowhere, sizeof nowhere, "postgresql:///nowhere?host=%s&user=weir", server.folder);
    f->kit.settings.url = nowhere;
    assert_string_equal(kit_migrate(&f->kit, true), "");
    assert_non_null(strstr(f->kit.error.text, "database \"nowhere\" does not exist"));
    f->kit.settings.url = f->url;
}

static void a_migration_that_fails_leaves_nothing_and_a_changed_one_is_refused(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    weir_call_background_end(f->call);
    f->call = kit_call(20000);
    kit_stop(&f->kit);
    static const char *list[] = {"", "CREATE TABLE half (id BIGINT); INSERT INTO nowhere VALUES (1)", NULL};
    list[0] = items[0];
    f->kit.settings.migrations = list;
    assert_int_equal(kit_start(&f->kit), WEIR_INTERNAL);
    assert_non_null(
        strstr(f->kit.error.text, "migration 2 (service): db: relation \"nowhere\" does not exist"));
    list[1] = "SELECT 1; COMMIT";
    memset(&f->kit.error, 0, sizeof f->kit.error);
    assert_int_equal(kit_start(&f->kit), WEIR_INTERNAL);
    list[1] = NULL;
    list[0] = "CREATE TABLE other (id BIGINT)";
    memset(&f->kit.error, 0, sizeof f->kit.error);
    assert_int_equal(kit_start(&f->kit), WEIR_FAILED_PRECONDITION);
    assert_string_equal(f->kit.error.text,
                        "db: migration 1 (service) was changed after it was applied; add a new one instead");
    list[0] = items[0];
    memset(&f->kit.error, 0, sizeof f->kit.error);
    assert_int_equal(kit_start(&f->kit), WEIR_OK);
    assert_int_equal(kit_number(&f->kit, "SELECT count(*) FROM pg_tables WHERE tablename = 'half'"), 0);
}

static void a_start_waits_for_the_server_and_says_which_is_missing(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    kit_stop(&f->kit);
    context_clean_up(&f->kit.context);
    context_init(&f->kit.context, NULL, weir_deadline_in_ms(500));
    f->kit.settings.url = "postgres://127.0.0.1:1/none";
    assert_int_equal(kit_start(&f->kit), WEIR_UNAVAILABLE);
    assert_non_null(strstr(f->kit.error.text, "db: cannot connect to the database: "));
    f->kit.settings.url = f->url;
    char missing[200];
    snprintf(missing, sizeof missing, "postgresql:///nothing?host=%s&user=weir", server.folder);
    context_clean_up(&f->kit.context);
    context_init(&f->kit.context, NULL, WEIR_NEVER);
    f->kit.settings.url = missing;
    memset(&f->kit.error, 0, sizeof f->kit.error);
    assert_int_equal(kit_start(&f->kit), WEIR_FAILED_PRECONDITION);
    assert_non_null(strstr(f->kit.error.text, "database \"nothing\" does not exist"));
}

static int start_server(void **state)
{
    (void)state;
    there = postgres_is_there();
    if (there) {
        postgres_create(&server);
        postgres_run(&server);
    }
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    if (there)
        postgres_destroy(&server);
    return 0;
}

static void sagas_that_ended_long_ago_are_forgotten_and_others_are_not(void **state)
{
    NEEDS_SERVER;
    struct fixture *f = *state;
    assert_int_equal(
        kit_run(&f->kit, "INSERT INTO weir_saga SELECT 'order', CAST(n AS TEXT), CASE WHEN n % 5 = 0 THEN 2 "
                         "ELSE 3 + n % 2 END, '', 0, 0, 0, 0, 0, n, '', '' FROM generate_series(1, 50) AS n"),
        WEIR_OK);
    assert_int_equal(kit_run(&f->kit,
                             "INSERT INTO weir_saga SELECT 'other', id, state, step, owner, attempts, "
                             "next_ms, begun_ms, deadline_ms, ended_ms, reason, history FROM weir_saga"),
                     WEIR_OK);
    assert_int_equal(keeper_prune_sagas(f->kit.db, &f->kit.context, "order", 41, 10, &f->kit.error), WEIR_OK);
    assert_int_equal(kit_number(&f->kit, "SELECT count(*) FROM weir_saga WHERE name = 'order' AND state > 2"),
                     8);
    assert_int_equal(kit_number(&f->kit, "SELECT count(*) FROM weir_saga WHERE name = 'order' AND state = 2"),
                     10);
    assert_int_equal(kit_number(&f->kit, "SELECT count(*) FROM weir_saga WHERE name = 'other'"), 50);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(placeholders_become_numbers_outside_of_texts_names_and_comments),
        TEST(every_type_of_value_comes_back_as_it_was_bound),
        TEST(an_int_has_64_bits_also_where_the_server_would_take_32),
        TEST(a_value_of_a_wrong_type_is_an_error_that_says_so),
        TEST(a_broken_constraint_says_whose_fault_it_is),
        TEST(a_commit_is_seen_by_others_and_a_rollback_is_not),
        TEST(a_read_cannot_write),
        TEST(more_statements_than_the_cache_holds_still_run),
        TEST(a_table_that_changed_does_not_break_what_was_prepared),
        TEST(a_statement_queued_for_later_fails_the_commit_with_its_own_error),
        TEST(of_two_that_read_what_the_other_writes_one_is_aborted),
        TEST(those_who_lose_are_tried_again_until_all_have_had_their_effect),
        TEST(a_long_statement_ends_at_the_deadline_here_and_soon_after_on_the_server),
        TEST(a_full_pool_is_waited_for_until_the_deadline),
        TEST(a_server_that_was_killed_is_away_at_once_and_back_by_itself),
        TEST(a_server_that_is_frozen_holds_nobody_past_the_deadline),
        TEST(a_dry_run_says_what_is_due_waits_for_nobody_and_changes_nothing),
        TEST(a_migration_that_fails_leaves_nothing_and_a_changed_one_is_refused),
        TEST(a_start_waits_for_the_server_and_says_which_is_missing),
        TEST(sagas_that_ended_long_ago_are_forgotten_and_others_are_not),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
