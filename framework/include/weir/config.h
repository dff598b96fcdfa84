/* Configuration: one YAML file per service, then the environment, then flags; the last one wins.
 *
 * The file has a section per component: `rest: {listen: "127.0.0.1:8082"}`. The same key in the environment
 * is WEIR_REST_LISTEN (dashes and dots become underscores), as a flag --rest.listen=127.0.0.1:8082. Every key
 * is declared in a table, so that an unknown key, a wrong type or an out-of-range value is an error with
 * file, line, and the nearest known key. Call from the thread that made the app. */
#ifndef WEIR_CONFIG_H
#define WEIR_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/error.h>
#include <weir/export.h>

struct weir_app;

enum weir_config_type {
    WEIR_CONFIG_TEXT = 1, /* const char * */
    WEIR_CONFIG_INT,      /* int64_t, within [min, max] */
    WEIR_CONFIG_BOOL,     /* bool: true or false */
    WEIR_CONFIG_CHOICE,   /* int: the index in `choices` */
    WEIR_CONFIG_LISTEN,   /* const char *: "HOST:PORT", "[V6]:PORT" or "unix:PATH" */
};

/* A table ends with {0}. */
struct weir_config_key {
    const char *name;
    enum weir_config_type type;
    size_t offset;              /* of the member in the options struct */
    const char *fallback;       /* the documented default as text; NULL: required, or what the struct had */
    const char *help;           /* one line, without a full stop; names the unit */
    int64_t min, max;           /* for WEIR_CONFIG_INT; both 0: any; max below min: no upper limit */
    const char *const *choices; /* for WEIR_CONFIG_CHOICE, NULL at the end */
    bool required;
    bool secret; /* never printed: shown as *** */
};

/* Declares a section and fills `options` from it. A member that is already set in `options` (not zero) is the
 * author's own default and beats `fallback`; its text is copied. Texts live as long as the app. Borrows
 * `keys` (must outlive the app). A section may be declared by several tables: its keys are those of all of
 * them. An error is remembered and reported by weir_app_run() together with all others; the return value is
 * for those who cannot go on. */
WEIR_API bool weir_config_section(struct weir_app *app, const char *section,
                                  const struct weir_config_key *keys, void *options);

/* `options` has all keys of the table, as they would be after a new start; its other members are zero, its texts live
 * until the function returns. Runs on the lifecycle's thread, while the app is up: store the values where other
 * threads read them (atomics), and return. Must not block. */
typedef void weir_config_reload_fn(void *self, const void *options);

/* The same as weir_config_section(), of keys that may change while the app runs. On SIGHUP the file is read again; when
 * all of it is good, and a key of this table has another value, `reload` is called. Other keys of the section go into a
 * table of their own. `size`: of the options struct. Borrows self until the component's destroy. */
WEIR_API bool weir_config_section_live(struct weir_app *app, const char *section,
                                       const struct weir_config_key *keys, void *options, size_t size,
                                       weir_config_reload_fn *reload, void *self);

#endif
