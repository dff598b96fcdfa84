#include "codec/json_scan.h"

#include <string.h>

#include "codec/buffer.h"
#include "codec/utf8.h"

void json_scan_init(struct json_scan *scan, struct weir_bytes json)
{
    *scan = (struct json_scan){.begin = json.data, .at = json.data, .end = json.data};
    if (json.size > 0)
        scan->end += json.size;
}

void json_scan_clean_up(struct json_scan *scan)
{
    weir_buffer_free(&scan->unescaped);
}

static bool fault(struct json_scan *scan, const uint8_t *at, const char *text)
{
    scan->fault = text;
    scan->fault_at = at;
    return false;
}

bool json_expect(struct json_scan *scan, char byte, const char *what)
{
    return json_take(scan, byte) ? true : fault(scan, scan->at, what);
}

bool json_literal(struct json_scan *scan)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < 3; i++) {
        size_t size = strlen(words[i]);
        if ((size_t)(scan->end - scan->at) >= size && memcmp(scan->at, words[i], size) == 0) {
            scan->at += size;
            return true;
        }
    }
    return fault(scan, scan->at, "not a JSON value");
}

static const uint8_t *pass_digits(const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

bool json_number(struct json_scan *scan, struct weir_bytes *ret_text)
{
    const uint8_t *begin = scan->at, *at = begin, *end = scan->end;
    if (at < end && *at == '-')
        at++;
    const uint8_t *digits = at;
    at = pass_digits(at, end);
    if (at == digits)
        return fault(scan, begin, "not a number");
    if (*digits == '0' && at - digits > 1)
        return fault(scan, begin, "a number with a leading zero");
    if (at < end && *at == '.') {
        digits = ++at;
        at = pass_digits(at, end);
        if (at == digits)
            return fault(scan, begin, "a number without digits behind its point");
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        digits = at;
        at = pass_digits(at, end);
        if (at == digits)
            return fault(scan, begin, "a number without digits in its exponent");
    }
    scan->at = at;
    *ret_text = weir_bytes(begin, (size_t)(at - begin));
    return true;
}

static bool read_hex4(const uint8_t *at, const uint8_t *end, uint32_t *ret_value)
{
    if (end - at < 4)
        return false;
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t byte = at[i];
        uint32_t digit;
        if (byte >= '0' && byte <= '9')
            digit = byte - '0';
        else if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f')
            digit = (byte | 0x20U) - 'a' + 10;
        else
            return false;
        value = value << 4 | digit;
    }
    *ret_value = value;
    return true;
}

