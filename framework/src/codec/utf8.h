/* UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef WEIR_CODEC_UTF8_H
#define WEIR_CODEC_UTF8_H

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

/* What is wrong with a string field's bytes; NULL when nothing is. NUL is refused: C would see a shorter
 * text. */
static inline const char *utf8_fault(struct weir_bytes text)
{
    if (text.size == 0)
        return NULL;
    const uint8_t *at = text.data, *end = at + text.size;
    while (at < end) {
        uint64_t word;
        if (end - at >= 8) {
            memcpy(&word, at, 8);
            /* No byte is zero or above 127. */
            if (!((word | (word - UINT64_C(0x0101010101010101))) & UINT64_C(0x8080808080808080))) {
                at += 8;
                continue;
            }
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
