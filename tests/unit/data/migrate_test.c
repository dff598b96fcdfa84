/* Migrations: once, in order, unchanged, or not at all. */
#include "kit.h"

#include <stdio.h>
#include <stdlib.h>

static int set_up(void **state)
{
    static struct kit kit;
    kit_open(&kit, NULL);
    *state = &kit;
    return 0;
}

static int tear_down(void **state)
{
    kit_close(*state);
    return 0;
}

static const char one[] = "CREATE TABLE log (line TEXT); INSERT INTO log VALUES ('one')";
static const char two[] = "INSERT INTO log VALUES ('two')";

static void start_with(struct kit *kit, const char *first, const char *second)
{
    static const char *list[3];
    list[0] = first;
    list[1] = second;
    list[2] = NULL;
    kit->settings.migrations = list;
    kit_start(kit);
}

static void each_is_applied_once_and_a_new_one_is_added(void **state)
{
    struct kit *kit = *state;
    start_with(kit, one, NULL);
    assert_non_null(kit->db);
    assert_int_equal(kit_number(kit, "SELECT count(*) FROM log"), 1);
    kit_stop(kit);

    start_with(kit, one, two);
    assert_int_equal(kit_number(kit, "SELECT count(*) FROM log"), 2);
    kit_stop(kit);

    start_with(kit, one, two);
    assert_int_equal(kit_number(kit, "SELECT count(*) FROM log"), 2);
    assert_int_equal(kit_number(kit, "SELECT count(*) FROM weir_migrations WHERE owner = 'service'"), 2);
}

static void a_changed_one_is_refused(void **state)
{
    struct kit *kit = *state;
    start_with(kit, one, two);
    kit_stop(kit);

    start_with(kit, one, "INSERT INTO log VALUES ('other')");
    assert_null(kit->db);
    assert_int_equal(kit->error.status, WEIR_FAILED_PRECONDITION);
    assert_string_equal(kit->error.text,
                        "db: migration 2 (service) was changed after it was applied; add a new one instead");
}

static void a_missing_one_is_refused(void **state)
{
    struct kit *kit = *state;
    start_with(kit, one, two);
    kit_stop(kit);

    start_with(kit, one, NULL);
    assert_null(kit->db);
    assert_int_equal(kit->error.status, WEIR_FAILED_PRECONDITION);
    assert_string_equal(kit->error.text,
                        "db: the database has had migration 2 (service), which this program does not "
                        "have: it is older than the database");
}

static void one_that_fails_leaves_nothing_of_itself_and_all_before_it(void **state)
{
    struct kit *kit = *state;
    start_with(
        kit, one,
        "CREATE TABLE half (id INTEGER); INSERT INTO log VALUES ('half'); INSERT INTO nowhere VALUES (1)");
    assert_null(kit->db);
    assert_int_equal(kit->error.status, WEIR_INTERNAL);
    assert_non_null(strstr(kit->error.text, "migration 2 (service): db: no such table: nowhere"));

    start_with(kit, one, NULL);
    assert_int_equal(kit_number(kit, "SELECT count(*) FROM log"), 1);
    assert_int_equal(kit_number(kit, "SELECT count(*) FROM sqlite_schema WHERE name = 'half'"), 0);
}

static void one_cannot_commit_by_itself(void **state)
{
    struct kit *kit = *state;
    start_with(kit, one, "INSERT INTO log VALUES ('two'); COMMIT");
    assert_null(kit->db);
    start_with(kit, one, NULL);
    assert_int_equal(kit_number(kit, "SELECT count(*) FROM log"), 1);
}

