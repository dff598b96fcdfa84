/* The write-ahead log stays small, whoever reads. */
#include "kit.h"

#include <pthread.h>
#include <stdatomic.h>

#include "data/sqlite/backend.h"
#include "data/sqlite/files.h"

#define MB (INT64_C(1) << 20)

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

static int64_t log_bytes(struct kit *kit)
{
    return files_log_bytes(sqlite_of(kit->db)->path);
}

static void write_a_lot(struct kit *kit)
{
    for (int i = 0; i < 10; i++)
        assert_int_equal(kit_run(kit, "INSERT INTO items (n, name) VALUES (1, hex(randomblob(524288)))"),
                         WEIR_OK);
}

static enum weir_status tidy(struct kit *kit)
{
    return sqlite_backend.tidy(kit->db, &kit->context, &kit->error);
}

/* As another process would. */
static sqlite3 *open_other(struct kit *kit)
{
    sqlite3 *other;
    assert_int_equal(sqlite3_open(sqlite_of(kit->db)->path, &other), SQLITE_OK);
    sqlite3_busy_timeout(other, 5000);
    return other;
}

static void begin_reading(sqlite3 *other)
{
    assert_int_equal(sqlite3_exec(other, "BEGIN; SELECT count(*) FROM items", NULL, NULL, NULL), SQLITE_OK);
}

static void end_reading(sqlite3 *other)
{
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
}

static void a_log_that_grew_behind_a_reader_is_small_once_he_is_gone_and_he_holds_nobody_up(void **state)
{
    struct kit *kit = *state;
    sqlite3 *reader = open_other(kit);
    begin_reading(reader);
    write_a_lot(kit);
    int64_t begun_ns = weir_now_ns();
    assert_int_equal(tidy(kit), WEIR_OK);
    assert_true(weir_now_ns() - begun_ns <
                2 * WEIR_NS_PER_S); /* not the 5 s that a writer waits for a lock */
    assert_true(log_bytes(kit) > 8 * MB);
    assert_int_equal(kit_run(kit, "INSERT INTO items (n) VALUES (2)"), WEIR_OK);

    end_reading(reader);
    assert_int_equal(tidy(kit), WEIR_OK);
    assert_int_equal(log_bytes(kit), 0);
    assert_int_equal(kit_run(kit, "INSERT INTO items (n) VALUES (3)"), WEIR_OK);
    assert_int_equal(kit_number(kit, "SELECT count(*) FROM items"), 12);
    assert_false(component_is_away(&kit->db->component));
    sqlite3_close(reader);
}

struct readers {
    sqlite3 *two[2]; /* the first reads */
    atomic_bool over;
};

/* Each begins before the other ends, so that somebody always reads. */
static void *read_in_turns(void *arg)
{
    struct readers *readers = arg;
    for (int i = 1; !atomic_load(&readers->over); i = !i) {
        begin_reading(readers->two[i]);
        end_reading(readers->two[!i]);
    }
    return NULL;
}

static void a_log_becomes_small_also_while_readers_never_pause(void **state)
{
    struct kit *kit = *state;
    struct readers readers = {.two = {open_other(kit), open_other(kit)}};
    begin_reading(readers.two[0]);
    write_a_lot(kit);
    assert_true(log_bytes(kit) > 8 * MB);
    pthread_t thread;
    pthread_create(&thread, NULL, read_in_turns, &readers);
    for (int tries = 0; tries < 500 && log_bytes(kit) > 0; tries++)
        assert_int_equal(tidy(kit), WEIR_OK);
    assert_int_equal(log_bytes(kit), 0);
    atomic_store(&readers.over, true);
    pthread_join(thread, NULL);
    sqlite3_close(readers.two[0]);
    sqlite3_close(readers.two[1]);
}

static void a_small_log_is_left_alone(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_run(kit, "INSERT INTO items (n) VALUES (1)"), WEIR_OK);
    int64_t before = log_bytes(kit);
    assert_true(before > 0);
    assert_int_equal(tidy(kit), WEIR_OK);
    assert_int_equal(log_bytes(kit), before);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_log_that_grew_behind_a_reader_is_small_once_he_is_gone_and_he_holds_nobody_up),
        TEST(a_log_becomes_small_also_while_readers_never_pause),
        TEST(a_small_log_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
