/* One transaction or read at a time: values, errors, deadlines. */
#include "kit.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/sqlite/backend.h"

struct fixture {
    struct kit kit;
    struct weir_call *call;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    kit_open(&fixture.kit, NULL);
    assert_int_equal(kit_start(&fixture.kit), WEIR_OK);
    fixture.call = kit_call(20000);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    weir_call_background_end(f->call);
    kit_close(&f->kit);
    return 0;
}

static const char *error_of(struct fixture *f)
{
    return weir_call_error(f->call)->text;
}

static void every_type_of_value_comes_back_as_it_was_bound(void **state)
{
    struct fixture *f = *state;
    const uint8_t raw[] = {0, 1, 255};
    char *name = "tea";
    struct weir_rows *rows =
        weir_sql_read(f->call, f->kit.db, "SELECT ?, ?, ?, ?, ?, ?, ?, ?", 7, INT64_MIN, true, 2.5, name,
                      weir_bytes(raw, sizeof raw), (const char *)NULL, weir_bytes(NULL, 0));

    assert_true(weir_rows_next(rows));
    assert_int_equal(weir_rows_int(rows, 0), 7);
    assert_int_equal(weir_rows_int(rows, 1), INT64_MIN);
    assert_int_equal(weir_rows_int(rows, 2), 1);
    assert_true(weir_rows_double(rows, 3) == 2.5);
    assert_string_equal(weir_rows_text(rows, 4), "tea");
    assert_true(weir_bytes_equal(weir_rows_bytes(rows, 5), weir_bytes(raw, sizeof raw)));
    assert_true(weir_rows_null(rows, 6));
    assert_string_equal(weir_rows_text(rows, 6), "");
    assert_false(weir_rows_null(rows, 7));
    assert_int_equal(weir_rows_bytes(rows, 7).size, 0);
    assert_false(weir_rows_next(rows));
    assert_int_equal(weir_rows_end(rows), WEIR_OK);
}

static void a_commit_is_seen_by_readers_and_a_rollback_is_not(void **state)
{
    struct fixture *f = *state;
    struct weir_tx *tx = weir_sql_begin(f->call, f->kit.db);
    assert_int_equal(weir_sql_exec(tx, "INSERT INTO items (id, n) VALUES (?, ?), (?, ?)", 1, 10, 2, 20), 2);
    assert_int_equal(kit_number(&f->kit, "SELECT count(*) FROM items"), 0);
    assert_int_equal(weir_sql_commit(tx), WEIR_OK);
    assert_int_equal(kit_number(&f->kit, "SELECT sum(n) FROM items"), 30);

    tx = weir_sql_begin(f->call, f->kit.db);
    assert_int_equal(weir_sql_exec(tx, "DELETE FROM items"), 2);
    weir_sql_rollback(tx);
    assert_int_equal(kit_number(&f->kit, "SELECT sum(n) FROM items"), 30);
}

static void rows_changed_are_those_of_this_statement(void **state)
{
    struct fixture *f = *state;
    struct weir_tx *tx = weir_sql_begin(f->call, f->kit.db);
    assert_int_equal(weir_sql_exec(tx, "INSERT INTO items (id, n) VALUES (1, 1), (2, 2)"), 2);
    assert_int_equal(weir_sql_exec(tx, "UPDATE items SET n = 5 WHERE id = ?", 99), 0);
    assert_int_equal(weir_sql_exec(tx, "CREATE TABLE more (id INTEGER)"), 0);
    assert_int_equal(weir_sql_commit(tx), WEIR_OK);
}

