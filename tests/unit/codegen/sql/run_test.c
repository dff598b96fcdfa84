/* Generated functions, compiled and run: what goes in comes out again, with its type. */
#include "kit.h"

#include <stdio.h>

#include "goods_sql.h"

static int set_up(void **state)
{
    static struct kit kit;
    kit_open(&kit, goods_sql.migrations);
    kit.settings.statements = goods_sql.statements;
    assert_int_equal(kit_start(&kit), WEIR_OK);
    *state = &kit;
    return 0;
}

static int tear_down(void **state)
{
    kit_close(*state);
    return 0;
}

static void add(struct weir_tx *tx, const char *sku)
{
    assert_int_equal(add_product(tx, sku, "Tea", 690, NULL, NULL, NULL, false), 1);
}

static void what_goes_in_comes_out(void **state)
{
    struct kit *kit = *state;
    struct weir_call *call = kit_call(10000);
    struct weir_tx *tx = weir_sql_begin(call, kit->db);
    struct weir_bytes image = weir_bytes("\0png", 4);
    double weight = 0.25;
    assert_int_equal(add_product(tx, "tea", "Tea", 690, "green", &weight, &image, true), 1);
    struct find_product_row row;
    assert_true(find_product(tx, "tea", &row));
    assert_string_equal(row.sku, "tea");
    assert_string_equal(row.name, "Tea");
    assert_int_equal(row.price_minor, 690);
    assert_string_equal(row.note, "green");
    assert_true(row.has_weight && row.weight == 0.25);
    assert_true(row.fragile);
    assert_true(row.has_image && weir_bytes_equal(row.image, image));
    assert_int_equal(weir_sql_commit(tx), WEIR_OK);
    weir_call_background_end(call);
}

static void null_goes_in_and_comes_out(void **state)
{
    struct kit *kit = *state;
    struct weir_call *call = kit_call(10000);
    struct weir_tx *tx = weir_sql_begin(call, kit->db);
    add(tx, "tea");
    struct find_product_row row;
    assert_true(find_product(tx, "tea", &row));
    assert_null(row.note);
    assert_false(row.has_weight || row.has_image || row.fragile);
    assert_int_equal(weir_sql_commit(tx), WEIR_OK);
    weir_call_background_end(call);
}

static void one_says_whether_there_is_a_row_and_leaves_the_other_alone(void **state)
{
    struct kit *kit = *state;
    struct weir_call *call = kit_call(10000);
    struct find_product_row row = {.price_minor = 7};
    assert_int_equal(find_product_read(call, kit->db, "none", &row), WEIR_NOT_FOUND);
    struct weir_tx *tx = weir_sql_begin(call, kit->db);
    assert_false(find_product(tx, "none", &row));
    assert_int_equal(weir_sql_status(tx), WEIR_OK);
    assert_int_equal(row.price_minor, 7);
    add(tx, "tea");
    assert_int_equal(weir_sql_commit(tx), WEIR_OK);
    assert_int_equal(find_product_read(call, kit->db, "tea", &row), WEIR_OK);
    assert_int_equal(row.price_minor, 690);
    weir_call_background_end(call);
}

static void many_gives_one_after_the_other(void **state)
{
    struct kit *kit = *state;
    struct weir_call *call = kit_call(10000);
    struct weir_tx *tx = weir_sql_begin(call, kit->db);
    add(tx, "a");
    add(tx, "b");
    add(tx, "c");
    int64_t threshold = 5;
    assert_int_equal(set_stock(tx, "b", 10, &threshold), 1);
    assert_int_equal(weir_sql_commit(tx), WEIR_OK);

    char seen[64] = "";
    struct list_products_row row;
    struct list_products_rows rows = list_products_read(call, kit->db, "a", 10);
    while (list_products_next(&rows, &row))
        snprintf(seen + strlen(seen), 20, "%s %d %lld, ", row.sku, row.has_left, (long long)row.left);
    assert_int_equal(list_products_end(&rows), WEIR_OK);
    assert_string_equal(seen, "b 1 10, c 0 0, ");

    tx = weir_sql_begin(call, kit->db);
    rows = list_products(tx, "", 1);
    assert_true(list_products_next(&rows, &row));
    assert_string_equal(row.sku, "a");
    assert_false(list_products_next(&rows, &row));
    assert_int_equal(list_products_end(&rows), WEIR_OK);
    assert_int_equal(weir_sql_commit(tx), WEIR_OK);
    weir_call_background_end(call);
}

static void exec_counts_what_it_changed_and_an_error_sticks(void **state)
{
    struct kit *kit = *state;
    struct weir_call *call = kit_call(10000);
    struct weir_tx *tx = weir_sql_begin(call, kit->db);
    add(tx, "tea");
    assert_int_equal(set_stock(tx, "tea", 3, NULL), 1);
    assert_int_equal(take_stock(tx, 2, "tea"), 1);
    assert_int_equal(take_stock(tx, 2, "tea"), 0);
    assert_int_equal(add_product(tx, "tea", "again", 1, NULL, NULL, NULL, false), -1);
    struct find_product_row row;
    assert_false(find_product(tx, "tea", &row));
    assert_int_equal(weir_sql_commit(tx), WEIR_ALREADY_EXISTS);
    assert_int_equal(find_product_read(call, kit->db, "tea", &row), WEIR_NOT_FOUND);
    weir_call_background_end(call);
}

