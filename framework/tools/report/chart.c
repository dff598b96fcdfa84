/* A row per component, each a picture as wide as the page allows: positions are percent, so text keeps its size. */
#include <stdio.h>
#include <string.h>

#include "html.h"
#include "page.h"
#include "scale.h"

struct chart {
    const struct view *view;
    struct scale scale;
    struct weir_buffer *out;
};

static double percent(const struct chart *chart, int64_t at)
{
    return scale_percent(&chart->scale, at);
}

/* ---- What stands across all rows ---- */

struct mark {
    int64_t at;
    const char *letter, *class, *what;
    char text[160];
};
#define MARKS_MAX 8

static void add_mark(struct mark *marks, int *count, int64_t at, const char *letter, const char *class,
                     const char *what)
{
    if (*count < MARKS_MAX)
        marks[(*count)++] = (struct mark){.at = at, .letter = letter, .class = class, .what = what};
}

static int find_marks(const struct view *view, struct mark *marks)
{
    static const char *const signal_letters[] = {"1", "2", "3"};
    int count = 0;
    for (size_t i = 0; i < view->content->n_signals && i < 3; i++) {
        const Weir__StopSignal *signal = view->content->signals[i];
        add_mark(marks, &count, signal->at, signal_letters[i], "signal", signal->name);
    }
    if (view->announced > 0)
        add_mark(marks, &count, view->announced, "A", "announced", "the announcement is over");
    add_mark(marks, &count, view->elapsed, "E", "left", "the process leaves");
    add_mark(marks, &count, view->limit, "L", "limit", "all work must have ended");
    add_mark(marks, &count, view->total, "D", "deadline", "the deadline");
    return count;
}

static void write_grid(struct chart *chart, const struct mark *marks, int mark_count)
{
    struct scale_tick ticks[SCALE_TICKS_MAX];
    int tick_count = scale_ticks(&chart->scale, ticks);
    html(chart->out, "<svg class=\"defs\" aria-hidden=\"true\"><defs><g id=\"grid-%zu\">",
         chart->view->number);
    for (int i = 0; i < chart->scale.count; i++)
        if (chart->scale.count > 1 && i != chart->scale.main)
            html(chart->out, "<rect class=\"piece\" x=\"%.3f%%\" width=\"%.3f%%\" height=\"100%%\"/>",
                 chart->scale.pieces[i].from, chart->scale.pieces[i].to - chart->scale.pieces[i].from);
    for (int i = 0; i < tick_count; i++)
        html(chart->out, "<line class=\"tick\" x1=\"%.3f%%\" x2=\"%.3f%%\" y2=\"100%%\"/>",
             percent(chart, ticks[i].at), percent(chart, ticks[i].at));
    for (int i = 0; i < mark_count; i++)
        html(chart->out, "<line class=\"mark %s\" x1=\"%.3f%%\" x2=\"%.3f%%\" y2=\"100%%\"/>", marks[i].class,
             percent(chart, marks[i].at), percent(chart, marks[i].at));
    html(chart->out, "</g></defs></svg>\n");
}

/* Marks whose flags would touch stand above each other. Returns how many lanes that takes. */
static int find_lanes(const struct chart *chart, const struct mark *marks, int count, int lanes[MARKS_MAX])
{
    int most = 1;
    for (int i = 0; i < count; i++) {
        lanes[i] = 0;
        for (int k = 0; k < i; k++) {
            double distance = percent(chart, marks[i].at) - percent(chart, marks[k].at);
            if (distance < 5.5 && distance > -5.5 && lanes[k] >= lanes[i])
                lanes[i] = lanes[k] + 1;
        }
        most = lanes[i] + 1 > most ? lanes[i] + 1 : most;
    }
    return most;
}

