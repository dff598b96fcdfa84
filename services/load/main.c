#include <stdlib.h>

#include "load/load.h"

static void configure(struct weir_app *app, struct load *load)
{
    static const struct weir_config_key keys[] = {
        {.name = "rate",
         .type = WEIR_CONFIG_INT,
         .offset = offsetof(struct load, rate),
         .fallback = "20",
         .min = 1,
         .max = 100000,
         .help = "orders a second"},
        {.name = "closed",
         .type = WEIR_CONFIG_BOOL,
         .offset = offsetof(struct load, closed),
         .fallback = "false",
         .help = "no rate: the next order as soon as one is settled, in_flight_max at a time"},
        {.name = "count",
         .type = WEIR_CONFIG_INT,
         .offset = offsetof(struct load, count),
         .fallback = "0",
         .max = 100000000,
         .help = "orders in all; 0 is for ever"},
        {.name = "in_flight_max",
         .type = WEIR_CONFIG_INT,
         .offset = offsetof(struct load, in_flight_max),
         .fallback = "256",
         .min = 1,
         .max = 100000,
         .help = "orders under way; more wait"},
        {.name = "record",
         .type = WEIR_CONFIG_TEXT,
         .offset = offsetof(struct load, record),
         .fallback = "",
         .help = "a file that gets a line per order: its id and accepted or refused"},
        {.name = "wait_delivered",
         .type = WEIR_CONFIG_BOOL,
         .offset = offsetof(struct load, wait_delivered),
         .fallback = "true",
         .help = "end only when every consumer has every order"},
        {0},
    };
    weir_config_section(app, "load", keys, load);
}

static enum weir_status start(void *self, struct weir_context *context, struct weir_error *err)
{
    (void)context;
    struct load *load = self;
    if (load->record[0] && !(load->record_file = fopen(load->record, "w")))
        return weir_fail(err, WEIR_INVALID_ARGUMENT, "load.record: cannot write to %s", load->record);
    return WEIR_OK;
}

static void destroy(void *self)
{
    struct load *load = self;
    if (load->record_file)
        fclose(load->record_file);
    for (int i = 0; i < load->sku_count; i++)
        free(load->skus[i]);
}

static struct weir_app *load_app(int argc, char **argv)
{
    static struct load load = {.lock = PTHREAD_MUTEX_INITIALIZER};
    static const struct weir_component_ops ops = {.start = start, .destroy = destroy};
    struct weir_app *app = weir_app_new("load", argc, argv);

    configure(app, &load);
    struct weir_component *record = weir_component_add(app, "record", &ops, &load, NULL);
    load.gateway = weir_rest_channel_add(app, "gateway", &(struct weir_channel_options){.needs = {record}});
    struct weir_timer *report_timer = weir_timer_add(
        app, "report", report,
        &(struct weir_timer_options){.every_ms = 1000, .self = &load, .needs = {load.gateway}});
    load.timer = weir_timer_add(
        app, "place", place_due,
        &(struct weir_timer_options){.every_ms = 1, .self = &load, .needs = {load.gateway, report_timer}});
    return app;
}

int main(int argc, char **argv)
{
    return weir_app_run(load_app(argc, argv));
}
