/* Configuration: where values come from, and what is printed of them. */
#include "config_kit.h"

static void flags_beat_environment_beats_file_beats_program_beats_default(void **state)
{
    struct fixture *f = *state;
    f->server =
        (struct server){.listen = "0.0.0.0:1", .threads = 2, .body_bytes_max = 2048, .idle_timeout_ms = 20};

    assert_string_equal(
        config_kit_problems(
            f,
            &(struct given){
                .file = "rest:\n  listen: 127.0.0.1:4\n  threads: 4\n  body_bytes_max: 4096\n",
                .environment = "WEIR_REST_THREADS=8 WEIR_REST_LISTEN=[::1]:8 HOME=/",
                .flags = "--rest.listen=unix:/tmp/16",
            }),
        "");
    assert_string_equal(f->server.listen, "unix:/tmp/16");
    assert_int_equal(f->server.threads, 8);
    assert_int_equal(f->server.body_bytes_max, 4096);
    assert_int_equal(f->server.idle_timeout_ms, 20);
    assert_int_equal(f->server.level, 1);
    assert_null(f->server.password);
}

static void every_type_is_read(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(
        config_kit_problems(
            f,
            &(struct given){
                .file = "rest: {listen: 'localhost:0', threads: 64, offset: -9223372036854775808,\n"
                        "       verbose: true, level: warn, password: \"a: #b\\n\"}\n",
            }),
        "");
    assert_string_equal(f->server.listen, "localhost:0");
    assert_int_equal(f->server.threads, 64);
    assert_true(f->server.offset == INT64_MIN);
    assert_true(f->server.verbose);
    assert_int_equal(f->server.level, 2);
    assert_string_equal(f->server.password, "a: #b\n");
}

static void without_a_file_there_are_defaults(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(config_kit_problems(f, &(struct given){0}), "");
    assert_null(f->server.listen);
    assert_int_equal(f->server.threads, 1);
    assert_int_equal(f->server.body_bytes_max, 1048576);
}

static void empty_files_and_sections_are_fine(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(config_kit_problems(f, &(struct given){.file = "# nothing\n---\nrest:\n"}), "");
}

static void flags_take_their_value_from_the_next_word_too(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(
        config_kit_problems(f,
                            &(struct given){.flags = "--rest.threads 3 --rest.offset -5 --rest.threads=4"}),
        "");
    assert_int_equal(f->server.threads, 4);
    assert_int_equal(f->server.offset, -5);
}

static void names_with_dashes_and_dots_have_variables_with_underscores(void **state)
{
    struct fixture *f = *state;
    config_kit_load(f, &(struct given){.environment = "WEIR_ORDER_EVENTS_V1_THREADS=7"});
    assert_true(config_section(f->config, "order-events.v1", config_kit_keys, &f->server));
    assert_true(config_finish(f->config, &f->problems));
    assert_int_equal(f->server.threads, 7);
}

static void a_section_may_be_declared_by_several_tables(void **state)
{
    struct fixture *f = *state;
    static const struct weir_config_key times[] = {
        {"finish_min_ms", WEIR_CONFIG_INT, 0, .fallback = "0", .help = "reserved for its end, in ms",
         .max = 60000},
        {0},
    };
    int64_t finish_min_ms = 0;
    config_kit_load(f, &(struct given){.file = "rest: {threads: 2, finish_min_ms: 300, finish_min: 1}\n"});
    assert_true(config_section(f->config, "rest", config_kit_keys, &f->server));
    assert_true(config_section(f->config, "rest", times, &finish_min_ms));
    assert_int_equal(finish_min_ms, 300);

    assert_false(config_finish(f->config, &f->problems));
    assert_string_equal(weir_buffer_text(&f->problems),
                        "t.yaml:1: rest.finish_min: unknown key; did you mean finish_min_ms?\n");
}

