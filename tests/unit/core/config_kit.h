/* A program "t" with one section "rest", in a directory of its own: for the tests of the configuration. */
#ifndef CONFIG_KIT_H
#define CONFIG_KIT_H

#include "test.h"

#include <stdio.h>

#include "core/config.h"

struct server {
    const char *listen;
    int64_t threads, body_bytes_max, idle_timeout_ms, offset;
    bool verbose;
    int level;
    const char *password;
};

/* The keys of "rest", for a struct server. */
#define CONFIG_KIT_KEYS 9
extern const struct weir_config_key config_kit_keys[CONFIG_KIT_KEYS];

struct fixture {
    char directory[32];
    struct config *config;
    struct weir_buffer problems, printed;
    struct server server;
};

/* cmocka's; *state is a struct fixture. The working directory is its own meanwhile; t.yaml and other.yaml are removed. */
int config_kit_set_up(void **state);
int config_kit_tear_down(void **state);
#define CONFIG_TEST(name) cmocka_unit_test_setup_teardown(name, config_kit_set_up, config_kit_tear_down)

void config_kit_write(const char *name, const char *text, size_t size);

/* Both lists are words separated by spaces. */
struct given {
    const char *file; /* t.yaml; NULL: none */
    const char *environment, *flags;
};

void config_kit_load(struct fixture *f, const struct given *given);
/* All there is to do for the one section "rest"; gives the problems. */
const char *config_kit_problems(struct fixture *f, const struct given *given);

#endif
