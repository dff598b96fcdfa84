/* The configuration's parts, for core/config*.c alone. All texts and lists live in the config's arena. */
#ifndef WEIR_CORE_CONFIG_PARTS_H
#define WEIR_CORE_CONFIG_PARTS_H

#include <weir/arena.h>

#include "core/config.h"

/* Rising precedence. */
enum config_origin { FROM_FILE, FROM_ENVIRONMENT, FROM_FLAG };

/* Something that was said; whether anybody asks for it is known after all sections were declared. */
struct config_setting {
    struct config_setting *next;
    enum config_origin origin;
    const char
        *section; /* NULL in the environment, whose names can be split only when the section is known */
    const char
        *key; /* "listen"; WEIR_REST_LISTEN in the environment; NULL: a section's own line in the file */
    const char *value; /* NULL: `found` says what stands there instead of a plain value */
    const char *found;
    size_t line;
    bool asked;
};

/* A declared key with the value it got. */
struct config_entry {
    struct config_entry *next;
    const char *section;
    const struct weir_config_key *key;
    const char *variable; /* WEIR_REST_LISTEN */
    const char *value;    /* NULL: not set */
    const char *source;   /* "default", "program", "inventory.yaml:3", "environment", "command line" */
    const char *program;  /* what the options had when they were declared; NULL: nothing */
    const struct config_live *live; /* NULL: it stays as it is while the app runs */
};

/* A table of keys that may change while the app runs. */
struct config_live {
    struct config_live *next;
    size_t size; /* of the options */
    weir_config_reload_fn *reload;
    void *self;
};

struct config_text {
    struct config_text *next;
    const char *text;
};

struct config {
    struct weir_arena *arena;
    const char *app_name;
    const char *file;
    bool file_named; /* by --config or WEIR_CONFIG: then it must exist */
    bool file_read;
    enum config_mode mode;
    const char *plan_format;
    struct config_setting *settings, **settings_end;
    struct config_entry *entries, **entries_end;
    struct config_text *problems, **problems_end;
    struct config_live *lives;
};

struct config_setting *config_add_setting(struct config *config, enum config_origin origin);
void config_add_problem(struct config *config, const char *format, ...) WEIR_PRINTF(2, 3);

/* Declares one key; fills its member. */
bool config_declare(struct config *config, const char *section, const struct weir_config_key *key,
                    void *options);

/* config_yaml.c, config_flags.c: what each source says, as settings. */
void config_read_file(struct config *config);
void config_read_environment(struct config *config, char **environment);
void config_read_flags(struct config *config, int argc, char **argv);

/* config_value.c */
/* Writes the parsed text to the key's member of `options`. NULL, or what is wrong ("expected an integer,
 * found ..."). */
const char *config_parse(const struct config *config, const struct weir_config_key *key, const char *text,
                         void *options);
/* The member's value as text; NULL when it is zero. Makes the member's own text the config's. */
const char *config_take_member(const struct config *config, const struct weir_config_key *key, void *options);
/* "an integer", "one of debug, info" */
const char *config_expected(const struct config *config, const struct weir_config_key *key);
/* "1 to 64 ms"; "" without a range. */
const char *config_range(const struct config *config, const struct weir_config_key *key);
/* In double quotes, on one line, cut when long. */
const char *config_quoted(const struct config *config, const char *text);

#endif
