/* The configuration's file. Two levels: sections, and in each keys with plain values. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <yaml.h>

#include "core/config_parts.h"

#define FILE_BYTES_MAX ((size_t)1024 * 1024)

struct reading {
    struct config *config;
    yaml_document_t *document;
};

static size_t line_of(const yaml_node_t *node)
{
    return node->start_mark.line + 1;
}

static const char *kind_of(const yaml_node_t *node)
{
    switch (node->type) {
    case YAML_SEQUENCE_NODE:
        return "a list";
    case YAML_MAPPING_NODE:
        return "a mapping";
    default:
        return "a plain value";
    }
}

static const char *text_of(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

static bool is_null(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    const char *text = text_of(node);
    return strcmp(text, "") == 0 || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

static bool is_name(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.length == 0)
        return false;
    for (size_t i = 0; i < node->data.scalar.length; i++)
        if (node->data.scalar.value[i] <= ' ' || node->data.scalar.value[i] == 0x7f)
            return false;
    return true;
}

/* NULL after a problem. */
static const char *name_of(struct reading *reading, const yaml_node_t *node, const char *what)
{
    struct config *config = reading->config;
    if (is_name(node))
        return weir_arena_strdup(config->arena, text_of(node));
    config_add_problem(config, "%s:%zu: expected a %s's name, found %s", config->file, line_of(node), what,
                       node->type == YAML_SCALAR_NODE ? config_quoted(config, text_of(node)) : kind_of(node));
    return NULL;
}

static const struct config_setting *first_of(const struct config *config, const char *section,
                                             const char *key)
{
    for (const struct config_setting *s = config->settings; s; s = s->next)
        if (s->origin == FROM_FILE && strcmp(s->section, section) == 0 &&
            (key && s->key ? strcmp(key, s->key) == 0 : key == s->key))
            return s;
    return NULL;
}

static void add_value(struct reading *reading, const char *section, const yaml_node_t *name,
                      const yaml_node_t *value)
{
    struct config *config = reading->config;
    const char *key = name_of(reading, name, "key");
    if (!key)
        return;
    const struct config_setting *first = first_of(config, section, key);
    if (first) {
        config_add_problem(config, "%s:%zu: %s.%s: set twice; first in line %zu", config->file, line_of(name),
                           section, key, first->line);
        return;
    }

    struct config_setting *setting = config_add_setting(config, FROM_FILE);
    setting->section = section;
    setting->key = key;
    setting->line = line_of(name);
    if (is_null(value))
        setting->found = "nothing";
    else if (value->type != YAML_SCALAR_NODE)
        setting->found = kind_of(value);
    else if (strlen(text_of(value)) != value->data.scalar.length)
        setting->found = "text with a NUL";
    else
        setting->value = weir_arena_strdup(config->arena, text_of(value));
}

static void add_section(struct reading *reading, const yaml_node_t *name, const yaml_node_t *body)
{
    struct config *config = reading->config;
    const char *section = name_of(reading, name, "section");
    if (!section)
        return;
    const struct config_setting *first = first_of(config, section, NULL);
    if (first) {
        config_add_problem(config, "%s:%zu: %s: section given twice; first in line %zu", config->file,
                           line_of(name), section, first->line);
        return;
    }

    struct config_setting *setting = config_add_setting(config, FROM_FILE);
    setting->section = section;
    setting->line = line_of(name);
    if (is_null(body))
        return;
    if (body->type != YAML_MAPPING_NODE) {
        config_add_problem(config, "%s:%zu: %s: expected a section (KEY: VALUE), found %s", config->file,
                           line_of(name), section, kind_of(body));
        return;
    }
    for (yaml_node_pair_t *pair = body->data.mapping.pairs.start; pair < body->data.mapping.pairs.top; pair++)
        add_value(reading, section, yaml_document_get_node(reading->document, pair->key),
                  yaml_document_get_node(reading->document, pair->value));
}

static void add_document(struct config *config, yaml_document_t *document)
{
    struct reading reading = {config, document};
    yaml_node_t *root = yaml_document_get_root_node(document);
    if (!root || is_null(root))
        return;
    if (root->type != YAML_MAPPING_NODE) {
        config_add_problem(config, "%s:%zu: expected sections (SECTION: {KEY: VALUE}), found %s",
                           config->file, line_of(root), kind_of(root));
        return;
    }
    for (yaml_node_pair_t *pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top; pair++)
        add_section(&reading, yaml_document_get_node(document, pair->key),
                    yaml_document_get_node(document, pair->value));
}

static void add_syntax_problem(struct config *config, const yaml_parser_t *parser,
                               const struct weir_buffer *text)
{
    size_t line = parser->problem_mark.line + 1;
    if (parser->error == YAML_READER_ERROR) {
        line = 1;
        for (size_t i = 0; i < parser->problem_offset && i < text->size; i++)
            line += text->data[i] == '\n';
    }
    const char *problem = parser->problem ? parser->problem : "out of memory";
    if (parser->context)
        config_add_problem(config, "%s:%zu: not valid YAML: %s %s", config->file, line, problem,
                           parser->context);
    else
        config_add_problem(config, "%s:%zu: not valid YAML: %s", config->file, line, problem);
}

/* False at the end, and after a problem. */
static bool read_document(struct config *config, yaml_parser_t *parser, const struct weir_buffer *text,
                          bool first)
{
    yaml_document_t document;
    if (!yaml_parser_load(parser, &document)) {
        add_syntax_problem(config, parser, text);
        return false;
    }
    yaml_node_t *root = yaml_document_get_root_node(&document);
    bool more = root != NULL;
    if (root && !first) {
        config_add_problem(config, "%s:%zu: a second document; one file is one document", config->file,
                           line_of(root));
        more = false;
    } else {
        add_document(config, &document);
    }
    yaml_document_delete(&document);
    return more;
}

static bool read_text(struct config *config, FILE *file, struct weir_buffer *ret_text)
{
    size_t got;
    do {
        got = fread(weir_buffer_reserve(ret_text, 4096), 1, 4096, file);
        ret_text->size += got;
    } while (got > 0 && ret_text->size <= FILE_BYTES_MAX);

    if (ferror(file)) {
        config_add_problem(config, "%s: cannot read: %s", config->file, strerror(errno));
        return false;
    }
    if (ret_text->size > FILE_BYTES_MAX) {
        config_add_problem(config, "%s: larger than %zu bytes", config->file, FILE_BYTES_MAX);
        return false;
    }
    return true;
}

void config_read_file(struct config *config)
{
    FILE *file = fopen(config->file, "re");
    if (!file) {
        if (errno != ENOENT || config->file_named)
            config_add_problem(config, "%s: cannot open: %s", config->file, strerror(errno));
        return;
    }

    config->file_read = true;
    struct weir_buffer text = {0};
    yaml_parser_t parser;
    if (read_text(config, file, &text) && yaml_parser_initialize(&parser)) {
        yaml_parser_set_input_string(&parser, text.data, text.size);
        for (bool first = true; read_document(config, &parser, &text, first); first = false)
            ;
        yaml_parser_delete(&parser);
    }
    weir_buffer_free(&text);
    fclose(file);
}
