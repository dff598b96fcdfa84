#include "template.h"

#include <ctype.h>
#include <string.h>

struct parser {
    struct weir_arena *arena;
    const char *path, *at;
    struct template *template;
    struct weir_error *err;
};

static enum weir_status wrong(const struct parser *parser, const char *what)
{
    return weir_fail(parser->err, WEIR_INVALID_ARGUMENT, "path \"%s\": %s at position %zu", parser->path,
                     what, (size_t)(parser->at - parser->path) + 1);
}

/* RFC 3986's pchar without ':', which begins the verb, '*', which is a wildcard, '=', and percent-encoding:
 * paths are matched as they come. */
static bool is_literal(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("-._~!$&'()+,;@", c));
}

static const char *take_literal(struct parser *parser)
{
    const char *begin = parser->at;
    while (is_literal(*parser->at))
        parser->at++;
    return weir_arena_text(parser->arena, weir_bytes(begin, (size_t)(parser->at - begin)));
}

static void add_segment(struct parser *parser, enum segment_kind kind, const char *literal)
{
    struct template *template = parser->template;
    template->segments[template->segment_count++] = (struct segment){.kind = kind, .literal = literal};
}

/* "*", "**" or a literal. */
static enum weir_status take_plain_segment(struct parser *parser)
{
    const struct template *template = parser->template;
    if (template->segment_count > 0 && template->segments[template->segment_count - 1].kind == SEGMENT_REST)
        return wrong(parser, "nothing but a verb may follow **");
    if (*parser->at == '*') {
        bool rest = parser->at[1] == '*';
        parser->at += rest ? 2 : 1;
        add_segment(parser, rest ? SEGMENT_REST : SEGMENT_ONE, NULL);
        return WEIR_OK;
    }
    if (!is_literal(*parser->at))
        return wrong(parser, *parser->at == '\0' || *parser->at == '/'
                                 ? "an empty segment"
                                 : "a character that no segment may have");
    const char *literal = take_literal(parser);
    add_segment(parser, SEGMENT_LITERAL, literal);
    return WEIR_OK;
}

static enum weir_status take_variable(struct parser *parser)
{
    parser->at++;
    const char *begin = parser->at;
    while (isalnum((unsigned char)*parser->at) || *parser->at == '_' || *parser->at == '.')
        parser->at++;
    if (parser->at == begin)
        return wrong(parser, "a variable without a name");
    struct template *template = parser->template;
    template->variables[template->variable_count++] =
        weir_arena_text(parser->arena, weir_bytes(begin, (size_t)(parser->at - begin)));
    if (*parser->at == '}') {
        parser->at++;
        if (template->segment_count > 0 &&
            template->segments[template->segment_count - 1].kind == SEGMENT_REST)
            return wrong(parser, "nothing but a verb may follow **");
        add_segment(parser, SEGMENT_ONE, NULL);
        return WEIR_OK;
    }
    if (*parser->at != '=')
        return wrong(parser, "a variable without its \"}\"");
    do {
        parser->at++;
        enum weir_status status = take_plain_segment(parser);
        if (status != WEIR_OK)
            return status;
    } while (*parser->at == '/');
    if (*parser->at != '}')
        return wrong(parser, "a variable without its \"}\"");
    parser->at++;
    return WEIR_OK;
}

enum weir_status template_parse(struct weir_arena *arena, const char *path, struct template *ret_template,
                                struct weir_error *err)
{
    size_t most = strlen(path) + 1;
    *ret_template = (struct template){
        .segments = weir_arena_alloc(arena, most * sizeof(struct segment)),
        .variables = weir_arena_alloc(arena, most * sizeof(char *)),
        .verb = "",
    };
    struct parser parser = {.arena = arena, .path = path, .at = path, .template = ret_template, .err = err};
    if (*parser.at != '/')
        return weir_fail(err, WEIR_INVALID_ARGUMENT, "path \"%s\" does not begin with \"/\"", path);
    while (*parser.at == '/') {
        parser.at++;
        enum weir_status status = *parser.at == '{' ? take_variable(&parser) : take_plain_segment(&parser);
        if (status != WEIR_OK)
            return status;
    }
    if (*parser.at == ':') {
        parser.at++;
        ret_template->verb = take_literal(&parser);
        if (ret_template->verb[0] == '\0')
            return wrong(&parser, "an empty verb");
    }
    if (*parser.at != '\0')
        return wrong(&parser, "a character that does not belong there");
    if (ret_template->segment_count > TEMPLATE_SEGMENTS_MAX ||
        ret_template->variable_count > TEMPLATE_VARIABLES_MAX)
        return weir_fail(err, WEIR_INVALID_ARGUMENT, "path \"%s\" has more than %d segments or %d variables",
                         path, TEMPLATE_SEGMENTS_MAX, TEMPLATE_VARIABLES_MAX);
    return WEIR_OK;
}

bool template_overlap(const struct template *left, const struct template *right)
{
    if (strcmp(left->verb, right->verb) != 0)
        return false;
    for (size_t i = 0;; i++) {
        bool left_ends = i == left->segment_count, right_ends = i == right->segment_count;
        if ((!left_ends && left->segments[i].kind == SEGMENT_REST) ||
            (!right_ends && right->segments[i].kind == SEGMENT_REST))
            return true;
        if (left_ends || right_ends)
            return left_ends && right_ends;
        if (left->segments[i].kind == SEGMENT_LITERAL && right->segments[i].kind == SEGMENT_LITERAL &&
            strcmp(left->segments[i].literal, right->segments[i].literal) != 0)
            return false;
    }
}