static void a_value_asked_for_twice_is_wrong_once(void **state)
{
    struct fixture *f = *state;
    config_kit_load(f, &(struct given){.file = "rest: {threads: 0}\n"});
    assert_false(config_section(f->config, "rest", config_kit_keys, &f->server));
    assert_false(config_section(f->config, "rest", config_kit_keys, &f->server));
    assert_false(config_finish(f->config, &f->problems));
    assert_string_equal(weir_buffer_text(&f->problems),
                        "t.yaml:1: rest.threads: 0 is out of range: 1 to 64\n");
}

static void a_bad_value_is_replaced_by_the_default(void **state)
{
    struct fixture *f = *state;
    f->server.threads = 2;
    config_kit_problems(f, &(struct given){.file = "rest: {threads: 65, body_bytes_max: x}\n"});
    assert_int_equal(f->server.threads, 2);
    assert_int_equal(f->server.body_bytes_max, 1048576);
}

static void the_programs_own_values_are_checked_and_copied(void **state)
{
    struct fixture *f = *state;
    char listen[] = "127.0.0.1:80";
    f->server = (struct server){.listen = listen, .threads = 1000, .level = 7};
    assert_string_equal(config_kit_problems(f, &(struct given){0}),
                        "program: rest.threads: 1000 is out of range: 1 to 64\n"
                        "program: rest.level: expected one of debug, info, warn, found \"7\"\n");
    memset(listen, 'x', sizeof listen - 1);
    assert_string_equal(f->server.listen, "127.0.0.1:80");
}

static void a_required_key_that_is_missing_says_where_it_goes(void **state)
{
    struct fixture *f = *state;
    static const struct weir_config_key keys[] = {
        {"url", WEIR_CONFIG_TEXT, 0, .help = "database", .required = true}, {0}};
    const char *url = NULL;
    config_kit_load(f, &(struct given){0});
    assert_false(config_section(f->config, "db", keys, &url));
    assert_false(config_finish(f->config, &f->problems));
    assert_string_equal(weir_buffer_text(&f->problems),
                        "db.url: required, and set nowhere: in t.yaml, as WEIR_DB_URL or as --db.url\n");
}

static void a_secret_is_in_no_message(void **state)
{
    struct fixture *f = *state;
    static const struct weir_config_key keys[] = {
        {"pin", WEIR_CONFIG_INT, 0, .help = "pin", .min = 1, .max = 9, .secret = true}, {0}};
    int64_t pin = 0;
    config_kit_load(f, &(struct given){.environment = "WEIR_DB_PIN=4711"});
    config_section(f->config, "db", keys, &pin);
    config_finish(f->config, &f->problems);
    assert_string_equal(weir_buffer_text(&f->problems),
                        "environment: WEIR_DB_PIN: *** is out of range: 1 to 9\n");
}

static void a_file_that_is_named_must_exist(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(config_kit_problems(f, &(struct given){.file = "bad", .flags = "--config none.yaml"}),
                        "none.yaml: cannot open: No such file or directory\n");
}

static void a_directory_is_no_file(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(config_kit_problems(f, &(struct given){.flags = "--config=/"}),
                        "/: cannot read: Is a directory\n");
}

static void a_huge_file_is_refused(void **state)
{
    struct fixture *f = *state;
    size_t size = 1024 * 1024 + 1;
    char *text = malloc(size);
    memset(text, '\n', size);
    config_kit_write("t.yaml", text, size);
    free(text);
    assert_string_equal(config_kit_problems(f, &(struct given){0}), "t.yaml: larger than 1048576 bytes\n");
}

static void the_flag_beats_the_variable_that_names_the_file(void **state)
{
    struct fixture *f = *state;
    config_kit_write("other.yaml", "rest: {threads: 5}\n", 19);
    assert_string_equal(config_kit_problems(f, &(struct given){.environment = "WEIR_CONFIG=none.yaml",
                                                               .flags = "--config other.yaml"}),
                        "");
    assert_int_equal(f->server.threads, 5);
}

