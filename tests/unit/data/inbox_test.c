/* A message has its effect once, however often and however concurrently it comes. */
#include "kit.h"

#include <pthread.h>
#include <stdio.h>

#include <weir/outbox.h>

#include "call/call.h"
#include "data/keeper.h"

static int set_up(void **state)
{
    static struct kit kit;
    kit_open(&kit, NULL);
    assert_int_equal(kit_start(&kit), WEIR_OK);
    assert_int_equal(kit_run(&kit, "INSERT INTO items (id, n) VALUES (1, 0)"), WEIR_OK);
    *state = &kit;
    return 0;
}

static int tear_down(void **state)
{
    kit_close(*state);
    return 0;
}

static const struct weir_method methods[] = {{.full_name = "test/One"}, {.full_name = "test/Two"}};

static enum weir_status handle(struct kit *kit, const struct weir_method *method, const char *message_id,
                               bool fail, bool *ret_first)
{
    struct weir_call *call = kit_call(20000);
    call->method = method;
    call->message_id = message_id;
    struct weir_tx *tx = weir_sql_begin(call, kit->db);
    *ret_first = weir_inbox_first(tx);
    if (*ret_first)
        weir_sql_exec(tx, "UPDATE items SET n = n + 1");
    if (fail)
        weir_sql_fail(tx, WEIR_ABORTED, "the effect failed");
    enum weir_status status = weir_sql_commit(tx);
    weir_call_background_end(call);
    return status;
}

static void a_message_is_first_once_per_method(void **state)
{
    struct kit *kit = *state;
    bool first;
    assert_int_equal(handle(kit, &methods[0], "m1", false, &first), WEIR_OK);
    assert_true(first);
    assert_int_equal(handle(kit, &methods[0], "m1", false, &first), WEIR_OK);
    assert_false(first);
    assert_int_equal(handle(kit, &methods[1], "m1", false, &first), WEIR_OK);
    assert_true(first);
    assert_int_equal(handle(kit, &methods[0], "m2", false, &first), WEIR_OK);
    assert_true(first);
    assert_int_equal(kit_number(kit, "SELECT n FROM items"), 3);
}

static void a_message_whose_effect_failed_is_first_again(void **state)
{
    struct kit *kit = *state;
    bool first;
    assert_int_equal(handle(kit, &methods[0], "m1", true, &first), WEIR_ABORTED);
    assert_true(first);
    assert_int_equal(handle(kit, &methods[0], "m1", false, &first), WEIR_OK);
    assert_true(first);
    assert_int_equal(kit_number(kit, "SELECT n FROM items"), 1);
}

static void a_call_without_a_message_id_fails(void **state)
{
    struct kit *kit = *state;
    bool first;
    assert_int_equal(handle(kit, &methods[0], NULL, false, &first), WEIR_INVALID_ARGUMENT);
    assert_false(first);
}

static void *handle_all(void *self)
{
    for (int i = 0; i < 30; i++) {
        char id[16];
        snprintf(id, sizeof id, "m%d", i);
        bool first;
        assert_int_equal(handle(self, &methods[0], id, false, &first), WEIR_OK);
    }
    return NULL;
}

static void duplicates_that_come_at_once_have_one_effect(void **state)
{
    struct kit *kit = *state;
    pthread_t threads[6];
    for (int i = 0; i < 6; i++)
        pthread_create(&threads[i], NULL, handle_all, kit);
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(kit_number(kit, "SELECT n FROM items"), 30);
}

static void old_ones_are_forgotten_and_young_ones_are_not(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_run(kit,
                             "INSERT INTO weir_inbox (method, message_id, at_ms) "
                             "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 25) "
                             "SELECT 'm', n, n FROM c"),
                     WEIR_OK);
    assert_int_equal(keeper_prune_inbox(kit->db, &kit->context, 21, 10, &kit->error), WEIR_OK);
    assert_int_equal(kit_number(kit, "SELECT count(*) FROM weir_inbox"), 5);
    assert_int_equal(kit_number(kit, "SELECT min(at_ms) FROM weir_inbox"), 21);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_message_is_first_once_per_method),
        TEST(a_message_whose_effect_failed_is_first_again),
        TEST(a_call_without_a_message_id_fails),
        TEST(duplicates_that_come_at_once_have_one_effect),
        TEST(old_ones_are_forgotten_and_young_ones_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
