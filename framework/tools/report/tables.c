#include <string.h>

#include "html.h"
#include "page.h"

void tables_begin(const char *caption, const char *const *columns, size_t count, struct weir_buffer *out)
{
    html(out,
         "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"%s\"><table><caption>%s</caption>"
         "<thead><tr>",
         caption, caption);
    for (size_t i = 0; i < count; i++) {
        bool number = columns[i][0] == '#';
        html(out, number ? "<th scope=\"col\" class=\"number\">%s</th>" : "<th scope=\"col\">%s</th>",
             columns[i] + number);
    }
    html(out, "</tr></thead>\n<tbody>\n");
}

void tables_end(struct weir_buffer *out)
{
    html(out, "</tbody></table></div>\n");
}

static void seconds_cell(struct weir_buffer *out, bool known, int64_t ms)
{
    html(out, "<td class=\"number\">%s</td>", known ? seconds_text(ms) : "\xe2\x80\x93");
}

static void step_cell(struct weir_buffer *out, const Weir__StopStep *step)
{
    if (view_ran(step) && strcmp(step->outcome, "clean") != 0)
        html(out, "<td class=\"number\" title=\"%s\"><span class=\"verdict %s\">%s</span> %s</td>",
             step->outcome, step->outcome, step->outcome, seconds_text(step->used));
    else if (view_ran(step))
        html(out, "<td class=\"number\">%s</td>", seconds_text(step->used));
    else if (step)
        html(out, "<td class=\"number\" title=\"%s\"><span class=\"verdict skipped\">%s</span></td>",
             *step->why ? step->why : "not called", *step->why ? step->why : step->outcome);
    else
        html(out, "<td class=\"number\">\xe2\x80\x93</td>");
}

static void steps_row(const Weir__StopComponent *component, struct weir_buffer *out)
{
    enum view_step worst;
    const char *outcome = view_worst(component, &worst);
    const Weir__StopStep *drain = view_step(component, STEP_DRAIN);
    bool turn = weir__stop_component__has_waited(component);
    html(out, "<tr><th scope=\"row\">%s</th>", component->name);
    seconds_cell(out, turn, component->waited);
    html(out, "<td>%s</td>",
         !turn || !*component->waited_for                  ? "\xe2\x80\x93"
         : strcmp(component->waited_for, "pre_drain") == 0 ? "announcement"
                                                           : component->waited_for);
    step_cell(out, view_step(component, STEP_QUIESCE));
    step_cell(out, drain);
    seconds_cell(out, view_ran(drain) && weir__stop_step__has_until(drain), drain ? drain->until : 0);
    step_cell(out, view_step(component, STEP_FINISH));
    seconds_cell(out, weir__stop_component__has_end(component), component->end);
    step_cell(out, view_step(component, STEP_DESTROY));
    html(out, "<td><span class=\"verdict %s\">%s</span>", outcome, outcome);
    if (worst < STEP_COUNT && strcmp(outcome, "skipped") != 0)
        html(out, " in %s", view_step_name(worst));
    html(out, "</td></tr>\n");
}

void tables_write_steps(const struct view *view, struct weir_buffer *out)
{
    static const char *const columns[] = {"component", "#waited", "for",  "#quiesce", "#drain",
                                          "#until",    "#finish", "#end", "#destroy", "outcome"};
    tables_begin("The same in numbers: seconds. waited, until and end count from the stop's begin; quiesce, "
                 "drain, finish and destroy are what each took",
                 columns, sizeof columns / sizeof columns[0], out);
    for (size_t i = 0; i < view->content->n_components; i++)
        steps_row(view->content->components[i], out);
    tables_end(out);
}

/* ---- Work ---- */

static void count_cell(struct weir_buffer *out, int64_t count, const char *class)
{
    html(out, "<td class=\"number %s\">%lld</td>", count == 0 ? "none" : class, (long long)count);
}

static void work_cells(const Weir__StopWork *work, struct weir_buffer *out)
{
    count_cell(out, work->in_flight, "");
    count_cell(out, work->completed, "");
    count_cell(out, work->cancelled, "cut");
    count_cell(out, work->stuck, "abandoned");
    count_cell(out, work->kept, "cut");
    count_cell(out, work->undelivered, "failed");
    count_cell(out, work->uncommitted, "cut");
    html(out, "</tr>\n");
}

static bool any_work(const Weir__StopWork *work)
{
    return work && (work->in_flight || work->completed || work->cancelled || work->stuck || work->kept ||
                    work->undelivered || work->uncommitted);
}

void tables_write_work(const struct view *view, struct weir_buffer *out)
{
    static const char *const columns[] = {"component", "#in flight", "#completed",   "#cancelled",
                                          "#stuck",    "#kept",      "#undelivered", "#uncommitted"};
    html(out, "<h3>Work</h3>\n");
    if (!any_work(&view->work)) {
        html(out, "<p>Nothing was in flight when the ingress had closed.</p>\n");
        return;
    }
    tables_begin(
        "What was in flight when the ingress had closed, and what became of it: in flight = completed + "
        "cancelled + stuck + kept",
        columns, sizeof columns / sizeof columns[0], out);
    for (size_t i = 0; i < view->content->n_components; i++) {
        const Weir__StopComponent *component = view->content->components[i];
        if (!any_work(component->work))
            continue;
        html(out, "<tr><th scope=\"row\">%s</th>", component->name);
        work_cells(component->work, out);
    }
    html(out, "<tr class=\"sum\"><th scope=\"row\">all</th>");
    work_cells(&view->work, out);
    tables_end(out);
}

/* ---- Plan ---- */

void tables_write_plan(const struct view *view, struct weir_buffer *out)
{
    static const char *const columns[] = {"component", "kind", "needs",       "#to cut",  "#to finish",
                                          "#cut by",   "#end", "#start took", "#restarts"};
    html(out, "<details><summary>The plan: reserves and edges</summary>\n");
    tables_begin("What each component had reserved, in seconds, and what it needs", columns,
                 sizeof columns / sizeof columns[0], out);
    for (size_t i = 0; i < view->content->n_components; i++) {
        const Weir__StopComponent *component = view->content->components[i];
        const Weir__StopStep *start = view_step(component, STEP_START);
        html(out, "<tr><th scope=\"row\">%s</th><td>%s</td><td>", component->name, component->kind);
        for (size_t k = 0; k < component->n_needs; k++)
            html(out, "%s%s", k ? ", " : "", component->needs[k]);
        html(out, "</td>");
        seconds_cell(out, weir__stop_component__has_cut_min(component), component->cut_min);
        seconds_cell(out, weir__stop_component__has_finish_min(component), component->finish_min);
        seconds_cell(out, weir__stop_component__has_cut_by(component), component->cut_by);
        seconds_cell(out, weir__stop_component__has_end(component), component->end);
        step_cell(out, start);
        html(out, "<td class=\"number%s\">%d</td></tr>\n", component->restarts ? "" : " none",
             component->restarts);
    }
    tables_end(out);
    html(out, "</details>\n");
}
