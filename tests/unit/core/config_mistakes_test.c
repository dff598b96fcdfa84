/* What each mistake in a configuration is told. */
#include "config_kit.h"

struct mistake {
    struct given given;
    const char *problems;
};

static void tell(const struct mistake *mistakes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        void *mine;
        assert_int_equal(config_kit_set_up(&mine), 0);
        assert_string_equal(config_kit_problems(mine, &mistakes[i].given), mistakes[i].problems);
        assert_int_equal(config_kit_tear_down(&mine), 0);
    }
}

#define TELL(mistakes) tell(mistakes, sizeof(mistakes) / sizeof(mistakes)[0])
#define LISTEN "expected HOST:PORT, [V6]:PORT or unix:PATH, found "

static void an_unknown_name_is_told_with_its_place_and_what_was_meant(void **state)
{
    (void)state;
    static const struct mistake mistakes[] = {
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
        {{.flags = "--migrate=now"}, "command line: --migrate: expected nothing or dry-run, found \"now\"\n"},
    };
    TELL(mistakes);
}

static void a_value_of_another_type_is_told_with_what_was_expected(void **state)
{
    (void)state;
    static const struct mistake mistakes[] = {
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
    };
    TELL(mistakes);
}

static void a_number_out_of_range_is_told_with_the_range(void **state)
{
    (void)state;
    static const struct mistake mistakes[] = {
        {{.file = "rest: {threads: 65}\n"}, "t.yaml:1: rest.threads: 65 is out of range: 1 to 64\n"},
        {{.file = "rest: {threads: 99999999999999999999}\n"},
         "t.yaml:1: rest.threads: 99999999999999999999 is out of range: 1 to 64\n"},
        {{.file = "rest: {offset: 99999999999999999999}\n"},
         "t.yaml:1: rest.offset: 99999999999999999999 is out of range: 64 bits\n"},
        {{.environment = "WEIR_REST_IDLE_TIMEOUT_MS=5"},
         "environment: WEIR_REST_IDLE_TIMEOUT_MS: 5 is out of range: 10 to 3600000 ms\n"},
        {{.flags = "--rest.body_bytes_max 1"},
         "command line: --rest.body_bytes_max: 1 is out of range: at least 1024 bytes\n"},
    };
    TELL(mistakes);
}

static void an_address_that_is_none_is_told_with_what_is_missing(void **state)
{
    (void)state;
    static const struct mistake mistakes[] = {
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
    };
    TELL(mistakes);
}

static void a_file_of_another_shape_is_told_where(void **state)
{
    (void)state;
    static const struct mistake mistakes[] = {
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
    };
    TELL(mistakes);
}

static void what_is_not_yaml_is_told_where(void **state)
{
    (void)state;
    static const struct mistake mistakes[] = {
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
    };
    TELL(mistakes);
}

static void all_mistakes_are_told_at_once(void **state)
{
    (void)state;
    static const struct mistake mistakes[] = {
        {{.file = "rest: {threads: x, level: y}\nrst: {}\n",
          .flags = "--rest.offset=z",
          .environment = "WEIR_Y=1"},
         "t.yaml:1: rest.threads: expected an integer, found \"x\"\n"
         "command line: --rest.offset: expected an integer, found \"z\"\n"
         "t.yaml:1: rest.level: expected one of debug, info, warn, found \"y\"\n"
         "environment: WEIR_Y: unknown variable; --help lists all\n"
         "t.yaml:2: rst: unknown section; did you mean rest?\n"},
    };
    TELL(mistakes);
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
        assert_int_equal(config_kit_set_up(&mine), 0);
        struct fixture *f = mine;
        config_kit_write("t.yaml", text, sizeof good - 1);
        const char *problems = config_kit_problems(f, &(struct given){0});
        assert_true(!*problems || problems[strlen(problems) - 1] == '\n');
        for (const char *line = problems; *line; line = strchr(line, '\n') + 1)
            assert_true(strncmp(line, "t.yaml:", 7) == 0 && line[7] >= '1' && line[7] <= '9');
        assert_int_equal(config_kit_tear_down(&mine), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_name_is_told_with_its_place_and_what_was_meant),
        cmocka_unit_test(a_value_of_another_type_is_told_with_what_was_expected),
        cmocka_unit_test(a_number_out_of_range_is_told_with_the_range),
        cmocka_unit_test(an_address_that_is_none_is_told_with_what_is_missing),
        cmocka_unit_test(a_file_of_another_shape_is_told_where),
        cmocka_unit_test(what_is_not_yaml_is_told_where),
        cmocka_unit_test(all_mistakes_are_told_at_once),
        cmocka_unit_test(damaged_files_give_whole_lines_and_nothing_worse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