static void a_broken_constraint_says_whose_fault_it_is(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *sql;
        enum weir_status status;
        const char *text;
    } cases[] = {
        {"INSERT INTO items (id, n) VALUES (1, 1)", WEIR_ALREADY_EXISTS,
         "db: UNIQUE constraint failed: items.id"},
        {"INSERT INTO items (id, n, name) VALUES (2, 1, 'tea')", WEIR_ALREADY_EXISTS,
         "db: UNIQUE constraint failed: items.name"},
        {"INSERT INTO items (id, n) VALUES (2, -1)", WEIR_FAILED_PRECONDITION,
         "db: CHECK constraint failed: n >= 0"},
        {"INSERT INTO items (id) VALUES (2)", WEIR_FAILED_PRECONDITION,
         "db: NOT NULL constraint failed: items.n"},
        {"INSERT INTO parts (item) VALUES (9)", WEIR_FAILED_PRECONDITION,
         "db: FOREIGN KEY constraint failed"},
        {"INSERT INTO parts (late) VALUES (9)", WEIR_FAILED_PRECONDITION,
         "db: FOREIGN KEY constraint failed"},
        {"INSERT INTO items (missing) VALUES (1)", WEIR_INTERNAL,
         "db: table items has no column named missing: INSERT INTO items (missing) VALUES (1)"},
        {"DELETE FROM items; DELETE FROM parts", WEIR_INTERNAL,
         "db: one statement at a time: DELETE FROM items; DELETE FROM parts"},
        {"", WEIR_INTERNAL, "db: an empty statement: "},
        {"COMMIT", WEIR_INTERNAL,
         "db: transactions are begun and ended by weir_sql_begin() and weir_sql_commit(), and "
         "ATTACH is not for services: COMMIT"},
    };
    assert_int_equal(kit_run(&f->kit, "INSERT INTO items (id, n, name) VALUES (1, 1, 'tea')"), WEIR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weir_tx *tx = weir_sql_begin(f->call, f->kit.db);
        weir_sql_exec(tx, cases[i].sql);
        assert_int_equal(weir_sql_commit(tx), cases[i].status);
        assert_string_equal(error_of(f), cases[i].text);
    }
    assert_int_equal(kit_number(&f->kit, "SELECT count(*) FROM items"), 1);
    assert_int_equal(kit_number(&f->kit, "SELECT count(*) FROM parts"), 0);
}

/* SQLite takes a double-quoted word that names nothing for a text, unless told not to. */
static void a_double_quoted_word_is_never_a_text(void **state)
{
    struct fixture *f = *state;
    struct weir_tx *tx = weir_sql_begin(f->call, f->kit.db);
    weir_sql_exec(tx, "SELECT \"nothing\" FROM items");
    assert_int_equal(weir_sql_commit(tx), WEIR_INTERNAL);
    assert_non_null(strstr(error_of(f), "no such column: ")); /* the rest depends on SQLite's version */
}

static void too_few_and_too_many_values_are_told_apart_from_the_statement(void **state)
{
    struct fixture *f = *state;
    struct weir_tx *tx = weir_sql_begin(f->call, f->kit.db);
    assert_int_equal(weir_sql_exec(tx, "UPDATE items SET n = ? WHERE id = ?", 1), -1);
    assert_int_equal(weir_sql_commit(tx), WEIR_INTERNAL);
    assert_string_equal(error_of(f), "db: the statement has 2 parameters, 1 values were given: "
                                     "UPDATE items SET n = ? WHERE id = ?");
}

static void after_a_failure_nothing_more_happens_and_the_first_error_is_told(void **state)
{
    struct fixture *f = *state;
    struct weir_tx *tx = weir_sql_begin(f->call, f->kit.db);
    assert_int_equal(weir_sql_exec(tx, "INSERT INTO items (id, n) VALUES (1, 1)"), 1);
    assert_int_equal(weir_sql_fail(tx, WEIR_FAILED_PRECONDITION, "only %d left", 3),
                     WEIR_FAILED_PRECONDITION);

    assert_int_equal(weir_sql_exec(tx, "INSERT INTO nowhere VALUES (1)"), -1);
    struct weir_rows *rows = weir_sql_query(tx, "SELECT n FROM items");
    assert_false(weir_rows_next(rows));
    assert_int_equal(weir_rows_end(rows), WEIR_FAILED_PRECONDITION);
    assert_int_equal(weir_sql_status(tx), WEIR_FAILED_PRECONDITION);
    weir_call_fail(f->call, WEIR_ABORTED, "something else in between");

    assert_int_equal(weir_sql_commit(tx), WEIR_FAILED_PRECONDITION);
    assert_string_equal(error_of(f), "only 3 left");
    assert_int_equal(kit_number(&f->kit, "SELECT count(*) FROM items"), 0);
}