static void the_variable_names_the_file(void **state)
{
    struct fixture *f = *state;
    config_kit_write("other.yaml", "rest: {threads: 5}\n", 19);
    assert_string_equal(config_kit_problems(f, &(struct given){.environment = "WEIR_CONFIG=other.yaml"}), "");
    assert_int_equal(f->server.threads, 5);
}

static void the_command_line_gives_the_mode(void **state)
{
    (void)state;
    static const struct {
        const char *flags;
        enum config_mode mode;
        const char *format;
    } cases[] = {
        {"", CONFIG_RUN, "text"},
        {"--help", CONFIG_HELP, "text"},
        {"-h", CONFIG_HELP, "text"},
        {"--version", CONFIG_VERSION, "text"},
        {"--check-config --rest.threads=2", CONFIG_CHECK, "text"},
        {"--rest.threads=2 --print-config", CONFIG_PRINT, "text"},
        {"--plan", CONFIG_PLAN, "text"},
        {"--plan=json", CONFIG_PLAN, "json"},
        {"--plan=dot", CONFIG_PLAN, "dot"},
        {"--plan=kubernetes", CONFIG_PLAN, "kubernetes"},
        {"--plan=systemd", CONFIG_PLAN, "systemd"},
        {"--migrate", CONFIG_MIGRATE, "text"},
        {"--migrate=dry-run", CONFIG_MIGRATE_DRY, "text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        void *mine;
        assert_int_equal(config_kit_set_up(&mine), 0);
        struct fixture *f = mine;
        assert_string_equal(config_kit_problems(f, &(struct given){.flags = cases[i].flags}), "");
        assert_int_equal(config_mode(f->config), cases[i].mode);
        assert_string_equal(config_plan_format(f->config), cases[i].format);
        assert_int_equal(config_kit_tear_down(&mine), 0);
    }
}

/* What `show` writes. */
static const char *text_of(struct fixture *f, void (*show)(const struct config *config, FILE *out))
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    show(f->config, out);
    fclose(out);
    weir_buffer_append(&f->printed, text, size);
    free(text);
    return weir_buffer_text(&f->printed);
}

static void printed_configuration_has_values_and_sources_but_no_secrets(void **state)
{
    struct fixture *f = *state;
    static struct weir_config_key admin_keys[sizeof config_kit_keys / sizeof config_kit_keys[0]];
    memcpy(admin_keys, config_kit_keys, sizeof config_kit_keys);
    static const struct weir_config_key cuts[] = {
        {"cut_min_ms", WEIR_CONFIG_INT, 0, .fallback = "250", .help = "in ms", .min = 10, .max = 60000}, {0}};
    int64_t cut_min_ms = 0;
    struct server other = {.listen = "unix:/run/\"x\""};
    config_kit_load(f, &(struct given){.file = "rest:\n  password: hunter2\n  threads: 3\n",
                                       .environment = "WEIR_REST_LEVEL=warn",
                                       .flags = "--rest.verbose=true"});
    config_section(f->config, "rest", config_kit_keys, &f->server);
    config_section(f->config, "admin", admin_keys, &other);
    config_section(f->config, "rest", cuts, &cut_min_ms);

    assert_string_equal(text_of(f, config_print), "rest:\n"
                                                  "  # listen: not set\n"
                                                  "  threads: 3  # t.yaml:3\n"
                                                  "  body_bytes_max: 1048576  # default\n"
                                                  "  idle_timeout_ms: 60000  # default\n"
                                                  "  # offset: not set\n"
                                                  "  verbose: true  # command line\n"
                                                  "  level: \"warn\"  # environment\n"
                                                  "  password: \"***\"  # t.yaml:2\n"
                                                  "  cut_min_ms: 250  # default\n"
                                                  "admin:\n"
                                                  "  listen: \"unix:/run/\\\"x\\\"\"  # program\n"
                                                  "  threads: 1  # default\n"
                                                  "  body_bytes_max: 1048576  # default\n"
                                                  "  idle_timeout_ms: 60000  # default\n"
                                                  "  # offset: not set\n"
                                                  "  verbose: false  # default\n"
                                                  "  level: \"info\"  # default\n"
                                                  "  # password: not set\n");
}

