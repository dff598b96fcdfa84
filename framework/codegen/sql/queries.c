/* Splits a file of named queries:
 *
 *     -- What is left of a product.
 *     -- name: find_stock :one
 *     SELECT on_hand FROM stock WHERE sku = @sku;
 *
 * Behind :one and :many may stand the name of the row, which several queries share.
 */
#include <ctype.h>
#include <string.h>

#include "names.h"
#include "sqlgen.h"

struct parser {
    struct weir_arena *arena;
    const struct source *source;
    struct queries *queries;
    struct report *report;
    struct query *query;        /* whose statement is read; NULL: none */
    size_t capacity;            /* of its tokens */
    struct weir_buffer comment; /* lines above a header, or between it and its statement */
    size_t comment_end;         /* of its last line, in the file */
    bool nameless;              /* in a statement without a name: reported already */
};

static const char *text_of(struct parser *parser, struct weir_bytes bytes)
{
    return weir_arena_text(parser->arena, bytes);
}

static struct weir_bytes take_word(const char **at, const char *end)
{
    while (*at < end && isspace((unsigned char)**at))
        (*at)++;
    const char *begin = *at;
    while (*at < end && !isspace((unsigned char)**at))
        (*at)++;
    return weir_bytes(begin, (size_t)(*at - begin));
}

