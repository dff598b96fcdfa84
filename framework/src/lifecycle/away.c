/* What is up, and cannot do its work for now: a database that is locked, full or not reached. */
#include <weir/clock.h>
#include <weir/log.h>

#include "lifecycle/app.h"

void component_away(struct weir_component *component, const struct weir_error *err)
{
    if (atomic_load(&component->away) || atomic_exchange(&component->away, true))
        return;
    atomic_store(&component->changed_ns, weir_now_ns());
    if (component->app)
        atomic_fetch_add(&component->app->outages, 1);
    weir_log_error("away: what needs it answers UNAVAILABLE or waits until it is back",
                   weir_field_text("component", component->name), weir_field_error(err));
}

void component_back(struct weir_component *component)
{
    if (!atomic_load(&component->away))
        return;
    int64_t now = weir_now_ns(), before = atomic_load(&component->changed_ns);
    if (!atomic_exchange(&component->away, false))
        return;
    atomic_store(&component->changed_ns, now);
    weir_log_info("back", weir_field_text("component", component->name),
                  weir_field_int("away_ms", (now - before) / WEIR_NS_PER_MS));
}

static bool was_away(const struct weir_component *component, int64_t since_ns)
{
    return atomic_load(&component->away) || atomic_load(&component->changed_ns) > since_ns;
}

/* The needs have no circle: the plan would have refused them. */
static bool one_was_away(const struct weir_component *component, int64_t since_ns)
{
    if (was_away(component, since_ns))
        return true;
    if (!component->app || component->index >= component->app->count)
        return false;
    const struct app_part *part = component->app->parts[component->index];
    for (size_t i = 0; i < part->need_count; i++)
        if (one_was_away(part->needs[i], since_ns))
            return true;
    return false;
}

bool component_was_away(const struct weir_component *component, int64_t since_ns)
{
    if (component->app && atomic_load(&component->app->outages) == 0)
        return false;
    return one_was_away(component, since_ns);
}

bool component_is_away(const struct weir_component *component)
{
    return component_was_away(component, WEIR_NEVER);
}
