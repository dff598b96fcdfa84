#include "test.h"

#include "graph.h"

#include <string.h>

static uint32_t find(const struct graph_line *lines, const char *name, size_t length)
{
    for (uint32_t i = 0; lines[i].name; i++)
        if (strlen(lines[i].name) == length && memcmp(lines[i].name, name, length) == 0)
            return i;
    return UINT32_MAX;
}

static bool has(const struct graph_line *line, char letter)
{
    return !line->has || strchr(line->has, letter);
}

struct plan *graph_plan(const struct plan_options *options, const struct graph_line *lines)
{
    struct plan_input inputs[GRAPH_PARTS_MAX] = {0};
    static uint32_t needs[GRAPH_PARTS_MAX][GRAPH_PARTS_MAX];
    size_t count = 0;
    for (const struct graph_line *line = lines; line->name; line++, count++) {
        size_t need_count = 0;
        for (const char *at = line->needs ? line->needs : ""; *at;) {
            size_t length = strcspn(at, ", ");
            if (length)
                needs[count][need_count++] = find(lines, at, length);
            at += length + strspn(at + length, ", ");
        }
        inputs[count] = (struct plan_input){
            .name = line->name,
            .needs = needs[count],
            .need_count = need_count,
            .has = {has(line, 's'), has(line, 'q'), has(line, 'd'), has(line, 'f'), has(line, 'x')},
            .cut_min_ms = line->cut_min,
            .finish_min_ms = line->finish_min,
            .drain_max_ms = line->drain_max,
            .start_timeout_ms = line->start_timeout,
            .ingress = line->kind == INGRESS,
            .announcer = line->kind == ANNOUNCER || line->kind == BASE_ANNOUNCER,
            .base = line->kind == BASE || line->kind == BASE_ANNOUNCER,
            .restart = line->restart,
        };
    }
    return plan_new(options, inputs, count);
}

uint32_t graph_index(const struct plan *plan, const char *name)
{
    for (uint32_t i = 0; i < plan->count; i++)
        if (!strcmp(plan->parts[i].name, name))
            return i;
    fail_msg("no component %s", name);
    return 0;
}
