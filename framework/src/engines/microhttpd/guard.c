/* What RFC 9110 and 9112 forbid and libmicrohttpd lets pass: a head that two parsers would read in two ways
 * is how requests are smuggled. Looks at the fields, and, for 0.9.x, at the bytes behind them. */
#include <string.h>
#include <strings.h>

#include "engines/microhttpd/internal.h"

static const char token_characters[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1, ['-'] = 1,
    ['.'] = 1, ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1, ['~'] = 1,  ['0'] = 1, ['1'] = 1, ['2'] = 1,
    ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1, ['7'] = 1, ['8'] = 1,  ['9'] = 1, ['A'] = 1, ['B'] = 1,
    ['C'] = 1, ['D'] = 1, ['E'] = 1, ['F'] = 1, ['G'] = 1, ['H'] = 1,  ['I'] = 1, ['J'] = 1, ['K'] = 1,
    ['L'] = 1, ['M'] = 1, ['N'] = 1, ['O'] = 1, ['P'] = 1, ['Q'] = 1,  ['R'] = 1, ['S'] = 1, ['T'] = 1,
    ['U'] = 1, ['V'] = 1, ['W'] = 1, ['X'] = 1, ['Y'] = 1, ['Z'] = 1,  ['a'] = 1, ['b'] = 1, ['c'] = 1,
    ['d'] = 1, ['e'] = 1, ['f'] = 1, ['g'] = 1, ['h'] = 1, ['i'] = 1,  ['j'] = 1, ['k'] = 1, ['l'] = 1,
    ['m'] = 1, ['n'] = 1, ['o'] = 1, ['p'] = 1, ['q'] = 1, ['r'] = 1,  ['s'] = 1, ['t'] = 1, ['u'] = 1,
    ['v'] = 1, ['w'] = 1, ['x'] = 1, ['y'] = 1, ['z'] = 1,
};

static bool is_token(struct weir_bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        if (!token_characters[bytes.data[i]])
            return false;
    return bytes.size > 0;
}

static bool has_control(struct weir_bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        if ((bytes.data[i] < 0x20 && bytes.data[i] != '\t') || bytes.data[i] == 0x7f)
            return true;
    return false;
}

static bool equals(struct weir_bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && strncasecmp((const char *)bytes.data, text, bytes.size) == 0;
}

/* Visible ASCII without the characters that no URI has (RFC 3986, 2). */
static bool target_valid(struct weir_bytes target)
{
    for (size_t i = 0; i < target.size; i++)
        if (target.data[i] <= 0x20 || target.data[i] >= 0x7f || strchr("\"#<>\\^`{|}", target.data[i]))
            return false;
    if (target.size == 0)
        return false;
    return target.data[0] == '/' || equals(target, "*") ||
           (target.size > 7 && strncasecmp((const char *)target.data, "http://", 7) == 0 &&
            target.data[7] != '/');
}

static bool host_valid(struct weir_bytes host)
{
    for (size_t i = 0; i < host.size; i++)
        if (host.data[i] <= 0x20 || host.data[i] >= 0x7f || strchr("/?#@,\"<>\\^`{|}", host.data[i]))
            return false;
    return true;
}

/* 0.9.x's parser has put a zero in place of the spaces of the first line and of the colons, two in place of
 * CR LF, but one in place of a bare LF; a zero that was sent looks the same, and so does a folded line begin
 * with a space. So a head that was right is: method 0 target 0 version 0 0, then name 0 value 0 0 for each
 * field, then 0 0. A query is cut at its '?',
 * '&' and '='; that part is skipped. */