static void write_flags(struct chart *chart, const struct mark *marks, int count, const int lanes[MARKS_MAX],
                        int height)
{
    for (int i = 0; i < count; i++) {
        double at = percent(chart, marks[i].at);
        int y = height - 12 - 20 * lanes[i];
        html(chart->out,
             "<line class=\"mark %s\" x1=\"%.3f%%\" x2=\"%.3f%%\" y1=\"%d\" y2=\"100%%\"/>"
             "<svg class=\"flag %s\" x=\"%.3f%%\" y=\"%d\"><title>%s, at %s</title><circle r=\"8\"/>"
             "<text y=\"4\" text-anchor=\"middle\">%s</text></svg>",
             marks[i].class, at, at, y, marks[i].class, at, y, marks[i].what, time_text(marks[i].at),
             marks[i].letter);
    }
}

static void write_axis(struct chart *chart, const struct mark *marks, int mark_count)
{
    struct scale_tick ticks[SCALE_TICKS_MAX];
    int tick_count = scale_ticks(&chart->scale, ticks), lanes[MARKS_MAX];
    int height = 44 + 20 * (find_lanes(chart, marks, mark_count, lanes) - 1);
    html(chart->out,
         "<div class=\"row axis\" aria-hidden=\"true\"><div class=\"name\"></div>"
         "<svg class=\"track\" height=\"%d\">",
         height);
    for (int i = 0; i < tick_count; i++) {
        double at = percent(chart, ticks[i].at);
        html(chart->out, "<text class=\"%s\" x=\"%.3f%%\" y=\"12\" text-anchor=\"%s\">%s</text>",
             ticks[i].major ? "major" : "minor", at,
             at < 3    ? "start"
             : at > 97 ? "end"
                       : "middle",
             time_text(ticks[i].at));
        html(chart->out, "<line class=\"tick\" x1=\"%.3f%%\" x2=\"%.3f%%\" y1=\"17\" y2=\"100%%\"/>", at, at);
    }
    write_flags(chart, marks, mark_count, lanes, height);
    html(chart->out, "</svg></div>\n");
}

/* ---- A row ---- */

/* Wide enough to be seen, whatever the scale. */
static double visible(double width)
{
    return width < 0.35 ? 0.35 : width;
}

static void write_window(struct chart *chart, const Weir__StopComponent *component)
{
    if (!weir__stop_component__has_end(component))
        return;
    double end = percent(chart, component->end), cut_by = percent(chart, component->cut_by);
    double turn = weir__stop_component__has_waited(component) ? percent(chart, component->waited) : cut_by;
    if (weir__stop_component__has_waited(component) && cut_by > turn)
        html(chart->out,
             "<rect class=\"window\" x=\"%.3f%%\" y=\"6\" width=\"%.3f%%\" height=\"24\"><title>may drain "
             "from %s "
             "until %s</title></rect>",
             turn, cut_by - turn, time_text(component->waited), time_text(component->cut_by));
    double from = cut_by > turn ? cut_by : turn;
    if (end > from)
        html(chart->out,
             "<rect class=\"reserve\" x=\"%.3f%%\" y=\"6\" width=\"%.3f%%\" height=\"24\"><title>reserve, %s "
             "to cut and "
             "%s to finish: from %s to %s</title></rect>",
             from, visible(end - from), time_text(component->cut_min), time_text(component->finish_min),
             time_text(component->cut_by), time_text(component->end));
    html(chart->out,
         "<svg x=\"%.3f%%\" y=\"6\" class=\"end\"><title>latest end: %s</title><path d=\"M-4 "
         "0H0V24H-4\"/></svg>",
         end, time_text(component->end));
}

static void write_waited(struct chart *chart, const Weir__StopComponent *component)
{
    if (!weir__stop_component__has_waited(component) || component->waited <= 0)
        return;
    html(chart->out,
         "<line class=\"waited\" x1=\"0\" x2=\"%.3f%%\" y1=\"18\" y2=\"18\"><title>waited %s for "
         "%s</title></line>",
         percent(chart, component->waited), time_text(component->waited), component->waited_for);
}

static void write_label(struct chart *chart, enum view_step s, const Weir__StopStep *step, double width)
{
    if (width < 9 || s == STEP_DESTROY)
        return;
    html(chart->out, "<text class=\"in\" x=\"50%%\" y=\"12.5\">%s", view_step_name(s));
    if (width >= 24)
        html(chart->out, "<tspan class=\"more\"> %s</tspan>", time_text(step->used));
    html(chart->out, "</text>");
}