static void what_has_ended_refuses_more(void **state)
{
    struct fixture *f = *state;
    struct weir_tx *tx = weir_sql_begin(f->call, f->kit.db);
    assert_int_equal(weir_sql_commit(tx), WEIR_OK);
    assert_int_equal(weir_sql_exec(tx, "DELETE FROM items"), -1);
    assert_int_equal(weir_sql_status(tx), WEIR_INTERNAL);
    assert_int_equal(weir_sql_commit(tx), WEIR_INTERNAL);
    weir_sql_rollback(tx);
}

static void a_transaction_reads_what_it_wrote(void **state)
{
    struct fixture *f = *state;
    struct weir_tx *tx = weir_sql_begin(f->call, f->kit.db);
    weir_sql_exec(tx, "INSERT INTO items (id, n) VALUES (1, 5), (2, 6)");
    struct weir_rows *rows = weir_sql_query(tx, "SELECT n FROM items WHERE id >= ? ORDER BY id", 1);
    assert_true(weir_rows_next(rows));
    assert_int_equal(weir_rows_int(rows, 0), 5);
    struct weir_rows *same = weir_sql_query(tx, "SELECT n FROM items WHERE id >= ? ORDER BY id", 2);
    assert_true(weir_rows_next(same));
    assert_int_equal(weir_rows_int(same, 0), 6);
    assert_int_equal(weir_rows_end(same), WEIR_OK);
    assert_true(weir_rows_next(rows));
    assert_int_equal(weir_rows_end(rows), WEIR_OK);
    assert_int_equal(weir_sql_commit(tx), WEIR_OK);
}

static void rows_that_were_not_ended_end_with_their_transaction(void **state)
{
    struct fixture *f = *state;
    struct weir_tx *tx = weir_sql_begin(f->call, f->kit.db);
    weir_sql_exec(tx, "INSERT INTO items (id, n) VALUES (1, 5), (2, 6)");
    struct weir_rows *rows = weir_sql_query(tx, "SELECT n FROM items");
    assert_true(weir_rows_next(rows));
    weir_sql_rollback(tx);
    assert_false(weir_rows_next(rows));
    assert_int_equal(kit_number(&f->kit, "SELECT count(*) FROM items"), 0);
}

static void a_column_that_is_not_there_fails_the_transaction(void **state)
{
    struct fixture *f = *state;
    struct weir_tx *tx = weir_sql_begin(f->call, f->kit.db);
    struct weir_rows *rows = weir_sql_query(tx, "SELECT 1");
    assert_true(weir_rows_next(rows));
    assert_int_equal(weir_rows_int(rows, 1), 0);
    assert_int_equal(weir_rows_end(rows), WEIR_INTERNAL);
    assert_int_equal(weir_sql_commit(tx), WEIR_INTERNAL);
    assert_string_equal(error_of(f), "db: there is no column 1, the first of 1 is 0: SELECT 1");
}

static void a_long_statement_ends_at_the_deadline(void **state)
{
    struct fixture *f = *state;
    static const char endless[] =
        "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c";
    struct weir_call *call = kit_call(50);
    struct weir_rows *rows = weir_sql_read(call, f->kit.db, endless);
    assert_false(weir_rows_next(rows));
    assert_int_equal(weir_rows_end(rows), WEIR_DEADLINE_EXCEEDED);
    assert_string_equal(weir_call_error(call)->text, "db: a statement was interrupted: its time is over");
    weir_call_background_end(call);

    call = kit_call(50);
    struct weir_tx *tx = weir_sql_begin(call, f->kit.db);
    weir_sql_exec(
        tx, "INSERT INTO items (n) WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n "
            "FROM c");
    assert_int_equal(weir_sql_commit(tx), WEIR_DEADLINE_EXCEEDED);
    weir_call_background_end(call);
    assert_int_equal(kit_number(&f->kit, "SELECT count(*) FROM items"), 0);
    assert_int_equal(kit_run(&f->kit, "INSERT INTO items (id, n) VALUES (1, 1)"), WEIR_OK);
}

