#include "page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "html.h"

static const uint8_t style[] = {
#include "style.inc"
};

#define DASH "\xe2\x80\x93"

static const char *exit_meaning(const struct view *view)
{
    if (!weir__stop_report__has_exit(view->content))
        return "";
    switch (view->content->exit) {
    case 0:
        return "asked to stop; nothing was cut, failed, stuck or still running";
    case 69:
        return "could not start";
    case 70:
        return "a component failed";
    case 75:
        return "asked to stop, and something was cut or lost";
    case 78:
        return "the configuration or the plan is bad";
    default:
        return "";
    }
}

/* "2025-11-22 18:30:00 UTC" of "2025-11-22T18:30:00.007Z"; anything else as it is. */
static void write_begun(const char *begun, struct weir_buffer *out)
{
    if (strlen(begun) == 24 && begun[10] == 'T' && begun[23] == 'Z') {
        char date[11] = "", time[9] = "";
        memcpy(date, begun, 10);
        memcpy(time, begun + 11, 8);
        html(out, "<time datetime=\"%s\">%s %s UTC</time>", begun, date, time);
    } else {
        html(out, "%s", *begun ? begun : DASH);
    }
}

static void write_badge(const struct view *view, struct weir_buffer *out)
{
    const char *outcome = view->content->outcome;
    const char *class = view->running                     ? "running"
                        : strcmp(outcome, "clean") == 0   ? "clean"
                        : strcmp(outcome, "unclean") == 0 ? "failed"
                                                          : "skipped";
    html(out, "<span class=\"badge %s\">%s</span>", class,
         view->running ? "no report"
         : *outcome    ? outcome
                       : "unknown");
}

/* ---- What was not clean ---- */

static void write_problem(const Weir__StopComponent *component, enum view_step s, struct weir_buffer *out)
{
    const Weir__StopStep *step = view_step(component, s);
    html(out, "<li class=\"%s\"><b>%s</b> ", step->outcome, component->name);
    if (view_is(step, "abandoned"))
        html(out, "%s did not return within %s and was given up%s", view_step_name(s), time_text(step->used),
             view_is(component->steps->destroy, "skipped") &&
                     strcmp(component->steps->destroy->why, "still running") == 0
                 ? "; it still ran when the process left"
                 : "");
    else if (view_is(step, "failed"))
        html(out, "%s failed: %s%s%s", view_step_name(s), step->status, *step->error ? ": " : "",
             step->error);
    else
        html(out, "%s was cut%s%s", view_step_name(s), weir__stop_step__has_until(step) ? " at " : "",
             weir__stop_step__has_until(step) ? time_text(step->until) : "");
    html(out, "</li>\n");
}

static void write_loss(const char *what, int64_t count, const char *why, struct weir_buffer *out)
{
    if (count > 0)
        html(out, "<li><b>%lld</b> %s: %s</li>\n", (long long)count, what, why);
}

static void write_losses(const struct view *view, struct weir_buffer *out)
{
    write_loss("cancelled", view->work.cancelled, "told to stop, and did", out);
    write_loss("stuck", view->work.stuck, "told to stop, and still ran", out);
    write_loss("kept", view->work.kept, "not done, but safe", out);
    write_loss("undelivered", view->work.undelivered, "messages without a delivery report", out);
    write_loss("uncommitted", view->work.uncommitted, "messages processed that will come again", out);
}

/* "not destroyed: rest (still running), relay and db (held by rest)" */
static void write_held(const struct view *view, struct weir_buffer *out)
{
    const Weir__StopReport *content = view->content;
    const char *why = NULL;
    for (size_t i = 0; i < content->n_components; i++) {
        const Weir__StopStep *destroy = view_step(content->components[i], STEP_DESTROY);
        if (!view_is(destroy, "skipped"))
            continue;
        if (!why)
            html(out, "<li>not destroyed: ");
        else
            html(out, strcmp(why, destroy->why) == 0 ? ", " : " (%s); ", why);
        why = destroy->why;
        html(out, "<b>%s</b>", content->components[i]->name);
    }
    if (why)
        html(out, " (%s)</li>\n", why);
}

static void write_problems(const struct view *view, struct weir_buffer *out)
{
    struct weir_buffer list = {0};
    for (size_t i = 0; i < view->content->n_components; i++)
        for (enum view_step s = STEP_START; s < STEP_COUNT; s++) {
            const Weir__StopStep *step = view_step(view->content->components[i], s);
            if (view_is(step, "abandoned") || view_is(step, "failed") || view_is(step, "cut"))
                write_problem(view->content->components[i], s, &list);
        }
    write_losses(view, &list);
    write_held(view, &list);
    if (list.size == 0) {
        html(out, "<p class=\"good\">Every step was clean; nothing was lost.</p>\n");
    } else {
        html(out, "<h3>What was not clean</h3>\n<ul class=\"problems\">\n");
        weir_buffer_append(out, list.data, list.size);
        html(out, "</ul>\n");
    }
    weir_buffer_free(&list);
}

/* ---- One report ---- */

static void write_fact(struct weir_buffer *out, const char *name, const char *value, const char *more)
{
    html(out, "<div><dt>%s</dt><dd>%s", name, value);
    if (*more)
        html(out, " <small>%s</small>", more);
    html(out, "</dd></div>\n");
}

