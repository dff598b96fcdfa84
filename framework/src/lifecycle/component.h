/* The handle that every kind of component embeds as its first member. */
#ifndef WEIR_LIFECYCLE_COMPONENT_H
#define WEIR_LIFECYCLE_COMPONENT_H

#include <stdatomic.h>

#include <weir/component.h>

#define COMPONENT_MAGIC UINT32_C(0x57656972) /* "Weir" */

/* What touches the world outside the process, or is served by it: the test kit puts something else in its place. */
enum component_kind {
    COMPONENT_OWN = 0,     /* anything else */
    COMPONENT_SERVICE,     /* struct weir_service */
    COMPONENT_REST_SERVER, /* servers need the services that they serve */
    COMPONENT_GRPC_SERVER,
    COMPONENT_CONSUMER,
    COMPONENT_PRODUCER,
    COMPONENT_CHANNEL, /* struct weir_channel, to another process */
    COMPONENT_SQL,
    COMPONENT_ADMIN,
};

/* Zero until component_add(). */
struct weir_component {
    uint32_t magic; /* COMPONENT_MAGIC; anything else in `needs` is an author's mistake that is reported */
    uint32_t index; /* in the order of adding */
    struct weir_app *app;
    const char *name; /* the lifecycle's copy */
    enum component_kind kind;
    atomic_bool away;           /* see component_away() */
    _Atomic int64_t changed_ns; /* when that began or ended last; 0: never */
};

/* Adds a component whose handle is embedded in `self`: `component` is its first member. Copies options. Reads
 * the times (cut_min_ms, finish_min_ms, drain_max_ms, start_timeout_ms, restart_...) from the section `name`
 * too. */
void component_add(struct weir_app *app, struct weir_component *component, const char *name,
                   const struct weir_component_ops *ops, void *self,
                   const struct weir_component_options *options);

/* After component_add(). */
void component_is(struct weir_component *component, enum component_kind kind);

/* One more edge, before weir_app_run(). `on` is any handle; NULL does nothing. */
void component_needs(struct weir_component *component, const void *on);

/* A component of this kind that it needs, however indirectly; NULL: none. Before weir_app_run(). */
const struct weir_component *component_find_need(const struct weir_component *component,
                                                 enum component_kind kind);

/* An author's mistake (a NULL service, a bad option): reported by weir_app_run() with all others, exit
 * status 78. */
void app_mistake(struct weir_app *app, const char *format, ...) WEIR_PRINTF(2, 3);

/* No `--upgrade` while this component is part of the app; `why` says so to whoever asks, and lives as long. */
void component_refuse_upgrade(struct weir_component *component, const char *why);

/* What `--migrate` does with a component: called instead of its start, and leaves nothing open. Appends a line to
 * `ret_lines` for each migration that it has applied, or that a dry run finds due, and adds their number to
 * `ret_count`, also when it fails. A dry run changes nothing. */
struct weir_buffer;
typedef enum weir_status component_migrate_fn(void *self, struct weir_context *context, bool dry,
                                              struct weir_buffer *ret_lines, int64_t *ret_count,
                                              struct weir_error *err);
void component_migrates(struct weir_component *component, component_migrate_fn *migrate);

/* ---- Outages ----
 *
 * A component that is up but cannot do its work for now says so, whatever its kind: a database that is locked by
 * somebody else, full, or not reached. Readiness stays as it is, since another instance would have no better answer. Any
 * thread. */

/* The first of several is logged, and so is the end. */
void component_away(struct weir_component *component, const struct weir_error *err);
void component_back(struct weir_component *component);
/* It, or anything that it needs, however indirectly. */
bool component_is_away(const struct weir_component *component);
/* The same, or it was at any time since then. */
bool component_was_away(const struct weir_component *component, int64_t since_ns);

/* The app's own parts, made by weir_app_new(). */
struct weir_component *app_executor_component(struct weir_app *app);
struct executor;
struct executor *app_executor(struct weir_app *app);

#endif