static void *cancel(void *context)
{
    context_end(context, WEIR_CANCELLED);
    return NULL;
}

static void a_cancelled_call_ends_its_statement(void **state)
{
    struct fixture *f = *state;
    struct weir_call *call = kit_call(20000);
    struct weir_rows *rows = weir_sql_read(
        call, f->kit.db,
        "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c");
    pthread_t thread;
    pthread_create(&thread, NULL, cancel, weir_call_context(call));
    assert_false(weir_rows_next(rows));
    assert_int_equal(weir_rows_end(rows), WEIR_CANCELLED);
    pthread_join(thread, NULL);
    weir_call_background_end(call);
}

static void a_call_that_is_over_does_not_commit(void **state)
{
    struct fixture *f = *state;
    struct weir_call *call = kit_call(20000);
    struct weir_tx *tx = weir_sql_begin(call, f->kit.db);
    assert_int_equal(weir_sql_exec(tx, "INSERT INTO items (id, n) VALUES (1, 1)"), 1);
    context_end(weir_call_context(call), WEIR_CANCELLED);
    assert_int_equal(weir_sql_commit(tx), WEIR_CANCELLED);
    weir_call_background_end(call);
    assert_int_equal(kit_number(&f->kit, "SELECT count(*) FROM items"), 0);
}

static void a_second_transaction_of_one_call_is_refused_instead_of_waiting_for_the_first(void **state)
{
    struct fixture *f = *state;
    struct weir_tx *first = weir_sql_begin(f->call, f->kit.db);
    struct weir_tx *second = weir_sql_begin(f->call, f->kit.db);
    assert_int_equal(weir_sql_status(second), WEIR_INTERNAL);
    assert_string_equal(error_of(f),
                        "db: this call has a transaction open already and would wait for itself");
    weir_sql_rollback(second);
    assert_int_equal(weir_sql_commit(first), WEIR_OK);
}

static void a_full_pool_of_readers_is_waited_for_until_the_deadline(void **state)
{
    struct fixture *f = *state;
    struct weir_rows *one = weir_sql_read(f->call, f->kit.db, "SELECT 1 UNION SELECT 2");
    struct weir_rows *two = weir_sql_read(f->call, f->kit.db, "SELECT 1 UNION SELECT 2");
    assert_true(weir_rows_next(one));
    assert_true(weir_rows_next(two));
    struct weir_call *late = kit_call(20);
    struct weir_rows *three = weir_sql_read(late, f->kit.db, "SELECT 1");
    assert_int_equal(weir_rows_end(three), WEIR_DEADLINE_EXCEEDED);
    assert_string_equal(weir_call_error(late)->text, "db: all 2 connections for reading are in use");
    weir_call_background_end(late);

    while (weir_rows_next(one))
        continue; /* the last row gives the connection back */
    assert_int_equal(kit_number(&f->kit, "SELECT 5"), 5);
    assert_int_equal(weir_rows_end(two), WEIR_OK);
    assert_int_equal(weir_rows_end(one), WEIR_OK);
}

static void a_read_cannot_write(void **state)
{
    struct fixture *f = *state;
    struct weir_rows *rows = weir_sql_read(f->call, f->kit.db, "INSERT INTO items (n) VALUES (1)");
    assert_false(weir_rows_next(rows));
    assert_int_equal(weir_rows_end(rows), WEIR_INTERNAL);
    assert_string_equal(error_of(f),
                        "db: attempt to write a readonly database: INSERT INTO items (n) VALUES (1)");
    assert_int_equal(kit_number(&f->kit, "SELECT count(*) FROM items"), 0);
}

