/* Text to values, and what is wrong with it. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "core/config_parts.h"
#include "core/nearest.h"

#define QUOTED_MAX 80
#define LISTEN_FORMS "HOST:PORT, [V6]:PORT or unix:PATH"

const char *config_quoted(const struct config *config, const char *text)
{
    struct weir_buffer buffer = {0};
    weir_buffer_append_byte(&buffer, '"');
    for (const char *c = text; *c; c++) {
        if (c - text >= QUOTED_MAX) {
            weir_buffer_append_text(&buffer, "...");
            break;
        }
        if (*c == '"' || *c == '\\')
            weir_buffer_printf(&buffer, "\\%c", *c);
        else if (*c == '\n')
            weir_buffer_append_text(&buffer, "\\n");
        else if ((unsigned char)*c < 0x20 || *c == 0x7f)
            weir_buffer_printf(&buffer, "\\x%02x", (unsigned)*c);
        else
            weir_buffer_append_byte(&buffer, (uint8_t)*c);
    }
    weir_buffer_append_byte(&buffer, '"');
    const char *quoted = weir_arena_strdup(config->arena, weir_buffer_text(&buffer));
    weir_buffer_free(&buffer);
    return quoted;
}

static const char *shown(const struct config *config, const struct weir_config_key *key, const char *text)
{
    return key->secret ? "***" : config_quoted(config, text);
}

static const char *choices(const struct config *config, const struct weir_config_key *key)
{
    struct weir_buffer buffer = {0};
    for (const char *const *choice = key->choices; *choice; choice++)
        weir_buffer_printf(&buffer, "%s%s", choice == key->choices ? "" : ", ", *choice);
    const char *list = weir_arena_strdup(config->arena, weir_buffer_text(&buffer));
    weir_buffer_free(&buffer);
    return list;
}

const char *config_expected(const struct config *config, const struct weir_config_key *key)
{
    switch (key->type) {
    case WEIR_CONFIG_TEXT:
        return "text";
    case WEIR_CONFIG_INT:
        return "an integer";
    case WEIR_CONFIG_BOOL:
        return "true or false";
    case WEIR_CONFIG_CHOICE:
        return weir_arena_printf(config->arena, "one of %s", choices(config, key));
    case WEIR_CONFIG_LISTEN:
        return LISTEN_FORMS;
    }
    return "a value";
}

static const char *unit(const struct weir_config_key *key)
{
    size_t length = strlen(key->name);
    if (length > 3 && strcmp(key->name + length - 3, "_ms") == 0)
        return " ms";
    return strstr(key->name, "_bytes") ? " bytes" : "";
}

const char *config_range(const struct config *config, const struct weir_config_key *key)
{
    if (key->type != WEIR_CONFIG_INT || (key->min == 0 && key->max == 0))
        return "";
    if (key->max < key->min || key->max == INT64_MAX)
        return weir_arena_printf(config->arena, "at least %lld%s", (long long)key->min, unit(key));
    return weir_arena_printf(config->arena, "%lld to %lld%s", (long long)key->min, (long long)key->max,
                             unit(key));
}

static bool in_range(const struct weir_config_key *key, int64_t value)
{
    if (key->min == 0 && key->max == 0)
        return true;
    return value >= key->min && (key->max < key->min || value <= key->max);
}

static const char *parse_int(const struct config *config, const struct weir_config_key *key, const char *text,
                             int64_t *ret)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    if (!*digits || strspn(digits, "0123456789") != strlen(digits))
        return weir_arena_printf(config->arena, "expected an integer, found %s", shown(config, key, text));

    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno == ERANGE && key->min == 0 && key->max == 0)
        return weir_arena_printf(config->arena, "%s is out of range: 64 bits", key->secret ? "***" : text);
    if (errno == ERANGE || !in_range(key, value))
        return weir_arena_printf(config->arena, "%s is out of range: %s", key->secret ? "***" : text,
                                 config_range(config, key));
    *ret = value;
    return NULL;
}

static const char *parse_choice(const struct config *config, const struct weir_config_key *key,
                                const char *text, int *ret)
{
    struct nearest nearest = {.word = text};
    for (int i = 0; key->choices[i]; i++) {
        if (strcmp(key->choices[i], text) == 0) {
            *ret = i;
            return NULL;
        }
        nearest_consider(&nearest, key->choices[i]);
    }
    const char *expected = config_expected(config, key);
    if (nearest.best)
        return weir_arena_printf(config->arena, "expected %s, found %s; did you mean %s?", expected,
                                 shown(config, key, text), nearest.best);
    return weir_arena_printf(config->arena, "expected %s, found %s", expected, shown(config, key, text));
}

static bool valid_port(const char *text)
{
    size_t length = strlen(text);
    return length >= 1 && length <= 5 && strspn(text, "0123456789") == length &&
           strtol(text, NULL, 10) <= 65535;
}

static bool valid_host(const char *host, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)host[i]) && !strchr(".-_", host[i]))
            return false;
    return true;
}

static const char *wrong_v6(const struct config *config, const char *text)
{
    const char *end = strchr(text, ']');
    if (!end)
        return "] is missing";
    struct in6_addr address;
    const char *host = weir_arena_text(config->arena, weir_bytes(text + 1, (size_t)(end - text - 1)));
    if (inet_pton(AF_INET6, host, &address) != 1)
        return "no IPv6 address stands between [ and ]";
    if (end[1] != ':')
        return "the port is missing";
    return valid_port(end + 2) ? NULL : "the port is not 0 to 65535";
}

/* NULL, or what is wrong with it. */
static const char *wrong_listen(const struct config *config, const char *text)
{
    if (strncmp(text, "unix:", 5) == 0) {
        if (!text[5])
            return "the path is missing";
        return strlen(text + 5) < sizeof(struct sockaddr_un){0}.sun_path
                   ? NULL
                   : "the path is longer than 107 bytes";
    }
    if (text[0] == '[')
        return wrong_v6(config, text);

    const char *colon = strrchr(text, ':');
    if (!colon)
        return "the port is missing";
    if (colon == text)
        return "the host is missing (0.0.0.0 or [::] for all interfaces)";
    if (memchr(text, ':', (size_t)(colon - text)))
        return "an IPv6 address stands in [ ]";
    if (!valid_host(text, (size_t)(colon - text)))
        return "the host has a character that no host name has";
    return valid_port(colon + 1) ? NULL : "the port is not 0 to 65535";
}

