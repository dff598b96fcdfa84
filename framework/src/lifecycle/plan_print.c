/* What --plan prints, as text, JSON and Graphviz dot. */
#include <stdio.h>

#include "lifecycle/plan.h"
#include "lifecycle/text.h"

struct number {
    char text[24];
};

static struct number number(int64_t value)
{
    struct number text;
    snprintf(text.text, sizeof text.text, "%lld", (long long)value);
    return text;
}

static void lines(struct weir_buffer *out, const char *kind, char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        weir_buffer_printf(out, "%s: %s\n", kind, texts[i]);
}

static void names(const struct plan *plan, const struct plan_part *part, struct weir_buffer *out)
{
    for (uint32_t i = 0; i < part->need_count; i++)
        weir_buffer_printf(out, "%s%s", i ? "," : "", plan->parts[part->needs[i]].name);
}

static const char *kind(const struct plan_part *part)
{
    return part->base ? "base" : part->announcer ? "announcer" : part->ingress ? "ingress" : "";
}

/* In the order of stopping: first turn on top. */
static void windows(const struct plan *plan, struct weir_buffer *out)
{
    static const char *const head[] = {"component", "cut_min", "finish_min", "drain_max", "first turn",
                                       "cut by",    "end",     "kind",       "needs"};
    struct table table;
    table_begin(&table, 9, 1U << 0 | 1U << 7 | 1U << 8);
    table_row(&table, head, NULL);
    for (uint32_t i = plan->count; i-- > 0;) {
        const struct plan_part *part = &plan->parts[plan->order[i]];
        struct weir_buffer needs = {0};
        names(plan, part, &needs);
        const struct number cut_min = number(part->cut_min), finish_min = number(part->finish_min),
                            drain_max = number(part->drain_max), first = number(part->turn_first),
                            latest = number(part->turn_latest), end = number(part->end);
        const char *cells[] = {
            part->name,
            cut_min.text,
            finish_min.text,
            part->drain_max < 0 ? "-" : drain_max.text,
            first.text,
            latest.text,
            end.text,
            kind(part),
            weir_buffer_text(&needs),
        };
        table_row(&table, cells, NULL);
        weir_buffer_free(&needs);
    }
    table_end(&table, out);
}

static void longest(const struct plan *plan, struct weir_buffer *out)
{
    if (plan->longest == PLAN_NONE)
        return;
    const struct plan_part *head = &plan->parts[plan->longest];
    weir_buffer_append_text(out, "longest chain:");
    if (head->turn_first)
        weir_buffer_printf(out, " pre_drain %lld,", (long long)head->turn_first);
    for (uint32_t at = plan->longest; at != PLAN_NONE; at = plan->parts[at].tail_next)
        if (plan->parts[at].reserve)
            weir_buffer_printf(out, " %s %lld,", plan->parts[at].name, (long long)plan->parts[at].reserve);
    weir_buffer_printf(out, " report %lld = %lld of %lld ms; slack %lld\n",
                       (long long)plan->options.report_ms, (long long)plan->longest_ms,
                       (long long)plan->options.deadline_ms,
                       (long long)(plan->options.deadline_ms - plan->longest_ms));
}

void plan_text(const struct plan *plan, const char *app_name, struct weir_buffer *out)
{
    lines(out, "error", plan->errors, plan->error_count);
    if (plan->error_count)
        return;
    weir_buffer_printf(out, "plan of %s: deadline %lld ms, announcement %lld, report %lld\n", app_name,
                       (long long)plan->options.deadline_ms, (long long)plan->options.pre_drain_ms,
                       (long long)plan->options.report_ms);
    weir_buffer_append_text(out, "start:");
    for (uint32_t i = 0; i < plan->count; i++)
        weir_buffer_printf(out, "%s %s", i ? "," : "", plan->parts[plan->order[i]].name);
    weir_buffer_append_text(
        out, "\nstop, in ms from its begin; each one's turn comes when all that need it have ended:\n");
    windows(plan, out);
    longest(plan, out);
    lines(out, "warning", plan->warnings, plan->warning_count);
}

static void json_list(struct weir_buffer *out, const char *key, char *const *texts, size_t count)
{
    weir_buffer_printf(out, ", \"%s\": [", key);
    for (size_t i = 0; i < count; i++) {
        weir_buffer_append_text(out, i ? ", " : "");
        text_json(out, texts[i]);
    }
    weir_buffer_append_text(out, "]");
}

