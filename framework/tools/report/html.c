#include "html.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void html_text(struct weir_buffer *out, const char *text)
{
    for (; text && *text; text++) {
        switch (*text) {
        case '<':
            weir_buffer_append_text(out, "&lt;");
            break;
        case '>':
            weir_buffer_append_text(out, "&gt;");
            break;
        case '&':
            weir_buffer_append_text(out, "&amp;");
            break;
        case '"':
            weir_buffer_append_text(out, "&quot;");
            break;
        case '\'':
            weir_buffer_append_text(out, "&#39;");
            break;
        default: /* of the control characters HTML allows white space alone */
            if ((unsigned char)*text < 0x20 && !strchr("\t\n\r", *text))
                weir_buffer_append_text(out, "\xef\xbf\xbd");
            else
                weir_buffer_append_byte(out, (uint8_t)*text);
        }
    }
}

/* One conversion, from behind its '%'; returns where it ends. */
static const char *convert(struct weir_buffer *out, const char *at, va_list *args)
{
    int decimals = 0;
    if (*at == '.') {
        char *end;
        decimals = (int)strtol(at + 1, &end, 10);
        at = end;
    }
    if (*at == 's')
        html_text(out, va_arg(*args, const char *));
    else if (*at == 'd')
        weir_buffer_printf(out, "%d", va_arg(*args, int));
    else if (*at == 'f')
        weir_buffer_printf(out, "%.*f", decimals, va_arg(*args, double));
    else if (*at == '%')
        weir_buffer_append_byte(out, '%');
    else if (strncmp(at, "zu", 2) == 0)
        weir_buffer_printf(out, "%zu", va_arg(*args, size_t)), at++;
    else if (strncmp(at, "lld", 3) == 0)
        weir_buffer_printf(out, "%lld", va_arg(*args, long long)), at += 2;
    else
        abort(); /* a format that this file does not know */
    return at + 1;
}

void html(struct weir_buffer *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    for (const char *next; (next = strchr(format, '%')) != NULL;) {
        weir_buffer_append(out, format, (size_t)(next - format));
        format = convert(out, next + 1, &args);
    }
    va_end(args);
    weir_buffer_append_text(out, format);
}

struct slot {
    char text[40];
};

static char *next_slot(size_t *ret_size)
{
    static struct slot slots[8];
    static unsigned next;
    *ret_size = sizeof slots[0].text;
    return slots[next++ % 8].text;
}

const char *time_text(int64_t ms)
{
    size_t size;
    char *text = next_slot(&size);
    if (ms == 0)
        return "0";
    if (ms > -1000 && ms < 1000) {
        snprintf(text, size, "%lld ms", (long long)ms);
        return text;
    }
    int length = snprintf(text, size, "%.3f", (double)ms / 1000);
    while (text[length - 1] == '0')
        length--;
    if (text[length - 1] == '.')
        length--;
    snprintf(text + length, size - (size_t)length, " s");
    return text;
}

const char *seconds_text(int64_t ms)
{
    size_t size;
    char *text = next_slot(&size);
    snprintf(text, size, "%.3f", (double)ms / 1000);
    return text;
}
