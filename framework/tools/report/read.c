#include "read.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <weir/codec.h>

#include "core/memory.h"

#define BYTES_MAX ((size_t)256 << 20) /* a log may be long; a report is not */

static int complain(int status, const char *path, const char *text)
{
    fprintf(stderr, "weir-report: %s: %s\n", strcmp(path, "-") == 0 ? "standard input" : path, text);
    return status;
}

static int read_all(const char *path, struct weir_buffer *content)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    if (!file)
        return complain(EX_NOINPUT, path, strerror(errno));
    for (size_t size = 1; size > 0 && content->size <= BYTES_MAX; content->size += size)
        size = fread(weir_buffer_reserve(content, 65536), 1, 65536, file);
    int error = ferror(file) ? errno : 0;
    if (file != stdin)
        fclose(file);
    if (error)
        return complain(EX_NOINPUT, path, strerror(error));
    if (content->size > BYTES_MAX)
        return complain(EX_DATAERR, path, "larger than 256 MiB: cut it down to the reports");
    return 0;
}

/* ---- Where documents are ---- */

static size_t pass_space(struct weir_bytes text, size_t at)
{
    while (at < text.size && isspace(text.data[at]))
        at++;
    return at;
}

/* A document begins a line: "{", space, "weir_report". */
static bool begins(struct weir_bytes text, size_t at)
{
    static const char member[] = "\"weir_report\"";
    if (text.data[at] != '{')
        return false;
    at = pass_space(text, at + 1);
    return text.size - at >= sizeof member - 1 && memcmp(text.data + at, member, sizeof member - 1) == 0;
}

static size_t next_begin(struct weir_bytes text, size_t at)
{
    while (at < text.size && !begins(text, at)) {
        const uint8_t *end = memchr(text.data + at, '\n', text.size - at);
        at = end ? (size_t)(end - text.data) + 1 : text.size;
    }
    return at;
}

/* Behind the bracket that closes the one at `at`; 0 when there is none. */
static size_t end_of(struct weir_bytes text, size_t at)
{
    size_t depth = 0;
    bool quoted = false;
    for (; at < text.size; at++) {
        uint8_t c = text.data[at];
        if (quoted && c == '\\')
            at++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            depth++;
        else if (!quoted && (c == '}' || c == ']') && --depth == 0)
            return at + 1;
    }
    return 0;
}

static size_t line_at(struct weir_bytes text, size_t at)
{
    size_t line = 1;
    for (size_t i = 0; i < at; i++)
        line += text.data[i] == '\n';
    return line;
}

/* ---- What they say ---- */

/* The codec counts lines from the document's begin. */
static int complain_json(const char *path, size_t first_line, const char *text)
{
    char *rest = NULL;
    static const char line[] = "line ";
    struct weir_buffer shown = {0};
    if (strncmp(text, line, sizeof line - 1) == 0) {
        size_t number = strtoul(text + sizeof line - 1, &rest, 10);
        weir_buffer_printf(&shown, "line %zu%s", first_line + number - 1, rest);
    } else {
        weir_buffer_printf(&shown, "line %zu: %s", first_line, text);
    }
    complain(EX_DATAERR, path, weir_buffer_text(&shown));
    weir_buffer_free(&shown);
    return EX_DATAERR;
}

static ProtobufCMessage *parse(const struct weir_message *table, const ProtobufCMessageDescriptor *descriptor,
                               struct weir_bytes json, struct weir_error *err)
{
    static const struct weir_json_options lenient = {
        .limits = {.elements = 10000000, .memory = (size_t)1 << 30}, .ignore_unknown = true};
    struct weir_buffer wire = {0};
    ProtobufCMessage *message = NULL;
    if (weir_json_to_wire(table, json, &lenient, &wire, err) == WEIR_OK)
        message = protobuf_c_message_unpack(descriptor, NULL, wire.size, wire.data);
    weir_buffer_free(&wire);
    return message;
}

/* ---- Numbers that make no sense must not overflow where they are added up ---- */

#define TIME_MOST INT64_C(1000000000000) /* ms: 31 years */
#define COUNT_MOST INT64_C(1000000000000000)

static void clamp(int64_t *number, int64_t least, int64_t most)
{
    *number = *number < least ? least : *number > most ? most : *number;
}

static void clamp_step(Weir__StopStep *step)
{
    if (!step)
        return;
    clamp(&step->at, -TIME_MOST, TIME_MOST);
    clamp(&step->until, 0, TIME_MOST);
    clamp(&step->used, 0, TIME_MOST);
}