static void a_table_that_others_refer_to_can_be_built_anew(void **state)
{
    struct kit *kit = *state;
    start_with(kit,
               "CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (a INTEGER REFERENCES a (id));"
               "INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)",
               "CREATE TABLE a2 (id INTEGER PRIMARY KEY, more TEXT); INSERT INTO a2 SELECT id, '' FROM a;"
               "DROP TABLE a; ALTER TABLE a2 RENAME TO a");
    assert_non_null(kit->db);
    assert_int_equal(kit_number(kit, "SELECT count(*) FROM b JOIN a ON b.a = a.id"), 1);
    assert_int_equal(kit_run(kit, "INSERT INTO b VALUES (7)"), WEIR_FAILED_PRECONDITION);
}

static void one_that_breaks_references_is_refused(void **state)
{
    struct kit *kit = *state;
    start_with(kit,
               "CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (a INTEGER REFERENCES a (id));"
               "INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)",
               "DELETE FROM a");
    assert_null(kit->db);
    assert_string_equal(kit->error.text, "migration 2 (service): db: 1 rows would refer to nothing");
}

static void a_bad_url_says_what_a_good_one_is(void **state)
{
    struct kit *kit = *state;
    kit->settings.url = "mysql://db";
    assert_int_equal(kit_start(kit), WEIR_INVALID_ARGUMENT);
    assert_string_equal(kit->error.text,
                        "db: url must be \"sqlite:PATH\" or \"postgres://...\", not \"mysql://db\"");
}

/* ---- --migrate ---- */

static void give(struct kit *kit, const char *first, const char *second)
{
    static const char *list[3];
    list[0] = first;
    list[1] = second;
    kit->settings.migrations = list;
}

/* Every file in the kit's folder with what it holds, but for the index in shared memory. */
static void read_folder(const struct kit *kit, struct weir_buffer *ret_files)
{
    static const char *const ends[] = {"", "-wal"};
    for (int i = 0; i < 2; i++) {
        char path[160];
        snprintf(path, sizeof path, "%s%s", kit->settings.url + strlen("sqlite:"), ends[i]);
        FILE *file = fopen(path, "r");
        weir_buffer_printf(ret_files, "%s %s\n", path, file ? "is there" : "is not there");
        for (int c; file && (c = getc(file)) != EOF;)
            weir_buffer_append(ret_files, &(char){(char)c}, 1);
        if (file)
            fclose(file);
    }
}

static void assert_dry_run_changes_nothing(struct kit *kit, const char *expected)
{
    struct weir_buffer before = {0}, after = {0};
    read_folder(kit, &before);
    assert_string_equal(kit_migrate(kit, true), expected);
    assert_int_equal(kit->error.status, WEIR_OK);
    read_folder(kit, &after);
    assert_true(weir_bytes_equal(weir_buffer_bytes(&before), weir_buffer_bytes(&after)));
    weir_buffer_free(&before);
    weir_buffer_free(&after);
}

static void a_dry_run_says_that_the_database_is_not_there_and_makes_none(void **state)
{
    struct kit *kit = *state;
    give(kit, one, two);
    const char *said = kit_migrate(kit, true);
    const char *first = "db: the database is not there yet, and would be made\n"
                        "db: would apply migration 1 (weir): CREATE TABLE";
    assert_int_equal(strncmp(said, first, strlen(first)), 0);
    assert_non_null(
        strstr(said, "db: would apply migration 1 (service): CREATE TABLE log (line TEXT); INSERT"));
    assert_non_null(strstr(said, "db: would apply migration 2 (service): INSERT INTO log VALUES ('two')\n"));
    struct weir_buffer files = {0}, expected = {0};
    read_folder(kit, &files);
    weir_buffer_printf(&expected, "%s is not there\n%s-wal is not there\n", kit->url + 7, kit->url + 7);
    assert_string_equal(weir_buffer_text(&files), weir_buffer_text(&expected));
    weir_buffer_free(&files);
    weir_buffer_free(&expected);
}

