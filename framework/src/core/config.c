#include "core/config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/config_parts.h"
#include "core/memory.h"
#include "core/nearest.h"

static config_stand_in_fn *stand_in;

void config_set_stand_in(config_stand_in_fn *fn)
{
    stand_in = fn;
}

struct config *config_new(const char *app_name)
{
    struct config *config = NEW(struct config);
    config->arena = weir_arena_new();
    config->app_name = weir_arena_strdup(config->arena, app_name);
    config->file = weir_arena_printf(config->arena, "%s.yaml", app_name);
    config->plan_format = "text";
    config->settings_end = &config->settings;
    config->entries_end = &config->entries;
    config->problems_end = &config->problems;
    return config;
}

void config_destroy(struct config *config)
{
    if (!config)
        return;
    weir_arena_destroy(config->arena);
    free(config);
}

void config_load(struct config *config, int argc, char **argv, char **environment)
{
    config_read_flags(config, argc, argv);
    config_read_environment(config, environment);
    config_read_file(config);
}

enum config_mode config_mode(const struct config *config)
{
    return config->mode;
}

const char *config_plan_format(const struct config *config)
{
    return config->plan_format;
}

/* ---- Lists ---- */

struct config_setting *config_add_setting(struct config *config, enum config_origin origin)
{
    struct config_setting *setting = weir_arena_zalloc(config->arena, sizeof *setting);
    setting->origin = origin;
    *config->settings_end = setting;
    config->settings_end = &setting->next;
    return setting;
}

void config_add_problem(struct config *config, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = weir_arena_vprintf(config->arena, format, args);
    va_end(args);

    /* A section that is declared by two tables meets the same value twice. */
    for (const struct config_text *problem = config->problems; problem; problem = problem->next)
        if (strcmp(problem->text, text) == 0)
            return;
    struct config_text *problem = weir_arena_zalloc(config->arena, sizeof *problem);
    problem->text = text;
    *config->problems_end = problem;
    config->problems_end = &problem->next;
}

void config_problem(struct config *config, const char *text)
{
    config_add_problem(config, "%s", text);
}

/* ---- Sections ---- */

static const char *variable_name(struct config *config, const char *section, const char *key)
{
    char *name = weir_arena_printf(config->arena, "WEIR_%s_%s", section, key);
    for (char *c = name; *c; c++)
        *c = (char)(isalnum((unsigned char)*c) ? toupper((unsigned char)*c) : '_');
    return name;
}

static bool is_about(const struct config_setting *setting, const struct config_entry *entry)
{
    if (!setting->key)
        return false;
    if (setting->origin == FROM_ENVIRONMENT)
        return strcmp(setting->key, entry->variable) == 0;
    return strcmp(setting->section, entry->section) == 0 && strcmp(setting->key, entry->key->name) == 0;
}

/* The setting that counts for a key, and notes for all of them that somebody asked. */
static const struct config_setting *ask(struct config *config, const struct config_entry *entry)
{
    const struct config_setting *best = NULL;
    for (struct config_setting *setting = config->settings; setting; setting = setting->next) {
        if (!is_about(setting, entry))
            continue;
        setting->asked = true;
        if (!best || setting->origin >= best->origin)
            best = setting;
    }
    return best;
}

/* "inventory.yaml:3: rest.listen", "environment: WEIR_REST_LISTEN", "command line: --rest.listen" */
static const char *place(struct config *config, const struct config_setting *setting)
{
    switch (setting->origin) {
    case FROM_ENVIRONMENT:
        return weir_arena_printf(config->arena, "environment: %s", setting->key);
    case FROM_FLAG:
        return weir_arena_printf(config->arena, "command line: --%s.%s", setting->section, setting->key);
    default:
        return weir_arena_printf(config->arena, "%s:%zu: %s%s%s", config->file, setting->line,
                                 setting->section, setting->key ? "." : "", setting->key ? setting->key : "");
    }
}

static bool fill_from_setting(struct config *config, struct config_entry *entry,
                              const struct config_setting *setting, void *options)
{
    const char *wrong = setting->value
                            ? config_parse(config, entry->key, setting->value, options)
                            : weir_arena_printf(config->arena, "expected %s, found %s",
                                                config_expected(config, entry->key), setting->found);
    entry->value = setting->value ? setting->value : "";
    if (setting->origin == FROM_FILE)
        entry->source = weir_arena_printf(config->arena, "%s:%zu", config->file, setting->line);
    else
        entry->source = setting->origin == FROM_FLAG ? "command line" : "environment";
    if (!wrong)
        return true;
    config_add_problem(config, "%s: %s", place(config, setting), wrong);
    /* The default, so that what is worked out from it is not wrong, too. */
    if (entry->key->fallback && !config_take_member(config, entry->key, options))
        config_parse(config, entry->key, entry->key->fallback, options);
    return false;
}