static void write_facts(const struct view *view, struct weir_buffer *out)
{
    char text[128], more[256];
    html(out, "<dl class=\"facts\">\n");
    snprintf(more, sizeof more, "of %s", time_text(view->total));
    write_fact(out, "length", time_text(view->elapsed), more);
    write_fact(out, "first cause", view_cause(view), "");
    if (weir__stop_report__has_exit(view->content)) {
        snprintf(text, sizeof text, "%d%s", (int)view->content->exit,
                 view->content->forced ? ", forced" : "");
        write_fact(out, "exit status", text, exit_meaning(view));
    }
    if (view->announced > 0)
        write_fact(out, "announcement", time_text(view->announced), "");
    snprintf(text, sizeof text, "%lld", (long long)view->work.in_flight);
    snprintf(more, sizeof more, "%lld completed", (long long)view->work.completed);
    write_fact(out, "in flight", text, more);
    snprintf(text, sizeof text, "%lld", (long long)view->lost);
    write_fact(out, "cut or lost", text, "cancelled, stuck, undelivered, uncommitted");
    html(out, "</dl>\n");
}

static void write_running(const struct view *view, struct weir_buffer *out)
{
    html(out, "<p>There is no report of this run: the process");
    if (weir__stop_report__has_pid(view->content))
        html(out, " (%d)", (int)view->content->pid);
    html(out,
         " was killed, or still runs. A service writes this file when it starts, and puts the report in its "
         "place when it has stopped.</p>\n");
}

static void write_report(const struct view *view, struct weir_buffer *out)
{
    const Weir__StopReport *content = view->content;
    html(out, "<article id=\"report-%zu\">\n<header><h2>%s</h2> ", view->number,
         *content->service ? content->service : "(no name)");
    write_badge(view, out);
    html(out, "<p class=\"source\">");
    if (*content->begun) {
        write_begun(content->begun, out);
        html(out, " \xc2\xb7 ");
    }
    html(out, "%s</p></header>\n", view->report->source);
    if (view->running) {
        write_running(view, out);
        html(out, "</article>\n");
        return;
    }
    if (*view->missing)
        html(out, "<p class=\"note\">This report lacks %s; the rest is drawn.</p>\n", view->missing);
    write_facts(view, out);
    write_problems(view, out);
    if (content->n_components > 0) {
        chart_write(view, out);
        path_write(view, out);
        html(out, "<h3>Components</h3>\n");
        tables_write_steps(view, out);
        tables_write_work(view, out);
        tables_write_plan(view, out);
    }
    html(out, "</article>\n");
}

/* ---- Overview ---- */

static const Weir__StopPathPart *longest(const struct view *view)
{
    const Weir__StopPathPart *most = NULL;
    for (size_t i = 0; i < view->content->n_critical_path; i++) {
        const Weir__StopPathPart *part = view->content->critical_path[i];
        if (*part->component && (!most || part->used > most->used))
            most = part;
    }
    return most;
}

static void write_overview_row(const struct view *view, struct weir_buffer *out)
{
    const Weir__StopReport *content = view->content;
    html(out, "<tr><th scope=\"row\"><a href=\"#report-%zu\">%s</a></th><td>", view->number,
         *content->service ? content->service : "(no name)");
    write_badge(view, out);
    html(out, "</td>");
    if (view->running) {
        html(out, "<td colspan=\"7\">killed, or still runs</td></tr>\n");
        return;
    }
    html(out, "<td>");
    write_begun(content->begun, out);
    html(out, "</td><td class=\"number\">");
    if (weir__stop_report__has_exit(content))
        html(out, "%d", (int)content->exit);
    double share = view->total > 0 ? (double)view->elapsed / (double)view->total * 100 : 0;
    html(out,
         "</td><td>%s</td><td class=\"length\"><svg class=\"share\" aria-hidden=\"true\"><rect "
         "class=\"whole\" "
         "width=\"100%%\" height=\"100%%\"/><rect width=\"%.2f%%\" height=\"100%%\"/></svg>%s of %s</td>"
         "<td class=\"number\">%lld</td><td class=\"number%s\">%lld</td><td>",
         view_cause(view), share, time_text(view->elapsed), time_text(view->total),
         (long long)view->work.in_flight, view->lost ? " failed" : " none", (long long)view->lost);
    const Weir__StopPathPart *most = longest(view);
    if (most)
        html(out, "%s, %s", most->what, time_text(most->used));
    html(out, "</td></tr>\n");
}

static void write_overview(const struct view *views, size_t count, struct weir_buffer *out)
{
    static const char *const columns[] = {"service",    "outcome",      "began",
                                          "#exit",      "first cause",  "length",
                                          "#in flight", "#cut or lost", "longest step"};
    tables_begin("Overview", columns, sizeof columns / sizeof columns[0], out);
    for (size_t i = 0; i < count; i++)
        write_overview_row(&views[i], out);
    tables_end(out);
}

static void write_title(const struct view *views, size_t count, struct weir_buffer *out)
{
    if (count == 1)
        html(out, "How %s stopped", *views[0].content->service ? views[0].content->service : "a service");
    else
        html(out, "%zu stop reports", count);
}

void page_write(const struct reports *reports, struct weir_buffer *out)
{
    struct view *views = memory_zalloc((reports->count + 1) * sizeof *views);
    for (size_t i = 0; i < reports->count; i++)
        view_init(&views[i], &reports->all[i], i + 1);
    html(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
              "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
              "'unsafe-inline'\">\n"
              "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
              "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    write_title(views, reports->count, out);
    html(out, "</title>\n<style>\n");
    weir_buffer_append(out, style, sizeof style);
    html(out, "</style>\n</head>\n<body>\n");
    chart_write_patterns(out);
    html(out, "<main>\n<h1>");
    write_title(views, reports->count, out);
    html(out, "</h1>\n");
    if (reports->count > 1)
        write_overview(views, reports->count, out);
    for (size_t i = 0; i < reports->count; i++)
        write_report(&views[i], out);
    html(out, "</main>\n<footer>weir-report %s</footer>\n</body>\n</html>\n", WEIR_VERSION);
    free(views);
}