static void more_statements_than_the_cache_holds_still_run(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3 * STATEMENTS_MAX; i++) {
        char sql[32];
        snprintf(sql, sizeof sql, "SELECT %d", i);
        assert_int_equal(kit_number(&f->kit, sql), i);
    }
}

static void add_one(void *count)
{
    ++*(int *)count;
}

static void only_a_commit_tells_those_who_wait_for_one(void **state)
{
    struct fixture *f = *state;
    int told = 0;
    struct weir_tx *tx = weir_sql_begin(f->call, f->kit.db);
    weir_sql_on_commit(tx, add_one, &told);
    weir_sql_rollback(tx);
    assert_int_equal(told, 0);

    tx = weir_sql_begin(f->call, f->kit.db);
    weir_sql_on_commit(tx, add_one, &told);
    weir_sql_fail(tx, WEIR_ABORTED, "no");
    assert_int_equal(weir_sql_commit(tx), WEIR_ABORTED);
    assert_int_equal(told, 0);

    tx = weir_sql_begin(f->call, f->kit.db);
    weir_sql_on_commit(tx, add_one, &told);
    weir_sql_on_commit(tx, add_one, &told);
    assert_int_equal(weir_sql_commit(tx), WEIR_OK);
    assert_int_equal(told, 2);
}

static void a_loop_of_attempts_commits_when_its_body_has_run_through(void **state)
{
    struct fixture *f = *state;
    struct weir_tx *tx = NULL;
    int turns = 0;
    while (weir_sql_attempt(f->call, f->kit.db, &tx)) {
        turns++;
        if (weir_sql_exec(tx, "INSERT INTO items (id, n) VALUES (1, 5)") == 1)
            continue;
    }
    assert_int_equal(weir_sql_outcome(tx), WEIR_OK);
    assert_int_equal(turns, 1);
    assert_int_equal(kit_number(&f->kit, "SELECT n FROM items"), 5);
}

static void a_loop_of_attempts_ends_with_what_its_author_fails_and_what_breaks(void **state)
{
    struct fixture *f = *state;
    static const char *const statements[] = {"UPDATE items SET n = 1", "INSERT INTO nowhere VALUES (1)"};
    static const enum weir_status outcomes[] = {WEIR_ABORTED, WEIR_INTERNAL};
    for (int i = 0; i < 2; i++) {
        struct weir_tx *tx = NULL;
        int turns = 0;
        while (weir_sql_attempt(f->call, f->kit.db, &tx)) {
            turns++;
            weir_sql_exec_values(tx, statements[i], NULL, 0);
            weir_sql_fail(tx, WEIR_ABORTED, "the author's own");
        }
        assert_int_equal(weir_sql_outcome(tx), outcomes[i]);
        assert_int_equal(turns, 1);
    }
}

static void who_leaves_a_loop_of_attempts_has_rolled_back(void **state)
{
    struct fixture *f = *state;
    struct weir_tx *tx = NULL;
    while (weir_sql_attempt(f->call, f->kit.db, &tx)) {
        weir_sql_exec(tx, "INSERT INTO items (id, n) VALUES (1, 5)");
        break;
    }
    assert_int_equal(weir_sql_outcome(tx), WEIR_INTERNAL);
    assert_string_equal(error_of(f), "db: the loop was left before its commit");
    assert_int_equal(kit_number(&f->kit, "SELECT count(*) FROM items"), 0);
}