static bool kind_of(struct weir_bytes text, enum query_kind *ret_kind)
{
    static const char *const kinds[] = {[QUERY_ONE] = ":one", [QUERY_MANY] = ":many", [QUERY_EXEC] = ":exec"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (weir_bytes_equal_text(text, kinds[i])) {
            *ret_kind = (enum query_kind)i;
            return true;
        }
    return false;
}

static bool is_c_name(struct weir_bytes name)
{
    for (size_t i = 0; i < name.size; i++)
        if (!(islower(name.data[i]) || name.data[i] == '_' || (i > 0 && isdigit(name.data[i]))))
            return false;
    return name.size > 0;
}

/* What else the C of a query is called: a name must not be another one's. */
static bool makes_name(const struct query *query, const char *name)
{
    static const char *const suffixes[] = {"", "_read", "_next", "_end", "_fill"};
    size_t size = strlen(query->name);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
        if (strncmp(query->name, name, size) == 0 && strcmp(name + size, suffixes[i]) == 0)
            return true;
    return false;
}

static void check_name(struct parser *parser, const struct query *query)
{
    if (names_is_keyword(query->name) || strncmp(query->name, "weir_", 5) == 0 ||
        strcmp(query->name, "statements") == 0 || strcmp(query->name, "migrations") == 0)
        report_add(parser->report, parser->source, query->offset, query->name,
                   "is a word of C's or of the generated code: take another name");
    for (size_t i = 0; i < parser->queries->count; i++) {
        const struct query *other = &parser->queries->list[i];
        if (makes_name(other, query->name) || makes_name(query, other->name))
            report_add(parser->report, parser->source, query->offset, query->name,
                       "there is the query \"%s\" in line %zu already: take another name", other->name,
                       line_of(parser->source, other->offset));
    }
}

static void begin_query(struct parser *parser, const struct query *query)
{
    struct queries *queries = parser->queries;
    if ((queries->count & (queries->count - 1)) == 0) { /* full at each power of two */
        size_t capacity = queries->count ? 2 * queries->count : 1;
        struct query *list = weir_arena_alloc(parser->arena, capacity * sizeof *list);
        if (queries->count > 0)
            memcpy(list, queries->list, queries->count * sizeof *list);
        queries->list = list;
    }
    queries->list[queries->count] = *query;
    parser->query = &queries->list[queries->count++];
    parser->capacity = 0;
}

/* "name: find_stock :one", behind the dashes. */
static void take_header(struct parser *parser, const struct token *token, const char *at, const char *end)
{
    struct report *report = parser->report;
    struct weir_bytes name = take_word(&at, end), kind = take_word(&at, end), row = take_word(&at, end);
    struct weir_bytes more = take_word(&at, end);
    struct query query = {.source = parser->source, .offset = token->offset, .comment = ""};
    if (parser->query)
        report_add(report, parser->source, parser->query->offset, parser->query->name,
                   parser->query->token_count > 0 ? "its statement does not end: put a semicolon behind it"
                                                  : "has no statement: write it below");
    parser->query = NULL;
    parser->nameless = true; /* until it proves right */
    if (!is_c_name(name)) {
        report_add(report, parser->source, token->offset, NULL,
                   "\"%s\" is no name of a query: take lower case letters, digits and _",
                   text_of(parser, name));
    } else if (!kind_of(kind, &query.kind)) {
        report_add(report, parser->source, token->offset, text_of(parser, name),
                   "say what it gives: -- name: %s :one, :many or :exec", text_of(parser, name));
    } else if (more.size > 0 || (row.size > 0 && (query.kind == QUERY_EXEC || !is_c_name(row)))) {
        report_add(report, parser->source, token->offset, text_of(parser, name),
                   "behind :one and :many may stand the name of its row, in lower case letters, digits and "
                   "_; no more");
    } else {
        query.name = text_of(parser, name);
        query.row = row.size > 0 ? text_of(parser, row) : query.name;
        check_name(parser, &query);
        begin_query(parser, &query);
        parser->nameless = false;
    }
}

/* Lines with nothing but a line's end between them are one comment. */
static bool follows(const struct parser *parser, const struct token *token)
{
    size_t lines = 0;
    for (size_t i = parser->comment_end; i < token->offset; i++)
        lines += parser->source->text[i] == '\n';
    return lines <= 1;
}

static void take_comment(struct parser *parser, const struct token *token)
{
    const char *at = parser->source->text + token->offset, *end = at + token->size;
    if (*at == '/')
        return;
    at += 2;
    const char *after_word = at;
    if (weir_bytes_equal_text(take_word(&after_word, end), "name:")) {
        if (!follows(parser, token))
            weir_buffer_clear(&parser->comment);
        take_header(parser, token, after_word, end);
        parser->comment_end = token->offset + token->size;
        return;
    }
    if (parser->query && parser->query->token_count > 0)
        return;
    if (!parser->query && !follows(parser, token))
        weir_buffer_clear(&parser->comment);
    while (at < end && isspace((unsigned char)*at))
        at++;
    while (at < end && isspace((unsigned char)end[-1]))
        end--;
    weir_buffer_append(&parser->comment, at, (size_t)(end - at));
    weir_buffer_append_byte(&parser->comment, '\n');
    parser->comment_end = token->offset + token->size;
}

static void take_code(struct parser *parser, const struct token *token)
{
    struct query *query = parser->query;
    if (!query) {
        if (!parser->nameless)
            report_add(parser->report, parser->source, token->offset, NULL,
                       "a statement without a name: write -- name: NAME :one, :many or :exec above it");
        parser->nameless = true;
        return;
    }
    if (query->token_count == 0) {
        query->comment = weir_arena_strdup(parser->arena, weir_buffer_text(&parser->comment));
        weir_buffer_clear(&parser->comment);
    }
    if (query->token_count == parser->capacity) {
        parser->capacity = parser->capacity ? 2 * parser->capacity : 64;
        struct token *tokens = weir_arena_alloc(parser->arena, parser->capacity * sizeof *tokens);
        if (query->token_count > 0)
            memcpy(tokens, query->tokens, query->token_count * sizeof *tokens);
        query->tokens = tokens;
    }
    query->tokens[query->token_count++] = *token;
}

static void end_statement(struct parser *parser, const struct token *token)
{
    if (parser->query && parser->query->token_count == 0)
        report_add(parser->report, parser->source, parser->query->offset, parser->query->name,
                   "has no statement: write it below");
    parser->query = NULL;
    parser->nameless = false;
    weir_buffer_clear(&parser->comment);
    parser->comment_end = token->offset + token->size;
}

bool queries_parse(struct weir_arena *arena, const struct source *source, struct queries *ret_queries,
                   struct report *report)
{
    size_t before = report->count;
    struct parser parser = {.arena = arena, .source = source, .queries = ret_queries, .report = report};
    struct lexer lexer = {.text = source->text};
    struct token token;
    while ((token = lexer_next(&lexer)).kind != TOKEN_END) {
        if (token.kind == TOKEN_BAD) {
            report_add(report, source, token.offset, parser.query ? parser.query->name : NULL,
                       strchr("'\"/xX", source->text[token.offset]) ? "what begins here does not end"
                                                                    : "a character that SQL does not have");
            if (parser.query)
                parser.query->token_count = 0; /* nothing to check */
            break;
        }
        if (token.kind == TOKEN_COMMENT) {
            take_comment(&parser, &token);
        } else if (token_is(&token, ";")) {
            end_statement(&parser, &token);
            lexer.depth = 0;
        } else {
            take_code(&parser, &token);
        }
    }
    if (parser.query && token.kind == TOKEN_END)
        report_add(report, source, parser.query->offset, parser.query->name,
                   parser.query->token_count > 0 ? "its statement does not end: put a semicolon behind it"
                                                 : "has no statement: write it below");
    weir_buffer_free(&parser.comment);
    if (report->count == before && ret_queries->count == 0)
        report_add(report, source, 0, NULL, "there is no query: write -- name: NAME :one and a statement");
    return report->count == before;
}
