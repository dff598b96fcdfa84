#include <string.h>

#include <weir/config.h>

#include "data/outbox.h"
#include "transports/kafka/producer.h"

static const struct weir_config_key keys[] = {
    {.name = "keep_ms",
     .type = WEIR_CONFIG_INT,
     .offset = offsetof(struct outbox_settings, keep_ms),
     .fallback = "86400000",
     .help = "milliseconds that published events stay",
     .min = 0,
     .max = INT64_MAX},
    {.name = "in_flight_max",
     .type = WEIR_CONFIG_INT,
     .offset = offsetof(struct outbox_settings, in_flight_max),
     .fallback = "1000",
     .help = "events handed to the producer and not yet reported",
     .min = 1,
     .max = 100000},
    {.name = "rows_max",
     .type = WEIR_CONFIG_INT,
     .offset = offsetof(struct outbox_settings, rows_max),
     .fallback = "1000000",
     .help = "events that may wait to be published",
     .min = 1,
     .max = INT64_MAX},
    {0},
};

static enum weir_status send_by_producer(void *self, const struct weir_record *record,
                                         weir_delivered_fn *delivered, void *state, struct weir_error *err)
{
    return weir_producer_send(self, record, delivered, state, err);
}

static void forget_producer(struct weir_outbox *outbox)
{
    producer_off_new_cluster(outbox->producer, outbox);
}

struct weir_outbox *weir_outbox_add(struct weir_app *app, const char *name, struct weir_sql *db,
                                    struct weir_producer *producer, const struct weir_outbox_options *options)
{
    static const struct weir_outbox_options none;
    if (!options)
        options = &none;
    struct outbox_settings settings = {
        .keep_ms = options->keep_ms, .in_flight_max = options->in_flight_max, .rows_max = options->rows_max};
    weir_config_section(app, name, keys, &settings);
    if (settings.in_flight_max < 1)
        settings.in_flight_max = 1; /* reported already */
    if (!db || !producer) {
        app_mistake(app, "%s: an outbox needs a database and a producer", name);
        return NULL;
    }
    if (db->outbox)
        app_mistake(app, "%s: database %s has an outbox already: %s", name, db->name, db->outbox->name);

    struct relay_sink sink = {.send = send_by_producer, .self = producer};
    struct weir_outbox *outbox = outbox_new(name, db, &sink, &settings);
    outbox->producer = producer;
    outbox->forget_producer = forget_producer;
    producer_on_new_cluster(producer, outbox_cluster_is, outbox);

    struct weir_component_options component = {.finish_min_ms = 500};
    memcpy(component.needs, options->needs, sizeof component.needs);
    component_add(app, &outbox->component, name, &outbox_ops, outbox, &component);
    component_needs(&outbox->component, db);
    component_needs(&outbox->component, producer);
    if (outbox->component.name)
        outbox->name = outbox->component.name;
    return outbox;
}