static void help_lists_every_key_with_type_range_and_default(void **state)
{
    struct fixture *f = *state;
    config_kit_problems(f, &(struct given){.flags = "--help"});
    const char *keys = strstr(text_of(f, config_help), "\nrest:\n");
    assert_non_null(keys);
    assert_string_equal(
        keys, "\nrest:\n"
              "  listen                     where it listens (HOST:PORT, [V6]:PORT or unix:PATH)\n"
              "  threads                    threads that serve (an integer, 1 to 64; default 1)\n"
              "  body_bytes_max             bytes (an integer, at least 1024 bytes; default 1048576)\n"
              "  idle_timeout_ms            in ms (an integer, 10 to 3600000 ms; default 60000)\n"
              "  offset                     any number (an integer)\n"
              "  verbose                    says more (true or false; default false)\n"
              "  level                      how much (one of debug, info, warn; default info)\n"
              "  password                   opens it (text)\n");
}

static const struct weir_config_key times[] = {
    {"cut_min_ms", WEIR_CONFIG_INT, 0, .help = "to be cut, in ms"},
    {"drain_max_ms", WEIR_CONFIG_INT, sizeof(int64_t), .help = "to drain, in ms"},
    {0},
};
static const struct weir_config_key urls[] = {
    {"url", WEIR_CONFIG_TEXT, 0, .help = "where it is", .required = true},
    {0},
};

static void help_lists_a_table_that_sections_share_once(void **state)
{
    struct fixture *f = *state;
    int64_t ms[2] = {0};
    const char *url = "x";
    config_kit_load(f, &(struct given){0});
    config_section(f->config, "admin", times, ms);
    config_section(f->config, "db", urls, &url);
    config_section(f->config, "db", times, ms);
    const char *keys = strstr(text_of(f, config_help), "\ndb:\n");
    assert_non_null(keys);
    assert_string_equal(keys, "\ndb:\n"
                              "  url                        where it is (text; required)\n"
                              "\nadmin, db:\n"
                              "  cut_min_ms                 to be cut, in ms (an integer)\n"
                              "  drain_max_ms               to drain, in ms (an integer)\n");
}

static void printed_configuration_leaves_out_shared_keys_that_are_not_set(void **state)
{
    struct fixture *f = *state;
    int64_t ms[2] = {0};
    const char *url = "x";
    config_kit_load(f, &(struct given){.flags = "--db.drain_max_ms=5"});
    config_section(f->config, "admin", times, ms);
    config_section(f->config, "db", urls, &url);
    config_section(f->config, "db", times, ms);
    assert_string_equal(text_of(f, config_print), "db:\n"
                                                  "  url: \"x\"  # program\n"
                                                  "  drain_max_ms: 5  # command line\n");
}

static void note_reload(void *self, const void *options)
{
    *(int64_t *)self = ((const struct server *)options)->threads;
}

static void keys_that_are_read_again_say_so(void **state)
{
    struct fixture *f = *state;
    static const struct weir_config_key live[] = {
        {"threads", WEIR_CONFIG_INT, offsetof(struct server, threads), .fallback = "1", .help = "that serve"},
        {0}};
    config_kit_load(f, &(struct given){.file = "rest: {threads: 3}\n"});
    config_section_live(f->config, "rest", live, &f->server, sizeof f->server, note_reload, NULL);
    assert_string_equal(text_of(f, config_print), "rest:\n  threads: 3  # t.yaml:1; SIGHUP reads it again\n");
    assert_non_null(
        strstr(text_of(f, config_help), "that serve (an integer; default 1; SIGHUP reads it again)\n"));
}

