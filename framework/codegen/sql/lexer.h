/* Tokens of SQL, as SQLite and PostgreSQL both read them. */
#ifndef CODEGEN_SQL_LEXER_H
#define CODEGEN_SQL_LEXER_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/bytes.h>

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,      /* a keyword or a name; a name in double quotes comes without them */
    TOKEN_STRING,    /* 'text' and x'00' */
    TOKEN_NUMBER,    /* 1, 1.5, 1e9 */
    TOKEN_PARAMETER, /* @name; also ?1, :name and $1, which are refused later */
    TOKEN_OPERATOR,  /* one of "( ) , ; . = == <> ..." */
    TOKEN_COMMENT,   /* -- to the end of the line, and what stands between the stars */
    TOKEN_BAD        /* a character that no SQL has, or a quote that does not end */
};

struct token {
    enum token_kind kind;
    bool quoted;            /* a WORD in double quotes: no keyword */
    size_t offset;          /* in the text */
    size_t size;            /* with its quotes */
    struct weir_bytes text; /* without */
    int depth;              /* of parentheses around it; both parentheses have the outer depth */
};

struct lexer {
    const char *text; /* terminated */
    size_t at;
    int depth;
};

/* The next token; END at the end, again and again. */
struct token lexer_next(struct lexer *lexer);

/* A keyword or operator, whatever its case. */
bool token_is(const struct token *token, const char *text);
/* Any of several, separated by single spaces. */
bool token_is_any(const struct token *token, const char *texts);
/* Names are equal whatever their case. */
bool name_equal(struct weir_bytes left, const char *right);

#endif
