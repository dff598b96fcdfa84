#include "test.h"

#include "story.h"

void story_begin(struct story *story, const struct plan_options *options, const struct graph_line *lines)
{
    story->plan = graph_plan(options, lines);
    assert_int_equal(story->plan->error_count, 0);
    sim_init(&story->sim, story->plan);
    story->sim.with_trace = true;
}

void story_end(struct story *story)
{
    sim_clean_up(&story->sim);
    plan_destroy(story->plan);
}

struct sim_fake *story_fake(struct story *story, const char *name)
{
    return &story->sim.fakes[graph_index(story->plan, name)];
}

struct engine_event story_failure(struct story *story, const char *name, const char *text)
{
    return (struct engine_event){.kind = EVENT_FAILED, .part = graph_index(story->plan, name), .text = text};
}

const struct engine_part *story_part(struct story *story, const char *name)
{
    return &story->sim.engine->parts[graph_index(story->plan, name)];
}

void story_assert(struct story *story, const char *trace, int status, bool forced)
{
    const char *broken = sim_run(&story->sim);
    assert_string_equal(broken ? broken : "", "");
    if (trace)
        assert_string_equal(weir_buffer_text(&story->sim.trace), trace);
    assert_int_equal(story->sim.status, status);
    assert_int_equal(story->sim.forced, forced);
}
