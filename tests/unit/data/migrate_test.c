/* Migrations: once, in order, unchanged, or not at all. */
#include "kit.h"

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
        TEST(a_bad_url_says_what_a_good_one_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
