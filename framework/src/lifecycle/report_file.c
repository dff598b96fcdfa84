#include "lifecycle/report_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/log.h>

#include "core/memory.h"
#include "lifecycle/report.h"
#include "lifecycle/text.h"

#define SIZE_MAX_READ ((size_t)16 << 20) /* a report of 10,000 components has a third of it */

static bool replace(const char *path, const struct weir_buffer *text)
{
    struct weir_buffer beside = {0};
    weir_buffer_printf(&beside, "%s.new", path);
    FILE *file = fopen(weir_buffer_text(&beside), "we");
    bool good = file != NULL;
    if (file) {
        good = fwrite(text->data, 1, text->size, file) == text->size;
        good = fclose(file) == 0 && good;
        good = good && rename(weir_buffer_text(&beside), path) == 0;
    }
    weir_buffer_free(&beside);
    return good;
}

/* The text behind `key` up to its end, as it stands there; "" when there is none. Only documents that this
 * file has written are read. */
static void value_of(const char *head, const char *key, char *ret_value, size_t size)
{
    const char *at = strstr(head, key);
    size_t length = 0;
    if (at)
        for (at += strlen(key); at[length] && !strchr("\",", at[length]); length++)
            if (at[length] == '\\' && at[length + 1])
                length++;
    snprintf(ret_value, size, "%.*s", (int)length, at ? at : "");
}

static void tell_last(const char *path, const char *head)
{
    char outcome[32], exit_status[32], cause[256];
    value_of(head, "\"outcome\": \"", outcome, sizeof outcome);
    value_of(head, "\"exit\": ", exit_status, sizeof exit_status);
    value_of(head, "\"text\": \"", cause, sizeof cause);
    if (!strcmp(outcome, "running"))
        weir_log_warn("the last run ended without a report: it was killed, or still runs",
                      weir_field_text("report_file", path));
    else if (strcmp(outcome, "clean") != 0 || strcmp(exit_status, "0") != 0)
        weir_log_warn("the last run did not end well", weir_field_text("outcome", outcome),
                      weir_field_text("exit", exit_status), weir_field_text("cause", cause),
                      weir_field_text("report_file", path));
}

/* NULL: there is none. Caller frees. */
static char *read_whole(const char *path)
{
    struct weir_buffer text = {0};
    FILE *file = fopen(path, "re");
    if (!file)
        return NULL;
    for (size_t size = 1; size > 0 && text.size < SIZE_MAX_READ; text.size += size)
        size = fread(weir_buffer_reserve(&text, 4096), 1, 4096, file);
    fclose(file);
    char *whole = memory_strdup(weir_buffer_text(&text));
    weir_buffer_free(&text);
    return whole;
}

static char *keep_last(const char *path)
{
    char *text = read_whole(path);
    if (!text)
        return NULL;
    struct weir_buffer last = {0};
    weir_buffer_printf(&last, "%s.last", path);
    tell_last(path, text);
    if (!strstr(text, "\"outcome\": \"running\"")) /* it would push out a real one */
        (void)!rename(path, weir_buffer_text(&last));
    weir_buffer_free(&last);
    return text;
}

char *report_file_begin(const char *path, const char *app_name)
{
    char *last = keep_last(path);
    report_file_take_over(path, app_name);
    return last;
}

void report_file_take_over(const char *path, const char *app_name)
{
    struct weir_buffer text = {0};
    weir_buffer_append_text(&text, "{\"weir_report\": 1, \"service\": ");
    text_json(&text, app_name);
    weir_buffer_printf(&text, ", \"outcome\": \"running\", \"pid\": %d}\n", (int)getpid());
    if (!replace(path, &text))
        weir_log_warn("the report will not be kept", weir_field_text("report_file", path),
                      weir_field_text("error", strerror(errno)));
    weir_buffer_free(&text);
}

void report_file_write(const char *path, const struct engine *engine, const char *app_name, int64_t unix_ms)
{
    struct weir_buffer text = {0};
    report_json_begun(engine, app_name, unix_ms, &text);
    if (!replace(path, &text))
        fprintf(stderr, "weir: app.report_file: %s: %s\n", path, strerror(errno));
    weir_buffer_free(&text);
}
