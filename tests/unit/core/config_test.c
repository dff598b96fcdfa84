/* Configuration: where values come from, and what each mistake is told. Each test works in a directory of its
 * own. */
#include "test.h"

#include <stdio.h>
#include <unistd.h>

#include "core/config.h"

struct server {
    const char *listen;
    int64_t threads, body_bytes_max, idle_timeout_ms, offset;
    bool verbose;
    int level;
    const char *password;
};

static const char *const levels[] = {"debug", "info", "warn", NULL};

static const struct weir_config_key server_keys[] = {
    {"listen", WEIR_CONFIG_LISTEN, offsetof(struct server, listen), .help = "where it listens"},
    {"threads", WEIR_CONFIG_INT, offsetof(struct server, threads), .fallback = "1",
     .help = "threads that serve", .min = 1, .max = 64},
    {"body_bytes_max", WEIR_CONFIG_INT, offsetof(struct server, body_bytes_max), .fallback = "1048576",
     .help = "bytes", .min = 1024, .max = INT64_MAX},
    {"idle_timeout_ms", WEIR_CONFIG_INT, offsetof(struct server, idle_timeout_ms), .fallback = "60000",
     .help = "in ms", .min = 10, .max = 3600000},
    {"offset", WEIR_CONFIG_INT, offsetof(struct server, offset), .help = "any number"},
    {"verbose", WEIR_CONFIG_BOOL, offsetof(struct server, verbose), .fallback = "false", .help = "says more"},
    {"level", WEIR_CONFIG_CHOICE, offsetof(struct server, level), .fallback = "info", .help = "how much",
     .choices = levels},
    {"password", WEIR_CONFIG_TEXT, offsetof(struct server, password), .help = "opens it", .secret = true},
    {0},
};

struct fixture {
    char directory[32];
    struct config *config;
    struct weir_buffer problems, printed;
    struct server server;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->directory, "/tmp/config_test_XXXXXX");
    *state = f;
    f->config = config_new("t");
    return mkdtemp(f->directory) ? chdir(f->directory) : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    config_destroy(f->config);
    weir_buffer_free(&f->problems);
    weir_buffer_free(&f->printed);
    unlink("t.yaml");
    unlink("other.yaml");
    int failed = chdir("/") | rmdir(f->directory);
    free(f);
    return failed;
}

static void write_file(const char *name, const char *text, size_t size)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    fclose(file);
}

/* Both lists are words separated by spaces. */
struct given {
    const char *file; /* t.yaml; NULL: none */
    const char *environment, *flags;
};

static size_t split(char *words, char **ret_list, size_t count)
{
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        ret_list[count++] = word;
    ret_list[count] = NULL;
    return count;
}

static void load(struct fixture *f, const struct given *given)
{
    char words[2][512], *argv[16] = {"t"}, *environment[16];
    snprintf(words[0], sizeof words[0], "%s", given->flags ? given->flags : "");
    snprintf(words[1], sizeof words[1], "%s", given->environment ? given->environment : "");
    if (given->file)
        write_file("t.yaml", given->file, strlen(given->file));
    size_t argc = split(words[0], argv, 1);
    split(words[1], environment, 0);
    config_load(f->config, (int)argc, argv, environment);
}

/* All there is to do for one component "rest"; gives the problems. */
static const char *problems_of(struct fixture *f, const struct given *given)
{
    load(f, given);
    config_section(f->config, "rest", server_keys, &f->server);
    config_finish(f->config, &f->problems);
    return weir_buffer_text(&f->problems);
}

