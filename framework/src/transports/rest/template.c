#include "transports/rest/template.h"

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

struct parser {
    struct path_template *template;
    const char *at;
    const char *problem;
};

static bool fail(struct parser *parser, const char *problem)
{
    if (!parser->problem)
        parser->problem = problem;
    return false;
}

static bool is_literal(char c)
{
    return c && !strchr("/{}:*=?#%", c) && c > ' ' && c < 0x7f;
}

static struct weir_bytes read_literal(struct parser *parser)
{
    const char *from = parser->at;
    while (is_literal(*parser->at))
        parser->at++;
    return weir_bytes(from, (size_t)(parser->at - from));
}

static bool add_segment(struct parser *parser, enum segment_kind kind, struct weir_bytes literal)
{
    struct path_template *template = parser->template;
    if (template->segment_count == TEMPLATE_SEGMENTS_MAX)
        return fail(parser, "it has too many segments");
    if (template->segment_count > 0 && template->segments[template->segment_count - 1].kind == SEGMENT_MANY)
        return fail(parser, "\"**\" must be the last segment");
    template->segments[template->segment_count++] = (struct template_segment){kind, literal};
    return true;
}

static bool read_segments(struct parser *parser, bool in_variable);

static bool read_variable(struct parser *parser)
{
    struct path_template *template = parser->template;
    const char *from = ++parser->at;
    while (*parser->at && *parser->at != '=' && *parser->at != '}')
        parser->at++;
    if (parser->at == from)
        return fail(parser, "a variable has no name");
    if (template->variable_count == TEMPLATE_VARIABLES_MAX)
        return fail(parser, "it has too many variables");

    struct template_variable *variable = &template->variables[template->variable_count++];
    variable->field = strndup(from, (size_t)(parser->at - from));
    variable->from = template->segment_count;
    if (*parser->at == '=') {
        parser->at++;
        if (!read_segments(parser, true))
            return false;
    } else if (!add_segment(parser, SEGMENT_ONE, (struct weir_bytes){0})) {
        return false;
    }
    variable->to = template->segment_count;
    variable->many =
        variable->to - variable->from > 1 || template->segments[variable->from].kind == SEGMENT_MANY;
    if (*parser->at != '}')
        return fail(parser, "a variable does not end in \"}\"");
    parser->at++;
    return true;
}

static bool read_segment(struct parser *parser, bool in_variable)
{
    if (*parser->at == '{')
        return in_variable ? fail(parser, "a variable is inside another") : read_variable(parser);
    if (*parser->at == '*') {
        bool many = parser->at[1] == '*';
        parser->at += many ? 2 : 1;
        return add_segment(parser, many ? SEGMENT_MANY : SEGMENT_ONE, (struct weir_bytes){0});
    }
    struct weir_bytes literal = read_literal(parser);
    if (literal.size == 0)
        return fail(parser, "a segment is empty");
    return add_segment(parser, SEGMENT_LITERAL, literal);
}

static bool read_segments(struct parser *parser, bool in_variable)
{
    while (read_segment(parser, in_variable)) {
        if (*parser->at != '/')
            return true;
        parser->at++;
    }
    return false;
}

static bool read_template(struct parser *parser)
{
    if (*parser->at != '/')
        return fail(parser, "it must begin with \"/\"");
    parser->at++;
    if (!read_segments(parser, false))
        return false;
    if (*parser->at == ':') {
        parser->at++;
        parser->template->verb = read_literal(parser);
        if (parser->template->verb.size == 0)
            return fail(parser, "there is no verb behind the colon");
    }
    return *parser->at ? fail(parser, "there is something behind its end") : true;
}

enum weir_status template_parse(const char *text, struct path_template *ret_template, struct weir_error *err)
{
    *ret_template = (struct path_template){.text = memory_strdup(text)};
    struct parser parser = {.template = ret_template, .at = ret_template->text};
    if (read_template(&parser))
        return WEIR_OK;
    template_clean_up(ret_template);
    return weir_fail(err, WEIR_INVALID_ARGUMENT, "the path \"%s\" is no template: %s", text, parser.problem);
}

void template_clean_up(struct path_template *parsed)
{
    for (size_t i = 0; i < parsed->variable_count; i++)
        free(parsed->variables[i].field);
    free(parsed->text);
    *parsed = (struct path_template){0};
}