static void a_dry_run_says_what_is_due_and_changes_nothing(void **state)
{
    struct kit *kit = *state;
    start_with(kit, one, NULL);
    kit_stop(kit);
    give(kit, one, NULL);
    assert_dry_run_changes_nothing(kit, "");
    give(kit, one, "\n  -- says two\nINSERT INTO log VALUES ('two')");
    assert_dry_run_changes_nothing(kit, "db: would apply migration 2 (service): -- says two\n");
    give(kit, "CREATE TABLE other (n)", NULL);
    assert_string_equal(kit_migrate(kit, true), "");
    assert_string_equal(kit->error.text,
                        "db: migration 1 (service) was changed after it was applied; add a new one instead");
}

static void a_dry_run_waits_for_no_writer_and_keeps_none(void **state)
{
    struct kit *kit = *state;
    start_with(kit, one, NULL);
    struct weir_call *call = kit_call(10000);
    struct weir_tx *tx = weir_sql_begin(call, kit->db);
    weir_sql_exec(tx, "INSERT INTO log VALUES ('mine')");
    give(kit, one, two);
    assert_dry_run_changes_nothing(kit,
                                   "db: would apply migration 2 (service): INSERT INTO log VALUES ('two')\n");
    assert_int_equal(weir_sql_commit(tx), WEIR_OK);
    weir_call_background_end(call);
    assert_int_equal(kit_number(kit, "SELECT count(*) FROM log"), 2);
}

static void copy(const char *from, const char *to)
{
    char command[400];
    snprintf(command, sizeof command, "cp %s %s", from, to);
    assert_int_equal(system(command), 0);
}

static void a_dry_run_leaves_the_log_of_a_killed_process_as_it_is(void **state)
{
    struct kit *kit = *state;
    start_with(kit, one, NULL);
    char from[160], to[160], url[160];
    snprintf(url, sizeof url, "sqlite:%s/left.db", kit->folder);
    copy(kit->url + 7, url + 7);
    snprintf(from, sizeof from, "%s-wal", kit->url + 7);
    snprintf(to, sizeof to, "%s-wal", url + 7);
    copy(from, to);
    kit_stop(kit);
    kit->settings.url = url;
    give(kit, one, two);
    assert_dry_run_changes_nothing(kit,
                                   "db: would apply migration 2 (service): INSERT INTO log VALUES ('two')\n");
}

static void migrating_alone_says_what_it_has_applied(void **state)
{
    struct kit *kit = *state;
    give(kit, one, NULL);
    assert_non_null(strstr(kit_migrate(kit, false), "db: applied migration 1 (service): CREATE TABLE log"));
    give(kit, one, two);
    assert_string_equal(kit_migrate(kit, false),
                        "db: applied migration 2 (service): INSERT INTO log VALUES ('two')\n");
    assert_string_equal(kit_migrate(kit, false), "");
    assert_int_equal(kit->error.status, WEIR_OK);
    give(kit, one, "INSERT INTO nowhere VALUES (1)");
    assert_string_equal(kit_migrate(kit, false), "");
    assert_int_equal(kit->error.status, WEIR_FAILED_PRECONDITION);
    start_with(kit, one, two);
    assert_int_equal(kit_number(kit, "SELECT count(*) FROM log"), 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_is_applied_once_and_a_new_one_is_added),
        TEST(a_changed_one_is_refused),
        TEST(a_missing_one_is_refused),
        TEST(one_that_fails_leaves_nothing_of_itself_and_all_before_it),
        TEST(one_cannot_commit_by_itself),
        TEST(a_table_that_others_refer_to_can_be_built_anew),
        TEST(one_that_breaks_references_is_refused),
        TEST(a_dry_run_says_that_the_database_is_not_there_and_makes_none),
        TEST(a_dry_run_says_what_is_due_and_changes_nothing),
        TEST(a_dry_run_waits_for_no_writer_and_keeps_none),
        TEST(a_dry_run_leaves_the_log_of_a_killed_process_as_it_is),
        TEST(migrating_alone_says_what_it_has_applied),
        TEST(a_bad_url_says_what_a_good_one_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