static bool raw_valid(const struct exchange *exchange, const char *version)
{
    const char *at = version + strlen(version);
    const char *end = exchange->raw + exchange->raw_size;
    if (version < exchange->raw || at + 2 > end || at[1] != 0)
        return false;
    at += 2;
    for (;;) {
        if (at + 2 > end)
            return false;
        if (*at == 0)
            return at[1] == 0 && at + 2 == end;
        if (*at == ' ' || *at == '\t')
            return false;
        const char *zero = memchr(at, 0, (size_t)(end - at)); /* the colon */
        if (!zero)
            return false;
        const char *value_end = memchr(zero + 1, 0, (size_t)(end - zero - 1));
        if (!value_end || value_end + 1 >= end || value_end[1] != 0)
            return false;
        at = value_end + 2;
    }
}

static bool raw_is_known(void)
{
    static const char *const cut_with_zeros = "0.9.";
    return strncmp(MHD_get_version(), cut_with_zeros, strlen(cut_with_zeros)) == 0;
}

struct framing {
    int hosts, lengths, codings;
    struct weir_bytes host, length, coding, expect;
};

static bool digits_only(struct weir_bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        if (bytes.data[i] < '0' || bytes.data[i] > '9')
            return false;
    return bytes.size > 0;
}

static int check_framing(const struct http_head *head, const struct framing *framing, const char **ret_text)
{
    *ret_text = "the Host header is missing, given twice, or not a host";
    if (framing->hosts > 1 || (framing->hosts == 0 && !head->http_1_0) || !host_valid(framing->host))
        return 400;
    *ret_text = "Content-Length is not one number";
    if (framing->lengths > 1 || (framing->lengths == 1 && !digits_only(framing->length)))
        return 400;
    *ret_text = "both Content-Length and Transfer-Encoding are given";
    if (framing->codings > 0 && framing->lengths > 0)
        return 400;
    *ret_text = "Transfer-Encoding is not allowed with HTTP/1.0";
    if (framing->codings > 0 && head->http_1_0)
        return 400;
    *ret_text = "Transfer-Encoding must be \"chunked\"";
    if (framing->codings > 1 || (framing->codings == 1 && !equals(framing->coding, "chunked")))
        return 400;
    *ret_text = "Expect must be \"100-continue\"";
    if (framing->expect.data && !equals(framing->expect, "100-continue"))
        return 417;
    return 0;
}

static int check_fields(const struct exchange *exchange, struct framing *framing, const char **ret_text)
{
    for (size_t i = 0; i < exchange->head.header_count; i++) {
        const struct http_header *header = &exchange->headers[i];
        *ret_text = "a header's name or value has characters that are not allowed";
        if (!is_token(header->name) || has_control(header->value))
            return 400;
        if (equals(header->name, "host")) {
            framing->hosts++;
            framing->host = header->value;
        } else if (equals(header->name, "content-length")) {
            framing->lengths++;
            framing->length = header->value;
        } else if (equals(header->name, "transfer-encoding")) {
            framing->codings++;
            framing->coding = header->value;
        } else if (equals(header->name, "expect")) {
            framing->expect = header->value;
        }
    }
    return 0;
}

int guard_check(struct exchange *exchange, const char *version, const char **ret_text)
{
    const struct http_head *head = &exchange->head;
    size_t most = (size_t)exchange->loop->engine->options.head_bytes_max;
    *ret_text = "the target is longer than this server accepts";
    if (head->target.size >= most)
        return 414;
    *ret_text = "the head is larger than this server accepts";
    if (exchange->raw_size > most || head->header_count > HEADERS_MAX)
        return 431;
    *ret_text = "the method is not a token";
    if (!is_token(head->method))
        return 400;
    *ret_text = "the target is not one of RFC 9112, 3.2";
    if (!target_valid(head->target))
        return 400;
    *ret_text = "only HTTP/1.1 and HTTP/1.0 are spoken here";
    if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0)
        return 505;
    *ret_text = "a line of the head is folded, does not end in CR LF, or has a zero in it";
    if (raw_is_known() && !raw_valid(exchange, version))
        return 400;

    struct framing framing = {0};
    int status = check_fields(exchange, &framing, ret_text);
    return status > 0 ? status : check_framing(head, &framing, ret_text);
}
