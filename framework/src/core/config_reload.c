/* The configuration again, while the app runs. The new file is judged as a whole before anything of it counts. */
#include <string.h>

#include "core/config_parts.h"

/* What the program set stands in the options before they are filled, as at the start. */
static void put_program(struct config *next, const struct config_entry *entry, void *options)
{
    if (entry->program)
        config_parse(next, entry->key, entry->program, options);
}

static bool same(const char *left, const char *right)
{
    return left == right || (left && right && strcmp(left, right) == 0);
}

static const struct config_entry *twin(const struct config *next, const struct config_entry *entry)
{
    for (const struct config_entry *other = next->entries; other; other = other->next)
        if (strcmp(other->section, entry->section) == 0 && other->key == entry->key)
            return other;
    return NULL;
}

/* Each key that was declared, with the program's own default. Options are of no use here but for those. */
static void declare_all(struct config *next, const struct config *config)
{
    for (const struct config_entry *entry = config->entries; entry; entry = entry->next) {
        void *options = weir_arena_zalloc(next->arena, entry->key->offset + 2 * sizeof(int64_t));
        put_program(next, entry, options);
        config_declare(next, entry->section, entry->key, options);
    }
}

static struct config *read_again(const struct config *config)
{
    struct config *next = config_new(config->app_name);
    next->file = config->file;
    next->file_named = config->file_named || config->file_read; /* it may not vanish */
    for (const struct config_setting *setting = config->settings; setting; setting = setting->next) {
        if (setting->origin == FROM_FILE)
            continue;
        struct config_setting *copy = config_add_setting(next, setting->origin);
        copy->section = setting->section;
        copy->key = setting->key;
        copy->value = setting->value;
        copy->found = setting->found;
    }
    config_read_file(next);
    declare_all(next, config);
    return next;
}

static void name_key(struct weir_buffer *names, const struct config_entry *entry)
{
    weir_buffer_printf(names, "%s%s.%s", names->size ? ", " : "", entry->section, entry->key->name);
}

/* One table of live keys: its options as they would be after a new start, for whoever declared it. */
static void apply(struct config *config, struct config *next, const struct config_live *live)
{
    void *options = weir_arena_zalloc(next->arena, live->size);
    bool changed = false;
    for (struct config_entry *entry = config->entries; entry; entry = entry->next) {
        if (entry->live != live)
            continue;
        const struct config_entry *now = twin(next, entry);
        if (!same(entry->value, now->value)) {
            entry->value = weir_arena_strdup(config->arena, now->value);
            entry->source = weir_arena_strdup(config->arena, now->source);
            changed = true;
        }
        if (entry->value)
            config_parse(config, entry->key, entry->value, options);
    }
    if (changed)
        live->reload(live->self, options);
}

bool config_reload(struct config *config, struct config_changes *ret_changes)
{
    struct config *next = read_again(config);
    bool good = config_finish(next, &ret_changes->problems);
    if (good) {
        for (const struct config_entry *entry = config->entries; entry; entry = entry->next)
            if (!same(entry->value, twin(next, entry)->value))
                name_key(entry->live ? &ret_changes->reloaded : &ret_changes->fixed, entry);
        for (const struct config_live *live = config->lives; live; live = live->next)
            apply(config, next, live);
    }
    config_destroy(next);
    return good;
}

void config_changes_free(struct config_changes *changes)
{
    weir_buffer_free(&changes->problems);
    weir_buffer_free(&changes->reloaded);
    weir_buffer_free(&changes->fixed);
}

bool config_section_live(struct config *config, const char *section, const struct weir_config_key *keys,
                         void *options, size_t size, weir_config_reload_fn *reload, void *self)
{
    struct config_live *live = weir_arena_zalloc(config->arena, sizeof *live);
    *live = (struct config_live){.size = size, .reload = reload, .self = self, .next = config->lives};
    config->lives = live;
    struct config_entry **first = config->entries_end;
    bool good = config_section(config, section, keys, options);
    for (struct config_entry *entry = *first; entry; entry = entry->next)
        entry->live = live;
    return good;
}