static void clamp_component(Weir__StopComponent *component)
{
    int64_t *times[] = {&component->cut_min, &component->finish_min, &component->waited, &component->cut_by,
                        &component->end};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        clamp(times[i], 0, TIME_MOST);
    Weir__StopSteps *steps = component->steps;
    if (steps) {
        Weir__StopStep *all[] = {steps->start, steps->quiesce, steps->drain, steps->finish, steps->destroy};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
            clamp_step(all[i]);
    }
    Weir__StopWork *work = component->work;
    if (work) {
        int64_t *counts[] = {&work->in_flight,   &work->completed,   &work->cancelled, &work->stuck,
                             &work->undelivered, &work->uncommitted, &work->kept};
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
            clamp(counts[i], 0, COUNT_MOST);
    }
}

static void clamp_report(Weir__StopReport *report)
{
    int64_t *times[] = {&report->total, &report->pre_drain, &report->limit, &report->elapsed};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        clamp(times[i], 0, TIME_MOST);
    for (size_t i = 0; i < report->n_signals; i++)
        clamp(&report->signals[i]->at, 0, TIME_MOST);
    for (size_t i = 0; i < report->n_components; i++)
        clamp_component(report->components[i]);
    for (size_t i = 0; i < report->n_critical_path; i++) {
        clamp(&report->critical_path[i]->at, 0, TIME_MOST);
        clamp(&report->critical_path[i]->used, 0, TIME_MOST);
    }
}

/* Before anything else: another version may mean something else by every other member. */
static int check_head(const char *path, size_t line, struct weir_bytes json)
{
    struct weir_error err = {0};
    Weir__StopReportHead *head = (Weir__StopReportHead *)parse(
        &weir__stop_report_head__table, &weir__stop_report_head__descriptor, json, &err);
    if (!head)
        return complain_json(path, line, err.text);
    char text[128] = "";
    if (!weir__stop_report_head__has_weir_report(head))
        snprintf(text, sizeof text, "no stop report: it has no member \"weir_report\"");
    else if (head->weir_report != 1)
        snprintf(text, sizeof text,
                 "a report of version %d; this weir-report reads version 1: take the one of that release",
                 (int)head->weir_report);
    weir__stop_report_head__free_unpacked(head, NULL);
    return *text ? complain_json(path, line, text) : 0;
}

static void add(struct reports *reports, const char *path, size_t nth, Weir__StopReport *content)
{
    struct weir_buffer source = {0};
    weir_buffer_append_text(&source, strcmp(path, "-") == 0 ? "standard input" : path);
    if (nth > 0)
        weir_buffer_printf(&source, ", report %zu", nth + 1);
    reports->all = memory_realloc(reports->all, (reports->count + 1) * sizeof *reports->all);
    reports->all[reports->count++] =
        (struct report){.source = memory_strdup(weir_buffer_text(&source)), .content = content};
    weir_buffer_free(&source);
}

static int read_one(struct reports *reports, const char *path, size_t nth, size_t line,
                    struct weir_bytes json)
{
    int status = check_head(path, line, json);
    if (status)
        return status;
    struct weir_error err = {0};
    Weir__StopReport *content =
        (Weir__StopReport *)parse(&weir__stop_report__table, &weir__stop_report__descriptor, json, &err);
    if (!content)
        return complain_json(path, line, err.text);
    clamp_report(content);
    add(reports, path, nth, content);
    return 0;
}

int reports_read(struct reports *reports, const char *path)
{
    struct weir_buffer content = {0};
    int status = read_all(path, &content);
    struct weir_bytes text = weir_buffer_bytes(&content);
    size_t at = status ? text.size : next_begin(text, 0), nth = 0;
    if (!status && at == text.size) {
        size_t first = pass_space(text, 0);
        if (first == text.size)
            status = complain(EX_DATAERR, path, "empty: no stop report");
        else if (text.data[first] != '{')
            status = complain(EX_DATAERR, path,
                              "no stop report: it is no JSON document, and no line of it begins one with "
                              "{\"weir_report\": ...");
        else /* the members may stand in another order */
            status = read_one(reports, path, 0, 1, text);
    }
    while (at < text.size) {
        size_t line = line_at(text, at), end = end_of(text, at);
        if (end == 0) {
            status = complain_json(path, line, "a report begins here, and is cut off");
            break;
        }
        int wrong = read_one(reports, path, nth++, line, weir_bytes(text.data + at, end - at));
        status = wrong ? wrong : status;
        at = next_begin(text, end);
    }
    weir_buffer_free(&content);
    return status;
}

void reports_free(struct reports *reports)
{
    for (size_t i = 0; i < reports->count; i++) {
        free(reports->all[i].source);
        weir__stop_report__free_unpacked(reports->all[i].content, NULL);
    }
    free(reports->all);
    *reports = (struct reports){0};
}
