#include "config_kit.h"

#include <unistd.h>

static const char *const levels[] = {"debug", "info", "warn", NULL};

const struct weir_config_key config_kit_keys[CONFIG_KIT_KEYS] = {
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

int config_kit_set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->directory, "/tmp/config_test_XXXXXX");
    *state = f;
    f->config = config_new("t");
    return mkdtemp(f->directory) ? chdir(f->directory) : -1;
}

int config_kit_tear_down(void **state)
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

void config_kit_write(const char *name, const char *text, size_t size)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    fclose(file);
}

static size_t split(char *words, char **ret_list, size_t count)
{
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        ret_list[count++] = word;
    ret_list[count] = NULL;
    return count;
}

void config_kit_load(struct fixture *f, const struct given *given)
{
    char words[2][512], *argv[16] = {"t"}, *environment[16];
    snprintf(words[0], sizeof words[0], "%s", given->flags ? given->flags : "");
    snprintf(words[1], sizeof words[1], "%s", given->environment ? given->environment : "");
    if (given->file)
        config_kit_write("t.yaml", given->file, strlen(given->file));
    size_t argc = split(words[0], argv, 1);
    split(words[1], environment, 0);
    config_load(f->config, (int)argc, argv, environment);
}

const char *config_kit_problems(struct fixture *f, const struct given *given)
{
    config_kit_load(f, given);
    config_section(f->config, "rest", config_kit_keys, &f->server);
    config_finish(f->config, &f->problems);
    return weir_buffer_text(&f->problems);
}
