#include "lifecycle/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

/* Bytes of the character at `at` (RFC 3629); 0 when it is none, as where a text was cut at its limit. */
static size_t character(const unsigned char *at)
{
    size_t size = *at < 0x80 ? 1 : *at >= 0xf0 && *at < 0xf5 ? 4 : *at >= 0xe0 ? 3 : *at >= 0xc2 ? 2 : 0;
    if (*at >= 0xf5 || size == 0)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (*at == 0xe0 && at[1] < 0xa0) || (*at == 0xf0 && at[1] < 0x90);
    bool too_far = (*at == 0xed && at[1] > 0x9f) || (*at == 0xf4 && at[1] > 0x8f);
    return overlong || too_far ? 0 : size;
}

void text_json(struct weir_buffer *out, const char *text)
{
    if (!text) {
        weir_buffer_append_text(out, "null");
        return;
    }
    weir_buffer_append_byte(out, '"');
    size_t size;
    for (const unsigned char *at = (const unsigned char *)text; *at; at += size ? size : 1) {
        size = character(at);
        if (*at == '"' || *at == '\\')
            weir_buffer_printf(out, "\\%c", *at);
        else if (*at < 0x20)
            weir_buffer_printf(out, "\\u%04x", *at);
        else if (size)
            weir_buffer_append(out, at, size);
        else
            weir_buffer_append_text(out, "\\ufffd");
    }
    weir_buffer_append_byte(out, '"');
}

struct seconds text_seconds(int64_t ms)
{
    struct seconds seconds;
    snprintf(seconds.text, sizeof seconds.text, "%s%lld.%03lld", ms < 0 ? "-" : "",
             (long long)(ms < 0 ? -ms : ms) / 1000, (long long)(ms < 0 ? -ms : ms) % 1000);
    return seconds;
}

void table_begin(struct table *table, uint32_t columns, uint32_t left)
{
    *table = (struct table){.columns = columns, .left = left};
}

void table_row(struct table *table, const char *const *cells, const char *note)
{
    size_t cell_count = (size_t)(table->rows + 1) * table->columns;
    table->cells = memory_realloc(table->cells, cell_count * sizeof *table->cells);
    table->notes = memory_realloc(table->notes, (table->rows + 1) * sizeof *table->notes);
    for (uint32_t i = 0; i < table->columns; i++)
        table->cells[table->rows * table->columns + i] = memory_strdup(cells[i] ? cells[i] : "-");
    table->notes[table->rows++] = memory_strdup(note);
}

void table_end(struct table *table, struct weir_buffer *out)
{
    int width[TABLE_COLUMNS_MAX] = {0};
    for (uint32_t i = 0; i < table->rows * table->columns; i++) {
        int length = (int)strlen(table->cells[i]);
        if (length > width[i % table->columns])
            width[i % table->columns] = length;
    }
    for (uint32_t row = 0; row < table->rows; row++) {
        struct weir_buffer line = {0};
        for (uint32_t i = 0; i < table->columns; i++) {
            char *cell = table->cells[row * table->columns + i];
            weir_buffer_printf(&line, "%s%*s", i ? "  " : "", table->left & (1U << i) ? -width[i] : width[i],
                               cell);
            free(cell);
        }
        if (table->notes[row])
            weir_buffer_printf(&line, "  %s", table->notes[row]);
        free(table->notes[row]);
        while (line.size && line.data[line.size - 1] == ' ')
            line.size--;
        weir_buffer_append(out, line.data, line.size);
        weir_buffer_append_byte(out, '\n');
        weir_buffer_free(&line);
    }
    free(table->cells);
    free(table->notes);
    *table = (struct table){0};
}
