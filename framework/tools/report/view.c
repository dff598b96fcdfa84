#include "view.h"

#include <stdio.h>
#include <string.h>

const char *view_step_name(enum view_step step)
{
    static const char *const names[] = {"start", "quiesce", "drain", "finish", "destroy"};
    return names[step];
}

const Weir__StopStep *view_step(const Weir__StopComponent *component, enum view_step step)
{
    const Weir__StopSteps *steps = component->steps;
    if (!steps)
        return NULL;
    switch (step) {
    case STEP_START:
        return steps->start;
    case STEP_QUIESCE:
        return steps->quiesce;
    case STEP_DRAIN:
        return steps->drain;
    case STEP_FINISH:
        return steps->finish;
    default:
        return steps->destroy;
    }
}

bool view_ran(const Weir__StopStep *step)
{
    return step && weir__stop_step__has_at(step);
}

bool view_is(const Weir__StopStep *step, const char *outcome)
{
    return step && strcmp(step->outcome, outcome) == 0;
}

const char *view_worst(const Weir__StopComponent *component, enum view_step *ret_step)
{
    static const char *const worst_first[] = {"abandoned", "failed", "cut", "skipped"};
    for (size_t i = 0; i < sizeof worst_first / sizeof worst_first[0]; i++)
        for (enum view_step step = STEP_START; step < STEP_COUNT; step++) {
            bool unimportant = step == STEP_DESTROY && i == 3;
            if (!unimportant && view_is(view_step(component, step), worst_first[i])) {
                *ret_step = step;
                return worst_first[i];
            }
        }
    *ret_step = STEP_COUNT;
    return "clean";
}

bool view_on_path(const struct view *view, const Weir__StopComponent *component, enum view_step step)
{
    for (size_t i = 0; i < view->content->n_critical_path; i++) {
        const Weir__StopPathPart *part = view->content->critical_path[i];
        if (strcmp(part->component, component->name) == 0 && strcmp(part->step, view_step_name(step)) == 0)
            return true;
    }
    return false;
}

const Weir__StopComponent *view_component(const struct view *view, const char *name)
{
    for (size_t i = 0; i < view->content->n_components; i++)
        if (strcmp(view->content->components[i]->name, name) == 0)
            return view->content->components[i];
    return NULL;
}

const char *view_cause(const struct view *view)
{
    static char text[1024];
    const Weir__StopCause *cause = view->content->cause;
    if (!cause)
        return "";
    if (strcmp(cause->kind, "start") == 0)
        snprintf(text, sizeof text, "start of %s: %s", cause->component, cause->text);
    else if (strcmp(cause->kind, "component") == 0)
        snprintf(text, sizeof text, "%s failed: %s", cause->component, cause->text);
    else
        snprintf(text, sizeof text, "%s", cause->text);
    return text;
}

/* ---- What a report leaves out ---- */

static void miss(struct view *view, const char *name)
{
    size_t length = strlen(view->missing);
    snprintf(view->missing + length, sizeof view->missing - length, "%s%s", length ? ", " : "", name);
}

static int64_t last_return(const Weir__StopReport *content)
{
    int64_t last = 0;
    for (size_t i = 0; i < content->n_components; i++)
        for (enum view_step s = STEP_QUIESCE; s < STEP_COUNT; s++) {
            const Weir__StopStep *step = view_step(content->components[i], s);
            if (view_ran(step) && step->at + step->used > last)
                last = step->at + step->used;
        }
    return last;
}

static int64_t latest_end(const Weir__StopReport *content)
{
    int64_t latest = 0;
    for (size_t i = 0; i < content->n_components; i++)
        if (content->components[i]->end > latest)
            latest = content->components[i]->end;
    return latest;
}

static void fill_times(struct view *view)
{
    const Weir__StopReport *content = view->content;
    view->elapsed = content->elapsed;
    if (!weir__stop_report__has_elapsed(content)) {
        miss(view, "elapsed");
        view->elapsed = last_return(content);
    }
    view->limit = content->limit;
    if (!weir__stop_report__has_limit(content)) {
        miss(view, "limit");
        view->limit = latest_end(content);
    }
    view->total = content->total;
    if (!weir__stop_report__has_total(content)) {
        miss(view, "total");
        view->total = view->limit > view->elapsed ? view->limit : view->elapsed;
    }
    view->announced = content->pre_drain < view->elapsed ? content->pre_drain : view->elapsed;
    if (view->announced < 0)
        view->announced = 0;
    if (content->n_components == 0)
        miss(view, "components");
    if (!content->cause)
        miss(view, "cause");
}

void view_init(struct view *view, const struct report *report, size_t number)
{
    *view = (struct view){.report = report,
                          .content = report->content,
                          .number = number,
                          .running = strcmp(report->content->outcome, "running") == 0};
    if (view->running)
        return;
    fill_times(view);
    for (size_t i = 0; i < view->content->n_components; i++) {
        const Weir__StopWork *work = view->content->components[i]->work;
        if (!work)
            continue;
        view->work.in_flight += work->in_flight;
        view->work.completed += work->completed;
        view->work.cancelled += work->cancelled;
        view->work.stuck += work->stuck;
        view->work.kept += work->kept;
        view->work.undelivered += work->undelivered;
        view->work.uncommitted += work->uncommitted;
    }
    view->lost = view->work.cancelled + view->work.stuck + view->work.undelivered + view->work.uncommitted;
}