static void write_step(struct chart *chart, const Weir__StopComponent *component, enum view_step s)
{
    const Weir__StopStep *step = view_step(component, s);
    if (!view_ran(step) || step->at + step->used < 0)
        return;
    double from = percent(chart, step->at), width = percent(chart, step->at + step->used) - from;
    bool on_path = step->used > 0 && view_on_path(chart->view, component, s);
    html(chart->out, "<svg class=\"step %s %s\" x=\"%.3f%%\" y=\"8\" width=\"%.3f%%\" height=\"18\">",
         view_step_name(s), step->outcome, from > 99.6 ? 99.6 : from, visible(width));
    html(chart->out, "<title>%s %s: %s, from %s, took %s", component->name, view_step_name(s), step->outcome,
         time_text(step->at), time_text(step->used));
    if (weir__stop_step__has_until(step))
        html(chart->out, ", told to cut at %s", time_text(step->until));
    html(chart->out, "%s</title><rect width=\"100%%\" height=\"100%%\"/>",
         on_path ? "; on the critical path" : "");
    if (view_is(step, "abandoned"))
        html(chart->out, "<rect class=\"stripes\" width=\"100%%\" height=\"100%%\"/>");
    write_label(chart, s, step, width);
    html(chart->out, "</svg>");
    if (on_path)
        html(chart->out, "<line class=\"path\" x1=\"%.3f%%\" x2=\"%.3f%%\" y1=\"31\" y2=\"31\"/>", from,
             from + visible(width));
    if (view_is(step, "abandoned") && s != STEP_DESTROY && step->at + step->used < chart->view->elapsed)
        html(chart->out,
             "<rect class=\"ghost\" x=\"%.3f%%\" y=\"13\" width=\"%.3f%%\" height=\"10\"><title>given up at "
             "%s; it may "
             "still run</title></rect>",
             from + width, percent(chart, chart->view->elapsed) - from - width,
             time_text(step->at + step->used));
}

/* Told to cut: where that was before the drain returned. */
static void write_until(struct chart *chart, const Weir__StopComponent *component)
{
    const Weir__StopStep *drain = view_step(component, STEP_DRAIN);
    if (!view_ran(drain) || !weir__stop_step__has_until(drain) || drain->until > drain->at + drain->used)
        return;
    html(chart->out,
         "<svg class=\"until\" x=\"%.3f%%\" y=\"2\"><title>told to cut at %s</title><path d=\"M-5 0H5L0 "
         "7z\"/></svg>",
         percent(chart, drain->until), time_text(drain->until));
}

/* Where the critical path enters and leaves: from the row of whom it waited for. */
static void write_links(struct chart *chart, size_t row)
{
    const Weir__StopReport *content = chart->view->content;
    const char *before = NULL;
    for (size_t i = 0; i < content->n_critical_path; i++) {
        const Weir__StopPathPart *part = content->critical_path[i];
        if (!*part->component || (before && strcmp(before, part->component) == 0))
            continue;
        size_t from = content->n_components, to = from;
        for (size_t k = 0; k < content->n_components; k++) {
            if (before && strcmp(content->components[k]->name, before) == 0)
                from = k;
            if (strcmp(content->components[k]->name, part->component) == 0)
                to = k;
        }
        before = part->component;
        if (from == content->n_components || to == content->n_components)
            continue;
        size_t top = from < to ? from : to, bottom = from < to ? to : from;
        if (row < top || row > bottom)
            continue;
        html(chart->out, "<line class=\"link\" x1=\"%.3f%%\" x2=\"%.3f%%\" y1=\"%s\" y2=\"%s\"/>",
             percent(chart, part->at), percent(chart, part->at), row == top ? "31" : "0",
             row == bottom ? "31" : "100%");
    }
}

