#include <string.h>

#include <weir/config.h>

#include "data/sql.h"

static const char *const synchronous_names[] = {"full", "normal", NULL};

static const char *const isolation_names[] = {"serializable", "read_committed", NULL};

static const struct weir_config_key keys[] = {
    {.name = "url",
     .type = WEIR_CONFIG_TEXT,
     .offset = offsetof(struct sql_settings, url),
     .required = true,
     .help = "where the database is: sqlite:PATH, or postgres://USER:PASSWORD@HOST/DATABASE"},
    {.name = "readers",
     .type = WEIR_CONFIG_INT,
     .offset = offsetof(struct sql_settings, readers),
     .fallback = "2",
     .help = "SQLite: connections for reading",
     .min = 1,
     .max = READERS_MAX},
    {.name = "connections",
     .type = WEIR_CONFIG_INT,
     .offset = offsetof(struct sql_settings, connections),
     .fallback = "10",
     .help = "PostgreSQL: at most so many connections",
     .min = 1,
     .max = CONNECTIONS_MAX},
    {.name = "isolation",
     .type = WEIR_CONFIG_CHOICE,
     .offset = offsetof(struct sql_settings, isolation),
     .fallback = "serializable",
     .help = "PostgreSQL: of transactions",
     .choices = isolation_names},
    {.name = "synchronous",
     .type = WEIR_CONFIG_CHOICE,
     .offset = offsetof(struct sql_settings, synchronous),
     .fallback = "full",
     .help = "full: what was acknowledged survives a power cut; normal: the end of the process",
     .choices = synchronous_names},
    {.name = "commit_group_max",
     .type = WEIR_CONFIG_INT,
     .offset = offsetof(struct sql_settings, commit_group_max),
     .fallback = "64",
     .help = "transactions that share one fsync; 1: none",
     .min = 1,
     .max = 10000},
    {.name = "busy_timeout_ms",
     .type = WEIR_CONFIG_INT,
     .offset = offsetof(struct sql_settings, busy_timeout_ms),
     .fallback = "5000",
     .help = "milliseconds to wait for the writer's turn",
     .min = 1,
     .max = 600000},
    {.name = "idempotency_keep_ms",
     .type = WEIR_CONFIG_INT,
     .offset = offsetof(struct sql_settings, idempotency_keep_ms),
     .fallback = "86400000",
     .help = "milliseconds that answers by idempotency key stay; Kafka's at least 7 days",
     .min = 86400000,
     .max = INT64_MAX / 4},
    {0},
};

struct weir_sql *weir_sql_add(struct weir_app *app, const char *name, const struct weir_sql_options *options)
{
    static const struct weir_sql_options none;
    if (!options)
        options = &none;
    struct sql_settings settings = {
        .url = options->url,
        .migrations = options->schema ? options->schema->migrations : options->migrations,
        .statements = options->schema ? options->schema->statements : NULL,
        .readers = options->readers,
        .postgres_migrations = options->postgres_migrations,
        .connections = options->connections,
        .commit_group_max = options->commit_group_max,
        .busy_timeout_ms = options->busy_timeout_ms,
        .idempotency_keep_ms = options->idempotency_keep_ms,
    };
    if (options->synchronous && strcmp(options->synchronous, "normal") == 0)
        settings.synchronous = 1;
    else if (options->synchronous && strcmp(options->synchronous, "full") != 0)
        app_mistake(app, "%s: synchronous is \"full\" or \"normal\", not \"%s\"", name, options->synchronous);
    if (options->isolation && strcmp(options->isolation, "read_committed") == 0)
        settings.isolation = SQL_READ_COMMITTED;
    else if (options->isolation && strcmp(options->isolation, "serializable") != 0)
        app_mistake(app, "%s: isolation is \"serializable\" or \"read_committed\", not \"%s\"", name,
                    options->isolation);
    weir_config_section(app, name, keys, &settings);
    if (settings.connections < 1 || settings.connections > CONNECTIONS_MAX)
        settings.connections = 10; /* reported already */
    if (settings.readers < 1 || settings.readers > READERS_MAX)
        settings.readers = 2; /* reported already */

    struct weir_sql *db = sql_new(name, &settings);
    struct weir_component_options component = {.cut_min_ms = 100, .finish_min_ms = 1000};
    memcpy(component.needs, options->needs, sizeof component.needs);
    component_add(app, &db->component, name, &sql_ops, db, &component);
    component_is(&db->component, COMPONENT_SQL);
    component_migrates(&db->component, sql_migrate);
    if (db->component.name)
        db->name = db->component.name;
    return db;
}
