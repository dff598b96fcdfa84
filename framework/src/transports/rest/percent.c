#include "transports/rest/percent.h"

static int digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool percent_decode(struct weir_bytes text, bool keep_slash, bool plus, struct weir_buffer *ret_text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c == '%') {
            int high = i + 2 < text.size ? digit(text.data[i + 1]) : -1;
            int low = i + 2 < text.size ? digit(text.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (uint8_t)(high * 16 + low);
            if (keep_slash && c == '/')
                weir_buffer_append(ret_text, text.data + i, 3);
            i += 2;
            if (keep_slash && c == '/')
                continue;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        weir_buffer_append_byte(ret_text, c);
    }
    return true;
}

static bool is_unreserved(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

static bool is_slash(struct weir_bytes text, size_t at)
{
    return at + 2 < text.size && text.data[at] == '%' && text.data[at + 1] == '2' &&
           (text.data[at + 2] | 0x20) == 'f';
}

void percent_encode(struct weir_bytes text, bool keep_slash, struct weir_buffer *ret_text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (is_unreserved(c) || (keep_slash && (c == '/' || is_slash(text, i))))
            weir_buffer_append_byte(ret_text, c);
        else
            weir_buffer_printf(ret_text, "%%%02X", c);
    }
}