static void json_part(const struct plan *plan, const struct plan_part *part, struct weir_buffer *out)
{
    weir_buffer_append_text(out, "{\"name\": ");
    text_json(out, part->name);
    weir_buffer_append_text(out, ", \"kind\": ");
    text_json(out, kind(part));
    weir_buffer_append_text(out, ", \"needs\": [");
    for (uint32_t i = 0; i < part->need_count; i++) {
        weir_buffer_append_text(out, i ? ", " : "");
        text_json(out, plan->parts[part->needs[i]].name);
    }
    weir_buffer_printf(out,
                       "], \"start_timeout\": %lld, \"cut_min\": %lld, \"finish_min\": %lld, \"drain_max\": ",
                       (long long)part->start_timeout, (long long)part->cut_min, (long long)part->finish_min);
    weir_buffer_append_text(out, part->drain_max < 0 ? "null" : number(part->drain_max).text);
    weir_buffer_printf(out, ", \"turn_first\": %lld, \"cut_by\": %lld, \"end\": %lld}",
                       (long long)part->turn_first, (long long)part->turn_latest, (long long)part->end);
}

static void json_chain(const struct plan *plan, struct weir_buffer *out)
{
    weir_buffer_append_text(out, ", \"longest_chain\": [");
    const char *separator = "";
    for (uint32_t at = plan->longest; at != PLAN_NONE; at = plan->parts[at].tail_next) {
        weir_buffer_append_text(out, separator);
        text_json(out, plan->parts[at].name);
        separator = ", ";
    }
    weir_buffer_printf(out, "], \"longest\": %lld", (long long)plan->longest_ms);
}

void plan_json(const struct plan *plan, const char *app_name, struct weir_buffer *out)
{
    weir_buffer_append_text(out, "{\"weir_plan\": 1, \"service\": ");
    text_json(out, app_name);
    weir_buffer_printf(out, ", \"deadline\": %lld, \"pre_drain\": %lld, \"report\": %lld",
                       (long long)plan->options.deadline_ms, (long long)plan->options.pre_drain_ms,
                       (long long)plan->options.report_ms);
    json_list(out, "errors", plan->errors, plan->error_count);
    json_list(out, "warnings", plan->warnings, plan->warning_count);
    if (!plan->error_count) {
        weir_buffer_append_text(out, ", \"components\": [");
        for (uint32_t i = 0; i < plan->count; i++) {
            weir_buffer_append_text(out, i ? ",\n  " : "\n  ");
            json_part(plan, &plan->parts[plan->order[i]], out);
        }
        weir_buffer_append_text(out, "]");
        json_chain(plan, out);
    }
    weir_buffer_append_text(out, "}\n");
}

/* An arrow goes from who needs to what is needed; base stands in a box of its own instead of an arrow from
 * everybody. */
void plan_dot(const struct plan *plan, const char *app_name, struct weir_buffer *out)
{
    weir_buffer_append_text(out, "digraph ");
    text_json(out, app_name);
    weir_buffer_append_text(out, " {\n  rankdir=LR;\n  node [shape=box];\n");
    for (int base = 0; base < 2; base++) {
        if (base)
            weir_buffer_append_text(out, "  subgraph cluster_base {\n    label=base;\n");
        for (uint32_t i = 0; i < plan->count; i++) {
            const struct plan_part *part = &plan->parts[i];
            if (part->base != base)
                continue;
            weir_buffer_append_text(out, base ? "    " : "  ");
            text_json(out, part->name);
            weir_buffer_printf(out, " [tooltip=\"reserve %lld ms, end %lld ms\"%s];\n",
                               (long long)part->reserve, (long long)part->end,
                               part->ingress ? ", peripheries=2" : "");
        }
        if (base)
            weir_buffer_append_text(out, "  }\n");
    }
    for (uint32_t i = 0; i < plan->count; i++) {
        for (uint32_t k = 0; k < plan->parts[i].need_count; k++) {
            weir_buffer_append_text(out, "  ");
            text_json(out, plan->parts[i].name);
            weir_buffer_append_text(out, " -> ");
            text_json(out, plan->parts[plan->parts[i].needs[k]].name);
            weir_buffer_append_text(out, ";\n");
        }
    }
    weir_buffer_append_text(out, "}\n");
}