static void flags_beat_environment_beats_file_beats_program_beats_default(void **state)
{
    struct fixture *f = *state;
    f->server =
        (struct server){.listen = "0.0.0.0:1", .threads = 2, .body_bytes_max = 2048, .idle_timeout_ms = 20};

    assert_string_equal(
        problems_of(f,
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
        problems_of(f,
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
    assert_string_equal(problems_of(f, &(struct given){0}), "");
    assert_null(f->server.listen);
    assert_int_equal(f->server.threads, 1);
    assert_int_equal(f->server.body_bytes_max, 1048576);
}

static void empty_files_and_sections_are_fine(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(problems_of(f, &(struct given){.file = "# nothing\n---\nrest:\n"}), "");
}

static void flags_take_their_value_from_the_next_word_too(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(
        problems_of(f, &(struct given){.flags = "--rest.threads 3 --rest.offset -5 --rest.threads=4"}), "");
    assert_int_equal(f->server.threads, 4);
    assert_int_equal(f->server.offset, -5);
}

static void names_with_dashes_and_dots_have_variables_with_underscores(void **state)
{
    struct fixture *f = *state;
    load(f, &(struct given){.environment = "WEIR_ORDER_EVENTS_V1_THREADS=7"});
    assert_true(config_section(f->config, "order-events.v1", server_keys, &f->server));
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
    load(f, &(struct given){.file = "rest: {threads: 2, finish_min_ms: 300, finish_min: 1}\n"});
    assert_true(config_section(f->config, "rest", server_keys, &f->server));
    assert_true(config_section(f->config, "rest", times, &finish_min_ms));
    assert_int_equal(finish_min_ms, 300);

    assert_false(config_finish(f->config, &f->problems));
    assert_string_equal(weir_buffer_text(&f->problems),
                        "t.yaml:1: rest.finish_min: unknown key; did you mean finish_min_ms?\n");
}

static void a_value_asked_for_twice_is_wrong_once(void **state)
{
    struct fixture *f = *state;
    load(f, &(struct given){.file = "rest: {threads: 0}\n"});
    assert_false(config_section(f->config, "rest", server_keys, &f->server));
    assert_false(config_section(f->config, "rest", server_keys, &f->server));
    assert_false(config_finish(f->config, &f->problems));
    assert_string_equal(weir_buffer_text(&f->problems),
                        "t.yaml:1: rest.threads: 0 is out of range: 1 to 64\n");
}

static void each_mistake_is_told_with_its_place(void **state)
{
    (void)state;
#define LISTEN "expected HOST:PORT, [V6]:PORT or unix:PATH, found "
    static const struct {
        struct given given;
        const char *problems;
    } cases[] = {
        /* Names. */
        {{.file = "rest:\n  listn: x\n"}, "t.yaml:2: rest.listn: unknown key; did you mean listen?\n"},
        {{.file = "rest:\n  colour: x\n"}, "t.yaml:2: rest.colour: unknown key; --help lists all\n"},
        {{.file = "rest: {}\nrset: {listen: 1, x: 2}\n"},
         "t.yaml:2: rset: unknown section; did you mean rest?\n"},
        {{.file = "grpc:\n  listen: x\n"}, "t.yaml:1: grpc: unknown section; --help lists all\n"},
        {{.environment = "WEIR_REST_THREDS=1"},
         "environment: WEIR_REST_THREDS: unknown variable; did you mean WEIR_REST_THREADS?\n"},
        {{.environment = "WEIR_X=1"}, "environment: WEIR_X: unknown variable; --help lists all\n"},
        {{.environment = "WEIR_DESCRIPTORS=x.pb"}, ""}, /* the command weir's */
        {{.environment = "WEIR_NO_INSTALL=1"}, ""},     /* ./dev's */
        {{.flags = "--rest.listn=x"}, "command line: --rest.listn: unknown key; did you mean listen?\n"},
        {{.flags = "--rset.listen=x"}, "command line: --rset.listen: unknown section; did you mean rest?\n"},
        {{.flags = "--print-confg"},
         "command line: --print-confg: unknown flag; did you mean --print-config?\n"},
        {{.flags = "--help=me"}, "command line: --help: takes no value\n"},
        {{.flags = "-v"}, "command line: -v: unknown flag; --help lists all\n"},
        {{.flags = "serve"}, "command line: \"serve\": unexpected; values follow a --SECTION.KEY\n"},
        {{.flags = "--rest.threads"}, "command line: --rest.threads: needs a value\n"},
        {{.flags = "--rest.threads --help"}, "command line: --rest.threads: needs a value\n"},
        {{.flags = "--config"},
         "command line: --config: needs a value\n"
         "t.yaml: cannot open: No such file or directory\n"},
        {{.flags = "--plan=svg"},
         "command line: --plan: expected text, json, dot, kubernetes or systemd, found \"svg\"\n"},

        /* Types. */
        {{.file = "rest: {threads: many}\n"},
         "t.yaml:1: rest.threads: expected an integer, found \"many\"\n"},
        {{.file = "rest: {threads: 1.5}\n"}, "t.yaml:1: rest.threads: expected an integer, found \"1.5\"\n"},
        {{.file = "rest: {threads: '-'}\n"}, "t.yaml:1: rest.threads: expected an integer, found \"-\"\n"},
        {{.file = "rest:\n  threads: [1]\n"}, "t.yaml:2: rest.threads: expected an integer, found a list\n"},
        {{.file = "rest:\n  level: {a: b}\n"},
         "t.yaml:2: rest.level: expected one of debug, info, warn, found a mapping\n"},
        {{.file = "rest:\n  password:\n"}, "t.yaml:2: rest.password: expected text, found nothing\n"},
        {{.file = "rest: {password: \"a\\0b\"}\n"},
         "t.yaml:1: rest.password: expected text, found text with a NUL\n"},
        {{.file = "rest: {verbose: yes}\n"},
         "t.yaml:1: rest.verbose: expected true or false, found \"yes\"\n"},
        {{.file = "rest: {level: inof}\n"},
         "t.yaml:1: rest.level: expected one of debug, info, warn, found \"inof\"; did you mean info?\n"},
        {{.file = "rest: {level: loud}\n"},
         "t.yaml:1: rest.level: expected one of debug, info, warn, found \"loud\"\n"},
        {{.environment = "WEIR_REST_THREADS="},
         "environment: WEIR_REST_THREADS: expected an integer, found \"\"\n"},

        /* Ranges. */
        {{.file = "rest: {threads: 65}\n"}, "t.yaml:1: rest.threads: 65 is out of range: 1 to 64\n"},
        {{.file = "rest: {threads: 99999999999999999999}\n"},
         "t.yaml:1: rest.threads: 99999999999999999999 is out of range: 1 to 64\n"},
        {{.file = "rest: {offset: 99999999999999999999}\n"},
         "t.yaml:1: rest.offset: 99999999999999999999 is out of range: 64 bits\n"},
        {{.environment = "WEIR_REST_IDLE_TIMEOUT_MS=5"},
         "environment: WEIR_REST_IDLE_TIMEOUT_MS: 5 is out of range: 10 to 3600000 ms\n"},
        {{.flags = "--rest.body_bytes_max 1"},
         "command line: --rest.body_bytes_max: 1 is out of range: at least 1024 bytes\n"},

        /* Addresses. */
        {{.file = "rest: {listen: localhost}\n"},
         "t.yaml:1: rest.listen: " LISTEN "\"localhost\": the port is missing\n"},
        {{.file = "rest: {listen: ':80'}\n"},
         "t.yaml:1: rest.listen: " LISTEN
         "\":80\": the host is missing (0.0.0.0 or [::] for all interfaces)\n"},
        {{.file = "rest: {listen: 'a:65536'}\n"},
         "t.yaml:1: rest.listen: " LISTEN "\"a:65536\": the port is not 0 to 65535\n"},
        {{.file = "rest: {listen: 'a:+1'}\n"},
         "t.yaml:1: rest.listen: " LISTEN "\"a:+1\": the port is not 0 to 65535\n"},
        {{.file = "rest: {listen: '::1:80'}\n"},
         "t.yaml:1: rest.listen: " LISTEN "\"::1:80\": an IPv6 address stands in [ ]\n"},
        {{.file = "rest: {listen: '[::1]'}\n"},
         "t.yaml:1: rest.listen: " LISTEN "\"[::1]\": the port is missing\n"},
        {{.file = "rest: {listen: '[::1:80'}\n"},
         "t.yaml:1: rest.listen: " LISTEN "\"[::1:80\": ] is missing\n"},
        {{.file = "rest: {listen: '[1.2.3.4]:80'}\n"},
         "t.yaml:1: rest.listen: " LISTEN "\"[1.2.3.4]:80\": no IPv6 address stands between [ and ]\n"},
        {{.file = "rest: {listen: 'http://a:80'}\n"},
         "t.yaml:1: rest.listen: " LISTEN "\"http://a:80\": an IPv6 address stands in [ ]\n"},
        {{.file = "rest: {listen: 'a b:80'}\n"},
         "t.yaml:1: rest.listen: " LISTEN "\"a b:80\": the host has a character that no host name has\n"},
        {{.file = "rest: {listen: 'unix:'}\n"},
         "t.yaml:1: rest.listen: " LISTEN "\"unix:\": the path is missing\n"},

        /* Shape. */
        {{.file = "rest: {threads: 1}\nrest: {threads: 2}\n"},
         "t.yaml:2: rest: section given twice; first in line 1\n"},
        {{.file = "rest:\n  threads: 1\n  offset: 3\n  threads: 2\n"},
         "t.yaml:4: rest.threads: set twice; first in line 2\n"},
        {{.file = "rest: 8080\n"}, "t.yaml:1: rest: expected a section (KEY: VALUE), found a plain value\n"},
        {{.file = "- rest\n"}, "t.yaml:1: expected sections (SECTION: {KEY: VALUE}), found a list\n"},
        {{.file = "rest\n"}, "t.yaml:1: expected sections (SECTION: {KEY: VALUE}), found a plain value\n"},
        {{.file = "[a]: {}\n"}, "t.yaml:1: expected a section's name, found a list\n"},
        {{.file = "rest:\n  ? {a: b}\n  : c\n"}, "t.yaml:2: expected a key's name, found a mapping\n"},
        {{.file = "rest: {\"a\\nb\": 1}\n"}, "t.yaml:1: expected a key's name, found \"a\\nb\"\n"},
        {{.file = "a b: {}\n"}, "t.yaml:1: expected a section's name, found \"a b\"\n"},
        {{.file = "rest: {}\n---\nrest: {}\n"}, "t.yaml:3: a second document; one file is one document\n"},

        /* Syntax. */
        {{.file = "rest: {threads: 1\nlog: x\n"},
         "t.yaml:2: not valid YAML: did not find expected ',' or '}' while parsing a flow mapping\n"},
        {{.file = "rest:\n\tthreads: 1\n"},
         "t.yaml:2: not valid YAML: found character that cannot start any token "
         "while scanning for the next token\n"},
        {{.file = "rest: {password: *nothing}\n"}, "t.yaml:1: not valid YAML: found undefined alias\n"},
        {{.file = "rest:\n  password: \"\xff\"\n"},
         "t.yaml:2: not valid YAML: invalid leading UTF-8 octet\n"},
        {{.file = "rest: {password: 'a\x01'}\n"},
         "t.yaml:1: not valid YAML: control characters are not allowed\n"},

        /* All at once. */
        {{.file = "rest: {threads: x, level: y}\nrst: {}\n",
          .flags = "--rest.offset=z",
          .environment = "WEIR_Y=1"},
         "t.yaml:1: rest.threads: expected an integer, found \"x\"\n"
         "command line: --rest.offset: expected an integer, found \"z\"\n"
         "t.yaml:1: rest.level: expected one of debug, info, warn, found \"y\"\n"
         "environment: WEIR_Y: unknown variable; --help lists all\n"
         "t.yaml:2: rst: unknown section; did you mean rest?\n"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        void *mine;
        assert_int_equal(set_up(&mine), 0);
        const char *problems = problems_of(mine, &cases[i].given);
        assert_string_equal(problems, cases[i].problems);
        assert_int_equal(tear_down(&mine), 0);
    }
}

static void a_bad_value_is_replaced_by_the_default(void **state)
{
    struct fixture *f = *state;
    f->server.threads = 2;
    problems_of(f, &(struct given){.file = "rest: {threads: 65, body_bytes_max: x}\n"});
    assert_int_equal(f->server.threads, 2);
    assert_int_equal(f->server.body_bytes_max, 1048576);
}

static void the_programs_own_values_are_checked_and_copied(void **state)
{
    struct fixture *f = *state;
    char listen[] = "127.0.0.1:80";
    f->server = (struct server){.listen = listen, .threads = 1000, .level = 7};
    assert_string_equal(problems_of(f, &(struct given){0}),
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
    load(f, &(struct given){0});
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
    load(f, &(struct given){.environment = "WEIR_DB_PIN=4711"});
    config_section(f->config, "db", keys, &pin);
    config_finish(f->config, &f->problems);
    assert_string_equal(weir_buffer_text(&f->problems),
                        "environment: WEIR_DB_PIN: *** is out of range: 1 to 9\n");
}

static void a_file_that_is_named_must_exist(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(problems_of(f, &(struct given){.file = "bad", .flags = "--config none.yaml"}),
                        "none.yaml: cannot open: No such file or directory\n");
}

static void a_directory_is_no_file(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(problems_of(f, &(struct given){.flags = "--config=/"}),
                        "/: cannot read: Is a directory\n");
}

static void a_huge_file_is_refused(void **state)
{
    struct fixture *f = *state;
    size_t size = 1024 * 1024 + 1;
    char *text = malloc(size);
    memset(text, '\n', size);
    write_file("t.yaml", text, size);
    free(text);
    assert_string_equal(problems_of(f, &(struct given){0}), "t.yaml: larger than 1048576 bytes\n");
}

static void the_flag_beats_the_variable_that_names_the_file(void **state)
{
    struct fixture *f = *state;
    write_file("other.yaml", "rest: {threads: 5}\n", 19);
    assert_string_equal(problems_of(f, &(struct given){.environment = "WEIR_CONFIG=none.yaml",
                                                       .flags = "--config other.yaml"}),
                        "");
    assert_int_equal(f->server.threads, 5);
}

static void the_variable_names_the_file(void **state)
{
    struct fixture *f = *state;
    write_file("other.yaml", "rest: {threads: 5}\n", 19);
    assert_string_equal(problems_of(f, &(struct given){.environment = "WEIR_CONFIG=other.yaml"}), "");
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
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        void *mine;
        assert_int_equal(set_up(&mine), 0);
        struct fixture *f = mine;
        assert_string_equal(problems_of(f, &(struct given){.flags = cases[i].flags}), "");
        assert_int_equal(config_mode(f->config), cases[i].mode);
        assert_string_equal(config_plan_format(f->config), cases[i].format);
        assert_int_equal(tear_down(&mine), 0);
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
    static struct weir_config_key admin_keys[sizeof server_keys / sizeof server_keys[0]];
    memcpy(admin_keys, server_keys, sizeof server_keys);
    static const struct weir_config_key cuts[] = {
        {"cut_min_ms", WEIR_CONFIG_INT, 0, .fallback = "250", .help = "in ms", .min = 10, .max = 60000}, {0}};
    int64_t cut_min_ms = 0;
    struct server other = {.listen = "unix:/run/\"x\""};
    load(f, &(struct given){.file = "rest:\n  password: hunter2\n  threads: 3\n",
                            .environment = "WEIR_REST_LEVEL=warn",
                            .flags = "--rest.verbose=true"});
    config_section(f->config, "rest", server_keys, &f->server);
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
    problems_of(f, &(struct given){.flags = "--help"});
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
    load(f, &(struct given){0});
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
    load(f, &(struct given){.flags = "--db.drain_max_ms=5"});
    config_section(f->config, "admin", times, ms);
    config_section(f->config, "db", urls, &url);
    config_section(f->config, "db", times, ms);
    assert_string_equal(text_of(f, config_print), "db:\n"
                                                  "  url: \"x\"  # program\n"
                                                  "  drain_max_ms: 5  # command line\n");
}

/* A file that somebody damaged: each run changes a few bytes of a good one, always the same ones. */
static void damaged_files_give_whole_lines_and_nothing_worse(void **state)
{
    (void)state;
    static const char good[] = "rest: {listen: \"[::1]:80\", threads: 4, level: info}\n"
                               "db:\n  url: &a 'x'\n  other: *a\n  more: |\n    text\n"
                               "list: [1, {a: b}, \"\\x41\\u00e9\"]\n# end\n";
    static const char odd[] = "\n :{}[]*&!|>'\"%@`,?-#\t\\\xff\x01\x80z";
    uint32_t random = 1;
    for (int run = 0; run < 2000; run++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        for (int i = 0; i <= run % 4; i++) {
            random = random * 1664525 + 1013904223;
            text[(random >> 8) % (sizeof good - 1)] = odd[random % (sizeof odd - 1)];
        }
        void *mine;
        assert_int_equal(set_up(&mine), 0);
        struct fixture *f = mine;
        write_file("t.yaml", text, sizeof good - 1);
        const char *problems = problems_of(f, &(struct given){0});
        assert_true(!*problems || problems[strlen(problems) - 1] == '\n');
        for (const char *line = problems; *line; line = strchr(line, '\n') + 1)
            assert_true(strncmp(line, "t.yaml:", 7) == 0 && line[7] >= '1' && line[7] <= '9');
        assert_int_equal(tear_down(&mine), 0);
    }
}

static void somebody_elses_problems_are_listed_too(void **state)
{
    struct fixture *f = *state;
    config_problem(f->config, "component rest: added twice");
    assert_string_equal(problems_of(f, &(struct given){0}), "component rest: added twice\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(flags_beat_environment_beats_file_beats_program_beats_default),
        TEST(every_type_is_read),
        TEST(without_a_file_there_are_defaults),
        TEST(empty_files_and_sections_are_fine),
        TEST(flags_take_their_value_from_the_next_word_too),
        TEST(names_with_dashes_and_dots_have_variables_with_underscores),
        TEST(a_section_may_be_declared_by_several_tables),
        TEST(a_value_asked_for_twice_is_wrong_once),
        cmocka_unit_test(each_mistake_is_told_with_its_place),
        TEST(a_bad_value_is_replaced_by_the_default),
        TEST(the_programs_own_values_are_checked_and_copied),
        TEST(a_required_key_that_is_missing_says_where_it_goes),
        TEST(a_secret_is_in_no_message),
        TEST(a_file_that_is_named_must_exist),
        TEST(a_directory_is_no_file),
        TEST(a_huge_file_is_refused),
        TEST(the_flag_beats_the_variable_that_names_the_file),
        TEST(the_variable_names_the_file),
        cmocka_unit_test(the_command_line_gives_the_mode),
        TEST(printed_configuration_has_values_and_sources_but_no_secrets),
        TEST(help_lists_every_key_with_type_range_and_default),
        TEST(help_lists_a_table_that_sections_share_once),
        TEST(printed_configuration_leaves_out_shared_keys_that_are_not_set),
        cmocka_unit_test(damaged_files_give_whole_lines_and_nothing_worse),
        TEST(somebody_elses_problems_are_listed_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
