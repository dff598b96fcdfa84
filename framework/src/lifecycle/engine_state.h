/* What the engine's files share. See engine.h. */
#ifndef WEIR_LIFECYCLE_ENGINE_STATE_H
#define WEIR_LIFECYCLE_ENGINE_STATE_H

#include "lifecycle/engine.h"

static inline struct engine_part *part_of(struct engine *engine, uint32_t index)
{
    return &engine->parts[index];
}

static inline int64_t min_ms(int64_t left, int64_t right)
{
    return left < right ? left : right;
}

static inline int64_t max_ms(int64_t left, int64_t right)
{
    return left > right ? left : right;
}

/* ---- engine.c ---- */

void engine_copy_text(char *ret_text, const char *text);
void engine_act(struct engine *engine, struct engine_action action);
/* Calls an operation and arms the component's timer. */
void engine_call(struct engine *engine, uint32_t index, enum op op, int64_t limit, int64_t timer);
/* Tells the running operation, when it is earlier than what it was told. */
void engine_limit(struct engine *engine, uint32_t index, int64_t limit);
void engine_outcome(struct engine *engine, uint32_t index, enum op op, enum outcome outcome,
                    enum skip_why why);
void engine_skip(struct engine *engine, uint32_t index, enum op first, enum op last, enum skip_why why);

/* ---- engine_start.c: start and restart ---- */

void start_returned(struct engine *engine, uint32_t index, const struct engine_event *event);
void start_timer(struct engine *engine, uint32_t index);
/* The component says that it died. */
void start_failed_part(struct engine *engine, uint32_t index, const char *text);
/* The steps of a restart are done: waits for the next start. */
void start_back_off(struct engine *engine, uint32_t index);
/* Calls who can be; may begin a stop. */
void start_advance(struct engine *engine);

/* ---- engine_stop.c: a stop's begin, turns, steps, end ---- */

void stop_begin(struct engine *engine, enum cause_kind kind, uint32_t part, const char *text);
void stop_escalate(struct engine *engine);
/* A restart goes through the same steps, with no time but its reserve. */
void stop_turn(struct engine *engine, uint32_t index);
void stop_cut(struct engine *engine, uint32_t index);
void stop_step_returned(struct engine *engine, uint32_t index, const struct engine_event *event);
void stop_step_timer(struct engine *engine, uint32_t index);
void stop_end_part(struct engine *engine, uint32_t index);
void stop_advance(struct engine *engine);

/* ---- engine_exit.c: destroy and exit ---- */

void exit_destroy_returned(struct engine *engine, uint32_t index, const struct engine_event *event);
void exit_destroy_timer(struct engine *engine, uint32_t index);
/* May leave. */
void exit_advance(struct engine *engine);
/* Nothing follows. */
void exit_now(struct engine *engine);

#endif
