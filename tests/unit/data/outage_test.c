/* The database is away: locked by another process for long, no room, its file gone. It says so, answers UNAVAILABLE at once,
 * and is back by itself. */
#include "kit.h"

#include "data/sqlite/backend.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static int set_up(void **state)
{
    static struct kit kit;
    kit_open(&kit, NULL);
    assert_int_equal(kit_start(&kit), WEIR_OK);
    *state = &kit;
    return 0;
}

static int tear_down(void **state)
{
    kit_close(*state);
    return 0;
}

static bool is_away(struct kit *kit)
{
    return component_is_away(&kit->db->component);
}

static const char insert[] = "INSERT INTO items (n) VALUES (1)";

/* As another process would: an exclusive transaction on a connection of its own. */
static sqlite3 *lock(struct kit *kit)
{
    sqlite3 *other;
    assert_int_equal(sqlite3_open(sqlite_of(kit->db)->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    return other;
}

static void *write_one(void *kit)
{
    return kit_run(kit, insert) == WEIR_UNAVAILABLE ? kit : NULL;
}

static void a_lock_that_stays_is_an_outage_and_then_nobody_waits_for_it_long(void **state)
{
    struct kit *kit = *state;
    sqlite3 *other = lock(kit);
    sqlite_of(kit->db)->writer.busy_timeout_ms = 1200;
    assert_false(is_away(kit));
    assert_int_equal(kit_run(kit, insert), WEIR_UNAVAILABLE);
    assert_true(is_away(kit));

    int64_t begun = weir_now_ns();
    pthread_t threads[8];
    void *refused;
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, write_one, kit);
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], &refused);
        assert_ptr_equal(refused, kit);
    }
    assert_true(weir_now_ns() - begun < 1000 * WEIR_NS_PER_MS); /* 250 for one, the others do not queue */
    assert_int_equal(kit_number(kit, "SELECT count(*) FROM items"), 0); /* reading goes on */

    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(kit_run(kit, insert), WEIR_OK);
    assert_false(is_away(kit));
    sqlite3_close(other);
}

static void a_call_that_runs_out_of_time_at_the_lock_has_seen_an_outage_if_it_waited_long(void **state)
{
    struct kit *kit = *state;
    sqlite3 *other = lock(kit);
    static const struct {
        int64_t timeout_ms;
        bool away;
    } cases[] = {{100, false}, {1300, true}};
    for (size_t i = 0; i < 2; i++) {
        struct weir_call *call = kit_call(cases[i].timeout_ms);
        struct weir_tx *tx = weir_sql_begin(call, kit->db);
        weir_sql_exec(tx, insert);
        assert_int_equal(weir_sql_commit(tx), WEIR_DEADLINE_EXCEEDED);
        weir_call_background_end(call);
        assert_int_equal(is_away(kit), cases[i].away);
    }
    sqlite3_close(other);
}

static void no_room_is_an_outage_that_ends_when_something_was_written(void **state)
{
    struct kit *kit = *state;
    struct rlimit all, none = {.rlim_cur = 4096};
    signal(SIGXFSZ, SIG_IGN); /* as every app does */
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
    none.rlim_max = all.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    assert_int_equal(kit_run(kit, insert), WEIR_UNAVAILABLE);
    assert_true(is_away(kit));
    assert_int_equal(kit_run(kit, "UPDATE items SET n = 2 WHERE id = 99"),
                     WEIR_OK); /* which writes nothing */
    assert_true(is_away(kit));

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
    assert_int_equal(kit_run(kit, insert), WEIR_OK);
    assert_false(is_away(kit));
    assert_int_equal(kit_number(kit, "SELECT count(*) FROM items"), 1);
}

static void a_file_that_is_moved_away_is_an_outage_until_it_is_back(void **state)
{
    struct kit *kit = *state;
    char path[128], moved[160];
    snprintf(path, sizeof path, "%s", sqlite_of(kit->db)->path);
    snprintf(moved, sizeof moved, "%s.moved", path);
    assert_int_equal(kit_run(kit, insert), WEIR_OK);
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(kit_run(kit, insert), WEIR_UNAVAILABLE);
    assert_true(is_away(kit));
    FILE *replaced = fopen(path, "w"); /* another file is not it */
    fclose(replaced);
    assert_int_equal(kit_run(kit, insert), WEIR_UNAVAILABLE);
    assert_int_equal(rename(moved, path), 0);
    assert_int_equal(kit_run(kit, insert), WEIR_OK);
    assert_false(is_away(kit));
    assert_int_equal(kit_number(kit, "SELECT count(*) FROM items"), 2);
}

static void a_request_that_is_at_fault_itself_is_no_outage(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_run(kit, "INSERT INTO items (n) VALUES (-1)"), WEIR_FAILED_PRECONDITION);
    assert_int_equal(kit_run(kit, "INSERT INTO nothing VALUES (1)"), WEIR_INTERNAL);
    sqlite3 *other = lock(kit);
    sqlite_of(kit->db)->writer.busy_timeout_ms = 50; /* met somebody at work */
    assert_int_equal(kit_run(kit, insert), WEIR_UNAVAILABLE);
    assert_false(is_away(kit));
    sqlite3_close(other);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_lock_that_stays_is_an_outage_and_then_nobody_waits_for_it_long),
        TEST(a_call_that_runs_out_of_time_at_the_lock_has_seen_an_outage_if_it_waited_long),
        TEST(no_room_is_an_outage_that_ends_when_something_was_written),
        TEST(a_file_that_is_moved_away_is_an_outage_until_it_is_back),
        TEST(a_request_that_is_at_fault_itself_is_no_outage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