static void put_utf8(struct weir_buffer *buffer, uint32_t code)
{
    uint8_t *to = buffer_room(buffer, 4);
    if (code < 0x80) {
        to[0] = (uint8_t)code;
        buffer->size += 1;
    } else if (code < 0x800) {
        to[0] = (uint8_t)(0xc0 | code >> 6);
        to[1] = (uint8_t)(0x80 | (code & 0x3f));
        buffer->size += 2;
    } else if (code < 0x10000) {
        to[0] = (uint8_t)(0xe0 | code >> 12);
        to[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        to[2] = (uint8_t)(0x80 | (code & 0x3f));
        buffer->size += 3;
    } else {
        to[0] = (uint8_t)(0xf0 | code >> 18);
        to[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
        to[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        to[3] = (uint8_t)(0x80 | (code & 0x3f));
        buffer->size += 4;
    }
}

/* `at` is behind the backslash and the u. Returns what follows, NULL on a fault. */
static const uint8_t *unescape_unicode(struct json_scan *scan, const uint8_t *at)
{
    const uint8_t *escape = at - 2;
    uint32_t code, low;
    if (!read_hex4(at, scan->end, &code)) {
        fault(scan, escape, "an escape \\u without four hexadecimal digits");
        return NULL;
    }
    at += 4;
    if (code >= 0xd800 && code < 0xe000) {
        if (code >= 0xdc00 || scan->end - at < 6 || at[0] != '\\' || at[1] != 'u' ||
            !read_hex4(at + 2, scan->end, &low) || low < 0xdc00 || low >= 0xe000) {
            fault(scan, escape, "a lone surrogate");
            return NULL;
        }
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        at += 6;
    }
    put_utf8(&scan->unescaped, code);
    return at;
}

/* `at` is behind the backslash. */
static const uint8_t *unescape(struct json_scan *scan, const uint8_t *at)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (at == scan->end) {
        fault(scan, at, "a string without an end");
        return NULL;
    }
    if (*at == 'u')
        return unescape_unicode(scan, at + 1);
    const char *letter = *at ? strchr(from, *at) : NULL;
    if (!letter) {
        fault(scan, at - 1, "an unknown escape");
        return NULL;
    }
    buffer_byte(&scan->unescaped, (uint8_t)to[letter - from]);
    return at + 1;
}

/* Up to a quote, a backslash or a fault. */
static const uint8_t *pass_plain(struct json_scan *scan, const uint8_t *at)
{
    while (at < scan->end) {
        if (scan->end - at >= 8 && utf8_unescaped8(at)) {
            at += 8;
            continue;
        }
        uint8_t byte = *at;
        if (byte == '"' || byte == '\\')
            return at;
        if (byte < 0x20) {
            fault(scan, at, "a control character in a string");
            return NULL;
        }
        size_t size = byte < 0x80 ? 1 : utf8_size(at, scan->end);
        if (size == 0) {
            fault(scan, at, "not UTF-8");
            return NULL;
        }
        at += size;
    }
    fault(scan, at, "a string without an end");
    return NULL;
}

bool json_string(struct json_scan *scan, struct weir_bytes *ret_text)
{
    const uint8_t *run = scan->at + 1;
    const uint8_t *at = pass_plain(scan, run);
    if (at && *at == '"') {
        *ret_text = weir_bytes(run, (size_t)(at - run));
        scan->at = at + 1;
        return true;
    }
    weir_buffer_clear(&scan->unescaped);
    while (at) {
        buffer_append(&scan->unescaped, run, (size_t)(at - run));
        if (*at == '"') {
            *ret_text = weir_buffer_bytes(&scan->unescaped);
            scan->at = at + 1;
            return true;
        }
        run = unescape(scan, at + 1);
        at = run ? pass_plain(scan, run) : NULL;
    }
    return false;
}

static bool skip_object(struct json_scan *scan, size_t depth)
{
    struct weir_bytes key;
    scan->at++;
    if (json_take(scan, '}'))
        return true;
    do {
        if (json_peek(scan) != JSON_STRING)
            return fault(scan, scan->at, "expected a key");
        if (!json_string(scan, &key) || !json_expect(scan, ':', "expected ':'") || !json_skip(scan, depth))
            return false;
    } while (json_take(scan, ','));
    return json_expect(scan, '}', "expected ',' or '}'");
}

static bool skip_array(struct json_scan *scan, size_t depth)
{
    scan->at++;
    if (json_take(scan, ']'))
        return true;
    do {
        if (!json_skip(scan, depth))
            return false;
    } while (json_take(scan, ','));
    return json_expect(scan, ']', "expected ',' or ']'");
}

bool json_skip(struct json_scan *scan, size_t depth)
{
    struct weir_bytes text;
    enum json_kind kind = json_peek(scan);
    switch (kind) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        if (depth == 0) {
            scan->too_deep = true;
            return fault(scan, scan->at, "nested too deep");
        }
        return kind == JSON_OBJECT ? skip_object(scan, depth - 1) : skip_array(scan, depth - 1);
    case JSON_STRING:
        return json_string(scan, &text);
    case JSON_NUMBER:
        return json_number(scan, &text);
    case JSON_NOTHING:
        return fault(scan, scan->at, scan->at == scan->end ? "the text ends here" : "not a JSON value");
    default:
        return json_literal(scan);
    }
}

bool json_finished(struct json_scan *scan)
{
    json_pass_space(scan);
    return scan->at == scan->end ? true : fault(scan, scan->at, "more text behind the value");
}

void json_position(const struct json_scan *scan, const uint8_t *at, size_t *ret_line, size_t *ret_column)
{
    size_t line = 1, column = 1;
    for (const uint8_t *byte = scan->begin; byte < at; byte++) {
        if (*byte == '\n') {
            line++;
            column = 1;
        } else if ((*byte & 0xc0) != 0x80) {
            column++;
        }
    }
    *ret_line = line;
    *ret_column = column;
}
