/* --print-config and --help. */
#include <string.h>

#include "core/config_parts.h"

/* The next key that was not listed yet: sections in the order of their first key, each with all of its
 * tables. */
static const struct config_entry *next_of_section(const struct config_entry *first,
                                                  const struct config_entry *after)
{
    for (const struct config_entry *entry = after->next; entry; entry = entry->next) {
        if (strcmp(entry->section, first->section) != 0)
            continue;
        const struct config_entry *earlier = first;
        while (earlier != entry && (strcmp(earlier->section, entry->section) != 0 ||
                                    strcmp(earlier->key->name, entry->key->name) != 0))
            earlier = earlier->next;
        if (earlier == entry)
            return entry;
    }
    return NULL;
}

static bool is_first(const struct config *config, const struct config_entry *entry)
{
    const struct config_entry *earlier = config->entries;
    while (strcmp(earlier->section, entry->section) != 0)
        earlier = earlier->next;
    return earlier == entry;
}

/* One table may serve several sections: what every component has, or two servers of a kind. */
static bool is_shared(const struct config *config, const struct config_entry *entry)
{
    for (const struct config_entry *other = config->entries; other; other = other->next)
        if (other->key == entry->key && strcmp(other->section, entry->section) != 0)
            return true;
    return false;
}

/* JSON's escapes, which YAML's double-quoted scalars share. */
static void print_text(const char *text, FILE *out)
{
    fputc('"', out);
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if ((unsigned char)*c < 0x20 || *c == 0x7f)
            fprintf(out, "\\u%04x", (unsigned)*c);
        else
            fputc(*c, out);
    }
    fputc('"', out);
}

static void print_entry(const struct config_entry *entry, FILE *out)
{
    const struct weir_config_key *key = entry->key;
    if (!entry->value) {
        fprintf(out, "  # %s: not set\n", key->name);
        return;
    }
    fprintf(out, "  %s: ", key->name);
    if (key->secret)
        fputs("\"***\"", out);
    else if (key->type == WEIR_CONFIG_INT || key->type == WEIR_CONFIG_BOOL)
        fputs(entry->value, out);
    else
        print_text(entry->value, out);
    fprintf(out, "  # %s%s\n", entry->source, entry->live ? "; SIGHUP reads it again" : "");
}

void config_print(const struct config *config, FILE *out)
{
    for (const struct config_entry *first = config->entries; first; first = first->next) {
        if (!is_first(config, first))
            continue;
        bool titled = false;
        for (const struct config_entry *entry = first; entry; entry = next_of_section(first, entry)) {
            if (!entry->value && is_shared(config, entry))
                continue; /* many, and of no interest: every component has them */
            if (!titled)
                fprintf(out, "%s:\n", first->section);
            titled = true;
            print_entry(entry, out);
        }
    }
}

static bool is_first_of_key(const struct config *config, const struct config_entry *entry)
{
    const struct config_entry *earlier = config->entries;
    while (earlier->key != entry->key)
        earlier = earlier->next;
    return earlier == entry;
}

static void print_key_help(const struct config *config, const struct config_entry *entry, FILE *out)
{
    const struct weir_config_key *key = entry->key;
    const char *range = config_range(config, key);
    fprintf(out, "  %-26s %s (%s%s%s", key->name, key->help ? key->help : "", config_expected(config, key),
            *range ? ", " : "", range);
    if (key->fallback)
        fprintf(out, "; default %s", *key->fallback ? key->fallback : "\"\"");
    fprintf(out, "%s%s)\n", key->required ? "; required" : "", entry->live ? "; SIGHUP reads it again" : "");
}

/* The keys that are the section's alone. */
static void print_section_help(const struct config *config, const struct config_entry *first, FILE *out)
{
    bool titled = false;
    for (const struct config_entry *entry = first; entry; entry = next_of_section(first, entry)) {
        if (is_shared(config, entry))
            continue;
        if (!titled)
            fprintf(out, "\n%s:\n", entry->section);
        titled = true;
        print_key_help(config, entry, out);
    }
}

/* "\nadmin, rest:\n" Caller frees the buffer. */
static void title_of_shared(const struct config *config, const struct weir_config_key *key,
                            struct weir_buffer *ret_title)
{
    const char *before = "\n";
    for (const struct config_entry *entry = config->entries; entry; entry = entry->next) {
        if (entry->key != key)
            continue;
        weir_buffer_printf(ret_title, "%s%s", before, entry->section);
        before = ", ";
    }
    weir_buffer_append_text(ret_title, ":\n");
}

/* Each shared key once, under the names of its sections. */
static void print_shared_help(const struct config *config, FILE *out)
{
    struct weir_buffer last = {0};
    for (const struct config_entry *entry = config->entries; entry; entry = entry->next) {
        if (!is_shared(config, entry) || !is_first_of_key(config, entry))
            continue;
        struct weir_buffer title = {0};
        title_of_shared(config, entry->key, &title);
        if (!weir_bytes_equal(weir_buffer_bytes(&title), weir_buffer_bytes(&last)))
            fputs(weir_buffer_text(&title), out);
        weir_buffer_free(&last);
        last = title;
        print_key_help(config, entry, out);
    }
    weir_buffer_free(&last);
}

void config_help(const struct config *config, FILE *out)
{
    fprintf(out,
            "Usage: %s [FLAG]...\n"
            "\n"
            "  --config FILE            the configuration; default %s.yaml, where it exists\n"
            "  --SECTION.KEY=VALUE      sets a key, whatever the file and the environment say\n"
            "  --check-config           says what is wrong with the configuration, and ends\n"
            "  --print-config           shows every key, its value and where it comes from, and ends\n"
            "  --plan[=text|json|dot|kubernetes|systemd]\n                           shows how it would "
            "start and "
            "stop, and ends\n"
            "  --migrate[=dry-run]      brings the databases up to date, or shows what is due, and ends\n"
            "  --upgrade                the running service hands over to a new process, without a gap\n"
            "  --version                shows the version, and ends\n"
            "  --help                   shows this, and ends\n"
            "\n"
            "A key is read from the file (SECTION: {KEY: VALUE}), then from the environment\n"
            "(WEIR_SECTION_KEY), then from the flags; the last one wins.\n",
            config->app_name, config->app_name);
    for (const struct config_entry *first = config->entries; first; first = first->next) {
        if (is_first(config, first))
            print_section_help(config, first, out);
    }
    print_shared_help(config, out);
}