/* What the picture shows, for those who hear it. */
static void write_description(struct chart *chart, const Weir__StopComponent *component)
{
    enum view_step worst;
    html(chart->out, "%s: %s", component->name, view_worst(component, &worst));
    if (worst < STEP_COUNT)
        html(chart->out, " in %s", view_step_name(worst));
    if (weir__stop_component__has_waited(component))
        html(chart->out, "; its turn came at %s", time_text(component->waited));
    else
        html(chart->out, "; it had no turn");
    for (enum view_step s = STEP_QUIESCE; s < STEP_COUNT; s++) {
        const Weir__StopStep *step = view_step(component, s);
        if (view_ran(step))
            html(chart->out, "; %s %s", view_step_name(s), time_text(step->used));
    }
    if (weir__stop_component__has_end(component))
        html(chart->out, "; latest end %s", time_text(component->end));
}

/* Of a name with a package ("shop.order.v1.OrderService") what tells it from others; the title has all of it. */
static const char *short_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && dot[1] && strlen(name) > 20 ? dot + 1 : name;
}

static void write_row(struct chart *chart, size_t index)
{
    const Weir__StopComponent *component = chart->view->content->components[index];
    enum view_step worst;
    const char *outcome = view_worst(component, &worst);
    html(chart->out,
         "<div class=\"row\"><div class=\"name\" title=\"%s%s%s\"><i class=\"dot %s\"></i><b>%s</b>",
         component->name, *component->kind ? ", " : "", component->kind, outcome,
         short_name(component->name));
    if (strcmp(outcome, "clean") != 0)
        html(chart->out, " <span class=\"verdict %s\">%s</span>", outcome, outcome);
    html(chart->out, "</div><svg class=\"track\" height=\"36\" role=\"img\" aria-label=\"");
    write_description(chart, component);
    html(chart->out, "\"><use href=\"#grid-%zu\"/>", chart->view->number);
    write_window(chart, component);
    write_waited(chart, component);
    write_links(chart, index);
    for (enum view_step s = STEP_START; s < STEP_COUNT; s++)
        write_step(chart, component, s);
    write_until(chart, component);
    html(chart->out, "</svg></div>\n");
}

/* ---- Around the rows ---- */

void chart_write_patterns(struct weir_buffer *out)
{
    html(out, "<svg class=\"defs\" aria-hidden=\"true\"><defs>"
              "<pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" "
              "patternTransform=\"rotate(45)\"><line class=\"hatch\" y2=\"6\"/></pattern>"
              "<pattern id=\"stripes\" width=\"10\" height=\"10\" patternUnits=\"userSpaceOnUse\" "
              "patternTransform=\"rotate(-45)\"><rect class=\"stripe\" width=\"4\" height=\"10\"/></pattern>"
              "</defs></svg>\n");
}

