#include "names.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

static bool upper(char c)
{
    return isupper((unsigned char)c) != 0;
}

static char to_lower(char c)
{
    return (char)tolower((unsigned char)c);
}

static char to_upper(char c)
{
    return (char)toupper((unsigned char)c);
}

const char *names_in_c_package(struct weir_arena *arena, const char *full_name, const char *package,
                               const char *c_package)
{
    if (!c_package)
        return full_name;
    const char *rest = full_name + strlen(package);
    return weir_arena_printf(arena, "%s%s%s", c_package, package[0] == '\0' ? "." : "", rest);
}

const char *names_type(struct weir_arena *arena, const char *full_name)
{
    char *result = weir_arena_alloc(arena, 2 * strlen(full_name) + 1);
    char *to = result;
    bool next_is_upper = true;
    for (const char *from = full_name; *from != '\0'; from++) {
        if (*from == '.') {
            *to++ = '_';
            *to++ = '_';
            next_is_upper = true;
        } else if (*from == '_') {
            next_is_upper = true;
        } else {
            if (next_is_upper)
                *to++ = to_upper(*from);
            else
                *to++ = *from;
            next_is_upper = false;
        }
    }
    *to = '\0';
    return result;
}

/* An underscore before each capital that follows something else; two for a dot. */
static const char *split_camel(struct weir_arena *arena, const char *full_name, char (*cased)(char))
{
    char *result = weir_arena_alloc(arena, 2 * strlen(full_name) + 1);
    char *to = result;
    bool was_upper = true;
    for (const char *from = full_name; *from != '\0'; from++) {
        if (*from == '.') {
            *to++ = '_';
            *to++ = '_';
            was_upper = true;
            continue;
        }
        if (upper(*from) && !was_upper)
            *to++ = '_';
        *to++ = cased(*from);
        was_upper = upper(*from);
    }
    *to = '\0';
    return result;
}

const char *names_lower(struct weir_arena *arena, const char *full_name)
{
    return split_camel(arena, full_name, to_lower);
}

const char *names_upper(struct weir_arena *arena, const char *full_name)
{
    return split_camel(arena, full_name, to_upper);
}

bool names_is_keyword(const char *name)
{
    /* protobuf-c's list: of C and of C++. */
    static const char *const keywords[] = {
        "and",        "and_eq",    "asm",      "auto",     "bitand",   "bitor",       "bool",
        "break",      "case",      "catch",    "char",     "class",    "compl",       "const",
        "const_cast", "continue",  "default",  "delete",   "do",       "double",      "dynamic_cast",
        "else",       "enum",      "explicit", "extern",   "false",    "float",       "for",
        "friend",     "goto",      "if",       "inline",   "int",      "long",        "mutable",
        "namespace",  "new",       "not",      "not_eq",   "operator", "or",          "or_eq",
        "private",    "protected", "public",   "register", "restrict", "return",      "reinterpret_cast",
        "short",      "signed",    "sizeof",   "static",   "struct",   "static_cast", "switch",
        "template",   "this",      "throw",    "true",     "try",      "typedef",     "typeid",
        "typename",   "union",     "unsigned", "using",    "virtual",  "void",        "volatile",
        "wchar_t",    "while",     "xor",      "xor_eq",
    };
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++)
        if (strcmp(name, keywords[i]) == 0)
            return true;
    return false;
}

static const char *not_a_keyword(struct weir_arena *arena, const char *name)
{
    return names_is_keyword(name) ? weir_arena_printf(arena, "%s_", name) : name;
}

const char *names_member(struct weir_arena *arena, const char *field_name)
{
    char *result = weir_arena_strdup(arena, field_name);
    for (char *c = result; *c != '\0'; c++)
        *c = to_lower(*c);
    /* Not in protobuf-c's list. */
    return strcmp(result, "restrict") == 0 ? result : not_a_keyword(arena, result);
}

const char *names_snake(struct weir_arena *arena, const char *name)
{
    char *result = weir_arena_alloc(arena, 2 * strlen(name) + 1);
    char *to = result;
    for (const char *from = name; *from != '\0'; from++) {
        bool begins_word = upper(*from) && from > name &&
                           (!upper(from[-1]) || (from[1] != '\0' && islower((unsigned char)from[1])));
        if ((begins_word || *from == '_') && to > result && to[-1] != '_')
            *to++ = '_';
        if (*from != '_')
            *to++ = to_lower(*from);
    }
    *to = '\0';
    return result;
}

const char *names_snake_member(struct weir_arena *arena, const char *name)
{
    return not_a_keyword(arena, names_snake(arena, name));
}

const char *names_literal(struct weir_arena *arena, const char *text)
{
    char *result = weir_arena_alloc(arena, 4 * strlen(text) + 1);
    char *to = result;
    for (const char *from = text; *from != '\0'; from++) {
        unsigned char byte = (unsigned char)*from;
        if (byte == '"' || byte == '\\') {
            *to++ = '\\';
            *to++ = *from;
        } else if (byte < 0x20 || byte >= 0x7f) {
            /* Octal, for it ends after three digits whatever follows. */
            *to++ = '\\';
            *to++ = (char)('0' + (byte >> 6));
            *to++ = (char)('0' + ((byte >> 3) & 7));
            *to++ = (char)('0' + (byte & 7));
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    return result;
}