/* What the program itself gives: the author's option, or else the documented default. */
static bool fill_from_program(struct config *config, struct config_entry *entry, void *options)
{
    const struct weir_config_key *key = entry->key;
    entry->value = config_take_member(config, key, options);
    entry->source = "program";
    if (!entry->value) {
        entry->value = key->fallback;
        entry->source = "default";
    }
    if (!entry->value && key->required && stand_in) {
        entry->value = stand_in(entry->section, key->name);
        entry->source = "test";
    }
    if (entry->value) {
        const char *wrong = config_parse(config, key, entry->value, options);
        if (wrong)
            config_add_problem(config, "%s: %s.%s: %s", entry->source, entry->section, key->name, wrong);
        return !wrong;
    }

    entry->source = "not set";
    if (key->required)
        config_add_problem(config, "%s.%s: required, and set nowhere: in %s, as %s or as --%s.%s",
                           entry->section, key->name, config->file, entry->variable, entry->section,
                           key->name);
    return !key->required;
}

bool config_declare(struct config *config, const char *section, const struct weir_config_key *key,
                    void *options)
{
    struct config_entry *entry = weir_arena_zalloc(config->arena, sizeof *entry);
    entry->section = weir_arena_strdup(config->arena, section);
    entry->key = key;
    entry->variable = variable_name(config, section, key->name);
    entry->program = config_take_member(config, key, options);
    *config->entries_end = entry;
    config->entries_end = &entry->next;

    const struct config_setting *setting = ask(config, entry);
    return setting ? fill_from_setting(config, entry, setting, options)
                   : fill_from_program(config, entry, options);
}

bool config_section(struct config *config, const char *section, const struct weir_config_key *keys,
                    void *options)
{
    bool good = true;
    for (const struct weir_config_key *key = keys; key->name; key++)
        good = config_declare(config, section, key, options) && good;
    return good;
}

const char *config_value(const struct config *config, const char *section, const char *key)
{
    for (const struct config_entry *entry = config->entries; entry; entry = entry->next)
        if (strcmp(entry->section, section) == 0 && strcmp(entry->key->name, key) == 0)
            return entry->value;
    return NULL;
}

/* ---- What nobody asked for ---- */

static bool is_section(const struct config *config, const char *section)
{
    for (const struct config_entry *entry = config->entries; entry; entry = entry->next)
        if (strcmp(entry->section, section) == 0)
            return true;
    return false;
}

static void unknown(struct config *config, const struct config_setting *setting, const char *what,
                    const struct nearest *nearest)
{
    if (nearest->best)
        config_add_problem(config, "%s: unknown %s; did you mean %s?", place(config, setting), what,
                           nearest->best);
    else
        config_add_problem(config, "%s: unknown %s; --help lists all", place(config, setting), what);
}

static void report_unknown(struct config *config, const struct config_setting *setting)
{
    if (setting->origin == FROM_ENVIRONMENT) {
        struct nearest nearest = {.word = setting->key};
        for (const struct config_entry *entry = config->entries; entry; entry = entry->next)
            nearest_consider(&nearest, entry->variable);
        unknown(config, setting, "variable", &nearest);
    } else if (!is_section(config, setting->section)) {
        struct nearest nearest = {.word = setting->section};
        for (const struct config_entry *entry = config->entries; entry; entry = entry->next)
            nearest_consider(&nearest, entry->section);
        if (setting->origin == FROM_FLAG || !setting->key) /* once per section of the file */
            unknown(config, setting, "section", &nearest);
    } else if (setting->key) {
        struct nearest nearest = {.word = setting->key};
        for (const struct config_entry *entry = config->entries; entry; entry = entry->next)
            if (strcmp(entry->section, setting->section) == 0)
                nearest_consider(&nearest, entry->key->name);
        unknown(config, setting, "key", &nearest);
    }
}

bool config_finish(struct config *config, struct weir_buffer *ret_problems)
{
    for (const struct config_setting *setting = config->settings; setting; setting = setting->next)
        if (!setting->asked)
            report_unknown(config, setting);
    for (const struct config_text *problem = config->problems; problem; problem = problem->next)
        weir_buffer_printf(ret_problems, "%s\n", problem->text);
    return !config->problems;
}