const char *config_parse(const struct config *config, const struct weir_config_key *key, const char *text,
                         void *options)
{
    void *member = (char *)options + key->offset;
    const char *wrong = NULL;
    switch (key->type) {
    case WEIR_CONFIG_INT:
        return parse_int(config, key, text, member);
    case WEIR_CONFIG_CHOICE:
        return parse_choice(config, key, text, member);
    case WEIR_CONFIG_BOOL:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return weir_arena_printf(config->arena, "expected true or false, found %s",
                                     shown(config, key, text));
        *(bool *)member = text[0] == 't';
        return NULL;
    case WEIR_CONFIG_LISTEN:
        wrong = wrong_listen(config, text);
        if (wrong)
            return weir_arena_printf(config->arena, "expected " LISTEN_FORMS ", found %s: %s",
                                     shown(config, key, text), wrong);
        break;
    case WEIR_CONFIG_TEXT:
        break;
    }
    *(const char **)member = text;
    return NULL;
}

const char *config_take_member(const struct config *config, const struct weir_config_key *key, void *options)
{
    const void *member = (const char *)options + key->offset;
    switch (key->type) {
    case WEIR_CONFIG_INT: {
        int64_t value = *(const int64_t *)member;
        return value == 0 ? NULL : weir_arena_printf(config->arena, "%lld", (long long)value);
    }
    case WEIR_CONFIG_BOOL:
        return *(const bool *)member ? "true" : NULL;
    case WEIR_CONFIG_CHOICE: {
        int index = *(const int *)member;
        for (int i = 0; index > 0 && key->choices[i]; i++)
            if (i == index)
                return key->choices[i];
        return index == 0 ? NULL : weir_arena_printf(config->arena, "%d", index);
    }
    case WEIR_CONFIG_TEXT:
    case WEIR_CONFIG_LISTEN:
        return weir_arena_strdup(config->arena, *(const char *const *)member);
    }
    return NULL;
}