static void a_stop_refuses_the_new_and_waits_for_the_open(void **state)
{
    struct fixture *f = *state;
    struct weir_tx *open = weir_sql_begin(f->call, f->kit.db);
    assert_int_equal(weir_sql_exec(open, "INSERT INTO items (id, n) VALUES (1, 1)"), 1);
    assert_int_equal(sql_ops.quiesce(f->kit.db, &f->kit.error), WEIR_OK);

    struct weir_call *late = kit_call(1000);
    struct weir_tx *refused = weir_sql_begin(late, f->kit.db);
    assert_int_equal(weir_sql_commit(refused), WEIR_UNAVAILABLE);
    assert_string_equal(weir_call_error(late)->text, "db: the database is stopping");
    weir_call_background_end(late);

    struct weir_context soon;
    struct weir_work work = {0};
    context_init(&soon, NULL, weir_deadline_in_ms(30));
    assert_int_equal(sql_ops.drain(f->kit.db, &soon, &work, &f->kit.error), WEIR_OK);
    assert_int_equal(work.in_flight, 1);
    assert_int_equal(work.stuck, 1);
    context_clean_up(&soon);
    assert_int_equal(weir_sql_commit(open), WEIR_OK);
}

static void nothing_is_acknowledged_that_went_into_a_deleted_file(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(kit_run(&f->kit, "INSERT INTO items (n) VALUES (1)"), WEIR_OK);
    const char *path = f->kit.url + strlen("sqlite:");
    assert_int_equal(unlink(path), 0);

    struct weir_tx *tx = weir_sql_begin(f->call, f->kit.db);
    weir_sql_exec(tx, "INSERT INTO items (n) VALUES (2)");
    assert_int_equal(weir_sql_commit(tx), WEIR_UNAVAILABLE);
    char expected[200];
    snprintf(expected, sizeof expected, "commit failed: db: the file %s was deleted or replaced", path);
    assert_string_equal(error_of(f), expected);
}

static void a_file_that_may_not_be_written_is_no_database_to_start_with(void **state)
{
    struct fixture *f = *state;
    const char *path = f->kit.url + strlen("sqlite:");
    kit_stop(&f->kit);
    assert_int_equal(chmod(f->kit.folder, 0777), 0);
    assert_int_equal(chmod(path, 0444), 0);
    bool is_root = geteuid() == 0; /* who may write everywhere */
    assert_int_equal(is_root ? seteuid(65534) : 0, 0);
    enum weir_status status = kit_start(&f->kit);
    assert_int_equal(is_root ? seteuid(0) : 0, 0);

    assert_int_equal(status, WEIR_UNAVAILABLE);
    char expected[200];
    snprintf(expected, sizeof expected, "db: %s may not be written to", path);
    assert_string_equal(f->kit.error.text, expected);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_type_of_value_comes_back_as_it_was_bound),
        TEST(a_commit_is_seen_by_readers_and_a_rollback_is_not),
        TEST(rows_changed_are_those_of_this_statement),
        TEST(a_broken_constraint_says_whose_fault_it_is),
        TEST(a_double_quoted_word_is_never_a_text),
        TEST(too_few_and_too_many_values_are_told_apart_from_the_statement),
        TEST(after_a_failure_nothing_more_happens_and_the_first_error_is_told),
        TEST(what_has_ended_refuses_more),
        TEST(a_transaction_reads_what_it_wrote),
        TEST(rows_that_were_not_ended_end_with_their_transaction),
        TEST(a_column_that_is_not_there_fails_the_transaction),
        TEST(a_long_statement_ends_at_the_deadline),
        TEST(a_cancelled_call_ends_its_statement),
        TEST(a_call_that_is_over_does_not_commit),
        TEST(a_second_transaction_of_one_call_is_refused_instead_of_waiting_for_the_first),
        TEST(a_full_pool_of_readers_is_waited_for_until_the_deadline),
        TEST(a_read_cannot_write),
        TEST(nothing_is_acknowledged_that_went_into_a_deleted_file),
        TEST(a_file_that_may_not_be_written_is_no_database_to_start_with),
        TEST(more_statements_than_the_cache_holds_still_run),
        TEST(only_a_commit_tells_those_who_wait_for_one),
        TEST(a_loop_of_attempts_commits_when_its_body_has_run_through),
        TEST(a_loop_of_attempts_ends_with_what_its_author_fails_and_what_breaks),
        TEST(who_leaves_a_loop_of_attempts_has_rolled_back),
        TEST(a_stop_refuses_the_new_and_waits_for_the_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
