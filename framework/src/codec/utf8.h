/* UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef WEIR_CODEC_UTF8_H
#define WEIR_CODEC_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <weir/bytes.h>

/* Bytes of the one character at `at`; 0 when it is none. */
static inline size_t utf8_size(const uint8_t *at, const uint8_t *end)
{
    size_t left = (size_t)(end - at);
    uint8_t first = at[0];
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first < 0xe0)
        return left >= 2 && (at[1] & 0xc0) == 0x80 ? 2 : 0;
    if (first >= 0xe0 && first < 0xf0) {
        if (left < 3 || (at[1] & 0xc0) != 0x80 || (at[2] & 0xc0) != 0x80)
            return 0;
        return (first == 0xe0 && at[1] < 0xa0) || (first == 0xed && at[1] >= 0xa0) ? 0 : 3;
    }
    if (first >= 0xf0 && first < 0xf5) {
        if (left < 4 || (at[1] & 0xc0) != 0x80 || (at[2] & 0xc0) != 0x80 || (at[3] & 0xc0) != 0x80)
            return 0;
        return (first == 0xf0 && at[1] < 0x90) || (first == 0xf4 && at[1] >= 0x90) ? 0 : 4;
    }
    return 0;
}

/* Whether eight bytes are all from 1 to 127. */
static inline bool utf8_plain8(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, 8);
    return !((word | (word - UINT64_C(0x0101010101010101))) & UINT64_C(0x8080808080808080));
}

/* Whether eight bytes are all ASCII that stands in a JSON string as it is: no control character, quote,
 * backslash. */
static inline bool utf8_unescaped8(const uint8_t *at)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = UINT64_C(0x8080808080808080);
    uint64_t word;
    memcpy(&word, at, 8);
    uint64_t quote = word ^ (ones * '"'), backslash = word ^ (ones * '\\');
    return !((word | ((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) |
              ((backslash - ones) & ~backslash)) &
             tops);
}

/* What is wrong with a string field's bytes; NULL when nothing is. NUL is refused: C would see a shorter
 * text. */
static inline const char *utf8_fault(struct weir_bytes text)
{
    if (text.size == 0)
        return NULL;
    const uint8_t *at = text.data, *end = at + text.size;
    while (at < end) {
        if (end - at >= 8 && utf8_plain8(at)) {
            at += 8;
            /* What is left again with the bytes before it. */
            if (end - at < 8 && utf8_plain8(end - 8))
                return NULL;
            continue;
        }
        if (*at == 0)
            return "contains NUL";
        size_t size = utf8_size(at, end);
        if (size == 0)
            return "not UTF-8";
        at += size;
    }
    return NULL;
}

#endif