/* As often as somebody likes: nothing piles up but what has changed. */
static void it_is_read_again_as_often_as_asked(void **state)
{
    struct fixture *f = *state;
    static const struct weir_config_key live[] = {
        {"threads", WEIR_CONFIG_INT, offsetof(struct server, threads), .fallback = "1", .help = "that serve"},
        {0}};
    int64_t told = 0;
    f->server.threads = 9; /* the author's default */
    config_kit_load(f, &(struct given){.file = "rest: {threads: 3}\n"});
    config_section_live(f->config, "rest", live, &f->server, sizeof f->server, note_reload, &told);
    assert_true(config_finish(f->config, &f->problems));
    static const struct {
        const char *file;
        bool good;
        int64_t told;
        const char *reloaded, *problems;
    } steps[] = {
        {"rest: {threads: 4}\n", true, 4, "rest.threads", ""},
        {"rest: {threads: 4}\n", true, 0, "", ""},
        {"rest: {threads: x}\n", false, 0, "", "t.yaml:1: rest.threads: expected an integer, found \"x\"\n"},
        {"\n", true, 9, "rest.threads", ""},
        {"db: {}\n", false, 0, "", "t.yaml:1: db: unknown section; --help lists all\n"},
        {"rest: {threads: 4}\n", true, 4, "rest.threads", ""},
    };
    for (size_t i = 0; i < 600; i++) {
        size_t step = i % (sizeof steps / sizeof steps[0]);
        struct config_changes changes = {0};
        bool same_as_before = i > 0 && step == 0; /* the list ends as it begins */
        told = 0;
        config_kit_write("t.yaml", steps[step].file, strlen(steps[step].file));
        assert_int_equal(config_reload(f->config, &changes), steps[step].good);
        assert_int_equal(told, same_as_before ? 0 : steps[step].told);
        assert_string_equal(weir_buffer_text(&changes.reloaded), same_as_before ? "" : steps[step].reloaded);
        assert_string_equal(weir_buffer_text(&changes.fixed), "");
        assert_string_equal(weir_buffer_text(&changes.problems), steps[step].problems);
        config_changes_free(&changes);
    }
}

static void somebody_elses_problems_are_listed_too(void **state)
{
    struct fixture *f = *state;
    config_problem(f->config, "component rest: added twice");
    assert_string_equal(config_kit_problems(f, &(struct given){0}), "component rest: added twice\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFIG_TEST(flags_beat_environment_beats_file_beats_program_beats_default),
        CONFIG_TEST(every_type_is_read),
        CONFIG_TEST(without_a_file_there_are_defaults),
        CONFIG_TEST(empty_files_and_sections_are_fine),
        CONFIG_TEST(flags_take_their_value_from_the_next_word_too),
        CONFIG_TEST(names_with_dashes_and_dots_have_variables_with_underscores),
        CONFIG_TEST(a_section_may_be_declared_by_several_tables),
        CONFIG_TEST(a_value_asked_for_twice_is_wrong_once),
        CONFIG_TEST(a_bad_value_is_replaced_by_the_default),
        CONFIG_TEST(the_programs_own_values_are_checked_and_copied),
        CONFIG_TEST(a_required_key_that_is_missing_says_where_it_goes),
        CONFIG_TEST(a_secret_is_in_no_message),
        CONFIG_TEST(a_file_that_is_named_must_exist),
        CONFIG_TEST(a_directory_is_no_file),
        CONFIG_TEST(a_huge_file_is_refused),
        CONFIG_TEST(the_flag_beats_the_variable_that_names_the_file),
        CONFIG_TEST(the_variable_names_the_file),
        cmocka_unit_test(the_command_line_gives_the_mode),
        CONFIG_TEST(printed_configuration_has_values_and_sources_but_no_secrets),
        CONFIG_TEST(help_lists_every_key_with_type_range_and_default),
        CONFIG_TEST(keys_that_are_read_again_say_so),
        CONFIG_TEST(it_is_read_again_as_often_as_asked),
        CONFIG_TEST(help_lists_a_table_that_sections_share_once),
        CONFIG_TEST(printed_configuration_leaves_out_shared_keys_that_are_not_set),
        CONFIG_TEST(somebody_elses_problems_are_listed_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
