#include "lexer.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool begins_word(char c)
{
    return isalpha((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_word(char c)
{
    return begins_word(c) || isdigit((unsigned char)c);
}

static size_t end_of_word(const char *text, size_t at)
{
    while (is_word(text[at]))
        at++;
    return at;
}

/* Behind the closing quote; a doubled quote is part of the text. 0: it does not end. */
static size_t end_of_quotes(const char *text, size_t at)
{
    char quote = text[at++];
    for (; text[at]; at++) {
        if (text[at] != quote)
            continue;
        if (text[at + 1] != quote)
            return at + 1;
        at++;
    }
    return 0;
}

static size_t end_of_number(const char *text, size_t at)
{
    while (is_word(text[at]) || text[at] == '.' ||
           ((text[at] == '+' || text[at] == '-') && (text[at - 1] == 'e' || text[at - 1] == 'E')))
        at++;
    return at;
}

static size_t end_of_operator(const char *text, size_t at)
{
    static const char *const pairs[] = {"<>", "<=", ">=", "==", "!=", "||", "<<", ">>", "::", "->"};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (strncmp(text + at, pairs[i], 2) == 0)
            return at + 2;
    return at + 1;
}

static size_t end_of_comment(const char *text, size_t at)
{
    if (text[at] == '-')
        return at + strcspn(text + at, "\n");
    const char *end = strstr(text + at + 2, "*/");
    return end ? (size_t)(end - text) + 2 : 0;
}

static enum token_kind take(const char *text, size_t at, size_t *ret_end)
{
    char c = text[at], next = text[at + 1];
    if ((c == '-' && next == '-') || (c == '/' && next == '*')) {
        *ret_end = end_of_comment(text, at);
        return TOKEN_COMMENT;
    }
    if (c == '\'' || ((c == 'x' || c == 'X') && next == '\'')) {
        *ret_end = end_of_quotes(text, c == '\'' ? at : at + 1);
        return TOKEN_STRING;
    }
    if (c == '"') {
        *ret_end = end_of_quotes(text, at);
        return TOKEN_WORD;
    }
    if (isdigit((unsigned char)c) || (c == '.' && isdigit((unsigned char)next))) {
        *ret_end = end_of_number(text, at);
        return TOKEN_NUMBER;
    }
    if (begins_word(c)) {
        *ret_end = end_of_word(text, at);
        return TOKEN_WORD;
    }
    if (c == '?' || ((c == '@' || c == ':' || c == '$') && is_word(next))) {
        *ret_end = end_of_word(text, at + 1);
        return TOKEN_PARAMETER;
    }
    if (strchr("()+-*/%<>=!|&~,;.:", c)) {
        *ret_end = end_of_operator(text, at);
        return TOKEN_OPERATOR;
    }
    *ret_end = 0;
    return TOKEN_BAD;
}

struct token lexer_next(struct lexer *lexer)
{
    const char *text = lexer->text;
    while (isspace((unsigned char)text[lexer->at]))
        lexer->at++;
    struct token token = {.offset = lexer->at, .depth = lexer->depth};
    if (!text[lexer->at])
        return token;

    size_t end = 0;
    token.kind = take(text, lexer->at, &end);
    if (end == 0) {
        token.kind = TOKEN_BAD;
        end = lexer->at + 1;
    }
    token.size = end - lexer->at;
    token.quoted = token.kind == TOKEN_WORD && text[lexer->at] == '"';
    size_t skip = token.quoted ? 1 : 0;
    token.text = weir_bytes(text + lexer->at + skip, token.size - 2 * skip);
    lexer->at = end;
    if (token_is(&token, "("))
        lexer->depth++;
    else if (token_is(&token, ")"))
        token.depth = --lexer->depth;
    return token;
}

static bool equal(const struct token *token, const char *text, size_t size)
{
    return token->text.size == size && strncasecmp((const char *)token->text.data, text, size) == 0;
}

static bool may_be_keyword(const struct token *token)
{
    return (token->kind == TOKEN_WORD && !token->quoted) || token->kind == TOKEN_OPERATOR;
}

bool token_is(const struct token *token, const char *text)
{
    return may_be_keyword(token) && equal(token, text, strlen(text));
}

bool token_is_any(const struct token *token, const char *texts)
{
    if (!may_be_keyword(token))
        return false;
    for (size_t size; *texts; texts += size + (texts[size] == ' ')) {
        size = strcspn(texts, " ");
        if (equal(token, texts, size))
            return true;
    }
    return false;
}

bool name_equal(struct weir_bytes left, const char *right)
{
    return left.size == strlen(right) && strncasecmp((const char *)left.data, right, left.size) == 0;
}
