/* Statuses, errors, buffers, arenas, ids. */
#include "test.h"

#include <weir/arena.h>
#include <weir/bytes.h>
#include <weir/clock.h>
#include <weir/error.h>
#include <weir/id.h>
#include <weir/status.h>

#include "core/random.h"
#include "core/sha256.h"

static void every_status_has_a_name_that_is_read_back(void **state)
{
    (void)state;
    for (int i = WEIR_OK; i <= WEIR_UNAUTHENTICATED; i++) {
        enum weir_status back = WEIR_PENDING;
        assert_true(weir_status_parse(weir_status_name((enum weir_status)i), &back));
        assert_int_equal(back, i);
    }
    assert_string_equal(weir_status_name((enum weir_status)42), "UNKNOWN");
}

static void a_long_error_is_cut_with_dots(void **state)
{
    (void)state;
    struct weir_error err = {0};
    char *text = malloc(2000);
    memset(text, 'x', 1999);
    text[1999] = 0;

    assert_int_equal(weir_fail(&err, WEIR_NOT_FOUND, "%s", text), WEIR_NOT_FOUND);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_string_equal(err.text + sizeof err.text - 5, "x...");

    assert_int_equal(weir_error_prefix(&err, "order"), WEIR_NOT_FOUND);
    assert_memory_equal(err.text, "order: xxx", 10);
    assert_string_equal(err.text + sizeof err.text - 5, "x...");
    free(text);
}

static void an_error_without_a_place_is_only_a_status(void **state)
{
    (void)state;
    assert_int_equal(weir_fail(NULL, WEIR_ABORTED, "nobody reads this"), WEIR_ABORTED);
}

static void a_buffer_grows_and_keeps_what_it_has(void **state)
{
    (void)state;
    struct weir_buffer buffer = {0};
    for (int i = 0; i < 1000; i++)
        weir_buffer_printf(&buffer, "%d,", i);
    weir_buffer_append_byte(&buffer, '!');

    const char *text = weir_buffer_text(&buffer);
    assert_memory_equal(text, "0,1,2,3,", 8);
    assert_string_equal(text + buffer.size - 4, "99,!");
    weir_buffer_free(&buffer);
    assert_null(buffer.data);
}

static void an_arena_gives_aligned_memory_and_forgets_it_at_reset(void **state)
{
    (void)state;
    struct weir_arena *arena = weir_arena_new();
    for (size_t size = 1; size < 20000; size = size * 3 + 1) {
        char *memory = weir_arena_alloc(arena, size);
        assert_int_equal((uintptr_t)memory % 16, 0);
        memset(memory, 'x', size);
    }
    assert_string_equal(weir_arena_printf(arena, "%s-%d", "sku", 7), "sku-7");
    assert_true(weir_arena_used(arena) > 14000);

    weir_arena_reset(arena);
    assert_int_equal(weir_arena_used(arena), 0);
    assert_string_equal(weir_arena_strdup(arena, "tea"), "tea");
    assert_null(weir_arena_strdup(arena, NULL));
    weir_arena_destroy(arena);
}

static void ids_are_valid_version_7_and_strictly_increase(void **state)
{
    (void)state;
    char last[WEIR_ID_SIZE] = "";
    for (int i = 0; i < 20000; i++) {
        char id[WEIR_ID_SIZE];
        weir_id_new(id);
        assert_true(weir_id_valid(id));
        assert_int_equal(id[14], '7');
        assert_true(strcmp(last, id) < 0);
        memcpy(last, id, sizeof id);
    }
    assert_false(weir_id_valid("018f6a0e-7c1a-7000-8000-00000000000"));
    assert_false(weir_id_valid("018f6a0e-7c1a-7000-8000-0000000000000"));
    assert_false(weir_id_valid("018f6a0e-7c1a-7000-8000-00000000000g"));
    assert_false(weir_id_valid(""));
}

static int64_t fake_now(void *self)
{
    return *(int64_t *)self;
}

static void the_clock_can_be_a_tests_own(void **state)
{
    (void)state;
    int64_t now = 5 * WEIR_NS_PER_S;
    struct weir_clock_source source = {.now_ns = fake_now, .unix_ns = fake_now, .self = &now};
    weir_clock_set_source(&source);

    assert_int_equal(weir_deadline_in_ms(100), now + 100 * WEIR_NS_PER_MS);
    assert_int_equal(weir_deadline_in_ms(-1), WEIR_NEVER);
    assert_int_equal(weir_deadline_in_ms(INT64_MAX), WEIR_NEVER);

    weir_clock_set_source(NULL);
    assert_true(weir_now_ns() != now);
}

static void a_digest_is_that_of_the_standard(void **state)
{
    (void)state;
    static const struct {
        const char *text, *digest;
    } known[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmno"
         "p"
         "qrstnopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct sha256 sha256;
        uint8_t digest[SHA256_SIZE];
        char hex[2 * SHA256_SIZE + 1];
        sha256_init(&sha256);
        for (const char *at = known[i].text; *at; at++)
            sha256_add(&sha256, at, 1);
        sha256_end(&sha256, digest);
        hex_of_bytes(digest, sizeof digest, hex);
        assert_string_equal(hex, known[i].digest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_name_that_is_read_back),
        cmocka_unit_test(a_digest_is_that_of_the_standard),
        cmocka_unit_test(a_long_error_is_cut_with_dots),
        cmocka_unit_test(an_error_without_a_place_is_only_a_status),
        cmocka_unit_test(a_buffer_grows_and_keeps_what_it_has),
        cmocka_unit_test(an_arena_gives_aligned_memory_and_forgets_it_at_reset),
        cmocka_unit_test(ids_are_valid_version_7_and_strictly_increase),
        cmocka_unit_test(the_clock_can_be_a_tests_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