static void write_legend(struct chart *chart, const struct mark *marks, int mark_count)
{
    static const char *const outcomes[][2] = {{"clean", "clean"},
                                              {"cut", "cut: work was cancelled or kept"},
                                              {"failed", "failed: it returned an error"},
                                              {"abandoned", "abandoned: it did not return in its time"}};
    html(chart->out, "<div class=\"legend\"><ul aria-label=\"Colours\">");
    for (size_t i = 0; i < 4; i++)
        html(chart->out,
             "<li><svg aria-hidden=\"true\" class=\"swatch step drain %s\"><rect width=\"100%%\" "
             "height=\"100%%\"/>%s</svg>%s</li>",
             outcomes[i][0], "", outcomes[i][1]);
    html(chart->out,
         "<li><svg aria-hidden=\"true\" class=\"swatch\"><g class=\"step quiesce clean\"><rect width=\"7\" "
         "height=\"12\"/></g><g "
         "class=\"step "
         "drain clean\"><rect x=\"7\" width=\"7\" height=\"12\"/></g><g class=\"step finish clean\"><rect "
         "x=\"14\" "
         "width=\"7\" height=\"12\"/></g></svg>quiesce, drain, finish; an outline: destroy</li>"
         "<li><svg aria-hidden=\"true\" class=\"swatch\"><rect class=\"window\" width=\"100%%\" "
         "height=\"100%%\"/></svg>may "
         "drain</li>"
         "<li><svg aria-hidden=\"true\" class=\"swatch\"><rect class=\"reserve\" width=\"100%%\" "
         "height=\"100%%\"/></svg>reserve, "
         "up to the "
         "latest end</li>"
         "<li><svg aria-hidden=\"true\" class=\"swatch\"><line class=\"waited\" y1=\"6\" y2=\"6\" "
         "x2=\"100%%\"/></svg>waited</li>"
         "<li><svg aria-hidden=\"true\" class=\"swatch\"><line class=\"path\" y1=\"6\" y2=\"6\" "
         "x2=\"100%%\"/></svg>on the "
         "critical path</li>"
         "<li><svg aria-hidden=\"true\" class=\"swatch\"><g class=\"until\" transform=\"translate(10 "
         "3)\"><path d=\"M-5 0H5L0 "
         "7z\"/></g></svg>told to cut</li></ul>\n<ul aria-label=\"Times\">");
    for (int i = 0; i < mark_count; i++)
        html(chart->out,
             "<li><svg aria-hidden=\"true\" class=\"swatch round flag %s\"><g transform=\"translate(8 "
             "8)\"><circle r=\"8\"/><text "
             "y=\"4\" "
             "text-anchor=\"middle\">%s</text></g></svg>%s %s</li>",
             marks[i].class, marks[i].letter, time_text(marks[i].at), marks[i].what);
    html(chart->out, "</ul></div>\n");
}

void chart_write(const struct view *view, struct weir_buffer *out)
{
    struct chart chart = {.view = view, .out = out};
    struct mark marks[MARKS_MAX];
    int mark_count = find_marks(view, marks);
    int64_t total = view->total > view->limit ? view->total : view->limit;
    scale_init(&chart.scale, view->announced, view->elapsed, total);
    html(out,
         "<figure class=\"chart\" aria-labelledby=\"chart-%zu\">\n<figcaption id=\"chart-%zu\">What each "
         "component did, in seconds since the stop began%s</figcaption>\n",
         view->number, view->number,
         chart.scale.count > 1 ? "; the scale changes where the background does" : "");
    write_grid(&chart, marks, mark_count);
    write_axis(&chart, marks, mark_count);
    for (size_t i = 0; i < view->content->n_components; i++)
        write_row(&chart, i);
    write_legend(&chart, marks, mark_count);
    html(out, "</figure>\n");
}

/* ---- The critical path ---- */

void path_write(const struct view *view, struct weir_buffer *out)
{
    const Weir__StopReport *content = view->content;
    if (content->n_critical_path == 0)
        return;
    int64_t all = 0;
    for (size_t i = 0; i < content->n_critical_path; i++)
        all += content->critical_path[i]->used;
    html(out,
         "<h3 id=\"path-%zu\">Critical path</h3>\n<p>What the stop's length is made of: a stop is shorter "
         "only where one "
         "of these is.</p>\n<ol class=\"parts\">\n",
         view->number);
    for (size_t i = 0; i < content->n_critical_path; i++) {
        const Weir__StopPathPart *part = content->critical_path[i];
        const Weir__StopComponent *component = view_component(view, part->component);
        const char *outcome = "announced";
        for (enum view_step s = STEP_START; component && s < STEP_COUNT; s++)
            if (strcmp(part->step, view_step_name(s)) == 0 && view_step(component, s))
                outcome = view_step(component, s)->outcome;
        double share = all > 0 ? (double)part->used / (double)all * 100 : 0;
        html(out,
             "<li><span class=\"what\">%s</span><svg class=\"share step drain %s\" role=\"img\" "
             "aria-label=\"%.1f%% of the "
             "stop\"><rect width=\"%.2f%%\" height=\"100%%\"/></svg><span class=\"number\">%s</span></li>\n",
             strcmp(part->what, "pre_drain") == 0 ? "announcement" : part->what, outcome, share,
             visible(share), time_text(part->used));
    }
    html(out, "</ol>\n");
}
