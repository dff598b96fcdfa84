/* The configuration's environment and command line. */
#include <string.h>

#include "core/config_parts.h"
#include "core/nearest.h"

/* No keys of a section: read by this file, the lifecycle, the command `weir`, the scripts. */
static const char *const known_variables[] = {"WEIR_CONFIG", "WEIR_DESCRIPTORS", "WEIR_NO_INSTALL"};

static const char *const known_flags[] = {"--config",       "--help", "--version", "--check-config",
                                          "--print-config", "--plan", "--upgrade", "--migrate"};

static bool is_known_variable(const char *name)
{
    for (size_t i = 0; i < sizeof known_variables / sizeof known_variables[0]; i++)
        if (strcmp(known_variables[i], name) == 0)
            return true;
    return false;
}

void config_read_environment(struct config *config, char **environment)
{
    for (char **entry = environment; entry && *entry; entry++) {
        const char *equals = strchr(*entry, '=');
        if (strncmp(*entry, "WEIR_", 5) != 0 || !equals)
            continue;
        const char *name = weir_arena_text(config->arena, weir_bytes(*entry, (size_t)(equals - *entry)));
        const char *value = weir_arena_strdup(config->arena, equals + 1);
        if (strcmp(name, "WEIR_CONFIG") == 0 && !config->file_named) {
            config->file = value;
            config->file_named = true;
        }
        if (is_known_variable(name))
            continue;
        struct config_setting *setting = config_add_setting(config, FROM_ENVIRONMENT);
        setting->key = name;
        setting->value = value;
    }
}

/* A command line under way. */
struct words {
    struct config *config;
    int argc, next;
    char **argv;
};

/* What stands behind "=", or the next word; NULL after a problem. */
static const char *value_of(struct words *words, const char *name, const char *equals)
{
    if (equals)
        return equals + 1;
    if (words->next < words->argc && strncmp(words->argv[words->next], "--", 2) != 0)
        return words->argv[words->next++];
    config_add_problem(words->config, "command line: %s: needs a value", name);
    return NULL;
}

static void read_key(struct words *words, const char *name, const char *equals)
{
    struct config *config = words->config;
    const char *value = value_of(words, name, equals);
    if (!value)
        return;
    const char *dot = strrchr(name, '.');
    struct config_setting *setting = config_add_setting(config, FROM_FLAG);
    setting->section = weir_arena_text(config->arena, weir_bytes(name + 2, (size_t)(dot - name) - 2));
    setting->key = weir_arena_strdup(config->arena, dot + 1);
    setting->value = weir_arena_strdup(config->arena, value);
}

static void read_plan(struct config *config, const char *equals)
{
    static const char *const formats[] = {"text", "json", "dot", "kubernetes", "systemd"};
    config->mode = CONFIG_PLAN;
    if (!equals)
        return;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (strcmp(formats[i], equals + 1) == 0) {
            config->plan_format = formats[i];
            return;
        }
    }
    config_add_problem(config,
                       "command line: --plan: expected text, json, dot, kubernetes or systemd, found %s",
                       config_quoted(config, equals + 1));
}

static void read_migrate(struct config *config, const char *equals)
{
    config->mode = equals ? CONFIG_MIGRATE_DRY : CONFIG_MIGRATE;
    if (equals && strcmp(equals + 1, "dry-run") != 0)
        config_add_problem(config, "command line: --migrate: expected nothing or dry-run, found %s",
                           config_quoted(config, equals + 1));
}

static void read_unknown(struct config *config, const char *word, const char *name)
{
    if (word[0] != '-') {
        config_add_problem(config, "command line: %s: unexpected; values follow a --SECTION.KEY",
                           config_quoted(config, word));
        return;
    }
    struct nearest nearest = {.word = name};
    for (size_t i = 0; i < sizeof known_flags / sizeof known_flags[0]; i++)
        nearest_consider(&nearest, known_flags[i]);
    if (nearest.best)
        config_add_problem(config, "command line: %s: unknown flag; did you mean %s?", name, nearest.best);
    else
        config_add_problem(config, "command line: %s: unknown flag; --help lists all", name);
}

static bool read_mode(struct config *config, const char *name)
{
    static const struct {
        const char *flag;
        enum config_mode mode;
    } modes[] = {{"--help", CONFIG_HELP},          {"-h", CONFIG_HELP},
                 {"--version", CONFIG_VERSION},    {"--check-config", CONFIG_CHECK},
                 {"--print-config", CONFIG_PRINT}, {"--upgrade", CONFIG_UPGRADE}};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(modes[i].flag, name) == 0) {
            config->mode = modes[i].mode;
            return true;
        }
    }
    return false;
}

static void read_word(struct words *words)
{
    struct config *config = words->config;
    const char *word = words->argv[words->next++];
    const char *equals = strchr(word, '=');
    const char *name =
        equals ? weir_arena_text(config->arena, weir_bytes(word, (size_t)(equals - word))) : word;

    if (strcmp(name, "--config") == 0) {
        const char *value = value_of(words, name, equals);
        config->file = value ? weir_arena_strdup(config->arena, value) : config->file;
        config->file_named = true;
    } else if (strcmp(name, "--plan") == 0) {
        read_plan(config, equals);
    } else if (strcmp(name, "--migrate") == 0) {
        read_migrate(config, equals);
    } else if (strncmp(name, "--", 2) == 0 && strchr(name, '.')) {
        read_key(words, name, equals);
    } else if (!read_mode(config, name)) {
        read_unknown(config, word, name);
    } else if (equals) {
        config_add_problem(config, "command line: %s: takes no value", name);
    }
}

void config_read_flags(struct config *config, int argc, char **argv)
{
    struct words words = {.config = config, .argc = argc, .argv = argv, .next = 1};
    while (words.next < argc)
        read_word(&words);
}
