/* Configuration from the inside: what the app does with it. See <weir/config.h> for a component's side.
 *
 * Order: config_new, config_load, config_section for each component, config_finish. One thread. */
#ifndef WEIR_CORE_CONFIG_H
#define WEIR_CORE_CONFIG_H

#include <stdio.h>

#include <weir/bytes.h>
#include <weir/config.h>

struct config;

/* What the command line asks for. */
enum config_mode {
    CONFIG_RUN,
    CONFIG_HELP,        /* --help: usage, every section with its keys, defaults and units */
    CONFIG_VERSION,     /* --version */
    CONFIG_CHECK,       /* --check-config: says "configuration is good" or all that is wrong */
    CONFIG_PRINT,       /* --print-config: each key with its value and where it comes from, secrets as *** */
    CONFIG_PLAN,        /* --plan or --plan=FORMAT */
    CONFIG_UPGRADE,     /* --upgrade: the running process hands over to a new one */
    CONFIG_MIGRATE,     /* --migrate: databases are brought up to date */
    CONFIG_MIGRATE_DRY, /* --migrate=dry-run: what that would do */
};

struct config *config_new(const char *app_name);
void config_destroy(struct config *config);

/* Reads the command line (--config FILE, --section.key=value, the modes above), the file (default NAME.yaml
 * in the working directory; absent is fine unless --config names it), the environment. Problems are
 * collected, not returned. */
void config_load(struct config *config, int argc, char **argv, char **environment);
enum config_mode config_mode(const struct config *config);
const char *config_plan_format(const struct config *config); /* as read_plan() knows them */

/* Declares a section; fills options. False when one of its keys has a problem. Texts live as long as the
 * config. */
bool config_section(struct config *config, const char *section, const struct weir_config_key *keys,
                    void *options);

/* For the test kit: what a required key has that is set nowhere; NULL: it is missing. NULL puts back none. The text
 * lives as long as the config. */
typedef const char *config_stand_in_fn(const char *section, const char *key);
void config_set_stand_in(config_stand_in_fn *fn);

/* The same, of keys that config_reload() may change: see weir_config_section_live(). */
bool config_section_live(struct config *config, const char *section, const struct weir_config_key *keys,
                         void *options, size_t size, weir_config_reload_fn *reload, void *self);

/* What reading it again has found: names of keys, "log.level, rest.timeout_ms". Zero is the begin. */
struct config_changes {
    struct weir_buffer problems; /* one a line; with any nothing else has changed */
    struct weir_buffer reloaded; /* and whoever declared them was told */
    struct weir_buffer fixed;    /* have another value in the file, which counts at the next start */
};

/* Reads the file again; environment and flags still beat it. False when it is bad. After config_finish(). */
bool config_reload(struct config *config, struct config_changes *ret_changes);
void config_changes_free(struct config_changes *changes);

/* What a declared key has got, as text; NULL where it is not set or not declared. */
const char *config_value(const struct config *config, const char *section, const char *key);

/* A problem of somebody else's, to be listed with the others. */
void config_problem(struct config *config, const char *text);

/* After all sections: adds unknown sections and keys, in file, environment (WEIR_...) and flags, with the
 * nearest known one. Appends one line per problem; true when there is none. */
bool config_finish(struct config *config, struct weir_buffer *ret_problems);

void config_print(const struct config *config, FILE *out);
void config_help(const struct config *config, FILE *out);

#endif
