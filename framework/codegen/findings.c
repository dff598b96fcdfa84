#include "findings.h"

#include <stdarg.h>

void findings_add(struct findings *findings, struct place place, const char *element, const char *rule,
                  const char *format, ...)
{
    int line, column;
    place_find(place, &line, &column);
    weir_buffer_append_text(&findings->text, place.file->name);
    if (line > 0)
        weir_buffer_printf(&findings->text, ":%d:%d", line, column);
    weir_buffer_printf(&findings->text, ": %s: %s: ", element, rule);
    va_list args;
    va_start(args, format);
    weir_buffer_vprintf(&findings->text, format, args);
    va_end(args);
    weir_buffer_append_byte(&findings->text, '\n');
    findings->count++;
}