static void an_expression_has_the_type_that_it_says(void **state)
{
    struct kit *kit = *state;
    struct weir_call *call = kit_call(10000);
    struct totals_row row;
    assert_int_equal(totals_read(call, kit->db, &row), WEIR_OK);
    assert_true(row.products == 0 && !row.has_on_hand && row.mean == 0);
    struct weir_tx *tx = weir_sql_begin(call, kit->db);
    add(tx, "a");
    add(tx, "b");
    set_stock(tx, "a", 1, NULL);
    set_stock(tx, "b", 2, NULL);
    assert_true(totals(tx, &row));
    assert_true(row.products == 2 && row.has_on_hand && row.on_hand == 3 && row.mean == 1.5);
    assert_int_equal(weir_sql_commit(tx), WEIR_OK);
    weir_call_background_end(call);
}

static void returning_gives_what_was_changed(void **state)
{
    struct kit *kit = *state;
    struct weir_call *call = kit_call(10000);
    struct weir_tx *tx = weir_sql_begin(call, kit->db);
    add(tx, "a");
    add(tx, "b");
    set_stock(tx, "a", 1, NULL);
    set_stock(tx, "b", 2, NULL);
    struct rename_product_row renamed;
    assert_true(rename_product(tx, "Coffee", "a", &renamed));
    assert_int_equal(renamed.price_minor, 690);
    struct clear_row row;
    struct clear_rows rows = clear(tx, 2, 9);
    assert_true(clear_next(&rows, &row));
    assert_string_equal(row.sku, "b");
    assert_false(clear_next(&rows, &row));
    assert_int_equal(clear_end(&rows), WEIR_OK);
    assert_int_equal(weir_sql_commit(tx), WEIR_OK);
    weir_call_background_end(call);
}

static int found_by(struct weir_tx *tx, const char *name, const int64_t *most)
{
    int count = 0;
    struct search_row row;
    struct search_rows rows = search(tx, name, most);
    while (search_next(&rows, &row))
        count++;
    assert_int_equal(search_end(&rows), WEIR_OK);
    return count;
}

static void what_is_asked_for_null_may_be_left_out(void **state)
{
    struct kit *kit = *state;
    struct weir_call *call = kit_call(10000);
    struct weir_tx *tx = weir_sql_begin(call, kit->db);
    add(tx, "a");
    add(tx, "b");
    int64_t less = 689, more = 690;
    assert_int_equal(found_by(tx, NULL, NULL), 2);
    assert_int_equal(found_by(tx, "T%", &more), 2);
    assert_int_equal(found_by(tx, "x%", NULL), 0);
    assert_int_equal(found_by(tx, NULL, &less), 0);

    double weight = 1.5;
    assert_int_equal(change_product(tx, NULL, &weight, "a"), 1);
    assert_int_equal(change_product(tx, "Coffee", NULL, "a"), 1);
    struct find_product_row row;
    assert_true(find_product(tx, "a", &row));
    assert_string_equal(row.name, "Coffee");
    assert_true(row.has_weight && row.weight == 1.5);
    assert_int_equal(weir_sql_commit(tx), WEIR_OK);
    weir_call_background_end(call);
}

/* ---- At start ---- */

static void refused(struct kit *kit, const char *change, const char *text)
{
    assert_int_equal(kit_run(kit, change), WEIR_OK);
    kit_stop(kit);
    assert_int_equal(kit_start(kit), WEIR_FAILED_PRECONDITION);
    assert_string_equal(kit->error.text, text);
}

static void a_database_that_lacks_a_column_is_an_error_at_start(void **state)
{
    refused(*state, "ALTER TABLE stock DROP COLUMN threshold",
            "set_stock (queries.sql:8) does not fit the database, which its migrations did not make so: "
            "db: table stock has no column named threshold: INSERT INTO stock (sku, on_hand, threshold) "
            "VALUES (?1, ?2, "
            "?3) ON CONFLICT (sku) DO UPDATE SET on_hand = excluded.on_hand, threshold = ?3");
}

static void a_database_whose_column_has_another_type_is_an_error_at_start(void **state)
{
    struct kit *kit = *state;
    assert_int_equal(kit_run(kit, "ALTER TABLE products DROP COLUMN note"), WEIR_OK);
    refused(kit, "ALTER TABLE products ADD COLUMN note BIGINT",
            "find_product (queries.sql:17) does not fit the database, which its migrations did not make so: "
            "db: its column note is BIGINT, not TEXT");
}

static void a_statement_of_other_columns_than_it_says_is_an_error_at_start(void **state)
{
    struct kit *kit = *state;
    static const struct weir_sql_statement statements[] = {
        {.name = "two",
         .place = "by hand",
         .sql = "SELECT sku, name FROM products",
         .parameters = "",
         .columns = "t"},
        {0},
    };
    kit_stop(kit);
    kit->settings.statements = statements;
    assert_int_equal(kit_start(kit), WEIR_FAILED_PRECONDITION);
    assert_string_equal(kit->error.text,
                        "two (by hand) does not fit the database, which its migrations did not make so: "
                        "db: it gives 2 columns, not 1");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_goes_in_comes_out),
        TEST(null_goes_in_and_comes_out),
        TEST(one_says_whether_there_is_a_row_and_leaves_the_other_alone),
        TEST(many_gives_one_after_the_other),
        TEST(exec_counts_what_it_changed_and_an_error_sticks),
        TEST(an_expression_has_the_type_that_it_says),
        TEST(returning_gives_what_was_changed),
        TEST(what_is_asked_for_null_may_be_left_out),
        TEST(a_database_that_lacks_a_column_is_an_error_at_start),
        TEST(a_database_whose_column_has_another_type_is_an_error_at_start),
        TEST(a_statement_of_other_columns_than_it_says_is_an_error_at_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
